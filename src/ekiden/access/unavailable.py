"""Look-ups that a client waits for, bounded in time; and what says that the store is away, for rooms above."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from ekiden.store.api import Connection, Store, StoreUnavailable

__all__ = ["LOOKUP_TIMEOUT", "StoreUnavailable", "in_time", "looking_up"]

T = TypeVar("T")

LOOKUP_TIMEOUT: Final = 10.0
"""Seconds. A few rows by their keys take milliseconds."""


async def in_time(found: asyncio.Future[T]) -> T:
    """What several clients wait for, each for as long as it may: who comes while a query of a store that stands
    still is under way would wait for that one and then for its own. It goes on without those who give up. Raises
    ``StoreUnavailable``, or what it raises.
    """
    await asyncio.wait([found], timeout=LOOKUP_TIMEOUT)
    if found.done():
        return found.result()
    found.add_done_callback(_seen)
    raise _no_answer()


@asynccontextmanager
async def looking_up(store: Store) -> AsyncIterator[Connection]:
    """``store.read`` of a few rows that a client waits for, so not for as long as a statement may take. Raises
    ``StoreUnavailable``."""
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT), store.read() as connection:
            yield connection
    except TimeoutError as error:
        raise _no_answer() from error


def _no_answer() -> StoreUnavailable:
    return StoreUnavailable(f"the database did not answer for {LOOKUP_TIMEOUT:g} seconds")


def _seen(found: asyncio.Future[T]) -> None:
    """Nobody waits for its error any more."""
    if not found.cancelled():
        found.exception()
