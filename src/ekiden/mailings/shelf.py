"""The pieces of a request, and its mails found in them: by number, by status, by address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ekiden.core.address import spellings
from ekiden.core.clock import Millis
from ekiden.core.states import State
from ekiden.limits.loop_slices import Turns
from ekiden.mailings.counting import status_of
from ekiden.mailings.expansion import texts_of
from ekiden.mailings.numbers import PublicId
from ekiden.mailings.queries import RequestRow
from ekiden.mailings.reading_queries import DeliveryRow, PieceRow, messages_by_reference, piece_rows
from ekiden.mailings.values import (
    Content,
    Failure,
    Mail,
    MailStatus,
    Person,
    PieceState,
    decode_counts,
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

    def __init__(self, store: Store, row: RequestRow, pieces: Sequence[PieceRow]) -> None:
        self._store = store
        self._row = row
        self._pieces = pieces
        self._name = PublicId(row.day, row.number).text
        self._read: dict[int, tuple[Mail, ...]] = {}
        self._failures = {
            piece.first_number + failure.at: failure
            for piece in pieces
            for failure in decode_failures(piece.failed)
        }

    @property
    def count(self) -> int:
        return sum(piece.mails for piece in self._pieces)

    def numbers(self) -> Iterable[int]:
        """Of all mails."""
        for piece in self._pieces:
            yield from range(piece.first_number, piece.first_number + piece.mails)

    def holds(self, number: int) -> bool:
        return self._piece(number) is not None

    def failure(self, number: int) -> Failure | None:
        """Why it was not made."""
        return self._failures.get(number)

    def _piece(self, number: int) -> PieceRow | None:
        # Numbers grow with the pieces.
        low, high = 0, len(self._pieces)
        while low < high:
            middle = (low + high) // 2
            piece = self._pieces[middle]
            if number < piece.first_number:
                high = middle
            elif number >= piece.first_number + piece.mails:
                low = middle + 1
            else:
                return piece
        return None

    async def walk(self, statuses: frozenset[MailStatus], down: bool, skip: int, limit: int) -> list[int]:
        """Numbers of mails with any of the statuses (none: of all) behind the first ``skip``."""
        found: list[int] = []
        for piece in reversed(self._pieces) if down else self._pieces:
            if statuses and (piece.counts or piece.state == PieceState.WAITING):
                here = _kept(piece, statuses)
            else:
                here = piece.mails
            is_known = not statuses or bool(piece.counts) or piece.state == PieceState.WAITING
            if is_known and skip >= here:
                skip -= here
                continue
            numbers = list(range(piece.first_number, piece.first_number + piece.mails))
            if not is_known or here < piece.mails:
                known = await self.statuses(numbers)
                numbers = [number for number in numbers if known[number] in statuses]
            if down:
                numbers.reverse()
            found += numbers[skip : skip + limit - len(found)]
            skip = max(0, skip - len(numbers))
            if len(found) >= limit:
                break
        return found

    async def statuses(self, numbers: Sequence[int]) -> dict[int, MailStatus]:
        """Of these mails."""
        found = {number: self._without_message(number) for number in numbers}
        for number, rows in (await self._deliveries(numbers)).items():
            found[number] = status_of([counted_row(row) for row in rows])
        return found

    def _without_message(self, number: int) -> MailStatus:
        piece = self._piece(number)
        if piece is not None and piece.state == PieceState.WAITING:
            return MailStatus.READY
        if piece is not None and piece.state == PieceState.CANCELLED:
            return MailStatus.CANCELLED
        return MailStatus.FAILED

    async def _deliveries(self, numbers: Sequence[int]) -> dict[int, list[Any]]:
        by_number: dict[int, list[Any]] = {}
        sent = []
        for number in numbers:
            piece = self._piece(number)
            if piece is not None and piece.state == PieceState.EXPANDED:
                sent.append(PublicId(self._row.day, number).text)
        for start in range(0, len(sent), _AT_ONCE):
            some = sent[start : start + _AT_ONCE]
            for row in await messages_by_reference(self._store, self._row.account_id, self._name, some):
                by_number.setdefault(int(row.reference[-12:]), []).append(row)
        return by_number

    async def with_address(self, piece: int, names: Sequence[str]) -> list[int]:
        """Numbers of the mails of a piece that are for an address, and no messages."""
        of = next(each for each in self._pieces if each.number == piece)
        return [
            of.first_number + at
            for at in places_of(await self._mails_of(of), names)
            if of.state != PieceState.EXPANDED or of.first_number + at in self._failures
        ]

    async def with_title(self, content: Content, part: str) -> list[int]:
        """Numbers of the mails in whose titles, as their recipients read them, ``part`` stands in any case of
        letters. The store has titles in encoded words: it cannot be asked."""
        subject, _ = texts_of(self._row.subject, content, advertising=self._row.advertising)
        title, wanted = Text(subject, DOLLAR), part.lower()
        found = []
        turns = Turns()
        for piece in self._pieces:
            (row,) = await piece_rows(self._store, self._row.account_id, self._row.id, [piece.number])
            for number, people in enumerate(decode_mails(row.data), piece.first_number):
                await turns.next()
                values = values_for(content, people, individual=self._row.individual)
                if wanted in filled(title, values, LONGEST_TITLE).lower():
                    found.append(number)
        return found

    async def _mails_of(self, piece: PieceRow) -> tuple[Mail, ...]:
        if piece.number not in self._read:
            (row,) = await piece_rows(self._store, self._row.account_id, self._row.id, [piece.number])
            self._read[piece.number] = decode_mails(row.data)
        return self._read[piece.number]

    async def mails(self, content: Content, numbers: Sequence[int]) -> list[FoundMail]:
        """For a list, in the order of ``numbers``."""
        subject, _ = texts_of(self._row.subject, content, advertising=self._row.advertising)
        title = Text(subject, DOLLAR)
        deliveries = await self._deliveries(numbers)
        shown = []
        turns = Turns()
        for number in numbers:
            await turns.next()
            piece = self._piece(number)
            if piece is None:
                continue
            people = (await self._mails_of(piece))[number - piece.first_number]
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


def _kept(piece: PieceRow, statuses: frozenset[MailStatus]) -> int:
    """How many mails of a piece that is counted, or that waits, have any of the statuses."""
    if not piece.counts:
        return piece.mails if MailStatus.READY in statuses else 0
    counts = decode_counts(piece.counts)
    return sum(counts.get(status, 0) for status in statuses)


def counted_row(row: Any) -> DeliveryRow:
    """Of ``messages_by_reference``."""
    return DeliveryRow(row.reference, row.state, row.attempts, bool(row.unsubscribed))


def values_for(content: Content, people: Sequence[Person], *, individual: bool) -> dict[str, str]:
    """What fills the texts of a mail: a single recipient's own words before those of the request."""
    to = [person for person in people if person.kind == "R"]
    own = people[0].values if individual else to[0].values if len(to) == 1 else {}
    return {**content.parameters, **own}
