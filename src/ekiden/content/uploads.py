"""Files that an account uploads once and then names in its messages, and the attachments of its templates.

A file is written as it comes, a piece at a time and each in a transaction of its own: nothing waits for the client
while it may write, and no file is ever in memory as a whole. Until it is complete it has a name that no client can
ask for. What is superseded or removed has expired at once; those that have begun to read it come to its end, since
retention leaves it for an hour (``store.retention.READING``).
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Row, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.content.errors import BadField, NoSuchContent, TooMuchContent, check_line
from ekiden.core.clock import DAY, MINUTE, Millis
from ekiden.networks.zones import lock_account
from ekiden.store.api import StoreUnavailable
from ekiden.store.row_values import value_of
from ekiden.store.tables import BATCH_SQL, upload_piece
from ekiden.store.tables import upload as table

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.store.api import Store

MAX_FILE: Final = 25 * 1024 * 1024
"""Octets of one file, as the strictest dialect has it."""
MAX_STORED: Final = 4 * 1024 * 1024 * 1024
"""Octets of all files of an account, templates' attachments among them; the contract has no number."""
MIN_VALIDITY: Final[Millis] = 1_440 * MINUTE
MAX_VALIDITY: Final[Millis] = 10_080 * MINUTE
"""Both of contract §2.5."""
PIECE: Final = 1024 * 1024
"""Octets of a row, and so of a transaction."""
MAX_UID: Final = 200
MAX_NAME: Final = 255

_UNFINISHED: Final[Millis] = DAY
_TOKEN = r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+"  # noqa: S105 (RFC 2045 §5.1, not a secret)
_MEDIA_TYPE: Final = re.compile(
    rf'{_TOKEN}/{_TOKEN}(?:[ \t]*;[ \t]*{_TOKEN}=(?:{_TOKEN}|"[\x20\x21\x23-\x5b\x5d-\x7e]*"))*'
)


@dataclass(frozen=True, slots=True)
class Upload:
    """A complete file. ``uid`` is what the client calls it; ``expires_at`` is ``None`` for a template's."""

    id: int
    account_id: int
    uid: str
    template_id: int | None
    name: str
    media_type: str
    size: int
    created_at: Millis
    expires_at: Millis | None
    batch: str = ""
    """What the client calls those of one request; empty: it came alone."""


@dataclass(frozen=True, slots=True)
class Received:
    """A file that is here, but that nobody else can see yet: see ``Uploads.publish`` and ``Templates``."""

    id: int
    account_id: int
    size: int


class Uploads:
    """One per process."""

    def __init__(self, store: Store, clock: Clock, *, largest: int = MAX_FILE, room: int = MAX_STORED) -> None:
        """``largest``: octets of a file; ``room``: of all files of an account."""
        self._store = store
        self._clock = clock
        self._largest = largest
        self._room = room

    # --- writing --------------------------------------------------------------------------------------------

    async def store(
        self,
        account_id: int,
        uid: str | None,
        name: str,
        media_type: str,
        validity: Millis | None,
        chunks: AsyncIterable[bytes],
    ) -> Upload:
        """Keep a file for ``validity`` (a week when it is ``None``). Raises ``BadField``, ``TooMuchContent``.

        ``uid`` ``None``: one is made. A file of the same uid is replaced as soon as this one is complete: a client
        that repeats a request whose answer was lost must not be refused.
        """
        uid = uuid.uuid4().hex.upper() if uid is None else _check_uid(uid)
        validity = MAX_VALIDITY if validity is None else validity
        if not MIN_VALIDITY <= validity <= MAX_VALIDITY:
            bounds = {"shortest": MIN_VALIDITY // MINUTE, "longest": MAX_VALIDITY // MINUTE}
            raise BadField("validity", "{field} is {shortest} to {longest} minutes", **bounds)
        received = await self.receive(account_id, name, media_type, chunks)
        now = self._clock.now()
        async with self._store.write() as connection:
            await lock_account(connection, account_id)
            named = table.c.account_id == account_id, table.c.uid == uid
            if (
                await connection.execute(select(table.c.id).where(*named, table.c.template_id.is_not(None)))
            ).first():
                raise BadField("uid", "{field} is that of an attachment of a template")
            await self.expire(connection, *named)
            return await self.publish(connection, received, uid=uid, expires_at=now + validity)

    async def keep_batch(self, batch: str, received: Mapping[str, Received], validity: Millis) -> list[Upload]:
        """Make files that came with one request visible together for ``validity``; ``received``: by their uids."""
        now = self._clock.now()
        async with self._store.write() as connection:
            return [
                await self.publish(connection, item, uid=uid, expires_at=now + validity, batch=batch)
                for uid, item in received.items()
            ]

    async def expire_batch(self, account_id: int, batch: str) -> list[Upload]:
        """Take the files of one request away; returns what they were. Raises ``NoSuchContent``."""
        found = await self.of_batch(account_id, batch)
        async with self._store.write() as connection:
            await self.expire(connection, table.c.id.in_([upload.id for upload in found]))
        return found

    async def receive(
        self,
        account_id: int,
        name: str,
        media_type: str,
        chunks: AsyncIterable[bytes],
        *,
        largest: int | None = None,
    ) -> Received:
        """Write a file as it comes; nothing of it stays when it does not come to its end.

        ``largest``: octets that it may have; ``None``: as any file. Raises ``BadField``, ``TooMuchContent``, and
        whatever ``chunks`` raises.
        """
        check_line("name", name, 1, MAX_NAME)
        check_media_type(media_type)
        now = self._clock.now()
        values = {
            "account_id": account_id,
            # Nobody's uid begins with a blank.
            "uid": f" {uuid.uuid4().hex}",
            "name": name,
            "media_type": media_type,
            "size": 0,
            "created_at": now,
            "expires_at": now + _UNFINISHED,
        }
        async with self._store.write() as connection:
            made = await connection.execute(insert(table).values(values).returning(table.c.id))
            upload_id: int = made.scalar_one()
        try:
            size = await self._write_pieces(account_id, upload_id, chunks, largest or self._largest)
        except BaseException:
            with contextlib.suppress(StoreUnavailable):
                await self.discard(Received(upload_id, account_id, 0))
            raise
        return Received(upload_id, account_id, size)

    async def _write_pieces(
        self, account_id: int, upload_id: int, chunks: AsyncIterable[bytes], largest: int
    ) -> int:
        room = min(largest, self._room - await self._stored(account_id))
        pending = bytearray()
        size = number = 0
        async for chunk in chunks:
            size += len(chunk)
            if size > largest:
                raise TooMuchContent("a file has at most {longest} bytes", longest=largest)
            if size > room:
                raise TooMuchContent(
                    "the files of the account have {longest} bytes in all; wait until some of them have expired",
                    longest=self._room,
                )
            pending += chunk
            while len(pending) >= PIECE:
                await self._write_piece(upload_id, number, bytes(pending[:PIECE]))
                del pending[:PIECE]
                number += 1
        if pending:
            await self._write_piece(upload_id, number, bytes(pending))
        return size

    async def _write_piece(self, upload_id: int, number: int, data: bytes) -> None:
        async with self._store.write() as connection:
            grown = update(table).where(table.c.id == upload_id).values(size=table.c.size + len(data))
            if (await connection.execute(grown)).rowcount != 1:
                # It took a day, and retention has removed what was there.
                raise NoSuchContent("there is no upload {uid}, or it has expired", uid=upload_id)
            await connection.execute(insert(upload_piece).values(upload_id=upload_id, number=number, data=data))

    async def _stored(self, account_id: int) -> int:
        """Octets that the account has here, with those that are on their way."""
        query = select(func.coalesce(func.sum(table.c.size), 0)).where(table.c.account_id == account_id)
        async with self._store.read() as connection:
            return int(await connection.scalar(query) or 0)

    async def publish(
        self,
        connection: AsyncConnection,
        received: Received,
        *,
        uid: str | None = None,
        template_id: int | None = None,
        expires_at: Millis | None = None,
        batch: str = "",
    ) -> Upload:
        """Make a file visible, in the caller's transaction; ``uid`` ``None``: one is made."""
        values = {
            "uid": uuid.uuid4().hex if uid is None else uid,
            "template_id": template_id,
            "expires_at": expires_at,
            "batch": batch,
        }
        changed = update(table).where(table.c.id == received.id).values(values).returning(*table.c)
        row = (await connection.execute(changed)).one_or_none()
        if row is None:
            raise NoSuchContent("there is no upload {uid}, or it has expired", uid=values["uid"])
        return _upload(row)

    async def discard(self, received: Received) -> None:
        """Remove a file unless it was published: a commit may have succeeded although its caller was told no."""
        unseen = (table.c.id == received.id, table.c.uid.startswith(" "))
        async with self._store.write() as connection:
            if (await connection.execute(delete(table).where(*unseen))).rowcount:
                await connection.execute(delete(upload_piece).where(upload_piece.c.upload_id == received.id))

    async def expire(self, connection: AsyncConnection, *conditions: Any) -> int:
        """Take the files that fulfil all ``conditions`` away, in the caller's transaction; returns how many.

        Their rows stay for retention, under names that nobody can ask for.
        """
        found = list(await connection.scalars(select(table.c.id).where(*conditions).with_for_update()))
        for upload_id in found:
            gone = {
                "uid": f" {uuid.uuid4().hex}",
                "template_id": None,
                "batch": "",
                "expires_at": self._clock.now(),
            }
            await connection.execute(update(table).where(table.c.id == upload_id).values(gone))
        return len(found)

    # --- reading --------------------------------------------------------------------------------------------

    async def open(self, account_id: int, uid: str) -> Upload:
        """The file of that uid. Raises ``NoSuchContent`` when there is none, or none any more."""
        wanted = select(table).where(table.c.account_id == account_id, table.c.uid == uid)
        row = None
        if _is_uid(uid):
            async with self._store.read() as connection:
                row = (await connection.execute(wanted)).one_or_none()
        if row is None or (row.expires_at is not None and row.expires_at <= self._clock.now()):
            raise NoSuchContent("there is no upload {uid}, or it has expired", uid=uid)
        return _upload(row)

    async def of_batch(self, account_id: int, batch: str) -> list[Upload]:
        """The files that came with one request, in their order. Raises ``NoSuchContent`` when there are none."""
        wanted = select(table).where(
            table.c.account_id == account_id,
            table.c.batch == batch,
            text(BATCH_SQL),  # word for word as in the partial index
            table.c.expires_at > self._clock.now(),
        )
        found: list[Upload] = []
        if batch and _is_uid(batch):
            async with self._store.read() as connection:
                found = [_upload(row) for row in await connection.execute(wanted.order_by(table.c.id))]
        if not found:
            raise NoSuchContent("there is no upload {uid}, or it has expired", uid=batch)
        return found

    async def pieces(self, upload: Upload | Received) -> AsyncIterator[bytes]:
        """Its octets, a piece of at most ``PIECE`` at a time. Raises ``NoSuchContent`` when it goes meanwhile."""
        uid = upload.uid if isinstance(upload, Upload) else upload.id
        read = number = 0
        while read < upload.size:
            query = select(upload_piece.c.data).where(
                upload_piece.c.upload_id == upload.id, upload_piece.c.number == number
            )
            async with self._store.read() as connection:
                data = await connection.scalar(query)
            if data is None:
                raise NoSuchContent("there is no upload {uid}, or it has expired", uid=uid)
            yield bytes(data)
            read += len(data)
            number += 1

    async def of_template(self, template_id: int) -> list[Upload]:
        """The attachments of a template, in the order in which they came."""
        query = select(table).where(table.c.template_id == template_id).order_by(table.c.id)
        async with self._store.read() as connection:
            return [_upload(row) for row in await connection.execute(query)]


def check_media_type(given: str) -> str:
    """``given``, or ``BadField`` when it is no media type (RFC 2045 §5.1), with parameters or without."""
    if len(given) > MAX_NAME or not _MEDIA_TYPE.fullmatch(given):
        raise BadField("media_type", "{field} is a media type such as application/pdf")
    return given


def _check_uid(uid: str) -> str:
    check_line("uid", uid, 1, MAX_UID)
    if uid != uid.strip():
        raise BadField("uid", "{field} has no blank at its beginning or end")
    return uid


def _is_uid(given: str) -> bool:
    """Whether a file could have it; a database must not be asked for just any text (NUL)."""
    try:
        return bool(_check_uid(given))
    except BadField:
        return False


def _upload(row: Row[Any]) -> Upload:
    return value_of(Upload, row)
