"""Reading requests and writing answers, in the ways of Infobip's APIs."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, Final, TypeVar

import msgspec
from litestar import Response
from litestar.exceptions import InternalServerException

from ekiden.core.clock import Millis
from ekiden.dialects.infobip import fields
from ekiden.dialects.infobip.errors import JSON, AnyRequest, ApiError, Violation
from ekiden.dialects.infobip.fields import BadField
from ekiden.dialects.infobip.times import parse_time

T = TypeVar("T")

MAX_JSON: Final = 1_048_576
"""Octets of a JSON body that carries no mail."""
MAX_LIMIT: Final = 1_000
DEFAULT_LIMIT: Final = 50
MAX_PARAMETER: Final = 2_048
"""Characters of a parameter (contract §3.4)."""

# A key with blanks at its end, such as the "clientPriority " of one official client (contract §0.4).
_BLANK_KEY: Final = re.compile(rb'[ \t]"[ \t\r\n]*:')
_MSGSPEC: Final = re.compile(r"(?P<why>.*?)(?: - at `\$(?P<path>.*)`)?\Z", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(.*)`\Z", re.DOTALL)
_WRONG_TYPE: Final = re.compile(r"Expected `(?P<wanted>[^`]*)`, got `(?P<got>[^`]*)`\Z")
_TOO_SHORT: Final = re.compile(r"Expected `str` of length >= 1\Z")


async def body_chunks(request: AnyRequest, most: int) -> AsyncIterator[bytes]:
    """The body as it comes. Raises ``ApiError``: larger than ``most`` octets, or not complete."""
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > most:
                raise ApiError.because(400, "the body is larger than {most} octets", most=most)
            yield chunk
    except InternalServerException:  # what Litestar makes of a client that goes away
        raise ApiError.because(400, "the body is not complete") from None


async def read_body(request: AnyRequest, most: int = MAX_JSON) -> bytes:
    """The whole body. Raises ``ApiError``: 400."""
    return b"".join([chunk async for chunk in body_chunks(request, most)])


async def read_json(request: AnyRequest, kind: type[T], most: int = MAX_JSON) -> T:
    """The body as ``kind``. Raises the 400 that names the member in the wrong."""
    body = await read_body(request, most)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type and media_type != JSON and not media_type.endswith("+json"):
        raise ApiError.because(400, "the body must be JSON")
    return decode_json(body, kind)


def decode_json(body: bytes, kind: type[T]) -> T:
    """Blanks around keys do not count. Raises the 400 that names the member in the wrong."""
    try:
        if _BLANK_KEY.search(body) is None:
            return msgspec.json.decode(body, type=kind)
        return msgspec.convert(_stripped(msgspec.json.decode(body)), kind)
    except msgspec.ValidationError as error:
        raise ApiError(400, (violation_of(error),)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError.because(400, "the body is not JSON: {why}", why=str(error)) from None


def _stripped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key.strip(): _stripped(of) for key, of in value.items()}
    if isinstance(value, list):
        return [_stripped(of) for of in value]
    return value


def violation_of(error: msgspec.ValidationError) -> Violation:
    """What the decoder found, as path and sentence: ``$.messages[0]`` without ``to`` is ``messages[0].to``."""
    match = _MSGSPEC.match(str(error))
    why, path = (match["why"], match["path"] or "") if match else (str(error), "")
    path = path.removeprefix(".")
    missing = _MISSING.match(why)
    if missing is not None:
        return Violation(f"{path}.{missing[1]}" if path else missing[1], "must not be null")
    path = path or "request"
    if _TOO_SHORT.match(why):
        return Violation(path, "must not be blank")
    wrong = _WRONG_TYPE.match(why)
    if wrong is not None and wrong["got"] == "null":
        return Violation(path, "must not be null")
    return Violation(path, "must be of another type: {why}", {"why": why})


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    """A JSON answer."""
    return Response(msgspec.json.encode(value), status_code=status, media_type=JSON, headers=headers)


def empty(status: int = 204) -> Response[Any]:
    """An answer without a body: 204, or the 202 of verifications."""
    return Response(b"", status_code=status)


class Query:
    """The parameters of a request, read with a note of what is wrong. Names match exactly; empty is not given."""

    def __init__(self, request: AnyRequest, checks: fields.Checks) -> None:
        self._parameters = request.query_params
        self._checks = checks

    def line(self, name: str, longest: int = 255) -> str:
        """A text; empty: not given."""
        return self._checks.take(name, lambda value: fields.line(value, longest).strip(), self._one(name), "")

    def required(self, name: str, longest: int = 255) -> str:
        """A text that has to be there."""
        if self._one(name) is None:
            self._checks.add(name, "must not be null")
        return self.line(name, longest)

    def lines(self, name: str, longest: int = 255) -> tuple[str, ...]:
        """Several texts: the parameter repeated, or with commas between, or both (contract §3.4)."""
        found: list[str] = []
        for given in self._parameters.getall(name, []):
            if len(str(given)) > MAX_PARAMETER:
                self._checks.add(
                    name, "size must be between {lowest} and {highest}", lowest=0, highest=MAX_PARAMETER
                )
                continue
            for part in str(given).split(","):
                if part.strip():
                    found.append(
                        self._checks.take(name, lambda value: fields.line(value, longest).strip(), part, "")
                    )
        return tuple(dict.fromkeys(found))

    def number(self, name: str, default: int, lowest: int, highest: int) -> int:
        """A whole number within bounds."""
        return self._checks.take(name, lambda value: fields.whole(value, lowest, highest), self._one(name), default)

    def limit(self) -> int:
        """``limit``: 50, or up to 1,000 (contract §3.3)."""
        return self.number("limit", DEFAULT_LIMIT, 1, MAX_LIMIT)

    def boolean(self, name: str, default: bool = False) -> bool:
        """``true``, ``True`` and so on."""
        return self._checks.take(name, fields.boolean, self._one(name), default)

    def time(self, name: str) -> Millis | None:
        """A time; ``None``: not given."""
        return self._checks.take(name, _time, self._one(name), None)

    def choice(self, name: str, known: tuple[str, ...]) -> str:
        """One of a few words; empty: not given."""
        return self._checks.take(name, lambda value: fields.choice(value, known), self._one(name), "")

    def _one(self, name: str) -> str | None:
        value: str | None = self._parameters.get(name)
        return value if value is not None and value.strip() else None


def _time(value: str) -> Millis:
    try:
        return parse_time(value)
    except ValueError:
        raise BadField("must be a time such as 2025-12-01T12:00:00.000Z") from None
