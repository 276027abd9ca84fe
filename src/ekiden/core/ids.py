"""Ids of messages: 63-bit integers that sort by time, written as 13 characters of Crockford's base 32.

Layout, from the top: 41 bits of milliseconds since 2024-01-01 UTC (good until 2093), 10 bits of node (one per
live worker, see ``store.register_worker``), 12 bits of sequence, of which each factory of a node has its half.
Being ordered by time they append to the end of a B-tree, and being 8 bytes they keep the indexes of hot tables
small.
"""

from __future__ import annotations

from ekiden.core.clock import Millis

EPOCH: Millis = 1_704_067_200_000  # 2024-01-01T00:00:00Z
NODE_BITS = 10
SEQUENCE_BITS = 12
MAX_NODE = (1 << NODE_BITS) - 1
_HALF = 1 << (SEQUENCE_BITS - 1)

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TEXT_LENGTH = 13
# Crockford's rules for people who read an id aloud or copy it from paper.
_VALUES = {c: i for i, c in enumerate(_ALPHABET)} | {"O": 0, "I": 1, "L": 1}
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]


class IdFactory:
    """Makes ids that are unique as long as no two live factories share a node number and a half of its sequence.

    ``upper`` is the half for the events that the store of a worker writes (``store.units.EventIds``), the other one
    is the worker's own: both name events, whose notices meet at one endpoint.
    """

    def __init__(self, node: int, *, upper: bool = False) -> None:
        if not 0 <= node <= MAX_NODE:
            raise ValueError(f"node must be 0 to {MAX_NODE}, not {node}")
        self._node = node << SEQUENCE_BITS | (_HALF if upper else 0)
        self._last = 0
        self._sequence = 0

    def move(self, node: int) -> None:
        """Make further ids on another node: the old one may be somebody else's."""
        if not 0 <= node <= MAX_NODE:
            raise ValueError(f"node must be 0 to {MAX_NODE}, not {node}")
        self._node = node << SEQUENCE_BITS | self._node & _HALF

    def next(self, now: Millis) -> int:
        """A new id for the time ``now``. Runs ahead of the clock rather than ever repeating itself."""
        ms = now - EPOCH
        if ms > self._last:
            self._last = ms
            self._sequence = 0
        else:
            # The clock stood still or went back, or 2,048 ids were made within one millisecond.
            self._sequence += 1
            if self._sequence == _HALF:
                self._last += 1
                self._sequence = 0
        return self._last << (NODE_BITS + SEQUENCE_BITS) | self._node | self._sequence


def id_time(value: int) -> Millis:
    """When the id ``value`` was made."""
    return (value >> (NODE_BITS + SEQUENCE_BITS)) + EPOCH


def format_id(value: int) -> str:
    """The text of an id, as it stands in ``250 2.0.0 Ok: queued as …``: 13 characters."""
    pairs = _PAIRS
    return (
        _ALPHABET[value >> 60]
        + pairs[value >> 50 & 1023]
        + pairs[value >> 40 & 1023]
        + pairs[value >> 30 & 1023]
        + pairs[value >> 20 & 1023]
        + pairs[value >> 10 & 1023]
        + pairs[value & 1023]
    )


def parse_id(text: str) -> int:
    """The id that ``text`` stands for; upper or lower case. ``ValueError`` says what is wrong with it."""
    cleaned = text.strip().upper().replace("-", "")
    if len(cleaned) != _TEXT_LENGTH:
        raise ValueError(f"an id has {_TEXT_LENGTH} letters and digits, {text!r} has {len(cleaned)}")
    value = 0
    for char in cleaned:
        digit = _VALUES.get(char)
        if digit is None:
            raise ValueError(f"{char!r} does not occur in an id ({text!r})")
        value = value << 5 | digit
    if value >> 63:
        raise ValueError(f"{text!r} is larger than any id")
    return value


def external_id(message_id: int, number: int, reference: str) -> str:
    """What the sender calls a delivery: its own reference, else the queue id; with ``-2`` and so on for further
    recipients of the message."""
    if reference:
        return reference
    text = format_id(message_id)
    return text if number <= 1 else f"{text}-{number}"
