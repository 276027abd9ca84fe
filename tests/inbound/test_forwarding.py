"""Mail that is sent on: to addresses and servers, by a real reception and a real worker, into a lab."""

from __future__ import annotations

import json
import re

import pytest
from forward_road import MESSAGE, RP, SENDER, ForwardRoad
from reception_world import eventually
from sqlalchemy import update

from ekiden.core.address import parse_address
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.events import EventType
from ekiden.core.ids import format_id
from ekiden.core.return_path import Purpose
from ekiden.core.srs import Rewritten
from ekiden.core.states import State, Wait
from ekiden.inbound.targets import ToServer
from ekiden.lab import Report
from ekiden.lab.behaviour import Behaviour
from ekiden.store import tables as t

TARGET = "bob@accept.lab.test"
LONG = f"{'n' * 40}@{'d' * 20}.lab.test"


def server(forwards: ForwardRoad, name: str, *, tls: bool = False) -> ToServer:
    return ToServer(host=f"mx.{name}.lab.test", port=forwards.lab.smtp_port, tls=tls)


async def test_to_an_address(forwards: ForwardRoad) -> None:
    """What its author signed still holds, what came in can be read from our seal, and bounces come to us."""
    await forwards.start()
    forwards.takes("in@in.test", TARGET)
    forwards.confirm("sender.lab.test")
    content = forwards.signed()
    assert (await forwards.come("in@in.test", content=content)).startswith("250")
    (mail,) = await forwards.mail_for(TARGET)
    local, _, host = mail.sender.rpartition("@")
    assert host == RP
    assert forwards.world.srs.unseal(local, forwards.world.clock.now()) == Rewritten(forwards.account, SENDER)
    assert mail.data.startswith(b"Delivered-To: in@in.test\r\nARC-Seal: i=1; cv=none;")
    assert b"Return-Path" not in mail.data
    assert mail.data.endswith(content)
    assert forwards.judges(mail.data) == (True, "pass")
    assert re.search(
        rb"ARC-Authentication-Results: i=1; mx\.example\.com;\r\n.*spf=pass.*dkim=pass", mail.data, re.S
    )
    (told,) = await forwards.told()
    (message,) = await forwards.rows(t.message)
    assert (message.account_id, message.sender, message.credential_id) == (forwards.account, SENDER, 0)
    (done,) = told["forwards"]
    assert (done["route"], done["to"]) == ("r0", TARGET)
    assert done["message"] == format_id(message.id)
    (came,) = await forwards.rows(t.inbound_mail)
    events = {row.type: json.loads(row.data) for row in await forwards.rows(t.event)}
    told_of = {"mail": format_id(came.id), "route": "r0", "for": "in@in.test"}
    assert events[EventType.ACCEPTED]["forward"] == told_of


async def test_a_chain_goes_on(forwards: ForwardRoad) -> None:
    """Ours is the second seal, and a judge finds both right. Without a key there is none."""
    await forwards.start()
    forwards.takes("in@in.test", TARGET)
    await forwards.come("in@in.test", content=forwards.signed())
    (first,) = await forwards.mail_for(TARGET)
    again = first.data.partition(b"\r\n")[2]  # without Delivered-To
    await forwards.come("in@in.test", content=again)
    second = (await forwards.mail_for(TARGET, 2))[1]
    assert second.data.startswith(b"Delivered-To: in@in.test\r\nARC-Seal: i=2; cv=pass;")
    assert forwards.judges(second.data) == (True, "pass")
    forwards.seals = ()
    await forwards.come("in@in.test", content=again)
    third = (await forwards.mail_for(TARGET, 3))[2]
    assert third.data.startswith(b"Delivered-To: in@in.test\r\nAuthentication-Results:")


async def test_a_broken_chain_is_said_to_be(forwards: ForwardRoad) -> None:
    await forwards.start()
    forwards.takes("in@in.test", TARGET)
    await forwards.come("in@in.test", content=forwards.signed())
    (first,) = await forwards.mail_for(TARGET)
    await forwards.come("in@in.test", content=first.data.partition(b"\r\n")[2] + b"more\r\n")
    second = (await forwards.mail_for(TARGET, 2))[1]
    assert second.data.startswith(b"Delivered-To: in@in.test\r\nARC-Seal: i=2; cv=fail;")


async def test_to_a_server(forwards: ForwardRoad) -> None:
    """Recipients and sender as they came, each recipient by itself, whatever the DNS says of its domain."""
    await forwards.start()
    for name in ("a", "b"):
        forwards.takes(f"{name}@nxdomain.lab.test", server(forwards, "accept", tls=True))
    content = forwards.signed()
    assert (await forwards.come("a@nxdomain.lab.test", "b@nxdomain.lab.test", content=content)).startswith("250")
    for name in ("a", "b"):
        (mail,) = await forwards.mail_for(f"{name}@nxdomain.lab.test")
        assert (mail.sender, mail.to) == (SENDER, (f"{name}@nxdomain.lab.test",))
        assert mail.tls
        assert mail.data.startswith(
            b"Delivered-To: %b@nxdomain.lab.test\r\nAuthentication-Results:" % name.encode()
        )
        assert mail.data.endswith(content)
        assert forwards.judges(mail.data) == (True, "none")


async def test_several_get_the_same_once(forwards: ForwardRoad) -> None:
    """One address however many routes lead to it; what they have in common is kept once."""
    await forwards.start()
    forwards.takes("in@in.test", TARGET, "carl@accept.lab.test", server(forwards, "accept"))
    forwards.takes("two@in.test", TARGET)
    content = forwards.signed(MESSAGE + b"x" * 70 + b"\r\n")
    await forwards.come("in@in.test", "two@in.test", content=content)
    rows = await forwards.settled(3)
    assert sorted(row.recipient for row in rows) == [TARGET, "carl@accept.lab.test", "in@in.test"]
    for row in rows:
        (mail,) = forwards.lab.mail(row.recipient)
        assert mail.data.endswith(content)
        assert forwards.judges(mail.data)[0]
        (message,) = await forwards.rows(t.message, t.message.c.id == row.message_id)
        assert message.size == len(mail.data)


# who hears of it


async def test_who_sent_it_hears_of_a_refusal(forwards: ForwardRoad) -> None:
    await forwards.start()
    forwards.takes("in@in.test", "bob@reject.lab.test")
    forwards.confirm("sender.lab.test")
    await forwards.come("in@in.test")
    (report,) = await forwards.mail_for(SENDER)
    assert report.sender == ""
    assert b"Final-Recipient: rfc822; bob@reject.lab.test" in report.data


@pytest.mark.parametrize("target", ["address", "server"])
async def test_nobody_hears_of_what_may_be_forged(forwards: ForwardRoad, target: str) -> None:
    """SPF did not pass, so the sender may be anybody: the account's trace tells, and nobody gets a mail."""
    await forwards.start()
    address = "in@reject.lab.test"
    forwards.takes(address, "bob@reject.lab.test" if target == "address" else server(forwards, "accept"))
    forwards.world.zone["sender.lab.test", "TXT"] = [b"v=spf1 -all"]
    await forwards.come(address)
    (row,) = await forwards.settled(1)
    assert (row.state, row.code) == (State.BOUNCED, 550)
    assert forwards.lab.mail() == []
    (attempt,) = await forwards.rows(t.attempt)
    sender = re.search(r"MAIL FROM:<(.*?)>", attempt.dialogue)
    assert sender is not None
    if target == "server":
        assert sender[1] == SENDER
    else:
        found = forwards.world.paths.unseal(sender[1].partition("@")[0], forwards.world.clock.now())
        assert found is not None
        assert (found.purpose, found.message_id) == (Purpose.BOUNCE, row.message_id)


@pytest.mark.parametrize("sender", [SENDER, LONG])
async def test_a_bounce_goes_back_to_who_sent_it(forwards: ForwardRoad, sender: str) -> None:
    """Through the lab: its server takes the mail and gives it up later; its bounce comes to us, and goes on."""
    await forwards.start()
    forwards.takes("in@in.test", "bob@later.test")
    forwards.confirm("sender.lab.test", LONG.partition("@")[2])
    await forwards.lab.set_behaviour("later.test", Behaviour(report=Report("postfix", delay=0)))
    assert (await forwards.come("in@in.test", sender=sender)).startswith("250")
    (bounce,) = await forwards.mail_for(sender)
    assert bounce.sender == ""
    assert not bounce.data.startswith(b"Return-Path")
    assert b"bob@later.test" in bounce.data
    told = await forwards.told()
    assert [each["to"] for each in told[1]["returned"]] == [sender]
    # What came with the null sender has no report of its own: a bounce of a bounce ends.
    assert [row.sender for row in await forwards.rows(t.message)] == [sender, ""]


async def test_a_bounce_of_a_bounce_ends(forwards: ForwardRoad) -> None:
    await forwards.start()
    local = forwards.world.srs.seal(
        forwards.account, parse_address("ann@reject.lab.test"), forwards.world.clock.now()
    )
    assert (await forwards.come(f"{local}@{RP}", sender="")).startswith("250")
    (row,) = await forwards.settled(1)
    assert (row.recipient, row.state) == ("ann@reject.lab.test", State.BOUNCED)
    assert len(await forwards.rows(t.message)) == 1
    (attempt,) = await forwards.rows(t.attempt)
    assert "C: MAIL FROM:<>" in attempt.dialogue


async def test_what_ends_with_us_becomes_the_story_of_the_message(forwards: ForwardRoad) -> None:
    """And suppresses nobody: it is other people's mail."""
    await forwards.start()
    async with forwards.world.store.write() as connection:
        await connection.execute(update(t.account).values(suppress_bounces=True, revision=t.account.c.revision + 1))
    forwards.takes("in@in.test", "bob@later.test")
    await forwards.lab.set_behaviour("later.test", Behaviour(report=Report("postfix", delay=0)))
    await forwards.come("in@in.test")
    await eventually(forwards.lab.reports.find)
    assert await forwards.lab.reports.wait(None, 1, 20)
    await forwards.told()
    types = {row.type for row in await forwards.rows(t.event)}
    assert EventType.LATE_BOUNCE in types
    assert await forwards.rows(t.suppression) == []
    assert forwards.lab.mail(SENDER) == []


# what stops it


async def test_a_suppressed_target_is_dropped_with_the_reason(forwards: ForwardRoad) -> None:
    await forwards.start()
    forwards.takes("in@in.test", TARGET)
    await forwards.suppressions.note_bounce(
        forwards.account, "", TARGET, "550 no such user", diagnosis=Diagnosis.NO_MAILBOX
    )
    await forwards.come("in@in.test")
    (row,) = await forwards.settled(1)
    assert row.state == State.DROPPED
    assert "550 no such user" in row.reason
    (told,) = await forwards.told()
    assert told["forwards"][0]["dropped"][0] == "suppressed"
    assert (await forwards.rows(t.content, t.content.c.message_id == row.message_id)) == []


async def test_quotas_hold(forwards: ForwardRoad) -> None:
    await forwards.start()
    async with forwards.world.store.write() as connection:
        await connection.execute(update(t.account).values(quota_day=1, revision=t.account.c.revision + 1))
    forwards.takes("in@in.test", TARGET)
    for _ in range(2):
        assert (await forwards.come("in@in.test")).startswith("250")
    rows = await forwards.settled(2)
    assert sorted(row.state for row in rows) == [State.SCHEDULED, State.DELIVERED]
    (waiting,) = (row for row in rows if row.state == State.SCHEDULED)
    assert waiting.wait == Wait.QUOTA


async def test_nothing_of_a_suspended_account_goes_on(forwards: ForwardRoad) -> None:
    await forwards.start()
    async with forwards.world.store.write() as connection:
        await connection.execute(update(t.account).values(suspended_at=1, revision=t.account.c.revision + 1))
    forwards.takes("in@in.test", TARGET)
    await forwards.come("in@in.test")
    (row,) = await forwards.settled(1)
    assert (row.state, row.reason) == (State.DROPPED, "its account is suspended")
