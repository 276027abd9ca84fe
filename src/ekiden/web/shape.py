"""What is wrong with the shape of a JSON body, all of it: the decoder stops at the first thing.

Only asked once the decoder has refused a body, which may be one of a hundred thousand values: what is right is left
to the decoder as a whole, and what comes behind ``MOST_PROBLEMS`` is not looked at. What comes out besides is the
body as far as it can be used, so that the values that are there can be checked, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

MOST_PROBLEMS: Final = 100
"""That anybody is told of; who sends more learns the rest from the next answer."""
EFFORT: Final = 8
"""Times as long as to decode a body: from an eighth of ``web.body.LARGE`` on it is a thread's work."""
LONGEST_NAME: Final = 100
"""Characters of an unknown member's name that are told: it may be as long as the body."""
_LONGEST_WHY: Final = 500
_GUESSED: Final = 40
"""Characters of a name that something like it is looked for: that takes time by their square."""
_ALIKE: Final = 0.7
_DROPPED: Final = object()


@dataclass(frozen=True, slots=True)
class Problem:
    """``path`` as in ``messages[0].to``; empty: the body itself. ``why``: the decoder's words. ``meant``: the name
    that an unknown member may be a slip for."""

    path: str
    kind: Literal["missing", "unknown", "type"]
    why: str
    meant: str = ""


@dataclass(slots=True)
class Shape:
    """One reading. ``value`` has the members that are right, and nothing in the place of those that are needed, and
    of elements: each is where it was. ``full``: there were too many problems to read the rest."""

    value: Any = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def full(self) -> bool:
        return len(self.problems) >= MOST_PROBLEMS


def read_shape(value: Any, kind: Any) -> Shape:
    """``value``: plain, as decoded without a type. ``kind``: a type of structs, lists and single values."""
    shape = Shape()
    found = _Reader(shape).read(value, kind, "")
    shape.value = _empty(kind) if found is _DROPPED else found
    return shape


def alike(name: str, known: Any) -> str:
    """The one of ``known`` that ``name`` may be a slip for; empty: none."""
    return next(iter(get_close_matches(name[:_GUESSED], known, 1, _ALIKE)), "")


class _Reader:
    def __init__(self, shape: Shape) -> None:
        self._shape = shape

    def read(self, value: Any, kind: Any, path: str) -> Any:
        try:
            msgspec.convert(value, kind)
            return value
        except msgspec.ValidationError as error:
            why = str(error)[:_LONGEST_WHY]  # it may quote the body
        return self._misshapen(value, kind, path, why.partition(" - at `$")[0])

    def _misshapen(self, value: Any, kind: Any, path: str, why: str) -> Any:
        known = len(self._shape.problems)
        plain, found = _plain(kind, value), _DROPPED
        if isinstance(plain, type) and issubclass(plain, msgspec.Struct) and isinstance(value, dict):
            found = self._struct(value, plain, path)
        elif get_origin(plain) in (list, tuple) and isinstance(value, list):
            found = self._list(value, get_args(plain)[0], path)
        if len(self._shape.problems) > known or self._shape.full:
            return found
        self._note(Problem(path, "type", why))
        return _DROPPED

    def _list(self, value: list[Any], kind: Any, path: str) -> list[Any]:
        found = []
        for number, item in enumerate(value):
            read = self.read(item, kind, f"{path}[{number}]")
            if self._shape.full:
                break
            found.append(_empty(kind) if read is _DROPPED else read)
        return found

    def _struct(self, value: dict[str, Any], kind: type[msgspec.Struct], path: str) -> dict[str, Any]:
        members = {member.encode_name: member for member in msgspec.structs.fields(kind)}
        for name in value:
            if self._shape.full:
                break  # to guess what was meant takes its time
            if name not in members:
                told = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
                why = f"Object contains unknown field `{told}`"
                self._note(Problem(_below(path, told), "unknown", why, alike(name, members)))
        found = {}
        for name, member in members.items():
            read = self.read(value[name], member.type, _below(path, name)) if name in value else _DROPPED
            if read is not _DROPPED:
                found[name] = read
            elif member.required:
                if name not in value:
                    self._note(Problem(_below(path, name), "missing", f"Object missing required field `{name}`"))
                found[name] = _empty(member.type)
        return found

    def _note(self, problem: Problem) -> None:
        if not self._shape.full:
            self._shape.problems.append(problem)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _plain(kind: Any, value: Any) -> Any:
    """Without its constraints; of several types the one that fits the value's."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        choices = [_plain(choice, value) for choice in get_args(kind) if choice is not NoneType]
        wanted = list if isinstance(value, list) else dict
        fitting = [of for of in choices if (get_origin(of) in (list, tuple)) == (wanted is list)]
        return (fitting or choices)[0]
    return kind


def _empty(kind: Any) -> Any:
    """What stands for a value that is needed and not there."""
    plain = _plain(kind, None)
    if isinstance(plain, type) and issubclass(plain, msgspec.Struct):
        return {of.encode_name: _empty(of.type) for of in msgspec.structs.fields(plain) if of.required}
    return [] if get_origin(plain) in (list, tuple) else ""
