"""Accepting goes on whatever happens."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvloop

from ekiden.net.accept import BATCH, Acceptor
from ekiden.net.listen import open_listener

Scenario = Callable[["Door"], Coroutine[Any, Any, None]]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    """Play a scenario with a door of its own, on the loop of each kind in turn."""
    loops = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

    async def play(scenario: Scenario) -> None:
        door = Door()
        try:
            await scenario(door)
        finally:
            door.close()

    def start(scenario: Scenario) -> None:
        with asyncio.Runner(loop_factory=loops[request.param]) as runner:
            runner.run(play(scenario))

    return start


class Door:
    """Keeps what is accepted; ``broken``: raises instead."""

    def __init__(self) -> None:
        self.listener = open_listener("127.0.0.1", 0)
        self.address = self.listener.getsockname()
        self.accepted: list[tuple[socket.socket, Any]] = []
        self.broken = False
        self.paused = 0
        self.acceptor = Acceptor(self.listener, self._take, name="test", paused=self._note)
        self.acceptor.start()
        self.clients: list[socket.socket] = []

    def _take(self, accepted: socket.socket, address: Any) -> None:
        if self.broken:
            raise RuntimeError("a fault of ours")
        self.accepted.append((accepted, address))

    def _note(self) -> None:
        self.paused += 1

    def client(self) -> socket.socket:
        made = socket.create_connection(self.address, 10)
        self.clients.append(made)
        return made

    def close(self) -> None:
        self.acceptor.close()
        for one in [*self.clients, *(accepted for accepted, _ in self.accepted)]:
            one.close()


async def until(check: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    """New descriptors fail with EMFILE; those that are open stay."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)  # the lowest number that is free
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


Run = Callable[[Scenario], None]


def test_each_is_handed_over_with_its_address(run: Run) -> None:
    async def scenario(door: Door) -> None:
        clients = [door.client() for _ in range(BATCH + 3)]
        await until(lambda: len(door.accepted) == BATCH + 3)
        assert {address for _, address in door.accepted} == {client.getsockname() for client in clients}
        assert not any(accepted.getblocking() for accepted, _ in door.accepted)

    run(scenario)


def test_running_out_of_descriptors_pauses_and_ends_nothing(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(door: Door) -> None:
        for _ in range(3):
            door.client()
        with no_descriptors_left():
            await until(lambda: door.paused >= 3)
            assert not door.accepted
        await until(lambda: len(door.accepted) == 3)
        assert door.acceptor.pauses == door.paused

    run(scenario)
    assert len([record for record in caplog.records if "cannot accept" in record.message]) == 1


def test_a_connection_that_cannot_begin_is_closed_and_the_next_one_served(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(door: Door) -> None:
        door.broken = True
        unlucky = door.client()
        unlucky.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(unlucky, 10) == b""
        door.broken = False
        door.client()
        await until(lambda: len(door.accepted) == 1)

    run(scenario)
    assert "a fault of ours" in caplog.text


@pytest.mark.parametrize("paused", [False, True])
def test_nothing_is_accepted_once_it_is_closed(run: Run, paused: bool) -> None:
    async def scenario(door: Door) -> None:
        if paused:
            door.client()
            with no_descriptors_left():
                await until(lambda: door.paused)
                door.acceptor.close()
        else:
            door.acceptor.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(door.address, 10)
        assert not door.accepted

    run(scenario)
