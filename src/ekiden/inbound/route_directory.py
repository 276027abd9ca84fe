"""What accounts receive, in memory: asked at each RCPT, and by whoever reads what came in.

One small query a second tells whether anything has changed, whatever the number of routes. What an account has is
then read again as a whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Final

import structlog

from ekiden.inbound.conditions import compiled
from ekiden.inbound.route_queries import Mark, Receiver, domains_of, mark, receivers, routes_of
from ekiden.store.errors import told

if TYPE_CHECKING:
    from ekiden.core.address import Address
    from ekiden.inbound.routes import Route
    from ekiden.store.api import Store

log = structlog.get_logger()

EVERY: Final = 1.0
"""Seconds between two looks."""
_BATCH: Final = 200
"""Accounts that are read together."""
_PATIENCE: Final = 0.01
"""Seconds that the patterns of one account may take at RCPT; then whoever reads the mail decides."""
_MOST_WORK: Final = 300_000
"""Instructions of a pattern times octets of an address, for the same reason: some 15 ms at worst."""


class _Known:
    """An account, as of ``receiver.revision``."""

    __slots__ = ("domains", "receiver", "routes", "tests", "unconditional")

    def __init__(self, receiver: Receiver, domains: Sequence[str], routes: Sequence[Route]) -> None:
        self.receiver = receiver
        self.domains = domains
        self.routes = tuple(routes)
        self.tests = tuple(dict.fromkeys(route.recipients for route in routes))
        self.unconditional = () in self.tests
        """Some route takes whatever the recipient is."""

    def may_take(self, recipient: bytes) -> bool:
        """Whether some route might, by what it demands of the envelope's recipient."""
        if self.unconditional:
            return True
        until = perf_counter() + _PATIENCE
        for patterns in self.tests:
            for text in patterns:
                if perf_counter() > until:
                    return True
                pattern = compiled(text)
                if pattern.size * len(recipient) <= _MOST_WORK and not pattern.found_in((recipient,)):
                    break
            else:
                return True
        return False


class RouteDirectory:
    """``inbound.mailboxes.Routed``. One per worker: ``run`` it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[int, _Known] = {}
        self._domains: dict[str, int] = {}
        self._mark: Mark | None = None
        self._looking = asyncio.Lock()

    @property
    def known(self) -> bool:
        """Whether it was read at all."""
        return self._mark is not None

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except Exception as error:
                told(log, "what accounts receive cannot be read", error)
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Know what is written now. Raises what the store raises."""
        async with self._looking, self._store.read() as connection:
            now = await mark(connection)
            if now == self._mark:
                return
            found = {each.account_id: each for each in await receivers(connection)}
            for gone in self._known.keys() - found.keys():
                self._forget(gone)
            changed = [id for id, each in found.items() if id not in self._known or self._is_old(each)]
            for at in range(0, len(changed), _BATCH):
                some = changed[at : at + _BATCH]
                domains, routes = await domains_of(connection, some), await routes_of(connection, some)
                for id in some:
                    self._learn(_Known(found[id], domains.get(id, ()), routes.get(id, ())))
            self._mark = now

    def receiver(self, domain: str) -> int | None:
        """The account that receives mail for the domain."""
        return self._domains.get(domain)

    def account_for(self, address: Address) -> int | None:
        account_id = self._domains.get(address.domain)
        if account_id is None or not self._known[account_id].may_take(address.text.encode()):
            return None
        return account_id

    def forwards(self, address: Address) -> tuple[str, ...]:
        return ()  # no target of a route sends on

    def suspended(self, account_id: int) -> bool:
        known = self._known.get(account_id)
        return known is not None and known.receiver.suspended

    def routes(self, account_id: int) -> Sequence[Route]:
        """Those of the account that have effect."""
        known = self._known.get(account_id)
        return () if known is None else known.routes

    def _is_old(self, receiver: Receiver) -> bool:
        return self._known[receiver.account_id].receiver != receiver

    def _learn(self, known: _Known) -> None:
        self._forget(known.receiver.account_id)
        self._known[known.receiver.account_id] = known
        self._domains.update(dict.fromkeys(known.domains, known.receiver.account_id))

    def _forget(self, account_id: int) -> None:
        known = self._known.pop(account_id, None)
        for name in known.domains if known is not None else ():
            if self._domains.get(name) == account_id:
                del self._domains[name]
