"""Blocks: addresses that an account does not mail because of what happened to its mail, and for how long.

A block is a suppression of any kind but ``unsubscribe``. Those that a hard bounce has led to end by themselves,
after a period that the account can choose; another period counts for what is blocked from then on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ekiden.access.accounts import find_account, set_block_hours
from ekiden.access.audit import SYSTEM, Actor
from ekiden.core.address import shown_address
from ekiden.recipients import block_queries
from ekiden.recipients.block_queries import BLOCKING_KINDS, Block, Period
from ekiden.recipients.suppression_history import Entry, history_of
from ekiden.recipients.suppressions import mailbox_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ekiden.core.clock import Clock, Millis
    from ekiden.recipients.suppressions import Suppression, Suppressions
    from ekiden.store.api import Store
    from ekiden.store.pages import Page

_PIECE: Final = 1_000
DEFAULT_BLOCK_HOURS: Final = 168
"""Of accounts that have chosen none: a week."""


@dataclass(frozen=True, slots=True)
class BlockState:
    """``until``: when the last of the blocks ends; ``None``: not by itself, or nothing is blocked."""

    blocked: bool
    until: Millis | None = None


class SendBlocks:
    """One per worker. Its coroutines raise what the store raises."""

    def __init__(self, store: Store, clock: Clock, suppressions: Suppressions) -> None:
        self._store = store
        self._clock = clock
        self._suppressions = suppressions

    async def hours(self, account_id: int) -> int:
        """For how long what is blocked from now on is."""
        account = await find_account(self._store, account_id)
        return (account and account.block_hours) or DEFAULT_BLOCK_HOURS

    async def set_hours(self, account: str, hours: int, *, actor: Actor = SYSTEM) -> None:
        """``account``: its name. Raises ``access.errors.BadName``, ``NotFound``."""
        await set_block_hours(self._store, account, hours, self._clock.now(), actor=actor)

    async def state(self, account_id: int, address: str) -> BlockState:
        """Whether the account, or one of its domains, does not mail the address. Raises ``SuppressionError``."""
        return BlockState(*await self._suppressions.last_end(account_id, address, BLOCKING_KINDS))

    async def history(
        self, account_id: int, address: str, *, oldest: bool = False, offset: int = 0, limit: int = 100
    ) -> Page[Entry]:
        """Which blocks of the address there were, and how they ended. Raises ``SuppressionError``."""
        key = mailbox_key(address)
        await self._suppressions.expire_of(account_id, key)
        return await history_of(
            self._store, account_id, key, BLOCKING_KINDS, oldest=oldest, offset=offset, limit=limit
        )

    async def page(
        self,
        account_id: int,
        *,
        released: bool = False,
        part: str = "",
        period: Period = Period(),  # noqa: B008 (it is frozen)
        offset: int = 0,
        limit: int = 100,
    ) -> list[Block]:
        """Blocked addresses, the newest first; ``released``: those that were. ``part``: of their address."""
        find = block_queries.released if released else block_queries.blocks
        async with self._store.read() as connection:
            return await find(
                connection, account_id, self._clock.now(), part=part, period=period, offset=offset, limit=limit
            )

    async def address_of(self, account_id: int, is_it: Callable[[str, str, str], bool]) -> str:
        """Of the block of which ``is_it``, told sending domain, address (a key) and kind; empty: there is none."""
        after = 0
        while True:
            async with self._store.read() as connection:
                found = await block_queries.identities(connection, account_id, after, _PIECE)
            for _, domain, key, kind in found:
                if is_it(domain, key, kind):
                    return shown_address(key)
            if len(found) < _PIECE:
                return ""
            after = found[-1][0]

    async def release(self, account_id: int, address: str, *, actor: Actor) -> int:
        """Mail the address again, from whichever domain; how many blocks there were.

        Raises ``SuppressionError``.
        """
        return await self._remove(account_id, address, BLOCKING_KINDS, None, actor)

    async def unsubscribed(
        self,
        account_id: int,
        *,
        part: str = "",
        domain: str | None = None,
        period: Period = Period(),  # noqa: B008
        offset: int = 0,
        limit: int = 100,
    ) -> list[Suppression]:
        """Those who have left, the newest first. ``domain``: what they left, or ``ANY_DOMAIN``; ``None``: any of
        these."""
        async with self._store.read() as connection:
            return await block_queries.unsubscribed(
                connection,
                account_id,
                self._clock.now(),
                part=part,
                domain=domain,
                period=period,
                offset=offset,
                limit=limit,
            )

    async def take_back(self, account_id: int, address: str, domain: str | None = None, *, actor: Actor) -> int:
        """Somebody who has left has not, of ``domain``, or of all; how many rows there were. Raises
        ``SuppressionError``."""
        return await self._remove(account_id, address, ("unsubscribe",), domain, actor)

    async def _remove(
        self, account_id: int, address: str, kinds: Sequence[str], domain: str | None, actor: Actor
    ) -> int:
        key = mailbox_key(address)
        async with self._store.read() as connection:
            found = await block_queries.domains_of(connection, account_id, self._clock.now(), key, kinds)
        removed = 0
        for of, kind in found:
            if domain is None or of == domain:
                removed += await self._suppressions.remove(account_id, of, [address], kind, actor=actor)
        return removed
