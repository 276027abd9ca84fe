"""Addresses that bounced for good are suppressed, where accounts want that."""

from __future__ import annotations

import asyncio

import structlog

from ekiden.access.directory import Directory
from ekiden.core.address import parse_address
from ekiden.core.ids import format_id
from ekiden.recipients.suppressions import Suppressions
from ekiden.store.errors import told
from ekiden.store.records import Outcome

log = structlog.get_logger()


class HardBounces:
    """``bounced`` of ``delivery.dispatcher``: who is not there is suppressed, where the account wants that.

    What a crash loses here is learnt again from the next bounce.
    """

    def __init__(self, directory: Directory, suppressions: Suppressions) -> None:
        self._directory = directory
        self._suppressions = suppressions
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, outcome: Outcome) -> None:
        if outcome.delivery.message.sender and outcome.diagnosis.hard:
            task = asyncio.create_task(self._note(outcome))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _note(self, outcome: Outcome) -> None:
        message = outcome.delivery.message
        try:
            account = await self._directory.account(message.account_id)
            if account is not None and account.suppress_bounces:
                domain = parse_address(message.sender).domain
                reason = f"{outcome.code} {outcome.enhanced} {outcome.reason}"
                await self._suppressions.note_bounce(account.id, domain, outcome.delivery.recipient, reason)
        except Exception as error:
            told(log, "a bounce is not remembered", error, id=format_id(message.id))

    async def close(self) -> None:
        """Wait for what is being written."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
