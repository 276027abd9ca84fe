"""For whom mail is taken: addresses that Ekiden itself has given away, what accounts receive, and who runs it.

Asked at each RCPT, and answered from memory: the MAC of a token says that it is ours, whatever domain is behind it.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ekiden.core.return_path import Purpose, ReturnPath

if TYPE_CHECKING:
    from ekiden.core.address import Address
    from ekiden.core.clock import Clock
    from ekiden.core.return_path import ReturnPaths
    from ekiden.core.srs import Rewritten, Srs

OPERATOR: Final = 0
"""In the place of an account: who runs Ekiden."""
_ROLES: Final = frozenset({"postmaster", "abuse"})  # RFC 5321 §4.5.1, RFC 2142 §4


class Use(Enum):
    """What a mailbox is for."""

    BOUNCE = "bounce"
    """The envelope sender of a message of ours: what comes there is about it."""
    UNSUBSCRIBE = "unsubscribe"
    """Whoever writes there wants no more mail."""
    OPERATOR = "operator"
    FORWARDED = "forwarded"
    """The envelope sender of what was sent on: a bounce that comes there goes on to whoever sent it."""
    ROUTE = "route"
    """An account has a route for it."""


class Mailbox(NamedTuple):
    """``return_path`` is what the token says, where the address has one; ``rewritten`` what an address of SRS
    says; ``forwards`` the names of routes that may send on what comes for it."""

    use: Use
    account_id: int
    return_path: ReturnPath | None = None
    rewritten: Rewritten | None = None
    forwards: tuple[str, ...] = ()
    closed: bool = False
    """Nothing is taken for it now: its account is suspended."""


class Routed(Protocol):
    """Knows what accounts receive."""

    @property
    def known(self) -> bool:
        """Whether it does; else nobody can be told yet that there is no such mailbox."""
        ...

    async def look(self) -> None:
        """Know what is written now. Raises what the store raises."""
        ...

    def receiver(self, domain: str) -> int | None:
        """The account that receives mail for the domain; from memory, as the others."""
        ...

    def account_for(self, address: Address) -> int | None:
        """The account that receives its domain, if a route of it might take mail for it."""
        ...

    def forwards(self, address: Address) -> tuple[str, ...]:
        """The names of routes that may send on what comes for it."""
        ...

    def suspended(self, account_id: int) -> bool: ...


_USES: Final = {
    Purpose.BOUNCE: Use.BOUNCE,
    Purpose.UNSUBSCRIBE: Use.UNSUBSCRIBE,
    Purpose.FORWARD: Use.FORWARDED,
}


class Mailboxes:
    """One per worker. ``own``: our own domains, at which somebody reads what is sent to the postmaster."""

    def __init__(
        self,
        clock: Clock,
        return_paths: ReturnPaths,
        srs: Srs,
        own: Collection[str],
        routed: Routed | None = None,
    ) -> None:
        self._clock = clock
        self._return_paths = return_paths
        self._srs = srs
        self._own = frozenset(own)
        self._routed = routed

    def find(self, address: Address) -> Mailbox | None:
        """``None``: nobody is there."""
        found = self._return_paths.unseal(address.local, self._clock.now())
        if found is not None:
            return Mailbox(_USES[found.purpose], found.account_id, found)
        rewritten = self._srs.unseal(address.local, self._clock.now())
        if rewritten is not None:
            return Mailbox(Use.FORWARDED, rewritten.account_id, rewritten=rewritten)
        routed = self._routed
        account_id = None if routed is None else routed.account_for(address)
        if routed is not None and account_id is not None:
            closed = routed.suspended(account_id)
            return Mailbox(Use.ROUTE, account_id, forwards=routed.forwards(address), closed=closed)
        role = address.local.lower()
        if role in _ROLES and address.domain in self._own:
            return Mailbox(Use.OPERATOR, OPERATOR)
        if role == "postmaster" and routed is not None and routed.receiver(address.domain) is not None:
            return Mailbox(Use.OPERATOR, OPERATOR)  # whose mail is taken has to take this (RFC 5321 §4.5.1)
        return None

    @property
    def known(self) -> bool:
        """Whether nobody is there whom ``find`` does not find."""
        return self._routed is None or self._routed.known

    async def look(self) -> None:
        """Know at least what any worker knew until now. Raises what the store raises."""
        if self._routed is not None:
            await self._routed.look()
