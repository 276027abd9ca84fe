"""Bearer tokens: JSON Web Tokens (RFC 7519, HS256) that stand for an API key for up to an hour.

The claims are those of contract ibm.md §1.3, with two of ours: the API key that the token was given for, and what
it may do. A token dies with its API key: whoever reads one asks the directory, hardly a second old.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import jwt

from ekiden.access.credential_scopes import SCOPES
from ekiden.access.proof import Found, Proof
from ekiden.core.clock import SECOND
from ekiden.core.errors import EkidenError

if TYPE_CHECKING:
    from ekiden.access.directory import AccountFacts, CredentialFacts
    from ekiden.access.vault import Vault
    from ekiden.core.clock import Clock

GRANT_TYPE: Final = "urn:ibm:params:oauth:grant-type:apikey"
ISSUER: Final = "ekiden"
_ALGORITHM = "HS256"
_NEEDED = ["account", "credential", "exp", "iat", "iss", "scopes"]


@dataclass(frozen=True, slots=True)
class Token:
    """``text`` is what the bearer shows, a secret; ``issued_at`` and ``expires_at`` are seconds since the epoch."""

    text: str
    issued_at: int
    expires_at: int

    def __repr__(self) -> str:
        return f"Token(expires_at={self.expires_at})"


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """Who the bearer is. ``scopes`` names everything it may do: empty means nothing."""

    account_id: int
    credential_id: int
    scopes: frozenset[str]
    expires_at: int


class BadToken(EkidenError):
    """Not a token of ours, or one whose time is over."""


class Tokens:
    """Gives tokens out and reads them; every worker with the same instance key reads all."""

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._key = vault.derive("token")
        self._clock = clock

    def issue(self, credential: CredentialFacts, account: AccountFacts, scopes: Iterable[str], ttl: float) -> Token:
        """A token for an API key that has just been shown, good for ``ttl`` seconds."""
        now = self._clock.now() // SECOND
        name = f"iam-ApiKey-{credential.id}"
        claims = {
            "iss": ISSUER,
            "iam_id": name,
            "id": name,
            "sub": f"ApiKey-{credential.id}",
            "jti": str(uuid.uuid4()),
            "account": {"valid": True, "bss": account.uid},
            "grant_type": GRANT_TYPE,
            "scope": "ibm openid",
            "iat": now,
            "exp": now + max(1, int(ttl)),
            "credential": credential.id,
            "scopes": sorted(scopes),
        }
        return Token(jwt.encode(claims, self._key, _ALGORITHM), now, now + max(1, int(ttl)))

    def grant(self, proof: Proof, wanted: str, ttl: float) -> Token:
        """A token for whoever has just proven to have an API key; scopes of ours in ``wanted`` bound it."""
        # Words that are not ours are somebody else's scopes: they bound nothing.
        narrowed = proof.scopes.intersection(wanted.split()) if set(wanted.split()) & set(SCOPES) else proof.scopes
        return self.issue(proof.credential, proof.account, narrowed, ttl)

    def read(self, text: str) -> TokenClaims:
        """Who shows it. Raises ``BadToken``; whether the API key still stands is for the directory to say."""
        try:
            # The time is compared here: PyJWT would read a clock of its own.
            claims: dict[str, Any] = jwt.decode(
                text,
                self._key,
                [_ALGORITHM],
                options={"require": _NEEDED, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
                issuer=ISSUER,
            )
            found = TokenClaims(
                int(claims["account"]["bss"], 16),
                int(claims["credential"]),
                frozenset(claims["scopes"]),
                int(claims["exp"]),
            )
        except (jwt.InvalidTokenError, LookupError, TypeError, ValueError, OverflowError):
            raise BadToken from None
        if self._clock.now() >= found.expires_at * SECOND:
            raise BadToken
        return found


@dataclass(frozen=True, slots=True)
class BearerToken:
    """``access.proof.Shown``."""

    tokens: Tokens
    text: str = field(repr=False)
    login: str = "(bearer)"

    async def find(self) -> Found | None:
        try:
            claims = self.tokens.read(self.text)
        except BadToken:
            return None
        return Found(claims.credential_id, claims.account_id, claims.scopes)
