"""Mailings become messages: rendered for each recipient, and all of a request taken by the door at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ekiden.core.address import Address, parse_address
from ekiden.core.errors import EkidenError
from ekiden.core.ids import external_id, format_id
from ekiden.core.submission import Recipient, Submission
from ekiden.intake.errors import (
    Busy,
    IntakeError,
    MessageTooLarge,
    RequestTooLarge,
    TemporarilyUnavailable,
    TooManyLinks,
    TooManyPlaceholders,
)
from ekiden.intake.mailing import Mailed, Mailing, MailingGroup, MailingRecipient
from ekiden.intake.tracking import Tracker
from ekiden.limits.loop_slices import Turns
from ekiden.limits.memory import Memory
from ekiden.limits.workshop import Workshop
from ekiden.mime.compose import Composer
from ekiden.mime.errors import MimeError
from ekiden.mime.header import make_message_id
from ekiden.mime.mailbox import Mailbox
from ekiden.mime.placeholders import too_many_slots
from ekiden.mime.tracked_message import MAX_LINKS
from ekiden.recipients.tracking_tokens import TrackingUrls, trackable

if TYPE_CHECKING:
    from ekiden.intake.door import Door, Receipt
    from ekiden.store.records import ExpandedPiece

MAX_REQUEST = 134_217_728
"""Octets of all the messages of one request, what they share counted once: they are in memory together. A thousand
recipients get 128 KiB each."""
PATIENCE = 5.0
"""Seconds that a request waits for memory."""
T = TypeVar("T")
_HEADER = 1_024
"""Octets of a message beside its texts."""
_MAILBOX = 64
UNSUBSCRIBE_NAME = "unsubscribeUrl"
_LARGE = 131_072
"""Characters of texts from which on they are compiled in a thread, and each message is rendered there."""
_LONGEST_URL = 900
"""Characters that stand on one line of a header field."""
_LIST_UNSUBSCRIBE = "list-unsubscribe"


class _Plan(NamedTuple):
    """One message to be rendered: who is in its header, who gets it, and with which values."""

    to: tuple[Mailbox, ...]
    cc: tuple[Mailbox, ...]
    recipients: tuple[MailingRecipient, ...]
    values: Mapping[str, str]
    reference: str
    reply_to: tuple[Mailbox, ...]

    def reference_of(self, message_id: int) -> str:
        """All recipients of a common message have one id: its sender's, else that of the queue."""
        return self.reference or (format_id(message_id) if len(self.recipients) > 1 else "")


class _Letters(NamedTuple):
    """A mailing made ready: what its messages have in common."""

    composer: Composer
    widening: float
    """Octets of a message for each character of its texts."""
    author: Address
    sender: Address
    urls: TrackingUrls
    opens: bool
    clicks: bool
    leaves: bool
    own_way_out: bool
    """Its own header says how to leave."""


class Mailer:
    """One per worker."""

    def __init__(
        self,
        door: Door,
        tracker: Tracker,
        *,
        memory: Memory | None = None,
        workshop: Workshop | None = None,
        patience: float = PATIENCE,
    ) -> None:
        """``memory`` and ``workshop`` are the worker's own."""
        self._door = door
        self.tracker = tracker
        self._memory = memory or Memory(2 * MAX_REQUEST)
        self._workshop = workshop or Workshop()
        self._patience = patience

    async def send_all(self, mailings: Sequence[Mailing]) -> list[list[Mailed]]:
        """Take every message of the mailings of one account, or none; in the order of groups and recipients.

        When it returns they are on stable storage. Raises ``IntakeError`` and ``MimeError``; nothing is kept then.
        """
        turns = Turns()
        letters = [await self._letters(mailing) for mailing in mailings]
        plans: list[list[_Plan]] = []
        octets = 0
        for mailing, each in zip(mailings, letters, strict=True):
            octets += 0 if mailing.shared is None else mailing.shared.content.size
            plans.append([])
            for plan in _plans(mailing):
                await turns.next()
                octets += self._octets(plan, each)
                if octets > min(MAX_REQUEST, self._memory.total):
                    raise RequestTooLarge
                plans[-1].append(plan)
        key = mailings[0].account_id if mailings else 0
        await self._take(key, octets)
        try:
            submissions = await self._render_all(mailings, letters, plans)
            receipts = iter(await self._door.submit_all(submissions))
        finally:
            self._memory.give(key, octets)
        return [[mailed for plan in mine for mailed in _mailed(plan, next(receipts))] for mine in plans]

    async def send_each(
        self, mailing: Mailing, piece: Callable[[Sequence[EkidenError | None]], ExpandedPiece]
    ) -> list[EkidenError | None]:
        """Take every message of the mailing that can be made and may be sent; returns why others were not.

        ``piece`` is told that, too, and makes what is committed with the messages (``Door.submit_each``). What is
        wrong with the texts themselves is wrong with every message. Raises ``Busy`` and ``TemporarilyUnavailable``,
        and what the store does; nothing is kept then.
        """
        plans = list(_plans(mailing))
        errors: list[EkidenError | None] = [None] * len(plans)
        try:
            letters = await self._letters(mailing)
        except TemporarilyUnavailable:
            raise
        except (IntakeError, MimeError) as error:
            errors = [error] * len(plans)
            await self._door.submit_each((), lambda _: piece(errors))
            return errors
        octets = 0 if mailing.shared is None else mailing.shared.content.size
        turns = Turns()
        for at, plan in enumerate(plans):
            await turns.next()
            try:
                octets += self._octets(plan, letters)
            except MessageTooLarge as error:
                errors[at] = error
        octets = min(octets, self._memory.total)
        await self._take(mailing.account_id, octets)
        try:
            submissions: list[Submission] = []
            for at, plan in enumerate(plans):
                await turns.next()
                if errors[at] is None:
                    try:
                        submissions.append(await self._render(mailing, plan, letters))
                    except TemporarilyUnavailable:
                        raise
                    except (IntakeError, MimeError) as error:
                        errors[at] = error

            def concluded(refused: Sequence[EkidenError | None]) -> ExpandedPiece:
                later = iter(refused)
                for at, error in enumerate(errors):
                    if error is None:
                        errors[at] = next(later)
                return piece(errors)

            await self._door.submit_each(submissions, concluded)
            return errors
        finally:
            self._memory.give(mailing.account_id, octets)

    def _octets(self, plan: _Plan, letters: _Letters) -> int:
        """About as many as the message will have. Raises ``MessageTooLarge``."""
        length = letters.composer.length(plan.values)
        if length > self._door.max_size:
            raise MessageTooLarge(length, self._door.max_size)
        return int(length * letters.widening) + _HEADER + _MAILBOX * (len(plan.to) + len(plan.cc))

    async def _take(self, key: int, octets: int) -> None:
        """Before anything is composed: what is made then is in memory until all of it is stored."""
        if self._memory.take(key, octets):
            return
        try:
            async with asyncio.timeout(self._patience):
                await self._memory.wait(key, octets)
        except TimeoutError:
            raise Busy from None

    async def _work(self, key: int, size: int, work: Callable[[], T]) -> T:
        """Done here, or in a thread when it is much. Raises ``Busy`` when its turn does not come."""
        if size <= _LARGE:
            return work()
        try:
            return await self._workshop.run(key, work)
        except TimeoutError:
            raise Busy from None

    async def _render_all(
        self, mailings: Sequence[Mailing], letters: Sequence[_Letters], plans: Sequence[Sequence[_Plan]]
    ) -> list[Submission]:
        submissions: list[Submission] = []
        turns = Turns()
        for mailing, each, mine in zip(mailings, letters, plans, strict=True):
            for plan in mine:
                await turns.next()
                submissions.append(await self._render(mailing, plan, each))
        return submissions

    def new_header_id(self, unique: str) -> str:
        """A Message-ID of this host's, for who tells it before anything is sent."""
        return make_message_id(unique, self._door.hostname)

    async def submit(self, submissions: Sequence[Submission]) -> list[Receipt]:
        """``Door.submit_all``, for messages that come composed."""
        return await self._door.submit_all(submissions)

    def check_header(self, content: bytes) -> None:
        """``Door.check_header``."""
        self._door.check_header(content)

    async def _letters(self, mailing: Mailing) -> _Letters:
        """The mailing compiled, in a thread when that takes long."""
        author = parse_address(mailing.author.address)
        settings = await self.tracker.sending_settings(mailing.account_id, author.domain)
        wish, tracking = mailing.tracking, settings.tracking
        opens = tracking.opens if wish.opens is None else wish.opens
        clicks = tracking.clicks if wish.clicks is None else wish.clicks
        leaves = tracking.unsubscribes if wish.unsubscribe is None else wish.unsubscribe
        compiled = partial(
            Composer,
            mailing.author,
            mailing.subject,
            text=mailing.text,
            html=mailing.html,
            amp=mailing.amp,
            headers=mailing.headers,
            shared=mailing.shared,
            clicks=clicks,
            pixel=wish.pixel if opens else None,
            syntax=mailing.syntax,
            charset=mailing.charset,
        )
        texts = [text for text in (mailing.text, mailing.html, mailing.amp) if text is not None]
        written = sum(map(len, texts))
        fields = [value for _, value in mailing.headers] if mailing.syntax.in_headers else []
        if any(too_many_slots(text, mailing.syntax) for text in (*texts, *fields)):
            raise TooManyPlaceholders
        composer = await self._work(mailing.account_id, written, compiled)
        if composer.links > MAX_LINKS:
            raise TooManyLinks
        return _Letters(
            composer,
            _widening(mailing),
            author,
            mailing.sender or (parse_address(settings.return_path) if settings.return_path else author),
            self.tracker.urls(settings),
            opens,
            clicks,
            leaves or bool(wish.landing_page),
            any(name.lower() == _LIST_UNSUBSCRIBE for name, _ in mailing.headers),
        )

    async def _render(self, mailing: Mailing, plan: _Plan, letters: _Letters) -> Submission:
        wish, urls, composer = mailing.tracking, letters.urls, letters.composer
        message_id = self.tracker.new_id()
        # In a message that several share nobody can be told apart.
        number = 1 if len(plan.recipients) == 1 else 0
        values = plan.values
        headers: tuple[tuple[str, str], ...] = ()
        way_out = ""
        if number and (letters.leaves or UNSUBSCRIBE_NAME in composer.names):
            address = plan.recipients[0].address.text
            way_out = urls.unsubscribe(
                mailing.account_id,
                message_id,
                number,
                letters.author.domain,
                address,
                page=wish.landing_page,
                placeholders=wish.landing_placeholders,
                everywhere=wish.everywhere,
            )
            values = {**values, UNSUBSCRIBE_NAME: way_out}
            if letters.leaves and not letters.own_way_out:
                mailbox = self.tracker.unsubscribe_address(mailing.account_id, message_id, number)
                by_mail = f", <mailto:{mailbox}?subject=unsubscribe>" if mailbox else ""
                headers = (
                    ("List-Unsubscribe", f"<{_foldable(way_out)}>{by_mail}"),
                    ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
                )
        length = composer.length(values)
        composed = partial(
            composer.compose,
            plan.to,
            values,
            cc=plan.cc,
            reply_to=plan.reply_to,
            headers=headers,
            link=_link(urls, mailing.account_id, message_id, number) if letters.clicks else None,
            pixel=urls.open(mailing.account_id, message_id, number) if letters.opens else "",
            untouched=(way_out,) if way_out else (),
        )
        content = await self._work(mailing.account_id, length, composed)
        reference = plan.reference_of(message_id)
        return Submission(
            account_id=mailing.account_id,
            credential_id=mailing.credential_id,
            sender=letters.sender,
            recipients=[Recipient(recipient.address) for recipient in plan.recipients],
            content=content,
            origin=mailing.origin,
            priority=mailing.priority,
            send_at=mailing.send_at,
            expires_after=mailing.expires_after,
            labels=dict(mailing.labels),
            marks=replace(mailing.marks, reference=reference) if reference else mailing.marks,
            routes=mailing.routes,
            message_id=message_id,
            shared=None if mailing.shared is None else mailing.shared.content,
            to_unsubscribed=mailing.to_unsubscribed,
        )


def _foldable(url: str) -> str:
    """With blanks where a very long one may be folded: readers take them out (RFC 2369 §2)."""
    if len(url) <= _LONGEST_URL:
        return url
    return " ".join(url[at : at + _LONGEST_URL] for at in range(0, len(url), _LONGEST_URL))


def _widening(mailing: Mailing) -> float:
    """Octets of UTF-8 for each character, and what an encoding adds to them."""
    texts = [text for text in (mailing.text, mailing.html, mailing.amp) if text]
    if all(text.isascii() for text in texts):
        return 1.1
    longest = max(texts, key=len)
    return 1.4 * len(longest.encode("utf-8", "replace")) / len(longest)


def _link(urls: TrackingUrls, account_id: int, message_id: int, number: int) -> Callable[[str], str]:
    def link(url: str) -> str:
        return urls.click(account_id, message_id, number, url) if trackable(url) else url

    return link


def _plans(mailing: Mailing) -> Iterator[_Plan]:
    for group in mailing.groups:
        if group.together:
            yield _common(mailing, group)
            continue
        for recipient in group.recipients:
            values = {**mailing.defaults, **recipient.placeholders} if recipient.placeholders else mailing.defaults
            to = (recipient.mailbox,)
            yield _Plan(to, (), (recipient,), values, recipient.reference, group.reply_to)


def _common(mailing: Mailing, group: MailingGroup) -> _Plan:
    """The one message of a group; each address is mailed once, as whatever it is named first."""
    seen: dict[str, MailingRecipient] = {}
    for recipient in group.recipients:
        seen.setdefault(recipient.address.text, recipient)
    values = mailing.defaults
    if len(group.to) == 1 and group.to[0].placeholders:
        values = {**values, **group.to[0].placeholders}
    return _Plan(
        tuple(recipient.mailbox for recipient in group.to),
        tuple(recipient.mailbox for recipient in group.cc),
        tuple(seen.values()),
        values,
        group.to[0].reference if group.to else "",
        group.reply_to,
    )


def _mailed(plan: _Plan, receipt: Receipt) -> Iterator[Mailed]:
    reference = plan.reference_of(receipt.message_id)
    for number, recipient in enumerate(plan.recipients, 1):
        told = external_id(receipt.message_id, number, reference)
        yield Mailed(recipient.address.shown, receipt.message_id, number, told)
