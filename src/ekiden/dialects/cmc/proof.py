"""Who sends a request: ``api_user`` and ``api_key`` in its body (contract §4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ekiden.access.credentials import API_USER
from ekiden.access.proof import LoginRefusal, Password, Unreadable
from ekiden.dialects.cmc.errors import (
    MISSING,
    SUSPENDED,
    TOO_OFTEN,
    UNAUTHENTICATED,
    UNAVAILABLE,
    ApiError,
    refused,
)
from ekiden.web.problem import RETRY_AFTER
from ekiden.web.proof import Caller, identify

if TYPE_CHECKING:
    from ekiden.access.authenticate import Authenticator
    from ekiden.web.problem import AnyRequest

USER: Final = "api_user"
KEY: Final = "api_key"


async def prove(request: AnyRequest, authenticator: Authenticator, user: Any, key: Any) -> Caller:
    """Who it is. Raises ``ApiError``: 401, 403 for a suspended account, 429, 503."""
    for name, value in ((USER, user), (KEY, key)):
        if value is None or value == "":
            raise missing(name)
    if isinstance(user, str) and isinstance(key, str) and "@" in user:
        shown: Password | Unreadable = Password(user.strip().lower(), key)
    else:
        shown = Unreadable("(api_user)")
    found = await identify(request, authenticator, shown, (API_USER,))
    if isinstance(found, LoginRefusal):
        raise _refused(found)
    return found


def missing(name: str) -> ApiError:
    """Nothing shows who it is."""
    return refused(401, MISSING, "{field} is missing", name)


def _refused(why: LoginRefusal) -> ApiError:
    if why is LoginRefusal.SUSPENDED:
        return refused(403, SUSPENDED, "the account is suspended")
    if why in (LoginRefusal.TOO_MANY, LoginRefusal.BUSY):
        headers = {"Retry-After": "60" if why is LoginRefusal.TOO_MANY else RETRY_AFTER}
        return refused(429, TOO_OFTEN, "too many requests; try again later", headers=headers)
    if why is LoginRefusal.UNAVAILABLE:
        headers = {"Retry-After": RETRY_AFTER}
        return refused(503, UNAVAILABLE, "the database cannot be reached; try again later", headers=headers)
    return refused(401, UNAUTHENTICATED, "api_user or api_key is not right", USER)
