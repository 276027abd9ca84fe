"""What comes back to our envelope senders: the story of a delivery, who is told of it, whom it suppresses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from reception_world import HOST, Dialogue, World, eventually
from sqlalchemy import select

from ekiden.access.accounts import create_account, set_reporting
from ekiden.access.directory import Directory
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.events import EventType
from ekiden.core.ids import format_id
from ekiden.core.notices import News, Route
from ekiden.core.return_path import Purpose
from ekiden.core.states import After, State
from ekiden.inbound.mailboxes import Use
from ekiden.inbound.report_mail import ReportMail
from ekiden.inbound.unsubscribe_mail import UnsubscribeMail
from ekiden.limits.workshop import Workshop
from ekiden.recipients.suppressing import Suppressing
from ekiden.recipients.suppressions import Suppressions
from ekiden.store import tables as t
from support.store_rows import Maker

RECIPIENT = "r1@example.org"


def dsn(recipient: str, status: str, diagnostic: str, *, action: str = "failed", original: str = "") -> bytes:
    return (
        f"From: MAILER-DAEMON@mx.example.org\r\nSubject: Undelivered Mail Returned to Sender\r\n"
        f"Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        f"--b\r\nContent-Type: text/plain\r\n\r\nThis is the mail system at mx.example.org.\r\n\r\n"
        f"--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        f"Reporting-MTA: dns; mx.example.org\r\n\r\n"
        f"Final-Recipient: rfc822; {recipient}\r\nAction: {action}\r\nStatus: {status}\r\n"
        f"Remote-MTA: dns; store.example.org\r\nDiagnostic-Code: smtp; {diagnostic}\r\n\r\n"
        f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\n{original}Subject: hello\r\n\r\n--b--\r\n"
    ).encode()


GONE = dsn(RECIPIENT, "5.1.1", "550 5.1.1 User unknown")
COMPLAINT = (
    b"From: fbl@example.org\r\nSubject: complaint\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain\r\n\r\nThis is an email abuse report.\r\n\r\n"
    b"--b\r\nContent-Type: message/feedback-report\r\n\r\n"
    b"Feedback-Type: abuse\r\nUser-Agent: x/1\r\nVersion: 1\r\nOriginal-Rcpt-To: <r1@example.org>\r\n\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: a@example.com\r\nSubject: hello\r\n\r\nx\r\n--b--\r\n"
)
AWAY = b"From: r1@example.org\r\nSubject: Out of office\r\nAuto-Submitted: auto-replied\r\n\r\nI am away.\r\n"


class Office:
    """A world with an account whose messages are told of, and whose bounces suppress."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.maker = Maker()
        self.client: Dialogue

    async def start(self) -> None:
        world = self.world
        account = await create_account(world.store, "acme", world.clock.now())
        await set_reporting(world.store, "acme", world.clock.now(), reports_endpoint=None, suppress_bounces=True)
        self.maker.account = account.id
        self.suppressions = Suppressions(world.store, world.clock)
        suppressing = Suppressing(Directory(world.store, world.clock), self.suppressions)
        self.workshop = Workshop(1)
        reports = ReportMail(world.store, world.clock, world.paths, suppressing, self.workshop)
        world.readers = {
            Use.BOUNCE: reports,
            Use.OPERATOR: reports,
            Use.UNSUBSCRIBE: UnsubscribeMail(world.store, world.clock, suppressing),
        }
        await world.start()
        self.client = await world.client()
        await self.client.ask("EHLO mx.example.org")

    async def sent(self, recipients: int = 1, state: State = State.DELIVERED, header_id: str = "") -> int:
        """A message whose deliveries have ended; its id."""
        new = self.maker.message(recipients, state=state, at=self.world.clock.now())
        new.message.routes = (Route(7, News.TRACKING),)
        new.message.header_id = header_id or new.message.header_id
        await self.world.store.accept(self.world.me.id, new)
        return new.message.id

    def path(self, message: int, number: int = 1, to: Purpose = Purpose.BOUNCE) -> str:
        local = self.world.paths.seal(self.maker.account, message, number, to=to)
        return f"{local}@rp.example.com"

    async def come(self, address: str, content: bytes, sender: str = "") -> None:
        """It comes in, and is read."""
        client = self.client
        await client.ask(f"MAIL FROM:<{sender}>", f"RCPT TO:<{address}>")
        assert (await client.send(content)).startswith("250")
        await eventually(lambda: not self.world.memory.held("inbound"))

    async def events(self, message: int) -> list[Any]:
        query = select(t.event).where(t.event.c.message_id == message, t.event.c.type != EventType.ACCEPTED)
        async with self.world.store.read() as connection:
            return list(await connection.execute(query.order_by(t.event.c.id)))

    async def after(self, message: int) -> dict[int, int]:
        query = select(t.delivery.c.number, t.delivery.c.after).where(t.delivery.c.message_id == message)
        async with self.world.store.read() as connection:
            return {row.number: row.after for row in await connection.execute(query)}

    async def suppressed(self) -> list[tuple[str, str, str]]:
        found = await self.suppressions.list(self.maker.account)
        return [(each.domain, each.address, each.kind) for each in found]

    async def notices(self) -> int:
        async with self.world.store.read() as connection:
            return len(list(await connection.scalars(select(t.notice.c.id))))


@pytest.fixture
async def office(world: World) -> AsyncIterator[Office]:
    made = Office(world)
    await made.start()
    yield made
    await made.suppressions.close()


async def test_a_late_bounce_is_told_and_suppresses(office: Office) -> None:
    message = await office.sent(2)
    await office.come(office.path(message, 2), GONE)
    (event,) = await office.events(message)
    assert (event.type, event.recipient_number, event.diagnosis) == (
        EventType.LATE_BOUNCE,
        2,
        Diagnosis.NO_MAILBOX,
    )
    assert '"text":"User unknown"' in event.data
    assert '"host":"store.example.org"' in event.data
    assert await office.after(message) == {1: 0, 2: After.BOUNCED}
    # The token says who it was, whatever address the report names: mail is forwarded.
    assert await office.suppressed() == [("example.com", "r2@example.org", "bounce")]
    assert await office.notices() == 1
    async with office.world.store.read() as connection:
        state = await connection.scalar(select(t.delivery.c.state).where(t.delivery.c.number == 2))
    assert state == State.DELIVERED
    await office.come(office.path(message, 2), GONE)
    assert len(await office.events(message)) == 1
    assert await office.notices() == 1


async def test_without_a_number_the_report_names_the_recipient(office: Office) -> None:
    message = await office.sent(3)
    content = dsn("R3@example.org", "5.1.1", "550 5.1.1 User unknown")
    await office.come(office.path(message, 0), content)
    assert await office.after(message) == {1: 0, 2: 0, 3: After.BOUNCED}
    await office.come(office.path(message, 0), dsn("stranger@example.net", "5.1.1", "550 5.1.1 User unknown"))
    assert len(await office.events(message)) == 1


@pytest.mark.parametrize(
    ("content", "kinds", "suppressed"),
    [
        (dsn(RECIPIENT, "5.7.1", "550 5.7.1 Message rejected as spam"), [EventType.LATE_BOUNCE], []),
        (dsn(RECIPIENT, "5.2.2", "552 5.2.2 Mailbox full"), [EventType.LATE_BOUNCE], []),
        (dsn(RECIPIENT, "4.4.1", "451 4.4.1 timed out", action="delayed"), [], []),
        (dsn(RECIPIENT, "2.0.0", "250 ok", action="relayed"), [], []),
        (COMPLAINT, [EventType.COMPLAINED], ["complaint"]),
        (COMPLAINT.replace(b"abuse\r\nUser", b"not-spam\r\nUser"), [], []),
        (AWAY, [], []),
        (b"Subject: hello\r\n\r\nWhat a nice mail!\r\n", [], []),
    ],
)
async def test_what_follows(office: Office, content: bytes, kinds: list[EventType], suppressed: list[str]) -> None:
    message = await office.sent()
    await office.come(office.path(message), content)
    assert [event.type for event in await office.events(message)] == kinds
    assert [kind for _, _, kind in await office.suppressed()] == suppressed
    assert bool((await office.after(message))[1]) is (bool(kinds) or content is AWAY)


async def test_what_had_failed_already_does_not_bounce_later(office: Office) -> None:
    message = await office.sent(state=State.BOUNCED)
    await office.come(office.path(message), GONE)
    assert await office.events(message) == []
    assert await office.after(message) == {1: 0}


async def test_the_third_full_mailbox_within_a_month_suppresses(office: Office) -> None:
    full = dsn(RECIPIENT, "5.2.2", "552 5.2.2 Mailbox full")
    for times in range(1, 4):
        message = await office.sent()
        await office.come(office.path(message), full)
        assert bool(await office.suppressed()) is (times == 3)


async def test_mail_to_the_way_out_unsubscribes(office: Office) -> None:
    message = await office.sent(2)
    for _ in range(2):
        await office.come(office.path(message, 2, Purpose.UNSUBSCRIBE), b"Subject: ?\r\n\r\n", "r2@example.org")
    (event,) = await office.events(message)
    assert (event.type, event.recipient_number) == (EventType.UNSUBSCRIBED, 2)
    assert await office.suppressed() == [("example.com", "r2@example.org", "unsubscribe")]
    assert await office.after(message) == {1: 0, 2: After.UNSUBSCRIBED}


async def test_without_the_token_in_the_envelope_the_returned_header_has_it(office: Office) -> None:
    message = await office.sent()
    returned = f"Return-Path: <{office.path(message).upper()}>\r\n"
    await office.come(f"postmaster@{HOST}", dsn(RECIPIENT, "5.1.1", "550 5.1.1 User unknown", original=returned))
    assert [event.type for event in await office.events(message)] == [EventType.LATE_BOUNCE]
    assert await office.suppressed() == [("example.com", RECIPIENT, "bounce")]


async def test_what_only_names_our_id_suppresses_nobody(office: Office) -> None:
    message = await office.sent()
    returned = f"Message-ID: <{format_id(message)}@{HOST}>\r\n"
    await office.come(f"postmaster@{HOST}", dsn(RECIPIENT, "5.1.1", "550 5.1.1 User unknown", original=returned))
    assert [event.type for event in await office.events(message)] == [EventType.LATE_BOUNCE]
    assert await office.suppressed() == []


async def test_a_message_that_is_gone_is_nobodys(office: Office) -> None:
    message = office.maker.ids.next(office.world.clock.now())
    await office.come(office.path(message), GONE)
    assert await office.suppressed() == []
    async with office.world.store.read() as connection:
        row = (await connection.execute(select(t.inbound_mail))).one()
    assert format_id(message) in row.told
