"""What is shown stays readable on 80 columns and in a pipe: ids, times and addresses are never broken."""

from __future__ import annotations

import io
import json
import re
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from installation import Installation
from rich.cells import cell_len
from rich.console import Group
from rich.text import Text
from test_callback_commands import told
from test_terminal import refused
from test_trace_command import bounced

from ekiden.cli.fold import fold, hanging
from ekiden.cli.tables import make_table
from ekiden.cli.terminal import Terminal
from ekiden.core.ids import format_id

TIME = "2026-11-29 21:26:02 +0000"
WHOLE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?: [+-]\d{4})?"
    r"|[0-9A-HJKMNP-TV-Z]{13}(?:/\d+)?|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[a-z0-9.]+@[a-z0-9.-]+"
)


def shown(width: int, headings: tuple[str, ...], rows: list[tuple[Any, ...]], right: tuple[str, ...] = ()) -> str:
    table = make_table(*headings, right=right)
    for row in rows:
        table.add_row(*row)
    file = io.StringIO()
    Terminal(file=file, width=width).print(table)
    return file.getvalue()


QUEUE = ("id", "recipient", "state", "next", "attempts", "age", "reason")
ROWS: list[tuple[Any, ...]] = [
    (
        "0AKW1M1VC0000",
        "someone@long.example.com",
        "deferred",
        "in 5m",
        "3",
        "2h 5m",
        f"421 slow down until {TIME}, please",
    ),
    ("0AKW1M1VC0000/2", "b@x.example", "queued", "now", "0", "1m", ""),
]
RIGHT = ("next", "attempts", "age")


def test_a_table_takes_the_shape_that_has_room() -> None:
    assert shown(130, QUEUE, ROWS, RIGHT).splitlines() == [
        "id               recipient                 state      next  attempts    age  reason",
        "0AKW1M1VC0000    someone@long.example.com  deferred  in 5m         3  2h 5m  421 slow down until "
        "2026-11-29 21:26:02 +0000, please",
        "0AKW1M1VC0000/2  b@x.example               queued      now         0     1m",
    ]
    assert shown(110, QUEUE, ROWS, RIGHT).splitlines()[1:3] == [
        "0AKW1M1VC0000    someone@long.example.com  deferred  in 5m         3  2h 5m  421 slow down until",
        " " * 77 + "2026-11-29 21:26:02 +0000, please",
    ]
    assert shown(80, QUEUE, ROWS, RIGHT).splitlines() == [
        "id               recipient                 state      next  attempts    age",
        "    reason",
        "0AKW1M1VC0000    someone@long.example.com  deferred  in 5m         3  2h 5m",
        "    421 slow down until 2026-11-29 21:26:02 +0000, please",
        "0AKW1M1VC0000/2  b@x.example               queued      now         0     1m",
    ]
    assert shown(60, QUEUE, ROWS, RIGHT).splitlines()[:4] == [
        "id               recipient                 state      next",
        "0AKW1M1VC0000    someone@long.example.com  deferred  in 5m",
        "    attempts: 3  age: 2h 5m",
        "    reason: 421 slow down until 2026-11-29 21:26:02 +0000,",
    ]
    assert shown(40, QUEUE, ROWS[:1], RIGHT).splitlines() == [
        "id         0AKW1M1VC0000",
        "  recipient  someone@long.example.com",
        "  state      deferred",
        "  next       in 5m",
        "  attempts   3",
        "  age        2h 5m",
        "  reason     421 slow down until",
        "             2026-11-29 21:26:02 +0000,",
        "             please",
    ]


def test_cells_of_several_lines_and_of_wide_characters() -> None:
    lines = shown(
        60, ("宛先", "件数", "説明"), [("あ", "3", Group(Text("一行目"), "二行目"))], ("件数",)
    ).splitlines()
    assert lines == ["宛先  件数  説明", "あ       3  一行目", "            二行目"]


def test_a_pipe_folds_nothing() -> None:
    table = make_table("id", "reason")
    table.add_row("0AKW1M1VC0000", "x " * 5000 + "end")
    file = io.StringIO()
    console = Terminal(file=file)
    console.print(table)
    console.print("y " * 5000 + "end")
    assert [line[-5:] for line in file.getvalue().splitlines()] == ["eason", "x end", "y end"]


@given(
    st.lists(
        st.sampled_from(
            [TIME, "0AKW1M1VC0000/2", "a@b.example", "。", "「", "引用", "word", ", ", " ", "  ", "、次は"]
        ),
        max_size=30,
    ).map("".join),
    st.integers(30, 90),
)
def test_folding_breaks_nothing_that_is_whole(text: str, width: int) -> None:
    hang = hanging(text)
    spans = fold(text, width, hang)
    lines = [text[start:end] for start, end in spans]
    for number, line in enumerate(lines):
        room = width if number == 0 else width - min(hang, width // 2)
        assert cell_len(line) <= room
        assert number == 0 or not line.startswith((" ", "。", "、"))
    assert "".join("".join(lines).split()) == "".join(text.split())
    for whole in re.finditer(WHOLE, text):
        inside = [span for span in spans if span.start <= whole.start() and whole.end() <= span.end]
        # Words that stand together without a blank can be longer than a line.
        around = re.search(r"\S*\Z", text[: whole.start()])[0] + re.match(r"\S*", text[whole.start() :])[0]  # type: ignore[index]
        assert inside or cell_len(around) > width - hang


def test_lines_hang_below_what_stands_behind_their_label() -> None:
    file = io.StringIO()
    console = Terminal(file=file, width=40)
    console.print("  reason  the account is suspended since 2026-11-29 21:26:02 +0000 by an operator")
    console.print("  理由  アカウントは 2026-11-29 21:26:02 +0000 に停止されました。「再開」してください。")
    assert file.getvalue().splitlines() == [
        "  reason  the account is suspended since",
        "          2026-11-29 21:26:02 +0000 by",
        "          an operator",
        "  理由  アカウントは",
        "        2026-11-29 21:26:02 +0000 に停止",
        "        されました。「再開」してくださ",
        "        い。",
    ]


def test_every_command_on_a_terminal_of_80_columns(ekiden: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ekiden.fill(bounced)
    numbers = ekiden.fill(told)
    refusal = ekiden.fill(refused)
    for words in (
        "credential password create acme a.user.with.a.long.name.of.forty.letters@mailer.acme.example",
        "credential access-key create acme pair",
        "user add jane.with.a.very.long.name.indeed@example.com --account acme --role owner",
        "project add shop --account acme",
        "domain add a.domain.with.a.long.name.shop.example --account acme",
        "zone add office 192.0.2.0/24 --account acme",
        "rule add --zone office --account acme",
        "suppression add a.very.long.address.of.somebody@somewhere.far.away.example --account acme "
        "--domain a.domain.with.a.long.name.shop.example",
    ):
        assert ekiden.run(*words.split()).status == 0, words
    for words in (
        "account list",
        "account show acme",
        "credential list",
        "user list",
        "project list",
        "domain list",
        "domain show a.domain.with.a.long.name.shop.example",
        "zone list",
        "rule list",
        "suppression list --account acme",
        "queue list --state all",
        f"queue show {format_id(numbers['message'])}",
        "queue shape",
        "find * --since 100d",
        f"trace {first}",
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
                piped = ekiden.run(*words.split()).out
                patch.setenv("TERM", "dumb")  # 80 columns
                patch.setattr(sys.stdout, "isatty", lambda: True)
                told_people = ekiden.run(*words.split()).out
            lines = told_people.splitlines()
            assert piped.strip(), words
            if not words.startswith("domain show"):  # lines of a zone file are to be copied
                assert max(map(cell_len, lines)) <= 80, (words, [line for line in lines if cell_len(line) > 80])
            for whole in set(WHOLE.findall(piped)):
                assert any(whole in line for line in lines), (words, whole, told_people)


def test_an_error_is_folded_on_a_terminal_too(ekiden: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    told_people = ekiden.run("queue", "cancel").err
    assert told_people.splitlines() == [
        "ekiden: cancel: no deliveries are chosen; give ids, a filter such as --domain,",
        "  or --all",
    ]
    assert json.loads(ekiden.run("account", "list", "--json").out) == []
