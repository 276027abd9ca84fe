"""Who sends a request: the four schemes of the ``Authorization`` header (contract §1.1).

``App`` with an API key, ``Basic`` with a password of the account, ``IBSSO`` with the token of a session, ``Bearer``
with a token of ``/auth/1/oauth2/token``. Users of SMTP configurations log in nowhere here.

Access rules (``access.rules``) protect instances of Event Notifications, and no request here is to one; where a
credential may be used from its own source networks say, for every scheme alike.
"""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ekiden.access.audit import Actor
from ekiden.access.authenticate import BEARER_NAME, SESSION_NAME, Principal, Refusal
from ekiden.access.bounds import allows
from ekiden.access.credentials import API_KEY_USERNAME, SMTP_USER
from ekiden.access.smtp_errors import BadToken
from ekiden.access.tokens import granted
from ekiden.dialects.infobip.errors import AnyRequest, ApiError

if TYPE_CHECKING:
    from ekiden.access.authenticate import Authenticator
    from ekiden.access.directory import AccountFacts
    from ekiden.access.sessions import Sessions
    from ekiden.access.tokens import Tokens

SESSION_SCHEME: Final = "ibsso"
_LONGEST: Final = 8_192
"""Octets of a credential in a header: a token has some hundreds."""
_CHALLENGE: Final = {
    "WWW-Authenticate": 'App realm="api", Basic realm="api", IBSSO realm="api", Bearer realm="api"'
}


@dataclass(frozen=True, slots=True)
class Caller:
    """``scopes`` as ``access.bounds`` has them: empty is everything."""

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
        if not allows(self.scopes, scope):
            raise ApiError.because(403, "the credential has no scope {scope}", scope=scope)


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


async def log_in(authenticator: Authenticator, username: str, password: str, address: str) -> Principal:
    """Who it is. Raises ``ApiError``: 401, 403 for a suspended account, 429 after many failures, 503."""
    found = await authenticator.verify(username, password, address)
    if isinstance(found, Principal):
        if found.kind == SMTP_USER:
            raise unauthorized()
        return found
    if found is Refusal.TOO_MANY:
        raise ApiError.because(429, "too many failed attempts, try again later", headers={"Retry-After": "60"})
    if found is Refusal.BUSY:
        raise ApiError.because(
            429, "too many logins wait to be checked, try again later", headers={"Retry-After": "60"}
        )
    if found is Refusal.SUSPENDED:
        raise suspended()
    if found is Refusal.UNAVAILABLE:
        raise ApiError.because(503, "the database cannot be reached; try again later")
    raise unauthorized()


def suspended() -> ApiError:
    """403."""
    return ApiError.because(403, "the account is suspended")


async def authenticate(request: AnyRequest, logins: Logins) -> Caller:
    """Who it is. Raises ``ApiError`` as ``log_in`` does."""
    scheme, given = authorization(request)
    address = client_address(request)
    authenticator = logins.authenticator
    if not given:
        raise unauthorized()
    if scheme == "app":
        principal = await log_in(authenticator, API_KEY_USERNAME, given, address)
    elif scheme == "basic":
        principal = await log_in(authenticator, *pair(given), address)
    elif scheme == SESSION_SCHEME:
        session = await logins.sessions.read(given, address)
        if session is None:
            authenticator.refused(Refusal.BAD_CREDENTIALS, SESSION_NAME, address)
            raise unauthorized()
        principal = session
    elif scheme == "bearer":
        try:
            principal = await _bearer(logins, given, address)
        except ApiError as error:
            if error.status == 401:
                authenticator.refused(Refusal.BAD_CREDENTIALS, BEARER_NAME, address)
            raise
    else:
        raise unauthorized()
    account = await authenticator.directory.account(principal.account_id)
    if account is None:
        raise unauthorized()
    if account.suspended:
        raise suspended()
    request.scope["state"]["account"] = account.id  # for the log
    return Caller(account, principal.credential_id, principal.kind, principal.scopes, address)


def pair(given: str) -> tuple[str, str]:
    """User name and password (RFC 7617 §2). Raises the 401."""
    try:
        username, colon, password = b64decode(given, validate=True).decode().partition(":")
    except ValueError:  # binascii.Error and UnicodeDecodeError are such, and what is not ASCII gets a plain one
        raise unauthorized() from None
    if not colon:
        raise unauthorized()
    return username, password


async def _bearer(logins: Logins, given: str, address: str) -> Principal:
    directory = logins.authenticator.directory
    try:
        claims = logins.tokens.read(given)
    except BadToken:
        raise unauthorized() from None
    credential = await directory.credential(claims.credential_id)
    account = await directory.account(claims.account_id)
    if credential is None or credential.revoked or account is None or credential.account_id != account.id:
        raise unauthorized()
    if credential.networks and address not in credential.networks:
        raise unauthorized()
    scopes = claims.scopes & granted(credential.scopes)
    if not scopes:  # none at all would mean everything
        raise ApiError.because(403, "the credential has no scope {scope}", scope="send")
    return Principal(account.id, credential.id, account.name, account.priority, credential.kind, scopes)
