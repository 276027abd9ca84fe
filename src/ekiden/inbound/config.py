"""The table ``[inbound]`` of the configuration. Limits are per worker; times in seconds, sizes in octets."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ekiden.core.duration import Duration

_Positive = Annotated[int, msgspec.Meta(ge=1)]


class InboundConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What strangers may send us. Its bounds are apart from those of submission, which a flood of reports leaves
    alone."""

    max_size: Annotated[int, msgspec.Meta(ge=65_536, le=1_073_741_824)] = 31_457_280
    """Of a message; announced as SIZE."""
    max_recipients: Annotated[int, msgspec.Meta(ge=100, le=10_000)] = 100
    """Of a message (RFC 5321 §4.5.3.1.8)."""
    max_received: _Positive = 50
    """Received fields, beyond which it is a loop (RFC 5321 §6.3)."""
    max_connections: _Positive = 500
    max_connections_per_address: _Positive = 20
    """From one IP address (IPv6: one /64)."""
    max_memory: Annotated[int, msgspec.Meta(ge=1_048_576)] = 67_108_864
    """For contents that are being received or stored; MAIL is put off beyond it."""
    messages_per_second: Annotated[float, msgspec.Meta(ge=0.1)] = 200.0
    """On average; MAIL is put off beyond it."""
    command_timeout: Annotated[Duration, msgspec.Meta(ge=0.1, extra={"unit": "duration"})] = 300.0
    """Without a complete command, or without any octet of content (RFC 5321 §4.5.3.2.7)."""
    arc_trusted: tuple[str, ...] = ()
    """Domains whose ARC seals are believed."""
