"""``ekiden account``, ``ekiden credential`` and ``ekiden db``."""

from __future__ import annotations

import asyncio
import io
import sqlite3
from pathlib import Path

import pytest
from installation import Installation, write_config

from ekiden.access.access_keys import AccessKeys
from ekiden.access.accounts import get_account
from ekiden.access.audit import local_actor
from ekiden.access.authenticate import Authenticator, Password, Proof
from ekiden.access.config import AccessConfig
from ekiden.access.console_users import verify_console_user
from ekiden.access.directory import AccountFacts
from ekiden.access.quotas import Quotas
from ekiden.access.vault import Vault
from ekiden.core.states import State
from ekiden.net.clock import SystemClock
from ekiden.store.open import head_revision, open_store
from support.queue_rows import Rows


def log_in(ekiden: Installation, username: str, password: str) -> str:
    """The account's name, or the class of the refusal."""

    async def main() -> str:
        store = await open_store(ekiden.url)
        try:
            authenticator = Authenticator(store, SystemClock(), AccessConfig())
            found = await authenticator.prove(Password(username, password), "192.0.2.1")
            return found.account.name if isinstance(found, Proof) else type(found).__name__
        finally:
            await store.close()

    return asyncio.run(main())


def test_the_life_of_an_account(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    made = ekiden.json("account", "create", "acme", "--priority", "high")
    assert set(made) == {
        "id",
        "uid",
        "name",
        "priority",
        "region",
        "senders",
        "quota",
        "reports",
        "suppress_bounces",
        "block_hours",
        "created_at",
        "suspended_at",
    }
    assert made["uid"] == format(made["id"], "032x")
    assert (made["name"], made["priority"], made["suspended_at"]) == ("acme", "high", None)
    assert ekiden.run("account", "create", "beta").out == "account beta created\n"
    assert [account["name"] for account in ekiden.json("account", "list")] == ["acme", "beta"]
    assert ekiden.json("account", "suspend", "acme")["suspended_at"].endswith("Z")
    assert "suspended since" in ekiden.run("account", "list").out
    assert ekiden.json("account", "resume", "acme")["suspended_at"] is None
    assert ekiden.json("account", "set-priority", "acme", "low")["priority"] == "low"
    assert ekiden.run("domain", "add", "例え.example", "--account", "acme", "--vouch").status == 0
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


def test_reports_are_kept_and_bounces_suppressed(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    made = ekiden.json("account", "create", "acme")
    assert (made["reports"], made["suppress_bounces"]) == (False, False)
    assert ekiden.run("account", "reporting", "acme").out == (
        "acme: no reports are kept, and bounces are not suppressed\n"
    )
    changed = ekiden.json("account", "reporting", "acme", "--reports", "on")
    assert (changed["reports"], changed["suppress_bounces"]) == (True, False)
    assert ekiden.json("account", "reporting", "acme", "--suppress-bounces", "on")["reports"] is True
    assert ekiden.run("account", "reporting", "acme").out.splitlines() == [
        "acme: its delivery reports are kept to be fetched",
        "acme: addresses that bounce for good are not mailed again",
    ]
    assert "addresses that bounce for good are not mailed again" in ekiden.run("account", "show", "acme").out
    assert ekiden.run("account", "list").out.splitlines()[1].split()[-2:] == ["kept", "suppressed"]
    (endpoint,) = ekiden.json("callback", "list")
    assert (endpoint["format"], endpoint["url"]) == ("pull", "")
    assert ekiden.json("account", "reporting", "acme", "--reports", "off")["reports"] is False
    # What was kept is fetched from the same place when it is on again.
    assert ekiden.json("account", "reporting", "acme", "--reports", "on")["reports"] is True
    assert [item["id"] for item in ekiden.json("callback", "list")] == [endpoint["id"]]
    assert ekiden.json("account", "reporting", "acme", "--suppress-bounces", "off")["suppress_bounces"] is False
    actions = [item["action"] for item in ekiden.json("audit", "list")]
    assert actions.count("account.reporting") == 5
    assert ekiden.run("account", "reporting", "acme", "--reports", "yes").status == 2
    assert ekiden.run("account", "reporting", "nobody").err == "ekiden: there is no account 'nobody'\n"


def test_the_block_period(ekiden_everywhere: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    ekiden = ekiden_everywhere
    assert ekiden.json("account", "create", "acme")["block_hours"] is None
    unset = "no block period is set; APIs that block all the same do so for 7d\n"
    assert ekiden.run("account", "block-period", "acme").out == f"acme: {unset}"
    for period, hours in (("7d", 168), ("180h", 180), ("36500d", 876_000)):
        assert ekiden.json("account", "block-period", "acme", period)["block_hours"] == hours
        assert ekiden.json("account", "block-period", "acme")["block_hours"] == hours
    for wrong in ("167h", "6d", "876001h", "200h30m", "0", "10", "never"):
        refused = ekiden.run("account", "block-period", "acme", wrong)
        assert (refused.status, repr(wrong) in refused.err) == (2, True)
    set_ = "addresses that bounce for good are blocked for 7d 12h\n"
    assert ekiden.run("account", "block-period", "acme", "180h").out == f"acme: {set_}"
    assert set_ in ekiden.run("account", "show", "acme").out
    monkeypatch.setenv("EKIDEN_LANG", "ja")
    assert ekiden.run("account", "block-period", "acme").out == (
        "acme: 恒久的に不達となったアドレスは 7日12時間ブロックします\n"
    )
    assert ekiden.json("account", "block-period", "acme", "default")["block_hours"] is None
    assert ekiden.run("account", "block-period", "nobody", "30d").status == 1
    changes = [item["data"] for item in ekiden.json("audit", "list") if item["action"] == "account.block"]
    assert [item["block_hours"] for item in changes] == [None, 180, 876_000, 180, 168], "looking is no change"


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


def test_a_password_that_works_is_not_replaced_by_a_slip(ekiden: Installation) -> None:
    ekiden.run("account", "create", "acme")
    first = ekiden.json("credential", "password", "create", "acme", "mailer", "--scope", "send")
    refused = ekiden.run("credential", "password", "create", "acme", "mailer")
    assert (refused.status, refused.out) == (1, "")
    assert refused.err == ("ekiden: the user name 'mailer' has a password already; --replace gives it a new one\n")
    assert log_in(ekiden, "mailer", first["password"]) == "acme"
    second = ekiden.json("credential", "password", "create", "acme", "mailer", "--replace")
    assert (second["id"], second["scopes"]) == (first["id"], ["send"])
    assert log_in(ekiden, "mailer", second["password"]) == "acme"
    assert log_in(ekiden, "mailer", first["password"]) != "acme"
    # A new name is no error with --replace, nor is one that was revoked an error without.
    ekiden.run("credential", "revoke", str(first["id"]))
    assert ekiden.json("credential", "password", "create", "acme", "mailer")["id"] == first["id"]
    assert ekiden.json("credential", "password", "create", "acme", "another", "--replace")["name"] == "another"


def test_a_password_may_be_given(ekiden: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    ekiden.run("account", "create", "acme")
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    made = ekiden.json("credential", "password", "create", "acme", "--ask")
    assert "password" not in made
    assert log_in(ekiden, "acme", "correct horse") == "acme"
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    short = ekiden.run("credential", "password", "create", "acme", "--ask", "--replace")
    assert "8 to" in short.err
    assert short.status == 2


def test_an_api_key_is_shown_once_and_works(ekiden: Installation) -> None:
    ekiden.run("account", "create", "acme")
    made = ekiden.json("credential", "api-key", "create", "acme", "web shop")
    assert made["username"] == "App"
    assert log_in(ekiden, "App", made["api_key"]) == "acme"
    (listed,) = ekiden.json("credential", "api-key", "list", "acme")
    assert set(listed) == {
        "id",
        "account",
        "kind",
        "name",
        "scopes",
        "networks",
        "created_at",
        "last_used_at",
        "revoked_at",
    }
    assert listed["name"] == "web shop"
    assert ekiden.json("credential", "password", "list") == []
    wrong = ekiden.run("credential", "password", "revoke", str(made["id"]))
    assert wrong.err == f"ekiden: credential {made['id']} is of the kind API key, not password\n"
    assert "revoked API key 'web shop' of acme" in ekiden.run("credential", "revoke", str(made["id"])).out
    assert ekiden.run("credential", "list").err == "nothing found\n"


def test_bounds_of_a_credential(ekiden: Installation) -> None:
    ekiden.run("account", "create", "acme")
    made = ekiden.json(
        "credential", "api-key", "create", "acme", "--scope", "read", "--scope", "send", "--network", "10.0.0.0/8"
    )
    assert (made["scopes"], made["networks"]) == (["send", "read"], ["10.0.0.0/8"])
    assert log_in(ekiden, "App", made["api_key"]) == "LoginRefusal"
    listed = ekiden.run("credential", "list").out.splitlines()
    assert listed[0].rstrip().endswith("only for")
    assert listed[1].rstrip().endswith("send, read, 10.0.0.0/8")
    id = str(made["id"])
    told = ekiden.run("credential", "bound", id, "--network", "192.0.2.1").out
    assert told == "API key 'default' of acme is now restricted to: 192.0.2.1\n"
    assert log_in(ekiden, "App", made["api_key"]) == "acme"
    forgotten = ekiden.run("credential", "bound", id)
    assert (forgotten.status, forgotten.out) == (2, "")
    assert "--none" in forgotten.err
    assert ekiden.run("credential", "bound", id, "--none", "--scope", "read").status == 2
    assert ekiden.json("credential", "list")[0]["networks"] == ["192.0.2.1"]
    assert (
        ekiden.run("credential", "bound", id, "--none").out == "API key 'default' of acme has no restrictions now\n"
    )
    assert "only for" not in ekiden.run("credential", "list").out
    for wrong in (("--scope", "all"), ("--network", "home")):
        assert ekiden.run("credential", "bound", id, *wrong).status == 2
    assert ekiden.run("credential", "bound", "999", "--none").err == "ekiden: there is no credential 999\n"


def test_an_api_user_has_a_key_and_a_time_zone(ekiden: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    ekiden.run("account", "create", "acme")
    command = ("credential", "api-user", "create", "acme", "App@acme.example")
    made = ekiden.json(*command, "--scope", "read", "--scope", "download")
    assert (made["kind"], made["api_user"], made["time_zone"]) == ("api_user", "app@acme.example", "Asia/Tokyo")
    assert made["scopes"] == ["read", "download"]
    again = ekiden.run(*command)
    assert (again.status, "is the one of an API user" in again.err) == (1, True)
    monkeypatch.setattr("sys.stdin", io.StringIO("brought1along\n"))
    assert "api_key" not in ekiden.json(*command, "--replace", "--ask")
    shown = ekiden.run(*command, "--replace", "--timezone", "UTC")
    assert [line.split()[0] for line in shown.out.splitlines()] == ["api_user", "api_key"]
    zone = ekiden.run("credential", "api-user", "timezone", "app@acme.example", "Mars/Olympus")
    assert (zone.status, "is not a time zone" in zone.err) == (2, True)
    changed = ekiden.json("credential", "api-user", "timezone", "app@acme.example", "Europe/Berlin")
    assert changed["time_zone"] == "Europe/Berlin"
    (listed,) = ekiden.json("credential", "api-user", "list", "acme")
    assert (listed["id"], listed["time_zone"]) == (made["id"], "Europe/Berlin")
    revoked = ekiden.run("credential", "api-user", "revoke", str(made["id"])).out
    assert revoked == "revoked API user 'app@acme.example' of acme\n"


def test_an_access_key_is_shown_once_and_can_be_had_back(ekiden: Installation) -> None:
    ekiden.run("account", "create", "acme")
    key = ekiden.config.parent / "instance.key"
    key.unlink(missing_ok=True)
    without = ekiden.run("credential", "access-key", "create", "acme")
    assert (without.status, "instance key" in without.err) == (1, True)
    key.write_text("00" * 32 + "\n", "ascii")
    made = ekiden.json("credential", "access-key", "create", "acme", "batch")
    assert (made["kind"], made["name"]) == ("access_key", "batch")

    async def secret() -> str:
        store = await open_store(ekiden.url)
        try:
            known = await AccessKeys(store, Vault(bytes(32))).find(made["access_key"])
            return "" if known is None else known.secret.decode()
        finally:
            await store.close()

    assert asyncio.run(secret()) == made["secret"]
    (listed,) = ekiden.json("credential", "access-key", "list", "acme")
    assert listed["access_key"] == made["access_key"]
    everything = ekiden.run("credential", "list").out + ekiden.run("audit", "list", "--json").out
    assert f"batch ({made['access_key']})" in everything
    assert made["secret"] not in everything
    shown = ekiden.run("credential", "access-key", "create", "acme")
    assert [line.split()[0] for line in shown.out.splitlines()] == ["access", "secret"]
    wrong = ekiden.run("credential", "api-key", "revoke", str(made["id"]))
    assert wrong.err == f"ekiden: credential {made['id']} is of the kind access key, not API key\n"
    revoked = ekiden.run("credential", "access-key", "revoke", str(made["id"])).out
    assert revoked == "revoked access key 'batch' of acme\n"
    assert ekiden.json("credential", "bound", made["access_key"], "--scope", "send")["scopes"] == ["send"]
    assert ekiden.json("credential", "access-key", "revoke", made["access_key"])["id"] == made["id"]
    unknown = ekiden.run("credential", "access-key", "revoke", "EK" + "A" * 18)
    assert (unknown.status, "there is no access key" in unknown.err) == (1, True)
    assert ekiden.run("credential", "revoke", "-x").status == 2


# quotas, senders, regions


def test_the_quota_of_an_account(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    ekiden.run("account", "create", "acme")
    empty = {"account": "acme", "minute": None, "hour": None, "day": None, "action": "delay"}
    nothing = {"minute": 0, "hour": 0, "day": 0}
    assert ekiden.json("account", "quota", "acme") == {**empty, "used": nothing}
    assert ekiden.run("account", "quota", "acme").out == "account acme: no quota\n"
    changed = ekiden.json("account", "quota", "acme", "--minute", "100", "--day", "5000")
    assert changed == {**empty, "minute": 100, "day": 5000, "used": nothing}

    async def send(rows: Rows) -> None:
        account = await get_account(rows.store, "acme")
        clock = SystemClock()
        quotas = Quotas(rows.store, clock)
        facts = AccountFacts(account.id, account.name, account.priority, False, quota=account.quota)
        await quotas.reserve(facts, 40, clock.now())
        await quotas.close()

    ekiden.fill(send)
    told = ekiden.run("account", "quota", "acme", "--minute", "none", "--action", "reject").out
    assert told == "account acme: what is over the quota is rejected\n  this day (UTC): 40 of 5,000\n"
    assert ekiden.json("account", "show", "acme")["quota"] == {
        "minute": None,
        "hour": None,
        "day": 5000,
        "action": "reject",
    }
    for wrong in (("--minute", "0"), ("--hour", "-1"), ("--day", "many"), ("--action", "hold")):
        assert ekiden.run("account", "quota", "acme", *wrong).status == 2
    assert ekiden.run("account", "quota", "nobody").status == 1
    changes = [item for item in ekiden.json("audit", "list", "-a", "acme") if item["action"] == "account.quota"]
    assert len(changes) == 2, "looking is no change"


def test_senders_and_region(ekiden: Installation) -> None:
    made = ekiden.json("account", "create", "relay", "--senders", "any", "--region", "jp-tok")
    assert (made["senders"], made["region"]) == ("any", "jp-tok")
    shown = ekiden.run("account", "show", "relay").out
    assert "region: jp-tok\n" in shown
    assert "it may send from any domain\n" in shown
    assert ekiden.json("account", "set-senders", "relay", "verified")["senders"] == "verified"
    assert ekiden.json("account", "set-region", "relay", "eu-de")["region"] == "eu-de"
    assert ekiden.run("account", "set-senders", "relay", "all").status == 2
    assert ekiden.json("account", "create", "other")["senders"] == "verified"


def test_a_region_is_one_of_the_configuration(ekiden: Installation) -> None:
    with ekiden.config.open("a", encoding="utf-8") as config:
        config.write('[[regions]]\nname = "us-south"\nsmtp_public = "smtp.example.com"\n')
    assert ekiden.json("account", "create", "acme", "--region", "us-south")["region"] == "us-south"
    for words in (("create", "other", "--region", "mars"), ("set-region", "acme", "mars")):
        refused = ekiden.run("account", *words).err
        assert refused == "ekiden: there is no region 'mars'; choose one of us-south\n"
    assert ekiden.json("account", "set-region", "acme", "")["region"] == ""
    assert [item["name"] for item in ekiden.json("account", "list")] == ["acme"]


# audit and console users


def test_the_audit_log(ekiden: Installation) -> None:
    assert ekiden.run("audit", "list").err == "nothing found\n"
    assert ekiden.json("audit", "list") == []
    ekiden.run("account", "create", "acme")
    ekiden.run("account", "create", "beta")
    ekiden.run("credential", "password", "create", "acme")
    ekiden.run("account", "suspend", "acme")
    ekiden.run("account", "resume", "acme")
    ekiden.run("account", "set-priority", "acme", "low")
    everything = ekiden.json("audit", "list")
    assert {entry["actor"] for entry in everything} == {local_actor().name}
    assert [entry["action"] for entry in everything if entry["account"] == "acme"] == [
        "account.priority",
        "account.resume",
        "account.suspend",
        "credential.create",
        "account.create",
    ]
    assert [entry["target"] for entry in ekiden.json("audit", "list", "--account", "beta")] == ["beta"]
    assert len(ekiden.json("audit", "list", "--limit", "2")) == 2
    lines = ekiden.run("audit", "list").out.splitlines()
    assert lines[0].split() == ["time", "account", "who", "from", "what", "target", "details"]
    assert "account.priority" in lines[1]


def test_console_users(ekiden: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    ekiden.run("account", "create", "acme")
    assert ekiden.json("user", "list") == []
    made = ekiden.json("user", "add", "Ann@acme.example", "--account", "acme", "--role", "owner")
    assert (made["login"], made["role"], made["account"]) == ("ann@acme.example", "owner", "acme")
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    told = ekiden.run("user", "add", "bob@acme.example", "-a", "acme", "--ask")
    assert told.out == "bob@acme.example is now viewer of the account acme\n"
    assert ekiden.run("user", "remove", "ann@acme.example").err.startswith("ekiden: 'ann@acme.example' is the last")
    assert ekiden.json("user", "set-role", "bob@acme.example", "admin")["role"] == "admin"
    new = ekiden.json("user", "set-password", "bob@acme.example")["password"]

    async def verify(password: str) -> bool:
        store = await open_store(ekiden.url)
        try:
            return await verify_console_user(store, "bob@acme.example", password, 1) is not None
        finally:
            await store.close()

    assert asyncio.run(verify(new))
    assert not asyncio.run(verify("correct horse"))
    assert new not in ekiden.run("user", "list", "--json").out + ekiden.run("audit", "list", "--json").out
    removed = ekiden.run("user", "remove", "bob@acme.example").out
    assert removed == "bob@acme.example is no longer a user of the account acme\n"
    assert [user["login"] for user in ekiden.json("user", "list")] == ["ann@acme.example"]
    assert len(ekiden.json("user", "list", "-a", "acme", "--revoked")) == 2
    assert "removed" in ekiden.run("user", "list", "--revoked").out


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
        "instance_key": "unbound",
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
