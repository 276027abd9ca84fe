"""A platform under attack, and a victim: another account that submits, is delivered and reads over HTTP meanwhile.

The victim asks the same few things again and again, from an address of its own, and notes how long each took. What
an attack does to it is all that counts: answers, mail that arrives, workers that live, memory within its bounds.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import resource
import signal
import smtplib
import threading
import time
import tomllib
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ekiden.config.write import write_toml
from ekiden.wiring.dialects import DIALECTS
from support.demo_process import PATIENCE, Demo, wait_for

VICTIM = "127.0.0.77"
"""Where the victim comes from; attackers come from elsewhere."""
DOMAIN = "neighbour.lab.test"
"""Takes all mail; names below ``lab.test`` without a behaviour do."""
BUDGET = 134_217_728
"""Octets that a worker may take for others' contents and requests."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Impossible(Exception):
    """This machine does not allow what a scenario needs; says why."""


def lasting(scale: int, seconds: float) -> float:
    """How many seconds an attack lasts that burns a processor: in the suite half of them."""
    return seconds / 2 if scale == 1 else seconds


def percentile(values: list[float], part: float) -> float:
    """By rank; 0 without values."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * part))] if ranked else 0.0


@dataclass
class Figures:
    """What the victim saw and what the workers cost, of one attack. Seconds and octets."""

    submitted: list[float] = field(default_factory=list)
    """From the connection to the 250."""
    asked: list[float] = field(default_factory=list)
    """Answers of HTTP."""
    delivered: list[float] = field(default_factory=list)
    """From the 250 to the recipient's server."""
    refusals: list[str] = field(default_factory=list)
    """When it was told to try again (4xx, 429, 503), with a reason; with the time since it began."""
    told: list[float] = field(default_factory=list)
    """How long it took to say so."""
    failures: list[str] = field(default_factory=list)
    """Everything else that went wrong for the victim: no answer, a connection that broke, a refusal for good."""
    lost: int = 0
    """Acknowledged messages that did not arrive."""
    duplicates: int = 0
    """Times that one arrived more often than once."""
    peak: int = 0
    """Resident memory of the largest worker."""
    began_with: int = 0
    lag: float = 0.0
    """The longest that an event loop did not turn, as the workers measure it: the upper bound of its bucket."""
    died: list[int] = field(default_factory=list)
    """Workers that ended although nobody had asked for it."""
    sent: str = ""
    """What the attack did, in words."""

    @property
    def growth(self) -> int:
        """Octets that the largest worker grew."""
        return max(0, self.peak - self.began_with)


_victims = itertools.count()


class Victim:
    """Sends and asks in threads of its own from ``start`` to ``stop``."""

    def __init__(self, demo: Demo, figures: Figures, *, every: float = 0.25) -> None:
        self._demo = demo
        self._figures = figures
        self._every = every
        self._stop = threading.Event()
        self._acknowledged: dict[str, float] = {}
        self._name = f"{os.getpid()}-{next(_victims)}"
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._send, self._ask)]
        self._began = time.monotonic()

    def start(self) -> None:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()

    def stop(self, patience: float = PATIENCE) -> None:
        """Also waits for the mail that was acknowledged."""
        self._stop.set()
        for thread in self._threads:
            thread.join(patience * 2)
            assert not thread.is_alive()
        arrived: dict[str, list[float]] = {}
        deadline = time.monotonic() + patience
        while self._acknowledged.keys() - arrived.keys() and time.monotonic() < deadline:
            arrived = {}
            for mail in self._demo.get(f"{self._demo.facts['lab']}/mail?to=@{DOMAIN}"):
                for to in mail["to"]:
                    arrived.setdefault(to, []).append(mail["at"] / 1000)
            time.sleep(0.1)
        self._figures.lost = len(self._acknowledged.keys() - arrived.keys())
        self._figures.duplicates = sum(len(times) - 1 for to, times in arrived.items() if to in self._acknowledged)
        self._figures.delivered = [
            max(0.0, min(arrived[to]) - at) for to, at in self._acknowledged.items() if to in arrived
        ]

    def _send(self) -> None:
        """A new connection for every other message: whoever has one is not what an attack shuts out first."""
        client: smtplib.SMTP | None = None
        number = 0
        while not self._stop.is_set():
            number += 1
            began = time.monotonic()
            recipient = f"{self._name}-{number}@{DOMAIN}"
            try:
                if client is None:
                    client = self._login()
                _submit(client, recipient)
            except smtplib.SMTPResponseException as error:
                reason = error.smtp_error.decode() if isinstance(error.smtp_error, bytes) else error.smtp_error
                self._refused("SMTP", error.smtp_code, reason, 400 <= error.smtp_code < 500, began)
                if client is not None:
                    client.close()
                client = None
            except (OSError, smtplib.SMTPException) as error:
                self._failed("SMTP", error)
                if client is not None:
                    client.close()
                client = None
            else:
                self._acknowledged[recipient] = time.time()
                self._figures.submitted.append(time.monotonic() - began)
                if number % 2:
                    with suppress(OSError, smtplib.SMTPException):
                        client.quit()
                    client = None
            self._stop.wait(self._every)
        if client is not None:
            client.close()

    def _login(self) -> smtplib.SMTP:
        host, port = self._demo.facts["smtp"]["starttls"]
        client = smtplib.SMTP(host, port, timeout=PATIENCE, source_address=(VICTIM, 0))
        try:
            client.starttls(context=self._demo.context)
            client.ehlo()
            # Once: ``login`` tries one mechanism after another, each for as long as a refusal takes.
            client.user, client.password = self._demo.facts["neighbour"]
            client.auth("PLAIN", client.auth_plain)
        except BaseException:
            client.close()
            raise
        return client

    def _ask(self) -> None:
        host = urllib.parse.urlsplit(self._demo.facts["http"])
        headers = {"Authorization": f"App {self._demo.facts['neighbour_key']}"}
        while not self._stop.is_set():
            began = time.monotonic()
            connection = http.client.HTTPConnection(
                host.hostname or "", host.port, timeout=PATIENCE, source_address=(VICTIM, 0)
            )
            try:
                connection.request("GET", "/email/1/logs?limit=1", headers=headers)
                response = connection.getresponse()
                body = response.read()
            except (OSError, http.client.HTTPException) as error:
                self._failed("HTTP", error)
            else:
                if response.status == 200:
                    self._figures.asked.append(time.monotonic() - began)
                else:
                    passing = response.status in (429, 503)
                    self._refused("HTTP", response.status, body.decode("utf-8", "replace"), passing, began)
            finally:
                connection.close()
            self._stop.wait(self._every)

    def _refused(self, what: str, code: int, reason: str, passing: bool, began: float) -> None:
        """A refusal that says to try again, and why, is one; any other is a failure."""
        text = f"{time.monotonic() - self._began:.1f} s {what}: {code} {reason}"[:300]
        if passing and len(reason.split()) > 2:
            self._figures.told.append(time.monotonic() - began)
            self._figures.refusals.append(text)
        else:
            self._figures.failures.append(text)

    def _failed(self, what: str, error: BaseException) -> None:
        at = time.monotonic() - self._began
        self._figures.failures.append(f"{at:.1f} s {what}: {type(error).__name__}: {error}"[:300])


def _submit(client: smtplib.SMTP, recipient: str) -> None:
    """Raises ``SMTPResponseException`` with whatever else than 250 it was answered."""
    for code, reply in (client.mail(f"me@{DOMAIN}"), client.rcpt(recipient)):
        if code != 250:
            raise smtplib.SMTPResponseException(code, reply)
    code, reply = client.data(b"Subject: hello\r\n\r\nHello\r\n")
    if code != 250:
        raise smtplib.SMTPResponseException(code, reply)


class Watch:
    """Looks at the workers' memory and whether they live, four times a second."""

    def __init__(self, demo: Demo, figures: Figures, began_with: int = 0) -> None:
        """``began_with``: the resident memory that growth is counted from; 0: what the largest worker has now."""
        self._demo = demo
        self.figures = figures
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._known = set(demo.workers())
        self.ended_by_us: set[int] = set()
        """Workers whose end is part of the attack."""
        figures.began_with = began_with or max(map(_resident, self._known), default=0)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(PATIENCE)

    def served(self, within: float) -> float:
        """Seconds until the victim has submitted and asked anew, and was not refused for a while; not more than
        ``within``."""
        figures = self.figures
        began = time.monotonic()
        submitted, asked, refused = len(figures.submitted), len(figures.asked), len(figures.refusals)

        def is_served() -> bool:
            nonlocal submitted, asked, refused
            if len(figures.refusals) > refused:
                submitted, asked, refused = len(figures.submitted), len(figures.asked), len(figures.refusals)
            return len(figures.submitted) > submitted + 1 and len(figures.asked) > asked + 1

        wait_for(is_served, "a victim that is served again", within)
        return time.monotonic() - began

    def _run(self) -> None:
        figures = self.figures
        while True:
            living = set(self._demo.workers())
            figures.died += sorted(self._known - living - self.ended_by_us)
            self._known = living
            figures.peak = max(figures.peak, *map(_resident, living), 0)
            if self._stop.wait(0.25):
                return


def _resident(pid: int) -> int:
    """Octets; 0 of a process that has gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


class Arena:
    """A demo with two accounts: ``demo``, whose credentials the attackers have, and the victim's."""

    def __init__(
        self,
        *,
        store: str = "sqlite",
        workers: int = 2,
        files: int = 0,
        directory: Path | None = None,
        **settings: str,
    ) -> None:
        """``files``: the most descriptors that a process may have; ``directory``: where all its files are, else a
        temporary one; ``settings``: EKIDEN_… without its prefix."""
        # Before the first attack: what one after another has left in memory is growth, too.
        self._began_with = 0
        # A small budget of memory, so that attacks come to its end.
        settings = {"WORKERS__MEMORY": str(BUDGET), **settings}
        environment = {f"EKIDEN_{name}": value for name, value in settings.items()}
        with _descriptors(files):
            self.demo = Demo(
                "--workers", str(workers), "--store", store, environment=environment, directory=directory
            )
        try:
            self.demo.run("account", "create", "neighbour", "--senders", "any")
            password = self.demo.run("credential", "password", "create", "neighbour")
            key = self.demo.run("credential", "api-key", "create", "neighbour", "key")
            self.demo.facts["neighbour"] = (password["username"], password["password"])
            self.demo.facts["neighbour_key"] = key["api_key"]
            self.demo.facts["neighbour_credential"] = password["id"]
            self.delivery_port: int = self.demo.get(self.demo.facts["lab"] + "/")["smtp"][1]
        except BaseException:
            self.demo.stop()
            raise

    def close(self) -> int:
        """The demo's exit status."""
        return self.demo.stop()

    @contextmanager
    def watched(self, *, calm: float = 1.0) -> Iterator[tuple[Figures, Watch]]:
        """A victim lives before, during and after the block; figures are complete when it has ended."""
        figures = Figures()
        self.ready()
        before = self._lags()
        victim, watch = Victim(self.demo, figures), Watch(self.demo, figures, self._began_with)
        self._began_with = figures.began_with
        victim.start()
        watch.start()
        try:
            time.sleep(calm)
            yield figures, watch
            time.sleep(calm)
        finally:
            try:
                victim.stop()
            finally:
                watch.stop()
        figures.lag = max(
            (bound for bound, count in self._lags().items() if count > before.get(bound, 0)), default=0.0
        )
        self.ready()

    def _lags(self) -> dict[float, float]:
        """How many lags there were up to each bound and above the one below; a start has long ones of its own."""
        found, below = {}, 0.0
        name = 'ekiden_loop_lag_seconds_bucket{le="'
        with suppress(OSError):
            buckets = {
                float(key.removeprefix(name).rstrip('"}')): count
                for key, count in self.demo.metrics().items()
                if key.startswith(name)
            }
            for bound, count in sorted(buckets.items()):
                found[bound] = count - below
                below = count
        return found

    def ready(self) -> None:
        """All workers there should be take work."""

        def is_ready() -> bool:
            with suppress(OSError):
                return bool(self.demo.get(self.demo.facts["http"] + "/readyz")["ready"])
            return False

        wait_for(is_ready, "readiness")

    # what several attacks need

    @property
    def directory(self) -> Path:
        """Where the platform's files are."""
        return Path(self.demo.facts["config"]).parent

    def restart(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Start the platform with another configuration: ``change`` gets what ``ekiden.toml`` says."""
        config = Path(self.demo.facts["config"])
        settings = tomllib.loads(config.read_text())
        change(settings)
        config.write_text(write_toml(settings, DIALECTS))
        before = self.demo.supervisor()
        os.kill(before, signal.SIGTERM)
        wait_for(lambda: self.demo.supervisor() not in (0, before), "another supervisor")
        self.ready()

    def door(self, name: str) -> tuple[str, int]:
        """Where ``starttls``, ``tls`` or ``http`` listens."""
        if name == "http":
            parts = urllib.parse.urlsplit(self.demo.facts["http"])
            return parts.hostname or "", parts.port or 0
        host, port = self.demo.facts["smtp"][name]
        return host, port

    def login(self, source: str = "127.0.0.66") -> smtplib.SMTP:
        """The attackers' own account, over TLS."""
        host, port = self.door("tls")
        client = smtplib.SMTP_SSL(
            host, port, timeout=PATIENCE, context=self.demo.context, source_address=(source, 0)
        )
        return self.demo.login(client)

    def key(self) -> dict[str, str]:
        """Header fields of a request with the attackers' API key."""
        return {"Authorization": f"App {self.demo.account['api_key']}"}

    def message(self, recipient: str, key: dict[str, str], domain: str, url: str) -> None:
        """Over HTTP, from ``me@domain``, with news of its delivery told at ``url``."""
        body = {
            "messages": [
                {
                    "sender": f"me@{domain}",
                    "destinations": [{"to": [{"destination": recipient}]}],
                    "content": {"subject": "x", "text": "x"},
                    "webhooks": {"delivery": {"url": url}},
                }
            ]
        }
        request = urllib.request.Request(
            self.demo.facts["http"] + "/email/4/messages",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", **key},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            assert response.status == 200

    def log(self) -> list[dict[str, Any]]:
        return self.demo.log()


@contextmanager
def _descriptors(most: int) -> Iterator[None]:
    """What is started meanwhile may have so many descriptors; 0: as many as we."""
    if not most:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def together(count: int, work: Callable[[int], Any], patience: float = 120.0) -> list[Any]:
    """``work(0)`` … ``work(count - 1)``, each in a thread; what they returned, or their exceptions."""
    results: list[Any] = [None] * count

    def run(number: int) -> None:
        try:
            results[number] = work(number)
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(patience)
    return results
