"""What comes back to our envelope senders: the story of a delivery, who is told of it, whom it suppresses."""

from __future__ import annotations

import pytest
from reception_world import HOST
from report_office import Office
from sqlalchemy import select

from ekiden.core.diagnosis import Diagnosis
from ekiden.core.events import EventType
from ekiden.core.ids import format_id
from ekiden.core.return_path import Purpose
from ekiden.core.states import After, State
from ekiden.store import tables as t

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
