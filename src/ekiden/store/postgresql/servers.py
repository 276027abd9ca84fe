"""The PostgreSQL servers that a URL names, and connections to the one of them that takes writes.

With several hosts, each is a copy of the others and one of them is the primary: which one may change at any time.
They are tried in turn, beginning with the one that served last; each has its part of the time, so that one that
swallows packets does not keep the others from being asked. Whoever does not take writes is passed over
(``target_session_attrs=read-write``, unless the URL says otherwise).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import asyncpg
from asyncpg import exceptions as pg

from ekiden.store.api import StoreUnavailable

CONNECT_TIMEOUT: Final = 10.0  # seconds for all of them

# The server as a whole: gone, going, coming, full, read-only, out of room; or a conflict that passes.
PASSING = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the driver's state is upset, as happens when a connection breaks within a step
    pg.PostgresConnectionError,
    pg.OperatorInterventionError,
    pg.InsufficientResourcesError,
    pg.InvalidAuthorizationSpecificationError,
    pg.InvalidCatalogNameError,
    pg.ReadOnlySQLTransactionError,
    pg.ObjectNotInPrerequisiteStateError,
    pg.PostgresSystemError,
    pg.InternalServerError,
    pg.TransactionRollbackError,
    # Of the states of a transaction these two end a connection.
    pg.IdleInTransactionSessionTimeoutError,
    pg.TransactionTimeoutError,
)

_PRIMARY = re.compile("[?&]target_session_attrs=(?:read-write|primary)")


class Servers:
    """``dsns`` has one URL for each, as asyncpg takes it; ``names`` how they are told to people."""

    def __init__(self, dsns: Sequence[str], names: Sequence[str]) -> None:
        self._dsns = tuple(dsns)
        self.names = tuple(names)
        self.want_primary = self.several and all(_PRIMARY.search(dsn) for dsn in self._dsns)
        """A connection to one that takes no writes any more is of no use."""
        self._last = 0

    @property
    def several(self) -> bool:
        return len(self._dsns) > 1

    @property
    def serving(self) -> str:
        """The one that served last."""
        return self.names[self._last]

    async def connect(self, **options: Any) -> Any:
        """A connection to the first of them that gives one. Raises ``StoreUnavailable``, or a fault of ours."""
        each = CONNECT_TIMEOUT / len(self._dsns)
        first = self._last
        told = []
        failed: BaseException | None = None
        for step in range(len(self._dsns)):
            number = (first + step) % len(self._dsns)
            try:
                connection = await asyncpg.connect(self._dsns[number], timeout=each, **options)
            except PASSING as error:
                failed = error
                told.append(f"{self.names[number]}: {reason(error)}")
                continue
            self._last = number
            return connection
        if self.several:
            raise StoreUnavailable(
                f"none of the database servers can be used just now ({'; '.join(told)})"
            ) from failed
        assert failed is not None, "there is one server at least"
        raise unavailable(failed) from failed


def unavailable(error: BaseException) -> StoreUnavailable:
    """What one of ``PASSING`` is to whoever uses the store."""
    return StoreUnavailable(f"the database cannot be used just now: {reason(error)}")


def reason(error: BaseException) -> str:
    """For people."""
    return str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)


def is_read_only(connection: Any) -> bool:
    """Whether its server has said that it takes no writes (any more): PostgreSQL tells it unasked."""
    settings = connection.get_settings()
    return "on" in (
        getattr(settings, "in_hot_standby", "off"),
        getattr(settings, "default_transaction_read_only", "off"),
    )
