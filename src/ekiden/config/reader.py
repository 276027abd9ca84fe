"""From raw values, as TOML has them, to typed ones, collecting everything that is wrong on the way.

Types that a configuration Struct may use: ``str``, ``int``, ``float``, ``bool``, ``Duration``, ``Literal``, other
Structs, ``list``/``tuple[X, ...]`` of these, ``dict[str, X]`` and ``X | None``. Bounds come from ``msgspec.Meta``.
"""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from ekiden.config.translations import TEXTS
from ekiden.core.duration import parse_duration
from ekiden.core.language import Language

T = TypeVar("T")
Path = tuple[str | int, ...]

_BAD: Any = object()


class Problem(NamedTuple):
    """One thing that is wrong: the key (or the variable) that has it, and the sentence about it."""

    key: str
    template: str
    values: Mapping[str, Any]

    def text(self, lang: Language) -> str:
        return f"{self.key}: {TEXTS(self.template, lang, **self.values)}"


@dataclass
class Problems:
    """Collects. ``variables`` tells which settings came from the environment, to name them as they were given."""

    found: list[Problem] = field(default_factory=list)
    variables: dict[Path, str] = field(default_factory=dict)

    def add(self, path: Path, template: str, **values: Any) -> None:
        self.found.append(Problem(self.name(path), template, values))

    def name(self, path: Path) -> str:
        for length in range(len(path), 0, -1):
            variable = self.variables.get(path[:length])
            if variable is not None:
                rest = key_text(path[length:])
                return f"{variable} ({rest})" if rest else variable
        return key_text(path)


def key_text(path: Path) -> str:
    """``listeners[0].mode``"""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def show(value: Any) -> str:
    """A value as it stands in TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {show(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(show(item) for item in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def unwrap(annotation: Any) -> tuple[Any, msgspec.Meta | None, bool]:
    """``(type without wrappers, its Meta, may be None)``."""
    meta: msgspec.Meta | None = None
    optional = False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *rest = get_args(annotation)
            # The last one is the outermost, of whoever narrowed the type further.
            meta = next((item for item in reversed(rest) if isinstance(item, msgspec.Meta)), meta)
        elif origin in (Union, types.UnionType) and type(None) in get_args(annotation):
            optional = True
            others = [item for item in get_args(annotation) if item is not type(None)]
            annotation = others[0] if len(others) == 1 else Union[tuple(others)]  # noqa: UP007
        else:
            return annotation, meta, optional


def is_struct(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, msgspec.Struct)


def is_duration(meta: msgspec.Meta | None) -> bool:
    return meta is not None and (meta.extra or {}).get("unit") == "duration"


@cache
def field_types(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The keys of a Struct with their types, wrappers included, in the order of definition."""
    hints = get_type_hints(struct, include_extras=True)
    return {info.name: hints[info.name] for info in msgspec.structs.fields(struct)}


def read_struct(struct: type[T], raw: Any, path: Path, problems: Problems) -> T:
    """The Struct from a table of raw values. On problems the result is of no use; they are in ``problems``."""
    if not isinstance(raw, Mapping):
        problems.add(path, "{value} is not a table", value=show(raw))
        return _BAD  # type: ignore[no-any-return]
    known = field_types(struct)  # type: ignore[arg-type]
    for key in raw:
        if key not in known:
            unknown_key(key, list(known), (*path, key), problems)
    values: dict[str, Any] = {}
    for info in msgspec.structs.fields(struct):  # type: ignore[arg-type]
        if info.name in raw:
            values[info.name] = read_value(known[info.name], raw[info.name], (*path, info.name), problems)
        elif info.required:
            problems.add((*path, info.name), "is missing")
            values[info.name] = _BAD
    if any(value is _BAD for value in values.values()):
        # Construct what can be, so that checks across keys see the good ones.
        values = {key: value for key, value in values.items() if value is not _BAD}
        if any(info.required and info.name not in values for info in msgspec.structs.fields(struct)):  # type: ignore[arg-type]
            return _BAD  # type: ignore[no-any-return]
    try:
        return struct(**values)
    except (TypeError, ValueError) as error:
        problems.add(path, "{error}", error=error)
        return _BAD  # type: ignore[no-any-return]


def is_bad(value: Any) -> bool:
    """Whether reading this value failed."""
    return value is _BAD


def unknown_key(key: str, known: list[str], path: Path, problems: Problems) -> None:
    """A key that is none of ``known`` is a problem, told with the one that may be meant."""
    close = difflib.get_close_matches(key, known, n=1)
    if close:
        problems.add(path, "unknown key; did you mean {guess}?", guess=show(close[0]))
    else:
        problems.add(path, "unknown key; allowed are {allowed}", allowed=_list(known))


def _list(values: Any) -> str:
    return ", ".join(show(value) for value in values)


def read_value(annotation: Any, raw: Any, path: Path, problems: Problems) -> Any:
    """One value of the type ``annotation``."""
    kind, meta, optional = unwrap(annotation)
    if raw is None and optional:
        return None
    if is_duration(meta):
        try:
            return _bounded(parse_duration(raw), raw, meta, path, problems)
        except (ValueError, TypeError, AttributeError):
            problems.add(
                path,
                "{value} is not a duration; allowed are texts such as {examples}, or seconds",
                value=show(raw),
                examples='"90s", "5m", "1h", "5d"',
            )
            return _BAD
    if is_struct(kind):
        return read_struct(kind, raw, path, problems)
    origin = get_origin(kind)
    if origin is Literal:
        allowed = get_args(kind)
        if raw in allowed and not isinstance(raw, bool):
            return raw
        problems.add(path, "{value} is not allowed; allowed are {allowed}", value=show(raw), allowed=_list(allowed))
        return _BAD
    if origin in (list, tuple, frozenset):
        if isinstance(raw, str) and meta is not None and (meta.extra or {}).get("one_or_list"):
            raw = [item for item in raw.replace(",", " ").split() if item]
        return _sequence(kind, origin, raw, path, problems)
    if origin is dict:
        return _table(kind, raw, path, problems)
    return _scalar(kind, meta, raw, path, problems)


def _sequence(kind: Any, origin: Any, raw: Any, path: Path, problems: Problems) -> Any:
    if not isinstance(raw, list | tuple):
        problems.add(path, "{value} is not a list, which is written as [{value}]", value=show(raw))
        return _BAD
    item_type = get_args(kind)[0]
    items = [read_value(item_type, item, (*path, index), problems) for index, item in enumerate(raw)]
    return origin(item for item in items if item is not _BAD)


def _table(kind: Any, raw: Any, path: Path, problems: Problems) -> Any:
    if not isinstance(raw, Mapping):
        problems.add(path, "{value} is not a table", value=show(raw))
        return _BAD
    item_type = get_args(kind)[1]
    items = {key: read_value(item_type, item, (*path, key), problems) for key, item in raw.items()}
    return {key: item for key, item in items.items() if item is not _BAD}


_WANTED = {str: "{value} is not a text", int: "{value} is not a whole number", float: "{value} is not a number"}


def _scalar(kind: Any, meta: msgspec.Meta | None, raw: Any, path: Path, problems: Problems) -> Any:
    if kind is Any:
        return raw
    if kind is bool:
        if isinstance(raw, bool):
            return raw
        problems.add(path, "{value} is not allowed; allowed are {allowed}", value=show(raw), allowed="true, false")
        return _BAD
    good = isinstance(raw, kind) or (kind is float and isinstance(raw, int))
    if not good or isinstance(raw, bool):
        problems.add(path, _WANTED.get(kind, "{value} is not allowed here"), value=show(raw))
        return _BAD
    return _bounded(kind(raw), raw, meta, path, problems)


def _bounded(value: Any, raw: Any, meta: msgspec.Meta | None, path: Path, problems: Problems) -> Any:
    if meta is None:
        return value
    if (meta.ge is not None and value < meta.ge) or (meta.gt is not None and value <= meta.gt):
        low = meta.ge if meta.ge is not None else meta.gt
        problems.add(path, "{value} is too small; the least allowed is {bound}", value=show(raw), bound=low)
        return _BAD
    if (meta.le is not None and value > meta.le) or (meta.lt is not None and value >= meta.lt):
        high = meta.le if meta.le is not None else meta.lt
        problems.add(path, "{value} is too large; the most allowed is {bound}", value=show(raw), bound=high)
        return _BAD
    return value
