"""Writes what rounds came to: those that end at the same time share a transaction. Nothing is forgotten while the
database is away; until a result is written, its endpoint is not sent to again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from ekiden.core.clock import SECOND, Millis
from ekiden.notify.queries import RoundResult, expire_notices, record_rounds
from ekiden.store.api import StoreUnavailable
from ekiden.store.errors import told

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.notify.config import CallbacksConfig
    from ekiden.notify.metrics import OutboxMetrics
    from ekiden.store.api import Store

log = structlog.get_logger()

_AGAIN = 1.0  # seconds, while the database is away
_EXPIRE_BATCH = 1000


class Recorder:
    """One per outbox."""

    def __init__(
        self, store: Store, clock: Clock, worker: int, config: CallbacksConfig, metrics: OutboxMetrics
    ) -> None:
        self._store = store
        self._clock = clock
        self._worker = worker
        self._expire_after: Millis = round(config.expire_after * SECOND)
        self._metrics = metrics
        self._pending: list[tuple[RoundResult, asyncio.Future[bool]]] = []
        self._task: asyncio.Task[None] | None = None

    async def write(self, result: RoundResult) -> bool:
        """Returns once it is on stable storage. False: the database refused it, which a log tells."""
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._pending.append((result, written))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="outbox-recorder")
        return await asyncio.shield(written)

    async def close(self, timeout: float) -> None:
        """Wait for what is being written, so many seconds at most."""
        if self._task is not None and not self._task.done():
            await asyncio.wait((self._task,), timeout=timeout)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            try:
                done = await self._write_all([result for result, _ in batch])
            except BaseException:
                for _, written in batch:
                    written.cancel()
                raise
            for (_, written), each in zip(batch, done, strict=True):
                if not written.done():
                    written.set_result(each)

    async def _write_all(self, results: list[RoundResult]) -> list[bool]:
        while True:
            try:
                async with self._store.write() as connection:
                    await record_rounds(connection, self._worker, results, self._clock.now())
            except StoreUnavailable as error:
                log.warning("what became of callbacks cannot be written yet", why=str(error))
                await asyncio.sleep(_AGAIN)
            except Exception as error:
                if len(results) == 1:
                    told(log, "what became of a callback cannot be written", error)
                    return [False]
                return [each for result in results for each in await self._write_all([result])]
            else:
                break
        try:
            for result in results:
                await self._expire(result)
        except Exception as error:
            # What is too old still is when the next round fails.
            told(log, "callbacks that are too old cannot be given up yet", error)
        return [True] * len(results)

    async def _expire(self, result: RoundResult) -> None:
        """Give up what is too old, once the endpoint has failed for as long."""
        now = self._clock.now()
        before = now - (self._expire_after if result.lasts is None else result.lasts)
        if result.failing_since is None or result.failing_since > before:
            return
        count = _EXPIRE_BATCH
        while count == _EXPIRE_BATCH:
            async with self._store.write() as connection:
                count = await expire_notices(connection, result.endpoint_id, before, now, _EXPIRE_BATCH)
            if count:
                self._metrics.gave_up(count)
