"""Somebody whose requests are answered while somebody else sends what is meant to stop the server."""

from __future__ import annotations

import os
import threading
from http.client import HTTPConnection
from pathlib import Path


class Neighbour:
    """Asks without a pause in a thread of its own: ``with Neighbour(port, pid) as neighbour``."""

    def __init__(self, port: int, pid: int, path: str = "/healthz") -> None:
        self._port = port
        self._pid = pid
        self._path = path
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.answers = 0
        self.slowest = 0.0
        """Processor seconds that the server took, for whatever it did, until the answer that took longest.

        By these a machine that is busy with others makes nobody slower.
        """
        self.failure: BaseException | None = None

    def __enter__(self) -> Neighbour:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)
        if self.failure is not None:
            raise self.failure

    def _ask(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            while not self._over.is_set():
                begun = _worked(self._pid)
                connection.request("GET", self._path)
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 200
                self.slowest = max(self.slowest, _worked(self._pid) - begun)
                self.answers += 1
                self._over.wait(0.005)
        except BaseException as error:
            self.failure = error
        finally:
            connection.close()


def _worked(pid: int) -> float:
    """Seconds that all threads of the process had a processor, in ticks of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> int:
    """What the process has in memory now, in octets; its peak begins anew."""
    resident = _status(pid, "VmRSS")
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return resident


def peak(pid: int) -> int:
    """The most since ``memory``, in octets."""
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(name)
