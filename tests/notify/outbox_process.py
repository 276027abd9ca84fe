"""An outbox in a process of its own, to be killed: ``python outbox_process.py STORE_URL WORKER NODE``."""

from __future__ import annotations

import asyncio
import sys

from outbox_parts import LAB, VAULT, Batched, Names

from ekiden.core.ids import IdFactory
from ekiden.net.clock import SystemClock
from ekiden.notify.config import CallbacksConfig
from ekiden.notify.formats import by_name
from ekiden.notify.outbox import Outbox
from ekiden.store.open import open_store


async def main(url: str, worker: int, node: int) -> None:
    store = await open_store(url)
    await Outbox(
        store,
        SystemClock(),
        IdFactory(node),
        worker,
        CallbacksConfig(concurrency=2),
        by_name([Batched(10)]),
        VAULT,
        Names(),  # type: ignore[arg-type]
        LAB,
    ).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
