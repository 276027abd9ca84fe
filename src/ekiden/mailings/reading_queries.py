"""Requests to mail many as somebody looks at them: lists, counts, single mails and what became of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    case,
    func,
    or_,
    select,
    text,
    tuple_,
)

from ekiden.core.clock import Millis
from ekiden.core.events import EventType
from ekiden.mailings.counting_queries import HAS_REFERENCE, IS_UNSUBSCRIBED, LISTED, NOT_BEGUN, OF_MESSAGE
from ekiden.mailings.queries import PIECE, REQUEST
from ekiden.mailings.values import MailStatus, RequestState
from ekiden.store.tables import (
    BY_RECIPIENT,
    BY_REFERENCE,
    BY_UNSENT,
    UNSENT_SQL,
    attempt,
    delivery,
    event,
    mail_request,
    mail_request_piece,
    message,
)

if TYPE_CHECKING:
    from ekiden.store.api import Store

_STATUS_BEFORE: Final = {
    MailStatus.PREPARING: and_(NOT_BEGUN, REQUEST.resolving == 1),
    MailStatus.READY: and_(NOT_BEGUN, REQUEST.resolving == 0),
}


# --- lists --------------------------------------------------------------------------------------------------------


async def list_requests(
    store: Store,
    conditions: Sequence[ColumnElement[bool]],
    order: Sequence[ColumnElement[Any]],
    offset: int,
    limit: int,
) -> tuple[int, Sequence[Row[Any]]]:
    """How many there are, and a page of them, without texts."""
    wanted = and_(REQUEST.state != int(RequestState.STAGING), *conditions)
    page = select(*LISTED).where(wanted).order_by(*order).offset(offset).limit(limit)
    async with store.read() as connection:
        total = await connection.scalar(select(func.count()).select_from(mail_request).where(wanted))
        return int(total or 0), (await connection.execute(page)).all()


async def find_piece(store: Store, account_id: int, number: int) -> Row[Any] | None:
    """The one whose mails the number may be of."""
    query = (
        select(mail_request_piece)
        .where(PIECE.account_id == account_id, PIECE.first_number <= number)
        .order_by(PIECE.first_number.desc())
        .limit(1)
    )
    async with store.read() as connection:
        row = (await connection.execute(query)).first()
    return row if row is not None and number < row.first_number + row.mails else None


async def piece_rows(store: Store, account_id: int, request_id: int, numbers: Sequence[int]) -> Sequence[Row[Any]]:
    """These pieces with their mails."""
    query = (
        select(mail_request_piece)
        .where(PIECE.account_id == account_id, PIECE.request_id == request_id, PIECE.number.in_(numbers))
        .order_by(PIECE.number)
    )
    async with store.read() as connection:
        return (await connection.execute(query)).all()


async def pieces_of_requests(
    store: Store, account_id: int, keys: Sequence[tuple[int, int]]
) -> Sequence[tuple[int, bytes]]:
    """The mails of pieces by (request_id, number), as (request_id, data)."""
    query = select(PIECE.request_id, PIECE.data).where(
        PIECE.account_id == account_id, tuple_(PIECE.request_id, PIECE.number).in_(keys)
    )
    async with store.read() as connection:
        return [(row[0], bytes(row[1])) for row in await connection.execute(query)]


async def requests_by_recipient(store: Store, account_id: int, addresses: Sequence[str]) -> set[int]:
    """Numbers of the requests that have had mail for any of the spellings of an address."""
    async with store.read() as connection:
        bulks = await connection.scalars(sent_statement(account_id, addresses, message.c.bulk).distinct())
        return {int(bulk[-12:]) for bulk in bulks if len(bulk) == 20 and bulk.isdecimal()}


async def mails_by_recipient(store: Store, account_id: int, request: str, addresses: Sequence[str]) -> list[str]:
    """What the mails of the request to any of the spellings of an address are called."""
    async with store.read() as connection:
        found = sent_statement(account_id, addresses, message.c.reference)
        # In words of which no index knows: it is one recipient's messages that are looked at, not the request's.
        return list(await connection.scalars(found.where(func.coalesce(message.c.bulk, "") == request)))


def sent_statement(account_id: int, addresses: Sequence[str], column: ColumnElement[str]) -> Select[Any]:
    """``column`` of the messages that any of the spellings of an address has had."""
    return (
        select(column)
        .select_from(delivery.join(message, OF_MESSAGE))
        .where(delivery.c.account_id == account_id, delivery.c.recipient.in_(addresses))
        .with_hint(delivery, BY_RECIPIENT, "sqlite")
    )


async def pieces_with(store: Store, account_id: int, needle: bytes, request_id: int | None = None) -> Sequence[Any]:
    """Pieces with mails that are no messages, in which the octets stand: (request_id, number, size in octets)."""
    async with store.read() as connection:
        statement = unsent_statement(connection.dialect.name, account_id, needle, request_id)
        return (await connection.execute(statement)).all()


def unsent_statement(
    engine: str, account_id: int, needle: bytes, request_id: int | None
) -> Select[tuple[int, int, int]]:
    """Of ``pieces_with``; ``request_id``: of this request only."""
    found = "position(:needle in data) > 0" if engine == "postgresql" else "instr(data, :needle) > 0"
    query = (
        select(PIECE.request_id, PIECE.number, func.length(PIECE.data).label("size"))
        .where(
            PIECE.account_id == account_id,
            text(UNSENT_SQL),  # word for word as in the partial index
            text(found).bindparams(needle=needle),
        )
        .with_hint(mail_request_piece, BY_UNSENT, "sqlite")
        .order_by(PIECE.request_id, PIECE.number)
    )
    return query if request_id is None else query.where(PIECE.request_id == request_id)


# --- single mails -------------------------------------------------------------------------------------------------


async def messages_by_reference(
    store: Store, account_id: int, request: str, references: Sequence[str]
) -> Sequence[Any]:
    """Deliveries of these mails with what a list tells of them: one row each."""
    query = (
        select(
            message.c.reference,
            message.c.id,
            message.c.subject,
            message.c.accepted_at,
            delivery.c.number,
            delivery.c.recipient,
            delivery.c.state,
            delivery.c.attempts,
            delivery.c.code,
            delivery.c.enhanced,
            delivery.c.reason,
            delivery.c.said,
            delivery.c.diagnosis,
            delivery.c.updated_at,
            IS_UNSUBSCRIBED.label("unsubscribed"),
        )
        .select_from(message.join(delivery, OF_MESSAGE))
        .where(
            message.c.account_id == account_id,
            message.c.reference.in_(references),
            HAS_REFERENCE,
            message.c.bulk == request,
        )
        .with_hint(message, BY_REFERENCE, "sqlite")
        .order_by(message.c.reference, delivery.c.number)
    )
    async with store.read() as connection:
        return (await connection.execute(query)).all()


async def last_replies(store: Store, account_id: int, message_id: int) -> dict[int, str]:
    """What the servers said last, by recipient."""
    query = (
        select(attempt.c.recipient_number, attempt.c.code, attempt.c.enhanced, attempt.c.reply)
        .where(attempt.c.account_id == account_id, attempt.c.message_id == message_id)
        .order_by(attempt.c.number)
    )
    async with store.read() as connection:
        return {row[0]: said_by(*row[1:]) for row in await connection.execute(query)}


def said_by(code: int, enhanced: str, text: str) -> str:
    """A reply as it stands on the wire: ``550 5.1.1 No such user``."""
    return " ".join(part for part in (str(code or ""), enhanced, text) if part)


async def first_opens(store: Store, account_id: int, message_id: int) -> dict[int, Millis]:
    """When the message was first opened, by recipient; what looks like a machine's opening does not count."""
    query = (
        select(event.c.recipient_number, func.min(event.c.at))
        .where(
            event.c.account_id == account_id,
            event.c.message_id == message_id,
            event.c.type == int(EventType.OPENED),
            event.c.data.not_like('%"machine":true%'),
        )
        .group_by(event.c.recipient_number)
    )
    async with store.read() as connection:
        return {row[0]: row[1] for row in await connection.execute(query)}


# --- what is wanted of a list of requests -----------------------------------------------------------------------


def request_conditions(
    account_id: int,
    *,
    base: Sequence[ColumnElement[bool]] = (),
    first: int | None = None,
    last: int | None = None,
    ids: Collection[int] | None = None,
    numbers: Collection[int] | None = None,
    or_ids: Collection[int] = (),
    via: str = "",
    title: str = "",
    template_id: int | None = None,
    sender: str = "",
    statuses: Collection[MailStatus] = (),
    open_ids: Collection[int] = (),
) -> list[ColumnElement[bool]]:
    """``base``, and what else is said. ``statuses`` are of those that are settled or not begun; ``open_ids`` are
    others that are wanted. ``numbers`` or ``or_ids``: one of them has it."""
    found = list(base) or [REQUEST.account_id == account_id]
    if first is not None and last is not None:
        found.append(REQUEST.id.between(first, last))
    if ids is not None:
        found.append(REQUEST.id.in_(ids))
    if numbers is not None:
        found.append(or_(REQUEST.number.in_(numbers), REQUEST.id.in_(or_ids)))
    if via:
        found.append(REQUEST.via == via)
    if title:
        found.append(REQUEST.subject.icontains(title, autoescape=True))
    if template_id is not None:
        found.append(REQUEST.template_id == template_id)
    if sender:
        found.append(func.lower(REQUEST.sender) == sender.lower())
    if statuses:
        settled = and_(REQUEST.settled_at.is_not(None), REQUEST.status.in_(sorted(map(int, statuses))))
        before = [condition for status, condition in _STATUS_BEFORE.items() if status in statuses]
        found.append(or_(settled, REQUEST.id.in_(open_ids), *before))
    return found


def request_order(
    order: Sequence[tuple[str, bool]], statuses: Mapping[int, MailStatus]
) -> list[ColumnElement[Any]]:
    """``statuses``: of those that are under way, by their ids."""
    by_status: dict[MailStatus, list[int]] = {}
    for id, of in statuses.items():
        by_status.setdefault(of, []).append(id)
    known: list[tuple[ColumnElement[bool], int]] = []
    known += [(REQUEST.id.in_(ids), int(of)) for of, ids in by_status.items()]
    known += [(condition, int(of)) for of, condition in _STATUS_BEFORE.items()]
    status = case(*known, else_=REQUEST.status)
    columns: dict[str, ColumnElement[Any]] = {
        "created": REQUEST.id,
        "recipients": REQUEST.recipients,
        "reserved": func.coalesce(REQUEST.reserved_at, 0),
        "sent": func.coalesce(REQUEST.begun_at, 0),
        "status": status,
    }
    found = [columns[name].desc() if down else columns[name].asc() for name, down in order]
    return [*found, REQUEST.id.desc()]
