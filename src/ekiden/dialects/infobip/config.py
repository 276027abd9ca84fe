"""The table ``[infobip]`` of the configuration."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from ekiden.core.duration import Duration
from ekiden.web.throttle import Throttle

_Count = Annotated[int, msgspec.Meta(ge=0)]


class InfobipConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the dialect leaves to the operator. Throttles are of each account; 0 is none (contract §1.3)."""

    max_recipients: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1_000
    """Of a request: to, cc and bcc together."""
    session_ttl: Annotated[Duration, msgspec.Meta(ge=60, le=86_400, extra={"unit": "duration"})] = 3_600.0
    """How long a session of ``/auth/1/session`` is good for after its last use."""
    session_lifetime: Annotated[Duration, msgspec.Meta(ge=60, le=2_592_000, extra={"unit": "duration"})] = 43_200.0
    """After which it ends however often it was used."""
    sends_per_second: _Count = 4_000
    """Requests of each of ``/email/3/send``, ``/email/4/messages`` and ``/email/4/mime``."""
    uploads_per_second: _Count = 500
    """``/email/1/content``."""
    reports_per_minute: _Count = 60
    """``/email/1/reports``."""
    logs_per_minute: _Count = 60
    """``/email/1/logs``."""
    reports_v4_per_minute: _Count = 120
    """``/email/4/reports``."""
    logs_v4_per_minute: _Count = 120
    """``/email/4/logs``."""
    bulks_per_minute: _Count = 100
    validations_per_second: _Count = 150
    """``/email/2/validation``."""
    bulk_validations_per_second: _Count = 1
    """``/email/2/validations``."""
    domains_per_second: _Count = 1
    """Five of them may come at once."""
    suppressions_per_second: _Count = 100
    template_reads_per_second: _Count = 10
    template_writes_per_second: _Count = 1

    def throttles(self) -> dict[str, Throttle]:
        """By family of endpoints: the name of the setting without its unit."""
        found = {}
        for name in self.__struct_fields__:
            family, _, unit = name.rpartition("_per_")
            if family:
                requests: int = getattr(self, name)
                burst = _BURSTS.get(family, max(1, requests))
                found[family] = Throttle(requests, 60 if unit == "minute" else 1, burst)
        return found


_BURSTS: Final = {"domains": 5}
"""Where the contract documents a token bucket; elsewhere all of a period may come at once."""
