"""The resolver against a real name server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import dns.rcode
import pytest
from dns_peer import DnsPeer

from ekiden.dns.config import DnsConfig
from ekiden.dns.lookup_queue import on_behalf_of
from ekiden.dns.resolver import DnsResolver, DnsTemporary, MxHost, NoMailHost, NoSuchDomain, NullMx
from ekiden.inbound.lookups import RememberedLookup
from ekiden.net.clock import SystemClock
from ekiden.net.network import OutsideLab
from ekiden.sender_auth.dns import TemporaryDnsError
from support.manual_clock import ManualClock


@pytest.fixture
async def peer() -> AsyncIterator[DnsPeer]:
    async with DnsPeer() as server:
        yield server


@pytest.fixture
def resolver(peer: DnsPeer, clock: ManualClock) -> DnsResolver:
    return make(peer, clock)


def make(peer: DnsPeer, clock: ManualClock, **settings: float) -> DnsResolver:
    config = DnsConfig(
        nameservers=("127.0.0.1",),
        port=peer.port,
        timeout=0.15,
        lifetime=0.4,
        **settings,  # type: ignore[arg-type]
    )
    return DnsResolver(config, clock, loopback_only=True)


async def test_mx_is_sorted_by_preference(peer: DnsPeer, resolver: DnsResolver) -> None:
    peer.records["a.test", "MX"] = ["20 B.a.test.", "10 a.a.test.", "20 a2.a.test."]
    assert await resolver.mx("a.test") == [
        MxHost(10, "a.a.test"),
        MxHost(20, "a2.a.test"),
        MxHost(20, "b.a.test"),
    ]


async def test_null_mx(peer: DnsPeer, resolver: DnsResolver) -> None:
    peer.records["a.test", "MX"] = ["0 ."]
    with pytest.raises(NullMx):
        await resolver.mx("a.test")


async def test_null_mx_beside_a_host_is_ignored(peer: DnsPeer, resolver: DnsResolver) -> None:
    peer.records["a.test", "MX"] = ["0 .", "5 mx.a.test."]
    assert await resolver.mx("a.test") == [MxHost(5, "mx.a.test")]


@pytest.mark.parametrize(("kind", "address"), [("A", "127.0.0.9"), ("AAAA", "::1")])
async def test_a_domain_without_mx_is_its_own_host(
    peer: DnsPeer, resolver: DnsResolver, kind: str, address: str
) -> None:
    peer.records["a.test", kind] = [address]
    assert await resolver.mx("a.test") == [MxHost(0, "a.test")]
    assert await resolver.addresses("a.test") == [address]


async def test_neither_mx_nor_address(peer: DnsPeer, resolver: DnsResolver) -> None:
    peer.records["a.test", "TXT"] = ['"x"']
    with pytest.raises(NoMailHost):
        await resolver.mx("a.test")


async def test_no_such_domain(resolver: DnsResolver) -> None:
    with pytest.raises(NoSuchDomain, match=r"a\.test"):
        await resolver.mx("a.test")
    with pytest.raises(NoSuchDomain):
        await resolver.addresses("a.test")


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
async def test_a_failing_server_is_temporary(peer: DnsPeer, resolver: DnsResolver, rcode: dns.rcode.Rcode) -> None:
    peer.rcodes["a.test"] = rcode
    with pytest.raises(DnsTemporary):
        await resolver.mx("a.test")


@pytest.mark.parametrize(("passes", "gone"), [("A", "AAAA"), ("AAAA", "A")])
async def test_a_family_that_may_answer_later_outranks_one_that_has_no_such_name(
    peer: DnsPeer, resolver: DnsResolver, passes: str, gone: str
) -> None:
    peer.rcodes["a.test", passes] = dns.rcode.SERVFAIL
    peer.rcodes["a.test", gone] = dns.rcode.NXDOMAIN
    with pytest.raises(DnsTemporary):
        await resolver.addresses("a.test")


async def test_a_silent_server_is_temporary(peer: DnsPeer, resolver: DnsResolver, clock: ManualClock) -> None:
    peer.silent.add("a.test")
    with pytest.raises(DnsTemporary):
        await resolver.mx("a.test")
    peer.silent.clear()
    peer.records["a.test", "MX"] = ["1 b.test."]
    with pytest.raises(DnsTemporary):  # RFC 2308 §7: remembered for a moment
        await resolver.mx("a.test")
    clock.advance(6_000)
    assert await resolver.mx("a.test") == [MxHost(1, "b.test")]


async def test_a_missing_mx_is_not_guessed_when_the_server_fails(peer: DnsPeer, resolver: DnsResolver) -> None:
    """The implicit MX holds only when DNS said that there is no MX."""
    peer.rcodes["a.test"] = dns.rcode.SERVFAIL
    peer.records["a.test", "A"] = ["127.0.0.1"]
    with pytest.raises(DnsTemporary):
        await resolver.mx("a.test")


async def test_aliases_are_followed(peer: DnsPeer, resolver: DnsResolver) -> None:
    peer.records["www.test", "CNAME"] = ["real.test."]
    peer.records["real.test", "MX"] = ["7 mx.real.test."]
    peer.records["real.test", "A"] = ["127.0.0.3"]
    assert await resolver.mx("www.test") == [MxHost(7, "mx.real.test")]
    assert await resolver.addresses("www.test") == ["127.0.0.3"]


async def test_a_cut_answer_is_asked_for_over_tcp(peer: DnsPeer, resolver: DnsResolver) -> None:
    peer.records["a.test", "MX"] = [f"{n} a-rather-long-name-for-a-host-{n}.a.test." for n in range(60)]
    peer.truncate.add("a.test")
    assert len(await resolver.mx("a.test")) == 60
    assert peer.tcp_asked == 1


async def test_both_families_six_first(peer: DnsPeer, resolver: DnsResolver) -> None:
    peer.records["a.test", "A"] = ["127.0.0.1", "127.0.0.2"]
    peer.records["a.test", "AAAA"] = ["::1"]
    found = await resolver.addresses("a.test")
    assert found[0] == "::1"
    assert sorted(found[1:]) == ["127.0.0.1", "127.0.0.2"]


@pytest.mark.parametrize(
    ("literal", "address"),
    [("[127.0.0.5]", "127.0.0.5"), ("[ipv6:::1]", "::1"), ("[IPv6:2001:DB8::1]", "2001:db8::1")],
)
async def test_address_literals(resolver: DnsResolver, literal: str, address: str) -> None:
    assert await resolver.mx(literal) == [MxHost(0, literal)]
    assert await resolver.addresses(literal) == [address]


async def test_a_literal_that_is_no_address(resolver: DnsResolver) -> None:
    with pytest.raises(NoSuchDomain):
        await resolver.addresses("[300.1.1.1]")


async def test_unicode_names_are_asked_in_a_labels(peer: DnsPeer, resolver: DnsResolver) -> None:
    peer.records["xn--r8jz45g.test", "MX"] = ["10 mx.test."]
    assert await resolver.mx("例え.test") == [MxHost(10, "mx.test")]


async def test_names_that_dns_cannot_hold(resolver: DnsResolver) -> None:
    with pytest.raises(NoSuchDomain):
        await resolver.mx("a" * 64 + ".test")
    with pytest.raises(NoSuchDomain):
        await resolver.mx("a..test")


async def test_txt(peer: DnsPeer, resolver: DnsResolver) -> None:
    peer.records["a.test", "TXT"] = ['"v=spf1 " "-all"', '"other"']
    assert sorted(await resolver.txt("a.test")) == ["other", "v=spf1 -all"]
    peer.records["b.test", "A"] = ["127.0.0.1"]
    assert await resolver.txt("b.test") == []


async def test_answers_live_as_long_as_their_ttl(peer: DnsPeer, resolver: DnsResolver, clock: ManualClock) -> None:
    peer.records["a.test", "MX"] = ["10 one.test."]
    await resolver.mx("a.test")
    peer.records["a.test", "MX"] = ["10 two.test."]
    clock.advance(299_000)
    assert await resolver.mx("a.test") == [MxHost(10, "one.test")]
    clock.advance(2_000)
    assert await resolver.mx("a.test") == [MxHost(10, "two.test")]
    assert peer.asked["a.test", "MX"] == 2


async def test_a_ttl_of_nothing_is_kept_for_the_least_time(
    peer: DnsPeer, resolver: DnsResolver, clock: ManualClock
) -> None:
    peer.ttl = 0
    peer.records["a.test", "MX"] = ["10 one.test."]
    for _ in range(3):
        await resolver.mx("a.test")
    assert peer.asked["a.test", "MX"] == 1
    clock.advance(1_100)
    await resolver.mx("a.test")
    assert peer.asked["a.test", "MX"] == 2


async def test_a_ttl_is_bounded(peer: DnsPeer, clock: ManualClock) -> None:
    resolver = make(peer, clock, max_ttl=10.0)
    peer.records["a.test", "MX"] = ["10 one.test."]
    await resolver.mx("a.test")
    clock.advance(11_000)
    await resolver.mx("a.test")
    assert peer.asked["a.test", "MX"] == 2


async def test_negative_answers_live_as_long_as_the_soa_says(
    peer: DnsPeer, resolver: DnsResolver, clock: ManualClock
) -> None:
    """RFC 2308 §5: the least of the SOA's TTL (900) and its MINIMUM (60)."""
    for _ in range(2):
        with pytest.raises(NoSuchDomain):
            await resolver.mx("a.test")
    assert peer.asked["a.test", "MX"] == 1
    clock.advance(61_000)
    peer.records["a.test", "MX"] = ["10 mx.test."]
    assert await resolver.mx("a.test") == [MxHost(10, "mx.test")]


async def test_a_negative_answer_without_soa_is_kept_for_the_least_time(
    peer: DnsPeer, resolver: DnsResolver, clock: ManualClock
) -> None:
    peer.soa = None
    with pytest.raises(NoSuchDomain):
        await resolver.mx("a.test")
    clock.advance(1_100)
    peer.records["a.test", "MX"] = ["10 mx.test."]
    assert await resolver.mx("a.test") == [MxHost(10, "mx.test")]


async def test_equal_questions_become_one(peer: DnsPeer, resolver: DnsResolver) -> None:
    peer.gate = asyncio.Event()
    peer.records["a.test", "MX"] = ["10 mx.test."]
    waiting = [asyncio.create_task(resolver.mx("a.test")) for _ in range(20)]
    await asyncio.sleep(0.02)
    waiting[0].cancel()  # one who leaves does not take the answer from the others
    peer.gate.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [[MxHost(10, "mx.test")]] * 19
    assert peer.asked["a.test", "MX"] == 1


async def test_the_cache_is_bounded(peer: DnsPeer, clock: ManualClock) -> None:
    resolver = make(peer, clock, cache_size=3)
    for n in range(5):
        peer.records[f"n{n}.test", "TXT"] = ['"x"']
        await resolver.txt(f"n{n}.test")
    await resolver.txt("n4.test")
    await resolver.txt("n0.test")
    assert peer.asked["n4.test", "TXT"] == 1
    assert peer.asked["n0.test", "TXT"] == 2


async def test_the_switch_of_the_lab_refuses_other_name_servers(clock: ManualClock) -> None:
    with pytest.raises(OutsideLab):
        DnsResolver(DnsConfig(nameservers=("192.0.2.53",)), clock, loopback_only=True)


async def test_fresh_answers_pass_the_cache_by(peer: DnsPeer, resolver: DnsResolver) -> None:
    peer.records["a.test", "TXT"] = ['"one"']
    assert await resolver.txt("a.test") == ["one"]
    peer.records["a.test", "TXT"] = [r'"two \255" "joined"']
    assert await resolver.fresh("a.test", "TXT") == [b"two \xffjoined"]
    assert await resolver.txt("a.test") == ["one"]  # what is remembered stays as it is


async def test_fresh_answers_of_every_kind(peer: DnsPeer, resolver: DnsResolver) -> None:
    peer.records["a.test", "A"] = ["192.0.2.1"]
    peer.records["a.test", "AAAA"] = ["2001:db8::1"]
    peer.records["a.test", "MX"] = ["10 MX.test.", "0 ."]
    peer.records["1.2.0.192.in-addr.arpa", "PTR"] = ["Mail.Test."]
    assert await resolver.fresh("a.test", "A") == ["192.0.2.1"]
    assert await resolver.fresh("A.test", "AAAA") == ["2001:db8::1"]
    assert sorted(await resolver.fresh("a.test", "MX")) == [MxHost(0, ""), MxHost(10, "mx.test")]
    assert await resolver.fresh("1.2.0.192.in-addr.arpa", "PTR") == ["mail.test"]


async def test_fresh_answers_that_there_are_not(peer: DnsPeer, resolver: DnsResolver) -> None:
    peer.records["a.test", "A"] = ["192.0.2.1"]
    assert await resolver.fresh("a.test", "TXT") == []
    assert await resolver.fresh("none.test", "TXT") == []
    assert await resolver.fresh("x" * 64 + ".test", "TXT") == []
    peer.rcodes["broken.test"] = dns.rcode.SERVFAIL
    with pytest.raises(DnsTemporary, match="SERVFAIL"):
        await resolver.fresh("broken.test", "TXT")


async def test_remembered_answers_of_every_kind(peer: DnsPeer, resolver: DnsResolver, clock: ManualClock) -> None:
    """The same as fresh ones, from the cache that mail is sent with."""
    peer.records["a.test", "A"] = ["192.0.2.1"]
    peer.records["a.test", "AAAA"] = ["2001:DB8::1"]
    peer.records["a.test", "MX"] = ["10 MX.test.", "0 ."]
    peer.records["a.test", "TXT"] = [r'"two \255" "joined"']
    peer.records["1.2.0.192.in-addr.arpa", "PTR"] = ["Mail.Test."]
    kinds = [("a.test", kind) for kind in ("A", "AAAA", "MX", "TXT")] + [("1.2.0.192.in-addr.arpa", "PTR")]
    for name, kind in (*kinds, ("a.test", "PTR"), ("none.test", "TXT"), ("x" * 64 + ".test", "TXT")):
        for _ in range(2):
            assert sorted(await resolver.remembered(name, kind)) == sorted(await resolver.fresh(name, kind))
    assert peer.asked["a.test", "TXT"] == 1 + 2
    assert await resolver.addresses("a.test") == ["2001:db8::1", "192.0.2.1"]
    assert await resolver.txt("a.test") == ["two \ufffdjoined"]
    assert peer.asked["a.test", "A"] == peer.asked["a.test", "AAAA"] == 1 + 2
    peer.rcodes["broken.test"] = dns.rcode.SERVFAIL
    for _ in range(2):
        with pytest.raises(DnsTemporary, match="SERVFAIL"):
            await resolver.remembered("broken.test", "TXT")
    asked = peer.asked["broken.test", "TXT"]
    clock.advance(3_600_000)
    with pytest.raises(DnsTemporary):
        await resolver.remembered("broken.test", "TXT")
    assert peer.asked["broken.test", "TXT"] > asked


async def test_mail_that_comes_in_is_looked_up_in_the_cache(peer: DnsPeer, resolver: DnsResolver) -> None:
    lookup = RememberedLookup(resolver)
    peer.records["a.test", "TXT"] = ['"v=spf1 -all"']
    for _ in range(3):
        assert await lookup("a.test", "TXT") == [b"v=spf1 -all"]
        assert await lookup("none.test", "TXT") == []
    assert peer.asked["a.test", "TXT"] == peer.asked["none.test", "TXT"] == 1
    peer.rcodes["broken.test"] = dns.rcode.SERVFAIL
    with pytest.raises(TemporaryDnsError):
        await lookup("broken.test", "TXT")


# shares


async def lookups(peer: DnsPeer, **settings: Any) -> DnsResolver:
    config = DnsConfig(nameservers=("127.0.0.1",), port=peer.port, timeout=5.0, lifetime=5.0, **settings)
    return DnsResolver(config, SystemClock(), loopback_only=True)


async def ask_for(resolver: DnsResolver, account: int, name: str) -> list[str]:
    on_behalf_of(account)
    return await resolver.addresses(name)


def flood(resolver: DnsResolver, accounts: int, names: int) -> list[asyncio.Task[list[str]]]:
    """Names whose servers never answer."""
    made = []
    for n in range(names):
        made.append(asyncio.create_task(ask_for(resolver, 100 + n % accounts, f"d{n}.silent.test")))
    return made


async def ended(tasks: list[asyncio.Task[list[str]]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_accounts_silent_names_leave_turns_for_others(peer: DnsPeer) -> None:
    """Three thousand names whose servers never answer: another's name is answered at once."""
    peer.records["mx.good.test", "A"] = ["127.0.0.9"]
    peer.silent = {f"d{n}.silent.test" for n in range(3000)}
    resolver = await lookups(peer, concurrency=8, slow_concurrency=16)
    tasks = flood(resolver, 1, 3000)
    while not resolver.turns.fast.wanted:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    async with asyncio.timeout(3):
        assert await ask_for(resolver, 1, "mx.good.test") == ["127.0.0.9"]
    greedy = resolver.turns.holders()[0]
    assert (greedy.key, greedy.waiting > 2000) == (100, True)
    await ended(tasks)


async def test_slow_names_of_many_accounts_give_up_their_turns(peer: DnsPeer) -> None:
    """Their shares are everything there is: what is slow is given up, with a reason that may pass."""
    peer.records["mx.good.test", "A"] = ["127.0.0.9"]
    peer.silent = {f"d{n}.silent.test" for n in range(500)}
    resolver = await lookups(peer, concurrency=8, slow_concurrency=8, slow_after=0.2)
    tasks = flood(resolver, 50, 500)
    while resolver.turns.slow.free:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    async with asyncio.timeout(4):
        assert await ask_for(resolver, 1, "mx.good.test") == ["127.0.0.9"]
    assert resolver.turns.given_up > 0
    done = [task for task in tasks if task.done()]
    assert all(isinstance(task.exception(), DnsTemporary) for task in done)
    await ended(tasks)


async def test_nobody_waits_for_the_turn_of_another(peer: DnsPeer) -> None:
    """The same name, behind two hundred others of the greedy account and first for the victim."""
    peer.records["mx.good.test", "A"] = ["127.0.0.9"]
    peer.silent = {f"d{n}.silent.test" for n in range(200)}
    resolver = await lookups(peer, concurrency=4, slow_concurrency=4)
    tasks = flood(resolver, 1, 200)
    tasks.append(asyncio.create_task(ask_for(resolver, 100, "mx.good.test")))
    while not resolver.turns.fast.wanted:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    async with asyncio.timeout(3):
        assert await ask_for(resolver, 1, "mx.good.test") == ["127.0.0.9"]
    await ended(tasks)


async def test_failures_are_remembered_longer_each_time(peer: DnsPeer) -> None:
    """RFC 9520 §3.2."""
    peer.rcodes["broken.test"] = dns.rcode.SERVFAIL
    clock = ManualClock()
    config = DnsConfig(nameservers=("127.0.0.1",), port=peer.port, failure_ttl=5.0, failure_max_ttl=12.0)
    resolver = DnsResolver(config, clock, loopback_only=True)
    for wait in (5, 10, 12, 12):
        with pytest.raises(DnsTemporary):
            await resolver.txt("broken.test")
        asked = peer.asked["broken.test", "TXT"]
        clock.advance(wait * 1000 - 500)
        with pytest.raises(DnsTemporary):
            await resolver.txt("broken.test")
        assert peer.asked["broken.test", "TXT"] == asked
        clock.advance(1000)
    peer.rcodes.clear()
    peer.records["broken.test", "TXT"] = ['"mended"']
    clock.advance(20_000)
    assert await resolver.txt("broken.test") == ["mended"]


async def test_of_hundreds_of_hosts_the_best_are_kept(peer: DnsPeer) -> None:
    peer.records["many.test", "MX"] = [f"{n} mx{n}.many.test." for n in range(400, 0, -1)]
    peer.truncate = {"many.test"}
    resolver = await lookups(peer, max_records=20)
    hosts = await resolver.mx("many.test")
    assert [host.preference for host in hosts] == list(range(1, 21))


async def test_answers_that_are_too_large_are_failures(peer: DnsPeer) -> None:
    """64 KB of compressed names are half a second of parsing."""
    peer.records["large.test", "TXT"] = [f'"{n:05}{"x" * 240}"' for n in range(200)]
    peer.truncate = {"large.test"}
    resolver = await lookups(peer)
    with pytest.raises(DnsTemporary):
        await resolver.txt("large.test")
    peer.records["large.test", "TXT"] = [f'"{n:05}{"x" * 240}"' for n in range(50)]
    resolver.forget()
    assert len(await resolver.txt("large.test")) == 50


async def test_the_cache_is_bounded_in_octets(peer: DnsPeer) -> None:
    for n in range(40):
        peer.records[f"t{n}.test", "TXT"] = [f'"{"x" * 250}" "{"y" * 250}"'] * 1
    resolver = await lookups(peer, cache_memory=10_000)
    for n in range(40):
        await resolver.txt(f"t{n}.test")
    asked = peer.asked.total()
    await resolver.txt("t39.test")
    assert peer.asked.total() == asked, "the youngest is remembered"
    await resolver.txt("t0.test")
    assert peer.asked.total() == asked + 1, "the oldest had to go"
