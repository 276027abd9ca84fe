"""Requests to mail many: received a piece at a time, and taken as a whole or not at all.

Pieces are written as they fill, some in a transaction of their own, so that others commit in between. They are
nobody's to see until the last transaction, a small one, has said that the request is there: whoever is killed
before leaves nothing but rows that retention removes. A small request is one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ekiden.content.errors import ContentError
from ekiden.core.address import BadAddress, parse_address
from ekiden.core.clock import Millis
from ekiden.intake.sender_rights import Refused
from ekiden.mailings.advertising import grown
from ekiden.mailings.numbers import PublicId, day_of
from ekiden.mailings.queries import (
    change_request,
    insert_pieces,
    insert_request,
    insert_shared,
    remove_staged,
    take_numbers,
)
from ekiden.mailings.values import (
    MAX_AHEAD,
    MAX_FILES,
    MAX_PEOPLE,
    MAX_TOGETHER,
    Accepted,
    AttachedFile,
    Content,
    Mail,
    MailingError,
    NewRequest,
    NoSuchFile,
    Person,
    RequestState,
    encode_content,
    encode_mails,
)
from ekiden.mime.attachment_parts import SharedBuilder, SharedParts
from ekiden.mime.placeholders import DOLLAR, MAX_SLOTS, Text, too_many_slots

if TYPE_CHECKING:
    from ekiden.access.directory import Directory
    from ekiden.content.address_book import AddressBooks
    from ekiden.content.uploads import Uploads
    from ekiden.core.clock import Clock
    from ekiden.intake.mailer import Mailer
    from ekiden.intake.sender_rights import Gate
    from ekiden.store.api import Connection, Store

MAILS_OF_A_PIECE: Final = 200
LENGTH_OF_A_PIECE: Final = 4_000_000
"""Characters that the mails of a piece have together, once they are filled: all are in memory when it is sent."""
_AT_ONCE: Final = 5
"""Pieces that are written in one transaction."""
_PATIENCE: Final = 5.0
"""Seconds that a request waits for what is just being added to the groups that it names."""
_LENGTH_AT_ONCE: Final = 2_000_000
"""Characters of people that are written in one transaction."""


class MailRequests:
    """One per worker. ``wake`` is called when there is something to be done at once."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        mailer: Mailer,
        gate: Gate,
        directory: Directory,
        uploads: Uploads,
        books: AddressBooks,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._mailer = mailer
        self._gate = gate
        self._directory = directory
        self._uploads = uploads
        self._books = books
        self._wake = wake

    async def begin(self, new: NewRequest) -> Draft:
        """A request whose texts and options are good, without people. Raises ``MailingError``, and ``ContentError``
        for groups that there are not.

        To be used as a context: what is not committed in it leaves nothing.
        """
        now = self._clock.now()
        if new.reserved_at is not None and not now < new.reserved_at <= now + MAX_AHEAD:
            raise MailingError("a time to send at is within the next {days} days", "reserved_at", days=30)
        if new.advertising and not new.individual:
            raise MailingError("advertising goes to each recipient in a mail of their own", "advertising")
        for field, text in (("subject", new.subject), ("html", new.html), ("unsubscribe", new.unsubscribe)):
            if too_many_slots(text, DOLLAR):
                raise MailingError("a text has too many placeholders", field)
        if new.advertising and grown(new.html, new.unsubscribe).placeholders > MAX_SLOTS:
            raise MailingError("a text has too many placeholders", "html")
        await self._check_sender(new)
        expected = 0
        if new.groups is not None:
            await self._books.settle(new.account_id, _PATIENCE)
            expected = await self._books.count(new.account_id, new.groups.names, all_of=new.groups.all)
        draft = Draft(self._store, self._mailer.tracker.new_id(), new, now, expected, self._wake)
        try:
            await draft.attach(self._uploads)
        except BaseException:
            await draft.discard()
            raise
        return draft

    async def _check_sender(self, new: NewRequest) -> None:
        try:
            author = parse_address(new.sender)
        except BadAddress as error:
            raise MailingError("the sender address cannot be used: {why}", "sender", why=error) from None
        account = await self._directory.account(new.account_id)
        if account is None:
            raise MailingError("this account is suspended", "sender")
        settings = await self._mailer.tracker.sending_settings(new.account_id, author.domain)
        envelope = parse_address(settings.return_path).domain if settings.return_path else author.domain
        allowed = await self._gate.message(account, new.credential_id, envelope, (author.domain,))
        if isinstance(allowed, Refused):
            raise MailingError("the sender address cannot be used: {why}", "sender", why=allowed.reply.text)


class Draft:
    """A request that is being received."""

    def __init__(
        self,
        store: Store,
        request_id: int,
        new: NewRequest,
        now: Millis,
        expected: int,
        wake: Callable[[], None],
    ) -> None:
        """``expected``: people of its groups, as far as is known."""
        self._store = store
        self._new = new
        self._now = now
        self._expected = expected
        self._unplaced: tuple[Person, ...] = ()
        self._wake = wake
        self._id = request_id
        self._number = 0
        self._files: tuple[AttachedFile, ...] = ()
        self._shared = False
        self.pieces = Pieces(new.individual, new.subject, new.html, new.parameters)
        self._people = 0
        self._committed = False

    async def __aenter__(self) -> Draft:
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._committed:
            await self.discard()

    async def attach(self, uploads: Uploads) -> None:
        """Make the files of the request what its messages share. Raises ``MailingError``."""
        if not self._new.files:
            return
        found = []
        for uid in dict.fromkeys(self._new.files):
            try:
                found.append(await uploads.open(self._new.account_id, uid))
            except ContentError:
                raise NoSuchFile(uid) from None
        if sum(upload.size for upload in found) > MAX_FILES:
            raise MailingError("the files have at most {most} octets together", "files", most=MAX_FILES)
        builder = SharedBuilder(self._id)
        for upload in found:
            writer = builder.begin(upload.name, upload.media_type)
            async for chunk in uploads.pieces(upload):
                writer.write(chunk)
            writer.end()
        self._files = tuple(AttachedFile(upload.uid, upload.name, upload.size) for upload in found)
        shared: SharedParts | None = builder.build()
        if shared is not None:
            await self._stage([])
            for number, data in enumerate(shared.content.pieces):
                async with self._store.write() as connection:
                    await insert_shared(connection, self._new.account_id, self._id, number, data)
            self._shared = True

    async def add(self, people: Sequence[Person]) -> None:
        """More people, whose addresses are good. Raises ``MailingError`` when they are too many."""
        self._people += len(people)
        if self._people > MAX_PEOPLE:
            raise MailingError("a request names at most {most} recipients", "people", most=MAX_PEOPLE)
        self.pieces.add(people)
        if self.pieces.full:
            await self._stage(self.pieces.take())

    async def commit(self) -> Accepted:
        """The request is there once this returns. Raises ``MailingError``."""
        new, pieces = self._new, self.pieces
        if new.groups is not None:
            self._unplaced = pieces.take_unplaced()
        rest = pieces.take(everything=True)
        if not pieces.mails and new.groups is None:
            raise MailingError("there is no recipient", "people")
        state = RequestState.HELD if new.hold else RequestState.DUE
        people = pieces.people - len(self._unplaced)
        totals = {"mails": pieces.mails, "recipients": people, "pieces": pieces.count}
        async with self._store.write() as connection:
            if self._number:
                await self._insert_pieces(connection, rest)
                values = {**totals, "state": int(state), "content": self._content()}
                staging = (RequestState.STAGING,)
                if not await change_request(connection, new.account_id, self._id, staging, **values):
                    raise MailingError("the request took too long to come")
            else:
                self._number = await take_numbers(connection, new.account_id, 1)
                await insert_request(connection, {**self._values(state), **totals})
                await self._insert_pieces(connection, rest)
        self._committed = True
        self._wake()
        return Accepted(PublicId(day_of(self._now), self._number).text, pieces.mails + self._more_mails())

    def _more_mails(self) -> int:
        """Of people of its groups, and of those whose mail waits for them."""
        if self._new.individual:
            return self._expected
        shares = self._expected + sum(person.kind == "R" for person in self._unplaced)
        return -(-shares // MAX_TOGETHER) or len(alone(self._unplaced))

    async def discard(self) -> None:
        """It is not going to be one."""
        if self._number:
            await remove_staged(self._store, self._new.account_id, self._id)

    async def _stage(self, pieces: Sequence[Piece]) -> None:
        async with self._store.write() as connection:
            if not self._number:
                self._number = await take_numbers(connection, self._new.account_id, 1)
                await insert_request(connection, self._values(RequestState.STAGING))
            await self._insert_pieces(connection, pieces)

    async def _insert_pieces(self, connection: Connection, pieces: Sequence[Piece]) -> None:
        await write_pieces(connection, self._new.account_id, self._id, pieces)

    def _values(self, state: RequestState) -> dict[str, Any]:
        new, now = self._new, self._now
        template_id, template_name = new.template or (None, "")
        return {
            "account_id": new.account_id,
            "id": self._id,
            "day": day_of(now),
            "number": self._number,
            "state": int(state),
            "via": new.via,
            "credential_id": new.credential_id,
            "created_at": now,
            "due_at": now if new.reserved_at is None else new.reserved_at,
            "reserved_at": new.reserved_at,
            "resolving": int(new.groups is not None),
            "mails": 0,
            "recipients": 0,
            "pieces": 0,
            "status": 0,
            "counts": "",
            "individual": new.individual,
            "advertising": new.advertising,
            "decided_by": "",
            "template_id": template_id,
            "template_name": template_name,
            "sender": new.sender,
            "sender_name": new.sender_name,
            "subject": new.subject,
            "content": self._content(),
        }

    def _content(self) -> str:
        new = self._new
        content = Content(
            html=new.html,
            parameters=dict(new.parameters),
            unsubscribe=new.unsubscribe,
            references=new.references,
            files=self._files,
            groups=new.groups,
            unplaced=self._unplaced,
            priority=new.priority,
            origin=new.origin,
            shared=self._shared,
        )
        return encode_content(content).decode()


class Piece:
    """Mails that become messages together."""

    __slots__ = ("length", "mails", "number", "people", "written")

    def __init__(self, number: int) -> None:
        self.number = number
        self.mails: list[Mail] = []
        self.people = 0
        self.length = 0
        self.written = b""

    def close(self) -> Piece:
        """It gets nothing more: as octets it takes less."""
        self.written = encode_mails(self.mails)
        return self


class Pieces:
    """People as they come, put into mails and these into pieces, from the ``number``-th on."""

    def __init__(self, individual: bool, subject: str, html: str, parameters: Any, number: int = 0) -> None:
        self._individual = individual
        self._texts = (Text(subject, DOLLAR), Text(html, DOLLAR))
        self._parameters = parameters
        self._plain = sum(text.length(parameters) for text in self._texts)
        self._names = self._texts[0].names | self._texts[1].names
        self._closed: list[Piece] = []
        self._open = Piece(number)
        self._together: dict[str, list[Person]] = {"R": [], "C": [], "B": []}
        self._length = 0
        self.mails = 0
        self.people = 0
        self.count = 0

    @property
    def full(self) -> bool:
        """Whether it is time to write."""
        return len(self._closed) >= _AT_ONCE or self._length > _LENGTH_AT_ONCE

    def add(self, people: Sequence[Person]) -> None:
        """More of them. Raises ``MailingError``."""
        self.people += len(people)
        if self._individual:
            for person in people:
                self._add((person,), self._length_for(person))
            return
        for person in people:
            self._together[person.kind].append(person)
        for kind in ("C", "B"):
            if len(self._together[kind]) > MAX_TOGETHER:
                raise MailingError("a mail that several get has at most {most} copies", "people", most=MAX_TOGETHER)
        # The last ones wait for the copies, so there is always somebody who may have them.
        while len(self._together["R"]) > MAX_TOGETHER:
            self._add_together(())

    def take_unplaced(self) -> tuple[Person, ...]:
        """Those that no mail has yet: at most as many of each kind as one may have."""
        unplaced = tuple(person for kind in self._together.values() for person in kind)
        self._together = {"R": [], "C": [], "B": []}
        return unplaced

    def place_lone_copies(self) -> None:
        """When there is nobody besides the copies, they get mails of their own (``alone``)."""
        if not self._together["R"]:
            for mail in alone(self.take_unplaced()):
                self._add(mail, self._length_for(mail[0]))

    def take(self, *, everything: bool = False) -> list[Piece]:
        """Those that are complete; the last one as well, when ``everything`` has come."""
        if everything:
            copies = (*self._together["C"], *self._together["B"])
            if copies and not self._together["R"]:
                raise MailingError("a mail that several get has a recipient besides the copies", "people")
            if self._together["R"]:
                self._add_together(copies)
            self._together = {"R": [], "C": [], "B": []}
            if self._open.mails:
                self._close()
        taken, self._closed = self._closed, []
        self._length = 0
        return taken

    def _add_together(self, copies: Mail) -> None:
        """The next mail of several. The last one has the copies: nobody gets two."""
        to = self._together["R"][:MAX_TOGETHER]
        del self._together["R"][:MAX_TOGETHER]
        self._add((*to, *copies), self._plain)

    def _length_for(self, person: Person) -> int:
        values = person.values
        if not values or not any(name in self._names for name in values):
            return self._plain
        return sum(text.length({**self._parameters, **values}) for text in self._texts)

    def _add(self, mail: Mail, length: int) -> None:
        piece = self._open
        if piece.mails and piece.length + length > LENGTH_OF_A_PIECE:
            self._close()
            piece = self._open
        piece.mails.append(mail)
        piece.people += len(mail)
        piece.length += length
        self.mails += 1
        if len(piece.mails) >= MAILS_OF_A_PIECE:
            self._close()

    def _close(self) -> None:
        piece = self._open.close()
        self._length += len(piece.written)
        self._closed.append(piece)
        self.count += 1
        self._open = Piece(piece.number + 1)


def alone(copies: Sequence[Person]) -> list[Mail]:
    """The mails of copies when nobody is ``R``: those of type ``C`` share one, the hidden have one each."""
    seen = tuple(_as_recipient(person) for person in copies if person.kind == "C")
    hidden = [(_as_recipient(person),) for person in copies if person.kind == "B"]
    return [seen, *hidden] if seen else list(hidden)


def _as_recipient(person: Person) -> Person:
    return Person(person.address, person.name, "R", person.values)


async def write_pieces(connection: Connection, account_id: int, request_id: int, pieces: Sequence[Piece]) -> None:
    """Insert them, each mail with a number of its own."""
    if not pieces:
        return
    number = await take_numbers(connection, account_id, sum(len(piece.mails) for piece in pieces))
    rows = []
    for piece in pieces:
        rows.append({
            "account_id": account_id,
            "request_id": request_id,
            "number": piece.number,
            "first_number": number,
            "mails": len(piece.mails),
            "recipients": piece.people,
            "state": 0,
            "tries": 0,
            "failed": "",
            "counts": "",
            "data": piece.written,
        })  # fmt: skip
        number += len(piece.mails)
    await insert_pieces(connection, rows)
