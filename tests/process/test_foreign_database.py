"""``ekiden serve`` on a database that is not its own, from the start or since a moment ago."""

from __future__ import annotations

import json
import sqlite3
from typing import Any


def change(serving: Any, statement: str) -> None:
    with sqlite3.connect(serving.directory / "ekiden.db") as database:
        database.execute(statement)
    database.close()


def missing(serving: Any) -> list[str]:
    status, body = serving.get("/readyz")
    told: list[str] = json.loads(body)["missing"]
    assert (status == 503) == bool(told)
    return told


def test_a_foreign_key_does_not_serve(serving: Any) -> None:
    serving.start()
    assert serving.stop() == 0
    (serving.directory / "instance.key").write_text("1e" * 32)
    last = serving.fail()
    assert last.startswith(
        f"ekiden: the instance key {serving.directory}/instance.key is not the one of this database"
    )
    with sqlite3.connect(serving.directory / "ekiden.db") as database:
        # Who may not begin is nobody that others would have to wait for.
        assert database.execute("SELECT count(*) FROM worker").fetchone() == (1,)
    database.close()
    (serving.directory / "instance.key").unlink()
    assert "instance.key cannot be read: No such file or directory. Put the copy" in serving.fail()
    assert not (serving.directory / "instance.key").exists()


def test_a_foreign_key_is_told_in_japanese(serving: Any) -> None:
    change(serving, f"INSERT INTO installation VALUES (1, '{'0' * 32}', 5)")
    serving.language = "ja"
    assert "はこのデータベースのものではなく" in serving.fail()


def test_a_database_that_is_put_under_a_running_worker(serving: Any, eventually: Any) -> None:
    """Restored from the backup of another installation, and upgraded by a newer Ekiden: each is told."""
    serving.start()
    assert missing(serving) == []
    change(serving, f"UPDATE installation SET fingerprint = '{'0' * 32}'")
    eventually(lambda: missing(serving) == ["instance_key"], "the foreign key")
    change(serving, "UPDATE alembic_version SET version_num = '9999'")
    eventually(lambda: missing(serving) == ["schema", "instance_key"], "the newer tables")
    told = [event for event in serving.events() if event["level"] == "error"]
    assert [event["event"].partition(":")[0] for event in told] == [
        "the database is another one now, and instance.key is not its key",
        "the tables of the database are those of another Ekiden now",
    ]
    assert told[1]["revision"] == "9999"
    assert serving.get("/healthz")[0] == 200
