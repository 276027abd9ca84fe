"""The lab as a client of SMTP: what a foreign server says to the one that it brings mail to.

It shares no code with ``ekiden.smtp``: one command after the other, each reply read before the next, every line
kept in a dialogue. A reply that does not come, or is none, is a result as well (``NoReply``).
"""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import Final, NamedTuple

from ekiden.lab.wire import Gone, Wire

CONNECT_TIMEOUT: Final = 5.0  # seconds; a host that hangs must leave time for the next
QUIT_TIMEOUT: Final = 0.5  # seconds; nobody's result depends on it
MAX_LINES: Final = 200  # of one reply
MAX_DIALOGUE: Final = 400  # lines that are kept
_PIECE: Final = 1 << 16  # octets that are written at once
_SHOWN: Final = 1_000  # characters of a line in the dialogue
_LINE: Final = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?\r?\n", re.DOTALL)


class Reply(NamedTuple):
    """``text`` is what follows the code, a line for each line of the reply."""

    code: int
    text: str

    @property
    def good(self) -> bool:
        """2xx."""
        return self.code // 100 == 2


class NoReply(Exception):
    """The connection could not be made, or no reply came; the text says why."""


class Client:
    """One connection. ``dialogue`` has lines that begin with "C: ", "S: " or "# ", as those of the lab's
    servers."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline  # loop seconds
        self._wire: Wire | None = None
        self.dialogue: list[str] = []
        self.extensions: dict[str, str] = {}
        self.tls: str | None = None
        self.source = ""

    async def connect(self, address: str, port: int, source: str | None) -> Reply:
        """Connect, from ``source`` when it is given, and read the greeting."""
        loop = asyncio.get_running_loop()
        local = None if source is None else (source, 0)
        try:
            async with asyncio.timeout_at(min(self._deadline, loop.time() + CONNECT_TIMEOUT)):
                transport, wire = await loop.create_connection(
                    lambda: Wire(lambda _: None), address, port, local_addr=local
                )
        except TimeoutError:
            raise NoReply("no answer to the connection") from None
        except OSError as error:
            raise NoReply(f"no connection: {error.strerror or error}") from None
        self._wire = wire
        name = transport.get_extra_info("sockname") or ("", 0)
        self.source = f"{name[0]}:{name[1]}"
        self.note(f"# from {self.source} to {wire.peer}")
        return await self.reply()

    async def hello(self, name: str) -> Reply:
        """EHLO, and HELO where that is not known."""
        reply = await self.command(f"EHLO {name}")
        if reply.code in (500, 502):
            self.extensions = {}
            return await self.command(f"HELO {name}")
        lines = [line.split(None, 1) for line in reply.text.split("\n")[1:]]
        self.extensions = {words[0].upper(): " ".join(words[1:]) for words in lines if words}
        return reply

    async def start_tls(self, host: str, context: ssl.SSLContext) -> Reply:
        """STARTTLS and the handshake. ``NoReply`` when it fails: what this connection was good for has gone."""
        reply = await self.command("STARTTLS")
        if reply.code != 220:
            return reply
        wire = self._open()
        if wire.buffer:
            raise NoReply("the server said more before the TLS handshake")  # RFC 3207 §6
        try:
            async with asyncio.timeout_at(self._deadline):
                self.tls = await wire.start_tls(context, server_hostname=host)
        except TimeoutError:
            raise NoReply("the TLS handshake took too long") from None
        except Gone as gone:
            raise NoReply(str(gone)) from None
        self.note(f"# {self.tls}")
        return reply

    async def command(self, line: str) -> Reply:
        """Send a line and read the reply."""
        self.note(f"C: {line}")
        await self._write(line.encode("utf-8", "surrogateescape") + b"\r\n")
        return await self.reply()

    async def content(self, data: bytes) -> Reply:
        """Send the content with its dots stuffed (RFC 5321 §4.5.2) and the final dot, and read the reply."""
        stuffed = (b"\r\n" + data).replace(b"\r\n.", b"\r\n..")[2:]
        if not stuffed.endswith(b"\r\n"):
            stuffed += b"\r\n"
        self.note(f"C: ({len(stuffed)} octets of content)")
        for start in range(0, len(stuffed), _PIECE):
            await self._write(stuffed[start : start + _PIECE])
        await self._write(b".\r\n")
        return await self.reply()

    async def reply(self) -> Reply:
        """The next reply, of one line or of many."""
        code, texts = 0, list[str]()
        for _ in range(MAX_LINES):
            line = await self._line()
            shown = _shown(line)
            self.note(f"S: {shown}")
            found = _LINE.fullmatch(line)
            if found is None or (code and int(found[1]) != code):
                raise NoReply(f"what came is no reply: {shown}")
            code = int(found[1])
            texts.append(_shown(found[3] or b""))
            if found[2] != b"-":
                return Reply(code, "\n".join(texts))
        raise NoReply(f"a reply of more than {MAX_LINES} lines")

    async def quit(self) -> None:
        """QUIT, whatever comes of it, and close."""
        self._deadline = min(self._deadline, asyncio.get_running_loop().time() + QUIT_TIMEOUT)
        try:
            if self._wire is not None and not self._wire.eof:
                await self.command("QUIT")
        except NoReply as error:
            self.note(f"# {error}")
        finally:
            self.close()

    def close(self) -> None:
        """Close without another word."""
        if self._wire is not None:
            self._wire.abort()

    def note(self, line: str) -> None:
        if len(self.dialogue) < MAX_DIALOGUE:
            self.dialogue.append(line)

    def _open(self) -> Wire:
        if self._wire is None:
            raise NoReply("there is no connection")
        return self._wire

    async def _line(self) -> bytes:
        wire = self._open()
        try:
            async with asyncio.timeout_at(self._deadline):
                return await wire.line()
        except TimeoutError:
            raise NoReply("no answer in the time that was given") from None
        except Gone:
            raise NoReply("the server closed the connection") from None

    async def _write(self, data: bytes) -> None:
        wire = self._open()
        try:
            async with asyncio.timeout_at(self._deadline):
                wire.write(data)
                await wire.drain()
        except TimeoutError:
            raise NoReply("the server took nothing in the time that was given") from None
        except Gone:
            # What the server said before it went says more than that it has gone.
            if b"\n" not in wire.buffer:
                raise NoReply("the server closed the connection") from None


def _shown(octets: bytes) -> str:
    text = octets.rstrip(b"\r\n")[:_SHOWN].decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
