"""Header fields that programs write wrongly, made right before a message is taken (RFC 6409 §8).

Message-ID and Date that are none are completed where that is possible; else whoever takes the message makes new
ones. A From field that has no safe reading (``mime.author_domains``) gets the one that its writer meant, if
there is no doubt. What stood there before stays for those who look for it, as ``X-Original-Message-ID``, ``-Date``
and ``-From``. Lines that mailbox files have before a header go, and so does a second ``List-Unsubscribe-Post``
(RFC 8058 §3.1).

A message that needs nothing of it costs a few searches in its header.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_tz
from typing import NamedTuple

from ekiden.core.address import BadAddress, to_ascii_domain
from ekiden.mime.author_domains import mailbox_domains
from ekiden.mime.errors import BadMailbox
from ekiden.mime.header import decode_words, format_moment
from ekiden.mime.mailbox import Mailbox, mailbox_field
from ekiden.mime.scan import Field, Header

KEPT = b"X-Original-"
"""Stands before the name of a field whose value has been replaced."""
_MAX_ID = 900  # octets; with its name on one line
_MAX_DATE = 200
_MAX_FROM = 2_048
_MAX_MAILBOXES = 20

_ID_WORD = rb"[!-;=?A-~]{1,900}"  # printable, without <, > and @
_COMMENTS = rb"(?:[ \t]|\([^()\x00-\x1f\x7f-\xff]{0,900}\))*"
_ID = re.compile(rb"%b<%b@%b>%b" % (_COMMENTS, _ID_WORD, _ID_WORD, _COMMENTS))
_BARE_ID = re.compile(rb"(?<![!-;=?A-~])%b+@%b" % (_ID_WORD, _ID_WORD))  # looked for at the begin of words only
_DATE = re.compile(
    rb"(?:(?:mon|tue|wed|thu|fri|sat|sun)[ \t]*,[ \t]*)?(?:0?[1-9]|[12][0-9]|3[01])[ \t]+"
    rb"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[ \t]+[0-9]{2,4}[ \t]+"
    rb"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::(?:[0-5][0-9]|60))?[ \t]+(?:[+-][0-9]{4}|ut|gmt|[ecmp][sd]t|[a-ik-z])"
    rb"(?:[ \t]*\([^()]*\))*",
    re.IGNORECASE,
)
_ZONE = re.compile(r"[+-][0-9]{2}:?[0-9]{2}\b|\b(?:UTC?|GMT|[ECMP][SD]T|Z|([JK]ST))\b", re.IGNORECASE)
_EAST_ASIA = timedelta(hours=9)
_MAILBOX_LINE = re.compile(rb"^>?From (?![ \t]*:)[^\r\n]*\r\n", re.MULTILINE)
_DAY = re.compile(rb"Mon|Tue|Wed|Thu|Fri|Sat|Sun")
_A_FIELD = re.compile(rb">?From |[!-9;-~]+[ \t]*:")

_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_ADDRESS = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\-]{1,255}@[\w.\-]{1,255}"
_IN_ANGLES = re.compile(rf"<[ \t]*({_ADDRESS})[ \t]*>?")
_ANYWHERE = re.compile(_ADDRESS)
_DOMAINS = re.compile(r"@[ \t]*([^ \t<>()\[\],;:\"'@\\]*)")
_AROUND = " \t,;<>"
_LEGACY = ("euc_jp", "cp932")
_CHARSET = re.compile(rb"charset[ \t]*=[ \t]*\"?([A-Za-z0-9_.\-]{1,40})", re.IGNORECASE)


class Repaired(NamedTuple):
    """``content`` is the message. ``named``: domains that its From field had, in whatever place, and perhaps has no
    more; whoever may write in the name of all of them may have the field so. ``what``: names of what was changed.
    """

    content: bytes
    named: tuple[str, ...]
    what: tuple[str, ...]


class Author(NamedTuple):
    """The mailboxes that a From field meant, and every domain that it had."""

    mailboxes: tuple[Mailbox, ...]
    named: tuple[str, ...]


def repair(header: Header, sender: str | None) -> Repaired | None:
    """The message with a right header; ``None``: it is right, or nothing can be done.

    ``sender``, the envelope's, is the author where From has a name and no address.
    """
    if not (
        _wrong(header, b"message-id", _ID, _MAX_ID)
        or _wrong(header, b"date", _DATE, _MAX_DATE)
        or _unreadable(header)
        or header.begins(b"from ")
        or header.begins(b">from ")
        or header.repeats(b"list-unsubscribe-post")
    ):
        return None
    work = _Work(header)
    work.identifiers(b"message-id", _ID, _MAX_ID, _completed_id)
    work.identifiers(b"date", _DATE, _MAX_DATE, _completed_date)
    if _unreadable(header):
        work.author(sender)
    work.once(b"list-unsubscribe-post")
    work.mailbox_lines()
    return work.done()


def author_meant(value: bytes, charset: str = "", sender: str | None = None) -> Author | None:
    """What the unfolded value of a From field without a safe reading was meant to be; ``None``: nobody knows.

    ``charset`` is what octets above 127 may be in, besides UTF-8.
    """
    text = _decoded(value, charset) if len(value) <= _MAX_FROM else None
    if text is None or _CONTROL.search(text) is not None:
        return None
    named = _named(text)
    if named is None:
        return None
    if "@" not in text:
        found = [(text, sender)] if sender is not None and text.strip(_AROUND) else []
    else:
        found = _in_angles(text) or _bare(text)
    if not 0 < len(found) <= _MAX_MAILBOXES:
        return None
    try:
        mailboxes = tuple(Mailbox(_name(name, address), address) for name, address in found)
        written = mailbox_field("From", mailboxes).removesuffix(b"\r\n").replace(b"\r\n", b"")
    except (BadMailbox, BadAddress, UnicodeError):
        return None
    domains = mailbox_domains(written.partition(b":")[2].strip())
    if domains is None or len(domains) != len(mailboxes) or ("@" in text and not set(domains) <= set(named)):
        return None
    return Author(mailboxes, tuple(dict.fromkeys((*domains, *named))))


def _wrong(header: Header, name: bytes, right: re.Pattern[bytes], longest: int) -> bool:
    value = header.get(name)
    if value is None:
        return False
    return len(value) > longest or right.fullmatch(value) is None or header.repeats(name)


def _unreadable(header: Header) -> bool:
    value = header.get(b"from")
    return value is not None and mailbox_domains(value) is None and not header.repeats(b"from")


class _Work:
    """Changes of one header: what stands instead of which octets."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._fields = header.fields()
        self._changes: list[tuple[int, int, bytes]] = []
        self._what: list[str] = []
        self._named: tuple[str, ...] = ()

    def done(self) -> Repaired | None:
        if not self._changes:
            return None
        content = self._header.content
        pieces: list[bytes] = []
        at = 0
        for start, end, instead in sorted(self._changes):
            pieces += (content[at:start], instead)
            at = end
        pieces.append(content[at:])
        return Repaired(b"".join(pieces), self._named, tuple(self._what))

    def identifiers(
        self, name: bytes, right: re.Pattern[bytes], longest: int, completed: Callable[[bytes], bytes]
    ) -> None:
        """One right field ``name``, the first that is right or can be completed."""
        found = False
        for field in self._of(name):
            value = self._value(field)
            if not found and len(value) <= longest and right.fullmatch(value) is not None:
                found = True
                continue
            instead = b"" if found or len(value) > longest else completed(value)
            found = found or bool(instead)
            self._replace(field, instead)

    def author(self, sender: str | None) -> None:
        [field] = self._of(b"from")
        value = self._value(field)
        if not value:  # the door makes one of the envelope's
            if sender is not None:
                self._replace(field, b"")
            return
        found = author_meant(value, charset_of(self._header), sender)
        if found is not None:
            self._named = found.named
            # The field as it was must not be taken for an author by anybody, so it stands under another name.
            self._replace(field, mailbox_field("From", found.mailboxes)[len("From: ") : -len("\r\n")])

    def once(self, name: bytes) -> None:
        for field in self._of(name)[1:]:
            self._changes.append((field.start, field.end, b""))
            self._note(field)

    def mailbox_lines(self) -> None:
        """``From a@b Sat Jan  1 …``, before the header or within. A text that begins so is no such line."""
        content, end = self._header.content, self._header.end
        for match in _MAILBOX_LINE.finditer(content, 0, end):
            if match.start() and content[match.start() - 2 : match.start()] != b"\r\n":
                continue
            dated = _DAY.search(content, *match.span()) is not None
            if match.start() or dated or _A_FIELD.match(content, match.end(), end) is not None:
                self._changes.append((match.start(), match.end(), b""))
                if "From " not in self._what:
                    self._what.append("From ")

    def _of(self, name: bytes) -> list[Field]:
        return [field for field in self._fields if field.name == name]

    def _value(self, field: Field) -> bytes:
        return self._header.content[field.value : field.end].replace(b"\r\n", b"").strip(b" \t")

    def _replace(self, field: Field, value: bytes) -> None:
        """``value`` instead, and what was there under the name for that; no field at all for no value."""
        content = self._header.content
        name = content[field.start : field.start + len(field.name)]
        instead = name + b": " + value + b"\r\n" if value else b""
        if self._value(field):
            instead += KEPT + content[field.start : field.end]
        self._changes.append((field.start, field.end, instead))
        self._note(field)

    def _note(self, field: Field) -> None:
        name = self._header.content[field.start : field.start + len(field.name)].decode("ascii")
        if name not in self._what:
            self._what.append(name)


def _completed_id(value: bytes) -> bytes:
    """``a@b``, ``<a@b`` and such with their brackets; of several the first."""
    if len(value) > _MAX_ID:
        return b""
    found = _BARE_ID.findall(value)
    rest = _BARE_ID.sub(b"", value).strip(b" \t<>\"',;")
    if not found or rest:
        return b""
    completed = b"<" + found[0].strip(b"\"',;") + b">"
    return completed if _ID.fullmatch(completed) is not None else b""


def _completed_date(value: bytes) -> bytes:
    """A time in another form (ISO 8601, without its zone, with another order) as RFC 5322 has it."""
    text = value.decode("ascii", "replace")
    try:
        moment = datetime.fromisoformat(text)
        offset = moment.utcoffset()
    except ValueError:
        try:
            found = parsedate_tz(text)
            if found is None or ":" not in text:
                return b""
            moment = datetime(*found[:5], min(found[5], 59), tzinfo=UTC)
            zone = _ZONE.search(text)
            known = _EAST_ASIA if zone is not None and zone[1] else timedelta(seconds=found[9] or 0)
        except (ValueError, OverflowError, IndexError, TypeError):  # the library checks little
            return b""
        offset = None if zone is None else known
    if not 1970 <= moment.year <= 9998 or (offset is not None and abs(offset) >= timedelta(hours=24)):
        return b""
    return format_moment(moment, offset).encode("ascii")


def charset_of(header: Header) -> str:
    """What the message says its text is in."""
    match = _CHARSET.search(header.get(b"content-type") or b"")
    return "" if match is None else match[1].decode("ascii").lower()


def _decoded(value: bytes, charset: str) -> str | None:
    """The text of a raw value. ISO-2022-JP shows by its escape sequences; what else is not UTF-8 is as the body
    says, or one of the two that old programs use in Japan.
    """
    if b"\x1b" in value:
        candidates: tuple[str, ...] = ("iso2022_jp", "iso2022_jp_ext")
    else:
        candidates = ("utf-8", charset or "ascii", *_LEGACY)
    for name in candidates:
        try:
            return value.decode(name)
        except (UnicodeDecodeError, LookupError):
            continue
    return None


def _named(text: str) -> tuple[str, ...] | None:
    """Every domain that any reader may find in ``text``: also in encoded words, also behind a full-width @."""
    found: dict[str, None] = {}
    readings = (text, decode_words(text))
    for reading in (*readings, *(unicodedata.normalize("NFKC", reading) for reading in readings)):
        for domain in _DOMAINS.findall(reading):
            try:
                found[to_ascii_domain(domain.rstrip("."))] = None
            except BadAddress:
                return None
    return tuple(found)


def _in_angles(text: str) -> list[tuple[str, str]]:
    """Names and addresses of ``Name <a@b>, Name <c@d>``, whatever the names look like."""
    found: list[tuple[str, str]] = []
    at = 0
    for match in _IN_ANGLES.finditer(text):
        found.append((text[at : match.start()], match[1]))
        at = match.end()
    rest = text[at:].strip(_AROUND)
    if rest and len(found) == 1 and not found[0][0].strip(_AROUND):
        return [(rest.strip("()"), found[0][1])]  # <a@b> (Shop)
    return [] if "@" in rest else found


def _bare(text: str) -> list[tuple[str, str]]:
    """``Name a@b``, or addresses alone: ``a@b; c@d``."""
    addresses = _ANYWHERE.findall(text)
    rest = _ANYWHERE.sub(" ", text)
    if len(addresses) == 1 and "@" not in rest:
        return [(rest, addresses[0])]
    return [] if rest.strip(_AROUND) else [("", address) for address in addresses]


def _name(text: str, address: str) -> str:
    """The name as it was meant to be read; none where it only says the address again."""
    name = decode_words(text.strip(_AROUND))
    if len(name) >= 2 and name[0] == name[-1] and name[0] in "\"'":
        name = name[1:-1]
    name = " ".join(name.replace('\\"', '"').split()).strip('"')
    return "" if name.casefold() == address.casefold() else name
