"""What the rooms report while they run, as numbers of this worker."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import structlog

from ekiden.core.states import Cause, State
from ekiden.delivery.metrics import DeliveryMetrics, Overdue
from ekiden.limits import connections
from ekiden.limits.memory import Memory
from ekiden.listeners.http_server import HttpMetrics
from ekiden.listeners.smtp_context import SmtpMetrics
from ekiden.notify.metrics import OutboxMetrics
from ekiden.process.log_output import lost_lines
from ekiden.process.metrics import WorkerMetrics, memory_bytes
from ekiden.process.process_limits import open_descriptors
from ekiden.store.records import Counters
from ekiden.store.set_aside import set_aside

log = structlog.get_logger()

_PEAKS = 6
"""Of ten seconds each."""


class DeliveryCounts(DeliveryMetrics):
    def __init__(self, metrics: WorkerMetrics) -> None:
        self._metrics = metrics

    def attempt(self, state: State, cause: Cause) -> None:
        cell = self._metrics.attempts.get((state, cause))
        if cell is not None:
            cell.inc()

    def delivered(self, seconds: float) -> None:
        self._metrics.delivery_seconds.observe(seconds)

    def connection_opened(self, tls: bool) -> None:
        self._metrics.outgoing.inc()
        self._metrics.outgoing_opened.inc()
        if tls:
            self._metrics.outgoing_encrypted.inc()

    def connection_failed(self) -> None:
        self._metrics.outgoing_failed.inc()

    def connection_closed(self) -> None:
        self._metrics.outgoing.dec()

    def in_memory(self, deliveries: int) -> None:
        self._metrics.in_memory.set(deliveries)

    def fenced(self) -> None:
        self._metrics.fenced.inc()

    def released(self, count: int) -> None:
        self._metrics.released.inc(count)

    def overdue(self, what: Overdue) -> None:
        self._metrics.overdue[what].inc()

    def gave_way(self) -> None:
        self._metrics.gave_way.inc()

    def forbidden(self) -> None:
        self._metrics.forbidden.inc()

    def waiting_for_connection(self, sites: int) -> None:
        self._metrics.sites_waiting.set(sites)


class HttpCounts(HttpMetrics):
    def __init__(self, metrics: WorkerMetrics) -> None:
        self._metrics = metrics

    def connection_opened(self) -> None:
        self._metrics.http_connections.inc()
        self._metrics.http_connections_opened.inc()

    def connection_closed(self) -> None:
        self._metrics.http_connections.dec()

    def refused(self, reason: str) -> None:
        self._metrics.http_refused[reason].inc()

    def unknown_proxy(self) -> None:
        self._metrics.unknown_proxies.inc()


class SmtpCounts(SmtpMetrics):
    def __init__(self, metrics: WorkerMetrics) -> None:
        self._metrics = metrics

    def connection_opened(self) -> None:
        self._metrics.connections.inc()
        self._metrics.connections_total.inc()

    def connection_closed(self) -> None:
        self._metrics.connections.dec()

    def session_ended(self, bound: str) -> None:
        self._metrics.sessions_ended[bound].inc()

    def message_accepted(self, recipients: int, size: int, seconds: float) -> None:
        self._metrics.accepted.inc()
        self._metrics.recipients.inc(recipients)
        self._metrics.octets.inc(size)
        self._metrics.accept_seconds.observe(seconds)

    def message_rejected(self, code: int) -> None:
        (self._metrics.refused_4xx if code < 500 else self._metrics.refused_5xx).inc()


class InboundCounts(SmtpMetrics):
    def __init__(self, metrics: WorkerMetrics) -> None:
        self._metrics = metrics

    def connection_opened(self) -> None:
        self._metrics.inbound_connections.inc()
        self._metrics.inbound_connections_total.inc()

    def connection_closed(self) -> None:
        self._metrics.inbound_connections.dec()

    def session_ended(self, bound: str) -> None:
        self._metrics.inbound_sessions_ended[bound].inc()

    def message_accepted(self, recipients: int, size: int, seconds: float) -> None:
        self._metrics.inbound.inc()
        self._metrics.inbound_octets.inc(size)
        self._metrics.inbound_seconds.observe(seconds)

    def message_rejected(self, code: int) -> None:
        (self._metrics.inbound_refused_4xx if code < 500 else self._metrics.inbound_refused_5xx).inc()


class ConnectionCounts(connections.ConnectionCounts):
    """Of one kind: ``smtp``, ``inbound`` or ``http``."""

    def __init__(self, metrics: WorkerMetrics, kind: str) -> None:
        self._refused = metrics.connections_refused[kind]
        self._pushed_out = metrics.connections_pushed_out[kind]

    def refused(self) -> None:
        self._refused.inc()

    def pushed_out(self) -> None:
        self._pushed_out.inc()


class LoginCounts:
    """``access.authenticate.Authenticator.told``."""

    def __init__(self, metrics: WorkerMetrics) -> None:
        self._cells = metrics.authentications

    def __call__(self, result: str) -> None:
        self._cells[result].inc()


class CallbackCounts(OutboxMetrics):
    def __init__(self, metrics: WorkerMetrics) -> None:
        self._metrics = metrics

    def sent(self, events: int, seconds: float) -> None:
        self._metrics.callbacks_taken.inc()
        self._metrics.events_taken.inc(events)
        self._metrics.callback_seconds.observe(seconds)

    def failed(self, seconds: float) -> None:
        self._metrics.callbacks_failed.inc()
        self._metrics.callback_seconds.observe(seconds)

    def gave_up(self, events: int) -> None:
        self._metrics.events_dead.inc(events)

    def sending(self, endpoints: int) -> None:
        self._metrics.callback_endpoints.set(endpoints)


class Sampler:
    """Numbers that are looked at rather than counted: memory, and what the store has counted for itself."""

    def __init__(self, metrics: WorkerMetrics, counters: Counters, memory: Memory) -> None:
        self._metrics = metrics
        self._memory = memory
        self._peaks: deque[int] = deque(maxlen=_PEAKS)
        self._counters = counters
        self._seen = Counters()
        self._unread = 0
        self._lost = lost_lines()
        self._refused: Mapping[str, int] = {}
        self._refused_seen: dict[str, int] = {}

    def watch_bodies(self, refused: Mapping[str, int]) -> None:
        """``web.body.Bodies.refused``."""
        self._refused = refused

    def sample(self) -> None:
        """Bring the shared numbers up to date."""
        for why, count in self._refused.items():
            self._metrics.bodies_refused[why].inc(count - self._refused_seen.get(why, 0))
            self._refused_seen[why] = count
        metrics, now, seen = self._metrics, self._counters, self._seen
        metrics.commits.inc(now.commits - seen.commits)
        metrics.operations.inc(now.units - seen.units)
        metrics.rollbacks.inc(now.failures - seen.failures)
        metrics.commit_seconds.inc(now.seconds - seen.seconds)
        unread = set_aside.total()
        metrics.set_aside.inc(unread - self._unread)
        self._unread = unread
        lost = lost_lines()
        metrics.log_lost.inc(lost - self._lost)
        self._lost = lost
        self._seen = Counters(now.commits, now.units, now.failures, now.seconds)
        metrics.budget.set(self._memory.total)
        metrics.budget_used.set(self._memory.used)
        metrics.budget_peak.set(max(self._memory.peak, *self._peaks, 0))

    def weigh(self) -> None:
        """Every ten seconds: look at the memory and the descriptors of this process; takes a few milliseconds."""
        self._metrics.memory.set(memory_bytes())
        self._metrics.descriptors.set(open_descriptors())
        self._peaks.append(self._memory.restart_peak())
