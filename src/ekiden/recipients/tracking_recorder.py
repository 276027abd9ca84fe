"""Opens, clicks and unsubscriptions as events of their messages.

An event is on stable storage before its link is answered. A reader is not kept from a page by trouble of ours,
though: what cannot be written within two seconds is written later or lost, and the link works. An unsubscription is
not answered until it is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import structlog

from ekiden.core.clock import MINUTE, Millis
from ekiden.core.events import Event, EventType
from ekiden.core.ids import format_id, id_time
from ekiden.recipients.devices import MAX_USER_AGENT, UNKNOWN, device_of
from ekiden.recipients.machines import BURST, Judgement, judge
from ekiden.store.errors import told

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.core.notices import Route
    from ekiden.recipients.tracking_tokens import AnyToken, ClickToken, OpenToken, UnsubscribeToken

log = structlog.get_logger()

MOST: Final = 30
"""Events of one recipient of one message that a worker writes in a minute; what is beyond is not recorded.

Whoever has a link can ask for it as often as he likes; this is how much of the database that costs.
"""
_MAX_SEEN = 100_000
_PATIENCE: Final = 2.0


class Noting(Protocol):
    """Where events go: ``recipients.recipient_events.RecipientEvents``."""

    async def routes(self, account_id: int, message_id: int) -> tuple[Route, ...] | None: ...

    async def noted(self, account_id: int, message_id: int, number: int, kind: EventType) -> bool: ...

    async def note(self, event: Event, routes: tuple[Route, ...]) -> None: ...


class Visit(NamedTuple):
    """What a request tells of who sent it. ``headers`` by lower-case name; ``source``: the IP address."""

    method: str
    headers: dict[str, str]
    source: str = ""


class _Seen:
    """What one recipient of one message did in this minute."""

    __slots__ = ("clicked_at", "count", "url")

    def __init__(self) -> None:
        self.count = 0
        self.clicked_at: Millis = 0
        self.url = ""


class Recorder:
    """One per worker; close it at the end."""

    def __init__(self, noting: Noting, clock: Clock, *, patience: float = _PATIENCE) -> None:
        """``patience``: seconds that a reader waits for a write."""
        self._noting = noting
        self._clock = clock
        self._patience = patience
        self._minute: Millis = 0
        self._seen: dict[tuple[int, int, int], _Seen] = {}
        self._late: set[asyncio.Task[None]] = set()

    async def opened(self, token: OpenToken, visit: Visit) -> None:
        """The picture was asked for."""
        seen = self._count(token)
        if seen is not None:
            judged = self._judge(token, visit)
            await self._soon(self._note(token, EventType.OPENED, _data(visit, judged)))

    async def clicked(self, token: ClickToken, visit: Visit) -> None:
        """A link was followed."""
        seen = self._count(token)
        if seen is None:
            return
        judged = self._judge(token, visit)
        now = self._clock.now()
        if not judged.machine and seen.url not in ("", token.url) and now - seen.clicked_at < BURST:
            judged = Judgement(True, "burst", judged.hidden)
        seen.clicked_at, seen.url = now, token.url
        await self._soon(self._note(token, EventType.CLICKED, {"url": token.url, **_data(visit, judged)}))

    async def unsubscribed(self, token: UnsubscribeToken, visit: Visit, how: str, *, new: bool) -> None:
        """The recipient left; ``new``: only now. Told once for each message. Raises what the store raises."""
        kind = EventType.UNSUBSCRIBED
        if not new and await self._noting.noted(token.account_id, token.message_id, token.number, kind):
            return
        # Who asks for it without a browser is the recipient's provider, in the recipient's name.
        data = {"how": how, **_data(visit, Judgement(False, hidden=how == "one-click"))}
        await self._note(token, kind, data)

    def often(self, token: AnyToken) -> bool:
        """Whether the recipient has done so much within this minute that no more is taken. Counts the request."""
        return self._count(token) is None

    async def close(self) -> None:
        """Wait for what is being written."""
        await asyncio.gather(*self._late, return_exceptions=True)

    def _count(self, token: AnyToken) -> _Seen | None:
        now = self._clock.now()
        minute = now - now % MINUTE
        if minute != self._minute or len(self._seen) >= _MAX_SEEN:
            self._minute = minute
            self._seen.clear()
        key = (token.account_id, token.message_id, token.number)
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = _Seen()
        seen.count += 1
        return seen if seen.count <= MOST else None

    def _judge(self, token: AnyToken, visit: Visit) -> Judgement:
        return judge(visit.method, visit.headers, self._clock.now() - id_time(token.message_id))

    async def _note(self, token: AnyToken, kind: EventType, data: dict[str, Any]) -> None:
        routes = await self._noting.routes(token.account_id, token.message_id)
        if routes is None:
            log.info("an event of a message that is gone", kind=kind.name, id=format_id(token.message_id))
            return
        event = Event(token.account_id, token.message_id, token.number, kind, self._clock.now(), data)
        await self._noting.note(event, routes)

    async def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_logged(work))
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        await asyncio.wait((task,), timeout=self._patience)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception as error:
        told(log, "an open or a click is not recorded", error)


def _data(visit: Visit, judged: Judgement) -> dict[str, Any]:
    """The facts of an event that every kind has; keys as ``docs/tracking.md`` tells."""
    agent = visit.headers.get("user-agent", "")[:MAX_USER_AGENT]
    data: dict[str, Any] = {
        "user_agent": "".join(char for char in agent if char.isprintable()),
        "machine": judged.machine,
    }
    if judged.why:
        data["why"] = judged.why
    device = UNKNOWN if judged.hidden else device_of(agent)
    if device != UNKNOWN:
        data["device"] = device._asdict()
    return data
