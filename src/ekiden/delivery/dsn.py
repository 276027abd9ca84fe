"""Delivery status notifications (RFC 3464, RFC 3461): who is told what, and when; ``dsn_message`` writes it.

A report goes to the envelope sender, in the same account, and is queued in the same transaction as the outcomes
that it tells of; never for the null sender, so that no report ever answers a report (RFC 5321 §4.5.5).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

import msgspec

from ekiden.core.address import Address, BadAddress, parse_address
from ekiden.core.clock import SECOND, Clock, Millis
from ekiden.core.events import Event, EventType
from ekiden.core.ids import IdFactory, format_id
from ekiden.core.said import tell
from ekiden.core.states import Priority, State
from ekiden.core.submission import OWN_REPORT, Notify, Origin, Ret
from ekiden.delivery.config import DeliveryConfig
from ekiden.delivery.dsn_message import Action, Report, ReportedRecipient, build_report
from ekiden.delivery.dsn_sentences import SUBJECTS
from ekiden.delivery.explain import explain_to_sender
from ekiden.delivery.letters import Letter
from ekiden.delivery.trace_queries import notified
from ekiden.mime.header import make_message_id
from ekiden.smtp.envelope import wire_address
from ekiden.store.api import Store
from ekiden.store.records import Delivery, Message, NewMessage, Outcome

SignReport = Callable[[bytes, Millis], Awaitable[bytes]]
"""The ``DKIM-Signature`` fields to put before a report that is sent at a time; it raises nothing."""
EXPIRED_STATUS = "4.4.7"  # RFC 3463 §3.5: delivery time expired
_ORIGIN = msgspec.json.encode(Origin(via=OWN_REPORT)).decode()


class Notifier:
    """Decides and builds; the reporter stores."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: IdFactory,
        config: DeliveryConfig,
        hostname: str,
        sign: SignReport | None = None,
    ) -> None:
        self._sign = sign
        self._store = store
        self._clock = clock
        self._ids = ids
        self._hostname = hostname
        self._lifetime = round(config.expire_after * SECOND)
        self._late: Millis = round(config.delay_notice_after * SECOND)

    def wanted(self, message: Message, outcomes: Iterable[Outcome], dsn_passed_on: bool) -> bool:
        """Whether somebody may have to be told of ``outcomes``. Cheap: it is asked for each message."""
        if not message.sender:
            return False
        return any(self._action(message, outcome, dsn_passed_on) is not None for outcome in outcomes)

    def _action(self, message: Message, outcome: Outcome, dsn_passed_on: bool) -> Action | None:
        """RFC 3461 §5.2: what the sender asked to hear. "Relayed" is said when nobody behind us will report."""
        notify = Notify(outcome.delivery.notify)
        state = outcome.state
        if state is State.DELIVERED:
            return Action.RELAYED if not dsn_passed_on and notify.on_success else None
        if state is State.DEFERRED:
            late = outcome.attempt.finished_at - message.accepted_at >= self._late
            return Action.DELAYED if late and notify.on_delay else None
        if state in (State.BOUNCED, State.EXPIRED) and notify.on_failure:
            return Action.FAILED
        return None

    async def make(
        self, letter: Letter, outcomes: Sequence[Outcome], dsn_passed_on: bool, local: Collection[int] = ()
    ) -> NewMessage | None:
        """One report on all of ``outcomes`` that the sender wants to hear of, or ``None``.

        Adds a ``NOTIFIED`` event to each of them. ``local``: numbers of the recipients whose verdict is ours, not
        a peer's.
        """
        message = letter.message
        try:
            sender = parse_address(message.sender)
        except BadAddress:
            return None
        reported: list[tuple[Outcome, Action]] = []
        told: Collection[int] | None = None
        for outcome in outcomes:
            action = self._action(message, outcome, dsn_passed_on)
            if action is Action.DELAYED:
                if told is None:
                    told = await self._told(message)
                if outcome.delivery.number in told:
                    continue
            if action is not None:
                reported.append((outcome, action))
        if not reported:
            return None
        content = letter.content
        if content is None:
            content = await self._store.content(message.account_id, message.id) or b""
        now = self._clock.now()
        dsn_id = self._ids.next(now)
        text_id = format_id(dsn_id)
        header_id = make_message_id(text_id, self._hostname)
        report = Report(
            hostname=self._hostname,
            sender=sender.text,
            message_id=header_id,
            at=now,
            recipients=[self._recipient(item, action, item.delivery.number in local) for item, action in reported],
            content=content,
            arrived_at=message.accepted_at,
            envid=message.envid,
            ret=Ret(message.ret) if message.ret else None,
            original_message_id=message.header_id,
        )
        for outcome, action in reported:
            notified = Event(
                message.account_id,
                message.id,
                outcome.delivery.number,
                EventType.NOTIFIED,
                now,
                {"dsn": text_id, "action": action.value},
            )
            outcome.events = [*outcome.events, notified]
        written = build_report(report)
        if self._sign is not None:
            written = await self._sign(written, now) + written
        return self._queue(message, sender, dsn_id, header_id, written, now, reported[0][1])

    def _queue(
        self,
        about: Message,
        sender: Address,
        dsn_id: int,
        header_id: str,
        content: bytes,
        now: Millis,
        action: Action,
    ) -> NewMessage:
        message = Message(
            account_id=about.account_id,
            id=dsn_id,
            credential_id=0,
            sender="",
            size=len(content),
            priority=Priority(about.priority),
            ret=None,
            envid=None,
            smtputf8=not sender.text.isascii(),
            eight_bit=not content.isascii(),
            accepted_at=now,
            expires_at=now + self._lifetime,
            header_id=header_id,
            subject=SUBJECTS[action.value][0],
            origin=_ORIGIN,
        )
        delivery = Delivery(message, 1, sender.text, sender.domain, int(Notify.NEVER), None, State.QUEUED, now)
        event = Event(about.account_id, dsn_id, 0, EventType.ACCEPTED, now, {"about": format_id(about.id)})
        return NewMessage(message, content, [delivery], [event])

    def _recipient(self, outcome: Outcome, action: Action, local: bool) -> ReportedRecipient:
        delivery = outcome.delivery
        codes = " ".join(part for part in (str(outcome.code or ""), outcome.enhanced) if part)
        said = outcome.attempt.reply
        meaning = advice = ("", "")
        if action in (Action.FAILED, Action.DELAYED):
            english, japanese = (explain_to_sender(outcome.diagnosis, lang) for lang in ("en", "ja"))
            meaning, advice = (english[0], japanese[0]), (english[1], japanese[1])
        return ReportedRecipient(
            address=wire_address(delivery.recipient),
            shown=delivery.shown,
            action=action,
            status=EXPIRED_STATUS if outcome.state is State.EXPIRED else outcome.enhanced,
            orcpt=delivery.orcpt,
            remote_mta="" if local else outcome.attempt.host,
            diagnostic=said if local else f"{codes} {said}".strip(),
            local=local,
            own=(said, tell(outcome.attempt.said, said, "ja")) if local else ("", ""),
            last_attempt=outcome.attempt.finished_at,
            will_retry_until=delivery.message.expires_at,
            meaning=meaning,
            advice=advice,
        )

    async def _told(self, message: Message) -> set[int]:
        """Numbers of the recipients of whom the notice of delay has been sent before: it is sent once.

        Asked once for all recipients: one by one, each look would go through the events of all of them, while the
        outcomes of everybody's deliveries wait.
        """
        rows = await notified(self._store, message.account_id, message.id)
        delayed = Action.DELAYED.value
        return {number for number, data in rows if msgspec.json.decode(data).get("action") == delayed}
