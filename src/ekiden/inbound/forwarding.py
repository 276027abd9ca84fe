"""Mail that routes send on: what becomes of it is a message of the account, written with what was understood.

To a server it goes as it came. To an address it goes with an envelope sender of ours and our ARC seal: the content
keeps its octets, so that what its author has signed still holds. Both say for whom it came (Delivered-To).

Who is told when it cannot be delivered: the sender, if SPF passed, since then it is known to be the sender's.
Otherwise nobody outside: reports end with us, and the message's trace tells.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import msgspec
import structlog

from ekiden.access.quotas import OverQuota
from ekiden.access.vault import VaultError
from ekiden.core.address import Address, parse_address
from ekiden.core.clock import SECOND
from ekiden.core.events import Event, EventType
from ekiden.core.forward import Forward
from ekiden.core.ids import format_id
from ekiden.core.said import Said, recognised, say
from ekiden.core.states import Cause, Priority, State, Wait
from ekiden.core.submission import SENT_ON, Notify, Origin, SharedContent
from ekiden.inbound.loops import delivered_to, known_as
from ekiden.inbound.returned_mail import without_return_path
from ekiden.inbound.targets import ToAddress, ToServer
from ekiden.inbound.verdicts import Authentication
from ekiden.mime.scan import scan
from ekiden.recipients.suppressions import KINDS
from ekiden.sender_auth.arc import ArcChain, ArcReason, ArcWord, seal
from ekiden.sender_auth.dkim_errors import DkimError
from ekiden.sender_auth.signatures import SignedMessage
from ekiden.store.errors import told
from ekiden.store.records import Delivery, Message, NewMessage

if TYPE_CHECKING:
    from ekiden.access.directory import AccountFacts, Directory
    from ekiden.access.quotas import Quotas
    from ekiden.core.clock import Clock, Millis
    from ekiden.core.ids import IdFactory
    from ekiden.inbound.reader import Opened
    from ekiden.inbound.targets import ForwardTarget
    from ekiden.limits.workshop import Workshop
    from ekiden.mime.scan import Header
    from ekiden.recipients.suppressions import Suppressions
    from ekiden.sender_auth.dkim_sign import SigningKey
    from ekiden.store.records import ReceivedMail

log = structlog.get_logger()

_KINDS: Final = tuple(kind for kind in KINDS if kind != "unsubscribe")
"""Of suppressions that stop it: who wants no advertising has not declined what comes for them."""
_PIECE: Final = 1_048_576
"""Octets of what several messages have in common that are stored together."""
_LOOPED: Final = say("sent_on_before")


class Wanted(NamedTuple):
    """A route that takes a mail for a recipient, whose place among the mail's is ``number``."""

    number: int
    recipient: str
    route: str
    target: ForwardTarget


@dataclass(slots=True)
class Forwarded:
    """What is to be written, and what traces tell of it, JSON-ready."""

    messages: list[NewMessage] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)


class Forwarding:
    """One per worker. ``keys`` are those that seal, the first of them."""

    def __init__(
        self,
        clock: Clock,
        ids: IdFactory,
        directory: Directory,
        quotas: Quotas,
        suppressions: Suppressions,
        keys: Callable[[], Awaitable[Sequence[SigningKey]]],
        workshop: Workshop,
        hostname: str,
        expire_after: float,
    ) -> None:
        """``expire_after``: seconds that delivery may be tried."""
        self._clock = clock
        self._ids = ids
        self._directory = directory
        self._quotas = quotas
        self._suppressions = suppressions
        self._keys = keys
        self._workshop = workshop
        self._hostname = hostname
        self._lifetime = round(expire_after * SECOND)

    async def forward(self, mail: Opened, wanted: Sequence[Wanted]) -> Forwarded:
        """``mail`` for each of ``wanted``, to each address once. Raises what the store raises, and ``TimeoutError``
        when no thread had time."""
        found = Forwarded()
        header = scan(mail.content)
        before = delivered_to(header)
        chosen: dict[tuple[str, ...], Wanted] = {}
        for each in wanted:
            if known_as(each.recipient) in before:
                found.told.append(_told(each, dropped=_LOOPED))
            elif isinstance(each.target, ToAddress):
                chosen.setdefault((each.target.address,), each)
            else:
                chosen.setdefault((each.recipient, each.target.shown), each)
        if not chosen:
            return found
        letter = await self._letter(mail, header, list(chosen.values()))
        for each in chosen.values():
            new = await self._message(letter, each)
            found.messages.append(new)
            (delivery,) = new.deliveries
            dropped = delivery.said if delivery.state is State.DROPPED else None
            found.told.append(_told(each, message=format_id(new.message.id), dropped=dropped))
        return found

    async def _letter(self, mail: Opened, header: Header, wanted: Sequence[Wanted]) -> _Letter:
        content = mail.content
        begins = without_return_path(content)
        verdicts = _verdicts(mail.mail)
        sealed = b""
        if verdicts is not None and any(isinstance(each.target, ToAddress) for each in wanted):
            sealed = await self._sealed(mail, verdicts)
        shared = None
        if len(wanted) > 1:
            pieces = (content[at : at + _PIECE] for at in range(begins, len(content), _PIECE))
            shared = SharedContent(self._ids.next(self._clock.now()), tuple(pieces))
        return _Letter(
            mail.mail,
            await self._directory.account(mail.mail.account_id),
            verdicts is not None and verdicts.spf.identity == "mailfrom" and verdicts.spf.result == "pass",
            sealed,
            memoryview(content)[begins:],
            shared,
            mail.mail.smtputf8 and not header.is_ascii,
            not content.isascii(),
        )

    async def _sealed(self, mail: Opened, verdicts: Authentication) -> bytes:
        """The fields of our seal (RFC 8617); none, when there is no key, or the chain has ended."""
        try:
            keys = await self._keys()
            if not keys:
                return b""
            return await self._workshop.run("inbound", lambda: self._seal(mail, keys[0], verdicts))
        except (VaultError, DkimError) as error:
            told(log, "a mail that is sent on could not be sealed", error, id=format_id(mail.mail.id))
            return b""

    def _seal(self, mail: Opened, key: SigningKey, verdicts: Authentication) -> bytes:
        of, arc = mail.mail, verdicts.arc
        chain = ArcChain(SignedMessage(mail.content), of.accepted_at)
        return seal(
            mail.content,
            key,
            self._clock.now(),
            authserv_id=self._hostname,
            results=verdicts.results(of.peer, of.sender),
            chain=chain.known(cast("ArcWord", arc.result), cast("ArcReason", arc.reason)),
        )

    async def _message(self, letter: _Letter, wanted: Wanted) -> NewMessage:
        mail, target, now = letter.mail, wanted.target, self._clock.now()
        added = _delivered_to(wanted.recipient)
        if isinstance(target, ToServer):
            recipient = parse_address(wanted.recipient)
            forward = Forward(sender="own", host=target.host, port=target.port, tls=target.tls)
            sender = mail.sender
        else:
            recipient = parse_address(target.address)
            forward = Forward(sender="srs" if letter.verified else "token")
            sender = ""  # ours is ASCII
            added += letter.sealed
        waits = await self._waits(letter, recipient, target, now)
        content = added if letter.shared is not None else b"".join((added, letter.rest))
        message = Message(
            account_id=mail.account_id,
            id=self._ids.next(now),
            credential_id=0,
            sender=mail.sender,
            size=len(added) + len(letter.rest),
            priority=Priority.STANDARD if letter.account is None else letter.account.priority,
            ret=None,
            envid=None,
            smtputf8=letter.smtputf8 or not recipient.text.isascii() or not sender.isascii(),
            eight_bit=letter.eight_bit,
            accepted_at=now,
            expires_at=waits.due_at + self._lifetime,
            header_id=mail.header_id,
            subject=mail.subject,
            origin=_origin(mail),
            forward=forward,
        )
        delivery = Delivery(
            message=message,
            number=1,
            recipient=recipient.text,
            domain=recipient.domain,
            notify=int(Notify.NONE_GIVEN if letter.verified else Notify.NEVER),
            orcpt=None,
            state=waits.state,
            due_at=waits.due_at,
            cause=waits.cause,
            reason="" if waits.said is None else waits.said.text(),
            wait=Wait.QUOTA if waits.state is State.SCHEDULED else Wait.DUE,
            said=waits.said,
            written=recipient.written or None,
        )
        of = mail.account_id, message.id
        how = {"mail": format_id(mail.id), "route": wanted.route, "for": wanted.recipient}
        events = [Event(*of, 0, EventType.ACCEPTED, now, {"forward": how})]
        if waits.state is State.DROPPED:
            data = {"why": waits.why, "text": delivery.reason, "said": waits.said}
            data |= {"kind": waits.kind} if waits.kind else {}
            data |= {"cause": waits.cause.name.lower()}
            events.append(Event(*of, 1, EventType.DROPPED, now, data))
        return NewMessage(message, content, [delivery], events, letter.shared)

    async def _waits(self, letter: _Letter, recipient: Address, target: ForwardTarget, now: Millis) -> _Waits:
        """Quotas hold as for the account's other mail; suppressions of an address, and not of a server that is the
        account's own."""
        account = letter.account
        if account is None or account.suspended:
            return _Waits(State.DROPPED, now, Cause.POLICY, say("account_suspended"), "account_suspended")
        if isinstance(target, ToAddress) and letter.mail.sender:
            domain = parse_address(letter.mail.sender).domain
            found = await self._suppressions.check(account.id, domain, [recipient.text], _KINDS)
            if (suppression := found.get(recipient.text)) is not None:
                reason = recognised(suppression.reason) or suppression.reason
                said = say("suppressed", kind=suppression.kind, reason=reason)
                return _Waits(State.DROPPED, now, Cause.RECIPIENT, said, "suppressed", suppression.kind)
        due_at = self._quotas.take(account, 1, now)
        if due_at is None:
            try:
                due_at = await self._quotas.reserve(account, 1, now)
            except OverQuota:
                return _Waits(State.DROPPED, now, Cause.RATE, say("over_quota_for_days"), "quota")
        if due_at > now:
            return _Waits(State.SCHEDULED, due_at, Cause.RATE, say("over_quota"))
        return _Waits(State.QUEUED, now)


class _Letter(NamedTuple):
    """A mail as it is sent on: what is the same for all to whom it goes."""

    mail: ReceivedMail
    account: AccountFacts | None
    verified: bool
    """It is from its envelope sender, as far as SPF tells."""
    sealed: bytes
    rest: memoryview
    """The content as it came in; behind what is added."""
    shared: SharedContent | None
    """The same, where several go."""
    smtputf8: bool
    eight_bit: bool


class _Waits(NamedTuple):
    """How its delivery begins. ``why`` and ``kind``: of one that has ended with it."""

    state: State
    due_at: Millis
    cause: Cause = Cause.NONE
    said: Said | None = None
    why: str = ""
    kind: str = ""


def _verdicts(mail: ReceivedMail) -> Authentication | None:
    """``None``: nobody has looked."""
    try:
        return Authentication.decode(mail.authentication) if mail.authentication else None
    except msgspec.MsgspecError:
        return None


def _delivered_to(recipient: str) -> bytes:
    """What is not ASCII is left out: it would need SMTPUTF8. Such mail ends by its Received fields."""
    return b"Delivered-To: %b\r\n" % recipient.encode() if recipient.isascii() else b""


def _origin(mail: ReceivedMail) -> str:
    origin = Origin(SENT_ON, mail.peer, mail.helo, tls=mail.tls, listener=mail.listener)
    return msgspec.json.encode(origin).decode()


def _told(wanted: Wanted, *, message: str = "", dropped: Said | None = None) -> dict[str, Any]:
    facts: dict[str, Any] = {"number": wanted.number, "route": wanted.route, "to": wanted.target.shown}
    return facts | ({"message": message} if message else {}) | ({"dropped": dropped} if dropped else {})
