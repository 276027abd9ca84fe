"""Connections to PostgreSQL that end.

What cannot have been committed is done on a fresh one, and nobody hears of it; where the answer to a commit may
have been lost, nothing is done twice.

Between store and server is a wire of ours that can lose what we choose; both ends are real.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
from sqlalchemy import func, select, text

from ekiden.core.states import State
from ekiden.store import tables as t
from ekiden.store.api import Store, StoreUnavailable
from ekiden.store.open import open_store
from ekiden.store.postgresql.connect import COLD_TIMEOUT, broken, never_sent
from ekiden.store.postgresql.embedded import EmbeddedPostgres
from support.backends import end_all
from support.store_rows import NOW, TTL, Maker, outcome

PATIENCE = 30.0  # seconds; only reached when something is broken


class Wire:
    """Carries connections to the server at ``url``; ``self.url`` is its own end.

    ``cut_at``: a connection that sends these octets ends, before they are sent (``lost`` 0) or once the server has
    answered them (1). ``withhold``: that the server has closed a connection is told only when it is used.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        self._upstream = f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}"
        self._name = parts.path
        self.url = ""
        self.cut_at = b""
        self.answered = False
        self.withhold = False
        self.seen = 0  # times that ``cut_at`` was sent
        self.closed = 0
        self.said_goodbye = 0  # connections that the server has ended with an error
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Wire:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"postgresql://postgres@127.0.0.1:{self._server.sockets[0].getsockname()[1]}{self._name}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def lost(self, count: int, *, withheld: bool) -> bool:
        """Whether so many connections were told that they end, and did unless that is withheld."""
        return self.said_goodbye >= count and (withheld or self.closed >= count)

    def cut(self, at: bytes, *, answered: bool) -> None:
        self.cut_at, self.answered, self.seen = at, answered, 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            up_reader, up_writer = await asyncio.open_unix_connection(self._upstream)
            try:
                await self._carry(reader, writer, up_reader, up_writer)
            finally:
                up_writer.close()
        except OSError:
            pass
        finally:
            self.closed += 1
            writer.close()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> None:
        doomed = asyncio.Event()
        over = False

        async def up() -> None:
            while (data := await reader.read(65_536)) and not over:
                if self.cut_at and self.cut_at in data:
                    self.seen += 1
                    doomed.set()
                    if not self.answered:
                        return
                up_writer.write(data)

        async def down() -> None:
            nonlocal over
            while data := await up_reader.read(65_536):
                if doomed.is_set():
                    return
                over = data.startswith(b"E") and b"57P01" in data
                self.said_goodbye += over
                writer.write(data)
            if over and self.withhold:
                await asyncio.Event().wait()

        pumps = [asyncio.create_task(up()), asyncio.create_task(down())]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            if doomed.is_set() and self.answered:
                await asyncio.wait([pumps[1]], timeout=PATIENCE)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)


@pytest.fixture
async def wire(postgresql_url: str) -> AsyncIterator[Wire]:
    async with Wire(postgresql_url) as found:
        yield found


@pytest.fixture
async def distant(wire: Wire) -> AsyncIterator[Store]:
    store = await open_store(wire.url)
    yield store
    await store.close()


async def count_of(url: str, message: int) -> int:
    store = await open_store(url)
    try:
        async with store.read() as connection:
            found = select(func.count()).select_from(t.message).where(t.message.c.id == message)
            return int(await connection.scalar(found) or 0)
    finally:
        await store.close()


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not check():  # noqa: ASYNC110 (others set what is checked)
            await asyncio.sleep(0)


async def use_everything(store: Store, maker: Maker, worker: int) -> None:
    """Each kind of call, several at once, so that all connections are used."""
    new = [maker.message(state=State.SENDING) for _ in range(4)]
    await asyncio.gather(*(store.accept(worker, one) for one in new))
    await asyncio.gather(
        store.finish(worker, [outcome(new[0].deliveries[0])]),
        store.claim(worker, NOW, 5),
        *(store.content(1, one.message.id) for one in new[1:]),
        *(store.stats() for _ in range(4)),
        *(store.heartbeat(worker, NOW, TTL) for _ in range(2)),
    )


@pytest.mark.parametrize("withheld", [True, False], ids=["half heard", "heard"])
async def test_connections_that_ended_while_they_were_idle_are_replaced(
    wire: Wire, distant: Store, postgresql_url: str, withheld: bool
) -> None:
    """The server says why it ends a connection, then closes it. The driver may have heard the first only."""
    maker = Maker()
    worker = (await distant.register_worker("host", 1, NOW, TTL)).id
    wire.withhold = withheld
    for _ in range(3):
        await use_everything(distant, maker, worker)
        wire.said_goodbye, wire.closed = 0, 0
        ended = await end_all(postgresql_url)  # how many were open depends on how fast each was free again
        assert ended > 0
        await until(partial(wire.lost, ended, withheld=withheld))
        await use_everything(distant, maker, worker)
        assert await distant.heartbeat(worker, NOW, TTL)
    assert distant.counters.failures == 0


async def test_what_was_under_way_but_not_committed_is_done_again(wire: Wire, distant: Store) -> None:
    maker = Maker()
    worker = (await distant.register_worker("host", 1, NOW, TTL)).id
    new = maker.message(3, state=State.SENDING)
    await distant.accept(worker, new)
    for delivery, cut in zip(new.deliveries, (b"BEGIN", b"mx1.example.org", b"mx1.example.org"), strict=True):
        wire.cut(cut, answered=cut != b"BEGIN")
        finished = asyncio.create_task(distant.finish(worker, [outcome(delivery)]))
        await until(lambda: wire.seen > 0)
        wire.cut_at = b""
        assert await finished == [True]
    assert distant.counters.failures == 0


async def test_a_second_connection_that_breaks_is_the_last(wire: Wire, distant: Store) -> None:
    worker = (await distant.register_worker("host", 1, NOW, TTL)).id
    wire.cut(b"BEGIN", answered=False)
    with pytest.raises(StoreUnavailable):
        await distant.claim(worker, NOW, 5)
    assert wire.seen == 2
    wire.cut_at = b""
    assert await distant.claim(worker, NOW, 5) == []


@pytest.mark.parametrize("answered", [True, False], ids=["committed", "not committed"])
async def test_what_may_have_been_committed_is_not_done_again(
    wire: Wire, distant: Store, postgresql_url: str, answered: bool
) -> None:
    maker = Maker()
    worker = (await distant.register_worker("host", 1, NOW, TTL)).id
    held = maker.message(state=State.SENDING)
    await distant.accept(worker, held)
    new = maker.message(subject="the marked one")
    wire.cut(b"the marked one", answered=answered)  # one statement, which is a transaction
    with pytest.raises(StoreUnavailable):
        await distant.accept(worker, new)
    assert wire.seen == 1
    assert await count_of(postgresql_url, new.message.id) == answered
    wire.cut(b"COMMIT", answered=answered)
    with pytest.raises(StoreUnavailable):
        await distant.finish(worker, [outcome(held.deliveries[0])])
    assert wire.seen == 1
    wire.cut_at = b""
    assert await distant.finish(worker, [outcome(held.deliveries[0])]) == [not answered]


async def test_a_server_that_was_killed_and_is_back(tmp_path: Path) -> None:
    """The first call of each kind is served: nothing of it was under way."""
    server = EmbeddedPostgres(tmp_path / "pg")
    with server:
        store = await open_store(server.url(), migrate=True)
        maker = Maker()
        worker = (await store.register_worker("host", 1, NOW, TTL)).id
        await use_everything(store, maker, worker)
        os.kill(int((server.directory / "data" / "postmaster.pid").read_text().split("\n")[0]), signal.SIGKILL)
        server.stop()
        server.start()
        await use_everything(store, maker, worker)
        assert store.counters.failures == 0
        await store.close()


async def test_a_server_that_stands_still_is_noticed_by_who_reads(tmp_path: Path) -> None:
    """Long before a statement would be given up."""
    with EmbeddedPostgres(tmp_path / "pg", durable=False) as server:
        store = await open_store(server.url(), migrate=True)
        async with store.read() as connection:
            await connection.execute(select(func.count()).select_from(t.message))
        main = int((server.directory / "data" / "postmaster.pid").read_text().split("\n")[0])
        below = (await asyncio.to_thread(Path(f"/proc/{main}/task/{main}/children").read_text)).split()
        pids = [main, *map(int, below)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            began = asyncio.get_running_loop().time()
            with pytest.raises(StoreUnavailable):
                async with store.read() as connection:
                    await connection.execute(select(func.count()).select_from(t.message))
            assert asyncio.get_running_loop().time() - began < COLD_TIMEOUT * 0.75
        finally:
            for pid in reversed(pids):
                os.kill(pid, signal.SIGCONT)
        async with store.read() as connection:
            assert await connection.scalar(select(func.count()).select_from(t.message)) == 0
        await store.close()


async def test_a_content_is_asked_for_and_nothing_else(wire: Wire, distant: Store) -> None:
    """Others first ask whether the connection lives, in a transaction of its own: three ways there and back."""
    worker = (await distant.register_worker("host", 1, NOW, TTL)).id
    new = Maker().message(state=State.SENDING)
    await distant.accept(worker, new)
    assert await distant.content(1, new.message.id) == new.content
    wire.cut(b"BEGIN", answered=False)
    assert await distant.content(1, new.message.id) == new.content
    assert wire.seen == 0
    wire.cut_at = b""
    await distant.stats()


async def test_a_fault_of_ours_is_no_broken_connection(postgresql_url: str) -> None:
    connection = await asyncpg.connect(postgresql_url)
    faults: list[Exception] = []
    try:
        under_way = asyncio.create_task(connection.fetch("SELECT pg_sleep(0.2)"))
        await asyncio.sleep(0)
        for call in (
            connection.fetch("SELECT 1"),  # two at once on one connection
            connection.fetch("SELECT $1::int"),
            connection.fetch("SELECT $1::int", "x"),
            connection.fetch("SELEKT"),
            connection.fetch("SELECT pg_sleep(20)", timeout=0.1),
        ):
            try:
                await call
            except Exception as error:
                faults.append(error)
            with contextlib.suppress(asyncpg.InterfaceError):
                await under_way
    finally:
        await connection.close()
    assert len(faults) == 5
    assert not [error for error in faults if broken(error) or never_sent(error)]
    with pytest.raises(asyncpg.InterfaceError) as closed:
        await connection.fetch("SELECT 1")
    assert never_sent(closed.value)


async def test_what_a_caller_does_on_a_connection_is_not_done_again(distant: Store, postgresql_url: str) -> None:
    calls = 0

    async def call() -> None:
        nonlocal calls
        async with distant.read() as connection:
            await connection.execute(text("SELECT 1"))
            calls += 1
            await end_all(postgresql_url)
            await connection.execute(text("SELECT 1"))

    with pytest.raises(StoreUnavailable):
        await call()
    assert calls == 1
