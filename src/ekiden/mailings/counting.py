"""How many mails of a request stand where. What cannot change any more is counted once.

The status of a mail follows from its deliveries, that of a request from its mails. A piece whose deliveries have
all ended keeps its counts, and a request whose pieces have does: asking costs what is still under way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ekiden.core.states import State
from ekiden.limits.loop_slices import Turns
from ekiden.mailings.numbers import PublicId
from ekiden.mailings.queries import RequestRow
from ekiden.mailings.reading_queries import (
    DeliveryRow,
    Uncounted,
    count_range,
    counted_pieces,
    deliveries_of,
    freeze_piece,
    settle_request,
    uncounted_pieces,
    unsettled_requests,
)
from ekiden.mailings.values import (
    Counts,
    MailStatus,
    PieceState,
    RequestState,
    decode_counts,
    decode_failures,
    encode_counts,
)

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.store.api import Store

_PIECES: Final = 100
"""Pieces that one round looks at."""
_REQUESTS: Final = 200
_ENDED: Final = (RequestState.EXPANDED, RequestState.CANCELLED)


class Standing(NamedTuple):
    """Where a request stands. ``counts`` are of all its mails that are known."""

    status: MailStatus
    counts: Counts
    prepared: bool
    """All recipients are known."""

    @property
    def mails(self) -> int:
        return sum(self.counts.values())

    @property
    def finished(self) -> int:
        """Mails that have come to their end."""
        return sum(count for status, count in self.counts.items() if status.final)


def status_of(deliveries: Sequence[DeliveryRow]) -> MailStatus:
    """Of a mail, by its deliveries."""
    of = [_status_of_one(row) for row in deliveries]
    return _together(of)


def _status_of_one(row: DeliveryRow) -> MailStatus:
    state = row.state
    if state == State.DELIVERED:
        return MailStatus.SENT
    if state == State.CANCELLED:
        return MailStatus.CANCELLED
    if state == State.DROPPED and row.unsubscribed:
        return MailStatus.UNSUBSCRIBED
    if state >= State.DELIVERED:
        return MailStatus.FAILED
    return MailStatus.SENDING if state == State.SENDING or row.attempts else MailStatus.READY


def _together(of: Iterable[MailStatus]) -> MailStatus:
    """What several come to."""
    seen = set(of)
    if len(seen) == 1:
        return seen.pop()
    if not seen:
        return MailStatus.READY
    if any(not status.final for status in seen):
        return MailStatus.SENDING
    if seen & {MailStatus.SENT, MailStatus.PARTLY}:
        return MailStatus.PARTLY
    return MailStatus.FAILED


def overall(counts: Mapping[MailStatus, int], state: int, *, prepared: bool = True) -> MailStatus:
    """Of a request. One that has come to its end without a mail is as one that was cancelled: nobody got it."""
    if not prepared:
        return MailStatus.PREPARING
    if not counts and state in _ENDED:
        return MailStatus.CANCELLED
    return _together(status for status, count in counts.items() if count)


class Counting:
    """One per worker."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._after = (0, 0)
        self._round = 0

    async def standing(self, row: RequestRow) -> Standing:
        """Of a request, ``row`` being all of its columns."""
        if row.settled_at is not None:
            counts = decode_counts(row.counts)
            return Standing(overall(counts, row.state), counts, True)
        prepared = not row.resolving
        totals: Counter[MailStatus] = Counter()
        for text, pieces in await counted_pieces(self._store, row.account_id, row.id):
            for status, count in decode_counts(text).items():
                totals[status] += count * pieces
        running: list[Uncounted] = []
        for piece in await uncounted_pieces(self._store, row.account_id, row.id):
            if piece.state != PieceState.EXPANDED:
                totals[MailStatus.READY] += piece.mails
                continue
            failed = len(decode_failures(piece.failed))
            totals[MailStatus.FAILED] += failed
            running.append(piece)
        for first, last in _runs(running):
            totals.update(await count_range(self._store, row.account_id, *_names(row, first, last)))
        counts = {status: count for status, count in totals.items() if count}
        return Standing(overall(counts, row.state, prepared=prepared), counts, prepared)

    async def settle(self) -> int:
        """Keep what cannot change any more; returns how many pieces and requests that were. A duty."""
        done = 0
        found = await unsettled_requests(self._store, _REQUESTS, after=self._after)
        for row in found:
            done += await self._settle(row)
        self._after = (found[-1].account_id, found[-1].id) if len(found) == _REQUESTS else (0, 0)
        self._round += 1
        return done

    async def _settle(self, row: RequestRow) -> int:
        done = 0
        turns = Turns()
        left = await uncounted_pieces(self._store, row.account_id, row.id)
        # Some at a time, not always the same: one slow server may keep the first ones open for days.
        start = self._round * _PIECES % max(1, len(left))
        for piece in left[start : start + _PIECES]:
            await turns.next()
            if piece.state == PieceState.EXPANDED and await self._freeze(row, piece):
                done += 1
        if row.state in _ENDED and done == len(left):
            totals: Counter[MailStatus] = Counter()
            for text, pieces in await counted_pieces(self._store, row.account_id, row.id):
                for status, count in decode_counts(text).items():
                    totals[status] += count * pieces
            counts = {"counts": encode_counts(totals), "status": int(overall(totals, row.state))}
            done += await settle_request(self._store, row.account_id, row.id, self._clock.now(), counts)
        return done

    async def _freeze(self, row: RequestRow, piece: Uncounted) -> bool:
        mails: dict[str, list[DeliveryRow]] = {}
        first, last = piece.first_number, piece.first_number + piece.mails - 1
        for found in await deliveries_of(self._store, row.account_id, *_names(row, first, last)):
            if found.state < State.DELIVERED:
                return False
            mails.setdefault(found.reference, []).append(found)
        counts = Counter(status_of(rows) for rows in mails.values())
        counts[MailStatus.FAILED] += piece.mails - len(mails)
        return await freeze_piece(self._store, row.account_id, row.id, piece.number, encode_counts(counts))


def _names(row: RequestRow, first: int, last: int) -> tuple[str, str, str]:
    """What the request and its mails from ``first`` to ``last`` are called."""
    return PublicId(row.day, row.number).text, PublicId(row.day, first).text, PublicId(row.day, last).text


def _runs(pieces: Sequence[Uncounted]) -> list[tuple[int, int]]:
    """The first and the last number of pieces that follow each other."""
    runs: list[tuple[int, int]] = []
    before = -1
    for piece in pieces:
        last = piece.first_number + piece.mails - 1
        if piece.number == before + 1 and runs:
            runs[-1] = (runs[-1][0], last)
        else:
            runs.append((piece.first_number, last))
        before = piece.number
    return runs
