"""The table ``[[regions]]`` of the configuration."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import msgspec


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
