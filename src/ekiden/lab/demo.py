"""A platform and a lab on loopback, as child processes: for documentation, tests and the curious.

The platform is an ordinary ``ekiden serve`` with a configuration of its own, and the lab an ordinary
``python -m ekiden.lab``; both end with this process however it ends, because they watch their standard input.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import select
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Literal

import msgspec

from ekiden.config.load import load_config
from ekiden.config.write import write_toml
from ekiden.core.language import Language
from ekiden.documents.installation import DemoAccount, DemoFacts, DemoSmtp
from ekiden.domains.names import return_path_host
from ekiden.domains.return_paths import rp_spf
from ekiden.lab.demo_account import ACCOUNT, DOMAIN, INBOUND, RETURN_PATH, DemoError, completed, make_account
from ekiden.process.setup import CERTIFICATE, CERTIFICATE_KEY, CONFIG_NAME, prepare_store, write_files
from ekiden.process.translations import TEXTS
from ekiden.store.api import StoreError
from ekiden.wiring.dialects import DIALECTS

if TYPE_CHECKING:
    from ekiden.store.postgresql.embedded import EmbeddedPostgres

HOSTNAME = "mail.demo.lab.test"
Engine = Literal["sqlite", "postgresql"]
PORTS: Final = {
    "plain": 2525,
    "starttls": 2587,
    "tls": 2465,
    "private": 2586,
    "reception": 2526,
    "http": 8080,
}
"""The ports of the platform when they are free: the same each time, and to be written into other programs."""
LAB_PORT: Final = 8025
"""That of the lab's API and of its pages with what arrived."""
_PREFIX = "ekiden-demo-"
_DRAIN = 5.0
_START_TIMEOUT = 60.0
_MOST_FAILURES = 5
# What the demo decides by itself: a production's environment must not lead it to a production's data.
_OWN = ("CONFIG", "HOSTNAME", "DATA_DIR", "STORE", "LISTENERS", "HTTP", "LAB", "DNS")


class State(msgspec.Struct):
    """What a demo with a directory remembers. ``ports`` are taken again when they are free."""

    store: Engine
    account: DemoAccount | None = None
    starttls: int = 0
    tls: int = 0
    private: int = 0
    http: int = 0
    plain: int = 0
    reception: int = 0


class Demo:
    """``start``, then ``watch`` until an exception ends it, then ``stop``.

    ``directory`` ``None``: a temporary one, removed at the end; else data are kept in it and resumed from it.
    ``free_ports``: any that are free, not those of ``PORTS``, so that many may run beside each other.
    """

    def __init__(
        self,
        directory: Path | None,
        *,
        workers: int | None = None,
        store: Engine | None = None,
        free_ports: bool = False,
        lang: Language = "en",
    ) -> None:
        self._free_ports = free_ports
        self._temporary = directory is None
        self._given_store = store
        self._workers = workers
        self._lang: Language = lang
        _remove_leftovers()
        self.directory = directory.absolute() if directory is not None else Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock: IO[bytes] | None = None
        self._postgres: EmbeddedPostgres | None = None
        self._lab: subprocess.Popen[bytes] | None = None
        self._serve: subprocess.Popen[bytes] | None = None
        self.lab: dict[str, Any] = {}
        self.platform: dict[str, Any] = {}
        self.state = State("sqlite")

    @property
    def config(self) -> Path:
        return self.directory / CONFIG_NAME

    @property
    def log(self) -> Path:
        """Where the platform and the lab write their logs."""
        return self.directory / "ekiden.log"

    def start(self) -> DemoFacts:
        """Bring everything up; returns the facts that ``ekiden demo --json`` prints."""
        self.directory.mkdir(parents=True, exist_ok=True)
        # A new folder gets its name only with the lock held: others remove folders whose lock nobody holds.
        name = "lock.new" if self._temporary else "lock"
        self._lock = (self.directory / name).open("wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (self.directory / name).rename(self.directory / "lock")
        except OSError:
            raise DemoError(TEXTS, "another demo is running in {directory}", directory=self.directory) from None
        self._load_state()
        if self.state.store == "postgresql":
            from ekiden.store.postgresql.embedded import EmbeddedPostgres

            self._postgres = EmbeddedPostgres(self.directory / "postgresql")
            self._postgres.start()
        self._start_lab()
        self._choose_ports()
        if not self.config.exists():
            names = ["localhost", HOSTNAME, "127.0.0.1", "::1"]
            write_files(self.directory, self._settings(), names, self._lang)
        self._write_config()
        loaded = load_config(self.config, self.environment(), dialects=DIALECTS)
        asyncio.run(prepare_store(loaded))
        self._add_records()
        if self.state.account is None:
            self.state.account = asyncio.run(make_account(loaded, self._put))
            self._save_state()
        elif not (self.state.account.naver.access_key and self.state.account.inbound_domain):  # of an older Ekiden
            self.state.account = asyncio.run(completed(loaded, self.state.account))
            self._save_state()
        self._start_platform()
        return self.facts()

    def facts(self) -> DemoFacts:
        account = self.state.account
        assert account is not None
        smtp = {name: (addresses[0][0], addresses[0][1]) for name, addresses in self.platform["smtp"].items()}
        return DemoFacts(
            DemoSmtp(smtp["plain"], smtp["submission"], smtp["submissions"], smtp["private"], smtp["reception"]),
            self.platform["http"][0],
            f"{self.platform['http'][0]}/api/v1",
            self.platform["http"][0],
            self.lab["api"],
            self.lab["http"],
            str(self.directory / CERTIFICATE),
            account,
            f"{ekiden_command()} trace --config {shlex.quote(str(self.config))} {{id}}",
            str(self.config),
            str(self.log),
        )

    def watch(self, stdin: int | None = None) -> None:
        """Start the platform again when it dies, as a service manager does; returns when ``stdin`` ends."""
        while True:
            readable, _, _ = select.select([] if stdin is None else [stdin], [], [], 0.1)
            if readable and not os.read(readable[0], 4096):
                return
            assert self._serve is not None
            assert self._lab is not None
            if self._lab.poll() is not None:
                raise DemoError(TEXTS, "the lab ended (see {log})", log=self.log)
            if self._postgres is not None and self._postgres.ended():
                print(TEXTS("the database ended, starting it again", self._lang), file=sys.stderr, flush=True)
                self._revive_postgres()
            if self._serve.poll() is not None:
                print(TEXTS("the platform ended, starting it again", self._lang), file=sys.stderr, flush=True)
                self._close(self._serve)
                self._start_platform(again=True)

    def stop(self) -> None:
        """End everything in order; what does not end in time is killed."""
        if self._serve is not None:
            self._end(self._serve, _DRAIN + 10)
        if self._lab is not None:
            self._end(self._lab, 5)
        try:
            if self._postgres is not None:
                self._postgres.stop()
        finally:
            if self._temporary:
                shutil.rmtree(self.directory, ignore_errors=True)
            if self._lock is not None:
                self._lock.close()

    def environment(self) -> dict[str, str]:
        """The environment of the children: without settings that are the demo's own."""
        own = tuple(f"EKIDEN_{name}" for name in _OWN)
        return {name: value for name, value in os.environ.items() if not name.startswith(own)}

    # parts of start

    def _load_state(self) -> None:
        file = self.directory / "demo.json"
        if file.exists():
            try:
                self.state = msgspec.json.decode(file.read_bytes(), type=State)
            except msgspec.DecodeError as error:
                raise DemoError(TEXTS, "{path} cannot be read: {why}", path=file, why=error) from None
            if self._given_store is not None and self._given_store != self.state.store:
                raise DemoError(
                    TEXTS, "{directory} has a demo on {store}", directory=self.directory, store=self.state.store
                )
        else:
            self.state = State(self._given_store or "sqlite")

    def _save_state(self) -> None:
        file = self.directory / "demo.json"
        new = file.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(msgspec.json.encode(self.state))
        new.rename(file)

    def _settings(self) -> dict[str, Any]:
        certificates = [{"certificate": CERTIFICATE, "key": CERTIFICATE_KEY}]
        state = self.state
        url = "sqlite:///ekiden.db" if self._postgres is None else self._postgres.url()

        def listener(name: str, port: int, mode: str, endpoint: str = "public") -> dict[str, Any]:
            return {
                "name": name,
                "addresses": [f"127.0.0.1:{port}"],
                "mode": mode,
                "region": "demo",
                "endpoint": endpoint,
                "certificates": certificates,
            }

        return {
            "hostname": HOSTNAME,
            "store": {"url": url},
            "workers": {
                **({} if self._workers is None else {"count": self._workers}),
                "lease": "5s",
                "drain_timeout": f"{_DRAIN:g}s",
            },
            "listeners": [
                listener("submission", state.starttls, "starttls"),
                listener("submissions", state.tls, "tls"),
                listener("private", state.private, "starttls", "private"),
                listener("reception", state.reception, "inbound"),
                # For programs without TLS and AUTH, from this machine only: what they send is the demo's.
                {
                    "name": "plain",
                    "addresses": [f"127.0.0.1:{state.plain}"],
                    "mode": "plain",
                    "region": "demo",
                    "trusted_networks": ["127.0.0.1/32"],
                    "trusted_account": ACCOUNT,
                },
            ],
            # So that publishing, breaking and repairing a record of the lab shows at once.
            "domains": {"check_every": "3s", "grace": "10s"},
            "http": {"addresses": [f"127.0.0.1:{state.http}"]},
            # In the mails that are composed here: links that work in a browser on this machine.
            "tracking": {"base_url": f"http://127.0.0.1:{state.http}"},
            "delivery": {"smtp_port": self.lab["smtp"][1], "retry": ["5s", "15s", "1m", "5m"]},
            "dns": {"nameservers": [self.lab["dns"][0]], "port": self.lab["dns"][1]},
            "lab": {"enabled": True},
            "log": {"format": "json"},
        }

    def _write_config(self) -> None:
        self.config.write_text(write_toml(self._settings(), DIALECTS, self._lang), "utf-8")

    def _choose_ports(self) -> None:
        """Those of last time; else those that everybody knows, as far as they are free. 0: the system chooses."""
        for name, port in PORTS.items():
            if not getattr(self.state, name):
                setattr(self.state, name, port if not self._free_ports and is_free(port) else 0)
        if not self.state.http:
            self.state.http = _free_port()
        if not self.state.reception:
            self.state.reception = _free_port()

    def _start_lab(self) -> None:
        command = [sys.executable, "-m", "ekiden.lab", "--json", "--watch-stdin"]
        state = self.directory / "lab.json"
        if not self._temporary:
            command += ["--state-file", str(state)]
        if not self._free_ports and (self._temporary or not state.exists()) and is_free(LAB_PORT):
            try:
                self._lab = self._spawn([*command, "--api-port", str(LAB_PORT)])
                self.lab = self._first_line(self._lab, "lab")
            except DemoError:
                pass  # somebody was quicker
            else:
                return
        self._lab = self._spawn(command)
        self.lab = self._first_line(self._lab, "lab")

    def _start_platform(self, *, again: bool = False) -> None:
        command = [sys.executable, "-m", "ekiden.cli.main", "serve", "--config", str(self.config)]
        command += ["--json", "--watch-stdin"]
        failures = 0
        while True:
            if again:
                self._revive_postgres()
            self._serve = self._spawn(command)
            try:
                self.platform = self._first_line(self._serve, "ekiden serve")
                break
            except DemoError:
                if self._serve.returncode < 0:
                    continue  # somebody killed it while it started
                failures += 1
                if failures == _MOST_FAILURES:
                    raise
                if not again:
                    # Somebody else has one of the ports, of last time or since it was found free.
                    self.state = msgspec.structs.replace(self.state, starttls=0, tls=0, private=0, plain=0)
                    self.state.http, self.state.reception = _free_port(), _free_port()
                    self._add_records()
                    self._write_config()
                time.sleep(0.5)
        ports = {name: addresses[0][1] for name, addresses in self.platform["smtp"].items()}
        self.state = msgspec.structs.replace(
            self.state,
            starttls=ports["submission"],
            tls=ports["submissions"],
            private=ports["private"],
            plain=ports["plain"],
        )
        self._save_state()
        self._write_config()

    def _revive_postgres(self) -> None:
        if self._postgres is None:
            return
        deadline = time.monotonic() + _START_TIMEOUT
        while True:
            try:
                self._postgres.stop()
                self._postgres.start()
            except StoreError:  # somebody may have killed it while it started, and may do so again
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def _add_records(self) -> None:
        """The demo's domain as a real one would be set up; its mail host is one of the lab's."""
        self._put(f"/behaviour/{DOMAIN}", "accept")
        self._put(f"/dns/{HOSTNAME}/A", ["127.0.0.1"])
        self._put(f"/dns/{HOSTNAME}/TXT", ["v=spf1 a -all"])
        self._put(f"/dns/{return_path_host(HOSTNAME)}/TXT", [rp_spf(HOSTNAME)])
        self._put(f"/dns/{DOMAIN}/A", ["127.0.0.1"])
        self._put(f"/dns/_dmarc.{DOMAIN}/TXT", [f"v=DMARC1; p=reject; rua=mailto:dmarc@{DOMAIN}"])
        # Bounces come to the reception. The SPF records of both stand above, or are among those of the domain.
        for name in (return_path_host(HOSTNAME), RETURN_PATH, INBOUND):
            self._put(f"/routes/{name}", {"port": self.state.reception, "host": HOSTNAME, "spf": ""})

    def _put(self, path: str, value: str | list[str] | dict[str, Any]) -> None:
        request = urllib.request.Request(  # noqa: S310 (the lab on loopback)
            self.lab["api"] + path,
            json.dumps(value).encode(),
            {"Content-Type": "application/json"},
            method="PUT",
        )
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            response.read()

    # child processes

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self.environment(),
                start_new_session=True,  # Ctrl-C is for us; they end in order
            )

    def _first_line(self, child: subprocess.Popen[bytes], what: str) -> dict[str, Any]:
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line:
            child.wait()
            self._close(child)
            last = self.log.read_text("utf-8", "replace").strip().splitlines()[-3:]
            raise DemoError(
                TEXTS, "{what} did not start: {why}", what=what, why="\n".join(last) or f"status {child.returncode}"
            )
        facts: dict[str, Any] = msgspec.json.decode(line)
        return facts

    def _end(self, child: subprocess.Popen[bytes], timeout: float) -> None:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(timeout)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._close(child)

    def _close(self, child: subprocess.Popen[bytes]) -> None:
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


def ekiden_command() -> str:
    """The command ``ekiden`` of this environment, for a shell."""
    script = Path(sys.executable).parent / "ekiden"
    if script.exists():
        return shlex.quote(str(script))
    return f"{shlex.quote(sys.executable)} -m ekiden.cli.main"


def _free_port() -> int:
    """For HTTP, whose port links in mails name, and for the reception, to which the lab's DNS leads: they have to
    be known before anything listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do after one that has just ended
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _remove_leftovers() -> None:
    """Temporary folders of demos that were killed: those whose lock nobody holds."""
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            with (directory / "lock").open("rb+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory, ignore_errors=True)
        except OSError:
            continue
