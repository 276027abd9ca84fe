"""The receiving end: ``smtp-sink`` of the Postfix package, which accepts everything and counts (smtp-sink(1))."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import time

from bench.tools import BenchError, need_program, wait_until_greets

_BACKLOG = 1024
_PIPE_SIZE = 1 << 20
_COUNT = re.compile(rb"mesg=(\d+)")


def last_count(text: bytes) -> int | None:
    """The newest complete ``mesg=N`` in what ``smtp-sink -c`` prints (``sess=1 quit=1 mesg=1`` and a CR)."""
    end = text.rfind(b"\r")
    counts = _COUNT.findall(text[: end + 1])
    return int(counts[-1]) if counts else None


class Sink:
    """``with Sink(port) as sink: ... sink.count()``. Its own CPU time and memory are nobody's business."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self._count = 0

    def __enter__(self) -> Sink:
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self._process = subprocess.Popen(
            [need_program("smtp-sink"), *user, "-c", f"127.0.0.1:{self.port}", str(_BACKLOG)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        os.set_blocking(descriptor, False)
        # Wide enough that the sink never waits for us between two looks.
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        if not wait_until_greets(self.port, 10):
            self.__exit__()
            raise BenchError(f"smtp-sink did not start on port {self.port}")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None

    def count(self) -> int:
        """Messages received so far."""
        if self._process is None or self._process.stdout is None:
            return self._count
        descriptor = self._process.stdout.fileno()
        while True:
            try:
                data = os.read(descriptor, _PIPE_SIZE)
            except BlockingIOError:
                break
            if not data:
                break
            self._rest += data
            newest = last_count(self._rest)
            if newest is not None:
                self._count = newest
            self._rest = self._rest[self._rest.rfind(b"\r") + 1 :]
        return self._count

    def wait(self, wanted: int, timeout: float, every: float = 0.02) -> bool:
        """Look every ``every`` seconds until ``wanted`` messages are there."""
        deadline = time.monotonic() + timeout
        while self.count() < wanted:
            if time.monotonic() > deadline:
                return False
            time.sleep(every)
        return True
