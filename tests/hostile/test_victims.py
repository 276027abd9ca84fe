"""Nobody stops it: while an attack runs, and after it, another account is served, and nothing dies or is lost.

The bounds are wide, for machines that are busy; ``make hostile`` does more of the same and prints the figures.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from arena import Impossible
from scenarios import SCENARIOS, Scenario, Shared, run

CASES = [
    pytest.param(scenario, store, id=f"{scenario.name}-{store}")
    for scenario in SCENARIOS
    for store in scenario.stores
]


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    arena = Shared()
    yield arena
    arena.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("scenario", "store"), CASES)
def test_the_victim_is_served(
    scenario: Scenario, store: str, shared: Shared, record_property: pytest.RecordProperty
) -> None:
    try:
        figures = shared.run(scenario, 1) if scenario.shares else run(scenario, store, 1)
    except Impossible as reason:
        pytest.skip(str(reason))
    slowest = max(figures.submitted, default=0.0)
    told = f"{figures.sent}; the victim sent {len(figures.submitted)} messages, slowest {slowest:.2f} s"
    record_property("figures", told)
    assert scenario.verdict(figures) == []
