"""Is this credential good: now, from here, for this? What is shown, what it proves, and the rule between them.

A scheme (a user name with a password, an API key, a token of ours, a signature) only finds the credential that is
meant, and says whether the secret is right: it is a ``Shown``. All else is asked in one place,
``Authenticator.prove``: whether the credential stands, from where, for what, for whom; what is counted, how late a
refusal is told, and what the log says of it. The answer is a ``Proof`` or a ``LoginRefusal``; a dialect says it in
its own words.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import Enum
from hmac import compare_digest
from typing import TYPE_CHECKING, Protocol

from ekiden.access.credential_scopes import SCOPES, allows
from ekiden.core.states import Priority

if TYPE_CHECKING:
    from ekiden.access.directory import AccountFacts, CredentialFacts


class LoginRefusal(Enum):
    """Why not; the value is a word for metrics and logs."""

    BAD_CREDENTIALS = "bad_credentials"
    TOO_MANY = "too_many"
    BUSY = "busy"
    """Too many logins wait to be checked."""
    NETWORK = "network"
    """Right, but not from there. Where guesses can be made, whoever tries must not learn that it is right."""
    SCOPE = "scope"
    """Right, but not for this."""
    SUSPENDED = "suspended"
    STALE = "stale"
    """Signed too long ago, or with a clock that is wrong."""
    REPLAY = "replay"
    """Right, and used before."""
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who it is, for as long as a session lasts. ``credential_id`` 0 and ``kind`` empty: none was needed (a trusted
    network).

    ``priority`` is the account's. ``kind`` and ``scopes`` are the credential's (``access.credentials``,
    ``access.credential_scopes``); scopes empty: everything the kind may. ``secret`` is what the store kept of
    the credential's secret when it was shown; empty: nobody compares it.
    """

    account_id: int
    credential_id: int
    account_name: str
    priority: Priority = Priority.STANDARD
    kind: str = ""
    scopes: frozenset[str] = frozenset()
    secret: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Proof:
    """Who it is. ``scopes`` names everything that may be done: empty means nothing."""

    account: AccountFacts
    credential: CredentialFacts
    scopes: frozenset[str]

    @property
    def principal(self) -> Principal:
        """For a session, which asks again and again whether it still holds."""
        account, credential = self.account, self.credential
        return Principal(
            account.id,
            credential.id,
            account.name,
            account.priority,
            credential.kind,
            credential.scopes,
            credential.secret,
        )


def _any_secret(_: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Found:
    """The credential that a right secret is of. ``account_id`` and ``scopes`` are what was given with it, if they
    were: they bound it. ``fits``: whether what the store keeps of the credential's secret is what it was then.
    """

    credential_id: int
    account_id: int | None = None
    scopes: frozenset[str] | None = None
    fits: Callable[[str], bool] = _any_secret


class Shown(Protocol):
    """What somebody shows: too long a secret to be guessed, so each is looked at, and at once."""

    @property
    def login(self) -> str:
        """What stands for a user name in the log, never the secret."""
        ...

    async def find(self) -> Found | None:
        """``None``: it is no right secret of anybody. Raises ``StoreUnavailable``."""
        ...


@dataclass(frozen=True, slots=True)
class Password:
    """Of an account or an SMTP user; with ``credentials.API_KEY_USERNAME`` as ``login`` an API key."""

    login: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that was to be a credential; ``login``: of which scheme, as ``(basic)``."""

    login: str

    async def find(self) -> Found | None:
        return None


def granted(scopes: Collection[str]) -> frozenset[str]:
    """What a credential with these ``scopes`` may do: with none it may do everything."""
    return frozenset(scopes) or frozenset(SCOPES)


def judge(
    found: Found, credential: CredentialFacts | None, account: AccountFacts | None, client_ip: str
) -> Proof | LoginRefusal:
    """The rule. From a network that it is not for nobody learns more, so that comes before the account's state."""
    if credential is None or account is None or credential.account_id != account.id:
        return LoginRefusal.BAD_CREDENTIALS
    refused = _refused(credential, found.fits, client_ip)
    if refused is not None:
        return refused
    if account.suspended:
        return LoginRefusal.SUSPENDED
    scopes = granted(credential.scopes)
    return Proof(account, credential, scopes if found.scopes is None else scopes & found.scopes)


def stands(principal: Principal, facts: CredentialFacts | None, client_ip: str, scope: str) -> bool:
    """Whether what opened a session would open it now; see ``Authenticator.still_valid``."""

    def fits(secret: str) -> bool:
        return not principal.secret or compare_digest(secret, principal.secret)

    return (
        facts is not None
        and _refused(facts, fits, client_ip or None) is None
        and (not scope or allows(facts.scopes, scope))
    )


def _refused(
    credential: CredentialFacts, fits: Callable[[str], bool], client_ip: str | None
) -> LoginRefusal | None:
    """Of the credential alone; ``client_ip`` ``None``: wherever."""
    if credential.revoked or not fits(credential.secret):
        return LoginRefusal.BAD_CREDENTIALS
    if client_ip is not None and credential.networks and client_ip not in credential.networks:
        return LoginRefusal.NETWORK
    return None
