"""The DNS for one message that comes in: from our cache, for a bounded time, and so many questions only."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ekiden.dns.resolver import DnsTemporary
from ekiden.sender_auth.dns import RecordType, TemporaryDnsError

if TYPE_CHECKING:
    from ekiden.dns.resolver import DnsResolver
    from ekiden.sender_auth.dns import Lookup


class RememberedLookup:
    """``sender_auth.dns.Lookup`` on the cache of a resolver, the one that mail is sent with."""

    def __init__(self, resolver: DnsResolver) -> None:
        self._resolver = resolver

    async def __call__(self, name: str, rdtype: RecordType, /) -> Sequence[Any]:
        try:
            return await self._resolver.remembered(name, rdtype)
        except DnsTemporary as error:
            raise TemporaryDnsError(str(error)) from None


class BoundedLookup:
    """A lookup that does not answer any more once its time is over, or when it was asked too often.

    A name server that answers each question just before it times out costs the message that leads to it no more
    than that, and nobody else.
    """

    def __init__(self, lookup: Lookup, until: float, most: int) -> None:
        """``until``: a time of the event loop; ``most``: questions, those that the cache answers as well."""
        self._lookup = lookup
        self._until = until
        self._left = most

    async def __call__(self, name: str, rdtype: RecordType, /) -> Sequence[Any]:
        if not self._left:
            raise TemporaryDnsError("too many questions for one message")
        self._left -= 1
        try:
            if asyncio.get_running_loop().time() >= self._until:
                raise TimeoutError
            async with asyncio.timeout_at(self._until):
                return await self._lookup(name, rdtype)
        except TimeoutError:
            raise TemporaryDnsError("the name servers took too long for one message") from None
