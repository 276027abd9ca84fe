"""Logs: structlog on standard error, for people (console) or for machines (one JSON object per line).

Field names: ``event``, ``level``, ``timestamp`` (ISO 8601, UTC), ``pid``, and whatever the event is about. Nothing
secret is logged by intent; a filter takes out what carries the name of a secret all the same.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from ekiden.server.config import LogConfig

_SECRET_NAMES = frozenset({"password", "api_key", "secret", "secret_hash", "credentials", "authorization", "key"})
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

Event = MutableMapping[str, Any]


def configure_logging(config: LogConfig) -> None:
    """Set up this process; the standard library's loggers (uvicorn, litestar, asyncio) come out the same way."""
    level = _LEVELS[config.level]
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
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=32
        )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))


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
