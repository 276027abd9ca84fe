"""Mail that came in: rows for the hot path, and what its readers ask for. Each function runs inside the caller's
transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import ColumnElement, Row, literal, or_, select, text, tuple_, union_all, update

from ekiden.core.states import Reading
from ekiden.store.records import ReceivedMail, Understood
from ekiden.store.tables import UNREAD_SQL, account
from ekiden.store.tables import inbound_mail as table
from ekiden.store.tables import worker as workers

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from ekiden.core.clock import Millis

_to_json = msgspec.json.Encoder().encode
_recipients = msgspec.json.Decoder(tuple[str, ...]).decode


def received_row(worker: int, mail: ReceivedMail) -> tuple[Any, ...]:
    """In the order of the columns."""
    return (
        mail.account_id,
        mail.id,
        int(Reading.UNREAD),
        0,
        mail.listener,
        mail.peer,
        mail.helo,
        mail.tls,
        mail.sender,
        _to_json(mail.recipients).decode(),
        mail.size,
        int(mail.smtputf8),
        mail.accepted_at,
        mail.accepted_at,
        mail.attempts,
        worker if mail.attempts else None,
        mail.header_id,
        mail.subject,
        mail.authentication,
        "",
    )


def understood_row(worker: int, what: Understood) -> tuple[Any, ...]:
    """The values of ``SETTLE_SQL``: what is new; which mail it is, and its fence."""
    mail, again = what.mail, what.due_at
    state, due = (Reading.READ, mail.accepted_at) if again is None else (Reading.UNREAD, again)
    return (int(state), what.kind, what.told, due, mail.account_id, mail.id, worker, mail.attempts)


SETTLE_SQL: Final = (
    "UPDATE inbound_mail SET state = {}, kind = {}, told = {}, due_at = {}, owner = NULL "  # noqa: S608 (our names)
    f"WHERE account_id = {{}} AND id = {{}} AND owner = {{}} AND attempts = {{}} AND {UNREAD_SQL}"
)
"""With places for parameters as a driver writes them."""
HEARD_SQL: Final = (
    "UPDATE delivery SET after = after | {} WHERE account_id = {} AND message_id = {} AND number = {}"
)


def _free(now: Millis) -> tuple[ColumnElement[bool], ...]:
    """Nobody living reads it, and its time has come."""
    living = select(workers.c.id).where(workers.c.ended_at.is_(None))
    unread: ColumnElement[bool] = text(f"inbound_mail.{UNREAD_SQL}")  # type: ignore[assignment]
    return unread, table.c.due_at <= now, or_(table.c.owner.is_(None), table.c.owner.not_in(living))


async def unread_waits(connection: AsyncConnection, now: Millis) -> bool:
    """Whether there is anything to claim."""
    return await connection.scalar(select(literal(1)).select_from(table).where(*_free(now)).limit(1)) is not None


async def claim_unread(connection: AsyncConnection, worker: int, now: Millis, most: int) -> list[ReceivedMail]:
    """Own mails that nobody living reads and whose time has come, the oldest first. Contents are not loaded."""
    query = (
        select(table)
        .where(*_free(now))
        .order_by(table.c.due_at, table.c.account_id, table.c.id)
        .limit(most)
        .with_for_update(of=table, skip_locked=True)
    )
    found = [received_of(row, begun=1) for row in await connection.execute(query)]
    if found:
        keys = [(mail.account_id, mail.id) for mail in found]
        await connection.execute(
            update(table)
            .where(tuple_(table.c.account_id, table.c.id).in_(keys))
            .values(owner=worker, attempts=table.c.attempts + 1)
        )
    return found


async def find_received(connection: AsyncConnection, number: int) -> tuple[ReceivedMail, Row[Any]] | None:
    """A mail by its id, whoever it concerns; with the row."""
    # The key begins with the account: a few accounts are looked at, never all mails.
    whose = union_all(select(literal(0)), select(account.c.id)).subquery()
    query = select(table).where(table.c.account_id.in_(select(whose)), table.c.id == number)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else (received_of(row), row)


def received_of(row: Row[Any], begun: int = 0) -> ReceivedMail:
    """A mail of its row. ``begun``: readings that have begun since."""
    return ReceivedMail(
        account_id=row.account_id,
        id=row.id,
        listener=row.listener,
        peer=row.peer,
        helo=row.helo,
        tls=row.tls,
        sender=row.sender,
        recipients=_recipients(row.recipients),
        size=row.size,
        smtputf8=bool(row.smtputf8),
        accepted_at=row.accepted_at,
        header_id=row.header_id,
        subject=row.subject,
        authentication=row.authentication,
        attempts=row.attempts + begun,
    )
