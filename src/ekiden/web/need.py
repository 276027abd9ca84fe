"""How much an operation can need of a request: known before anything of it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Need:
    """Bounds of a body.

    ``octets`` of it. ``values``: what JSON may have of members, elements, objects and arrays together, or a form of
    fields. ``depth``: objects and arrays within each other. ``kept``: it is in memory as a whole, and so counts in
    the worker's budget; else it goes on piece by piece. ``at_once``: JSON of it is decoded in one call, not
    element by element (``web.json_members``).
    """

    octets: int
    values: int = 1_000
    depth: int = 16
    kept: bool = True
    at_once: bool = True


NO_BODY: Final = Need(65_536, 0, 0)
"""Of operations that read none. What clients send with a GET by mistake is dropped, within reason."""
SMALL: Final = Need(65_536)
"""Of operations with a few texts."""


@dataclass(frozen=True, slots=True)
class QueryNeed:
    """Bounds of a query: ``octets`` as it was sent, number of ``parameters``."""

    octets: int = 65_536
    parameters: int = 1_000


QUERY: Final = QueryNeed()
