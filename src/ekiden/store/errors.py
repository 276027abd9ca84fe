"""What errors of SQLAlchemy and of the drivers mean to whoever uses a store. They are translated here, and once:

- the database is away, full, read-only, overloaded, or a conflict of transactions passes: ``StoreUnavailable``;
- a row exists already: ``Conflict``, with the constraint's name as ``store.tables`` has it, on either engine;
- all else (bad SQL, a column that is not there, a value of a wrong type) is a fault of ours and passes as it is.

So nobody else looks for the errors of a driver: an outage is ``StoreUnavailable``, and what is caught as something
wider goes to the log with its traceback (``told``).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from sqlalchemy import Index, PrimaryKeyConstraint, UniqueConstraint
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from ekiden.core.errors import EkidenError
from ekiden.store.api import Conflict, StoreError, StoreUnavailable
from ekiden.store.tables import metadata

Judge = Callable[[BaseException], StoreError | None]
"""Of one engine: what an error of its driver means; ``None``: it is a fault of ours."""


class Log(Protocol):
    """Any of our loggers."""

    def warning(self, event: str, **facts: Any) -> Any: ...

    def error(self, event: str, **facts: Any) -> Any: ...


def told(log: Log, event: str, error: BaseException, **facts: Any) -> None:
    """One line about work that goes on without what the store refused: an outage with its reason, a fault of ours
    as an error with its traceback."""
    if isinstance(error, (StoreUnavailable, TimeoutError)):
        log.warning(event, why=str(error) or type(error).__name__, **facts)
    else:
        log.error(event, why=type(error).__name__, exc_info=error, **facts)


@contextmanager
def translating(judge: Judge) -> Iterator[None]:
    """Raises what the error of a driver means, where it means something to others."""
    try:
        yield
    except EkidenError:
        raise
    except Exception as error:
        ours = translated(error, judge)
        if ours is None:
            raise
        # What a server says of a conflict quotes the values: addresses, hashes.
        raise ours from None if isinstance(ours, Conflict) else error


def translated(error: BaseException, judge: Judge) -> StoreError | None:
    """What an error of SQLAlchemy or of a driver means; ``None``: it is a fault of ours."""
    if isinstance(error, NoConnectionFree):
        return StoreUnavailable("all connections to the database are in use")
    if not isinstance(error, SQLAlchemyError):
        return judge(error)
    cause: BaseException | None = error.orig if isinstance(error, DBAPIError) else error.__cause__
    while cause is not None:
        ours = judge(cause)
        if ours is not None:
            return ours
        cause = cause.__cause__
    return None


@functools.cache
def _constraints() -> dict[str, str]:
    """Names of what must be unique by how SQLite tells it: ``table.column, table.column``."""
    found = {}
    for table in metadata.tables.values():
        for each in (*table.constraints, *table.indexes):
            if isinstance(each, (PrimaryKeyConstraint, UniqueConstraint)) or (
                isinstance(each, Index) and each.unique
            ):
                found[", ".join(f"{table.name}.{column.name}" for column in each.columns)] = str(each.name)
    return found


def constraint_of(columns: str) -> str:
    """The name of the constraint over columns as SQLite tells them; the columns when nobody has named it."""
    return _constraints().get(columns, columns)
