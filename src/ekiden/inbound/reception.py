"""Takes mail that comes in: what it demands of a message, what it adds, and the commit that the 250 stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from ekiden.core.ids import format_id
from ekiden.inbound.authentication import Arrival
from ekiden.intake.errors import HeaderTooLarge, MailLoop, TemporarilyUnavailable
from ekiden.intake.received import received_field
from ekiden.mime.header import format_date
from ekiden.mime.scan import HeaderBounds, measure, scan
from ekiden.store.api import StoreUnavailable
from ekiden.store.records import ReceivedMail

if TYPE_CHECKING:
    from ekiden.core.clock import Clock, Millis
    from ekiden.core.ids import IdFactory
    from ekiden.core.submission import Origin
    from ekiden.inbound.authentication import MailAuthentication
    from ekiden.inbound.config import InboundConfig
    from ekiden.inbound.loops import Loops
    from ekiden.inbound.mailboxes import Mailbox, Mailboxes
    from ekiden.inbound.reader import Reader
    from ekiden.smtp.events import MessageReceived
    from ekiden.store.api import Store

_HEADER: Final = HeaderBounds(octets=1_048_576, fields=2_000, field=262_144)
"""More generous than at the door: bounces quote what others have made of a header."""
_MAX_SUBJECT: Final = 500
_MAX_HEADER_ID: Final = 998


class Reception:
    """One per worker."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: IdFactory,
        worker: Callable[[], int],
        hostname: str,
        config: InboundConfig,
        mailboxes: Mailboxes,
        authentication: MailAuthentication,
        reader: Reader,
        loops: Loops,
    ) -> None:
        """``worker``: this worker's registration."""
        self.mailboxes = mailboxes
        self.loops = loops
        self._store = store
        self._clock = clock
        self._ids = ids
        self._worker = worker
        self._hostname = hostname
        self._config = config
        self._authentication = authentication
        self._reader = reader
        self._pace = Pace(clock, config.messages_per_second)

    def busy(self) -> bool:
        """Whether more comes in at this moment than is taken. Counts one more that wants to."""
        return not self._pace.take()

    async def take(self, event: MessageReceived, origin: Origin, boxes: Sequence[Mailbox]) -> str:
        """Take the message for ``boxes``, which belong to one account; when this returns its queue id, it is on
        stable storage. Raises ``IntakeError``."""
        exceeded = measure(event.content, _HEADER)
        if exceeded is not None:
            raise HeaderTooLarge(exceeded, _HEADER)
        header = scan(event.content)
        if header.count(b"received") > self._config.max_received:
            raise MailLoop
        recipients = tuple(recipient.address.text for recipient in event.recipients)
        self.loops.check(header, recipients, boxes)
        now = self._clock.now()
        mail_id = self._ids.next(now)
        queue_id = format_id(mail_id)
        sender = "" if event.sender is None else event.sender.text
        try:
            arrival = Arrival(origin.client, origin.helo, sender, now)
            authenticated = await self._authentication.authenticate(arrival, event.content)
        except TimeoutError:  # no thread has time for a large one
            raise TemporarilyUnavailable from None
        added = self._added(event, origin, queue_id, sender, now, authenticated.field)
        content = added + authenticated.content
        mail = ReceivedMail(
            account_id=boxes[0].account_id,
            id=mail_id,
            listener=origin.listener,
            peer=origin.client,
            helo=origin.helo,
            tls=origin.tls,
            sender=sender,
            recipients=recipients,
            size=len(content),
            smtputf8=event.params.smtputf8,
            accepted_at=now,
            header_id=_text(header.get(b"message-id"), _MAX_HEADER_ID),
            subject=_text(header.get(b"subject"), _MAX_SUBJECT),
            authentication=authenticated.found.encode(),
            content=content,
        )
        worker = self._worker()
        ours = self._reader.room(mail.size)
        if ours:
            mail.attempts = 1
        try:
            await self._store.receive(worker, mail)
        except StoreUnavailable as error:
            raise TemporarilyUnavailable from error
        self.loops.taken(sender, boxes)
        if ours:
            self._reader.offer(worker, mail)
        return queue_id

    def _added(
        self, event: MessageReceived, origin: Origin, queue_id: str, sender: str, now: Millis, results: bytes
    ) -> bytes:
        """Return-Path and Received (RFC 5321 §4.4), and between them Authentication-Results (RFC 8601)."""
        only = event.recipients[0].address.text if len(event.recipients) == 1 else ""
        received = received_field(origin, self._hostname, queue_id, format_date(now), only, show_client=True)
        return b"Return-Path: <%b>\r\n%b%b" % (sender.encode(), results, received.encode())


class Pace:
    """So many a second on average; a second's worth at once."""

    def __init__(self, clock: Clock, per_second: float) -> None:
        self._clock = clock
        self._per_second = per_second
        self._most = max(1.0, per_second)
        self._left = self._most
        self._seen = clock.monotonic()

    def take(self) -> bool:
        now = self._clock.monotonic()
        self._left = min(self._most, self._left + (now - self._seen) * self._per_second)
        self._seen = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _text(value: bytes | None, longest: int) -> str:
    """A field's value for the store."""
    if not value:
        return ""
    return value[: 4 * longest].decode("utf-8", "replace").replace("\0", "")[:longest]
