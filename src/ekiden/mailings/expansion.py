"""Requests become messages, a piece at a time, by whichever worker has time for it.

A worker owns the pieces that it works on as it owns deliveries: as long as it lives. The messages of a piece and
the mark that says so are one transaction (``Store.accept_all``), so whoever is killed in the middle leaves the
piece to the next one, and nothing is sent twice. Accounts take turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog

from ekiden.access.unavailable import StoreUnavailable
from ekiden.core.address import parse_address
from ekiden.core.clock import MINUTE
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.errors import EkidenError
from ekiden.core.states import Priority
from ekiden.core.submission import BLOCKING, Marks, SharedContent
from ekiden.intake.errors import (
    AccountSuspended,
    CredentialRevoked,
    HeaderTooLarge,
    IntakeError,
    MessageTooLarge,
    QuotaReached,
    RequestTooLarge,
    SenderRefused,
    TemporarilyUnavailable,
    TooManyLinks,
    TooManyPlaceholders,
)
from ekiden.intake.mailing import Mailing, MailingGroup, MailingRecipient, TrackingWish
from ekiden.mailings.advertising import marked, with_way_out
from ekiden.mailings.numbers import PublicId
from ekiden.mailings.queries import (
    Claimed,
    RequestRow,
    claim_pieces,
    claim_resolving,
    conclude,
    due_accounts,
    let_go,
    read_piece,
    read_shared,
    request_row,
)
from ekiden.mailings.resolving import resolve_groups
from ekiden.mailings.values import Content, Failure, Mail, decode_content, decode_mails, encode_failures
from ekiden.mime.attachment_parts import SharedParts
from ekiden.mime.errors import MimeError
from ekiden.mime.mailbox import Mailbox
from ekiden.mime.placeholders import DOLLAR
from ekiden.store.api import Fenced
from ekiden.store.records import ExpandedPiece

if TYPE_CHECKING:
    from ekiden.content.address_book import AddressBooks
    from ekiden.core.clock import Clock
    from ekiden.intake.mailer import Mailer
    from ekiden.store.api import Store

log = structlog.get_logger()

_AT_ONCE: Final = 16
"""Pieces that a worker owns at a time."""
_POLL: Final = 1.0
"""Seconds until it is looked for what others have taken in, or whose time has come."""
_PAUSE: Final = 1.0
"""Seconds after the store, or the door, had no room."""
_SUSPENDED: Final = MINUTE
_MOST_TRIES: Final = 5
"""How often a piece is begun that nobody comes to the end of."""


class Expander:
    """One per worker. ``owner`` tells the worker's registration."""

    def __init__(
        self, store: Store, clock: Clock, mailer: Mailer, books: AddressBooks, owner: Callable[[], int]
    ) -> None:
        self._books = books
        self._store = store
        self._clock = clock
        self._mailer = mailer
        self._owner = owner
        self._woken = asyncio.Event()
        self._last = 0
        self._known: _Known | None = None

    def wake(self) -> None:
        """There is something to be done."""
        self._woken.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            self._woken.clear()
            try:
                busy = await self.work()
            except (StoreUnavailable, TemporarilyUnavailable, TimeoutError) as error:
                log.warning("mail requests wait", why=str(error) or type(error).__name__)
                await asyncio.sleep(_PAUSE)
                continue
            except Exception as error:
                log.exception("mail requests cannot be worked on", why=str(error))
                await asyncio.sleep(_PAUSE)
                continue
            if not busy:
                try:
                    async with asyncio.timeout(_POLL):
                        await self._woken.wait()
                except TimeoutError:
                    pass

    async def work(self) -> bool:
        """Some pieces of the account whose turn it is; false: there was nothing to be done."""
        now = self._clock.now()
        unresolved = await claim_resolving(self._store, self._owner())
        if unresolved is not None:
            await resolve_groups(self._store, self._books, unresolved)
            return True
        accounts = await due_accounts(self._store, now)
        if not accounts:
            return False
        account_id = next((account for account in accounts if account > self._last), accounts[0])
        self._last = account_id
        owner = self._owner()
        claimed = await claim_pieces(self._store, account_id, owner, now, _AT_ONCE)
        try:
            for piece in claimed:
                await self._expand(piece, owner)
        except AccountSuspended:
            await let_go(self._store, account_id, owner, until=self._clock.now() + _SUSPENDED)
        except BaseException:
            await let_go(self._store, account_id, owner)
            raise
        if claimed:
            await conclude(self._store, account_id, sorted({piece.request_id for piece in claimed}))
        return bool(claimed) or len(accounts) > 1

    async def _expand(self, piece: Claimed, owner: int) -> None:
        row = await read_piece(self._store, piece, owner)
        if row is None:
            return
        known = await self._request(piece)
        mails = decode_mails(row.data)

        def done(errors: Sequence[EkidenError | None]) -> ExpandedPiece:
            failed = [_failure(at, error) for at, error in enumerate(errors) if error is not None]
            text = encode_failures(failed).decode() if failed else ""
            return ExpandedPiece(piece.account_id, piece.request_id, piece.number, self._clock.now(), text)

        try:
            await self._mailer.send_each(known.mailing(mails, row.first_number), done)
        except (TemporarilyUnavailable, AccountSuspended, StoreUnavailable, TimeoutError):
            raise
        except Fenced:
            return  # somebody believed that we are gone, and has it now
        except Exception as error:
            if row.tries < _MOST_TRIES:
                raise
            # Whatever it is: it must not keep everything else from being sent.
            log.exception("a piece of a mail request cannot be sent", request=known.public, why=str(error))
            failed = done([_Ours()] * len(mails))
            await self._store.accept_all(owner, (), failed)

    async def _request(self, piece: Claimed) -> _Known:
        known = self._known
        if known is None or known.key != (piece.account_id, piece.request_id):
            self._known = None
            row = await request_row(self._store, piece.account_id, piece.request_id)
            assert row is not None, "a request goes after its pieces"
            content = decode_content(row.content)
            shared = None
            if content.shared:
                stored = await read_shared(self._store, piece.account_id, piece.request_id)
                shared = SharedParts(SharedContent(piece.request_id, stored, stored=True), False, True)
            known = self._known = _Known(row, content, shared)
        return known


class _Ours(EkidenError):
    """A fault of Ekiden's."""


class _Known:
    """A request that is being worked on, read once for all of its pieces that come one after another."""

    def __init__(self, row: RequestRow, content: Content, shared: SharedParts | None) -> None:
        self.key = (row.account_id, row.id)
        self.public = PublicId(row.day, row.number).text
        self._row = row
        self._content = content
        self._shared = shared

    def mailing(self, mails: Sequence[Mail], first: int) -> Mailing:
        """Of a piece whose mails have the numbers from ``first`` on."""
        row, content = self._row, self._content
        named = [(PublicId(row.day, first + at).text, mail) for at, mail in enumerate(mails)]
        groups: tuple[MailingGroup, ...]
        if row.individual:
            groups = (MailingGroup(tuple(_recipient(mail[0], id) for id, mail in named)),)
        else:
            groups = tuple(_group(mail, id) for id, mail in named)
        subject, html = texts_of(row.subject, content, advertising=row.advertising)
        return Mailing(
            account_id=row.account_id,
            credential_id=row.credential_id,
            origin=content.origin,
            author=Mailbox(row.sender_name, row.sender),
            subject=subject,
            groups=groups,
            html=html,
            defaults=content.parameters,
            headers=(("References", content.references),) if content.references else (),
            shared=self._shared,
            priority=Priority(content.priority),
            marks=Marks(bulk=self.public),
            labels={BLOCKING: "1"},
            # Who wants no advertising wants none from any domain of the account.
            tracking=TrackingWish(unsubscribe=True if row.advertising else None, everywhere=True),
            syntax=DOLLAR,
            to_unsubscribed=not row.advertising,
        )


def texts_of(subject: str, content: Content, *, advertising: bool) -> tuple[str, str]:
    """Title and HTML as they are filled for each recipient."""
    if not advertising:
        return subject, content.html
    return marked(subject), with_way_out(content.html, content.unsubscribe)


def _recipient(person: Any, reference: str = "") -> MailingRecipient:
    return MailingRecipient(parse_address(person.address), person.name, person.values, reference)


def _group(mail: Mail, reference: str) -> MailingGroup:
    to, cc, bcc = (
        tuple(_recipient(person, reference if kind == "R" else "") for person in mail if person.kind == kind)
        for kind in "RCB"
    )
    return MailingGroup(to, cc, bcc, together=True)


_DIAGNOSES: Final[tuple[tuple[tuple[type[EkidenError], ...], Diagnosis], ...]] = (
    ((MessageTooLarge, RequestTooLarge), Diagnosis.TOO_BIG),
    ((MimeError, HeaderTooLarge, TooManyLinks, TooManyPlaceholders), Diagnosis.MALFORMED),
    ((SenderRefused, CredentialRevoked), Diagnosis.SENDER_REFUSED),
    ((QuotaReached,), Diagnosis.RATE_DOMAIN),
    ((IntakeError,), Diagnosis.POLICY),
)


def _failure(at: int, error: EkidenError) -> Failure:
    diagnosis = next((told for kinds, told in _DIAGNOSES if isinstance(error, kinds)), Diagnosis.OURS)
    return Failure(at, int(diagnosis), str(error)[:500])
