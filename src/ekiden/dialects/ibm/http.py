"""Reading requests and writing answers, in the ways of IBM's APIs (contract §1.4, §2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import msgspec
from litestar import Response

from ekiden.core.clock import SECOND, Millis
from ekiden.dialects.ibm.errors import ApiError, trace_headers
from ekiden.web.body import Body
from ekiden.web.gzip_body import BadGzip, unpacked
from ekiden.web.need import Need
from ekiden.web.problem import JSON, AnyRequest
from ekiden.web.shape import EFFORT, Problem, read_shape

T = TypeVar("T")

MAX_BODY: Final = 1_048_576
"""Octets of a body, as sent and as unpacked."""
MAX_LIMIT: Final = 100
DEFAULT_LIMIT: Final = 10


BODY: Final = Need(MAX_BODY, 20_000)
"""Of operations with lists: zones, rules, subnets."""


async def read_body(request: AnyRequest, body: Body) -> bytes | bytearray:
    """The body, unpacked if it came as gzip. Raises ``ApiError``: 400, 415; ``web.errors``."""
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return await body.read_json()
    if encoding not in ("gzip", "x-gzip"):
        raise ApiError(415, "the body is encoded in a way that is not known: {encoding}", encoding=encoding[:40])
    try:
        return await unpacked(body)
    except BadGzip:
        raise ApiError(400, "the body is not what its Content-Encoding says") from None


async def read_json(request: AnyRequest, body: Body, kind: type[T]) -> T:
    """The body as ``kind``; no body at all is an empty object. Raises ``ApiError``: 400, 413, 415."""
    text = await read_body(request, body)
    if text:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != JSON and not (media_type.startswith("application/") and media_type.endswith("+json")):
            raise ApiError(415, "the body must be JSON, with Content-Type: application/json")
    given = text or b"{}"
    try:
        made: T = await body.work(len(given), partial(_decoded, given, kind))
        return made
    except msgspec.ValidationError as error:
        first = str(error)
    raise await body.work(EFFORT * len(given), partial(_misshapen, given, kind, first))


def _decoded(text: bytes | bytearray, kind: Any = Any) -> Any:
    """Raises the 400 of what is no JSON, and ``msgspec.ValidationError``."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, "the body is not JSON: {why}", why=str(error)) from None


def _misshapen(text: bytes | bytearray, kind: Any, first: str) -> ApiError:
    """All that is wrong, an error for each. The decoder ended at the ``first``: what is behind need not be JSON."""
    problems = read_shape(_decoded(text), kind).problems
    error, *others = [
        ApiError(400, "the body does not have the expected form: {why}", why=reason)
        for reason in [_told(problem) for problem in problems] or [first]
    ]
    error.others = tuple(others)
    return error


def _told(problem: Problem) -> str:
    """In the decoder's words."""
    above = problem.path.rpartition(".")[0] if problem.kind != "type" else problem.path
    place = f"$.{above}" if above else "$"
    meant = f" (did you mean `{problem.meant}`?)" if problem.meant else ""
    return f"{problem.why}{meant}" + (f" - at `{place}`" if place != "$" else "")


def answer(
    request: AnyRequest, value: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response[bytes]:
    """A JSON answer, with the ids that the caller may quote."""
    return Response(
        msgspec.json.encode(value),
        status_code=status,
        media_type=JSON,
        headers={**trace_headers(request), **(headers or {})},
    )


def no_content(request: AnyRequest) -> Response[None]:
    """204."""
    return Response(None, status_code=204, headers=trace_headers(request))


def text_parameter(request: AnyRequest, name: str, longest: int, *, required: bool = False) -> str | None:
    """A parameter of the query; ``None``: not given, or empty. Raises the 400 of one that cannot be."""
    value: str | None = request.query_params.get(name)
    if not value:
        if required:
            raise ApiError(400, "the query needs {name}", name=name)
        return None
    if len(value) > longest or not value.isprintable():
        raise ApiError(
            400, "{name} in the query has up to {longest} printable characters", name=name, longest=longest
        )
    return value


def number_parameter(request: AnyRequest, name: str, default: int, lowest: int, highest: int) -> int:
    """A whole number of the query. Raises the 400 of one that is none, or out of bounds."""
    value: str | None = request.query_params.get(name)
    if value is None or value == "":
        return default
    if len(value) <= 18 and value.isascii() and value.isdigit() and lowest <= int(value) <= highest:
        return int(value)
    raise ApiError(
        400,
        "{name} in the query is a whole number from {lowest} to {highest}",
        name=name,
        lowest=lowest,
        highest=highest,
    )


def time_parameter(request: AnyRequest, name: str) -> Millis:
    """A required time of the query, ``2026-01-02T03:04:05Z``; without an offset it is UTC. Raises its 400."""
    text = text_parameter(request, name, 28, required=True) or ""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        return int(at.timestamp() * SECOND)
    except (ValueError, OverflowError):
        raise ApiError(400, "{name} in the query is a time such as 2026-01-02T03:04:05Z", name=name) from None


def timestamp(at: Millis) -> str:
    """``2026-01-02T03:04:05.678Z``"""
    return datetime.fromtimestamp(at / SECOND, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def paging(request: AnyRequest) -> tuple[int, int]:
    """``(offset, limit)`` of the query. Raises ``ApiError``: 400."""
    limit = number_parameter(request, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
    return number_parameter(request, "offset", 0, 0, 2**31 - 1), limit


def page_links(request: AnyRequest, offset: int, limit: int, total: int) -> dict[str, dict[str, str]]:
    """``first``, ``previous`` and ``next``, as far as there are such pages; the rest of the query stays."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in ("limit", "offset")]
    base = str(request.url.with_replacements(query=""))

    def link(to: int) -> dict[str, str]:
        return {"href": f"{base}?{urlencode([*kept, ('limit', limit), ('offset', to)])}"}

    links = {"first": link(0)}
    if offset > 0:
        links["previous"] = link(max(0, offset - limit))
    if offset + limit < total:
        links["next"] = link(offset + limit)
    return links
