"""Mail that came in, as both engines keep it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from ekiden.access.accounts import create_account
from ekiden.core.events import Event, EventType
from ekiden.core.notices import News, Route
from ekiden.core.states import After, Reading, State
from ekiden.store import tables as t
from ekiden.store.api import Fenced, Store
from ekiden.store.inbound import claim_unread, find_received, unread_waits
from ekiden.store.records import Heard, Noted, ReceivedMail, Registration, Understood
from ekiden.store.retention import RetentionConfig, first_id, prune
from support.store_rows import NOW, TTL, Maker

DAY = 86_400_000


def received(number: int = 1, *, account: int = 1, attempts: int = 0, at: int = NOW) -> ReceivedMail:
    return ReceivedMail(
        account_id=account,
        id=first_id(at) + number,
        listener="mx",
        peer="192.0.2.9",
        helo="mail.example.net",
        tls="TLSv1.3 TLS_AES_256_GCM_SHA384",
        sender="",
        recipients=("b-x@rp.example.com", "info@例え.test"),
        size=9,
        smtputf8=False,
        accepted_at=at,
        header_id="<1@example.net>",
        subject="returned\0mail",
        authentication='{"spf":"pass"}',
        attempts=attempts,
        content=b"Subject: x\r\n\r\n",
    )


async def row_of(store: Store, mail: ReceivedMail) -> Any:
    query = select(t.inbound_mail).where(t.inbound_mail.c.id == mail.id)
    async with store.read() as connection:
        return (await connection.execute(query)).one()


@pytest.fixture
async def worker(store: Store) -> Registration:
    return await store.register_worker("host", 1, NOW, TTL)


async def test_what_comes_in_is_kept_with_its_content_until_it_was_read(store: Store, worker: Registration) -> None:
    mail = received(attempts=1)
    await store.receive(worker.id, mail)
    row = await row_of(store, mail)
    assert (row.state, row.kind, row.owner, row.attempts) == (Reading.UNREAD, 0, worker.id, 1)
    assert (row.sender, row.peer, row.helo) == ("", "192.0.2.9", "mail.example.net")
    assert row.subject in ("returned\0mail", "returned\ufffdmail"), "PostgreSQL takes no NUL"
    assert await store.content(1, mail.id) == mail.content
    await create_account(store, "acme", NOW)
    async with store.read() as connection:
        found = await find_received(connection, mail.id)
    assert found is not None
    assert found[0].recipients == mail.recipients

    maker = Maker()
    sent = maker.message(2)
    sent.message.routes = (Route(7, News.TRACKING),)
    await store.accept(worker.id, sent)
    event = Event(1, sent.message.id, 2, EventType.LATE_BOUNCE, NOW + 5, {"text": "gone"})
    forwarded = maker.message(1)
    await store.understand(
        worker.id,
        Understood(
            mail,
            3,
            '{"a":1}',
            events=[Noted(event, sent.message.routes)],
            heard=[Heard(1, sent.message.id, 2, After.BOUNCED), Heard(1, sent.message.id, 2, After.COMPLAINED)],
            messages=[forwarded],
        ),
    )
    row = await row_of(store, mail)
    assert (row.state, row.kind, row.told, row.owner) == (Reading.READ, 3, '{"a":1}', None)
    async with store.read() as connection:
        query = select(t.delivery.c.number, t.delivery.c.after).where(t.delivery.c.message_id == sent.message.id)
        after = {row.number: row.after for row in await connection.execute(query)}
        notices = list(await connection.scalars(select(t.notice.c.endpoint_id)))
    assert after == {1: 0, 2: After.BOUNCED | After.COMPLAINED}
    assert notices == [7]
    assert await store.content(1, forwarded.message.id) == forwarded.content
    assert await store.content(1, mail.id) == mail.content, "kept for whoever wants to see it"


async def test_who_does_not_read_it_any_more_changes_nothing(store: Store, worker: Registration) -> None:
    mail, other = received(1, attempts=1), received(2, attempts=1)
    await store.receive(worker.id, mail)
    await store.receive(worker.id, other)
    mail.attempts = 2  # another reading
    sent = Maker().message(1)
    with pytest.raises(Fenced):
        await store.understand(worker.id, Understood(mail, 3, messages=[sent]))
    assert (await row_of(store, mail)).state == Reading.UNREAD
    assert await store.content(1, sent.message.id) is None
    await store.understand(worker.id, Understood(other, 3))
    with pytest.raises(Fenced):
        await store.understand(worker.id, Understood(other, 4))
    assert (await row_of(store, other)).kind == 3


async def claimed(store: Store, worker: Registration, now: int = NOW, most: int = 10) -> list[ReceivedMail]:
    async with store.read() as connection:
        waits = await unread_waits(connection, now)
    async with store.write() as connection:
        found = await claim_unread(connection, worker.id, now, most)
    assert waits is bool(found)
    return found


async def test_what_nobody_reads_is_claimed_the_oldest_first(store: Store, worker: Registration) -> None:
    late, early = received(1, at=NOW + 5), received(2)
    for mail in (late, early, received(3, attempts=1)):
        await store.receive(worker.id, mail)
    other = await store.register_worker("host", 2, NOW, TTL)
    assert [mail.id for mail in await claimed(store, other, NOW + 10, most=1)] == [early.id]
    (found,) = await claimed(store, other, NOW + 10)
    assert found.id == late.id
    assert found.attempts == 1
    assert found.content == b""
    assert (found.sender, found.recipients, found.authentication) == (
        late.sender,
        late.recipients,
        late.authentication,
    )
    await store.understand(other.id, Understood(found, 0, due_at=NOW + 1000))
    assert await claimed(store, other, NOW + 999) == []
    (again,) = await claimed(store, other, NOW + 1000)
    assert (again.id, again.attempts) == (late.id, 2)


async def test_what_a_worker_left_that_has_ended_is_claimed(store: Store, worker: Registration) -> None:
    mail = received(attempts=1)
    await store.receive(worker.id, mail)
    other = await store.register_worker("host", 2, NOW, TTL)
    assert await claimed(store, other) == []
    await store.end_worker(worker.id, NOW)
    (found,) = await claimed(store, other)
    assert (found.id, found.attempts) == (mail.id, 2)
    with pytest.raises(Fenced):
        await store.understand(worker.id, Understood(mail, 1))


async def test_contents_go_first_and_what_is_unread_stays(store: Store, worker: Registration) -> None:
    read, unread = received(1, attempts=1), received(2, attempts=1)
    sent = Maker().message(1, state=State.QUEUED)
    await store.accept(worker.id, sent)
    for mail in (read, unread):
        await store.receive(worker.id, mail)
    await store.understand(worker.id, Understood(read, 1))
    removed = await prune(store, NOW + 8 * DAY, RetentionConfig())
    assert removed == {"content": 1}
    assert await store.content(1, read.id) is None
    removed = await prune(store, NOW + 31 * DAY, RetentionConfig())
    assert removed["inbound_mail"] == 1
    assert await store.content(1, unread.id) == unread.content
    assert await store.content(1, sent.message.id) == sent.content
