"""What the door is told."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from ekiden.mime.scan import HeaderBounds


class IntakeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Composed by ``wiring.services`` from other tables and the host's name; sizes in octets, times in seconds."""

    hostname: str
    """For Received and Message-ID fields."""
    max_size: int = 20_971_520
    max_recipients: int = 1000
    expire_after: float = 432_000.0
    """How long delivery is tried when the submission does not say."""
    show_client: bool = True
    """Whether the Received field names the client: its HELO name and IP address."""
    max_received: int = 100
    """More Received fields than this are a loop (RFC 5321 §6.3)."""
    short_lines: bool = True
    """Whether what has lines over 998 octets is encoded and folded anew (``mime.reencode``)."""
    seven_bit: bool = True
    """The same for 8-bit text of messages that are signed here (RFC 6376 §5.3), unless they need SMTPUTF8."""
    header: HeaderBounds = HeaderBounds()
    """Asked before anything reads the header."""


class TrackingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table ``[tracking]`` of the configuration."""

    base_url: str = ""
    """Where recipients reach the HTTP listener; empty: ``https://`` and the host's name."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if self.base_url and (
            parts.scheme not in ("http", "https") or not parts.hostname or parts.path.rstrip("/") or parts.query
        ):
            raise ValueError("base_url is a URL without a path, such as https://links.example.com")
