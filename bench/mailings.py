"""What a question about a request to mail many costs when it has 10³ and 10⁶ mails.

The account has two requests of that size. All mails of the one have come to their end; the other one is being sent:
of each of its pieces some mails have come to their end and the others have not been tried. Before anything is asked
the duty that counts mails has looked at all of them, as it does while they are sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sqlalchemy import func, select

from bench.flatness import Question, Subject
from bench.tools import BenchError
from ekiden.core.clock import HOUR, MINUTE, Clock, Millis
from ekiden.core.ids import IdFactory
from ekiden.core.states import Cause, Priority, State
from ekiden.mailings.counting import Counting
from ekiden.mailings.numbers import PublicId, day_of
from ekiden.mailings.reading import MailFilter, MailReading, RequestFilter
from ekiden.mailings.requests import MAILS_OF_A_PIECE
from ekiden.mailings.tally import Tally
from ekiden.mailings.values import (
    Content,
    MailStatus,
    Person,
    PieceState,
    RequestState,
    encode_content,
    encode_mails,
)
from ekiden.store.api import Store
from ekiden.store.tables import delivery, mail_request, mail_request_piece, mail_request_tally, message

ACCOUNT = 1
TABLES = (mail_request, mail_request_piece, message, delivery)
_NODE = 1022
_AGE: Millis = 3 * HOUR
"""Since when the requests are there."""
_PATIENCE = 600.0
"""Seconds until all mails have been counted."""
_FAILED = 50
"""One mail in so many."""
_BEGUN = 20
"""One mail in so many of what is being sent has come to its end."""


def _first_number(sent: bool, count: int) -> int:
    """Of the first mail of a request; the number before it is the request's own."""
    return 2 if sent else count + 3


def values(count: int, now: Millis) -> Iterator[list[dict[str, Any] | None]]:
    """A row for each of ``TABLES``, or none: both requests, one after the other."""
    ids = IdFactory(_NODE)
    begin = now - _AGE
    for sent in (True, False):
        at = begin if sent else begin + HOUR
        request_id = ids.next(at)
        for number in range(count):
            first = number == 0
            in_piece = number % MAILS_OF_A_PIECE
            yield [
                _request(request_id, count, at, sent=sent) if first else None,
                _piece(request_id, number, count, sent=sent) if in_piece == 0 else None,
                *_mail(ids.next(at + MINUTE), number, count, at, now, sent=sent),
            ]


def _request(request_id: int, count: int, at: Millis, *, sent: bool) -> dict[str, Any]:
    content = Content("<p>Hello ${name}</p>")
    return {
        "account_id": ACCOUNT,
        "id": request_id,
        "day": day_of(at),
        "number": _first_number(sent, count) - 1,
        "state": int(RequestState.EXPANDED),
        "via": "API",
        "created_at": at,
        "due_at": at,
        "mails": count,
        "recipients": count,
        "pieces": -(-count // MAILS_OF_A_PIECE),
        "begun_at": at,
        "individual": True,
        "advertising": False,
        "sender": "s@src.test",
        "subject": "News for ${name}",
        "content": encode_content(content).decode(),
    }


def _address(number: int) -> str:
    return f"u{number}@dst.test"


def _piece(request_id: int, first: int, count: int, *, sent: bool) -> dict[str, Any]:
    here = range(first, min(first + MAILS_OF_A_PIECE, count))
    mails = [(Person(_address(number), f"Person {number}", values={"name": f"N{number}"}),) for number in here]
    return {
        "account_id": ACCOUNT,
        "request_id": request_id,
        "number": first // MAILS_OF_A_PIECE,
        "first_number": _first_number(sent, count) + first,
        "mails": len(here),
        "recipients": len(here),
        "state": int(PieceState.EXPANDED),
        "tries": 1,
        "expanded_at": 1,
        "data": encode_mails(mails),
    }


def _mail(
    identifier: int, number: int, count: int, at: Millis, now: Millis, *, sent: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    state = State.BOUNCED if number % _FAILED == 0 else State.DELIVERED
    over = sent or number % _BEGUN == 0
    day, first = day_of(at), _first_number(sent, count)
    letter = {
        "account_id": ACCOUNT,
        "id": identifier,
        "sender": "s@src.test",
        "size": 2000,
        "priority": int(Priority.STANDARD),
        "smtputf8": False,
        "eight_bit": False,
        "accepted_at": at,
        "expires_at": now + 48 * HOUR,
        "header_id": f"<{identifier}@src.test>",
        "subject": f"News for N{number}",
        "origin": '{"via":"HTTP","client":"192.0.2.7"}',
        "labels": "{}",
        "bulk": PublicId(day, first - 1).text,
        "reference": PublicId(day, first + number).text,
    }
    recipient = {
        "account_id": ACCOUNT,
        "message_id": identifier,
        "number": 1,
        "recipient": _address(number),
        "domain": "dst.test",
        "state": int(state if over else State.QUEUED),
        "cause": int(Cause.NONE),
        "reason": "250 2.0.0 Ok: queued as 4X1zPq0Y1Zz1" if over else "",
        "code": 250 if over else 0,
        "priority": int(Priority.STANDARD),
        "due_at": now + HOUR,
        "attempts": int(over),
        "updated_at": at + 900,
    }
    return letter, recipient


async def _count(store: Store, clock: Clock, counting: Counting, count: int) -> None:
    """Until the duty knows all that can be known."""
    began = clock.monotonic()
    pieces = 2 * -(-count // MAILS_OF_A_PIECE)
    while True:
        await counting.settle()
        async with store.read() as connection:
            data = (await connection.scalars(select(mail_request_tally.c.pieces))).all()
            settled = await connection.scalar(
                select(func.count()).where(
                    mail_request.c.account_id == ACCOUNT, mail_request.c.settled_at.is_not(None)
                )
            )
        looked = sum(entry.look_at != 0 for found in data for entry in Tally.decode(found).entries)
        if settled and (looked == pieces or count <= 10 * MAILS_OF_A_PIECE):
            break
        if clock.monotonic() - began > _PATIENCE:
            raise BenchError(f"{looked} of {pieces} pieces were looked at in {_PATIENCE:.0f} s")
    print(
        f"mailings {store.engine}: {2 * count:,} mails were counted in {clock.monotonic() - began:.0f} s",
        flush=True,
    )


async def _questions(store: Store, clock: Clock, count: int) -> dict[str, Question]:
    """What is asked, by its name."""
    reading = MailReading(store, clock)
    await _count(store, clock, reading.counting, count)
    lately = RequestFilter(since=clock.now() - 24 * HOUR, until=clock.now())
    page = await reading.requests(ACCOUNT, lately)
    running, over = page.requests

    def status(id: str) -> Question:
        async def ask() -> None:
            found = await reading.status(ACCOUNT, id)
            if found.standing.mails != count:
                raise BenchError(f"{found.standing.mails} mails have a status, not {count}")

        return ask

    def requests(expected: int, **wanted: Any) -> Question:
        async def ask() -> None:
            found = await reading.requests(ACCOUNT, replace(lately, **wanted))
            if len(found.requests) != expected:
                raise BenchError(f"{wanted} found {len(found.requests)} requests, not {expected}")

        return ask

    def mails(id: str, expected: int, offset: int = 0, **wanted: Any) -> Question:
        async def ask() -> None:
            found = await reading.mails(ACCOUNT, id, MailFilter(**wanted), offset=offset, limit=10)
            if len(found.mails) != expected:
                raise BenchError(f"{wanted} found {len(found.mails)} mails, not {expected}")

        return ask

    def mail(id: str) -> Question:
        async def ask() -> None:
            await reading.mail(ACCOUNT, id)

        return ask

    questions: dict[str, Question] = {
        "requests of a day": requests(2),
        "requests by status": requests(1, statuses=frozenset({MailStatus.SENDING})),
        "requests by recipient": requests(2, recipient=_address(count // 2)),
    }
    half = count // 2
    for name, request, sent in (("sent", over, True), ("being sent", running, False)):
        wanted = PublicId(int(request.id[:8]), _first_number(sent, count) + half + 1).text
        questions |= {
            f"{name}: status": status(request.id),
            f"{name}: first mails": mails(request.id, 10),
            f"{name}: mails in the middle": mails(request.id, 10, half),
            f"{name}: failed mails": mails(
                request.id, min(10, count // 100), statuses=frozenset({MailStatus.FAILED})
            ),
            f"{name}: mails by recipient": mails(request.id, 1, recipient=_address(half)),
            f"{name}: one mail": mail(wanted),
        }
    return questions


SUBJECT = Subject("mailings", "Requests to mail many", TABLES, values, _questions)
