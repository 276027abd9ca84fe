"""Replies (RFC 5321 §4.2) with enhanced status codes (RFC 2034, RFC 3463): making, encoding, parsing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from ekiden.core.said import Said

MAX_TEXT_LINE = 480  # octets of text in one line of ours: 512 (RFC 5321 §4.5.3.1.5) less code, status and CRLF

_FIRST_DIGITS = (b"2", b"3", b"4", b"5")
_SHORT = 64  # octets of a line worth remembering
# A code that every reader finds, with what some servers put before it (a byte order mark, blanks) and without the
# blank behind it: "250OK", "550:No". Not "250ms" and not "2500".
_ODD_REPLY = re.compile(rb"[\x00-\x20\x7f-\xff]{0,8}([2-5][0-9]{2})(?![0-9a-z])([ -]?)(.*)", re.DOTALL)

_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: +|\Z)")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. ``enhanced`` is ``""`` when there is none; ``lines`` hold text only, without codes.

    ``local`` marks a reply that no peer sent: we say it ourselves, because the peer could not be asked or did
    not answer.
    """

    code: int
    enhanced: str
    lines: tuple[str, ...]
    local: bool = False
    said: Said | None = field(default=None, compare=False)
    """A ``local`` one as code and facts."""

    @classmethod
    def own(cls, code: int, enhanced: str, said: Said) -> Reply:
        """A ``local`` one, in English."""
        text = said.text()
        return cls(code, enhanced, (text[:1].upper() + text[1:],), True, said)

    @classmethod
    def of(cls, code: int, enhanced: str, *lines: str, local: bool = False) -> Reply:
        """``Reply.of(250, "2.1.0", "Ok")``."""
        return cls(code, enhanced, lines or ("",), local)

    @property
    def text(self) -> str:
        """The text of all lines, joined by blanks."""
        return " ".join(self.lines)

    @property
    def positive(self) -> bool:
        return 200 <= self.code < 400

    @property
    def permanent(self) -> bool:
        return self.code >= 500

    def encode(self, *, utf8: bool = False) -> bytes:
        """The octets to send. Control characters become ``?``, and so does non-ASCII unless ``utf8``.

        ``utf8`` is for peers that used SMTPUTF8 or asked for a language (RFC 6531 §3.7.4.2).
        """
        enhanced = f"{self.enhanced} " if self.enhanced else ""
        lines = self.lines
        if len(lines) == 1 and len(lines[0]) <= MAX_TEXT_LINE and lines[0].isascii() and lines[0].isprintable():
            return f"{self.code} {enhanced}{lines[0]}\r\n".encode("ascii")
        texts = [piece for line in lines for piece in _sendable(line, utf8)] or [""]
        last = len(texts) - 1
        return b"".join(
            f"{self.code}{' ' if n == last else '-'}{enhanced}{text}\r\n".encode() for n, text in enumerate(texts)
        )

    def __str__(self) -> str:
        """As one line, for logs and traces: ``550 5.1.1 No such user``."""
        return " ".join(filter(None, (str(self.code), self.enhanced, self.text)))


@dataclass(frozen=True, slots=True)
class KeptReply(Reply):
    """A refusal that is kept, and told of in the log, already; the id of it stands at the end."""


def printable(text: str) -> str:
    """``text`` with everything that could break a line or a terminal replaced by ``?``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else (" " if c == "\t" else "?") for c in text)


def _sendable(line: str, utf8: bool) -> list[str]:
    """``line`` cleaned, and cut into pieces that fit a reply line."""
    line = printable(line)
    if not line.isascii() and not utf8:
        line = "".join(c if c.isascii() else "?" for c in line)
    if len(line.encode(errors="replace")) <= MAX_TEXT_LINE:
        return [line.encode(errors="replace").decode()]
    width = MAX_TEXT_LINE if line.isascii() else MAX_TEXT_LINE // 4
    line = line.encode(errors="replace").decode()
    return [line[i : i + width] for i in range(0, len(line), width)]


def _text_of(line: bytes) -> str:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        text = line.decode("ascii", "surrogateescape")
    return printable(text).strip(" ")


class ReplyParser:
    """Cuts a peer's octets into replies, in bounded memory.

    Tolerates what real servers send: bare LF line ends, no text, no blank after the code, differing codes within
    one reply (the last line decides), non-ASCII text, very long lines (their beginning counts). Lines without a
    code are no replies and are passed over, as Postfix does; ``odd`` has them.
    """

    MAX_LINE = 4096
    MAX_ENDLESS = 65_536
    """Octets of a line, most of which are not kept."""
    MAX_LINES = 256
    MAX_REPLY = 16_384

    __slots__ = ("_buffer", "_dropped", "_lines", "_scan", "_size", "odd", "odd_lines", "odd_octets")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scan = 0
        self._dropped = 0
        self._lines: list[tuple[int, str]] = []
        self._size = 0
        self.odd: list[str] = []
        """Lines that were passed over; whoever shows them empties it."""
        self.odd_lines = 0
        self.odd_octets = 0
        """Of those since the last reply, a line end counts as one."""

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def clear(self) -> None:
        """Forget everything that was received (RFC 3207 §4.2)."""
        self.__init__()  # type: ignore[misc]

    @property
    def buffered(self) -> int:
        """Octets that no reply was made of yet, without lines that were passed over."""
        return len(self._buffer) + self._size

    @property
    def begun(self) -> Reply | None:
        """What has come of a reply whose end has not: its lines so far, the last one perhaps cut."""
        lines = [*self._lines]
        found = _ODD_REPLY.match(self._buffer.partition(b"\n")[0])
        if found is not None:
            lines.append((int(found[1]), _text_of(found[3].rstrip(b"\r"))))
        return _reply_of(lines) if lines else None

    def skip_empty(self) -> None:
        """Drop line ends that stand before anything else."""
        if not self._lines and self._buffer.startswith((b"\r", b"\n")):
            self._buffer = self._buffer.lstrip(b"\r\n")
            self._scan = 0

    def next(self, *, strict: bool = False) -> Reply | None:
        """The next complete reply, or ``None``. Raises ``ValueError`` when this cannot be SMTP.

        ``strict``: a line that is no reply is such a reason, unless it is empty.
        """
        buffer = self._buffer
        while True:
            end = buffer.find(b"\n", self._scan)
            if end < 0:
                if len(buffer) > self.MAX_LINE:
                    self._dropped += len(buffer) - self.MAX_LINE
                    del buffer[self.MAX_LINE :]
                    if self._dropped > self.MAX_ENDLESS:
                        raise ValueError(f"a reply line is longer than {self.MAX_ENDLESS} octets")
                self._scan = len(buffer)
                return None
            line = bytes(buffer[: min(end, self.MAX_LINE)])
            del buffer[: end + 1]
            self._scan = self._dropped = 0
            if line.endswith(b"\r"):
                line = line[:-1]
            if end < _SHORT and not self._lines and line[3:4] == b" " and line[:1] in _FIRST_DIGITS:
                reply = _one_line(line)
                if reply is not None:
                    self.odd_lines = self.odd_octets = 0
                    return reply
            parsed = _parse_line(line)
            if parsed is None:
                self._pass_over(line, strict)
                continue
            code, text, last = parsed
            self._size += len(line)
            self._lines.append((code, text))
            if last:
                lines, self._lines, self._size = self._lines, [], 0
                self.odd_lines = self.odd_octets = 0
                return _reply_of(lines)
            if len(self._lines) >= self.MAX_LINES or self._size > self.MAX_REPLY:
                raise ValueError("a reply does not end")

    def _pass_over(self, line: bytes, strict: bool) -> None:
        self.odd_lines += 1
        self.odd_octets += len(line) + 1
        if strict and line.strip():
            raise ValueError(f"not a reply: {_text_of(line[:80])!r}")
        self.odd.append(_text_of(line[:80]))
        if self.odd_lines >= self.MAX_LINES or self.odd_octets > self.MAX_REPLY:
            raise ValueError(f"not a reply: {_text_of(line[:80])!r}")


def _parse_line(line: bytes) -> tuple[int, str, bool] | None:
    """Code, text, and whether it is the last line; ``None``: there is no code."""
    code, mark = line[:3], line[3:4]
    if len(code) == 3 and code.isdigit() and code[:1] in _FIRST_DIGITS and mark in (b"", b" ", b"-"):
        return int(code), _text_of(line[4:]), mark != b"-"
    found = _ODD_REPLY.fullmatch(line)
    return None if found is None else (int(found[1]), _text_of(found[3]), found[2] != b"-")


def _reply_of(lines: list[tuple[int, str]]) -> Reply:
    code = lines[-1][0]
    match = _ENHANCED.match(lines[-1][1])
    # RFC 2034 §4: the first digit of both codes agrees; otherwise it only looks like a status code.
    if match is None or int(match.group(1)[0]) != code // 100:
        return Reply(code, "", tuple([text for _, text in lines]))
    status = match.group(1)
    return Reply(code, status, tuple([_without(text, status) for _, text in lines]))


@lru_cache(maxsize=512)
def _one_line(line: bytes) -> Reply | None:
    """Peers say the same few things over and over."""
    parsed = _parse_line(line)
    return None if parsed is None else _reply_of([parsed[:2]])


def _without(text: str, status: str) -> str:
    if text == status:
        return ""
    return text[len(status) :].lstrip(" ") if text.startswith(status + " ") else text
