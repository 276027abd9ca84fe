"""Who sends a request: ``Authorization: Bearer`` with a token from ``POST /identity/token``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ekiden.access.audit import Actor
from ekiden.access.authenticate import BEARER_NAME, Refusal
from ekiden.access.smtp_errors import BadToken
from ekiden.access.tokens import granted
from ekiden.dialects.ibm.errors import AnyRequest, ApiError

if TYPE_CHECKING:
    from ekiden.access.authenticate import Authenticator
    from ekiden.access.directory import AccountFacts, CredentialFacts
    from ekiden.access.tokens import Tokens

_LONGEST = 8_192
"""Octets of the header: a token has some hundreds."""
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True, slots=True)
class Caller:
    """``uid`` is the account id as this dialect writes it; ``scopes`` names all that is granted."""

    account_id: int
    uid: str
    account: str
    credential_id: int
    scopes: frozenset[str]
    address: str
    region: str

    @property
    def actor(self) -> Actor:
        """For the audit log."""
        return Actor(f"api_key:{self.credential_id}", self.address)

    def need(self, scope: str) -> None:
        """Raises the 403 of a caller whose API key has no ``scope``."""
        if scope not in self.scopes:
            raise ApiError(403, "the API key may not do this: it has no scope {scope!r}", scope=scope)

    def is_account(self, given: str) -> bool:
        """Whether ``given``, an account id in a request, is the caller's own: its id or its name."""
        return given.lower() == self.uid or given == self.account


def client_address(request: AnyRequest) -> str:
    """The peer's IP address."""
    return request.client.host if request.client is not None else ""


def usable(credential: CredentialFacts | None, account: AccountFacts | None, address: str) -> AccountFacts | None:
    """The account, ``None`` when the credential is gone; raises the 403s of one that cannot be used now."""
    if credential is None or credential.revoked or account is None or account.id != credential.account_id:
        return None
    if account.suspended:
        raise ApiError(403, "the account is suspended")
    if credential.networks and address not in credential.networks:
        raise ApiError(403, "the API key may not be used from this address")
    return account


async def authenticate(request: AnyRequest, tokens: Tokens, authenticator: Authenticator) -> Caller:
    """Who it is. Raises ``ApiError``: 401 without a good token, 403 for what the API key must not do."""
    given = request.headers.get("authorization", "")
    if len(given) > _LONGEST:
        raise _bad_token()
    scheme, _, text = given.partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise ApiError(401, "a bearer token is needed: POST /identity/token gives one", headers=dict(_CHALLENGE))
    try:
        claims = tokens.read(text.strip())
    except BadToken:
        authenticator.refused(Refusal.BAD_CREDENTIALS, BEARER_NAME, client_address(request))
        raise _bad_token() from None
    directory = authenticator.directory
    credential = await directory.credential(claims.credential_id)
    account = await directory.account(claims.account_id)
    address = client_address(request)
    found = usable(credential, account, address)
    if found is None or credential is None:
        authenticator.refused(Refusal.BAD_CREDENTIALS, BEARER_NAME, address)
        raise _bad_token()
    request.scope["state"]["account"] = found.id  # for the log
    scopes = claims.scopes & granted(credential.scopes)
    return Caller(found.id, found.uid, found.name, claims.credential_id, scopes, address, found.region)


def _bad_token() -> ApiError:
    return ApiError(
        401,
        "the token is not valid, or has expired, or its API key was revoked",
        headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )
