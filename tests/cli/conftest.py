"""Installations for the tests of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from installation import Installation, write_config

from ekiden.net.clock import SystemClock
from support.structured_logs import logs_as_records


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EKIDEN_LANG", "en")
    monkeypatch.delenv("EKIDEN_CONFIG", raising=False)


@pytest.fixture(autouse=True)
def _no_log() -> Iterator[None]:
    """What tests do in this process by themselves is logged among what the commands print."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    logs_as_records()


@pytest.fixture
def ekiden(tmp_path: Path, sqlite_url: str, capsys: pytest.CaptureFixture[str]) -> Installation:
    """On SQLite."""
    return Installation(write_config(tmp_path, sqlite_url), sqlite_url, capsys, SystemClock().now())


@pytest.fixture
def ekiden_everywhere(tmp_path: Path, store_url: str, capsys: pytest.CaptureFixture[str]) -> Installation:
    """On each engine in turn."""
    return Installation(write_config(tmp_path, store_url), store_url, capsys, SystemClock().now())
