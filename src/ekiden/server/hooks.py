"""What the rooms report while they run, as numbers of this worker."""

from __future__ import annotations

from ekiden.core.states import Cause, State
from ekiden.server.metrics import WorkerMetrics, memory_bytes
from ekiden.store.records import Counters


class DeliveryCounts:
    """``delivery.metrics.DeliveryMetrics``."""

    def __init__(self, metrics: WorkerMetrics) -> None:
        self._attempts = metrics.attempts
        self._seconds = metrics.delivery_seconds
        self._open = metrics.outgoing
        self._opened = metrics.outgoing_opened
        self._encrypted = metrics.outgoing_encrypted
        self._failed = metrics.outgoing_failed
        self._in_memory = metrics.in_memory
        self._fenced = metrics.fenced
        self._released = metrics.released

    def attempt(self, state: State, cause: Cause) -> None:
        cell = self._attempts.get((state, cause))
        if cell is not None:
            cell.inc()

    def delivered(self, seconds: float) -> None:
        self._seconds.observe(seconds)

    def connection_opened(self, tls: bool) -> None:
        self._open.inc()
        self._opened.inc()
        if tls:
            self._encrypted.inc()

    def connection_failed(self) -> None:
        self._failed.inc()

    def connection_closed(self) -> None:
        self._open.dec()

    def in_memory(self, deliveries: int) -> None:
        self._in_memory.set(deliveries)

    def fenced(self) -> None:
        self._fenced.inc()

    def released(self, count: int) -> None:
        self._released.inc(count)


class SmtpCounts:
    """``server.smtp_shared.SmtpMetrics``."""

    def __init__(self, metrics: WorkerMetrics) -> None:
        self._open = metrics.connections
        self._opened = metrics.connections_total
        self._accepted = metrics.accepted
        self._recipients = metrics.recipients
        self._octets = metrics.octets
        self._seconds = metrics.accept_seconds
        self._refused_4xx = metrics.refused_4xx
        self._refused_5xx = metrics.refused_5xx
        self._authenticated = metrics.authenticated
        self._not_authenticated = metrics.not_authenticated

    def connection_opened(self) -> None:
        self._open.inc()
        self._opened.inc()

    def connection_closed(self) -> None:
        self._open.dec()

    def message_accepted(self, recipients: int, size: int, seconds: float) -> None:
        self._accepted.inc()
        self._recipients.inc(recipients)
        self._octets.inc(size)
        self._seconds.observe(seconds)

    def message_rejected(self, code: int) -> None:
        (self._refused_4xx if code < 500 else self._refused_5xx).inc()

    def authenticated(self, result: str) -> None:
        (self._authenticated if result == "accepted" else self._not_authenticated).inc()


class Sampler:
    """Numbers that are looked at rather than counted: memory, and what the store has counted for itself."""

    def __init__(self, metrics: WorkerMetrics, counters: Counters) -> None:
        self._metrics = metrics
        self._counters = counters
        self._seen = Counters()

    def sample(self) -> None:
        """Bring the shared numbers up to date."""
        metrics, now, seen = self._metrics, self._counters, self._seen
        metrics.commits.inc(now.commits - seen.commits)
        metrics.operations.inc(now.units - seen.units)
        metrics.rollbacks.inc(now.failures - seen.failures)
        metrics.commit_seconds.inc(now.seconds - seen.seconds)
        self._seen = Counters(now.commits, now.units, now.failures, now.seconds)

    def weigh(self) -> None:
        """Look at the memory of this process; takes a few milliseconds."""
        self._metrics.memory.set(memory_bytes())
