"""What reaches standard error: levels, hostile values, lines that repeat."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from ekiden.server.config import LogConfig
from ekiden.server.logging import configure_logging, get_logger

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u2028\nlevel=error fake"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("ekiden")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], root.level, ours.level = before[0], before[1], before[2]
    structlog.reset_defaults()


def configured(format: Literal["console", "json"], level: Literal["debug", "info", "warning"] = "info") -> None:
    configure_logging(LogConfig(format=format, level=level))


def test_rooms_that_use_the_standard_library_are_heard(capsys: pytest.CaptureFixture[str]) -> None:
    configured("console")
    logging.getLogger("ekiden.access.gate").info("rule %s refuses", 7)
    logging.getLogger("ekiden.access.gate").debug("too much")
    logging.getLogger("asyncio").info("not ours")
    shown = capsys.readouterr().err
    assert "rule 7 refuses" in shown
    assert "too much" not in shown
    assert "not ours" not in shown


@pytest.mark.parametrize("by", ["structlog", "logging", "exception", "bytes", "list"])
def test_what_others_wrote_is_one_harmless_line(capsys: pytest.CaptureFixture[str], by: str) -> None:
    configured("console")
    if by == "structlog":
        get_logger().info("refused", login=HOSTILE)
    elif by == "logging":
        logging.getLogger("ekiden.server").warning("it says %s", HOSTILE)
    elif by == "bytes":
        get_logger().info("refused", login=HOSTILE.encode())
    elif by == "list":
        get_logger().info("refused", login=[HOSTILE])
    else:
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            logging.getLogger("ekiden.server").exception("a session failed")
    shown = capsys.readouterr().err
    assert "owned" in shown
    assert not set(shown) & set("\x1b\x07\x9b\u202e\u2028")
    if by != "exception":
        assert shown.count("\n") == 1


def test_json_stays_exact(capsys: pytest.CaptureFixture[str]) -> None:
    configured("json")
    get_logger().info("refused", login=HOSTILE)
    shown = capsys.readouterr().err
    assert shown.isascii()
    assert shown[:-1].isprintable()
    assert json.loads(shown)["login"] == HOSTILE


def test_no_kind_of_line_can_flood(capsys: pytest.CaptureFixture[str]) -> None:
    configured("json")
    for number in range(5_000):
        logging.getLogger("ekiden.server.smtp_session").error("a session with %s failed", number)
        logging.getLogger("uvicorn.error").warning(f"Invalid request {number}")
        get_logger().info("refused", number=number)
    assert len(capsys.readouterr().err.splitlines()) == 60
