"""Where a domain's mail goes: MX, addresses and TXT, from recursive name servers, remembered by TTL.

Names go in as A-labels (``core.address.to_ascii_domain``). Aliases (CNAME) are followed by the name server and its
answer. Equal questions asked at the same time become one.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.inet
import dns.name
import dns.rdatatype
import dns.resolver

from ekiden.core.address import BadAddress, to_ascii_domain
from ekiden.core.clock import Clock
from ekiden.core.errors import EkidenError
from ekiden.core.said import Said, say
from ekiden.dns.config import DnsConfig
from ekiden.dns.lookup_queue import Turn, Turns, behalf
from ekiden.dns.servers import BoundedServer

_EDNS_PAYLOAD = 1232  # avoids fragments: DNS flag day 2020


class DnsError(EkidenError):
    """A question about a domain that did not end in something to use."""

    def __init__(self, domain: str, said: Said) -> None:
        super().__init__(said.text())
        self.domain = domain
        self.said = said


class NoSuchDomain(DnsError):
    """NXDOMAIN: the name does not exist. Permanent."""


class NullMx(DnsError):
    """The domain says that it takes no mail (RFC 7505). Permanent."""


class NoMailHost(DnsError):
    """The domain exists, but has neither MX nor addresses (RFC 5321 §5.1). Permanent."""


class DnsTemporary(DnsError):
    """No server gave an answer (time-out, SERVFAIL, REFUSED); the same question may be answered later."""


class MxHost(NamedTuple):
    """A smaller ``preference`` is tried first. ``name`` is in lower case without the final dot."""

    preference: int
    name: str


class Resolver(Protocol):
    """What delivery asks of DNS. Every method raises ``DnsTemporary`` when no server answered."""

    async def mx(self, domain: str) -> list[MxHost]:
        """The mail hosts of ``domain``, sorted by preference; never empty.

        A domain without MX whose own name has an address is its own mail host (RFC 5321 §5.1, the implicit MX).
        Raises ``NoSuchDomain``, ``NullMx``, ``NoMailHost``.
        """
        ...

    async def addresses(self, name: str) -> list[str]:
        """IPv6 and IPv4 addresses of ``name``; empty when it has none. Raises ``NoSuchDomain``.

        An address literal (``[192.0.2.1]``, ``[IPv6:2001:db8::1]``) is its own address (RFC 5321 §4.1.3).
        """
        ...

    async def txt(self, name: str) -> list[str]:
        """TXT records, the strings of each joined; empty when there are none. Raises ``NoSuchDomain``."""
        ...


_NOTHING = say("no_dns_answer")


class _Known(NamedTuple):
    """What the cache holds. ``failure`` is the class of the error to raise, with its sentence."""

    until: float
    records: tuple[Any, ...]
    failure: type[DnsError] | None = None
    said: Said = _NOTHING
    failures: int = 0
    """How often in a row there was no answer."""
    size: int = 0
    """Octets in the cache, roughly."""


class DnsResolver:
    """The ``Resolver`` that asks real servers, over UDP with EDNS and over TCP when an answer was cut."""

    def __init__(self, config: DnsConfig, clock: Clock, *, loopback_only: bool = False) -> None:
        """``loopback_only`` is the switch of the lab: raises ``OutsideLab`` for any other name server."""
        self._config = config
        self._clock = clock
        self._cache: dict[tuple[str, str], _Known] = {}
        self._asking: dict[tuple[str, str], asyncio.Task[_Known]] = {}
        self._backend = dns.asyncbackend.get_backend("asyncio")
        self._asker: dns.asyncresolver.Resolver | None = None
        self._loopback_only = loopback_only
        self._cached = 0
        self.turns = Turns(config.concurrency, config.slow_concurrency, config.slow_after)
        if config.nameservers or loopback_only:
            self._asker = self._make_asker()

    def _make_asker(self) -> dns.asyncresolver.Resolver:
        asker = dns.asyncresolver.Resolver(configure=not self._config.nameservers)
        if self._config.nameservers:
            asker.nameservers = list(self._config.nameservers)
            asker.port = self._config.port
        if self._loopback_only:
            from ekiden.net.network import require_loopback

            for server in asker.nameservers:
                require_loopback(str(server))
        asker.nameservers = [
            BoundedServer(server, asker.nameserver_ports.get(server, asker.port), self._config.max_answer)
            if isinstance(server, str) and dns.inet.is_address(server)
            else server
            for server in asker.nameservers
        ]
        asker.timeout = self._config.timeout
        asker.lifetime = self._config.lifetime
        asker.use_edns(0, 0, _EDNS_PAYLOAD)
        return asker

    # questions

    async def mx(self, domain: str) -> list[MxHost]:
        if domain.startswith("["):
            return [MxHost(0, domain)]
        hosts = await self._records(domain, "MX", _mx_of)
        if hosts:
            if all(host.name == "" for host in hosts):
                raise NullMx(domain, say("null_mx", name=domain))
            # RFC 7505 §3: a null MX among others is an error of the domain; the others still work.
            return sorted(host for host in hosts if host.name)
        if not await self.addresses(domain):
            raise NoMailHost(domain, say("no_mail_host", name=domain))
        return [MxHost(0, domain)]

    async def addresses(self, name: str) -> list[str]:
        literal = address_of_literal(name)
        if literal is not None:
            return [literal]
        questions = (self._records(name, "AAAA", _address_of), self._records(name, "A", _address_of))
        found: list[str] = []
        errors: list[BaseException] = []
        for answer in await asyncio.gather(*questions, return_exceptions=True):
            if isinstance(answer, BaseException):
                errors.append(answer)
            else:
                found.extend(answer)
        if errors and not found:
            # "No such name" for one family only is a broken server; an error that may pass outranks it.
            raise next((error for error in errors if isinstance(error, DnsTemporary)), errors[-1])
        return found

    async def txt(self, name: str) -> list[str]:
        return [text.decode("utf-8", "replace") for text in await self._records(name, "TXT", _octets_of)]

    async def fresh(self, name: str, kind: str) -> list[Any]:
        """Records as the name servers answer now; what we remember is neither used nor changed.

        ``TXT``: octets, the strings of each joined; ``MX``: ``MxHost``; other kinds: texts, names without their
        final dot. Empty when there are none, and when there is no such name. Raises ``DnsTemporary``.
        """
        turn = await self.turns.begin(behalf())
        known = await self._taking_turns(turn, name, kind, _READ.get(kind, _text_of))
        if known.failure is DnsTemporary:
            raise DnsTemporary(name, known.said)
        return list(known.records)

    async def remembered(self, name: str, kind: str) -> list[Any]:
        """As ``fresh``, but what we remember is used, and what is answered remembered."""
        try:
            return list(await self._records(name, kind, _READ.get(kind, _text_of)))
        except NoSuchDomain:
            return []

    def forget(self) -> None:
        """Empty the cache."""
        self._cache.clear()
        self._cached = 0

    # the cache

    async def _records(self, name: str, kind: str, read: Callable[[Any], Any]) -> tuple[Any, ...]:
        key = (name, kind)
        known = self._remembered(key)
        while known is None:
            task = self._asking.get(key)
            if task is None:
                turn = await self.turns.begin(behalf())
                # Only what is being asked is shared: nobody waits for the turn of another.
                known = self._remembered(key)
                if known is not None or key in self._asking:
                    turn.end()
                    continue
                task = asyncio.create_task(self._ask(turn, name, kind, read), name=f"dns {kind} {name}")
                self._asking[key] = task
                task.add_done_callback(lambda _: self._asking.pop(key, None))
            # Shielded: one who stops waiting does not take the answer from the others.
            known = await asyncio.shield(task)
        if known.failure is not None:
            raise known.failure(name, known.said)
        return known.records

    def _remembered(self, key: tuple[str, str]) -> _Known | None:
        known = self._cache.get(key)
        return None if known is None or known.until <= self._clock.monotonic() else known

    async def _ask(self, turn: Turn, name: str, kind: str, read: Callable[[Any], Any]) -> _Known:
        known = await self._taking_turns(turn, name, kind, read)
        key = (name, kind)
        if known.failure is DnsTemporary:
            # Asked again and again in vain: each time a little later (RFC 9520 §3.2).
            before = self._cache.get(key)
            failures = before.failures if before is not None else 0
            config = self._config
            ttl = min(config.failure_max_ttl, config.failure_ttl * 2.0 ** min(failures, 16))
            known = known._replace(until=self._clock.monotonic() + ttl, failures=failures + 1)
        self._keep(key, known)
        return known

    async def _taking_turns(self, turn: Turn, name: str, kind: str, read: Callable[[Any], Any]) -> _Known:
        task = asyncio.current_task()
        turn.watch(task)
        try:
            return await self._answer(name, kind, read)
        except asyncio.CancelledError:
            if not turn.given_up or task is None or task.uncancel():
                raise
            why = say("no_name_server_yet", name=name, type=kind)
            return _Known(self._clock.monotonic() + self._config.failure_ttl, (), DnsTemporary, why)
        finally:
            turn.end()

    async def _answer(self, name: str, kind: str, read: Callable[[Any], Any]) -> _Known:
        ttl: float
        records: tuple[Any, ...] = ()
        failure: type[DnsError] | None = None
        said = _NOTHING
        config = self._config
        try:
            question = dns.name.from_text(to_ascii_domain(name) + ".")
            if self._asker is None:
                self._asker = self._make_asker()
            answer = await self._asker.resolve(
                question, kind, raise_on_no_answer=False, search=False, backend=self._backend
            )
            found = list(answer.rrset or ())
            if len(found) > config.max_records:
                if kind == "MX":
                    found.sort(key=lambda record: record.preference)
                del found[config.max_records :]
            records = tuple(read(record) for record in found)
            ttl = answer.chaining_result.minimum_ttl
            if not records:
                ttl = min(ttl, config.negative_max_ttl)
        except dns.resolver.NXDOMAIN as error:
            failure, said = NoSuchDomain, say("no_such_domain", name=name)
            ttl = min(_negative_ttl(error), config.negative_max_ttl)
        except (dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel, BadAddress):
            failure, said = NoSuchDomain, say("not_a_name", name=name)
            ttl = config.negative_max_ttl
        except dns.resolver.LifetimeTimeout:
            failure, said = DnsTemporary, say("no_name_server", name=name, type=kind)
            ttl = config.failure_ttl
        except (dns.exception.DNSException, OSError, EOFError) as error:
            failure, said = DnsTemporary, say("no_dns_answer", name=name, type=kind, why=_reason(error))
            ttl = config.failure_ttl
        if failure is not DnsTemporary:
            ttl = max(config.min_ttl, min(ttl, config.max_ttl))
        return _Known(self._clock.monotonic() + ttl, records, failure, said)

    def _keep(self, key: tuple[str, str], known: _Known) -> None:
        cache = self._cache
        before = cache.pop(key, None)
        if before is not None:
            self._cached -= before.size
        size = _ENTRY + 2 * len(key[0]) + sum(_size_of(record) for record in known.records)
        cache[key] = known._replace(size=size)
        self._cached += size
        while len(cache) > self._config.cache_size or (self._cached > self._config.cache_memory and cache):
            oldest = next(iter(cache))
            self._cached -= cache.pop(oldest).size


def address_of_literal(name: str) -> str | None:
    """``192.0.2.1`` of ``[192.0.2.1]``, ``2001:db8::1`` of ``[IPv6:2001:db8::1]``; ``None`` when it is a name.

    ``NoSuchDomain`` when it looks like a literal but is no address.
    """
    if not name.startswith("["):
        return None
    text = name.strip("[]")
    if text.lower().startswith("ipv6:"):
        text = text[5:]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise NoSuchDomain(name, say("not_an_address", name=name)) from None


_ENTRY = 300  # octets of an entry of the cache, and as many of each record, beside their texts


def _size_of(record: Any) -> int:
    text = record.name if isinstance(record, MxHost) else record
    return _ENTRY // 2 + len(text)


def _mx_of(record: Any) -> MxHost:
    return MxHost(record.preference, record.exchange.to_text(omit_final_dot=True).lower().removeprefix("."))


def _address_of(record: Any) -> str:
    return str(record.address)


def _octets_of(record: Any) -> bytes:
    return b"".join(record.strings)


def _text_of(record: Any) -> str:
    return str(record.to_text()).removesuffix(".").lower()


_READ: dict[str, Callable[[Any], Any]] = {"TXT": _octets_of, "MX": _mx_of}


def _negative_ttl(error: dns.resolver.NXDOMAIN) -> float:
    """The least of the SOA's TTL and its MINIMUM field (RFC 2308 §5); nothing when there is no SOA."""
    for response in error.kwargs.get("responses", {}).values():
        try:
            if any(rrset.rdtype == dns.rdatatype.SOA for rrset in response.authority):
                return float(response.resolve_chaining().minimum_ttl)
        except dns.exception.DNSException:
            continue
    return 0.0


def _reason(error: BaseException) -> str:
    if isinstance(error, dns.resolver.NoNameservers):
        # Each error names the server, the transport, the port, and the answer's code or an exception.
        codes = {str(item[3]) or type(item[3]).__name__ for item in error.kwargs.get("errors", ()) if len(item) > 3}
        return ", ".join(sorted(codes)) or "every name server refused"
    return str(error) or type(error).__name__
