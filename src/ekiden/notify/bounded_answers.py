"""Connections of the HTTP client whose answers are bounded before they are parsed.

The library waits for the final status for as long as interim ones (1xx, RFC 9110 §15.2) come, without a pause
between those that are there already, and keeps what comes after ``101``. A receiver must not keep the event loop
with that, nor fill the memory: answers have so many octets and so many interim statuses, and are looked at in small
pieces until the final status has come.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from ekiden.core.said import Said, say

MAX_OCTETS = 131_072
"""Octets of one answer, interim statuses and header included."""
MAX_INTERIM = 16
"""Interim statuses before the final one."""
_PIECE = 4096  # octets; some 160 interim statuses fit


class BoundPassed(aiohttp.ClientPayloadError):
    """An answer is more than is read."""

    def __init__(self, said: Said) -> None:
        self.said = said
        super().__init__(said.text())


class _BoundedAnswers(ResponseHandler):
    """One connection; each request on it begins with ``set_response_params``."""

    _left = MAX_OCTETS
    _interim = 0
    _final = False

    def set_response_params(self, **parameters: Any) -> None:
        self._left = MAX_OCTETS
        self._interim = 0
        self._final = False
        super().set_response_params(**parameters)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Called by the library for each status that it has read."""
        if 100 <= data[0].code < 200:
            self._interim += 1
        else:
            self._final = True
        super().feed_data(data, size)

    def data_received(self, data: bytes) -> None:
        room = self._left
        self._left -= len(data)
        for start in range(0, min(len(data), room), _PIECE):
            if self._final:
                super().data_received(data[start:room])
                break
            super().data_received(data[start : min(start + _PIECE, room)])
            if self._interim > MAX_INTERIM:
                self._cut(say("many_interim_statuses", most=MAX_INTERIM))
                return
        if self._left < 0:
            self._cut(say("answer_too_long", most=MAX_OCTETS))

    def _cut(self, why: Said) -> None:
        # Whoever waits for the final status hears why; one that has come is answered all the same.
        if not self._final:
            self.set_exception(BoundPassed(why))
        self.force_close()
        if self.transport is not None:
            self.transport.abort()


class BoundedConnector(aiohttp.TCPConnector):
    """Makes such connections."""

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        # The library has no way to say it; a test sees to it that the name stays what it is.
        self._factory = functools.partial(_bounded, loop=asyncio.get_running_loop())


def _bounded(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return _BoundedAnswers(loop)
