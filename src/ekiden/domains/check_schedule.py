"""When a domain is looked at again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ekiden.core.clock import HOUR, MINUTE, SECOND, Millis
from ekiden.domains.config import DomainsConfig
from ekiden.domains.model import Check, Domain, Key

SHORTEST: Final = MINUTE
SUSPENDED: Final = HOUR
"""At the most between the checks of a suspended domain: somebody waits for it."""
UNANSWERED: Final = 10 * MINUTE
"""At the most after a check that the DNS did not answer."""


def first_check(now: Millis, config: DomainsConfig) -> Millis:
    """The time of the first check after keys were made: nobody can have published them yet."""
    return now + min(SHORTEST, round(config.check_every * SECOND))


def next_check(
    domain: Domain, keys: Iterable[Key], checks: Iterable[Check], now: Millis, config: DomainsConfig
) -> Millis:
    """The time of the next periodic check.

    While something is open (records to be published, or to be repaired) the waits grow with its age: an eighth of
    it, from a minute on, so that it is found soon after it was done, and 72 hours of propagation are watched to
    their end and beyond. Else, and at the longest, it is ``check_every``.
    """
    longest = round(config.check_every * SECOND)
    open_since = [key.created_at for key in keys if key.status == "pending"]
    if domain.failing_since is not None:
        open_since.append(domain.failing_since)
    if domain.status in ("pending", "failed"):
        open_since.append(domain.created_at)
    wait = longest
    if open_since:
        wait = min(longest, max(SHORTEST, (now - max(open_since)) // 8))
    if domain.status == "suspended":
        wait = min(wait, SUSPENDED)
    if any(check.result == "temporary" for check in checks):
        wait = min(wait, UNANSWERED)
    return now + wait
