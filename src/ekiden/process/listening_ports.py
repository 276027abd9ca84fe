"""Addresses that ``ekiden serve`` listens on: found free, and kept for the workers, before the first one starts.

Each worker opens a listening socket of its own (SO_REUSEPORT). What is held here is bound but does not listen: it
decides port 0 once for all workers, and keeps the port from others while no worker lives.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

from ekiden.config.model import Config
from ekiden.core.texts import TranslatedError
from ekiden.net.listen import ListenAddress, parse_listen_address
from ekiden.process.translations import TEXTS


class PortError(TranslatedError):
    """An address cannot be listened on; names the listener and the reason."""


@dataclass
class Ports:
    """``smtp`` has the addresses of each listener by name; port numbers are the real ones."""

    smtp: dict[str, list[ListenAddress]] = field(default_factory=dict)
    http: list[ListenAddress] = field(default_factory=list)
    monitoring: list[ListenAddress] = field(default_factory=list)
    held: dict[ListenAddress, socket.socket] = field(default_factory=dict)
    asked: dict[tuple[str, ListenAddress], ListenAddress] = field(default_factory=dict)
    """What was configured, by user and address, with what it became: port 0 stays the same over a reload."""

    def all(self) -> Iterator[ListenAddress]:
        for addresses in self.smtp.values():
            yield from addresses
        yield from self.http
        yield from self.monitoring

    def named(self) -> dict[str, list[str]]:
        """For logs: ``{"submission": ["0.0.0.0:587"], "http": […]}``."""
        named = {name: [str(address) for address in addresses] for name, addresses in self.smtp.items()}
        if self.http:
            named["http"] = [str(address) for address in self.http]
        if self.monitoring:
            named["http.monitoring"] = [str(address) for address in self.monitoring]
        return named

    def close(self, keep: Ports | None = None) -> None:
        for address, held in self.held.items():
            if keep is None or keep.held.get(address) is not held:
                held.close()


def reserve_ports(config: Config, before: Ports | None = None) -> Ports:
    """Hold every address of the configuration; those in ``before`` are taken over. Raises ``PortError``."""
    before = before or Ports()
    ports = Ports()
    roles = config.workers.roles
    wanted: list[tuple[str, str, list[ListenAddress]]] = []
    for listener in config.served:
        places = ports.smtp[listener.name] = []
        wanted += [(f"listeners.{listener.name}", text, places) for text in listener.addresses]
    if "http" in roles:
        wanted += [("http", text, ports.http) for text in config.http.addresses]
        monitoring = config.http.monitoring_addresses
        wanted += [("http.monitoring_addresses", text, ports.monitoring) for text in monitoring]
    try:
        for who, text, places in wanted:
            address = parse_listen_address(text)
            real = before.asked.get((who, address))
            if real is None or real not in before.held:
                known = next((held for held in before.held if held == address), None)
                real, held = (known, before.held[known]) if known is not None else _hold(who, address)
            else:
                held = before.held[real]
            ports.asked[who, address] = real
            ports.held[real] = held
            places.append(real)
    except BaseException:
        ports.close(keep=before)
        raise
    return ports


def _hold(who: str, address: ListenAddress) -> tuple[ListenAddress, socket.socket]:
    try:
        if address.port:
            # With SO_REUSEPORT a second Ekiden would share the port in silence; without, it is noticed.
            _bind(address, shared=False).close()
        held = _bind(address, shared=True)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortError(
                TEXTS, "{who}: {address} is in use by another program", who=who, address=address
            ) from None
        if error.errno == errno.EADDRNOTAVAIL:
            raise PortError(
                TEXTS, "{who}: this machine does not have the address {address}", who=who, address=address.host
            ) from None
        if error.errno == errno.EACCES:
            raise PortError(
                TEXTS, "{who}: not allowed to listen on {address} (ports below 1024)", who=who, address=address
            ) from None
        raise PortError(
            TEXTS, "{who}: cannot listen on {address}: {why}", who=who, address=address, why=error.strerror
        ) from None
    return ListenAddress(address.host, held.getsockname()[1]), held


def _bind(address: ListenAddress, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(tuple(address))
    except BaseException:
        made.close()
        raise
    return made
