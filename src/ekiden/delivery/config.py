"""The table ``[delivery]`` of the configuration."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

import msgspec

from ekiden.core.duration import Duration
from ekiden.net.families import Families

ONE_OR_LIST = msgspec.Meta(extra={"one_or_list": True})
"""A list that may be written as a text alone when it has one item."""
_Positive = Annotated[int, msgspec.Meta(ge=1)]


class RouteConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[delivery.routes]]``: a fixed next hop instead of a look-up of MX records."""

    domain: str
    """A domain, ``.example.com`` for everything below it, or ``*`` for everything else."""
    hosts: tuple[str, ...]
    """``192.0.2.1:2525``, ``[2001:db8::1]:25``, ``relay.example.com``; tried in this order, without MX."""


class DeliveryConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How mail goes out. ``site_concurrency`` and ``memory_limit`` are shared by the workers of a node; the other
    limits hold for each worker."""

    smtp_port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 25
    helo: str = ""
    """The name in EHLO; empty: ``hostname``."""
    return_path: str = ""
    """The host of our envelope senders; empty: ``rp.HOSTNAME`` where a listener receives mail, else none."""
    verp: Literal["message", "recipient", "off"] = "message"
    """What our envelope senders name: the message, and the recipient of a transaction with one; always the
    recipient, each with a transaction of its own; or nothing: clients' envelope senders go out as they are."""
    routes: tuple[RouteConfig, ...] = ()
    source_address: Annotated[tuple[str, ...], ONE_OR_LIST] = ()
    """The local IP addresses to connect from, one of each family at most; a family without one is not tried. Empty:
    the system chooses."""
    ipv6: bool = True
    """Whether IPv6 addresses of mail servers are tried."""
    allowed_networks: tuple[str, ...] = ()
    """Networks that a recipient's domain may lead to although they are not public, such as ``10.20.0.0/16``."""
    refused_networks: tuple[str, ...] = ()
    """Networks that it never may lead to, such as our own address behind NAT. Static routes may always."""

    retry: tuple[Duration, ...] = (60.0, 300.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0)
    """Waits after the 1st, 2nd, … attempt; the last one repeats."""
    jitter: Annotated[float, msgspec.Meta(ge=0, le=0.5)] = 0.1
    """A wait is made longer or shorter by up to this part of it, by chance."""
    expire_after: Duration = 432_000.0
    delay_notice_after: Duration = 14_400.0
    """When the sender who asked for it (NOTIFY=DELAY) hears that a delivery is late."""

    site_concurrency: _Positive = 20
    """Connections to one site at the same time, at most."""
    initial_concurrency: _Positive = 5
    """With how many a site begins; it grows with every success."""
    max_connections: _Positive = 500
    max_recipients: _Positive = 100
    """In one transaction."""
    max_deliveries_per_connection: _Positive = 500
    idle_timeout: Duration = 3.0
    """How long a connection without work is kept."""
    max_addresses_per_attempt: _Positive = 5
    max_hosts_per_attempt: _Positive = 10
    """Names of mail hosts whose addresses are looked up, at most; the next attempt begins behind those in vain."""
    lookup_timeout: Duration = 30.0
    """For looking all of them up."""

    connect_timeout: Duration = 30.0
    greeting_timeout: Duration = 300.0
    """RFC 5321 §4.5.3.2.1; the next two are §4.5.3.2.2 to .5 and .6."""
    command_timeout: Duration = 300.0
    data_timeout: Duration = 600.0
    reply_timeout: Duration = 60.0
    """From the first octet of a reply to its last; those above are for the first octet."""
    attempt_timeout: Duration = 900.0
    """For everything from connecting to DATA, with all addresses that are tried."""
    min_rate: _Positive = 10_000
    """Octets a second in which a peer has to take contents, on the average."""
    yield_after: Duration = 30.0
    """When connections are scarce, an attempt that has taken so long gives its place to what waits."""
    tls_timeout: Duration = 60.0
    starttls: bool = True
    """Use TLS whenever the peer offers it. Certificates are not checked: in clear would be worse (RFC 7435)."""
    tls_broken_for: Duration = 3_600.0
    """How long a host whose TLS failed is talked to in clear."""

    ready_limit: _Positive = 5_000
    """Deliveries in memory for one site."""
    queue_limit: _Positive = 10_000
    """Deliveries in memory in all."""
    claim_batch: _Positive = 500
    memory_limit: _Positive = 33_554_432
    """Octets of contents kept in memory for deliveries that wait there."""

    def __post_init__(self) -> None:
        if not self.retry or any(wait <= 0 for wait in self.retry):
            raise ValueError("retry needs at least one wait, each longer than 0s")
        for network in (*self.allowed_networks, *self.refused_networks):
            ipaddress.ip_network(network)  # a ValueError that names it
        for route in self.routes:
            if not route.domain or not route.hosts:
                raise ValueError("each of routes needs a domain and at least one host")

    def families(self) -> Families:
        """In which families mail goes out, and from where. Raises ``ValueError``."""
        return Families(self.source_address, ipv6=self.ipv6)
