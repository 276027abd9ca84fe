"""Nobody stops it: while an attack runs, and after it, another account is served, and nothing dies or is lost.

The bounds are wide, for machines that are busy; ``make hostile`` does more of the same and prints the figures.
"""

from __future__ import annotations

import pytest
from arena import Impossible
from scenarios import SCENARIOS, Scenario, run

CASES = [
    pytest.param(scenario, store, id=f"{scenario.name}-{store}")
    for scenario in SCENARIOS
    for store in scenario.stores
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("scenario", "store"), CASES)
def test_the_victim_is_served(scenario: Scenario, store: str, record_property: pytest.RecordProperty) -> None:
    try:
        figures = run(scenario, store, 1)
    except Impossible as reason:
        pytest.skip(str(reason))
    slowest = max(figures.submitted, default=0.0)
    told = f"{figures.sent}; the victim sent {len(figures.submitted)} messages, slowest {slowest:.2f} s"
    record_property("figures", told)
    assert scenario.verdict(figures) == []
