"""A running lab in a thread of its own, so that blocking clients (smtplib, http.client, dnspython) can use it."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator

import pytest
from lab_clients import Running

from ekiden.lab import Lab

_serial = itertools.count(1)


@pytest.fixture(scope="session")
def _running() -> Iterator[Running]:
    ready = threading.Event()
    made: list[tuple[Lab, asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        async with Lab() as lab:
            stop = asyncio.Event()
            made.append((lab, asyncio.get_running_loop(), stop))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(30)
    lab, loop, stop = made[0]
    yield Running(lab)
    loop.call_soon_threadsafe(stop.set)
    thread.join(30)


@pytest.fixture
def running(_running: Running) -> Iterator[Running]:
    """The lab of this process. Tests share it: use addresses of your own."""
    yield _running
    _running.close_clients()


@pytest.fixture
def someone() -> str:
    """A local part that no other test uses."""
    return f"someone{next(_serial)}"
