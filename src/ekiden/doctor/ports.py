"""The checks of ``ekiden doctor`` on ports: free, or answered by a running Ekiden that shows the certificate of the
file."""

from __future__ import annotations

import errno
import socket
import ssl
from pathlib import Path
from typing import Final

from ekiden.config.model import Config, ListenerConfig
from ekiden.doctor.checks import Finding, Patient, find
from ekiden.doctor.talk import TROUBLE, get, smtp
from ekiden.listeners.smtp_admission import NOT_ADMITTED, NOT_TRUSTED, TOO_MANY_CONNECTIONS
from ekiden.net.listen import ListenAddress, parse_listen_address
from ekiden.net.tls import TlsError, describe_certificate

_TURNED_AWAY: Final = tuple(reply.text for reply in (NOT_ADMITTED, NOT_TRUSTED, TOO_MANY_CONNECTIONS))
_FIXES: Final = {
    errno.EADDRNOTAVAIL: "this machine does not have that address; correct the configuration",
}


def _http_addresses(config: Config) -> list[str]:
    http = config.http
    return [*http.addresses, *http.monitoring_addresses] if "http" in config.workers.roles else []


async def check_ports(patient: Patient) -> list[Finding]:
    found: list[Finding] = []
    config = patient.config
    jobs: list[tuple[str, str, ListenerConfig | None]] = []
    jobs += [(item.name, address, item) for item in config.served for address in item.addresses]
    jobs += [("http", address, None) for address in _http_addresses(config)]
    for name, address, listener in jobs:
        found += await _port(name, parse_listen_address(address), listener, config.hostname)
    return found


async def _port(name: str, address: ListenAddress, listener: ListenerConfig | None, hostname: str) -> list[Finding]:
    values = {"name": name, "address": str(address)}
    if not address.port:
        return [find("ports", "ok", "Ports", "{name}: any free port on {host}", name=name, host=address.host)]
    error = _bind(address)
    if error is None:
        return [find("ports", "ok", "Ports", "{name}: {address} is free", **values)]
    if error.errno in (errno.EADDRINUSE, errno.EACCES):
        # Who may not bind it can see all the same who answers there.
        answered = await _answered(address, listener, hostname)
        if answered == "":
            what = "{name}: {address} is answered by a running Ekiden"
            found = [find("ports", "ok", "Ports", what, **values)]
            return found + (await _served(name, address, listener) if listener is not None else [])
        if answered is not None:
            what = "{name}: {address} is answered by something else: {greeting}"
            fix = "stop the other program, or choose another port"
            return [find("ports", "fail", "Ports", what, fix, **values, greeting=answered)]
    if error.errno == errno.EADDRINUSE:
        what = "{name}: {address} is in use, but nothing answers there as it should"
        fix = "find out what it is: ss -ltnp"
        return [find("ports", "fail", "Ports", what, fix, **values)]
    if error.errno == errno.EACCES:
        what = "{name}: this user may not listen on {address}"
        fix = "start as root or with CAP_NET_BIND_SERVICE (ekiden service print), or choose a port from 1024 on"
        return [find("ports", "warn", "Ports", what, fix, **values)]
    fix = _FIXES.get(error.errno or 0, "correct the configuration")
    what = "{name}: {address} cannot be listened on: {why}"
    return [find("ports", "fail", "Ports", what, fix, **values, why=error.strerror)]


def _bind(address: ListenAddress) -> OSError | None:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((address.host, address.port))
    except OSError as error:
        return error
    return None


async def _answered(address: ListenAddress, listener: ListenerConfig | None, hostname: str) -> str | None:
    """What answers there: empty, an Ekiden; else its first line; ``None``: nothing that speaks the protocol."""
    try:
        if listener is None:
            status, body = await get(address, "/healthz")
            return "" if (status, body.strip()) == (200, b"ok") else f"HTTP {status}"
        async with smtp(address, listener) as (made, _, greeting):
            ours = hostname in greeting or any(text in greeting for text in _TURNED_AWAY)
            made.write(b"QUIT\r\n")
            return "" if ours else greeting
    except TROUBLE:
        return None


async def _served(name: str, address: ListenAddress, listener: ListenerConfig) -> list[Finding]:
    """Whether clients are shown the certificates that lie in the files: a renewed one is read with SIGHUP."""
    found = []
    for path, server_name in _names(listener):
        try:
            wanted = _first(path)
            shown = await _shown(address, listener, server_name)
        except TROUBLE:
            continue  # busy at this moment, or told by the check of certificates
        if shown is not None and shown != wanted:
            what = "{name}: {address} shows another certificate than the one in {path}"
            fix = "the file was changed: tell the running Ekiden with SIGHUP (systemctl reload ekiden)"
            values = {"name": name, "address": str(address), "path": path}
            found.append(find("ports", "fail", "Certificates", what, fix, **values))
    return found


def _first(path: str) -> bytes:
    """The first certificate in a PEM file, DER. Raises ``TROUBLE``."""
    pem = Path(path).read_text("ascii")
    end = "-----END CERTIFICATE-----"
    start = pem.index("-----BEGIN CERTIFICATE-----")
    return ssl.PEM_cert_to_DER_cert(pem[start : pem.index(end, start) + len(end)])


def _names(listener: ListenerConfig) -> list[tuple[str, str | None]]:
    """For each certificate a name by which clients get it, as ``net.tls`` chooses; the first is the default."""
    owner: dict[str, str] = {}
    chosen: list[tuple[str, str | None]] = []
    for number, item in enumerate(listener.certificates):
        try:
            names = [name.lower() for name in describe_certificate(item.certificate).names]
        except TlsError:
            continue
        own = [name for name in names if owner.setdefault(name, item.certificate) == item.certificate]
        own = [name for name in own if ":" not in name and not name.replace(".", "").isdigit()]
        if not number:
            chosen.append((item.certificate, None))
        elif own:
            chosen.append((item.certificate, own[0].replace("*.", "doctor.", 1)))
    return chosen


async def _shown(address: ListenAddress, listener: ListenerConfig, server_name: str | None) -> bytes | None:
    """The certificate (DER) that a client gets; ``None``: it got no TLS at all."""
    if listener.mode == "plain":
        return None
    async with smtp(address, listener, server_name) as (made, greeted, _):
        if listener.mode == "tls":
            shown: bytes | None = made.certificate()
        else:
            if greeted != 220:
                return None
            await made.ask("EHLO doctor.localhost")
            code, _ = await made.ask("STARTTLS")
            shown = await made.start_tls(server_name) if code == 220 else None
        made.write(b"QUIT\r\n")
        return shown
