"""The table ``[cmc]`` of the configuration."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

CONNECTIONS: Final = 10
"""Of an API user (contract §4.1)."""


class CmcConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the dialect leaves to the operator."""

    server_composition: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")] = "pro"
    """The name of the server configuration, which requests name and events tell. Each account has this one."""
    connections_per_user: Annotated[int, msgspec.Meta(ge=0)] = CONNECTIONS
    """Requests of an API user that a worker answers at a time; 0: no limit."""
