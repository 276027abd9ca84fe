"""To whom a route sends mail on: a server, or an address."""

from __future__ import annotations

import msgspec


class ToServer(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="target", tag="smtp"):
    """An SMTP server of the account's own, which gets recipients and sender as they are. ``host`` is a name, or an
    IP address in brackets; ``tls``: never in clear."""

    host: str
    port: int = 25
    tls: bool = False

    @property
    def shown(self) -> str:
        return f"{self.host}:{self.port}"


class ToAddress(msgspec.Struct, frozen=True, tag_field="target", tag="address"):
    """Somebody's mailbox elsewhere."""

    address: str

    @property
    def shown(self) -> str:
        return self.address


ForwardTarget = ToServer | ToAddress
