"""What the bench reads: /proc, the sink's counter, replies; and what it sends and starts."""

from __future__ import annotations

import os
import sys
import time

import pytest
from bench.__main__ import known_servers, parser
from bench.auth_load import ReplyReader, make_content
from bench.load import DEFAULT_SCENARIOS, SCENARIOS
from bench.measure import parse_flushes
from bench.process import Group, Stat, all_stats, parse_pss, parse_stat, tree
from bench.sink import last_count
from hypothesis import given
from hypothesis import strategies as st

from bench import bulk
from ekiden.core.states import State


def test_a_stat_whose_name_has_blanks_and_brackets() -> None:
    text = "42 (a) b (c)) S 7 42 42 0 -1 4194304 100 200 0 0 11 12 13 14 20 0 1 0 100 1000 10"
    assert parse_stat(text) == Stat(42, "S", 7, 50, 100)


def test_our_own_stat() -> None:
    found = all_stats()[os.getpid()]
    assert found.parent == os.getppid()


def test_pss() -> None:
    assert parse_pss("00-ff ---p 00:00 0 [rollup]\nRss:    900 kB\nPss:    512 kB\nPss_Anon: 9 kB\n") == 512 * 1024
    assert parse_pss("") == 0


def test_the_tree_below_a_process() -> None:
    stats = {pid: Stat(pid, "S", parent, 0, 0) for pid, parent in ((1, 0), (2, 1), (3, 2), (4, 2), (5, 1))}
    assert sorted(tree([2], stats)) == [2, 3, 4]
    assert sorted(tree([2, 3], stats)) == [2, 3, 4]
    assert tree([99], stats) == []


def test_flush_requests_of_all_disks() -> None:
    disk = "254 0 vda " + " ".join(str(n) for n in range(1, 18))
    loop = "7 0 loop0 " + " ".join(str(n) for n in range(1, 18))
    old = "8 0 sda " + " ".join(str(n) for n in range(1, 12))
    assert parse_flushes(f" {disk}\n {loop}\n {old}\n") == 16


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"", None),
        (b"sess=0 quit=0 mesg=1\rsess=0 quit=0 mesg=12\r", 12),
        (b"sess=0 quit=0 mesg=1\rsess=0 quit=0 mesg=12", 1),
        (b"sess=0 quit=0 mes", None),
    ],
)
def test_the_counter_of_the_sink(text: bytes, wanted: int | None) -> None:
    assert last_count(text) == wanted


@given(st.lists(st.sampled_from([b"250-first", b"250 last", b"354 go"]), max_size=8), st.data())
def test_replies_in_pieces(lines: list[bytes], data: st.DataObject) -> None:
    wire = b"".join(line + b"\r\n" for line in lines)
    cut = data.draw(st.integers(0, len(wire)))
    reader = ReplyReader()
    assert reader.feed(wire[:cut]) + reader.feed(wire[cut:]) == [line for line in lines if line[3:4] == b" "]


@pytest.mark.parametrize("length", [0, 100, 4096, 51_200])
def test_contents_have_about_their_length(length: int) -> None:
    content = make_content(length)
    assert content.endswith(b"\r\n.\r\n")
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert b"\r\n." not in content[:-5]
    assert abs(len(content) - max(length, 120)) < 64


def test_scenarios_and_servers_are_known_by_name() -> None:
    assert set(DEFAULT_SCENARIOS) <= set(SCENARIOS)
    assert {"postfix", "ekiden", "ekiden1", "ekiden-pg"} <= set(known_servers())
    for scenario in SCENARIOS.values():
        assert scenario.sessions <= scenario.quick().messages < scenario.messages
    options = parser().parse_args(["compare", "--quick", "--servers", "postfix, ekiden"])
    assert options.servers == ["postfix", "ekiden"]


def test_rows_of_a_long_queue_fit_the_tables() -> None:
    now = 1_767_225_600_000
    made = list(bulk.rows(50, 10, account=1, now=now))
    columns = [[column.name for column in table.columns] for table in bulk.TABLES]
    for row in made:
        assert [len(part) for part in row] == [len(names) for names in columns]
    deliveries = [dict(zip(columns[2], row[2], strict=True)) for row in made]
    assert {delivery["state"] for delivery in deliveries} == {int(State.DEFERRED)}
    assert sum(delivery["due_at"] <= now for delivery in deliveries) == 10
    assert len({delivery["message_id"] for delivery in deliveries}) == 50
    for table, part in zip(bulk.TABLES, made[0], strict=True):
        for column, value in zip(table.columns, part, strict=True):
            assert value is not None or column.nullable


@pytest.fixture(params=["control group", "tree"])
def group(request) -> Group:
    """A group of either kind; where control groups cannot be made, both are trees."""
    return Group("test", control_group=request.param == "control group")


def test_a_group_counts_and_ends_what_it_started(group: Group, tmp_path) -> None:
    # The parent dies of SIGTERM and leaves its child behind.
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    try:
        parent = group.spawn([sys.executable, "-c", program], tmp_path / "log")
        deadline = time.monotonic() + 30
        while len(group.pids()) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        members = group.pids()
        assert parent.pid in members
        assert len(members) == 2
        assert group.exited() is None
        assert group.cpu() >= 0
        assert group.pss() > 0
    finally:
        orderly = group.end(patience=0.2)
    assert not orderly
    assert parent.returncode is not None
    stats = all_stats()
    assert not [pid for pid in members if pid in stats and stats[pid].state != "Z"]


def test_a_group_leaves_the_adopted_alone(group: Group, tmp_path) -> None:
    other = Group("other")
    try:
        adopted = other.spawn(["sleep", "600"], tmp_path / "log")
        group.adopt(adopted.pid)
        group.spawn(["sleep", "600"], tmp_path / "log")
        assert adopted.pid in group.pids()
        assert group.end()
        assert adopted.poll() is None
    finally:
        other.end()
    assert adopted.returncode is not None
