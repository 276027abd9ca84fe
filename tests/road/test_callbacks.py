"""Callbacks of the running platform: receivers that fail and come back, workers that are killed, dead endpoints."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import smtplib
import socket
import time
import uuid
from collections import Counter, defaultdict
from contextlib import suppress
from typing import Any

import pytest
from callback_road import Hook

from ekiden.config.load import load_config
from ekiden.notify.administration import EndpointState, list_endpoints
from ekiden.store.open import open_store
from ekiden.wiring.dialects import DIALECTS
from support.demo_process import Demo, wait_for

STORES = pytest.mark.parametrize("store", ["sqlite", "postgresql"])
QUICK = {"EKIDEN_WORKERS__LEASE": "1s"}
MESSAGES = 30
KILLS = 6


def content(url: str, *more: str) -> bytes:
    header = "".join(f"{line}\r\n" for line in (f"X-IB-Notify-Url: {url}", *more))
    return f"{header}Subject: callback\r\n\r\nx\r\n".encode()


def send_all(demo: Demo, count: int, sent: bytes) -> list[str]:
    """Queue ids."""
    with demo.login(demo.connect()) as client:
        return [demo.send(client, [f"{uuid.uuid4().hex}@accept.lab.test"], sent) for _ in range(count)]


def endpoint(demo: Demo, url: str) -> EndpointState:
    """Its state, once it exists; read here, because a command for each look takes too long."""

    async def main() -> EndpointState | None:
        store = await open_store(load_config(demo.facts["config"], {}, dialects=DIALECTS).store_url())
        try:
            return next((item for item in await list_endpoints(store) if item.url == url), None)
        finally:
            await store.close()

    found: EndpointState = wait_for(lambda: asyncio.run(main()), f"the endpoint of {url}")
    return found


def try_again(demo: Demo, url: str) -> EndpointState:
    """As an operator does, who does not want to wait for the next try."""
    found = endpoint(demo, url)
    if found.failures and found.retry_at:
        demo.run("callback", "retry", str(found.id))
    return found


@STORES
def test_a_receiver_that_comes_back_gets_everything_in_order(store: str, eventually: Any) -> None:
    demo = Demo("--workers", "2", "--store", store)
    try:
        hook = Hook(demo)
        hook.behave(
            {"status": 503, "times": 1},
            {"disconnect": "reset", "times": 1},
            {"status": 500, "times": 1},
            {"status": 503},
        )
        ids = send_all(demo, MESSAGES, content(hook.url, "X-IB-Intermediate-Report: true"))
        # The acceptance of each, and its delivery.
        eventually(lambda: endpoint(demo, hook.url).waiting == 2 * MESSAGES, "all of it to wait")
        eventually(lambda: try_again(demo, hook.url).failures >= 3, "three tries to fail")
        hook.behave()
        eventually(lambda: not try_again(demo, hook.url).waiting, "the rest to be told")
        states = defaultdict(list)
        for report in hook.reports(2 * MESSAGES):
            states[report["messageId"]].append(report["status"]["groupName"])
        assert states == {id: ["PENDING", "DELIVERED"] for id in ids}
        assert endpoint(demo, hook.url).failures == 0
        # The log has what was refused, and what was taken.
        number = str(endpoint(demo, hook.url).id)
        logged = Counter(
            item["status"] for item in demo.run("callback", "log", "--endpoint", number, "--limit", "1000")
        )
        assert logged[503] >= 1
        assert logged[200] >= 1
        assert [item["status"] for item in hook.requests()][:4] == [503, 0, 500, 503]
        trace = demo.trace(ids[0])
        (told,) = [route for route in trace["routes"] if route["url"] == hook.url]
        assert (told["waiting"], told["dead"], told["failures"]) == (0, 0, 0)
    finally:
        assert demo.stop() == 0


@STORES
def test_killed_workers_lose_no_callback(store: str, eventually: Any, record_property: Any) -> None:
    """Twice at most what was on its way, and then the very same."""
    seed = random.SystemRandom().randrange(1_000_000)
    chance = random.Random(seed)
    demo = Demo("--workers", "2", "--store", store, environment=QUICK)
    try:
        hook = Hook(demo)
        # So that there are always some on their way.
        hook.behave({"status": 200, "delay": 0.2})
        acknowledged: set[str] = set()
        kills = 0
        client: smtplib.SMTP | None = None
        number = 0
        while kills < KILLS:
            number += 1
            try:
                client = client or demo.login(demo.connect())
                acknowledged.add(demo.send(client, [f"{number}@accept.lab.test"], content(hook.url)))
            except (OSError, smtplib.SMTPException, AssertionError):
                client = None
                time.sleep(0.05)
                continue
            if len(acknowledged) % 8 == 7 and (workers := demo.workers()):
                with suppress(ProcessLookupError):
                    os.kill(chance.choice(workers), signal.SIGKILL)
                    kills += 1
        eventually(
            lambda: acknowledged <= {report["messageId"] for report in hook.reports(len(acknowledged))},
            f"all of {len(acknowledged)} (seed {seed}, {kills} kills)",
        )
        eventually(lambda: not endpoint(demo, hook.url).waiting, "the rest to be told")
        found = defaultdict(list)
        for report in hook.reports():
            found[report["messageId"]].append(report)
        twice = {id: reports for id, reports in found.items() if len(reports) > 1}
        for reports in twice.values():
            assert all(report == reports[0] for report in reports)
        record_property("figures", f"{kills} kills, {len(acknowledged)} acknowledged, {len(twice)} told twice")
        assert endpoint(demo, hook.url).failures == 0
    finally:
        demo.stop()


@STORES
def test_dead_endpoints_delay_no_living_one(store: str, eventually: Any) -> None:
    """One never answers, one refuses connections, one is refused by name; one worker serves them all."""
    demo = Demo("--workers", "1", "--store", store, environment={"EKIDEN_CALLBACKS__TIMEOUT": "1h"})
    try:
        silent, living = Hook(demo), Hook(demo)
        silent.behave({"status": 200, "delay": 3600})
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/"
            dead = (silent.url, nobody, "http://nowhere.nxdomain.lab.test/")
            for url in dead:
                send_all(demo, MESSAGES, content(url))
            # It has a request, and will never answer.
            assert len(silent.requests()) >= 1
            ids = send_all(demo, MESSAGES, content(living.url))
            assert {report["messageId"] for report in living.reports(MESSAGES)} == set(ids)
            for url in dead:
                eventually(lambda url=url: endpoint(demo, url).waiting == MESSAGES, f"{url} to wait")
            for url in dead[1:]:
                eventually(lambda url=url: endpoint(demo, url).failures >= 1, f"{url} to fail")
            assert endpoint(demo, living.url).waiting == 0
            assert all(json.loads(item["body"]) for item in living.requests())
    finally:
        assert demo.stop() == 0
