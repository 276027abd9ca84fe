"""Contents of the largest size that are made to hurt: from the store to a peer, in pieces, beside others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from delivery_road import road
from test_slow_peers import PATIENT, Everywhere, peer, peer_road

from ekiden.core.states import State
from ekiden.net.network import LoopbackOnlyNetwork, Stream
from ekiden.smtp.content import PIECE
from ekiden.store.api import Store

MiB = 1 << 20
HEAD = b"From: a@src.test\r\nSubject: Hello\r\n\r\n"
# Made when they are sent: each is as large as it may be.
CONTENTS: dict[str, Callable[[], bytes]] = {
    "dots": lambda: HEAD + b".\r\n" * (20 * MiB // 3),
    "blank-lines": lambda: HEAD + b"\r\n" * (20 * MiB // 2),
    "one-line": lambda: HEAD + b"x" * (20 * MiB) + b"\r\n",
    "larger": lambda: HEAD + (b"x" * 76 + b"\r\n") * (40 * MiB // 78),
}
PATIENCE = 1.0
"""Seconds that the event loop may be away at once: hundredths of them on a processor of its own."""


class Watched(LoopbackOnlyNetwork):
    """Remembers the largest of what was written at once."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0

    async def connect(self, host: str, port: int, *, local_address: str | None = None, timeout: float) -> Stream:
        stream = await super().connect(host, port, local_address=local_address, timeout=timeout)
        write = stream.write

        def watched(data: bytes) -> None:
            self.largest = max(self.largest, len(data))
            write(data)

        stream.write = watched  # type: ignore[method-assign]
        return stream


class Lag:
    worst = 0.0


@asynccontextmanager
async def lag() -> AsyncIterator[Lag]:
    """How long callbacks had to wait at most, while the block ran."""
    found = Lag()
    loop = asyncio.get_running_loop()

    async def watch() -> None:
        while not over:
            before = loop.time()
            await asyncio.sleep(0.005)
            found.worst = max(found.worst, loop.time() - before - 0.005)

    over = False
    probe = asyncio.create_task(watch())
    try:
        yield found
    finally:
        over = True
        await probe


class Taker:
    """Takes messages; ``received`` are their octets as they came, in a process of few copies."""

    def __init__(self, pause: float = 0.0) -> None:
        self.pause = pause
        self.received = bytearray()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 peer\r\n")
        while line := await reader.readline():
            if line.startswith(b"DATA"):
                writer.write(b"354 Go\r\n")
                while not self.received.endswith(b"\r\n.\r\n"):
                    data = await reader.read(MiB)
                    if not data:
                        return
                    self.received += data
                    await asyncio.sleep(self.pause)
            writer.write(b"250 2.0.0 Ok\r\n")


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("hand_over", [True, False], ids=["handed over", "from the store"])
async def test_a_large_content_goes_out_in_pieces(store: Store, name: str, hand_over: bool) -> None:
    content = CONTENTS[name]()
    taker, network = Taker(), Watched()
    async with (
        peer(taker) as port,
        road(store, network=network, resolver=Everywhere(), smtp_port=port, starttls=False, **PATIENT) as r,
        lag() as found,
    ):
        row = await r.one(await r.send("a@large.test", content=content, hand_over=hand_over))
        assert row["state"] == State.DELIVERED
    stuffed = content.replace(b"\r\n.", b"\r\n..") + b".\r\n"
    # Dots that begin a line within the content end nothing.
    assert bytes(taker.received) == stuffed
    assert network.largest <= 2 * PIECE
    assert found.worst < PATIENCE, found.worst


async def test_a_verdict_before_the_end_of_the_content_is_none(store: Store) -> None:
    """It says yes to a part of the message and closes."""

    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 peer\r\n")
        while line := await reader.readline():
            if line.startswith(b"DATA"):
                writer.write(b"354 Go\r\n")
                await reader.readexactly(1_000)
                writer.write(b"250 2.0.0 Ok\r\n")
                await writer.drain()
                return
            writer.write(b"250 2.0.0 Ok\r\n")

    async with peer_road(store, hasty) as r:
        row = await r.one(await r.send("a@hasty.test", content=CONTENTS["dots"]()))
        assert row["state"] == State.DEFERRED
