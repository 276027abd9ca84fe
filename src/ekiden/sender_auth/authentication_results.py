"""Authentication-Results (RFC 8601): written, read, and removed where strangers wrote them in our name.

What is written here is ASCII, whatever a stranger put into an address or a signature, and has no comment. What is
read may be what others write: Microsoft's pairs without a property type are passed over, values may stand unquoted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import islice, takewhile
from typing import NamedTuple

from ekiden.core.errors import EkidenError
from ekiden.mime.scan import scan
from ekiden.sender_auth.canonical import split_fields

MAX_OCTETS = 16_384
"""Octets of a field that is read; the largest honest ones have a tenth of it."""
MAX_RESULTS = 50
MAX_PROPERTIES = 50
"""Of one result."""
MAX_VALUE = 255
"""Characters of a value that is written; a longer one is left out."""

NAME = b"Authentication-Results"
_MAX_FIRST = 1_024  # octets in which a field has to say who has checked, for those who remove it
_MAX_BEGINS = 10  # times that our name stands behind a bare CR or LF in one field
_MAX_LINE = 78  # RFC 5322 §2.1.1
_LOWER_NAME = NAME.lower()
# A token (RFC 2045 §5.1), a domain or an address: what a value may be without quotes (RFC 8601 §2.2).
_TOKEN = r"[A-Za-z0-9!#$%&'*+\-.^_`{|}~]+"  # noqa: S105
_UNQUOTED = re.compile(rf"(?:{_TOKEN}|(?:{_TOKEN})?@[A-Za-z0-9._\-]+)\Z")
_KEYWORD = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_\-]*[A-Za-z0-9_])?\Z")
_ID = re.compile(rf"{_TOKEN}\Z")
_LEXEME = re.compile(
    r"""(?P<blank>[ \t\r\n]++)
    |(?P<quoted>"(?:[^"\\]|\\.)*+")
    |(?P<special>[;=])
    |(?P<word>[^ \t\r\n;="(]++)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_IN_COMMENT = re.compile(r"[()]|\\.", re.DOTALL)
# An instance before the rest (RFC 8617 §4.2.1); comments inside of comments are not looked for.
_CFWS = rb"(?:[ \t\r\n]|\((?:[^()\\]|\\.)*+\))*+"
_INSTANCE = re.compile(rb"%b[i]%b=%b([0-9]{1,2})%b;" % (_CFWS, _CFWS, _CFWS, _CFWS), re.DOTALL)
# Readers differ in whether a bare CR or LF ends a line: where one could see our name begin a field, it counts.
_BEGINS = re.compile(rb"(?:\A|[\r\n])%b[ \t]*:" % re.escape(NAME), re.IGNORECASE)
_LINE_END = re.compile(rb"\r(?![ \t\n])|(?<!\r)\n(?![ \t])")
_OBSCURING = b' \t\r\n\\"'


class BadAuthenticationResults(EkidenError, ValueError):
    """A field that cannot be read: of another form, of another version, or larger than anybody's."""


class Property(NamedTuple):
    """``ptype.name=value``: what a result is about, such as ``smtp.mailfrom``."""

    ptype: str
    name: str
    value: str


class MethodResult(NamedTuple):
    """One result; words of the registries of RFC 8601 §6, in lower case. ``reason`` is for people."""

    method: str
    result: str
    reason: str = ""
    properties: tuple[Property, ...] = ()

    def value(self, ptype: str, name: str) -> str | None:
        """The first value of a property."""
        return next((item.value for item in self.properties if item[:2] == (ptype, name)), None)


class AuthenticationResults(NamedTuple):
    """What a field says. ``authserv_id`` as it stands there: who says it."""

    authserv_id: str
    results: tuple[MethodResult, ...]


# writing


def payload(authserv_id: str, results: Sequence[MethodResult]) -> bytes:
    """The value of a field, a line or more for each result, without the last CRLF."""
    if not results:
        return f"{authserv_id}; none".encode("ascii")
    lines = [authserv_id + ";"]
    for number, result in enumerate(results):
        end = ";" if number < len(results) - 1 else ""
        pairs = [f"{result.method}={result.result}"]
        if result.reason and len(result.reason) <= MAX_VALUE:
            pairs.append(f"reason={_written(result.reason)}")
        for ptype, name, value in result.properties:
            if value and len(value) <= MAX_VALUE:
                pairs.append(f"{ptype}.{name}={_written(value)}")
        pairs[-1] += end
        lines.append("")
        for pair in pairs:
            if lines[-1] and len(lines[-1]) + 1 + len(pair) > _MAX_LINE:
                lines.append("")
            lines[-1] += " " + pair
    return "\r\n".join(lines).encode("ascii")


def field(authserv_id: str, results: Sequence[MethodResult]) -> bytes:
    """A whole field, with the CRLF that ends it."""
    return NAME + b": " + payload(authserv_id, results) + b"\r\n"


def _written(value: str) -> str:
    if _UNQUOTED.match(value):
        return value
    # What is not printable ASCII has no meaning that a reader could use, and must not begin a line.
    shown = "".join(letter if " " <= letter <= "~" else "?" for letter in value)
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'


# reading


def read(value: bytes) -> AuthenticationResults:
    """The value of a field. Raises ``BadAuthenticationResults``."""
    first, *others = _parts(value)
    authserv_id, version = _said_by(first)
    if version != "1":
        raise BadAuthenticationResults("the version is not known")
    found = map(_result, others)
    return AuthenticationResults(authserv_id, tuple(result for result in found if result is not None))


def read_instance(value: bytes) -> tuple[int, bytes]:
    """The instance of an ARC-Authentication-Results field, and the rest, which is what ``read`` reads.

    Raises ``BadAuthenticationResults``.
    """
    match = _INSTANCE.match(value, 0, MAX_OCTETS)
    if match is None:
        raise BadAuthenticationResults("there is no instance (i=)")
    return int(match[1]), value[match.end() :]


class _Lexeme(NamedTuple):
    kind: str
    """``word``, ``quoted``, or the special character itself."""
    text: str
    gap: bool
    """Blanks or a comment stand before it."""


def _parts(value: bytes) -> list[list[_Lexeme]]:
    """What stands between the semicolons. Raises ``BadAuthenticationResults``."""
    if len(value) > MAX_OCTETS:
        raise BadAuthenticationResults(f"more than {MAX_OCTETS} octets")
    parts: list[list[_Lexeme]] = [[]]
    for lexeme in _lexemes(value):
        if lexeme.kind != ";":
            parts[-1].append(lexeme)
        elif len(parts) > MAX_RESULTS:
            raise BadAuthenticationResults(f"more than {MAX_RESULTS} results")
        else:
            parts.append([])
    return parts


def _lexemes(value: bytes) -> Iterator[_Lexeme]:
    """Raises ``BadAuthenticationResults``."""
    text = value.decode("utf-8", "replace")
    at = 0
    gap = False
    while at < len(text):
        if text[at] == "(":
            at = _comment_end(text, at)
            gap = True
            continue
        match = _LEXEME.match(text, at)
        if match is None:
            raise BadAuthenticationResults("a quote is not closed")
        at = match.end()
        kind = match.lastgroup or ""
        if kind == "blank":
            gap = True
            continue
        if kind == "quoted":
            yield _Lexeme(kind, _ESCAPED.sub(r"\1", match[0][1:-1]), gap)
        else:
            yield _Lexeme(match[0] if kind == "special" else kind, match[0], gap)
        gap = False


def _comment_end(text: str, start: int) -> int:
    depth = 0
    for match in _IN_COMMENT.finditer(text, start):
        if match[0] == "(":
            depth += 1
        elif match[0] == ")":
            depth -= 1
            if depth == 0:
                return match.end()
    raise BadAuthenticationResults("a comment is not closed")


def _said_by(part: list[_Lexeme]) -> tuple[str, str]:
    """Who has checked, and the version of the field (RFC 8601 §2.2, §2.5). Raises ``BadAuthenticationResults``."""
    kinds = [lexeme.kind for lexeme in part]
    if kinds not in (["word"], ["quoted"], ["word", "word"], ["quoted", "word"]):
        raise BadAuthenticationResults("it does not say who has checked")
    authserv_id = part[0].text
    version = part[1].text if len(part) > 1 else "1"
    if (kinds[0] == "word" and _ID.match(authserv_id) is None) or not version.isdecimal():
        raise BadAuthenticationResults("it does not say who has checked")
    return authserv_id, version


def _result(part: list[_Lexeme]) -> MethodResult | None:
    """One result; ``None`` for ``none``, and for what is no result."""
    pairs = _pairs(part)
    if not pairs:
        return None
    method, result = pairs[0]
    method = method.partition("/")[0]
    if _KEYWORD.match(method) is None or _KEYWORD.match(result) is None:
        return None
    reason = ""
    properties: list[Property] = []
    for key, value in pairs[1:]:
        ptype, _, name = key.partition(".")
        if key == "reason":
            reason = value
        elif _KEYWORD.match(ptype) and _KEYWORD.match(name):
            if len(properties) >= MAX_PROPERTIES:
                raise BadAuthenticationResults(f"a result with more than {MAX_PROPERTIES} properties")
            properties.append(Property(ptype, name, value))
    return MethodResult(method, result.lower(), reason, tuple(properties))


def _pairs(part: list[_Lexeme]) -> list[tuple[str, str]]:
    """Keys, in lower case and without the blanks that may stand around their dots, with values."""
    pairs = []
    key = ""
    at = 0
    while at < len(part):
        kind, text, _ = part[at]
        at += 1
        if kind == "word":
            joined = key.endswith((".", "/")) or text.startswith((".", "/"))
            key = key + text.lower() if joined else text.lower()
        elif kind == "=" and key:
            value = ""
            # A value ends at a blank; an equals sign that follows without one is a part of it (base64).
            while at < len(part) and (not value or not part[at].gap):
                value += part[at].text
                at += 1
            pairs.append((key, value))
            key = ""
        else:
            key = ""
    return pairs


# removing


def without_claims(content: bytes, authserv_ids: Collection[str]) -> bytes:
    """``content`` without the fields that claim to come from one of ``authserv_ids`` (RFC 8601 §5).

    The ids are in lower case. What cannot be read is removed if one of them is in it anywhere; what is of a version
    that we do not know is removed, whoever wrote it. A field of another name goes, too, when it has such a claim
    behind a bare CR or LF. The same object when there is nothing to remove.
    """
    header = scan(content)
    block = header.raw
    if _LOWER_NAME not in block.lower():
        return content
    fields = split_fields(block)
    kept = [raw for raw in fields if not _has_claim(raw, authserv_ids)]
    if len(kept) == len(fields):
        return content
    if kept and block.endswith(b"\r\n"):
        kept.append(b"")
    return b"\r\n".join(kept) + content[header.end :]


def _has_claim(raw: bytes, authserv_ids: Collection[str]) -> bool:
    lines = raw.count(b"\r\n")
    if raw.count(b"\n") == lines == raw.count(b"\r"):
        match = _BEGINS.match(raw)
        return match is not None and _claims(raw[match.end() :], authserv_ids)
    begins = list(islice(_BEGINS.finditer(raw), _MAX_BEGINS + 1))
    if len(begins) > _MAX_BEGINS:
        return True
    for match in begins:
        end = _LINE_END.search(raw, match.end())
        if _claims(raw[match.end() : end.start() if end else len(raw)], authserv_ids):
            return True
    return False


def _claims(value: bytes, authserv_ids: Collection[str]) -> bool:
    try:
        first = takewhile(lambda lexeme: lexeme.kind != ";", _lexemes(value[:_MAX_FIRST]))
        authserv_id, version = _said_by(list(first))
    except BadAuthenticationResults:
        plain = value.translate(None, _OBSCURING).lower()
        return any(item.encode() in plain for item in authserv_ids)
    return version != "1" or authserv_id.lower().rstrip(".") in authserv_ids
