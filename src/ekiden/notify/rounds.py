"""One round of requests to one endpoint: what goes into which request, in which order, and who is to blame.

Requests about the same message go one after the other; others side by side. A request that the receiver refuses
for its content is halved at once until the event to blame is found. That one waits by itself, later events of its
message wait behind it, and everything else goes on. A receiver that refuses whatever it is sent is not taken for
one with many bad events: after a few in a row the endpoint as a whole waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ekiden.core.clock import SECOND, Millis
from ekiden.core.said import Said, say
from ekiden.dns.lookup_queue import on_behalf_of
from ekiden.notify.client import Answer
from ekiden.notify.contents import ContentGone, NoRoom
from ekiden.notify.formats import Addressed, OfContent
from ekiden.notify.options import AS_CONFIGURED, Kept, pace_of
from ekiden.notify.queries import DueEndpoint, DueNotice, Postponed, RoundResult, Sent
from ekiden.notify.status_codes import Result

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.core.ids import IdFactory
    from ekiden.core.notices import Happening
    from ekiden.notify.auth import Auth
    from ekiden.notify.bodies import Body
    from ekiden.notify.client import Client
    from ekiden.notify.config import CallbacksConfig
    from ekiden.notify.contents import Contents
    from ekiden.notify.formats import Format
    from ekiden.notify.metrics import OutboxMetrics
    from ekiden.store.standing import Standing

_BLAMED_IN_A_ROW = 3
_QUICK = 200  # events whose body is written at once
_FAILED_AT_IT = 500  # what frameworks answer when an application has raised something
_TOGETHER = 10  # events at the end of a request that are looked at


@dataclass(frozen=True, slots=True)
class Tools:
    """What every round needs, whatever the endpoint."""

    client: Client
    clock: Clock
    ids: IdFactory
    config: CallbacksConfig
    metrics: OutboxMetrics
    standing: Standing | None = None
    """Until when anything may be sent; what is left then stays as it is."""
    contents: Contents | None = None
    """Of mails that came in, for formats that tell what is in them."""


@dataclass(frozen=True, slots=True)
class _Item:
    """A notice whose event is known and wanted."""

    notice: DueNotice
    happening: Happening


@dataclass(slots=True)
class _Seen:
    """What has happened so far in a round."""

    taken: list[int] = field(default_factory=list)
    postponed: list[Postponed] = field(default_factory=list)
    dead: list[int] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    requests_taken: int = 0
    blamed: int = 0
    failed: bool = False
    """The endpoint as a whole: nothing more is sent in this round."""
    wait: Millis = 0
    """What the receiver asked for."""
    blocked: set[int] = field(default_factory=set)
    """Messages with a notice that was not taken: what is later in them stays behind it."""
    answered: bool = False
    silent: bool = False


class Round:
    """``notices`` are due, oldest first. ``result`` may be asked for at any time, also after a cancellation.
    ``kept``: what the endpoint wants otherwise than configured.
    """

    def __init__(
        self,
        tools: Tools,
        endpoint: DueEndpoint,
        format: Format,
        auth: Auth | None,
        notices: Sequence[DueNotice],
        kept: Kept = AS_CONFIGURED,
    ) -> None:
        self._tools = tools
        self._kept = kept
        self._pace = pace_of(kept, tools.config.longest_wait, tools.config.expire_after)
        self.endpoint = endpoint
        self._format = format
        self._auth = auth
        self._notices = notices
        self._seen = _Seen()
        self._room = asyncio.Semaphore(tools.config.concurrency)

    async def run(self) -> None:
        """Send. Ends when everything was sent, or the endpoint failed."""
        items: list[_Item] = []
        for notice in self._notices:
            happening = notice.happening
            if notice.unreadable:
                # Among the dead letters: whoever mends the row can have it sent again.
                self._seen.dead.append(notice.id)
                self._tools.metrics.gave_up(1)
                continue
            if happening is not None and self._format.wants(happening):
                items.append(_Item(notice, happening))
            else:
                self._seen.taken.append(notice.id)
        requests = self._requests(items)
        if requests and self.endpoint.failures:
            # A probe: while the endpoint is down, one request at a time has to fail.
            await self._send(requests.pop(0))
        if requests and not self._seen.failed:
            await self._send_all(requests)

    def _requests(self, items: Sequence[_Item]) -> list[list[_Item]]:
        """What goes together. What was refused before goes alone, so that it spoils no other. A request ends rather
        before what happened to a message at one moment than in its midst."""
        size = size_of(self.endpoint, self._format, self._tools.config)
        requests: list[list[_Item]] = []
        current: list[_Item] = []
        for item in items:
            alone = item.notice.attempts > 0
            if current and (alone or len(current) >= size):
                parted = 0 if alone else _parted(current, item)
                requests.append(current[:-parted] if parted else current)
                current = current[-parted:] if parted else []
            current.append(item)
            if alone:
                requests.append(current)
                current = []
        if current:
            requests.append(current)
        return requests

    async def _send_all(self, requests: Sequence[list[_Item]]) -> None:
        latest: dict[int, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            for request in requests:
                messages = {item.notice.message_id for item in request}
                before = {latest[message] for message in messages if message in latest}
                task = group.create_task(self._send_after(before, request))
                latest.update(dict.fromkeys(messages, task))

    async def _send_after(self, before: set[asyncio.Task[None]], request: list[_Item]) -> None:
        if before:
            await asyncio.wait(before)
        async with self._room:
            await self._send(request)

    async def _send(self, request: list[_Item]) -> None:
        seen = self._seen
        standing = self._tools.standing
        if seen.failed or (standing is not None and not standing.holds):
            return
        request = [item for item in request if item.notice.message_id not in seen.blocked]
        if not request:
            return
        try:
            answer = await self._request(request)
        except NoRoom:
            return  # as it is, for another round
        except ContentGone:
            seen.dead += [item.notice.id for item in request]
            self._tools.metrics.gave_up(len(request))
            return
        match answer.result:
            case Result.TAKEN:
                seen.requests_taken += 1
                seen.blamed = 0
                seen.taken += [item.notice.id for item in request]
            case Result.FAILED if self._is_blamed(answer):
                self._blame(request[0].notice)
            case Result.FAILED:
                seen.failed = True
                seen.wait = max(seen.wait, answer.wait or 0)
            case Result.REFUSED if len(request) > 1:
                half = len(request) // 2
                await self._send(request[:half])
                await self._send(request[half:])
            case Result.REFUSED:
                self._blame(request[0].notice)

    def _is_blamed(self, answer: Answer) -> bool:
        """Whether an application failed at what it was sent, and may take the next."""
        return isinstance(self._format, OfContent) and answer.status == _FAILED_AT_IT

    def _blame(self, notice: DueNotice) -> None:
        seen, pace = self._seen, self._pace
        now = self._tools.clock.now()
        attempts = notice.attempts + 1
        if pace.waited(attempts) > pace.lasts:
            seen.dead.append(notice.id)
            self._tools.metrics.gave_up(1)
        else:
            seen.postponed.append(Postponed(notice.id, attempts, now + pace.wait_after(attempts)))
            seen.blocked.add(notice.message_id)
        seen.blamed += 1
        if seen.blamed >= _BLAMED_IN_A_ROW and not seen.requests_taken:
            seen.failed = True

    async def _request(self, request: Sequence[_Item]) -> Answer:
        tools = self._tools
        at = tools.clock.now()
        ids = [item.notice.id for item in request]
        try:
            async with self._body([item.happening for item in request]) as body:
                on_behalf_of(("callbacks", self.endpoint.account_id))
                answer = await tools.client.post(
                    self.endpoint.url,
                    self._auth,
                    body,
                    self._format.content_type,
                    own_fields=self._format if isinstance(self._format, Addressed) else None,
                    timeout=self._kept.timeout / SECOND,
                )
        except NoRoom:
            raise
        except ContentGone:
            self._seen.sent.append(Sent(tools.ids.next(at), at, 0, 0, say("content_gone").encode(), ids))
            raise
        except Exception as error:  # one event that a format trips over must not stop the others
            said = say("event_not_written", error=f"{type(error).__name__}: {error}"[:500])
            answer = Answer(Result.REFUSED, 0, said.text(), 0.0, said=said)
        if answer.status:
            self._seen.answered = True
        elif answer.result is Result.FAILED:
            self._seen.silent = True
        millis = round(answer.seconds * SECOND)
        text = answer.text if answer.said is None else answer.said.encode()
        self._seen.sent.append(Sent(tools.ids.next(at), at, millis, answer.status, text, ids))
        if answer.result is Result.TAKEN:
            tools.metrics.sent(len(ids), answer.seconds)
        else:
            tools.metrics.failed(answer.seconds)
        return answer

    @asynccontextmanager
    async def _body(self, happenings: Sequence[Happening]) -> AsyncIterator[bytes | Body]:
        """What is sent; of many events made in a thread, since it takes longer than others should wait."""
        format, contents = self._format, self._tools.contents
        if isinstance(format, OfContent) and contents is not None:
            async with contents.body(format, happenings[0]) as body:
                yield body
        elif len(happenings) <= _QUICK:
            yield format.encode(happenings)
        else:
            yield await asyncio.to_thread(format.encode, happenings)

    def result(self) -> RoundResult:
        """What has come of it, with the breaker of the endpoint."""
        seen, endpoint = self._seen, self.endpoint
        failures, since, retry_at = endpoint.failures, endpoint.failing_since, 0
        if seen.failed:
            now = self._tools.clock.now()
            failures = 1 if seen.requests_taken else failures + 1
            since = now if seen.requests_taken or since is None else since
            retry_at = now + max(self._pace.wait_after(failures), seen.wait)
        elif seen.requests_taken:
            failures, since = 0, None
        return RoundResult(
            endpoint.id,
            endpoint.account_id,
            tuple(seen.taken),
            tuple(seen.postponed),
            tuple(seen.dead),
            tuple(seen.sent),
            failures,
            since,
            retry_at,
            recovered=endpoint.failures > 0 and not failures,
            lasts=self._pace.lasts,
        )

    @property
    def answered(self) -> bool:
        """The host gave an answer, whatever it said."""
        return self._seen.answered

    @property
    def silent(self) -> bool:
        """A request got no answer."""
        return self._seen.silent

    @property
    def failed(self) -> bool:
        """The endpoint has to wait."""
        return self._seen.failed


def size_of(endpoint: DueEndpoint, format: Format, config: CallbacksConfig) -> int:
    """Events of one request, at most: as the endpoint says, else as configured."""
    return max(1, min(format.batch, endpoint.most or config.batch))


def _parted(current: Sequence[_Item], following: _Item) -> int:
    """How many at the end of a full request belong together with what follows; 0: none, or all of them."""
    of, at = following.notice.message_id, following.happening.at
    looked_at = current[-_TOGETHER:]
    others = (
        n for n, item in enumerate(reversed(looked_at)) if (item.notice.message_id, item.happening.at) != (of, at)
    )
    return next(others, 0)


def failed_round(endpoint: DueEndpoint, tools: Tools, why: Said, kept: Kept = AS_CONFIGURED) -> RoundResult:
    """The result when nothing could be sent for a reason of ours: it is logged, and the endpoint waits."""
    now = tools.clock.now()
    failures = endpoint.failures + 1
    pace = pace_of(kept, tools.config.longest_wait, tools.config.expire_after)
    return RoundResult(
        endpoint.id,
        endpoint.account_id,
        (),
        (),
        (),
        (Sent(tools.ids.next(now), now, 0, 0, why.encode(), ()),),
        failures,
        endpoint.failing_since or now,
        now + pace.wait_after(failures),
        lasts=pace.lasts,
    )


def after(done: RoundResult, failed: RoundResult) -> RoundResult:
    """What a round came to that ended with ``failed``, and what it had done until then."""
    return replace(
        failed,
        taken=done.taken,
        postponed=done.postponed,
        dead=done.dead,
        sent=(*done.sent, *failed.sent),
    )
