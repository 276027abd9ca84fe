"""How fast a content has to come in."""

from __future__ import annotations

from ekiden.listeners.smtp_config import SmtpConfig

_RATE_GRACE = 60.0
"""Seconds that a content may take before its rate matters."""


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
