"""The door: policy, the fields a submission server adds (RFC 6409 §8), and the commit that a 250 stands for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from ekiden.core.clock import SECOND
from ekiden.core.events import Event, EventType
from ekiden.core.ids import IdFactory, format_id
from ekiden.core.notices import News, Route
from ekiden.core.said import recognised, say
from ekiden.core.states import Cause, State, Wait
from ekiden.core.submission import Recipient, Submission
from ekiden.intake.config import IntakeConfig
from ekiden.intake.errors import (
    AccountSuspended,
    AlreadyExpired,
    HeaderTooLarge,
    IntakeError,
    MailLoop,
    MessageTooLarge,
    NoRecipients,
    TemporarilyUnavailable,
    TooManyRecipients,
)
from ekiden.intake.policy import Policy
from ekiden.intake.received import received_field
from ekiden.intake.signer import Signer
from ekiden.intake.transfer_encoding import Fitting, changes
from ekiden.limits.journal import ACCEPTED, moment, request_id
from ekiden.mime.header import format_date, make_message_id
from ekiden.mime.repair import repair
from ekiden.mime.scan import Header, measure, scan
from ekiden.store.api import StoreUnavailable
from ekiden.store.records import Delivery, ExpandedPiece, Message, NewMessage

if TYPE_CHECKING:
    from ekiden.access.directory import AccountFacts, Directory
    from ekiden.core.clock import Clock, Millis
    from ekiden.limits.workshop import Workshop
    from ekiden.recipients.suppressions import Suppression
    from ekiden.store.api import Store

_OVER_QUOTA = say("over_quota")
MAX_SUBJECT = 500  # characters kept for lists and traces
MAX_HEADER_ID = 998
_TOGETHER = 32
"""Messages of one request that are checked and signed at the same time."""
_REMOVED = (b"bcc", b"resent-bcc", b"return-path")
_encode_json = msgspec.json.Encoder().encode


class Receipt(NamedTuple):
    """``queue_id`` is the text of ``message_id``, as the client hears it."""

    message_id: int
    queue_id: str


class Handover(Protocol):
    """Who delivers within this process, and takes what was just accepted without asking the store for it."""

    def capacity(self, account_id: int, count: int, size: int) -> bool:
        """Whether ``count`` deliveries of ``size`` octets can be taken now; asked before the commit."""
        ...

    def offer(self, deliveries: list[Delivery]) -> None:
        """They are on stable storage, ``SENDING``, owned by this worker; shared content is only there."""
        ...


class Annotator(Protocol):
    """Reads instructions that a message brings in its own header, as some services' clients write them, or what
    its account wants done for all of its mail."""

    def concerns(self, account: AccountFacts, header: Header) -> bool:
        """Whether there are any; asked of each message, so a look at the octets and into memory has to do."""
        ...

    async def annotate(self, account: AccountFacts, submission: Submission, header: Header) -> Submission:
        """The submission as it was meant, its content without the instructions. Raises ``IntakeError``."""
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
        annotators: Sequence[Annotator] = (),
        workshop: Workshop | None = None,
    ) -> None:
        """``workshop`` is the worker's own."""
        self._store = store
        self._clock = clock
        self._ids = ids
        self._worker_id = worker_id
        self._config = config
        self._handover = handover
        self._directory = directory
        self.policy = policy
        self._signer = signer
        self._annotators = annotators
        self._fitting = Fitting(config, workshop)
        self.waiting = 0
        """Messages whose commit is under way: clients that wait for their 250."""
        self._hostname = config.hostname
        self._expire_after = int(config.expire_after * SECOND)

    def renewed(self, worker_id: int, handover: Handover) -> None:
        """This process has another registration in the store, and who delivers in its name."""
        self._worker_id = worker_id
        self._handover = handover

    @property
    def hostname(self) -> str:
        """In the fields that it adds."""
        return self._hostname

    @property
    def max_size(self) -> int:
        """Octets that a message may have, with its shared end."""
        return self._config.max_size

    def check_header(self, content: bytes) -> None:
        """Before anybody reads it: raises ``HeaderTooLarge``. For those who read it before they submit it."""
        exceeded = measure(content, self._config.header)
        if exceeded is not None:
            raise HeaderTooLarge(exceeded, self._config.header)

    async def submit(self, submission: Submission) -> Receipt:
        """Take the message; when this returns it is on stable storage. Raises ``IntakeError``; else it is a bug."""
        account = await self._account(submission)
        message = (await self._admit(account, submission)).new
        due = _due(message)
        if due and self._handover.capacity(account.id, due, message.message.size):
            _hand_over(message)
        self.waiting += 1
        try:
            await self._store.accept(self._worker_id, message)
        except StoreUnavailable as error:
            raise TemporarilyUnavailable from error
        finally:
            self.waiting -= 1
        self._offer(message)
        if ACCEPTED.tells(message.message.id):
            _tell(message, submission)
        return _receipt(message)

    async def submit_all(self, submissions: Sequence[Submission]) -> list[Receipt]:
        """Take all messages of one request, or none: ``submit`` in a single transaction.

        Those that have the same ``shared`` end are to be among them together.
        """
        if not submissions:
            return []
        account = await self._account(submissions[0])
        messages = [each.new for each in await self._admit_all(account, submissions)]
        await self._commit_all(account, submissions, messages)
        return [_receipt(message) for message in messages]

    async def submit_each(
        self,
        submissions: Sequence[Submission],
        piece: Callable[[Sequence[IntakeError | None]], ExpandedPiece],
    ) -> list[IntakeError | None]:
        """``submit_all``, with what is refused left out; returns why, in the order of ``submissions``.

        ``piece`` is told the same: what it makes of it is done in the same transaction, also when nothing is left.
        Raises ``TemporarilyUnavailable`` and ``AccountSuspended``, as if nothing had been asked.
        """
        if not submissions:
            await self._commit_all(None, (), (), piece(()))
            return []
        account = await self._account(submissions[0])
        admitted, refused = await self._admit_each(account, submissions)
        errors = [refused.get(at) for at in range(len(submissions))]
        kept = [submission for submission, error in zip(submissions, errors, strict=True) if error is None]
        try:
            await self._commit_all(account, kept, [each.new for each in admitted], piece(errors))
        except BaseException:
            self._give_back(account, admitted)
            raise
        return errors

    async def _commit_all(
        self,
        account: AccountFacts | None,
        submissions: Sequence[Submission],
        messages: Sequence[NewMessage],
        piece: ExpandedPiece | None = None,
    ) -> None:
        """Write them, hand over what this worker has room for, and tell of each."""
        due = size = 0
        for message in messages:
            own = _due(message)
            due += own
            size += message.message.size
            if own and account is not None and self._handover.capacity(account.id, due, size):
                _hand_over(message)
        self.waiting += 1
        try:
            await self._store.accept_all(self._worker_id, messages, piece)
        except StoreUnavailable as error:
            raise TemporarilyUnavailable from error
        finally:
            self.waiting -= 1
        for message, submission in zip(messages, submissions, strict=True):
            self._offer(message)
            if ACCEPTED.tells(message.message.id):
                _tell(message, submission)

    async def _admit_all(self, account: AccountFacts, submissions: Sequence[Submission]) -> list[_Admitted]:
        """Raises what the first of them is refused for."""
        admitted, refused = await self._admit_each(account, submissions, all_of_them=True)
        for error in refused.values():
            self._give_back(account, admitted)
            raise error
        return admitted

    async def _admit_each(
        self, account: AccountFacts, submissions: Sequence[Submission], *, all_of_them: bool = False
    ) -> tuple[list[_Admitted], dict[int, IntakeError]]:
        """Those that may be stored, and why others may not, by their place. ``all_of_them``: the first refusal is
        the last that is asked for.

        Some at a time: they are signed together, and nobody on the event loop waits for all of them.
        """
        admitted: list[_Admitted] = []
        refused: dict[int, IntakeError] = {}
        try:
            for start in range(0, len(submissions), _TOGETHER):
                part = (self._admit(account, submission) for submission in submissions[start : start + _TOGETHER])
                fault: BaseException | None = None
                for at, found in enumerate(await asyncio.gather(*part, return_exceptions=True), start):
                    if isinstance(found, IntakeError) and not isinstance(found, TemporarilyUnavailable):
                        refused[at] = found
                    elif isinstance(found, BaseException):
                        fault = fault or found
                    else:
                        admitted.append(found)
                if fault is not None:
                    raise fault
                if refused and all_of_them:
                    break
        except BaseException:
            self._give_back(account, admitted)
            raise
        return admitted, refused

    def _give_back(self, account: AccountFacts, admitted: Sequence[_Admitted]) -> None:
        """They will not be sent: what they took of the quota is for others."""
        for each in admitted:
            self.policy.give_back(account, each.counted, each.counted_at)

    async def _account(self, submission: Submission) -> AccountFacts:
        account = self._directory.fresh_account(submission.account_id)
        try:
            if account is None:
                account = await self._directory.account(submission.account_id)
        except StoreUnavailable as error:
            raise TemporarilyUnavailable from error
        if account is None or account.suspended:
            raise AccountSuspended
        return account

    def _offer(self, new: NewMessage) -> None:
        """After the commit."""
        deliveries = [delivery for delivery in new.deliveries if delivery.state is State.SENDING]
        if deliveries:
            self._handover.offer(deliveries)

    async def _admit(self, account: AccountFacts, submission: Submission) -> _Admitted:
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
        shared = submission.shared
        shared_size = 0 if shared is None else shared.size
        size = len(submission.content) + shared_size
        if size > config.max_size:
            raise MessageTooLarge(size, config.max_size)
        self.check_header(submission.content)
        header = scan(submission.content)
        for annotator in self._annotators:
            if annotator.concerns(account, header):
                annotated = await annotator.annotate(account, submission, header)
                if annotated.content is not submission.content:
                    header = scan(annotated.content)
                submission = annotated
        named: tuple[str, ...] = ()
        repaired = repair(header, None if submission.sender is None else submission.sender.text)
        if repaired is not None:
            named = repaired.named
            submission = replace(submission, content=repaired.content)
            header = scan(repaired.content)
        starts = now if submission.send_at is None else max(now, submission.send_at)
        lives = self._expire_after if submission.expires_after is None else submission.expires_after
        if lives <= 0:
            raise AlreadyExpired
        if header.count(b"received") > config.max_received:
            raise MailLoop
        keys, due_at, suppressed = await self.policy.clear(
            account, submission, header, recipients, now, named=named
        )
        delayed = due_at > starts
        said = _OVER_QUOTA if delayed else None
        starts = max(starts, due_at)

        wanted = len(recipients) - len(suppressed)
        smtputf8 = _needs_smtputf8(submission, header, recipients)
        encoded = None
        if wanted:  # a content that nobody gets is not kept
            try:
                encoded = await self._fitting.encoded(submission, signed=bool(keys), smtputf8=smtputf8)
            except BaseException:
                self.policy.give_back(account, wanted, due_at)
                raise
        if encoded is not None:
            submission = replace(submission, content=encoded.content)
            header = scan(encoded.content)

        message_id = self._ids.next(now) if submission.message_id is None else submission.message_id
        fields = self._new_fields(submission, header, recipients, format_id(message_id), now)
        content = _composed(fields.text, header)
        if keys and wanted:
            submitted = submission.content if fields.received_only else None
            content = await self._signer.sign(content, keys, now, submitted=submitted, shared=shared) + content
        state, wait = State.QUEUED, Wait.DUE
        if starts > now:
            state, wait = State.SCHEDULED, Wait.QUOTA if delayed else Wait.SCHEDULED
        routes = submission.routes
        if account.reports_endpoint is not None:
            routes = (*routes, Route(account.reports_endpoint, News.FINAL))
        sender = submission.sender
        message = Message(
            account_id=submission.account_id,
            id=message_id,
            credential_id=submission.credential_id,
            sender="" if sender is None else sender.text,
            size=len(content) + shared_size,
            priority=submission.priority,
            ret=None if submission.ret is None else submission.ret.value,
            envid=submission.envid,
            smtputf8=smtputf8,
            eight_bit=not content.isascii(),
            accepted_at=now,
            expires_at=starts + lives,
            header_id=fields.header_id,
            subject=_text(header.get(b"subject"), MAX_SUBJECT),
            origin=_encode_json(submission.origin).decode(),
            labels=_encode_json(submission.labels).decode() if submission.labels else "{}",
            marks=submission.marks,
            routes=routes,
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
                cause=Cause.RATE if delayed else Cause.NONE,
                reason="" if said is None else said.text(),
                wait=wait,
                said=said,
                written=recipient.address.written or None,
            )
            for number, recipient in enumerate(recipients, 1)
        ]
        told = changes(repaired, encoded)
        events = [Event(submission.account_id, message_id, 0, EventType.ACCEPTED, now, told)]
        each = len(deliveries) > 1 and any(route.news & News.EACH for route in routes)
        if each:
            of = submission.account_id, message_id
            events += [Event(*of, delivery.number, EventType.QUEUED, now) for delivery in deliveries]
        if suppressed:
            events += _drop(deliveries, suppressed, now)
        if each:
            events.sort(key=attrgetter("recipient_number"))  # what is told of one recipient is told together
        new = NewMessage(message, content, deliveries, events, shared)
        return _Admitted(new, wanted, due_at)

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


def _tell(new: NewMessage, submission: Submission) -> None:
    """The line of a message that was accepted (``docs/logging.md``)."""
    message, origin = new.message, submission.origin
    facts: dict[str, object] = {
        "id": format_id(message.id),
        "client": origin.client,
        "via": origin.via,
        "account": message.account_id,
        "credential": message.credential_id,
        "recipients": len(new.deliveries),
        "size": message.size,
    }
    if dropped := sum(delivery.state is State.DROPPED for delivery in new.deliveries):
        facts["suppressed"] = dropped
    if new.deliveries[0].state is State.SCHEDULED:
        facts["due"] = moment(new.deliveries[0].due_at)
    if request := request_id():
        facts["request_id"] = request
    facts["sender"] = message.sender
    facts["header_id"] = message.header_id
    ACCEPTED.write(**facts)


def _due(new: NewMessage) -> int:
    """How many deliveries could be made at once."""
    return sum(delivery.state is State.QUEUED for delivery in new.deliveries)


def _hand_over(new: NewMessage) -> None:
    """Before the commit: what is due now goes to this worker's own delivery."""
    for delivery in new.deliveries:
        if delivery.state is State.QUEUED:
            delivery.state = State.SENDING
            delivery.attempts = 1
    if new.shared is None:
        new.message.content = new.content


def _receipt(new: NewMessage) -> Receipt:
    return Receipt(new.message.id, format_id(new.message.id))


def _drop(deliveries: Iterable[Delivery], suppressed: Mapping[str, Suppression], now: Millis) -> list[Event]:
    """Deliveries to suppressed addresses have ended before they began; the events that tell so."""
    events = []
    for delivery in deliveries:
        found = suppressed.get(delivery.recipient)
        if found is None:
            continue
        delivery.state = State.DROPPED
        delivery.cause = Cause.RECIPIENT
        delivery.said = say("suppressed", kind=found.kind, reason=recognised(found.reason) or found.reason)
        delivery.reason = delivery.said.text()
        delivery.wait = Wait.DUE
        delivery.due_at = now
        data = {
            "why": "suppressed",
            "kind": found.kind,
            "text": delivery.reason,
            "said": delivery.said,
            "cause": "recipient",
        }
        message = delivery.message
        events.append(Event(message.account_id, message.id, delivery.number, EventType.DROPPED, now, data))
    return events


class _Admitted(NamedTuple):
    """A message that may be stored. ``counted``: recipients that count in the quota, of ``counted_at``."""

    new: NewMessage
    counted: int
    counted_at: Millis


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
    """One delivery per address; the first RCPT of it counts. The case of local parts does matter."""
    unique: dict[str, Recipient] = {}
    for recipient in recipients:
        unique.setdefault(recipient.address.text, recipient)
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
