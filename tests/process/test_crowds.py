"""A real ``ekiden serve`` with few descriptors and many who want them; workers that stand still."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Eventually = Callable[[Callable[[], Any], str], Any]
FEW = 256


def limits(pid: int, what: str) -> list[str]:
    """Soft and hard limit of a process."""
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith(what):
            return line[len(what) :].split()[:2]
    raise AssertionError(what)


@contextlib.contextmanager
def soft_limit(descriptors: int) -> Iterator[None]:
    """For children of this process that are started meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def submit_greeting(address: list[Any], source: str) -> bool:
    """Whether a client from ``source`` gets as far as EHLO inside TLS."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with smtplib.SMTP(*address, timeout=10, source_address=(source, 0)) as client:
            client.starttls(context=context)
            return client.ehlo()[0] == 250
    except (OSError, smtplib.SMTPException):
        return False


def silent(address: tuple[str, int], source: str) -> socket.socket | None:
    made = socket.socket()
    try:
        made.settimeout(5)
        made.bind((source, 0))
        made.connect(address)
    except OSError:
        made.close()
        return None
    return made


def test_the_soft_limit_becomes_the_hard_one_and_cores_are_off(serving: Any) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with soft_limit(512):
        serving.start()
    (worker,) = serving.workers()
    assert limits(worker, "Max open files") == [str(hard), str(hard)]
    # A limit of 1 octet: no file, and nothing through a pipe either.
    assert limits(worker, "Max core file size") == ["1", "1"]
    assert serving.metric("ekiden_descriptors_limit") == hard
    assert serving.stop() == 0


def test_more_silent_connections_than_descriptors(serving: Any, eventually: Eventually) -> None:
    """From many addresses, at every port; the victim comes from yet another one."""
    serving.settings["workers"] |= {"count": 2, "lease": "15s"}
    serving.few_descriptors = FEW
    facts = serving.start()
    workers = sorted(serving.workers())
    assert [limits(worker, "Max open files") for worker in workers] == [[str(FEW)] * 2] * 2
    http = facts["http"][0].rpartition("/")[2].partition(":")
    ports = [
        tuple(facts["smtp"]["submission"][0]),
        tuple(facts["smtp"]["submissions"][0]),
        (http[0], int(http[2])),
    ]
    with contextlib.ExitStack() as stack:
        for number in range(300):
            for port in ports:
                made = silent(port, f"127.0.{1 + number % 100}.{1 + number // 100}")
                if made is not None:
                    stack.callback(made.close)
            if number % 100 == 99:
                submission = facts["smtp"]["submission"][0]
                eventually(lambda to=submission: submit_greeting(to, "127.0.200.1"), "service for the victim")
                assert serving.get("/healthz")[0] == 200
                assert serving.metric("ekiden_worker_processes") == 2
        assert sorted(serving.workers()) == workers
        assert serving.metric("ekiden_worker_restarts_total") == 0
        pushed_out = 'ekiden_connections_pushed_out_total{listener="smtp"}'
        assert serving.metric(pushed_out) + serving.metric('ekiden_connections_refused_total{listener="smtp"}') > 0
    # Afterwards everything is as before.
    eventually(lambda: serving.metric("ekiden_smtp_connections") == 0, "the end of the crowd")
    assert serving.stop() == 0


def test_descriptors_that_are_taken_from_a_running_worker(serving: Any, eventually: Eventually) -> None:
    """Silent connections hold all that are left. They make room, minutes before anything would end them."""
    facts = serving.start()
    submission = tuple(facts["smtp"]["submission"][0])
    (worker,) = serving.workers()
    with contextlib.ExitStack() as stack:
        for number in range(200):
            made = silent(submission, f"127.0.100.{1 + number // 10}")
            assert made is not None
            stack.callback(made.close)
        eventually(lambda: serving.metric("ekiden_smtp_connections") == 200, "the crowd")

        def taken() -> set[int]:
            return {int(each.name) for each in Path(f"/proc/{worker}/fd").iterdir()}

        def settled() -> set[int] | None:
            """The connection that asked for the metric is closed a moment later."""
            before = taken()
            time.sleep(0.3)
            return before if taken() == before else None

        # Connections in every place: whatever is given back can be used again below the limit.
        while holes := set(range(max(used := eventually(settled, "descriptors that stay")))) - used:
            for number in range(len(holes)):
                made = silent(submission, f"127.0.101.{1 + number // 10}")
                assert made is not None
                stack.callback(made.close)
        held = max(used) + 1
        hard = resource.prlimit(worker, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (held, hard))
        eventually(lambda: submit_greeting(list(submission), "127.0.200.1"), "service for the victim")
        assert serving.metric("ekiden_accept_paused_total") > 0
        assert serving.workers() == [worker]
    assert serving.stop() == 0


@pytest.mark.parametrize("loop", ["submission", "submissions"])
def test_a_stopped_worker_is_replaced_and_its_port_answers(serving: Any, eventually: Eventually, loop: str) -> None:
    serving.settings["workers"] |= {"lease": "15s", "hang_timeout": "2s"}
    facts = serving.start()
    (worker,) = serving.workers()
    os.kill(worker, signal.SIGSTOP)
    eventually(lambda: serving.workers() and serving.workers() != [worker], "another worker")

    def answers() -> bool:
        made = silent(tuple(facts["smtp"][loop][0]), "127.0.0.9")
        if made is not None:
            made.close()
        try:
            return made is not None and serving.get("/healthz")[0] == 200
        except OSError:
            return False

    eventually(answers, "an answer on the same port")
    line = eventually(lambda: serving.said("worker hangs, killing it"), "a word about it")
    assert line["worker_pid"] == worker
    assert serving.metric("ekiden_worker_hangs_total") == 1
    assert serving.stop() == 0


def test_thirty_one_reloads_at_once(serving: Any, eventually: Eventually) -> None:
    serving.settings["workers"] |= {"count": 2, "lease": "15s"}
    serving.start()
    old = set(serving.workers())
    for _ in range(31):
        serving.signal(signal.SIGHUP)
    eventually(lambda: len(serving.workers()) == 2 and not old & set(serving.workers()), "new workers")
    # Of those that came while the first was under way, one remains; none is lost and none is one too many.
    eventually(
        lambda: 1 <= serving.metric('ekiden_reloads_total{result="taken"}') <= 2 and len(serving.workers()) == 2,
        "the end of the reloads",
    )
    assert serving.metric("ekiden_worker_restarts_total") == 0
    assert serving.stop() == 0
