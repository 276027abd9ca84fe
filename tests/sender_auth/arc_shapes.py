"""Messages that were sent on, sealed by us or by dkimpy, and dkimpy as the judge of a chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dkim
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from dkim_shapes import NOW, published, zone

from ekiden.sender_auth.arc import ArcResult, seal, verify_chain
from ekiden.sender_auth.authentication_results import MethodResult, Property, field
from ekiden.sender_auth.dkim_sign import SigningKey

SEEN = (
    MethodResult("spf", "fail", "mechanism", (Property("smtp", "mailfrom", "hanako@example.com"),)),
    MethodResult("dmarc", "pass", "", (Property("header", "from", "example.com"),)),
)


def dkimpy_seals(message: bytes, key: SigningKey, status: str) -> bytes:
    """The three fields that dkimpy puts before ``message``. ``status``: what was found of the chain so far."""
    private = key.private
    assert isinstance(private, RSAPrivateKey)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    said = field("lists.example", (*SEEN, MethodResult("arc", status)))
    fields = dkim.ARC(said + message).sign(
        key.selector.encode(), key.domain.encode(), pem, b"lists.example", timestamp=NOW // 1000
    )
    return b"".join(fields)


def dkimpy_chain(message: bytes, records: Mapping[str, Sequence[bytes]]) -> str:
    """What dkimpy says of the chain; empty when it had ended before."""

    def txt(name: bytes, timeout: int = 5) -> bytes:
        return records[name.decode().rstrip(".")][0]

    found, _, _ = dkim.ARC(message).verify(dnsfunc=txt)
    return found.decode() if found else ""


async def chain_of(message: bytes, *keys: SigningKey) -> ArcResult:
    return await verify_chain(message, zone(published(*keys)), NOW)


async def sealed(message: bytes, key: SigningKey, times: int = 1) -> bytes:
    """``message``, sealed by us so many times, each time after it was verified."""
    for _ in range(times):
        chain = await chain_of(message, key)
        fields = seal(message, key, NOW, authserv_id="mx.example", results=SEEN, chain=chain)
        message = fields + message
    return message
