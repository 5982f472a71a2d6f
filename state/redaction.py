"""Takes credentials out of text before it is stored: URIs, and errors that quote them."""

from __future__ import annotations

import re
from collections.abc import Mapping

# user:password@ up to the last @ before the path, so that an unescaped @ in the password leaves
# nothing behind.
_USERINFO = re.compile(r"(://)[^/?#\s]*:[^/?#\s]*@")
# Database drivers also take a password with a bare slash; a port followed by a path is not one.
_SLASHED = re.compile(r"(://)[^/?#\s:@\[]*:(?!\d*(?:[/?#\s]|$))[^\s@]*@")
# Web servers take a token alone; other schemes put a harmless profile or user name there.
_TOKEN = re.compile(r"(https?://)[^/?#\s@]+@", re.IGNORECASE)
_QUERY = re.compile(
    r"([?&;](?:[\w.-]*(?:password|passwd|pwd|token|secret|signature|credential|api[_-]?key)|sig)=)"
    r"[^&#\s\"']*",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """Return ``text`` without user names and passwords in URIs, and secrets of query strings."""
    if "://" not in text:
        return text
    for pattern in (_USERINFO, _SLASHED, _TOKEN):
        text = pattern.sub(r"\1", text)
    return _QUERY.sub(r"\1***", text)


def redacted_json(value: object) -> object:
    """Return a JSON value with every text in it redacted."""
    match value:
        case str():
            return redacted(value)
        case Mapping():
            return {redacted(key): redacted_json(entry) for key, entry in value.items()}
        case list() | tuple():
            return [redacted_json(entry) for entry in value]
    return value
