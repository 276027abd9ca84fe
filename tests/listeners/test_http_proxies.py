"""A proxy that the configuration does not name is counted, logged, and told by ``doctor``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from ekiden.config.model import Config
from ekiden.doctor.checks import Patient
from ekiden.doctor.proxies import check_proxies
from ekiden.listeners.http_app import make_app
from ekiden.listeners.http_config import HttpConfig
from ekiden.listeners.http_proxy import looks_forwarded
from ekiden.listeners.http_server import HttpServer
from ekiden.net.clock import SystemClock
from ekiden.net.listen import open_listener
from ekiden.process.counts import HttpCounts
from ekiden.process.metrics import Exposition, Metrics
from ekiden.store.open import open_store


async def ask(port: int, *fields: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = ["GET /healthz HTTP/1.1", "Host: x", "Connection: close", *fields, "", ""]
    writer.write("\r\n".join(lines).encode())
    answer = await reader.read()
    writer.close()
    return answer


@asynccontextmanager
async def served(sqlite_url: str, **settings: Any) -> AsyncIterator[int]:
    metrics = Metrics()
    store = await open_store(sqlite_url)
    exposition = Exposition(metrics, store, SystemClock())

    async def ready() -> list[str]:
        return []

    listener = open_listener("127.0.0.1", 0)
    app = make_app(ready, exposition.text)
    server = HttpServer(app, [listener], HttpConfig(**settings), HttpCounts(metrics.worker(0)))
    await server.start()
    try:
        yield listener.getsockname()[1]
    finally:
        await server.stop()
        await store.close()


async def found(port: int) -> list[str]:
    patient = Patient(Config(http=HttpConfig(addresses=(f"127.0.0.1:{port}",))), SystemClock())
    return [finding.told("en")[1] for finding in await check_proxies(patient)]


async def test_a_proxy_that_nobody_named(sqlite_url: str) -> None:
    with capture_logs() as lines:
        async with served(sqlite_url) as port:
            assert await found(port) == []
            for _ in range(3):
                assert b"200" in await ask(port, "X-Forwarded-For: 192.0.2.1")
            [told] = await found(port)
    assert "passes requests on (3 so far)" in told
    told_of = [(line["log_level"], line["address"], line.get("repeated")) for line in lines if "address" in line]
    assert told_of == [("warning", "127.0.0.1", None), ("warning", "127.0.0.1", 2)]  # the last when the server ends


async def test_one_that_is_named(sqlite_url: str) -> None:
    async with served(sqlite_url, proxy_from=("127.0.0.0/8",)) as port:
        assert b"200" in await ask(port, "X-Forwarded-For: 192.0.2.1")
        assert await found(port) == []


@pytest.mark.parametrize(
    ("peer", "it_is"),
    [("10.1.2.3", True), ("::1", True), ("fd00::1", True), ("8.8.8.8", False), ("2001:db8::1", False)],
)
def test_what_strangers_write_says_nothing(peer: str, it_is: bool) -> None:
    assert looks_forwarded(peer, [(b"x-forwarded-for", b"127.0.0.1")]) is it_is
    assert not looks_forwarded(peer, [(b"host", b"x")])
