"""A real supervisor whose workers do next to nothing: started with the path of its configuration, and the first and
the longest wait of its back-off, if that matters.

The file ``how`` beside it says what a worker does that starts: ``works``, ``crashes`` (once it was ready),
``fails`` (before), ``hangs`` (without a sign of life), ``clings`` (works, and takes a second to drain). Each one
adds a line to ``starts``: its process, its slot, and ``workers.memory``, which serves as the name of what it was
configured with.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

from ekiden.config.load import load_config
from ekiden.process.logging import configure_logging
from ekiden.process.restart_backoff import Backoff
from ekiden.process.supervisor import Supervisor
from ekiden.process.worker import WorkerSpec
from ekiden.wiring.dialects import DIALECTS


def work(folder: Path, spec: WorkerSpec) -> int:
    how = (folder / "how").read_text()
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
    with (folder / "starts").open("a") as file:
        file.write(f"{os.getpid()} {spec.slot} {spec.config.workers.memory}\n")
    if how == "fails":
        return 3
    while how == "hangs":
        time.sleep(60)
    spec.beats.beat(spec.slot)
    spec.report.send(ready=True)
    if how == "crashes":
        return 4
    while not asked:
        time.sleep(0.05)
        spec.beats.beat(spec.slot)
    until = time.monotonic() + (1.0 if how == "clings" else 0.0)
    while time.monotonic() < until:
        time.sleep(0.05)
        spec.beats.beat(spec.slot)
    return 0


if __name__ == "__main__":
    path = Path(sys.argv[1])
    config = load_config(path, {}, dialects=DIALECTS)
    configure_logging(config.log)
    supervisor = Supervisor(
        config,
        path,
        environ={},
        on_ready=lambda _: print("ready", flush=True),
        work=partial(work, path.parent),
        backoff=partial(Backoff, *(float(text) for text in sys.argv[2:] or ("0.001", "0.004"))),
        start_within=2.0,
    )
    sys.exit(supervisor.run())
