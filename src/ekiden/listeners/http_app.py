"""The HTTP listener of a worker: health, metrics, and the APIs of the dialects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from litestar import Litestar, MediaType, Request, Response, Router, get
from litestar.exceptions import HTTPException, ServiceUnavailableException
from litestar.exceptions.responses import create_exception_response

ErrorAnswer = Callable[[Request[Any, Any, Any], Exception], Response[Any]]
_RETRY_AFTER = "5"
"""Seconds."""
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
Readiness = Callable[[], Awaitable[list[str]]]
"""What is missing before this worker can be given work; empty: nothing."""


class HttpApp:
    """``http_server.Answering``: an application, and its errors for requests that it does not get to see."""

    def __init__(
        self, app: Litestar, error: Callable[[Request[Any, Any, Any], HTTPException], Response[Any]]
    ) -> None:
        self._app = app
        self._error = error

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    async def refuse(self, scope: Any, receive: Any, send: Any, status: int, why: str) -> None:
        """In the language of whoever is asked; in plain words where nobody knows who is."""
        scope["litestar_app"] = self._app  # as if it had got it
        response: Response[Any]
        if not scope["path"]:
            response = Response(f"{why}\n", status_code=status, media_type=MediaType.TEXT)
        elif status == 503:
            response = self._error(Request(scope), ServiceUnavailableException(why))
            response.headers["retry-after"] = _RETRY_AFTER
        else:
            response = self._error(Request(scope), HTTPException(why, status_code=status))
            response.status_code = status  # whatever statuses a dialect knows
        await response.to_asgi_response(None, Request(scope))(scope, receive, send)


def make_app(
    readiness: Readiness,
    metrics_text: Callable[[], Awaitable[bytes]] | None,
    routers: Sequence[Router] = (),
) -> HttpApp:
    """``/healthz`` (alive), ``/readyz`` (may be given work), ``/metrics`` (if there is a text), and the routers of
    dialects beside them.

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

    own = [healthz, readyz]
    if metrics_text is not None:

        @get("/metrics")
        async def metrics() -> Response[bytes]:
            return Response(await metrics_text(), headers={"content-type": _PROMETHEUS})

        own.append(metrics)
    by_path = sorted(routers, key=lambda router: len(router.path), reverse=True)

    def no_route(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
        path = request.scope["path"]
        for router in by_path:
            answer: ErrorAnswer | None = router.exception_handlers.get(Exception)
            if answer is not None and f"{path}/".startswith(router.path.rstrip("/") + "/"):
                return answer(request, error)
        return create_exception_response(request, error)

    app = Litestar(
        [*own, *routers],
        openapi_config=None,
        logging_config=None,
        exception_handlers={HTTPException: no_route},
    )
    return HttpApp(app, no_route)


def preload() -> None:
    """Load what Litestar loads for its first application, before the fork, so that workers share it."""

    @get("/")
    async def nothing() -> None:
        return None

    Litestar([Router("/", route_handlers=[nothing])], openapi_config=None, logging_config=None)
