"""The checks of ``ekiden doctor`` on sending domains: our own SPF record, and the records of every domain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from ekiden.access.accounts import list_accounts
from ekiden.core.clock import DAY, SECOND, Millis
from ekiden.core.display import local_time
from ekiden.dns.resolver import DnsError, DnsTemporary, NullMx
from ekiden.doctor.checks import Finding, Patient, find, in_each
from ekiden.doctor.hostname import make_resolver
from ekiden.domains.examine import Examination
from ekiden.domains.lookup import DnsLookup
from ekiden.domains.model import PLATFORM
from ekiden.domains.outgoing import outgoing, own_spf
from ekiden.domains.queries import list_domains, list_keys
from ekiden.domains.reasons import short
from ekiden.domains.return_paths import ReturnPathLook
from ekiden.sender_auth.dns import TemporaryDnsError
from ekiden.wiring.services import incoming_of

if TYPE_CHECKING:
    from ekiden.dns.resolver import DnsResolver
    from ekiden.domains.model import Check, Domain, Key
    from ekiden.domains.outgoing import Outgoing

MAX_DOMAINS: Final = 50
_AT_A_TIME: Final = 8
_SOON: Final = DAY
"""How long before the record of a retired key may go that is told."""


async def check_sender_record(patient: Patient) -> list[Finding]:
    """The host that the SPF records of domains include has to list every address that we send from."""
    ours = _outgoing(patient)
    lookup = DnsLookup(make_resolver(patient))
    try:
        addresses = await ours.resolve(lookup)
    except TemporaryDnsError:
        return []  # told by the check of the resolver
    shown = ", ".join(addresses[:8])
    fault = await ours.fault(addresses, lookup)
    if fault is None:
        what = "the SPF record of {include} permits our addresses ({addresses})"
        return [find("sender", "ok", "Sender record", what, include=ours.include, addresses=shown)]
    what = "domains cannot be verified: {why}"
    values = {"include": ours.include, "why": fault}
    if not addresses:
        fix = "set domains.addresses to the addresses that mail leaves from, or publish an address of the hostname"
        return [find("sender", "warn", "Sender record", what, fix, **values)]
    fix = "publish at {include} the TXT record: {record}"
    record = own_spf(patient.config.domains.addresses or addresses)
    return [find("sender", "warn", "Sender record", what, fix, **values, record=record)]


def _outgoing(patient: Patient) -> Outgoing:
    config = patient.config
    return outgoing(config.domains, config.hostname, config.delivery.families().versions)


async def check_senders(patient: Patient) -> list[Finding]:
    """Whether anybody may send at all: from a verified domain, or as an account that may use any sender."""
    if patient.store is None:
        return []
    accounts = {item.id: item for item in await list_accounts(patient.store) if item.suspended_at is None}
    domains = [item for item in await list_domains(patient.store) if item.account_id in accounts]
    usable = sum(item.usable for item in domains)
    free = sum(item.senders == "any" for item in accounts.values())
    if usable or free:
        what = "{count} domains may send"
        if free:
            what = "{count} domains may send, and accounts with any sender: {free}"
        return [find("senders", "ok", "Senders", what, count=usable, free=free)]
    if not accounts:
        what = "there is no account that is not suspended: nobody can send"
        return [find("senders", "fail", "Senders", what, "make one: ekiden account create NAME")]
    if not domains:
        what = "no account has a domain: nobody can send"
        fix = "add one, publish its records, and have them looked at: ekiden domain add; ekiden domain verify"
        return [find("senders", "fail", "Senders", what, fix)]
    what = "none of {count} domains can send: none is verified"
    fix = "publish their records (ekiden domain show), then: ekiden domain verify"
    return [find("senders", "fail", "Senders", what, fix, count=len(domains))]


async def check_domains(patient: Patient) -> list[Finding]:
    """Accounts' domains: state, records as they are now, keys on their way in or out, and MX for answers."""
    if patient.store is None:
        return []
    domains = await list_domains(patient.store)
    # Those in trouble first: not all may be looked at.
    domains.sort(key=lambda item: (item.failing_since is None, item.usable))
    async with patient.store.read() as connection:
        chosen = [(item, await list_keys(connection, item)) for item in domains[:MAX_DOMAINS]]
    resolver = make_resolver(patient)
    ours = _outgoing(patient)
    slots = asyncio.Semaphore(_AT_A_TIME)

    async def one(domain: Domain, keys: list[Key]) -> list[Finding]:
        async with slots:
            return await _domain(patient, resolver, ours, domain, keys)

    found = [item for part in await asyncio.gather(*(one(*pair) for pair in chosen)) for item in part]
    if len(domains) > MAX_DOMAINS:
        what = "only the first {count} of {total} domains were looked at"
        found.append(find("domains", "ok", "Domains", what, count=MAX_DOMAINS, total=len(domains)))
    return found


async def _domain(
    patient: Patient, resolver: DnsResolver, ours: Outgoing, domain: Domain, keys: list[Key]
) -> list[Finding]:
    values: dict[str, Any] = {"domain": domain.name}
    look = Examination(domain.name, DnsLookup(resolver), ours)
    try:
        await resolver.mx(domain.name)
        mail: list[Finding] = []
    except DnsTemporary as error:
        return [find("domains", "warn", "Domains", "{domain}: {why}", **values, why=error)]
    except NullMx:
        what = "{domain} says that it takes no mail (null MX): servers refuse mail from it"
        fix = "publish MX records for it"
        mail = [find("domains", "warn", "Domains", what, fix, **values)]
    except DnsError:
        what = "{domain} cannot receive mail: no answers, no notifications, and servers refuse mail from it"
        fix = "publish MX records for it"
        mail = [find("domains", "warn", "Domains", what, fix, **values)]
    found = [*_state(patient, domain), *mail]
    found += [_wrong(domain, check) for check in [await look.spf()] if check.result == "fail"]
    for key in keys:
        found += _key(patient, domain, key, await look.key(key), rotating=_rotating(keys))
    found += await _return_path(patient, resolver, ours, domain)
    if any(item.level != "ok" for item in found):
        return found
    what = "{domain} is verified, and its records are right" if domain.usable else "{domain} waits: {why}"
    return [*found, find("domains", "ok", "Domains", what, **values, **_why(domain))]


async def _return_path(patient: Patient, resolver: DnsResolver, ours: Outgoing, domain: Domain) -> list[Finding]:
    """What is wrong with the return path that a domain has published; none is as well. That of the installation has
    a check of its own."""
    incoming = incoming_of(patient.config)
    if incoming is None or not domain.receive_bounces or domain.account_id == PLATFORM:
        return []
    look = ReturnPathLook(incoming.of(domain), DnsLookup(resolver), ours, incoming)
    checks = [await look.mx(), await look.spf()]
    if all(check.code == "missing" for check in checks) and domain.rp != "successful":
        return []
    return [_wrong(domain, check) for check in checks if check.result == "advice"]


def _state(patient: Patient, domain: Domain) -> list[Finding]:
    values = {"domain": domain.name, **_why(domain)}
    fix = "see: ekiden domain show {domain}"
    if domain.status == "suspended":
        what = "{domain} is suspended, nothing is accepted from it: {why}"
        return [find("domains", "warn", "Domains", what, fix, **values)]
    if domain.usable and domain.failing_since is not None:
        end = domain.failing_since + round(patient.config.domains.grace * SECOND)
        what = "{domain} will be suspended at {time}: {why}"
        return [find("domains", "warn", "Domains", what, fix, **values, time=local_time(end))]
    if domain.check_at is not None and domain.check_at < patient.clock.now() - DAY:
        what = "{domain} was to be checked at {time}, and was not"
        fix = "let a worker with the role housekeeping run"
        return [find("domains", "warn", "Domains", what, fix, **values, time=local_time(domain.check_at))]
    return []


def _wrong(domain: Domain, check: Check) -> Finding:
    what = "{domain}: {why}"
    fix = "{advice}"
    return find("domains", "warn", "Domains", what, fix, domain=domain.name, **_told(check))


def _key(patient: Patient, domain: Domain, key: Key, check: Check, *, rotating: bool) -> list[Finding]:
    values = {"domain": domain.name, "name": key.name}
    if key.status == "active":
        return [_wrong(domain, check)] if check.result == "fail" else []
    if key.status == "pending":
        if key.kind != "dkim":
            return []  # it may be left out
        if not rotating:
            return [_wrong(domain, check)] if check.result == "fail" else []
        what = "{domain} has a new key that waits for its record {name}"
        fix = "publish it: ekiden domain show {domain}"
        return [find("domains", "warn", "Domains", what, fix, **values)]
    end = (key.retired_at or 0) + round(patient.config.domains.overlap * SECOND)
    values["time"] = local_time(end)
    if check.result == "fail":
        what = (
            "{domain}: the record {name} of a retired key is not right, though mail signed with it may still wait"
        )
        fix = "publish it until {time}: ekiden domain show {domain}"
        return [find("domains", "warn", "Domains", what, fix, **values)]
    if _ends_soon(end, patient.clock.now()):
        what = "{domain}: the record {name} of a retired key may be removed after {time}"
        return [find("domains", "ok", "Domains", what, **values)]
    return []


def _ends_soon(end: Millis, now: Millis) -> bool:
    return end - now <= _SOON


def _rotating(keys: list[Key]) -> bool:
    return any(key.kind == "dkim" and key.status == "active" for key in keys)


def _why(domain: Domain) -> dict[str, Any]:
    return {"why": in_each(lambda lang: short(domain.reason, lang))}


def _told(check: Check) -> dict[str, Any]:
    return {"why": in_each(check.text), "advice": in_each(check.advice)}
