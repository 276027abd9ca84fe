"""``ekiden trace``: the whole story, in words."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from installation import Installation

from ekiden.core.clock import HOUR
from ekiden.core.ids import format_id
from ekiden.core.states import Cause, State
from queue_rows import Rows


async def bounced(rows: Rows) -> str:
    new = await rows.attempted(
        "nobody@x.example", state=State.BOUNCED, cause=Cause.RECIPIENT, reply="550 5.1.1 no such user here"
    )
    return format_id(new.message.id)


async def deferred(rows: Rows) -> str:
    new = await rows.attempted(
        "one@x.example",
        "two@x.example",
        state=State.DEFERRED,
        cause=Cause.POLICY,
        reply="451 4.7.1 Greylisted",
        due_in=HOUR,
    )
    return format_id(new.message.id)


def test_why_was_this_not_delivered(ekiden: Installation) -> None:
    id = ekiden.fill(bounced)
    told = ekiden.run("trace", id).out
    assert "Not delivered: it was refused for good." in told
    assert "The recipient's server says that there is no such mailbox." in told
    assert "take it off your lists" in told
    assert "attempt 1: bounced, after 500 ms" in told
    assert "mx.example.net [127.0.0.9:25], TLSv1.3 TLS_AES_256_GCM_SHA384" in told
    assert "reply: 550 5.1.1 no such user here" in told
    assert "S: 220 mx.example.net ESMTP" in told
    assert "client 192.0.2.7" in told
    assert "removed, because no recipient needs it any more" in told
    assert "\x1b" not in told
    assert "S: 220" not in ekiden.run("trace", id, "--brief").out


def test_in_japanese(ekiden: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    id = ekiden.fill(bounced)
    told = ekiden.run("trace", id, "--lang", "ja").out
    assert "宛先のメールボックスが存在しない" in told
    assert "試行 1：不達（所要 500 ms）" in told
    monkeypatch.setenv("EKIDEN_LANG", "ja_JP.UTF-8")
    assert ekiden.run("trace", id).out == told
    assert "no such mailbox" in ekiden.run("trace", id, "--lang", "en").out
    assert ekiden.run("trace", id, "--lang", "fr").status == 2


def test_what_waits_says_until_when(ekiden: Installation) -> None:
    id = ekiden.fill(deferred)
    told = ekiden.run("trace", id).out
    assert told.count("it will be tried again") == 2
    assert "greylisting" in told
    assert "next attempt" in told
    assert "in 59m" in told or "in 1h" in told
    only = ekiden.run("trace", f"{id}/2").out
    assert "two@x.example" in only
    assert "one@x.example" not in only
    assert "one@x.example" in ekiden.run("trace", id, "--recipient", "ONE@*").out
    assert "has no such recipient" in ekiden.run("trace", f"{id}/3").err


def test_everything_for_programs(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    id = ekiden.fill(bounced)
    found = ekiden.json("trace", id)
    assert set(found) == {
        "id",
        "account",
        "credential",
        "sender",
        "subject",
        "header_id",
        "size",
        "priority",
        "envid",
        "accepted_at",
        "expires_at",
        "content_kept",
        "origin",
        "labels",
        "recipients",
        "events",
    }
    (recipient,) = found["recipients"]
    assert recipient["explanation"]["headline"] == "Not delivered: it was refused for good."
    assert (recipient["final"], recipient["due_at"], recipient["attempts"]) == (True, None, 1)
    (attempt,) = recipient["history"]
    assert attempt["milliseconds"] == 500
    assert attempt["dialogue"][-1] == "S: 550 5.1.1 no such user here"
    assert [event["type"] for event in recipient["events"]] == ["bounced"]
    assert [event["type"] for event in found["events"]] == ["accepted"]


def test_an_expired_delivery_is_explained_by_what_stood_in_the_way(ekiden: Installation) -> None:
    async def expired(rows: Rows) -> str:
        new = await rows.attempted(
            "a@x.example", state=State.EXPIRED, cause=Cause.RECIPIENT, reply="452 4.2.2 mailbox full"
        )
        return format_id(new.message.id)

    told = ekiden.run("trace", ekiden.fill(expired)).out
    assert "its time ran out" in told
    assert "The recipient's mailbox is full." in told


def test_by_message_id(ekiden: Installation) -> None:
    async def work(rows: Rows) -> list[str]:
        first = await rows.message("a@x.example", header_id="<one@example.com>")
        twice = [await rows.message("a@x.example", header_id="<two@example.com>") for _ in range(2)]
        return [format_id(new.message.id) for new in [first, *twice]]

    ids = ekiden.fill(work)
    assert ekiden.json("trace", "one@example.com")["id"] == ids[0]
    several = ekiden.run("trace", "<two@example.com>")
    assert several.status == 1
    assert ids[1] in several.err
    assert ids[2] in several.err
    assert "there is no message three@example.com" in ekiden.run("trace", "three@example.com").err


def test_encoded_subjects_are_decoded(ekiden: Installation) -> None:
    async def work(rows: Rows) -> str:
        new = await rows.message("a@x.example", subject="=?utf-8?b?5qeY?=")
        return format_id(new.message.id)

    id = ekiden.fill(work)
    assert ekiden.json("trace", id)["subject"] == "様"
    assert "様" in ekiden.run("trace", id).out


def test_what_a_worker_is_sending_is_told_as_such(ekiden: Installation) -> None:
    async def work(rows: Rows) -> str:
        return format_id((await rows.message("a@x.example", state=State.SENDING)).message.id)

    assert "attempt 1: under way since" in ekiden.run("trace", ekiden.fill(work)).out


def test_as_a_process_in_a_pipe(ekiden: Installation) -> None:
    """No colours, nothing folded, and the exit status says whether there was an answer."""
    id = ekiden.fill(bounced)
    environ = {**os.environ, "EKIDEN_CONFIG": str(ekiden.config), "COLUMNS": "40"}
    command = [sys.executable, "-m", "ekiden.cli.main", "trace"]
    ended = subprocess.run([*command, id], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "\x1b" not in ended.stdout
    assert "The recipient's server says that there is no such mailbox." in ended.stdout
    missing = subprocess.run(
        [*command, "0000000000000"], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert missing.returncode == 1
    assert missing.stderr.startswith("ekiden: there is no message 0000000000000")
