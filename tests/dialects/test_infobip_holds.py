"""A sender pauses over the API, an operator holds with the command: neither lets go what the other holds."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from infobip_cloud import Cloud
from infobip_outcomes import Outcomes
from test_infobip_bulks import STATUS, in_hours, put, states

from ekiden.cli.main import run
from ekiden.core.states import State


@dataclass
class Operator:
    """The command, on the database of the API."""

    config: Path
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    async def run(self, *args: str, lang: str = "en") -> str:
        self.monkeypatch.setenv("EKIDEN_LANG", lang)
        # In a thread, as it has an event loop of its own.
        with pytest.raises(SystemExit) as ended:
            await asyncio.to_thread(run, [*args, "--config", str(self.config)])
        captured = self.capsys.readouterr()
        assert not ended.value.code, captured.err
        return captured.out

    async def json(self, *args: str) -> Any:
        return json.loads(await self.run(*args, "--json"))

    async def holds(self) -> list[tuple[str, list[str]]]:
        """Of each delivery what it waits for and who holds it."""
        return [(row["wait"], [hold["by"] for hold in row["holds"]]) for row in await self.json("queue", "list")]


@pytest.fixture
def operator(
    store_url: str,
    tmp_path: Path,
    outcomes: Outcomes,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Operator:
    monkeypatch.setenv("COLUMNS", "400")
    config = tmp_path / "ekiden.toml"
    config.write_text(f'hostname = "mail.test.example"\n[store]\nurl = "{store_url}"\n')
    return Operator(config, capsys, monkeypatch)


async def sender(cloud: Cloud, status: str) -> str:
    reply = await put(cloud, STATUS, {"status": status})
    assert reply.status == 200, reply.body
    answered: str = reply.json["status"]
    return answered


async def test_the_sender_pauses_first(outcomes: Outcomes, operator: Operator) -> None:
    cloud = outcomes.cloud
    await outcomes.send("a@shop.example", "b@shop.example", bulkId="b1", sendAt=in_hours(2))
    assert await sender(cloud, "PAUSED") == "PAUSED"
    assert await operator.holds() == [("paused_by_sender", ["sender"])] * 2
    held = await operator.json("queue", "hold", "--all", "--reason", "looks like phishing")
    assert (held["changed"], held["unsuited"]) == (2, 0)
    assert await operator.holds() == [("held_by_operator", ["operator", "sender"])] * 2

    assert await sender(cloud, "PROCESSING") == "PENDING"
    assert await states(cloud) == [State.HELD, State.HELD]
    assert await outcomes.claim() == []
    assert await operator.holds() == [("held_by_operator", ["operator"])] * 2
    [row, _] = await operator.json("queue", "list")
    [hold] = row["holds"]
    assert (row["reason"], row["said"], hold["reason"]) == ("looks like phishing", None, "looks like phishing")
    assert "@" in hold["who"]
    assert hold["at"].startswith("20")
    shown = await operator.run("queue", "list")
    assert f"looks like phishing (by {hold['who']})" in shown
    assert "operator" in shown

    # Nothing of the operator's is left to hold, nothing of the sender's to resume.
    assert (await operator.json("queue", "hold", "--all"))["unsuited"] == 2
    assert (await put(cloud, STATUS, {"status": "PROCESSING"})).status == 409
    assert (await operator.json("queue", "release", "--all"))["still_held"] == 0
    assert await operator.holds() == [("scheduled", [])] * 2


async def test_the_operator_holds_first(outcomes: Outcomes, operator: Operator) -> None:
    cloud = outcomes.cloud
    await outcomes.send("a@shop.example", "b@shop.example", bulkId="b1", sendAt=in_hours(2))
    await operator.json("queue", "hold", "--all")
    assert await sender(cloud, "PAUSED") == "PAUSED"
    assert await operator.holds() == [("held_by_operator", ["operator", "sender"])] * 2
    for filtered, count in (("held_by_operator", 2), ("paused_by_sender", 2), ("scheduled", 0), ("quota", 0)):
        assert len(await operator.json("queue", "list", "--wait", filtered)) == count, filtered

    released = await operator.json("queue", "release", "--all")
    assert (released["changed"], released["still_held"]) == (2, 2)
    assert await operator.holds() == [("paused_by_sender", ["sender"])] * 2
    [row, _] = await operator.json("queue", "list")
    assert row["said"] == {"code": "paused_by_sender", "facts": {}}
    assert (await operator.json("queue", "release", "--all"))["unsuited"] == 2
    assert set(await states(cloud)) == {State.HELD}
    japanese = await operator.run("queue", "list", lang="ja")
    assert "送信者が一時停止しました" in japanese
    assert "paused" not in japanese
    trace = await operator.run("trace", row["id"], lang="ja")
    assert "保留継続: 送信者による一時停止" in trace
    assert "再開できるのは送信者です" in trace

    assert await sender(cloud, "PENDING") == "PENDING"
    assert await operator.holds() == [("scheduled", [])] * 2


async def test_either_takes_it_back_whoever_holds_it(outcomes: Outcomes, operator: Operator) -> None:
    cloud = outcomes.cloud
    await outcomes.send("a@shop.example", "b@shop.example", bulkId="b1", sendAt=in_hours(2))
    await sender(cloud, "PAUSED")
    [first, _] = await operator.json("queue", "list")
    await operator.json("queue", "hold", "--all")
    assert (await operator.json("queue", "cancel", first["id"]))["changed"] == 1
    assert await sender(cloud, "CANCELED") == "CANCELED"
    rows = await operator.json("queue", "list", "--state", "all")
    assert {(row["state"], row["wait"], row["reason"]) for row in rows} == {
        ("cancelled", None, "cancelled by an operator"),
        ("cancelled", None, "cancelled by its sender"),
    }
    assert [row["holds"] for row in rows] == [[], []]
