"""The table ``[naver]`` of the configuration."""

from __future__ import annotations

from typing import Annotated

import msgspec


class NaverConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the dialect leaves to the operator."""

    requests_per_second: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Of an account, for each operation and worker; 0: no limit (contract §4.1 knows none)."""
    refuse_replays: bool = True
    """Whether a call that creates something is refused when its signature was seen before."""
