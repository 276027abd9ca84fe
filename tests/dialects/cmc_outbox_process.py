"""An outbox in a process of its own, to be killed: ``cmc_outbox_process.py STORE_URL WORKER NODE CLOCK``.

``CLOCK`` is a file with the time in milliseconds, eight octets: the tests drive it.
"""

from __future__ import annotations

import asyncio
import mmap
import sys
from pathlib import Path
from typing import Any

from ekiden.access.vault import Vault
from ekiden.core.clock import SECOND
from ekiden.core.ids import IdFactory
from ekiden.dialects.cmc.news.events import event_formats
from ekiden.notify.config import CallbacksConfig
from ekiden.notify.formats import by_name
from ekiden.notify.outbox import Outbox
from ekiden.notify.ssrf import Destinations
from ekiden.store.open import open_store

KEY = bytes(range(32))


class FileClock:
    """An ``ekiden.core.clock.Clock``."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)

    def now(self) -> int:
        return int.from_bytes(self._map[:8], "little")

    def monotonic(self) -> float:
        return self.now() / SECOND


async def main(url: str, worker: int, node: int, clock: FileClock) -> None:
    store = await open_store(url)
    formats = by_name(event_formats("pro"))
    nobody: Any = None  # endpoints are addresses: there is no name to look up
    to_lab = Destinations(loopback_only=True)
    await Outbox(
        store, clock, IdFactory(node), worker, CallbacksConfig(), formats, Vault(KEY), nobody, to_lab
    ).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), FileClock(Path(sys.argv[4]))))
