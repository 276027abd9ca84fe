"""How many mails of a request stand where: what is kept of it, and what their deliveries tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    Update,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    text,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from ekiden.core.clock import Millis
from ekiden.core.states import State
from ekiden.mailings.queries import PIECE, REQUEST
from ekiden.mailings.tally import Tally
from ekiden.mailings.values import MailStatus, PieceState, RequestState, encode_counts
from ekiden.store.tables import (
    BY_REFERENCE,
    REFERENCE_SQL,
    UNCOUNTED_SQL,
    UNSETTLED_SQL,
    delivery,
    mail_request,
    mail_request_piece,
    mail_request_tally,
    message,
)

if TYPE_CHECKING:
    from ekiden.store.api import Connection, Store

TALLY = mail_request_tally.c
_UNCOUNTED: Final = text(UNCOUNTED_SQL)  # word for word as in the partial index
_UNSETTLED: Final = text(UNSETTLED_SQL)
HAS_REFERENCE: Final = text(REFERENCE_SQL)
LISTED: Final = tuple(column for column in mail_request.c if column.name != "content")
"""Columns of a list: texts are large."""

NOT_BEGUN: Final = and_(
    REQUEST.settled_at.is_(None),
    REQUEST.begun_at.is_(None),
    REQUEST.state.in_([int(RequestState.HELD), int(RequestState.DUE)]),
)
"""Requests that wait as a whole: there is nothing to be counted."""
_UNDER_WAY: Final = select(*LISTED).where(_UNSETTLED, REQUEST.state != int(RequestState.STAGING), ~NOT_BEGUN)
_UNSUBSCRIBED: Final = '["suppressed",%"kind":"unsubscribe"%'
"""``core.said.Said.encode`` of whoever does not want it."""
IS_UNSUBSCRIBED: Final = and_(delivery.c.state == int(State.DROPPED), delivery.c.said.like(_UNSUBSCRIBED))
OF_MESSAGE: Final = and_(delivery.c.account_id == message.c.account_id, delivery.c.message_id == message.c.id)
_PAGE: Final = 1_000
"""Pieces that are read at once."""


class DeliveryRow(NamedTuple):
    """A recipient of a mail, as far as counting needs it."""

    state: int
    attempts: int
    unsubscribed: bool


class PieceRow(NamedTuple):
    """A piece without its mails. ``counts``: for good; empty: something of it can change yet."""

    number: int
    first_number: int
    mails: int
    state: int
    failed: str
    counts: str


async def list_pieces(
    store: Store, account_id: int, request_id: int, numbers: Sequence[int] | None = None
) -> list[PieceRow]:
    """In their order; all of them, or these, who are some hundred at most."""
    query = _pieces(account_id, request_id).order_by(PIECE.number).limit(_PAGE)
    if numbers is not None:
        query = query.where(PIECE.number.in_(numbers))
    found: list[PieceRow] = []
    async with store.read() as connection:
        while True:
            # There may be many thousands, and others want a turn.
            after = found[-1].number if found else -1
            page = [PieceRow(*row) for row in await connection.execute(query.where(PIECE.number > after))]
            found += page
            if len(page) < _PAGE:
                return found


def _pieces(account_id: int, request_id: int) -> Select[Any]:
    columns = [getattr(PIECE, name) for name in PieceRow._fields]
    return select(*columns).where(PIECE.account_id == account_id, PIECE.request_id == request_id)


async def counted_pieces(store: Store, account_id: int, request_id: int) -> Sequence[tuple[str, int]]:
    """Counts that were kept for good, and how many pieces have exactly these."""
    key = and_(PIECE.account_id == account_id, PIECE.request_id == request_id, PIECE.counts != "")
    query = select(PIECE.counts, func.count()).where(key).group_by(PIECE.counts)
    async with store.read() as connection:
        return [(row[0], row[1]) for row in await connection.execute(query)]


async def uncounted_pieces(store: Store, account_id: int, request_id: int, limit: int) -> Sequence[PieceRow]:
    """Those of which something can change yet, in their order."""
    query = _pieces(account_id, request_id).where(_UNCOUNTED).order_by(PIECE.number).limit(limit)
    async with store.read() as connection:
        return [PieceRow(*row) for row in await connection.execute(query)]


async def read_tally(store: Store, account_id: int, request_id: int) -> Tally | None:
    """What was seen of all pieces of a large request."""
    async with store.read() as connection:
        row = (await connection.execute(_tally(account_id, request_id))).first()
    return None if row is None else Tally.decode(row.pieces, row.version)


async def tally_to_change(connection: Connection, account_id: int, request_id: int) -> Tally | None:
    """As ``read_tally``; nobody else changes it until the transaction ends."""
    row = (await connection.execute(_tally(account_id, request_id).with_for_update())).first()
    return None if row is None else Tally.decode(row.pieces, row.version)


def _tally(account_id: int, request_id: int) -> Select[Any]:
    its = TALLY.account_id == account_id, TALLY.request_id == request_id
    return select(TALLY.pieces, TALLY.version).where(*its)


async def read_tally_counts(store: Store, account_id: int, request_id: int) -> str | None:
    """What all of its pieces come to."""
    query = select(TALLY.counts).where(TALLY.account_id == account_id, TALLY.request_id == request_id)
    async with store.read() as connection:
        return await connection.scalar(query)


async def tally_and_uncounted(
    store: Store, account_id: int, request_id: int, limit: int
) -> tuple[Tally | None, Sequence[PieceRow]]:
    """What was seen of all its pieces, and those of which something can change yet: both of one moment."""
    uncounted = _pieces(account_id, request_id).where(_UNCOUNTED).limit(limit).subquery()
    tally = _tally(account_id, request_id).with_only_columns(TALLY.pieces)
    one = select(tally.scalar_subquery().label("tally")).subquery()
    query = select(one.c.tally, uncounted).select_from(one.outerjoin(uncounted, true()))
    async with store.read() as connection:
        rows = (await connection.execute(query)).all()
    found = [PieceRow(*row[1:]) for row in rows if row.number is not None]
    return None if rows[0].tally is None else Tally.decode(rows[0].tally), sorted(found)


async def begin_tally(store: Store, account_id: int, request_id: int, tally: Tally) -> None:
    """Keep one, unless somebody has."""
    async with store.write() as connection:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        values = {"account_id": account_id, "request_id": request_id, "version": tally.version, **_values(tally)}
        await connection.execute(dialect.insert(mail_request_tally).values(values).on_conflict_do_nothing())


async def keep_tally(
    store: Store, account_id: int, request_id: int, tally: Tally, for_good: Mapping[int, str]
) -> int:
    """What was seen, unless somebody has changed it since ``tally`` was read. ``for_good``: counts of pieces of
    which nothing changes any more; returns how many of them are kept now."""
    frozen = 0
    async with store.write() as connection:
        if await change_tally(connection, account_id, request_id, tally):
            for number, counts in for_good.items():
                frozen += (await connection.execute(_freeze(account_id, request_id, number, counts))).rowcount
    return frozen


async def change_tally(connection: Connection, account_id: int, request_id: int, tally: Tally) -> bool:
    """False: somebody has changed it since it was read."""
    key = and_(TALLY.account_id == account_id, TALLY.request_id == request_id, TALLY.version == tally.version)
    values = {"version": tally.version + 1, **_values(tally)}
    return (await connection.execute(update(mail_request_tally).where(key).values(values))).rowcount == 1


def _values(tally: Tally) -> dict[str, Any]:
    return {"counts": encode_counts(tally.without(())), "pieces": tally.encode()}


def _range_statement() -> Select[Any]:
    """Mails from ``first`` to ``last`` of a request by what their deliveries come to, as ``counting.status_of`` has
    it: status, how many, and when the first of those that are open is due."""

    def sum_of(condition: ColumnElement[bool]) -> ColumnElement[Any]:
        return func.sum(case((condition, 1), else_=0))

    state = delivery.c.state
    is_open = state < int(State.DELIVERED)
    mails = (
        select(
            func.count().label("all"),
            sum_of(state == int(State.DELIVERED)).label("sent"),
            sum_of(state == int(State.CANCELLED)).label("cancelled"),
            sum_of(IS_UNSUBSCRIBED).label("unsubscribed"),
            sum_of(is_open).label("open"),
            sum_of(and_(is_open, or_(state == int(State.SENDING), delivery.c.attempts > 0))).label("begun"),
            func.min(case((state == int(State.SENDING), 0), (is_open, delivery.c.due_at))).label("due_at"),
        )
        .select_from(message.join(delivery, OF_MESSAGE))
        .where(
            message.c.account_id == bindparam("account_id"),
            message.c.reference >= bindparam("first"),
            message.c.reference <= bindparam("last"),
            HAS_REFERENCE,
            message.c.bulk == bindparam("request"),
        )
        .with_hint(message, BY_REFERENCE, "sqlite")
        .group_by(message.c.id)
        .subquery("mails")
    )
    of = mails.c
    status = case(
        (of.sent == of.all, int(MailStatus.SENT)),
        (and_(of.open == of.all, of.begun == 0), int(MailStatus.READY)),
        (of.open > 0, int(MailStatus.SENDING)),
        (of.sent > 0, int(MailStatus.PARTLY)),
        (of.cancelled == of.all, int(MailStatus.CANCELLED)),
        (of.unsubscribed == of.all, int(MailStatus.UNSUBSCRIBED)),
        else_=int(MailStatus.FAILED),
    ).label("status")
    return select(status, func.count(), func.min(of.due_at)).select_from(mails).group_by(status)


RANGE: Final = _range_statement()
"""Made once: making it takes longer than asking."""


async def count_ranges(
    store: Store, account_id: int, ranges: Sequence[tuple[str, str, str]]
) -> list[tuple[dict[MailStatus, int], Millis | None]]:
    """Of each request's mails from a first to a last one: how many by status, and when the first of those that are
    open is due."""
    found: list[tuple[dict[MailStatus, int], Millis | None]] = []
    if not ranges:
        return found
    async with store.read() as connection:
        for request, first, last in ranges:
            values = {"account_id": account_id, "request": request, "first": first, "last": last}
            rows = (await connection.execute(RANGE, values)).all()
            due = [row[2] for row in rows if row[2] is not None]
            found.append(({MailStatus(row[0]): row[1] for row in rows}, min(due, default=None)))
    return found


def _freeze(account_id: int, request_id: int, number: int, counts: str) -> Update:
    key = and_(PIECE.account_id == account_id, PIECE.request_id == request_id, PIECE.number == number)
    expanded = PIECE.state == int(PieceState.EXPANDED)
    return update(mail_request_piece).where(key, expanded, _UNCOUNTED).values(counts=counts)


async def freeze_piece(store: Store, account_id: int, request_id: int, number: int, counts: str) -> bool:
    """Keep its counts for good; false: somebody has."""
    async with store.write() as connection:
        return (await connection.execute(_freeze(account_id, request_id, number, counts))).rowcount == 1


async def settle_request(
    store: Store, account_id: int, request_id: int, now: Millis, values: dict[str, Any]
) -> bool:
    """Keep its counts; false: somebody has."""
    key = and_(REQUEST.account_id == account_id, REQUEST.id == request_id, _UNSETTLED)
    async with store.write() as connection:
        done = update(mail_request).where(key).values(settled_at=now, **values)
        return (await connection.execute(done)).rowcount == 1


async def requests_under_way(store: Store, limit: int, after: tuple[int, int] = (0, 0)) -> Sequence[Row[Any]]:
    """Those whose mails are to be counted, of every account; without texts.

    ``after``: account and id of the last one before.
    """
    later = tuple_(REQUEST.account_id, REQUEST.id) > after
    query = _UNDER_WAY.where(later).order_by(REQUEST.account_id, REQUEST.id).limit(limit)
    async with store.read() as connection:
        return (await connection.execute(query)).all()


async def newest_under_way(store: Store, account_id: int, limit: int) -> Sequence[Row[Any]]:
    """The same of an account, the newest first."""
    query = _UNDER_WAY.where(REQUEST.account_id == account_id).order_by(REQUEST.id.desc()).limit(limit)
    async with store.read() as connection:
        return (await connection.execute(query)).all()
