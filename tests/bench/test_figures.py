"""Statistics and verdicts of the bench."""

from __future__ import annotations

import json
import math

import pytest
from bench.figures import MIB, Sample, Spread, judge, paired, quantile, spread
from bench.queue_depth import HEADER, Depth, verdicts
from bench.queue_depth import rows as depth_rows
from bench.report import load, markdown, rows, samples_of, show, tables, verdict_rows
from bench.tools import BenchError
from hypothesis import given
from hypothesis import strategies as st

_VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=50)


def sample(server: str, round_number: int = 1, scenario: str = "4k", **values: float) -> Sample:
    made = Sample(server, scenario, round_number, 1000, accept=1000, e2e=500, cpu=2.0, pss=100 * MIB)
    for name, value in values.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("values", "q", "wanted"),
    [([3.0], 0.5, 3.0), ([1, 2, 3, 4], 0.5, 2), ([1, 2, 3, 4], 0.99, 4), ([4, 1], 0.0, 1), ([4, 1], 1.0, 4)],
)
def test_quantile(values: list[float], q: float, wanted: float) -> None:
    assert quantile(values, q) == wanted


def test_nothing_has_no_figures() -> None:
    assert math.isnan(quantile([], 0.5))
    assert spread([]) is None
    assert show(None) == "–"


@given(_VALUES, st.floats(0, 1))
def test_a_quantile_is_one_of_the_values(values: list[float], q: float) -> None:
    assert quantile(values, q) in values


@given(_VALUES)
def test_a_spread_is_in_order(values: list[float]) -> None:
    found = spread(values)
    assert found is not None
    assert min(values) == found.low <= found.middle <= found.high == max(values)


def test_the_middle_of_an_even_number_is_between_the_two() -> None:
    assert spread([4, 1, 2, 10]) == Spread(1, 3, 10)


def test_ratios_are_of_the_same_round_only() -> None:
    samples = [
        sample("postfix", 1, accept=1000),
        sample("ekiden", 1, accept=4000),
        sample("postfix", 2, accept=500),
        sample("ekiden", 2, accept=3000),
        sample("ekiden", 3, accept=9000),  # its neighbour is missing
        sample("postfix", 4, error="failed"),
        sample("ekiden", 4, accept=9000),
    ]
    assert paired(samples, "ekiden", "postfix", "4k", lambda s: s.accept) == Spread(4, 5, 6)
    assert paired(samples, "ekiden", "postfix", "50k", lambda s: s.accept) is None


@pytest.mark.parametrize(
    ("title", "values", "met"),
    [
        ("durable accept, 4 KiB", {"accept": 4000}, True),
        ("durable accept, 4 KiB", {"accept": 3990}, False),
        ("end to end, 4 KiB", {"e2e": 1500}, True),
        ("CPU per message, 4 KiB", {"cpu": 0.7}, True),
        ("CPU per message, 4 KiB", {"cpu": 0.71}, False),
        ("memory of all processes, 4 KiB", {"pss": 200 * MIB}, True),
        ("memory of all processes, 4 KiB", {"pss": 201 * MIB}, False),
        ("end to end on PostgreSQL, 4 KiB", {}, None),
    ],
)
def test_verdicts(title: str, values: dict[str, float], met: bool | None) -> None:
    verdicts = judge([sample("postfix"), sample("ekiden", **values)])
    assert {verdict.target.title: verdict.met for verdict in verdicts}[title] is met
    assert len(verdict_rows(verdicts)) == len(verdicts)


def test_the_table_of_a_scenario() -> None:
    samples = [sample("postfix"), sample("ekiden", accept=4000), sample("ekiden", 2, error="it broke")]
    assert [row[0] for row in rows(samples, "4k")] == ["postfix", "ekiden"]
    assert rows(samples, "4k")[1] == [
        "ekiden",
        "4000",
        "500",
        "2.000",
        "100",
        "0.00",
        "4.00",
        "1.00",
        "1.00",
        "1/2",
    ]
    titles = [title for title, _, _ in tables(samples)]
    assert titles[0].startswith("4k: ")
    assert titles[-1] == "Targets"


def test_latencies_of_our_generator_have_a_table() -> None:
    seen = {"message": [1.0, 2.0, 3.0], "login": [4.0, 5.0, 6.0]}
    one, other = (Sample("ekiden", "tls", number, 100, generator=seen) for number in (1, 2))
    _, (_, header, body) = tables([one, other])
    assert len(header) == len(body[0])
    assert body == [["tls, ekiden", "1.0", "2.0", "4.0", "5.0"]]


def test_markdown() -> None:
    assert markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_a_spread_as_text() -> None:
    assert show(Spread(1, 2, 3)) == "1/2/3"
    assert show(Spread(1.001, 1.002, 1.003), 1) == "1.0"


def test_samples_survive_their_file(tmp_path) -> None:
    samples = [sample("ekiden"), sample("postfix", error="why")]
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"kind": "compare", "samples": [one.as_json() for one in samples]}))
    assert samples_of(load(path)) == samples


@pytest.mark.parametrize("text", ["", "{}", '{"kind": "other"}', "no"])
def test_a_file_of_something_else(tmp_path, text: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(BenchError, match="no file of results"):
        load(path)


def test_the_verdicts_of_long_queues() -> None:
    small = Depth("sqlite", 1000, claim_few_due=[2.0, 3, 4], claim_all_due=[2.0, 3, 4], pss_few_due=100 * MIB)
    large = Depth("sqlite", 10**6, claim_few_due=[3.0, 3, 4], claim_all_due=[4.0, 5, 6], pss_few_due=300_000_000)
    assert [row[-1] for row in verdicts([small, large])] == ["met", "NOT MET", "NOT MET"]
    assert verdicts([small]) == []
    assert len(depth_rows([small, large])[0]) == len(HEADER)
