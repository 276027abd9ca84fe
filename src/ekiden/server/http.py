"""The HTTP listener of a worker: ``/healthz`` (alive), ``/readyz`` (may be given work), ``/metrics``."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any

import uvicorn
from litestar import Litestar, MediaType, Response, get

from ekiden.server.metrics import CONTENT_TYPE

Readiness = Callable[[], Awaitable[list[str]]]
"""What is missing before this worker can be given work; empty: nothing."""


def make_app(readiness: Readiness, metrics_text: Callable[[], Awaitable[bytes]]) -> Litestar:
    """The application. Later issues mount their own routes beside these."""

    @get("/healthz", media_type=MediaType.TEXT)
    async def healthz() -> str:
        return "ok\n"

    @get("/readyz", media_type=MediaType.JSON)
    async def readyz() -> Response[dict[str, Any]]:
        missing = await readiness()
        return Response({"ready": not missing, "missing": missing}, status_code=503 if missing else 200)

    @get("/metrics")
    async def metrics() -> Response[bytes]:
        return Response(await metrics_text(), headers={"content-type": CONTENT_TYPE})

    return Litestar([healthz, readyz, metrics], openapi_config=None, logging_config=None)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        # Signals are the worker's.
        yield


class HttpServer:
    """Serves ``app`` on listening sockets until it is stopped."""

    def __init__(self, app: Litestar, sockets: list[socket.socket]) -> None:
        config = uvicorn.Config(
            app,
            loop="none",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        self._server = _Server(config)
        self._sockets = sockets
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._server.serve(sockets=self._sockets), name="http")
        await self._server.up.wait()

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    async def stop(self) -> None:
        """Finish the requests at hand, then close."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
