"""``ekiden account``, ``ekiden credential`` and ``ekiden db``."""

from __future__ import annotations

import asyncio
import io
import sqlite3
from pathlib import Path

import pytest
from installation import Installation, write_config

from ekiden.access.authenticate import Authenticator
from ekiden.access.config import AccessConfig
from ekiden.core.states import State
from ekiden.net.clock import SystemClock
from ekiden.store.open import head_revision, open_store
from queue_rows import Rows


def log_in(ekiden: Installation, username: str, password: str) -> str:
    """The account's name, or the class of the refusal."""

    async def main() -> str:
        store = await open_store(ekiden.url)
        try:
            authenticator = Authenticator(store, SystemClock(), AccessConfig())
            found = await authenticator.verify(username, password, "192.0.2.1")
            return getattr(found, "account_name", type(found).__name__)
        finally:
            await store.close()

    return asyncio.run(main())


def test_the_life_of_an_account(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    made = ekiden.json("account", "create", "acme", "--priority", "high")
    assert set(made) == {"id", "name", "priority", "created_at", "suspended_at"}
    assert (made["name"], made["priority"], made["suspended_at"]) == ("acme", "high", None)
    assert ekiden.run("account", "create", "beta").out == "account beta created\n"
    assert [account["name"] for account in ekiden.json("account", "list")] == ["acme", "beta"]
    assert ekiden.json("account", "suspend", "acme")["suspended_at"].endswith("Z")
    assert "suspended since" in ekiden.run("account", "list").out
    assert ekiden.json("account", "resume", "acme")["suspended_at"] is None
    assert ekiden.json("account", "set-priority", "acme", "low")["priority"] == "low"
    assert ekiden.run("account", "add-domain", "acme", "例え.example", "--verified").status == 0
    shown = ekiden.json("account", "show", "acme")
    assert [(item["name"], item["verified_at"] is None) for item in shown["domains"]] == [
        ("xn--r8jz45g.example", False)
    ]
    taken = ekiden.run("account", "create", "acme")
    assert (taken.status, taken.err) == (1, "ekiden: there is an account 'acme' already\n")
    assert ekiden.run("account", "show", "nobody").err == "ekiden: there is no account 'nobody'\n"
    assert ekiden.run("account", "create", "x", "--priority", "urgent").status == 2


def test_no_accounts_yet(ekiden: Installation) -> None:
    assert ekiden.json("account", "list") == []
    assert "ekiden account create" in ekiden.run("account", "list").err


def test_an_account_is_shown_with_its_queue(ekiden: Installation) -> None:
    async def work(rows: Rows) -> None:
        await rows.message("a@x.example", "b@x.example", state=State.HELD)

    ekiden.fill(work)
    ekiden.run("credential", "password", "create", "acme")
    assert ekiden.json("account", "show", "acme")["queue"] == {"held": 2}
    shown = ekiden.run("account", "show", "acme").out
    assert "in the queue: 2 held" in shown
    assert "password" in shown


def test_a_password_is_shown_once_and_works(ekiden: Installation) -> None:
    ekiden.run("account", "create", "acme")
    made = ekiden.json("credential", "password", "create", "acme", "mailer")
    assert (made["username"], made["kind"], made["account"]) == ("mailer", "password", "acme")
    assert log_in(ekiden, "mailer", made["password"]) == "acme"
    everything = ekiden.run("credential", "list", "--json").out + ekiden.run("account", "show", "acme").out
    assert made["password"] not in everything
    shown = ekiden.run("credential", "password", "create", "acme")
    assert shown.out.splitlines()[0] == "user name  acme"
    assert shown.err == "This is the only time it is shown.\n"
    assert ekiden.json("credential", "password", "revoke", str(made["id"]))["revoked_at"]
    assert log_in(ekiden, "mailer", made["password"]) != "acme"
    assert [item["name"] for item in ekiden.json("credential", "list", "acme")] == ["acme"]
    assert [item["name"] for item in ekiden.json("credential", "list", "--revoked")] == ["mailer", "acme"]


def test_a_password_may_be_given(ekiden: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    ekiden.run("account", "create", "acme")
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    made = ekiden.json("credential", "password", "create", "acme", "--ask")
    assert "password" not in made
    assert log_in(ekiden, "acme", "correct horse") == "acme"
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert "8 to" in ekiden.run("credential", "password", "create", "acme", "--ask").err


def test_an_api_key_is_shown_once_and_works(ekiden: Installation) -> None:
    ekiden.run("account", "create", "acme")
    made = ekiden.json("credential", "api-key", "create", "acme", "web shop")
    assert made["username"] == "App"
    assert log_in(ekiden, "App", made["api_key"]) == "acme"
    (listed,) = ekiden.json("credential", "api-key", "list", "acme")
    assert set(listed) == {"id", "account", "kind", "name", "created_at", "last_used_at", "revoked_at"}
    assert listed["name"] == "web shop"
    assert ekiden.json("credential", "password", "list") == []
    wrong = ekiden.run("credential", "password", "revoke", str(made["id"]))
    assert wrong.err == f"ekiden: credential {made['id']} is no password\n"
    assert "revoked API key 'web shop' of acme" in ekiden.run("credential", "revoke", str(made["id"])).out
    assert ekiden.run("credential", "list").err == "nothing found\n"


# db


def test_db_status_and_upgrade(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    status = ekiden.json("db", "status")
    assert set(status) == {"url", "engine", "revision", "head", "state", "bytes", "queue", "workers"}
    assert (status["revision"], status["state"], status["workers"]) == (head_revision(), "current", 0)
    assert status["bytes"] > 10_000
    assert ekiden.json("db", "upgrade") == {
        "before": head_revision(),
        "after": head_revision(),
        "head": head_revision(),
        "needed": False,
        "changed": False,
    }
    assert "is at revision" in ekiden.run("db", "upgrade").out
    assert ekiden.run("db", "upgrade", "--check").status == 0


def test_a_new_database_is_created_by_upgrade(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    ekiden = Installation(write_config(tmp_path, url), url, capsys, 0)
    missing = ekiden.run("account", "list")
    assert missing.status == 1
    assert "ekiden db upgrade" in missing.err
    assert ekiden.json("db", "status")["state"] == "empty"
    checked = ekiden.run("db", "upgrade", "--check")
    assert checked.status == 1
    assert "it has no tables yet" in checked.out
    assert not (tmp_path / "new.db").exists()
    assert "is now at revision" in ekiden.run("db", "upgrade").out
    assert ekiden.json("account", "list") == []


def test_a_database_of_a_newer_ekiden_is_left_alone(ekiden: Installation) -> None:
    with sqlite3.connect(ekiden.url.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert ekiden.json("db", "status")["state"] == "newer"
    refused = ekiden.run("db", "upgrade")
    assert refused.status == 1
    assert "newer Ekiden" in refused.err
