"""Connections to PostgreSQL, and what its errors mean to us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from typing import Any

import asyncpg
from asyncpg import exceptions as pg
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ekiden.store.api import Conflict, StoreError, StoreUnavailable
from ekiden.store.errors import translating
from ekiden.store.postgresql.servers import PASSING, Servers, is_read_only, unavailable
from ekiden.store.units import BadText

COMMAND_TIMEOUT = 30.0  # seconds; on the hot path, for a server that has silently gone
COLD_TIMEOUT = 60.0  # seconds for a statement of everything rare, some of which reads a lot
ANSWER_TIMEOUT = 10.0  # seconds for all of it: waiting, connecting, and an answer that says the server is there
POOLED = 2
"""Connections of the cold engine. With those of the writer a worker has four, and no more."""

# The server ends the connection: an operator's word, a crash of a neighbour, its time-outs.
_ENDED = (
    pg.AdminShutdownError,
    pg.CrashShutdownError,
    pg.IdleSessionTimeoutError,
    pg.IdleInTransactionSessionTimeoutError,
)

_TRUSTED: ContextVar[bool] = ContextVar("_TRUSTED", default=False)
"""Whether a connection is given out without asking the server first: three ways there and back."""


def judge(error: BaseException) -> StoreError | None:
    """See ``store.errors``: for who writes."""
    if isinstance(error, pg.UniqueViolationError):
        return Conflict(error.constraint_name or "")
    # An InterfaceError that complains about a value is a ValueError too, and no fault of the server.
    if isinstance(error, PASSING) and not isinstance(error, ValueError):
        return unavailable(error)
    return None


def judge_read(error: BaseException) -> StoreError | None:
    """``judge`` for who reads: a transaction that takes no writes, and was asked for one, is no outage."""
    return None if isinstance(error, pg.ReadOnlySQLTransactionError) else judge(error)


def translated(error: BaseException) -> StoreError:
    """On the hot path, where each error is one of ours: it may be all that a neighbour's unit is to blame for."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, (UnicodeEncodeError, asyncpg.DataError)):
        return BadText(str(error))
    return judge(error) or StoreError(f"{type(error).__name__}: {error}")


def never_sent(error: BaseException) -> bool:
    """Whether the driver found the connection broken before it sent anything of what it was asked.

    The server ends a connection with an error that answers nothing, then closes it. Between the two the driver is
    in a state that it takes for an operation of ours; afterwards it knows that the connection is closed. An
    operation that really is under way, which would be our fault, is told in other words.
    """
    if isinstance(error, asyncpg.InternalClientError):
        return str(error).startswith("cannot switch to state")
    return isinstance(error, asyncpg.InterfaceError) and str(error).endswith("connection is closed")


def broken(error: BaseException) -> bool:
    """Whether it is the connection that failed, so that a fresh one may serve.

    A server that does not answer in time is not asked again: who waits for it has waited long enough. That it did
    not may be hidden by what came of the rollback.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TimeoutError):
            return False
        cause = cause.__context__
    return never_sent(error) or isinstance(error, (OSError, pg.PostgresConnectionError, *_ENDED))


def cold_engine(servers: Servers, *, timeout: float | None = COLD_TIMEOUT) -> AsyncEngine:
    """SQLAlchemy over asyncpg, for what is rare; ``timeout`` is for each statement."""

    async def connect() -> Any:
        return await servers.connect(
            command_timeout=timeout,
            # A revoked credential or an address that must not be mailed is no less durable than a message.
            server_settings={"synchronous_commit": "on"},
        )

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=POOLED,
        max_overflow=0,
        pool_timeout=2 * ANSWER_TIMEOUT,  # others give up before
        pool_pre_ping=True,
        hide_parameters=True,  # hashes and sealed keys are among them; errors end in logs
    )

    dialect = engine.sync_engine.dialect
    ask = dialect.do_ping

    def lives(dbapi_connection: Any) -> bool:
        return _TRUSTED.get() or ask(dbapi_connection)

    dialect.do_ping = lives  # type: ignore[method-assign]

    # A server that was the primary and is so no more answers on, with what it knew: none of its connections stays.
    @event.listens_for(engine.sync_engine, "handle_error")
    def refused(context: ExceptionContext) -> None:
        if getattr(context.original_exception, "sqlstate", None) == pg.ReadOnlySQLTransactionError.sqlstate:
            context.is_disconnect = True

    if servers.want_primary:

        @event.listens_for(engine.sync_engine, "checkout")
        def checked(dbapi: Any, _record: Any, _proxy: Any) -> None:
            if is_read_only(dbapi.driver_connection):
                raise DisconnectionError("the server takes no writes any more")

    return engine


@asynccontextmanager
async def reading(engine: AsyncEngine, *, trusted: bool = False) -> AsyncIterator[AsyncConnection]:
    """``trusted``: the connection may be broken. Only for who asks again on another one then."""
    with translating(judge_read):
        async with AsyncExitStack() as stack:
            before = _TRUSTED.set(trusted)
            try:
                connection = await _checked_out(engine, stack)
            finally:
                _TRUSTED.reset(before)
            await connection.execution_options(postgresql_readonly=True)
            yield connection


@asynccontextmanager
async def writing(engine: AsyncEngine, turn: asyncio.Semaphore) -> AsyncIterator[AsyncConnection]:
    """``turn``: how many of them may have a connection, since what writes may stand before a lock for long."""
    with translating(judge):
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await stack.enter_async_context(turn)
            connection = await _checked_out(engine, stack)
            await stack.enter_async_context(connection.begin())
            yield connection


async def _checked_out(engine: AsyncEngine, stack: AsyncExitStack) -> AsyncConnection:
    """A connection that has just answered; a server that stands still is noticed here, since statements may take
    their time. Raises ``TimeoutError``, ``StoreUnavailable``. Those that were ended while they were idle are
    replaced, all of them if need be: SQLAlchemy does it for what the driver knows to be closed, no sooner."""
    async with asyncio.timeout(ANSWER_TIMEOUT):
        for _ in range(POOLED):
            try:
                return await stack.enter_async_context(engine.connect())
            except asyncpg.InternalClientError as error:
                if not never_sent(error):
                    raise
            except InvalidRequestError as error:  # each that was tried takes no writes
                raise StoreUnavailable("the database server takes no writes any more") from error
        return await stack.enter_async_context(engine.connect())
