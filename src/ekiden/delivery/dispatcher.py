"""The engine of delivery in one worker: takes deliveries in, sorts them to their sites, stays within bounds.

Deliveries come in two ways: handed over by intake in memory (``offer``, already owned), and claimed from the store
when they are due. From there they go

    domain ─ Router ─→ Site (ready queue) ─ Couriers (connections) ─→ Reporter ─→ store.finish

Bounds: ``queue_limit`` deliveries in memory; a site that cannot keep up holds a part of them only, and what finds
it full is given back to the store until about the time it should have room (``Site.postpone``), so that no site
can block another.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable, Collection, Sequence

import msgspec
import structlog

from ekiden.core.clock import SECOND, Clock, Millis
from ekiden.core.ids import IdFactory
from ekiden.core.said import say
from ekiden.core.states import Wait
from ekiden.delivery import verdict as verdicts
from ekiden.delivery.config import DeliveryConfig
from ekiden.delivery.connector import Connector
from ekiden.delivery.couriers import Couriers
from ekiden.delivery.dsn import Notifier, SignReport
from ekiden.delivery.envelope_senders import EnvelopeSenders
from ekiden.delivery.letters import Letter, Letters
from ekiden.delivery.metrics import DeliveryMetrics
from ekiden.delivery.outcome_writer import Reporter
from ekiden.delivery.routing import Route, Router, Unroutable
from ekiden.delivery.site import Site
from ekiden.dns.lookup_queue import on_behalf_of
from ekiden.dns.resolver import Resolver
from ekiden.limits.memory import Memory
from ekiden.net.destinations import Destinations
from ekiden.net.network import Network
from ekiden.net.tls import client_context
from ekiden.store.api import Store
from ekiden.store.errors import told
from ekiden.store.records import Delivery, DeliveryKey, Outcome, Registration, Release
from ekiden.store.standing import Standing

_IDLE_POLL = 1.0  # seconds: how soon work that another worker queued is noticed
_PROBE = 32  # deliveries to claim at a time while what comes goes straight back
_REFUSE_HANDOVER = 0.5  # seconds without handover of an account of which a delivery found its site full
_FORGET_SITE = 600.0
_STRAY_AGE = 120 * SECOND
_LOOK_FOR_STRAYS = 60.0
_SHARE_WAIT = (
    0.5  # seconds, at least, that a delivery waits which came although its account has its share of places
)
_ACCOUNTS = 128  # whose turn it is at one claim
_CANDIDATES = 2_000  # due deliveries of a priority that a claim looks at, of all accounts whose turn it is
_CROWD = 32  # accounts with something due, from which on what is claimed goes before nobody's at its site
_PAUSES = 64  # accounts whose handover pauses that are remembered
_RELIEF = 1.0  # seconds between two looks at who waits for a connection
_IN_ORDER = 2.0  # seconds without a claim in order after one that was of little use
_SHARE_SAID = say("account_share")
_STOPPING = say("worker_stopping")
_log = structlog.get_logger("ekiden.delivery")


class Dispatcher:
    """Implements ``intake.Handover``. ``run`` until ``drain`` or ``abandon``."""

    def __init__(
        self,
        store: Store,
        worker: Registration,
        clock: Clock,
        ids: IdFactory,
        network: Network,
        resolver: Resolver,
        config: DeliveryConfig,
        metrics: DeliveryMetrics | None = None,
        *,
        hostname: str = "",
        share: int = 1,
        tls: ssl.SSLContext | None = None,
        rng: random.Random | None = None,
        destinations: Destinations | None = None,
        receives: Collection[tuple[str, int]] | None = None,
        memory: Memory | None = None,
        bounced: Callable[[Outcome], None] | None = None,
        standing: Standing | None = None,
        senders: EnvelopeSenders | None = None,
        sign: SignReport | None = None,
    ) -> None:
        """``standing``: until when ``worker`` may begin anything. ``senders``: see ``Couriers``. ``sign``: for
        reports.

        ``bounced`` is told of each delivery that was refused for good, once that is on stable storage.

        ``hostname``: our name in EHLO and in reports; empty: ``config.helo``. ``destinations`` and
        ``receives``: see ``Router``.
        ``memory``: the worker's budget.

        ``share``: how many workers of this node share ``site_concurrency`` and ``memory_limit``.
        """
        hostname = hostname or config.helo or "localhost"
        share = max(1, share)
        config = msgspec.structs.replace(config, max_connections=max(1, config.max_connections // share))
        self._store = store
        self._worker = worker.id
        self._standing = standing = standing or Standing(worker, clock)
        self._clock = clock
        self._config = config
        self._metrics = metrics or DeliveryMetrics()
        self._rng = rng or random.Random()  # noqa: S311 - spreading load is no secret
        self._most = max(1, config.site_concurrency // share)
        own_names = frozenset({hostname.lower(), config.helo.lower()} - {""})
        self._router = Router(
            resolver,
            clock,
            config,
            own_names=own_names,
            receives=receives,
            destinations=destinations,
            rng=self._rng,
        )
        self._letters = Letters(store, config.memory_limit // share, config.queue_limit, memory)
        notifier = Notifier(store, clock, ids, config, hostname, sign)
        self._wake = asyncio.Event()
        self._reporter = Reporter(store, self._worker, clock, self._metrics, notifier, self._wake.set, bounced)
        self.couriers = Couriers(
            clock=clock,
            config=config,
            connector=Connector(
                network, self._router, clock, config, hostname, tls or client_context(), self._metrics
            ),
            letters=self._letters,
            reporter=self._reporter,
            notifier=notifier,
            metrics=self._metrics,
            rng=self._rng,
            standing=standing,
            senders=senders,
        )
        self._sites: dict[str, Site] = {}
        self._looking_up: dict[tuple[int, str], list[tuple[Letter, Delivery]]] = {}
        self._lookups: set[asyncio.Task[None]] = set()
        self._claims_over = asyncio.Event()
        self._claims_over.set()
        self._no_handover_until: dict[int, float] = {}
        self._stopping = False
        self._postponed = 0
        self._backlog = False
        """Something was not handed over: it is due in the store already."""
        self._behind = False
        """More is due than one claim takes: claims go by account."""
        self._last_account = 0
        """Behind which account the next look for due ones begins."""
        self._this_round = self._last_round = 0
        """How many accounts with something due have been seen in this round, and in the one before."""
        self._round_over = False
        self._in_order_from = 0.0
        self._next_relief = 0.0
        self._next_sweep = clock.monotonic() + _FORGET_SITE
        self._strays: set[DeliveryKey] = set()
        self._next_look = clock.monotonic() + _LOOK_FOR_STRAYS

    # handover from intake

    def yield_to(self, busy: Callable[[], bool]) -> None:
        """Deliver more slowly while ``busy()``: submissions go first (``Couriers.busy``).

        Only as long as the contents that wait fit into memory: to read them again would cost more than it saves.
        """
        self.couriers.busy = lambda: self._letters.has_room and busy()

    def capacity(self, account_id: int, count: int, size: int) -> bool:
        """Whether ``count`` deliveries of a message of ``size`` octets may be handed over in memory."""
        if (
            not self._stopping
            and self._letters.may_come(account_id, count)
            and (self._reporter.has_room or self._letters.has_little(account_id))
            and self._clock.monotonic() < self._standing.until
            and not self._pauses(account_id)
        ):
            return True
        # Intake queues it; look for it as soon as there is room.
        self._backlog = True
        return False

    def offer(self, deliveries: list[Delivery]) -> None:
        """Deliveries that this worker owns by their insertion. Every one of them is taken care of."""
        before = self._postponed
        for delivery in deliveries:
            self._take_in(delivery, fresh=True)
        if self._postponed != before and deliveries:
            if len(self._no_handover_until) >= _PAUSES:
                self._no_handover_until.clear()
            account_id = deliveries[0].message.account_id
            self._no_handover_until[account_id] = self._clock.monotonic() + _REFUSE_HANDOVER

    def _pauses(self, account_id: int) -> bool:
        """Whether something of the account, handed over a moment ago, had to go back."""
        if not self._no_handover_until:
            return False
        until = self._no_handover_until.get(account_id)
        if until is None or until > self._clock.monotonic():
            return until is not None
        del self._no_handover_until[account_id]
        return False

    # from a delivery to its site

    def _take_in(self, delivery: Delivery, fresh: bool) -> None:
        letter = self._letters.admit(delivery, fresh)
        if letter is None:
            self._postponed += 1
            due_at = self._clock.now() + round(_SHARE_WAIT * (1 + self._rng.random()) * SECOND)
            self._reporter.release([Release(delivery, due_at, Wait.SHARE, _SHARE_SAID)])
            self._metrics.released(1)
            return
        if self._stopping:
            self._give_back(letter, [delivery])
            return
        domain, forward = delivery.domain, delivery.message.forward
        hop = forward if forward is not None and forward.host else None
        route = self._router.known(domain) if hop is None else self._router.next_hop(hop)
        if route is not None:
            self._enqueue(route, letter, delivery)
            return
        # Each account for itself: nobody waits for a turn of another's.
        key = (delivery.message.account_id, domain)
        waiting = self._looking_up.get(key)
        if waiting is not None:
            waiting.append((letter, delivery))
            return
        self._looking_up[key] = [(letter, delivery)]
        task = asyncio.create_task(self._look_up(key), name=f"route {domain}")
        self._lookups.add(task)
        task.add_done_callback(self._lookups.discard)

    async def _look_up(self, key: tuple[int, str]) -> None:
        account, domain = key
        on_behalf_of(("delivery", account))
        started = self._clock.now()
        route: Route | None = None
        try:
            route = await self._router.route(domain)
            verdict = None
        except Unroutable as error:
            verdict = error.verdict
        except Exception as error:
            _log.exception("a domain could not be routed", domain=domain)
            verdict = verdicts.our_fault(say("internal_error", error=f"{type(error).__name__}: {error}"))
        for letter, delivery in self._looking_up.pop(key, ()):
            if route is not None:
                self._enqueue(route, letter, delivery)
            elif verdict is not None:
                self.couriers.settle(letter, [delivery], verdict, started, dialogue=verdict.remark)

    def _enqueue(self, route: Route, letter: Letter, delivery: Delivery) -> None:
        site = self._sites.get(route.site)
        if site is None:
            config = self._config
            site = self._sites[route.site] = Site(
                route,
                initial=config.initial_concurrency,
                most=self._most,
                max_recipients=config.max_recipients,
            )
        site.route = route
        now = self._clock.monotonic()
        account = letter.message.account_id
        if self._stopping:
            self._give_back(letter, [delivery])
        elif site.is_broken(now):
            self.couriers.refuse(site, letter, [delivery])
        elif site.is_full(now, self._letters.places.free, self._config.ready_limit, account):
            self._postponed += 1
            due_at = site.postpone(account, now, self._clock.now(), self._rng.random())
            self._letters.discharge(letter)
            self._reporter.release([Release(delivery, due_at, Wait.PACED, say("turn", site=_short(route.site)))])
            self._metrics.released(1)
        elif site.put(letter, delivery):
            self.couriers.call(site)

    def _give_back(self, letter: Letter, deliveries: list[Delivery]) -> None:
        now = self._clock.now()
        self._letters.discharge(letter, len(deliveries))
        self._reporter.release([Release(delivery, now, Wait.WORKER_STOPPED, _STOPPING) for delivery in deliveries])

    # claims

    async def run(self) -> None:
        """Work until ``drain`` or ``abandon``. Cancelling is ``abandon``."""
        reporting = asyncio.create_task(self._reporter.run(), name="delivery reporter")
        self._claims_over.clear()
        try:
            await self._claim_all()
            self._claims_over.set()
            await reporting
        finally:
            self._claims_over.set()
            if not reporting.done():
                self.abandon()
                reporting.cancel()

    async def _claim_all(self) -> None:
        size = self._config.claim_batch
        while not self._stopping:
            self._wake.clear()
            pause = _IDLE_POLL
            if not await self._standing.wait(_IDLE_POLL):
                continue  # what is claimed now may be ours no more
            try:
                room = self._letters.room_for_claims
                if not self._reporter.has_room:
                    pause = 0.05
                elif room >= min(size, self._config.queue_limit // 2):
                    self._backlog = False
                    pause, size = await self._claim(min(size, room), size)
                    if self._backlog:
                        pause = min(pause, 0.05)
                else:
                    pause = 0.05
                    if (room := self._letters.room_for_newcomers) > 0:
                        await self._claim(min(size, room), size, newcomers=True)
            except Exception as error:
                told(_log, "due deliveries could not be claimed", error)
            self._metrics.in_memory(self._letters.deliveries)
            if self._clock.monotonic() >= self._next_relief:
                self._next_relief = self._clock.monotonic() + _RELIEF
                self.couriers.relieve()
            self._sweep()
            await self._free_strays()
            if pause > 0:
                await self._pause(pause)

    async def _claim(self, limit: int, size: int, newcomers: bool = False) -> tuple[float, int]:
        """One claim; how long to pause after it, and how many to ask for next time.

        ``newcomers``: only of accounts that have nothing here.
        """
        now = self._clock.now()
        due = await self._store.next_due(now)
        if due is None or due > now:
            return (_IDLE_POLL if due is None else min(_IDLE_POLL, (due - now) / 1000)), self._config.claim_batch
        accounts, limit, most = await self._whose_turn(now, limit, newcomers)
        if not limit:
            return 0.05, size
        claimed = await self._store.claim(self._worker, now, limit, accounts or (), most)
        before = self._postponed
        fresh = self._last_round < _CROWD
        for delivery in claimed:
            self._take_in(delivery, fresh)
        useless = bool(claimed) and self._postponed - before > len(claimed) // 2
        if accounts is None:
            self._behind = useless or len(claimed) == limit
            if not self._behind:
                self._last_round = 0  # the crowd that it had is gone
            if useless:
                self._in_order_from = self._clock.monotonic() + _IN_ORDER
        if useless:
            # Most of what is due now is for sites that are full: go on, for what is behind it, but gently.
            return 0.05, max(_PROBE, size // 2)
        if not claimed:
            return 0.05, size
        if accounts is not None:
            # Few: the accounts whose turn it was have no more, and a claim costs as much for one as for many.
            return (0.0 if len(claimed) > limit // 4 else 0.01), size
        return (0.0 if len(claimed) == limit else 0.01), min(self._config.claim_batch, size * 2)

    async def _whose_turn(self, now: Millis, limit: int, newcomers: bool) -> tuple[Sequence[int] | None, int, int]:
        """Of which accounts to claim next, how many in all, and of each; ``None``: of whoever has waited longest.

        What is due longest may be a million deliveries of one account. While more is due than a claim takes, claims
        go from account to account instead, and leave those out that have their share of places; one in order comes
        after each round. None does while an account has all that it may have: in order it would get what has no
        place here. Where accounts are so many that a round takes several claims, each gets little at a time;
        otherwise those that have much get what the others leave.
        """
        letters = self._letters
        room = letters.places.least_room()
        crowded = newcomers or room < max(1, limit // 4)
        in_order = self._round_over and self._clock.monotonic() >= self._in_order_from
        if not crowded and (in_order or not self._behind):
            self._round_over = False
            return None, min(limit, room), 0
        found = await self._store.due_accounts(now, self._last_account, min(_ACCOUNTS, limit))
        self._last_account = found.after
        self._this_round += len(found.accounts)
        if not found.after:
            self._round_over = True
            self._last_round, self._this_round = self._this_round, 0
        if newcomers:
            new = [account for account in found.accounts if not letters.places.held(account)][:limit]
            return new, len(new), 1
        each = max(1, limit // max(1, self._last_round, len(found.accounts)))
        rooms = {account: most for account in found.accounts if (most := letters.room(account, each))}
        if rooms and not crowded and self._last_round <= _ACCOUNTS:
            limit = min(limit, room)
            return list(rooms), limit, max(each, min(limit, _CANDIDATES // len(rooms)))
        most = max(rooms.values(), default=0)
        return list(rooms), min(limit, len(rooms) * most), most

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    def wake(self) -> None:
        """Look for due work now: something was queued or made due by another way."""
        self._wake.set()

    def _sweep(self) -> None:
        """Forget sites that nothing was sent to for a while."""
        now = self._clock.monotonic()
        if now < self._next_sweep:
            return
        self._next_sweep = now + _FORGET_SITE
        for name, site in list(self._sites.items()):
            quiet = not site.connections and not site.parcels and not site.is_broken(now)
            if quiet and site.last_used < now - _FORGET_SITE:
                del self._sites[name]

    async def _free_strays(self) -> None:
        """Give back what is ours in the store and unknown here: a commit whose answer was lost left it behind.

        Looks twice, a minute apart, so that what is just being reported is not taken for one.
        """
        if self._clock.monotonic() < self._next_look or self._reporter.stalled:
            return
        self._next_look = self._clock.monotonic() + _LOOK_FOR_STRAYS
        now = self._clock.now()
        try:
            old = await self._store.owned(self._worker, now - _STRAY_AGE)
            unknown = {key for key in old if not self._letters.has(key.account_id, key.message_id)}
            strays = sorted(self._strays & unknown)
            self._strays = unknown
            if strays:
                freed = await self._store.free(self._worker, strays, now)
                _log.warning("deliveries that no commit was confirmed for are due again", count=freed)
        except Exception as error:
            told(_log, "stray deliveries could not be looked for", error)

    # the end

    async def drain(self, timeout: float) -> None:
        """Take nothing new, let what is under way finish within ``timeout`` seconds, give the rest back.

        When it returns nothing is under way any more; ``run`` ends once all of it is reported.
        """
        self._stopping = True
        self._wake.set()
        for site in self._sites.values():
            for parcel in site.take_all():
                self._give_back(parcel.letter, parcel.deliveries)
        for waiting in self._looking_up.values():
            for letter, delivery in waiting:
                self._give_back(letter, [delivery])
        self._looking_up.clear()
        for task in self._lookups:
            task.cancel()
        self.couriers.stop_idle(self._sites.values())
        await self.couriers.stop(timeout)
        await self._claims_over.wait()
        self._reporter.close()

    def retire(self) -> None:
        """The lease is lost: what is here belongs to others now, or soon will. Stop at once.

        What is known already is still reported, and ``run`` ends after that: what others have taken over meanwhile
        is fenced, and what they have not need not be sent again.
        """
        self._cut()
        self._reporter.close()

    def abandon(self) -> None:
        """Stop at once, and report nothing."""
        self._cut()
        self._reporter.abandon()

    def _cut(self) -> None:
        self._stopping = True
        self.couriers.abandon()
        for task in self._lookups:
            task.cancel()
        self._looking_up.clear()
        self._wake.set()


def _short(site: str) -> str:
    return site if len(site) <= 60 else site[:59] + "…"
