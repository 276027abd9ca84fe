"""The table ``[ibm]`` of the configuration."""

from __future__ import annotations

from typing import Annotated

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
