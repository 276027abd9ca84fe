"""The checks of ``ekiden doctor`` on what leaves by HTTP: links in mails, and the endpoints of callbacks."""

from __future__ import annotations

import ipaddress
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from ekiden.core.display import relative
from ekiden.core.errors import EkidenError
from ekiden.dns.resolver import DnsTemporary
from ekiden.doctor.checks import Finding, Patient, find, in_each
from ekiden.doctor.hostname import make_resolver
from ekiden.notify import administration

MAX_ENDPOINTS: Final = 20
"""Endpoints that are told one by one."""
_MOST: Final = 100_000


async def check_links(patient: Patient) -> list[Finding]:
    """Where links and pictures in mails lead: the name has to exist, and readers warn of what is without TLS."""
    config = patient.config
    url = config.tracking.base_url or f"https://{config.hostname}"
    parts = urlsplit(url)
    name = parts.hostname or ""
    found = []
    if parts.scheme != "https" and not config.lab.enabled:
        what = "{url} is without TLS: mail programs and browsers warn of links in mails that lead there"
        fix = "set tracking.base_url to an https:// URL, with a proxy in front that has a certificate for {name}"
        found.append(find("links", "warn", "Links in mails", what, fix, url=url, name=name))
    try:
        known = _is_address(name) or bool(await make_resolver(patient).addresses(name))
    except DnsTemporary:
        return found  # told by the check of the resolver
    except EkidenError:
        known = False
    if not known:
        what = (
            "{url} has no address in DNS: links, pictures and unsubscribing in mails that are tracked do not work"
        )
        fix = "set tracking.base_url to a name that leads to the HTTP listener, or publish an address for {name}"
        found.append(find("links", "warn", "Links in mails", what, fix, url=url, name=name))
    return found or [find("links", "ok", "Links in mails", "they lead to {url}", url=url)]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def check_callbacks(patient: Patient) -> list[Finding]:
    """Endpoints that do not take what they are sent, and what was given up."""
    if patient.store is None:
        return []
    endpoints = await administration.list_endpoints(patient.store, busy=True, limit=_MOST)
    failing = [item for item in endpoints if item.failures]
    found = []
    now = patient.clock.now()
    for item in failing[:MAX_ENDPOINTS]:
        since = item.failing_since if item.failing_since is not None else now
        values = {
            "id": item.id,
            "url": item.url,
            "failures": item.failures,
            "since": in_each(partial(relative, since, now)),
            "waiting": f"{item.waiting:,}",
        }
        what = "endpoint {id} ({url}) began to fail {since}, {failures} times in a row; events that wait: {waiting}"
        fix = "its answers: ekiden callback log --endpoint {id}; to try now: ekiden callback retry {id}"
        found.append(find("callbacks", "warn", "Callbacks", what, fix, **values))
    if len(failing) > MAX_ENDPOINTS:
        what = "further endpoints fail: {count}"
        fix = "ekiden callback list --busy"
        found.append(find("callbacks", "warn", "Callbacks", what, fix, count=len(failing) - MAX_ENDPOINTS))
    dead = sum(item.dead for item in endpoints)
    if dead:
        what = "events that could not be told, and were given up: {count}"
        fix = "ekiden callback dead lists them; ekiden callback retry gives them another chance"
        found.append(find("callbacks", "warn", "Callbacks", what, fix, count=f"{dead:,}"))
    return found or [find("callbacks", "ok", "Callbacks", "no endpoint fails, and nothing was given up")]
