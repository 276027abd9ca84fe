"""Who sends a request. A language finds what is shown in it; ``access.proof`` says whether that is good."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ekiden.access.audit import Actor
from ekiden.access.proof import LoginRefusal, Password, Shown

if TYPE_CHECKING:
    from ekiden.access.authenticate import Authenticator
    from ekiden.access.directory import AccountFacts, CredentialFacts
    from ekiden.web.problem import AnyRequest

_LONGEST = 8_192
"""Octets of a credential in a header: a token has some hundreds."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who it is. ``scopes`` names all that is granted; ``address`` is the peer's IP address."""

    account: AccountFacts
    credential: CredentialFacts
    scopes: frozenset[str]
    address: str

    @property
    def actor(self) -> Actor:
        """For the audit log."""
        return Actor(f"{self.credential.kind}:{self.credential.id}", self.address)


def client_address(request: AnyRequest) -> str:
    """The peer's IP address."""
    return request.client.host if request.client is not None else ""


def authorization(request: AnyRequest) -> tuple[str, str]:
    """Of ``Authorization`` (RFC 9110 §11.6.2): scheme in lower case, and what follows it.

    Nothing for what is longer than any credential.
    """
    text = request.headers.get("authorization", "")
    if len(text) > _LONGEST:
        return "", ""
    scheme, _, given = text.strip().partition(" ")
    return scheme.lower(), given.strip()


async def identify(
    request: AnyRequest, authenticator: Authenticator, shown: Shown | Password, kinds: Collection[str] = ()
) -> Caller | LoginRefusal:
    """Whose request it is by what it shows. ``kinds``: of which the credential may be (empty: any)."""
    address = client_address(request)
    found = await authenticator.prove(shown, address, kinds=kinds)
    if isinstance(found, LoginRefusal):
        return found
    request.scope["state"]["account"] = found.account.id  # for the log
    return Caller(found.account, found.credential, found.scopes, address)
