"""Addresses that bounce for good while they are delivered to are suppressed, where accounts want that.

What is sent on suppresses nobody: it is other people's mail.
"""

from __future__ import annotations

import asyncio

import structlog

from ekiden.core.ids import format_id
from ekiden.recipients.suppressing import Sent, Suppressing
from ekiden.store.errors import told
from ekiden.store.records import Outcome

log = structlog.get_logger()


class HardBounces:
    """``bounced`` of ``delivery.dispatcher``. What a crash loses here is learnt again from the next bounce."""

    def __init__(self, suppressing: Suppressing) -> None:
        self._suppressing = suppressing
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, outcome: Outcome) -> None:
        message = outcome.delivery.message
        if message.sender and message.forward is None and outcome.diagnosis.hard:
            task = asyncio.create_task(self._note(outcome))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _note(self, outcome: Outcome) -> None:
        message = outcome.delivery.message
        sent = Sent(message.account_id, message.id, message.sender, message.labels)
        reason = f"{outcome.code} {outcome.enhanced} {outcome.reason}"
        try:
            await self._suppressing.bounced(sent, outcome.delivery.recipient, outcome.diagnosis, reason)
        except Exception as error:
            told(log, "a bounce is not remembered", error, id=format_id(message.id))

    async def close(self) -> None:
        """Wait for what is being written."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
