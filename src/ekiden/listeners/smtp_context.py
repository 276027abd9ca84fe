"""What the SMTP sessions of a listener share: its settings, the services that they ask, what is counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ekiden.limits.loop_slices import SharedTurn
from ekiden.listeners.smtp_admission import Admission
from ekiden.listeners.smtp_config import SmtpConfig
from ekiden.net.listen import Networks
from ekiden.smtp.server_config import ServerConfig

if TYPE_CHECKING:
    from ekiden.listeners.smtp_listener import ListenerSpec
    from ekiden.listeners.smtp_session import SmtpSession
    from ekiden.listeners.smtp_visitor import SmtpService


class SmtpMetrics:
    """What subclasses count. Called on the hot path: additions only."""

    def connection_opened(self) -> None: ...

    def connection_closed(self) -> None: ...

    def session_ended(self, bound: str) -> None:
        """It reached ``bound``, one of ``metrics.SESSION_BOUNDS``, and is closed."""

    def message_accepted(self, recipients: int, size: int, seconds: float) -> None:
        """``seconds`` from the end of the content to the commit."""

    def message_rejected(self, code: int) -> None: ...


@dataclass(slots=True)
class SessionContext:
    """What the sessions of one listener share."""

    spec: ListenerSpec
    service: SmtpService
    trusted_networks: Networks
    config: SmtpConfig
    protocol: ServerConfig
    trusted_protocol: ServerConfig
    metrics: SmtpMetrics
    admission: Admission
    turn: SharedTurn = field(default_factory=SharedTurn)
    """What is pipelined has a part of each turn of the loop, all sessions together."""
    sessions: set[SmtpSession] = field(default_factory=set)
    draining: bool = False
