"""Numbers that all processes of one ``ekiden serve`` count in shared memory.

The supervisor makes the memory before it forks. Each worker writes its own slot, so nobody waits for anybody and
a count costs one addition; whoever is asked for the totals adds the slots up. A restarted worker counts on in the
slot of the one before it, so that totals never go back.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

_WIDTH = 1024  # numbers in a slot


class Family(NamedTuple):
    """One metric: ``labels`` are the label names, ``rows`` their values with the place of the number in a slot.

    A histogram takes ``len(bounds) + 2`` places: a count for each bucket, the one beyond the last bound, the sum.
    """

    name: str
    help: str
    kind: str
    labels: tuple[str, ...]
    rows: list[tuple[tuple[str, ...], int]]
    bounds: tuple[float, ...] = ()


class Cell:
    """A counter, a gauge or a maximum, bound to a place of this worker's slot."""

    __slots__ = ("_at", "_view")

    def __init__(self, view: memoryview[float], at: int) -> None:
        self._view = view
        self._at = at

    def inc(self, by: float = 1) -> None:
        self._view[self._at] += by

    def dec(self, by: float = 1) -> None:
        self._view[self._at] -= by

    def set(self, value: float) -> None:
        self._view[self._at] = value


class HistogramCell:
    """A histogram, bound to its places of this worker's slot."""

    __slots__ = ("_at", "_bounds", "_sum", "_view")

    def __init__(self, view: memoryview[float], at: int, bounds: tuple[float, ...]) -> None:
        self._view = view
        self._at = at
        self._bounds = bounds
        self._sum = at + len(bounds) + 1

    def observe(self, value: float) -> None:
        view = self._view
        view[self._at + bisect_left(self._bounds, value)] += 1
        view[self._sum] += value


class SharedCounters:
    """Declares families, then counts them in ``slots`` slots of shared memory (inherited over ``fork``)."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.families: list[Family] = []
        self._used = 0
        # Anonymous and shared; a page that nobody writes takes no memory.
        self._memory = mmap.mmap(-1, slots * _WIDTH * 8)
        self._view: memoryview[float] = memoryview(self._memory).cast("d")

    def declare(
        self,
        name: str,
        help_text: str,
        kind: str,
        labels: tuple[str, ...] = (),
        values: Sequence[tuple[str, ...]] = ((),),
        bounds: tuple[float, ...] = (),
    ) -> Family:
        """A ``counter``, ``gauge``, ``histogram`` or ``maximum`` with the given label values.

        A ``maximum`` is a gauge of which not the sum over all workers matters but the largest.
        """
        size = len(bounds) + 2 if kind == "histogram" else 1
        rows = []
        for value in values:
            rows.append((value, self._used))
            self._used += size
        if self._used >= _WIDTH:  # the last one of slot 0 is the highest slot in use
            raise ValueError("a slot has no room for so many numbers")
        family = Family(name, help_text, kind, labels, rows, bounds)
        self.families.append(family)
        return family

    def use(self, slot: int) -> None:
        """Before a worker counts in it: slots above all those in use are not looked at."""
        self._view[_WIDTH - 1] = max(self._view[_WIDTH - 1], slot)

    def slot(self, number: int) -> memoryview[float]:
        self.use(number)
        return self._view[number * _WIDTH : (number + 1) * _WIDTH]

    def cells(self, family: Family, slot: int) -> dict[tuple[str, ...], Cell]:
        """The counters or gauges of a family by label values, for the worker of ``slot``."""
        view = self.slot(slot)
        return {value: Cell(view, at) for value, at in family.rows}

    def histogram(self, family: Family, slot: int) -> HistogramCell:
        return HistogramCell(self.slot(slot), family.rows[0][1], family.bounds)

    def reset_gauges(self, slot: int) -> None:
        """The worker of this slot has ended: what it held is gone, what it counted stays."""
        view = self.slot(slot)
        for family in self.families:
            if family.kind in ("gauge", "maximum"):
                for _, at in family.rows:
                    view[at] = 0.0

    def most(self, at: int) -> float:
        """The largest number of one place over all slots."""
        return float(max(self._column(at)))

    def total(self, at: int) -> float:
        """The sum of one place over all slots."""
        return float(sum(self._column(at)))

    def _column(self, at: int) -> memoryview[float]:
        return self._view[at : (int(self._view[_WIDTH - 1]) + 1) * _WIDTH : _WIDTH]
