"""What reaches standard error: levels, hostile values, lines that repeat, promised lines, one way to log."""

from __future__ import annotations

import ast
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import structlog

from ekiden.config.model import LogConfig
from ekiden.limits import journal
from ekiden.limits.journal import ACCEPTED, DELIVERED, FAILED, LOCKED, LOGIN, REFUSED
from ekiden.limits.repeated_log import RepeatedLog
from ekiden.process.log_lines import MAX_LINE
from ekiden.process.logging import configure_for_commands, configure_logging, get_logger
from support.structured_logs import logs_as_records

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u2028\x7f\r\nlevel=error fake \" ' \\ = client=6.6.6.6"
ROOT = Path(__file__).parents[2]
Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    logs_as_records()
    journal.silence()


def configured(format: Literal["console", "json"], **settings: Any) -> None:
    configure_logging(LogConfig(format=format, **settings))


def test_rooms_are_heard_from_the_level_on_and_libraries_when_something_is_wrong(capsys: Captured) -> None:
    configured("console")
    room = structlog.get_logger("ekiden.access")
    room.info("a rule refuses", rule="7")
    room.debug("too much")
    logging.getLogger("asyncio").info("not ours")
    logging.getLogger("asyncio").warning("something is wrong: %s", 5)
    shown = capsys.readouterr().err
    assert "[info     ] a rule refuses                   rule=7 pid=" in shown
    assert "[warning  ] asyncio: something is wrong: 5 " in shown
    assert "too much" not in shown
    assert "not ours" not in shown


def test_there_is_one_way_to_log() -> None:
    """Nobody but the place where both come together uses the standard library's loggers, or prints."""
    found = []
    for path in (ROOT / "src" / "ekiden").rglob("*.py"):
        where = path.relative_to(ROOT / "src" / "ekiden").as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [item.name for item in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            if {"logging", "warnings", "syslog"} & {name.partition(".")[0] for name in names}:
                found.append(where)
    assert found == ["process/logging.py"]


def write(by: str, value: Any) -> None:
    if by == "structlog":
        get_logger().info("it happened", login=value, after="there")
    elif by == "logging":
        logging.getLogger("ekiden.server").warning("it says %s", value)
    elif by == "bytes":
        get_logger().info("it happened", login=value.encode())
    elif by == "list":
        get_logger().info("it happened", login=[value], other={value: value})
    elif by == "promised":
        REFUSED.write(client="192.0.2.1", login=value, after="there")
    elif by == "bound":
        RepeatedLog("x").warning("it happened", login=value)
    else:
        try:
            raise ValueError(value)
        except ValueError:
            get_logger().exception("a session failed", login=value)


WAYS = ["structlog", "logging", "bytes", "list", "promised", "bound", "exception"]


@pytest.mark.parametrize("by", WAYS)
def test_what_others_wrote_is_one_harmless_line(capsys: Captured, by: str) -> None:
    configured("console")
    write(by, HOSTILE)
    shown = capsys.readouterr().err
    assert "owned" in shown
    assert not set(shown) & set("\x1b\x07\x9b\u202e\u2028\x7f\r")
    if by != "exception":
        assert shown.count("\n") == 1


@pytest.mark.parametrize("by", WAYS)
def test_what_others_wrote_is_one_object(capsys: Captured, by: str) -> None:
    configured("json")
    write(by, HOSTILE)
    shown = capsys.readouterr().err
    assert shown.isascii()
    assert shown[:-1].isprintable()
    line = json.loads(shown)
    if by in ("structlog", "promised", "bound", "exception"):
        assert line["login"] == HOSTILE
    assert list(line)[:3] == ["timestamp", "level", "event"]


@pytest.mark.parametrize("format", ["console", "json"])
@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize("filler", ["x", "\x1b", "\U0001f600", "\udcff", '"'])
def test_a_line_has_a_bound(capsys: Captured, by: str, format: Literal["console", "json"], filler: str) -> None:
    if by == "bytes" and filler == "\udcff":
        filler = "é"
    configured(format)
    write(by, filler * 1_000_000)
    shown = capsys.readouterr().err
    assert len(shown.encode()) < (12 * 12_000 + MAX_LINE if by == "exception" else MAX_LINE)


def test_no_value_pretends_to_be_a_field(capsys: Captured) -> None:
    """For people: whatever is not one plain word stands in quotes, and quotes in it are escaped."""
    configured("console")
    values = ["", "a b", 'x" client=6.6.6.6', "back\\", "a=b", "x' y", "\n", "plain"]
    REFUSED.write(client="192.0.2.1", **{f"v{number}": value for number, value in enumerate(values)})
    line = capsys.readouterr().err
    shown = [
        r'v0="" v1="a b" v2="x\" client=6.6.6.6" v3="back\\" v4="a=b"',
        'v5="x\' y"',
        r'v6="\n" v7=plain pid=',
    ]
    assert " ".join(shown) in line
    REFUSED.write(facts={"domain": 'x" client=6.6.6.6'}, why=ValueError("a client=6.6.6.6"), ids=[7])
    line = capsys.readouterr().err
    assert r"""facts="{'domain': 'x\" client=6.6.6.6'}" why="ValueError('a client=6.6.6.6')" ids=[7] pid=""" in line


def test_secrets_are_left_out_by_their_names(capsys: Captured) -> None:
    for format in ("console", "json"):
        configured(format)  # type: ignore[arg-type]
        get_logger().info("it happened", password="hunter2", key="hunter2", other="shown")
    shown = capsys.readouterr().err
    assert "hunter2" not in shown
    assert shown.count("***") == 4


def test_no_kind_of_line_can_flood(capsys: Captured) -> None:
    configured("json")
    for number in range(5_000):
        get_logger().error("a session failed", number=number)
        logging.getLogger("uvicorn.error").warning(f"Invalid request {number}")
        get_logger().info("refused", number=number)
    assert len(capsys.readouterr().err.splitlines()) == 60


def test_promised_lines_have_levels_of_their_own(capsys: Captured) -> None:
    configured("json", delivered="off", failed="warning", logins="debug", accepted="info")
    for kind in (ACCEPTED, DELIVERED, FAILED, LOGIN, LOCKED):
        assert kind.tells() is (kind in (ACCEPTED, FAILED, LOCKED))
        kind.write(id="1")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["level"], line["event"]) for line in lines] == [
        ("info", "message accepted"),
        ("warning", "attempt finished"),
        ("warning", "logins are refused after many failures"),
    ]


def test_of_messages_that_go_well_a_part_can_be_told(capsys: Captured) -> None:
    """Both lines of a message or none, in each process; failures always."""
    configured("json", sample=10)
    ids = range(1 << 40, (1 << 40) + (1_000 << 12), 1 << 12)
    told = {number for number in ids if ACCEPTED.tells(number)}
    assert told == {number for number in ids if DELIVERED.tells(number)}
    assert 50 < len(told) < 200
    assert all(FAILED.tells(number) for number in ids)


def test_every_promised_line_is_written(capsys: Captured) -> None:
    """The net for lines that repeat is not for them."""
    configured("json")
    for number in range(5_000):
        ACCEPTED.write(id=number)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["id"] for line in lines] == list(range(5_000))


async def test_what_strangers_cause_is_bounded_and_counted(capsys: Captured) -> None:
    """Of each address some at once, so that who counts them sees them; of all together ``log.burst``."""
    configured("json", burst=50)
    log = RepeatedLog("ekiden.access", clock=lambda: 1.0)
    for number in range(20):
        log.tell(LOGIN, key="192.0.2.1", client="192.0.2.1", number=number)
    for number in range(100):
        log.tell(LOGIN, key=number, client=f"192.0.2.{number}")
    log.flush()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["number"] for line in lines[:10]] == list(range(10))
    assert len(lines) == 51
    assert lines[-1]["repeated"] == 70


def test_a_log_that_cannot_be_written_fails_nobody(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    configured("json")
    monkeypatch.setattr("os.getpid", lambda: 1 / 0)
    ACCEPTED.write(id="1")


def test_a_request_is_named_in_its_lines(capsys: Captured) -> None:
    configured("json")
    context = journal.RequestContext("abc")
    journal.begin_request(context)
    get_logger().warning("the store is not available for a request")
    logging.getLogger("litestar").warning("a library says so")
    context.end()
    get_logger().warning("somebody else's")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line.get("request_id") for line in lines] == ["abc", "abc", None]


def test_a_command_tells_on_standard_error(capsys: Captured) -> None:
    """Standard output is what it prints; a pipe that reads one line of it would fill."""
    configure_for_commands()
    get_logger().warning("it happened", login=HOSTILE)
    get_logger().debug("too much")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert "it happened" in shown.err
    assert "\x1b" not in shown.err
