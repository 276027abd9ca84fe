"""The check of ``ekiden doctor`` on the clock, beside those of the database, the file system and the kernel."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ekiden.core.clock import MINUTE, SECOND, Clock
from ekiden.core.display import local_time
from ekiden.core.ids import EPOCH
from ekiden.doctor.checks import Finding, Level, Patient, find, length_of
from ekiden.doctor.disk import nearest
from ekiden.doctor.queries import last_start
from ekiden.process.clock_watch import MOST_OFFSET, clock_offset
from ekiden.process.process_limits import clock_runs_free
from ekiden.store.api import Store


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
        started = await last_start(connection)
    if started is not None and started > clock.now() + MINUTE:
        what = "a worker was started in the future, {length} from now: a clock was wrong, or was set back"
        found.append(find("clock", "fail", "Clock", what, fix, length=length_of(started - clock.now())))
    return found


def _file_clock(patient: Patient, fix: str) -> list[Finding]:
    folder = nearest(Path(patient.config.data_dir))
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
