"""``ekiden callback`` on both engines, in both languages."""

from __future__ import annotations

import asyncio
import string

import pytest
from installation import Installation
from sqlalchemy import insert, update
from test_texts import calls, constants

from ekiden.cli import callback
from ekiden.cli import callback_translations as callback_texts
from ekiden.core.clock import HOUR, MINUTE
from ekiden.core.events import Event, EventType
from ekiden.core.ids import format_id
from ekiden.core.notices import News, Route, routes_text
from ekiden.store.open import open_store
from ekiden.store.records import Noted
from ekiden.store.tables import callback as log_table
from ekiden.store.tables import endpoint, message, notice
from support.queue_rows import Rows

URL = "https://hooks.example/reports"


async def told(rows: Rows) -> dict[str, int]:
    """An endpoint with one event that waits and one that is dead, and a request that failed."""
    new = await rows.message("a@x.example", age=2 * HOUR)
    account, route = new.message.account_id, Route(1, int(News.INTERMEDIATE | News.TRACKING))
    async with rows.store.write() as connection:
        await connection.execute(
            insert(endpoint).values(
                account_id=account,
                format="some-format",
                url=URL,
                digest="d",
                created_at=rows.now,
                failures=3,
                failing_since=rows.now - HOUR,
                retry_at=rows.now + 10 * MINUTE,
                used_at=rows.now,
            )
        )
        await connection.execute(update(message).values(routes=routes_text((route,))))
    for type_ in (EventType.OPENED, EventType.CLICKED):
        event = Event(account, new.message.id, 1, type_, rows.now - HOUR)
        await rows.store.note(rows.worker.id, [Noted(event, (route,))])
    async with rows.store.write() as connection:
        ids = list(await connection.scalars(notice.select().with_only_columns(notice.c.id).order_by(notice.c.id)))
        await connection.execute(update(notice).where(notice.c.id == ids[1]).values(dead_at=rows.now, attempts=7))
        await connection.execute(
            insert(log_table).values(
                account_id=account,
                endpoint_id=1,
                id=99,
                at=rows.now - MINUTE,
                millis=12,
                status=503,
                answer="try\nlater",
                notices=f"[{ids[0]}]",
            )
        )
    return {"waiting": ids[0], "dead": ids[1], "message": new.message.id}


def live(ekiden: Installation) -> list[tuple[int, int | None]]:
    async def main() -> list[tuple[int, int | None]]:
        store = await open_store(ekiden.url)
        try:
            async with store.read() as connection:
                rows = await connection.execute(notice.select().order_by(notice.c.id))
                return [(row.id, row.dead_at) for row in rows]
        finally:
            await store.close()

    return asyncio.run(main())


def test_list(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    assert "nothing found" in ekiden.run("callback", "list").err
    ekiden.fill(told)
    [row] = ekiden.json("callback", "list", "--account", "acme", "--busy")
    assert (row["id"], row["account"], row["format"], row["url"]) == (1, "acme", "some-format", URL)
    assert (row["failures"], row["waiting"], row["dead"], row["authenticated"]) == (3, 1, 1, False)
    shown = ekiden.run("callback", "list").out
    assert URL in shown
    assert "in 9m" in shown or "in 10m" in shown
    assert ekiden.run("callback", "list", "--account", "nobody").status == 1


def test_log_and_dead(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    ids = ekiden.fill(told)
    [row] = ekiden.json("callback", "log", "--failed", "--endpoint", "1")
    assert (row["status"], row["answer"], row["millis"]) == (503, "try\nlater", 12)
    assert row["events"] == [format_id(ids["waiting"])]
    assert "try later" in ekiden.run("callback", "log").out
    assert ekiden.json("callback", "log", "--endpoint", "2") == []
    [row] = ekiden.json("callback", "dead")
    assert (row["event"], row["message"]) == (format_id(ids["dead"]), format_id(ids["message"]))
    assert (row["type"], row["attempts"], row["number"]) == ("clicked", 7, 1)
    assert "clicked" in ekiden.run("callback", "dead", "--account", "acme").out


def test_retry(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    ids = ekiden.fill(told)
    assert ekiden.run("callback", "retry").status == 2
    assert ekiden.run("callback", "retry", "5").err == "ekiden: there is no endpoint 5\n"
    assert ekiden.run("callback", "retry", "1", "--keep-dead").out == "0 events will be sent again\n"
    assert ekiden.json("callback", "retry", "--account", "acme") == {"events": 1}
    assert live(ekiden) == [(ids["waiting"], None), (ids["dead"], None)]
    assert ekiden.json("callback", "list")[0]["retry_at"] is None


def test_replay(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    ids = ekiden.fill(told)
    assert ekiden.json("callback", "replay", "-e", "1", "--from", "90m", "--to", "30m", "--dry-run") == {
        "events": 2,
        "dry_run": True,
    }
    assert ekiden.json("callback", "replay", "-e", "1", "--from", "100m", "--to", "90m")["events"] == 0
    event = format_id(ids["dead"])
    assert ekiden.run("callback", "replay", "--event", event).out == "1 event will be replayed\n"
    assert live(ekiden) == [(ids["waiting"], None), (ids["dead"], None)]
    for wrong in (
        ("--event", event, "--from", "2h"),
        ("--event", "0000000000001"),
        ("--event", "x"),
        ("--endpoint", "1"),
        ("--from", "2h"),
        ("--endpoint", "7", "--from", "2h"),
        ("--endpoint", "1", "--from", "yesterday"),
        ("--endpoint", "1", "--from", "1h", "--to", "2h"),
    ):
        ran = ekiden.run("callback", "replay", *wrong)
        assert ran.status == (1 if wrong[1] in ("0000000000001", "7") else 2), wrong
        assert ran.err.startswith("ekiden: ")


def test_in_japanese(ekiden: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EKIDEN_LANG", "ja")
    ekiden.fill(told)
    assert ekiden.run("callback", "list").out.split()[:4] == ["ID", "アカウント", "形式", "待機"]
    assert ekiden.run("callback", "retry", "1").out == "イベント 1 件を再度送信します\n"
    assert "通知先 9 はありません" in ekiden.run("callback", "retry", "9").err


def test_every_sentence_is_translated_and_no_other() -> None:
    used = {event.name.lower() for event in EventType}
    for name, call in calls(callback):
        if name in ("tr", "CallbackCliError", "CallbackUsageError"):
            used.update(constants(call.args[0]))
        elif name == "make_table":
            used.update(text for argument in call.args for text in constants(argument))
    assert used == set(callback_texts.TEXTS.japanese)


@pytest.mark.parametrize("english", sorted(callback_texts.TEXTS.japanese))
def test_translations_name_the_same_values(english: str) -> None:
    def values(text: str) -> list[tuple[str | None, str | None]]:
        return sorted((name, conversion) for _, name, _, conversion in string.Formatter().parse(text) if name)

    assert values(callback_texts.TEXTS.japanese[english]) == values(english)
