"""Whatever a server does, what Ekiden says of it is code and facts, and what waits shows why."""

from __future__ import annotations

import re

import pytest
from delivery_road import road

from ekiden.cli.waiting import reason_text, wait_text
from ekiden.core.states import State, Wait
from ekiden.delivery.queue_queries import QueueFilter, Target, list_deliveries
from ekiden.delivery.trace_queries import load_trace
from ekiden.documents.queue import QueuedDelivery
from ekiden.lab.lab import Lab
from ekiden.net.families import Families
from ekiden.store.api import Store

JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
# Names, codes and quoted replies, which are nobody's sentences.
NAMES = re.compile(
    r"\b(?:[\w.-]+\.test|SERVFAIL|REFUSED|SMTP|TLS|NXDOMAIN|DNS|MX|RFC|null|EHLO|MAIL|RCPT|DATA|IPv6|SMTPUTF8|A|AAAA)\b"
)

WAITS = [
    ("tempfail", Wait.RETRY, None),
    ("greylist", Wait.RETRY, None),
    ("lostreply", Wait.RETRY, "waiting_for_reply"),
    ("silent", Wait.SITE_DOWN, "at_host"),
    ("silent-end", Wait.RETRY, "waiting_for_reply"),
    ("dead", Wait.SITE_DOWN, "at_host"),
    ("service-unavailable", Wait.SITE_DOWN, "at_host"),
    ("hostile-garbage", Wait.SITE_DOWN, "at_host"),
    ("hostile-250", Wait.RETRY, "reply_odd"),
    ("servfail", Wait.RETRY, "no_dns_answer"),
    ("dnstimeout", Wait.RETRY, "no_name_server"),
    ("nxdomain", None, "no_such_domain"),
    ("nullmx", None, "null_mx"),
    ("nomail", None, "no_mail_host"),
    ("mxnowhere", None, "no_host_address"),
    ("small", None, "too_large"),
    ("reject", None, None),
]


@pytest.mark.parametrize(("name", "wait", "code"), WAITS, ids=[name for name, *_ in WAITS])
async def test_why_it_waits_and_in_whose_words(
    sqlite_store: Store, lab: Lab, name: str, wait: Wait | None, code: str | None
) -> None:
    async with road(sqlite_store, lab) as r:
        content = b"Subject: x\r\n\r\n" + b"large\r\n" * (400_000 if name == "small" else 1)
        message_id = await r.send(f"joe@{name}.lab.test", sender="", content=content)
        await r.one(message_id)
        [row] = await list_deliveries(
            r.store, QueueFilter(account_id=1, targets=(Target(message_id),), states=frozenset(State)), newest=True
        )
        trace = await load_trace(r.store, 1, message_id)
    assert row.wait is wait
    assert (None if row.said is None else row.said.code) == code
    assert QueuedDelivery.of(row).reason == row.reason
    assert bool(wait_text(row, "ja")) == (wait is not None)
    assert trace is not None
    [delivery] = trace.deliveries
    [attempt] = delivery.attempts
    assert (attempt.said, delivery.said, delivery.wait) == (row.said, row.said, wait)
    if row.said is None:
        # A peer's, and nobody else's.
        assert any(row.reason in line for line in attempt.dialogue if line.startswith("S: "))
        return
    told = reason_text(row, "ja")
    assert JAPANESE.search(told)
    assert row.reason.lower() == row.said.text().lower()
    quoted = told.partition(": 421 ")[0]
    assert not re.search(r"[A-Za-z]{3,} [a-z]{2,}", NAMES.sub("", quoted)), told
    [event] = [event for event in delivery.events if "text" in event.data]
    assert event.data["said"][0] == code


async def test_a_family_without_an_address_of_ours(store: Store, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Families, "refusal", lambda self, address: "this machine has no IPv6 address to send from")
    async with road(store, lab) as r:
        message_id = await r.send("joe@accept.lab.test")
        await r.one(message_id)
        [row] = await list_deliveries(r.store, QueueFilter(waits=frozenset({Wait.NO_SOURCE})))
    assert (row.key.message_id, row.wait) == (message_id, Wait.NO_SOURCE)
    assert reason_text(row, "ja").endswith("このマシンには送信元にできる IPv6 アドレスがありません")


async def test_given_up_says_what_was_seen_last(store: Store, lab: Lab) -> None:
    async with road(store, lab) as r:
        ours = await r.send("joe@dead.lab.test", sender="", lives=1)
        theirs = await r.send("joe@tempfail.lab.test", sender="", lives=1)
        for message_id in (ours, theirs):
            assert (await r.one(message_id))["state"] == State.EXPIRED
        rows = await list_deliveries(
            r.store, QueueFilter(account_id=1, states=frozenset({State.EXPIRED})), newest=True
        )
    for row in rows:
        assert row.said is not None
        assert row.said.code == "given_up"
        assert "断念しました" in reason_text(row, "ja")
    assert "接続が拒否されました" in reason_text(rows[1], "ja")
    assert "Connection refused" in rows[1].reason
