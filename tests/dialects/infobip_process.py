"""The server of ``infobip_cloud`` in a process of its own, whose memory can be weighed; it has no throttles.

``python infobip_process.py DATABASE`` writes a line of JSON, port and key, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from infobip_cloud import running_infobip

from ekiden.dialects.infobip.config import InfobipConfig
from ekiden.lab import Lab
from ekiden.store.open import open_store


async def main(url: str) -> None:
    store = await open_store(url)
    try:
        throttled = [name for name in InfobipConfig.__struct_fields__ if "_per_" in name]
        config = InfobipConfig(**dict.fromkeys(throttled, 0))
        async with Lab(catalogue={}) as lab, running_infobip(store, lab, config=config) as cloud:
            print(json.dumps({"port": cloud.port, "key": cloud.key}), flush=True)
            await asyncio.to_thread(sys.stdin.read)
    finally:
        await store.close()


def peak_memory(pid: int) -> int:
    """The most that the process has had in memory, in octets."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
