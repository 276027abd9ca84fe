"""A process that accepts messages and says which are on stable storage: ``python store_writer_process.py URL NUMBER
CONCURRENT ACCOUNT``. Prints ``ready``, waits for a line, then one line ``account id`` per acknowledged message, and
``done N`` with the longest wait in milliseconds."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from ekiden.core.ids import IdFactory
from ekiden.core.states import State
from ekiden.store.open import open_store

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.store_rows import NOW, TTL, Maker, outcome


async def main(url: str, number: int, concurrent: int, account: int) -> None:
    store = await open_store(url)
    worker = await store.register_worker("host", 1, NOW, TTL)
    maker = Maker(account, IdFactory(worker.node))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    longest = 0.0

    async def accept(count: int) -> None:
        nonlocal longest
        for n in range(count):
            new = maker.message(2, state=State.SENDING, content=b"%d " % account * 1000)
            began = time.perf_counter()
            await store.accept(worker.id, new)
            longest = max(longest, time.perf_counter() - began)
            print(account, new.message.id, flush=True)
            if n % 3 == 0:
                await store.finish(worker.id, [outcome(d) for d in new.deliveries])

    await asyncio.gather(*(accept(number // concurrent) for _ in range(concurrent)))
    print("done", round(longest * 1000), flush=True)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
