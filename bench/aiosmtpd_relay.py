"""A relay of aiosmtpd and asyncio streams: ``python -m bench.aiosmtpd_relay PORT SINK_PORT``. Not durable."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope

_CONNECTIONS = 20
_MAX_SIZE = 20_971_520
_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)


class _Queueing:
    """The handler: a message is accepted as soon as it lies in memory."""

    def __init__(self, queue: asyncio.Queue[Envelope]) -> None:
        self._queue = queue

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:
        self._queue.put_nowait(envelope)
        return "250 2.0.0 Ok"


async def _reply(reader: asyncio.StreamReader) -> bytes:
    while True:
        line = await reader.readline()
        if line[3:4] != b"-":
            return line


async def _forward(queue: asyncio.Queue[Envelope], port: int) -> None:
    """One connection to the sink, used again for message after message; the sink may start after us."""
    envelope = await queue.get()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await _reply(reader)
    writer.write(b"EHLO relay.test\r\n")
    await _reply(reader)
    while True:
        content = envelope.content
        assert isinstance(content, bytes)
        commands = [f"MAIL FROM:<{envelope.mail_from}>", *(f"RCPT TO:<{to}>" for to in envelope.rcpt_tos), "DATA"]
        for command in commands:
            writer.write(command.encode() + b"\r\n")
            await _reply(reader)
        writer.write(_LEADING_DOT.sub(b"..", content) + b".\r\n")
        await _reply(reader)
        envelope = await queue.get()


async def main(port: int, sink_port: int) -> None:
    """Serve until SIGTERM."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, done.set)
    queue: asyncio.Queue[Envelope] = asyncio.Queue()
    handler = _Queueing(queue)
    server = await loop.create_server(
        lambda: SMTP(handler, hostname="relay.test", data_size_limit=_MAX_SIZE), "127.0.0.1", port, backlog=1024
    )
    forwarders = [asyncio.ensure_future(_forward(queue, sink_port)) for _ in range(_CONNECTIONS)]
    await done.wait()
    server.close()
    for task in forwarders:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await task


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
