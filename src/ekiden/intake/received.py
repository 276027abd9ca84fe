"""The Received field (RFC 5321 §4.4, RFC 3848)."""

from __future__ import annotations

import re
from functools import lru_cache

from ekiden.core.submission import Origin

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._:\[\]-]")
_NOT_IN_A_WORD = re.compile(r"[^A-Za-z0-9._ -]")
_MAX_NAME = 255


@lru_cache(maxsize=1024)
def _origin_part(origin: Origin, hostname: str, show_client: bool) -> str:
    """Everything up to the id; the same for all messages of a session."""
    sender = ""
    if show_client and (origin.client or origin.helo):
        name = _NOT_IN_A_NAME.sub("?", origin.helo)[:_MAX_NAME] or "unknown"
        address = f"IPv6:{origin.client}" if ":" in origin.client else origin.client
        sender = f"from {name} ([{address}])\r\n\t" if address else f"from {name}\r\n\t"
    tls = f" ({_NOT_IN_A_WORD.sub('?', origin.tls)})" if origin.tls else ""
    return f"Received: {sender}by {hostname} with {origin.via}{tls}\r\n\tid "


def received_field(
    origin: Origin, hostname: str, queue_id: str, date: str, recipient: str, *, show_client: bool
) -> str:
    """The whole field with its final CRLF.

    ``recipient`` is the only one the message has, or empty: with several, naming one of them to another would
    betray a blind copy (RFC 5321 §7.2). ``show_client`` false leaves the client's name and address out.
    """
    to = f" for <{recipient}>" if recipient else ""
    return f"{_origin_part(origin, hostname, show_client)}{queue_id}{to};\r\n\t{date}\r\n"
