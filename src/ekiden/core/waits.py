"""Why a delivery waits and who holds it: which of several is shown, and what older rows mean.

A delivery waits for one thing at a time (``Wait``), and may be held besides, by several at once (``Hold``): each
lets go of their own hold alone, and what it waits for below them is kept.
"""

from __future__ import annotations

import functools
import operator
from typing import Final

from ekiden.core.states import Cause, Hold, State, Wait

SHOWN_AS: Final[dict[Hold, Wait]] = {
    Hold.UNREADABLE: Wait.UNREADABLE,
    Hold.SUSPENSION: Wait.ACCOUNT_SUSPENDED,
    Hold.OPERATOR: Wait.HELD_BY_OPERATOR,
    Hold.CONFIRMATION: Wait.CONFIRMATION,
    Hold.SENDER: Wait.PAUSED_BY_SENDER,
}
"""Of several holds the first of these is what is shown."""

KNOWN: Final = functools.reduce(operator.or_, SHOWN_AS)
_PLACED: Final = frozenset({Wait.PACED, Wait.SHARE, Wait.WORKER_STOPPED})
WAITS_OF: Final[dict[State, frozenset[Wait]]] = {
    State.SCHEDULED: frozenset({Wait.SCHEDULED, Wait.QUOTA}),
    State.QUEUED: _PLACED | {Wait.DUE},
    State.DEFERRED: _PLACED | {Wait.RETRY, Wait.SITE_DOWN, Wait.NO_SOURCE, Wait.WORKER_LOST},
}
STORED: Final = frozenset().union(*WAITS_OF.values())
USUAL: Final[dict[State, Wait]] = {
    State.SCHEDULED: Wait.SCHEDULED,
    State.QUEUED: Wait.DUE,
    State.DEFERRED: Wait.RETRY,
}
"""What is waited for where the column says what does not fit: an Ekiden that knew of no waits changed the state."""


def holds_of(state: State, holds: int) -> Hold:
    """Whose holds stand. What an Ekiden held that knew of no holders is the operator's."""
    if state is not State.HELD:
        return Hold(0)
    # SQLite keeps anything in any column.
    return (Hold(holds) & KNOWN if isinstance(holds, int) else Hold(0)) or Hold.OPERATOR


def wait_below(state: State, wait: int, cause: int) -> Wait:
    """What it waits for whatever is held; of what is held the stored one."""
    if state in WAITS_OF and wait not in WAITS_OF[state]:
        return Wait.QUOTA if state is State.SCHEDULED and cause == Cause.RATE else USUAL[state]
    return Wait(wait) if wait in STORED else Wait.DUE


def wait_of(state: State, wait: int, holds: int, cause: int) -> Wait | None:
    """What is shown of a delivery; ``None``: it does not wait, since a worker has it or it has ended."""
    if state is State.HELD:
        held = holds_of(state, holds)
        return next(shown for hold, shown in SHOWN_AS.items() if hold & held)
    return wait_below(state, wait, cause) if state in WAITS_OF else None
