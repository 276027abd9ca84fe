"""What Ekiden counts, and its Prometheus text. All names begin with ``ekiden_``.

The queue's own numbers are asked of the store, at most every five seconds however often someone scrapes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from ekiden.access.proof import LoginRefusal
from ekiden.core.clock import SECOND, Clock, Millis
from ekiden.core.states import Cause, State
from ekiden.core.version import VERSION
from ekiden.delivery.metrics import OVERDUE
from ekiden.process.shared_counters import Family, SharedCounters
from ekiden.store.api import Store
from ekiden.store.records import QueueStats
from ekiden.web.errors import REASONS

_TEXTS = 10
"""That are made in a second."""
_STATS_AGE = 5 * SECOND
_STATS_PATIENCE = 2.0  # seconds: whoever scrapes does not wait for ever
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_LAGS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LONG = (0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)
HTTP_REFUSALS = ("malformed", "too_large", "too_slow", "pipelined", "connections", "not_read")
SESSION_BOUNDS = (
    "commands",
    "errors",
    "replies",
    "silence",
    "login",
    "session",
    "content",
    "not_read",
    "memory",
)
"""What can end an SMTP session before its client does: see docs/limits.md."""
_WAITING = (State.HELD, State.SCHEDULED, State.QUEUED, State.SENDING, State.DEFERRED)
_ENDS = (State.DELIVERED, State.DEFERRED, State.BOUNCED, State.EXPIRED, State.DROPPED, State.CANCELLED)

LOGIN_RESULTS = ("accepted", *(refusal.value for refusal in LoginRefusal))


class Metrics:
    """The families, declared in the supervisor before it forks."""

    def __init__(self, slots: int = 64) -> None:
        self.shared = shared = SharedCounters(slots)
        self.accepted = shared.declare(
            "ekiden_messages_accepted", "Messages on stable storage and acknowledged.", "counter"
        )
        self.recipients = shared.declare(
            "ekiden_recipients_accepted", "Recipients of accepted messages.", "counter"
        )
        self.octets = shared.declare("ekiden_accepted_bytes", "Octets of accepted contents.", "counter")
        self.refused = shared.declare(
            "ekiden_messages_refused",
            "Messages that were refused at the door, by the class of the reply.",
            "counter",
            ("reply",),
            [("4xx",), ("5xx",)],
        )
        self.attempts = shared.declare(
            "ekiden_attempts",
            "Attempts by the state and the cause they led to.",
            "counter",
            ("state", "cause"),
            [(state.name.lower(), cause.name.lower()) for state in _ENDS for cause in Cause],
        )
        self.accept_seconds = shared.declare(
            "ekiden_accept_seconds", "From the end of the content to the commit.", "histogram", bounds=_SECONDS
        )
        self.delivery_seconds = shared.declare(
            "ekiden_delivery_seconds", "From acceptance to delivery.", "histogram", bounds=_LONG
        )
        self.commits = shared.declare("ekiden_store_commits", "Transactions of the store.", "counter")
        self.operations = shared.declare(
            "ekiden_store_operations", "Operations in them; divided by the commits: how well they group.", "counter"
        )
        self.rollbacks = shared.declare("ekiden_store_rollbacks", "Transactions that failed.", "counter")
        self.commit_seconds = shared.declare(
            "ekiden_store_commit_seconds", "Time spent in transactions, waiting for the disk included.", "counter"
        )
        self.connections = shared.declare("ekiden_smtp_connections", "Open connections of clients.", "gauge")
        self.connections_total = shared.declare(
            "ekiden_smtp_connections_opened", "Connections of clients that were opened.", "counter"
        )
        self.sessions_ended = shared.declare(
            "ekiden_smtp_sessions_ended",
            "Sessions of clients that were ended because they reached a bound, by the bound.",
            "counter",
            ("bound",),
            [(bound,) for bound in SESSION_BOUNDS],
        )
        self.inbound = shared.declare(
            "ekiden_inbound_messages", "Messages of other servers on stable storage and acknowledged.", "counter"
        )
        self.inbound_octets = shared.declare("ekiden_inbound_bytes", "Octets of their contents.", "counter")
        self.inbound_refused = shared.declare(
            "ekiden_inbound_messages_refused",
            "Messages of other servers that were refused at their end, by the class of the reply.",
            "counter",
            ("reply",),
            [("4xx",), ("5xx",)],
        )
        self.inbound_seconds = shared.declare(
            "ekiden_inbound_seconds", "From the end of their content to the commit.", "histogram", bounds=_SECONDS
        )
        self.inbound_connections = shared.declare(
            "ekiden_inbound_connections", "Open connections of other servers.", "gauge"
        )
        self.inbound_connections_total = shared.declare(
            "ekiden_inbound_connections_opened", "Connections of other servers that were opened.", "counter"
        )
        self.inbound_sessions_ended = shared.declare(
            "ekiden_inbound_sessions_ended",
            "Sessions of other servers that were ended because they reached a bound, by the bound.",
            "counter",
            ("bound",),
            [(bound,) for bound in SESSION_BOUNDS],
        )
        self.http_connections = shared.declare(
            "ekiden_http_connections", "Open connections of HTTP clients.", "gauge"
        )
        self.http_connections_opened = shared.declare(
            "ekiden_http_connections_opened", "Connections of HTTP clients that were opened.", "counter"
        )
        self.http_refused = shared.declare(
            "ekiden_http_refused",
            "Requests and connections that reached a bound of the HTTP listener, by what they were.",
            "counter",
            ("reason",),
            [(reason,) for reason in HTTP_REFUSALS],
        )
        self.bodies_refused = shared.declare(
            "ekiden_http_bodies_refused",
            "Requests to the APIs that were refused before they were looked into, by why.",
            "counter",
            ("why",),
            [(why,) for why in REASONS],
        )
        self.authentications = shared.declare(
            "ekiden_authentications",
            "Logins over SMTP and HTTP by what came of them.",
            "counter",
            ("result",),
            [(result,) for result in LOGIN_RESULTS],
        )
        self.unknown_proxies = shared.declare(
            "ekiden_http_unknown_proxies",
            "Requests that a proxy passed on (X-Forwarded-For) which http.proxy_from does not name.",
            "counter",
        )
        self.outgoing = shared.declare("ekiden_delivery_connections", "Open connections to other servers.", "gauge")
        self.outgoing_opened = shared.declare(
            "ekiden_delivery_connections_opened", "Connections to other servers that were opened.", "counter"
        )
        self.outgoing_encrypted = shared.declare(
            "ekiden_delivery_connections_encrypted", "Those of them that use TLS.", "counter"
        )
        self.outgoing_failed = shared.declare(
            "ekiden_delivery_sites_unreachable", "Times that no address of a site could be talked to.", "counter"
        )
        self.fenced = shared.declare(
            "ekiden_attempts_fenced",
            "Attempts that were reported after the lease was lost: possible duplicates.",
            "counter",
        )
        self.released = shared.declare(
            "ekiden_deliveries_released", "Deliveries given back without an attempt.", "counter"
        )
        self.overdue = shared.declare(
            "ekiden_delivery_overdue",
            "Deadlines of ours that other servers did not keep.",
            "counter",
            ("what",),
            [(what,) for what in OVERDUE],
        )
        self.gave_way = shared.declare(
            "ekiden_delivery_gave_way",
            "Attempts that were cut because they were slow and others needed their connections.",
            "counter",
        )
        self.forbidden = shared.declare(
            "ekiden_delivery_forbidden",
            "Times that a domain led to addresses only that mail must not go to.",
            "counter",
        )
        self.sites_waiting = shared.declare(
            "ekiden_delivery_sites_waiting", "Sites that want a connection and may not have one yet.", "gauge"
        )
        self.in_memory = shared.declare(
            "ekiden_deliveries_in_memory", "Deliveries that workers hold in memory.", "gauge"
        )
        self.callbacks = shared.declare(
            "ekiden_callbacks",
            "Requests to endpoints of accounts.",
            "counter",
            ("result",),
            [("taken",), ("failed",)],
        )
        self.callback_events = shared.declare(
            "ekiden_callback_events",
            "Events that endpoints took, and those that were given up.",
            "counter",
            ("result",),
            [("taken",), ("dead",)],
        )
        self.callback_seconds = shared.declare(
            "ekiden_callback_seconds", "How long endpoints took to answer.", "histogram", bounds=_SECONDS
        )
        self.callback_endpoints = shared.declare(
            "ekiden_callback_endpoints", "Endpoints that are sent to now.", "gauge"
        )
        self.memory = shared.declare(
            "ekiden_memory_bytes", "Memory of all workers; what they share counts once.", "gauge"
        )
        self.budget = shared.declare(
            "ekiden_memory_budget_bytes",
            "Octets that the budgets of all workers allow contents and requests.",
            "gauge",
        )
        self.budget_used = shared.declare(
            "ekiden_memory_budget_used_bytes", "Octets of them that are taken.", "gauge"
        )
        self.budget_peak = shared.declare(
            "ekiden_memory_budget_peak_bytes",
            "The most octets that one worker had taken at once within the last minute.",
            "maximum",
        )
        self.descriptors = shared.declare("ekiden_descriptors", "Open descriptors of all workers.", "gauge")
        self.descriptors_limit = shared.declare(
            "ekiden_descriptors_limit", "Descriptors that one process may have.", "maximum"
        )
        self.accept_paused = shared.declare(
            "ekiden_accept_paused",
            "Times that accepting paused because the system had no descriptor or memory left.",
            "counter",
        )
        self.connections_refused = shared.declare(
            "ekiden_connections_refused",
            "Connections that found no place: too many in all or from their address.",
            "counter",
            ("listener",),
            [("smtp",), ("inbound",), ("http",)],
        )
        self.connections_pushed_out = shared.declare(
            "ekiden_connections_pushed_out",
            "Connections that had proven nothing and gave their place to a newcomer.",
            "counter",
            ("listener",),
            [("smtp",), ("inbound",), ("http",)],
        )
        self.loop_lag = shared.declare(
            "ekiden_loop_lag_seconds", "How long an event loop took to notice a call.", "histogram", bounds=_LAGS
        )
        self.loop_lag_max = shared.declare(
            "ekiden_loop_lag_max_seconds", "The longest of them within the last minute.", "maximum"
        )
        self.hangs = shared.declare("ekiden_worker_hangs", "Workers that hung and were killed.", "counter")
        self.reloads = shared.declare(
            "ekiden_reloads", "Reloads by how they ended.", "counter", ("result",), [("taken",), ("refused",)]
        )
        self.alive = shared.declare("ekiden_worker_processes", "Worker processes of this machine.", "gauge")
        self.restarts = shared.declare("ekiden_worker_restarts", "Workers that ended unasked.", "counter")
        self.log_lost = shared.declare(
            "ekiden_log_lines_lost", "Lines of the log that nobody took, or that had no room.", "counter"
        )
        self.set_aside = shared.declare(
            "ekiden_rows_set_aside", "Times that a row of the database could not be read.", "counter"
        )
        self.storeless = shared.declare(
            "ekiden_workers_without_store", "Workers of this machine that the store does not answer.", "gauge"
        )

    def worker(self, slot: int) -> WorkerMetrics:
        return WorkerMetrics(self, slot)


class WorkerMetrics:
    """The families bound to one worker's slot: what the hot path calls."""

    def __init__(self, metrics: Metrics, slot: int) -> None:
        shared = metrics.shared
        self.slot = slot

        def one(family: Family) -> Any:
            return shared.cells(family, slot)[()]

        self.families = metrics
        self.accepted = one(metrics.accepted)
        self.recipients = one(metrics.recipients)
        self.octets = one(metrics.octets)
        refused = shared.cells(metrics.refused, slot)
        self.refused_4xx = refused["4xx",]
        self.refused_5xx = refused["5xx",]
        attempts = shared.cells(metrics.attempts, slot)
        self.attempts = {
            (state, cause): attempts[state.name.lower(), cause.name.lower()] for state in _ENDS for cause in Cause
        }
        self.accept_seconds = shared.histogram(metrics.accept_seconds, slot)
        self.delivery_seconds = shared.histogram(metrics.delivery_seconds, slot)
        self.commits = one(metrics.commits)
        self.operations = one(metrics.operations)
        self.rollbacks = one(metrics.rollbacks)
        self.commit_seconds = one(metrics.commit_seconds)
        self.connections = one(metrics.connections)
        self.connections_total = one(metrics.connections_total)
        sessions_ended = shared.cells(metrics.sessions_ended, slot)
        self.sessions_ended = {bound: sessions_ended[bound,] for bound in SESSION_BOUNDS}
        self.inbound = one(metrics.inbound)
        self.inbound_octets = one(metrics.inbound_octets)
        inbound_refused = shared.cells(metrics.inbound_refused, slot)
        self.inbound_refused_4xx = inbound_refused["4xx",]
        self.inbound_refused_5xx = inbound_refused["5xx",]
        self.inbound_seconds = shared.histogram(metrics.inbound_seconds, slot)
        self.inbound_connections = one(metrics.inbound_connections)
        self.inbound_connections_total = one(metrics.inbound_connections_total)
        inbound_ended = shared.cells(metrics.inbound_sessions_ended, slot)
        self.inbound_sessions_ended = {bound: inbound_ended[bound,] for bound in SESSION_BOUNDS}
        self.http_connections = one(metrics.http_connections)
        self.http_connections_opened = one(metrics.http_connections_opened)
        http_refused = shared.cells(metrics.http_refused, slot)
        self.http_refused = {reason: http_refused[reason,] for reason in HTTP_REFUSALS}
        bodies_refused = shared.cells(metrics.bodies_refused, slot)
        self.bodies_refused = {why: bodies_refused[why,] for why in REASONS}
        authentications = shared.cells(metrics.authentications, slot)
        self.authentications = {result: authentications[result,] for result in LOGIN_RESULTS}
        self.unknown_proxies = one(metrics.unknown_proxies)
        self.outgoing = one(metrics.outgoing)
        self.outgoing_opened = one(metrics.outgoing_opened)
        self.outgoing_encrypted = one(metrics.outgoing_encrypted)
        self.outgoing_failed = one(metrics.outgoing_failed)
        self.fenced = one(metrics.fenced)
        self.released = one(metrics.released)
        self.overdue = {what: cell for (what,), cell in shared.cells(metrics.overdue, slot).items()}
        self.gave_way = one(metrics.gave_way)
        self.forbidden = one(metrics.forbidden)
        self.sites_waiting = one(metrics.sites_waiting)
        self.in_memory = one(metrics.in_memory)
        callbacks, events = (shared.cells(family, slot) for family in (metrics.callbacks, metrics.callback_events))
        self.callbacks_taken = callbacks["taken",]
        self.callbacks_failed = callbacks["failed",]
        self.events_taken = events["taken",]
        self.events_dead = events["dead",]
        self.callback_seconds = shared.histogram(metrics.callback_seconds, slot)
        self.callback_endpoints = one(metrics.callback_endpoints)
        self.memory = one(metrics.memory)
        self.budget = one(metrics.budget)
        self.budget_used = one(metrics.budget_used)
        self.budget_peak = one(metrics.budget_peak)
        self.descriptors = one(metrics.descriptors)
        self.descriptors_limit = one(metrics.descriptors_limit)
        self.accept_paused = one(metrics.accept_paused)
        refused_by = shared.cells(metrics.connections_refused, slot)
        pushed_out = shared.cells(metrics.connections_pushed_out, slot)
        self.connections_refused = {kind: cell for (kind,), cell in refused_by.items()}
        self.connections_pushed_out = {kind: cell for (kind,), cell in pushed_out.items()}
        self.loop_lag = shared.histogram(metrics.loop_lag, slot)
        self.loop_lag_max = one(metrics.loop_lag_max)
        self.hangs = one(metrics.hangs)
        reloads = shared.cells(metrics.reloads, slot)
        self.reloads_taken = reloads["taken",]
        self.reloads_refused = reloads["refused",]
        self.alive = one(metrics.alive)
        self.restarts = one(metrics.restarts)
        self.storeless = one(metrics.storeless)
        self.set_aside = one(metrics.set_aside)
        self.log_lost = one(metrics.log_lost)


class _Shared(Collector):
    def __init__(self, metrics: Metrics, stats: QueueStats | None, now: int, away: float) -> None:
        self._shared = metrics.shared
        self._away = away
        self._stats = stats
        self._now = now

    def collect(self) -> Iterable[Any]:
        info = GaugeMetricFamily("ekiden_build_info", "Version.", labels=["version"])
        info.add_metric([VERSION], 1)
        yield info
        for family in self._shared.families:
            yield self._family(family)
        yield GaugeMetricFamily(
            "ekiden_store_away_seconds",
            "Since when the store does not answer the worker that says this.",
            self._away,
        )
        if self._stats is not None:
            yield from self._queue(self._stats)

    def _family(self, family: Family) -> Any:
        total = self._shared.most if family.kind == "maximum" else self._shared.total
        if family.kind == "histogram":
            histogram = HistogramMetricFamily(family.name, family.help)
            at = family.rows[0][1]
            below = 0.0
            buckets = []
            for index, bound in enumerate((*map(str, map(float, family.bounds)), "+Inf")):
                below += total(at + index)
                buckets.append((bound, below))
            histogram.add_metric([], buckets, total(at + len(family.bounds) + 1))
            return histogram
        kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
        metric = kind(family.name, family.help, labels=family.labels)
        for values, at in family.rows:
            metric.add_metric(values, total(at))
        return metric

    def _queue(self, stats: QueueStats) -> Iterator[Any]:
        queue = GaugeMetricFamily("ekiden_queue_deliveries", "Deliveries that are not final.", labels=["state"])
        for state in _WAITING:
            queue.add_metric([state.name.lower()], stats.by_state.get(state, 0))
        yield queue
        late = 0.0 if stats.oldest_due is None else max(0, self._now - stats.oldest_due) / SECOND
        yield GaugeMetricFamily(
            "ekiden_queue_oldest_due_seconds", "How long the delivery that is due longest has been due.", late
        )
        yield GaugeMetricFamily("ekiden_workers", "Workers of all machines that are alive.", stats.workers)
        yield GaugeMetricFamily("ekiden_leases", "Single duties that are held.", stats.leases)


class Exposition:
    """Makes the text for ``/metrics``."""

    def __init__(
        self, metrics: Metrics, store: Store, clock: Clock, away: Callable[[], float] = lambda: 0.0
    ) -> None:
        """``away``: seconds since when the store does not answer."""
        self._away = away
        self._metrics = metrics
        self._store = store
        self._clock = clock
        self._stats: QueueStats | None = None
        self._stats_at = 0
        self._text = b""
        self._made: deque[Millis] = deque(maxlen=_TEXTS)

    async def text(self) -> bytes:
        """The exposition format. The queue's numbers are missing while the store cannot be reached.

        Whoever asks more often than anybody scrapes gets what was made last: it takes milliseconds of the loop,
        and nobody has to log in for it.
        """
        now = self._clock.now()
        if self._text and len(self._made) == _TEXTS and 0 <= now - self._made[0] < SECOND:
            return self._text
        if self._stats is None or now - self._stats_at >= _STATS_AGE:
            try:
                async with asyncio.timeout(_STATS_PATIENCE):
                    self._stats = await self._store.stats()
            except Exception:  # the other numbers are worth the more then
                self._stats = None
            self._stats_at = now
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Shared(self._metrics, self._stats, now, self._away()))
        self._text = generate_latest(registry)
        self._made.append(now)
        return self._text


def memory_bytes() -> int:
    """This process's share of memory (PSS): pages that workers share count once over all of them. 0: not known."""
    try:
        with open("/proc/self/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
