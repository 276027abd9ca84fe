"""Addresses that bounced for good are suppressed, where accounts want that."""

from __future__ import annotations

import asyncio

import msgspec
import structlog

from ekiden.access.directory import Directory
from ekiden.core.address import parse_address
from ekiden.core.clock import HOUR
from ekiden.core.ids import format_id
from ekiden.core.submission import BLOCKING
from ekiden.recipients.send_blocks import DEFAULT_BLOCK_HOURS
from ekiden.recipients.suppressions import ANY_DOMAIN, Suppressions
from ekiden.store.errors import told
from ekiden.store.records import Outcome

log = structlog.get_logger()


class HardBounces:
    """``bounced`` of ``delivery.dispatcher``: who is not there is suppressed, where the account wants that.

    For the whole account and for its block period, where its message has the label ``BLOCKING`` or the account has
    such a period; else for the sending domain until somebody takes it back, where it has bounces suppressed.

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
            if account is None:
                return
            domain, lasts = parse_address(message.sender).domain, None
            # The two settings are of different interfaces, of which one account may use both.
            if _blocks(message.labels) or (account.block_hours is not None and not account.suppress_bounces):
                domain = ANY_DOMAIN
                lasts = (account.block_hours or DEFAULT_BLOCK_HOURS) * HOUR
            elif not account.suppress_bounces:
                return
            reason = f"{outcome.code} {outcome.enhanced} {outcome.reason}"
            await self._suppressions.note_bounce(
                account.id,
                domain,
                outcome.delivery.recipient,
                reason,
                diagnosis=outcome.diagnosis,
                lasts=lasts,
            )
        except Exception as error:
            told(log, "a bounce is not remembered", error, id=format_id(message.id))

    async def close(self) -> None:
        """Wait for what is being written."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _blocks(labels: str) -> bool:
    """``labels``: JSON, as messages have them; what cannot be read says nothing."""
    try:
        return f'"{BLOCKING}"' in labels and BLOCKING in msgspec.json.decode(labels, type=dict[str, str])
    except msgspec.MsgspecError:
        return False
