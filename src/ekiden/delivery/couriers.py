"""The connections: one task each, working off the ready queue of its site until that is empty.

How many a site gets follows from what it bears (``Site.window``); how many there are in all is bounded, and shared
by the accounts whose mail they carry, so that one whose peers are slow leaves room for the others. Sites that may
not have one yet are served in turn as connections end; when none ends, slow attempts give way (``relieve``).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Coroutine, Iterable
from typing import Any

import structlog

from ekiden.core.clock import Clock, Millis
from ekiden.core.diagnosis import Verdict
from ekiden.core.ids import format_id
from ekiden.core.said import Remark, Said, say
from ekiden.core.states import State
from ekiden.delivery import verdict as verdicts
from ekiden.delivery.config import DeliveryConfig
from ekiden.delivery.connector import Connector, NotConnected
from ekiden.delivery.dsn import Notifier
from ekiden.delivery.envelope_senders import EnvelopeSenders, transaction
from ekiden.delivery.letters import LARGE, Letter, Letters, Parcel
from ekiden.delivery.metrics import DeliveryMetrics
from ekiden.delivery.outcome import make_outcome
from ekiden.delivery.outcome_writer import Report, Reporter
from ekiden.delivery.recipient_splitting import regrouped
from ekiden.delivery.retry import Schedule
from ekiden.delivery.routing import Unroutable
from ekiden.delivery.session import Session, lines_of
from ekiden.delivery.site import Site
from ekiden.dns.lookup_queue import on_behalf_of
from ekiden.limits.shares import Shares
from ekiden.smtp.transaction import TransactionResult
from ekiden.store.api import StoreUnavailable
from ekiden.store.records import Attempt, Delivery, Outcome
from ekiden.store.standing import Standing

_YIELD = 0.05  # seconds; see ``Couriers.busy``
_FAIR_SHARE = 20  # transactions that a connection may still do while other sites wait for a connection
_TELL = 60.0  # seconds between two lines about who holds the connections
_MOST_CUTS = 10  # attempts that give way at a time
_PATIENCE_WITH_VERDICTS = 10  # times ``yield_after``: whoever breaks off with the content sent risks a duplicate
_NOT_DIALLED = Remark(say("not_dialled"))
_MOST_REPEATED = 2_000  # characters of what was seen when a site was found down, for those that were not dialled
_log = structlog.get_logger("ekiden.delivery")


class Work:
    """What one connection does now, and for whom: ``account`` holds its place."""

    __slots__ = ("account", "began", "cut", "parcel", "places", "session", "site", "task")

    def __init__(self, site: Site, account: int, places: Shares) -> None:
        self.site = site
        self.account = account
        self.places = places
        self.session: Session | None = None
        self.parcel: Parcel | None = None
        self.began = 0.0
        """When the attempt began; 0: it has none."""
        self.cut: Said | None = None
        """Why the attempt is broken off."""
        self.task: asyncio.Task[None] | None = None

    def move(self, account: int) -> bool:
        """Work for ``account`` from now on, if it may hold the place."""
        if account != self.account and not self.places.move(self.account, account):
            return False
        self.account = account
        return True

    def give_way(self, why: Said) -> None:
        """Break the attempt off. Its deliveries are deferred."""
        self.cut = why
        if self.session is not None:
            self.session.cut(why)
        elif self.task is not None:
            self.task.cancel()


class Couriers:
    def __init__(
        self,
        *,
        clock: Clock,
        config: DeliveryConfig,
        connector: Connector,
        letters: Letters,
        reporter: Reporter,
        notifier: Notifier,
        metrics: DeliveryMetrics,
        rng: random.Random,
        standing: Standing,
        senders: EnvelopeSenders | None = None,
    ) -> None:
        """``senders``: of envelope senders that are ours; without it all are the clients' own."""
        self._clock = clock
        self._standing = standing
        self._senders = senders
        self._config = config
        self._connector = connector
        self._letters = letters
        self._reporter = reporter
        self._notifier = notifier
        self._metrics = metrics
        self._rng = rng
        self._schedule = Schedule.of(config.retry, config.jitter)
        self._tasks: set[asyncio.Task[None]] = set()
        self._goodbyes: set[asyncio.Task[None]] = set()
        self.places = Shares(config.max_connections)
        """Of connections, by account."""
        self.works: set[Work] = set()
        self._told_until = 0.0
        self._hungry: dict[int, dict[int, Site]] = {}
        """By account, the sites that want a connection for it."""
        self._resting: dict[asyncio.Future[bool], Work] = {}
        """Connections without work, of all sites, the one that has rested longest first."""
        self._stopping = False
        self._abandoned = False
        self.busy: Callable[[], bool] = _never
        """True while clients wait for their 250. Then each transaction begins a little later: a client waits for
        the processor, a delivery mostly for its peer, and the pause is bounded, so that a long rush of submissions
        slows deliveries down and never stops them."""

    # who works

    def call(self, site: Site) -> None:
        """See that somebody comes for each ready parcel of ``site``, as far as its window allows."""
        while site.coming < site.parcels and not self._stopping:
            if site.idle:
                waiter = site.idle.pop()
                if not waiter.done():
                    waiter.set_result(True)
                    site.coming += 1
            elif not site.may_connect:
                return
            else:
                accounts = site.accounts()
                account = next((one for one in accounts if self.places.take(one)), None)
                if account is None:
                    for one in accounts:
                        self._hungry.setdefault(one, {})[id(site)] = site
                    self._wake_for(accounts)
                    return
                site.coming += 1
                site.connections += 1
                work = Work(site, account, self.places)
                self.works.add(work)
                work.task = task = asyncio.create_task(self._run(work), name=f"courier {site.route.site}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _wake_for(self, accounts: Collection[int]) -> None:
        """A connection that rests ends: its place is wanted. One of ``accounts`` if there is, else any."""
        others: asyncio.Future[bool] | None = None
        for waiter, work in self._resting.items():
            if waiter.done():
                continue
            if work.account in accounts:
                waiter.set_result(False)
                return
            others = others or waiter
        if others is not None and not self.places.free:
            others.set_result(False)

    async def stop(self, timeout: float) -> None:
        """Begin nothing more; what is under way has ``timeout`` seconds to finish, then it is cut off."""
        self._stopping = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._goodbyes:
            await asyncio.wait(self._goodbyes, timeout=1.0)
        for task in self._goodbyes:
            task.cancel()

    def stop_idle(self, sites: Iterable[Site]) -> None:
        """So that idle connections notice that they should end."""
        for site in sites:
            for waiter in site.idle:
                _answer(waiter, False)

    def abandon(self) -> None:
        """Cut everything at once and report nothing."""
        self._stopping = self._abandoned = True
        for task in self._tasks:
            task.cancel()

    @property
    def count(self) -> int:
        return len(self._tasks)

    async def _run(self, work: Work) -> None:
        site = work.site
        session: Session | None = None
        parcel: Parcel | None = None
        coming = True
        config = self._config
        clock = self._clock.monotonic
        try:
            while True:
                if not self._reporter.has_room:
                    await self._reporter.room()
                if site.parcels and self.busy():
                    await asyncio.sleep(_YIELD)
                if self._clock.monotonic() >= self._standing.until:
                    await self._stand_by()
                parcel = work.parcel = None if self._stopping else site.take(work.move)
                if coming:
                    coming = False
                    site.coming -= 1
                if parcel is None:
                    work.began = 0.0
                    if session is None or self._stopping or site.parcels or self._is_wanted(work):
                        break
                    if not await self._idle(work):
                        break
                    coming = True
                    continue
                work.began = clock()
                if site.is_broken(work.began):
                    self.refuse(site, parcel.letter, parcel.deliveries)
                    continue
                if session is not None:
                    if session.sent >= _FAIR_SHARE and self._is_wanted(work):
                        site.put_back(parcel)
                        parcel = None
                        break
                    if session.dead or session.sent >= config.max_deliveries_per_connection:
                        self._part(site, session)
                        session = work.session = None
                if session is None:
                    session = work.session = await self._connect(site, parcel)
                    if session is None:
                        parcel = None
                        break
                    if self._clock.monotonic() >= self._standing.until:
                        site.put_back(parcel)  # to connect took longer than our lease
                        parcel = None
                        continue
                if not await self._deliver(site, session, parcel) or work.cut:
                    self._part(site, session)
                    session = work.session = None
                parcel = None
                work.began = 0.0
                if work.cut:
                    break
        except asyncio.CancelledError:
            if work.cut and parcel is not None and not self._stopping:
                # While it was being connected.
                self._settle(parcel, verdicts.gave_way(work.cut), None)
                return
            if parcel is not None and not self._abandoned:
                self._settle(parcel, verdicts.our_fault(say("cut_off_stopping")), session)
            if session is not None:
                session.abort()
            raise
        except Exception as error:
            _log.exception(
                "a delivery failed unexpectedly",
                site=site.route.site,
                message_id=format_id(parcel.letter.message.id) if parcel else "",
            )
            if parcel is not None:
                why = say("internal_error", error=f"{type(error).__name__}: {error}")
                self._settle(parcel, verdicts.our_fault(why), session)
            if session is not None:
                session.abort()
        finally:
            if coming:
                site.coming -= 1
            self.works.discard(work)
            self.places.give(work.account)
            site.connections -= 1
            site.last_used = self._clock.monotonic()
            if session is not None:
                self._part(site, session)
            if not site.connections:
                site.rest()
            current = asyncio.current_task()
            if current is not None:
                self._tasks.discard(current)
            self._serve_hungry()
            self.call(site)

    async def _stand_by(self) -> None:
        """Wait until what is here is surely ours again: the store is away, and our time is over."""
        while not self._stopping and not await self._standing.wait(1.0):
            pass

    def _is_wanted(self, work: Work) -> bool:
        """Whether a site waits for the place of ``work``: one of its account, or of one that holds less."""
        if not self._hungry:
            return False
        held = self.places.held
        return any(one == work.account or held(one) < held(work.account) for one in self._hungry)

    def _serve_hungry(self) -> None:
        while self._hungry and not self._stopping:
            for account in sorted(self._hungry, key=self.places.held):
                if self.places.may_take(account):
                    break
            else:
                return
            sites = self._hungry[account]
            site = sites.pop(next(iter(sites)))
            if not sites:
                del self._hungry[account]
            self.call(site)

    @property
    def sites_waiting(self) -> int:
        return sum(len(sites) for sites in self._hungry.values())

    def relieve(self) -> None:
        """What is slow gives way to what is young: called about once a second.

        Whoever waits for a connection and holds fewer than others gets those whose attempts have taken longest; of
        its own ones, too, since they are what keeps it from having more.
        """
        self._metrics.waiting_for_connection(self.sites_waiting)
        if not self._hungry or self._stopping:
            return
        self._serve_hungry()
        now = self._clock.monotonic()
        patience = self._config.yield_after
        wanted = min(_MOST_CUTS, self.sites_waiting)
        slow = sorted((work for work in self.works if work.began and not work.cut), key=lambda work: work.began)
        for work in slow:
            took = now - work.began
            if not wanted or took < patience:
                return
            session = work.session
            if session is not None and session.awaits_verdict and took < patience * _PATIENCE_WITH_VERDICTS:
                continue
            if self._is_wanted(work):
                wanted -= 1
                self._metrics.gave_way()
                work.give_way(say("gave_way", seconds=f"{took:.0f}"))
                self._tell(now)

    def _tell(self, now: float) -> None:
        """In the log, now and then: who holds the connections."""
        if now < self._told_until:
            return
        self._told_until = now + _TELL
        holders = {str(item.key): item.held for item in self.places.holders(5)}
        _log.warning("slow attempts give way: connections are scarce", accounts=holders, sites=self.sites_waiting)

    async def _idle(self, work: Work) -> bool:
        """Wait for work for a while. False: none came."""
        site = work.site
        if not site.alive or len(site.idle) + 1 >= site.connections:
            site.rest()
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        site.idle.append(waiter)
        self._resting[waiter] = work
        timer = loop.call_later(self._config.idle_timeout, _answer, waiter, False)
        try:
            return await waiter
        finally:
            timer.cancel()
            del self._resting[waiter]
            if waiter in site.idle:
                site.idle.remove(waiter)

    def _part(self, site: Site, session: Session) -> None:
        """Say goodbye in the background; when too many do that already, cut."""
        site.alive -= 1
        self._metrics.connection_closed()
        if len(self._goodbyes) < self._config.max_connections:
            self._later(session.quit())
        else:
            session.abort()

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._goodbyes.add(task)
        task.add_done_callback(self._goodbyes.discard)

    # one connection, one parcel

    async def _connect(self, site: Site, parcel: Parcel) -> Session | None:
        """A session, or ``None`` after the parcel has been dealt with."""
        started = self._clock.now()
        now = self._clock.monotonic
        site.dialling += 1
        on_behalf_of(("delivery", parcel.letter.message.account_id))
        try:
            session = await self._connector.open(site.route)
        except Unroutable as error:
            if error.forbidden:
                self._metrics.forbidden()
            self.settle(parcel.letter, parcel.deliveries, error.verdict, started, dialogue=error.verdict.remark)
            return None
        except NotConnected as error:
            self._metrics.connection_failed()
            if site.alive or site.dialling > 1:
                # Those that are open go on, those that are being opened may succeed: this one was too many.
                site.slow_down()
                site.put_back(parcel)
                return None
            dialogue = "\n".join(error.dialogue)
            site.failed(now(), self._rng.random(), error.verdict, dialogue, error.host, error.address)
            self.settle(
                parcel.letter, parcel.deliveries, error.verdict, started, error.host, error.address, dialogue
            )
            for waiting in site.take_all():
                self.refuse(site, waiting.letter, waiting.deliveries)
            return None
        finally:
            site.dialling -= 1
        site.recovered()
        site.alive += 1
        self._metrics.connection_opened(bool(session.tls))
        return session

    async def _deliver(self, site: Site, session: Session, parcel: Parcel) -> bool:
        """Send a parcel and report it. True: the session can be used again."""
        letter = parcel.letter
        started = self._clock.now()
        if len(parcel.deliveries) > session.max_recipients:
            site.put_back(Parcel(letter, parcel.deliveries[session.max_recipients :]), served=True)
            del parcel.deliveries[session.max_recipients :]
        sender = await self._sender(site, parcel)
        size = letter.message.size
        account = letter.message.account_id
        reserved = 0
        if size >= LARGE and letter.content is None:
            reserved = await self._letters.reserve(account, size)
        try:
            content = letter.content
            if content is None:
                content = await self._letters.content(letter)
            if content is None:
                self._settle(parcel, verdicts.content_lost(say("content_gone")), None)
                return True
            result = await session.transact(transaction(letter.message, parcel.deliveries, content, sender))
        except StoreUnavailable as error:
            self._settle(parcel, verdicts.our_fault(say("content_not_read", error=str(error))), None)
            return True
        finally:
            if reserved:
                self._letters.unreserve(account, reserved)
        if not result.reusable and session.worn_out(result) and not parcel.resent:
            parcel.resent = True
            site.put_back(parcel)
            return False
        reports = sender is None and "DSN" in session.extensions
        self._conclude(site, session, parcel, result, started, reports)
        return result.reusable

    async def _sender(self, site: Site, parcel: Parcel) -> str | None:
        """The envelope sender of a parcel if it is to be one of ours. What then may not travel with its first
        recipient goes back to the site."""
        senders, message = self._senders, parcel.letter.message
        if senders is None:
            return None
        host = senders.known_host(message)
        if host is None:
            host = await senders.host(message)
        if not host:
            return None
        deliveries = parcel.deliveries
        if senders.alone and len(deliveries) > 1:
            for delivery in reversed(deliveries[1:]):
                site.put_back(Parcel(parcel.letter, [delivery]), served=True)
            del deliveries[1:]
            self.call(site)
        return senders.sender(host, message, deliveries)

    def _conclude(
        self,
        site: Site,
        session: Session,
        parcel: Parcel,
        result: TransactionResult,
        started: Millis,
        reports: bool,
    ) -> None:
        """The replies of a transaction become outcomes. ``reports``: what becomes of it further on, the client is
        told by the peer."""
        deliveries = parcel.deliveries
        letter = parcel.letter
        replies = result.recipients
        judged = [
            verdicts.classify(reply.code, reply.enhanced, reply.text, stage, local=reply.local, said=reply.said)
            for reply, stage in zip(replies, result.stages, strict=True)
        ]
        finished = self._clock.now()
        lines = session.lines
        single = len(deliveries) == 1
        groups = regrouped(judged, together=result.together)
        if groups is not None:
            kept, others = groups
            for group in others:
                site.put_back(Parcel(letter, [deliveries[at] for at in group]), served=True)
            if not kept:
                return
            deliveries, judged = [deliveries[at] for at in kept], [judged[at] for at in kept]
            replies = [replies[at] for at in kept]
        outcomes: list[Outcome] = []
        local: list[int] = []
        slower = False
        for delivery, verdict, reply in zip(deliveries, judged, replies, strict=True):
            own = lines if single else lines_of(lines, delivery.recipient)
            attempt = Attempt(
                started,
                finished,
                session.host,
                session.address,
                session.tls,
                verdict.text,
                session.preamble + "\n" + "\n".join(own),
                verdict.said,
                session.source,
            )
            if reply.local:
                local.append(delivery.number)
            slower = slower or verdicts.asks_to_slow_down(verdict)
            outcomes.append(make_outcome(delivery, verdict, attempt, self._schedule, self._rng.random()))
        if slower:
            site.slow_down()
        else:
            site.succeeded()
            if site.coming < site.parcels and site.may_connect:
                self.call(site)  # it bears one more by now, and nothing new may come for long
        site.done(len(outcomes), self._clock.monotonic())
        self._report(letter, outcomes, reports, local)

    # outcomes without a transaction

    def refuse(self, site: Site, letter: Letter, deliveries: list[Delivery]) -> None:
        """The site was found down a moment ago: these are deferred without dialling, and the attempt says so."""
        assert site.trouble is not None
        verdict, dialogue, host, address = site.trouble
        remark: str = _NOT_DIALLED
        if len(dialogue) > _MOST_REPEATED:
            remark, dialogue = f"{remark}\n# …", dialogue[-_MOST_REPEATED:].partition("\n")[2]
        self.settle(letter, deliveries, verdict, self._clock.now(), host, address, f"{remark}\n{dialogue}")

    def _settle(self, parcel: Parcel, verdict: Verdict, session: Session | None) -> None:
        host, address, dialogue = "", "", verdict.remark
        if session is not None:
            host, address = session.host, session.address
            dialogue = "\n".join([session.preamble, *session.lines, dialogue])
        self.settle(parcel.letter, parcel.deliveries, verdict, self._clock.now(), host, address, dialogue)

    def settle(
        self,
        letter: Letter,
        deliveries: list[Delivery],
        verdict: Verdict,
        started: Millis,
        host: str = "",
        address: str = "",
        dialogue: str = "",
    ) -> None:
        """The same verdict for all of ``deliveries``, which leave memory."""
        finished = self._clock.now()
        attempt = Attempt(started, finished, host, address, "", verdict.text, dialogue, verdict.said)
        self._report(
            letter,
            [
                make_outcome(delivery, verdict, attempt, self._schedule, self._rng.random())
                for delivery in deliveries
            ],
            False,
            [delivery.number for delivery in deliveries],
        )

    def _report(self, letter: Letter, outcomes: list[Outcome], dsn_passed_on: bool, local: Collection[int]) -> None:
        message = letter.message
        metrics = self._metrics
        for item in outcomes:
            metrics.attempt(item.state, item.diagnosis.cause)
            if item.state is State.DELIVERED:
                metrics.delivered((item.due_at - message.accepted_at) / 1000)
        notice = self._notifier.wanted(message, outcomes, dsn_passed_on)
        last = self._letters.discharge(letter, len(outcomes))
        if last and not notice:
            letter.content = None
        self._reporter.add(Report(letter, outcomes, notice, dsn_passed_on, local))


def _never() -> bool:
    return False


def _answer(waiter: asyncio.Future[bool], answer: bool) -> None:
    if not waiter.done():
        waiter.set_result(answer)
