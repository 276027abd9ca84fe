"""Who sends a request: the four schemes of the ``Authorization`` header (contract §1.1).

``App`` with an API key, ``Basic`` with a password of the account, ``IBSSO`` with the token of a session, ``Bearer``
with a token of ``/auth/1/oauth2/token``. Users of SMTP configurations log in nowhere here.

Access rules (``networks.rules``) protect instances of Event Notifications, and no request here is to one; where a
credential may be used from its own source networks say, for every scheme alike.
"""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ekiden.access.audit import Actor
from ekiden.access.credential_scopes import SEND
from ekiden.access.credentials import API_KEY, API_KEY_USERNAME, PASSWORD
from ekiden.access.proof import LoginRefusal, Password, Proof, Shown, Unreadable
from ekiden.access.sessions import SessionToken
from ekiden.access.tokens import BearerToken
from ekiden.dialects.infobip.errors import RETRY_AFTER, AnyRequest, ApiError

if TYPE_CHECKING:
    from ekiden.access.authenticate import Authenticator
    from ekiden.access.directory import AccountFacts
    from ekiden.access.sessions import Sessions
    from ekiden.access.tokens import Tokens

SESSION_SCHEME: Final = "ibsso"
_LONGEST: Final = 8_192
"""Octets of a credential in a header: a token has some hundreds."""
_SCHEMES: Final = ("app", "basic", SESSION_SCHEME, "bearer")
_KINDS: Final = (PASSWORD, API_KEY)
"""Users of SMTP configurations log in nowhere here."""
_CHALLENGE: Final = {
    "WWW-Authenticate": 'App realm="api", Basic realm="api", IBSSO realm="api", Bearer realm="api"'
}


@dataclass(frozen=True, slots=True)
class Caller:
    """``scopes`` names all that is granted."""

    account: AccountFacts
    credential_id: int
    kind: str
    scopes: frozenset[str]
    address: str

    @property
    def actor(self) -> Actor:
        """For the audit log."""
        return Actor(f"{self.kind}:{self.credential_id}", self.address)

    def need(self, scope: str) -> None:
        """Raises the 403 of a caller whose credential has no ``scope``."""
        if scope not in self.scopes:
            raise _no_scope(scope)


@dataclass(frozen=True, slots=True)
class Logins:
    """What is asked who somebody is."""

    authenticator: Authenticator
    tokens: Tokens
    sessions: Sessions


def client_address(request: AnyRequest) -> str:
    """The peer's IP address."""
    return request.client.host if request.client is not None else ""


def unauthorized() -> ApiError:
    """401, whatever it is that was wrong."""
    return ApiError(401, headers=dict(_CHALLENGE))


def authorization(request: AnyRequest) -> tuple[str, str]:
    """Scheme in lower case, and what follows it; nothing for what is longer than any credential."""
    text = request.headers.get("authorization", "")
    if len(text) > _LONGEST:
        return "", ""
    scheme, _, given = text.strip().partition(" ")
    return scheme.lower(), given.strip()


def shown(request: AnyRequest, logins: Logins) -> Shown | Password | None:
    """What the request shows; ``None``: nothing."""
    scheme, given = authorization(request)
    if given and scheme == "app":
        return Password(API_KEY_USERNAME, given)
    if given and scheme == "basic":
        return basic(given)
    if given and scheme == SESSION_SCHEME:
        return SessionToken(logins.sessions, given)
    if given and scheme == "bearer":
        return BearerToken(logins.tokens, given)
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


async def prove(authenticator: Authenticator, given: Shown | Password, address: str) -> Proof:
    """Who it is. Raises ``ApiError``: 401, 403 for a suspended account, 429 after many failures, 503."""
    found = await authenticator.prove(given, address, kinds=_KINDS)
    if isinstance(found, Proof):
        return found
    if found is LoginRefusal.TOO_MANY:
        raise ApiError.because(429, "too many failed attempts, try again later", headers={"Retry-After": "60"})
    if found is LoginRefusal.BUSY:
        raise ApiError.because(
            429, "too many logins wait to be checked, try again later", headers={"Retry-After": "60"}
        )
    if found is LoginRefusal.SUSPENDED:
        raise ApiError.because(403, "the account is suspended")
    if found is LoginRefusal.UNAVAILABLE:
        raise unavailable(None if isinstance(given, Password) else RETRY_AFTER)
    raise unauthorized()


def unavailable(retry_after: str | None) -> ApiError:
    """503."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return ApiError.because(503, "the database cannot be reached; try again later", headers=headers)


async def authenticate(request: AnyRequest, logins: Logins) -> Caller:
    """Who it is. Raises ``ApiError`` as ``prove`` does."""
    address = client_address(request)
    given = shown(request, logins)
    if given is None:
        raise unauthorized()
    found = await prove(logins.authenticator, given, address)
    if not found.scopes:
        raise _no_scope(SEND)
    request.scope["state"]["account"] = found.account.id  # for the log
    return Caller(found.account, found.credential.id, found.credential.kind, found.scopes, address)


def _no_scope(scope: str) -> ApiError:
    return ApiError.because(403, "the credential has no scope {scope}", scope=scope)
