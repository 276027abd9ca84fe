"""What happens to mail, one line of the log each: accepted, attempted, refused, logins that failed, HTTP requests.

These lines are promised: their names and fields are in ``docs/logging.md``, programs read them (fail2ban, a log
store), and each kind has a level of its own, or is off. There may be thousands a second, so that a room asks
``tells`` first, and what is written goes past ``structlog``'s processors. Everything else that is logged is for the
eyes of an operator: ``structlog.get_logger()``, a sentence and its facts.

The kinds are of the process, as loggers are. Nothing is written before ``configure``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

Sink = Callable[[str, str, dict[str, Any]], None]
"""Gets level, event and fields."""
_MIX: Final = 0x9E3779B97F4A7C15  # ids that follow one another are spread over all remainders
_MASK: Final = (1 << 64) - 1


RANKS: Final = {"off": 0, "": 0, "debug": 10, "info": 20, "warning": 30, "error": 40}


class Kind:
    """Lines of one event; ``level`` is empty when it is off. ``sample``: of so many messages, one is told of."""

    __slots__ = ("event", "least", "level", "sample", "setting")

    def __init__(self, event: str, setting: str, least: str = "") -> None:
        self.event = event
        self.setting = setting
        """The key of ``[log]`` that has its level."""
        self.least = least
        """The level is never below this one, unless it is off."""
        self.level = ""
        self.sample = 1

    def tells(self, message_id: int = 0) -> bool:
        """Whether the line is wanted: of one message, always the same answer in each process."""
        if not self.level:
            return False
        return self.sample == 1 or not ((message_id * _MIX & _MASK) >> 32) % self.sample

    def write(self, **fields: Any) -> None:
        """The line. The first fields are those that a program looks for, before anything that others wrote."""
        if self.level:
            _sink(self.level, self.event, fields)


ACCEPTED: Final = Kind("message accepted", "accepted")
DELIVERED: Final = Kind("attempt finished", "delivered")
"""An attempt after which the next server has the message."""
FAILED: Final = Kind("attempt finished", "failed")
"""Any other."""
REFUSED: Final = Kind("refused", "refused")
LOGIN: Final = Kind("login refused", "logins")
LOCKED: Final = Kind("logins are refused after many failures", "logins", "warning")
REQUEST: Final = Kind("request answered", "requests")
REQUEST_REFUSED: Final = Kind("request refused", "refused")
KINDS: Final = (ACCEPTED, DELIVERED, FAILED, REFUSED, LOGIN, LOCKED, REQUEST, REQUEST_REFUSED)
SAMPLED: Final = (ACCEPTED, DELIVERED, REQUEST)
"""What went well. What did not is always told."""


def moment(at: int) -> str:
    """Milliseconds since 1970 as the log says them: ISO 8601, UTC."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _nowhere(_level: str, _event: str, _fields: dict[str, Any]) -> None:
    """Before ``configure``."""


BURST: Final = 200
"""Lines in ten seconds of one kind that strangers can cause, whatever their keys."""
_sink: Sink = _nowhere
_burst = BURST


def configure(levels: Mapping[str, str], least: str, sample: int, sink: Sink, burst: int = BURST) -> None:
    """``levels``: by setting, one of ``RANKS``. What is below ``least`` is off. ``sample``: see ``Kind``.
    ``burst``: see ``limits.repeated_log``; for what begins to log from now on."""
    global _burst, _sink
    _burst, _sink = burst, sink
    for kind in KINDS:
        level = levels.get(kind.setting, "off")
        if level != "off" and RANKS[level] < RANKS[kind.least]:
            level = kind.least
        kind.level = level if RANKS[level] >= RANKS[least] else ""
        kind.sample = sample if kind in SAMPLED else 1


def burst() -> int:
    """As it was configured."""
    return _burst


def silence() -> None:
    """As before ``configure``."""
    configure({}, "debug", 1, _nowhere)


class RequestContext:
    """The HTTP request that is being answered. What it has begun and goes on after it is not its own any more."""

    __slots__ = ("id",)

    def __init__(self, id: str) -> None:
        self.id = id

    def end(self) -> None:
        """It is answered."""
        self.id = ""


_request: ContextVar[RequestContext | None] = ContextVar("request", default=None)


def begin_request(context: RequestContext) -> None:
    """Lines of this task and of those that it makes carry the id until the request ends."""
    _request.set(context)


def request_id() -> str:
    """Of the request that is being answered; else empty."""
    context = _request.get()
    return "" if context is None else context.id
