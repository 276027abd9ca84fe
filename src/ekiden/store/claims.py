"""What a claim gives: deliveries and their messages from rows, and how many of each priority."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ekiden.core.clock import Millis
from ekiden.core.forward import parse_forward
from ekiden.core.notices import parse_routes
from ekiden.core.said import Said, say
from ekiden.core.states import Cause, Priority, State
from ekiden.core.submission import NO_MARKS, Marks
from ekiden.store.records import Delivery, Message
from ekiden.store.set_aside import UNREADABLE, noted, what

_PRIORITIES = {int(p): p for p in Priority}
_CAUSES = {int(c): c for c in Cause}


def message_from(row: Sequence[Any]) -> Message:
    """A message from its columns in the order of ``MESSAGE_COLUMNS``. Raises ``set_aside.UNREADABLE``."""
    # SQLite keeps anything in any column: what is reckoned with must be numbers.
    row[2] + row[4] + row[10] + row[11]
    return Message(
        account_id=row[0],
        id=row[1],
        credential_id=row[2],
        sender=row[3],
        size=row[4],
        priority=_PRIORITIES[row[5]],
        ret=row[6],
        envid=row[7],
        smtputf8=bool(row[8]),
        eight_bit=bool(row[9]),
        accepted_at=row[10],
        expires_at=row[11],
        header_id=row[12],
        subject=row[13],
        origin=row[14],
        labels=row[15],
        marks=Marks(*row[16:21]) if any(row[16:21]) else NO_MARKS,
        routes=parse_routes(row[21]),
        forward=parse_forward(row[22]),
    )


# What a claim reads of a delivery, besides the message.
CLAIMED_COLUMNS = ("number", "recipient", "domain", "notify", "orcpt", "cause", "reason", "attempts", "written")


def claimed_deliveries(found: Iterable[Sequence[Any]], now: Millis) -> tuple[list[Delivery], list[Broken]]:
    """Deliveries just claimed, and those that cannot be read.

    From ``CLAIMED_COLUMNS`` as they were before, and ``MESSAGE_COLUMNS`` behind them.

    The new attempt of each is counted here. Deliveries of one message share one ``Message``.
    """
    messages: dict[tuple[int, int], Message] = {}
    deliveries: list[Delivery] = []
    broken: list[Broken] = []
    width = len(CLAIMED_COLUMNS)
    for row in found:
        key = (row[width], row[width + 1])
        message = messages.get(key)
        table = "message"
        try:
            if message is None:
                message = messages[key] = message_from(row[width:])
            table = "delivery"
            deliveries.append(_claimed_delivery(message, row, now))
        except UNREADABLE as error:
            noted(table, f"account_id={key[0]} message_id={key[1]} number={row[0]}", error)
            broken.append(Broken(*key, row[0], say("unreadable", table=table, why=what(error))))
    return deliveries, broken


class Broken(NamedTuple):
    """A delivery that was due and cannot be read: it is held, for ``Hold.UNREADABLE``."""

    account_id: int
    message_id: int
    number: int
    said: Said


def _claimed_delivery(message: Message, row: Sequence[Any], now: Millis) -> Delivery:
    return Delivery(
        message=message,
        number=row[0],
        recipient=row[1],
        domain=row[2],
        notify=row[3],
        orcpt=row[4],
        state=State.SENDING,
        due_at=now,
        attempts=row[7] + 1,
        cause=_CAUSES[row[5]],
        reason=row[6],
        written=row[8],
    )


def claim_shares(limit: int) -> tuple[int, int, int]:
    """How many of ``limit`` deliveries HIGH, STANDARD and LOW may take before what is left over is shared out.

    A quarter is kept for STANDARD and an eighth for LOW. Fractions are drawn by lot, so that even a worker that
    claims one at a time starves nobody.
    """
    standard = _round(limit / 4)
    low = _round(limit / 8)
    return max(limit - standard - low, 0), standard, low


def _round(share: float) -> int:
    whole = int(share)
    return whole + (random.random() < share - whole)  # noqa: S311 (a lot, not a secret)
