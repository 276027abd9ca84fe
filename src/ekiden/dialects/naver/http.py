"""Reading requests and writing answers. What clients of this API are used to is taken (contract §0.12): explicit
nulls, members that nobody knows, numbers as texts and texts as numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin
from unicodedata import category
from urllib.parse import parse_qsl

import msgspec
from litestar import Response

from ekiden.core.clock import Millis
from ekiden.dialects.naver.errors import MEDIA_TYPE, ApiError, BadRequest
from ekiden.dialects.naver.times import parse_time, parse_utc
from ekiden.web.body import Body
from ekiden.web.problem import JSON
from ekiden.web.shape import EFFORT, read_shape

T = TypeVar("T")

LONGEST_PARAMETER: Final = 2_048
"""Characters of a parameter of the query."""
LONGEST_NUMBER: Final = 2**53
"""Numbers that every client can read: beyond them JavaScript's are not whole."""
Whole = Annotated[int, msgspec.Meta(ge=-1, le=LONGEST_NUMBER)]
"""A number in a body, such as a sid; -1 is the root of categories."""
_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}
_INDEX: Final = re.compile(r"\[[0-9]{0,3}\]\Z", re.ASCII)
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_WINDOW: Final = 262_144
_OVERLAP: Final = 64


async def read_json(body: Body, content_type: str, kind: type[T]) -> T:
    """The body as ``kind``, a Struct; no body at all is an empty object.

    A member that is null, or empty where it is no text, is one that is not there; one that ``kind`` does not have
    is ignored; numbers and truth values may be texts, and texts numbers. Raises ``ApiError``: 400, 415, and
    ``web.errors``.
    """
    text = await body.read_json()
    if text:
        check_media_type(content_type)
    return await decode_json(body, text, kind)


async def decode_json(body: Body, text: bytes | bytearray, kind: type[T]) -> T:
    """``read_json`` of a text that is here: the body, or what is left of it."""
    given = b"{}" if len(text) <= 4 and bytes(text) in (b"", b"null") else text
    made = await body.work(len(given), partial(_decoded, given, kind))
    if made is None:
        made = await body.work(EFFORT * len(given), partial(decode_tolerant, given, kind))
    return made


def check_media_type(content_type: str, wanted: str = JSON) -> None:
    """Raises the 415 of another one; what says nothing of itself is taken for what it should be."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type and media_type != wanted:
        raise ApiError(415, "the request body must be {wanted}", code=MEDIA_TYPE, wanted=wanted)


def _decoded(text: bytes | bytearray, kind: type[T]) -> T | None:
    """``None``: it does not have the shape as it is. Raises the 400 of what is no JSON."""
    check_characters(text)
    try:
        return msgspec.json.decode(text, type=kind, strict=False)
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("the request body is not JSON: {why}", why=str(error)) from None


def decode_tolerant(text: bytes | bytearray, kind: type[T]) -> T:
    """Member by member. Raises the 400 that says what is wrong first."""
    try:
        plain = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("the request body is not JSON: {why}", why=str(error)) from None
    lenient = _lenient(plain, kind)
    try:
        return msgspec.convert(lenient, kind)
    except msgspec.ValidationError as error:
        first = next((problem for problem in read_shape(lenient, kind).problems if problem.kind != "unknown"), None)
        if first is None or not first.path:
            raise BadRequest(
                "the request body does not have the expected form: {why}", why=str(error)[:500]
            ) from None
        if first.kind == "missing":
            raise BadRequest("{field} is missing", field=first.path) from None
        raise BadRequest("{field} has an unexpected value: {why}", field=first.path, why=first.why) from None


def _lenient(value: Any, kind: Any) -> Any:
    """``value`` with what a client may write otherwise put right, as far as ``kind`` has types of its own."""
    choices = _choices(kind)
    struct = next((of for of in choices if isinstance(of, type) and issubclass(of, msgspec.Struct)), None)
    if struct is not None and isinstance(value, dict):
        members = {member.encode_name: member.type for member in msgspec.structs.fields(struct)}
        put_right = {name: _lenient(item, members[name]) for name, item in value.items() if name in members}
        return {name: item for name, item in put_right.items() if item is not None}
    listed = next((of for of in choices if get_origin(of) in (list, tuple)), None)
    if listed is not None and isinstance(value, list):
        of = get_args(listed)[0]
        return [_lenient(item, of) for item in value if item is not None]
    if str in choices:
        return msgspec.json.encode(value).decode() if isinstance(value, (int, float)) else value
    if isinstance(value, (str, int, float)):
        given = value.strip() if isinstance(value, str) else value
        if given == "" and any(choice in (int, float, bool) for choice in choices):
            return None
        for choice in choices:
            if choice in (int, float, bool):
                with suppress(msgspec.ValidationError):
                    return msgspec.convert(given, choice, strict=False)
    return value


def _choices(kind: Any) -> tuple[Any, ...]:
    """The types of a union, without their constraints."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        return tuple(choice for part in get_args(kind) for choice in _choices(part))
    return (kind,)


def is_letter(char: str) -> bool:
    """A letter or a digit of any script, or a mark that is written with one, as vowels of Hindi and Thai are."""
    return char.isalnum() or category(char).startswith("M")


def check_characters(text: bytes | bytearray) -> None:
    """NUL can be stored nowhere. In windows: one call must not look through megabytes while nobody else runs."""
    if b"\\u0000" not in text:
        return
    for at in range(0, len(text), _WINDOW):
        if _NUL.search(text, max(0, at - _OVERLAP), at + _WINDOW) is not None:
            raise BadRequest("the request body must not have the character U+0000")


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """A JSON answer."""
    return Response(msgspec.json.encode(value), status_code=status, media_type=JSON, headers=dict(headers or {}))


class Query:
    """The parameters of a request, which were counted before (``web.query``). A parameter that is empty is one that
    is not there; ``name[]`` and ``name[0]``, as PHP writes lists, are ``name``. Each method raises the 400 of what
    cannot be."""

    __slots__ = ("_values",)

    def __init__(self, query: bytes) -> None:
        """``query`` as it is on the wire."""
        text = query.decode("utf-8", "replace")
        self._values: dict[str, list[str]] = {}
        for name, value in parse_qsl(text, errors="replace"):
            self._values.setdefault(_INDEX.sub("", name), []).append(value)

    def texts(self, name: str, most: int = 100) -> Sequence[str]:
        """All values, of a parameter that may be repeated."""
        found = self._values.get(name, [])
        if len(found) > most:
            raise BadRequest("{name} is given more than {most} times", name=name, most=most)
        for value in found:
            if len(value) > LONGEST_PARAMETER or "\0" in value:
                raise BadRequest("{name} cannot have that value", name=name)
        return found

    def text(self, name: str) -> str | None:
        """The first value."""
        return next(iter(self.texts(name)), None)

    def needed(self, name: str) -> str:
        """One that must be there."""
        found = self.text(name)
        if found is None:
            raise BadRequest("{field} is missing", field=name)
        return found

    def number(self, name: str, default: int, lowest: int, highest: int) -> int:
        """A whole number."""
        found = self.text(name)
        if found is None:
            return default
        if not (found.isascii() and found.isdecimal() and len(found) <= 16 and lowest <= int(found) <= highest):
            raise BadRequest(
                "{name} must be a whole number from {lowest} to {highest}",
                name=name,
                lowest=lowest,
                highest=highest,
            )
        return int(found)

    def number_or_none(self, name: str) -> int | None:
        """A whole number, such as a sid."""
        return None if self.text(name) is None else self.number(name, 0, 0, LONGEST_NUMBER)

    def flag(self, name: str) -> bool | None:
        """``true`` or ``false``; 1 or 0, as PHP writes truth values into a query."""
        found = self.text(name)
        if found is None:
            return None
        flag = _FLAGS.get(found.lower())
        if flag is None:
            raise BadRequest("{name} must be true or false", name=name)
        return flag

    def moment(self, kind: str) -> Millis | None:
        """``startUtc`` or ``startDateTime`` for ``start``, the same for ``end``; the former goes first."""
        utc, local = self.text(f"{kind}Utc"), self.text(f"{kind}DateTime")
        try:
            if utc is not None:
                return parse_utc(utc)
            return None if local is None else parse_time(local, end=kind == "end")
        except (ValueError, OverflowError):
            name = f"{kind}Utc" if utc is not None else f"{kind}DateTime"
            raise BadRequest(
                "{name} is not a time such as {example}", name=name, example=_EXAMPLES[name[-3:]]
            ) from None

    def period(self, *, needed: bool) -> tuple[Millis | None, Millis | None]:
        """From and until when, both of which belong to it; ``needed``: both must be there."""
        start, end = self.moment("start"), self.moment("end")
        if needed and start is None:
            raise BadRequest("{one} or {other} is needed", one="startUtc", other="startDateTime")
        if needed and end is None:
            raise BadRequest("{one} or {other} is needed", one="endUtc", other="endDateTime")
        if start is not None and end is not None and start > end:
            raise BadRequest("the period ends before it begins")
        return start, end


_EXAMPLES: Final = {"Utc": "1542694793240", "ime": "2018-11-20 15:19"}
