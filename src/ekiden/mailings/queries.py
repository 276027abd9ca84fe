"""Requests to mail many and their pieces, as they are received, made into messages, and decided upon."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import Row, Text, and_, cast, delete, exists, insert, literal, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.core.clock import Millis
from ekiden.mailings.numbers import parse_public_id
from ekiden.mailings.values import MailStatus, NoSuchRequest, PieceState, RequestState
from ekiden.store.tables import (
    DUE_REQUEST_SQL,
    PIECE_WAITING_SQL,
    RESOLVING_SQL,
    UNSETTLED_SQL,
    mail_number,
    mail_request,
    mail_request_piece,
    shared_content,
    worker,
)

if TYPE_CHECKING:
    from ekiden.store.api import Store

_DUE: Final = text(DUE_REQUEST_SQL)  # word for word as in the partial index
_WAITING: Final = text(PIECE_WAITING_SQL)
RequestRow = Row[Any]
"""Columns of ``mail_request`` by their names."""
REQUEST, PIECE = mail_request.c, mail_request_piece.c
ALIVE: Final = select(worker.c.id).where(worker.c.ended_at.is_(None))


async def take_numbers(connection: AsyncConnection, account_id: int, count: int) -> int:
    """The first of so many numbers that nobody else of the account has."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    begun = dialect.insert(mail_number).values(account_id=account_id, next=1 + count)
    taken = begun.on_conflict_do_update(
        index_elements=["account_id"], set_={"next": mail_number.c.next + count}
    ).returning(mail_number.c.next)
    return int((await connection.execute(taken)).scalar_one()) - count


async def insert_request(connection: AsyncConnection, values: Mapping[str, Any]) -> None:
    """A new one."""
    await connection.execute(insert(mail_request).values(values))


async def insert_pieces(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Pieces that wait."""
    await connection.execute(insert(mail_request_piece), rows)


async def insert_shared(
    connection: AsyncConnection, account_id: int, request_id: int, number: int, data: bytes
) -> None:
    """A piece of what the messages of a request share."""
    values = {"account_id": account_id, "id": request_id, "number": number, "data": data}
    await connection.execute(insert(shared_content).values(values))


async def read_shared(store: Store, account_id: int, request_id: int) -> tuple[bytes, ...]:
    """All pieces of it, in their order."""
    query = (
        select(shared_content.c.data)
        .where(shared_content.c.account_id == account_id, shared_content.c.id == request_id)
        .order_by(shared_content.c.number)
    )
    async with store.read() as connection:
        return tuple(bytes(data) for data in await connection.scalars(query))


async def change_request(
    connection: AsyncConnection, account_id: int, request_id: int, states: Sequence[RequestState], **values: Any
) -> bool:
    """Change it while it is in one of ``states``; false: it is not."""
    states_now = [int(state) for state in states]
    which = and_(REQUEST.account_id == account_id, REQUEST.id == request_id, REQUEST.state.in_(states_now))
    return (await connection.execute(update(mail_request).where(which).values(values))).rowcount == 1


async def remove_staged(store: Store, account_id: int, request_id: int) -> None:
    """What was received of a request that is not going to be one."""
    async with store.write() as connection:
        staged = and_(
            REQUEST.account_id == account_id, REQUEST.id == request_id, REQUEST.state == int(RequestState.STAGING)
        )
        if (await connection.execute(delete(mail_request).where(staged))).rowcount:
            await connection.execute(
                delete(mail_request_piece).where(PIECE.account_id == account_id, PIECE.request_id == request_id)
            )


async def find_request(store: Store, account_id: int, id: str) -> RequestRow | None:
    """By what clients call it, without what is still being received."""
    public = parse_public_id(id)
    if public is None:
        return None
    query = select(mail_request).where(
        REQUEST.account_id == account_id,
        REQUEST.number == public.number,
        REQUEST.day == public.day,
        REQUEST.state != int(RequestState.STAGING),
    )
    async with store.read() as connection:
        return (await connection.execute(query)).one_or_none()


async def get_request(store: Store, account_id: int, id: str) -> RequestRow:
    """As ``find_request``; raises ``NoSuchRequest``."""
    row = await find_request(store, account_id, id)
    if row is None:
        raise NoSuchRequest(id)
    return row


async def held_requests(store: Store, account_id: int | None, limit: int = 1_000) -> Sequence[RequestRow]:
    """Those that wait to be confirmed, the oldest first."""
    query = select(mail_request).where(text(UNSETTLED_SQL), REQUEST.state == int(RequestState.HELD))
    if account_id is not None:
        query = query.where(REQUEST.account_id == account_id)
    async with store.read() as connection:
        return (await connection.execute(query.order_by(REQUEST.id).limit(limit))).all()


async def request_row(store: Store, account_id: int, request_id: int) -> Row[Any] | None:
    """The whole row."""
    query = select(mail_request).where(REQUEST.account_id == account_id, REQUEST.id == request_id)
    async with store.read() as connection:
        return (await connection.execute(query)).one_or_none()


async def cancel_pieces(connection: AsyncConnection, account_id: int, request_id: int) -> Sequence[int]:
    """Pieces that wait never become messages; returns their numbers."""
    waiting = and_(PIECE.account_id == account_id, PIECE.request_id == request_id, _WAITING)
    # As ``values.encode_counts`` writes it.
    counts = literal(f'{{"{int(MailStatus.CANCELLED)}":').concat(cast(PIECE.mails, Text)).concat("}")
    gone = update(mail_request_piece).where(waiting)
    gone = gone.values(state=int(PieceState.CANCELLED), owner=None, counts=counts)
    return (await connection.scalars(gone.returning(PIECE.number))).all()


# --- what is to be done -----------------------------------------------------------------------------------------


async def due_accounts(store: Store, now: Millis) -> list[int]:
    """Those with requests whose time has come, in order."""
    due = _DUE, REQUEST.due_at <= now, REQUEST.resolving == 0
    query = select(REQUEST.account_id).where(*due).distinct().order_by(REQUEST.account_id)
    async with store.read() as connection:
        return list(await connection.scalars(query))


class Claimed(NamedTuple):
    """A piece that this worker makes messages of."""

    account_id: int
    request_id: int
    number: int


async def claim_pieces(store: Store, account_id: int, owner: int, now: Millis, most: int) -> list[Claimed]:
    """Own up to ``most`` of the account's pieces that nobody alive has, those of older requests first.

    Requests of which nothing is left to be done are ``EXPANDED`` then.
    """
    due = (
        select(REQUEST.id)
        .where(_DUE, REQUEST.due_at <= now, REQUEST.account_id == account_id, REQUEST.resolving == 0)
        .order_by(REQUEST.id)
        .limit(most)
    )
    found: list[Claimed] = []
    async with store.write() as connection:
        for request_id in (await connection.scalars(due)).all():
            waiting = and_(PIECE.account_id == account_id, PIECE.request_id == request_id, _WAITING)
            free = or_(PIECE.owner.is_(None), PIECE.owner == owner, PIECE.owner.not_in(ALIVE))
            some = select(PIECE.number).where(waiting, free).order_by(PIECE.number).limit(most - len(found))
            numbers = list(await connection.scalars(some.with_for_update(skip_locked=True)))
            if numbers:
                key = and_(PIECE.account_id == account_id, PIECE.request_id == request_id)
                own = update(mail_request_piece).where(key, PIECE.number.in_(numbers), _WAITING)
                await connection.execute(own.values(owner=owner, tries=PIECE.tries + 1))
                found += [Claimed(account_id, request_id, number) for number in numbers]
                begun = update(mail_request).where(
                    REQUEST.account_id == account_id, REQUEST.id == request_id, REQUEST.begun_at.is_(None)
                )
                await connection.execute(begun.values(begun_at=now))
            elif not await connection.scalar(select(exists().where(waiting))):
                states = (RequestState.DUE,)
                await change_request(connection, account_id, request_id, states, state=int(RequestState.EXPANDED))
            if len(found) >= most:
                break
    return found


async def conclude(store: Store, account_id: int, requests: Sequence[int]) -> None:
    """Those of the requests of which every piece is done are ``EXPANDED``."""
    waiting = exists().where(
        PIECE.account_id == REQUEST.account_id,
        PIECE.request_id == REQUEST.id,
        text(f"mail_request_piece.{PIECE_WAITING_SQL}"),
    )
    done = update(mail_request).where(
        REQUEST.account_id == account_id,
        REQUEST.id.in_(requests),
        REQUEST.state == int(RequestState.DUE),
        REQUEST.resolving == 0,
        ~waiting,
    )
    async with store.write() as connection:
        await connection.execute(done.values(state=int(RequestState.EXPANDED)))


async def read_piece(store: Store, piece: Claimed, owner: int) -> Any | None:
    """Its mails, as long as it is ``owner``'s; ``None``: it is not."""
    query = select(PIECE.first_number, PIECE.tries, PIECE.data).where(
        PIECE.account_id == piece.account_id,
        PIECE.request_id == piece.request_id,
        PIECE.number == piece.number,
        PIECE.owner == owner,
        _WAITING,
    )
    async with store.read() as connection:
        return (await connection.execute(query)).one_or_none()


async def let_go(store: Store, account_id: int, owner: int, until: Millis | None = None) -> None:
    """The worker has none of the account's pieces any more. ``until``: its requests are not due before."""
    async with store.write() as connection:
        mine = and_(PIECE.account_id == account_id, _WAITING, PIECE.owner == owner)
        await connection.execute(update(mail_request_piece).where(mine).values(owner=None))
        if until is not None:
            due = update(mail_request).where(REQUEST.account_id == account_id, _DUE, REQUEST.due_at < until)
            await connection.execute(due.values(due_at=until))


# --- groups of the address book -----------------------------------------------------------------------------------


async def claim_resolving(store: Store, owner: int) -> Any | None:
    """A request whose groups are still to be read, and nobody alive does: it is ``owner``'s then."""
    free = or_(REQUEST.owner.is_(None), REQUEST.owner == owner, REQUEST.owner.not_in(ALIVE))
    open_states = REQUEST.state.in_([int(RequestState.HELD), int(RequestState.DUE)])
    wanted = select(REQUEST.account_id, REQUEST.id).where(text(RESOLVING_SQL), open_states, free)
    async with store.read() as connection:
        if (await connection.execute(wanted.limit(1))).first() is None:
            return None
    async with store.write() as connection:
        found = (await connection.execute(wanted.limit(1).with_for_update(skip_locked=True))).first()
        if found is None:
            return None
        key = and_(REQUEST.account_id == found.account_id, REQUEST.id == found.id)
        taken = update(mail_request).where(key).values(owner=owner)
        return (await connection.execute(taken.returning(*mail_request.c))).first()


async def named_pieces(store: Store, account_id: int, request_id: int, before: int) -> AsyncIterator[bytes]:
    """The mails of each piece of the people that a request names: those below ``before``."""
    for number in range(before):
        query = select(PIECE.data).where(
            PIECE.account_id == account_id, PIECE.request_id == request_id, PIECE.number == number
        )
        async with store.read() as connection:
            data = await connection.scalar(query)
        if data is not None:
            yield bytes(data)


async def remove_pieces(store: Store, account_id: int, request_id: int, since: int) -> None:
    """Those from a number on: who began to resolve the groups has not come to the end."""
    key = and_(PIECE.account_id == account_id, PIECE.request_id == request_id, PIECE.number >= since)
    async with store.write() as connection:
        await connection.execute(delete(mail_request_piece).where(key))
