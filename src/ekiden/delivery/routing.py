"""From a domain to its site, and from a site to the addresses to try, in order.

A *site* is what connections and limits belong to: the set of MX hosts that a domain names, so that all domains at
one provider share its limits. Static routes and address literals are sites of their own.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Collection
from typing import NamedTuple

from ekiden.core.clock import Clock
from ekiden.core.diagnosis import Verdict
from ekiden.core.errors import EkidenError
from ekiden.core.forward import Forward
from ekiden.core.said import Remark, Said, say
from ekiden.delivery import verdict as verdicts
from ekiden.delivery.config import DeliveryConfig
from ekiden.dns.resolver import (
    DnsError,
    DnsTemporary,
    MxHost,
    NoSuchDomain,
    NullMx,
    Resolver,
)
from ekiden.net.destinations import OURS, Destinations
from ekiden.net.families import Families

_REMEMBER = 5.0  # seconds; the resolver keeps answers for their own time, this only spares the hot path its await
_REMEMBER_MOST = 20_000
_IN_VAIN = 600.0  # seconds that a host or an address is tried after the others
_IN_VAIN_MOST = 10_000
_HOST_NAME = re.compile(r"[a-z0-9_.-]+|\[[0-9a-f:.]+\]|\[ipv6:[0-9a-f:.]+\]", re.IGNORECASE)


class Hop(NamedTuple):
    """One mail host of a route."""

    preference: int
    name: str
    port: int


class Route(NamedTuple):
    site: str
    hops: tuple[Hop, ...]
    configured: bool = False
    """A static route: whoever wrote the configuration may lead mail inside."""
    forward: bool = False
    """One that an account has for what comes in for it."""
    tls: bool = False
    """Nothing goes there in clear."""


class Candidate(NamedTuple):
    """One address to connect to. ``host`` is the name of the mail host that it belongs to."""

    host: str
    address: str
    port: int


class Unroutable(EkidenError):
    """There is nowhere to connect to; ``verdict`` says whether that is final."""

    def __init__(self, verdict: Verdict, *, forbidden: bool = False) -> None:
        """``forbidden``: there are addresses, and mail must not go to any of them."""
        super().__init__(verdict.text)
        self.verdict = verdict
        self.forbidden = forbidden


class Router:
    """Static routes first, then DNS (RFC 5321 §5.1)."""

    def __init__(
        self,
        resolver: Resolver,
        clock: Clock,
        config: DeliveryConfig,
        *,
        own_names: frozenset[str] = frozenset(),
        receives: Collection[tuple[str, int]] | None = None,
        destinations: Destinations | None = None,
        families: Families | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """``own_names``: mail hosts that are this platform; a route never goes to them or behind them, unless it
        receives mail. ``receives``: where it does at this machine, IP addresses and ports; ``None``: nowhere.

        ``destinations``: which addresses a domain may lead to. ``families``: in which of them we can go out.
        """
        self._destinations = destinations or Destinations(
            config.allowed_networks, refused_networks=config.refused_networks
        )
        self._families = families or config.families()
        self._resolver = resolver
        self._clock = clock
        self._port = config.smtp_port
        self._most = config.max_addresses_per_attempt
        self._most_hosts = config.max_hosts_per_attempt
        self._lookup_timeout = config.lookup_timeout
        self._in_vain: dict[str, float] = {}
        self._own_names = own_names if receives is None else frozenset()
        self._receives = frozenset(receives or ())
        self._rng = rng or random.Random()  # noqa: S311 - spreading load is no secret
        self._exact: dict[str, Route] = {}
        self._below: dict[str, Route] = {}
        self._rest: Route | None = None
        for entry in config.routes:
            route = static_route(entry.hosts, config.smtp_port)
            if entry.domain == "*":
                self._rest = route
            elif entry.domain.startswith("."):
                self._below[entry.domain[1:].lower()] = route
            else:
                self._exact[entry.domain.lower()] = route
        self._known: dict[str, tuple[Route, float]] = {}

    def known(self, domain: str) -> Route | None:
        """The route, when it is static or was found a moment ago: the way without waiting."""
        found = self._known.get(domain)
        if found is not None and found[1] > self._clock.monotonic():
            return found[0]
        route = self._static(domain)
        if route is not None:
            self._remember(domain, route)
        return route

    def next_hop(self, forward: Forward) -> Route:
        """The route of what is sent on to a host, whatever its domain."""
        site = f"{forward.host}:{forward.port} (forward{', TLS' if forward.tls else ''})"
        hops = (Hop(0, forward.host, forward.port),)
        return Route(site, hops, forward=True, tls=forward.tls)

    def _static(self, domain: str) -> Route | None:
        route = self._exact.get(domain)
        if route is None and self._below:
            rest = domain
            while route is None and "." in rest:
                rest = rest.partition(".")[2]
                route = self._below.get(rest)
        return route or self._rest

    def _remember(self, domain: str, route: Route) -> None:
        if len(self._known) >= _REMEMBER_MOST:
            self._known.clear()
        self._known[domain] = (route, self._clock.monotonic() + _REMEMBER)

    async def route(self, domain: str) -> Route:
        """Raises ``Unroutable``."""
        route = self.known(domain)
        if route is not None:
            return route
        try:
            hosts = await self._resolver.mx(domain)
        except DnsTemporary as error:
            raise Unroutable(verdicts.dns_trouble(error.said)) from error
        except NoSuchDomain as error:
            raise Unroutable(verdicts.no_such_domain(error.said)) from error
        except NullMx as error:
            raise Unroutable(verdicts.null_mx(error.said)) from error
        except DnsError as error:
            raise Unroutable(verdicts.no_route(error.said)) from error
        # A name with other characters is no host's (RFC 1123 §2.1), and could be taken for several or for a port.
        hosts = [host for host in hosts if _HOST_NAME.fullmatch(host.name)]
        if not hosts:
            raise Unroutable(verdicts.no_route(say("mx_without_host", domain=domain)))
        hosts = self._without_us(domain, hosts)
        route = Route(
            ",".join(sorted({host.name for host in hosts})),
            tuple(Hop(host.preference, host.name, self._port) for host in hosts),
        )
        self._remember(domain, route)
        return route

    def _without_us(self, domain: str, hosts: list[MxHost]) -> list[MxHost]:
        """RFC 5321 §5.1: we never relay to ourselves, nor to hosts that are as good or worse than us."""
        ours = [host.preference for host in hosts if host.name in self._own_names]
        if not ours:
            return hosts
        better = [host for host in hosts if host.preference < min(ours)]
        if not better:
            raise Unroutable(verdicts.mail_loop(say("domain_loops", domain=domain)))
        return better

    async def candidates(self, route: Route) -> tuple[list[Candidate], list[str]]:
        """The addresses to try, best first, and remarks about hosts that have none.

        By preference; hosts of equal preference in random order (RFC 5321 §5.1), a host's addresses in random
        order with both families alternating, IPv6 first; what was tried in vain lately comes after the others. An
        address that ``destinations`` refuses is not tried, and behind one of our own machine nothing is (§5.1).
        One of a family in which we have no address is not tried either, and takes no place of those that are.
        Hosts, addresses and the time for looking them up are bounded. Raises ``Unroutable`` when none is left.
        """
        found: dict[tuple[str, int], tuple[int, Candidate]] = {}
        remarks: list[str] = []
        trouble: Said | None = None
        refused: Said | None = None
        apart: Said | None = None
        ours: int | None = None
        until = asyncio.get_running_loop().time() + self._lookup_timeout
        ordered = self._ordered(route.hops)
        for hop in ordered[: self._most_hosts]:
            if ours is not None and hop.preference >= ours:
                continue
            try:
                async with asyncio.timeout_at(until):
                    addresses = await self._resolver.addresses(hop.name)
            except TimeoutError:
                trouble = say("lookup_slow", hosts=_few(route), seconds=f"{self._lookup_timeout:g}")
                remarks.append(Remark(trouble))
                self._put_behind(hop.name)
                break
            except DnsError as error:
                if isinstance(error, DnsTemporary):
                    trouble = error.said
                remarks.append(Remark(error.said))
                self._put_behind(hop.name)
                continue
            if not addresses:
                remarks.append(Remark(say("host_without_address", host=hop.name)))
                self._put_behind(hop.name)
            for address in self._alternating(addresses):
                why = None if route.configured else self._destinations.refusal(address)
                if why is OURS and not route.forward and self._received_at(address, hop.port):
                    why = None
                if why is None and (lacking := self._families.refusal(address)) is not None:
                    apart = say("not_tried", address=address, why=lacking)
                    remarks.append(Remark(say("at_host", host=hop.name, why=apart)))
                    if all(self._families.refusal(other) for other in addresses):
                        self._put_behind(hop.name)
                    continue
                if why is None:
                    candidate = Candidate(hop.name, address, hop.port)
                    found.setdefault((address, hop.port), (hop.preference, candidate))
                    continue
                refused = say("not_delivered_to", address=address, why=why)
                remarks.append(Remark(say("at_host", host=hop.name, why=refused)))
                if why is OURS:
                    ours = hop.preference if ours is None else min(ours, hop.preference)
                else:
                    self._put_behind(hop.name)
            if len(found) >= self._most:
                break
        left = [candidate for preference, candidate in found.values() if ours is None or preference < ours]
        if left:
            left.sort(key=lambda candidate: self._is_behind(candidate.address))
            return left[: self._most], remarks
        if len(ordered) > self._most_hosts and not trouble:
            trouble = say("hosts_not_tried", count=self._most_hosts, total=len(ordered))
        if trouble:
            raise Unroutable(verdicts.dns_trouble(trouble))
        if ours is not None:
            raise Unroutable(verdicts.mail_loop(say("hosts_loop", hosts=_few(route), why=refused)), forbidden=True)
        if apart:
            # Who has an address of that family tomorrow can send it then.
            raise Unroutable(verdicts.no_source(apart))
        if refused:
            raise Unroutable(verdicts.forbidden(refused), forbidden=True)
        raise Unroutable(verdicts.no_route(say("no_host_address", hosts=_few(route))))

    def _received_at(self, address: str, port: int) -> bool:
        """Mail for whom we receive it for comes in as from anybody else. What is not for them is refused there,
        and what goes round ends there (RFC 5321 §6.3)."""
        return (address, port) in self._receives or ("::" if ":" in address else "0.0.0.0", port) in self._receives

    def failed(self, candidate: Candidate) -> None:
        """It was tried in vain: for a while the host's other addresses come first."""
        self._put_behind(candidate.address)

    def unreachable(self, candidates: list[Candidate]) -> None:
        """None of them could be talked to: other hosts come first, so that every one gets its turn."""
        for candidate in candidates:
            self._put_behind(candidate.host)

    def _put_behind(self, what: str) -> None:
        if len(self._in_vain) >= _IN_VAIN_MOST:
            self._in_vain.clear()
        self._in_vain[what] = self._clock.monotonic() + _IN_VAIN

    def _is_behind(self, what: str) -> bool:
        until = self._in_vain.get(what)
        if until is None:
            return False
        if until > self._clock.monotonic():
            return True
        del self._in_vain[what]
        return False

    def _ordered(self, hops: tuple[Hop, ...]) -> list[Hop]:
        if len(hops) == 1:
            return list(hops)
        shuffled = list(hops)
        self._rng.shuffle(shuffled)
        shuffled.sort(key=lambda hop: (self._is_behind(hop.name), hop.preference))
        return shuffled

    def _alternating(self, addresses: list[str]) -> list[str]:
        if len(addresses) == 1:
            return addresses
        six = [address for address in addresses if ":" in address]
        four = [address for address in addresses if ":" not in address]
        self._rng.shuffle(six)
        self._rng.shuffle(four)
        mixed: list[str] = []
        for index in range(max(len(six), len(four))):
            mixed += six[index : index + 1]
            mixed += four[index : index + 1]
        return mixed


def _few(route: Route) -> str:
    """The first of its hosts: there may be hundreds."""
    names = [hop.name for hop in route.hops[:5]]
    return ", ".join(names) + (", …" if len(route.hops) > len(names) else "")


def static_route(hosts: tuple[str, ...], port: int) -> Route:
    """A route over ``hosts`` (``name``, ``name:port``, ``[2001:db8::1]:port``) in their order."""
    hops = []
    for preference, text in enumerate(hosts):
        name, own_port = split_host_port(text, port)
        hops.append(Hop(preference, name, own_port))
    return Route(",".join(sorted(f"{hop.name}:{hop.port}" for hop in hops)), tuple(hops), configured=True)


def split_host_port(text: str, port: int) -> tuple[str, int]:
    """The host as ``Resolver.addresses`` takes it (an IP address becomes a literal), and its port.

    Raises ``ValueError``.
    """
    host = text.strip()
    if host.startswith("["):
        inner, bracket, rest = host[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} is not host:port")
        host, own = inner, rest[1:]
    elif host.count(":") > 1:
        own = ""
    else:
        host, _, own = host.partition(":")
    if own:
        if not own.isascii() or not own.isdigit() or not 0 < int(own) < 65_536:
            raise ValueError(f"{text!r} is not host:port: the port is a number from 1 to 65535")
        port = int(own)
    if not host:
        raise ValueError(f"{text!r} is not host:port: there is no host")
    if ":" in host:
        return f"[{host.removeprefix('IPv6:')}]", port
    if host.replace(".", "").isdigit():
        return f"[{host}]", port
    return host.lower().rstrip("."), port
