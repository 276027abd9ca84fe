"""How fast bodies come and answers are read; what is too slow must not be waited for."""

from __future__ import annotations

from typing import Final

from ekiden.listeners.http_config import HttpConfig

GRACE: Final = 60.0
"""Seconds that a body or an answer may take before its rate matters."""


class BodyPace:
    """Of one body, from ``began`` on. All times are seconds of the loop."""

    __slots__ = ("began", "last", "octets")

    def __init__(self, began: float) -> None:
        self.began = began
        self.last = began
        """When something came."""
        self.octets = 0

    def excuse(self, seconds: float) -> None:
        """That long it was not the client who was waited for."""
        self.began += seconds
        self.last += seconds

    def too_slow(self, now: float, config: HttpConfig) -> bool:
        took = now - self.began
        return (
            took > config.body_timeout
            or now - self.last > config.body_idle_timeout
            or (took > GRACE and self.octets < config.min_rate * took)
        )


class AnswerPace:
    """Of all answers of one connection."""

    __slots__ = ("_before", "_sent", "_sent_at", "since", "written")

    def __init__(self) -> None:
        self.written = 0
        """Octets of answers."""
        self.since = 0.0
        """Since when there is something that the client has not read; 0: there is not."""
        self._before = 0
        self._sent = 0
        self._sent_at = 0.0

    def too_slow(self, now: float, unread: int, config: HttpConfig) -> bool:
        """Asked again and again; ``unread``: octets of what was written."""
        if not unread:
            self.since = 0.0
            return False
        sent = self.written - unread
        if not self.since:
            self.since = self._sent_at = now
            self._before = sent
        elif sent != self._sent:
            self._sent_at = now
        self._sent = sent
        took = now - self.since
        return now - self._sent_at > config.answer_timeout or (
            took > GRACE and sent - self._before < config.min_rate * took
        )
