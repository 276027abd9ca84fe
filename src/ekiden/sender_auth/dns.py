"""What SPF, DKIM and DMARC ask of the DNS, as one call: a resolver in the server, a dictionary in tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from ekiden.core.errors import EkidenError

RecordType = Literal["A", "AAAA", "MX", "PTR", "TXT"]


class TemporaryDnsError(EkidenError):
    """The DNS gave no usable answer (timeout, SERVFAIL, refused): asking again later may help."""


class Lookup(Protocol):
    """One question to the DNS.

    ``name`` is a domain in A-labels, with or without the final dot. The answers, in any order, by type:

    - ``TXT``: ``bytes`` per record, its strings joined without a blank (RFC 7208 §3.3, RFC 6376 §3.6.2.2)
    - ``A``, ``AAAA``: ``str``, an address as text
    - ``MX``: ``tuple[int, str]``, preference and host; a null MX (RFC 7505) has the host ``.`` or an empty one
    - ``PTR``: ``str``, a host; the question is asked with the ``in-addr.arpa`` or ``ip6.arpa`` name

    A name that does not exist and a name without records of the type both give an empty sequence.
    Raises ``TemporaryDnsError``.
    """

    async def __call__(self, name: str, rdtype: RecordType, /) -> Sequence[Any]: ...
