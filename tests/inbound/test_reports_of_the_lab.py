"""What servers of the lab report is understood, reaches a real reception by its DNS, and names its delivery."""

from __future__ import annotations

import asyncio
from typing import get_args

import pytest
from reception_world import HOST, World

from ekiden.inbound.mailboxes import Use
from ekiden.inbound.reports.read import read_report
from ekiden.lab import Answer, Lab, Report, Route
from ekiden.lab.behaviour import DELAYS, Behaviour, Format, mailbox_full
from ekiden.lab.mailbox import Mail
from ekiden.lab.report_formats import write
from ekiden.lab.report_parts import Case

RAW = "From: Shop <news@shop.test>\nSubject: Hello\nMessage-ID: <1@shop.test>\n\nこんにちは\n"


FULL = mailbox_full(552)
LOCKED = Answer(451, "4.2.1", "The mailbox is locked")


@pytest.mark.parametrize(
    ("report", "said"),
    [
        *((Report(form), ("bounce", "no-mailbox", True)) for form in get_args(Format)[:8]),
        *((Report(form, local_part="postmaster"), ("bounce", "no-mailbox", True)) for form in get_args(Format)[:8]),
        *((Report(form, reply=FULL), ("bounce", "full", False)) for form in get_args(Format)[:8]),
        *((Report(form, reply=LOCKED, action="delayed"), ("delay", None, False)) for form in sorted(DELAYS)),
        (Report("docomo", stage="end"), ("bounce", "recipient-filter", False)),
        (Report("arf"), ("complaint", "none", False)),
        (Report("auto-reply"), ("auto-reply", "none", False)),
    ],
    ids=repr,
)
def test_each_is_understood(report: Report, said: tuple[str, str | None, bool]) -> None:
    data = RAW.replace("\n", "\r\n").encode()
    to, sender = "bob@customers.test", "b-token@rp.shop.test"
    mail = Mail(id=7, sender=sender, to=(to,), data=data, tls=None, at=1_764_547_200_000, peer="127.0.0.9:4711")
    reading = read_report(write(Case(mail, (to,), "mx.customers.test", "127.98.7.9", report, 1_764_547_201_000, 3)))
    (found,) = reading.reports
    kind, diagnosis, hard = said
    assert (found.recipient, found.kind.value, found.hard) == (to, kind, hard)
    assert diagnosis in (None, found.diagnosis.label)
    if report.format != "auto-reply":  # it returns nothing
        assert reading.origin.message_ids == ("<1@shop.test>",)


async def test_reports_of_every_format_come_in(world: World) -> None:
    await world.start()
    async with Lab() as lab:
        lab.set_route("rp.shop.test", Route(world.port, host=HOST))
        formats: tuple[Format, ...] = get_args(Format)
        for number, form in enumerate(formats, 1):
            await lab.set_behaviour(f"{form}.test", Behaviour(report=Report(form, delay=0)))
            path = world.paths.seal(1, world.ids.next(world.clock.now()), number)
            sent = await lab.send(f"bob@{form}.test", RAW, sender=f"{path}@rp.shop.test")
            assert sent.accepted, sent
        assert await lab.reports.wait(None, len(formats), 20)
        assert [(record.state, record.tries) for record in lab.reports.find()] == [("accepted", 1)] * len(formats)
        async with asyncio.timeout(20):
            while len(world.noting.read_mails) < len(formats):  # noqa: ASYNC110 (it happens in many places)
                await asyncio.sleep(0.01)
        found = {mail.boxes[0][1].return_path.number: mail for mail in world.noting.read_mails}  # type: ignore[union-attr]
        assert set(found) == set(range(1, len(formats) + 1))
        for number, form in enumerate(formats, 1):
            mail = found[number]
            assert mail.boxes[0][1].use is Use.BOUNCE
            assert mail.content.startswith(b"Return-Path: <>\r\nAuthentication-Results: ")
            assert b"\r\nReceived: from mx.%s.test (" % form.encode() in mail.content
            assert mail.content.endswith(lab.reports.content(number) or b"nothing was kept")
        # Who has no token is not served, and that is a result.
        refused = await lab.send("postmaster-none@rp.shop.test", RAW)
        assert (refused.replies[0].stage, refused.replies[0].code) == ("rcpt", 550)


async def test_the_sender_says_what_the_reception_wants_to_hear(world: World) -> None:
    """Each of these was found out by its server: dots, 8-bit text, a message without a final line end, TLS."""
    await world.start()
    async with Lab() as lab:
        lab.set_route("in.shop.test", Route(world.port))
        world.routes.accounts["in@in.shop.test"] = 1
        content = "Subject: あ\r\n\r\n.\r\n..x\r\nあ".encode()
        sent = await lab.send(
            "in@in.shop.test", content, sender="a@sender.test", source="127.0.0.77", helo="b.test"
        )
        assert sent.accepted, sent
        assert sent.dialogues[0].tls
        async with asyncio.timeout(20):
            while not world.noting.read_mails:  # noqa: ASYNC110 (it happens in many places)
                await asyncio.sleep(0.01)
        (mail,) = world.noting.read_mails
        assert mail.content.endswith(content + b"\r\n")
        assert b"Received: from b.test ([127.0.0.77])" in mail.content
