"""Settings that are given as variables of the environment: ``EKIDEN_A__B`` is the key ``a.b``."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

import msgspec

from ekiden.config.reader import Path, Problem, Problems, field_types, is_duration, is_struct, unknown_key, unwrap

_PREFIX = "EKIDEN_"
_NO_SETTINGS = frozenset({"EKIDEN_CONFIG", "EKIDEN_LANG"})
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


def apply_environment(
    struct: type[msgspec.Struct], raw: dict[str, Any], environ: Mapping[str, str], problems: Problems
) -> bool:
    """Put ``EKIDEN_A__B`` into ``raw`` as ``a.b``; ``True`` when there was one.

    A variable without ``__`` that is like no key is somebody else's (an orchestrator may set ``EKIDEN_PORT`` for a
    service of that name); one that looks like a slip of the pen is a problem.
    """
    used = False
    for variable in sorted(environ):
        if not variable.startswith(_PREFIX) or variable in _NO_SETTINGS:
            continue
        parts = variable[len(_PREFIX) :].lower().split("__")
        known = list(field_types(struct))
        if len(parts) == 1 and parts[0] not in known and not difflib.get_close_matches(parts[0], known, 1, 0.8):
            continue
        used = True
        _apply(struct, raw, (), parts, variable, environ[variable], problems)
    return used


def _apply(
    annotation: Any, node: Any, path: Path, parts: list[str], variable: str, text: str, problems: Problems
) -> None:
    """Go one step down from ``node``, which has the type ``annotation``."""
    kind, _, _ = unwrap(annotation)
    part, rest = parts[0], parts[1:]
    if is_struct(kind) and isinstance(node, dict):
        types_here = field_types(kind)
        if part not in types_here:
            problems.variables[(*path, part)] = variable
            unknown_key(part, list(types_here), (*path, part), problems)
            return
        key: str | int = part
        inner = types_here[part]
    elif get_origin(kind) in (list, tuple) and isinstance(node, list) and part.isdecimal():
        inner = get_args(kind)[0]
        key = int(part)
        if key > len(node):
            problems.found.append(
                Problem(variable, "there are only {count} entries before it", {"count": len(node)})
            )
            return
        if key == len(node):
            node.append({} if is_struct(unwrap(inner)[0]) else "")
    elif get_origin(kind) is dict and isinstance(node, dict):
        inner, key = get_args(kind)[1], part
    else:
        problems.found.append(Problem(variable, "there is no such setting", {}))
        return
    if rest:
        inner_kind = unwrap(inner)[0]
        fresh: Any = [] if get_origin(inner_kind) in (list, tuple) else {}
        child = node.setdefault(key, fresh) if isinstance(node, dict) else node[key]
        _apply(inner, child, (*path, key), rest, variable, text, problems)
    else:
        problems.variables[(*path, key)] = variable
        node[key] = _from_text(inner, text)


def _from_text(annotation: Any, text: str) -> Any:
    """The raw value that a variable's text stands for, given the type that is wanted."""
    kind, meta, _ = unwrap(annotation)
    if is_duration(meta) or kind is str:
        return text
    if kind is bool:
        lowered = text.strip().lower()
        return True if lowered in _TRUE else False if lowered in _FALSE else text
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            return text
    if get_origin(kind) is Literal:
        return int(text) if text.isdecimal() and int(text) in get_args(kind) else text
    for parse in (json.loads, lambda value: tomllib.loads(f"v = {value}")["v"]):
        try:
            return parse(text)
        except ValueError:
            continue
    if get_origin(kind) in (list, tuple):
        return [_from_text(get_args(kind)[0], item.strip()) for item in text.split(",") if item.strip()]
    return text
