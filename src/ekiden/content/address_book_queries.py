"""The SQL of address books: every function works in the transaction of its caller.

Whoever changes a book holds its row (``take_book``), so that its changes happen one after another and its counts
are those of the rows. Thousands of addresses are one parameter, a JSON array: nothing is compiled for each of them.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Collection, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Row,
    and_,
    bindparam,
    case,
    column,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.selectable import TextualSelect

from ekiden.store.tables import address_book, address_book_job, group_member, listed_address, recipient_group

if TYPE_CHECKING:
    from ekiden.core.clock import Millis
    from ekiden.store.api import Connection

GroupRow = Row[Any]
"""Of ``recipient_group``."""
Entry = tuple[str, str]
"""The key of an address, and how it is written; empty: as the key."""


class Job(IntEnum):
    """What is still to be done; the numbers are kept."""

    ADD = 1
    """Addresses into the book, and into the group if there is one."""
    REMOVE = 2
    """Addresses out of the book and of all groups."""
    LEAVE = 3
    """Addresses out of the group."""
    SWEEP_GROUP = 11
    """What is left of members of a list that no group has."""
    SWEEP_BOOK = 12
    """What is left of addresses of a list that no book has."""


_ORDERED: Final = 0
_UNHURRIED: Final = 1


class Waiting(NamedTuple):
    id: int
    kind: Job
    book_list: int
    group_list: int
    data: str


def new_list() -> int:
    """An id for a list of addresses or members."""
    return secrets.randbits(62) + 1


def entries_json(entries: Sequence[Entry]) -> str:
    """For ``data`` of a job, and for the statements below."""
    return msgspec.json.encode(entries).decode()


def entries_of(data: str) -> list[Entry]:
    """What ``entries_json`` made."""
    return msgspec.json.decode(data, type=list[Entry])


# --- a book and its groups ----------------------------------------------------------------------------------


async def find_book(connection: Connection, account_id: int) -> Row[Any] | None:
    """Without its turn, for whoever only looks."""
    return (await connection.execute(select(address_book).where(address_book.c.account_id == account_id))).first()


async def take_book(connection: Connection, account_id: int) -> Row[Any]:
    """The book, made if there was none; until the transaction ends nobody else changes it."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    theirs = select(address_book).where(address_book.c.account_id == account_id).with_for_update()
    row = (await connection.execute(theirs)).first()
    if row is None:
        new = dialect.insert(address_book).values(account_id=account_id, list_id=new_list(), address_count=0)
        await connection.execute(new.on_conflict_do_nothing())
        row = (await connection.execute(theirs)).one()
    return row


async def groups_of(connection: Connection, account_id: int) -> Sequence[Row[Any]]:
    """The oldest first."""
    theirs = select(recipient_group).where(recipient_group.c.account_id == account_id)
    return (await connection.execute(theirs.order_by(recipient_group.c.id))).all()


async def groups_named(connection: Connection, account_id: int, names: Collection[str]) -> dict[str, Row[Any]]:
    """Those that there are."""
    theirs = select(recipient_group).where(
        recipient_group.c.account_id == account_id, recipient_group.c.name.in_(names)
    )
    return {row.name: row for row in await connection.execute(theirs)}


async def add_groups(connection: Connection, account_id: int, names: Collection[str], now: Millis) -> None:
    """Empty ones, none of which is there."""
    values = [
        {"account_id": account_id, "name": name, "list_id": new_list(), "address_count": 0, "created_at": now}
        for name in names
    ]
    if values:
        await connection.execute(insert(recipient_group), values)


async def remove_groups(connection: Connection, account_id: int, group_id: int | None = None) -> None:
    """One, or all; what their lists have is left to a sweep."""
    theirs = delete(recipient_group).where(recipient_group.c.account_id == account_id)
    if group_id is not None:
        theirs = theirs.where(recipient_group.c.id == group_id)
    await connection.execute(theirs)


async def empty_group(connection: Connection, group_id: int) -> None:
    """It gets another list."""
    theirs = update(recipient_group).where(recipient_group.c.id == group_id)
    await connection.execute(theirs.values(list_id=new_list(), address_count=0))


async def empty_book(connection: Connection, account_id: int) -> None:
    """It gets another list."""
    theirs = update(address_book).where(address_book.c.account_id == account_id)
    await connection.execute(theirs.values(list_id=new_list(), address_count=0))


# --- addresses and members ----------------------------------------------------------------------------------

_EACH: Final = {
    "sqlite": "json_each(:data) AS j",
    "postgresql": "json_array_elements(CAST(:data AS json)) AS j(value)",
}
_PART: Final = {"sqlite": "json_extract(j.value, '$[{}]')", "postgresql": "(j.value ->> {})"}
# The order of the joins is ours: a database that knows no figures yet might walk through the book.
_JOIN: Final = {"sqlite": "CROSS JOIN", "postgresql": "JOIN"}


def _statement(engine: str, template: str) -> Any:
    part = _PART[engine]
    sql = template.format(each=_EACH[engine], key=part.format(0), written=part.format(1), join=_JOIN[engine])
    names = ("account", "list", "book")
    return text(sql).bindparams(*(bindparam(name, type_=BigInteger) for name in names if f":{name}" in sql))


def _both(template: str) -> dict[str, Any]:
    return {engine: _statement(engine, template) for engine in _EACH}


_ADD_ADDRESSES: Final = _both(
    "INSERT INTO listed_address (account_id, list_id, key, written) "
    "SELECT CAST(:account AS BIGINT), CAST(:book AS BIGINT), {key}, {written} FROM {each} WHERE true "
    "ON CONFLICT DO NOTHING"
)
_ADD_MEMBERS: Final = _both(
    "INSERT INTO group_member (account_id, list_id, address_id) "
    "SELECT CAST(:account AS BIGINT), CAST(:list AS BIGINT), a.id FROM {each} {join} listed_address AS a "
    "ON a.account_id = :account AND a.list_id = :book AND a.key = {key} WHERE true ON CONFLICT DO NOTHING"
)
_FIND: Final = _both(
    "SELECT a.id FROM {each} {join} listed_address AS a "
    "ON a.account_id = :account AND a.list_id = :book AND a.key = {key}"
)


async def add_addresses(connection: Connection, account_id: int, book_list: int, data: str) -> int:
    """Into the book; returns how many were not there, which are counted."""
    statement = _ADD_ADDRESSES[connection.dialect.name]
    done = await connection.execute(statement, {"account": account_id, "book": book_list, "data": data})
    if done.rowcount:
        theirs = update(address_book).where(address_book.c.account_id == account_id)
        await connection.execute(theirs.values(address_count=address_book.c.address_count + done.rowcount))
    return int(done.rowcount)


async def add_members(connection: Connection, account_id: int, book_list: int, list_id: int, data: str) -> None:
    """Addresses of the book into a group, if there is one that has that list still; they are counted."""
    theirs = recipient_group.c.account_id == account_id, recipient_group.c.list_id == list_id
    if (await connection.execute(select(recipient_group.c.id).where(*theirs))).first() is None:
        return
    statement = _ADD_MEMBERS[connection.dialect.name]
    values = {"account": account_id, "list": list_id, "book": book_list, "data": data}
    done = await connection.execute(statement, values)
    if done.rowcount:
        count = recipient_group.c.address_count + done.rowcount
        await connection.execute(update(recipient_group).where(*theirs).values(address_count=count))


async def remove_addresses(connection: Connection, account_id: int, book_list: int, data: str) -> int:
    """Out of the book and of all groups; returns how many were there."""
    ids = await _found(connection, account_id, book_list, data)
    if not ids:
        return 0
    gone = delete(group_member).where(group_member.c.account_id == account_id, group_member.c.address_id.in_(ids))
    await _uncount(connection, account_id, await connection.scalars(gone.returning(group_member.c.list_id)))
    await connection.execute(delete(listed_address).where(listed_address.c.id.in_(ids)))
    theirs = update(address_book).where(address_book.c.account_id == account_id)
    await connection.execute(theirs.values(address_count=address_book.c.address_count - len(ids)))
    return len(ids)


async def remove_members(connection: Connection, account_id: int, book_list: int, list_id: int, data: str) -> int:
    """Out of a group only; returns how many were in it."""
    ids = await _found(connection, account_id, book_list, data)
    gone = delete(group_member).where(
        group_member.c.account_id == account_id,
        group_member.c.list_id == list_id,
        group_member.c.address_id.in_(ids),
    )
    lists = list(await connection.scalars(gone.returning(group_member.c.list_id))) if ids else []
    await _uncount(connection, account_id, lists)
    return len(lists)


async def _found(connection: Connection, account_id: int, book_list: int, data: str) -> list[int]:
    statement = _FIND[connection.dialect.name]
    values = {"account": account_id, "book": book_list, "data": data}
    return sorted(set(await connection.scalars(statement, values)))


async def _uncount(connection: Connection, account_id: int, lists: Any) -> None:
    """Of each list one member for each time that it is named; lists that no group has any more count nothing."""
    for list_id, members in Counter(lists).items():
        theirs = recipient_group.c.account_id == account_id, recipient_group.c.list_id == list_id
        count = recipient_group.c.address_count - members
        await connection.execute(update(recipient_group).where(*theirs).values(address_count=count))


# --- who is in some groups ----------------------------------------------------------------------------------

_UNION: Final = (
    "SELECT * FROM (SELECT address_id FROM group_member WHERE account_id = :account AND list_id = :list{} "
    "AND address_id > :after ORDER BY address_id LIMIT {}) AS m{}"
)
_INTERSECTION: Final = (
    "SELECT m.address_id{} FROM (SELECT address_id FROM group_member WHERE account_id = :account "
    "AND list_id = :list0 AND address_id > :after ORDER BY address_id LIMIT {}) AS m ORDER BY m.address_id"
)
# A scalar, no EXISTS: that PostgreSQL may answer from a hash of the whole list, made anew for each page, as soon as
# the statement is planned for any group (PREPARE, "Notes").
_IS_IN: Final = (
    "(SELECT o.address_id FROM group_member AS o WHERE o.account_id = :account AND o.list_id = :list{} "
    "AND o.address_id = m.address_id) IS NOT NULL"
)


def window_statement(lists: int, most: int, *, all_of: bool) -> TextualSelect:
    """The next members of ``lists`` groups behind ``:after``, in the order of their ids: ``address_id``, and
    ``wanted``. It reads ``most`` rows of each index at most, however few of them are wanted.

    With ``all_of`` it walks along the first list, whose members are wanted when all others have them. ``most`` is
    no parameter: PostgreSQL would have to guess how many rows are joined.
    """
    if all_of:
        others = " AND ".join(_IS_IN.format(number) for number in range(1, lists))
        sql = _INTERSECTION.format(f", {others or 'true'} AS wanted", int(most))
    else:
        union = " UNION ".join(_UNION.format(number, int(most), number) for number in range(lists))
        sql = f"SELECT u.address_id, true AS wanted FROM ({union}) AS u ORDER BY u.address_id LIMIT {int(most)}"  # noqa: S608
    names = ("account", "after", *(f"list{number}" for number in range(lists)))
    bound = text(sql).bindparams(*(bindparam(name, type_=BigInteger) for name in names))
    return bound.columns(column("address_id", BigInteger), column("wanted", Boolean))


async def window(
    connection: Connection, account_id: int, lists: Sequence[int], *, all_of: bool, after: int, most: int
) -> Sequence[Any]:
    """``window_statement`` with ``key`` and ``written`` of each; ``key`` ``None``: it is not wanted.

    Fewer than ``most`` rows: there are no more.
    """
    inner = window_statement(len(lists), most, all_of=all_of).subquery("w")
    address = listed_address
    joined = inner.outerjoin(address, and_(inner.c.wanted, address.c.id == inner.c.address_id))
    query = select(inner.c.address_id, address.c.key, address.c.written).select_from(joined)
    return (await connection.execute(query.order_by(inner.c.address_id), _values(account_id, lists, after))).all()


async def count_window(
    connection: Connection, account_id: int, lists: Sequence[int], *, all_of: bool, after: int, most: int
) -> tuple[int, int, int]:
    """Of ``window``: how many rows it has, how many of them are wanted, and the last id; 0: there is none."""
    inner = window_statement(len(lists), most, all_of=all_of).subquery("w")
    wanted = func.sum(case((inner.c.wanted, 1), else_=0))
    columns = func.count(), func.coalesce(wanted, 0), func.coalesce(func.max(inner.c.address_id), 0)
    values = _values(account_id, lists, after)
    rows, found, last = (await connection.execute(select(*columns).select_from(inner), values)).one()
    return int(rows), int(found), int(last)


def _values(account_id: int, lists: Sequence[int], after: int) -> dict[str, Any]:
    values: dict[str, Any] = {"account": account_id, "after": after}
    return values | {f"list{number}": list_id for number, list_id in enumerate(lists)}


# --- what is still to be done -------------------------------------------------------------------------------


async def add_jobs(
    connection: Connection,
    account_id: int,
    kind: Job,
    book_list: int,
    pieces: Sequence[tuple[int, str]],
    now: Millis,
) -> None:
    """``pieces`` are the list of a group, or 0, and addresses. The book's row must be held."""
    values = [
        {
            "account_id": account_id,
            "turn": _UNHURRIED if kind >= Job.SWEEP_GROUP else _ORDERED,
            "kind": int(kind),
            "book_list": book_list,
            "group_list": group_list,
            "data": data,
            "created_at": now,
        }
        for group_list, data in pieces
    ]
    if values:
        await connection.execute(insert(address_book_job), values)


async def jobs_waiting(connection: Connection, account_id: int, most: int) -> int:
    """How many changes of the book are still to be made, sweeps aside; counted up to ``most``."""
    some = select(address_book_job.c.id).where(
        address_book_job.c.account_id == account_id, address_book_job.c.turn == _ORDERED
    )
    return await connection.scalar(select(func.count()).select_from(some.limit(most).subquery())) or 0


async def next_job(connection: Connection, account_id: int) -> Waiting | None:
    """The oldest, those that only sweep when there is nothing else. The book's row must be held."""
    columns = [address_book_job.c[name] for name in Waiting._fields]
    for turn in (_ORDERED, _UNHURRIED):
        oldest = select(*columns).where(
            address_book_job.c.account_id == account_id, address_book_job.c.turn == turn
        )
        row = (await connection.execute(oldest.order_by(address_book_job.c.id).limit(1))).first()
        if row is not None:
            return Waiting(row.id, Job(row.kind), row.book_list, row.group_list, row.data)
    return None


async def job_done(connection: Connection, job: Waiting) -> None:
    await connection.execute(delete(address_book_job).where(address_book_job.c.id == job.id))


async def accounts_with_jobs(connection: Connection) -> list[int]:
    """One search of the index for each, however many jobs there are."""
    found: list[int] = []
    while True:
        least = select(func.min(address_book_job.c.account_id))
        if found:
            least = least.where(address_book_job.c.account_id > found[-1])
        account_id = await connection.scalar(least)
        if account_id is None:
            return found
        found.append(account_id)


_SWEEP_MEMBERS: Final = text(
    "DELETE FROM group_member WHERE account_id = :account AND list_id = :list AND address_id <= coalesce("
    "(SELECT address_id FROM group_member WHERE account_id = :account AND list_id = :list "
    "ORDER BY address_id LIMIT 1 OFFSET :most), 9223372036854775807)"
).bindparams(*(bindparam(name, type_=BigInteger) for name in ("account", "list", "most")))
_SWEEP_ADDRESSES: Final = text(
    "DELETE FROM listed_address WHERE id IN "
    "(SELECT id FROM listed_address WHERE account_id = :account AND list_id = :list LIMIT :most)"
).bindparams(*(bindparam(name, type_=BigInteger) for name in ("account", "list", "most")))


async def sweep(connection: Connection, account_id: int, job: Waiting, most: int) -> bool:
    """Remove about ``most`` rows of a list that is nobody's; true: there are no more."""
    members = job.kind is Job.SWEEP_GROUP
    values = {"account": account_id, "list": job.group_list if members else job.book_list, "most": most}
    done = await connection.execute(_SWEEP_MEMBERS if members else _SWEEP_ADDRESSES, values)
    return bool(done.rowcount < most)
