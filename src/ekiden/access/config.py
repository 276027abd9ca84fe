"""The table ``[access]`` of the configuration."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ekiden.core.duration import Duration

_Count = Annotated[int, msgspec.Meta(ge=1)]


class AccessConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How logins are remembered, and how guessing is slowed. Each worker counts for itself."""

    cache_time: Duration = 60.0
    """A user name and password that were right are not computed again for so long."""
    recheck: Duration = 1.0
    """How old knowledge of a revoked credential or a suspended account may be."""
    parallelism: _Count = 1
    """Password hashes computed at the same time, per worker; each takes 19 MiB for about 30 ms of one core."""
    window: Duration = 600.0
    """Failed logins are counted over this time."""
    address_delay_after: _Count = 3
    """So many failures from one address (IPv6: one /64), and its next refusals are delayed."""
    guess_limit: _Count = 20
    """So many of one user name from one address, and it is refused there without looking at the password."""
    address_limit: _Count = 100
    """So many from one address, and only user names that were right from there lately are looked at."""
    account_delay_after: _Count = 10
    """The same for one user name, from wherever."""
    account_limit: _Count = 100
    """So many of one user name, and an address that has failed is not looked at; others have one try."""
    max_wait: Duration = 20.0
    """How long a login waits for its turn to be checked."""
    delay: Duration = 1.0
    """The first delay; it doubles with each failure."""
    max_delay: Duration = 10.0
