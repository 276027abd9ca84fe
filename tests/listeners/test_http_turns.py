"""Very many requests that come at the same time: whoever shares the event loop has turns in between."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

from ekiden.listeners.http_server import AT_ONCE, HttpServer
from ekiden.net.listen import open_listener

CLIENTS = 60
PATIENCE = 30.0
OK = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]}


class App:
    """Answers at once, without waiting for anything: what computes does so."""

    def __init__(self) -> None:
        self.begun = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun += 1
        await send(OK)
        await send({"type": "http.response.body", "body": b""})

    async def refuse(self, scope: Any, receive: Any, send: Any, status: int, why: str) -> None:
        raise AssertionError(why)


async def test_requests_of_a_crowd_are_begun_a_few_at_a_time() -> None:
    """Before: all that had come, in one turn of the loop; with 40 clients of ``/metrics`` a submission took 6 s."""
    app = App()
    listener = open_listener("127.0.0.1", 0)
    address = listener.getsockname()
    server = HttpServer(app, [listener])
    await server.start()
    seen: list[int] = []

    async def watch() -> None:
        while True:
            seen.append(app.begun)
            await asyncio.sleep(0)

    clients = [await asyncio.open_connection(*address) for _ in range(CLIENTS)]
    watching = asyncio.create_task(watch())
    try:
        for _, writer in clients:
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            for reader, _ in clients:
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200"), head
    finally:
        watching.cancel()
        for _, writer in clients:
            writer.close()
        await server.stop()
    assert app.begun == CLIENTS
    # A turn of the watch may lie before or after that of the server.
    assert max(after - before for before, after in pairwise(seen)) <= 2 * AT_ONCE
