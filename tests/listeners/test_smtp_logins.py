"""Logins over real sockets: sessions end with what opened them; guessing stops nobody but who guesses."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from listener_harness import PASSWORD, Client, Harness, Make, plain
from sqlalchemy.schema import DropTable

from ekiden.access.accounts import create_account, suspend_account
from ekiden.access.config import AccessConfig
from ekiden.access.credentials import bound_credential, create_api_key, revoke_credential, set_password
from ekiden.store.tables import credential
from support.busy_threads import BusyThreads
from support.structured_logs import told

NEW = "battery staple horse"
GONE = "421 4.7.0 Your credential is not valid any more"


def log_in(client: Client, harness: Harness, username: str = "mailer", password: str = PASSWORD) -> None:
    client.secure(harness.context())
    assert client.ask(plain(username, password)).startswith("235 ")


def change_password(harness: Harness) -> Any:
    return set_password(harness.store, harness.account_id, "mailer", NEW, 2)


def revoke(harness: Harness) -> Any:
    return revoke_credential(harness.store, harness.password.id, 2)


def narrow_networks(harness: Harness) -> Any:
    return bound_credential(harness.store, harness.password.id, 2, scopes=(), networks=["10.0.0.0/8"])


def narrow_scopes(harness: Harness) -> Any:
    return bound_credential(harness.store, harness.password.id, 2, scopes=["read"], networks=())


@pytest.mark.parametrize("change", [change_password, revoke, narrow_networks, narrow_scopes])
def test_an_idle_session_ends_with_what_opened_it(make: Make, change: Callable[[Harness], Any]) -> None:
    harness = make()
    with Client(harness.port) as idle, Client(harness.port) as begun, Client(harness.port) as other:
        log_in(idle, harness)
        log_in(begun, harness)
        assert begun.ask("MAIL FROM:<a@example.com>").startswith("250 ")
        log_in(other, harness, "App", harness.api_key)
        harness.call(change(harness))
        assert idle.reply() == GONE
        assert begun.reply() == GONE
        assert idle.line() == begun.line() == ""
        assert other.ask("NOOP").startswith("250 "), "another credential of the account goes on"
    with Client(harness.port) as client:
        client.secure(harness.context())
        assert client.ask(plain("mailer", PASSWORD))[:3] == "535"
        if change is change_password:
            assert client.ask(plain("mailer", NEW)).startswith("235 ")


def test_a_content_that_comes_in_meanwhile_is_told_at_its_end(make: Make) -> None:
    harness = make()
    with Client(harness.port) as client:
        log_in(client, harness)
        assert client.ask("MAIL FROM:<a@example.com>").startswith("250 ")
        assert client.ask("RCPT TO:<b@example.net>").startswith("250 ")
        assert client.ask("DATA").startswith("354 ")
        harness.call(change_password(harness))
        with Client(harness.port) as witness:  # by then the directory has looked
            log_in(witness, harness, "mailer", NEW)
        assert client.ask("Subject: x\r\n\r\nx\r\n.") == GONE
    assert harness.mailbox.deliveries == []


def test_a_suspended_account_hears_it_at_mail(make: Make) -> None:
    harness = make()
    with Client(harness.port) as client:
        log_in(client, harness)
        harness.call(suspend_account(harness.store, "acme", 2))
        deadline = time.monotonic() + 20
        while not (said := client.ask("MAIL FROM:<a@example.com>")).startswith(
            "550 5.7.1 This account is suspended"
        ):
            assert said.startswith("250 ")
            assert client.ask("RSET").startswith("250 ")
            assert time.monotonic() < deadline


async def drop(harness: Harness) -> None:
    async with harness.store.write() as connection:
        await connection.execute(DropTable(credential))


def test_sessions_of_a_store_that_is_away_stay(make: Make) -> None:
    harness = make()
    with Client(harness.port) as client:
        log_in(client, harness)
        harness.call(drop(harness))
        assert client.ask("NOOP").startswith("250 ")
        time.sleep(0.2)  # several looks that fail
        assert client.ask("NOOP").startswith("250 ")


class Guessers(BusyThreads):
    """So many addresses of loopback, each with one connection after another, for as long as the block runs."""

    def __init__(self, harness: Harness, addresses: int, threads: int = 6) -> None:
        super().__init__(*(partial(self._run, range(first, addresses, threads)) for first in range(threads)))
        self.harness = harness
        self.said: Counter[str] = Counter()

    def _run(self, numbers: range) -> None:
        open_: list[tuple[Client, int]] = []
        tries = 0
        while not self._stop.is_set():
            # All of them ask before the first hears an answer.
            for number in numbers:
                if self._stop.is_set():
                    break
                client = Client(self.harness.port, source=f"127.1.{number // 250}.{number % 250 + 1}")
                client.socket.settimeout(0.5)
                open_.append((client, number))
                tries += 1
                name = "mailer" if number % 2 else f"user{number}"
                client.send(f"EHLO x\r\n{plain(name, f'guess {tries}')}\r\n")
            for client, _ in open_:
                try:
                    for _ in range(3):
                        said = client.reply()
                    self.said[said[:3]] += 1
                except (TimeoutError, OSError):
                    self.said["none"] += 1
                client.socket.close()
            open_.clear()


def test_six_hundred_addresses_that_guess_keep_nobody_out(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """In clear, since 600 handshakes are not what is looked at here."""
    burst = 20  # fewer lines than there are guesses, however slow the machine is
    monkeypatch.setattr("ekiden.limits.journal._burst", burst)
    access = AccessConfig(delay=0.5, max_delay=2.0, cache_time=0.01)
    harness = make(mode="starttls", access=access, in_clear=True, smtp={"max_connections_per_address": 50})
    second = harness.call(create_account(harness.store, "second", 1, senders="any"))
    harness.call(set_password(harness.store, second.id, "newcomer", NEW, 1))
    key = harness.call(create_api_key(harness.store, second.id, "key", 1)).key
    waits: dict[str, list[float]] = {"known": [], "key": []}

    def log_in_from(source: str, name: str, password: str) -> float:
        began = time.monotonic()
        with Client(harness.port, source=source) as client:
            client.send(f"EHLO victim\r\n{plain(name, password)}\r\n")
            for _ in range(3):
                said = client.reply()
            assert said.startswith("235 "), (name, said)
            client.ask("QUIT")
        return time.monotonic() - began

    log_in_from("127.2.0.1", "mailer", PASSWORD)
    began = time.monotonic()
    with told() as lines, Guessers(harness, 600) as guessers:
        deadline = time.monotonic() + 60
        while sum(guessers.said.values()) < 50 and time.monotonic() < deadline:
            time.sleep(0.05)
        newcomer = log_in_from("127.2.0.2", "newcomer", NEW)
        elsewhere = log_in_from("127.2.0.3", "mailer", PASSWORD)
        for _ in range(5):
            time.sleep(0.02)  # so that it is computed each time
            waits["known"].append(log_in_from("127.2.0.1", "mailer", PASSWORD))
            waits["key"].append(log_in_from("127.2.0.4", "App", key))
    assert max(waits["known"]) < 10, waits
    assert max(waits["key"]) < 10, waits
    assert newcomer < 15
    assert elsewhere < 15
    assert guessers.said["235"] == 0
    logins = [line for line in lines if "login" in line]
    assert logins, "guesses are told"
    intervals = int((time.monotonic() - began) / 10) + 2
    assert len(logins) <= 2 * (burst + 1) * intervals, "and counted"
    assert not any("guess " in str(line) or PASSWORD in str(line) for line in lines)
