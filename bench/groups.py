"""Requests to ``POST /mails`` that name groups of an address book of a million addresses: how long until they are
answered and until it is known whom they go to, what that takes of memory, and what others feel meanwhile.

Each request is for an hour later and has a fresh server on a fresh store: what one has freed, the next would use
again without growing. The clock stops once the request is prepared. Then its mails are read from the store: they
must be to whom they should be, to each once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import smtplib
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy

from bench import beside, bulk
from bench.beside import MEGABYTE
from bench.ekiden_server import Ekiden
from bench.load import SENDER_DOMAIN, Endpoint
from bench.measure import started
from bench.naver_client import NaverClient
from bench.peers import Run
from bench.report import Table
from bench.tools import BenchError, free_ports, tail
from ekiden.core.address import parse_address
from ekiden.core.clock import HOUR
from ekiden.mailings.queries import find_request, named_pieces
from ekiden.mailings.values import decode_mails
from ekiden.net.clock import SystemClock
from ekiden.store.open import open_store
from ekiden.store.tables import address_book, group_member, listed_address, recipient_group

MEMORY = 100 * MEGABYTE
_ACCOUNT = 1
"""That of the bench: the first of its store."""
_ADDRESSES = 1_000_000
_QUICK = 20_000
_DOMAINS = 100
_BOOK = 1
"""The list of the book; those of the groups follow."""
_POLL = 0.1
_TIMEOUT = 900.0

GROUPS: Mapping[str, Callable[[int], bool]] = {
    "members": lambda number: number % 2 == 0,
    "tokyo": lambda number: number % 5 == 0,
    "spring": lambda number: number % 10 == 1,
    "autumn": lambda number: number % 20 in {1, 7},
    "staff": lambda number: number < 10,
}
"""By their names, who is in them. A tenth of the book is in the first two; 15 % are in spring or autumn."""


class Case(NamedTuple):
    """Whom a request is to. ``named``: a part of the book, so many are named besides; every second of them is in
    the first of the groups, and written otherwise."""

    title: str
    groups: Sequence[str]
    all_of: bool
    named: float = 0.0


CASES = (
    Case("all of two groups", ("members", "tokyo"), True),
    Case("any of two groups, and named", ("spring", "autumn"), False, 0.01),
)
_FIRST = Case("a first one", ("staff",), True)
"""It brings every process as far as one is that has worked before."""


@dataclass(slots=True)
class Resolved:
    """One request. Octets, seconds; ``worst`` and ``p99``: of the NOOPs beside it."""

    server: str
    title: str
    what: str
    addresses: int
    mails: int = 0
    answered: float = 0.0
    prepared: float = 0.0
    """Both since it was asked for."""
    memory: int = 0
    p99: float = 0.0
    worst: float = 0.0
    load: float = 0.0
    """The machine's load average (one minute) before the request: what others do delays NOOPs as well."""
    error: str = ""


def address(number: int) -> str:
    """Of the book."""
    return f"taro.{number}@d{number % _DOMAINS}.test"


def named(case: Case, addresses: int) -> list[str]:
    """The recipients of the request itself."""
    count = int(case.named * addresses)
    members = (number for number in range(addresses) if GROUPS[case.groups[0]](number))
    known = [address(next(members)).upper() for _ in range(count // 2)]
    return known + [f"hanako.{number}@dst.test" for number in range(count - len(known))]


def wanted(case: Case, addresses: int) -> set[str]:
    """The keys of all to whom the request is."""
    chosen = [GROUPS[name] for name in case.groups]
    agree = all if case.all_of else any
    found = {address(number) for number in range(addresses) if agree(is_in(number) for is_in in chosen)}
    return found | {parse_address(text).key for text in named(case, addresses)}


def body(case: Case, addresses: int) -> bytes:
    """The request."""
    value: dict[str, Any] = {
        "senderAddress": f"shop@{SENDER_DOMAIN}",
        "title": "お知らせ",
        "body": "<p>いつもお世話になっております。</p>" * 10,
        "recipients": [{"address": text, "type": "R"} for text in named(case, addresses)],
        "recipientGroupFilter": {"andFilter": case.all_of, "groups": list(case.groups)},
        "individual": True,
        "advertising": False,
        "reservationUtc": SystemClock().now() + HOUR,
    }
    return json.dumps(value, ensure_ascii=False).encode()


async def fill(url: str, addresses: int) -> None:
    """The book and its groups, into a store that has none. One in ten was written with a capital letter."""
    members = {name: sum(map(is_in, range(addresses))) for name, is_in in GROUPS.items()}
    lists = {name: _BOOK + number for number, name in enumerate(GROUPS, 1)}

    def listed() -> Iterator[dict[str, Any]]:
        for number in range(addresses):
            key = address(number)
            written = key.capitalize() if number % 10 == 0 else ""
            yield {
                "id": number + 1,
                "account_id": _ACCOUNT,
                "list_id": _BOOK,
                "key": key,
                "written": written,
            }

    def memberships() -> Iterator[dict[str, Any]]:
        for name, is_in in GROUPS.items():
            for number in filter(is_in, range(addresses)):
                yield {"account_id": _ACCOUNT, "list_id": lists[name], "address_id": number + 1}

    groups = [
        {"id": list_id, "account_id": _ACCOUNT, "name": name, "list_id": list_id, "address_count": members[name]}
        for name, list_id in lists.items()
    ]
    book = {"account_id": _ACCOUNT, "list_id": _BOOK, "address_count": addresses}
    tables: Sequence[tuple[sqlalchemy.Table, Iterator[dict[str, Any]]]] = (
        (address_book, iter([book])),
        (recipient_group, iter(groups)),
        (listed_address, listed()),
        (group_member, memberships()),
    )
    for table, rows in tables:
        await bulk.write(url, [table], bulk.tuples([table], ([row] for row in rows)))


class _WithBook(Ekiden):
    """Its account has an address book before it starts."""

    def __init__(self, name: str, *, postgresql: bool, addresses: int) -> None:
        super().__init__(name, workers=2, postgresql=postgresql)
        self.addresses = addresses
        self.url = ""

    def configure(self, run: Run) -> str:
        self.url = super().configure(run)
        asyncio.run(fill(self.url, self.addresses))
        return self.url


async def mailed(url: str, request: str) -> list[str]:
    """The key of each recipient of each mail of a request."""
    store = await open_store(url)
    try:
        row = await find_request(store, _ACCOUNT, request)
        if row is None:
            raise BenchError(f"there is no request {request}")
        return [
            parse_address(person.address).key
            async for data in named_pieces(store, _ACCOUNT, row.id, row.pieces)
            for mail in decode_mails(data)
            for person in mail
        ]
    finally:
        await store.close()


def check(found: Sequence[str], expected: Collection[str]) -> None:
    """Raises ``BenchError`` unless each of ``expected`` is found once, and nobody else."""
    counts = Counter(found)
    twice = sum(count > 1 for count in counts.values())
    missing, others = len(set(expected) - counts.keys()), len(counts.keys() - set(expected))
    if twice or missing or others:
        raise BenchError(f"{len(found)} mails: {twice} people twice, {missing} missing, {others} who are not meant")


class _Prepared(NamedTuple):
    """A request; seconds since it was asked for."""

    id: str
    mails: int
    answered: float
    prepared: float


def _prepare(client: NaverClient, octets: bytes) -> _Prepared:
    """Ask, and wait until it is known whom it is to."""
    began = time.monotonic()
    answer = client.post("/mails", octets)
    answered = time.monotonic() - began
    request = str(answer["requestId"])
    while not (status := client.get(f"/mails/requests/{request}/status"))["readyCompleted"]:
        if time.monotonic() - began > _TIMEOUT:
            raise BenchError(f"the request was not prepared in {_TIMEOUT:.0f} s")
        time.sleep(_POLL)
    return _Prepared(request, int(status["readyCount"]), answered, time.monotonic() - began)


def _ask(server: _WithBook, case: Case, run: Run, endpoint: Endpoint, result: Resolved) -> None:
    client = NaverClient(endpoint, run.directory)
    for _ in range(4):  # each worker is likely to have had one
        _prepare(client, body(_FIRST, result.addresses))
    octets, expected = body(case, result.addresses), wanted(case, result.addresses)
    result.load = round(os.getloadavg()[0], 1)
    with beside.felt(run, endpoint, result):
        prepared = _prepare(client, octets)
    result.mails, result.answered, result.prepared = prepared.mails, prepared.answered, prepared.prepared
    found = asyncio.run(mailed(server.url, prepared.id))
    check(found, expected)
    if result.mails != len(found):
        raise BenchError(f"{result.mails} mails are shown, {len(found)} are kept")


def measure(server: str, case: Case, addresses: int, base: Path, keep: bool = False) -> Resolved:
    """``server``: ``ekiden`` or ``ekiden-pg``. What went wrong stands in ``error``; nothing is left running."""
    ekiden = _WithBook(server, postgresql=server == "ekiden-pg", addresses=addresses)
    result = Resolved(server, ekiden.title, case.title, addresses)
    (nobody,) = free_ports(1)  # nothing is sent within the hour
    try:
        with started(ekiden, base, nobody, keep) as (run, endpoint):
            try:
                _ask(ekiden, case, run, endpoint, result)
            except (BenchError, OSError, smtplib.SMTPException) as error:
                raise BenchError(f"{error}\n{tail(run.log)}") from None
    except BenchError as error:
        result.error = str(error).strip()
    return result


def run(options: argparse.Namespace, base: Path) -> list[Resolved]:
    """Each engine with two workers."""
    results = []
    engines = options.engines or ["sqlite", "postgresql"]
    counts = [int(text) for text in options.depths or ()] or [_QUICK if options.quick else _ADDRESSES]
    for server in ("ekiden" if engine == "sqlite" else "ekiden-pg" for engine in engines):
        for count in counts:
            for case in CASES:
                result = measure(server, case, count, base, options.keep)
                results.append(result)
                seen = result.error or f"{result.mails:,} mails after {result.prepared:.1f} s"
                print(f"groups, {server}, {case.title}: {seen}", flush=True)
    return results


def tables(results: list[Resolved]) -> list[Table]:
    """All of it."""
    rows = [
        [
            each.title,
            f"{each.addresses:,}",
            each.what,
            f"{each.mails:,}",
            f"{each.answered:.2f}",
            f"{each.prepared:.1f}",
            *beside.cells(each),
            f"{each.load:.1f}",
        ]
        for each in results
        if not each.error
    ]
    header = ("server", "addresses", "to", "mails", "answered, s", "prepared, s", *beside.HEADER, "load")
    return [Table("One request to POST /mails, to groups of an address book", header, rows)]


def verdicts(results: list[Resolved]) -> list[list[str]]:
    """Memory, and what others feel."""
    return [
        row
        for each in results
        if not each.error
        for row in beside.verdicts(f"{each.addresses:,} addresses, {each.server}, {each.what}", each, MEMORY)
    ]
