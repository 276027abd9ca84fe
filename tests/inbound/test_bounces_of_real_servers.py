"""Postfix, Exim and OpenSMTPD take our mail and bounce it: each bounce finds its delivery, and says why.

A server of the lab is where they relay to, so that the replies are known.
"""

from __future__ import annotations

import asyncio

import pytest
from reception_world import HOST
from report_office import Office
from sqlalchemy import select

from ekiden.core.diagnosis import Diagnosis
from ekiden.core.events import EventType
from ekiden.core.ids import format_id
from ekiden.core.states import After
from ekiden.lab import Lab
from ekiden.store import tables as t
from support.mail_servers import LOST, BouncingPostfix, Exim, OpenSmtpd

GONE = "ann@reject.lab.test"
UNPROVEN = "bob@reject.lab.test"
BY_REPLY = {
    GONE: Diagnosis.NO_MAILBOX,
    "cho@mailboxfull-552.lab.test": Diagnosis.FULL,
    "dan@spam.lab.test": Diagnosis.SPAM,
    UNPROVEN: Diagnosis.NO_MAILBOX,
}
IN_RETURNED = {"gus@reject.lab.test": Diagnosis.NO_MAILBOX}
"""The bounce comes to the postmaster: the token is only in the Return-Path that it returns."""
GIVEN_UP = {"eri@tempfail.lab.test": Diagnosis.PEER}
# "Unrouteable address": no code says that there is no mailbox, so it is not taken for sure.
UNROUTABLE = {"fay@nowhere.example": Diagnosis.RECIPIENT_FILTER}


@pytest.mark.parametrize(
    ("server", "wanted"),
    [
        (BouncingPostfix, BY_REPLY | GIVEN_UP | IN_RETURNED),
        (Exim, BY_REPLY | GIVEN_UP | IN_RETURNED | UNROUTABLE),
        # It has no setting for its first try to be its last one, and waits for some seconds before it bounces.
        (OpenSmtpd, BY_REPLY),
    ],
)
async def test_a_bounce_finds_its_delivery(
    office: Office, server: type[BouncingPostfix | Exim | OpenSmtpd], wanted: dict[str, Diagnosis]
) -> None:
    names = list(wanted)
    message = await office.sent(names)
    content = (
        f"Received: from app.example.com by {HOST} with ESMTPSA id {format_id(message)};\r\n"
        f"\tMon, 30 Nov 2026 00:00:00 +0000\r\nMessage-ID: <{format_id(message)}@{HOST}>\r\n"
        f"From: Shop <news@example.com>\r\nTo: undisclosed-recipients:;\r\nSubject: hello\r\n\r\nhello\r\n"
    ).encode()
    async with Lab() as lab:
        with server(lab.addresses()["smtp"][1], office.world.port) as running:
            for number, name in enumerate(names, 1):
                # From a sender that is not ours, only the Message-ID says which message it was.
                sender = f"postmaster@{HOST}" if name == UNPROVEN else office.path(message, number)
                if name in IN_RETURNED:
                    sender = sender.partition("@")[0] + "@" + LOST
                await asyncio.to_thread(running.send, sender, [name], content)
            try:
                async with asyncio.timeout(60):
                    while len(events := await office.events(message)) < len(names):  # noqa: ASYNC110 (in a store)
                        await asyncio.sleep(0.05)
            except TimeoutError:
                pytest.fail(running.log())
    assert {event.type for event in events} == {EventType.LATE_BOUNCE}
    assert {names[event.recipient_number - 1]: event.diagnosis for event in events} == wanted
    assert await office.after(message) == dict.fromkeys(range(1, len(names) + 1), After.BOUNCED)
    # Who is proven by a token, and gone for ever. What only names our id suppresses nobody.
    gone = {GONE} | {name for name in IN_RETURNED if name in wanted}
    assert {address for _, address, _ in await office.suppressed()} == gone
    async with office.world.store.read() as connection:
        came_to = list(await connection.scalars(select(t.inbound_mail.c.recipients)))
    assert came_to.count(f'["postmaster@{HOST}"]') == 1 + len(gone - {GONE})
