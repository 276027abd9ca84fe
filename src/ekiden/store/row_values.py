"""Values of rows: whose fields are called as the columns are, so that each is named once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def value_of(kind: Callable[..., T], row: Any, /, **members: Any) -> T:
    """A dataclass or named tuple: ``members``, and the columns of ``row`` that its other fields are named for.

    Fields that begin as empty lists are filled by whoever asked.
    """
    for name in _names(kind):
        if name not in members:
            members[name] = getattr(row, name)
    return kind(**members)


@cache
def _names(kind: Any) -> tuple[str, ...]:
    if issubclass(kind, tuple):
        return tuple(kind._fields)
    return tuple(field.name for field in fields(kind) if field.default_factory is MISSING)
