"""Who sends a request: the four schemes of the ``Authorization`` header (contract §1.1).

``App`` with an API key, ``Basic`` with a password of the account, ``IBSSO`` with the token of a session, ``Bearer``
with a token of ``/auth/1/oauth2/token``. Users of SMTP configurations log in nowhere here.

Access rules (``networks.rules``) protect instances of Event Notifications, and no request here is to one; where a
credential may be used from its own source networks say, for every scheme alike.
"""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Final

from ekiden.access.credentials import API_KEY, API_KEY_USERNAME, PASSWORD
from ekiden.access.proof import LoginRefusal, Password, Proof, Shown, Unreadable
from ekiden.access.sessions import SessionToken
from ekiden.access.tokens import BearerToken
from ekiden.dialects.infobip.errors import ApiError
from ekiden.web.problem import RETRY_AFTER, AnyRequest
from ekiden.web.proof import Caller, authorization, identify

if TYPE_CHECKING:
    from ekiden.access.authenticate import Authenticator
    from ekiden.access.sessions import Sessions
    from ekiden.access.tokens import Tokens

SESSION_SCHEME: Final = "ibsso"
_SCHEMES: Final = ("app", "basic", SESSION_SCHEME, "bearer")
_KINDS: Final = (PASSWORD, API_KEY)
"""Users of SMTP configurations log in nowhere here."""
_CHALLENGE: Final = {
    "WWW-Authenticate": 'App realm="api", Basic realm="api", IBSSO realm="api", Bearer realm="api"'
}


def unauthorized() -> ApiError:
    """401, whatever it is that was wrong."""
    return ApiError(401, headers=dict(_CHALLENGE))


def shown(request: AnyRequest, sessions: Sessions, tokens: Tokens) -> Shown | Password | None:
    """What the request shows; ``None``: nothing."""
    scheme, given = authorization(request)
    if given and scheme == "app":
        return Password(API_KEY_USERNAME, given)
    if given and scheme == "basic":
        return basic(given)
    if given and scheme == SESSION_SCHEME:
        return SessionToken(sessions, given)
    if given and scheme == "bearer":
        return BearerToken(tokens, given)
    if not request.headers.get("authorization"):
        return None
    return Unreadable(f"({scheme})" if scheme in _SCHEMES else "(unknown)")


def basic(given: str) -> Password | Unreadable:
    """User name and password (RFC 7617 §2)."""
    try:
        username, colon, password = b64decode(given, validate=True).decode().partition(":")
    except ValueError:  # binascii.Error and UnicodeDecodeError are such, and what is not ASCII gets a plain one
        colon = ""
    return Password(username, password) if colon else Unreadable("(basic)")


def refused(why: LoginRefusal, given: Shown | Password) -> ApiError:
    """401, 403 for a suspended account, 429 after many failures, 503."""
    if why is LoginRefusal.TOO_MANY:
        return ApiError.because(429, "too many failed attempts, try again later", headers={"Retry-After": "60"})
    if why is LoginRefusal.BUSY:
        return ApiError.because(
            429, "too many logins wait to be checked, try again later", headers={"Retry-After": "60"}
        )
    if why is LoginRefusal.SUSPENDED:
        return ApiError.because(403, "the account is suspended")
    if why is LoginRefusal.UNAVAILABLE:
        headers = {} if isinstance(given, Password) else {"Retry-After": RETRY_AFTER}
        return ApiError.because(503, "the database cannot be reached; try again later", headers=headers)
    return unauthorized()


async def prove(authenticator: Authenticator, given: Shown | Password, address: str) -> Proof:
    """Who it is. Raises ``refused``."""
    found = await authenticator.prove(given, address, kinds=_KINDS)
    if isinstance(found, LoginRefusal):
        raise refused(found, given)
    return found


async def authenticate(
    request: AnyRequest, authenticator: Authenticator, sessions: Sessions, tokens: Tokens
) -> Caller:
    """Who it is. Raises ``refused``."""
    given = shown(request, sessions, tokens)
    if given is None:
        raise unauthorized()
    found = await identify(request, authenticator, given, _KINDS)
    if isinstance(found, LoginRefusal):
        raise refused(found, given)
    return found
