"""How long one request with 1,000 recipients takes until it is answered, beside 1,000 messages through SMTP.

Both go to the same server in the same round. A request has texts that are filled for each recipient; SMTP gets
messages of the size that they have then, over connections of our generator, which pipelines (RFC 2920). What either
sent has reached the sink before the next begins. Before the clock starts, what arrives is looked at.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import proof
from bench.ekiden_server import Ekiden
from bench.figures import Spread, spread
from bench.infobip_client import Body, form_body, json_body, name_of, post
from bench.load import Endpoint, Generator
from bench.measure import started
from bench.peers import Run
from bench.report import Table, show
from bench.sink import Sink
from bench.tools import BenchError, free_ports, tail

_RECIPIENTS = 1000
_QUICK_RECIPIENTS = 100
_ROUNDS = 3
_DOMAIN = "dst.test"
_WARM_UP = 100
_SETTLE = 0.3
_TIMEOUT = 60.0
_LENGTH_OF_FIELDS = 200
"""Octets that the door adds to either: Received and so on do not count as size of a message."""
JSON = "/email/4/messages"
FORM = "/email/3/send"
TRACKED = "/email/4/messages, opens and clicks tracked"
CONNECTIONS = {"SMTP, 8 connections": 8, "SMTP, 1 connection": 1}
JUDGED = (JSON, FORM)
"""Against SMTP with 8 connections."""


@dataclass(slots=True)
class Requested:
    """Figures of one server: seconds of each round, by the way that the messages came."""

    server: str
    title: str
    recipients: int
    octets: int = 0
    """Of a message as SMTP brings it."""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    error: str = ""

    def ratio(self, way: str, beside: str) -> Spread | None:
        """How many times ``beside`` takes as long as ``way`` in the same round."""
        pairs = zip(self.seconds.get(way, ()), self.seconds.get(beside, ()), strict=False)
        return spread([other / mine for mine, other in pairs])


def servers() -> list[Ekiden]:
    """Those that are measured."""
    return [
        Ekiden("ekiden", workers=2),
        Ekiden("ekiden1", workers=1),
        Ekiden("ekiden-pg", workers=2, postgresql=True),
        Ekiden("ekiden-dkim", workers=2, signing="rsa"),
        Ekiden("ekiden-dkim1", workers=1, signing="rsa"),
        Ekiden("ekiden-pg-dkim", workers=2, postgresql=True, signing="rsa"),
    ]


def bodies(recipients: int) -> dict[str, Body]:
    """The requests, by their names."""
    return {
        JSON: json_body(recipients, _DOMAIN),
        FORM: form_body(recipients, _DOMAIN),
        TRACKED: json_body(recipients, _DOMAIN, tracked=True),
    }


def _through_smtp(endpoint: Endpoint, messages: int, length: int, sessions: int) -> float:
    """Seconds from the first connection until the last 250."""
    argv = [sys.executable, "-m", "bench.auth_load", "--plain", "--reuse", "--pipelining"]
    argv += ["--port", str(endpoint.port), "--sessions", str(sessions)]
    generator = Generator([*argv, "--messages", str(messages), "--length", str(length)])
    try:
        deadline = time.monotonic() + _TIMEOUT
        while generator.finished is None:
            if time.monotonic() > deadline:
                raise BenchError(f"{messages} messages through SMTP took more than {_TIMEOUT:.0f} s")
            time.sleep(0.02)
        return float(generator.result()["seconds"])
    finally:
        generator.close()


def _prove(server: Ekiden, run: Run, endpoint: Endpoint) -> int:
    """Look at messages of a request; returns their size. Raises ``BenchError`` when they are not as they should."""
    with proof.Receiver(run.sink_port) as receiver:
        for body in (json_body(proof.MESSAGES, _DOMAIN), form_body(proof.MESSAGES, _DOMAIN)):
            before = receiver.count()
            post(endpoint, body)
            _await(receiver, before + body.messages)
        contents = list(receiver.messages)
    check_personal(contents, 2)
    if server.signatures:
        proof.check(contents, server.signatures, server.key_records(run))
    # Those of the form have no text beside their HTML; both kinds were sent as often.
    return sum(map(len, contents)) // len(contents) - _LENGTH_OF_FIELDS


def check_personal(contents: Sequence[bytes], times: int) -> None:
    """Raises ``BenchError`` unless each recipient's name is the subject of so many messages."""
    subjects = [line for content in contents for line in content.split(b"\r\n") if line.startswith(b"Subject:")]
    for number in range(1, proof.MESSAGES + 1):
        wanted = f"Subject: Hello {name_of(number)},".encode()
        found = sum(subject.startswith(wanted) for subject in subjects)
        if found != times:
            raise BenchError(f"{found} messages are to {name_of(number)}, not {times}")


def _await(sink: Sink | proof.Receiver, wanted: int) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while sink.count() < wanted:
        if time.monotonic() > deadline:
            raise BenchError(f"{sink.count()} of {wanted} messages reached the sink in {_TIMEOUT:.0f} s")
        time.sleep(0.02)


def measure(server: Ekiden, result: Requested, rounds: int, base: Path, keep: bool = False) -> None:
    """Fill ``result``. Raises ``BenchError``; nothing is left running."""
    (sink_port,) = free_ports(1)
    made = bodies(result.recipients)
    with started(server, base, sink_port, keep) as (run, endpoint):
        try:
            result.octets = _prove(server, run, endpoint)
            with Sink(sink_port) as sink:
                _round(sink, endpoint, bodies(_WARM_UP), _WARM_UP, result.octets)
                for _ in range(rounds):
                    for way, seconds in _round(sink, endpoint, made, result.recipients, result.octets).items():
                        result.seconds.setdefault(way, []).append(round(seconds, 4))
        except BenchError as error:
            raise BenchError(f"{error}\n{tail(run.log)}") from None


def _round(
    sink: Sink, endpoint: Endpoint, made: Mapping[str, Body], messages: int, length: int
) -> dict[str, float]:
    """Each way once."""
    took: dict[str, float] = {}
    for way in (*made, *CONNECTIONS):
        wanted = sink.count() + messages
        if way in made:
            took[way] = post(endpoint, made[way]).seconds
        else:
            took[way] = _through_smtp(endpoint, messages, length, CONNECTIONS[way])
        _await(sink, wanted)
        time.sleep(_SETTLE)
    return took


def run(options: argparse.Namespace, base: Path) -> list[Requested]:
    """Measure every server."""
    recipients = _QUICK_RECIPIENTS if options.quick else _RECIPIENTS
    rounds = options.rounds or (1 if options.quick else _ROUNDS)
    results = []
    for server in servers():
        if options.servers and server.name not in options.servers:
            continue
        reason = server.missing()
        if reason is not None:
            print(f"{server.name} is left out: {reason}", flush=True)
            continue
        result = Requested(server.name, server.title, recipients)
        try:
            measure(server, result, rounds, base, options.keep)
        except BenchError as error:
            result.error = str(error).strip()
        results.append(result)
        seen = ", ".join(f"{way} {show(spread(each), 2)} s" for way, each in result.seconds.items())
        print(f"request {server.name}: {result.error or seen}", flush=True)
    return results


def tables(results: list[Requested]) -> list[Table]:
    """Seconds, and ratios to SMTP in the same round."""
    good = [result for result in results if not result.error]
    rows = [
        [
            f"{result.server}: {way}",
            show(spread([1000 * each for each in seconds])),
            show(spread([result.recipients / each for each in seconds])),
            *(show(result.ratio(way, beside), 2) for beside in CONNECTIONS),
        ]
        for result in good
        for way, seconds in result.seconds.items()
    ]
    if not rows:
        return []
    title = f"{good[0].recipients:,} personal messages of {good[0].octets:,} octets until the last is durable"
    header = ("server and way", "ms", "messages/s", *(f"× faster than {beside}" for beside in CONNECTIONS))
    return [Table(title, header, rows)]


def verdicts(results: list[Requested]) -> list[list[str]]:
    """A request is to take less time than SMTP with 8 connections."""
    found = []
    beside = next(iter(CONNECTIONS))
    for result in results:
        for way in JUDGED:
            ratio = result.ratio(way, beside)
            if ratio is not None and not result.error:
                word = "met" if ratio.middle > 1 else "NOT MET"
                found.append([f"{way}, {result.title}", f"> 1 × {beside}", show(ratio, 2), word])
    return found
