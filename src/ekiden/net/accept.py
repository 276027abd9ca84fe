"""Accepting connections in a way that running out of something does not end.

One way for every listener (SMTP in all modes, HTTP), because the accept loops of asyncio and uvloop differ in what
they do when ``accept`` fails, and tell nobody about it.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

import structlog

log = structlog.get_logger()

BATCH = 64
"""Connections that are accepted before the loop serves others again."""
_PAUSE = 0.1
"""Seconds until it is tried again after descriptors or memory of the system ran out."""
_LOG_EVERY = 60.0
# Of the one connection, which is gone; accept(2) passes errors of the network on, too.
_GONE = {
    errno.ECONNABORTED,
    errno.EPROTO,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENOPROTOOPT,
    errno.EPERM,
}

Accepted = Callable[[socket.socket, Any], None]
"""Gets a non-blocking socket and the peer's address as the socket module gives it; owns the socket now.

It must not block. Who is over its bounds is told so, if that is cheap, and closed at once: with SO_REUSEPORT a
connection that is left waiting in this worker's queue cannot be taken by another worker.
"""


class Acceptor:
    """Accepts on ``listener`` (non-blocking, listening) from ``start`` to ``close``. Raises nothing in between.

    EMFILE, ENFILE, ENOBUFS and ENOMEM pause it for a moment; clients wait in the kernel's queue meanwhile. Whatever
    ``accepted`` raises is logged and ends that connection only.
    """

    def __init__(
        self,
        listener: socket.socket,
        accepted: Accepted,
        *,
        name: str = "",
        paused: Callable[[], None] | None = None,
    ) -> None:
        """``name`` is for logs; ``paused`` is called each time that accepting has to pause."""
        self._listener = listener
        self._accepted = accepted
        self._name = name
        self._paused = paused
        self._loop = asyncio.get_running_loop()
        self._resuming: asyncio.TimerHandle | None = None
        self._open = False
        self._logged_at = -_LOG_EVERY
        self.pauses = 0

    def start(self) -> None:
        self._open = True
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """Accept no more, and close the listening socket: the kernel refuses whoever comes now."""
        if self._resuming is not None:
            self._resuming.cancel()
            self._resuming = None
        elif self._open:
            self._loop.remove_reader(self._listener.fileno())
        self._open = False
        self._listener.close()

    def _accept(self) -> None:
        accept = self._listener.accept
        for _ in range(BATCH):
            try:
                accepted, address = accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _GONE:
                    continue
                self._pause(error)
                return
            try:
                accepted.setblocking(False)
                self._accepted(accepted, address)
            except Exception:
                log.exception("a connection could not begin", listener=self._name)
                accepted.close()
            if not self._open:
                return

    def _pause(self, error: OSError) -> None:
        self.pauses += 1
        if self._paused is not None:
            self._paused()
        now = self._loop.time()
        if now - self._logged_at >= _LOG_EVERY:
            self._logged_at = now
            log.warning("a listener cannot accept for now", listener=self._name, why=error.strerror)
        self._loop.remove_reader(self._listener.fileno())
        self._resuming = self._loop.call_later(_PAUSE, self._resume)

    def _resume(self) -> None:
        self._resuming = None
        self._loop.add_reader(self._listener.fileno(), self._accept)
