"""The HTTP listener of a worker: health, metrics, and the APIs of the dialects."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from litestar import Litestar, MediaType, Request, Response, Router, get
from litestar.exceptions import HTTPException
from litestar.exceptions.responses import create_exception_response

from ekiden.server.metrics import CONTENT_TYPE

ErrorAnswer = Callable[[Request[Any, Any, Any], Exception], Response[Any]]
Readiness = Callable[[], Awaitable[list[str]]]
"""What is missing before this worker can be given work; empty: nothing."""


def make_app(
    readiness: Readiness,
    metrics_text: Callable[[], Awaitable[bytes]],
    routers: Sequence[Router] = (),
) -> Litestar:
    """``/healthz`` (alive), ``/readyz`` (may be given work), ``/metrics``, and the routers of dialects beside them.

    What no route takes (404, 405) is answered as the router whose path is nearest answers any ``Exception``, so
    that a client gets errors in the language that it speaks.
    """

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

    by_path = sorted(routers, key=lambda router: len(router.path), reverse=True)

    def no_route(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
        path = request.scope["path"]
        for router in by_path:
            answer: ErrorAnswer | None = router.exception_handlers.get(Exception)
            if answer is not None and f"{path}/".startswith(router.path.rstrip("/") + "/"):
                return answer(request, error)
        return create_exception_response(request, error)

    return Litestar(
        [healthz, readyz, metrics, *routers],
        openapi_config=None,
        logging_config=None,
        exception_handlers={HTTPException: no_route},
    )


def preload() -> None:
    """Load what Litestar loads for its first application, before the fork, so that workers share it."""

    @get("/")
    async def nothing() -> None:
        return None

    Litestar([Router("/", route_handlers=[nothing])], openapi_config=None, logging_config=None)


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

    def __init__(self, app: Litestar, sockets: list[socket.socket], *, proxy_from: Sequence[str] = ()) -> None:
        """``proxy_from``: networks of proxies that say truly where a request comes from (``X-Forwarded-For``)."""
        config = uvicorn.Config(
            app,
            loop="none",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            # Else uvicorn believes whoever comes from 127.0.0.1, or whom an environment variable names.
            proxy_headers=bool(proxy_from),
            forwarded_allow_ips=list(proxy_from),
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
