"""Reading requests and writing answers, in the ways of Infobip's APIs."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from litestar import Response

from ekiden.core.clock import Millis
from ekiden.dialects.infobip import value_rules as fields
from ekiden.dialects.infobip.errors import ApiError, Violation
from ekiden.dialects.infobip.times import parse_time
from ekiden.dialects.infobip.value_rules import BadField
from ekiden.web.body import Body
from ekiden.web.problem import JSON, AnyRequest
from ekiden.web.query import check_query
from ekiden.web.shape import EFFORT, Problem, read_shape

T = TypeVar("T")

MAX_LIMIT: Final = 1_000
DEFAULT_LIMIT: Final = 50
MAX_PARAMETER: Final = 2_048
"""Characters of a parameter (contract §3.4)."""

# A key with blanks at its end, such as the "clientPriority " of one official client (contract §0.4).
_BLANK_KEY: Final = re.compile(rb'[ \t]"[ \t\r\n]*:')
_WINDOW: Final = 262_144
_OVERLAP: Final = 64
_MSGSPEC: Final = re.compile(r"(?P<why>.*?)(?: - at `\$(?P<path>.*)`)?\Z", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(.*)`\Z", re.DOTALL)
_WRONG_TYPE: Final = re.compile(r"Expected `(?P<wanted>[^`]*)`, got `(?P<got>[^`]*)`\Z")
_TOO_SHORT: Final = re.compile(r"Expected `str` of length >= 1\Z")


async def read_json(body: Body, content_type: str, kind: type[T], checks: fields.Checks) -> T:
    """The body as ``kind``, as far as it has that shape; what is wrong with it is noted, all of it.

    Raises the 400 of what is no JSON, or nothing like ``kind``, and ``web.errors``.
    """
    text = await body.read_json()
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type and media_type != JSON and not media_type.endswith("+json"):
        raise ApiError.because(400, "the body must be JSON")
    made = await body.work(len(text), partial(_decoded, text, kind))
    if made is None:
        made = await body.work(EFFORT * len(text), partial(_misshapen, text, kind, checks))
    return made


def decode_json(body: bytes | bytearray, kind: type[T]) -> T:
    """Blanks around keys do not count. Raises the 400 that names all that is wrong.

    What comes from outside was counted before (``web.json_gauge``).
    """
    made = _decoded(body, kind)
    return _misshapen(body, kind) if made is None else made


def _decoded(body: bytes | bytearray, kind: type[T]) -> T | None:
    """``None``: it has not the shape. Raises the 400 of what is no JSON."""
    try:
        if not _has_blank_key(body):
            return msgspec.json.decode(body, type=kind)
        return msgspec.convert(_stripped(_plain(body)), kind)
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _no_json(error) from None


def _plain(body: bytes | bytearray) -> Any:
    # Whoever finds the first thing that does not fit ends there: what is behind that need not even be JSON.
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _no_json(error) from None


def _no_json(error: Exception) -> ApiError:
    return ApiError.because(400, "the body is not JSON: {why}", why=str(error))


def _misshapen(body: bytes | bytearray, kind: type[T], checks: fields.Checks | None = None) -> T:
    shape = read_shape(_stripped(_plain(body)), kind)
    violations = [_violation(problem) for problem in shape.problems]
    try:
        made = msgspec.convert(shape.value, kind)
    except msgspec.ValidationError as error:
        raise ApiError(400, violations or (violation_of(error),)) from None
    if checks is None or not violations or shape.full or any(not problem.path for problem in shape.problems):
        raise ApiError(400, violations)
    checks.misshapen(violations)
    return made


def _violation(problem: Problem) -> Violation:
    if problem.kind == "missing":
        return Violation(problem.path, fields.MISSING)
    if problem.kind == "unknown":
        if problem.meant:
            return Violation(
                problem.path, "is not a field of this request; did you mean {name}?", {"name": problem.meant}
            )
        return Violation(problem.path, "is not a field of this request")
    place = f" - at `$.{problem.path}`" if problem.path else ""
    return violation_of(msgspec.ValidationError(problem.why + place))


def _has_blank_key(body: bytes | bytearray) -> bool:
    # In windows: one call must not look through megabytes while nobody else runs.
    return any(
        _BLANK_KEY.search(body, max(0, at - _OVERLAP), at + _WINDOW) is not None
        for at in range(0, len(body), _WINDOW)
    )


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
        """Raises ``web.errors`` for more than anybody asks."""
        check_query(request)
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
