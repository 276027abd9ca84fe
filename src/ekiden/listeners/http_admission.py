"""How many connections the HTTP listener of a worker has; beyond that there is a reserve for what must be answered.

A connection has proven nothing while it has no complete header: nothing was said on it yet, or it is kept alive.
Such ones make room for newcomers (``limits.connections``). When all of them work, or an address has as many as it
may, a newcomer comes into the reserve: health and metrics are answered there, the rest with 503.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ekiden.limits.connections import ConnectionCounts, Connections, Place
from ekiden.listeners.http_config import HttpConfig


class Admitted(NamedTuple):
    """A place, and whether it is in the reserve."""

    place: Place
    reserve: bool


class HttpAdmission:
    """Connections of one worker, over all addresses that HTTP listens on."""

    def __init__(self, config: HttpConfig, counts: ConnectionCounts | None = None) -> None:
        self.places = Connections(config.max_connections, config.max_connections_per_address, counts)
        self.reserve = Connections(config.reserve, config.reserve)

    def enter(self, key: str, cut: Callable[[], None], *, trusted: bool) -> Admitted | None:
        """As ``Connections.enter``. Nobody is trusted in the reserve: it is everybody's."""
        if (place := self.places.enter(key, cut, trusted=trusted)) is not None:
            return Admitted(place, reserve=False)
        if (place := self.reserve.enter(key, cut)) is not None:
            return Admitted(place, reserve=True)
        return None
