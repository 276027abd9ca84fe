"""From a domain to a site, and to the addresses to try."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from ekiden.core.said import say
from ekiden.core.states import State
from ekiden.delivery.config import DeliveryConfig, RouteConfig
from ekiden.delivery.routing import Candidate, Hop, Route, Router, Unroutable, split_host_port
from ekiden.dns.resolver import DnsError, DnsTemporary, MxHost, NoMailHost, NoSuchDomain, NullMx, address_of_literal
from ekiden.net.destinations import OURS, Destinations
from ekiden.net.families import Families, has_way
from support.manual_clock import ManualClock

Answer = list[MxHost] | type[DnsError]


class Zone:
    """A resolver that knows what it was told."""

    def __init__(
        self,
        mx: dict[str, list[MxHost] | type[DnsError]] | None = None,
        hosts: dict[str, list[str] | type[DnsError]] | None = None,
    ) -> None:
        self.answers = mx or {}
        self.hosts = hosts or {}
        self.asked: list[str] = []

    async def mx(self, domain: str) -> list[MxHost]:
        self.asked.append(domain)
        answer = self.answers.get(domain, NoSuchDomain)
        if isinstance(answer, type):
            raise answer(domain, say("system", why=f"{domain} says {answer.__name__}"))
        return answer

    async def addresses(self, name: str) -> list[str]:
        literal = address_of_literal(name)
        if literal is not None:
            return [literal]
        answer = self.hosts.get(name, NoSuchDomain)
        if isinstance(answer, type):
            raise answer(name, say("system", why=f"{name} says {answer.__name__}"))
        return answer

    async def txt(self, name: str) -> list[str]:
        return []


def router(
    zone: Zone,
    *routes: RouteConfig,
    own: str = "",
    clock: ManualClock | None = None,
    most: int = 5,
    destinations: Destinations | None = None,
    families: Families | None = None,
) -> Router:
    config = DeliveryConfig(smtp_port=2525, routes=routes, max_addresses_per_attempt=most)
    return Router(
        zone,
        clock or ManualClock(),
        config,
        own_names=frozenset({own} if own else ()),
        destinations=destinations or Destinations(loopback_only=True),
        families=families or Families(way=lambda _: True),  # of a machine that has both, whatever this one has
        rng=random.Random(1),
    )


async def test_domains_with_the_same_hosts_are_one_site() -> None:
    zone = Zone(
        {
            "a.test": [MxHost(1, "mx1.x.test"), MxHost(2, "mx2.x.test")],
            "b.test": [MxHost(5, "mx2.x.test"), MxHost(5, "mx1.x.test")],
            "c.test": [MxHost(5, "mx2.x.test")],
        }
    )
    made = router(zone)
    sites = [(await made.route(domain)).site for domain in ("a.test", "b.test", "c.test")]
    assert sites == ["mx1.x.test,mx2.x.test", "mx1.x.test,mx2.x.test", "mx2.x.test"]


@pytest.mark.parametrize(
    ("kind", "state", "code", "enhanced"),
    [
        (NullMx, State.BOUNCED, 556, "5.1.10"),
        (NoSuchDomain, State.BOUNCED, 550, "5.1.2"),
        (NoMailHost, State.BOUNCED, 550, "5.4.4"),
        (DnsTemporary, State.DEFERRED, 451, "4.4.3"),
    ],
)
async def test_domains_without_a_route(kind: type[DnsError], state: State, code: int, enhanced: str) -> None:
    with pytest.raises(Unroutable) as caught:
        await router(Zone({"a.test": kind})).route("a.test")
    verdict = caught.value.verdict
    assert (verdict.state, verdict.code, verdict.enhanced) == (state, code, enhanced)
    assert "a.test" in verdict.text


async def test_a_route_is_remembered_for_a_moment() -> None:
    clock = ManualClock()
    zone = Zone({"a.test": [MxHost(1, "mx.test")]})
    made = router(zone, clock=clock)
    assert made.known("a.test") is None
    route = await made.route("a.test")
    assert made.known("a.test") is route
    clock.advance(6_000)
    assert made.known("a.test") is None


async def test_static_routes() -> None:
    zone = Zone({"other.test": [MxHost(1, "mx.test")]})
    made = router(
        zone,
        RouteConfig(domain="exact.test", hosts=("127.0.0.1:26", "backup.test")),
        RouteConfig(domain=".below.test", hosts=("[::1]:27",)),
    )
    exact = await made.route("exact.test")
    assert exact.hops == (Hop(0, "[127.0.0.1]", 26), Hop(1, "backup.test", 2525))
    assert (await made.route("deep.down.below.test")).hops == (Hop(0, "[::1]", 27),)
    assert (await made.route("other.test")).hops == (Hop(1, "mx.test", 2525),)
    with pytest.raises(Unroutable):
        await made.route("below.test")
    assert zone.asked == ["other.test", "below.test"]


async def test_a_route_for_everything_else() -> None:
    zone = Zone()
    made = router(
        zone,
        RouteConfig(domain="*", hosts=("relay.test",)),
        RouteConfig(domain="exact.test", hosts=("127.0.0.1",)),
    )
    assert (await made.route("anything.test")).site == "relay.test:2525"
    assert (await made.route("exact.test")).site == "[127.0.0.1]:2525"
    assert zone.asked == []


async def test_preference_first_then_chance() -> None:
    zone = Zone(hosts={name: [f"127.0.0.{n}"] for n, name in enumerate(("a", "b", "c", "d"), 1)})
    made = router(zone)
    route = Route("s", (Hop(10, "a", 25), Hop(10, "b", 25), Hop(10, "c", 25), Hop(20, "d", 25)))
    firsts = Counter[str]()
    for _ in range(300):
        candidates, _ = await made.candidates(route)
        assert candidates[-1].host == "d"
        firsts[candidates[0].host] += 1
    assert set(firsts) == {"a", "b", "c"}
    assert min(firsts.values()) > 60


async def test_families_alternate_six_first() -> None:
    zone = Zone(hosts={"a": ["::1", "::2", "127.0.0.1", "127.0.0.2", "127.0.0.3"]})
    candidates, _ = await router(zone, destinations=Destinations(["::/0", "0.0.0.0/0"])).candidates(
        Route("s", (Hop(1, "a", 25),))
    )
    assert [":" in candidate.address for candidate in candidates] == [True, False, True, False, False]


async def test_addresses_are_bounded_and_not_repeated() -> None:
    zone = Zone(hosts={"a": ["127.0.0.1", "127.0.0.2"], "b": ["127.0.0.2", "127.0.0.3"], "c": ["127.0.0.4"]})
    route = Route("s", (Hop(1, "a", 25), Hop(2, "b", 25), Hop(3, "c", 25)))
    candidates, _ = await router(zone, most=3).candidates(route)
    assert sorted(candidate.address for candidate in candidates) == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]


async def test_hosts_without_address_are_skipped_with_a_remark() -> None:
    zone = Zone(hosts={"gone": NoSuchDomain, "empty": [], "sick": DnsTemporary, "good": ["127.0.0.1"]})
    route = Route("s", tuple(Hop(n, name, 25) for n, name in enumerate(("gone", "empty", "sick", "good"))))
    candidates, remarks = await router(zone).candidates(route)
    assert candidates == [Candidate("good", "127.0.0.1", 25)]
    assert len(remarks) == 3


@pytest.mark.parametrize(
    ("hosts", "state", "enhanced"),
    [
        ({"a": NoSuchDomain, "b": []}, State.BOUNCED, "5.4.4"),
        ({"a": NoSuchDomain, "b": DnsTemporary}, State.DEFERRED, "4.4.3"),
    ],
)
async def test_no_host_has_an_address(
    hosts: dict[str, list[str] | type[DnsError]], state: State, enhanced: str
) -> None:
    with pytest.raises(Unroutable) as caught:
        await router(Zone(hosts=hosts)).candidates(Route("s", (Hop(1, "a", 25), Hop(2, "b", 25))))
    assert (caught.value.verdict.state, caught.value.verdict.enhanced) == (state, enhanced)


async def test_mail_does_not_loop_back_to_us() -> None:
    """RFC 5321 §5.1."""
    zone = Zone(
        {
            "backup.test": [MxHost(1, "best.test"), MxHost(5, "us.test"), MxHost(9, "worse.test")],
            "loop.test": [MxHost(1, "us.test"), MxHost(5, "worse.test")],
        }
    )
    made = router(zone, own="us.test")
    assert [hop.name for hop in (await made.route("backup.test")).hops] == ["best.test"]
    with pytest.raises(Unroutable) as caught:
        await made.route("loop.test")
    assert caught.value.verdict.enhanced == "5.4.6"


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("relay.Example.com", "relay.example.com", 25),
        ("relay.example.com:2525", "relay.example.com", 2525),
        ("192.0.2.1", "[192.0.2.1]", 25),
        ("192.0.2.1:26", "[192.0.2.1]", 26),
        ("2001:db8::1", "[2001:db8::1]", 25),
        ("[2001:db8::1]:26", "[2001:db8::1]", 26),
        ("[192.0.2.1]", "[192.0.2.1]", 25),
    ],
)
def test_hosts_of_static_routes(text: str, host: str, port: int) -> None:
    assert split_host_port(text, 25) == (host, port)


@pytest.mark.parametrize("text", ["", ":25", "a:b", "a:0", "a:70000", "[::1", "[::1]x"])
def test_hosts_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="host"):
        split_host_port(text, 25)


# where mail must not go


async def at(addresses: dict[str, list[str]], *hosts: MxHost, destinations: Destinations) -> list[str]:
    made = router(Zone({"a.test": list(hosts)}, dict(addresses)), destinations=destinations)
    found, _ = await made.candidates(await made.route("a.test"))
    return [candidate.address for candidate in found]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.10",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.9",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.2.25",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::10.0.0.1",
        "2002:7f00:1::1",
        "2001:0:808:808:0:0:80ff:fffe",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "2001:db8::1",
    ],
)
async def test_domains_that_lead_inside_are_refused_for_good(address: str) -> None:
    """By an address literal, by MX and address, and by an address alone; nothing of it is tried."""
    strict = Destinations()
    literal = f"[IPv6:{address}]" if ":" in address else f"[{address}]"
    zone = Zone({literal: [MxHost(0, literal)], "a.test": [MxHost(1, "mx.test")]}, {"mx.test": [address]})
    made = router(zone, destinations=strict)
    for domain in (literal, "a.test"):
        route = await made.route(domain)
        with pytest.raises(Unroutable) as caught:
            await made.candidates(route)
        verdict = caught.value.verdict
        assert (verdict.state, verdict.code, verdict.enhanced) == (State.BOUNCED, 550, "5.4.4")
        assert "mail is not delivered to" in verdict.text


async def test_hosts_that_may_be_reached_are_while_others_are_skipped() -> None:
    addresses = {"in.test": ["10.0.0.1"], "both.test": ["::1", "8.8.4.4"], "out.test": ["8.8.8.8"]}
    hosts = (MxHost(1, "in.test"), MxHost(2, "both.test"), MxHost(3, "out.test"))
    assert await at(addresses, *hosts, destinations=Destinations()) == ["8.8.4.4", "8.8.8.8"]
    inside = Destinations(["10.0.0.0/8"], refused_networks=["8.8.4.0/24"])
    assert await at(addresses, *hosts, destinations=inside) == ["10.0.0.1", "8.8.8.8"]


async def test_a_name_that_may_be_mended_waits() -> None:
    zone = Zone({"a.test": [MxHost(1, "in.test"), MxHost(2, "away.test")]}, {"in.test": ["10.0.0.1"]})
    zone.hosts["away.test"] = DnsTemporary
    made = router(zone, destinations=Destinations())
    with pytest.raises(Unroutable) as caught:
        await made.candidates(await made.route("a.test"))
    assert caught.value.verdict.state is State.DEFERRED


async def test_behind_an_address_of_ours_nothing_is_tried() -> None:
    """RFC 5321 §5.1, by address: our own MX may have any name. The public address of this machine is stood for by
    a documentation address that the policy takes for ours.
    """

    class Here(Destinations):
        def refusal(self, text: str) -> str | None:
            return OURS if text == "8.8.8.8" else super().refusal(text)

    addresses = {"better.test": ["8.8.4.4"], "us.test": ["8.8.8.8"], "worse.test": ["1.1.1.1"]}
    hosts = (MxHost(1, "better.test"), MxHost(2, "us.test"), MxHost(3, "worse.test"))
    assert await at(addresses, *hosts, destinations=Here()) == ["8.8.4.4"]
    with pytest.raises(Unroutable) as caught:
        await at(addresses, *hosts[1:], destinations=Here())
    assert (caught.value.verdict.state, caught.value.verdict.enhanced) == (State.BOUNCED, "5.4.6")


@pytest.mark.parametrize("name", ["relay.test:2525", "mx1.x.test,mx2.x.test", "a b.test", "*.x.test", ""])
async def test_names_that_are_no_hosts_are_no_sites(name: str) -> None:
    """A static route's site has a colon in its name, one of several hosts a comma: nobody joins one by DNS."""
    with pytest.raises(Unroutable) as caught:
        await router(Zone({"a.test": [MxHost(1, name)]})).route("a.test")
    assert caught.value.verdict.enhanced == "5.4.4"
    kept = await router(Zone({"a.test": [MxHost(1, name), MxHost(2, "mx.test")]})).route("a.test")
    assert kept.site == "mx.test"


# families


@pytest.mark.parametrize(
    ("families", "tried", "remark"),
    [
        (Families(["192.0.2.1"]), ["8.8.8.8"], "delivery.source_address has no IPv6 address"),
        (Families(["2001:db8::1"]), ["2600::1"], "delivery.source_address has no IPv4 address"),
        (Families(ipv6=False, way=lambda _: True), ["8.8.8.8"], "IPv6 is switched off (delivery.ipv6)"),
        (Families(way=lambda to: ":" not in to), ["8.8.8.8"], "this machine has no IPv6 address to send from"),
        (Families(way=lambda to: ":" in to), ["2600::1"], "this machine has no IPv4 address to send from"),
        (Families(["192.0.2.1", "2001:db8::1"]), ["2600::1", "8.8.8.8"], ""),
    ],
)
async def test_a_family_without_an_address_of_ours_is_not_tried(
    families: Families, tried: list[str], remark: str
) -> None:
    zone = Zone({"a.test": [MxHost(1, "mx.test")]}, {"mx.test": ["8.8.8.8", "2600::1"]})
    made = router(zone, destinations=Destinations(), families=families)
    found, remarks = await made.candidates(await made.route("a.test"))
    assert [candidate.address for candidate in found] == tried
    assert [line for line in remarks if remark and remark in line] == remarks
    assert len(remarks) == bool(remark)


async def test_what_is_not_tried_takes_no_turn_of_others() -> None:
    hosts = {f"mx{n}.test": [f"2600::{n}", f"8.8.8.{n}"] for n in range(6)}
    zone = Zone({"a.test": [MxHost(n, name) for n, name in enumerate(hosts)]}, dict(hosts))
    made = router(zone, destinations=Destinations(), families=Families(["192.0.2.1"]))
    found, _ = await made.candidates(await made.route("a.test"))
    assert [candidate.address for candidate in found] == [f"8.8.8.{n}" for n in range(5)]


@pytest.mark.parametrize("routes", [(), (RouteConfig(domain="a.test", hosts=("[2600::1]:25",)),)])
async def test_a_domain_of_the_other_family_waits_and_says_why(routes: tuple[RouteConfig, ...]) -> None:
    zone = Zone({"a.test": [MxHost(1, "mx.test")]}, {"mx.test": ["2600::1"]})
    made = router(zone, *routes, destinations=Destinations(), families=Families(ipv6=False))
    with pytest.raises(Unroutable) as caught:
        await made.candidates(await made.route("a.test"))
    verdict = caught.value.verdict
    assert (verdict.state, verdict.enhanced) == (State.DEFERRED, "4.4.1")
    assert verdict.text == "2600::1 is not tried: IPv6 is switched off (delivery.ipv6)"


def test_two_addresses_of_a_family_are_one_too_many() -> None:
    with pytest.raises(ValueError, match="second IPv4 address"):
        Families(["192.0.2.1", "192.0.2.2"])
    families = Families(["192.0.2.1", "2001:db8::1"])
    assert (families.source("8.8.8.8"), families.source("2600::1")) == ("192.0.2.1", "2001:db8::1")
    assert Families().source("8.8.8.8") is None


def test_the_system_is_asked_for_its_way() -> None:
    """Loopback is what every machine has a way to."""
    assert has_way("127.0.0.1")
    assert Families().refusal("127.0.0.1") is None
