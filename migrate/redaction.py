"""Takes credentials out of every text that leaves the process: the one place for it.

Two ways, used together. Credentials that stand in a URI are known by their place. Those that this
process was given, in its arguments, its environment or a file of credentials, are known by value:
they are told to ``keep_secret`` when they are read, and are found wherever they turn up, in the
answer of a server too, as they are, quoted for a URL, escaped, or as a header carries them.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from urllib.parse import SplitResult, quote, quote_plus, unquote, urlsplit, urlunsplit

HIDDEN = "***"
#: From this length on a secret is taken out of the middle of words too.
LONG = 8
#: Shorter ones are too much like other text. They are known by their place in a URI, and as part
#: of the header that carries them.
SHORTEST = 4

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
_SECRET_NAME = re.compile(
    r"(?:TOKEN|SECRET|PASSWORD|PASSWD|(?:ACCESS|SECRET|API|ACCOUNT|PRIVATE)_?KEY"
    r"|CONNECTION_STRING)\Z",
    re.IGNORECASE,
)
#: What connection strings of Azure hold.
_MEMBER = re.compile(r"(?:Key|Signature)=([^;]+)", re.IGNORECASE)
#: user:password@ in a URI, and as people type it without a scheme.
_LOGIN = re.compile(r"://([^\s/:@]*):(\S+)@")
_BARE_LOGIN = re.compile(r"\A(?!file:|dbfs:|[A-Za-z]:[/\\])([^\s/\\:@]+):(\S+)@", re.IGNORECASE)
_LONE_TOKEN = re.compile(r"\Ahttps?://([^\s/:@]+)@", re.IGNORECASE)

_lock = threading.Lock()
_forms: set[str] = set()
_known: re.Pattern[str] | None = None


def keep_secret(*secrets: str | None, user: str = "") -> None:
    """Take these out of all text from now on; with ``user``, their basic-auth header as well."""
    global _known  # noqa: PLW0603  (one process, one set of secrets)
    found = {form for secret in secrets if secret for form in _forms_of(secret, user)}
    with _lock:
        if found <= _forms:
            return
        _forms.update(found)
        longest_first = sorted(_forms, key=lambda form: (-len(form), form))
        _known = re.compile("|".join(map(_pattern, longest_first)))


def learn(environment: Mapping[str, str], arguments: Iterable[str]) -> None:
    """Keep secret what the environment and the command line hold.

    That is: variables whose names say so, and passwords in anything like a URI.
    """
    for name, value in environment.items():
        if _SECRET_NAME.search(name):
            keep_secret(value, *_MEMBER.findall(value), *value.splitlines())
    for text in (*environment.values(), *arguments):
        for user, password in (_LOGIN if "://" in text else _BARE_LOGIN).findall(text):
            keep_secret(password, unquote(password), user=unquote(user))
        keep_secret(*_LONE_TOKEN.findall(text))


def redacted(text: str) -> str:
    """Return ``text`` without secrets: those known, and those in URIs and query strings."""
    if _known is not None:
        text = _known.sub(HIDDEN, text)
    return without_logins(text)


def without_logins(text: str) -> str:
    """Return ``text`` without user names and passwords in URIs, and secrets of query strings.

    For what is read back: known secrets stay, since one may be a word that means something else.
    """
    if "://" not in text:
        return text
    for pattern in (_USERINFO, _SLASHED, _TOKEN):
        text = pattern.sub(r"\1", text)
    return _QUERY.sub(rf"\1{HIDDEN}", text)


def cut(text: str, longest: int) -> str:
    """Return the first ``longest`` characters, without a part of a secret at their end."""
    return redacted(text)[:longest]


def redacted_json(value: object, harmless: Callable[[str], str] = redacted) -> object:
    """Return a JSON value with every text in it made ``harmless``."""
    match value:
        case str():
            return harmless(value)
        case Mapping():
            return {
                harmless(str(key)): redacted_json(entry, harmless) for key, entry in value.items()
            }
        case list() | tuple():
            return [redacted_json(entry, harmless) for entry in value]
    return value


def shown_address(uri: str) -> str:
    """Return ``uri`` without user, password and query: fit for logs and the state database.

    Where it makes no sense as a URI, as with a bare ``/`` or ``#`` in a password, nothing that
    stands before the last ``@`` is shown.
    """
    parts = split_address(uri)
    if parts is None:
        found = re.match(r"[A-Za-z][\w+.-]*://", uri)
        scheme = found[0] if found else ""
        return scheme + uri.removeprefix(scheme).rpartition("@")[2].partition("?")[0]
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def is_bare_login(text: str) -> bool:
    """Say whether ``text`` is ``user:password@host``: an address without its ``http://``."""
    return "://" not in text and _BARE_LOGIN.match(text) is not None


def split_address(uri: str) -> SplitResult | None:
    """Split a URI with a host, None for anything else."""
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018  (reading it is the check)
    except ValueError:
        return None
    return parts if parts.scheme and parts.hostname else None


def _forms_of(secret: str, user: str) -> Iterator[str]:
    """Yield what a secret looks like in messages, headers and URLs; not what is too short."""
    if user:
        yield base64.b64encode(f"{user}:{secret}".encode(errors="surrogateescape")).decode()
    for plain in {secret, secret.strip()}:
        if len(plain) < SHORTEST:
            continue
        coded = plain.encode(errors="surrogateescape")
        yield plain
        yield quote(coded, safe="")
        yield quote(coded)
        yield quote_plus(coded)
        yield json.dumps(plain)[1:-1]
        yield json.dumps(plain, ensure_ascii=False)[1:-1]
        yield repr(plain)[1:-1]
        if len(plain) >= LONG:
            yield base64.b64encode(coded).decode()


def _pattern(form: str) -> str:
    """Return a pattern for one form; a short one has to stand alone."""
    found = re.escape(form)
    return found if len(form) >= LONG else rf"(?<!\w){found}(?!\w)"
