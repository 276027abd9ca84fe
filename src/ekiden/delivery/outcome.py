"""From a verdict to what the store keeps: new state, attempt with its dialogue, event, next time."""

from __future__ import annotations

from ekiden.core.clock import SECOND, Millis
from ekiden.core.diagnosis import Verdict
from ekiden.core.duration import format_duration
from ekiden.core.events import Event, EventType
from ekiden.core.states import State, Wait
from ekiden.delivery import verdict as verdicts
from ekiden.delivery.retry import Schedule, next_time
from ekiden.smtp.retry_hint import hint_of
from ekiden.store.records import Attempt, Delivery, Outcome

_EVENTS = {
    State.DELIVERED: EventType.DELIVERED,
    State.DEFERRED: EventType.DEFERRED,
    State.BOUNCED: EventType.BOUNCED,
    State.EXPIRED: EventType.EXPIRED,
}


def make_outcome(
    delivery: Delivery, verdict: Verdict, attempt: Attempt, schedule: Schedule, chance: float
) -> Outcome:
    """The outcome of one attempt; a deferral whose time has run out becomes ``EXPIRED``.

    ``chance`` is uniform in 0 ≤ chance < 1, for the jitter.
    """
    message = delivery.message
    now = attempt.finished_at
    due_at = now
    if verdict.state is State.DEFERRED:
        hint = hint_of(verdict.text)
        next_at = next_time(schedule, delivery.attempts, now, message.expires_at, chance, hint)
        if next_at is None:
            verdict = verdicts.expired(verdict, _age(message.accepted_at, now))
        else:
            due_at = next_at
    code, enhanced, text = verdict.code, verdict.enhanced, verdict.text
    data: dict[str, object] = {"code": code, "enhanced": enhanced, "text": text, "host": attempt.host}
    if attempt.source:
        data["source"] = attempt.source
    if verdict.stage is not None:
        data["stage"] = verdict.stage.label
    if verdict.said is not None:
        data["said"] = verdict.said
    if verdict.state is State.DEFERRED:
        data["next_at"] = due_at
    if verdict.state is not State.DELIVERED:
        data["cause"] = verdict.cause.name.lower()
    kind, diagnosis = _EVENTS[verdict.state], verdict.diagnosis
    event = Event(message.account_id, message.id, delivery.number, kind, now, data, diagnosis)
    return Outcome(
        delivery,
        verdict.state,
        diagnosis,
        code,
        enhanced,
        text,
        due_at,
        attempt,
        [event],
        wait=verdict.wait if verdict.state is State.DEFERRED else Wait.DUE,
        said=verdict.said,
    )


def _age(since: Millis, now: Millis) -> str:
    seconds = max(0, now - since) // SECOND
    for unit in (86_400, 3_600, 60):
        if seconds >= unit:
            return format_duration(seconds - seconds % unit)
    return format_duration(seconds)
