"""The parameters of a request's query, bounded before they are parsed."""

from __future__ import annotations

from typing import Any

from litestar import Request

from ekiden.web.errors import TooLarge, TooMany
from ekiden.web.need import QUERY, QueryNeed


def check_query(request: Request[Any, Any, Any], need: QueryNeed = QUERY) -> None:
    """Raises ``TooLarge``, ``TooMany``; to be asked before ``request.query_params``."""
    query: bytes = request.scope["query_string"]
    if len(query) > need.octets:
        raise TooLarge(need.octets)
    if query.count(b"&") >= need.parameters:
        raise TooMany(need.parameters)
