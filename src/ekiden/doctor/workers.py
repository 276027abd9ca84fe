"""The checks of ``ekiden doctor`` on who works: living workers, what each role of them does, and the queue."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ekiden.config.model import ALL_ROLES, Role
from ekiden.core.clock import MINUTE
from ekiden.core.states import State
from ekiden.delivery.explain import state_counts
from ekiden.doctor import queries
from ekiden.doctor.checks import Finding, Patient, find, in_each, length_of
from ekiden.store.workers import roles_alive

LATE: Final = 10 * MINUTE
"""Milliseconds that a delivery may be due before nobody seems to take the queue."""
NOBODY: Final[dict[Role, str]] = {
    "smtp": "no living worker has the role smtp: nobody can submit mail",
    "inbound": "no living worker has the role inbound: bounces and mail to inbound routes do not come in",
    "http": "no living worker has the role http: the HTTP APIs and links in mails do not answer",
    "delivery": "no living worker has the role delivery: nothing leaves the queue",
    "notify": "no living worker has the role notify: nobody is told by callbacks",
    "housekeeping": (
        "no living worker has the role housekeeping: domains are not checked, work of crashed workers is not taken "
        "over"
    ),
}
_FULL: Final = 0.8  # of the descriptors of a process
_OPEN_FILES: Final = re.compile(r"^Max open files\s+(\d+)", re.MULTILINE)


async def check_workers(patient: Patient) -> list[Finding]:
    """Somebody has to do each role, on this machine or on another one of the installation."""
    if patient.store is None:
        return []
    now = await patient.store.now()  # leases go by that
    async with patient.store.read() as connection:
        rows = await queries.workers(connection)
        needed = [role for role in ALL_ROLES if role != "inbound" or patient.config.receives]
        alive_by_role = await roles_alive(connection, needed, now)
    found = []
    for row in rows:
        if row.expires_at > now:
            continue
        what = "worker {id} ({host}, process {pid}) died: its lease ended {length} ago"
        fix = "a running Ekiden frees what it had within seconds; if none runs, start it"
        found.append(
            find(
                "workers",
                "warn",
                "Workers",
                what,
                fix,
                id=row.id,
                host=row.host,
                pid=row.pid,
                length=length_of(now - row.expires_at),
            )
        )
    living = [row for row in rows if row.expires_at > now]
    if not living:
        return [*found, find("workers", "fail", "Workers", "none is running", "start one: ekiden serve")]
    hosts = ", ".join(sorted({row.host for row in living}))
    found.append(find("workers", "ok", "Workers", "{count} alive on {hosts}", count=len(living), hosts=hosts))
    fix = "add it to workers.roles or to serve --roles, here or on another machine of the installation"
    found += [find("workers", "fail", "Workers", NOBODY[role], fix) for role in needed if not alive_by_role[role]]
    return found + _descriptors(living)


def _descriptors(living: Sequence[Any]) -> list[Finding]:
    """Of workers on this machine, whose limit is that of their service, not of whoever asks."""
    found = []
    for row in living:
        if row.host != socket.gethostname():
            continue
        process = Path("/proc") / str(row.pid)
        with suppress(OSError, ValueError):  # not of this container, gone, or another user's
            limit = _OPEN_FILES.search((process / "limits").read_text())
            used = len(os.listdir(process / "fd"))
            if limit is None or used < int(limit[1]) * _FULL:
                continue
            what = "worker {id} (process {pid}) has {used} of {limit} files open: soon it takes no more connections"
            fix = "raise LimitNOFILE= of the service; or lower smtp.max_connections and http.max_connections"
            values = {"id": row.id, "pid": row.pid, "used": used, "limit": limit[1]}
            found.append(find("workers", "warn", "Open files", what, fix, **values))
    return found


async def check_queue(patient: Patient) -> list[Finding]:
    store = patient.store
    if store is None:
        return []
    stats = await store.stats()
    now, leases = patient.clock.now(), await store.now()
    async with store.read() as connection:
        takers = (await roles_alive(connection, ("delivery",), leases))["delivery"]
    counted = {state: count for state, count in stats.by_state.items() if count}
    counts = in_each(lambda lang: state_counts(counted, lang))
    late = now - stats.oldest_due if stats.oldest_due is not None else 0
    found = []
    if late > LATE or (late > 0 and not takers):
        what = "the oldest delivery has been due for {length}, and nobody takes it ({counts})"
        fix = "start ekiden serve; if it runs, look at its log: it is overloaded or cannot connect"
        found.append(find("queue", "fail", "Queue", what, fix, length=length_of(late), counts=counts))
    else:
        found.append(find("queue", "ok", "Queue", "{counts}" if counted else "empty", counts=counts))
    held = stats.by_state.get(State.HELD, 0)
    if held:
        what = "held deliveries, which wait for a person: {count}"
        fix = "ekiden queue list --state held; then ekiden queue release or cancel with an id, a filter or --all"
        found.append(find("queue", "warn", "Queue", what, fix, count=f"{held:,}"))
    return found
