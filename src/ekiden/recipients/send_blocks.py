"""Blocks: addresses that an account does not mail because of what happened to its mail, and for how long.

A block is a suppression of any kind but ``unsubscribe``. Those that a hard bounce has led to end by themselves,
after a period that the account can choose; another period counts for what is blocked from then on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ekiden.access.accounts import find_account, set_block_hours
from ekiden.access.audit import SYSTEM, Actor
from ekiden.recipients.suppression_history import Entry, history_of
from ekiden.recipients.suppressions import KINDS, mailbox_key

if TYPE_CHECKING:
    from ekiden.core.clock import Clock, Millis
    from ekiden.recipients.suppressions import Suppressions
    from ekiden.store.api import Store
    from ekiden.store.pages import Page

DEFAULT_BLOCK_HOURS: Final = 168
"""Of accounts that have chosen none: a week."""
BLOCKING_KINDS: Final = tuple(kind for kind in KINDS if kind != "unsubscribe")


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
