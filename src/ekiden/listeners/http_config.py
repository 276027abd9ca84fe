"""The table ``[http]`` of the configuration. Limits are per worker; times in seconds, sizes in octets."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ekiden.core.duration import Duration

_Positive = Annotated[int, msgspec.Meta(ge=1)]
_Some = Annotated[Duration, msgspec.Meta(ge=0.1, extra={"unit": "duration"})]
_Octets = Annotated[int, msgspec.Meta(ge=1024, le=1_048_576)]


class HttpConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where HTTP is served, and what its clients may do, and for how long."""

    addresses: tuple[str, ...] = ("127.0.0.1:8080",)
    monitoring_addresses: tuple[str, ...] = ()
    """Of health and metrics alone; ``addresses`` has no ``/metrics`` then."""
    proxy_from: tuple[str, ...] = ()
    max_url: _Octets = 16_384
    """Of the target in a request line: a link that is tracked takes up to 12,000 octets."""
    max_header_field: _Octets = 16_384
    """Of one header field, its name included."""
    max_header: _Octets = 65_536
    """Of all header fields of a request, and of its trailers."""
    max_header_fields: Annotated[int, msgspec.Meta(ge=10, le=10_000)] = 128
    """Trailers count too."""
    max_chunk_extensions: _Octets = 16_384
    """What a chunked body may have around its chunks beyond 18 octets for each octet of content."""
    max_pipelined: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 32
    """Requests that a client may send before it has the answer to the first."""
    first_timeout: _Some = 15.0
    """From the connection to its first octet."""
    header_timeout: _Some = 20.0
    """From the first octet of a request to the end of its header."""
    body_idle_timeout: _Some = 30.0
    """Without any octet of a body that is waited for."""
    body_timeout: _Some = 600.0
    """For a body, while it is waited for."""
    min_rate: Annotated[int, msgspec.Meta(ge=0)] = 256
    """Octets per second that bodies must come with, and answers be read with, after a minute; 0: any."""
    answer_timeout: _Some = 30.0
    """Without any octet of an answer being read."""
    max_unread: Annotated[int, msgspec.Meta(ge=1_048_576)] = 67_108_864
    """Of all answers that wait to be read."""
    keep_alive: _Some = 75.0
    """Between two requests."""
    linger_timeout: _Some = 30.0
    """For a body whose answer was given before its end: it is read and dropped."""
    linger_octets: Annotated[int, msgspec.Meta(ge=0)] = 268_435_456
    """Of such a body."""
    max_connections: Annotated[int, msgspec.Meta(ge=4)] = 1000
    max_connections_per_address: _Positive = 200
    """From one IP address (IPv6: one /64); proxies may have as many as there are."""
    reserve: Annotated[int, msgspec.Meta(ge=2, le=1000)] = 32
    """Connections beyond the bounds: health and metrics are answered on them, everything else with 503."""
