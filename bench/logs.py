"""What a question to the log costs when 10³ and 10⁶ messages were sent within its two days.

The store is filled as days of sending would leave it: nearly everything delivered, one in a hundred bounced, the
newest still waiting, some few that are rare in any way one may ask for. Each question is asked of the service that
the HTTP API asks, again and again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.flatness import Question, Subject
from bench.tools import BenchError
from ekiden.core.clock import HOUR, MINUTE, Clock, Millis
from ekiden.core.ids import IdFactory, format_id
from ekiden.core.states import Cause, Priority, State
from ekiden.delivery.bulks import Bulks
from ekiden.delivery.logs import LogFilter, Logs
from ekiden.store.api import Store
from ekiden.store.tables import delivery, message

ACCOUNT = 1
_NODE = 1022
_SPAN: Millis = 47 * HOUR
TABLES = (message, delivery)
BULK = 500
"""Messages of one bulk."""
_RECIPIENTS = 2000
_RARE = 5
_WAITING = 200


def values(count: int, now: Millis) -> Iterator[list[dict[str, Any]]]:
    """A row for each of ``TABLES``, the oldest first."""
    ids = IdFactory(_NODE)
    begin = now - _SPAN
    for number in range(count):
        at = begin + number * (_SPAN - MINUTE) // count
        identifier = ids.next(at)
        state = State.BOUNCED if number % 100 == 7 else State.DELIVERED
        if number >= count - _WAITING:
            state = State.DEFERRED
        rare = number < _RARE
        yield [
            {
                "account_id": ACCOUNT,
                "id": identifier,
                "sender": f"s{number % 3}@src.test",
                "size": 2000,
                "priority": int(Priority.STANDARD),
                "smtputf8": False,
                "eight_bit": False,
                "accepted_at": at,
                "expires_at": now + 48 * HOUR,
                "header_id": f"<{identifier}@src.test>",
                "subject": f"Your order {number} has been shipped",
                "origin": '{"via":"HTTP","client":"192.0.2.7"}',
                "labels": "{}",
                "bulk": f"bulk-{number // BULK}",
                "reference": f"reference-{number}" if number % 2 else "",
                "application": "rare" if rare else "shop",
                "campaign": "rare" if rare else "spring",
            },
            {
                "account_id": ACCOUNT,
                "message_id": identifier,
                "number": 1,
                "recipient": f"u{number % _RECIPIENTS}@dst.test",
                "domain": "dst.test",
                "state": int(State.EXPIRED if rare else state),
                "cause": int(Cause.NONE),
                "reason": "250 2.0.0 Ok: queued as 4X1zPq0Y1Zz1",
                "code": 250,
                "enhanced": "2.0.0",
                "priority": int(Priority.STANDARD),
                "due_at": now + HOUR,
                "attempts": 1,
                "updated_at": at + 900,
            },
        ]


async def _questions(store: Store, clock: Clock, count: int) -> dict[str, Question]:
    """What is asked, by its name."""
    logs, bulks = Logs(store, clock), Bulks(store, clock, IdFactory(_NODE))
    newest = await logs.find(LogFilter(ACCOUNT, limit=count // 2 if count < 2000 else 1000))
    middle = count // 2
    named = next(entry for entry in newest.entries if not entry.reference)

    def log(expected: int, **wanted: Any) -> Question:
        async def ask() -> None:
            page = await logs.find(LogFilter(ACCOUNT, **wanted))
            if len(page.entries) < expected:
                raise BenchError(f"{wanted} found {len(page.entries)} entries, not {expected}")

        return ask

    async def status() -> None:
        await bulks.get(ACCOUNT, f"bulk-{middle // BULK}")

    return {
        "first page of 50": log(50),
        "first page of 1,000": log(min(count, 1000), limit=1000),
        "a page of 50 further down": log(50, cursor=newest.cursor),
        "by queue id": log(1, ids=(format_id(named.message_id),)),
        "by the sender's id": log(1, ids=(f"reference-{middle | 1}",)),
        "by 100 ids": log(100, ids=tuple(f"reference-{2 * number + 1}" for number in range(100)), limit=100),
        "by bulk": log(50, bulks=(f"bulk-{middle // BULK}",)),
        "by recipient": log(1, recipient=f"u{middle % _RECIPIENTS}@dst.test"),
        "by sender": log(50, sender="s1@src.test"),
        "delivered": log(50, states=frozenset({State.DELIVERED})),
        "waiting": log(50, states=frozenset({State.QUEUED, State.DEFERRED})),
        "bounced, one in 100": log(1, states=frozenset({State.BOUNCED}), limit=10),
        "status of a bulk": status,
        "RARE waiting in another hour": log(0, states=frozenset({State.SCHEDULED})),
        "RARE state": log(_RARE, states=frozenset({State.EXPIRED})),
        "RARE campaign": log(_RARE, campaigns=("rare",)),
        "RARE sender": log(0, sender="nobody@src.test"),
    }


SUBJECT = Subject("logs", "The log of 48 hours", TABLES, values, _questions)
