"""Logs: structlog on standard error, for people (console) or for machines (one JSON object per line).

Field names: ``event``, ``level``, ``timestamp`` (ISO 8601, UTC), ``pid``, and whatever the event is about. Nothing
secret is logged by intent; a filter takes out what carries the name of a secret all the same.

What others wrote (names, replies, fields of messages) is made visible in the format for people; JSON escapes it by
itself. A line that repeats without end is written a few times and then counted (``repeated=n``), wherever it is
from: rooms that expect such lines count them by themselves, with keys (``limits.repeated_log``).
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
import time
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import structlog

from ekiden.core.visible import visible, visible_text
from ekiden.limits.repeated_log import EVERY, LINES, Repeats
from ekiden.server.config import LogConfig
from ekiden.server.log_output import LogOutput, log_output

_SECRET_NAMES = frozenset({"password", "api_key", "secret", "secret_hash", "credentials", "authorization", "key"})
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

Event = MutableMapping[str, Any]

_MAX_VALUE: Final = 2_000
"""Characters of a value; longer ones are somebody else's text."""


def configure_logging(config: LogConfig) -> None:
    """Set up this process; the standard library's loggers (litestar, asyncio) come out the same way."""
    level = _LEVELS[config.level]
    output: Any = log_output(sys.stderr)
    if isinstance(output, LogOutput):
        output.told = _lost_as_json if config.format == "json" else _lost
    repeats = _Repeats()
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_pid,
        _hide_secrets,
    ]
    renderer: Any
    if config.format == "json":
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer()
    else:
        shared.append(_make_visible)
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=_visible_traceback, pad_event_to=32
        )
    structlog.configure(
        processors=[repeats.of_structlog, *shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=output),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(repeats.of_record)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
    # Our own rooms at the level that was asked for; libraries only when something is wrong.
    logging.getLogger("ekiden").setLevel(level)


def _lost(lines: int) -> str:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return f"{now} [warning  ] lines of the log were lost: nobody took them pid={os.getpid()} lost={lines}\n"


def _lost_as_json(lines: int) -> str:
    event = {
        "event": "lines of the log were lost: nobody took them",
        "lost": lines,
        "level": "warning",
        "timestamp": datetime.now(UTC).isoformat(),
        "pid": os.getpid(),
    }
    return json.dumps(event) + "\n"


def get_logger(**context: Any) -> Any:
    """A logger whose lines carry ``context``."""
    return structlog.get_logger(**context)


def _add_pid(_logger: Any, _name: str, event: Event) -> Event:
    event["pid"] = os.getpid()
    return event


def _hide_secrets(_logger: Any, _name: str, event: Event) -> Event:
    for name in _SECRET_NAMES.intersection(event):
        event[name] = "***"
    return event


def _make_visible(_logger: Any, _name: str, event: Event) -> Event:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = visible(value if len(value) <= _MAX_VALUE else value[:_MAX_VALUE] + "…")
        elif (
            not name.startswith("_")
            and name != "exc_info"
            and not isinstance(value, (int, float, bool, type(None)))
        ):
            event[name] = _Shown(visible(repr(value)[:_MAX_VALUE]))
    return event


class _Shown(str):
    """A value that is text already: its ``repr`` is itself, so that nothing is quoted twice."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _visible_traceback(file: TextIO, exc_info: Any) -> None:
    text = io.StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    file.write(visible_text(text.getvalue()))


class _Repeats:
    """The net below everything: of one kind of line, by its template, only so many in an interval."""

    def __init__(self) -> None:
        self._repeats = Repeats(EVERY, LINES)
        self._lock = threading.Lock()

    def _admit(self, key: tuple[object, ...]) -> int | None:
        with self._lock:
            return self._repeats.admit(key, time.monotonic())

    def of_structlog(self, _logger: Any, name: str, event: Event) -> Event:
        """A processor; a line that counts others already (``repeated``) is bounded by who counts."""
        if "repeated" not in event:
            missing = self._admit((name, event.get("event")))
            if missing is None:
                raise structlog.DropEvent
            if missing:
                event["repeated"] = missing
        return event

    def of_record(self, record: logging.LogRecord) -> bool:
        """A filter for the standard library's loggers. Of libraries nobody knows which part is a template."""
        ours = record.name.partition(".")[0] == "ekiden"
        missing = self._admit((record.name, record.levelno, record.msg if ours else ""))
        if missing:
            record.msg = f"{record.getMessage()} (repeated {missing} times)"
            record.args = ()
        return missing is not None
