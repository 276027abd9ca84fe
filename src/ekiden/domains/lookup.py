"""The DNS for checks: real answers of the configured name servers, past our own cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ekiden.dns.resolver import DnsTemporary
from ekiden.sender_auth.dns import RecordType, TemporaryDnsError

if TYPE_CHECKING:
    from ekiden.dns.resolver import DnsResolver


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
