"""The door: policy, the fields a submission server adds (RFC 6409 §8), and the commit that a 250 stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from ekiden.core.clock import SECOND
from ekiden.core.events import Event, EventType
from ekiden.core.ids import IdFactory, format_id
from ekiden.core.states import Cause, State
from ekiden.core.submission import Recipient, Submission
from ekiden.intake.config import IntakeConfig
from ekiden.intake.errors import (
    AccountSuspended,
    AlreadyExpired,
    MailLoop,
    MessageTooLarge,
    NoRecipients,
    TemporarilyUnavailable,
    TooManyRecipients,
)
from ekiden.intake.policy import Policy
from ekiden.intake.received import received_field
from ekiden.intake.signer import Signer
from ekiden.mime.header import format_date, make_message_id
from ekiden.mime.scan import Header, scan
from ekiden.store.api import StoreError
from ekiden.store.records import Delivery, Message, NewMessage

if TYPE_CHECKING:
    from ekiden.access.directory import AccountFacts, Directory
    from ekiden.core.clock import Clock, Millis
    from ekiden.store.api import Store

OVER_QUOTA = "the account's quota is used up: waits for the next window with room"
MAX_SUBJECT = 500  # characters kept for lists and traces
MAX_HEADER_ID = 998
_REMOVED = (b"bcc", b"resent-bcc", b"return-path")
_encode_json = msgspec.json.Encoder().encode


class Receipt(NamedTuple):
    """``queue_id`` is the text of ``message_id``, as the client hears it."""

    message_id: int
    queue_id: str


class Handover(Protocol):
    """Who delivers within this process, and takes what was just accepted without asking the store for it."""

    def capacity(self, count: int, size: int) -> bool:
        """Whether ``count`` deliveries of ``size`` octets can be taken now; asked before the commit."""
        ...

    def offer(self, deliveries: list[Delivery]) -> None:
        """They are on stable storage, ``SENDING``, owned by this worker, their content in memory."""
        ...


class Door:
    """One per worker."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: IdFactory,
        worker_id: int,
        config: IntakeConfig,
        handover: Handover,
        *,
        directory: Directory,
        policy: Policy,
        signer: Signer,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._worker_id = worker_id
        self._config = config
        self._handover = handover
        self._directory = directory
        self.policy = policy
        self._signer = signer
        self.waiting = 0
        """Messages whose commit is under way: clients that wait for their 250."""
        self._hostname = config.hostname
        self._expire_after = int(config.expire_after * SECOND)

    async def submit(self, submission: Submission) -> Receipt:
        """Take the message; when this returns it is on stable storage. Raises ``IntakeError``, nothing else."""
        account = self._directory.fresh_account(submission.account_id)
        try:
            if account is None:
                account = await self._directory.account(submission.account_id)
        except (StoreError, SQLAlchemyError, OSError) as error:
            raise TemporarilyUnavailable from error
        if account is None or account.suspended:
            raise AccountSuspended
        message = await self._admit(account, submission)
        self.waiting += 1
        try:
            await self._store.accept(self._worker_id, message)
        except (StoreError, SQLAlchemyError, OSError) as error:
            raise TemporarilyUnavailable from error
        finally:
            self.waiting -= 1
        deliveries = message.deliveries
        if deliveries[0].state is State.SENDING:
            self._handover.offer(list(deliveries))
        return Receipt(message.message.id, format_id(message.message.id))

    async def _admit(self, account: AccountFacts, submission: Submission) -> NewMessage:
        """Check the submission and build what goes into the store."""
        config = self._config
        now = self._clock.now()
        recipients = submission.recipients
        if not recipients:
            raise NoRecipients
        if len(recipients) > 1:
            recipients = _without_duplicates(recipients)
            if len(recipients) > config.max_recipients:
                raise TooManyRecipients
        if len(submission.content) > config.max_size:
            raise MessageTooLarge
        starts = now if submission.send_at is None else max(now, submission.send_at)
        lives = self._expire_after if submission.expires_after is None else submission.expires_after
        if lives <= 0:
            raise AlreadyExpired
        header = scan(submission.content)
        if header.count(b"received") > config.max_received:
            raise MailLoop
        keys, due_at = await self.policy.clear(account, submission, header, len(recipients), now)
        delayed = due_at > starts
        cause, reason = (Cause.RATE, OVER_QUOTA) if delayed else (Cause.NONE, "")
        starts = max(starts, due_at)

        message_id = self._ids.next(now)
        fields = self._new_fields(submission, header, recipients, format_id(message_id), now)
        content = _composed(fields.text, header)
        if keys:
            submitted = submission.content if fields.received_only else None
            content = await self._signer.sign(content, keys, now, submitted=submitted) + content
        if starts > now:
            state = State.SCHEDULED
        elif self._handover.capacity(len(recipients), len(content)):
            state = State.SENDING
        else:
            state = State.QUEUED
        sending = state is State.SENDING
        sender = submission.sender
        message = Message(
            account_id=submission.account_id,
            id=message_id,
            credential_id=submission.credential_id,
            sender="" if sender is None else sender.text,
            size=len(content),
            priority=submission.priority,
            ret=None if submission.ret is None else submission.ret.value,
            envid=submission.envid,
            smtputf8=_needs_smtputf8(submission, header, recipients),
            eight_bit=not content.isascii(),
            accepted_at=now,
            expires_at=starts + lives,
            header_id=fields.header_id,
            subject=_text(header.get(b"subject"), MAX_SUBJECT),
            origin=_encode_json(submission.origin).decode(),
            labels=_encode_json(submission.labels).decode() if submission.labels else "{}",
            content=content if sending else None,
        )
        deliveries = [
            Delivery(
                message=message,
                number=number,
                recipient=recipient.address.text,
                domain=recipient.address.domain,
                notify=int(recipient.notify),
                orcpt=recipient.orcpt,
                state=state,
                due_at=starts,
                attempts=1 if sending else 0,
                cause=cause,
                reason=reason,
            )
            for number, recipient in enumerate(recipients, 1)
        ]
        event = Event(submission.account_id, message_id, 0, EventType.ACCEPTED, now)
        return NewMessage(message=message, content=content, deliveries=deliveries, events=(event,))

    def _new_fields(
        self, submission: Submission, header: Header, recipients: list[Recipient], queue_id: str, now: Millis
    ) -> _NewFields:
        """What a submission server adds (RFC 6409 §8), and the author when nobody is named (RFC 5322 §3.6)."""
        date = format_date(now)
        only = recipients[0].address.text if len(recipients) == 1 else ""
        added = received_field(
            submission.origin,
            self._hostname,
            queue_id,
            date,
            only if only.isascii() else "",
            show_client=self._config.show_client,
        )
        received_only = True
        if submission.sender is not None and not header.has(b"from"):
            added += f"From: {submission.sender.text}\r\n"
            received_only = False
        if not header.has(b"date"):
            added += f"Date: {date}\r\n"
            received_only = False
        header_id = _text(header.get(b"message-id"), MAX_HEADER_ID)
        if not header_id and not header.has(b"message-id"):
            header_id = make_message_id(queue_id, self._hostname)
            added += f"Message-ID: {header_id}\r\n"
            received_only = False
        return _NewFields(added.encode(), header_id, received_only)


class _NewFields(NamedTuple):
    text: bytes
    header_id: str
    """The Message-ID, given or made."""
    received_only: bool
    """Nothing was added that a signature covers."""


def _composed(added: bytes, header: Header) -> bytes:
    """The message with new fields on top, without what must not be passed on. Everything else keeps its octets."""
    content = header.content
    # A message that is all body gets the empty line that it lacks.
    separator = b"\r\n" if header.body == 0 else b""
    for name in _REMOVED:
        if header.has(name):
            return b"".join((added, header.header_without(_REMOVED), separator, content[header.end :]))
    return b"".join((added, separator, content))


def _without_duplicates(recipients: list[Recipient]) -> list[Recipient]:
    """One delivery per address; the first RCPT of it counts. Only the domain's case does not matter."""
    unique: dict[tuple[str, str], Recipient] = {}
    for recipient in recipients:
        address = recipient.address
        unique.setdefault((address.local, address.domain), recipient)
    return list(unique.values())


def _needs_smtputf8(submission: Submission, header: Header, recipients: list[Recipient]) -> bool:
    """Whether the next server has to know SMTPUTF8 (RFC 6531 §3.6).

    Non-ASCII addresses need it. A non-ASCII header needs it when the client said so; else it is old 8-bit mail,
    which has always been passed on as it is.
    """
    sender = submission.sender
    if sender is not None and not sender.text.isascii():
        return True
    if submission.smtputf8 and not header.is_ascii:
        return True
    return not all(recipient.address.text.isascii() for recipient in recipients)


def _text(value: bytes | None, longest: int) -> str:
    """A field's value for the store: text without NUL, which PostgreSQL does not take."""
    if not value:
        return ""
    return value[: 4 * longest].decode("utf-8", "replace").replace("\0", "")[:longest]
