"""What the outbox tells about itself while it runs; ``process.metrics`` turns it into Prometheus figures."""

from __future__ import annotations

from typing import Protocol


class OutboxMetrics(Protocol):
    """Called for each request: implementations count and return."""

    def sent(self, events: int, seconds: float) -> None:
        """A request with so many events was taken (2xx)."""
        ...

    def failed(self, seconds: float) -> None:
        """A request was refused, or got no answer."""
        ...

    def gave_up(self, events: int) -> None:
        """So many events became dead letters."""
        ...

    def sending(self, endpoints: int) -> None:
        """To how many endpoints this worker sends now."""
        ...


class NoMetrics:
    """Nobody counts."""

    def sent(self, events: int, seconds: float) -> None: ...

    def failed(self, seconds: float) -> None: ...

    def gave_up(self, events: int) -> None: ...

    def sending(self, endpoints: int) -> None: ...
