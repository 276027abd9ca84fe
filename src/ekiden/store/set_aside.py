"""Rows that cannot be read are set aside, and their neighbours go on.

A row is unreadable when a column of it is not what this program writes there: JSON that is none, a number that
stands for no state. It may come from a disk, from a hand in the database or from a fault of ours; it concerns one
row. Whoever makes values of rows does it through ``readable`` (many) or ``read`` (one): what cannot be
made is counted, told in the log, and left out, or raises ``Unreadable`` when it was all that was asked for.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import msgspec
import structlog

from ekiden.limits.loop_slices import in_turns
from ekiden.store.api import StoreError

log = structlog.get_logger()

T = TypeVar("T")
R = TypeVar("R")

UNREADABLE: Final = (ValueError, TypeError, KeyError, IndexError, AttributeError, msgspec.MsgspecError)
_EVERY: Final = 60.0  # seconds between two lines about one table
_told: dict[str, float] = {}

set_aside: Final[Counter[str]] = Counter()
"""How often a row of each table could not be read in this process, for metrics."""


class Unreadable(StoreError):
    """A row is there and cannot be read."""

    def __init__(self, table: str, key: object, why: str) -> None:
        super().__init__(f"a row of {table} cannot be read ({key}): {why}")
        self.table = table
        self.why = why


def readable(table: str, make: Callable[[R], T], rows: Iterable[R]) -> list[T]:
    """``make`` of each row, without those that cannot be read."""
    found: list[T] = []
    for row in rows:
        try:
            found.append(make(row))
        except UNREADABLE as error:
            noted(table, key_of(row), error)
    return found


async def readable_in_turns(table: str, make: Callable[[R], T], rows: Iterable[R]) -> list[T]:
    """As ``readable``, for a thousand rows: others get their turns in between."""
    return [found for one in await in_turns(lambda row: readable(table, make, (row,)), rows) for found in one]


def read(table: str, make: Callable[[R], T], row: R) -> T:
    """``make`` of the row; raises ``Unreadable``."""
    try:
        return make(row)
    except UNREADABLE as error:
        noted(table, key_of(row), error)
        raise Unreadable(table, key_of(row), what(error)) from error


def noted(table: str, key: object, error: BaseException) -> None:
    """Count a row that could not be read, and tell of it, but not of each of thousands."""
    set_aside[table] += 1
    now = time.monotonic()
    if now - _told.get(table, -_EVERY) >= _EVERY:
        _told[table] = now
        log.error("a row cannot be read and is set aside", table=table, row=key, why=what(error))


def what(error: BaseException) -> str:
    """What is wrong, without the contents of the row."""
    return f"{type(error).__name__}: {error}"[:200]


def key_of(row: Any) -> str:
    """What names the row, as far as it is known."""
    names = getattr(row, "_fields", None) or (row.keys() if hasattr(row, "keys") else ())
    wanted = ("account_id", "message_id", "endpoint_id", "domain_id", "id", "number", "name")
    values = row._mapping if hasattr(row, "_mapping") else row
    return " ".join(f"{name}={values[name]}" for name in wanted if name in names)
