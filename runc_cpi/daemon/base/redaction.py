"""Takes secrets out of texts for the log and for events."""

from __future__ import annotations

import re

REDACTED = "<redacted>"

# What is between the lines of a PEM file, and what the header Authorization has (RFC 9110).
_KEY = re.compile(
    r"(?<=-----BEGIN )[^-]*-----.*?(?:-----END [^-]*|\Z)", re.DOTALL | re.ASCII
)
_CREDENTIALS = re.compile(r"\b((?:bearer|basic)[ :]+)[^\s\"',]{4,}", re.IGNORECASE)
_WORD = re.compile(r"\S+")
_OPENING = re.compile(r"[\"'(\[{<]*")
# What an @ leads to that ends no password: the digest of an image.
_DIGEST = "sha256:"


def redacted(text: str) -> str:
    """
    Return a text without the secrets that can be told by their form.

    These are users and passwords before an C{@}, queries of URLs, credentials of HTTP, and
    what PEM files hold.  The time it takes grows no faster than the text.
    """
    text = _CREDENTIALS.sub(rf"\1{REDACTED}", _KEY.sub(REDACTED, text))
    if "@" not in text and "?" not in text:
        return text
    return _WORD.sub(lambda word: _without_query(_without_user(word[0])), text)


def _without_user(word: str) -> str:
    scheme = word.find("://")
    opening = _OPENING.match(word)
    start = scheme + 3 if scheme >= 0 else opening.end() if opening else 0
    end = word.rfind("@", start)
    while end >= 0 and word.startswith(_DIGEST, end + 1):
        end = word.rfind("@", start, end)
    if end <= start:
        return word
    user, colon, password = word[start:end].partition(":")
    # An @ of a path, such as that of a URL or an image, ends no user.
    is_user = bool(colon) or "/" not in user
    if scheme < 0:
        is_user = bool(colon) and "/" not in user and not password.startswith("/")
    return f"{word[:start]}{REDACTED}{word[end:]}" if is_user else word


def _without_query(word: str) -> str:
    scheme = word.find("://")
    query = word.find("?", scheme)
    is_query = scheme >= 0 and query >= 0 and word[query + 1 :].rstrip("'\").,:;?!")
    return f"{word[: query + 1]}{REDACTED}" if is_query else word
