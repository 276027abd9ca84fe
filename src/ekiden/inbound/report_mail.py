"""Reports that come back to our envelope senders: what they say becomes the story of a delivery.

The delivery keeps its final state. What was heard later is a bit of it (``core.states.After``), an event whose
routes tell whoever wants to know, and in the end a suppression: of a mailbox that does not exist at once, of one
that is full, disabled or never answers with the third within 30 days; of what was refused for its sender or its
content never; of whoever complains or wants to leave always. An event is written once for each kind, whatever is
repeated. What speaks of a message that is gone suppresses nobody: it is not known to whom that was sent. Nor does
what speaks of mail that was sent on for somebody: it is other people's.

Which delivery it is about is proven by a token: that of the address it came to, else that of the envelope sender
that the report returns. What only names an id of ours, which everybody may do who has seen a mail of ours, makes a
bounce part of the story, but suppresses nobody, and makes no complaint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ekiden.core.clock import DAY
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.events import Event, EventType
from ekiden.core.ids import format_id, parse_id
from ekiden.core.report import Kind
from ekiden.core.states import After, State
from ekiden.inbound.queries import SOFT, accounts_of, soft_bounces, subjects
from ekiden.inbound.reader import Found
from ekiden.inbound.reports.read import read_report
from ekiden.store.records import Heard, Noted

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.core.report import Reading, Report
    from ekiden.core.return_path import ReturnPath, ReturnPaths
    from ekiden.inbound.queries import Key, Sending, Subject
    from ekiden.inbound.reader import Opened
    from ekiden.limits.workshop import Workshop
    from ekiden.recipients.suppressing import Suppressing
    from ekiden.store.api import Store

_MOST_REPORTS: Final = 100
"""Recipients of one report that something follows for."""
_MAX_TEXT: Final = 500
_SOFT_WITHIN: Final = 30 * DAY
_SOFT_TIMES: Final = 3
_EVENTS: Final[Mapping[Kind, tuple[EventType, After]]] = {
    Kind.BOUNCE: (EventType.LATE_BOUNCE, After.BOUNCED),
    Kind.COMPLAINT: (EventType.COMPLAINED, After.COMPLAINED),
    Kind.UNSUBSCRIBE: (EventType.UNSUBSCRIBED, After.UNSUBSCRIBED),
}


class _About(NamedTuple):
    """Which message a mail is about, and ``number``: which recipient of it; 0: that is in the report."""

    account_id: int
    message_id: int
    number: int
    proven: bool

    @property
    def key(self) -> Key:
        return self.account_id, self.message_id


class ReportMail:
    """``inbound.reader.MailReader`` of our return paths, and of the postmaster. One per worker."""

    def __init__(
        self, store: Store, clock: Clock, paths: ReturnPaths, suppressing: Suppressing, workshop: Workshop
    ) -> None:
        self._store = store
        self._clock = clock
        self._paths = paths
        self._suppressing = suppressing
        self._workshop = workshop

    async def read(self, mails: Sequence[Opened]) -> list[Found | Exception]:
        contents = [mail.content for mail in mails]
        readings = await self._workshop.run("inbound", lambda: [_read(content) for content in contents])
        abouts = await self._identify(mails, readings)
        wanted: dict[Key, tuple[set[int], set[str]]] = {}
        for about, reading in zip(abouts, readings, strict=True):
            for each in about:
                numbers, addresses = wanted.setdefault(each.key, (set(), set()))
                if each.number:
                    numbers.add(each.number)
                elif not isinstance(reading, Exception):
                    addresses |= {name for report in reading.reports[:_MOST_REPORTS] for name in _names(report)}
        async with self._store.read() as connection:
            found = await subjects(connection, wanted)
        answers: list[Found | Exception] = []
        for mail, about, reading in zip(mails, abouts, readings, strict=True):
            if isinstance(reading, Exception):
                answers.append(reading)
                continue
            try:
                answers.append(await self._follow(mail, about, reading, found))
            except Exception as error:
                answers.append(error)
        return answers

    async def _identify(
        self, mails: Sequence[Opened], readings: Sequence[Reading | Exception]
    ) -> list[Sequence[_About]]:
        """Of each mail, the messages that it is about."""
        abouts: list[Sequence[_About]] = []
        named: dict[int, int] = {}
        for at, (mail, reading) in enumerate(zip(mails, readings, strict=True)):
            paths = [box.return_path for _, box in mail.boxes if box.return_path is not None]
            if not paths and not isinstance(reading, Exception):
                paths = self._returned(reading)
            abouts.append([_About(*path[1:], True) for path in dict.fromkeys(paths)])
            if not paths and not isinstance(reading, Exception):
                number = next((id for text in reading.origin.message_ids if (id := _own_id(text))), 0)
                if number:
                    named[at] = number
        if named:
            async with self._store.read() as connection:
                accounts = await accounts_of(connection, set(named.values()))
            for at, number in named.items():
                if number in accounts:
                    abouts[at] = [_About(accounts[number], number, 0, False)]
        return abouts

    def _returned(self, reading: Reading) -> list[ReturnPath]:
        """Tokens in the envelope senders that a report quotes."""
        now = self._clock.now()
        locals = (sender.strip("<>").rpartition("@")[0] for sender in reading.origin.senders)
        return [path for local in locals if (path := self._paths.unseal(local, now)) is not None]

    async def _follow(
        self, mail: Opened, abouts: Sequence[_About], reading: Reading, found: Mapping[Key, Subject]
    ) -> Found:
        answer = Found(reading.kind, {"kind": reading.kind.value, "reports": []})
        heard: dict[tuple[int, int, int], After] = {}
        for about in abouts:
            subject = found.get(about.key)
            for report in reading.reports[:_MOST_REPORTS]:
                told = _told(report) | {"message": format_id(about.message_id)}
                answer.told["reports"].append(told)
                sending = None if subject is None else _meant(subject, about, report)
                if subject is None or sending is None:
                    continue
                told["number"] = sending.number
                key = (*about.key, sending.number)
                before = sending.after | heard.get(key, After(0))
                heard[key] = before | await self._hear(mail, answer, subject, sending, report, before, about.proven)
        if not abouts:
            answer.told["reports"] += [_told(report) for report in reading.reports[:_MOST_REPORTS]]
        return answer

    async def _hear(
        self,
        mail: Opened,
        answer: Found,
        subject: Subject,
        sending: Sending,
        report: Report,
        before: After,
        proven: bool,
    ) -> After:
        """What follows for one delivery; the bit that is new."""
        sent = subject.sent
        if report.kind is Kind.AUTO_REPLY:
            if not before & After.AUTO_REPLIED:
                answer.heard.append(Heard(sent.account_id, sent.message_id, sending.number, After.AUTO_REPLIED))
            return After.AUTO_REPLIED
        event = _EVENTS.get(report.kind)
        if report.kind is Kind.COMPLAINT and not report.complains:
            return After(0)
        if event is None or (report.kind is Kind.BOUNCE and sending.state is not State.DELIVERED):
            return After(0)  # a delay, or what its attempts know better
        if proven:
            await self._suppress(subject, sending, report)
        elif report.kind is not Kind.BOUNCE:
            return After(0)
        kind, bit = event
        if not before & bit:
            data = _data(report) | {"mail": format_id(mail.mail.id)}
            said = Event(
                sent.account_id,
                sent.message_id,
                sending.number,
                kind,
                self._clock.now(),
                data,
                report.diagnosis if report.kind is Kind.BOUNCE else Diagnosis.NONE,
            )
            answer.events.append(Noted(said, subject.routes))
            answer.heard.append(Heard(sent.account_id, sent.message_id, sending.number, bit))
        return bit

    async def _suppress(self, subject: Subject, sending: Sending, report: Report) -> None:
        """Before anything is written: whatever is done twice is done once."""
        sent, recipient = subject.sent, sending.recipient
        if subject.sent_on:
            return
        if report.kind is Kind.COMPLAINT:
            await self._suppressing.complained(sent, recipient)
        elif report.kind is Kind.UNSUBSCRIBE:
            await self._suppressing.left(sent, recipient)
        elif report.hard or await self._often(sent.account_id, recipient, report):
            reason = f"{report.code or ''} {report.enhanced} {report.text}".strip()[:_MAX_TEXT]
            await self._suppressing.bounced(sent, recipient, report.diagnosis, reason)

    async def _often(self, account_id: int, recipient: str, report: Report) -> bool:
        if report.diagnosis not in SOFT and not report.expired:
            return False
        async with self._store.read() as connection:
            since = self._clock.now() - _SOFT_WITHIN
            before = await soft_bounces(connection, account_id, recipient, since)
        return before + 1 >= _SOFT_TIMES


def _read(content: bytes) -> Reading | Exception:
    try:
        return read_report(content)
    except Exception as error:  # a fault of ours, and no reason that others wait
        return error


def _own_id(header_id: str) -> int:
    """The queue id in a Message-ID that we have made, whatever host it names; 0: there is none."""
    try:
        return parse_id(header_id.strip().strip("<>").partition("@")[0])
    except ValueError:
        return 0


def _names(report: Report) -> list[str]:
    """Addresses that may be the recipient's, in lower case."""
    return [name.lower() for name in (report.asked, report.recipient) if name]


def _meant(subject: Subject, about: _About, report: Report) -> Sending | None:
    """By the token, else by the addresses of the report. ``None``: nobody whom it was sent to."""
    if about.number:
        return next((each for each in subject.deliveries if each.number == about.number), None)
    for name in _names(report):
        for each in subject.deliveries:
            if each.recipient.lower() == name:
                return each
    return None


def _told(report: Report) -> dict[str, Any]:
    """For traces of the mail."""
    return _data(report) | {"recipient": report.recipient[:_MAX_TEXT], "kind": report.kind.value}


def _data(report: Report) -> dict[str, Any]:
    """What an event keeps of a report."""
    facts: dict[str, Any] = {
        "code": report.code,
        "enhanced": report.enhanced,
        "text": report.text[:_MAX_TEXT],
        "host": report.remote_mta[:255],
        "how": report.how,
        "stage": "" if report.stage is None else report.stage.label,
        "expired": report.expired,
        "feedback": report.action if report.kind is Kind.COMPLAINT else "",
    }
    if report.kind is Kind.BOUNCE:
        facts["diagnosis"] = report.diagnosis.label
        facts["cause"] = report.cause.name.lower()
    return {name: value for name, value in facts.items() if value}
