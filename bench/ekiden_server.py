"""Ekiden as the bench runs it: the installed command, a configuration of its own, on either engine."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from bench.load import SENDER_DOMAIN, Endpoint
from bench.peers import Run, Server, write_certificate
from bench.tools import BenchError, free_ports, output_of, tail
from ekiden.access.accounts import create_account
from ekiden.access.credentials import set_password
from ekiden.access.vault import Vault
from ekiden.domains.config import DomainsConfig
from ekiden.domains.service import Domains
from ekiden.net.clock import SystemClock
from ekiden.process.instance_key import KEY_NAME
from ekiden.sender_auth.dns import RecordType, TemporaryDnsError
from ekiden.store.api import StoreError
from ekiden.store.open import open_store
from ekiden.store.postgresql.embedded import EmbeddedPostgres, find_binaries

HOSTNAME = "mail.example.test"
ACCOUNT = "bench"
PASSWORD = "not-a-secret-of-anybody"
Signing = Literal["no", "rsa", "both"]
"""What the account's messages are signed with: nothing, RSA-2048, RSA-2048 and Ed25519."""
_SIGNATURES: Mapping[Signing, tuple[str, ...]] = {
    "no": (),
    "rsa": ("rsa-sha256",),
    "both": ("rsa-sha256", "ed25519-sha256"),
}
_READY_TIMEOUT = 30.0

_CONFIGURATION = """
hostname = "{hostname}"
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

# Nobody answers there: no question leaves this machine.
[dns]
nameservers = ["127.0.0.1"]
port = {http_port}

[delivery]
starttls = false

[[delivery.routes]]
domain = "*"
hosts = ["127.0.0.1:{sink}"]

[log]
level = "warning"
format = "json"
"""

_LISTENER = """
[[listeners]]
name = "{account}"
addresses = ["127.0.0.1:{port}"]
mode = "plain"
trusted_networks = ["127.0.0.0/8"]
trusted_account = "{account}"
"""


def command() -> str:
    """The ``ekiden`` that belongs to the Python that runs the bench."""
    return str(Path(sys.executable).parent / "ekiden")


class Ekiden(Server):
    """``workers`` processes on SQLite or on an embedded PostgreSQL, whose processes are measured as well.

    Unless it signs, its account may use any sender, as a relay for others does; if it does, the senders' domain is
    the account's, somebody vouched for it, and each message is checked for it.
    """

    secure = True

    def __init__(
        self, name: str, workers: int, postgresql: bool = False, signing: Signing = "no", others: int = 0
    ) -> None:
        """``others``: so many further accounts, each with a listener of its own (``other_ports``)."""
        self.name = name
        self._others = others
        self._workers = workers
        self.postgresql = postgresql
        self.signing = signing
        self.signatures = _SIGNATURES[signing]
        engine = "PostgreSQL" if postgresql else "SQLite"
        self.title = f"Ekiden, {engine}, {workers} {'worker' if workers == 1 else 'workers'}"
        if signing != "no":
            self.title += ", signing with " + " and ".join(self.signatures)
        self._records: dict[Path, Mapping[str, bytes]] = {}
        self._databases: dict[Path, EmbeddedPostgres] = {}
        self._endpoints: dict[Path, Endpoint] = {}
        self.other_ports: dict[int, int] = {}
        """Of the last ``configure``: account id and the port on which anybody sends as that account."""

    def missing(self) -> str | None:
        if not Path(command()).exists():
            return "the command ekiden is not installed; make setup does it"
        if self.postgresql:
            try:
                find_binaries()
            except StoreError as error:
                return str(error)
        return None

    def version(self) -> str:
        return output_of(command(), "--version").removeprefix("ekiden").strip()

    def configure(self, run: Run) -> str:
        """Write configuration and instance key, make database, account and domain. Returns the store's URL."""
        port, tls_port, http_port, *other_ports = free_ports(3 + self._others)
        others = [f"other{number}" for number in range(1, self._others + 1)]
        certificate, key = write_certificate(run.directory)
        url = self._database(run)
        (run.directory / "ekiden.toml").write_text(
            _CONFIGURATION.format(
                hostname=HOSTNAME,
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
            + "".join(
                _LISTENER.format(account=other, port=own) for other, own in zip(others, other_ports, strict=True)
            )
        )
        instance_key = run.directory / KEY_NAME
        instance_key.touch(0o600)
        instance_key.write_text(secrets.token_hex(32) + "\n")
        self._records[run.directory] = asyncio.run(_make_account(url, self.signing, instance_key))
        self.other_ports = dict(zip(asyncio.run(_make_others(url, others)), other_ports, strict=True))
        self._endpoints[run.directory] = Endpoint(port, tls_port, (ACCOUNT, PASSWORD), http_port)
        return url

    def serve(self, run: Run) -> Endpoint:
        """``ekiden serve`` on what ``configure`` made, inside the group; returns once it is ready."""
        endpoint = self._endpoints[run.directory]
        argv = [command(), "serve", "--config", str(run.directory / "ekiden.toml")]
        run.group.spawn(argv, run.log, env=self.environment())
        self._await(run, endpoint)
        deadline = time.monotonic() + _READY_TIMEOUT
        while not _ready(endpoint.http_port):
            if time.monotonic() > deadline or run.group.exited() is not None:
                raise BenchError(f"{self.name} is not ready:\n{tail(run.log)}")
            time.sleep(0.05)
        return endpoint

    def environment(self) -> dict[str, str]:
        """What ``ekiden serve`` gets beside the environment of the bench."""
        return {}

    def key_records(self, run: Run) -> Mapping[str, bytes]:
        return self._records[run.directory]

    def start(self, run: Run) -> Endpoint:
        self.configure(run)
        return self.serve(run)

    def stop(self, run: Run) -> None:
        # The database ends after those who use it.
        try:
            run.group.end()
        finally:
            self._endpoints.pop(run.directory, None)
            self._records.pop(run.directory, None)
            database = self._databases.pop(run.directory, None)
            if database is not None:
                database.stop()

    def measure_database(self, run: Run) -> None:
        """Count the processes of the embedded PostgreSQL in ``run.group`` from now on."""
        database = self._databases.get(run.directory)
        if database is not None:
            run.group.adopt(int((database.directory / "data" / "postmaster.pid").read_text().split()[0]))

    def _database(self, run: Run) -> str:
        if not self.postgresql:
            return f"sqlite:///{run.directory}/ekiden.db"
        # Its own settings: fsync and synchronous_commit are on.
        database = self._databases[run.directory] = EmbeddedPostgres(run.directory / "postgresql")
        database.start()
        self.measure_database(run)
        return database.url()


async def _make_account(url: str, signing: Signing, instance_key: Path) -> Mapping[str, bytes]:
    """The bench's account, with its domain if it signs. Returns the records of the domain's keys."""
    clock = SystemClock()
    now = clock.now()
    store = await open_store(url, migrate=True)
    try:
        account = await create_account(store, ACCOUNT, now, senders="any" if signing == "no" else "verified")
        await set_password(store, account.id, ACCOUNT, PASSWORD, now)
        if signing == "no":
            return {}
        config = DomainsConfig(ed25519=signing == "both")
        domains = Domains(store, clock, Vault.from_file(instance_key), _no_dns, config, HOSTNAME)
        domain = await domains.add(account.id, SENDER_DOMAIN, vouched=True)
        return {key.name: key.record.encode() for key in await domains.keys(domain)}
    finally:
        await store.close()


async def _make_others(url: str, names: Sequence[str]) -> list[int]:
    """Further accounts that may use any sender; their ids."""
    if not names:
        return []
    now = SystemClock().now()
    store = await open_store(url)
    try:
        return [(await create_account(store, name, now, senders="any")).id for name in names]
    finally:
        await store.close()


async def _no_dns(name: str, _rdtype: RecordType, /) -> Sequence[Any]:
    raise TemporaryDnsError(f"the bench asks no DNS for {name}")


def _ready(port: int | None) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
            return int(answer.status) == 200
    except OSError:
        return False
