"""The log of what an account has sent: each delivery as it stands, the newest first, for two days.

Nothing is written for it. What is asked for is read from the messages themselves, so an entry always tells what is
true now, and asking again tells it again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ekiden.core.address import spellings
from ekiden.core.clock import HOUR, Clock, Millis
from ekiden.core.ids import format_id, parse_id
from ekiden.core.states import State
from ekiden.core.texts import Texts, TranslatedError
from ekiden.delivery.log_queries import EntryFilter, LogEntry, Position, can_be_kept, find_entries

if TYPE_CHECKING:
    from ekiden.store.api import Store

__all__ = ["DEFAULT_LIMIT", "KEPT", "MOST", "BadCursor", "LogEntry", "LogFilter", "LogPage", "Logs"]

KEPT: Final[Millis] = 48 * HOUR
"""How far back the log goes."""
DEFAULT_LIMIT: Final = 50
MOST: Final = 1000
"""Entries on one page at most."""

TEXTS: Final = Texts("delivery/logs")

_FURTHER: Final = re.compile(r"[2-9]|[1-9][0-9]{1,8}")
"""Which recipient a queue id with a dash means."""


class BadCursor(TranslatedError, ValueError):
    """A cursor that no page of the log has given."""

    def __init__(self, cursor: str) -> None:
        super().__init__(TEXTS, "this is not a cursor of ours: {cursor}", cursor=cursor)


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which deliveries; everything that is given must hold, in a tuple any one of it. Not asked: ``()``, ``None``.

    ``ids``: as ``core.ids.external_id`` has them. ``sender``: of the envelope. An address is found as it was
    written when it was sent to, and is looked for as it is and with its domain in lower-case A-labels. ``since``
    and ``until``: times of acceptance, both included. ``states``: an empty set means that nothing is wanted.
    ``limit`` beyond ``MOST`` counts as ``MOST``. ``cursor``: ``LogPage.cursor`` of the page before.
    """

    account_id: int
    ids: tuple[str, ...] = ()
    bulks: tuple[str, ...] = ()
    sender: str | None = None
    recipient: str | None = None
    campaigns: tuple[str, ...] = ()
    application: str | None = None
    entity: str | None = None
    states: frozenset[State] | None = None
    since: Millis | None = None
    until: Millis | None = None
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class LogPage:
    """``cursor`` is for the next page; ``None``: this is the last one.

    A cursor names the last entry of its page. Messages that were accepted since then come before it and are on no
    later page; no entry is on two pages.
    """

    entries: list[LogEntry]
    cursor: str | None


class Logs:
    """The log of every account."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def find(self, wanted: LogFilter) -> LogPage:
        """A page. Raises ``BadCursor``."""
        limit = max(1, min(wanted.limit, MOST))
        after = None if wanted.cursor is None else _read_cursor(wanted.cursor)
        oldest = self._clock.now() - KEPT
        for asked in (wanted.ids, wanted.bulks, wanted.campaigns, _given(wanted.sender), _given(wanted.recipient)):
            if asked and not any(map(can_be_kept, asked)):
                return LogPage([], None)
        if not all(map(can_be_kept, (*_given(wanted.application), *_given(wanted.entity)))):
            return LogPage([], None)
        chosen = EntryFilter(
            wanted.account_id,
            since=oldest if wanted.since is None else max(oldest, wanted.since),
            until=wanted.until,
            positions=tuple(_positions(wanted.ids)),
            references=tuple(filter(can_be_kept, wanted.ids)),
            bulks=tuple(filter(can_be_kept, wanted.bulks)),
            senders=_spellings(wanted.sender),
            recipients=_spellings(wanted.recipient),
            campaigns=tuple(filter(can_be_kept, wanted.campaigns)),
            application=wanted.application,
            entity=wanted.entity,
            states=wanted.states,
            after=after,
        )
        entries = await find_entries(self._store, chosen, limit + 1)
        more = len(entries) > limit
        del entries[limit:]
        return LogPage(entries, _cursor(entries[-1].position) if more else None)


def _cursor(position: Position) -> str:
    return f"{format_id(position.message_id)}.{position.number}"


def _read_cursor(cursor: str) -> Position:
    name, _, number = cursor.partition(".")
    try:
        position = Position(parse_id(name), int(number))
    except ValueError:
        raise BadCursor(cursor) from None
    if _cursor(position) != cursor or not 0 < position.number < 1 << 31:
        raise BadCursor(cursor)
    return position


def _positions(ids: Iterable[str]) -> Iterable[Position]:
    """Those that can be queue ids, with the recipient that they name."""
    for name in ids:
        queue_id, dash, number = name.partition("-")
        if dash and not _FURTHER.fullmatch(number):
            continue
        try:
            yield Position(parse_id(queue_id), int(number) if dash else 1)
        except ValueError:
            continue


def _given(text: str | None) -> tuple[str, ...]:
    return () if text is None else (text,)


def _spellings(address: str | None) -> tuple[str, ...]:
    return () if address is None else spellings(address)
