"""Requests to mail many as they are shown: lists, counts, mails, and one mail with all that became of it.

The text of a mail is made again of the request and its recipient's own words: contents go when they have been
delivered.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec

from ekiden.core.address import spellings
from ekiden.core.clock import Millis
from ekiden.core.diagnosis import BY_NUMBER, Diagnosis
from ekiden.core.ids import EPOCH, NODE_BITS, SEQUENCE_BITS
from ekiden.core.said import recognised
from ekiden.core.states import State
from ekiden.limits.loop_slices import Turns
from ekiden.mailings.counting import Counting, Standing, status_of
from ekiden.mailings.counting_queries import PieceRow, list_pieces, newest_under_way
from ekiden.mailings.expansion import texts_of
from ekiden.mailings.numbers import PublicId, parse_public_id
from ekiden.mailings.queries import RequestRow, find_request, get_request, request_row
from ekiden.mailings.reading_queries import (
    find_piece,
    first_opens,
    last_replies,
    list_requests,
    mails_by_recipient,
    messages_by_reference,
    pieces_of_requests,
    pieces_with,
    request_conditions,
    request_order,
    requests_by_recipient,
    said_by,
)
from ekiden.mailings.shelf import LONGEST_BODY, FoundMail, Shelf, counted_row, filled, places_of, values_for
from ekiden.mailings.values import (
    AttachedFile,
    Content,
    Failure,
    MailStatus,
    NoSuchRequest,
    Person,
    decode_content,
    decode_mails,
)
from ekiden.mime.placeholders import DOLLAR, Text

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.store.api import Store

RequestOrder = Literal["created", "recipients", "reserved", "sent", "status"]
MailOrder = Literal["id", "status"]
_PIECES_AT_ONCE: Final = 200
_OCTETS_AT_ONCE: Final = 4_194_304
"""Of pieces that are read together, unless one is larger."""
_UNDER_WAY: Final = 2_000
"""Requests of which some mails have been made, and not all have ended, that are counted for a list by status: the
newest ones. Those that wait as a whole are not among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFilter:
    """What holds for the requests of a list; ``None`` and empty: anything. Times are of creation, and included."""

    since: Millis
    until: Millis
    id: str = ""
    mail: str = ""
    via: str = ""
    title: str = ""
    template_id: int | None = None
    sender: str = ""
    recipient: str = ""
    statuses: frozenset[MailStatus] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class MailFilter:
    """As ``RequestFilter``, for the mails of a request."""

    mail: str = ""
    recipient: str = ""
    title: str = ""
    statuses: frozenset[MailStatus] = frozenset()


@dataclass(frozen=True, slots=True)
class Request:
    """A request in a list. ``sent_at``: when its first mails were made ready to be sent."""

    id: str
    created_at: Millis
    status: MailStatus
    template_id: int | None
    template_name: str
    sender: str
    sender_name: str
    via: str
    sent_at: Millis | None
    reserved_at: Millis | None
    mails: int
    recipients: int
    advertising: bool
    subject: str


@dataclass(frozen=True, slots=True)
class RequestStatus:
    """Where a request stands."""

    request: Request
    standing: Standing


@dataclass(frozen=True, slots=True)
class Reader:
    """A recipient of a mail, and what became of it. ``suppressed``: the kind of the suppression that it was dropped
    for. ``reply``: what was said last, by the recipient's server or by us; empty: nothing yet."""

    person: Person
    status: MailStatus
    diagnosis: Diagnosis
    suppressed: str
    final: bool
    attempts: int
    reply: str
    opened_at: Millis | None


@dataclass(frozen=True, slots=True)
class ShownMail:
    """One mail with everything. ``client``: who has asked for it, an IP address."""

    request: Request
    mail: FoundMail
    html: str
    references: str
    files: tuple[AttachedFile, ...]
    readers: tuple[Reader, ...]
    client: str


class RequestPage(NamedTuple):
    """``total`` is how many there are in all."""

    total: int
    requests: tuple[Request, ...]


class MailPage(NamedTuple):
    """Mails of one request."""

    total: int
    request: Request
    mails: tuple[FoundMail, ...]


class MailReading:
    """One per worker."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self.counting = Counting(store, clock)

    # --- requests -----------------------------------------------------------------------------------------------

    async def requests(
        self,
        account_id: int,
        wanted: RequestFilter,
        order: Sequence[tuple[RequestOrder, bool]] = (("created", True),),
        offset: int = 0,
        limit: int = 10,
    ) -> RequestPage:
        """A page of them. ``order``: what first, and whether from the largest down."""
        ids: set[int] | None = None
        for text, mail in ((wanted.id, False), (wanted.mail, True)):
            if text:
                found = await self._numbered(account_id, text, mail=mail)
                ids = found if ids is None else ids & found
        conditions = request_conditions(
            account_id,
            first=_first_id(wanted.since),
            last=_first_id(wanted.until + 1) - 1,
            ids=ids,
            via=wanted.via,
            title=wanted.title,
            template_id=wanted.template_id,
            sender=wanted.sender,
        )
        if wanted.recipient:
            names = spellings(wanted.recipient)
            numbers = await requests_by_recipient(self._store, account_id, names)
            waiting = await self._requests_not_sent_to(account_id, wanted.recipient)
            conditions = request_conditions(account_id, base=conditions, numbers=numbers, or_ids=waiting)
        standings: dict[int, Standing] = {}
        if wanted.statuses or any(name == "status" for name, _ in order):
            for row in await newest_under_way(self._store, account_id, _UNDER_WAY):
                standings[row.id] = await self.counting.standing(row)
        if wanted.statuses:
            open_ids = {id for id, standing in standings.items() if standing.status in wanted.statuses}
            conditions = request_conditions(
                account_id, base=conditions, statuses=wanted.statuses, open_ids=open_ids
            )
        by = request_order(order, {id: standing.status for id, standing in standings.items()})
        total, rows = await list_requests(self._store, conditions, by, offset, limit)
        shown = []
        for row in rows:
            standing = standings.get(row.id) or await self.counting.standing(row)
            shown.append(_request(row, standing.status))
        return RequestPage(total, tuple(shown))

    async def _numbered(self, account_id: int, text: str, *, mail: bool) -> set[int]:
        """The ids of the request that is called so, or that has the mail; at most one."""
        if mail:
            public = parse_public_id(text)
            piece = None if public is None else await find_piece(self._store, account_id, public.number)
            row = None if piece is None else await request_row(self._store, account_id, piece.request_id)
            if public is None or row is None or row.day != public.day:
                return set()
        else:
            row = await find_request(self._store, account_id, text)
        return set() if row is None else {row.id}

    async def _requests_not_sent_to(self, account_id: int, recipient: str) -> set[int]:
        """Ids of requests with mails to the address that are no messages (yet)."""
        names = spellings(recipient)
        found: set[int] = set()
        turns = Turns()
        for keys in _batches(await self._unsent(account_id, recipient)):
            wanted = [key for key in keys if key[0] not in found]
            for request_id, data in await pieces_of_requests(self._store, account_id, wanted):
                await turns.next()
                if request_id not in found and places_of(decode_mails(data), names):
                    found.add(request_id)
        return found

    async def status(self, account_id: int, id: str) -> RequestStatus:
        """Raises ``NoSuchRequest``."""
        row = await get_request(self._store, account_id, id)
        standing = await self.counting.standing(row)
        return RequestStatus(_request(row, standing.status), standing)

    # --- mails --------------------------------------------------------------------------------------------------

    async def mails(
        self,
        account_id: int,
        id: str,
        wanted: MailFilter,
        order: Sequence[tuple[MailOrder, bool]] = (("id", False),),
        offset: int = 0,
        limit: int = 10,
    ) -> MailPage:
        """A page of those of a request. As ``requests``; raises ``NoSuchRequest``."""
        row = await get_request(self._store, account_id, id)
        standing = await self.counting.standing(row)
        tally = await self.counting.tally(row)
        pieces = [] if tally is not None else await list_pieces(self._store, account_id, row.id)
        shelf = Shelf(self._store, row, pieces, tally)
        down = next((down for name, down in order if name == "id"), False)
        by_status = next((down for name, down in order if name == "status"), None)
        numbers = await self._chosen(row, wanted, shelf)
        if numbers is not None:
            if wanted.statuses or by_status is not None:
                known = await shelf.statuses(numbers)
                numbers = [number for number in numbers if not wanted.statuses or known[number] in wanted.statuses]
                numbers.sort(reverse=down)
                if by_status is not None:
                    numbers.sort(key=lambda number: known[number], reverse=by_status)
            else:
                numbers.sort(reverse=down)
            total = len(numbers)
            numbers = numbers[offset : offset + limit]
        else:
            total, numbers = await _walk(standing, wanted, shelf, down, by_status, offset, limit)
        request = _request(row, standing.status)
        content = decode_content(row.content)
        return MailPage(total, request, tuple(await shelf.mails(content, numbers)))

    async def _chosen(self, row: RequestRow, wanted: MailFilter, shelf: Shelf) -> list[int] | None:
        """Numbers of the mails that the filter names, but for their status, in order; ``None``: it names all."""
        chosen: set[int] | None = None
        if wanted.mail:
            public = parse_public_id(wanted.mail)
            of_it = {public.number} if public is not None and public.day == row.day else set()
            chosen = {number for number in of_it if shelf.holds(number)}
        if wanted.recipient:
            names = spellings(wanted.recipient)
            request = PublicId(row.day, row.number).text
            of_it = set(_numbers(await mails_by_recipient(self._store, row.account_id, request, names)))
            for piece in await self._unsent(row.account_id, wanted.recipient, row.id):
                of_it.update(await shelf.with_address(piece.number, names))
            chosen = of_it if chosen is None else chosen & of_it
        if not wanted.title:
            return None if chosen is None else sorted(chosen)
        subject, _ = texts_of(row.subject, Content(""), advertising=row.advertising)
        if not Text(subject, DOLLAR).names:
            if wanted.title.lower() not in subject.lower():
                return []
            return None if chosen is None else sorted(chosen)
        titled = await shelf.with_title(decode_content(row.content), wanted.title, chosen)
        return sorted(titled)

    async def _unsent(self, account_id: int, recipient: str, request_id: int | None = None) -> Sequence[Any]:
        """Pieces in which the address stands, of mails that are no messages (yet)."""
        needle = msgspec.json.encode(recipient)
        return await pieces_with(self._store, account_id, needle, request_id)

    async def mail(self, account_id: int, id: str) -> ShownMail:
        """One of them with all that became of it. Raises ``NoSuchRequest``."""
        public = parse_public_id(id)
        piece = None if public is None else await find_piece(self._store, account_id, public.number)
        row = None if piece is None else await request_row(self._store, account_id, piece.request_id)
        if public is None or piece is None or row is None or row.day != public.day or not row.state:
            raise NoSuchRequest(id)
        standing = await self.counting.standing(row)
        content = decode_content(row.content)
        shelf = Shelf(self._store, row, [PieceRow(*(getattr(piece, name) for name in PieceRow._fields))])
        request = _request(row, standing.status)
        (listed,) = await shelf.mails(content, [public.number])
        failure = await shelf.failure(public.number)
        found = await messages_by_reference(self._store, account_id, request.id, [id])
        replies: dict[int, str] = {}
        opens: dict[int, Millis] = {}
        if found:
            replies = await last_replies(self._store, account_id, found[0].id)
            opens = await first_opens(self._store, account_id, found[0].id)
        by_address = {delivery.recipient: delivery for delivery in found}
        readers = []
        for person in listed.people:
            name = next((name for name in spellings(person.address) if name in by_address), "")
            readers.append(_reader(person, listed.status, by_address.get(name), replies, opens, failure))
        _, html = texts_of(row.subject, content, advertising=row.advertising)
        values = values_for(content, listed.people, individual=row.individual)
        body = filled(Text(html, DOLLAR), values, LONGEST_BODY)
        return ShownMail(
            request, listed, body, content.references, content.files, tuple(readers), content.origin.client
        )


async def _walk(
    standing: Standing,
    wanted: MailFilter,
    shelf: Shelf,
    down: bool,
    by_status: bool | None,
    offset: int,
    limit: int,
) -> tuple[int, list[int]]:
    """A page of the numbers, past the pieces that are before it without looking into them."""
    segments: list[frozenset[MailStatus]]
    if by_status is None:
        segments = [wanted.statuses]
    else:
        every = sorted(wanted.statuses or MailStatus, reverse=by_status)
        segments = [frozenset({status}) for status in every]
    total = 0
    found: list[int] = []
    for statuses in segments:
        here = sum(standing.counts.get(status, 0) for status in statuses) if statuses else shelf.count
        if total + here > offset and len(found) < limit and here:
            skip = max(0, offset - total)
            found += await shelf.walk(statuses, down, skip, limit - len(found))
        total += here
    return total, found


def _batches(pieces: Iterable[Any]) -> Iterator[list[tuple[int, int]]]:
    """Their keys, so many that their mails may be in memory together."""
    batch: list[tuple[int, int]] = []
    octets = 0
    for piece in pieces:
        if batch and (len(batch) >= _PIECES_AT_ONCE or octets + piece.size > _OCTETS_AT_ONCE):
            yield batch
            batch, octets = [], 0
        batch.append((piece.request_id, piece.number))
        octets += piece.size
    if batch:
        yield batch


def _numbers(references: Iterable[str]) -> array[int]:
    return array("q", (int(reference[-12:]) for reference in references if reference[-12:].isdecimal()))


def _first_id(at: Millis) -> int:
    """The smallest id made at or after ``at``; what is out of reach is at the edge."""
    return min(max(0, at - EPOCH), (1 << 41) - 1) << (NODE_BITS + SEQUENCE_BITS)


def _request(row: RequestRow, status: MailStatus) -> Request:
    return Request(
        PublicId(row.day, row.number).text,
        row.created_at,
        status,
        row.template_id,
        row.template_name,
        row.sender,
        row.sender_name,
        row.via,
        row.begun_at,
        row.reserved_at,
        row.mails,
        row.recipients,
        row.advertising,
        row.subject,
    )


def _reader(
    person: Person,
    status: MailStatus,
    row: Any | None,
    replies: dict[int, str],
    opens: dict[int, Millis],
    failure: Failure | None,
) -> Reader:
    if row is None:
        told, reply = (failure.told, failure.why) if failure is not None else (Diagnosis.NONE, "")
        return Reader(person, status, told, "", status.final, 0, reply, None)
    said = recognised(row.said)
    suppressed = ""
    if row.state == State.DROPPED and said is not None and said.code == "suppressed":
        suppressed = str(said.facts.get("kind", ""))
    own = status_of([counted_row(row)])
    reply = replies.get(row.number, "")
    if not reply and (own.final or row.attempts):
        reply = said_by(row.code, row.enhanced, row.reason)
    diagnosis = BY_NUMBER.get(row.diagnosis, Diagnosis.UNKNOWN)
    opened = opens.get(row.number)
    return Reader(person, own, diagnosis, suppressed, own.final, row.attempts, reply, opened)
