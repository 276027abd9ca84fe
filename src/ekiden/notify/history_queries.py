"""What happened to the mail of an account, event by event, the newest first: for lists that programs page through.

Two walks. Failures have an index of their own by account and time, so they are found wherever their message is.
Other events are found by their messages, whose ids are ordered by time: those that were accepted while the period
lasted, and those before it that may have been tried in it. Such a walk goes down in slices of messages, each a
short read of its own.
"""
# ruff: noqa: S608 (SQL is put together from our own names and numbers; values are always parameters)

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import RowMapping, TextClause, text

from ekiden.core.clock import MINUTE, Millis
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.events import EventType
from ekiden.core.notices import Happening
from ekiden.core.submission import OWN_REPORT
from ekiden.notify.queries import MESSAGE_COLUMNS, by_keys, happening_of
from ekiden.store.retention import first_id
from ekiden.store.set_aside import readable_in_turns
from ekiden.store.tables import FAILURE_SQL, FAILURES

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from ekiden.store.api import Store

_SLICE: Final = 5_000
"""Messages that one statement walks over."""
_SLACK: Final = MINUTE
"""Ids are made a little before or after what they stand for."""
_TOP: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Which:
    """Events of ``types``; of ``diagnoses`` (``None``: whichever).

    ``suppressions``: of what was not sent since its recipient was suppressed, those of these kinds; ``None``: any.
    """

    types: frozenset[EventType]
    diagnoses: frozenset[Diagnosis] | None = None
    suppressions: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Events from ``start`` until just before ``end`` (``None``: open) that are any of ``which``.

    The others are parts of what they are compared with, in upper or lower case; empty: not asked. ``author``: of
    the label ``author_label`` where a message has it, else of its envelope sender. ``labels``: by name.
    """

    account_id: int
    which: tuple[Which, ...]
    start: Millis | None = None
    end: Millis | None = None
    author: str = ""
    author_label: str = ""
    recipient: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


async def find_events(
    store: Store, wanted: HistoryFilter, look_back: Millis, offset: int, limit: int
) -> list[Happening]:
    """``look_back``: how long after its acceptance a message may still be tried."""
    types = frozenset[EventType]().union(*(which.types for which in wanted.which))
    if types <= FAILURES:
        async with store.read() as connection:
            return await _page(connection, _Statement(connection, wanted, types), offset, limit)
    return await _walked(store, wanted, types, look_back, offset, limit)


async def _walked(
    store: Store, wanted: HistoryFilter, types: frozenset[EventType], look_back: Millis, skip: int, limit: int
) -> list[Happening]:
    found: list[Happening] = []
    first = 0 if wanted.start is None else max(0, first_id(wanted.start - look_back - _SLACK))
    last = _TOP if wanted.end is None else min(_TOP, first_id(wanted.end + _SLACK))
    while len(found) < limit:
        async with store.read() as connection:
            end = await connection.scalar(
                text(
                    "SELECT id FROM message WHERE account_id = :account AND id >= :first AND id <= :last"
                    f" ORDER BY id DESC LIMIT 1 OFFSET {_SLICE - 1:d}"
                ),
                {"account": wanted.account_id, "first": first, "last": last},
            )
            statement = _Statement(connection, wanted, types, (first if end is None else end, last))
            if skip:
                count = await connection.scalar(statement.count, statement.values) or 0
                if count <= skip:
                    skip -= count
                    if end is None:
                        return found
                    last = end - 1
                    continue
            found += await _page(connection, statement, skip, limit - len(found))
            skip = 0
        if end is None:
            break
        last = end - 1
    return found


async def _page(connection: AsyncConnection, statement: _Statement, offset: int, limit: int) -> list[Happening]:
    await by_keys(connection)
    values = {**statement.values, "offset": offset, "limit": limit}
    rows = (await connection.execute(statement.page, values)).mappings()
    return await readable_in_turns("event", _happening, rows)


def _happening(row: RowMapping) -> Happening:
    return happening_of(row)


class _Statement:
    """``messages``: from which id to which they are looked for; ``None``: by the index of failures."""

    def __init__(
        self,
        connection: AsyncConnection,
        wanted: HistoryFilter,
        types: frozenset[EventType],
        messages: tuple[int, int] | None = None,
    ) -> None:
        self._is_sqlite = connection.dialect.name == "sqlite"
        self.values: dict[str, Any] = {"account": wanted.account_id}
        hint = " INDEXED BY ix_event_failure" if self._is_sqlite and messages is None else ""
        self._from = f"""
            FROM event AS e{hint}
            JOIN message AS m ON m.account_id = e.account_id AND m.id = e.message_id
            JOIN delivery AS d ON d.account_id = e.account_id AND d.message_id = e.message_id
                AND (d.number = e.recipient_number OR e.recipient_number = 0)
            WHERE e.account_id = :account AND {" AND ".join(self._conditions(wanted, types, messages))}
        """
        self._order = "e.id DESC, d.number" if messages is None else "e.message_id DESC, e.id DESC, d.number"

    @property
    def count(self) -> TextClause:
        """How many there are."""
        return text(f"SELECT count(*) {self._from}")

    @property
    def page(self) -> TextClause:
        """Some of them; takes ``offset`` and ``limit`` besides."""
        columns = ", ".join(f"m.{name}" for name in MESSAGE_COLUMNS)
        return text(
            f"""
            SELECT e.account_id, e.message_id, e.id, d.number AS recipient_number, e.type, e.at, e.data,
                e.diagnosis, {columns}, coalesce(d.written, d.recipient) AS recipient, d.state, d.cause, d.code,
                d.enhanced, d.reason, d.diagnosis AS last_diagnosis, 1 AS recipients, 0 AS tried, NULL AS first_at
            {self._from} ORDER BY {self._order} LIMIT :limit OFFSET :offset
            """
        )

    def _conditions(
        self, wanted: HistoryFilter, types: frozenset[EventType], messages: tuple[int, int] | None
    ) -> list[str]:
        found = [f'm.origin NOT LIKE \'{{"via":"{OWN_REPORT}"%\'', "m.forward = ''"]
        if messages is not None:
            self.values |= {"first": messages[0], "last": messages[1]}
            found += ["e.message_id >= :first", "e.message_id <= :last", f"e.type IN ({_numbers(types)})"]
        else:
            found.append(f"e.{FAILURE_SQL}")
        for name, sign, at, slack in (("start", ">=", wanted.start, -_SLACK), ("end", "<", wanted.end, _SLACK)):
            if at is not None:
                self.values |= {name: at, f"{name}_id": min(_TOP, max(0, first_id(at + slack)))}
                found.append(f"e.at {sign} :{name}")
                if messages is None:
                    found.append(f"e.id {sign} :{name}_id")
        alternatives = " OR ".join(f"({self._which(which)})" for which in wanted.which)
        found.append(f"({alternatives})")
        if wanted.author:
            label = self._json("m.labels", "author_label", wanted.author_label)
            found.append(self._contains(f"coalesce({label}, m.sender)", "author", wanted.author))
        if wanted.recipient:
            shown = "coalesce(d.written, d.recipient)"
            found.append(self._contains(shown, "recipient", wanted.recipient))
        for number, (name, part) in enumerate(wanted.labels.items()):
            label = self._json("m.labels", f"label_{number}", name)
            found.append(self._contains(label, f"part_{number}", part))
        return found

    def _which(self, which: Which) -> str:
        found = [f"e.type IN ({_numbers(which.types)})"]
        if which.diagnoses is not None:
            found.append(f"e.diagnosis IN ({_numbers(which.diagnoses) or 'NULL'})")
        if which.suppressions is not None:
            kinds = sorted(which.suppressions)
            names = [f"kind_{kind}" for kind in kinds]
            self.values |= dict(zip(names, kinds, strict=True))
            field = self._json("e.data", "kind", "kind")
            found.append(f"{field} IN ({', '.join(f':{name}' for name in names)})")
        return " AND ".join(found)

    def _json(self, column: str, name: str, member: str) -> str:
        """A member of an object that is kept as a text."""
        self.values[name] = f"$.{member}" if self._is_sqlite else member
        if self._is_sqlite:
            return f"json_extract({column}, :{name})"
        return f"(CAST({column} AS json) ->> CAST(:{name} AS text))"

    def _contains(self, column: str, name: str, part: str) -> str:
        escaped = part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        self.values[name] = f"%{escaped}%"
        return f"lower({column}) LIKE lower(CAST(:{name} AS text)) ESCAPE '\\'"


def _numbers(values: Iterable[int]) -> str:
    return ", ".join(str(int(value)) for value in sorted(values))
