"""What is done to the platform, as a table: each row an attack, with what it needs and what the victim may feel."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import attacks_delivery
import attacks_http
import attacks_logins
import attacks_process
import attacks_smtp
import attacks_store
from arena import BUDGET, Arena, Figures, Watch


@dataclass(frozen=True)
class Scenario:
    """``attack(arena, scale, watch)`` says what it did. ``scale`` 1 is the suite's; ``make hostile`` takes more."""

    name: str
    attack: Callable[[Arena, int, Watch], str]
    settings: dict[str, str] = field(default_factory=dict)
    files: int = 0
    workers: int = 2
    place: Callable[[], AbstractContextManager[Path | None]] = nullcontext
    """Where the platform's files are. Raises ``arena.Impossible``."""
    prepare: Callable[[Arena], None] | None = None
    """Before the victim begins."""
    shares: bool = False
    """It is one of several on the same, ordinary platform: it leaves nothing behind."""
    stores: tuple[str, ...] = ("sqlite",)
    slowest: float = 10.0
    """Seconds that the victim's slowest submission may take in the suite; workers that hang are replaced first."""
    refusals: int = 0
    """How often the victim may be told to try again: only where a process or the store is missing meanwhile."""
    failures: int = 0
    """How often it may have no answer: only where processes are killed that have its connections."""
    duplicates: int = 0
    """How many of its messages may arrive twice: attempts under way when their worker or the store goes away."""
    growth: int = 2 * BUDGET
    """Octets that a worker may grow: what its budget counts is copied once on its way."""

    def verdict(self, figures: Figures) -> list[str]:
        """What is wrong; empty: nothing."""
        wrong = []
        if figures.died:
            wrong.append(f"workers ended: {figures.died}")
        if figures.lost:
            wrong.append(f"{figures.lost} acknowledged messages did not arrive")
        if figures.duplicates > self.duplicates:
            wrong.append(f"{figures.duplicates} messages arrived again")
        if len(figures.refusals) > self.refusals:
            wrong.append(f"the victim was refused {len(figures.refusals)} times: {figures.refusals[:5]}")
        if len(figures.failures) > self.failures:
            wrong.append(f"the victim failed {len(figures.failures)} times: {figures.failures[:5]}")
        if not figures.submitted or not figures.asked or not figures.delivered:
            wrong.append("the victim was not served at all")
        for what, seconds in (
            ("submission", figures.submitted),
            ("answer over HTTP", figures.asked),
            ("delivery", figures.delivered),
            ("refusal", figures.told),
        ):
            if seconds and max(seconds) > self.slowest:
                wrong.append(f"the victim's slowest {what} took {max(seconds):.1f} s")
        if figures.growth > self.growth:
            wrong.append(f"a worker grew by {figures.growth >> 20} MiB")
        return wrong


SCENARIOS: tuple[Scenario, ...] = (
    *(Scenario(**row) for row in attacks_smtp.ROWS),
    *(Scenario(**row) for row in attacks_http.ROWS),
    *(Scenario(**row) for row in attacks_logins.ROWS),
    *(Scenario(**row) for row in attacks_delivery.ROWS),
    *(Scenario(**row) for row in attacks_process.ROWS),
    *(Scenario(**row) for row in attacks_store.ROWS),
)


class Shared:
    """The arena of those that share one; close it at the end."""

    def __init__(self) -> None:
        self._arena: Arena | None = None

    def run(self, scenario: Scenario, scale: int) -> Figures:
        """Behind one that went wrong the next one finds another platform."""
        self._arena = self._arena or Arena()
        try:
            with self._arena.watched() as (figures, watch):
                figures.sent = scenario.attack(self._arena, scale, watch)
        except BaseException:
            self.close()
            raise
        if scenario.verdict(figures):
            self.close()
        return figures

    def close(self) -> None:
        if self._arena is not None:
            arena, self._arena = self._arena, None
            assert arena.close() == 0


def run(scenario: Scenario, store: str, scale: int) -> Figures:
    """In an arena of its own."""
    with scenario.place() as directory:
        arena = Arena(
            store=store,
            files=scenario.files,
            workers=scenario.workers,
            directory=directory,
            **scenario.settings,
        )
        try:
            if scenario.prepare is not None:
                scenario.prepare(arena)
            with arena.watched() as (figures, watch):
                figures.sent = scenario.attack(arena, scale, watch)
        finally:
            status = arena.close()
    assert status == 0
    return figures
