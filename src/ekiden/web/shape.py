"""What is wrong with the shape of a JSON body, all of it: the decoder stops at the first thing.

Only asked once the decoder has refused a body, so it may take its time; the body was bounded before. What comes
out besides is the body as far as it can be used, so that the values that are there can be checked, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

MOST_PROBLEMS: Final = 100
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
    """One reading. ``value`` has the members that are right, and nothing in the place of those that are needed."""

    value: Any = None
    problems: list[Problem] = field(default_factory=list)


def read_shape(value: Any, kind: Any) -> Shape:
    """``value``: plain, as decoded without a type. ``kind``: a type of structs, lists and single values."""
    shape = Shape()
    found = _Reader(shape.problems).read(value, kind, "")
    shape.value = _empty(kind) if found is _DROPPED else found
    return shape


def alike(name: str, known: Any) -> str:
    """The one of ``known`` that ``name`` may be a slip for; empty: none."""
    return next(iter(get_close_matches(name[:_GUESSED], known, 1, _ALIKE)), "")


class _Reader:
    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems

    def read(self, value: Any, kind: Any, path: str) -> Any:
        plain = _plain(kind, value)
        if isinstance(plain, type) and issubclass(plain, msgspec.Struct) and isinstance(value, dict):
            return self._struct(value, plain, path)
        if get_origin(plain) in (list, tuple) and isinstance(value, list):
            of = get_args(plain)[0]
            read = (self.read(item, of, f"{path}[{number}]") for number, item in enumerate(value))
            value = [item for item in read if item is not _DROPPED]
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            if not any(problem.path.startswith(path) for problem in self._problems) or not path:
                self._note(Problem(path, "type", str(error).partition(" - at `$")[0]))
            return _DROPPED
        return value

    def _struct(self, value: dict[str, Any], kind: type[msgspec.Struct], path: str) -> dict[str, Any]:
        members = {member.encode_name: member for member in msgspec.structs.fields(kind)}
        for name in value:
            if len(self._problems) >= MOST_PROBLEMS:
                break  # to guess what was meant takes its time
            if name not in members:
                why = f"Object contains unknown field `{name}`"
                self._note(Problem(_below(path, name), "unknown", why, alike(name, members)))
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
        if len(self._problems) < MOST_PROBLEMS:
            self._problems.append(problem)


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
