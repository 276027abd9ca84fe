"""How it shows that the store cannot be reached, for rooms that use it through services only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.store.api import Store, StoreError, StoreUnavailable

UNAVAILABLE: Final[tuple[type[Exception], ...]] = (StoreError, OperationalError, InterfaceError, OSError)
"""What services raise then. The same call may succeed later."""

LOOKUP_TIMEOUT: Final = 10.0
"""Seconds. A few rows by their keys take milliseconds."""


@asynccontextmanager
async def looking_up(store: Store) -> AsyncIterator[AsyncConnection]:
    """``store.read`` of a few rows that a client waits for, so not for as long as a statement may take. Raises
    ``StoreUnavailable``."""
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT), store.read() as connection:
            yield connection
    except TimeoutError as error:
        raise StoreUnavailable(f"the database did not answer for {LOOKUP_TIMEOUT:g} seconds") from error
