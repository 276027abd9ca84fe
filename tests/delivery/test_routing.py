"""From a domain to a site, and to the addresses to try."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from ekiden.core.clock import ManualClock
from ekiden.core.states import State
from ekiden.delivery.config import DeliveryConfig, RouteConfig
from ekiden.delivery.routing import Candidate, Hop, Route, Router, Unroutable, split_host_port
from ekiden.dns.resolver import DnsError, DnsTemporary, MxHost, NoMailHost, NoSuchDomain, NullMx, address_of_literal

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
            raise answer(domain, f"{domain} says {answer.__name__}")
        return answer

    async def addresses(self, name: str) -> list[str]:
        literal = address_of_literal(name)
        if literal is not None:
            return [literal]
        answer = self.hosts.get(name, NoSuchDomain)
        if isinstance(answer, type):
            raise answer(name, f"{name} says {answer.__name__}")
        return answer

    async def txt(self, name: str) -> list[str]:
        return []


def router(
    zone: Zone, *routes: RouteConfig, own: str = "", clock: ManualClock | None = None, most: int = 5
) -> Router:
    config = DeliveryConfig(smtp_port=2525, routes=routes, max_addresses_per_attempt=most)
    return Router(
        zone, clock or ManualClock(), config, own_names=frozenset({own} if own else ()), rng=random.Random(1)
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
    candidates, _ = await router(zone).candidates(Route("s", (Hop(1, "a", 25),)))
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
