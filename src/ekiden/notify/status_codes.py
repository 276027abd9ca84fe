"""What the HTTP status of a receiver means: it has the news, its news is at fault, or the receiver is."""

from __future__ import annotations

from enum import Enum

# What lies with the receiver as a whole; any other 4xx is about what was sent (RFC 9110 §15.5).
_OF_THE_ENDPOINT = frozenset({401, 402, 403, 404, 405, 407, 408, 410, 421, 423, 425, 426, 429, 451})


class Result(Enum):
    """What a request came to."""

    TAKEN = "taken"
    """2xx: the receiver has it."""
    REFUSED = "refused"
    """The receiver works, and does not like what it was sent."""
    FAILED = "failed"
    """There was no answer, or one that any other request would get as well."""


def result_of(status: int) -> Result:
    """What a status (0: none) means for what was sent."""
    if 200 <= status < 300:
        return Result.TAKEN
    if 400 <= status < 500 and status not in _OF_THE_ENDPOINT:
        return Result.REFUSED
    return Result.FAILED
