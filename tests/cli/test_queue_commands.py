"""``ekiden queue`` as people and programs use it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from installation import Installation

from ekiden.cli import queue as queue_command
from ekiden.cli.common import CliError
from ekiden.cli.queue_filter import parse_target
from ekiden.core.clock import DAY, HOUR, MINUTE
from ekiden.core.ids import format_id
from ekiden.core.states import State
from ekiden.delivery.queue_queries import Target
from support.queue_rows import CONTENT, Rows


async def some(rows: Rows) -> dict[str, str]:
    held = await rows.message("held@b.example", state=State.HELD, reason="held by an operator")
    tried = await rows.attempted(
        "one@a.example",
        "two@a.example",
        state=State.DEFERRED,
        reply="421 4.7.0 slow down",
        due_in=HOUR,
        age=2 * DAY,
    )
    sending = await rows.message("sending@a.example", state=State.SENDING, account="other")
    done = await rows.attempted("done@a.example", state=State.DELIVERED, reply="250 2.0.0 ok")
    return {
        name: format_id(new.message.id)
        for name, new in {"held": held, "tried": tried, "sending": sending, "done": done}.items()
    }


def listed(found: Any) -> list[str]:
    return [row["recipient"] for row in found]


def test_list_for_programs(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    ids = ekiden.fill(some)
    found = ekiden.json("queue", "list")
    assert sorted(listed(found)) == ["held@b.example", "one@a.example", "sending@a.example", "two@a.example"]
    (one,) = (row for row in found if row["recipient"] == "one@a.example")
    assert one["id"] == ids["tried"]
    assert set(one) == {
        "id",
        "number",
        "account",
        "sender",
        "recipient",
        "domain",
        "state",
        "cause",
        "diagnosis",
        "wait",
        "holds",
        "reason",
        "said",
        "code",
        "enhanced",
        "priority",
        "attempts",
        "accepted_at",
        "due_at",
        "updated_at",
    }
    assert (one["state"], one["cause"], one["code"], one["attempts"]) == ("deferred", "rate", 421, 1)
    assert one["accepted_at"].endswith("Z")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--state", "held"], ["held@b.example"]),
        (["--state", "delivered"], ["done@a.example"]),
        (["--state", "held", "--state", "SENDING"], ["held@b.example", "sending@a.example"]),
        (["--account", "other"], ["sending@a.example"]),
        (["--domain", "B.example"], ["held@b.example"]),
        (["--recipient", "one@*"], ["one@a.example"]),
        (["--older-than", "1d"], ["one@a.example", "two@a.example"]),
        (["--due-before", "30m", "--state", "deferred"], []),
        (["--due-before", "2h", "--state", "deferred"], ["one@a.example", "two@a.example"]),
        (["--due-before", "2001-02-03T04:05:06+09:00"], []),
        (["--sender", "<>"], []),
        (["--limit", "1", "--domain", "a.example", "--older-than", "1d"], ["one@a.example"]),
    ],
)
def test_list_filters(ekiden: Installation, options: list[str], expected: list[str]) -> None:
    ekiden.fill(some)
    assert sorted(listed(ekiden.json("queue", "list", *options))) == expected


def test_list_for_people_says_why_and_until_when(ekiden: Installation) -> None:
    ids = ekiden.fill(some)
    shown = ekiden.run("queue", "list", "--state", "deferred").out.splitlines()
    assert len(shown) == 3
    assert shown[1].split()[:2] == [ids["tried"], "one@a.example"]
    assert shown[2].startswith(f"{ids['tried']}/2")
    assert "deferred" in shown[1]
    assert "in 59m" in shown[1] or "in 1h" in shown[1]
    assert "421 4.7.0 slow down" in shown[1]
    assert "\x1b" not in "".join(shown)
    assert ekiden.run("queue", "list", "--account", "other", "--state", "held").err == "nothing found\n"


def test_shape(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    ekiden.fill(some)
    found = ekiden.json("queue", "shape")
    assert found["domains"] == 2
    assert found["total"]["total"] == 4
    assert [(row["domain"], row["total"]) for row in found["rows"]] == [("a.example", 3), ("b.example", 1)]
    assert found["rows"][0]["ages"]["5"] == 1
    assert found["rows"][0]["ages"]["1280+"] == 2
    lines = ekiden.run("queue", "shape").out.splitlines()
    assert lines[0].split() == ["T", "5", "10", "20", "40", "80", "160", "320", "640", "1280", "1280+"]
    assert lines[1].split() == ["TOTAL", "4", "2", *["0"] * 8, "2"]


def test_what_has_ended_is_listed_newest_first(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere

    async def more(rows: Rows) -> dict[str, str]:
        found = await some(rows)
        old = await rows.attempted("old@a.example", state=State.BOUNCED, reply="550 5.1.1 no", age=3 * DAY)
        return {**found, "old": format_id(old.message.id)}

    ids = ekiden.fill(more)

    def names(*options: str) -> list[str]:
        return [name.partition("@")[0] for name in listed(ekiden.json("queue", "list", *options))]

    everything = names("--state", "all")
    assert everything[-3:] == ["two", "one", "old"]
    assert sorted(everything) == ["done", "held", "old", "one", "sending", "two"]
    found = ekiden.json("queue", "list", "--state", "all")
    keys = [(item["id"], item["number"]) for item in found]
    assert keys == sorted(keys, reverse=True)
    assert names("--state", "all", "--limit", "2") == everything[:2]
    assert names("--state", "ALL", "--account", "other") == ["sending"]
    assert names("--state", "bounced", "--state", "held")[1] == "old"
    assert names("--state", "all", "--since", "50h", "--until", "47h") == ["two", "one"]
    assert names("--state", "all", "--since", "50h")[-2:] == ["two", "one"]
    assert names("--state", "all", "--until", "1d") == ["two", "one", "old"]
    assert names("--state", "all", "--until", "1d", "--older-than", "60h") == ["old"]
    since = found[-1]["accepted_at"].replace("Z", "+00:00")
    assert names("--state", "all", "--since", since)[-1] == "old"
    assert names("--state", "all", "--until", since) == []
    # Without a final state, what waits is in the order of its next time unless one asks for the newest.
    assert names("--state", "deferred", "--state", "held") == ["held", "one", "two"]
    assert names("--state", "deferred", "--state", "held", "--sort", "newest") == ["held", "two", "one"]
    assert names("--state", "all", "--sort", "due")[-1] == "two"
    assert ekiden.run("queue", "list", "--since", "1h", "--until", "2h").err == (
        "ekiden: --since is later than --until\n"
    )
    assert ekiden.json("queue", "cancel", "--since", "50h", "--until", "47h")["changed"] == 2
    shown = ekiden.run("queue", "list", "--state", "all", ids["old"]).out.splitlines()
    assert shown[1].split()[:3] == [ids["old"], "old@a.example", "bounced"]


def test_actions(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    ids = ekiden.fill(some)

    def act(*args: str) -> tuple[int, int, int, int]:
        found = ekiden.json("queue", *args)
        return found["selected"], found["changed"], found["sending"], found["unsuited"]

    assert act("retry", "--all", "--dry-run") == (2, 0, 1, 1)
    assert act("retry", f"{ids['tried']}/2") == (1, 1, 0, 0)
    assert act("retry", ids["tried"]) == (1, 1, 0, 1)
    assert act("hold", "--domain", "a.example", "--reason", "let us wait") == (2, 2, 1, 0)
    assert {row["reason"] for row in ekiden.json("queue", "list", ids["tried"])} == {"let us wait"}
    assert act("release", "--state", "held", "--limit", "1") == (1, 1, 0, 0)
    assert act("cancel", "--all") == (3, 3, 1, 0)
    assert listed(ekiden.json("queue", "list")) == ["sending@a.example"]
    story = ekiden.json("trace", ids["tried"])
    told = [event["type"] for event in story["recipients"][1]["events"]]
    assert told == ["deferred", "released", "held", "cancelled"]
    assert story["recipients"][1]["events"][1]["data"]["action"] == "retry"
    assert story["content_kept"] is False
    # The registration under which it was done has ended.
    assert ekiden.json("db", "status")["workers"] == 2


def test_actions_say_what_they_left_alone(ekiden: Installation) -> None:
    ekiden.fill(some)
    assert ekiden.run("queue", "cancel", "--all", "--dry-run").out.splitlines() == [
        "3 deliveries would be cancelled",
        "1 skipped: a worker is sending it",
    ]
    assert ekiden.run("queue", "release", "--all").out.splitlines() == [
        "1 delivery now released",
        "1 skipped: a worker is sending it",
        "2 skipped: not held, or held by others than an operator",
    ]


def test_the_whole_queue_is_not_changed_by_a_slip(ekiden: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_command, "CONFIRM_ABOVE", 1)
    ekiden.fill(some)
    for action in ("cancel", "hold", "retry", "release"):
        for options in ((), ("--yes",), ("--dry-run",), ("--limit", "5"), ("--reason", "x"), ("--json",)):
            refused = ekiden.run("queue", action, *options)
            assert (refused.status, refused.out) == (2, "")
            assert refused.err == (
                f"ekiden: {action}: no deliveries are chosen; give ids, a filter such as --domain, or --all\n"
            )
    assert ekiden.run("queue", "cancel", "--all", "--domain", "b.example").status == 2
    refused = ekiden.run("queue", "cancel", "--state", "held", "--state", "deferred")
    assert refused.status == 1
    assert "cancel 3 deliveries, everything in the queue? Say --yes" in refused.err
    assert len(ekiden.json("queue", "list")) == 4
    assert ekiden.json("queue", "hold", "--domain", "*")["changed"] == 2
    assert ekiden.json("queue", "cancel", "--all")["changed"] == 3


def test_show(ekiden: Installation) -> None:
    ids = ekiden.fill(some)
    found = ekiden.json("queue", "show", ids["tried"].lower())
    assert found["id"] == ids["tried"]
    assert [item["state"] for item in found["recipients"]] == ["deferred", "deferred"]
    assert found["origin"]["client"] == "192.0.2.7"
    shown = ekiden.run("queue", "show", ids["tried"]).out
    assert "one@a.example" in shown
    assert "421 4.7.0 slow down" in shown
    assert ekiden.run("queue", "show", "0000000000000").err == "ekiden: there is no message 0000000000000\n"


def test_show_content_as_it_is(ekiden: Installation) -> None:
    ids = ekiden.fill(some)
    command = [sys.executable, "-m", "ekiden.cli.main", "queue", "show", "--content"]
    environ = {**os.environ, "EKIDEN_CONFIG": str(ekiden.config)}
    kept = subprocess.run([*command, ids["held"]], env=environ, capture_output=True, timeout=60, check=False)
    assert (kept.returncode, kept.stdout, kept.stderr) == (0, CONTENT, b"")
    gone = ekiden.run("queue", "show", ids["done"], "--content")
    assert "has been removed" in gone.err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["queue", "list", "--older-than", "soon"], "--older-than: 'soon' is not a duration"),
        (["queue", "list", "--due-before", "2026-13-01"], "--due-before: '2026-13-01' is not a time"),
        (["queue", "list", "--domain", "a b"], "--domain: "),
        (["queue", "list", "--account", "nobody"], "there is no account 'nobody'"),
        (["queue", "retry", "xyz"], "an id has 13 letters"),
        (["queue", "hold", "0000000000000/x"], "after the slash stands the number of a recipient"),
    ],
)
def test_errors_are_one_line(ekiden: Installation, args: list[str], message: str) -> None:
    ended = ekiden.run(*args)
    assert ended.status == (1 if "nobody" in args else 2)
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert "Traceback" not in ended.err


def test_an_unknown_state_is_a_wrong_usage(ekiden: Installation) -> None:
    ended = ekiden.run("queue", "list", "--state", "lost")
    assert ended.status == 2
    assert "choose one of held, scheduled" in " ".join(ended.err.replace("│", " ").split())


def test_targets() -> None:
    assert parse_target("0000000000001") == Target(1)
    assert parse_target("000000000000O/12") == Target(0, 12)
    with pytest.raises(CliError):
        parse_target("0000000000001/0")


def test_ages_of_rows_are_told(ekiden: Installation) -> None:
    async def young(rows: Rows) -> None:
        await rows.message("a@x.example", age=3 * MINUTE, due_in=-MINUTE)

    ekiden.fill(young)
    assert "3m" in ekiden.run("queue", "list").out
