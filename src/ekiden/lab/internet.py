"""The domains of a lab: for each its DNS records, its addresses, and listeners that serve its behaviour."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from ekiden.lab.addresses import IPV6, Block, Hang, has_ipv6, tcp_socket
from ekiden.lab.behaviour import Behaviour, LabError, MailHost, Report
from ekiden.lab.catalogue import DEFAULT, ZONE
from ekiden.lab.certificates import Certificates
from ekiden.lab.mailbox import Mail, Mailbox
from ekiden.lab.records import Records, Trouble, parse_name
from ekiden.lab.smtp import Host, Session, World
from ekiden.lab.tries import Tries
from ekiden.lab.wire import Wire

ORIGIN = f"out.{ZONE}"
START_TRIES = 20
ADDRESS_TRIES = 50
_HOSTLESS = frozenset({"null-mx", "mx-nowhere", "no-mail", "nxdomain", "servfail", "refused", "timeout"})


@dataclass(slots=True)
class Domain:
    """One domain as it is now. ``records`` are the record sets that it has put into the DNS."""

    name: str
    behaviour: Behaviour
    hosts: list[tuple[MailHost, Host, asyncio.Server | Hang | None]] = field(default_factory=list)
    records: list[tuple[str, str]] = field(default_factory=list)


class Internet:
    """All receiving servers, on one port. The addresses 127.0.0.1 and ::1 accept for every domain (at RCPT each
    recipient's domain decides), so that a client that knows no DNS can reach every behaviour."""

    def __init__(
        self, records: Records, mailbox: Mailbox, report: Callable[[Mail, list[tuple[str, Report]]], None]
    ) -> None:
        self.records = records
        self.domains: dict[str, Domain] = {}
        self.port = 0
        self.block = Block()
        self.ipv6 = False
        self.origin = ("127.0.0.1", ORIGIN)
        """Address and name of the lab's own sending host."""
        self._tries = Tries()
        self._world = World(self._behaviour_of, mailbox, Certificates(), self._tries, report)
        self._everywhere: list[asyncio.Server] = []
        self._sessions: dict[asyncio.Task[None], Wire] = {}
        self._lock = asyncio.Lock()

    async def start(
        self,
        catalogue: Mapping[str, Behaviour],
        *,
        host: str,
        port: int = 0,
        block: str | None = None,
        wildcard: bool,
    ) -> int:
        """Bring up every domain of ``catalogue`` (label below the zone: behaviour) and return the port of SMTP."""
        self.ipv6 = has_ipv6()
        for attempt in range(START_TRIES):
            self.block = Block(block if attempt == 0 else None)
            usable = False
            try:
                await self._listen_everywhere(host, port)
                usable = True
                for label, behaviour in catalogue.items():
                    await self.set_behaviour(f"{label}.{ZONE}", behaviour)
                break
            except OSError as error:
                await self.close()
                if attempt == START_TRIES - 1 or (port and not usable):
                    raise LabError(f"the SMTP port {host}:{port or '?'} cannot be used: {error.strerror}") from None
        self.records.put(ZONE, "SOA", [f"ns.{ZONE}. hostmaster.{ZONE}. 1 3600 600 86400 {self.records.ttl}"])
        self.records.put(ZONE, "NS", [f"ns.{ZONE}."])
        self.records.put(f"ns.{ZONE}", "A", [host])
        address = self.block.next()
        self.origin = (address, ORIGIN)
        self.records.put(ORIGIN, "A", [address])
        self.records.put(ORIGIN, "TXT", ["v=spf1 a -all"])
        self.records.put(ipaddress.ip_address(address).reverse_pointer, "PTR", [f"{ORIGIN}."])
        if wildcard:
            self.records.put(f"*.{ZONE}", "MX", [f"10 mx.{DEFAULT}.{ZONE}."])
        return self.port

    async def _listen_everywhere(self, host: str, port: int) -> None:
        sockets = [tcp_socket(host, port)]
        try:
            port = sockets[0].getsockname()[1]
            if self.ipv6:
                sockets.append(tcp_socket(IPV6, port))
        except OSError:
            sockets[0].close()
            raise
        self.port = port
        accept = Behaviour()
        for sock, name in zip(sockets, ("localhost", "mx.ipv6"), strict=False):
            address = sock.getsockname()[0]
            self._everywhere.append(await self._serve(Host("", f"{name}.{ZONE}", address, accept), sock))

    async def _serve(self, host: Host, sock: socket.socket) -> asyncio.Server:
        def started(wire: Wire) -> None:
            task = loop.create_task(Session(host, wire, self._world).run())
            self._sessions[task] = wire
            task.add_done_callback(self._sessions.pop)

        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: Wire(started), sock=sock)

    def _behaviour_of(self, domain: str) -> Behaviour | None:
        found = self.domains.get(domain)
        return None if found is None else found.behaviour

    def host_of(self, domain: str) -> tuple[str, str]:
        """Name and address of the server that reports about mail for ``domain``: its first one that is up, else the
        sending host of the lab."""
        found = self.domains.get(domain) or self.domains[f"{DEFAULT}.{ZONE}"]
        hosts = [host for wanted, host, _ in found.hosts if wanted.state == "up" and host.address != IPV6]
        return (hosts[0].name, hosts[0].address) if hosts else (self.origin[1], self.origin[0])

    async def set_behaviour(self, name: str, behaviour: Behaviour) -> Domain:
        """Make the domain behave so from now on; a new one gets addresses, records and listeners.

        Greylisting and other counts of tries start again. The domain's addresses stay unless its ``hosts`` change.
        """
        name = domain_name(name)
        if any(host.family == "ipv6" for host in behaviour.hosts) and not self.ipv6 and name not in _optional():
            raise LabError("this machine has no IPv6 loopback address")
        async with self._lock:
            domain = self.domains.get(name)
            if domain is None or _layout(domain.behaviour) != _layout(behaviour):
                hosts = await self._hosts(name, behaviour)
                if domain is not None:
                    await self._take_down(domain)
                domain = self.domains[name] = Domain(name, behaviour, hosts)
            domain.behaviour = behaviour
            for _, host, _ in domain.hosts:
                host.behaviour = behaviour
            self._tries.forget(name)
            self._publish(domain)
            return domain

    async def remove(self, name: str) -> bool:
        """Take the domain, its records and its listeners away. Says whether it was there."""
        async with self._lock:
            domain = self.domains.pop(domain_name(name), None)
            if domain is not None:
                await self._take_down(domain)
            return domain is not None

    async def close(self) -> None:
        """Close every listener and every session."""
        for domain in list(self.domains.values()):
            await self._take_down(domain)
        self.domains.clear()
        for server in self._everywhere:
            server.close()
        for task, wire in list(self._sessions.items()):
            task.cancel()
            wire.abort()
        await asyncio.gather(*self._sessions, return_exceptions=True)
        for server in self._everywhere:
            await server.wait_closed()
        self._everywhere.clear()

    async def _take_down(self, domain: Domain) -> None:
        for _, _, listener in domain.hosts:
            if listener is not None:
                listener.close()  # sessions that run go on to their end
        self._unpublish(domain)

    async def _hosts(
        self, name: str, behaviour: Behaviour
    ) -> list[tuple[MailHost, Host, asyncio.Server | Hang | None]]:
        if behaviour.dns in _HOSTLESS:
            return []
        made: list[tuple[MailHost, Host, asyncio.Server | Hang | None]] = []
        try:
            for number, wanted in enumerate(behaviour.hosts, 1):
                label = "mx" if len(behaviour.hosts) == 1 else f"mx{number}"
                host = Host(name, f"{label}.{name}", IPV6, behaviour)
                made.append((wanted, host, await self._listener(wanted, host)))
        except OSError:
            for _, _, listener in made:
                if listener is not None:
                    listener.close()
            raise
        return made

    async def _listener(self, wanted: MailHost, host: Host) -> asyncio.Server | Hang | None:
        if wanted.family == "ipv6" and wanted.state == "up":
            return None  # the listener on ::1 serves them all
        for attempt in range(ADDRESS_TRIES):
            host.address = self.block.next()
            if wanted.state == "dead":
                return None
            try:
                if wanted.state == "hang":
                    return Hang(host.address, self.port)
                return await self._serve(host, tcp_socket(host.address, self.port))
            except OSError:
                if attempt == ADDRESS_TRIES - 1:
                    raise
        return None

    def _publish(self, domain: Domain) -> None:
        self._unpublish(domain)
        name, behaviour = domain.name, domain.behaviour
        sets: dict[tuple[str, str], list[str]] = {}
        for owner, kind, value in _records(domain):
            sets.setdefault((owner, kind), []).append(value)
        for (owner, kind), values in sets.items():
            self.records.remove(owner, "CNAME")  # somebody's edit; nothing may stand beside it
            self.records.put(owner, kind, values)
        domain.records += sets
        trouble: Trouble | None = None
        if behaviour.dns in ("nxdomain", "servfail", "refused", "timeout", "truncated"):
            trouble = Trouble(behaviour.dns, behaviour.dns_delay)
        elif behaviour.dns_delay:
            trouble = Trouble("delay", behaviour.dns_delay)
        self.records.set_trouble(name, trouble)

    def _unpublish(self, domain: Domain) -> None:
        for owner, kind in domain.records:
            self.records.remove(owner, kind)
        domain.records.clear()
        self.records.set_trouble(domain.name, None)


def _layout(behaviour: Behaviour) -> tuple[bool, tuple[tuple[str, str], ...]]:
    return behaviour.dns in _HOSTLESS, tuple((host.state, host.family) for host in behaviour.hosts)


def _records(domain: Domain) -> Iterator[tuple[str, str, str]]:
    name, behaviour = domain.name, domain.behaviour
    if behaviour.dns == "null-mx":
        yield name, "MX", "0 ."
    elif behaviour.dns == "mx-nowhere":
        yield name, "MX", f"10 nowhere.{name}."
    elif behaviour.dns == "no-mail":
        yield name, "TXT", "this name has no mail"
    for wanted, host, _ in domain.hosts:
        owner = name if behaviour.dns == "address-only" else host.name
        if owner != name:
            yield name, "MX", f"{wanted.preference} {host.name}."
        if host.address != IPV6:
            yield owner, "A", host.address
            yield ipaddress.ip_address(host.address).reverse_pointer, "PTR", f"{host.name}."
        if wanted.family != "ipv4":
            yield owner, "AAAA", IPV6


def _optional() -> frozenset[str]:
    """Ready-made domains that exist without IPv6 as well: their AAAA record then leads nowhere."""
    return frozenset({f"ipv6.{ZONE}"})


def domain_name(text: str) -> str:
    """The key of a domain: lower-case A-labels, no final dot. ``LabError`` when it is no name."""
    name = parse_name(text).to_text(omit_final_dot=True)
    if not name or name == "." or name.startswith("*."):
        raise LabError(f"{text!r} is not a domain that can have servers")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name
    raise LabError(f"{name} is an address, not a domain")
