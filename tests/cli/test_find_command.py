"""``ekiden find``: whatever was sent to somebody, and what was refused."""

from __future__ import annotations

import pytest
from installation import Installation

from ekiden.access.refusals import Refusals
from ekiden.cli.find import spellings
from ekiden.core.address import parse_address
from ekiden.core.clock import DAY, HOUR
from ekiden.core.ids import format_id
from ekiden.core.states import State
from ekiden.net.clock import SystemClock
from ekiden.smtp.reply import Reply
from support.queue_rows import Rows


async def sent(rows: Rows) -> dict[str, str]:
    made = {
        "old": await rows.attempted("ann@x.example", state=State.BOUNCED, reply="550 5.1.1 unknown", age=3 * DAY),
        "done": await rows.attempted("bob@x.example", "Ann@x.example", state=State.DELIVERED, age=HOUR),
        "other": await rows.message("ann@x.example", account="other", state=State.HELD, reason="held"),
        "stranger": await rows.message("joann@x.example"),
    }
    ids = {name: format_id(new.message.id) for name, new in made.items()}
    refusals = Refusals(rows.store, SystemClock(), rows.ids)
    reply = refusals.note(
        "data",
        "quota",
        Reply.of(452, "4.7.1", "Over the quota"),
        account_id=made["done"].message.account_id,
        sender="me@shop.example",
        recipients=[parse_address("ANN@x.example"), parse_address("cy@x.example")],
    )
    await refusals.close()
    return {**ids, "refused": reply.text.rpartition("[")[2].rstrip("]")}


def test_everything_newest_first(ekiden_everywhere: Installation) -> None:
    ekiden = ekiden_everywhere
    ids = ekiden.fill(sent)

    def found(*options: str) -> tuple[list[str], list[str]]:
        told = ekiden.json("find", *options)
        return [item["id"] for item in told["messages"]], [item["refused"] for item in told["refusals"]]

    assert found("ann@x.example") == ([ids["other"], ids["old"]], [ids["refused"]])
    assert found("Ann@X.example") == ([ids["other"], ids["done"], ids["old"]], [ids["refused"]])
    assert found("Ann@x.example", "--since", "2h") == ([ids["other"], ids["done"]], [ids["refused"]])
    assert found("Ann@x.example", "--until", "30m") == ([ids["done"], ids["old"]], [])
    assert found("Ann@x.example", "--account", "other") == ([ids["other"]], [])
    assert found("Ann@x.example", "--limit", "1") == ([ids["other"]], [ids["refused"]])
    assert found("cy@x.example") == ([], [ids["refused"]])
    assert found("*ann@x.*", "--since", "4d")[0] == [ids["stranger"], ids["other"], ids["done"], ids["old"]]
    (done,) = (item for item in ekiden.json("find", "Ann@x.example")["messages"] if item["id"] == ids["done"])
    assert (done["number"], done["state"], done["recipient"]) == (2, "delivered", "Ann@x.example")
    assert {"subject", "sender", "account", "accepted_at", "reason", "code"} <= set(done)


def test_for_people(ekiden: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = ekiden.fill(sent)
    lines = ekiden.run("find", "Ann@x.example").out.splitlines()
    assert lines[0].split() == ["time", "id", "state", "account", "sender", "subject", "reason"]
    told = [line.split()[3:5] for line in lines[1:]]
    assert told[0] == [ids["refused"], "refused"]
    assert [cells[0] for cells in told[1:]] == [ids["other"], f"{ids['done']}/2", ids["old"]]
    assert "the quota of the account is used up" in lines[1]
    assert "550 5.1.1 unknown" in lines[4]
    limited = ekiden.run("find", "Ann@x.example", "--limit", "2")
    assert (len(limited.out.splitlines()), limited.err) == (3, "the first 2; more with --limit\n")
    nobody = ekiden.run("find", "nobody@x.example")
    assert (nobody.status, nobody.out, nobody.err) == (0, "", "nothing found\n")
    for wrong in (("nobody",), ("*@x.example",), ("a@x.example", "--since", "soon"), ()):
        assert ekiden.run("find", *wrong).status == 2, wrong
    assert "needs --since" in ekiden.run("find", "*@x.example").err
    monkeypatch.setenv("EKIDEN_LANG", "ja")
    lines = ekiden.run("find", "ann@x.example").out.splitlines()
    assert lines[0].split() == ["日時", "ID", "状態", "アカウント", "送信者", "件名", "理由"]
    assert lines[1].split()[4] == "拒否"


def test_spellings_of_an_address() -> None:
    assert spellings("ann@x.example") == ["ann@x.example"]
    assert spellings(" Ann@X.Example ") == ["Ann@x.example", "Ann@X.Example", "ann@x.example"]
    assert set(spellings("a@例え.example")) == {"a@例え.example", "a@xn--r8jz45g.example"}
    assert set(spellings("a@xn--r8jz45g.example")) == {"a@例え.example", "a@xn--r8jz45g.example"}
    assert spellings("a@[192.0.2.1]") == ["a@[192.0.2.1]"]
