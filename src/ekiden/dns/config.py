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
    min_ttl: Duration = 1.0
    max_ttl: Duration = 86_400.0
    """An answer is kept for its own TTL within these bounds."""
    negative_max_ttl: Duration = 3_600.0
    """The most for "there is no such name" and "no such record" (RFC 2308 §5)."""
    failure_ttl: Duration = 5.0
    """For a failure to get any answer (RFC 2308 §7)."""
