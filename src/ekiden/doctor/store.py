"""The checks of ``ekiden doctor`` on the database: whether it can be written."""

from __future__ import annotations

import os
import time

from ekiden.core.clock import SECOND
from ekiden.core.ids import format_id
from ekiden.doctor.checks import Finding, Patient, find, in_each, length_of
from ekiden.doctor.queries import unreadable, write_and_remove
from ekiden.process.instance_key import look
from ekiden.store.api import StoreError
from ekiden.store.sqlite.turn import holder
from ekiden.store.url import parse_url


async def check_database(patient: Patient) -> list[Finding]:
    """Writes a row and takes it away in one transaction: that is what accepting a message needs."""
    store = patient.store
    if store is None:
        return []  # told when it was opened
    now = patient.clock.now()
    started = time.monotonic()
    name = f"doctor {os.getpid()}"
    try:
        async with store.write() as connection:
            await write_and_remove(connection, name, now)
    except StoreError as error:
        holding = _holder(patient)
        if holding is not None:
            what = "nobody can write: process {pid} has the turn to write and does not give it back"
            fix = "if it is stopped, let it go on (kill -CONT {pid}) or end it"
            return [find("database", "fail", "Database", what, fix, pid=holding)]
        fix = "look at the disk, at file permissions and at the database's own log"
        return [find("database", "fail", "Database", "it cannot be written: {why}", fix, why=error)]
    length = length_of(round((time.monotonic() - started) * SECOND))
    what = "{engine}: reachable, its tables are current, a commit took {length}"
    return [find("database", "ok", "Database", what, engine=store.engine, length=length)]


async def check_key(patient: Patient) -> list[Finding]:
    """Whether the instance key is the one that the secrets in the database are sealed with."""
    if patient.store is None:
        return []
    found = await look(patient.config, patient.store)
    if not found.usable:
        return [find("key", "fail", "Instance key", "{why}", why=in_each(found.trouble().text))]
    closed = sum(found.census.closed.values()) if found.census else 0
    if closed:
        what = "{path} is the key of the database, but {count} of its secrets were sealed with another key"
        fix = "see what they are, and how to make new ones: ekiden db key; ekiden db key --help"
        return [find("key", "warn", "Instance key", what, fix, path=found.path, count=f"{closed:,}")]
    what = "{path} is the key of the database; keep a copy of it in a safe place"
    if found.state == "unbound":
        what = "the database has no key yet; it gets {path} when Ekiden starts"
    return [find("key", "ok", "Instance key", what, path=found.path)]


async def check_rows(patient: Patient) -> list[Finding]:
    """Deliveries that are held because a row cannot be read, or an outcome could not be written."""
    if patient.store is None:
        return []
    async with patient.store.read() as connection:
        count, first = await unreadable(connection)
    if first is None:
        return []
    what = "{count} deliveries are held because rows cannot be read or written; the first is of {id}"
    fix = "see why (ekiden trace {id}), mend the row or cancel them, then: ekiden queue release {id}"
    return [find("rows", "warn", "Database", what, fix, count=count, id=format_id(first))]


def _holder(patient: Patient) -> int | None:
    url = parse_url(patient.config.store_url())
    return holder(url.path) if url.engine == "sqlite" else None
