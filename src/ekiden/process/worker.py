"""One worker: every room of its roles, wired together on one event loop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import msgspec
import uvloop

from ekiden.access.accounts import get_account
from ekiden.access.authenticate import Principal
from ekiden.access.errors import NotFound
from ekiden.config.model import Config, ListenerConfig
from ekiden.core.clock import SECOND
from ekiden.core.errors import EkidenError
from ekiden.core.ids import IdFactory
from ekiden.core.language import language
from ekiden.core.texts import TranslatedError
from ekiden.delivery.dispatcher import Dispatcher
from ekiden.inbound.reader import Reader
from ekiden.intake.door import Door
from ekiden.limits.memory import Memory
from ekiden.listeners.http_admission import HttpAdmission
from ekiden.listeners.http_app import make_app
from ekiden.listeners.http_server import HttpServer
from ekiden.listeners.smtp_admission import Admission
from ekiden.listeners.smtp_config import SmtpConfig
from ekiden.listeners.smtp_context import SmtpMetrics
from ekiden.listeners.smtp_listener import ListenerSpec, SmtpListener
from ekiden.listeners.smtp_reception import Receptions, reception_limits
from ekiden.listeners.smtp_submission import Submissions
from ekiden.listeners.smtp_visitor import SmtpService
from ekiden.mailings.counting import Counting
from ekiden.mailings.expansion import Expander
from ekiden.net.clock import SystemClock
from ekiden.net.destinations import Destinations
from ekiden.net.listen import ListenAddress, open_listener
from ekiden.net.network import LoopbackOnlyNetwork, Network, RealNetwork
from ekiden.net.tls import CertificateFiles, ServerTls
from ekiden.process.beats import Beats
from ekiden.process.clock_watch import MOST_OFFSET, ClockWatch, ClockWrong, clock_offset
from ekiden.process.counts import (
    CallbackCounts,
    ConnectionCounts,
    DeliveryCounts,
    HttpCounts,
    InboundCounts,
    LoginCounts,
    Sampler,
    SmtpCounts,
)
from ekiden.process.duties import Duties
from ekiden.process.heartbeat import Heartbeat
from ekiden.process.instance_key import confirm
from ekiden.process.listening_ports import Ports
from ekiden.process.logging import get_logger
from ekiden.process.loop_watch import LoopWatch
from ekiden.process.metrics import Exposition, Metrics
from ekiden.process.readiness import DatabaseWatch, missing
from ekiden.process.registration import Post
from ekiden.process.translations import TEXTS
from ekiden.recipients.hard_bounces import HardBounces
from ekiden.store import workers
from ekiden.store.api import Store, StoreUnavailable
from ekiden.store.errors import told
from ekiden.store.open import open_store
from ekiden.store.records import Delivery, Registration
from ekiden.store.retention import prune
from ekiden.store.standing import Standing
from ekiden.wiring.capacity import memory_of_worker
from ekiden.wiring.http_routes import Faces
from ekiden.wiring.services import Services


class ServerError(TranslatedError):
    """A worker cannot do what the configuration asks for."""


RUSH = 4  # clients of this worker that wait for a commit: from here on submissions go before deliveries
_PRUNE_EVERY = 600.0  # seconds
_LOOK_EVERY = 5.0  # seconds, whether the database is still the one it was
_LAST_WORD = 5.0  # seconds to tell the store that this worker ends
_COUNT_EVERY = 5.0  # for mail requests of which nothing changes any more
_CHECK_EVERY = 2.0  # for domains whose check is due
LOST = 75  # exit status (EX_TEMPFAIL): a part failed or the supervisor is gone, another worker takes over


class Report:
    """What a worker tells the supervisor: lines of JSON in a pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def send(self, **facts: Any) -> None:
        with suppress(OSError):
            os.write(self._descriptor, msgspec.json.encode(facts) + b"\n")


@dataclass
class WorkerSpec:
    """Everything a worker gets from the supervisor. ``number`` of ``workers`` is for people; 0 has the duties.

    ``slot`` is where it counts. ``lifeline`` is the reading end of a pipe that ends when the supervisor does.
    ``predecessor`` is the registration of a worker that the supervisor saw end: nobody needs to wait for its lease.
    """

    config: Config
    number: int
    workers: int
    slot: int
    ports: Ports
    metrics: Metrics
    beats: Beats
    report: Report
    lifeline: int
    predecessor: int | None = None


def certificate_files(config: Config) -> dict[str, list[CertificateFiles]]:
    """By listener."""
    return {
        listener.name: [CertificateFiles(item.certificate, item.key) for item in listener.certificates]
        for listener in config.listeners
    }


def check_certificates(config: Config) -> None:
    """``TlsError`` when a listener's certificate or key cannot be used."""
    files = certificate_files(config)
    for listener in config.served:
        if files[listener.name]:
            ServerTls(files[listener.name])


def run_worker(spec: WorkerSpec) -> int:
    """Work until SIGTERM; returns the exit status. Errors of start-up are told to the supervisor."""
    # A message makes some hundred objects and no cycles: the default of 700 looks for cycles at every few messages.
    gc.set_threshold(20_000, 20, 50)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_Worker(spec).run())
    except EkidenError as error:
        told = error.text(language(os.environ)) if isinstance(error, TranslatedError) else str(error)
        spec.report.send(failed=str(error), told=told)
        get_logger().error("worker cannot start", worker=spec.number, why=str(error))
        return 1
    return 0


class NoDelivery:
    """``intake.Handover`` of a worker without the role: everything is queued for others."""

    def capacity(self, account_id: int, count: int, size: int) -> bool:
        return False

    def offer(self, deliveries: list[Delivery]) -> None:
        raise AssertionError("nothing is offered to who has no capacity")


class _Desk(NamedTuple):
    """What the listeners of one kind share."""

    service: SmtpService
    limits: SmtpConfig
    counts: SmtpMetrics
    admission: Admission


class _Worker:
    def __init__(self, spec: WorkerSpec) -> None:
        self.spec = spec
        self.config = spec.config
        self.clock = SystemClock()
        self.clock_watch = ClockWatch(self.clock)
        self.metrics = spec.metrics.worker(spec.slot)
        self.log = get_logger(worker=spec.number)
        self.stop = asyncio.Event()
        self.memory = Memory(memory_of_worker(spec.config, spec.workers))
        self.draining = False
        self.listeners: list[SmtpListener] = []
        self.reader: Reader | None = None
        self.faces: Faces | None = None
        self.duties: Duties | None = None
        self._retiring: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        watch = LoopWatch(
            loop,
            partial(self.spec.beats.beat, self.spec.slot),
            self.metrics.loop_lag,
            self.metrics.loop_lag_max,
            worker=self.spec.number,
        )
        watch.start()
        try:
            await self._run(loop, watch)
        finally:
            watch.stop()

    async def _run(self, loop: asyncio.AbstractEventLoop, watch: LoopWatch) -> None:
        loop.add_signal_handler(signal.SIGTERM, self.stop.set)
        loop.add_reader(self.spec.lifeline, os._exit, LOST)
        roles = self.config.workers.roles
        async with AsyncExitStack() as stack:
            store, me = await self._open(stack)
            self.database = DatabaseWatch(store, self.vault, self.log)
            # One for all rooms of the worker: two factories would make the same ids (the store has its own half).
            self.ids = IdFactory(me.node)
            self.heartbeat = Heartbeat(
                store,
                self.clock,
                me,
                self.config.workers.lease,
                lambda: self._begin_again(store),
                self.clock_watch,
            )
            sampler = Sampler(self.metrics, store.counters, self.memory)
            self._start(self._sample(sampler), "sample")
            services = Services(self.config, store, self.clock, self.ids, me.id, self.vault, self.memory)
            sampler.watch_bodies(services.bodies.refused)
            services.authenticator.told = LoginCounts(self.metrics)
            stack.push_async_callback(services.close)
            self.bounces = HardBounces(services.suppressing)
            stack.push_async_callback(self.bounces.close)
            self.services = services
            door = services.door(NoDelivery())
            self.door = door
            self._take_post(store, self.heartbeat.standing)
            stack.push_async_callback(self._leave_post)
            self._start(self.heartbeat.run(), "heartbeat")
            self._start(self._watch_database(), "database")
            mailer = services.mailer(door)
            expander = Expander(store, self.clock, mailer, services.address_books, lambda: self.me.id)
            if "delivery" in roles:
                self._start(expander.run(), "mail requests")
            if self.config.served:
                await self._listen(store, door, services)
            if "http" in roles:
                self.faces = Faces(
                    self.config, store, self.clock, self.ids, self.me.id, services, mailer, expander.wake
                )
                stack.push_async_callback(self.faces.close)
                await self._serve_http(store, self.faces, sampler, stack)
            if "housekeeping" in roles and self.spec.number == 0:  # one of a node is enough
                self._keep_house(store, services)
            self.spec.report.send(ready=True)
            watch.speaking = True
            self.log.debug("worker ready", registration=self.me.id)
            await self.stop.wait()
            await self._drain()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _open(self, stack: AsyncExitStack) -> tuple[Store, Registration]:
        """Who takes the place of another waits for the store: nothing would be better for ending again and again.
        At the first start the operator is told instead."""
        told = False
        while True:
            try:
                async with AsyncExitStack() as opening:
                    store = await open_store(self.config.store_url())
                    opening.push_async_callback(store.close)
                    await self._check_clock(store)
                    self.vault = await confirm(self.config, store, self.clock)
                    self.me = await self._register(store)
                    opening.push_async_callback(self._end, store)
                    stack.push_async_callback(opening.pop_all().aclose)
                    return store, self.me
            except StoreUnavailable as error:
                if self.spec.predecessor is None or self.stop.is_set():
                    raise
                if not told:
                    told = True
                    self.log.warning("a new worker waits for the store", why=str(error))
            await asyncio.sleep(1.0)

    async def _check_clock(self, store: Store) -> None:
        """Raises ``ClockWrong`` unless this one takes the place of another, whose neighbours go on, too."""
        offset = await clock_offset(store, self.clock)
        if abs(offset) > MOST_OFFSET and self.spec.predecessor is None:
            raise ClockWrong(offset)

    async def _register(self, store: Store) -> Registration:
        if self.spec.predecessor is not None:
            now = await store.now()
            async with store.write() as connection:
                await workers.end(connection, self.spec.predecessor, now)
        ttl = int(self.config.workers.lease * SECOND)
        me = await store.register_worker(socket.gethostname(), os.getpid(), None, ttl, self.config.workers.roles)
        self.spec.report.send(registration=me.id)
        return me

    async def _end(self, store: Store) -> None:
        try:
            async with asyncio.timeout(_LAST_WORD):
                released = await store.end_worker(self.me.id, None)
        except Exception as error:
            # Others take over once our lease has run out.
            told(self.log, "the store does not know that this worker ends", error)
        else:
            if released:
                self.log.info("released deliveries for others", deliveries=released)

    # the registration, and what is done in its name

    def _take_post(self, store: Store, standing: Standing) -> None:
        roles, metrics, services = self.config.workers.roles, self.metrics, self.services
        dispatcher = outbox = None
        if "delivery" in roles:
            dispatcher = self._dispatcher(store, standing, services, self.bounces)
            door = self.door
            dispatcher.yield_to(lambda: door.waiting >= RUSH)
        if "notify" in roles:
            outbox = services.outbox(CallbackCounts(metrics), standing)
            store.on_notices(outbox.wake)
        self.door.renewed(standing.registration.id, dispatcher or NoDelivery())
        self.post = Post(standing, dispatcher, outbox, self._task_done)

    async def _leave_post(self) -> None:
        await self.post.close()
        if self._retiring is not None:
            await self._retiring

    async def _begin_again(self, store: Store) -> Standing:
        """We were taken for dead. Everybody who works in our name gets another one; clients notice nothing."""
        began = self.clock.monotonic()
        self.me = me = await self._register(store)
        self.ids.move(me.node)
        standing = self.heartbeat.granted(me, began)
        left = self.post
        self._take_post(store, standing)
        self.services.renewed(me.id)
        if self.faces is not None:
            self.faces.renewed(me.id)
        if self.duties is not None:
            self.duties.worker = me.id
        self._retiring = asyncio.create_task(left.retire(), name="retired post")
        self.log.warning("this worker is registered anew", registration=me.id)
        return standing

    def _start(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        """None of them ends by itself while there is work: a broken worker must not look like a healthy one."""
        if task.cancelled() or self.draining:
            return
        error = task.exception()
        why = "ended" if error is None else f"{type(error).__name__}: {error}"
        self.log.error("a part of the worker failed", part=task.get_name(), why=why, exc_info=error)
        self._lost(f"{task.get_name()} failed")

    def _lost(self, why: str) -> None:
        """Own nothing, know nothing: leave at once, so that nothing is sent that others may send too."""
        self.log.error("worker stops at once", why=why)
        os._exit(LOST)

    # the parts

    def _dispatcher(self, store: Store, standing: Standing, services: Services, bounces: HardBounces) -> Dispatcher:
        lab = self.config.lab.enabled
        network: Network = LoopbackOnlyNetwork() if lab else RealNetwork()
        return Dispatcher(
            store,
            standing.registration,
            self.clock,
            self.ids,
            network,
            services.resolver,
            self.config.delivery,
            DeliveryCounts(self.metrics),
            hostname=self.config.hostname,
            share=self.spec.workers,
            bounced=bounces,
            memory=self.memory,
            destinations=Destinations(
                self.config.delivery.allowed_networks,
                refused_networks=self.config.delivery.refused_networks,
                loopback_only=lab,
            ),
            receives=self._received_at(),
            standing=standing,
            senders=services.envelope_senders(),
            sign=services.report_signer(),
        )

    def _wake_delivery(self) -> None:
        """Something was queued that nobody handed over."""
        if self.post.dispatcher is not None:
            self.post.dispatcher.wake()

    def _received_at(self) -> list[ListenAddress] | None:
        """Where mail comes in; ``None``: nowhere at all."""
        if not self.config.receives:
            return None
        names = [listener.name for listener in self.config.served if listener.mode == "inbound"]
        return [address for name in names for address in self.spec.ports.smtp[name]]

    async def _listen(self, store: Store, door: Door, services: Services) -> None:
        config = self.config
        desks: dict[str, _Desk] = {}
        if "smtp" in config.workers.roles:
            submissions = Submissions(door, services.authenticator, services.doorstep)
            desks["smtp"] = self._desk("smtp", submissions, config.smtp, SmtpCounts(self.metrics))
        if config.receives and "inbound" in config.workers.roles:
            self.reader, reception = services.reception(lambda: self.me.id, self._wake_delivery)
            self._start(services.routes.run(), "inbound routes")
            self._start(self.reader.run(), "inbound")
            limits = reception_limits(config.smtp, config.inbound)
            receptions = Receptions(reception, services.refusals)
            desks["inbound"] = self._desk("inbound", receptions, limits, InboundCounts(self.metrics))
        files = certificate_files(config)
        for listener in config.served:
            spec = ListenerSpec(
                name=listener.name,
                addresses=tuple(str(address) for address in self.spec.ports.smtp[listener.name]),
                mode=listener.mode,
                tls=ServerTls(files[listener.name]) if files[listener.name] else None,
                region=listener.region,
                endpoint=listener.endpoint,
                proxy_from=listener.proxy_from,
                trusted_networks=listener.trusted_networks,
                trusted=await self._trusted(store, listener),
                max_size=listener.max_size,
                max_recipients=listener.max_recipients,
                restricted=listener.restricted,
            )
            desk = desks["inbound" if listener.mode == "inbound" else "smtp"]
            made = SmtpListener(
                spec,
                desk.service,
                desk.limits,
                config.hostname,
                desk.counts,
                admission=desk.admission,
                carriers=config.intake.carrier_addresses,
                paused=self.metrics.accept_paused.inc,
            )
            await made.start()
            self.listeners.append(made)

    def _desk(self, kind: str, service: SmtpService, limits: SmtpConfig, counts: SmtpMetrics) -> _Desk:
        admission = Admission(limits, ConnectionCounts(self.metrics, kind), self.memory)
        return _Desk(service, limits, counts, admission)

    async def _trusted(self, store: Store, listener: ListenerConfig) -> Principal | None:
        """Whose mail comes from the listener's trusted networks."""
        if not listener.trusted_networks:
            return None
        try:
            account = await get_account(store, listener.trusted_account)
        except NotFound:
            raise ServerError(
                TEXTS,
                "there is no account {name}, which listeners.{listener} trusts",
                name=repr(listener.trusted_account),
                listener=listener.name,
            ) from None
        return Principal(account.id, 0, account.name, account.priority)

    async def _drain(self) -> None:
        """No new work; what is being received or sent may end in time; the rest goes back to the queue."""
        self.draining = True
        until = self.clock.monotonic() + self.config.workers.drain_timeout

        def left() -> float:
            return max(0.1, until - self.clock.monotonic())

        if self.listeners:
            await asyncio.gather(*(listener.drain(left()) for listener in self.listeners))
        if self.reader is not None:
            await self.reader.drain(left())
        await self.post.drain(left)

    async def _serve_http(self, store: Store, faces: Faces, sampler: Sampler, stack: AsyncExitStack) -> None:
        exposition = Exposition(self.spec.metrics, store, self.clock, lambda: self.heartbeat.away)

        async def metrics_text() -> bytes:
            sampler.sample()
            return await exposition.text()

        ports, config = self.spec.ports, self.config.http
        app = make_app(self._missing, None if ports.monitoring else metrics_text, faces.routers())
        places: ConnectionCounts | None = ConnectionCounts(self.metrics, "http")
        served = [(app, ports.http, config, places)]
        if ports.monitoring:
            # As many as are kept for the same purpose on the other addresses.
            few = msgspec.structs.replace(
                config,
                max_connections=max(4, config.reserve - 2),
                max_connections_per_address=max(4, config.reserve - 2),
                reserve=2,
                proxy_from=(),
            )
            served.append((make_app(self._missing, metrics_text), ports.monitoring, few, None))
        for app, addresses, bounds, counts in served:
            server = HttpServer(
                app,
                [open_listener(address.host, address.port) for address in addresses],
                bounds,
                HttpCounts(self.metrics),
                admission=HttpAdmission(bounds, counts),
                paused=self.metrics.accept_paused.inc,
            )
            await server.start()
            stack.push_async_callback(server.stop)

    async def _missing(self) -> list[str]:
        return missing(
            draining=self.draining or self.stop.is_set(), leased=self.heartbeat.healthy, database=self.database
        )

    def _keep_house(self, store: Store, services: Services) -> None:
        self.duties = duties = Duties(
            store, self.clock, self.me.id, self.config.workers.lease, self.heartbeat.settled
        )
        pause = max(0.5, self.config.workers.lease / 3)
        self._start(duties.every(pause, "reap", duties.reap, shared=True), "reap")
        retention = self.config.retention

        async def prune_old() -> None:
            removed = await prune(store, self.clock.now(), retention)
            if removed:
                self.log.info("removed what is old", **removed)

        self._start(duties.every(_PRUNE_EVERY, "prune", prune_old), "prune")

        async def check_domains() -> None:
            done = await services.domains.recheck_due(self.clock.now())
            for domain_id, error in done.failed.items():
                self.log.warning("a domain cannot be checked", domain=domain_id, why=str(error), exc_info=error)

        self._start(duties.every(_CHECK_EVERY, "check domains", check_domains), "check domains")

        async def check_addresses() -> None:
            while await services.address_check_requests.work():
                pass

        self._start(duties.every(_CHECK_EVERY, "check addresses", check_addresses), "check addresses")

        async def expire_suppressions() -> None:
            while await services.suppressions.expire():
                pass

        self._start(duties.every(_CHECK_EVERY, "expire suppressions", expire_suppressions), "expire suppressions")
        books = duties.every(_CHECK_EVERY, "address books", services.address_books.work, shared=True)
        self._start(books, "address books")
        counting = Counting(store, self.clock)
        self._start(duties.every(_COUNT_EVERY, "count mails", counting.settle), "count mails")

        async def export_templates() -> None:
            while await services.template_exports.work():
                pass

        self._start(duties.every(_CHECK_EVERY, "export templates", export_templates), "export templates")

    async def _sample(self, sampler: Sampler) -> None:
        while True:
            sampler.weigh()
            for _ in range(10):
                await asyncio.sleep(1.0)
                sampler.sample()
                self.metrics.storeless.set(0 if self.heartbeat.healthy else 1)

    async def _watch_database(self) -> None:
        """Beside ``_sample``: a store that stands still takes its time to say nothing."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            try:
                await self.database.look()
            except StoreUnavailable:
                pass  # the heartbeat tells of it
            except Exception:
                self.log.exception("it cannot be seen whether the database is still the same")
