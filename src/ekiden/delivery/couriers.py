"""The connections: one task each, working off the ready queue of its site until that is empty.

How many a site gets follows from what it bears (``Site.window``); how many there are in all is bounded. When the
bound is reached, sites that wait are served in turn as connections end.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Coroutine, Iterable
from typing import Any

import structlog

from ekiden.core.clock import Clock, Millis
from ekiden.core.ids import format_id
from ekiden.core.states import State, Verdict
from ekiden.core.submission import Notify, Ret
from ekiden.delivery import outcome
from ekiden.delivery.config import DeliveryConfig
from ekiden.delivery.letters import LARGE, Letter, Letters, Parcel
from ekiden.delivery.metrics import DeliveryMetrics
from ekiden.delivery.notification import Notifier
from ekiden.delivery.report import make_outcome
from ekiden.delivery.reporter import Report, Reporter
from ekiden.delivery.retry import Schedule
from ekiden.delivery.routing import Unroutable
from ekiden.delivery.session import Connector, NotConnected, Session, lines_of
from ekiden.delivery.site import Site
from ekiden.smtp.reply import Reply
from ekiden.smtp.transaction import Transaction, TransactionRecipient
from ekiden.store.api import StoreError
from ekiden.store.records import Attempt, Delivery, Outcome
from ekiden.store.standing import Standing

_YIELD = 0.05  # seconds; see ``Couriers.busy``
_FAIR_SHARE = 20  # transactions that a connection may still do while other sites wait for a connection
_log = structlog.get_logger("ekiden.delivery")


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
    ) -> None:
        self._clock = clock
        self._standing = standing
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
        self._hungry: dict[int, Site] = {}
        self._resting: dict[asyncio.Future[bool], None] = {}
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
            elif len(self._tasks) >= self._config.max_connections:
                self._hungry.setdefault(id(site), site)
                for waiter in self._resting:
                    if not waiter.done():
                        waiter.set_result(False)  # its place is wanted
                        break
                return
            else:
                site.coming += 1
                site.connections += 1
                task = asyncio.create_task(self._run(site), name=f"courier {site.route.site}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

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

    async def _run(self, site: Site) -> None:
        session: Session | None = None
        parcel: Parcel | None = None
        coming = True
        config = self._config
        try:
            while True:
                if not self._reporter.has_room:
                    await self._reporter.room()
                if site.parcels and self.busy():
                    await asyncio.sleep(_YIELD)
                if self._clock.monotonic() >= self._standing.until:
                    await self._stand_by()
                parcel = None if self._stopping else site.take()
                if coming:
                    coming = False
                    site.coming -= 1
                if parcel is None:
                    if session is None or self._stopping or self._hungry or not await self._idle(site):
                        break
                    coming = True
                    continue
                if site.is_broken(self._clock.monotonic()):
                    self.refuse(site, parcel.letter, parcel.deliveries)
                    continue
                if session is not None:
                    if self._hungry and session.sent >= _FAIR_SHARE:
                        site.put_back(parcel)
                        parcel = None
                        break
                    if session.dead or session.sent >= config.max_deliveries_per_connection:
                        self._part(site, session)
                        session = None
                if session is None:
                    session = await self._connect(site, parcel)
                    if session is None:
                        parcel = None
                        break
                    if self._clock.monotonic() >= self._standing.until:
                        site.put_back(parcel)  # to connect took longer than our lease
                        parcel = None
                        continue
                if not await self._deliver(site, session, parcel):
                    self._part(site, session)
                    session = None
                parcel = None
        except asyncio.CancelledError:
            if parcel is not None and not self._abandoned:
                self._settle(parcel, outcome.our_fault("cut off because this worker stopped"), session)
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
                self._settle(parcel, outcome.our_fault(f"internal error: {type(error).__name__}: {error}"), session)
            if session is not None:
                session.abort()
        finally:
            if coming:
                site.coming -= 1
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

    def _serve_hungry(self) -> None:
        while self._hungry and len(self._tasks) < self._config.max_connections and not self._stopping:
            self.call(self._hungry.pop(next(iter(self._hungry))))

    async def _idle(self, site: Site) -> bool:
        """Wait for work for a while. False: none came."""
        if not site.alive or len(site.idle) + 1 >= site.connections:
            site.rest()
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        site.idle.append(waiter)
        self._resting[waiter] = None
        timer = loop.call_later(self._config.idle_timeout, _answer, waiter, False)
        try:
            return await waiter
        finally:
            timer.cancel()
            del self._resting[waiter]
            if waiter in site.idle:
                site.idle.remove(waiter)

    def _part(self, site: Site, session: Session) -> None:
        """Say goodbye in the background."""
        site.alive -= 1
        self._metrics.connection_closed()
        self._later(session.quit())

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
        try:
            session = await self._connector.open(site.route)
        except Unroutable as error:
            if error.forbidden:
                self._metrics.forbidden()
            self.settle(parcel.letter, parcel.deliveries, error.verdict, started, dialogue=f"# {error}")
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
            site.put_back(Parcel(letter, parcel.deliveries[session.max_recipients :]))
            del parcel.deliveries[session.max_recipients :]
        size = letter.message.size
        large = size >= LARGE and letter.content is None
        if large:
            await self._letters.reserve(size)
        try:
            content = letter.content
            if content is None:
                content = await self._letters.content(letter)
            if content is None:
                self._settle(
                    parcel, outcome.content_lost("the content of the message is gone from the store"), None
                )
                return True
            result = await session.transact(_transaction(letter, parcel.deliveries, content))
        except StoreError as error:
            self._settle(parcel, outcome.our_fault(f"the content could not be read: {error}"), None)
            return True
        finally:
            if large:
                self._letters.unreserve(size)
        if not result.reusable and session.worn_out(result) and not parcel.resent:
            parcel.resent = True
            site.put_back(parcel)
            return False
        self._conclude(site, session, parcel, result.recipients, started)
        return result.reusable

    def _conclude(
        self, site: Site, session: Session, parcel: Parcel, replies: list[Reply], started: Millis
    ) -> None:
        """The replies of a transaction become outcomes."""
        deliveries = parcel.deliveries
        letter = parcel.letter
        finished = self._clock.now()
        lines = session.lines
        single = len(deliveries) == 1
        if not single and any(reply.positive for reply in replies):
            postponed = [number for number, reply in enumerate(replies) if _too_many(reply)]
            if postponed:
                # RFC 5321 §4.5.3.1.10: the rest goes into another transaction, at once.
                site.put_back(Parcel(letter, [deliveries[number] for number in postponed]))
                kept = [number for number in range(len(deliveries)) if number not in set(postponed)]
                deliveries = [deliveries[number] for number in kept]
                replies = [replies[number] for number in kept]
        outcomes: list[Outcome] = []
        local: list[int] = []
        slower = False
        for delivery, reply in zip(deliveries, replies, strict=True):
            verdict = outcome.classify(reply.code, reply.enhanced, reply.text)
            own = lines if single else lines_of(lines, delivery.recipient)
            attempt = Attempt(
                started,
                finished,
                session.host,
                session.address,
                session.tls,
                verdict.text,
                session.preamble + "\n" + "\n".join(own),
            )
            if reply.local:
                local.append(delivery.number)
            slower = slower or outcome.asks_to_slow_down(verdict)
            outcomes.append(make_outcome(delivery, verdict, attempt, self._schedule, self._rng.random()))
        if slower:
            site.slow_down()
        else:
            site.succeeded()
        site.done(len(outcomes), self._clock.monotonic())
        self._report(letter, outcomes, "DSN" in session.extensions, local)

    # outcomes without a transaction

    def refuse(self, site: Site, letter: Letter, deliveries: list[Delivery]) -> None:
        """The site was found down a moment ago: these are deferred without dialling, and the attempt says so."""
        assert site.trouble is not None
        verdict, dialogue, host, address = site.trouble
        remark = "# not dialled: the site was found down a moment ago; what was seen then:"
        self.settle(letter, deliveries, verdict, self._clock.now(), host, address, f"{remark}\n{dialogue}")

    def _settle(self, parcel: Parcel, verdict: Verdict, session: Session | None) -> None:
        host, address, dialogue = "", "", f"# {verdict.text}"
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
        attempt = Attempt(started, finished, host, address, "", verdict.text, dialogue)
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
            metrics.attempt(item.state, item.cause)
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


def _transaction(letter: Letter, deliveries: list[Delivery], content: bytes) -> Transaction:
    message = letter.message
    return Transaction(
        message.sender,
        [
            TransactionRecipient(delivery.recipient, Notify(delivery.notify), delivery.orcpt)
            for delivery in deliveries
        ],
        content,
        len(content),
        Ret(message.ret) if message.ret else None,
        message.envid,
        message.smtputf8,
        message.eight_bit,
        normalised=True,  # what is in the store came through the door
    )


def _too_many(reply: Reply) -> bool:
    """Not a word about this recipient: there were too many before it."""
    return reply.code in (452, 552) and (
        reply.enhanced.endswith(".5.3") or "too many recipients" in reply.text.lower()
    )
