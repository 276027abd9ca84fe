"""The boundaries of the messages that we compose (RFC 2046 §5.1.1), the same ones in all of them.

Each has ``=_`` in it, which neither base64 nor quoted-printable ever writes; text that has it is not sent as it is
(``mime.encodings``). So they need not be random to be safe, and content that messages share can name them.
"""

from __future__ import annotations

MARK = b"=_"

MIXED = b"=_mixed_part"
RELATED = b"=_related_part"
ALTERNATIVE = b"=_alternative_part"


def begin(boundary: bytes) -> bytes:
    """The line that begins a part."""
    return b"--" + boundary + b"\r\n"


def end(boundary: bytes) -> bytes:
    """The line that ends the multipart."""
    return b"--" + boundary + b"--\r\n"
