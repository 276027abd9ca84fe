"""The checks of ``ekiden doctor`` on this machine: configuration, disk, certificates, clock.

Each is a small function from the ``Patient`` to findings. A check looks, it repairs nothing; what it writes (a row,
a file) it takes away again. Those that ask DNS are in ``doctor.dns``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import func, select

from ekiden.config.model import Config
from ekiden.core.clock import DAY, MINUTE, SECOND, Clock, Millis
from ekiden.core.display import local_time, octets, span
from ekiden.core.ids import EPOCH
from ekiden.core.texts import Language
from ekiden.doctor.translations import TEXTS
from ekiden.net.tls import CertificateFiles, ServerTls, TlsError, describe_certificate
from ekiden.process.clock_watch import MOST_OFFSET, clock_offset
from ekiden.process.process_limits import clock_runs_free
from ekiden.store.api import Store
from ekiden.store.tables import worker

Level = Literal["ok", "warn", "fail"]

LITTLE_SPACE: Final = 1 << 30
"""Octets free below which the disk is worth a warning."""
NO_SPACE: Final = 200 << 20
"""Octets free below which mail will soon stop."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. ``title`` and the templates are keys of ``doctor.translations``; ``fix`` may be empty."""

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
    """What the checks look at. ``store`` is ``None`` when it could not be opened; ``outbound`` the host whose port
    25 is to be tried, if one was named."""

    config: Config
    clock: Clock
    store: Store | None = None
    outbound: str = ""


Check = Callable[[Patient], Coroutine[Any, Any, list[Finding]]]


def in_each(text: Callable[[Language], str]) -> dict[Language, str]:
    """A value that is a text for people: in each language."""
    return {"en": text("en"), "ja": text("ja")}


def length_of(length: Millis) -> dict[Language, str]:
    """A value that is a length of time."""
    return in_each(lambda lang: span(length, lang))


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
    return found or [find("config", "ok", "Configuration", "it can be read, and its keys fit together")]


async def check_disk(patient: Patient) -> list[Finding]:
    """Where the keys lie, and the database when it is SQLite: that may be another disk."""
    folders = [_nearest(Path(patient.config.data_dir))]
    url = patient.config.store_url()
    if url.startswith("sqlite:///"):
        folders.append(_nearest(Path(url.removeprefix("sqlite:///")).parent))
    return [finding for folder in dict.fromkeys(folders) for finding in _disk(folder)]


def _disk(folder: Path) -> list[Finding]:
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


# ---- certificates


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


# ---- clock


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
    if not patient.config.lab.enabled and clock_runs_free():
        what = "the kernel says that nothing sets this machine's clock"
        found.append(find("clock", "warn", "Clock", what, fix))
    return found or [
        find("clock", "ok", "Clock", "it agrees with the database and the file system; no one else was asked")
    ]


async def _store_clock(store: Store, clock: Clock, fix: str) -> list[Finding]:
    found: list[Finding] = []
    offset = abs(await clock_offset(store, clock))
    if offset > 2:
        level: Level = "fail" if offset > MOST_OFFSET else "warn"  # workers would not start
        what = "this machine and the database's differ by {length}"
        found.append(find("clock", level, "Clock", what, fix, length=length_of(round(offset * SECOND))))
    async with store.read() as connection:
        started = await connection.scalar(select(func.max(worker.c.started_at)))
    if started is not None and started > clock.now() + MINUTE:
        what = "a worker was started in the future, {length} from now: a clock was wrong, or was set back"
        found.append(find("clock", "fail", "Clock", what, fix, length=length_of(started - clock.now())))
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
    return [find("clock", "warn", "Clock", what, fix, path=folder, length=length_of(distance))]
