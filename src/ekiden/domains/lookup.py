"""The DNS for checks: real answers of the configured name servers, past our own cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from ekiden.dns.resolver import DnsTemporary
from ekiden.sender_auth.dns import RecordType, TemporaryDnsError

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.dns.resolver import DnsResolver
    from ekiden.sender_auth.dns import Lookup

PATIENCE: Final = 60.0
"""Seconds for all the questions of one look at a domain. RFC 7208 §4.6.4 wants at least 20 for SPF."""


class DnsLookup:
    """``sender_auth.dns.Lookup`` on a resolver.

    Somebody who has just corrected a record must not be shown yesterday's, so nothing is taken from the resolver's
    cache. What the recursive name servers remember is theirs: at most the TTL of the old record.
    """

    def __init__(self, resolver: DnsResolver) -> None:
        self._resolver = resolver

    async def __call__(self, name: str, rdtype: RecordType, /) -> Sequence[Any]:
        try:
            return await self._resolver.fresh(name, rdtype)
        except DnsTemporary as error:
            raise TemporaryDnsError(str(error)) from None


class PatientLookup:
    """A lookup that asks nothing more once its time is over, as if the DNS did not answer.

    A hostile domain may lead to hundreds of questions, and answer each just before it times out. Whoever waits for
    that, and the other domains whose turn it is, must get on.
    """

    def __init__(self, lookup: Lookup, clock: Clock, patience: float = PATIENCE) -> None:
        self._lookup = lookup
        self._clock = clock
        self._patience = patience
        self._until = clock.monotonic() + patience

    async def __call__(self, name: str, rdtype: RecordType, /) -> Sequence[Any]:
        if self._clock.monotonic() >= self._until:
            raise TemporaryDnsError(f"the name servers took more than {self._patience:.0f} seconds in all")
        return await self._lookup(name, rdtype)
