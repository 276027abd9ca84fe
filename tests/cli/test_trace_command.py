"""``ekiden trace``: the whole story, in words."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from installation import Installation

from ekiden.access.vault import Vault
from ekiden.core.clock import DAY, HOUR
from ekiden.core.events import Event, EventType
from ekiden.core.ids import format_id
from ekiden.core.notices import News, Route
from ekiden.core.said import say
from ekiden.core.states import Cause, State
from ekiden.core.submission import Marks
from ekiden.net.clock import SystemClock
from ekiden.notify.endpoints import Endpoints
from ekiden.store.records import Noted
from ekiden.store.tables import callback, delivery, endpoint, notice
from support.queue_rows import Rows


async def bounced(rows: Rows) -> str:
    new = await rows.attempted("nobody@x.example", state=State.BOUNCED, reply="550 5.1.1 no such user here")
    return format_id(new.message.id)


async def deferred(rows: Rows) -> str:
    new = await rows.attempted(
        "one@x.example",
        "two@x.example",
        state=State.DEFERRED,
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
        "marks",
        "routes",
        "recipients",
        "events",
    }
    assert set(found["marks"].values()) == {""}
    assert found["routes"] == []
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
        new = await rows.attempted("a@x.example", state=State.EXPIRED, reply="452 4.2.2 mailbox full")
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

    told = ekiden.run("trace", ekiden.fill(work)).out
    assert "an attempt has begun, and its outcome has not been reported yet" in told
    assert "ago, not reported yet" in told


def test_after_a_kill_nothing_is_claimed(ekiden_everywhere: Installation) -> None:
    """The recipient's server may have taken the message, or may never have been reached: nobody knows."""
    ekiden = ekiden_everywhere

    async def killed(rows: Rows) -> str:
        new = await rows.message("a@x.example", state=State.SENDING)
        assert await rows.store.reap(rows.now + 2 * DAY) == 1
        return format_id(new.message.id)

    id = ekiden.fill(killed)
    told = ekiden.run("trace", id).out
    assert "What became of the last attempt is not known. It will be tried again." in told
    assert "the recipient may have the message or not" in told
    assert told.count("its worker ended before it reported") == 1
    about = told.partition("1. a@x.example")[2]
    for claim in ("no server", "Not delivered", "failed", "without encryption", "deferred, after"):
        assert claim not in about, claim
    japanese = ekiden.run("trace", id, "--lang", "ja").out
    assert "直前の試行の結果は分かっていません" in japanese
    assert "どのサーバーにも" not in japanese
    found = ekiden.json("trace", id)
    assert found["recipients"][0]["explanation"]["headline"].startswith("What became of the last attempt")


@pytest.mark.parametrize(
    ("dialogue", "said"),
    [
        ("# mx.example.net (127.0.0.9:25): Connection refused", False),
        ("# connected to mx.example.net (127.0.0.9:25)\nS: 220 hello\nC: EHLO us\nS: 554 no", False),
        ("S: 220 hello\nC: EHLO us\nS: 250 mx\nC: MAIL FROM:<>\nS: 451 4.3.0 later", True),
    ],
)
def test_encryption_is_told_of_conversations_only(ekiden: Installation, dialogue: str, said: bool) -> None:
    async def work(rows: Rows) -> str:
        new = await rows.attempted(
            "a@x.example",
            state=State.DEFERRED,
            reply="451 4.3.0 later",
            tls="",
            dialogue=dialogue,
        )
        return format_id(new.message.id)

    told = ekiden.run("trace", ekiden.fill(work)).out
    assert "mx.example.net [127.0.0.9:25]" in told
    assert ("[127.0.0.9:25], without encryption" in told) is said


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


MARKS = Marks("B-1", "order-7", "shop", "mail", "spring")


async def told(rows: Rows) -> str:
    """A delivered message, opened and clicked; one endpoint fails, one is fetched from, one has given up."""
    account_id = await rows.account()
    endpoints = Endpoints(rows.store, SystemClock(), Vault(b"k" * 32))
    reports = await endpoints.find(account_id, "some-json", "https://hooks.example/reports")
    tracking = await endpoints.find(account_id, "some-tracking", "https://hooks.example/tracking")
    pull = await endpoints.find(account_id, "pull", "")
    routes = (
        Route(reports, int(News.FINAL | News.INTERMEDIATE)),
        Route(tracking, int(News.TRACKING)),
        Route(pull, int(News.FINAL)),
    )
    new = await rows.message("ann@x.example", "bob@x.example", marks=MARKS, routes=routes)
    device = {"type": "Phone", "os": "iOS", "name": "iPhone"}
    happened = {
        1: [
            (EventType.DELIVERED, {}),
            (EventType.OPENED, {"machine": False, "device": device}),
            (EventType.CLICKED, {"url": "https://shop.example/{sale}", "machine": True, "why": "too-soon"}),
            (EventType.UNSUBSCRIBED, {"how": "one-click", "machine": False}),
        ],
        2: [(EventType.COMPLAINED, {}), (EventType.LATE_BOUNCE, {"reason": "550 5.1.1 gone"})],
    }
    events = [
        Event(account_id, new.message.id, number, kind, rows.now + index, data)
        for number, items in happened.items()
        for index, (kind, data) in enumerate(items)
    ]
    await rows.store.note(rows.worker.id, [Noted(event, routes) for event in events])
    async with rows.store.write() as connection:
        failing = {"failures": 3, "failing_since": rows.now, "retry_at": rows.now + HOUR}
        await connection.execute(endpoint.update().where(endpoint.c.id == reports).values(failing))
        for id, status, answer in ((1, 200, ""), (2, 503, "closed")):
            values = {"account_id": account_id, "endpoint_id": reports, "id": id, "at": rows.now, "millis": 5}
            await connection.execute(callback.insert().values(**values, status=status, answer=answer, notices="[]"))
        given_up = notice.update().where(notice.c.endpoint_id == tracking, notice.c.recipient_number == 2)
        await connection.execute(given_up.values(dead_at=rows.now))
    return format_id(new.message.id)


def test_who_is_told_and_what_recipients_did(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    id = ekiden.fill(told)
    found = ekiden.json("trace", id)
    assert found["marks"] == {
        "bulk": "B-1",
        "reference": "order-7",
        "application": "shop",
        "entity": "mail",
        "campaign": "spring",
    }
    reports, tracking, pull = found["routes"]
    assert (reports["url"], reports["news"]) == ("https://hooks.example/reports", ["final", "intermediate"])
    # The acceptance, and the delivery.
    assert (reports["waiting"], reports["dead"], reports["failures"]) == (2, 0, 3)
    assert (reports["status"], reports["answer"]) == (503, "closed")
    assert reports["retry_at"].endswith("Z")
    assert (tracking["waiting"], tracking["dead"], tracking["news"]) == (3, 2, ["tracking"])
    assert (tracking["failures"], tracking["retry_at"]) == (0, None)
    assert (pull["url"], pull["waiting"], pull["format"]) == ("", 1, "pull")
    shown = ekiden.run("trace", id).out
    assert "bulk B-1, message id order-7, application shop, entity mail, campaign spring" in shown
    assert (
        "final reports, intermediate reports to https://hooks.example/reports (2 waiting; failed 3 times in a row, "
        "last with 503 closed; next try in "
    ) in shown
    assert "opens, clicks and the like to https://hooks.example/tracking (3 waiting; 2 given up)" in shown
    assert "final reports kept to be fetched (1 not fetched yet)" in shown
    assert "opened (Phone iOS iPhone)" in shown
    assert (
        "link followed: https://shop.example/{sale} (automatic access: too soon after the message was accepted)"
        in shown
    )
    assert "the recipient unsubscribed (with one click (RFC 8058))" in shown
    assert "reported as unwanted by the recipient" in shown
    assert "bounced after the recipient's server had accepted it (550 5.1.1 gone)" in shown
    japanese = ekiden.run("trace", id, "--lang", "ja").out
    assert "バルク B-1、メッセージ ID order-7" in japanese
    assert "連続 3 回失敗" in japanese
    assert "リンクがクリックされました: https://shop.example/{sale}" in japanese
    assert "相手サーバーの受け付け後に不達" in japanese


@pytest.mark.parametrize(
    ("kind", "english", "mother_tongue"),
    [
        ("bounce", "bounced for good before", "恒久的に拒否されました"),
        ("over_quota", "was full", "いっぱい"),
        ("complaint", "reported mail of this domain", "迷惑メール"),
        ("unsubscribe", "unsubscribed", "配信を停止しました"),
    ],
)
def test_why_it_was_not_even_tried(ekiden: Installation, kind: str, english: str, mother_tongue: str) -> None:
    async def work(rows: Rows) -> str:
        new = await rows.message("ann@x.example")
        said = say("suppressed", kind=kind, reason="why")
        dropped = {
            "state": State.DROPPED,
            "cause": Cause.RECIPIENT,
            "reason": said.text(),
            "said": said.encode(),
        }
        async with rows.store.write() as connection:
            await connection.execute(
                delivery.update().where(delivery.c.message_id == new.message.id).values(dropped)
            )
        return format_id(new.message.id)

    id = ekiden.fill(work)
    shown = ekiden.run("trace", id).out
    assert english in shown
    assert "`ekiden suppression remove`" in shown
    assert "ekiden suppression list --account acme --address ann@x.example" in shown
    japanese = ekiden.run("trace", id, "--lang", "ja").out
    assert mother_tongue in japanese
    assert "`ekiden suppression remove`" in japanese
