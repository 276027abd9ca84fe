"""How many SMTP connections a worker has, how much memory their contents take, and what the others hear."""

from __future__ import annotations

from collections.abc import Hashable

from ekiden.limits.connections import ConnectionCounts, Connections
from ekiden.limits.memory import Memory
from ekiden.listeners.smtp_config import SmtpConfig
from ekiden.smtp.reply import Reply

TOO_MANY_CONNECTIONS = Reply.of(421, "4.7.0", "Too many connections")
NOT_ADMITTED = Reply.of(554, "5.7.1", "No service for your network: no rule allows it")
NOT_TRUSTED = Reply.of(554, "5.7.1", "No service for your network here")


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
