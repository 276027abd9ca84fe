"""Nothing that strangers wrote is obeyed by the terminal of an operator: every command, every foreign column."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import pytest
from installation import Installation, Ran
from rich.text import Text
from sqlalchemy import Table, select, update
from test_callback_commands import told
from test_trace_command import bounced

from ekiden.access.refusals import Refusals
from ekiden.cli.common import print_json
from ekiden.cli.tables import make_table, output
from ekiden.cli.terminal import Terminal
from ekiden.core.ids import format_id
from ekiden.core.visible import visible, visible_json, visible_text
from ekiden.net.clock import SystemClock
from ekiden.smtp.reply import Reply
from ekiden.store import tables
from ekiden.store.open import open_store
from support.queue_rows import Rows

HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b31m\x9d\x7f\b\r\v\u202e\u2066\u2028\u2029\u200f\ufeff\n[red]fake row[/] "
    "[link=http://evil.example]x[/link] :smile: 日本語👨‍👩‍👧"
)
HARMFUL = {char for char in HOSTILE if char != "\n" and visible(char) != char}

JSON_COLUMNS = {
    "domain.questionnaire",
    "domain_check.asked",
    "domain_check.answered",
    "audit.data",
    "refusal.data",
    "message.origin",
    "message.labels",
}
COLUMNS: tuple[tuple[Table, tuple[str, ...]], ...] = (
    (tables.account, ("region",)),
    (tables.project, ("region",)),
    (tables.credential, ("name",)),
    (tables.console_user, ("login",)),
    (tables.domain, ("approval_reason", "approved_by", "questionnaire", "tracking_host", "return_path")),
    (tables.domain_evidence, ("name", "media_type")),
    (tables.domain_check, ("code", "asked", "expected", "answered")),
    (tables.network_zone, ("name", "description", "created_by", "updated_by")),
    (tables.access_rule, ("description", "created_by", "updated_by")),
    (tables.audit, ("actor", "source", "target", "data")),
    (tables.refusal, ("reply", "client", "sender", "data")),
    (tables.message, ("sender", "envid", "header_id", "subject", "origin")),
    (tables.message, ("labels", "bulk", "reference", "application", "entity", "campaign")),
    (tables.delivery, ("recipient", "domain", "reason")),
    (tables.attempt, ("host", "address", "tls", "reply", "dialogue")),
    (tables.endpoint, ("format", "url")),
    (tables.callback, ("answer",)),
    (tables.suppression, ("address", "reason")),
    (tables.landing_page, ("name",)),
)


def poisoned(value: Any) -> Any:
    """Strings with the hostile text behind them."""
    if isinstance(value, dict):
        return {key: poisoned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    return value + HOSTILE if isinstance(value, str) else value


async def poison(ekiden: Installation) -> None:
    """Every column that a stranger can write, past all checks."""
    store = await open_store(ekiden.url)
    try:
        async with store.write() as connection:
            for table, columns in COLUMNS:
                keys = list(table.primary_key.columns)
                for row in (await connection.execute(select(table))).all():
                    values = {}
                    for column in columns:
                        value = getattr(row, column)
                        if f"{table.name}.{column}" in JSON_COLUMNS:
                            values[column] = json.dumps(poisoned(json.loads(value)))
                        elif isinstance(value, str):
                            values[column] = value + HOSTILE
                    where = [key == getattr(row, key.name) for key in keys]
                    await connection.execute(update(table).where(*where).values(**values))
    finally:
        await store.close()


async def refused(rows: Rows) -> str:
    refusals = Refusals(rows.store, SystemClock(), rows.ids)
    reply = refusals.note(
        "mail", "network_rule", Reply.of(554, "5.7.1", "No"), account_id=1, client="192.0.2.1", facts={"user": "x"}
    )
    await refusals.close()
    return reply.text.rpartition("[")[2].rstrip("]")


def harmless(ran: Ran) -> None:
    shown = ran.out + ran.err
    assert not HARMFUL & set(shown), sorted(HARMFUL & set(shown))
    assert "\nfake row" not in shown, "a line end in a text made another line"
    assert "\n[red]" not in shown


def test_every_command(ekiden: Installation, tmp_path: Any) -> None:
    first = ekiden.fill(bounced)
    numbers = ekiden.fill(told)
    refusal = ekiden.fill(refused)
    page = tmp_path / "page.html"
    page.write_text("<p>{{unsubscribe}}</p>")
    for words in (
        "credential password create acme mailer",
        "credential api-key create acme label",
        "credential access-key create acme pair",
        "user add jane@example.com --account acme --role owner",
        "project add shop --account acme",
        "domain add example.com --account acme",
        "zone add office 192.0.2.0/24 --account acme",
        "rule add --zone office --account acme",
        "suppression add a@x.example --domain example.com --account acme",
        f"landing-page add {page} --account acme --id page",
    ):
        ran = ekiden.run(*words.split())
        assert ran.status == 0, (words, ran.err)
    asyncio.run(poison(ekiden))
    seen = 0
    for words in (
        "account list",
        "account show acme",
        "credential list",
        "user list",
        "project list",
        "domain list",
        "domain show example.com",
        "zone list",
        "rule list",
        "suppression list --account acme",
        "landing-page list --account acme",
        "queue list",
        f"queue show {format_id(numbers['message'])}",
        "queue shape",
        "find * --since 100d",
        f"trace {first}",
        f"trace {format_id(numbers['message'])}",
        "trace --refused",
        f"trace {refusal}",
        "callback list",
        "callback log",
        "callback dead",
        "audit list",
        "db status",
    ):
        for language in ("en", "ja"):
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("EKIDEN_LANG", language)
                ran = ekiden.run(*words.split())
            assert ran.status == 0, (words, ran.err)
            harmless(ran)
            seen += "owned" in ran.out
        told_json = ekiden.run(*words.split(), "--json")
        assert not HARMFUL & set(told_json.out), words
        if "owned" in told_json.out:
            assert HOSTILE in str(list(_strings(told_json.json))) or any(
                HOSTILE in text for text in _strings(told_json.json)
            )
    assert seen >= 30, "the walk shows what it poisoned"


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return [value] if isinstance(value, str) else []


def test_visible() -> None:
    assert visible("\x1b[31m\x9b\x7f\u202e\u2028\udcff\n") == "\\x1b[31m\\x9b\\x7f\\u202e\\u2028\\udcff\\n"
    assert visible_text("two\nlines\tand\r") == "two\nlines\tand\\r"
    same = "たすき 駅伝 👨‍👩‍👧 ✔️ نص می‌خواهم \\x1b"
    assert visible(same) == visible_text(same) == same
    for number in (
        *range(0x20),
        *range(0x7F, 0xA0),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
        0xD800,
        0xDFFF,
    ):
        shown = visible(chr(number))
        assert shown.isascii()
        assert shown.isprintable()
        assert visible(shown) == shown


def test_json_stays_the_same_document(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"text": HOSTILE + "\U000e0001", HOSTILE: [HOSTILE]}
    print_json(value)
    shown = capsys.readouterr().out
    assert json.loads(shown) == value
    assert not HARMFUL & set(shown)
    assert "日本語" in shown
    print_json({"text": "\udcff\u202e"})
    assert json.loads(capsys.readouterr().out) == {"text": "\udcff\u202e"}
    assert visible_json("[1,\n 2]") == "[1,\n 2]"


@pytest.mark.parametrize("how", ["print", "cell", "styled", "styled cell", "colours", "width"])
def test_the_console(how: str) -> None:
    file = io.StringIO()
    console = Terminal(file=file, width=200 if how != "width" else 20)
    if how == "colours":
        console = Terminal(file=file, width=200)
        console._force_terminal = True
    if how in {"cell", "styled cell"}:
        table = make_table("a", "b")
        table.add_row(HOSTILE if how == "cell" else Text(HOSTILE, "red"), "next")
        console.print(table)
        assert len(file.getvalue().splitlines()) == 2
    else:
        console.print(Text.assemble("x ", (HOSTILE, "bold")) if how in ("styled", "colours") else HOSTILE)
    shown = file.getvalue()
    assert not (HARMFUL - {"\x1b"}) & set(shown)
    assert "\x1b]" not in shown
    assert "\x1b[2J" not in shown
    if how != "width":
        assert "[red]fake row[/]" in shown
        assert "日本語👨‍👩‍👧" in shown
        assert "[link=http://evil.example]" in shown
    assert isinstance(output(), Terminal)
