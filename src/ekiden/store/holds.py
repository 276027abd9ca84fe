"""Who holds a delivery, since when and why, as ``delivery.holds`` and ``delivery.held`` keep it.

Everybody lays and lifts a hold of their own. The reason of a delivery that is held is that of the first of its
holds in the order of ``core.waits.SHOWN_AS``, so it stays what it is when others come and go.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, and_, or_

from ekiden.core.clock import Millis
from ekiden.core.language import Language
from ekiden.core.said import Said, say, tell
from ekiden.core.states import Cause, Hold, State, Wait
from ekiden.core.waits import KNOWN, SHOWN_AS, USUAL, WAITS_OF, holds_of
from ekiden.store.tables import delivery

_encode: Final = msgspec.json.Encoder().encode


class _Entry(msgspec.Struct, omit_defaults=True):
    by: str = ""
    at: Millis = 0
    reason: str = ""


_decode: Final = msgspec.json.Decoder(dict[str, _Entry]).decode

NAMES: Final[dict[Hold, str]] = {
    Hold.UNREADABLE: "ekiden",
    Hold.SUSPENSION: "suspension",
    Hold.OPERATOR: "operator",
    Hold.CONFIRMATION: "confirmation",
    Hold.SENDER: "sender",
}
_SAID: Final[dict[Hold, str]] = {
    Hold.SUSPENSION: "account_suspended",
    Hold.OPERATOR: "held_by_operator",
    Hold.CONFIRMATION: "awaits_confirmation",
    Hold.SENDER: "paused_by_sender",
}


class HeldBy(NamedTuple):
    """One hold. ``by`` is who laid it (empty: not known), ``reason`` what that person said (empty: nothing)."""

    hold: Hold
    by: str
    at: Millis | None
    reason: str

    @property
    def name(self) -> str:
        """``operator``, ``sender``, … as ``--json`` has it."""
        return NAMES[self.hold]

    @property
    def said(self) -> Said | None:
        """What Ekiden says of it; ``None``: the person said why."""
        code = _SAID.get(self.hold)
        return None if self.reason or code is None else say(code)

    def text(self, lang: Language) -> str:
        return tell(self.said, self.reason, lang)


def held_by(state: State, holds: int, held: str) -> tuple[HeldBy, ...]:
    """The holds that stand, the one that is shown first. Raises ``set_aside.UNREADABLE``."""
    entries = _entries(held)
    standing = holds_of(state, holds)
    found = []
    for hold in SHOWN_AS:
        if hold & standing:
            entry = entries.get(NAMES[hold], _Entry())
            found.append(HeldBy(hold, entry.by, entry.at or None, entry.reason))
    return tuple(found)


def _entries(held: str) -> dict[str, _Entry]:
    return _decode(held) if held else {}


def laid(standing: Hold, held: str, hold: Hold, by: str, at: Millis, reason: str) -> tuple[Hold, str]:
    """``holds`` and ``held`` once ``hold`` is laid as well."""
    kept = _kept(standing, held)
    kept[NAMES[hold]] = _Entry(by, at, reason)
    return standing | hold, _encode(kept).decode()


def lifted(standing: Hold, held: str, hold: Hold) -> tuple[Hold, str]:
    """``holds`` and ``held`` without ``hold``."""
    left = standing & ~hold
    kept = _kept(left, held)
    return left, _encode(kept).decode() if kept else ""


def _kept(standing: Hold, held: str) -> dict[str, _Entry]:
    try:
        entries = _entries(held)
    except msgspec.MsgspecError:
        entries = {}  # who holds it is in another column: this one stops nobody
    return {NAMES[hold]: entries[NAMES[hold]] for hold in SHOWN_AS if hold & standing and NAMES[hold] in entries}


def has_hold(hold: Hold) -> ColumnElement[bool]:
    """Whether any of ``hold`` stands, of deliveries that are ``HELD``. See ``core.waits.holds_of``."""
    found: ColumnElement[bool] = delivery.c.holds.op("&")(int(hold)) != 0
    return or_(delivery.c.holds.op("&")(int(KNOWN)) == 0, found) if hold & Hold.OPERATOR else found


def waits_for(wait: Wait) -> ColumnElement[bool]:
    """The deliveries that wait for it, whatever holds them besides; as ``core.waits.wait_of`` has it."""
    state = delivery.c.state
    for hold, shown in SHOWN_AS.items():
        if shown is wait:
            return and_(state == int(State.HELD), has_hold(hold))
    found: list[ColumnElement[bool]] = []
    for one, waits in WAITS_OF.items():
        kept: list[ColumnElement[bool]] = []
        if wait in waits:
            kept.append(delivery.c.wait == int(wait))
        other = delivery.c.wait.not_in(sorted(map(int, waits)))
        rate = delivery.c.cause == int(Cause.RATE)
        if one is State.SCHEDULED and wait is Wait.QUOTA:
            kept.append(and_(other, rate))
        elif USUAL[one] is wait:
            kept.append(and_(other, ~rate) if one is State.SCHEDULED else other)
        if kept:
            found.append(and_(state == int(one), or_(*kept)))
    return or_(*found)
