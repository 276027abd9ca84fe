"""``instance.key`` and the database that it belongs to: what each command says when they do not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from installation import Installation, Ran
from sqlalchemy import delete, select

from ekiden.access.vault import Vault
from ekiden.cli.main import run
from ekiden.config.load import load_config
from ekiden.net.clock import SystemClock
from ekiden.process.instance_key import InstanceKeyError, confirm
from ekiden.store.api import Store
from ekiden.store.open import open_store
from ekiden.store.tables import dkim_key, installation
from ekiden.wiring.dialects import DIALECTS

T = TypeVar("T")
OTHER = "1e" * 32


def key_of(ekiden: Installation) -> Path:
    return ekiden.config.parent / "instance.key"


def on(ekiden: Installation, work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    async def main() -> T:
        store = await open_store(ekiden.url)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(main())


def begin(ekiden: Installation) -> Vault:
    """What the first worker does."""
    return on(ekiden, lambda store: confirm(load_config(ekiden.config, dialects=DIALECTS), store, SystemClock()))


def forget(ekiden: Installation) -> None:
    """A database as it was before there were fingerprints."""

    async def work(store: Store) -> None:
        async with store.write() as connection:
            await connection.execute(delete(installation))

    on(ekiden, work)


def domain(ekiden: Installation, name: str) -> None:
    ekiden.run("account", "create", "acme")
    assert ekiden.run("domain", "add", name, "--account", "acme", "--vouch").status == 0


def finding(ekiden: Installation) -> tuple[str, str]:
    findings = json.loads(ekiden.run("doctor", "--json").out)["findings"]
    ((level, what),) = [(item["level"], item["what"]) for item in findings if item["check"] == "key"]
    return level, what


def test_the_first_start_binds_the_key_and_another_is_told_everywhere(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    assert finding(ekiden)[0] == "ok"
    assert ekiden.json("db", "upgrade")["instance_key"] == "unbound"
    vault = begin(ekiden)
    shown = ekiden.json("db", "key")
    assert (shown["state"], shown["fingerprint"], shown["wanted"]) == ("fits", *[vault.fingerprint] * 2)
    assert ekiden.json("db", "upgrade")["instance_key"] == "fits"
    assert finding(ekiden)[0] == "ok"
    ekiden.run("account", "create", "acme")
    key_of(ekiden).write_text(OTHER)
    words = f"the instance key {key_of(ekiden)} is not the one of this database"
    with pytest.raises(InstanceKeyError, match=words):
        begin(ekiden)
    for command in (
        ["db", "upgrade"],
        ["db", "key"],
        # Nothing is sealed with a key that is not the database's.
        ["domain", "add", "x.example", "--account", "acme"],
        ["credential", "access-key", "create", "acme"],
        ["account", "reporting", "acme", "--reports", "on"],
    ):
        ran = ekiden.run(*command)
        assert ran.status == 1, command
        assert words in ran.err, command
    assert finding(ekiden) == ("fail", ekiden.run("db", "key").err.removeprefix("ekiden: ").strip())


def test_a_database_from_before_is_bound_by_the_key_that_opens_it(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    domain(ekiden, "shop.example")
    forget(ekiden)
    right = key_of(ekiden).read_text()
    key_of(ekiden).write_text(OTHER)
    assert finding(ekiden)[0] == "fail"
    with pytest.raises(InstanceKeyError, match="is not the one of this database"):
        begin(ekiden)
    assert ekiden.json("db", "status")["workers"] == 0
    key_of(ekiden).write_text(right)
    assert finding(ekiden)[0] == "ok"
    begin(ekiden)
    assert ekiden.json("db", "key")["state"] == "fits"


def test_a_database_with_secrets_of_two_keys_is_for_the_one_that_opens_most(ekiden: Installation) -> None:
    right = key_of(ekiden).read_text()
    for name in ("a.example", "b.example"):
        domain(ekiden, name)
    key_of(ekiden).write_text(OTHER)
    forget(ekiden)
    on(ekiden, _reseal)
    with pytest.raises(InstanceKeyError):
        begin(ekiden)
    key_of(ekiden).write_text(right)
    begin(ekiden)
    level, what = finding(ekiden)
    assert level == "warn"
    assert "1 of its secrets were sealed with another key" in what


async def _reseal(store: Store) -> None:
    """One secret as the machine with the other key has stored it."""
    async with store.write() as connection:
        id = (await connection.scalars(select(dkim_key.c.id).order_by(dkim_key.c.id.desc()))).first()
        sealed = Vault(bytes.fromhex(OTHER)).seal(b"key", "dkim")
        await connection.execute(dkim_key.update().where(dkim_key.c.id == id).values(sealed=sealed))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is not 64 hexadecimal digits"),
        (b"0f" * 16, "is not 64 hexadecimal digits"),
        (b"0f" * 33, "is not 64 hexadecimal digits"),
        (b"\xff\xfe" * 32, "is not 64 hexadecimal digits"),
        (b"0f" * 1_000_000, "is not 64 hexadecimal digits"),
        ("folder", "cannot be read: Is a directory"),
    ],
)
def test_a_key_that_is_none(ekiden: Installation, content: bytes | str | None, words: str) -> None:
    path = key_of(ekiden)
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        path.mkdir()
    with pytest.raises(InstanceKeyError) as caught:
        begin(ekiden)
    assert f"the instance key {path} {words}. Put the copy of this installation's key there" in str(caught.value)
    assert finding(ekiden) == ("fail", str(caught.value))
    assert ekiden.json("account", "create", "acme")["name"] == "acme"  # what needs no key goes on
    assert ekiden.run("domain", "add", "x.example", "--account", "acme").status == 1


def test_a_lost_key_is_replaced(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    domain(ekiden, "a.example")
    domain(ekiden, "b.example")
    ekiden.json("credential", "access-key", "create", "acme")
    begin(ekiden)
    key_of(ekiden).write_text(OTHER)
    adopted = ekiden.json("db", "key", "--adopt")
    assert adopted["state"] == "fits"
    assert sorted(adopted["renewed"]) == ["a.example", "b.example"]
    assert adopted["closed"] == {"dkim_keys": 0, "access_keys": 1, "endpoints": 0}
    begin(ekiden)
    records = ekiden.json("domain", "show", "a.example")["records"]
    assert {row["status"] for row in records if row["kind"] == "dkim"} == {"pending", "retired"}
    assert ekiden.json("db", "key", "--adopt")["renewed"] == []
    assert "secrets of access keys: 0 opened, 1 not" in ekiden.run("db", "key").out


def test_in_japanese(ekiden: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(ekiden)
    monkeypatch.setenv("EKIDEN_LANG", "ja")
    assert "このデータベースのキーです" in ekiden.run("db", "key").out
    key_of(ekiden).write_text(OTHER)
    assert "はこのデータベースのものではなく" in ekiden.run("db", "upgrade").err
    assert "はこのデータベースのものではなく" in finding(ekiden)[1]
    key_of(ekiden).unlink()
    assert ekiden.run("db", "key").err.startswith(f"ekiden: インスタンスキー {key_of(ekiden)} を読み取れません")


def init(capsys: pytest.CaptureFixture[str], directory: Path, url: str, *options: str) -> Ran:
    with pytest.raises(SystemExit) as ended:
        run(["init", "--dir", str(directory), "--hostname", "mail.example.com", "--store", url, *options])
    captured = capsys.readouterr()
    return Ran(int(ended.value.code or 0), captured.out, captured.err)


def test_a_second_machine_is_made_with_the_key_of_the_first(
    tmp_path: Path, empty_postgresql_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = empty_postgresql_url
    first, second = tmp_path / "first", tmp_path / "second"
    assert init(capsys, first, url).status == 0
    refused = init(capsys, second, url)
    assert refused.status == 1
    assert "belongs to an installation already" in refused.err
    assert "--instance-key FILE" in refused.err
    (tmp_path / "wrong.key").write_text(OTHER)
    refused = init(capsys, second, url, "--instance-key", str(tmp_path / "wrong.key"))
    assert refused.status == 1
    assert "this is not the instance key of the database" in refused.err
    refused = init(capsys, second, url, "--instance-key", str(tmp_path / "none.key"))
    assert refused.err.startswith(f"ekiden: the instance key {tmp_path}/none.key cannot be read")
    monkeypatch.setenv("EKIDEN_LANG", "ja")
    assert "すでに別のインストールで使われており" in init(capsys, second, url).err
    assert not second.exists()
    assert init(capsys, second, url, "--instance-key", str(first / "instance.key")).status == 0
    assert (second / "instance.key").read_text().strip() == (first / "instance.key").read_text().strip()
    assert (second / "instance.key").stat().st_mode & 0o777 == 0o600
    assert load_config(second / "ekiden.toml", {}, dialects=DIALECTS).store_url() == url
