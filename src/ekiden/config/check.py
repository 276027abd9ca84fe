"""Rules between the keys of a configuration, and what its relative paths mean."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ekiden.config.model import Config, ListenerConfig
from ekiden.config.reader import Path as Key
from ekiden.config.reader import Problems, is_bad, show
from ekiden.core.address import BadAddress, to_ascii_domain
from ekiden.core.duration import format_duration
from ekiden.delivery.config import DeliveryConfig
from ekiden.listeners.smtp_config import MIN_MESSAGE, MIN_RECIPIENTS
from ekiden.net.listen import parse_listen_address

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

# Not ``is_private``: for the standard library 0.0.0.0/0 is private, since its first and last address are.
_INSIDE: tuple[IPNetwork, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)


def is_inside(network: IPNetwork) -> bool:
    """Whether every address of the network is loopback, private or link-local (RFC 1918, 4193, 3927, 4291)."""
    return any(
        network.version == inside.version and network.subnet_of(inside)  # type: ignore[arg-type]
        for inside in _INSIDE
    )


def check_config(config: Config, raw: Mapping[str, Any], problems: Problems) -> None:
    """Add what is wrong between keys, or beyond the type of one, to ``problems``."""
    _check_hostname(config, problems)
    _check_store(config, problems)
    if not config.workers.roles:
        problems.add(("workers", "roles"), "must not be empty")
    taken: dict[str, Key] = {}
    for index, address in enumerate(config.http.addresses):
        _check_address(address, ("http", "addresses", index), taken, problems)
    for index, address in enumerate(config.http.monitoring_addresses):
        _check_address(address, ("http", "monitoring_addresses", index), taken, problems)
    _networks(config.http.proxy_from, ("http", "proxy_from"), problems, lambda *_: None)
    names: set[str] = set()
    # Entries that could not be read at all are missing from config.listeners: the indexes would be wrong.
    given = raw.get("listeners")
    if isinstance(given, list | tuple) and len(config.listeners) == len(given):
        for index, listener in enumerate(config.listeners):
            _check_listener(listener, ("listeners", index), taken, names, problems)
    _check_domains(config, problems)
    _check_delivery(config, problems)
    for index, name in enumerate(config.inbound.arc_trusted):
        if not _is_domain(name):
            problems.add(("inbound", "arc_trusted", index), "{value} is not a domain name", value=show(name))
    _check_lab(config, problems)


def _check_hostname(config: Config, problems: Problems) -> None:
    if config.hostname:
        try:
            to_ascii_domain(config.hostname)
        except BadAddress:
            problems.add(("hostname",), "{value} is not a domain name", value=show(config.hostname))


def _check_store(config: Config, problems: Problems) -> None:
    parts = urlsplit(config.store.url)
    if parts.scheme not in ("sqlite", "postgresql"):
        problems.add(
            ("store", "url"),
            "{value} is not allowed; allowed are {allowed}",
            # The password that a URL may hold is not shown.
            value=show(f"{parts.scheme}:…") if parts.scheme else show(config.store.url),
            allowed='"sqlite:///ekiden.db", "postgresql://user:password@host:5432/database"',
        )
    elif parts.scheme == "sqlite" and (parts.netloc or len(parts.path) < 2):
        problems.add(("store", "url"), 'a path follows sqlite:///, as in "sqlite:///ekiden.db"')


def _check_address(text: str, key: Key, taken: dict[str, Key], problems: Problems) -> None:
    try:
        address = parse_listen_address(text)
    except ValueError:
        problems.add(
            key,
            "{value} is not an address to listen on; allowed are texts such as {examples}",
            value=show(text),
            examples='"0.0.0.0:587", "[::]:587"',
        )
        return
    if address.port and str(address) in taken:
        problems.add(
            key, "{value} is already used by {other}", value=show(text), other=problems.name(taken[str(address)])
        )
    taken[str(address)] = key


def _networks(
    texts: Sequence[str], key: Key, problems: Problems, extra: Callable[[Key, str, IPNetwork], None]
) -> None:
    for index, text in enumerate(texts):
        try:
            network = ipaddress.ip_network(text)
        except ValueError:
            problems.add(
                (*key, index),
                "{value} is not a network; allowed are texts such as {examples}",
                value=show(text),
                examples='"10.0.0.0/8", "192.0.2.7", "fd00::/8"',
            )
        else:
            extra((*key, index), text, network)


def _check_listener(
    listener: ListenerConfig, key: Key, taken: dict[str, Key], names: set[str], problems: Problems
) -> None:
    if not is_bad(listener.name):
        if listener.name in names:
            problems.add((*key, "name"), "{value} is the name of another listener", value=show(listener.name))
        names.add(listener.name)
    if not listener.addresses:
        problems.add((*key, "addresses"), "must not be empty")
    for index, address in enumerate(listener.addresses):
        _check_address(address, (*key, "addresses", index), taken, problems)

    for name, given, least in (
        ("max_size", listener.max_size, MIN_MESSAGE),
        ("max_recipients", listener.max_recipients, MIN_RECIPIENTS),
    ):
        if 0 < given < least:
            problems.add(
                (*key, name), "{value} is not allowed; allowed are {allowed}", value=given, allowed=f"0, ≥ {least}"
            )

    def anything(key: Key, text: str, network: IPNetwork) -> None:
        pass

    def inside(key: Key, text: str, network: IPNetwork) -> None:
        if not is_inside(network):
            problems.add(
                key,
                "{value} is not allowed: only loopback and private networks can be trusted without AUTH",
                value=show(text),
            )

    _networks(listener.proxy_from, (*key, "proxy_from"), problems, anything)
    _networks(listener.trusted_networks, (*key, "trusted_networks"), problems, inside)
    if listener.trusted_networks and not listener.trusted_account:
        problems.add((*key, "trusted_account"), "is missing: whose mail is it that comes from trusted_networks?")
    if listener.trusted_account and not listener.trusted_networks:
        problems.add((*key, "trusted_networks"), "is missing: trusted_account has no meaning without it")
    if listener.mode == "plain" and not listener.trusted_networks:
        problems.add(
            (*key, "mode"),
            '"plain" is allowed only together with trusted_networks: AUTH exists only inside TLS',
        )
    if listener.mode == "inbound" and (listener.trusted_networks or listener.restricted):
        problems.add((*key, "mode"), '"inbound" goes with neither trusted_networks nor restricted')
    if listener.mode != "plain" and not listener.certificates:
        problems.add((*key, "certificates"), "is missing: mode {mode} needs at least one", mode=show(listener.mode))


def _check_domains(config: Config, problems: Problems) -> None:
    domains = config.domains
    if domains.spf_include and not _is_domain(domains.spf_include):
        problems.add(("domains", "spf_include"), "{value} is not a domain name", value=show(domains.spf_include))
    if domains.mx and not _is_domain(domains.mx):
        problems.add(("domains", "mx"), "{value} is not a domain name", value=show(domains.mx))
    _networks(domains.addresses, ("domains", "addresses"), problems, lambda *_: None)
    if domains.overlap < config.delivery.expire_after:
        # A message that waits is verified with the key that signed it when it came.
        problems.add(
            ("domains", "overlap"),
            "must be at least as long as delivery.expire_after ({bound})",
            bound=format_duration(config.delivery.expire_after),
        )


def _check_delivery(config: Config, problems: Problems) -> None:
    for index, route in enumerate(config.delivery.routes):
        for number, host in enumerate(route.hosts):
            name, colon, port = host.rpartition(":")
            if host.startswith("[") or _is_ip(name):
                good = _is_listen_address(host)
            else:
                good = _is_domain(name if colon else host) and (
                    not colon or (port.isdigit() and 0 < int(port) < 65_536)
                )
            if not good:
                problems.add(
                    ("delivery", "routes", index, "hosts", number),
                    "{value} is not an address of a next hop; allowed are texts such as {examples}",
                    value=show(host),
                    examples='"192.0.2.1:25", "[2001:db8::1]:25", "relay.example.com"',
                )
    versions: set[int] = set()
    for index, text in enumerate(config.delivery.source_address):
        path = ("delivery", "source_address", index)
        if not _is_ip(text):
            problems.add(path, "{value} is not an IP address", value=show(text))
            continue
        version = ipaddress.ip_address(text).version
        if version in versions:
            template = "{value} is a second address of its family; one IPv4 and one IPv6 address are allowed"
            problems.add(path, template, value=show(text))
        elif version == 6 and not config.delivery.ipv6:
            problems.add(path, "{value} is not used: delivery.ipv6 is false", value=show(text))
        versions.add(version)
    if config.delivery.helo and not _is_domain(config.delivery.helo):
        problems.add(("delivery", "helo"), "{value} is not a domain name", value=show(config.delivery.helo))
    if config.delivery.return_path and not _is_domain(config.delivery.return_path):
        value = show(config.delivery.return_path)
        problems.add(("delivery", "return_path"), "{value} is not a domain name", value=value)
    for index, server in enumerate(config.dns.nameservers):
        if not _is_ip(server):
            problems.add(("dns", "nameservers", index), "{value} is not an IP address", value=show(server))


def _check_lab(config: Config, problems: Problems) -> None:
    """The switch of ``net.network`` guards connections; a resolver outside is seen here already."""
    if not config.lab.enabled:
        return
    for index, server in enumerate(config.dns.nameservers):
        if _is_ip(server) and not ipaddress.ip_address(server).is_loopback:
            problems.add(
                ("dns", "nameservers", index),
                "{value} is not allowed: with lab.enabled everything stays on loopback",
                value=show(server),
            )
    if not config.dns.nameservers:
        problems.add(("dns", "nameservers"), "must not be empty")


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_domain(text: str) -> bool:
    try:
        to_ascii_domain(text)
    except BadAddress:
        return False
    return True


def _is_listen_address(text: str) -> bool:
    try:
        return parse_listen_address(text).port > 0
    except ValueError:
        return False


def resolve_paths(config: Config, base: Path) -> Config:
    """The same configuration with absolute paths and without blanks that the machine fills in."""
    data_dir = (base / Path(config.data_dir).expanduser()).resolve()

    def absolute(path: str) -> str:
        return str((base / Path(path).expanduser()).resolve())

    listeners = tuple(
        msgspec.structs.replace(
            listener,
            certificates=tuple(
                msgspec.structs.replace(item, certificate=absolute(item.certificate), key=absolute(item.key))
                for item in listener.certificates
            ),
        )
        for listener in config.listeners
    )
    store = config.store
    if store.url.startswith("sqlite:///"):
        file = data_dir / Path(store.url.removeprefix("sqlite:///")).expanduser()
        store = msgspec.structs.replace(store, url=f"sqlite:///{file}")
    return msgspec.structs.replace(
        config,
        hostname=to_ascii_domain(config.hostname) if config.hostname else _machine_name(),
        data_dir=str(data_dir),
        listeners=listeners,
        store=store,
        delivery=_with_return_path(config.delivery),
        log=msgspec.structs.replace(config.log, file=absolute(config.log.file)) if config.log.file else config.log,
    )


def _with_return_path(delivery: DeliveryConfig) -> DeliveryConfig:
    host = delivery.return_path
    return msgspec.structs.replace(delivery, return_path=to_ascii_domain(host)) if host else delivery


def _machine_name() -> str:
    name = socket.getfqdn()
    try:
        return to_ascii_domain(name)
    except BadAddress:
        return "localhost"
