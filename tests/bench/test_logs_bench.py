"""The bench of the log asks questions that the log answers."""

from __future__ import annotations

from pathlib import Path

from bench.logs import Asked, rows

from bench import logs


def test_every_question_is_answered(tmp_path: Path) -> None:
    results = logs.measure("sqlite", [1000, 1200], tmp_path, quick=True)
    assert [(result.messages, result.error) for result in results] == [(1000, ""), (1200, "")]
    table = rows(results, "sqlite")
    assert [row[0] for row in table] == list(results[0].latencies)
    assert {len(row) for row in table} == {5}
    assert list(tmp_path.iterdir()) == []


def test_what_takes_longer_is_not_flat() -> None:
    results = [
        Asked("sqlite", 1000, {"by bulk": [1.0, 2.0, 3.0], "RARE state": [1.0, 1.0, 1.0]}),
        Asked("sqlite", 1_000_000, {"by bulk": [2.5, 2.0, 3.0], "RARE state": [9.0, 9.0, 9.0]}),
        Asked("postgresql", 1000, error="it failed"),
    ]
    assert rows(results, "sqlite") == [
        ["by bulk", "1.0/2.0/3.0", "2.5/2.0/3.0", "2.50", "NOT FLAT"],
        ["RARE state", "1.0/1.0/1.0", "9.0/9.0/9.0", "9.00", ""],
    ]
    assert rows(results, "postgresql") == []
