"""``GET /regions``: where to submit mail, and which addresses it comes from. Public, and an addition of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Response

from ekiden.dialects.ibm.call import Call
from ekiden.dialects.ibm.http import answer
from ekiden.senders.config import RegionConfig


async def list_regions(call: Call) -> Response[bytes]:
    """All of them."""
    return answer(call.request, regions_json(call.services.regions))


def regions_json(regions: Sequence[RegionConfig]) -> dict[str, Any]:
    """Regions of instances in the order of the configuration, each with the endpoints that serve it."""
    return {"regions": [_region(item) for item in regions]}


def _region(item: RegionConfig) -> dict[str, Any]:
    endpoints = {"public": item.smtp_public}
    if item.smtp_private:
        endpoints["private"] = item.smtp_private
    return {
        "name": item.name,
        "smtp_endpoints": endpoints,
        "ports": list(item.ports),
        "outgoing_addresses": list(item.addresses),
    }
