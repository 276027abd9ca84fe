"""Numbers in shared memory: counted by several processes, summed by whoever is asked."""

from __future__ import annotations

import os

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ekiden.core.clock import SECOND
from ekiden.core.states import Cause, State
from ekiden.net.clock import SystemClock
from ekiden.process.counts import DeliveryCounts, LoginCounts, SmtpCounts
from ekiden.process.metrics import Exposition, Metrics
from ekiden.process.shared_counters import SharedCounters
from ekiden.store.api import Store
from support.manual_clock import ManualClock


def test_processes_count_together() -> None:
    shared = SharedCounters(3)
    family = shared.declare("hits", "", "counter")
    children = []
    for slot in range(3):
        pid = os.fork()
        if pid == 0:
            cell = shared.cells(family, slot)[()]
            for _ in range(1000):
                cell.inc()
            os._exit(0)
        children.append(pid)
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    assert shared.total(family.rows[0][1]) == 3000


def test_a_worker_that_ended_keeps_its_counts_and_loses_its_gauges() -> None:
    shared = SharedCounters(2)
    counter, gauge = shared.declare("c", "", "counter"), shared.declare("g", "", "gauge")
    for slot in (0, 1):
        shared.cells(counter, slot)[()].inc(5)
        shared.cells(gauge, slot)[()].set(7)
    shared.reset_gauges(1)
    assert shared.total(counter.rows[0][1]) == 10
    assert shared.total(gauge.rows[0][1]) == 7


def test_a_histogram_puts_a_bound_into_its_own_bucket() -> None:
    shared = SharedCounters(1)
    family = shared.declare("h", "", "histogram", bounds=(0.1, 1.0))
    histogram = shared.histogram(family, 0)
    for value in (0.05, 0.1, 0.5, 1.0, 3.0):
        histogram.observe(value)
    at = family.rows[0][1]
    assert [shared.total(at + index) for index in range(3)] == [2, 2, 1]
    assert shared.total(at + 3) == pytest.approx(4.65)


def test_too_many_numbers_are_noticed() -> None:
    shared = SharedCounters(1)
    with pytest.raises(ValueError, match="no room"):
        shared.declare("c", "", "counter", ("x",), [(str(number),) for number in range(10_000)])


async def test_the_text_is_what_prometheus_reads(store: Store) -> None:
    metrics = Metrics(4)
    one, two = metrics.worker(1), metrics.worker(2)
    smtp, delivery = SmtpCounts(one), DeliveryCounts(two)
    smtp.connection_opened()
    smtp.message_accepted(3, 4096, 0.004)
    smtp.message_rejected(451)
    smtp.message_rejected(550)
    logins = LoginCounts(one)
    logins("accepted")
    logins("bad_credentials")
    delivery.connection_opened(True)
    delivery.attempt(State.DELIVERED, Cause.NONE)
    delivery.attempt(State.BOUNCED, Cause.RECIPIENT)
    delivery.delivered(0.2)
    delivery.fenced()
    delivery.released(4)
    delivery.in_memory(9)
    text = (await Exposition(metrics, store, SystemClock()).text()).decode()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["ekiden_messages_accepted_total",] == 1
    assert samples["ekiden_recipients_accepted_total",] == 3
    assert samples["ekiden_accepted_bytes_total",] == 4096
    assert samples["ekiden_messages_refused_total", "4xx"] == 1
    assert samples["ekiden_messages_refused_total", "5xx"] == 1
    assert samples["ekiden_authentications_total", "bad_credentials"] == 1
    assert samples["ekiden_accept_seconds_bucket", "0.005"] == 1
    assert samples["ekiden_accept_seconds_bucket", "0.0025"] == 0
    assert samples["ekiden_accept_seconds_count",] == 1
    assert samples["ekiden_delivery_seconds_sum",] == pytest.approx(0.2)
    assert samples["ekiden_attempts_total", "none", "delivered"] == 1
    assert samples["ekiden_attempts_total", "recipient", "bounced"] == 1
    assert samples["ekiden_attempts_fenced_total",] == 1
    assert samples["ekiden_deliveries_released_total",] == 4
    assert samples["ekiden_deliveries_in_memory",] == 9
    assert samples["ekiden_delivery_connections",] == 1
    assert samples["ekiden_queue_deliveries", "deferred"] == 0


async def test_a_flood_of_scrapes_gets_what_was_made_last(store: Store) -> None:
    """Nobody has to log in for them, and each takes milliseconds of the event loop to make."""
    clock = ManualClock()
    metrics = Metrics()
    exposition = Exposition(metrics, store, clock)
    worker = metrics.worker(0)
    texts = []
    for _ in range(100):
        worker.callback_seconds.observe(0.1)  # every text that is made differs from the one before
        texts.append(await exposition.text())
    assert len(set(texts)) == 10
    clock.advance(SECOND)
    assert await exposition.text() not in texts
