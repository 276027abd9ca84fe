"""The tables ``[ibm]`` and ``[[regions]]`` of the configuration."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Final

import msgspec

from ekiden.core.duration import Duration

_Positive = Annotated[int, msgspec.Meta(ge=1)]


class IbmConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the dialect leaves to the operator (contract §3). The first three are of new SMTP configurations."""

    max_recipients: _Positive = 100
    """Of a message: what IBM's servers announce (contract §5.2), and all that RFC 5321 §4.5.3.1.8 asks for."""
    attachments: bool = False
    """Whether messages may have any."""
    users_per_configuration: _Positive = 5
    legacy_allowlist: Duration = 180 * 86_400.0
    """How long the deprecated list of allowed subnets is honoured after it was last changed; 0s: not any more."""
    token_ttl: Annotated[Duration, msgspec.Meta(ge=60, le=3_600, extra={"unit": "duration"})] = 3_600.0


class RegionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[[regions]]``: where instances of a region submit mail, and where their mail comes from."""

    name: str
    smtp_public: str
    smtp_private: str = ""
    ports: tuple[Annotated[int, msgspec.Meta(ge=1, le=65_535)], ...] = (587, 465)
    addresses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name or not self.smtp_public or not self.ports:
            raise ValueError("each of regions needs a name, smtp_public and at least one of ports")
        for address in self.addresses:
            ipaddress.ip_address(address)  # its ValueError names the text


_US_SOUTH = (
    "150.240.68.207",
    "52.118.103.220",
    "169.47.95.114",
    "169.59.33.169",
    "150.239.167.120",
    "52.118.185.176",
)
_EU_DE = ("149.81.218.203", "158.177.6.24", "149.81.39.14", "158.176.12.194", "149.81.164.10", "161.156.160.31")


def _example(name: str, served_by: str, addresses: tuple[str, ...]) -> dict[str, Any]:
    host = f"smtp.{served_by}.event-notifications.cloud.ibm.com"
    return {
        "name": name,
        "smtp_public": host,
        "smtp_private": f"private.{host}",
        "ports": [587],
        "addresses": list(addresses),
    }


EXAMPLE_REGIONS: Final = tuple(
    _example(name, "eu-de", _EU_DE) if name in ("eu-de", "eu-es") else _example(name, "us-south", _US_SOUTH)
    for name in ("us-south", "ca-tor", "jp-tok", "jp-osa", "au-syd", "eu-gb", "eu-de", "eu-es", "br-sao")
)
"""The table of the seed: nine regions, two places that serve them."""
