"""Questions of the bench that are asked with few and with many messages: they are answered, and judged."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.flatness import Asked, Subject, measure, rows, tables, verdicts

from bench import logs, mailings, pull


@pytest.mark.parametrize(
    "subject", [part.SUBJECT for part in (logs, pull, mailings)], ids=lambda subject: subject.name
)
def test_every_question_is_answered(tmp_path: Path, subject: Subject) -> None:
    results = measure(subject, "sqlite", [1000, 1200], tmp_path, quick=True)
    assert [(result.messages, result.error) for result in results] == [(1000, ""), (1200, "")]
    table = rows(results, "sqlite")
    assert [row[0] for row in table] == list(results[0].latencies)
    assert {len(row) for row in table} == {5}
    assert list(tmp_path.iterdir()) == []


RESULTS = [
    Asked("sqlite", 1000, {"by bulk": [1.0, 2.0, 3.0], "by id": [1.0, 1.0, 1.0], "RARE state": [1.0, 1.0, 1.0]}),
    Asked(
        "sqlite", 1_000_000, {"by bulk": [2.5, 2.0, 3.0], "by id": [1.5, 2.0, 2.0], "RARE state": [9.0, 9.0, 9.0]}
    ),
    Asked("postgresql", 1000, error="it failed"),
]


def test_what_takes_longer_is_not_flat() -> None:
    assert rows(RESULTS, "sqlite") == [
        ["by bulk", "1.0/2.0/3.0", "2.5/2.0/3.0", "2.50", "NOT FLAT"],
        ["by id", "1.0/1.0/1.0", "1.5/2.0/2.0", "1.50", "flat"],
        ["RARE state", "1.0/1.0/1.0", "9.0/9.0/9.0", "9.00", ""],
    ]
    assert rows(RESULTS, "postgresql") == []


def test_the_worst_question_that_is_judged_stands_for_its_engine() -> None:
    assert verdicts(logs.SUBJECT, RESULTS) == [
        ["logs on sqlite: 1 of 2 questions flat, the worst is: by bulk", "≤ 2.0 × (p50)", "2.50", "NOT MET"]
    ]
    assert [table.title for table in tables(logs.SUBJECT, RESULTS)] == ["The log of 48 hours on sqlite"]
