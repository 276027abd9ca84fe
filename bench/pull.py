"""What fetching reports costs (``/email/1/reports``) while 10³ and 10⁶ of them wait for the account.

The messages are those of ``bench.logs``, each with the event of its end and a report of it. The service that the
HTTP API asks hands reports out once; they are put back after the clock was stopped, for each look to find as many.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import insert

from bench import logs
from bench.flatness import Question, Subject
from bench.tools import BenchError
from ekiden.core.clock import Clock, Millis
from ekiden.core.events import EventType
from ekiden.core.ids import IdFactory, format_id
from ekiden.core.notices import Happening
from ekiden.delivery.logs import LogFilter, Logs
from ekiden.notify.reports import ReportFilter, Reports
from ekiden.store.api import Store
from ekiden.store.tables import event, notice

_ENDPOINT = 1
_NODE = 1021
_TABLES = (*logs.TABLES, event, notice)


def _values(count: int, now: Millis) -> Iterator[list[dict[str, Any]]]:
    ids = IdFactory(_NODE)
    for message, delivery in logs.values(count, now):
        at = message["accepted_at"] + 900
        of = {"account_id": logs.ACCOUNT, "message_id": message["id"], "id": ids.next(at), "recipient_number": 1}
        yield [
            message,
            delivery,
            {**of, "type": int(EventType.DELIVERED), "at": at, "data": '{"code":250,"text":"250 2.0.0 Ok"}'},
            _notice(of["message_id"], of["id"], at),
        ]


def _notice(message_id: int, event_id: int, at: Millis) -> dict[str, Any]:
    return {
        "account_id": logs.ACCOUNT,
        "endpoint_id": _ENDPOINT,
        "id": event_id,
        "message_id": message_id,
        "recipient_number": 1,
        "due_at": at,
        "attempts": 0,
        "dead_at": None,
    }


async def _questions(store: Store, clock: Clock, count: int) -> dict[str, Question]:
    reports = Reports(store, clock)
    middle = count // 2
    page = await Logs(store, clock).find(LogFilter(logs.ACCOUNT, limit=middle if count < 2000 else 1000))
    named = next(entry for entry in page.entries if not entry.reference)

    def fetch(expected: int, limit: int = 50, **wanted: str) -> Question:
        async def ask() -> Any:
            found = await reports.fetch(logs.ACCOUNT, _ENDPOINT, ReportFilter(**wanted), limit)
            if len(found) != expected:
                raise BenchError(f"{len(found)} reports of {wanted} were handed out, not {expected}")
            return lambda: _put_back(store, found)

        return ask

    return {
        "any 50": fetch(50),
        "any 1,000": fetch(min(count, 1000), 1000),
        "50 of a bulk": fetch(50, bulk=f"bulk-{middle // logs.BULK}"),
        "of a bulk that has none": fetch(0, bulk="bulk-none"),
        "by queue id": fetch(1, message=format_id(named.message_id)),
        "by the sender's id": fetch(1, message=f"reference-{middle | 1}"),
        "RARE campaign": fetch(0, campaign="none"),
    }


async def _put_back(store: Store, found: list[Happening]) -> None:
    if found:
        rows = [_notice(happening.message_id, happening.event_id, happening.at) for happening in found]
        async with store.write() as connection:
            await connection.execute(insert(notice), rows)


SUBJECT = Subject("reports", "Reports that wait to be fetched", _TABLES, _values, _questions)
