"""What holds for every command: wrong usage, help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from installation import Installation
from typer.main import get_command

from ekiden.cli import suppression
from ekiden.cli.main import COMMANDS, app, run
from ekiden.recipients.suppressions import KINDS

ID = "0000000000000"
MUCH = "9" * 400
WRONG = (
    "nonsense",
    "queue nonsense",
    "queue list --nonsense",
    "queue list --state lost",
    "queue list --older-than soon",
    "queue list --due-before tomorrow",
    "queue list --domain a..b",
    "queue list --limit 0",
    "queue list --limit x",
    "queue list xyz",
    "queue show xyz",
    "queue show",
    "queue cancel",
    f"queue cancel {ID} --all",
    f"queue hold {ID}/x",
    "trace",
    "trace xyz",
    f"trace {ID} --refused",
    f"trace {ID} --lang fr",
    "account create",
    "account create acme --priority urgent",
    "account create acme --senders some",
    "account quota acme --day many",
    "account quota acme --action wait",
    "account reporting acme --reports maybe",
    "account block-period acme 6d",
    "credential bound 7",
    "credential bound 7 --none --scope read",
    "credential revoke seven",
    "callback retry",
    "callback replay",
    "callback replay --event xyz",
    "callback replay --endpoint 1 --from 1h --to 2h",
    "callback replay --endpoint 1 --from soon",
    f"callback replay --event {ID} --from 1h",
    "domain list --status odd",
    "rule add --account acme",
    "rule test here",
    "suppression add --account acme --domain shop.example",
    "suppression add a@x.example --account acme",
    "suppression add a@x.example --account acme --domain shop.example --kind odd",
    "suppression remove a@x.example --account acme --domain shop.example --kind odd",
    "suppression list --account acme --kind odd",
    "send --to a@x.example --server here",
    "send --to a@x.example --server here:25 --tls maybe",
    "send --to nobody --server h:25",
    "send --server h:25",
    "user add jane@example.com",
    "serve --roles everything",
    "find",
    "find nobody",
    "find *@x.example",
    "find a@x.example --since soon",
    "find a@x.example --since 1h --until 2h",
    "queue list --since soon",
    "queue list --since 1h --until 2h",
    "queue list --sort odd",
    # What no database holds.
    f"queue list --older-than {MUCH}d",
    f"queue list --older-than {MUCH}",
    "queue list --older-than 99999999d",
    "queue list --due-before 99999999d",
    f"queue list --due-before {MUCH}d",
    "queue list --since 99999999d",
    f"queue list {ID}/{MUCH}",
    f"queue list {ID}/2147483648",
    f"queue list --limit {MUCH}",
    f"queue cancel --all --limit {MUCH}",
    f"queue shape --limit {MUCH}",
    f"find a@x.example --since {MUCH}d",
    "callback replay --endpoint 1 --from 99999999d",
    f"callback log --endpoint {MUCH}",
    f"callback log --limit {MUCH}",
    f"callback list --limit {1 << 63}",
    f"callback retry {1 << 63}",
    f"credential revoke {1 << 63}",
    f"credential bound {MUCH} --none",
    f"account quota acme --day {1 << 63}",
    f"account quota acme --day {MUCH}",
    f"domain attachment shop.example {MUCH} --output x",
    f"audit list --limit {MUCH}",
    f"suppression list --account acme --limit {MUCH}",
    f"suppression list --account acme --offset {MUCH}",
)


@pytest.mark.parametrize("words", WRONG)
def test_wrong_usage_is_told_before_anything_is_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    """There is no configuration: whoever looks for one before the usage is checked ends with 1."""
    config = [] if words in ("nonsense", "queue nonsense") else ["--config", str(tmp_path / "none.toml")]
    with pytest.raises(SystemExit) as ended:
        run([*words.split(), *config])
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    assert told.err.strip()
    assert "Traceback" not in told.err


def test_values_that_no_installation_would_take(ekiden: Installation) -> None:
    ekiden.run("account", "create", "acme")
    for words in (
        ("account", "create", ""),
        ("account", "create", " acme"),
        ("credential", "api-key", "create", "acme", "--scope", "fly"),
        ("credential", "api-key", "create", "acme", "--network", "home"),
        ("credential", "password", "create", "acme", "App"),
        ("user", "add", "nobody", "--account", "acme"),
        ("user", "add", "jane@acme.example", "--account", "acme", "--role", "king"),
        ("domain", "add", "a..b", "--account", "acme"),
        ("zone", "add", "office", "here", "--account", "acme"),
        ("project", "add", "", "--account", "acme"),
        ("suppression", "list", "--account", "acme", "--domain", "a..b"),
        ("suppression", "list", "--account", "acme", "--address", "nobody"),
    ):
        ended = ekiden.run(*words)
        assert (ended.status, ended.out) == (2, ""), (words, ended)
        assert ended.err.startswith("ekiden: "), words
    # What is right and cannot be done is not wrong usage.
    for words in (("account", "create", "acme"), ("account", "show", "nobody"), ("domain", "show", "x.example")):
        assert ekiden.run(*words).status == 1, words


# help

HEAVY = (
    "sqlalchemy",
    "alembic",
    "litestar",
    "aiohttp",
    "dns",
    "cryptography",
    "structlog",
    "uvloop",
    "asyncpg",
    "asyncio",
)
SCRIPT = """
import io, json, sys
from contextlib import redirect_stdout, suppress
heavy = json.loads(sys.argv[1])
sys.argv[0] = "ekiden"
from ekiden.cli.main import app, run
def told(*words):
    with redirect_stdout(io.StringIO()) as out, suppress(SystemExit):
        run([*words, "--help"])
    assert "Usage:" in out.getvalue(), words
    return [name for name in heavy if name in sys.modules]
print(json.dumps({" ".join(words): told(*words) for words in json.loads(sys.argv[2])}))
"""


def test_help_loads_nothing_heavy() -> None:
    """Half of the time of a command is the import of what it works with; help works with nothing."""
    asked = [
        [],
        *([name] for name in COMMANDS),
        ["queue", "cancel"],
        ["credential", "password", "create"],
    ]
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(HEAVY), json.dumps(asked)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    loaded: set[str] = set()
    guilty = {}
    for command, found in json.loads(ran.stdout).items():
        if set(found) - loaded:
            guilty[command] = sorted(set(found) - loaded)
        loaded |= set(found)
    assert guilty == {}


def test_the_list_of_commands_says_what_each_says_of_itself() -> None:
    group = get_command(app)
    for name, (module, summary) in COMMANDS.items():
        command = group.get_command(None, name)  # type: ignore[attr-defined, arg-type]
        assert " ".join(command.help.split("\n\n")[0].split()) == summary, (name, module)
    assert ", ".join(KINDS) == suppression._KINDS


def test_help_is_a_command_too(capsys: pytest.CaptureFixture[str]) -> None:
    def told(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            run(list(words))
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    assert told("help") == told("--help")
    assert told("help", "queue") == told("queue", "--help")
    status, out, _ = told("help", "queue", "cancel")
    assert status == 0
    assert "Usage: ekiden queue cancel" in out
    assert "--all" in out
    status, out, err = told("help", "queues")
    assert (status, out) == (2, "")
    assert "Did you mean 'queue'?" in err
    # A name that was mistyped spoils nothing for the next.
    assert told("help", "queue") == told("queue", "--help")


def program(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ekiden", *words],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_as_a_module() -> None:
    ran = program("--version")
    assert (ran.returncode, ran.stdout.split()[0], ran.stderr) == (0, "ekiden", "")
    ran = program("nonsense")
    assert ran.returncode == 2
    assert "Usage: ekiden " in ran.stderr


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("ekiden qu", {"queue"}),
        ("ekiden queue ca", {"cancel"}),
        ("ekiden queue cancel --do", {"--domain"}),
        ("ekiden credential pa", {"password"}),
    ],
)
def test_completion_of_bash(words: str, found: set[str]) -> None:
    number = str(len(words.split()) - 1)
    ran = program(COMP_WORDS=words, COMP_CWORD=number, _EKIDEN_COMPLETE="complete_bash")
    assert (set(ran.stdout.split()), ran.stderr) == (found, "")


def test_scripts_for_shells() -> None:
    for shell in ("bash", "zsh", "fish"):
        ran = program("completion", shell)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert "_EKIDEN_COMPLETE" in ran.stdout
    checked = subprocess.run(["bash", "-n"], input=program("completion", "bash").stdout, text=True, check=False)
    assert checked.returncode == 0
    wrong = program("completion", "tcsh", EKIDEN_LANG="en")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "ekiden: 'tcsh' is not a shell; choose one of bash, zsh, fish\n",
    )
