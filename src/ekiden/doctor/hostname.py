"""The checks of ``ekiden doctor`` that ask DNS."""

from __future__ import annotations

import ipaddress
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.resolver
import dns.reversename

from ekiden.core.errors import EkidenError
from ekiden.dns.config import DnsConfig
from ekiden.dns.resolver import DnsResolver, DnsTemporary, NoSuchDomain
from ekiden.doctor.checks import Finding, Patient, find

LAB_DOMAIN = "accept.lab.test"


def make_resolver(patient: Patient) -> DnsResolver:
    """The resolver of the configuration, less patient than delivery is."""
    config = patient.config.dns
    quick = DnsConfig(
        nameservers=config.nameservers,
        port=config.port,
        timeout=min(config.timeout, 2.0),
        lifetime=min(config.lifetime, 5.0),
    )
    return DnsResolver(quick, patient.clock, loopback_only=patient.config.lab.enabled)


async def check_resolver(patient: Patient) -> list[Finding]:
    """Whether name servers answer at all: without them nothing can be delivered."""
    servers = ", ".join(patient.config.dns.nameservers) or "system"
    question = LAB_DOMAIN if patient.config.lab.enabled else patient.config.hostname
    try:
        await make_resolver(patient).addresses(question)
    except DnsTemporary as error:
        what = "no answer from the name servers ({servers}): {why}"
        fix = "correct dns.nameservers, or /etc/resolv.conf; a local resolver such as unbound serves best"
        return [find("dns", "fail", "DNS", what, fix, servers=servers, why=error)]
    except NoSuchDomain:
        pass  # an answer, too; the next check tells what it means
    except EkidenError as error:
        return [find("dns", "fail", "DNS", "{why}", "correct dns.nameservers", why=error)]
    return [find("dns", "ok", "DNS", "the name servers answer ({servers})", servers=servers)]


async def check_hostname(patient: Patient) -> list[Finding]:
    """Recipients' servers look the name in our HELO up, and the name of the address that we come from."""
    config = patient.config
    name = config.delivery.helo or config.hostname
    values: dict[str, Any] = {"name": name}
    if "." not in name:
        what = "{name} is not a full name: many servers refuse mail from it"
        fix = "set hostname to this server's name in DNS, such as mail.example.com"
        return [find("hostname", "fail" if not config.lab.enabled else "warn", "Host name", what, fix, **values)]
    try:
        addresses = await make_resolver(patient).addresses(name)
    except DnsTemporary:
        return []  # told by the check of the resolver
    except EkidenError:
        addresses = []
    if not addresses:
        what = "{name} has no address in DNS: many servers refuse mail from it"
        fix = "publish an A or AAAA record for it, or set hostname to a name that has one"
        return [find("hostname", "warn", "Host name", what, fix, **values)]
    shown = ", ".join(addresses)
    found = [find("hostname", "ok", "Host name", "{name} is {addresses}", **values, addresses=shown)]
    for address in addresses:
        found += await _reverse(patient, name, address)
    return found


async def _reverse(patient: Patient, name: str, address: str) -> list[Finding]:
    config = patient.config.dns
    asker = dns.asyncresolver.Resolver(configure=not config.nameservers)
    if config.nameservers:
        asker.nameservers = list(config.nameservers)
        asker.port = config.port
    if patient.config.lab.enabled and not all(
        ipaddress.ip_address(str(ip)).is_loopback for ip in asker.nameservers
    ):
        return []  # told by the check of the resolver
    try:
        answer = await asker.resolve(dns.reversename.from_address(address), "PTR", lifetime=5.0, search=False)
        names = [str(record.target).rstrip(".").lower() for record in answer]
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        names = []
    except (dns.exception.DNSException, OSError):
        return []
    if name in names:
        what = "{address} leads back to {name}"
        return [find("hostname", "ok", "Host name", what, address=address, name=name)]
    if patient.config.lab.enabled:
        return []  # the lab's servers do not care
    what = "{address} has the reverse name {names}, not {name}: large providers refuse mail from it"
    if not names:
        what = "{address} has no reverse name (PTR): large providers refuse mail from it"
    fix = "have whoever gave you the address set its PTR record to {name}"
    return [find("hostname", "warn", "Host name", what, fix, address=address, name=name, names=", ".join(names))]
