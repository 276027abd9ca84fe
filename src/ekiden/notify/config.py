"""The table ``[callbacks]`` of the configuration."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import msgspec

from ekiden.core.duration import Duration

_Positive = Annotated[int, msgspec.Meta(ge=1)]


class CallbacksConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How news goes to the URLs that accounts name. Limits hold for each worker."""

    timeout: Duration = 10.0
    """For one request: looking the name up, connecting, sending, and the answer."""
    concurrency: _Positive = 8
    """Requests to one URL at the same time; those about the same message go one after the other."""
    endpoints: _Positive = 256
    """URLs that are sent to at the same time."""
    batch: _Positive = 100
    """Events in one request, at most, where the format takes several."""
    longest_wait: Duration = 3_600.0
    """The most between two tries. The waits are 1, 2, 5, 10, 17 … minutes: 1 min + 1 min · n²."""
    expire_after: Duration = 259_200.0
    """What could not be told for so long is given up and kept as a dead letter."""
    allowed_networks: tuple[str, ...] = ()
    """Networks that callbacks may reach although they are not public, such as ``10.20.0.0/16``."""

    def __post_init__(self) -> None:
        for network in self.allowed_networks:
            ipaddress.ip_network(network)  # a ValueError that names it
        if self.timeout <= 0 or self.longest_wait < 60:
            raise ValueError("timeout is longer than 0s and longest_wait at least 1m")
