"""Mail that goes round ends in the session, and nobody gets a mail of ours who has not proven to have sent it."""

from __future__ import annotations

import pytest
from forward_road import MESSAGE, RP, SENDER, ForwardRoad
from sqlalchemy import update

from ekiden.core.address import parse_address
from ekiden.core.clock import SECOND
from ekiden.core.return_path import Purpose
from ekiden.core.states import State
from ekiden.inbound.loops import MOST_A_MINUTE, Loops, delivered_to
from ekiden.inbound.mailboxes import Mailbox, Use
from ekiden.inbound.targets import ToServer
from ekiden.mime.scan import scan
from ekiden.store import tables as t
from ekiden.store.api import Fenced
from ekiden.store.records import Understood
from support.manual_clock import ManualClock


async def test_two_routes_that_lead_to_each_other(forwards: ForwardRoad) -> None:
    """The mail ends when it comes to the first again, in the session; who sent it is told, and nobody else is."""
    await forwards.start("one.test", "two.test")
    forwards.takes("a@one.test", "b@two.test")
    forwards.takes("b@two.test", "a@one.test")
    forwards.confirm("sender.lab.test", RP)
    assert (await forwards.come("a@one.test")).startswith("250")
    (report,) = await forwards.mail_for(SENDER)
    assert b"550 5.4.6" in report.data
    assert [row.recipient for row in await forwards.rows(t.delivery)][:2] == ["b@two.test", "a@one.test"]
    (first, second, *_) = await forwards.settled(3)
    assert (first.state, second.state) == (State.DELIVERED, State.BOUNCED)
    assert (second.code, second.enhanced) == (550, "5.4.6")


async def test_a_forward_to_ourselves(forwards: ForwardRoad) -> None:
    """By an address, and by a server that is our own listener."""
    await forwards.start("one.test")
    forwards.takes("a@one.test", "a@one.test")
    forwards.takes("b@one.test", ToServer(host="[127.0.0.1]", port=forwards.world.port))
    for address in ("a@one.test", "b@one.test"):
        assert (await forwards.come(address)).startswith("250")
    rows = await forwards.settled(2)
    assert [(row.state, row.code, row.enhanced) for row in rows] == [(State.BOUNCED, 550, "5.4.6")] * 2
    assert forwards.lab.mail() == []


async def test_it_is_refused_in_the_session(forwards: ForwardRoad) -> None:
    """Whatever the case. Other recipients of the mail get it, and other routes than those that send on do."""
    await forwards.start(delivering=False)
    forwards.takes("a@one.test", "bob@accept.lab.test")
    forwards.takes("b@one.test", "bob@accept.lab.test")
    forwards.world.routes.accounts["app@one.test"] = forwards.account
    forwards.world.routes.targets["app@one.test"] = []
    looped = b"Delivered-To: someone@else.test\r\nDelivered-To:\r\n <A@One.test>\r\n" + MESSAGE
    assert (await forwards.come("a@one.test", content=looped))[:9] == "550 5.4.6"
    assert await forwards.rows(t.inbound_mail) == []
    assert (await forwards.come("a@one.test", "b@one.test", content=looped)).startswith("250")
    (told,) = await forwards.told()
    assert [each.get("dropped", ["sent"])[0] for each in told["forwards"]] == ["sent_on_before", "sent"]
    to_app = MESSAGE.replace(b"From:", b"Delivered-To: app@one.test\r\nFrom:", 1)
    assert (await forwards.come("app@one.test", content=to_app)).startswith("250")


async def test_fields_of_received_are_counted(forwards: ForwardRoad) -> None:
    await forwards.start(delivering=False)
    forwards.takes("a@one.test", "bob@accept.lab.test")
    hop = b"Received: from x by y; Mon, 1 Dec 2025 10:00:00 +0900\r\n"
    assert (await forwards.come("a@one.test", content=hop * 51 + MESSAGE))[4:9] == "5.4.6"
    assert (await forwards.come("a@one.test", content=hop * 50 + MESSAGE)).startswith("250")


async def test_a_sender_is_sent_on_so_often_in_a_minute(forwards: ForwardRoad) -> None:
    """Whatever it has made of the header on its way. Others, and later, it is."""
    await forwards.start(delivering=False)
    forwards.takes("a@one.test", "bob@accept.lab.test")
    forwards.takes("b@one.test", "bob@accept.lab.test")
    forwards.world.routes.targets["b@one.test"] = [("other", forwards.world.routes.targets["a@one.test"][0][1])]
    for _ in range(MOST_A_MINUTE):
        assert (await forwards.come("a@one.test")).startswith("250")
    assert (await forwards.come("a@one.test", sender=SENDER.upper()))[:9] == "450 4.4.6"
    assert (await forwards.come("a@one.test", sender="carl@sender.lab.test")).startswith("250")
    assert (await forwards.come("b@one.test")).startswith("250")


def test_a_minute_later_it_goes_on() -> None:
    clock = ManualClock()
    loops = Loops(clock)
    box = Mailbox(Use.ROUTE, 7, forwards=("r", "s"))
    for _ in range(MOST_A_MINUTE):
        assert not loops.too_fast(box, "a@b.test")
        loops.taken("A@b.test", [box, box])
        clock.advance(SECOND)
    assert loops.too_fast(box, "a@b.test")
    assert loops.too_fast(Mailbox(Use.ROUTE, 7, forwards=("s",)), "a@b.test")
    assert not loops.too_fast(Mailbox(Use.ROUTE, 8, forwards=("r",)), "a@b.test")
    assert not loops.too_fast(Mailbox(Use.ROUTE, 7), "a@b.test")
    clock.advance(40 * SECOND)
    assert not loops.too_fast(box, "a@b.test")


def test_whom_it_was_delivered_to() -> None:
    header = scan(
        b"delivered-to : <A@b.test>\r\nX: y\r\nDelivered-To:\r\n\tc@d.test \r\n\r\nDelivered-To: e@f.test\r\n"
    )
    assert delivered_to(header) == {"a@b.test", "c@d.test"}
    assert delivered_to(scan(b"X: Delivered-To: a@b.test\r\n\r\n")) == frozenset()


# no backscatter


async def test_who_may_write_to_whom(forwards: ForwardRoad) -> None:
    """Bounces to what nobody sent, forged addresses, and mail of people to addresses for bounces are refused."""
    await forwards.start(delivering=False)
    world = forwards.world
    forwards.takes("a@one.test", "bob@accept.lab.test")
    now = world.clock.now()
    local = world.srs.seal(forwards.account, parse_address(SENDER), now)
    token = world.paths.seal(forwards.account, world.ids.next(now), 1, to=Purpose.FORWARD)
    assert local is not None
    forged = local[:6] + ("0" if local[6] != "0" else "1") + local[7:]
    auto = MESSAGE.replace(b"From:", b"Auto-Submitted: auto-replied\r\nFrom:", 1)
    for sender, address, answer in (
        ("", "a@one.test", "550 5.7.1"),  # also what replies by itself, which has the null sender
        ("", f"{local}@{RP}", "250 2.0.0"),
        ("", f"{local.lower()}@{RP}", "250 2.0.0"),
        ("", f"{token}@{RP}", "250 2.0.0"),
        ("", f"{forged}@{RP}", "550 5.1.1"),
        (SENDER, f"{local}@{RP}", "550 5.7.1"),
        (SENDER, f"{token}@{RP}", "550 5.7.1"),
        (SENDER, f"{forged}@{RP}", "550 5.1.1"),
    ):
        assert (await forwards.come(address, sender=sender, content=auto))[:9] == answer, (sender, address)


async def test_bounces_go_back_to_one_address_so_often_in_a_minute(forwards: ForwardRoad) -> None:
    await forwards.start(delivering=False)
    one, other = (
        forwards.world.srs.seal(forwards.account, parse_address(address), forwards.world.clock.now())
        for address in (SENDER, "carl@sender.lab.test")
    )
    for _ in range(MOST_A_MINUTE):
        assert (await forwards.come(f"{one}@{RP}", sender="")).startswith("250")
    assert (await forwards.come(f"{one}@{RP}", sender=""))[:9] == "450 4.4.6"
    assert (await forwards.come(f"{other}@{RP}", sender="")).startswith("250")


async def test_what_is_sent_on_is_written_once(forwards: ForwardRoad) -> None:
    """With what was understood: whoever was taken for dead writes neither, whoever comes after it writes both."""
    await forwards.start(delivering=False)
    world = forwards.world
    forwards.takes("a@one.test", "bob@accept.lab.test")
    await forwards.come("a@one.test")
    await forwards.told()
    (message,) = await forwards.rows(t.message)
    mail = (await world.store.content(forwards.account, message.id)) or b""
    assert mail.startswith(b"Delivered-To: a@one.test\r\n")
    # It is read again, by another worker, while the first one still believes that it is its own.
    other = await world.store.register_worker("there", 2, world.clock.now(), 86_400_000)
    async with world.store.write() as connection:
        values = {"state": 1, "owner": other.id, "attempts": 2}
        await connection.execute(update(t.inbound_mail).values(values))
    received = forwards.last.mail
    new = await forwards.forwarding.forward(forwards.last, forwards.wanted(forwards.last))
    with pytest.raises(Fenced):
        await world.store.understand(world.me.id, Understood(received, 8, messages=new.messages))
    assert len(await forwards.rows(t.message)) == 1
    received.attempts = 2
    await world.store.understand(other.id, Understood(received, 8, messages=new.messages))
    assert len(await forwards.rows(t.message)) == 2
