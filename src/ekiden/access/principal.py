"""Who has proven to be an account, or why somebody has not; and whether that still holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from ekiden.access.bounds import allows
from ekiden.core.states import Priority
from ekiden.smtp.reply import Reply

if TYPE_CHECKING:
    from ekiden.access.directory import CredentialFacts


@dataclass(frozen=True, slots=True)
class Principal:
    """Who it is. ``credential_id`` 0 and ``kind`` empty: none was needed (a trusted network).

    ``priority`` is the account's. ``kind`` and ``scopes`` are the credential's (``access.credentials``,
    ``access.bounds``); scopes empty: everything the kind may. ``secret`` is what the store kept of the credential's
    secret when it was shown; empty: nobody compares it.
    """

    account_id: int
    credential_id: int
    account_name: str
    priority: Priority = Priority.STANDARD
    kind: str = ""
    scopes: frozenset[str] = frozenset()
    secret: str = field(default="", compare=False, repr=False)


class Refusal(Enum):
    """Why not; the value is a word for metrics and logs."""

    BAD_CREDENTIALS = "bad_credentials"
    TOO_MANY = "too_many"
    BUSY = "busy"
    """Too many logins wait to be checked."""
    NETWORK = "network"
    """Right, but not from there."""
    SCOPE = "scope"
    """Right, but not for this."""
    SUSPENDED = "suspended"
    UNAVAILABLE = "unavailable"

    @property
    def reply(self) -> Reply:
        """The SMTP reply (RFC 4954 §6, RFC 5248)."""
        return _REPLIES[self]


_REPLIES = {
    Refusal.BAD_CREDENTIALS: Reply.of(535, "5.7.8", "Error: authentication failed"),
    Refusal.TOO_MANY: Reply.of(454, "4.7.0", "Too many failed attempts, try again later"),
    Refusal.BUSY: Reply.of(454, "4.7.0", "Too many logins wait to be checked, try again later"),
    # Word for word as for a wrong password: whoever tries from elsewhere must not learn that it is right.
    Refusal.NETWORK: Reply.of(535, "5.7.8", "Error: authentication failed"),
    Refusal.SCOPE: Reply.of(535, "5.7.8", "Error: this credential is not for submitting mail"),
    Refusal.SUSPENDED: Reply.of(535, "5.7.13", "This account is suspended"),
    Refusal.UNAVAILABLE: Reply.of(454, "4.7.0", "Temporary authentication failure"),
}


def stands(principal: Principal, facts: CredentialFacts | None, client_ip: str, scope: str) -> bool:
    """Whether what opened a session would open it now; see ``Authenticator.still_valid``."""
    return (
        facts is not None
        and not facts.revoked
        and (not principal.secret or principal.secret == facts.secret)
        and (not client_ip or not facts.networks or client_ip in facts.networks)
        and (not scope or allows(facts.scopes, scope))
    )
