"""Messages whose lines are too long, or whose octets are above 127, as every server takes and passes them on.

A server on the way may cut lines of more than 998 octets (RFC 5321 §4.5.3.1.6), and has to encode 8-bit text for
one that does not know 8BITMIME: both break a signature (RFC 6376 §5.3). So such parts get another transfer
encoding, and such fields are folded or get encoded words, before the message is signed. Every other octet stays:

- what is signed (``multipart/signed``), encrypted, or none of ours to encode (``message/delivery-status``, unknown
  encodings) is left as it is, with all its parts;
- composite parts are never encoded, but what is in them is (RFC 2045 §6.4);
- decoded, a part is what it was, octet for octet; base64 and quoted-printable only get shorter lines;
- who signed the message before wrote 8-bit text on purpose: only long lines, which break that signature anyway, go.

Takes some 10 ms for a megabyte that has to be encoded, in calls of a few milliseconds each: in a thread, please.
"""

from __future__ import annotations

import re
from binascii import a2b_qp
from codecs import getincrementaldecoder
from collections.abc import Iterator
from typing import NamedTuple

from ekiden.mime.attachment_parts import extended_parameter
from ekiden.mime.encodings import base64_body, base64_rows, quoted_printable, worth_base64
from ekiden.mime.errors import MimeError
from ekiden.mime.fields import extra_field, text_field
from ekiden.mime.header import decode_words, encoded_words
from ekiden.mime.scan import Field, Header, scan
from ekiden.mime.tracked_message import BOUNDARY, CHARSET, SIGNATURES, TYPE

MAX_LINE = 998
"""Octets of a line, without its CRLF (RFC 5322 §2.1.1)."""
_FOLD_AT = 78
_QP_ROOM = 75
"""Octets of a line of quoted-printable before the = at its end."""
_PIECE = 262_144
_MAX_HEADER = 262_144
"""Octets of the header of a part; the one of the message has been measured."""
_MAX_DEPTH = 20
_MAX_PARTS = 1_000
_IDENTITY = (b"", b"7bit", b"8bit", b"binary")
_SEALED = frozenset((b"signed", b"encrypted"))
_UNSTRUCTURED = frozenset((b"subject", b"comments", b"content-description", b"thread-topic"))
_MAILBOXES = frozenset(
    b"from sender reply-to to cc bcc resent-from resent-sender resent-to resent-cc resent-bcc".split()
)
_PARAMETERS = frozenset((b"content-type", b"content-disposition"))
_MACHINES = frozenset(
    b"message-id in-reply-to references date received return-path dkim-signature domainkey-signature arc-seal "
    b"arc-message-signature arc-authentication-results authentication-results mime-version "
    b"content-transfer-encoding content-id list-unsubscribe list-unsubscribe-post".split()
)
_ABOVE = re.compile(rb"[\x80-\xff]")
_ASCII = bytes(range(0x80))
_QUESTION_MARKS = _ASCII + b"?" * 0x80
_TOKEN = re.compile(rb"[ \t\r\n]*[^ \t\r\n]+|[ \t\r\n]+\Z")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)("?)')  # one that is not closed ends the search for others
_QUOTED_PAIR = re.compile(r"\\(.)")
_PARAMETER = re.compile(r';[ \t]*([A-Za-z0-9_\-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))')


class Reencoded(NamedTuple):
    """``lines``: some were too long; ``eight_bit``: some text was above 127."""

    content: bytes
    lines: bool
    eight_bit: bool


class _Doubtful(Exception):
    """The message stays as it is."""


def has_long_line(content: bytes, start: int = 0, end: int | None = None) -> bool:
    """Whether any line has more than 998 octets; looks at a few of a thousand."""
    end = len(content) if end is None else end
    at = start
    while end - at > MAX_LINE + 2:
        feed = content.rfind(b"\n", at, at + MAX_LINE + 2)
        if feed < 0:
            return True
        at = feed + 1
    return end - at > MAX_LINE and content.find(b"\n", at, end) < 0


def reencode(content: bytes, *, lines: bool, eight_bit: bool) -> Reencoded:
    """``content``, RFC 5322 octets with CRLF line ends, with short lines (``lines``) and in ASCII (``eight_bit``).

    Never raises. What cannot be helped stays as it is; the same object where nothing changes.
    """
    work = _Work(content, lines, eight_bit)
    try:
        work.entity(0, len(content), 0, (), b"text")
    except (_Doubtful, RecursionError):
        return Reencoded(content, False, False)
    return work.done()


class _Work:
    """One message: what stands instead of which of its octets."""

    def __init__(self, content: bytes, lines: bool, eight_bit: bool) -> None:
        self._content = content
        self._lines = lines
        self._eight_bit = eight_bit
        self._changes: dict[tuple[int, int], bytes] = {}
        self._parts = 0
        self._cut = self._encoded = False

    def done(self) -> Reencoded:
        if not self._changes:
            return Reencoded(self._content, False, False)
        pieces: list[bytes] = []
        at = 0
        for (start, end), instead in sorted(self._changes.items()):
            pieces += (self._content[at:start], instead)
            at = end
        pieces.append(self._content[at:])
        return Reencoded(b"".join(pieces), self._cut, self._encoded)

    # --- structure ------------------------------------------------------------------------------------------

    def entity(self, start: int, end: int, depth: int, boundaries: tuple[bytes, ...], default: bytes) -> None:
        """A message or a part. ``boundaries``: of the multiparts around it. ``default``: its type if it has none;
        ``nested``: it is a message within one."""
        self._parts += 1
        if depth > _MAX_DEPTH or self._parts > _MAX_PARTS:
            raise _Doubtful
        eight_bit = self._eight_bit
        try:
            if not self._needs(start, end):
                return
            header = self._header(start, end)
            if header is None:
                return
            whole = depth == 0 or default == b"nested"
            if whole and self._eight_bit and any(header.has(name) for name in SIGNATURES):
                self._eight_bit = False
            self._body(start, end, depth, boundaries, default, header, whole)
        finally:
            self._eight_bit = eight_bit

    def _header(self, start: int, end: int) -> Header | None:
        """``None``: who knows what its readers take for its header."""
        content = self._content
        if content.startswith(b"\r\n", start, end):
            return Header(b"\r\n", 0, 2)
        stop = content.find(b"\r\n\r\n", start, end)
        stop = end if stop < 0 else stop + 4
        if start > 0 and stop - start > _MAX_HEADER:
            return None
        header = scan(content[start:stop])
        if header.body == 0 and start > 0:
            return None
        return header

    def _body(
        self,
        start: int,
        end: int,
        depth: int,
        boundaries: tuple[bytes, ...],
        default: bytes,
        header: Header,
        whole: bool,
    ) -> None:
        charset = _charset(header)
        self._fields(start, header, charset)
        if any(header.count(name) > 1 for name in (b"content-type", b"content-transfer-encoding")):
            return
        value = header.get(b"content-type")
        match = None if value is None else TYPE.match(value)
        main, sub = (match[1].lower(), match[2].lower()) if match is not None else (b"text", b"plain")
        if value is None and default == b"message":
            main, sub = b"message", b"rfc822"
        encoding = (header.get(b"content-transfer-encoding") or b"").lower()
        at = start + header.body
        if not self._needs(at, end):
            return
        if main == b"multipart":
            if sub not in _SEALED and encoding in _IDENTITY:
                self._multipart(at, end, depth, boundaries, sub, value or b"")
        elif main == b"message":
            if sub in (b"rfc822", b"global") and encoding in _IDENTITY:
                self.entity(at, end, depth + 1, boundaries, b"nested")
        else:
            self._leaf(start, at, end, boundaries, header, main, encoding, charset, whole)

    def _multipart(
        self, start: int, end: int, depth: int, boundaries: tuple[bytes, ...], sub: bytes, value: bytes
    ) -> None:
        content = self._content
        match = BOUNDARY.search(value)
        boundary = b"" if match is None else (match[1] or match[2] or b"").rstrip()
        if not boundary:
            return
        needle = b"\r\n--" + boundary
        inner = (*boundaries, boundary)
        default = b"message" if sub == b"digest" else b"text"
        begins = -1
        gap = start
        at = content.find(needle, start - 2, end)
        while at >= 0:
            line_end = content.find(b"\r\n", at + 2, end)
            line_end = end if line_end < 0 else line_end
            rest = content[at + len(needle) : line_end].strip(b" \t")
            if rest in (b"", b"--"):
                if begins >= 0:
                    self.entity(begins, max(at, begins), depth + 1, inner, default)
                else:
                    self._gap(gap, max(at, gap))
                begins, gap = (min(line_end + 2, end), -1) if not rest else (-1, min(line_end + 2, end))
                if rest:
                    break
            at = content.find(needle, line_end, end)
        if begins >= 0:  # it is not closed
            self.entity(begins, end, depth + 1, inner, default)
        elif gap >= 0:
            self._gap(gap, end)

    def _gap(self, start: int, end: int) -> None:
        """What nobody reads, before the first part and behind the last."""
        if self._needs(start, end):
            kept = []
            for piece in _whole_lines(self._content[start:end]):
                octets = piece.translate(_QUESTION_MARKS) if self._eight_bit else piece
                kept.append(b"\r\n".join(_cut(line, MAX_LINE) for line in octets.split(b"\r\n")))
            self._change(start, end, b"".join(kept))

    def _leaf(
        self,
        start: int,
        at: int,
        end: int,
        boundaries: tuple[bytes, ...],
        header: Header,
        main: bytes,
        encoding: bytes,
        charset: str,
        whole: bool,
    ) -> None:
        octets = self._content[at:end]
        if encoding == b"quoted-printable" and _is_mostly_raw(octets):
            octets, encoding = b"".join(map(a2b_qp, _whole_lines(octets))), b"8bit"
        chosen = encoding
        if encoding == b"base64":
            body = base64_rows(octets)
        elif encoding == b"quoted-printable":
            body = _short_lines(octets)
        elif encoding in _IDENTITY:
            wide = charset.startswith(("utf-16", "utf-32", "utf16", "utf32", "ucs"))
            text = main == b"text" and not wide and _crlf_only(octets)
            chosen = b"quoted-printable" if text and not worth_base64(octets) else b"base64"
            body = quoted_printable(octets) if chosen == b"quoted-printable" else base64_body(octets)
            if chosen == b"quoted-printable" and not octets.endswith(b"\r\n"):
                body = body[:-2]
            if any(body.startswith(b"--" + each) or b"\r\n--" + each in body for each in boundaries):
                chosen, body = b"base64", base64_body(octets)
        else:
            return
        if chosen == b"base64" and end < len(self._content):
            body = body.removesuffix(b"\r\n")  # the line end before a boundary belongs to that
        self._change(at, end, body)
        if chosen != encoding:
            self._label(start, header, chosen, octets, main, charset, whole)

    def _label(
        self, start: int, header: Header, encoding: bytes, octets: bytes, main: bytes, charset: str, whole: bool
    ) -> None:
        """The fields that say how the body is encoded, and in which charset if the sender has left that open."""
        field = b"Content-Transfer-Encoding: " + encoding + b"\r\n"
        added = b"" if header.has(b"mime-version") or not whole else b"MIME-Version: 1.0\r\n"
        found = [item for item in header.fields() if item.name in (b"content-type", b"content-transfer-encoding")]
        unknown = main == b"text" and not charset and not octets.isascii() and _is_utf8(octets)
        if not any(item.name == b"content-type" for item in found) and unknown:
            added += b"Content-Type: text/plain; charset=utf-8\r\n"
        for item in found:
            span = (start + item.start, start + item.end)
            if item.name == b"content-transfer-encoding":
                self._changes[span] = field
                field = b""
            elif unknown:
                # It may have been folded, or have a name in ASCII, by now.
                written = self._changes.get(span, header.content[item.start : item.end]).rstrip()
                mark = b"\r\n charset=utf-8\r\n" if written.endswith(b";") else b";\r\n charset=utf-8\r\n"
                self._changes[span] = written + mark
        added += field
        if added:
            # A message that is all body lacks the empty line as well.
            at = start + header.end
            self._changes[at, at] = added + (b"" if header.body else b"\r\n")

    # --- fields ---------------------------------------------------------------------------------------------

    def _fields(self, start: int, header: Header, charset: str) -> None:
        if not self._needs(start, start + header.end):
            return
        for item in header.fields():
            if not self._needs(start + item.start, start + item.end):
                continue
            raw = header.content[item.start : item.end]
            written = self._in_ascii(raw, item, header, charset) if self._eight_bit else raw
            if self._lines and has_long_line(written):
                written = _folded(written, item.name)
            if written != raw:
                self._change(start + item.start, start + item.end, written)

    def _in_ascii(self, raw: bytes, item: Field, header: Header, charset: str) -> bytes:
        if raw.isascii() or item.name in _MACHINES:
            return raw
        value = header.content[item.value : item.end].replace(b"\r\n", b"").strip(b" \t")
        text = _decoded(value, charset)
        if text is None:
            return raw
        name = header.content[item.start : item.start + len(item.name)].decode("ascii")
        try:
            if item.name in _UNSTRUCTURED:
                return text_field(name, text)
            if item.name in _PARAMETERS:
                return _with_parameters(name, text)
            if item.name in _MAILBOXES:
                text = _QUOTED.sub(_phrase, text)
                if any("@" in word and not word.isascii() for word in text.split()):
                    return raw  # an address, which is not ours to change
            return extra_field(name, text)
        except MimeError:
            return raw

    # --- octets ---------------------------------------------------------------------------------------------

    def _needs(self, start: int, end: int) -> bool:
        if self._lines and has_long_line(self._content, start, end):
            return True
        return self._eight_bit and not self._content[start:end].isascii()

    def _change(self, start: int, end: int, instead: bytes) -> None:
        self._changes[start, end] = instead
        before = self._content[start:end]
        self._cut = self._cut or has_long_line(before)
        self._encoded = self._encoded or (self._eight_bit and not before.isascii())


def _charset(header: Header) -> str:
    value = header.get(b"content-type") or b""
    match = CHARSET.search(value)
    if match is not None:
        return (match[1] or match[2] or b"").decode("latin-1").strip().lower()
    return "?" if b"charset" in value.lower() else ""


def _decoded(octets: bytes, charset: str) -> str | None:
    for name in ("utf-8", charset):
        try:
            return octets.decode(name or "ascii")
        except (UnicodeError, LookupError, ValueError):
            continue
    return None


def _is_utf8(octets: bytes) -> bool:
    decoder = getincrementaldecoder("utf-8")()
    try:
        for at in range(0, len(octets), _PIECE):
            decoder.decode(octets[at : at + _PIECE])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _crlf_only(octets: bytes) -> bool:
    """Whether there is no CR without an LF and no LF without a CR; looked at in pieces."""
    feeds = returns = pairs = 0
    for at in range(0, len(octets), _PIECE):
        feeds += octets.count(b"\n", at, at + _PIECE)
        returns += octets.count(b"\r", at, at + _PIECE)
        pairs += octets.count(b"\r\n", at, at + _PIECE + 1)
    return feeds == returns == pairs


def _whole_lines(octets: bytes) -> Iterator[bytes]:
    """Pieces that end with a line, so that no call keeps everybody for millions of them."""
    start = 0
    while start < len(octets):
        end = octets.find(b"\r\n", start + _PIECE)
        end = len(octets) if end < 0 else end + 2
        yield octets[start:end]
        start = end


def _is_mostly_raw(octets: bytes) -> bool:
    """Whether so much is above 127 that quoted-printable, as which it is labelled, is longer than base64."""
    above = sum(len(octets[at : at + _PIECE].translate(None, _ASCII)) for at in range(0, len(octets), _PIECE))
    return above * 6 > len(octets)


def _short_lines(octets: bytes) -> bytes:
    """Quoted-printable with soft line ends in its long lines, and nothing above 127."""
    return b"".join(_shortened(piece) for piece in _whole_lines(octets))


def _shortened(octets: bytes) -> bytes:
    lines = []
    for line in octets.split(b"\r\n"):
        if not line.isascii():
            line = _ABOVE.sub(_as_hexadecimal, line)  # noqa: PLW2901
        if len(line) <= MAX_LINE:
            lines.append(line)
            continue
        pieces = []
        at = 0
        while len(line) - at > _QP_ROOM:
            # No cut within =XX.
            cut = at + _QP_ROOM
            cut -= 1 if line[cut - 1] == 0x3D else 2 if line[cut - 2] == 0x3D else 0
            pieces.append(line[at:cut])
            at = cut
        pieces.append(line[at:])
        lines.append(b"=\r\n".join(pieces))
    return b"\r\n".join(lines)


def _as_hexadecimal(found: re.Match[bytes]) -> bytes:
    return b"=%02X" % found[0][0]


def _folded(raw: bytes, name: bytes) -> bytes:
    """A field with its long lines folded: at blanks, else where a blank changes least. Text gets encoded words."""
    if name in _UNSTRUCTURED and raw.isascii() and any(len(token) > MAX_LINE for token in _TOKEN.findall(raw)):
        shown, _, value = raw.decode("ascii").partition(":")
        try:
            return text_field(shown.strip(), decode_words(value.replace("\r\n", "").strip()))
        except MimeError:
            pass  # it has control characters
    lines: list[bytes] = []
    for line in raw.removesuffix(b"\r\n").split(b"\r\n"):
        lines += [line] if len(line) <= MAX_LINE else _fold_line(line)
    return b"\r\n".join(lines) + b"\r\n"


def _fold_line(line: bytes) -> list[bytes]:
    tokens = _TOKEN.findall(line)
    folded = [tokens[0]]
    for number, token in enumerate(tokens[1:], 1):
        # The first word stays beside the name of the field; blanks at the end stay where they are.
        if (number == 1 and len(folded[0]) + len(token) <= MAX_LINE) or not token.strip(b" \t"):
            folded[-1] += token
        elif len(folded[-1]) + len(token) > _FOLD_AT:
            folded.append(token)
        else:
            folded[-1] += token
    return [piece for each in folded for piece in _cut(each, MAX_LINE, b"\r\n ").split(b"\r\n")]


def _cut(line: bytes, longest: int, mark: bytes = b"\r\n") -> bytes:
    """A line in pieces, behind a comma, semicolon or bracket where there is one."""
    pieces = []
    start = 0
    while len(line) - start > longest:
        window = line[start : start + longest - 2]
        at = max(window.rfind(b","), window.rfind(b";"), window.rfind(b">")) + 1
        at = at if at > longest // 2 else longest - 2
        pieces.append(window[:at])
        start += at
    pieces.append(line[start:])
    return mark.join(pieces)


def _phrase(found: re.Match[str]) -> str:
    """A quoted name that is not ASCII as encoded words."""
    if found[0].isascii() or not found[2]:
        return found[0]
    return encoded_words(_QUOTED_PAIR.sub(r"\1", found[1]), indent=20)


def _with_parameters(name: str, text: str) -> bytes:
    """Content-Type or Content-Disposition with its parameters in ASCII (RFC 2231)."""

    def written(found: re.Match[str]) -> str:
        value = _QUOTED_PAIR.sub(r"\1", found[2]) if found[2] is not None else found[3]
        return found[0] if found[0].isascii() else extended_parameter(found[1], value)

    return f"{name}: {_PARAMETER.sub(written, text)}\r\n".encode("ascii", "replace")
