"""How many mails of a request stand where. What cannot change any more is counted once.

The status of a mail follows from its deliveries, that of a request from its mails. A piece whose deliveries have
all ended keeps its counts, and a request whose pieces have does. Of what is still under way the last few pieces are
counted whenever somebody asks; where there are more, it is told what was seen of them last (``mailings.tally``).
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ekiden.core.states import State
from ekiden.mailings.counting_queries import (
    DeliveryRow,
    PieceRow,
    begin_tally,
    count_ranges,
    counted_pieces,
    freeze_piece,
    keep_tally,
    list_pieces,
    read_tally,
    read_tally_counts,
    requests_under_way,
    settle_request,
    tally_and_uncounted,
    uncounted_pieces,
)
from ekiden.mailings.numbers import PublicId
from ekiden.mailings.queries import RequestRow
from ekiden.mailings.tally import Look, Tally
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

FEW: Final = 10
"""Pieces that are counted whenever somebody asks."""
_PIECES: Final = 50
"""Pieces of a large request that are looked at together."""
_REQUESTS: Final = 200
_WAITING: Final = (RequestState.HELD, RequestState.DUE)
"""Until a request is begun, as ``counting_queries.NOT_BEGUN`` has it."""
_ENDED: Final = (RequestState.EXPANDED, RequestState.CANCELLED)
_ROUND: Final = 4.0
"""Seconds that large requests are looked at in a round."""
_REST: Final = 3
"""How much longer than a look the rest after it is."""


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
        self._looked_at = (0, 0)
        """The large request whose turn was last."""

    async def standing(self, row: RequestRow) -> Standing:
        """Of a request, ``row`` having its columns."""
        if row.settled_at is not None:
            counts = decode_counts(row.counts)
            return Standing(overall(counts, row.state), counts, True)
        prepared = not row.resolving
        if row.begun_at is None and row.state in _WAITING:
            counts = {MailStatus.READY: row.mails} if row.mails else {}
            return Standing(overall(counts, row.state, prepared=prepared), counts, prepared)
        totals = Counter(await self._counts(row))
        counts = {status: count for status, count in totals.items() if count > 0}
        return Standing(overall(counts, row.state, prepared=prepared), counts, prepared)

    async def _counts(self, row: RequestRow) -> Counts:
        key = row.account_id, row.id
        if row.pieces > FEW and len(await uncounted_pieces(self._store, *key, FEW + 1)) > FEW:
            known = await read_tally_counts(self._store, *key)
            if known is not None:
                return decode_counts(known)
            kept = await self._kept(row)
            # Nobody has looked yet: it has just come.
            kept[MailStatus.READY] += max(0, row.mails - sum(kept.values()))
            return kept
        if row.pieces > FEW:
            tally, left = await tally_and_uncounted(self._store, *key, FEW + 1)
        else:
            tally, left = None, await uncounted_pieces(self._store, *key, FEW + 1)
        if tally is None:
            totals = await self._kept(row)
        else:
            totals = Counter(tally.without(piece.number for piece in left))
        running: list[PieceRow] = []
        for piece in left:
            if piece.state != PieceState.EXPANDED:
                totals[MailStatus.READY] += piece.mails
                continue
            totals[MailStatus.FAILED] += len(decode_failures(piece.failed))
            running.append(piece)
        ranges = [_names(row, first, last) for first, last in _runs(running)]
        for found, _ in await count_ranges(self._store, row.account_id, ranges):
            totals.update(found)
        return totals

    async def _kept(self, row: RequestRow) -> Counter[MailStatus]:
        totals: Counter[MailStatus] = Counter()
        for text, pieces in await counted_pieces(self._store, row.account_id, row.id):
            for status, count in decode_counts(text).items():
                totals[status] += count * pieces
        return totals

    async def tally(self, row: RequestRow) -> Tally | None:
        """What was seen of a large request, piece by piece, ``row`` having its columns."""
        return None if row.pieces <= FEW else await read_tally(self._store, row.account_id, row.id)

    async def settle(self) -> int:
        """Keep what cannot change any more, look at what may have; returns how many pieces and requests that were
        kept. A duty."""
        done = 0
        found = await requests_under_way(self._store, _REQUESTS, after=self._after)
        for row in found:
            done += await self._settle(row)
        self._after = (found[-1].account_id, found[-1].id) if len(found) == _REQUESTS else (0, 0)
        return done + await self._look_round([row for row in found if row.pieces > FEW])

    async def _settle(self, row: RequestRow) -> int:
        done = 0
        is_small = row.pieces <= FEW
        left = await uncounted_pieces(self._store, row.account_id, row.id, FEW if is_small else 1)
        expanded = [piece for piece in left if is_small and piece.state == PieceState.EXPANDED]
        for piece, look in zip(expanded, await self._looks(row, expanded), strict=True):
            if look.due_at is None:
                text = encode_counts(look.counts)
                done += await freeze_piece(self._store, row.account_id, row.id, piece.number, text)
        if row.state in _ENDED and done == len(left):
            totals = await self._kept(row)
            counts = {"counts": encode_counts(totals), "status": int(overall(totals, row.state))}
            done += await settle_request(self._store, row.account_id, row.id, self._clock.now(), counts)
        return done

    async def _looks(self, row: RequestRow, pieces: Sequence[PieceRow]) -> list[Look]:
        """At pieces that have become messages."""
        ranges = [_names(row, piece.first_number, piece.first_number + piece.mails - 1) for piece in pieces]
        looks = []
        counted = await count_ranges(self._store, row.account_id, ranges)
        for piece, (found, due_at) in zip(pieces, counted, strict=True):
            counts = Counter(found)
            counts[MailStatus.FAILED] += piece.mails - sum(found.values())
            looks.append(Look(counts, due_at))
        return looks

    # --- large requests -----------------------------------------------------------------------------------------

    async def _look_round(self, rows: Sequence[RequestRow]) -> int:
        """At some pieces of each, again and again, until there is nothing to be seen or the round is over."""
        done = 0
        ends = self._clock.monotonic() + _ROUND
        left = deque(
            sorted(rows, key=lambda row: ((row.account_id, row.id) <= self._looked_at, row.account_id, row.id))
        )
        while left and self._clock.monotonic() < ends:
            began = self._clock.monotonic()
            row = left.popleft()
            self._looked_at = row.account_id, row.id
            kept, more = await self._look_at_some(row)
            done += kept
            if more:
                left.append(row)
            await asyncio.sleep(_REST * (self._clock.monotonic() - began))
        return done

    async def _look_at_some(self, row: RequestRow) -> tuple[int, bool]:
        """How many pieces are counted for good now, and whether more wait to be looked at."""
        key = row.account_id, row.id
        tally = await self.tally(row)
        if tally is None:
            if not row.resolving:
                await begin_tally(self._store, *key, Tally.begun(await list_pieces(self._store, *key)))
            return 0, not row.resolving
        now = self._clock.now()
        due = tally.due(now, _PIECES)
        if not due:
            return 0, False
        for_good: dict[int, str] = {}
        expanded = []
        for piece in await list_pieces(self._store, *key, [entry.number for entry in due]):
            if piece.counts:
                tally.looked(piece.number, Look(decode_counts(piece.counts), None), now, row.begun_at or now)
            elif piece.state == PieceState.EXPANDED:
                expanded.append(piece)
            else:
                tally.looked(piece.number, Look({MailStatus.READY: piece.mails}, now), now, row.begun_at or now)
        for piece, look in zip(expanded, await self._looks(row, expanded), strict=True):
            tally.looked(piece.number, look, now, row.begun_at or now)
            if look.due_at is None:
                for_good[piece.number] = encode_counts(look.counts)
        return await keep_tally(self._store, *key, tally, for_good), len(due) == _PIECES


def _names(row: RequestRow, first: int, last: int) -> tuple[str, str, str]:
    """What the request and its mails from ``first`` to ``last`` are called."""
    return PublicId(row.day, row.number).text, PublicId(row.day, first).text, PublicId(row.day, last).text


def _runs(pieces: Sequence[PieceRow]) -> list[tuple[int, int]]:
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
