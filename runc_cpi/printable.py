"""Text of others, such that a terminal shows it and does nothing else about it."""

from __future__ import annotations


def printable(text: str, keep: str = "\t") -> str:
    r"""
    Spell out what a terminal would act upon and what UTF-8 cannot hold.

    These are control characters, line ends among them, what sets the direction of text or
    takes no room, and lone surrogates: C{\x1b}, C{\u202e}, C{\ud800}.

    @param keep: what is to stay all the same.
    """
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode()
        for c in text
    )
