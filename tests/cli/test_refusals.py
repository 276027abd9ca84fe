"""``ekiden trace`` of what was refused."""

from __future__ import annotations

import pytest
from installation import Installation

from ekiden.access.accounts import create_account
from ekiden.access.refusals import Refusals
from ekiden.cli.refusal_view import _WHY
from ekiden.net.clock import SystemClock
from ekiden.smtp.reply import Reply
from support.queue_rows import Rows

REPLY = Reply.of(554, "5.7.1", "The domain own.example is suspended (key_differs)")


async def two_refused(rows: Rows) -> list[str]:
    """Of two accounts; the ids that clients were told."""
    clock = SystemClock()
    refusals = Refusals(rows.store, clock, rows.ids)
    told = []
    for name in ("first", "second"):
        account = await create_account(rows.store, name, clock.now())
        reply = refusals.note(
            "mail",
            "domain_suspended",
            REPLY,
            account_id=account.id,
            client="192.0.2.7",
            sender="me@own.example",
            facts={"listener": "submission", "domain": "own.example", "why": "key_differs"},
        )
        assert reply.text.startswith(REPLY.text)
        told.append(reply.text.rpartition("[")[2].rstrip("]"))
    await refusals.close()
    return told


def test_a_refusal_by_its_id(ekiden_everywhere: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    ekiden = ekiden_everywhere
    first, _ = ekiden.fill(two_refused)
    told = ekiden.run("trace", first).out
    for words in (
        f"{first}  refused at MAIL",
        "account  first",
        "client  192.0.2.7",
        "sender  me@own.example",
        "reply  554 5.7.1 The domain own.example is suspended (key_differs)",
        "the domain is suspended, because its records fail the periodic checks: ",
        "ekiden domain show",
    ):
        assert words in told
    found = ekiden.json("trace", first)
    assert (found["refused"], found["reason"], found["stage"]) == (first, "domain_suspended", "mail")
    monkeypatch.setenv("EKIDEN_LANG", "ja")
    assert "定期的な確認でレコードに問題が見つかった" in ekiden.run("trace", first).out


def test_the_list(ekiden: Installation) -> None:
    assert ekiden.json("trace", "--refused") == []
    assert "nothing was refused" in ekiden.run("trace", "--refused").out
    first, second = ekiden.fill(two_refused)
    assert [item["refused"] for item in ekiden.json("trace", "--refused")] == [second, first]
    assert [item["refused"] for item in ekiden.json("trace", "--refused", "--account", "first")] == [first]
    assert [item["refused"] for item in ekiden.json("trace", "--refused", "--limit", "1")] == [second]
    assert first in ekiden.run("trace", "--refused").out


def test_wrong_usage(ekiden: Installation) -> None:
    assert ekiden.run("trace").status == 2
    assert ekiden.run("trace", "--refused", "0AKXHFHDR0000").status == 2
    assert ekiden.run("trace", "--refused", "--account", "nobody").status == 1


def test_every_reason_says_why_and_what_to_do() -> None:
    assert all(why and advice for why, advice in _WHY.values())
