"""Mail that accounts receive: which routes take it, and a notice for each of them.

Every recipient of a mail is told by itself. What no route takes, since its header does not meet what they demand,
is kept as read. The content stays where it is: it is read again when an application is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ekiden.core.events import Event, EventType
from ekiden.core.notices import News
from ekiden.core.notices import Route as Told
from ekiden.inbound.reader import Found
from ekiden.mime.tree import read_header
from ekiden.store.records import Noted

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.inbound.reader import Opened
    from ekiden.inbound.route_directory import RouteDirectory
    from ekiden.inbound.routes import Route
    from ekiden.limits.workshop import Workshop

_PATIENCE: Final = 0.2
"""Seconds that the conditions of one account may take for a batch of its mails."""
_LEAST: Final = 0.005
"""Seconds that those of one mail may take at any rate."""


class _Taken(NamedTuple):
    """A recipient of a mail, and the routes that take it. ``undecided``: how many could not be asked in time."""

    number: int
    recipient: str
    routes: Sequence[Route]
    undecided: int


class RouteMail:
    """``inbound.reader.MailReader``. One per worker."""

    def __init__(self, clock: Clock, routes: RouteDirectory, workshop: Workshop) -> None:
        self._clock = clock
        self._routes = routes
        self._workshop = workshop

    async def read(self, mails: Sequence[Opened]) -> list[Found | Exception]:
        routes = [self._routes.routes(mail.mail.account_id) for mail in mails]
        taken = await self._workshop.run("inbound", lambda: _all_taken(mails, routes))
        return [self._found(mail, each) for mail, each in zip(mails, taken, strict=True)]

    def _found(self, mail: Opened, taken: Sequence[_Taken]) -> Found:
        of = mail.mail
        found = Found(told={"recipients": [_told(each) for each in taken]})
        for each in taken:
            if not each.routes:
                continue
            endpoints = [route.target.endpoint_id for route in each.routes]
            data = {
                "recipient": each.recipient,
                "sender": of.sender,
                "size": of.size,
                "routes": [route.name for route in each.routes],
                "endpoints": endpoints,
            }
            event = Event(of.account_id, of.id, each.number, EventType.RECEIVED, self._clock.now(), data)
            found.events.append(Noted(event, tuple(Told(id, News.RECEIVED) for id in endpoints)))
        return found


def _told(taken: _Taken) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "number": taken.number,
        "recipient": taken.recipient,
        "routes": [route.name for route in taken.routes],
    }
    return facts | ({"undecided": taken.undecided} if taken.undecided else {})


def _all_taken(mails: Sequence[Opened], routes: Sequence[Sequence[Route]]) -> list[list[_Taken]]:
    spent: dict[int, float] = {}
    found = []
    for mail, theirs in zip(mails, routes, strict=True):
        began = perf_counter()
        so_far = spent.get(mail.mail.account_id, 0.0)
        found.append(_taken(mail, theirs, began + max(_LEAST, _PATIENCE - so_far)))
        spent[mail.mail.account_id] = so_far + perf_counter() - began
    return found


def _taken(mail: Opened, routes: Sequence[Route], until: float) -> list[_Taken]:
    header: dict[str, list[bytes]] = {}
    if any(route.of_header for route in routes):
        root = read_header(mail.content)
        for field in root.fields:
            header.setdefault(field.name.lower(), []).append(field.text(root.charset).encode("utf-8", "replace"))
    found = []
    for recipient in dict.fromkeys(text for text, _ in mail.boxes):
        chosen: list[Route] = []
        undecided = 0
        for route in routes:
            takes = route.takes(recipient, header, until)
            undecided += takes is None
            if takes:
                chosen.append(route)
        found.append(_Taken(mail.mail.recipients.index(recipient) + 1, recipient, chosen, undecided))
    return found
