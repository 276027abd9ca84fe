"""Whether a server signs as its row says, looked at before the clock starts.

The first messages of a run on a server that signs do not go to ``smtp-sink``, which keeps nothing, but to a
receiver of ours on the same port; dkimpy, with which nobody here signs, then checks every signature that arrived.
"""

from __future__ import annotations

import re
import socket
import socketserver
import threading
from collections.abc import Mapping, Sequence

import dkim  # type: ignore[import-untyped]

from bench.load import SENDER_DOMAIN
from bench.tools import BenchError

MESSAGES = 20
"""Enough that every worker gets some."""
_RSA_BITS = 2048
_HOW = b"relaxed/relaxed"
_SIGNATURE = re.compile(rb"^DKIM-Signature:(.*\r\n(?:[ \t].*\r\n)*)", re.IGNORECASE | re.MULTILINE)
_MESSAGE_ID = re.compile(rb"^Message-ID:[^\r]*", re.IGNORECASE | re.MULTILINE)
_TAG = re.compile(rb"\s*([a-z]+)\s*=\s*([^;]*)")
_BLANKS = re.compile(rb"\s+")


class _Connection(socketserver.StreamRequestHandler):
    """The server's role of RFC 5321 as far as a relay needs it."""

    def handle(self) -> None:
        receiver = self.server
        assert isinstance(receiver, _Listener)
        receiver.connections.append(self.connection)
        try:
            self._reply(b"220 proof.test")
            while line := self.rfile.readline():
                verb = line[:4].upper().rstrip()
                if verb == b"DATA":
                    self._reply(b"354 go on")
                    receiver.messages.append(self._content())
                    self._reply(b"250 2.0.0 Ok")
                elif verb == b"QUIT":
                    self._reply(b"221 2.0.0 Bye")
                    return
                else:
                    self._reply(b"250 2.0.0 Ok")
        except ConnectionError:
            return

    def _reply(self, text: bytes) -> None:
        self.wfile.write(text + b"\r\n")

    def _content(self) -> bytes:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                raise ConnectionAbortedError("the connection ended within a message")
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines)


class _Listener(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int) -> None:
        self.messages: list[bytes] = []
        self.connections: list[socket.socket] = []
        super().__init__(("127.0.0.1", port), _Connection)


class Receiver:
    """``with Receiver(port) as receiver: ... receiver.messages``: their contents, without the dots of RFC 5321."""

    def __init__(self, port: int) -> None:
        try:
            self._listener = _Listener(port)
        except OSError as error:
            raise BenchError(f"cannot listen on port {port}: {error}") from None
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True)

    @property
    def messages(self) -> list[bytes]:
        return self._listener.messages

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown()
        self._thread.join()
        for connection in self._listener.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # ended already
        self._listener.server_close()

    def count(self) -> int:
        """Messages received so far."""
        return len(self.messages)


def check(contents: Sequence[bytes], algorithms: Sequence[str], records: Mapping[str, bytes]) -> None:
    """Raises ``BenchError`` unless each content has exactly one right signature for each of ``algorithms``.

    ``records`` are the TXT records of the keys by name. The signature is of the sender's domain, relaxed/relaxed,
    of the whole body and, for RSA, with 2,048 bits. No two contents may have the same Message-ID: to a server that
    remembers what it signed, no message of the load is known.
    """
    seen: set[bytes] = set()
    for content in contents:
        header, _, _ = content.partition(b"\r\n\r\n")
        fields = [_tags(field) for field in _SIGNATURE.findall(header + b"\r\n")]
        found = sorted(field.get(b"a", b"").decode("ascii", "replace") for field in fields)
        if found != sorted(algorithms):
            raise BenchError(f"a message was signed with {found or 'nothing'}, not with {sorted(algorithms)}")
        for number, field in enumerate(fields):
            _check_one(content, number, field, records)
        seen.update(_MESSAGE_ID.findall(header))
    if len(seen) != len(contents):
        raise BenchError(f"{len(contents)} messages have {len(seen)} different Message-IDs")


def _tags(field: bytes) -> dict[bytes, bytes]:
    return {name: _BLANKS.sub(b"", value) for name, value in _TAG.findall(field)}


def _check_one(content: bytes, number: int, field: Mapping[bytes, bytes], records: Mapping[str, bytes]) -> None:
    def txt(name: bytes, timeout: int = 5) -> bytes:
        return records.get(name.decode("ascii", "replace").rstrip("."), b"")

    if field.get(b"d") != SENDER_DOMAIN.encode() or field.get(b"c") != _HOW or b"l" in field:
        raise BenchError(f"a signature is of another kind than the bench compares: {dict(field)}")
    message = dkim.DKIM(content)
    why = "it is of other octets"
    try:
        right = message.verify(number, dnsfunc=txt)
    except dkim.DKIMException as error:
        right, why = False, str(error)
    if not right:
        raise BenchError(f"signature {number + 1} of a message does not verify: {why}")
    if field[b"a"] == b"rsa-sha256" and message.keysize != _RSA_BITS:
        raise BenchError(f"a signature was made with {message.keysize} bits, not with {_RSA_BITS}")
