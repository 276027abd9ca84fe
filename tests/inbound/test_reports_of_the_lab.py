"""What servers of the lab report reaches a real reception by the lab's own DNS, and names its delivery."""

from __future__ import annotations

import asyncio
from typing import get_args

from reception_world import HOST, World

from ekiden.inbound.mailboxes import Use
from ekiden.lab import Lab, Report, Route
from ekiden.lab.behaviour import Behaviour, Format

RAW = "From: Shop <news@shop.test>\nSubject: Hello\nMessage-ID: <1@shop.test>\n\nこんにちは\n"


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
            assert mail.content.startswith(b"Return-Path: <>\r\nReceived: from mx.%s.test (" % form.encode())
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
