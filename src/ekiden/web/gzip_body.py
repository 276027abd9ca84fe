"""Bodies that come as gzip, unpacked within the bounds of what they are needed for."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from ekiden.web.errors import TooLarge
from ekiden.web.json_gauge import JsonGauge

if TYPE_CHECKING:
    from ekiden.web.body import Body

_PIECE: Final = 65_536
_GZIP: Final = 16 + zlib.MAX_WBITS


class BadGzip(ValueError):
    """The body is not gzip, or it ends before gzip does."""


async def unpacked(body: Body) -> bytearray:
    """JSON out of gzip. Raises ``BadGzip``, and ``web.errors`` for more than ``body.need``, sent or unpacked."""
    unpacker = zlib.decompressobj(_GZIP)
    text = bytearray()
    gauge = JsonGauge(body.need.values, body.need.depth)
    try:
        async for packed in body.chunks():
            rest = packed
            # One piece may be a thousand times as large unpacked.
            while rest and not unpacker.eof:
                piece = unpacker.decompress(rest, _PIECE)
                rest = unpacker.unconsumed_tail
                text += piece
                if len(text) > body.need.octets:
                    raise TooLarge(body.need.octets)
                gauge.feed(piece)
    except zlib.error:
        raise BadGzip from None
    if not unpacker.eof:
        raise BadGzip
    return text
