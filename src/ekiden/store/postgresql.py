"""The store in PostgreSQL, for those who outgrow one machine: every worker of every machine on one database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg
from asyncpg import exceptions as pg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ekiden.store.api import StoreError, StoreUnavailable

# The server as a whole: gone, going, coming, full, read-only, out of room.
CONNECTION_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    pg.PostgresConnectionError,
    pg.OperatorInterventionError,
    pg.InsufficientResourcesError,
    pg.InvalidAuthorizationSpecificationError,
    pg.InvalidCatalogNameError,
    pg.ReadOnlySQLTransactionError,
    pg.ObjectNotInPrerequisiteStateError,
    pg.PostgresSystemError,
    pg.InternalServerError,
)


def translated(error: BaseException) -> StoreError:
    """What the driver said, as ours: ``StoreUnavailable`` when the fault lies with the server as a whole."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, CONNECTION_ERRORS):
        return StoreUnavailable(f"the database cannot be used just now: {error or type(error).__name__}")
    return StoreError(f"{type(error).__name__}: {error}")


def cold_engine(dsn: str, *, write: bool) -> AsyncEngine:
    """SQLAlchemy over asyncpg, for what is rare."""

    async def connect() -> object:
        return await asyncpg.connect(dsn)

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, pool_size=2, max_overflow=2)


@contextmanager
def translating() -> Iterator[None]:
    """Trouble with the database as a whole becomes ``StoreUnavailable``; SQLAlchemy's other errors pass."""
    try:
        yield
    except DBAPIError as error:
        cause: BaseException | None = error.orig
        while cause is not None:
            if isinstance(cause, CONNECTION_ERRORS):
                raise translated(cause) from error
            cause = cause.__cause__
        raise
    except CONNECTION_ERRORS as error:
        raise translated(error) from error


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    with translating():
        async with engine.connect() as connection:
            yield connection


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    with translating():
        async with engine.begin() as connection:
            yield connection
