"""Deliveries that were lost with the worker that had them: what their traces say, and when they are tried again."""

from __future__ import annotations

import msgspec

from ekiden.core.clock import MINUTE, SECOND, Millis
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.events import EventType
from ekiden.core.said import Remark, say
from ekiden.core.states import Cause, State
from ekiden.store.units import Row

_to_json = msgspec.json.Encoder().encode

LOST = say("worker_lost")
_LOST_FIRST_WAIT: Millis = 5 * SECOND
_LOST_LONGEST_WAIT: Millis = 60 * MINUTE


def lost_wait(attempts: int) -> Millis:
    """How long a delivery waits that was lost with its worker in its attempt number ``attempts``: thrice as long
    each time, so that one that takes its worker down cannot keep doing it, yet one that was merely there goes on
    almost at once."""
    wait: Millis = _LOST_FIRST_WAIT * 3 ** min(attempts - 1, 10)
    return min(wait, _LOST_LONGEST_WAIT)


def lost_rows(
    account_id: int,
    message_id: int,
    number: int,
    attempts: int,
    worker: int,
    began: Millis,
    now: Millis,
    event_id: int,
) -> tuple[Row, Row]:
    """The attempt and the event of a delivery that was lost with its worker."""
    attempt = (
        account_id,
        message_id,
        number,
        attempts,
        worker,
        began,
        max(now, began),
        int(State.DEFERRED),
        int(Cause.OURS),
        "",
        "",
        "",
        0,
        "",
        "",
        str(Remark(LOST)),
        LOST.encode(),
        int(Diagnosis.UNREPORTED),
    )
    data = _to_json({"worker": worker, "attempt": attempts}).decode()
    kind = int(EventType.LEASE_LOST)
    return attempt, (account_id, message_id, event_id, number, kind, now, data, int(Diagnosis.UNREPORTED))
