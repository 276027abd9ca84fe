"""A process whose disk is full for a while: ``python store_small_disk.py URL``. Prints one word per step."""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

from ekiden.store.api import StoreUnavailable
from ekiden.store.open import open_store

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.store_rows import NOW, TTL, Maker


async def main(url: str) -> None:
    store = await open_store(url)
    worker = await store.register_worker("host", 1, NOW, TTL)
    maker = Maker()
    await store.accept(worker.id, maker.message(content=b"first"))
    # A file may not grow beyond this: what a full disk is to a database.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
    results = await asyncio.gather(
        *(store.accept(worker.id, maker.message(content=b"x" * 100_000)) for _ in range(40)), return_exceptions=True
    )
    print(
        {type(result) for result in results} <= {StoreUnavailable, type(None)},
        StoreUnavailable in map(type, results),
    )
    try:
        async with store.write() as connection:
            await connection.exec_driver_sql("CREATE TABLE large AS SELECT zeroblob(4000000) AS x")
    except StoreUnavailable:
        print("unavailable")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    last = maker.message(content=b"y" * 2_000_000)
    await store.accept(worker.id, last)
    print(await store.content(1, last.message.id) == last.content)
    acknowledged = 2 + sum(result is None for result in results)
    print((await store.stats()).by_state[last.deliveries[0].state] == acknowledged)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
