"""Who sends a request: signature version 2 of NAVER's API gateway (contract §1), on the request as it came."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from ekiden.access.access_keys import Signature, is_access_key
from ekiden.access.proof import LoginRefusal, Unreadable
from ekiden.access.seen_signatures import Seen
from ekiden.core.clock import MINUTE, Millis
from ekiden.dialects.naver.errors import RATE, SUSPENDED, UNAUTHENTICATED, UNAVAILABLE, ApiError
from ekiden.dialects.naver.signing import ACCESS_KEY, SIGNATURE, TIMESTAMP, string_to_sign
from ekiden.web.problem import RETRY_AFTER, Throttled
from ekiden.web.proof import Caller, client_address, identify

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ekiden.web.platform import Platform
    from ekiden.web.problem import AnyRequest

SKEW: Final[Millis] = 5 * MINUTE
"""From this on a timestamp is too far from the server's clock."""
_LONGEST: Final = 256
"""Characters of a signature, which has 44."""
_OCTETS: Final = 32
# Escapes of what delimits parts of a path or of a query, and of controls.
_DELIMITS_PATH: Final = re.compile(rb"%(?:2[35Ff]|3[BbFf]|[01][0-9A-Fa-f]|7[Ff])")
_DELIMITS_QUERY: Final = re.compile(rb"%(?:2[356Bb]|3[BbDd]|[01][0-9A-Fa-f]|7[Ff])")


class _Signed(NamedTuple):
    """What was proven, for whoever asks whether it was seen before."""

    at: Millis
    digest: bytes


async def authenticate(request: AnyRequest, services: Platform) -> Caller:
    """Who it is. Raises ``ApiError``: 401, 403 for a suspended account, 429, 503."""
    timestamp, id, given = (request.headers.get(name, "").strip() for name in (TIMESTAMP, ACCESS_KEY, SIGNATURE))
    if not (timestamp and id and given):
        raise ApiError(401, "Authentication information are missing.", code=UNAUTHENTICATED)
    at, digest = _time(timestamp), _digest(given)
    authenticator = services.authenticator
    if at is None or digest is None or not is_access_key(id):
        shown: Signature | Unreadable = Unreadable("(signature)")
    elif abs(services.clock.now() - at) >= SKEW:
        authenticator.tell(LoginRefusal.STALE, id, client_address(request))
        raise _refused(LoginRefusal.STALE)
    else:
        shown = Signature(services.access_keys, id, digest, _texts(request, timestamp, id))
        request.scope["state"]["signed"] = _Signed(at, digest)
    found = await identify(request, authenticator, shown)
    if isinstance(found, LoginRefusal):
        raise _refused(found)
    return found


async def refuse_replay(request: AnyRequest, caller: Caller, services: Platform) -> None:
    """The signature is good for one call, which is this one. Raises the 401 of any other, and ``Throttled``."""
    signed: _Signed = request.scope["state"]["signed"]
    seen = await services.seen_signatures.see(caller.account.id, signed.at, signed.digest)
    if seen is Seen.TOO_MANY:
        raise Throttled(60)
    if seen is Seen.BEFORE:
        services.authenticator.tell(LoginRefusal.REPLAY, request.headers[ACCESS_KEY], caller.address)
        raise _refused(LoginRefusal.REPLAY)


def _refused(why: LoginRefusal) -> ApiError:
    if why is LoginRefusal.SUSPENDED:
        return ApiError(403, "the account is suspended", code=SUSPENDED)
    if why is LoginRefusal.BUSY:
        return ApiError(429, "too many requests; try again later", code=RATE, headers={"Retry-After": RETRY_AFTER})
    if why is LoginRefusal.UNAVAILABLE:
        return ApiError(
            503,
            "the database cannot be reached; try again later",
            code=UNAVAILABLE,
            headers={"Retry-After": RETRY_AFTER},
        )
    return ApiError(401, "Invalid authentication information.", code=UNAUTHENTICATED)


def _time(text: str) -> Millis | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 15 else None


def _digest(text: str) -> bytes | None:
    try:
        found = b64decode(text, validate=True) if len(text) <= _LONGEST else b""
    except ValueError:
        return None
    return found if len(found) == _OCTETS else None


def _texts(request: AnyRequest, timestamp: str, id: str) -> Sequence[bytes]:
    """What may have been signed (``string to sign``, contract §1), each form of the target in turn."""
    method, at, key = str(request.method).encode(), timestamp.encode(), id.encode("latin-1", "replace")
    path, query = request.scope["raw_path"], request.scope["query_string"]
    return [string_to_sign(method, target, at, key) for target in targets(path, query)]


def targets(path: bytes, query: bytes) -> Sequence[bytes]:
    """The request target as it was on the wire; and as a client may have signed it before its library encoded it.

    That second form must not leave open what was meant: where an escape hides a delimiter, somebody could move
    the delimiter and keep the signature, so there is none. PHP's clients sign ``+`` for a blank and send ``%20``.
    """
    if not query:
        found = [path, path + b"?"]
        if b"%" in path and _DELIMITS_PATH.search(path) is None:
            found.append(unquote_to_bytes(path))
        return found
    found = [path + b"?" + query]
    if b"%20" in query:
        found.append(path + b"?" + query.replace(b"%20", b"+"))
    encoded = b"%" in path or b"%" in query or b"+" in query
    if encoded and _DELIMITS_PATH.search(path) is None and _DELIMITS_QUERY.search(query) is None:
        found.append(unquote_to_bytes(path) + b"?" + unquote_to_bytes(query.replace(b"+", b" ")))
    return found
