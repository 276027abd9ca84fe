"""Signature version 2 of NAVER's API gateway (contract §1): what is signed, and how a request shows it."""

from __future__ import annotations

import hmac
from base64 import b64encode
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ekiden.web.dialect import ToSign

TIMESTAMP: Final = "x-ncp-apigw-timestamp"
ACCESS_KEY: Final = "x-ncp-iam-access-key"
SIGNATURE: Final = "x-ncp-apigw-signature-v2"


def string_to_sign(method: bytes, target: bytes, timestamp: bytes, access_key: bytes) -> bytes:
    """``target`` is the path with its query."""
    return b"%b %b\n%b\n%b" % (method, target, timestamp, access_key)


def signed_headers(request: ToSign) -> dict[str, str]:
    """``web.dialect.Dialect.sign``."""
    timestamp = str(request.at)
    parts = (request.method.upper(), request.target, timestamp, request.access_key)
    text = string_to_sign(*(part.encode() for part in parts))
    digest = hmac.digest(request.secret_key.encode(), text, "sha256")
    return {TIMESTAMP: timestamp, ACCESS_KEY: request.access_key, SIGNATURE: b64encode(digest).decode()}
