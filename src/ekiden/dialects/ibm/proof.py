"""Who sends a request: ``Authorization: Bearer`` with a token from ``POST /identity/token``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ekiden.access.proof import LoginRefusal, Unreadable
from ekiden.access.tokens import BearerToken
from ekiden.dialects.ibm.errors import ApiError
from ekiden.web.problem import RETRY_AFTER, AnyRequest
from ekiden.web.proof import Caller, authorization, identify

if TYPE_CHECKING:
    from ekiden.access.authenticate import Authenticator
    from ekiden.access.tokens import Tokens

_CHALLENGE = {"WWW-Authenticate": "Bearer"}


async def authenticate(request: AnyRequest, tokens: Tokens, authenticator: Authenticator) -> Caller:
    """Who it is. Raises ``ApiError``: 401 without a good token, 403 for what the API key must not do."""
    text = request.headers.get("authorization", "")
    scheme, given = authorization(request)
    bearer = scheme == "bearer" and bool(given)
    found: Caller | LoginRefusal = LoginRefusal.BAD_CREDENTIALS
    if text:
        unreadable = Unreadable("(bearer)" if text[:7].strip().lower() == "bearer" else "(unknown)")
        found = await identify(request, authenticator, BearerToken(tokens, given) if bearer else unreadable)
    if not isinstance(found, LoginRefusal):
        return found
    if bearer or (text and not scheme):  # which is longer than any credential
        raise _refused(found)
    raise ApiError(401, "a bearer token is needed: POST /identity/token gives one", headers=dict(_CHALLENGE))


def _refused(why: LoginRefusal) -> ApiError:
    if why is LoginRefusal.SUSPENDED:
        return ApiError(403, "the account is suspended")
    if why is LoginRefusal.NETWORK:
        return ApiError(403, "the API key may not be used from this address")
    if why is LoginRefusal.UNAVAILABLE:
        return ApiError(
            503, "the database cannot be reached; try again later", headers={"Retry-After": RETRY_AFTER}
        )
    return ApiError(
        401,
        "the token is not valid, or has expired, or its API key was revoked",
        headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )
