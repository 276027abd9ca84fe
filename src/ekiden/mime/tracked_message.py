"""Tracking put into a message that came as MIME: its first HTML part is rewritten, every other octet stays.

A message is left as it is wherever a change could break it or a reader could see another structure than we do:

- signed (DKIM, DomainKeys, S/MIME, OpenPGP) or encrypted;
- a part on the way with a field Content-... twice, with a boundary that is not plain, or with Content-MD5;
- lines that end with a bare LF and look like a boundary; multiparts that are not closed, or too deep;
- an unknown charset or transfer encoding, or text that does not come back octet for octet when encoded again.
"""

from __future__ import annotations

import re
from binascii import Error as BinasciiError
from binascii import a2b_base64, a2b_qp
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from ekiden.mime.encodings import base64_lines, quoted_printable
from ekiden.mime.html_links import Html, PixelPosition
from ekiden.mime.placeholders import too_many_slots
from ekiden.mime.scan import Header, scan

MAX_LINKS = 150
"""Links of a message that are tracked (as the strictest dialect has it)."""
_MAX_DEPTH = 10
_MAX_PARTS = 200
_MAX_LINE = 998  # octets, RFC 5322 §2.1.1
SIGNATURES = (b"dkim-signature", b"domainkey-signature", b"arc-seal", b"arc-message-signature")
_ONCE = (b"content-type", b"content-transfer-encoding", b"content-disposition")
TYPE = re.compile(rb"[ \t]*([A-Za-z0-9!#$&^_.+\-]+)/([A-Za-z0-9!#$&^_.+\-]+)[ \t]*(?:;|\Z)")
_PARAMETER = r"""(?:^|;)\s*%s\s*=\s*(?:"([^"\\]*)"|([^\s;"'()<>@,/\[\]?=\\]+))\s*(?=;|$)"""
BOUNDARY = re.compile((_PARAMETER % "boundary").encode(), re.IGNORECASE)
CHARSET = re.compile((_PARAMETER % "charset").encode(), re.IGNORECASE)
_ANY_BOUNDARY = re.compile(rb"boundary", re.IGNORECASE)
_OPEN_MULTIPARTS = frozenset((b"mixed", b"related", b"alternative"))
_CHARSETS = frozenset(
    (
        "us-ascii ascii utf-8 utf8 iso-2022-jp shift_jis shift-jis sjis x-sjis windows-31j cp932 euc-jp euc-kr "
        "ks_c_5601-1987 gb2312 gbk gb18030 big5 koi8-r koi8-u tis-620 "
        + " ".join(f"iso-8859-{number}" for number in (*range(1, 12), *range(13, 17)))
        + " "
        + " ".join(f"windows-125{number}" for number in range(9))
    ).split()
)
_CODECS = {"x-sjis": "cp932", "windows-31j": "cp932", "ks_c_5601-1987": "cp949", "shift-jis": "shift_jis"}
_ARMOUR = "-----BEGIN PGP "


class _Doubtful(Exception):
    """The message stays as it is."""


class _Part(NamedTuple):
    """``content[start:end]`` is a part, its header first."""

    start: int
    end: int


def with_tracking(
    content: bytes,
    *,
    link: Callable[[str], str] | None,
    pixel: str = "",
    position: PixelPosition = "TOP",
    untouched: Collection[str] = (),
) -> bytes:
    """``content``, RFC 5322 octets with CRLF line ends, with tracking in it; the same object where nothing changes.

    ``link`` gives the tracked URL for a URL (``None``: links stay), and is asked once for each link. ``pixel`` is
    the URL of the picture (empty: none). See ``mime.html_links``. Never raises, unless ``link`` does.
    """
    header = scan(content)
    if header.body == header.end or any(header.has(name) for name in SIGNATURES):
        return content
    try:
        found = _first_html(content, _Part(0, len(content)), 0)
        return content if found is None else _rewritten(content, found, link, pixel, position, untouched)
    except _Doubtful:
        return content


def _first_html(content: bytes, part: _Part, depth: int) -> _Part | None:
    header = _header(content, part)
    main, sub, value = _media_type(header)
    if main == b"multipart":
        if sub not in _OPEN_MULTIPARTS or depth >= _MAX_DEPTH:
            raise _Doubtful
        if header.has(b"content-transfer-encoding") and _encoding(header) not in (b"7bit", b"8bit", b"binary"):
            raise _Doubtful
        match = BOUNDARY.search(value)
        if match is None or len(_ANY_BOUNDARY.findall(value)) > 1:
            raise _Doubtful
        found = None
        # All parts are looked at: what is signed or doubtful behind the HTML counts as well.
        for each in _parts(content, part.start + header.body, part.end, match[1] or match[2] or b""):
            inner = _first_html(content, each, depth + 1)
            found = found or inner
        return found
    if main == b"application" and (b"pkcs7" in sub or b"pgp" in sub):
        raise _Doubtful
    if (main, sub) != (b"text", b"html"):
        return None
    disposition = (header.get(b"content-disposition") or b"inline").partition(b";")[0].strip().lower()
    return part if disposition == b"inline" else None


def _header(content: bytes, part: _Part) -> Header:
    """The header of the part; its ``body`` counts from where the part begins."""
    if content.startswith(b"\r\n", part.start, part.end):
        return Header(content[part.start : part.start + 2], 0, 2)
    end = content.find(b"\r\n\r\n", part.start, part.end)
    if end < 0:
        raise _Doubtful
    header = scan(content[part.start : end + 4])
    if header.body == header.end or any(header.count(name) > 1 for name in _ONCE) or header.has(b"content-md5"):
        raise _Doubtful
    if header.raw.count(b"\n") != header.raw.count(b"\r\n"):  # some readers end the header there
        raise _Doubtful
    return header


def _media_type(header: Header) -> tuple[bytes, bytes, bytes]:
    value = header.get(b"content-type")
    if value is None:
        return b"text", b"plain", b""
    match = TYPE.match(value)
    if match is None:
        raise _Doubtful
    return match[1].lower(), match[2].lower(), value


def _encoding(header: Header) -> bytes:
    return (header.get(b"content-transfer-encoding") or b"7bit").strip().lower()


def _parts(content: bytes, start: int, stop: int, boundary: bytes) -> Iterator[_Part]:
    """The parts of a multipart whose body is ``content[start:stop]``. Doubtful unless it is closed and clear."""
    if not boundary or boundary != boundary.rstrip():
        raise _Doubtful
    needle = b"--" + boundary
    begins = -1
    closed = False
    count = 0
    at = content.find(needle, start, stop)
    while at >= 0:
        if at == start or content[at - 1] == 0x0A:  # else within a line, of which nobody looks for the end
            line_end = content.find(b"\r\n", at, stop)
            line_end = stop if line_end < 0 else line_end
            rest = content[at + len(needle) : line_end].rstrip(b" \t")
            if closed or rest not in (b"", b"--") or (at > start and content[at - 2 : at] != b"\r\n"):
                raise _Doubtful
            if begins >= 0:
                yield _Part(begins, max(begins, at - 2))
            closed = rest == b"--"
            begins = line_end + 2
            count += 1
            if count > _MAX_PARTS:
                raise _Doubtful
        at = content.find(needle, at + len(needle), stop)
    if not closed:
        raise _Doubtful


def _rewritten(
    content: bytes,
    part: _Part,
    link: Callable[[str], str] | None,
    pixel: str,
    position: PixelPosition,
    untouched: Collection[str],
) -> bytes:
    header = _header(content, part)
    begin = part.start + header.body
    encoding = _encoding(header)
    raw = content[begin : part.end]
    body = _decoded(raw, encoding)
    codec = _codec(header)
    try:
        html = body.decode(codec)
        if html.encode(codec) != body:
            raise _Doubtful
    except UnicodeError:
        raise _Doubtful from None
    if _ARMOUR in html or too_many_slots(html):
        raise _Doubtful
    document = Html.compile(html, clicks=link is not None, pixel=position if pixel else None)
    changed = document.render({}, link, pixel, untouched)
    if changed == html:
        return content
    try:
        octets = changed.encode(codec)
    except UnicodeError:
        raise _Doubtful from None
    block = header.raw
    if encoding in (b"7bit", b"8bit", b"binary"):
        if _fits(octets, encoding):
            encoded = octets
        else:
            encoding, encoded = _encoded(octets, b"quoted-printable")
            block = _with_encoding(header, encoding)
    else:
        chosen, encoded = _encoded(octets, encoding)
        if chosen != encoding:
            block = _with_encoding(header, chosen)
    if not raw.endswith(b"\r\n") and encoded.endswith(b"\r\n") and begin + len(raw) < len(content):
        encoded = encoded[:-2]  # the line end that belongs to the boundary
    return b"".join((content[: part.start], block, b"\r\n", encoded, content[part.end :]))


def _decoded(raw: bytes, encoding: bytes) -> bytes:
    try:
        if encoding == b"base64":
            return a2b_base64(raw.translate(None, b" \t\r\n"), strict_mode=True)
        if encoding == b"quoted-printable":
            return a2b_qp(raw)
    except BinasciiError:
        raise _Doubtful from None
    if encoding not in (b"7bit", b"8bit", b"binary"):
        raise _Doubtful
    return raw


def _codec(header: Header) -> str:
    value = header.get(b"content-type") or b""
    match = CHARSET.search(value)
    if match is None:
        if b"charset" in value.lower():
            raise _Doubtful
        name = "us-ascii"
    else:
        name = (match[1] or match[2] or b"").decode("latin-1").strip().lower()
    if name in ("us-ascii", "ascii"):
        return "utf-8"  # what is not ASCII is an error; that it is UTF-8 then shows by itself
    if name not in _CHARSETS:
        raise _Doubtful
    return _CODECS.get(name, name)


def _fits(octets: bytes, encoding: bytes) -> bool:
    if encoding == b"7bit" and not octets.isascii():
        return False
    return encoding == b"binary" or max(map(len, octets.split(b"\r\n"))) <= _MAX_LINE


def _encoded(octets: bytes, encoding: bytes) -> tuple[bytes, bytes]:
    """quoted-printable where line ends allow it, else base64."""
    plain = octets.replace(b"\r\n", b"")
    if encoding == b"quoted-printable" and b"\r" not in plain and b"\n" not in plain:
        ended = octets.endswith(b"\r\n")
        encoded = quoted_printable(octets)
        return encoding, encoded if ended else encoded[:-2]
    return b"base64", base64_lines(octets)


def _with_encoding(header: Header, encoding: bytes) -> bytes:
    return header.header_without((b"content-transfer-encoding",)) + (
        b"Content-Transfer-Encoding: " + encoding + b"\r\n"
    )
