"""What the server machine of SMTP needs below its commands: lines in, replies out, errors, closing."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

from ekiden.smtp import replies
from ekiden.smtp.auth import MAX_AUTH_LINE
from ekiden.smtp.errors import UsageError
from ekiden.smtp.events import ConnectionClosing, Event
from ekiden.smtp.reply import Reply
from ekiden.smtp.server_config import ServerConfig


class Mode(IntEnum):
    """How the next octets are read."""

    COMMAND = 0
    SKIP_LINE = 1
    AUTH = 2
    CONTENT = 3
    CHUNK = 4
    HANDSHAKE = 5
    CLOSED = 6


class Ask(IntEnum):
    """Which decision is awaited."""

    NOTHING = 0
    MAIL = 1
    RCPT = 2
    DATA = 3
    MESSAGE = 4
    AUTH = 5


_REFUSES = 400
"""Codes from here on are refusals."""
_MOST_REFUSALS = 20
"""Different ones that are told apart until the driver asks."""


@lru_cache(maxsize=64)
def _banner(hostname: str) -> bytes:
    return Reply.of(220, "", f"{hostname} ESMTP").encode()


class ServerLines:
    """Buffers, replies and closing of one connection. ``ServerConnection`` adds the commands."""

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self._out: list[bytes] = [_banner(config.hostname)]
        self._buffer = bytearray()
        self._pos = 0
        self._scan = 0
        self._mode = Mode.COMMAND
        self._ask = Ask.NOTHING
        self._starved = False
        self._eof = False
        self._closing = ""
        self._last_words: Reply | None = None
        self._errors = 0
        self._commands = 0
        self._refused: dict[Reply, int] = {}

    # --- in and out -----------------------------------------------------------------------------------------

    @property
    def buffered(self) -> int:
        """Octets that wait behind a decision. The driver stops reading while this is large."""
        return len(self._buffer) - self._pos if self._ask else 0

    @property
    def waiting(self) -> bool:
        """A decision is awaited."""
        return self._ask is not Ask.NOTHING

    @property
    def receiving(self) -> str:
        """What the client is to send next, for the driver's time-outs: ``command``, ``content`` or nothing."""
        if self._ask or self._mode >= Mode.HANDSHAKE:
            return ""
        return "content" if self._mode in (Mode.CONTENT, Mode.CHUNK) else "command"

    @property
    def closed(self) -> bool:
        return self._mode is Mode.CLOSED

    def receive_data(self, data: bytes) -> None:
        """Octets of the client. Ignored once closing, and between STARTTLS and the end of the handshake."""
        if self._mode < Mode.HANDSHAKE:
            self._buffer += data

    def data_to_send(self) -> bytes:
        """The replies since the last call."""
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    def eof(self) -> None:
        """The client will send no more. What it sent before is still carried out."""
        self._eof = True

    # --- closing --------------------------------------------------------------------------------------------

    def refuse(self, reply: Reply) -> None:
        """Instead of the banner (RFC 5321 §3.1: 554, or 421). Only before anything else happened."""
        self._out = [reply.encode()]
        self._hang_up("refused")

    def timeout(self) -> None:
        """The client was silent or slow for too long: 421 4.4.2 and close."""
        self._say_goodbye(replies.TIMEOUT, "timeout")

    def shutdown(self) -> None:
        """421 4.3.2 and close; when a decision is awaited, right after it."""
        self._say_goodbye(replies.SHUTTING_DOWN, "shutdown")

    def _say_goodbye(self, reply: Reply, reason: str) -> None:
        if self._closing or self._mode is Mode.CLOSED:
            return
        if self._ask:
            self._closing, self._last_words = reason, reply
            return
        # During the handshake nothing can be said in clear text any more.
        if self._mode is not Mode.HANDSHAKE:
            self._out.append(reply.encode())
        self._hang_up(reason)

    def _hang_up(self, reason: str) -> None:
        """No octet is interpreted from here on; the next event is ``ConnectionClosing``."""
        self._closing = reason or "closing"
        self._mode = Mode.CLOSED
        self._ask = Ask.NOTHING
        self._last_words = None
        self._buffer = bytearray()
        self._pos = self._scan = 0

    def _closing_event(self) -> ConnectionClosing | None:
        """Called when nothing is left to interpret."""
        if self._eof and self._mode is not Mode.CLOSED:
            self._hang_up("the client closed the connection")
        if not self._closing:
            return None
        reason, self._closing = self._closing, ""
        return ConnectionClosing(reason)

    # --- replies --------------------------------------------------------------------------------------------

    def _send(self, reply: Reply) -> Event | None:
        """Answer; no event comes of it."""
        self._out.append(reply.encode())
        if reply.code >= _REFUSES:
            self._note_refusal(reply)
        return None

    def _fail(self, reply: Reply) -> Event | None:
        """Answer a mistake of the client's, and count it; no event comes of it."""
        self._out.append(reply.encode())
        self._note_refusal(reply)
        self._count_error()
        return None

    def _note_refusal(self, reply: Reply) -> None:
        refused = self._refused
        if reply in refused or len(refused) < _MOST_REFUSALS:
            refused[reply] = refused.get(reply, 0) + 1

    def refusals(self) -> dict[Reply, int]:
        """What the machine itself has refused since this was last asked, and how often; not what the driver has."""
        if not self._refused:
            return {}
        refused, self._refused = self._refused, {}
        return refused

    def _count_error(self) -> None:
        self._errors += 1
        if self._errors >= self.config.max_errors and self._mode is not Mode.CLOSED:
            self._send(replies.TOO_MANY_ERRORS)
            self._hang_up("too many errors")

    def _misused(self, name: str) -> None:
        # A decision may come too late because the session ended meanwhile; that is nobody's fault.
        if self._mode is not Mode.CLOSED:
            raise UsageError(f"{name} does not answer the last event")

    def _after_decision(self) -> None:
        """Say what ``shutdown`` or ``timeout`` had to hold back."""
        if self._last_words is not None:
            self._out.append(self._last_words.encode())
            self._hang_up(self._closing)

    # --- lines ----------------------------------------------------------------------------------------------

    def _take_line(self, limit: int) -> bytes | None:
        """The next line without its end, or ``None``: starved, or too long and skipped from now on.

        A bare LF ends a command line, too: people type them into ``openssl s_client``.
        """
        buffer = self._buffer
        start = self._pos
        end = buffer.find(b"\n", self._scan)
        length = (end if end >= 0 else len(buffer)) - start
        if length > limit and length > self._longer_limit(limit):
            self._mode = Mode.SKIP_LINE
            return None
        if end < 0:
            self._starved = True
            if start:
                del buffer[:start]
                self._pos = 0
            self._scan = len(buffer)
            return None
        line = bytes(buffer[start:end])
        if end + 1 == len(buffer):
            buffer.clear()
            self._pos = self._scan = 0
        else:
            self._pos = self._scan = end + 1
        return line[:-1] if line.endswith(b"\r") else line

    def _longer_limit(self, limit: int) -> int:
        """AUTH with an initial response may be longer than other commands (RFC 4954 §4)."""
        return max(limit, MAX_AUTH_LINE) if self._buffer[self._pos : self._pos + 5].upper() == b"AUTH " else limit

    def _skip_line(self) -> bool:
        """Drop the rest of an over-long line, keeping none of it. True once its end was seen."""
        buffer = self._buffer
        end = buffer.find(b"\n", self._pos)
        if end < 0:
            buffer.clear()
            self._pos = self._scan = 0
            self._starved = True
            return False
        self._pos = self._scan = end + 1
        return True
