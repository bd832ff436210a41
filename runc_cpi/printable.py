"""Text from others, made safe for a terminal."""

from __future__ import annotations


def printable(text: str, keep: str = "\t") -> str:
    r"""
    Return a text with those characters spelled out that act on a terminal or are no UTF-8.

    These are control characters, line ends among them, what sets the direction of text or
    takes no room, and lone surrogates: C{\x1b}, C{\u202e}, C{\ud800}.

    @param keep: characters that stay as they are.
    """
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode()
        for c in text
    )
