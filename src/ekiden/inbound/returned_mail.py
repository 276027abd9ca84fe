"""Bounces of what was sent on: they go on to whoever sent it, whose address is in ours or in the message's row.

Only such an address gets them as SPF has confirmed to be the sender's when the mail came in; others were never
written into one of ours. They have the null sender and stay without: a bounce of a bounce ends here (RFC 5321
§4.5.5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ekiden.core.address import BadAddress, parse_address
from ekiden.core.clock import SECOND
from ekiden.core.events import Event, EventType
from ekiden.core.forward import Forward
from ekiden.core.ids import format_id
from ekiden.core.report import Kind
from ekiden.core.states import Priority, State
from ekiden.core.submission import SENT_ON, Notify, Origin
from ekiden.inbound.queries import senders_of
from ekiden.inbound.reader import Found
from ekiden.mime.scan import scan
from ekiden.store.records import Delivery, Message, NewMessage

if TYPE_CHECKING:
    from ekiden.core.address import Address
    from ekiden.core.clock import Clock
    from ekiden.core.ids import IdFactory
    from ekiden.inbound.mailboxes import Mailbox
    from ekiden.inbound.queries import Key
    from ekiden.inbound.reader import Opened
    from ekiden.store.api import Store

RETURN_PATH: Final = b"Return-Path: <"


def without_return_path(content: bytes) -> int:
    """Where what came in begins, behind our Return-Path: who delivers at last says it (RFC 5321 §4.4)."""
    return content.find(b"\r\n") + 2 if content.startswith(RETURN_PATH) else 0


class ReturnedMail:
    """``inbound.reader.MailReader``. One per worker."""

    def __init__(self, store: Store, clock: Clock, ids: IdFactory, expire_after: float) -> None:
        """``expire_after``: seconds that delivery may be tried."""
        self._store = store
        self._clock = clock
        self._ids = ids
        self._lifetime = round(expire_after * SECOND)

    async def read(self, mails: Sequence[Opened]) -> list[Found | Exception]:
        paths = [box.return_path for mail in mails for _, box in mail.boxes if box.return_path is not None]
        senders: Mapping[Key, str] = {}
        if paths:
            async with self._store.read() as connection:
                senders = await senders_of(connection, {path[1:3] for path in paths})
        return [self._found(mail, senders) for mail in mails]

    def _found(self, mail: Opened, senders: Mapping[Key, str]) -> Found:
        found = Found(Kind.OTHER, {"returned": []})
        for sender in dict.fromkeys(_sender(box, senders) for _, box in mail.boxes):
            try:
                to = parse_address(sender)
            except BadAddress:  # its message is gone
                found.told["returned"].append({})
                continue
            new = self._message(mail, to)
            found.messages.append(new)
            found.told["returned"].append({"to": to.text, "message": format_id(new.message.id)})
        return found

    def _message(self, mail: Opened, to: Address) -> NewMessage:
        of, now = mail.mail, self._clock.now()
        content = mail.content[without_return_path(mail.content) :]
        origin = Origin(SENT_ON, of.peer, of.helo, tls=of.tls, listener=of.listener)
        message = Message(
            account_id=of.account_id,
            id=self._ids.next(now),
            credential_id=0,
            sender="",
            size=len(content),
            priority=Priority.STANDARD,
            ret=None,
            envid=None,
            smtputf8=not to.text.isascii() or (of.smtputf8 and not scan(content).is_ascii),
            eight_bit=not content.isascii(),
            accepted_at=now,
            expires_at=now + self._lifetime,
            header_id=of.header_id,
            subject=of.subject,
            origin=msgspec.json.encode(origin).decode(),
            forward=Forward(sender="own"),
        )
        delivery = Delivery(message, 1, to.text, to.domain, int(Notify.NEVER), None, State.QUEUED, now)
        how: dict[str, Any] = {"forward": {"mail": format_id(of.id)}}
        event = Event(of.account_id, message.id, 0, EventType.ACCEPTED, now, how)
        return NewMessage(message, content, [delivery], [event])


def _sender(box: Mailbox, senders: Mapping[Key, str]) -> str:
    """Empty: nobody knows."""
    if box.rewritten is not None:
        return box.rewritten.sender
    return "" if box.return_path is None else senders.get(box.return_path[1:3], "")
