"""What the code under test logs: lines for operators as ``caplog`` has them, promised lines as values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from ekiden.limits import journal


def logs_as_records() -> None:
    """Lines of ``structlog`` become records of the standard library, whose text has the facts, too."""

    def as_record(_logger: Any, _name: str, event: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        facts = {"exc_info": event.pop("exc_info")} if "exc_info" in event else {}
        text = " ".join([str(event.pop("event")), *(f"{name}={value}" for name, value in event.items())])
        return ("%s", text), facts

    structlog.configure(
        processors=[as_record],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=lambda *_: structlog.stdlib.LoggerFactory()("ekiden"),
        cache_logger_on_first_use=False,
    )


@contextmanager
def told(**levels: str) -> Iterator[list[dict[str, Any]]]:
    """The promised lines (``ekiden.limits.journal``), all of them unless ``levels`` says otherwise."""
    lines: list[dict[str, Any]] = []
    every = dict.fromkeys(("accepted", "delivered", "failed", "refused", "logins", "requests"), "info")

    def sink(level: str, event: str, fields: dict[str, Any]) -> None:
        lines.append({"event": event, "level": level, **fields})

    journal.configure({**every, **levels}, "debug", 1, sink)
    try:
        yield lines
    finally:
        journal.silence()
