"""The SMTP endpoints of IBM's regions, as an example of ``[[regions]]``."""

from __future__ import annotations

from typing import Any, Final

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
