"""What SMTP sessions share: the limits and the metrics of their worker, the settings of their listener."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ekiden.access.authenticate import Authenticator, Principal
from ekiden.access.refusals import Refusals
from ekiden.intake.doorstep import Doorstep
from ekiden.intake.sender_rights import Gate
from ekiden.limits.connections import ConnectionCounts, Connections
from ekiden.limits.memory import Memory
from ekiden.limits.turns import SharedTurn
from ekiden.listeners.smtp_config import SmtpConfig
from ekiden.net.listen import Networks
from ekiden.net.tls import ServerTls
from ekiden.smtp.reply import Reply
from ekiden.smtp.server import ServerConfig

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.intake.door import Door
    from ekiden.listeners.smtp_session import SmtpSession


TOO_MANY_CONNECTIONS = Reply.of(421, "4.7.0", "Too many connections")
NOT_ADMITTED = Reply.of(554, "5.7.1", "No service for your network: no rule allows it")
NOT_TRUSTED = Reply.of(554, "5.7.1", "No service for your network here")

_RATE_GRACE = 60.0
"""Seconds that a content may take before its rate matters."""


class SmtpMetrics(Protocol):
    """What is counted. Called on the hot path: additions only."""

    def connection_opened(self) -> None: ...

    def connection_closed(self) -> None: ...

    def session_ended(self, bound: str) -> None:
        """It reached ``bound``, one of ``metrics.SESSION_BOUNDS``, and is closed."""
        ...

    def message_accepted(self, recipients: int, size: int, seconds: float) -> None:
        """``seconds`` from the end of the content to the commit."""
        ...

    def message_rejected(self, code: int) -> None: ...


class NoMetrics:
    """Counts nothing."""

    def connection_opened(self) -> None:
        pass

    def connection_closed(self) -> None:
        pass

    def session_ended(self, bound: str) -> None:
        pass

    def message_accepted(self, recipients: int, size: int, seconds: float) -> None:
        pass

    def message_rejected(self, code: int) -> None:
        pass


class Admission:
    """Connections and memory of one worker, over all its listeners. ``budget`` is what its rooms share."""

    def __init__(
        self, config: SmtpConfig, counts: ConnectionCounts | None = None, budget: Memory | None = None
    ) -> None:
        self.places = Connections(config.max_connections, config.max_connections_per_address, counts)
        self.max_memory = config.max_memory
        self.memory = 0
        """Octets of contents that are announced, being received or stored."""
        self._budget = budget or Memory(config.max_memory * 3 // 2)

    @property
    def connections(self) -> int:
        """Open ones, from being accepted on."""
        return self.places.open

    def has_room(self, key: Hashable, octets: int) -> bool:
        """Whether ``key`` (an account) may begin a content of so many octets; 0: it did not say."""
        return self.memory + octets <= self.max_memory and self._budget.may_take(key, octets)

    def take(self, key: Hashable, octets: int, before: int) -> bool:
        """Count ``octets`` more of a content that counts with ``before`` already; False: nothing was counted.

        What has begun may take half as much again as ``max_memory``. The only content of a key may have all that
        is free, as if it had been announced.
        """
        if self.memory + octets > self.max_memory * 3 // 2:
            return False
        only = before > 0 and self._budget.held(key) == before
        if not self._budget.take(key, octets, beyond_share=only):
            return False
        self.memory += octets
        return True

    def give(self, key: Hashable, octets: int) -> None:
        """They are not needed any more."""
        self.memory -= octets
        self._budget.give(key, octets)


class ContentPace:
    """How fast one content comes in: since ``began`` (seconds of the loop), after ``octets`` of its connection."""

    __slots__ = ("_before", "began")

    def __init__(self, began: float, octets: int) -> None:
        self.began = began
        self._before = octets

    def too_slow(self, now: float, octets: int, config: SmtpConfig) -> bool:
        """It has taken longer than it may; ``octets``: of the connection until now."""
        took = now - self.began
        return took > config.data_timeout or (took > _RATE_GRACE and octets - self._before < config.min_rate * took)


@dataclass(slots=True)
class SessionContext:
    """What the sessions of one listener share."""

    listener: str
    region: str
    endpoint: str
    tls: ServerTls | None
    plain: bool
    """Only trusted networks are served."""
    trusted_networks: Networks
    trusted: Principal | None
    door: Door
    authenticator: Authenticator
    gate: Gate
    refusals: Refusals
    doorstep: Doorstep | None
    """Set: clients that no network rule could let in are turned away when they connect."""
    clock: Clock
    config: SmtpConfig
    protocol: ServerConfig
    trusted_protocol: ServerConfig
    metrics: SmtpMetrics
    admission: Admission
    turn: SharedTurn = field(default_factory=SharedTurn)
    """What is pipelined has a part of each turn of the loop, all sessions together."""
    sessions: set[SmtpSession] = field(default_factory=set)
    draining: bool = False
