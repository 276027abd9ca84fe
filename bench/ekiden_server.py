"""Ekiden as the bench runs it: the installed command, a configuration of its own, on either engine."""

from __future__ import annotations

import asyncio
import sys
import time
import urllib.request
from pathlib import Path

from bench.load import Endpoint
from bench.peers import Run, Server, write_certificate
from bench.tools import BenchError, free_ports, output_of, tail
from ekiden.access.accounts import create_account
from ekiden.access.credentials import set_password
from ekiden.net.clock import SystemClock
from ekiden.store.api import StoreError
from ekiden.store.embedded import EmbeddedPostgres, find_binaries
from ekiden.store.open import open_store

ACCOUNT = "bench"
PASSWORD = "not-a-secret-of-anybody"
_READY_TIMEOUT = 30.0

_CONFIGURATION = """
hostname = "mail.example.test"
data_dir = "."

[store]
url = "{store}"

[workers]
count = {workers}

[[listeners]]
name = "relay"
addresses = ["127.0.0.1:{port}"]
mode = "plain"
trusted_networks = ["127.0.0.0/8"]
trusted_account = "{account}"

[[listeners]]
name = "submission"
addresses = ["127.0.0.1:{tls_port}"]
mode = "starttls"
certificates = [{{ certificate = "{certificate}", key = "{key}" }}]

[http]
addresses = ["127.0.0.1:{http_port}"]

[delivery]
starttls = false

[[delivery.routes]]
domain = "*"
hosts = ["127.0.0.1:{sink}"]

[log]
level = "warning"
format = "json"
"""


def command() -> str:
    """The ``ekiden`` that belongs to the Python that runs the bench."""
    return str(Path(sys.executable).parent / "ekiden")


class Ekiden(Server):
    """``workers`` processes on SQLite or on an embedded PostgreSQL, whose processes are measured as well."""

    secure = True

    def __init__(self, name: str, workers: int, postgresql: bool = False) -> None:
        self.name = name
        self._workers = workers
        self._postgresql = postgresql
        engine = "PostgreSQL" if postgresql else "SQLite"
        self.title = f"Ekiden, {engine}, {workers} {'worker' if workers == 1 else 'workers'}"
        self._databases: dict[Path, EmbeddedPostgres] = {}
        self._endpoints: dict[Path, tuple[Endpoint, int]] = {}

    def missing(self) -> str | None:
        if not Path(command()).exists():
            return "the command ekiden is not installed; make setup does it"
        if self._postgresql:
            try:
                find_binaries()
            except StoreError as error:
                return str(error)
        return None

    def version(self) -> str:
        return output_of(command(), "--version").removeprefix("ekiden").strip()

    def configure(self, run: Run) -> str:
        """Write the configuration, make database and account. Returns the URL of the store."""
        port, tls_port, http_port = free_ports(3)
        certificate, key = write_certificate(run.directory)
        url = self._database(run)
        (run.directory / "ekiden.toml").write_text(
            _CONFIGURATION.format(
                store=url,
                workers=self._workers,
                port=port,
                tls_port=tls_port,
                http_port=http_port,
                account=ACCOUNT,
                certificate=certificate,
                key=key,
                sink=run.sink_port,
            )
        )
        asyncio.run(_make_account(url))
        self._endpoints[run.directory] = Endpoint(port, tls_port, (ACCOUNT, PASSWORD)), http_port
        return url

    def serve(self, run: Run) -> Endpoint:
        """``ekiden serve`` on what ``configure`` made, inside the group; returns once it is ready."""
        endpoint, http_port = self._endpoints[run.directory]
        argv = [command(), "serve", "--config", str(run.directory / "ekiden.toml")]
        run.group.spawn(argv, run.log, env=self.environment())
        self._await(run, endpoint)
        deadline = time.monotonic() + _READY_TIMEOUT
        while not _ready(http_port):
            if time.monotonic() > deadline or run.group.exited() is not None:
                raise BenchError(f"{self.name} is not ready:\n{tail(run.log)}")
            time.sleep(0.05)
        return endpoint

    def environment(self) -> dict[str, str]:
        """What ``ekiden serve`` gets beside the environment of the bench."""
        return {}

    def start(self, run: Run) -> Endpoint:
        self.configure(run)
        return self.serve(run)

    def stop(self, run: Run) -> None:
        # The database ends after those who use it.
        try:
            run.group.end()
        finally:
            self._endpoints.pop(run.directory, None)
            database = self._databases.pop(run.directory, None)
            if database is not None:
                database.stop()

    def measure_database(self, run: Run) -> None:
        """Count the processes of the embedded PostgreSQL in ``run.group`` from now on."""
        database = self._databases.get(run.directory)
        if database is not None:
            run.group.adopt(int((database.directory / "data" / "postmaster.pid").read_text().split()[0]))

    def _database(self, run: Run) -> str:
        if not self._postgresql:
            return f"sqlite:///{run.directory}/ekiden.db"
        # Its own settings: fsync and synchronous_commit are on.
        database = self._databases[run.directory] = EmbeddedPostgres(run.directory / "postgresql")
        database.start()
        self.measure_database(run)
        return database.url()


async def _make_account(url: str) -> None:
    now = SystemClock().now()
    store = await open_store(url, migrate=True)
    try:
        account = await create_account(store, ACCOUNT, now)
        await set_password(store, account.id, ACCOUNT, PASSWORD, now)
    finally:
        await store.close()


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
            return int(answer.status) == 200
    except OSError:
        return False
