"""Logs: one way to write them, on standard error or into a file, for people (console) or for programs (json).

Rooms write with ``structlog.get_logger()``: a sentence that never changes, and facts beside it. What there is one
line of for each message, attempt, refusal and request goes by ``limits.journal``. Both come out through
``process.log_lines``, where values are bounded and made harmless; so do the loggers of libraries that use the
standard library's, from WARNING on. Nothing secret is logged by intent; what carries the name of a secret is left
out all the same.

A line that repeats without end is written a few times and then counted (``repeated=n``), wherever it is from: rooms
that expect such lines count them by themselves, with keys (``limits.repeated_log``).
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, Final

import structlog

from ekiden.config.model import LogConfig
from ekiden.core.texts import TranslatedError
from ekiden.limits import journal
from ekiden.limits.repeated_log import EVERY, LINES, Repeats
from ekiden.process.log_lines import Write, line_writer
from ekiden.process.log_output import LogOutput, log_file, log_output
from ekiden.process.translations import TEXTS

_NAMES: Final = {"warn": "warning", "exception": "error", "critical": "error", "fatal": "error"}

Event = MutableMapping[str, Any]


class LogFileError(TranslatedError):
    """The file of ``log.file`` cannot be written."""


def configure_logging(config: LogConfig) -> None:
    """Set up this process; the standard library's loggers (litestar, asyncio) come out the same way.

    Raises ``LogFileError``.
    """
    level = journal.RANKS[config.level]
    output = open_log(config)
    colors = not config.file and sys.stderr.isatty()
    write = line_writer(config.format, colors=colors)
    if isinstance(output, LogOutput):
        output.told = lambda lines: write(
            "warning", "lines of the log were lost: nobody took them", {"lost": lines}
        )
    repeats = _Repeats()
    _to_structlog(write, level, output, repeats)
    handler = _Foreign(write, output)
    handler.addFilter(repeats.of_record)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
    levels = {kind.setting: getattr(config, kind.setting) for kind in journal.KINDS}
    post = output.post if isinstance(output, LogOutput) else output.write

    def sink(name: str, event: str, fields: dict[str, Any]) -> None:
        try:
            post(write(name, event, fields))
        except Exception as error:
            # Nothing fails because it could not be told.
            with suppress(Exception):
                output.write(
                    write(
                        "error", "a line of the log cannot be written", {"of": event, "why": type(error).__name__}
                    )
                )

    journal.configure(levels, config.level, config.sample, sink, config.burst)


def open_log(config: LogConfig) -> Any:
    """Where lines will go. Raises ``LogFileError``."""
    if not config.file:
        return log_output(sys.stderr)
    try:
        return log_file(config.file)
    except OSError as error:
        raise LogFileError(
            TEXTS, "log.file: {path} cannot be written: {why}", path=config.file, why=error.strerror or str(error)
        ) from None


def configure_for_commands() -> None:
    """For a command: what services log on the way goes to standard error, whatever that is at the moment."""
    _to_structlog(line_writer("console"), journal.RANKS["info"], None, None)


def _to_structlog(write: Write, level: int, output: Any, repeats: _Repeats | None) -> None:
    def finish(_logger: Any, name: str, event: Event) -> str:
        said = event.pop("event", "")
        if request := journal.request_id():
            event.setdefault("request_id", request)
        return write(_NAMES.get(name, name), said if isinstance(said, str) else repr(said), event)

    structlog.configure(
        processors=[finish] if repeats is None else [repeats.of_structlog, finish],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(output),
        cache_logger_on_first_use=False,
    )


class _Lines:
    """What ``structlog`` gives a finished line to."""

    def __init__(self, output: Any) -> None:
        self._output = output

    def msg(self, line: str) -> None:
        (self._output or sys.stderr).write(line)

    debug = info = warning = warn = error = critical = fatal = exception = log = msg


class _Foreign(logging.Handler):
    """Lines of libraries. Whose they are stands first: what they say may begin with what others wrote."""

    def __init__(self, write: Write, output: Any) -> None:
        super().__init__()
        self._write = write
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields: dict[str, Any] = {}
            if request := journal.request_id():
                fields["request_id"] = request
            if record.exc_info:
                fields["exc_info"] = record.exc_info
            level = _NAMES.get(record.levelname.lower(), record.levelname.lower())
            self._output.write(self._write(level, f"{record.name}: {record.getMessage()}", fields))
        except Exception:
            self.handleError(record)


def get_logger(**context: Any) -> Any:
    """A logger whose lines carry ``context``."""
    return structlog.get_logger(**context)


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
        missing = self._admit((record.name, record.levelno))
        if missing:
            record.msg = f"{record.getMessage()} (repeated {missing} times)"
            record.args = ()
        return missing is not None
