"""SPF evaluation: the ``check_host()`` of RFC 7208 §4, over a lookup that the caller brings.

Where RFC 7208 leaves a choice:

- A target name that DNS cannot hold (an empty or overlong label, a local part outside ASCII, RFC 8616 §4) does not
  exist: the mechanism does not match and no question is counted (§4.8).
- Every question without an answer counts towards the limit of two, also the second time, for the addresses of MX
  and PTR hosts too; those for the record of the asked domain and for ``exp=`` do not.
- All hosts of an ``mx`` are looked up before addresses are compared (§5.4), so that the result does not depend on
  the order of the answers.
- The PTR question for ``%{p}`` belongs to the term that it stands in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from ekiden.core.address import BadAddress, to_ascii_domain
from ekiden.sender_auth.dns import Lookup, RecordType, TemporaryDnsError
from ekiden.sender_auth.recorded_lookup import RecordedLookup, is_dns_name
from ekiden.sender_auth.spf_errors import SpfSyntaxError
from ekiden.sender_auth.spf_macro import MacroString, parse_explanation
from ekiden.sender_auth.spf_record import Mechanism, SpfRecord, is_spf_record, parse_spf_record
from ekiden.sender_auth.spf_result import WORDS, SpfReason, SpfResult, SpfWord, Step

MAX_LOOKUPS = 10  # terms that ask the DNS, §4.6.4
MAX_VOID_LOOKUPS = 2  # questions without an answer, §4.6.4
MAX_HOSTS = 10  # MX or PTR names of one term, §4.6.4
_MAX_REMEMBERED = 512  # octets of a record that is remembered when it was read

_MATCHED: dict[SpfWord, str] = {
    "pass": "{domain} permits {ip} to send: {mechanism}",
    "fail": "{domain} forbids {ip} to send: {mechanism}",
    "softfail": "{domain} does not expect {ip} to send: {mechanism}",
    "neutral": "{domain} says neither yes nor no about {ip}: {mechanism}",
}


async def check_host(
    ip: str | IPv4Address | IPv6Address,
    domain: str,
    sender: str,
    helo: str,
    lookup: Lookup,
    *,
    receiver: str = "unknown",
    at: int | None = None,
) -> SpfResult:
    """Whether ``ip`` may send for ``domain``.

    ``domain`` is that of MAIL FROM, or the HELO name; ``sender`` the address of MAIL FROM, or ``postmaster@`` the
    HELO name. ``receiver`` and ``at`` (seconds since 1970) fill ``%{r}`` and ``%{t}`` in explanations; without the
    time an explanation that needs it is left out. Never raises for what is in the DNS or in names; ``ValueError``
    when ``ip`` is no address.
    """
    asked = RecordedLookup(lookup)
    check = _Check(_client(ip), sender, helo, asked, receiver, at)
    domain = _a_labels(domain)
    try:
        found = await check.evaluate(domain, ())
    except _Stop as stop:
        found = stop.found
    explanation = None
    if found.word == "fail" and found.explain is not None:
        explanation = await check.explain(found.domain, found.explain)
    return SpfResult(
        found.word,
        found.reason,
        found.domain,
        found.path,
        check.record,
        explanation,
        check.lookups,
        check.voids,
        found.syntax_error,
        tuple(asked.trace),
        found.template,
        found.values,
    )


async def leads_to(
    target: str, ip: str, domain: str, sender: str, helo: str, lookup: Lookup, *, permitting: bool
) -> bool:
    """Whether the record of ``domain`` comes to that of ``target`` by ``include:`` and ``redirect=``, or is it.

    ``permitting``: only by terms through which its ``pass`` is one; else by any. It does not matter what else
    matches before them. Other values are those of ``check_host``. At most ``MAX_LOOKUPS`` more records are read.
    Raises ``TemporaryDnsError``.
    """
    check = _Check(_client(ip), sender, helo, RecordedLookup(lookup), "unknown", None)
    try:
        return await check.leads_to(target.removesuffix(".").lower(), _a_labels(domain), set(), permitting)
    except _Stop:
        return False  # too many questions without an answer


@dataclass(slots=True)
class _Found:
    """What one record led to. ``explain`` is its ``exp=``."""

    word: SpfWord
    reason: SpfReason
    domain: str
    path: tuple[Step, ...]
    template: str
    values: dict[str, Any]
    syntax_error: SpfSyntaxError | None = None
    explain: MacroString | None = None


class _Stop(Exception):
    """``temperror`` or ``permerror``: what ends the whole evaluation (§5.2)."""

    def __init__(self, found: _Found) -> None:
        super().__init__(found.reason)
        self.found = found


class _Check:
    """One evaluation: the values of macros, and what was used of the limits."""

    def __init__(
        self,
        ip: IPv4Address | IPv6Address,
        sender: str,
        helo: str,
        lookup: RecordedLookup,
        receiver: str,
        at: int | None,
    ) -> None:
        local, at_sign, domain = sender.rpartition("@")
        domain = _a_labels(domain or helo)
        local = local if at_sign and local else "postmaster"  # §4.3
        self.ip = ip
        self.lookup = lookup
        self.record: str | None = None
        self.lookups = 0
        self.voids = 0
        self._addresses: RecordType = "A" if ip.version == 4 else "AAAA"
        self._values = {
            "s": f"{local}@{domain}",
            "l": local,
            "o": domain,
            "i": str(ip) if ip.version == 4 else ".".join(ip.exploded.replace(":", "").upper()),
            "h": _a_labels(helo),
            "v": "in-addr" if ip.version == 4 else "ip6",
            "c": str(ip),
            "r": receiver,
        }
        if at is not None:
            self._values["t"] = str(at)

    # records

    async def evaluate(self, domain: str, path: tuple[Step, ...]) -> _Found:
        """``check_host()`` for ``domain``, reached by ``path``. Raises ``_Stop``."""
        if not is_dns_name(domain) or "." not in domain or domain.startswith("["):
            template = "{domain} is not a domain name that can have an SPF record"
            return _Found("none", "bad_domain", domain, path, template, {"domain": domain})
        try:
            answers = await self._ask(domain, "TXT", path)
        except TemporaryDnsError as error:
            raise self._no_answer(domain, path, error) from None
        records = [answer for answer in answers if is_spf_record(answer)]
        if not records:
            template = "{domain} has no SPF record"
            return _Found("none", "no_record", domain, path, template, {"domain": domain})
        if not path:
            self.record = records[0].decode("ascii", "backslashreplace")
        if len(records) > 1:
            template = "{domain} has {count} SPF records; only one is allowed"
            raise self._wrong("several_records", domain, path, template, count=len(records))
        try:
            record = _read(records[0])
        except SpfSyntaxError as error:
            template = "the SPF record of {domain} is not valid: {problem}"
            found = _Found("permerror", "syntax", domain, path, template, {"domain": domain}, error)
            raise _Stop(found) from None
        for mechanism in record.mechanisms:
            here = (*path, Step(domain, mechanism.text))
            inner = await self._matches(mechanism, domain, here)
            if inner is not None:
                return self._matched(WORDS[mechanism.qualifier], domain, here, inner, record)
        if record.redirect is not None:
            return await self._redirect(record.redirect.text, record.redirect.value, domain, path)
        template = "no mechanism in the SPF record of {domain} matches {ip}"
        return _Found("neutral", "default", domain, path, template, {"domain": domain, "ip": str(self.ip)})

    async def leads_to(self, target: str, domain: str, seen: set[str], permitting: bool) -> bool:
        domain = domain.lower()
        if domain == target:
            return True
        if domain in seen or len(seen) > MAX_LOOKUPS:
            return False
        seen.add(domain)
        records = [answer for answer in await self.lookup(domain, "TXT") if is_spf_record(answer)]
        try:
            record = _read(records[0]) if len(records) == 1 else None
        except SpfSyntaxError:
            record = None
        if record is None:
            return False
        for mechanism in record.mechanisms:
            if permitting and mechanism.name == "all":
                return False  # what follows is never reached, redirect= neither (§5.1)
            if mechanism.name != "include" or mechanism.domain is None:
                continue
            if permitting and mechanism.qualifier != "+":
                continue
            name = await self._name(mechanism.domain, domain, ())
            if await self.leads_to(target, name, seen, permitting):
                return True
        if record.redirect is None:
            return False
        return await self.leads_to(target, await self._name(record.redirect.value, domain, ()), seen, permitting)

    def _matched(
        self, word: SpfWord, domain: str, here: tuple[Step, ...], inner: tuple[Step, ...], record: SpfRecord
    ) -> _Found:
        return _Found(
            word,
            "mechanism",
            domain,
            here + inner,
            _MATCHED[word],
            {"domain": domain, "ip": str(self.ip), "mechanism": here[-1].term},
            explain=record.explanation.value if record.explanation else None,
        )

    async def _redirect(self, term: str, target: MacroString, domain: str, path: tuple[Step, ...]) -> _Found:
        """§6.1: the result is that of the target, whose ``exp=`` counts, not ours."""
        here = (*path, Step(domain, term))
        self._count_term(domain, here)
        name = await self._name(target, domain, here)
        found = await self.evaluate(name, here)
        if found.word == "none":
            template = "{domain} redirects to {name}, which has no SPF record"
            raise self._wrong("redirect_none", domain, here, template, name=name)
        return found

    # mechanisms (§5)

    async def _matches(self, mechanism: Mechanism, domain: str, here: tuple[Step, ...]) -> tuple[Step, ...] | None:
        """The steps inside of an include, nothing for other mechanisms; ``None`` when it does not match."""
        if mechanism.name == "all":
            return ()
        if mechanism.network is not None:
            # False when the versions differ: an IPv4-mapped client is an IPv4 one (§5).
            return () if self.ip in mechanism.network else None
        self._count_term(domain, here)
        try:
            name = domain
            if mechanism.domain is not None:
                name = await self._name(mechanism.domain, domain, here)
            if mechanism.name == "include":
                return await self._include(name, domain, here)
            if mechanism.name == "exists":
                matches = bool(await self._ask(name, "A", here))
            elif mechanism.name == "a":
                matches = self._covers(mechanism, await self._ask(name, self._addresses, here))
            elif mechanism.name == "mx":
                matches = self._covers(mechanism, await self._mx_addresses(name, domain, here))
            else:
                hosts = await self._validated_hosts(here)
                matches = any(host == name.lower() or host.endswith("." + name.lower()) for host in hosts)
        except TemporaryDnsError as error:
            raise self._no_answer(domain, here, error) from None
        return () if matches else None

    async def _include(self, name: str, domain: str, here: tuple[Step, ...]) -> tuple[Step, ...] | None:
        """§5.2: only a ``pass`` of the target matches; errors end everything."""
        found = await self.evaluate(name, here)
        if found.word == "none":
            template = "{domain} includes {name}, which has no SPF record"
            raise self._wrong("include_none", domain, here, template, name=name)
        return found.path[len(here) :] if found.word == "pass" else None

    def _covers(self, mechanism: Mechanism, addresses: Sequence[str]) -> bool:
        bits = mechanism.prefix4 if self.ip.version == 4 else mechanism.prefix6
        return any(self.ip in ip_network((address, bits), strict=False) for address in addresses)

    async def _mx_addresses(self, name: str, domain: str, here: tuple[Step, ...]) -> list[str]:
        """§5.4. A domain without MX has no implicit one here."""
        hosts = sorted(await self._ask(name, "MX", here))
        if len(hosts) > MAX_HOSTS:
            template = "{name} has {count} MX hosts; {term} of {domain} may look at {limit}"
            raise self._wrong(
                "mx_limit",
                domain,
                here,
                template,
                name=name,
                count=len(hosts),
                term=here[-1].term,
                limit=MAX_HOSTS,
            )
        addresses: list[str] = []
        for _, host in hosts:
            addresses += await self._ask(host, self._addresses, here)
        return addresses

    async def _validated_hosts(self, here: tuple[Step, ...]) -> list[str]:
        """§5.5: the names of the client that lead back to it. What the DNS does not answer is passed over."""
        hosts: list[str] = []
        try:
            names = await self._ask(self.ip.reverse_pointer, "PTR", here)
        except TemporaryDnsError:
            return hosts
        for name in names[:MAX_HOSTS]:
            try:
                addresses = await self._ask(name, self._addresses, here)
            except TemporaryDnsError:
                continue
            if any(ip_address(address) == self.ip for address in addresses):
                hosts.append(name.removesuffix(".").lower())
        return hosts

    # names and questions

    async def _name(self, name: MacroString, domain: str, here: tuple[Step, ...]) -> str:
        return name.expand_name(await self._macro_values(name, domain, here))

    async def _macro_values(self, string: MacroString, domain: str, here: tuple[Step, ...]) -> dict[str, str]:
        values = self._values | {"d": domain}
        if "p" in string.letters:
            # §7.3: the domain itself, else a name below it, else any.
            hosts = await self._validated_hosts(here)
            hosts.sort(key=lambda host: (host != domain.lower(), not host.endswith("." + domain.lower())))
            values["p"] = hosts[0] if hosts else "unknown"
        return values

    async def _ask(self, name: str, rdtype: RecordType, here: tuple[Step, ...]) -> Sequence[Any]:
        """The answers; an empty one counts if a term asked. Raises ``_Stop``, ``TemporaryDnsError``."""
        answers = await self.lookup(name, rdtype)
        if not answers and here and is_dns_name(name.removesuffix(".")):
            self.voids += 1
            if self.voids > MAX_VOID_LOOKUPS:
                template = "more than {limit} DNS lookups found nothing; {domain} goes over the limit with {term}"
                raise self._over_limit("void_limit", here, template, MAX_VOID_LOOKUPS)
        return answers

    def _count_term(self, domain: str, here: tuple[Step, ...]) -> None:
        self.lookups += 1
        if self.lookups > MAX_LOOKUPS:
            template = "more than {limit} terms ask the DNS; {domain} goes over the limit with {term}"
            raise self._over_limit("lookup_limit", here, template, MAX_LOOKUPS)

    async def explain(self, domain: str, target: MacroString) -> str | None:
        """The explanation of ``domain`` (§6.2), or ``None`` when anything about it is wrong."""
        try:
            records = await self._ask(await self._name(target, domain, ()), "TXT", ())
            if len(records) != 1:
                return None
            text = parse_explanation(records[0].decode("ascii"))
        except (TemporaryDnsError, SpfSyntaxError, UnicodeDecodeError):
            return None
        if "t" in text.letters and "t" not in self._values:
            return None
        return text.expand(await self._macro_values(text, domain, ()))

    # ends

    def _over_limit(self, reason: SpfReason, here: tuple[Step, ...], template: str, limit: int) -> _Stop:
        domain, term = here[-1]
        return self._wrong(reason, domain, here, template, limit=limit, term=term)

    def _wrong(self, reason: SpfReason, domain: str, path: tuple[Step, ...], template: str, **values: Any) -> _Stop:
        return _Stop(_Found("permerror", reason, domain, path, template, {"domain": domain, **values}))

    def _no_answer(self, domain: str, path: tuple[Step, ...], error: TemporaryDnsError) -> _Stop:
        template = "the DNS failed while {domain} was looked at: {problem}"
        return _Stop(_Found("temperror", "dns", domain, path, template, {"domain": domain, "problem": str(error)}))


def _read(record: bytes) -> SpfRecord:
    """Raises ``SpfSyntaxError``."""
    return _remembered(record) if len(record) <= _MAX_REMEMBERED else parse_spf_record(record)


@lru_cache(maxsize=256)
def _remembered(record: bytes) -> SpfRecord:
    """Much of the mail comes from few large senders, whose networks take a millisecond to read."""
    return parse_spf_record(record)


def _client(ip: str | IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The client's address; an IPv4-mapped one is IPv4 (§5), and a zone index says nothing to others."""
    address = ip_address(ip)
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def _a_labels(domain: str) -> str:
    """``domain`` without its final dot, in A-labels (§4.3); as it is when it cannot be a domain name."""
    domain = domain.removesuffix(".")
    if domain.isascii():
        return domain
    try:
        return to_ascii_domain(domain)
    except BadAddress:
        return domain
