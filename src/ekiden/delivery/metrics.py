"""What delivery tells about itself while it runs; ``process.metrics`` turns it into Prometheus figures."""

from __future__ import annotations

from typing import Final, Literal, get_args

from ekiden.core.states import Cause, State

Overdue = Literal["silence", "reply", "attempt", "sending"]
"""The first octet of a reply did not come, its last one did not, the attempt as a whole took too long, or the
content was taken too slowly.
"""
OVERDUE: Final[tuple[Overdue, ...]] = get_args(Overdue)


class DeliveryMetrics:
    """Called on the hot path: subclasses count and return, this one does nothing."""

    def attempt(self, state: State, cause: Cause) -> None:
        """One attempt for one recipient has ended."""

    def delivered(self, seconds: float) -> None:
        """One recipient has its message, ``seconds`` after it was accepted."""

    def connection_opened(self, tls: bool) -> None: ...

    def connection_failed(self) -> None:
        """No address of a site could be talked to."""

    def connection_closed(self) -> None:
        """One of those that were opened has ended."""

    def in_memory(self, deliveries: int) -> None:
        """How many deliveries this worker holds now."""

    def fenced(self) -> None:
        """A report came too late: the delivery belonged to another worker by then. It may have been sent twice."""

    def released(self, count: int) -> None:
        """Deliveries given back undialled because their site or their account had no room."""

    def overdue(self, what: Overdue) -> None:
        """A peer was too slow for one of our deadlines."""

    def gave_way(self) -> None:
        """An attempt was cut because it was slow and others needed its connection."""

    def forbidden(self) -> None:
        """A domain led to addresses only that mail must not go to."""

    def waiting_for_connection(self, sites: int) -> None:
        """How many sites want a connection now and may not have one yet."""
