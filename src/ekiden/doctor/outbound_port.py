"""The check of ``ekiden doctor`` on the way out: whether mail servers of others can be reached on their port.

Strangers are connected to only when the operator names one (``--outbound HOST``); in lab mode, the lab.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from typing import Any, Final

from ekiden.core.errors import EkidenError
from ekiden.doctor.checks import Finding, Patient, find, length_of
from ekiden.doctor.hostname import LAB_DOMAIN, make_resolver
from ekiden.doctor.talk import TROUBLE, talk
from ekiden.net.listen import ListenAddress
from ekiden.net.network import OutsideLab, is_loopback

_TIMEOUT: Final = 15.0
"""Seconds for one address: servers of others take their time to greet."""
_MOST: Final = 4
"""Addresses that are tried: of the first hosts, so that both families have a turn."""


async def check_outbound(patient: Patient) -> list[Finding]:
    config = patient.config
    port = config.delivery.smtp_port
    wanted = patient.outbound or (LAB_DOMAIN if config.lab.enabled else "")
    if not wanted:
        what = "port {port} of other servers was not tried; to try it: ekiden doctor --outbound HOST"
        return [find("outbound", "ok", "Outbound", what, port=port)]
    fix = "let connections to port {port} out: many providers block it until they are asked"
    if config.lab.enabled:
        fix = "start the lab, and set dns.nameservers, dns.port and delivery.smtp_port to its ports"
    try:
        targets = await _targets(patient, wanted)
    except EkidenError as error:
        what = "{host} cannot be tried: {why}"
        return [find("outbound", "fail", "Outbound", what, fix, host=wanted, why=error, port=port)]
    results = await asyncio.gather(*(_try(patient, host, address, port) for host, address in targets))
    reached = any(item.level == "ok" for item in results)
    # One family without a way out costs time, not mail.
    return [_with_fix(item, fix, port, "warn" if reached else "fail") for item in results]


def _with_fix(item: Finding, fix: str, port: int, level: Any) -> Finding:
    if item.level == "ok":
        return item
    return find("outbound", level, item.title, item.what, fix, **item.values | {"port": port})


async def _targets(patient: Patient, wanted: str) -> list[tuple[str, str]]:
    """Host and address, of both families where there are both."""
    try:
        return _possible(patient, [(wanted, str(ipaddress.ip_address(wanted.strip("[]"))))])
    except ValueError:
        pass
    resolver = make_resolver(patient)
    found: list[tuple[str, str]] = []
    for host in (await resolver.mx(wanted.rstrip(".").lower()))[:2]:
        addresses = await resolver.addresses(host.name)
        families = [next((item for item in addresses if (":" in item) == v6), None) for v6 in (False, True)]
        found += [(host.name, item) for item in families if item is not None]
    if not found:
        raise EkidenError(f"none of its mail hosts has an address: {wanted}")
    return _possible(patient, found[:_MOST])


def _possible(patient: Patient, targets: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those that delivery would try: not a family in which we have no address."""
    families = patient.config.delivery.families()
    refusals = {address: families.refusal(address) for _, address in targets}
    possible = [(host, address) for host, address in targets if refusals[address] is None]
    if not possible:
        raise EkidenError("; ".join(dict.fromkeys(filter(None, refusals.values()))))
    return possible


async def _try(patient: Patient, host: str, address: str, port: int) -> Finding:
    config = patient.config
    values: dict[str, Any] = {"host": host, "address": str(ListenAddress(address, port))}
    if config.lab.enabled and not is_loopback(address):
        why = str(OutsideLab(address))
        return find(
            "outbound", "fail", "Outbound", "{host} ({address}) cannot be reached: {why}", **values, why=why
        )
    local = config.delivery.families().source(address) or ""
    began = time.monotonic()
    try:
        async with talk(ListenAddress(address, port), source=local, timeout=_TIMEOUT) as made:
            code, lines = await made.reply()
            values["greeting"] = lines[0][:200]
            if code != 220:
                what = "{host} ({address}) does not greet as a mail server: {greeting}"
                if 400 <= code < 600:
                    what = "{host} ({address}) turns this machine away: {greeting}"
                return find("outbound", "fail", "Outbound", what, **values)
            code, offered = await made.ask(f"EHLO {config.delivery.helo or config.hostname}")
            values["greeting"] = offered[0][:200]
            if code != 250:
                what = "{host} ({address}) turns this machine away: {greeting}"
                return find("outbound", "fail", "Outbound", what, **values)
            made.write(b"QUIT\r\n")
    except TROUBLE as error:
        why = "no answer" if isinstance(error, TimeoutError) else getattr(error, "strerror", None) or str(error)
        what = "{host} ({address}) cannot be reached: {why}"
        return find("outbound", "fail", "Outbound", what, **values, why=why or type(error).__name__)
    values["length"] = length_of(round((time.monotonic() - began) * 1000))
    if any(line[4:].strip().upper() == "STARTTLS" for line in offered):
        return find("outbound", "ok", "Outbound", "{host} ({address}) answers in {length}, with STARTTLS", **values)
    return find("outbound", "ok", "Outbound", "{host} ({address}) answers in {length}, without STARTTLS", **values)
