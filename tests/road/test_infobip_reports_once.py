"""Reports are handed out once: to many callers at once, to callers who hang up, by workers that are killed.

What a crash can cost is what was being answered at that moment: the reports of such an answer are not handed out
again, and stay in the logs. Each test prints how many there were.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from infobip_road import UNTHROTTLED, InfobipRoad, unique

from support.demo_process import PATIENCE, Demo, wait_for
from support.official_clients import InfobipPython

SEVERAL = 1_000  # recipients of a request, the most that it may have
PATHS = ("/email/1/reports", "/email/4/reports")
CALLERS = 6
KILLS = 6
EMPTY = 3  # answers without a report, one after the other, after which a caller goes home

Fetch = Callable[[int], list[str] | None]
"""Ask for so many reports: the ids that were told; ``None``: nobody answered, and nobody was asked."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def crowded(request: pytest.FixtureRequest) -> Iterator[InfobipRoad]:
    """A demo of its own: its workers are killed. Its account knows addresses that get no mail."""
    environment = UNTHROTTLED | {"EKIDEN_WORKERS__LEASE": "1s"}
    demo = Demo("--workers", "2", "--store", request.param, environment=environment)
    try:
        road = InfobipRoad(demo)
        entry = {"domainName": road.domain, "type": "BOUNCE", "emailAddress": addresses()}
        assert road.json("POST", "/email/1/suppressions", {"suppressions": [entry]}).status == 204
        yield road
    finally:
        demo.stop()


def addresses() -> list[str]:
    return [f"nobody-{number}@accept.lab.test" for number in range(SEVERAL)]


def fill(road: InfobipRoad, requests: int) -> tuple[str, set[str]]:
    """A bulk that is done: its name, and the ids of its reports. Nobody has to be mailed for one."""
    bulk, ids = unique("bulk-"), set()
    message = {
        "sender": road.sender,
        "destinations": [{"to": [{"destination": address} for address in addresses()]}],
        "content": {"subject": "x", "text": "x"},
    }
    asked = {"messages": [message], "options": {"schedule": {"bulkId": bulk}}}
    for _ in range(requests):
        sent = road.json("POST", "/email/4/messages", asked)
        assert sent.status == 200, sent.body
        ids |= {entry["messageId"] for entry in sent.json["messages"]}
    assert len(ids) == requests * SEVERAL
    status = f"/email/1/bulks/status?bulkId={bulk}"
    # Workers tell each other of suppressions within a second; who did not know yet has mailed.
    wait_for(
        lambda: road.request("GET", status).json["bulks"][0]["status"] in ("FINISHED", "FAILED"), "the end of all"
    )
    return bulk, ids


class Tally:
    """What all callers were told together."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self.told: Counter[str] = Counter()
        self.answers = 0
        self.unanswered = 0
        self.at_risk = 0
        """Reports that requests without an answer can have taken, at most."""

    def answered(self, ids: list[str]) -> None:
        with self._turn:
            self.told.update(ids)
            self.answers += 1

    def lost(self, limit: int) -> None:
        with self._turn:
            self.unanswered += 1
            self.at_risk += limit


class Caller(threading.Thread):
    """Asks until there seems to be nothing left. ``error``: what went wrong."""

    def __init__(self, fetch: Fetch, tally: Tally, most: int) -> None:
        super().__init__(daemon=True)
        self._fetch = fetch
        self._tally = tally
        self._most = most
        self.error: BaseException | None = None

    def run(self) -> None:
        chance = random.Random()
        empty = 0
        try:
            while empty < EMPTY:
                limit = chance.randint(1, self._most)
                ids = self._fetch(limit)
                if ids is not None:
                    assert len(ids) <= limit
                    self._tally.answered(ids)
                    empty = 0 if ids else empty + 1
        except BaseException as error:
            self.error = error


def run(callers: list[Caller], meanwhile: Callable[[], None] = lambda: None) -> None:
    for caller in callers:
        caller.start()
    meanwhile()
    for caller in callers:
        caller.join(PATIENCE)
        assert not caller.is_alive(), "a caller waits in vain"
        if caller.error is not None:
            raise caller.error


def plain(road: InfobipRoad, path: str, tally: Tally) -> Fetch:
    """Any reports, over a connection of its own for each request, so that both workers are asked."""
    place = urlsplit(road.base).netloc

    def fetch(limit: int) -> list[str] | None:
        connection = http.client.HTTPConnection(place, timeout=PATIENCE)
        try:
            connection.connect()
        except OSError:
            return None  # nobody listens while both workers are down
        try:
            connection.request("GET", f"{path}?limit={limit}", headers={"Authorization": f"App {road.key}"})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            tally.lost(limit)
            return None
        finally:
            connection.close()
        assert answer.status == 200, body
        return [result["messageId"] for result in json.loads(body)["results"]]

    return fetch


def official(client: Any, bulk: str) -> Fetch:
    """Those of a bulk."""

    def fetch(limit: int) -> list[str]:
        found = client.call("get_email_delivery_reports", bulk_id=bulk, limit=limit)
        return [result["messageId"] for result in found["results"]]

    return fetch


def hang_up(road: InfobipRoad, path: str, tally: Tally, limit: int, octets: int) -> None:
    """Ask, read so much of the answer, and cut the connection, as a caller that is killed does. ``OSError`` when
    nobody listens, or the worker was killed."""
    place = urlsplit(road.base)
    with socket.create_connection((str(place.hostname), place.port or 0), PATIENCE) as connection:
        tally.lost(limit)
        head = f"GET {path}?limit={limit} HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: App {road.key}\r\n\r\n"
        connection.sendall(head.encode())
        if octets:
            connection.recv(octets)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def logged(road: InfobipRoad, bulk: str) -> set[str]:
    """The ids in the logs of a bulk."""
    found: set[str] = set()
    more = ""
    while True:
        reply = road.request("GET", f"/email/4/logs?bulkId={bulk}&limit=1000{more}")
        assert reply.status == 200, reply.body
        found |= {result["messageId"] for result in reply.json["results"]}
        cursor = reply.json["cursor"]["nextCursor"]
        if not cursor:
            return found
        more = f"&useCursor=true&cursor={cursor}"


def test_no_report_is_told_twice_to_many_callers(
    crowded: InfobipRoad, infobip_5: InfobipPython, infobip_6: InfobipPython, record_property: Any
) -> None:
    bulk, ids = fill(crowded, 2)
    tally = Tally()
    callers = [Caller(plain(crowded, PATHS[number % 2], tally), tally, 50) for number in range(CALLERS)]
    for program in (infobip_5, infobip_6):
        callers.append(Caller(official(program.client(crowded.base, crowded.key), bulk), tally, 50))
    run(callers)
    record_property("figures", f"{len(tally.told)} reports in {tally.answers} answers to {len(callers)} callers")
    assert tally.unanswered == 0
    assert {name: count for name, count in tally.told.items() if count > 1} == {}
    assert set(tally.told) == ids
    for path in PATHS:
        assert crowded.request("GET", path).json == {"results": []}


def test_what_a_crash_can_cost(crowded: InfobipRoad, record_property: Any) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    chance = random.Random(seed)
    bulk, ids = fill(crowded, 3)
    tally = Tally()
    hung_up = 0

    def trouble() -> None:
        """One worker is killed whenever another part of the reports is gone, and callers with it."""
        nonlocal hung_up
        for kill in range(1, KILLS + 1):
            wait_for(
                lambda part=kill: len(tally.told) >= len(ids) * part // (KILLS + 2), f"part {kill} (seed {seed})"
            )
            for path in PATHS:
                limit = chance.randint(1, 30)
                # Nothing of the answer, its beginning, some of its body.
                with contextlib.suppress(OSError):
                    hang_up(crowded, path, tally, limit, chance.choice([0, 10, 2_000]))
                    hung_up += 1
            for worker in chance.sample(crowded.demo.workers(), 1):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)

    run([Caller(plain(crowded, PATHS[number % 2], tally), tally, 10) for number in range(CALLERS)], trouble)
    # Whoever went home while both workers were down has left something.
    run([Caller(plain(crowded, PATHS[0], tally), tally, SEVERAL)])
    missing = ids - set(tally.told)
    record_property(
        "figures",
        f"{KILLS} workers killed, {hung_up} callers hung up, {len(ids)} reports in {tally.answers} answers, "
        f"{tally.unanswered} answers lost with {len(missing)} reports of {tally.at_risk} at most, "
        f"0 told twice (seed {seed})",
    )
    assert {name: count for name, count in tally.told.items() if count > 1} == {}
    assert set(tally.told) <= ids
    assert len(missing) <= tally.at_risk
    assert logged(crowded, bulk) == ids
