"""Which envelope sender goes on the wire: the client's own, or one of ours that bounces come back to (VERP).

Ours is ``b-TOKEN@HOST`` (``core.return_path``). It is the same at each attempt for the same recipients, so that
servers that greylist know it again. The client's is kept in ``message.sender``: reports of ours go there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ekiden.core.submission import Notify, Ret
from ekiden.smtp.transaction import Transaction, TransactionRecipient
from ekiden.store.api import StoreUnavailable

if TYPE_CHECKING:
    from ekiden.access.directory import AccountFacts, Directory
    from ekiden.access.remembered import Remembered
    from ekiden.core.return_path import BouncesTo, ReturnPaths
    from ekiden.store.records import Delivery, Message


class EnvelopeSenders:
    """One per worker. ``host`` is the installation's; ``bounces`` is what is known of accounts' domains.

    ``alone``: each recipient has a transaction and so a token of its own (``delivery.verp = "recipient"``).
    """

    def __init__(
        self,
        paths: ReturnPaths,
        host: str,
        directory: Directory,
        bounces: Remembered[str, BouncesTo],
        *,
        alone: bool = False,
    ) -> None:
        self.alone = alone
        self._paths = paths
        self._host = host
        self._directory = directory
        self._bounces = bounces

    def known_host(self, message: Message) -> str | None:
        """The host of the return path of ``message``; empty: it goes out with its own sender, as what has the null
        sender always does (RFC 5321 §4.5.5). ``None``: ask ``host``."""
        sender = message.sender
        if not sender:
            return ""
        account = self._directory.fresh_account(message.account_id)
        if account is None:
            return None
        known = self._bounces.get(account, _domain(sender))
        return None if known is None else self._chosen(known)

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
            return self._chosen(await self._bounces.load(account, _domain(message.sender)))
        except StoreUnavailable:
            return ""

    def _chosen(self, bounces: BouncesTo) -> str:
        return "" if bounces.off else bounces.host or self._host

    def sender(self, host: str, message: Message, deliveries: Sequence[Delivery]) -> str | None:
        """For a transaction with ``deliveries``; ``None``: the message's own."""
        number = deliveries[0].number if len(deliveries) == 1 else 0
        local = self._paths.seal(message.account_id, message.id, number)
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
