"""What the bench asks of groups of an address book, that it notices a wrong answer, and how it judges."""

from __future__ import annotations

import socketserver
import time
from pathlib import Path

import pytest
from bench.beside import LISTENERS, felt
from bench.groups import CASES, Resolved, address, check, measure, named, tables, verdicts, wanted
from bench.load import Endpoint
from bench.peers import Run
from bench.process import Group
from bench.tools import BenchError

ALL, ANY = CASES


def test_whom_the_requests_are_to() -> None:
    both = wanted(ALL, 2_000)
    assert both == {address(number) for number in range(0, 2_000, 10)}
    some = wanted(ANY, 2_000)
    # 200 are in the first group and 200 in the other one, half of them in both; 20 are named.
    assert len(some) == 200 + 200 - 100 + 10
    recipients = named(ANY, 2_000)
    assert len(recipients) == 20
    assert sum(text.lower() != text for text in recipients) == 10
    assert {text.lower() for text in recipients} <= some


@pytest.mark.parametrize("server", ["ekiden", "ekiden-pg"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_a_server_knows_whom_they_are_to(tmp_path: Path, server: str, case) -> None:
    result = measure(server, case, 2_000, tmp_path)
    assert result.error == ""
    assert result.mails == len(wanted(case, 2_000))
    assert 0 < result.answered <= result.prepared
    assert 0 < result.p99 <= result.worst
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (["a@x.test", "b@x.test", "b@x.test"], "1 people twice, 0 missing, 0 who"),
        (["a@x.test"], "0 people twice, 1 missing, 0 who"),
        # As many as there should be.
        (["a@x.test", "a@x.test"], "2 mails: 1 people twice, 1 missing, 0 who"),
        (["a@x.test", "c@x.test"], "2 mails: 0 people twice, 1 missing, 1 who"),
    ],
)
def test_mails_to_others_make_a_row_worthless(found: list[str], why: str) -> None:
    expected = {"a@x.test", "b@x.test"}
    check(["b@x.test", "a@x.test"], expected)
    with pytest.raises(BenchError, match=why):
        check(found, expected)


class HangsUp(socketserver.BaseRequestHandler):
    """As soon as it has greeted."""

    def handle(self) -> None:
        self.request.sendall(b"220 here\r\n")


def greet_all(server: socketserver.TCPServer) -> None:
    for _ in range(LISTENERS):
        server.handle_request()


def test_noops_that_nobody_answers_make_a_row_worthless(tmp_path: Path) -> None:
    run = Run(tmp_path, Group("groups"), 0)
    result = Resolved("ekiden", "Ekiden", ALL.title, 10)
    with socketserver.TCPServer(("127.0.0.1", 0), HangsUp) as server:
        endpoint = Endpoint(server.server_address[1])
        try:
            run.group.spawn(["sleep", "60"], tmp_path / "log")
            while not run.group.pids():
                time.sleep(0.01)
            with pytest.raises(BenchError, match="not all NOOPs were answered"), felt(run, endpoint, result):
                greet_all(server)
        finally:
            run.group.end()


def test_groups_are_judged_by_memory_and_by_what_others_feel() -> None:
    results = [
        Resolved("ekiden", "Ekiden", "all", 1_000_000, 100_000, 0.5, 3.0, 99_000_000, 0.01, 0.099, 0.8),
        Resolved("ekiden-pg", "Ekiden", "any", 1_000_000, 155_000, 0.5, 3.0, 101_000_000, 0.01, 0.101, 7.2),
        Resolved("ekiden-pg", "Ekiden", "all", 1_000_000, error="it failed"),
    ]
    assert verdicts(results) == [
        ["1,000,000 addresses, ekiden, all: memory", "< 100 MB", "99 MB", "met"],
        ["1,000,000 addresses, ekiden, all: longest NOOP beside", "< 100 ms", "99 ms", "met"],
        ["1,000,000 addresses, ekiden-pg, any: memory", "< 100 MB", "101 MB", "NOT MET"],
        ["1,000,000 addresses, ekiden-pg, any: longest NOOP beside", "< 100 ms", "101 ms", "NOT MET"],
    ]
    [table] = tables(results)
    assert [row[2:] for row in table.rows] == [
        ["all", "100,000", "0.50", "3.0", "99", "10.0", "99", "0.8"],
        ["any", "155,000", "0.50", "3.0", "101", "10.0", "101", "7.2"],
    ]
