"""The checks of ``ekiden doctor`` on proxies before our listeners: those that nobody named, and those that anybody
could pretend to be."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from ekiden.doctor.checks import Finding, Patient, find
from ekiden.doctor.talk import TROUBLE, get
from ekiden.net.listen import parse_listen_address

_COUNT: Final = re.compile(rb"^ekiden_http_unknown_proxies_total ([0-9.e+]+)", re.MULTILINE)
_BROADEST: Final = {4: 8, 6: 16}
"""Prefix of the largest network that can be one operator's own: 10.0.0.0/8, fc00::/7 and the like aside."""


async def check_proxies(patient: Patient) -> list[Finding]:
    """Settings first; then asks a running Ekiden of this machine, without which there is nothing to say."""
    config = patient.config
    named = [("http.proxy_from", config.http.proxy_from)]
    named += [(f"listeners.{item.name}.proxy_from", item.proxy_from) for item in config.listeners]
    found = [
        find(
            "proxies",
            "fail",
            "Proxies",
            "{key} names {network}: whoever connects from there is believed whatever client it names",
            "name the addresses of your proxies only",
            key=key,
            network=network,
        )
        for key, networks in named
        for network in networks
        if _anybody(network)
    ]
    if "http" not in config.workers.roles:
        return found
    http = config.http
    for text in http.addresses:
        address = parse_listen_address(text)
        if not http.proxy_from and not config.lab.enabled and _public(address.host):
            what = "http: {address} is reachable from outside without TLS: API keys and passwords go in clear"
            fix = "listen on 127.0.0.1, with a TLS proxy in front that http.proxy_from names (docs/operating.md)"
            found.append(find("proxies", "warn", "Proxies", what, fix, address=text))
    for text in http.monitoring_addresses or http.addresses:
        address = parse_listen_address(text)
        if not address.port:
            continue
        try:
            _, body = await get(address, "/metrics")
        except TROUBLE:
            continue
        counted = _COUNT.search(body)
        count = 0 if counted is None else int(float(counted[1]))
        if count:
            what = (
                "a proxy that http.proxy_from does not name passes requests on ({count} so far): "
                "all of its clients count as one, failed logins included"
            )
            fix = "name its network in http.proxy_from"
            return [*found, find("proxies", "warn", "Proxies", what, fix, count=f"{count:,}")]
    return found


def _anybody(text: str) -> bool:
    """Larger than any private network there is."""
    network = ipaddress.ip_network(text, strict=False)
    return not network.is_private and network.prefixlen < _BROADEST[network.version]


def _public(host: str) -> bool:
    address = ipaddress.ip_address(host)
    return address.is_unspecified or address.is_global
