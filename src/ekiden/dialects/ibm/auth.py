"""Who sends a request: ``Authorization: Bearer`` with a token from ``POST /identity/token``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ekiden.access.audit import Actor
from ekiden.access.proof import LoginRefusal, Proof, Shown, Unreadable
from ekiden.access.tokens import BearerToken
from ekiden.dialects.ibm.errors import RETRY_AFTER, AnyRequest, ApiError

if TYPE_CHECKING:
    from ekiden.access.authenticate import Authenticator
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


async def authenticate(request: AnyRequest, tokens: Tokens, authenticator: Authenticator) -> Caller:
    """Who it is. Raises ``ApiError``: 401 without a good token, 403 for what the API key must not do."""
    given = request.headers.get("authorization", "")
    scheme, _, text = given.partition(" ")
    shown: Shown = BearerToken(tokens, text.strip())
    bearer = scheme.lower() == "bearer" and bool(text.strip())
    if len(given) > _LONGEST or not bearer:
        shown = Unreadable("(bearer)" if scheme.lower() == "bearer" else "(unknown)")
    address = client_address(request)
    found: Proof | LoginRefusal = LoginRefusal.BAD_CREDENTIALS
    if given:
        found = await authenticator.prove(shown, address)
    if isinstance(found, LoginRefusal):
        if not bearer and len(given) <= _LONGEST:
            raise ApiError(
                401, "a bearer token is needed: POST /identity/token gives one", headers=dict(_CHALLENGE)
            )
        raise _refused(found)
    account = found.account
    request.scope["state"]["account"] = account.id  # for the log
    return Caller(account.id, account.uid, account.name, found.credential.id, found.scopes, address, account.region)


def _refused(why: LoginRefusal) -> ApiError:
    if why is LoginRefusal.SUSPENDED:
        return ApiError(403, "the account is suspended")
    if why is LoginRefusal.NETWORK:
        return ApiError(403, "the API key may not be used from this address")
    if why is LoginRefusal.UNAVAILABLE:
        return ApiError(
            503, "the database cannot be reached; try again later", headers={"Retry-After": RETRY_AFTER}
        )
    return _bad_token()


def _bad_token() -> ApiError:
    return ApiError(
        401,
        "the token is not valid, or has expired, or its API key was revoked",
        headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )
