"""Requests of which more is under way than is counted for whoever asks: they are told what was seen last."""

from __future__ import annotations

from typing import Any

import pytest
from mail_bureau import Bureau, people
from sqlalchemy import Select, select, text, update

from ekiden.access.audit import Actor
from ekiden.core.clock import DAY, HOUR, MINUTE
from ekiden.core.states import State
from ekiden.mailings.counting_queries import RANGE
from ekiden.mailings.numbers import parse_public_id
from ekiden.mailings.reading import MailFilter, RequestFilter
from ekiden.mailings.reading_queries import sent_statement, unsent_statement
from ekiden.mailings.requests import MAILS_OF_A_PIECE
from ekiden.mailings.values import Accepted, Counts, MailStatus
from ekiden.store import tables as t
from ekiden.store.retention import RetentionConfig, prune

READY, SENT, FAILED, CANCELLED = MailStatus.READY, MailStatus.SENT, MailStatus.FAILED, MailStatus.CANCELLED
ANN = Actor("cli:ann")
PIECES = 12
MAILS = PIECES * MAILS_OF_A_PIECE - 50
"""The last piece is not full."""


async def ask(bureau: Bureau) -> Accepted:
    accepted = await bureau.ask(*people(MAILS))
    assert accepted.mails == MAILS
    return accepted


async def end(bureau: Bureau, accepted: Accepted, first: int, last: int, state: State = State.DELIVERED) -> None:
    """The deliveries of mails ``first`` to ``last`` (places in the request) have come to their end."""
    public = parse_public_id(accepted.id)
    assert public is not None
    names = [public._replace(number=public.number + 1 + place).text for place in range(first, last + 1)]
    async with bureau.store.write() as connection:
        messages = select(t.message.c.id).where(t.message.c.reference.in_(names))
        ended = update(t.delivery).where(t.delivery.c.message_id.in_(messages))
        await connection.execute(ended.values(state=int(state), attempts=1))


async def counts(bureau: Bureau, accepted: Accepted) -> Counts:
    return (await bureau.reading.status(bureau.account_id, accepted.id)).standing.counts


async def found(bureau: Bureau, accepted: Accepted, offset: int = 0, limit: int = 10, **wanted: Any) -> list[int]:
    """Places in the request of a page of its mails, behind how many there are."""
    page = await bureau.reading.mails(
        bureau.account_id,
        accepted.id,
        MailFilter(**wanted),
        offset=offset,
        limit=limit,
    )
    public = parse_public_id(accepted.id)
    assert public is not None
    return [page.total, *(int(mail.id[8:]) - public.number - 1 for mail in page.mails)]


async def test_what_was_seen_last_is_told_until_little_is_under_way(bureau: Bureau) -> None:
    counting = bureau.reading.counting
    accepted = await ask(bureau)
    assert await counts(bureau, accepted) == {READY: MAILS}
    await bureau.expand()
    assert await counts(bureau, accepted) == {READY: MAILS}
    assert await counting.settle() == 0
    assert await counts(bureau, accepted) == {READY: MAILS}

    # One in the middle, and a whole piece: they are seen at the next look, not before.
    await end(bureau, accepted, 250, 250, State.BOUNCED)
    await end(bureau, accepted, 400, 599)
    assert await counts(bureau, accepted) == {READY: MAILS}
    bureau.clock.advance(MINUTE)
    assert await counting.settle() == 1
    expected = {READY: MAILS - 201, SENT: 200, FAILED: 1}
    assert await counts(bureau, accepted) == expected
    assert await found(bureau, accepted, statuses=frozenset({FAILED})) == [1, 250]
    assert await found(bureau, accepted, offset=199, statuses=frozenset({SENT})) == [200, 599]
    assert await found(bureau, accepted, offset=598, limit=3) == [MAILS, 598, 599, 600]
    assert await found(bureau, accepted, offset=MAILS - 1) == [MAILS, MAILS - 1]
    assert await found(bureau, accepted, recipient="p250@x.example", statuses=frozenset({FAILED})) == [1, 250]
    lately = RequestFilter(since=bureau.clock.now() - HOUR, until=bureau.clock.now())
    (shown,) = (await bureau.reading.requests(bureau.account_id, lately)).requests
    assert (shown.id, shown.status) == (accepted.id, MailStatus.SENDING)

    # Ten pieces are left: from now on it is told as it is.
    await end(bureau, accepted, 0, 199)
    bureau.clock.advance(MINUTE)
    assert await counting.settle() == 1
    await end(bureau, accepted, 251, 260)
    assert await counts(bureau, accepted) == {READY: MAILS - 411, SENT: 410, FAILED: 1}
    assert await found(bureau, accepted, offset=409, statuses=frozenset({SENT})) == [410, 599]
    await end(bureau, accepted, 600, 799)
    expected = {READY: MAILS - 611, SENT: 610, FAILED: 1}
    assert await counts(bureau, accepted) == expected
    assert await found(bureau, accepted, offset=609, statuses=frozenset({SENT})) == [610, 799]
    bureau.clock.advance(MINUTE)
    assert await counting.settle() == 1
    assert await counts(bureau, accepted) == expected
    await end(bureau, accepted, 200, MAILS - 1)
    assert await counts(bureau, accepted) == {SENT: MAILS}
    status = await bureau.reading.status(bureau.account_id, accepted.id)
    assert status.request.status == SENT
    bureau.clock.advance(MINUTE)
    while await counting.settle():
        pass
    (row,) = await bureau.rows(t.mail_request)
    assert row.settled_at == bureau.clock.now()
    assert await bureau.reading.status(bureau.account_id, accepted.id) == status
    assert await found(bureau, accepted, offset=MAILS - 2) == [MAILS, MAILS - 2, MAILS - 1]


async def test_what_waits_as_a_whole_is_not_looked_at(bureau: Bureau) -> None:
    accepted = await bureau.ask(*people(MAILS), reserved_at=bureau.clock.now() + HOUR)
    await bureau.reading.counting.settle()
    assert await counts(bureau, accepted) == {READY: MAILS}
    assert not await bureau.rows(t.mail_request_tally)
    await bureau.decisions.cancel(bureau.account_id, accepted.id, ANN)
    assert await counts(bureau, accepted) == {CANCELLED: MAILS}
    await bureau.reading.counting.settle()
    assert await counts(bureau, accepted) == {CANCELLED: MAILS}
    assert (await bureau.rows(t.mail_request))[0].settled_at is not None


async def test_what_is_cancelled_is_seen(bureau: Bureau) -> None:
    sent = 16 * MAILS_OF_A_PIECE  # what is made of a request at a time
    accepted = await bureau.ask(*people(sent + 300))
    await bureau.expander.work()
    await bureau.reading.counting.settle()
    assert await counts(bureau, accepted) == {READY: sent + 300}
    await bureau.decisions.cancel(bureau.account_id, accepted.id, ANN)
    assert await counts(bureau, accepted) == {READY: sent, CANCELLED: 300}
    cancelled = frozenset({CANCELLED})
    assert await found(bureau, accepted, offset=299, statuses=cancelled) == [300, sent + 299]
    bureau.clock.advance(MINUTE)
    await bureau.reading.counting.settle()
    assert await counts(bureau, accepted) == {READY: sent, CANCELLED: 300}


async def test_mails_are_found_by_their_titles(bureau: Bureau) -> None:
    accepted = await ask(bureau)
    assert await found(bureau, accepted, title="hello p2300") == [1, 2300]
    await bureau.expand()
    assert await found(bureau, accepted, title="Hello P2300") == [1, 2300]
    assert await found(bureau, accepted, offset=MAILS - 1, title="Hello") == [MAILS, MAILS - 1]
    assert await found(bureau, accepted, title="Hello P7", recipient="p7@x.example") == [1, 7]
    assert await found(bureau, accepted, title="Hello P7", recipient="p8@x.example") == [0]
    plain = await bureau.ask("a@x.example", "b@x.example", subject="Hello all")
    assert await found(bureau, plain, title="all") == [2, 0, 1]
    assert await found(bureau, plain, title="nobody") == [0]


async def test_what_was_seen_goes_with_the_request(bureau: Bureau) -> None:
    accepted = await ask(bureau)
    await bureau.expand()
    await bureau.reading.counting.settle()
    await end(bureau, accepted, 0, MAILS - 1)
    bureau.clock.advance(MINUTE)
    while await bureau.reading.counting.settle():
        pass
    assert len(await bureau.rows(t.mail_request_tally)) == 1
    await prune(bureau.store, bureau.clock.now() + 365 * DAY, RetentionConfig())
    assert not await bureau.rows(t.mail_request)
    assert not await bureau.rows(t.mail_request_tally)


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("statement", "step"),
    [
        (
            RANGE.params(account_id=1, request="20261130000000000001", first="20261130000000000002", last="2"),
            "message USING INDEX ix_message_reference (account_id=? AND reference>",
        ),
        (
            sent_statement(1, ["a@x.example", "A@x.example"], t.message.c.bulk),
            "delivery USING COVERING INDEX ix_delivery_recipient (account_id=? AND recipient=?)",
        ),
        (
            unsent_statement("sqlite", 1, b"a@x.example", None),
            "mail_request_piece USING INDEX ix_mail_request_piece_unsent (account_id=?)",
        ),
    ],
)
async def test_mails_are_found_without_walking_through_others(
    bureau: Bureau, statement: Select[Any], step: str
) -> None:
    async with bureau.store.read() as connection:
        compiled = statement.compile(connection.sync_engine, compile_kwargs={"literal_binds": True})
        plan = [row[3] for row in await connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}"))]
    assert any(step in each for each in plan), plan
