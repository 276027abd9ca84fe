"""Lists of addresses that an account does not mail, for programs that page through them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, exists, func, or_, select

from ekiden.core.address import shown_address
from ekiden.core.diagnosis import BY_NUMBER, Diagnosis
from ekiden.recipients.suppressions import KINDS, Suppression, suppression_of
from ekiden.store.pages import contains
from ekiden.store.tables import suppression as table
from ekiden.store.tables import suppression_history as history

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ekiden.core.clock import Millis
    from ekiden.store.api import Connection

BLOCKING_KINDS: Final = tuple(kind for kind in KINDS if kind != "unsubscribe")


class Period(NamedTuple):
    """From when, and until just before when; ``None``: it is open there."""

    since: Millis | None = None
    until: Millis | None = None

    def of(self, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        found = []
        if self.since is not None:
            found.append(column >= self.since)
        if self.until is not None:
            found.append(column < self.until)
        return found


@dataclass(frozen=True, slots=True)
class Block:
    """An address that is not mailed, or was not until it was released: ``at`` is when that began, or ended.

    ``key`` is the address as suppressions are compared. ``domain``, ``kind`` and ``diagnosis`` are of the last time
    that it was registered, ``count`` is how often it was of that kind.
    """

    key: str
    at: Millis
    domain: str
    kind: str
    diagnosis: Diagnosis
    count: int

    @property
    def address(self) -> str:
        """As people write it."""
        return shown_address(self.key)


async def blocks(
    connection: Connection, account_id: int, now: Millis, *, part: str, period: Period, offset: int, limit: int
) -> list[Block]:
    """Those in force, one for each address, the newest first. ``part``: of the address; empty: any."""
    query = (
        select(table.c.address, func.max(table.c.id), func.max(table.c.created_at))
        .where(table.c.account_id == account_id, table.c.kind.in_(BLOCKING_KINDS), _in_force(now))
        .group_by(table.c.address)
        .order_by(func.max(table.c.id).desc())
    )
    return await _blocks(
        connection,
        account_id,
        _asked(query, table.c.address, part, period, func.max(table.c.created_at)),
        offset,
        limit,
    )


async def released(
    connection: Connection, account_id: int, now: Millis, *, part: str, period: Period, offset: int, limit: int
) -> list[Block]:
    """Those that are over, one for each address, the last ones first."""
    again = exists().where(
        table.c.account_id == account_id,
        table.c.address == history.c.address,
        table.c.kind.in_(BLOCKING_KINDS),
        _in_force(now),
    )
    query = (
        select(history.c.address, func.max(history.c.id), func.max(history.c.at))
        .where(
            history.c.account_id == account_id,
            history.c.kind.in_(BLOCKING_KINDS),
            history.c.action == "removed",
            ~again,
        )
        .group_by(history.c.address)
        .order_by(func.max(history.c.id).desc())
    )
    return await _blocks(
        connection,
        account_id,
        _asked(query, history.c.address, part, period, func.max(history.c.at)),
        offset,
        limit,
    )


async def unsubscribed(
    connection: Connection,
    account_id: int,
    now: Millis,
    *,
    part: str,
    domain: str | None,
    period: Period,
    offset: int,
    limit: int,
) -> list[Suppression]:
    """Those who have left, the newest first. ``domain``: what they left; ``None``: whatever."""
    query = select(table).where(table.c.account_id == account_id, table.c.kind == "unsubscribe", _in_force(now))
    if part:
        query = query.where(contains(part, table.c.address))
    if domain is not None:
        query = query.where(table.c.domain == domain)
    query = query.where(*period.of(table.c.created_at)).order_by(table.c.id.desc())
    return [suppression_of(row) for row in await connection.execute(query.offset(offset).limit(limit))]


async def identities(
    connection: Connection, account_id: int, after: int, limit: int
) -> list[tuple[int, str, str, str]]:
    """Id, sending domain, address (a key) and kind of blocks with ids above ``after``, in their order."""
    query = select(table.c.id, table.c.domain, table.c.address, table.c.kind).where(
        table.c.account_id == account_id, table.c.id > after, table.c.kind.in_(BLOCKING_KINDS)
    )
    return [(*row,) for row in await connection.execute(query.order_by(table.c.id).limit(limit))]


async def domains_of(
    connection: Connection, account_id: int, now: Millis, address: str, kinds: Collection[str]
) -> list[tuple[str, str]]:
    """Which sending domains (``suppressions.ANY_DOMAIN``: all) do not mail an address (a key), and the kinds."""
    query = select(table.c.domain, table.c.kind).where(
        table.c.account_id == account_id, table.c.address == address, table.c.kind.in_(kinds), _in_force(now)
    )
    return [(domain, kind) for domain, kind in await connection.execute(query)]


def _in_force(now: Millis) -> ColumnElement[bool]:
    return or_(table.c.expires_at.is_(None), table.c.expires_at > now)


def _asked(
    query: Select[Any], address: ColumnElement[str], part: str, period: Period, at: ColumnElement[Any]
) -> Select[Any]:
    if part:
        query = query.where(contains(part, address))
    return query.having(*period.of(at)) if period != Period() else query


async def _blocks(
    connection: Connection, account_id: int, query: Select[Any], offset: int, limit: int
) -> list[Block]:
    rows = (await connection.execute(query.offset(offset).limit(limit))).all()
    told = await _registrations(connection, account_id, [row[0] for row in rows])
    return [Block(row[0], row[2], *told.get(row[0], _UNTOLD)) for row in rows]


_UNTOLD: Final = ("", "bounce", Diagnosis.NONE, 1)
"""Of what an older Ekiden has registered."""


async def _registrations(
    connection: Connection, account_id: int, addresses: Sequence[str]
) -> dict[str, tuple[str, str, Diagnosis, int]]:
    """The last domain, kind and diagnosis, and how many of that kind there were."""
    columns = (history.c.address, history.c.domain, history.c.kind, history.c.diagnosis)
    counts: Counter[tuple[str, str]] = Counter()
    found: dict[str, tuple[str, str, Diagnosis, int]] = {}
    for start in range(0, len(addresses), _BATCH):
        query = select(*columns).where(
            history.c.account_id == account_id,
            history.c.address.in_(addresses[start : start + _BATCH]),
            history.c.kind.in_(BLOCKING_KINDS),
            history.c.action == "registered",
        )
        for address, domain, kind, diagnosis in await connection.execute(
            query.order_by(history.c.at, history.c.id)
        ):
            counts[address, kind] += 1
            diagnosed = BY_NUMBER.get(diagnosis, Diagnosis.NONE)
            found[address] = (domain, kind, diagnosed, counts[address, kind])
    return found


_BATCH: Final = 500
