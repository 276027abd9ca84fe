"""``--help`` and wrong usage for a reader of Japanese: no English is left, and lines fold as Japanese does."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from rich.cells import cell_len
from typer.main import get_command

from ekiden.cli.common import HELP
from ekiden.cli.japanese_help import said_in_japanese
from ekiden.cli.main import COMMANDS, app

JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
ENGLISH = re.compile(r"[a-z]{2,}(?: [a-z]+){2,}")
# What one types, and the subject that `send` takes when it is given none.
TYPED = re.compile(r"ekiden(?: [a-z-]+)+|systemd-analyze verify|message from\s+ekiden send")
WALK = """
import sys
from ekiden.cli.main import run
for line in sys.stdin:
    try:
        run([*line.split(), "--help"])
    except SystemExit:
        print("\\f")
"""


def commands(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, child in (getattr(command, "commands", None) or {}).items():
        yield from commands(child, f"{path} {name}".strip())


def everything() -> dict[str, Any]:
    group: Any = get_command(app)
    found = {"": group}
    for name in COMMANDS:
        found.update(commands(group.get_command(None, name), name))
    return found


def paragraphs(command: Any) -> Iterator[str]:
    texts = [command.help, *(getattr(param, "help", None) for param in command.params)]
    for text in filter(None, texts):
        yield from (" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n"))


def test_every_text_of_help_has_its_japanese_and_no_other_is_there() -> None:
    used = {text for command in everything().values() for text in paragraphs(command)}
    used |= {text for _, text in COMMANDS.values()}
    assert sorted(used - set(HELP.japanese)) == []
    # The others are typer's own; what it really says is tried below.
    others = set(HELP.japanese) - used
    assert sorted(text for text in others if text.endswith(".") and not re.search(r"[{[]", text)) == [
        "Aborted.",
        "Missing command.",
        "Show this message and exit.",
    ]


def test_every_help_in_a_terminal_of_80_columns() -> None:
    paths = list(everything())
    done = subprocess.run(
        [sys.executable, "-c", WALK],
        env={**os.environ, "EKIDEN_LANG": "ja", "COLUMNS": "80", "NO_COLOR": "1"},
        input="".join(f"{path}\n" for path in paths),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    pages = done.stdout.split("\f\n")[:-1]
    assert len(pages) == len(paths)
    for path, page in zip(paths, pages, strict=True):
        assert f"使い方: ekiden {path}".strip() in page
        assert "オプション ─" in page
        assert "このヘルプを" in page
        bare = TYPED.sub("", re.sub(r"[│\s]+", " ", page))
        assert not ENGLISH.search(bare), (path, ENGLISH.search(bare))
        assert not re.search(r"…|Usage|OPTIONS|ARGS|default:|required|Show this", page), path
        for line in page.splitlines():
            assert cell_len(line) <= 80, line
            assert not re.match(r"[│\s]*[、。）」]", line), line


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ("queue lst", "'lst' というコマンドはありません。候補: 'list'"),
        ("qeue", "'qeue' というコマンドはありません。候補: 'queue'"),
        ("xyz", "'xyz' というコマンドはありません。"),
        ("queue list --foo", "--foo というオプションはありません。"),
        ("queue list --jso", "--jso というオプションはありません。候補: --json, --sort"),
        ("account create", "引数 'NAME' を指定してください。"),
        ("user add x", "オプション '--account' / '-a' を指定してください。"),
        ("queue list --limit", "オプション '--limit' には値を指定してください。"),
        ("queue list --json=5", "オプション '--json' に値は指定できません。"),
        ("queue show a b c", "余分な引数があります: b c"),
        ("queue list -n x", "'--limit' / '-n' の値が正しくありません。整数で指定してください。"),
        ("queue list -n 0", "'--limit' / '-n' の値が正しくありません。1 以上の値を指定してください。"),
        (
            "audit list -n 99999999999",
            "'--limit' / '-n' の値が正しくありません。1000000000 以下の値を指定してください。",
        ),
        (
            "rule add --endpoint x --account a",
            "'--endpoint' の値が正しくありません。"
            "'x' は使えません。次から選んで指定してください: 'public', 'private'",
        ),
    ],
)
def test_wrong_usage(args: str, told: str) -> None:
    """What typer says, as it says it, in Japanese."""
    from typer.core import TyperGroup

    group: Any = get_command(app)
    assert isinstance(group, TyperGroup)
    with pytest.raises(Exception) as raised:
        group.main(args.split(), prog_name="ekiden", standalone_mode=False)
    assert said_in_japanese(raised.value.format_message()) == told  # type: ignore[attr-defined]


def test_wrong_usage_is_told_so() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ekiden.cli.main", "queue", "list", "--foo"],
        env={**os.environ, "EKIDEN_LANG": "ja", "COLUMNS": "80", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert lines[0] == "使い方: ekiden queue list [オプション] [[ID]...]..."
    assert lines[1] == "ヘルプ: ekiden queue list -h"
    assert "エラー ─" in lines[2]
    assert "--foo というオプションはありません。" in lines[3]


def test_help_is_english_for_others() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ekiden.cli.main", "queue", "--help"],
        env={**os.environ, "EKIDEN_LANG": "en", "COLUMNS": "80"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert not JAPANESE.search(done.stdout)
    assert "Usage: ekiden queue [OPTIONS]" in done.stdout
