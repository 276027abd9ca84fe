"""What was seen of the pieces of a large request: what is looked at next, and what it comes to."""

from __future__ import annotations

from ekiden.core.clock import DAY, HOUR, MINUTE, SECOND, Millis
from ekiden.mailings.counting_queries import PieceRow
from ekiden.mailings.tally import Look, Tally
from ekiden.mailings.values import MailStatus, encode_counts

NOW = 1_800_000_000_000
READY, SENT, FAILED, SENDING = MailStatus.READY, MailStatus.SENT, MailStatus.FAILED, MailStatus.SENDING


def begun(*mails: int) -> Tally:
    rows = []
    first = 1000
    for number, count in enumerate(mails):
        rows.append(PieceRow(number, first, count, 1, "", ""))
        first += count
    return Tally.begun(rows)


def due(tally: Tally, now: Millis, most: int = 100) -> list[int]:
    return [entry.number for entry in tally.due(now, most)]


def test_what_nobody_has_looked_at_is_ready_and_due() -> None:
    tally = begun(200, 200, 7)
    assert tally.without(()) == {READY: 407}
    assert due(tally, NOW) == [0, 1, 2]
    assert due(tally, NOW, most=2) == [0, 1]


def test_what_is_counted_for_good_is_known_from_the_beginning() -> None:
    counted = PieceRow(0, 1000, 200, 1, "", encode_counts({SENT: 199, FAILED: 1}))
    tally = Tally.begun([counted, PieceRow(1, 1200, 7, 1, "", "")])
    assert tally.without(()) == {SENT: 199, FAILED: 1, READY: 7}
    assert due(tally, NOW) == [1]


def test_what_was_seen_is_told() -> None:
    tally = begun(200, 200, 7)
    tally.looked(1, Look({SENT: 150, FAILED: 2, SENDING: 48}, NOW), NOW, NOW)
    assert tally.without(()) == {READY: 207, SENT: 150, FAILED: 2, SENDING: 48}
    assert tally.without([0, 1]) == {READY: 7}
    again = Tally.decode(tally.encode())
    assert again.without(()) == tally.without(())
    assert [(entry.number, entry.first, entry.mails) for entry in again.entries] == [
        (0, 1000, 200),
        (1, 1200, 200),
        (2, 1400, 7),
    ]


def test_where_something_happens_it_is_looked_again_soon() -> None:
    tally = begun(200)
    old = NOW - DAY
    tally.looked(0, Look({SENT: 1, READY: 199}, 0), NOW, old)
    assert due(tally, NOW + SECOND - 1) == []
    assert due(tally, NOW + SECOND) == [0]
    # Nothing has happened since.
    tally.looked(0, Look({SENT: 1, READY: 199}, 0), NOW, old)
    assert due(tally, NOW + MINUTE - 1) == []
    assert due(tally, NOW + MINUTE) == [0]
    tally.looked(0, Look({SENT: 1, READY: 199}, 0), NOW, NOW - 16 * SECOND)
    assert due(tally, NOW + 2 * SECOND - 1) == []
    assert due(tally, NOW + 2 * SECOND) == [0]


def test_what_is_tried_later_is_looked_at_then() -> None:
    tally = begun(200, 200)
    for number, wait in enumerate((2 * MINUTE, HOUR)):
        tally.looked(number, Look({SENT: 199, SENDING: 1}, NOW + wait), NOW, NOW)
    assert due(tally, NOW + 2 * MINUTE - 1) == []
    assert due(tally, NOW + 2 * MINUTE) == [0]
    # Somebody may have cancelled it.
    assert due(tally, NOW + 5 * MINUTE) == [0, 1]


def test_what_has_waited_longest_is_first() -> None:
    tally = begun(1, 1, 1)
    for number, at in ((2, NOW), (0, NOW + SECOND), (1, NOW + 2 * SECOND)):
        tally.looked(number, Look({SENDING: 1}, 0), at, at)
    assert due(tally, NOW + HOUR) == [2, 0, 1]


def test_what_has_come_to_its_end_is_not_looked_at_again() -> None:
    tally = begun(200, 200)
    tally.looked(0, Look({SENT: 200}, None), NOW, NOW)
    assert due(tally, NOW + DAY) == [1]
    assert Tally.decode(tally.encode()).entries[0].for_good
