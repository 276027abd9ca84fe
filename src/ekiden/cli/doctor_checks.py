"""The checks of ``ekiden doctor`` on this machine: files, disk, ports, certificates, clock, database, workers.

Each is a small function from the ``Patient`` to findings. A check looks, it repairs nothing; what it writes (a row,
a file) it takes away again. Those that ask DNS are in ``doctor_dns``.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import ssl
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import func, select, text

from ekiden.cli.doctor_texts import TEXTS
from ekiden.cli.tables import local_time, octets, span
from ekiden.core.clock import DAY, HOUR, MINUTE, SECOND, Clock, Millis
from ekiden.core.ids import EPOCH
from ekiden.core.states import State
from ekiden.core.texts import Language
from ekiden.net.listen import ListenAddress, parse_listen_address
from ekiden.net.tls import CertificateFiles, ServerTls, TlsError, client_context, describe_certificate
from ekiden.server.config import Config, ListenerConfig
from ekiden.store.api import Store
from ekiden.store.tables import worker

Level = Literal["ok", "warn", "fail"]

LITTLE_SPACE: Final = 1 << 30
"""Octets free below which the disk is worth a warning."""
NO_SPACE: Final = 200 << 20
"""Octets free below which mail will soon stop."""
_ANSWER_TIMEOUT: Final = 3.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. ``title`` and the templates are keys of ``doctor_texts``; ``fix`` may be empty."""

    check: str
    level: Level
    title: str
    what: str
    fix: str
    values: dict[str, Any]

    def told(self, lang: Language) -> tuple[str, str, str]:
        """Title, what was found and what to do, in the language; a value may be a text for each."""
        values = {name: item[lang] if isinstance(item, Mapping) else item for name, item in self.values.items()}
        title, what, fix = (TEXTS(template, lang, **values) for template in (self.title, self.what, self.fix))
        return title, what, fix


@dataclass(slots=True)
class Patient:
    """What the checks look at. ``store`` is ``None`` when it could not be opened."""

    config: Config
    clock: Clock
    store: Store | None = None


Check = Callable[[Patient], Coroutine[Any, Any, list[Finding]]]


def find(check: str, level: Level, title: str, what: str, fix: str = "", **values: Any) -> Finding:
    return Finding(check, level, title, what, fix, values)


# ---- configuration, disk, files


async def check_configuration(patient: Patient) -> list[Finding]:
    config = patient.config
    found = []
    if not config.listeners and "smtp" in config.workers.roles:
        found.append(
            find(
                "config",
                "warn",
                "Configuration",
                "there is no listener: nobody can submit mail",
                "add [[listeners]] to the configuration; ekiden init writes an example",
            )
        )
    if "delivery" not in config.workers.roles:
        found.append(
            find(
                "config",
                "warn",
                "Configuration",
                "workers of this machine do not deliver (workers.roles)",
                "make sure that another machine on the same database does",
            )
        )
    return found or [find("config", "ok", "Configuration", "it can be read, and its keys fit together")]


async def check_disk(patient: Patient) -> list[Finding]:
    folder = _nearest(Path(patient.config.data_dir))
    try:
        usage = shutil.disk_usage(folder)
        files = os.statvfs(folder)
    except OSError as error:
        return [
            find(
                "disk",
                "fail",
                "Disk",
                "{path} cannot be looked at: {why}",
                "create the folder, and let Ekiden's user read and write it",
                path=folder,
                why=error.strerror,
            )
        ]
    level: Level = "fail" if usage.free < NO_SPACE else "warn" if usage.free < LITTLE_SPACE else "ok"
    fix = "make room: without it no message can be accepted" if level != "ok" else ""
    values = {"path": folder, "free": octets(usage.free), "percent": round(100 * usage.free / max(usage.total, 1))}
    found = [find("disk", level, "Disk", "{free} free ({percent} %) where {path} lies", fix, **values)]
    if files.f_files and files.f_favail < 1000:
        found.append(
            find(
                "disk",
                "fail",
                "Disk",
                "only {count} more files can be created where {path} lies (inodes)",
                "remove files",
                count=files.f_favail,
                path=folder,
            )
        )
    if not os.access(folder, os.W_OK):
        found.append(
            find(
                "disk",
                "fail",
                "Disk",
                "{path} cannot be written by this user",
                "let Ekiden's user write it, or run the doctor as that user",
                path=folder,
            )
        )
    return found


def _nearest(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


# ---- certificates and ports


async def check_certificates(patient: Patient) -> list[Finding]:
    config = patient.config
    found: list[Finding] = []
    pairs = {
        (item.certificate, item.key): listener.name
        for listener in config.listeners
        for item in listener.certificates
    }
    for (certificate, key), listener in pairs.items():
        found += _certificate(certificate, key, listener, patient.clock.now())
    names: set[str] = set()
    for listener_config in config.listeners:
        for item in listener_config.certificates:
            try:
                names.update(describe_certificate(item.certificate).names)
            except TlsError:
                continue
    wildcard = "*." + config.hostname.partition(".")[2]
    if names and config.hostname not in names and wildcard not in names:
        found.append(
            find(
                "certificates",
                "warn",
                "Certificates",
                "none is for the host name {hostname}; there are {names}",
                "clients that connect to this name will refuse it: get a certificate for it",
                hostname=config.hostname,
                names=", ".join(sorted(names)),
            )
        )
    return found


def _certificate(certificate: str, key: str, listener: str, now: Millis) -> list[Finding]:
    try:
        ServerTls([CertificateFiles(certificate, key)])
        facts = describe_certificate(certificate)
    except TlsError as error:
        return [
            find(
                "certificates",
                "fail",
                "Certificates",
                "listener {listener}: {why}",
                "put a certificate and the key that belongs to it there",
                listener=listener,
                why=error,
            )
        ]
    values: dict[str, Any] = {"path": certificate, "end": local_time(facts.not_after)}
    if facts.not_after <= now:
        fix = "renew it, then tell the running Ekiden with SIGHUP"
        return [find("certificates", "fail", "Certificates", "{path} has expired: {end}", fix, **values)]
    if facts.not_before > now:
        values["start"] = local_time(facts.not_before)
        fix = "check this machine's clock, or wait"
        return [find("certificates", "fail", "Certificates", "{path} is not valid before {start}", fix, **values)]
    if facts.not_after - now < 14 * DAY:
        fix = "renew it, then tell the running Ekiden with SIGHUP"
        return [find("certificates", "warn", "Certificates", "{path} expires soon: {end}", fix, **values)]
    if facts.self_signed:
        what = "{path} is valid until {end}; it is self-signed, so clients must be told to trust it"
        return [find("certificates", "ok", "Certificates", what, **values)]
    return [find("certificates", "ok", "Certificates", "{path} is valid until {end}", **values)]


async def check_ports(patient: Patient) -> list[Finding]:
    found: list[Finding] = []
    config = patient.config
    jobs: list[tuple[str, str, ListenerConfig | None]] = []
    if "smtp" in config.workers.roles:
        jobs += [(item.name, address, item) for item in config.listeners for address in item.addresses]
    if "http" in config.workers.roles:
        jobs += [("http", address, None) for address in config.http.addresses]
    for name, address, listener in jobs:
        found.append(await _port(name, parse_listen_address(address), listener, config.hostname))
    return found


async def _port(name: str, address: ListenAddress, listener: ListenerConfig | None, hostname: str) -> Finding:
    values = {"name": name, "address": str(address)}
    if not address.port:
        return find("ports", "ok", "Ports", "{name}: any free port on {host}", name=name, host=address.host)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((address.host, address.port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                fixes = {
                    errno.EACCES: "start as root or with CAP_NET_BIND_SERVICE, or choose a port from 1024 on",
                    errno.EADDRNOTAVAIL: "this machine does not have that address; correct the configuration",
                }
                fix = fixes.get(error.errno or 0, "correct the configuration")
                what = "{name}: {address} cannot be listened on: {why}"
                return find("ports", "fail", "Ports", what, fix, **values, why=error.strerror)
        else:
            return find("ports", "ok", "Ports", "{name}: {address} is free", **values)
    greeting = await _greeting(address, listener)
    if greeting and (listener is None or hostname in greeting):
        return find("ports", "ok", "Ports", "{name}: {address} is answered by a running Ekiden", **values)
    if greeting:
        what = "{name}: {address} is answered by something else: {greeting}"
        fix = "stop the other program, or choose another port"
        return find("ports", "fail", "Ports", what, fix, **values, greeting=greeting)
    what = "{name}: {address} is in use, but nothing answers there as it should"
    fix = "find out what it is: ss -ltnp"
    return find("ports", "fail", "Ports", what, fix, **values)


async def _greeting(address: ListenAddress, listener: ListenerConfig | None) -> str:
    """The first line of what answers: of SMTP (inside TLS when the listener is so), or of ``/healthz``."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)
    context = client_context() if listener is not None and listener.mode == "tls" else None
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT):
            reader, writer = await asyncio.open_connection(host, address.port, ssl=context)
            try:
                if listener is None:
                    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    answer = await reader.read(65_536)
                    good = answer.startswith(b"HTTP/1.1 200") and answer.rstrip().endswith(b"ok")
                    return "healthz" if good else ""
                line = await reader.readline()
                writer.write(b"QUIT\r\n")
                return line.decode("utf-8", "replace").strip()
            finally:
                writer.close()
                await _closed(writer)
    except (OSError, TimeoutError, ValueError, ssl.SSLError):
        return ""


async def _closed(writer: asyncio.StreamWriter) -> None:
    try:
        await writer.wait_closed()
    except OSError:
        return


# ---- database, clock, queue, workers


async def check_clock(patient: Patient) -> list[Finding]:
    now = patient.clock.now()
    fix = "let this machine's clock be set by NTP (chrony, systemd-timesyncd)"
    if now < EPOCH:
        what = "the clock says {now}, which is before Ekiden was written"
        return [find("clock", "fail", "Clock", what, fix, now=local_time(now))]
    found: list[Finding] = []
    if patient.store is not None:
        found += await _store_clock(patient.store, patient.clock, fix)
    found += _file_clock(patient, fix)
    return found or [
        find("clock", "ok", "Clock", "it agrees with the database and the file system; no one else was asked")
    ]


async def _store_clock(store: Store, clock: Clock, fix: str) -> list[Finding]:
    found: list[Finding] = []
    async with store.read() as connection:
        if store.engine == "postgresql":
            theirs = await connection.scalar(text("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"))
            distance = abs(int(theirs or 0) - clock.now())
            if distance > 2 * SECOND:
                level: Level = "fail" if distance > MINUTE else "warn"
                what = "this machine and the database's differ by {length}"
                found.append(find("clock", level, "Clock", what, fix, length=span(distance)))
        started = await connection.scalar(select(func.max(worker.c.started_at)))
    if started is not None and started > clock.now() + MINUTE:
        what = "a worker was started in the future, {length} from now: a clock was wrong, or was set back"
        found.append(find("clock", "fail", "Clock", what, fix, length=span(started - clock.now())))
    return found


def _file_clock(patient: Patient, fix: str) -> list[Finding]:
    folder = _nearest(Path(patient.config.data_dir))
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"tick")
            file.flush()
            distance = abs(os.fstat(file.fileno()).st_mtime_ns // 1_000_000 - patient.clock.now())
    except OSError:
        return []  # told by the check of the disk
    if distance <= 5 * SECOND:
        return []
    what = "this machine and the file system of {path} differ by {length}"
    return [find("clock", "warn", "Clock", what, fix, path=folder, length=span(distance))]


async def check_queue(patient: Patient) -> list[Finding]:
    store = patient.store
    if store is None:
        return []
    stats = await store.stats()
    now = patient.clock.now()
    counts = ", ".join(
        f"{count:,} {state.name.lower()}" for state, count in sorted(stats.by_state.items()) if count
    )
    late = now - stats.oldest_due if stats.oldest_due is not None else 0
    found = []
    if late > 10 * MINUTE:
        level: Level = "fail" if late > HOUR or not stats.workers else "warn"
        what = "the oldest delivery has been due for {length}, and nobody takes it ({counts})"
        fix = "start ekiden serve; if it runs, look at its log: it is overloaded or cannot connect"
        found.append(find("queue", level, "Queue", what, fix, length=span(late), counts=counts))
    else:
        found.append(find("queue", "ok", "Queue", "{counts}" if counts else "empty", counts=counts))
    held = stats.by_state.get(State.HELD, 0)
    if held:
        what = "held deliveries, which wait for a person: {count}"
        fix = "ekiden queue list --state held; then ekiden queue release or cancel"
        found.append(find("queue", "warn", "Queue", what, fix, count=f"{held:,}"))
    return found


async def check_workers(patient: Patient) -> list[Finding]:
    if patient.store is None:
        return []
    now = patient.clock.now()
    async with patient.store.read() as connection:
        rows = (await connection.execute(select(worker).where(worker.c.ended_at.is_(None)))).all()
    dead = [row for row in rows if row.expires_at <= now]
    alive = len(rows) - len(dead)
    found = []
    for row in dead:
        found.append(
            find(
                "workers",
                "warn",
                "Workers",
                "worker {id} ({host}, process {pid}) died: its lease ended {length} ago",
                "a running Ekiden frees what it had within seconds; if none runs, start it",
                id=row.id,
                host=row.host,
                pid=row.pid,
                length=span(now - row.expires_at),
            )
        )
    if alive:
        hosts = ", ".join(sorted({row.host for row in rows if row.expires_at > now}))
        found.append(find("workers", "ok", "Workers", "{count} alive on {hosts}", count=alive, hosts=hosts))
    else:
        found.append(find("workers", "warn", "Workers", "none is running", "start one: ekiden serve"))
    return found
