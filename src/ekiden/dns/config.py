"""The table ``[dns]`` of the configuration."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ekiden.core.duration import Duration


class DnsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whom to ask and how long to believe the answer."""

    nameservers: tuple[str, ...] = ()
    """IP addresses of recursive resolvers; empty: those of the system."""
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 53
    timeout: Duration = 3.0
    """For one question to one server."""
    lifetime: Duration = 12.0
    """For one question in all, with its repetitions."""
    cache_size: Annotated[int, msgspec.Meta(ge=0)] = 20_000
    """Answers kept, the oldest goes first."""
    cache_memory: Annotated[int, msgspec.Meta(ge=0)] = 33_554_432
    """Octets that they take, roughly."""
    concurrency: Annotated[int, msgspec.Meta(ge=1)] = 64
    """Questions that are asked at the same time, shared by accounts."""
    slow_concurrency: Annotated[int, msgspec.Meta(ge=1)] = 192
    """Further ones that have waited for more than ``slow_after``."""
    slow_after: Duration = 1.0
    max_answer: Annotated[int, msgspec.Meta(ge=512, le=65_535)] = 16_384
    """Octets of an answer over TCP; larger ones count as a failure of the server."""
    max_records: Annotated[int, msgspec.Meta(ge=1)] = 100
    """Records of an answer that are kept; of MX those with the least preference."""
    min_ttl: Duration = 1.0
    max_ttl: Duration = 86_400.0
    """An answer is kept for its own TTL within these bounds."""
    negative_max_ttl: Duration = 3_600.0
    """The most for "there is no such name" and "no such record" (RFC 2308 §5)."""
    failure_ttl: Duration = 5.0
    """For a failure to get any answer (RFC 2308 §7); doubled with each further one of the same name, up to
    ``failure_max_ttl`` (RFC 9520 §3.2)."""
    failure_max_ttl: Duration = 300.0
