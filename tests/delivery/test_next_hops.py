"""What came in for somebody goes to a host of theirs, whatever the DNS says of its domain."""

from __future__ import annotations

import random

import pytest
from delivery_road import CONTENT, road

from ekiden.core.forward import Forward
from ekiden.core.states import State, Wait
from ekiden.delivery.config import DeliveryConfig, RouteConfig
from ekiden.delivery.routing import Candidate, Route, Router, Unroutable
from ekiden.dns.resolver import MxHost
from ekiden.lab import Lab
from ekiden.net.destinations import OURS, Destinations
from ekiden.net.families import Families
from ekiden.store import tables as t
from ekiden.store.api import Store
from support.manual_clock import ManualClock


def to(lab: Lab, name: str, *, tls: bool = False) -> Forward:
    return Forward(sender="own", host=f"mx.{name}.lab.test", port=lab.smtp_port, tls=tls)


async def test_a_host_of_its_own_takes_it(store: Store, lab: Lab) -> None:
    """From memory, and by a claim, on both engines: recipients and sender as they came in."""
    async with road(store, lab) as r:
        for hand_over in (True, False):
            message = await r.send("joe@nxdomain.lab.test", hand_over=hand_over, forward=to(lab, "accept"))
            assert (await r.one(message))["state"] == State.DELIVERED
            (attempt,) = await r.attempts(message)
            assert attempt["host"] == "mx.accept.lab.test"
        taken = lab.mail("joe@nxdomain.lab.test")
        assert [mail.sender for mail in taken] == ["me@sender.lab.test"] * 2
        assert {mail.data for mail in taken} == {CONTENT}
        await r.drain()


async def test_other_mail_for_its_domain_goes_where_the_dns_says(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab) as r:
        sent_on = await r.send("joe@accept.lab.test", forward=to(lab, "greylist"))
        other = await r.send("joe@accept.lab.test")
        for message, host in ((sent_on, "mx.greylist.lab.test"), (other, "mx.accept.lab.test")):
            await r.one(message)
            assert [attempt["host"] for attempt in await r.attempts(message)] == [host]
        await r.drain()


@pytest.mark.parametrize(
    ("name", "tls", "state"),
    [
        ("accept", True, State.DELIVERED),
        ("notls", True, State.DEFERRED),
        ("notls", False, State.DELIVERED),
        ("badtls", True, State.DEFERRED),
        ("refusetls", True, State.DEFERRED),
        ("refusetls", False, State.DELIVERED),
        ("expiredcert", True, State.DELIVERED),
    ],
)
async def test_tls_that_is_demanded(sqlite_store: Store, lab: Lab, name: str, tls: bool, state: State) -> None:
    async with road(sqlite_store, lab) as r:
        message = await r.send("joe@nxdomain.lab.test", forward=to(lab, name, tls=tls))
        row = await r.one(message)
        assert row["state"] == state
        if state is State.DEFERRED:
            assert row["wait"] == Wait.SITE_DOWN
            assert lab.mail() == []
        elif tls:
            assert lab.mail()[0].tls
        await r.drain()


async def test_demanded_tls_holds_where_others_go_in_clear(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab, starttls=False) as r:
        await r.one(await r.send("a@nxdomain.lab.test", forward=to(lab, "accept", tls=True)))
        await r.one(await r.send("b@nxdomain.lab.test", forward=to(lab, "accept")))
        assert [bool(lab.mail(f"{name}@nxdomain.lab.test")[0].tls) for name in "ab"] == [True, False]
        await r.drain()


async def test_a_refusal_is_kept_and_told(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab) as r:
        message = await r.send("joe@reject.lab.test", forward=to(lab, "accept"))
        row = await r.one(message)
        assert (row["state"], row["code"], row["enhanced"]) == (State.BOUNCED, 550, "5.1.1")
        assert [each["sender"] for each in await r.rows(t.message, t.message.c.id != message)] == [""]
        await r.drain()


# where it may lead


class Zone:
    def __init__(self, addresses: dict[str, str], mx: dict[str, str] | None = None) -> None:
        self._addresses = addresses
        self._mx = mx or {}

    async def mx(self, domain: str) -> list[MxHost]:
        return [MxHost(10, self._mx[domain])]

    async def addresses(self, name: str) -> list[str]:
        return [self._addresses[name]]

    async def txt(self, name: str) -> list[str]:
        return []


class Here(Destinations):
    """Of a machine whose public address is stood for by another one."""

    def refusal(self, text: str) -> str | None:
        return OURS if text == "8.8.8.8" else super().refusal(text)


def router(zone: Zone, receives: list[tuple[str, int]] | None = None, *routes: RouteConfig) -> Router:
    return Router(
        zone,
        ManualClock(),
        DeliveryConfig(routes=routes),
        own_names=frozenset({"mx.us.test"}),
        receives=receives,
        destinations=Here(),
        families=Families(way=lambda _: True),
        rng=random.Random(1),
    )


@pytest.mark.parametrize(("host", "why"), [("inside.test", "5.4.4"), ("us.test", "5.4.6")])
async def test_an_account_leads_nothing_inside(host: str, why: str) -> None:
    """Not even where the configuration may, or where we receive mail."""
    configured = RouteConfig(domain="*", hosts=("inside.test:25",))
    zone = Zone({"inside.test": "10.1.2.3", "us.test": "8.8.8.8"})
    made = router(zone, [("0.0.0.0", 25)], configured)
    with pytest.raises(Unroutable) as caught:
        await made.candidates(made.next_hop(Forward(sender="own", host=host, port=25)))
    assert caught.value.verdict.enhanced == why
    found, _ = await made.candidates(await made.route("inside.test"))
    assert found == [Candidate("inside.test", "10.1.2.3", 25)]


def test_its_site_is_nobody_elses() -> None:
    made = router(Zone({}), None, RouteConfig(domain="a.test", hosts=("relay.test:25",)))
    hops = [Forward(sender="own", host="relay.test", port=25, tls=tls) for tls in (False, True)]
    configured = made.known("a.test")
    assert isinstance(configured, Route)
    assert len({configured.site, *(made.next_hop(hop).site for hop in hops)}) == 3


@pytest.mark.parametrize(
    ("receives", "address", "goes"),
    [
        (None, "8.8.8.8", False),
        ([], "8.8.8.8", False),
        ([("0.0.0.0", 25)], "8.8.8.8", True),
        ([("8.8.8.8", 25)], "8.8.8.8", True),
        ([("0.0.0.0", 587)], "8.8.8.8", False),
        ([("::", 25)], "8.8.8.8", False),
        ([("1.1.1.1", 25)], "8.8.8.8", False),
        (None, "8.8.4.4", False),
        ([], "8.8.4.4", True),
    ],
)
async def test_mail_for_whom_we_receive_it_comes_to_us(
    receives: list[tuple[str, int]] | None, address: str, goes: bool
) -> None:
    """By the name of our host, and by an address of this machine if mail is received there."""
    made = router(Zone({"mx.us.test": address}, {"shop.test": "mx.us.test"}), receives)
    try:
        found, _ = await made.candidates(await made.route("shop.test"))
    except Unroutable as error:
        assert error.verdict.enhanced == "5.4.6"
        found = []
    assert bool(found) == goes
