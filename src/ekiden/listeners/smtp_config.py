"""The table ``[smtp]`` of the configuration. Limits are per worker; times in seconds, sizes in octets."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from ekiden.core.duration import Duration

_Positive = Annotated[int, msgspec.Meta(ge=1)]
_Some = Annotated[Duration, msgspec.Meta(ge=0.1, extra={"unit": "duration"})]


MIN_MESSAGE: Final = 65_536
"""Octets that every listener takes (RFC 5321 §4.5.3.1.7)."""
MAX_MESSAGE: Final = 1_073_741_824
MIN_RECIPIENTS: Final = 100
"""That every listener takes (RFC 5321 §4.5.3.1.8)."""
MAX_RECIPIENTS: Final = 100_000


class SmtpConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What clients may do, and for how long."""

    max_size: Annotated[int, msgspec.Meta(ge=MIN_MESSAGE, le=MAX_MESSAGE)] = 20_971_520
    """Of a message; announced as SIZE."""
    max_recipients: Annotated[int, msgspec.Meta(ge=MIN_RECIPIENTS, le=MAX_RECIPIENTS)] = 1000
    """Of a message; announced as LIMITS RCPTMAX."""
    command_timeout: _Some = 300.0
    """Without a complete command, or without any octet of content (RFC 5321 §4.5.3.2.7)."""
    data_timeout: _Some = 600.0
    """For one content, from its first octet to its last."""
    min_rate: Annotated[int, msgspec.Meta(ge=0)] = 256
    """Octets per second that content must come with, on average, after its first minute; 0: any."""
    tls_timeout: _Some = 30.0
    """For a TLS handshake, and for the PROXY header before it."""
    login_timeout: _Some = 300.0
    """From the connection to the login."""
    session_timeout: _Some = 3600.0
    """From one message to the next."""
    max_connections: _Positive = 2000
    max_connections_per_address: _Positive = 200
    """From one IP address (IPv6: one /64); trusted networks may have as many as there are."""
    max_memory: Annotated[int, msgspec.Meta(ge=1_048_576)] = 268_435_456
    """For contents that are being received or stored; MAIL is put off beyond it."""
    max_errors: _Positive = 20
    """Mistakes of a client, before it is sent away."""
    max_commands: Annotated[int, msgspec.Meta(ge=100)] = 2000
    """Commands between two accepted messages, before a client is sent away; recipients do not count."""
