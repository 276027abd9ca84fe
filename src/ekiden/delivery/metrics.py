"""What delivery tells about itself while it runs; ``server.metrics`` turns it into Prometheus figures."""

from __future__ import annotations

from typing import Protocol

from ekiden.core.states import Cause, State


class DeliveryMetrics(Protocol):
    """Called on the hot path: implementations count and return."""

    def attempt(self, state: State, cause: Cause) -> None:
        """One attempt for one recipient has ended."""
        ...

    def delivered(self, seconds: float) -> None:
        """One recipient has its message, ``seconds`` after it was accepted."""
        ...

    def connection_opened(self, tls: bool) -> None: ...

    def connection_failed(self) -> None:
        """No address of a site could be talked to."""
        ...

    def connection_closed(self) -> None:
        """One of those that were opened has ended."""
        ...

    def in_memory(self, deliveries: int) -> None:
        """How many deliveries this worker holds now."""
        ...

    def fenced(self) -> None:
        """A report came too late: the delivery belonged to another worker by then. It may have been sent twice."""
        ...

    def released(self, count: int) -> None:
        """Deliveries given back undialled because their site had no room."""
        ...


class NoMetrics:
    """Nobody counts."""

    def attempt(self, state: State, cause: Cause) -> None: ...

    def delivered(self, seconds: float) -> None: ...

    def connection_opened(self, tls: bool) -> None: ...

    def connection_failed(self) -> None: ...

    def connection_closed(self) -> None: ...

    def in_memory(self, deliveries: int) -> None: ...

    def fenced(self) -> None: ...

    def released(self, count: int) -> None: ...
