"""Which envelope sender goes on the wire: the client's own, or one of ours that bounces come back to (VERP).

Ours is ``b-TOKEN@HOST`` (``core.return_path``). It is the same at each attempt for the same recipients, so that
servers that greylist know it again. The client's is kept in ``message.sender``: reports of ours go there.

What came in for somebody and is sent on is as its ``core.forward.Forward`` says, at the installation's host: an
address that has the sender inside (``core.srs``), or a token. A sender at that host stays as it is: its bounces
come to us already.

Servers refuse senders whose domain takes no mail. A host that nobody has named, but that follows from a listener,
is therefore used only once the DNS leads somewhere for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ekiden.core.address import parse_address
from ekiden.core.return_path import Purpose
from ekiden.core.submission import Notify, Ret
from ekiden.dns.resolver import DnsError, DnsTemporary
from ekiden.smtp.transaction import Transaction, TransactionRecipient
from ekiden.store.api import StoreUnavailable

if TYPE_CHECKING:
    from ekiden.access.directory import AccountFacts, Directory
    from ekiden.access.remembered import Remembered
    from ekiden.core.clock import Clock
    from ekiden.core.return_path import BouncesTo, ReturnPaths
    from ekiden.core.srs import Srs
    from ekiden.dns.resolver import Resolver
    from ekiden.store.records import Delivery, Message


_LOOK_AGAIN = 60.0
"""Seconds between two looks whether mail for the installation's host leads anywhere."""
_LOOK_SOON = 5.0
"""While it does not, or the DNS does not answer."""


class HostWatch:
    """Whether servers will find that mail can be sent to the installation's host of return paths."""

    def __init__(self, host: str, resolver: Resolver, clock: Clock) -> None:
        self._host = host
        self._resolver = resolver
        self._clock = clock
        self._found = False
        self._until = float("-inf")

    @property
    def known(self) -> bool | None:
        """``None``: it is time for a ``look``."""
        return self._found if self._clock.monotonic() < self._until else None

    async def look(self) -> bool:
        """Whether it has a mail host. While the DNS does not answer, what was found last holds."""
        try:
            await self._resolver.mx(self._host)
        except DnsTemporary:
            pass
        except DnsError:
            self._found = False
        else:
            self._found = True
        self._until = self._clock.monotonic() + (_LOOK_AGAIN if self._found else _LOOK_SOON)
        return self._found


class EnvelopeSenders:
    """One per worker. ``host`` is the installation's; ``bounces`` is what is known of accounts' domains.

    ``verp``: what is submitted here has one of ours. ``alone``: each recipient has a transaction and so a token of
    its own (``delivery.verp = "recipient"``). ``watch``: of ``host``, unless an operator vouches for it.
    """

    def __init__(
        self,
        paths: ReturnPaths,
        host: str,
        directory: Directory,
        bounces: Remembered[str, BouncesTo],
        srs: Srs,
        *,
        verp: bool = True,
        alone: bool = False,
        watch: HostWatch | None = None,
    ) -> None:
        self.alone = alone
        self._paths = paths
        self._srs = srs
        self._verp = verp
        self._host = host
        self._directory = directory
        self._bounces = bounces
        self._watch = watch

    def known_host(self, message: Message) -> str | None:
        """The host of the return path of ``message``; empty: it goes out with its own sender, as what has the null
        sender always does (RFC 5321 §4.5.5). ``None``: ask ``host``."""
        sender, forward = message.sender, message.forward
        if forward is not None:
            return self._host if sender and forward.sender != "own" else ""
        if not sender or not self._verp:
            return ""
        account = self._directory.fresh_account(message.account_id)
        if account is None:
            return None
        known = self._bounces.get(account, _domain(sender))
        if known is None:
            return None
        if known.off or known.host:
            return known.host
        found = True if self._watch is None else self._watch.known
        return None if found is None else self._host if found else ""

    async def host(self, message: Message) -> str:
        """``known_host``, read if need be. While the store is away a message keeps its own sender: it is better
        for it to go than to wait for that."""
        known = self.known_host(message)
        if known is not None:
            return known
        try:
            account: AccountFacts | None = await self._directory.account(message.account_id)
            if account is None:
                return ""
            bounces = await self._bounces.load(account, _domain(message.sender))
        except StoreUnavailable:
            return ""
        if bounces.off or bounces.host:
            return bounces.host
        watch = self._watch
        found = watch is None or (await watch.look() if watch.known is None else watch.known)
        return self._host if found else ""

    def sender(self, host: str, message: Message, deliveries: Sequence[Delivery]) -> str | None:
        """For a transaction with ``deliveries``; ``None``: the message's own."""
        number = deliveries[0].number if len(deliveries) == 1 else 0
        purpose = Purpose.BOUNCE
        if message.forward is not None and message.forward.sender == "srs":
            sender = parse_address(message.sender)
            if sender.domain == self._host:
                return None
            local = self._srs.seal(message.account_id, sender, message.accepted_at)
            if local is not None:
                return f"{local}@{host}"
            purpose = Purpose.FORWARD
        local = self._paths.seal(message.account_id, message.id, number, to=purpose)
        return None if local is None else f"{local}@{host}"


def _domain(sender: str) -> str:
    return sender.rpartition("@")[2].lower()


def transaction(
    message: Message, deliveries: Sequence[Delivery], content: bytes, sender: str | None = None
) -> Transaction:
    """What is sent to a peer; ``sender``: the envelope sender if it is one of ours.

    What a peer that can report (RFC 3461) tells then comes to us, and not to the client, as if we had submitted the
    message anew: it is asked for failures, with headers only, and for delays if the client wants to hear of those.
    A success is told by our own report that the message was relayed (``dsn.Notifier``).
    """
    ours = sender is not None
    recipients = [
        TransactionRecipient(
            delivery.recipient,
            _asked(Notify(delivery.notify)) if ours else Notify(delivery.notify),
            # With the token of several, the report says whose it is although it was forwarded on the way.
            delivery.orcpt or (f"rfc822;{delivery.recipient}" if ours and len(deliveries) > 1 else None),
        )
        for delivery in deliveries
    ]
    return Transaction(
        message.sender if sender is None else sender,
        recipients,
        content,
        len(content),
        Ret.HDRS if ours else Ret(message.ret) if message.ret else None,
        message.envid,
        message.smtputf8,
        message.eight_bit,
        normalised=True,  # what is in the store came through the door
    )


def _asked(notify: Notify) -> Notify:
    return notify if notify is Notify.NONE_GIVEN else Notify.FAILURE | (notify & Notify.DELAY)
