"""The table ``[domains]`` of the configuration."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ekiden.core.duration import Duration


class DomainsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What accounts' domains have to publish, and how often that is looked at."""

    spf_include: str = ""
    """The host whose SPF record lists our outgoing addresses, for ``include:``; empty: the configured hostname."""
    mx: str = ""
    """The host that receives bounces, for the MX records of return paths; empty: the configured hostname."""
    addresses: tuple[str, ...] = ()
    """Our outgoing IP addresses and networks; empty: the addresses of the hostname in DNS."""
    check_every: Annotated[Duration, msgspec.Meta(ge=1, extra={"unit": "duration"})] = 6 * 3_600.0
    """Between the checks of a verified domain, and the most between those of another."""
    grace: Duration = 24 * 3_600.0
    """How long the checks of a verified domain may fail before nothing is accepted from it any more."""
    require_address: bool = True
    """A domain needs an address record (A or AAAA) before it is verified."""
    ed25519: bool = True
    """Offer every domain a second key, for Ed25519 signatures (RFC 8463)."""
    overlap: Annotated[Duration, msgspec.Meta(ge=86_400, extra={"unit": "duration"})] = 7 * 86_400.0
    """How long the record of a key stays needed after the last signature with it: longer than mail may wait."""
