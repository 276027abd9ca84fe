"""Workers whose store goes away: they stay, say so, refuse for the time being, and go on when it is back."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import smtplib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ekiden.store.open import upgrade
from ekiden.store.postgresql.embedded import EmbeddedPostgres
from support.commands import run_command

LEASE = 2.0
"""Seconds, in ``Serving.settings``."""


@pytest.fixture
def served(serving: Any) -> Any:
    """Mail from here is the account "relay"'s, whatever it is sent as."""
    relaying(serving)
    return serving


def relaying(serving: Any) -> None:
    listener = serving.settings["listeners"][0]
    listener.update(mode="plain", trusted_networks=["127.0.0.0/8"], trusted_account="relay")
    listener.pop("certificates")
    serving.write()
    arguments = ["account", "create", "relay", "--senders", "any", "--config", str(serving.config)]
    run_command(arguments, dict(os.environ)).check_returncode()


def submit(serving: Any, text: str = "hello") -> int:
    """The reply to one message."""
    with smtplib.SMTP(*serving.facts["smtp"]["submission"][0], timeout=60) as client:
        try:
            client.sendmail("a@sender.test", ["b@recipient.test"], f"Subject: {text}\r\n\r\n{text}\r\n")
        except smtplib.SMTPDataError as error:
            return error.smtp_code
        except smtplib.SMTPSenderRefused as error:
            return error.smtp_code
        except smtplib.SMTPRecipientsRefused as error:
            return next(iter(error.recipients.values()))[0]
    return 250


def ready(serving: Any) -> tuple[int, list[str]]:
    status, body = serving.get("/readyz")
    return status, json.loads(body)["missing"]


def rows(serving: Any, query: str) -> list[Any]:
    with closing(sqlite3.connect(serving.directory / "ekiden.db", timeout=30)) as database:
        return database.execute(query).fetchall()


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)


def test_a_worker_that_was_taken_for_dead_is_registered_anew_and_stays(served: Any, eventually: Any) -> None:
    facts = served.start()
    (worker,) = served.workers()
    with smtplib.SMTP(*facts["smtp"]["submission"][0], timeout=30) as client:
        client.ehlo()
        with closing(sqlite3.connect(served.directory / "ekiden.db", timeout=30)) as database, database:
            database.execute("UPDATE worker SET ended_at = 1")
        line = eventually(lambda: served.said("this worker is registered anew"), "another registration")
        assert client.noop()[0] == 250  # the session of before
    assert submit(served) == 250
    assert served.workers() == [worker]
    alive = rows(served, "SELECT id, pid FROM worker WHERE ended_at IS NULL")
    assert alive == [(line["registration"], worker)]
    # What it accepts now is tried in its new name: there is nobody who would have it, and the attempt says so.
    eventually(
        lambda: rows(served, f"SELECT 1 FROM attempt WHERE worker = {line['registration']}"),
        "an attempt of its own",
    )
    assert ready(served) == (200, [])
    assert served.stop() == 0
    assert rows(served, "SELECT count(*) FROM worker WHERE ended_at IS NULL") == [(0,)]


def test_a_worker_outlives_a_lease_without_its_store(served: Any, eventually: Any) -> None:
    """On SQLite: somebody else keeps the file locked."""
    served.start()
    workers = served.workers()
    assert submit(served) == 250
    before = rows(served, "SELECT id FROM worker")
    with closing(sqlite3.connect(served.directory / "ekiden.db", isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        eventually(
            lambda: served.said("the lease runs out: nothing new is begun until the store answers"), "a word"
        )
        assert submit(served) == 451
        assert served.get("/healthz") == (200, b"ok\n")
        assert ready(served) == (503, ["store"])
        assert served.metric("ekiden_store_away_seconds") >= LEASE / 2
        eventually(lambda: served.metric("ekiden_workers_without_store") == 1, "the number of workers that wait")
        stranger.execute("ROLLBACK")
    eventually(lambda: served.said("the store answers again"), "the store")
    eventually(lambda: ready(served) == (200, []), "readiness")
    assert submit(served) == 250
    assert served.workers() == workers
    assert rows(served, "SELECT id FROM worker") == before  # its own registration, good again
    assert served.metric("ekiden_store_away_seconds") == 0
    assert served.stop() == 0


@pytest.fixture
def own_postgresql(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path / "pg", durable=False) as server:
        asyncio.run(upgrade(server.url()))
        yield server


def processes_of(server: EmbeddedPostgres) -> list[int]:
    """The server, and all that works for it."""
    pid = int((server.directory / "data" / "postmaster.pid").read_text().split("\n")[0])
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


async def asked(url: str, query: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


@pytest.mark.parametrize("how", ["gone", "silent"])
def test_workers_outlive_a_server_that_is_away(
    serving: Any, eventually: Any, own_postgresql: EmbeddedPostgres, how: str
) -> None:
    """It ends and comes back, or stands still with all its connections open."""
    url = own_postgresql.url()
    serving.settings["store"] = {"url": url}
    relaying(serving)
    serving.start("--workers", "2")
    workers = serving.workers()
    accepted = 0
    for _ in range(5):
        assert submit(serving) == 250
        accepted += 1
    if how == "silent":
        with stopped(processes_of(own_postgresql)):
            refused(serving, eventually)
    else:
        own_postgresql.kill()
        refused(serving, eventually)
        own_postgresql.start()
    eventually(lambda: serving.said("the store answers again"), "the store")
    eventually(lambda: submit(serving) == 250, "a message that is accepted again")
    accepted += 1
    eventually(lambda: ready(serving) == (200, []), "readiness")
    assert serving.workers() == workers
    alive = "SELECT pid FROM worker WHERE ended_at IS NULL"
    eventually(lambda: {row[0] for row in asyncio.run(asked(url, alive))} == set(workers), "both registrations")
    ((kept,),) = asyncio.run(asked(url, "SELECT count(*) FROM message"))
    assert kept >= accepted  # nothing that was acknowledged is lost
    sending = "SELECT 1 FROM delivery WHERE state = 4 OR attempts = 0"
    eventually(lambda: not asyncio.run(asked(url, sending)), "an attempt at each of them")
    assert serving.stop() == 0


def refused(serving: Any, eventually: Any) -> None:
    """What clients meet while the store is away for longer than leases last."""
    paused = "the lease runs out: nothing new is begun until the store answers"
    eventually(lambda: sum(line["event"] == paused for line in serving.events()) >= 2, "both workers to pause")
    assert submit(serving) == 451
    for _ in range(3):
        assert serving.get("/healthz") == (200, b"ok\n")
        assert ready(serving) == (503, ["store"])
        assert serving.metric("ekiden_store_away_seconds") > 0
