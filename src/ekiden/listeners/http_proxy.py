"""Where a request comes from, when a proxy of the configuration says so."""

from __future__ import annotations

from collections.abc import Sequence

from ekiden.net.listen import Networks

_OUR_OWN = Networks(["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"])
_MAX_ADDRESS = 64  # of an address with a port; what is longer is none


def forwarded(
    client: tuple[str, int], headers: Sequence[tuple[bytes, bytes]], proxies: Networks
) -> tuple[tuple[str, int], str]:
    """Client and scheme by ``X-Forwarded-For`` and ``X-Forwarded-Proto`` of a request that one of ``proxies`` sent.

    Each proxy appends whom it heard: the client is the last one that is no proxy itself.
    """
    scheme = "http"
    hops: list[str] = []
    for name, value in headers:
        if name == b"x-forwarded-for":
            hops += value.decode("latin-1").split(",")
        elif name == b"x-forwarded-proto":
            said = value.decode("latin-1").strip()
            scheme = said if said in ("http", "https") else scheme
    for hop in reversed(hops):
        host, port = _host_and_port(hop.strip())
        if not host or len(host) > _MAX_ADDRESS:
            break
        client = (host, port)
        if host not in proxies:
            break
    return client, scheme


def looks_forwarded(peer: str, headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether somebody in our own network passes on what others ask. What strangers write there says nothing."""
    return any(name == b"x-forwarded-for" for name, _ in headers) and peer in _OUR_OWN


def _host_and_port(text: str) -> tuple[str, int]:
    """Of ``192.0.2.1``, ``192.0.2.1:80``, ``2001:db8::1`` or ``[2001:db8::1]:80``; 0: no port."""
    host, colon, port = text.rpartition(":")
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif not colon or ":" in host:
        return text, 0
    return host, int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0
