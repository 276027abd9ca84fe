"""What a worker does in the name of its registration, and has to give up with it: deliveries and callbacks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from ekiden.process.logging import get_logger

if TYPE_CHECKING:
    from ekiden.delivery.dispatcher import Dispatcher
    from ekiden.notify.outbox import Outbox
    from ekiden.store.standing import Standing

_LAST_REPORTS = 30.0  # seconds for what a retired part still has to report
Failed = Callable[["asyncio.Task[None]"], None]


class Post:
    """One registration's. ``failed`` is called when a part ends that should not."""

    def __init__(
        self, standing: Standing, dispatcher: Dispatcher | None, outbox: Outbox | None, failed: Failed
    ) -> None:
        self.standing = standing
        self.dispatcher = dispatcher
        self.outbox = outbox
        self._failed = failed
        self._left = False
        self._delivery = self._start(dispatcher.run(), "delivery") if dispatcher is not None else None
        self._callbacks = self._start(outbox.run(), "callbacks") if outbox is not None else None

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        if not self._left:
            self._failed(task)
        elif (error := task.exception()) is not None:
            get_logger().error("a part of the worker did not end well", part=task.get_name(), why=str(error))

    async def drain(self, left: Callable[[], float]) -> None:
        """No new work; what is under way may end within ``left()`` seconds; the rest goes back to the queue."""
        self._left = True
        if self.dispatcher is not None and self._delivery is not None:
            await self.dispatcher.drain(left())
            # Its run ends when the last outcome is on stable storage: what is not would be sent again.
            await asyncio.wait((self._delivery,), timeout=left() + 1)
        if self.outbox is not None and self._callbacks is not None:
            # What was told is written down, so that nobody is told twice.
            await self.outbox.drain(left())
            await asyncio.wait((self._callbacks,), timeout=left() + 1)
        await self.close()

    async def retire(self) -> None:
        """The registration counts no more: begin nothing, cut off what is under way, report what is known."""
        self._left = True
        running = [task for task in (self._delivery, self._callbacks) if task is not None]
        if self.dispatcher is not None:
            self.dispatcher.retire()
        if self.outbox is not None:
            await self.outbox.drain(0.0)
        if running:
            await asyncio.wait(running, timeout=_LAST_REPORTS)
        await self.close()

    async def close(self) -> None:
        """Cut off whatever still runs."""
        self._left = True
        running = [task for task in (self._delivery, self._callbacks) if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
