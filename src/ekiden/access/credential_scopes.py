"""What a credential is good for, and from where: its scopes and its source networks.

Both are kept as words with blanks between. None at all means no bound: every scope, every address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from typing import Final

from ekiden.access.errors import BadName

SEND: Final = "send"
"""Submit mail."""
READ: Final = "read"
"""Read configuration, status and reports."""
DOWNLOAD: Final = "download"
"""Fetch what can be read as files, where an API keeps the two apart."""
MANAGE: Final = "manage"
"""Change configuration, domains, users, zones and rules."""
SCOPES: Final = (SEND, READ, DOWNLOAD, MANAGE)


def allows(scopes: Collection[str], scope: str) -> bool:
    """Whether a credential with these scopes may do what ``scope`` names."""
    return not scopes or scope in scopes


def scopes_text(scopes: Iterable[str]) -> str:
    """What the store keeps, each once and in the order of ``SCOPES``. Raises ``BadName`` for an unknown word."""
    given = set(scopes)
    for scope in sorted(given.difference(SCOPES)):
        raise BadName("{scope!r} is not a scope; choose one of {known}", scope=scope, known=", ".join(SCOPES))
    return " ".join(scope for scope in SCOPES if scope in given)


def networks_text(networks: Iterable[str]) -> str:
    """What the store keeps: addresses and networks as ``ipaddress`` writes them, each once.

    Raises ``BadName``, also for a network with bits beyond its prefix: whoever writes 192.0.2.7/24 may mean the
    host or the network.
    """
    return " ".join(dict.fromkeys(_network(network) for network in networks))


def _network(text: str) -> str:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise BadName("{network!r} is not an IP address or a network such as 192.0.2.0/24", network=text) from None
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    if ipaddress.ip_interface(text).ip != network.network_address:
        raise BadName("{network!r} has bits beyond its prefix; is {meant} meant?", network=text, meant=str(network))
    return str(network)
