"""What mail that came in is about: messages and deliveries, some of them at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import exists, func, or_, select, tuple_

from ekiden.core.diagnosis import Diagnosis
from ekiden.core.notices import Route, parse_routes
from ekiden.core.states import After, State
from ekiden.recipients.suppressing import Sent
from ekiden.store.retention import first_id
from ekiden.store.tables import account, delivery, message

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from ekiden.core.clock import Millis

Key = tuple[int, int]
"""Account and message id."""


class Sending(NamedTuple):
    """A delivery that something is heard of."""

    number: int
    recipient: str
    state: State
    after: After


@dataclass(slots=True)
class Subject:
    """A message that something is heard of, with those of its deliveries that may be meant."""

    sent: Sent
    header_id: str
    routes: tuple[Route, ...]
    sent_on: bool = False
    """It came in for the account: other people's mail."""
    deliveries: list[Sending] = field(default_factory=list)


async def subjects(
    connection: AsyncConnection, wanted: Mapping[Key, tuple[Collection[int], Collection[str]]]
) -> dict[Key, Subject]:
    """The messages of ``wanted`` that are known. By each: recipients' numbers, and addresses in lower case."""
    if not wanted:
        return {}
    m, d = message.c, delivery.c
    keys = list(wanted)
    query = select(m.account_id, m.id, m.sender, m.labels, m.header_id, m.routes, m.forward).where(
        tuple_(m.account_id, m.id).in_(keys)
    )
    found = {
        (row.account_id, row.id): Subject(
            Sent(row.account_id, row.id, row.sender, row.labels),
            row.header_id,
            parse_routes(row.routes),
            sent_on=bool(row.forward),
        )
        for row in await connection.execute(query)
    }
    numbers = {number for named, _ in wanted.values() for number in named}
    addresses = {address for _, named in wanted.values() for address in named}
    rows = await connection.execute(
        select(d.account_id, d.message_id, d.number, d.recipient, d.state, d.after)
        .where(
            tuple_(d.account_id, d.message_id).in_(keys),
            or_(d.number.in_(numbers), func.lower(d.recipient).in_(addresses)),
        )
        .order_by(d.account_id, d.message_id, d.number)
    )
    for row in rows:
        subject = found.get((row.account_id, row.message_id))
        if subject is not None:
            sending = Sending(row.number, row.recipient, State(row.state), After(row.after))
            subject.deliveries.append(sending)
    return found


async def senders_of(connection: AsyncConnection, keys: Collection[Key]) -> dict[Key, str]:
    """The envelope senders of messages that were sent on, those that are known."""
    m = message.c
    query = select(m.account_id, m.id, m.sender).where(tuple_(m.account_id, m.id).in_(keys), m.forward != "")
    return {(row.account_id, row.id): row.sender for row in await connection.execute(query)}


async def accounts_of(connection: AsyncConnection, message_ids: Collection[int]) -> dict[int, int]:
    """Whose the messages are, by id; those that are known."""
    # One search of the primary key for each account and id.
    query = select(message.c.id, message.c.account_id).where(
        message.c.account_id.in_(select(account.c.id)), message.c.id.in_(message_ids)
    )
    return {row.id: row.account_id for row in await connection.execute(query)}


SOFT: Final = (Diagnosis.DISABLED, Diagnosis.FULL)
"""Of a bounce that says nothing for good once, but does when it is the third within a month."""


async def soft_bounces(connection: AsyncConnection, account_id: int, recipient: str, since: Millis) -> int:
    """How often mail to ``recipient``, accepted since then, was given up although the address may be good. What was
    sent on does not count."""
    d = delivery.c
    given_up = or_(
        d.after.op("&")(int(After.BOUNCED)) != 0,
        d.state == int(State.EXPIRED),
        (d.state == int(State.BOUNCED)) & d.diagnosis.in_([int(diagnosis) for diagnosis in SOFT]),
    )
    own = exists().where(
        message.c.account_id == d.account_id, message.c.id == d.message_id, message.c.forward == ""
    )
    query = select(func.count()).where(
        d.account_id == account_id, d.recipient == recipient, d.message_id >= first_id(since), given_up, own
    )
    return int(await connection.scalar(query) or 0)
