"""What the outbox tells about itself while it runs; ``process.metrics`` turns it into Prometheus figures."""

from __future__ import annotations


class OutboxMetrics:
    """Called for each request: subclasses count and return, this one does nothing."""

    def sent(self, events: int, seconds: float) -> None:
        """A request with so many events was taken (2xx)."""

    def failed(self, seconds: float) -> None:
        """A request was refused, or got no answer."""

    def gave_up(self, events: int) -> None:
        """So many events became dead letters."""

    def sending(self, endpoints: int) -> None:
        """To how many endpoints this worker sends now."""
