"""What an endpoint wants otherwise than configured: how long news gathers, how much of it goes into a request, how
long an answer may take, when a failed request is repeated and for how long, and what its format is told.

Endpoints that messages name by a URL have none of it. The rest are made of an account's settings
(``notify.staged_settings``) and change in place, so that news under way follows the new ones.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import msgspec

from ekiden.core.clock import DAY, SECOND
from ekiden.notify.schedule import Pace

if TYPE_CHECKING:
    from ekiden.core.clock import Millis

MOST_EVENTS: Final = 10_000
"""Of a request, whatever an endpoint asks for."""

_Millis = Annotated[int, msgspec.Meta(ge=0, le=30 * DAY)]


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """``endpoint.options``: what no query asks for. Milliseconds; 0: as configured."""

    timeout: _Millis = 0
    """Of a request: connecting, sending, and the answer."""
    retry_every: _Millis = 0
    """Between two tries; 0: they become rarer (``notify.schedule``)."""
    retry_for: _Millis = 0
    """After that news is given up."""
    settings: dict[str, Any] = {}
    """For the format alone (``formats.Adjustable``)."""


AS_CONFIGURED: Final = Kept()
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


class Options(NamedTuple):
    """As the table ``endpoint`` has them: ``gather`` and ``most`` decide whether something is due, so they are
    columns, and so is ``paused``."""

    gather: Millis = 0
    """News waits so long for more of it, since the oldest of it happened; 0: not at all."""
    most: int = 0
    """Events of a request, at most; as many go at once, whatever ``gather`` says. 0: as configured."""
    paused: bool = False
    """Nothing is sent; what comes meanwhile waits."""
    kept: Kept = AS_CONFIGURED

    def columns(self) -> dict[str, Any]:
        """Of the table ``endpoint``."""
        return {
            "gather": self.gather,
            "most": self.most,
            "paused": self.paused,
            "options": "" if self.kept == AS_CONFIGURED else _encode(self.kept).decode(),
        }


@lru_cache(maxsize=2_000)
def read_options(text: str) -> Kept:
    """From ``endpoint.options``; what a newer Ekiden has more is skipped. Raises ``msgspec.MsgspecError``."""
    return msgspec.json.decode(text, type=Kept) if text else AS_CONFIGURED


def pace_of(kept: Kept, longest_wait: float, expire_after: float) -> Pace:
    """When a failed request is repeated. Seconds, of the configuration."""
    return Pace(
        every=kept.retry_every,
        longest=round(longest_wait * SECOND),
        lasts=kept.retry_for or round(expire_after * SECOND),
    )
