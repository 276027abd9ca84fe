"""How many mails of a large request stand where, piece by piece, as they were when each was looked at last.

The status of a mail follows from its deliveries. With a million of them under way nobody can be made to wait until
all have been counted, so a duty looks at some pieces after the others, soon again at those in which something
happens, and whoever asks is told what it saw.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ekiden.core.clock import MINUTE, SECOND, Millis
from ekiden.mailings.values import Counts, MailStatus, decode_counts

if TYPE_CHECKING:
    from ekiden.mailings.counting_queries import PieceRow

_FOR_GOOD: Final = -1
_SELDOM: Final = 5 * MINUTE
"""The longest time until the next look: somebody may have cancelled what is due in hours."""
_QUIET: Final = MINUTE
"""The same where mails could be sent at any moment."""


class Entry(msgspec.Struct, array_like=True, gc=False):
    """A piece. ``counts`` is by numbers of ``MailStatus``; before the first look everything is ready."""

    number: int
    first: int
    mails: int
    counts: dict[int, int]
    look_at: Millis

    @property
    def for_good(self) -> bool:
        """Nothing of it changes any more."""
        return self.look_at == _FOR_GOOD

    @property
    def statuses(self) -> Counts:
        return {MailStatus(status): count for status, count in self.counts.items()}


class Look(NamedTuple):
    """What was seen of a piece. ``due_at``: of the first of its open mails; ``None``: it has none."""

    counts: Counts
    due_at: Millis | None


class Tally:
    """All pieces of a request, in their order."""

    def __init__(self, entries: Sequence[Entry], version: int = 0) -> None:
        """``version``: of what was read."""
        self.entries = entries
        self.version = version
        self._places = {entry.number: place for place, entry in enumerate(entries)}

    @classmethod
    def begun(cls, pieces: Iterable[PieceRow]) -> Tally:
        """One of which nothing has been looked at: what is not counted for good is ready."""
        return cls([_begun(piece) for piece in pieces])

    @classmethod
    def decode(cls, data: bytes, version: int = 0) -> Tally:
        """From ``encode``."""
        return cls(_decode(data), version)

    def encode(self) -> bytes:
        return _encode(self.entries)

    def due(self, now: Millis, most: int) -> list[Entry]:
        """Pieces to be looked at, those first that have waited longest."""
        found = [entry for entry in self.entries if not entry.for_good and entry.look_at <= now]
        found.sort(key=lambda entry: entry.look_at)
        return found[:most]

    def looked(self, number: int, look: Look, now: Millis, begun_at: Millis) -> None:
        """``begun_at``: when the first mails of the request were made ready."""
        entry = self.entries[self._places[number]]
        counts = {int(status): count for status, count in look.counts.items() if count}
        if look.due_at is None:
            entry.look_at = _FOR_GOOD
        else:
            # The longer a request has been there, the less is a moment.
            quiet = min(max(SECOND, (now - begun_at) // 8), _QUIET)
            pause = SECOND if counts != entry.counts else quiet
            entry.look_at = max(now + pause, min(look.due_at, now + _SELDOM))
        entry.counts = counts

    def cancelled(self, numbers: Iterable[int]) -> None:
        """These pieces never become messages."""
        for number in numbers:
            entry = self.entries[self._places[number]]
            entry.counts, entry.look_at = {int(MailStatus.CANCELLED): entry.mails}, _FOR_GOOD

    def without(self, numbers: Iterable[int]) -> Counts:
        """Mails by status, but for those of some pieces."""
        left_out = set(numbers)
        totals: Counter[int] = Counter()
        for entry in self.entries:
            if entry.number not in left_out:
                for status, count in entry.counts.items():
                    totals[status] += count
        return {MailStatus(status): count for status, count in totals.items()}


def _begun(piece: PieceRow) -> Entry:
    counts = decode_counts(piece.counts) if piece.counts else {MailStatus.READY: piece.mails}
    by_number = {int(status): count for status, count in counts.items()}
    return Entry(piece.number, piece.first_number, piece.mails, by_number, _FOR_GOOD if piece.counts else 0)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Entry]).decode
