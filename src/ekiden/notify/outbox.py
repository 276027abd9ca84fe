"""The outbox: sends every notice of the store to its endpoint, until the endpoint has it or its time is over.

A notice is written in the transaction of its event and removed in one that follows a 2xx: a crash in between sends
it again, with the same id, and never loses it. One worker at a time sends to an endpoint, and owns it meanwhile
(``endpoint.owner``, which counts while that worker lives), so that the news of a message arrives in its order.

What one look costs, however many notices wait: one query for the endpoints that are due, one for their notices
with all that is told of them, one transaction for the results of all rounds that ended together. An endpoint that
fails is not looked at before its time, and occupies nobody but itself.
"""

from __future__ import annotations

import asyncio
import importlib
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from ekiden.access.errors import AccessError
from ekiden.core.clock import SECOND
from ekiden.core.said import say
from ekiden.limits.shares import Shares
from ekiden.notify.auth import open_auth
from ekiden.notify.formats import Adjustable
from ekiden.notify.metrics import OutboxMetrics
from ekiden.notify.options import AS_CONFIGURED, MOST_EVENTS, read_options
from ekiden.notify.origins import Origins
from ekiden.notify.queries import (
    DueEndpoint,
    DueNotice,
    Page,
    RoundResult,
    due_endpoints,
    due_notices,
    own_endpoints,
    release_endpoints,
    waiting_messages,
)
from ekiden.notify.round_results import Recorder
from ekiden.store.errors import told

if TYPE_CHECKING:
    from ekiden.access.vault import Vault
    from ekiden.core.clock import Clock, Millis
    from ekiden.core.ids import IdFactory
    from ekiden.dns.resolver import Resolver
    from ekiden.notify.client import Client
    from ekiden.notify.config import CallbacksConfig
    from ekiden.notify.contents import Contents
    from ekiden.notify.formats import Format
    from ekiden.notify.rounds import Round, Tools
    from ekiden.notify.ssrf import Destinations
    from ekiden.store.api import Store
    from ekiden.store.standing import Standing

log = structlog.get_logger()

POLL = 1.0
"""Seconds between two looks when nobody wakes us: other workers' events, and breakers whose time has come."""
_GATHER = 0.1  # seconds after a scan in which events gather for the next one
_SHARE = 4  # a scan is followed by so many times its length without one
_PAGE = 1000  # notices of one endpoint in a round
_MOST = 2 * MOST_EVENTS  # notices in memory: a full request of one account, and room for others
_COUNT = 1.0  # seconds between two looks that count what waits
_COUNTED = 1000  # up to so many with each of them, up to more with each tenth
_HOLD = 5.0  # seconds that an endpoint without news stays ours
_COOL = 60.0  # seconds without requests to an endpoint whose results could not be written
_LAST_WRITE = 5.0  # seconds to write results in when the worker ends


@dataclass(slots=True)
class _Owned:
    """An endpoint of ours. ``waiting``: postponed notices, with message and next time."""

    used: float
    after: int = 0
    waiting: dict[int, tuple[int, Millis]] = field(default_factory=dict)

    def sendable(self, notices: Sequence[DueNotice]) -> list[DueNotice]:
        """Those that have no older postponed notice of their message before them."""
        for notice in notices:
            self.waiting.pop(notice.id, None)  # its time has come
        blocked = {message for message, _ in self.waiting.values()}
        return [notice for notice in notices if notice.message_id not in blocked] if blocked else list(notices)


class Outbox:
    """One per worker. ``run`` it; ``wake`` it after a commit that wrote notices."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: IdFactory,
        worker: int,
        config: CallbacksConfig,
        formats: Mapping[str, Format],
        vault: Vault,
        resolver: Resolver,
        destinations: Destinations,
        metrics: OutboxMetrics | None = None,
        standing: Standing | None = None,
        contents: Contents | None = None,
    ) -> None:
        """``worker`` is the registration in the store, ``standing`` until when it counts; ``formats`` comes from
        ``formats.by_name``, ``contents`` are for those that tell what is in a mail."""
        self._standing = standing
        self._contents = contents
        self._store = store
        self._clock = clock
        self._ids = ids
        self._worker = worker
        self._config = config
        self._formats = formats
        self._vault = vault
        self._resolver = resolver
        self._destinations = destinations
        self._metrics: OutboxMetrics = metrics or OutboxMetrics()
        self._recorder = Recorder(store, clock, worker, config, self._metrics)
        self._owned: dict[int, _Owned] = {}
        self._rounds: dict[int, asyncio.Task[None]] = {}
        self._places = Shares(config.endpoints)
        """Rounds at the same time, by account: whose receivers never answer leave the others room."""
        self._memory = Shares(_MOST)
        """Notices in memory, by account."""
        self._origins = Origins(clock, round(config.longest_wait * SECOND))
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._again: dict[int, DueEndpoint] = {}
        self._after = 0
        self._scan_at = 0.0
        self._count_at = 0.0
        self._counts = 0
        self._cooling: dict[int, float] = {}
        self._stopping = False
        self._drained = asyncio.Event()
        self._client: Client | None = None
        self._loaded = False

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled or drained."""
        loop = asyncio.get_running_loop()
        try:
            while not self._stopping:
                if self._standing is not None and not await self._standing.wait(POLL):
                    continue  # what is begun now may be somebody else's
                self._urgent.clear()
                try:
                    await self._look()
                    await self._release_idle()
                except Exception as error:
                    told(log, "callbacks wait for the database", error)
                    self._scan_at = loop.time() + POLL
                if not await _set_within(self._urgent, max(_GATHER, self._scan_at - loop.time())):
                    await _set_within(self._wake, POLL)
            await self._drained.wait()
        finally:
            await self._end()

    async def drain(self, timeout: float) -> None:
        """Begin nothing new; wait so many seconds for requests under way. ``run`` ends then."""
        self._stopping = True
        self._urgent.set()
        self._wake.set()
        if self._rounds:
            await asyncio.wait(list(self._rounds.values()), timeout=timeout)
        self._drained.set()

    async def _end(self) -> None:
        rounds = list(self._rounds.values())
        for task in rounds:
            task.cancel()
        # What was taken before is still written; what is on its way will be sent again.
        if rounds:
            await asyncio.wait(rounds, timeout=_LAST_WRITE)
        await self._recorder.close(_LAST_WRITE)
        await asyncio.gather(*rounds, return_exceptions=True)
        try:
            await self._release(set(self._owned))
        except Exception as error:
            told(log, "endpoints stay ours until our lease ends", error)
        if self._client is not None:
            await self._client.close()

    # a look

    async def _look(self) -> None:
        """Begin a round with every endpoint that is due and free."""
        # Who has no place now is found again by a scan, when one is free.
        due = [item for item in self._again.values() if self._places.take(item.account_id)]
        self._again.clear()
        if asyncio.get_running_loop().time() >= self._scan_at:
            due += await self._scan({item.id for item in due})
        if due:
            await self._begin(due)

    async def _scan(self, busy: set[int]) -> list[DueEndpoint]:
        """Endpoints that are due, ours from now on. What it costs grows with the endpoints that wait: therefore it
        takes a bounded share of the time, and endpoints with more to send go on without it."""
        self._wake.clear()
        busy |= self._rounds.keys() | self._still_cooling()
        slots = min(self._places.free, self._memory.free)
        if slots <= 0:
            return []
        holders = self._places.holders(self._places.total)
        crowded = [key for key, *_ in holders if isinstance(key, int) and not self._has_room(key)]
        loop = asyncio.get_running_loop()
        began = loop.time()
        now = self._clock.now()
        async with self._store.read() as connection:
            counted = self._to_count(began)
            due = await due_endpoints(connection, self._worker, now, busy, self._after, slots, crowded, counted)
        if self._after or len(due) == slots:
            self._wake.set()  # there may be more behind these, or before those that this turn began with
        self._after = due[-1].id if len(due) == slots else 0
        ended = loop.time()
        self._scan_at = ended + _SHARE * (ended - began)
        due = [item for item in due if self._has_room(item.account_id) and self._places.take(item.account_id)]
        strange = [item for item in due if item.owner != self._worker]
        taken: set[int] = set()
        try:
            if strange:
                async with self._store.write() as connection:
                    taken = await own_endpoints(connection, self._worker, strange)
        finally:
            for item in strange:
                if item.id not in taken:
                    self._places.give(item.account_id)
        return [item for item in due if item.owner == self._worker or item.id in taken]

    def _to_count(self, now: float) -> int:
        """Up to how many notices this look may count, endpoint by endpoint, to see whether a request is full."""
        if now < self._count_at:
            return 0
        self._count_at = now + _COUNT
        self._counts += 1
        return MOST_EVENTS if self._counts % 10 == 0 else _COUNTED

    def _has_room(self, account_id: Hashable) -> bool:
        """Whether another round of the account may begin."""
        return self._places.may_take(account_id) and self._memory.room(account_id) > 0

    async def _begin(self, due: Sequence[DueEndpoint]) -> None:
        """Each of ``due`` has a place, and gives it back."""
        started: set[int] = set()
        try:
            await self._begin_all(due, started)
        finally:
            for item in due:
                if item.id not in started:
                    self._places.give(item.account_id)

    async def _begin_all(self, due: Sequence[DueEndpoint], started: set[int]) -> None:
        now = self._clock.now()
        fresh = {item.id for item in due} - self._owned.keys()
        of_account = Counter(item.account_id for item in due)
        pages = []
        for item in due:
            wanted = item.most or self._config.batch if item.failures else max(_PAGE, item.most)
            limit = max(1, min(wanted, self._memory.room(item.account_id) // of_account[item.account_id]))
            after = self._owned[item.id].after if item.id in self._owned else 0
            pages.append(Page(item.id, after, limit))
        async with self._store.read() as connection:
            waiting = await waiting_messages(connection, fresh, now) if fresh else []
            notices = await due_notices(connection, pages, now)
        used = self._clock.monotonic()
        for id in fresh:
            self._owned[id] = _Owned(used)
        for endpoint_id, notice_id, message_id, due_at in waiting:
            self._owned[endpoint_id].waiting[notice_id] = (message_id, due_at)
        for item, page in zip(due, pages, strict=True):
            if self._start(item, page, notices[item.id], used, now):
                started.add(item.id)

    def _start(self, endpoint: DueEndpoint, page: Page, notices: list[DueNotice], used: float, now: Millis) -> bool:
        """False: there is nothing to send now."""
        owned = self._owned[endpoint.id]
        owned.used = used
        full = len(notices) >= page.limit
        sendable = owned.sendable(notices)
        # A page of which little can be sent must not be all that is ever looked at.
        owned.after = notices[-1].id if full and len(sendable) * 2 < len(notices) else 0
        if endpoint.most and not full and not endpoint.ripe(now):
            del sendable[len(sendable) // endpoint.most * endpoint.most :]  # the rest gathers on
        if not sendable:
            if full:
                self._again[endpoint.id] = endpoint
                self._urgent.set()
            return False
        if not self._memory.take(endpoint.account_id, len(sendable)):
            return False  # rounds of the account are under way, and wake us when they end
        task = asyncio.create_task(self._round(endpoint, sendable, full), name=f"callbacks {endpoint.id}")
        self._rounds[endpoint.id] = task
        self._metrics.sending(len(self._rounds))
        return True

    async def _round(self, endpoint: DueEndpoint, notices: Sequence[DueNotice], full: bool) -> None:
        result: RoundResult | None = None
        try:
            await self._load_client()
            from ekiden.notify import rounds

            tools = self._tools()
            kept = AS_CONFIGURED
            try:
                format = self._formats.get(endpoint.format)
                kept = read_options(endpoint.options)
                if format is None:
                    result = rounds.failed_round(endpoint, tools, say("no_format", name=repr(endpoint.format)))
                elif not kept.retry_every and not self._origins.may_try(endpoint.account_id, endpoint.url):
                    result = rounds.failed_round(endpoint, tools, say("host_silent"))
                else:
                    if isinstance(format, Adjustable):
                        format = format.settled(kept.settings)
                    auth = open_auth(self._vault, endpoint.sealed)
                    made = rounds.Round(tools, endpoint, format, auth, notices, kept)
                    try:
                        await made.run()
                    finally:
                        result = made.result()
                        self._learn(endpoint, made)
            except AccessError as error:
                result = rounds.failed_round(endpoint, tools, say("key_missing", error=str(error)), kept)
            except Exception as error:
                log.exception("callbacks to an endpoint failed", endpoint=endpoint.id)
                why = say("internal_error", error=f"{type(error).__name__}: {error}"[:500])
                failed = rounds.failed_round(endpoint, tools, why, kept)
                # What was taken before is not sent again.
                result = failed if result is None else rounds.after(result, failed)
        finally:
            written = False
            try:
                if result is not None:
                    written = await self._recorder.write(result)
            finally:
                self._ended(endpoint, notices, result if written else None, full)

    def _learn(self, endpoint: DueEndpoint, made: Round) -> None:
        """Of the host: whether it answers."""
        if made.answered:
            self._origins.answered(endpoint.account_id, endpoint.url)
        elif made.silent:
            self._origins.was_silent(endpoint.account_id, endpoint.url)
        else:
            self._origins.not_tried(endpoint.account_id, endpoint.url)

    def _ended(
        self, endpoint: DueEndpoint, notices: Sequence[DueNotice], result: RoundResult | None, full: bool
    ) -> None:
        """``result``: what was written; ``None``: nothing could be."""
        endpoint_id = endpoint.id
        self._rounds.pop(endpoint_id, None)
        self._memory.give(endpoint.account_id, len(notices))
        self._places.give(endpoint.account_id)
        self._metrics.sending(len(self._rounds))
        now = self._clock.monotonic()
        if result is None:
            self._cooling[endpoint_id] = now + _COOL
            return
        owned = self._owned.get(endpoint_id)
        if owned is not None:
            owned.used = now
            messages = {notice.id: notice.message_id for notice in notices}
            for item in result.postponed:
                owned.waiting[item.id] = (messages[item.id], item.due_at)
        self._wake.set()
        if full and not result.failures and endpoint_id in self._owned:
            self._again[endpoint_id] = endpoint._replace(failures=0, failing_since=None)
            self._urgent.set()

    def _still_cooling(self) -> set[int]:
        now = self._clock.monotonic()
        self._cooling = {id: until for id, until in self._cooling.items() if until > now}
        return set(self._cooling)

    async def _load_client(self) -> None:
        """At the first callback: aiohttp takes 6 MiB, which many installations never need. In a thread: it takes as
        long as a disk under load does.
        """
        if not self._loaded:
            await asyncio.to_thread(importlib.import_module, "ekiden.notify.rounds")
            self._loaded = True

    def _tools(self) -> Tools:
        from ekiden.notify.client import Client
        from ekiden.notify.rounds import Tools

        if self._client is None:
            self._client = Client(self._config, self._clock, self._resolver, self._destinations)
        return Tools(
            self._client, self._clock, self._ids, self._config, self._metrics, self._standing, self._contents
        )

    # owning

    async def _release_idle(self) -> None:
        before = self._clock.monotonic() - _HOLD
        idle = {id for id, owned in self._owned.items() if owned.used < before and id not in self._rounds}
        await self._release(idle)

    async def _release(self, ids: set[int]) -> None:
        if not ids:
            return
        async with self._store.write() as connection:
            await release_endpoints(connection, self._worker, ids)
        for id in ids:
            self._owned.pop(id, None)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event; False when the time passed before."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
