"""The pieces of a request, and its mails found in them: by number, by status, by address."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ekiden.core.address import spellings
from ekiden.core.clock import Millis
from ekiden.core.states import State
from ekiden.limits.loop_slices import Turns
from ekiden.mailings.counting import FEW, status_of
from ekiden.mailings.counting_queries import DeliveryRow, PieceRow, list_pieces
from ekiden.mailings.expansion import texts_of
from ekiden.mailings.numbers import PublicId
from ekiden.mailings.queries import RequestRow
from ekiden.mailings.reading_queries import messages_by_reference, piece_rows
from ekiden.mailings.tally import Entry, Tally
from ekiden.mailings.values import (
    Content,
    Failure,
    Mail,
    MailStatus,
    Person,
    PieceState,
    decode_failures,
    decode_mails,
)
from ekiden.mime.placeholders import DOLLAR, Text

if TYPE_CHECKING:
    from ekiden.store.api import Store

LONGEST_TITLE: Final = 10_000
LONGEST_BODY: Final = 10_000_000
"""Characters of what is shown: a few values can make terabytes of a text."""
_AT_ONCE: Final = 500
"""Mails that are asked for in one query."""


@dataclass(frozen=True, slots=True)
class FoundMail:
    """A mail of a request. ``people`` is everybody who gets it; ``sent_at``: when it was ready to be sent."""

    id: str
    title: str
    status: MailStatus
    sent_at: Millis | None
    people: tuple[Person, ...]


class Shelf:
    """The pieces of a request, and its mails found in them."""

    def __init__(
        self, store: Store, row: RequestRow, pieces: Sequence[PieceRow], tally: Tally | None = None
    ) -> None:
        """``tally`` tells of all pieces, if there is one: then ``pieces`` are those that are known besides."""
        self._store = store
        self._row = row
        self._name = PublicId(row.day, row.number).text
        self._entries = (tally or Tally.begun(pieces)).entries
        self._is_exact = sum(not entry.for_good for entry in self._entries) <= FEW
        self._pieces = {piece.number: piece for piece in pieces}
        self._read: dict[int, tuple[Mail, ...]] = {}

    @property
    def count(self) -> int:
        return sum(entry.mails for entry in self._entries)

    def holds(self, number: int) -> bool:
        return self._entry(number) is not None

    async def failure(self, number: int) -> Failure | None:
        """Why it was not made."""
        entry = self._entry(number)
        piece = None if entry is None else (await self._pieces_of([entry])).get(entry.number)
        if piece is None:
            return None
        at = number - piece.first_number
        return next((failure for failure in decode_failures(piece.failed) if failure.at == at), None)

    def _entry(self, number: int) -> Entry | None:
        # Numbers grow with the pieces.
        place = bisect_right(self._entries, number, key=lambda entry: entry.first) - 1
        entry = self._entries[place] if place >= 0 else None
        return entry if entry is not None and number < entry.first + entry.mails else None

    async def _pieces_of(self, entries: Iterable[Entry]) -> dict[int, PieceRow]:
        """What is kept of them besides their mails."""
        missing = sorted({entry.number for entry in entries} - self._pieces.keys())
        for start in range(0, len(missing), _AT_ONCE):
            some = missing[start : start + _AT_ONCE]
            for piece in await list_pieces(self._store, self._row.account_id, self._row.id, some):
                self._pieces[piece.number] = piece
        return self._pieces

    async def walk(self, statuses: frozenset[MailStatus], down: bool, skip: int, limit: int) -> list[int]:
        """Numbers of mails with any of the statuses (none: of all) behind the first ``skip``.

        Pieces of which it is known how many such mails they have are passed without looking into them.
        """
        found: list[int] = []
        for entry in reversed(self._entries) if down else self._entries:
            here = entry.mails if not statuses else self._kept(entry, statuses)
            if here is not None and skip >= here:
                skip -= here
                continue
            numbers = list(range(entry.first, entry.first + entry.mails))
            if statuses and (here is None or here < entry.mails):
                known = await self.statuses(numbers)
                numbers = [number for number in numbers if known[number] in statuses]
            if down:
                numbers.reverse()
            found += numbers[skip : skip + limit - len(found)]
            skip = max(0, skip - len(numbers))
            if len(found) >= limit:
                break
        return found

    def _kept(self, entry: Entry, statuses: frozenset[MailStatus]) -> int | None:
        """How many of its mails have any of the statuses; ``None``: that has to be looked at."""
        if self._is_exact and not entry.for_good:
            return None
        return sum(entry.statuses.get(status, 0) for status in statuses)

    async def statuses(self, numbers: Sequence[int]) -> dict[int, MailStatus]:
        """Of these mails."""
        deliveries = await self._deliveries(numbers)
        found = {}
        for number in numbers:
            rows = deliveries.get(number)
            found[number] = status_of([counted_row(row) for row in rows]) if rows else self._without_message(number)
        return found

    def _without_message(self, number: int) -> MailStatus:
        entry = self._entry(number)
        piece = None if entry is None else self._pieces.get(entry.number)
        if piece is not None and piece.state == PieceState.WAITING:
            return MailStatus.READY
        if piece is not None and piece.state == PieceState.CANCELLED:
            return MailStatus.CANCELLED
        return MailStatus.FAILED

    async def _deliveries(self, numbers: Sequence[int]) -> dict[int, list[Any]]:
        """By the numbers of mails. What is kept of their pieces is known then."""
        entries = {number: entry for number in numbers if (entry := self._entry(number)) is not None}
        pieces = await self._pieces_of(entries.values())
        sent = [
            PublicId(self._row.day, number).text
            for number, entry in entries.items()
            if pieces[entry.number].state == PieceState.EXPANDED
        ]
        by_number: dict[int, list[Any]] = {}
        for start in range(0, len(sent), _AT_ONCE):
            some = sent[start : start + _AT_ONCE]
            for row in await messages_by_reference(self._store, self._row.account_id, self._name, some):
                by_number.setdefault(int(row.reference[-12:]), []).append(row)
        return by_number

    async def with_address(self, number: int, names: Sequence[str]) -> list[int]:
        """Numbers of the mails of a piece that are for an address, and no messages."""
        (of,) = await list_pieces(self._store, self._row.account_id, self._row.id, [number])
        failed = {failure.at for failure in decode_failures(of.failed)}
        return [
            of.first_number + at
            for at in places_of(await self._mails_of(of.number), names)
            if of.state != PieceState.EXPANDED or at in failed
        ]

    async def with_title(self, content: Content, part: str, among: Container[int] | None = None) -> list[int]:
        """Numbers of the mails (of ``among``) in whose titles ``part`` stands as their recipients read them, in any
        case of letters. The store has titles in encoded words: it cannot be asked."""
        subject, _ = texts_of(self._row.subject, content, advertising=self._row.advertising)
        title, wanted = Text(subject, DOLLAR), part.lower()
        found = []
        turns = Turns()
        for entry in self._entries:
            numbers = range(entry.first, entry.first + entry.mails)
            if among is not None and not any(number in among for number in numbers):
                continue
            (row,) = await piece_rows(self._store, self._row.account_id, self._row.id, [entry.number])
            for number, people in zip(numbers, decode_mails(row.data), strict=True):
                await turns.next()
                values = values_for(content, people, individual=self._row.individual)
                if (among is None or number in among) and wanted in filled(title, values, LONGEST_TITLE).lower():
                    found.append(number)
        return found

    async def _mails_of(self, number: int) -> tuple[Mail, ...]:
        if number not in self._read:
            (row,) = await piece_rows(self._store, self._row.account_id, self._row.id, [number])
            self._read[number] = decode_mails(row.data)
        return self._read[number]

    async def mails(self, content: Content, numbers: Sequence[int]) -> list[FoundMail]:
        """For a list, in the order of ``numbers``."""
        subject, _ = texts_of(self._row.subject, content, advertising=self._row.advertising)
        title = Text(subject, DOLLAR)
        deliveries = await self._deliveries(numbers)
        shown = []
        turns = Turns()
        for number in numbers:
            await turns.next()
            entry = self._entry(number)
            if entry is None:
                continue
            people = (await self._mails_of(entry.number))[number - entry.first]
            rows = deliveries.get(number, [])
            status = status_of([counted_row(row) for row in rows]) if rows else self._without_message(number)
            begun = any(row.attempts or row.state >= State.DELIVERED for row in rows)
            values = values_for(content, people, individual=self._row.individual)
            shown.append(
                FoundMail(
                    PublicId(self._row.day, number).text,
                    filled(title, values, LONGEST_TITLE),
                    status,
                    rows[0].accepted_at if begun else None,
                    people,
                )
            )
        return shown


def places_of(mails: Sequence[Mail], names: Sequence[str]) -> list[int]:
    """Of the mails to an address, whichever of its spellings was written."""
    wanted = set(names)
    return [
        at
        for at, mail in enumerate(mails)
        if any(wanted.intersection(spellings(person.address)) for person in mail)
    ]


def filled(text: Text, values: Mapping[str, str], longest: int) -> str:
    """As its recipient reads it; what would be longer than ``longest`` characters as it is written."""
    return text.render(values) if text.length(values) <= longest else text.source


def counted_row(row: Any) -> DeliveryRow:
    """Of ``messages_by_reference``."""
    return DeliveryRow(row.state, row.attempts, bool(row.unsubscribed))


def values_for(content: Content, people: Sequence[Person], *, individual: bool) -> dict[str, str]:
    """What fills the texts of a mail: a single recipient's own words before those of the request."""
    to = [person for person in people if person.kind == "R"]
    own = people[0].values if individual else to[0].values if len(to) == 1 else {}
    return {**content.parameters, **own}
