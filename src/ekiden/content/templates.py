"""Templates of an account: what its messages can begin with, and the files that go with each (contract §4.6).

The placeholders in them are the business of whoever renders; here they are text. ``sender`` and ``reply_to`` are
what a header field says, so nothing in them can end a line.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.access.audit import SYSTEM, Actor, changed
from ekiden.content.errors import BadField, ContentError, NoSuchContent, TooMuchContent, check_line
from ekiden.mime.author_domains import mailbox_domains
from ekiden.mime.placeholders import MAX_SLOTS, too_many_slots
from ekiden.networks.zones import lock_account
from ekiden.store.api import StoreUnavailable
from ekiden.store.pages import Page
from ekiden.store.tables import landing_page
from ekiden.store.tables import template as table
from ekiden.store.tables import upload as upload_table

if TYPE_CHECKING:
    from ekiden.content.uploads import Received, Upload, Uploads
    from ekiden.core.clock import Clock, Millis
    from ekiden.store.api import Store

MAX_NAME: Final = 255
MAX_SUBJECT: Final = 200
MAX_PREHEADER: Final = 75
MAX_HEADER: Final = 998 - len("Reply-To: ")
"""Characters of a header field's value: RFC 5322 §2.1.1 allows no longer line."""
MAX_HTML: Final = 10 * 1024 * 1024
"""Octets (contract §2.2)."""
MAX_TEMPLATES: Final = 1_000
"""Of an account; the contract has no number."""
MAX_ATTACHMENTS: Final = 20
MAX_ATTACHED: Final = 25 * 1024 * 1024
"""Octets of all attachments of one template: more than that no message may have."""
MAX_ID: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class TemplateText:
    """What a client writes into a template; empty: not given.

    ``preheader`` is the line that readers show beside the subject. ``landing_page`` is the uid of one.
    """

    name: str
    html: str
    sender: str = ""
    reply_to: str = ""
    subject: str = ""
    preheader: str = ""
    landing_page: str = ""


FIELDS: Final = tuple(item.name for item in fields(TemplateText))


@dataclass(frozen=True, slots=True)
class Template:
    id: int
    account_id: int
    text: TemplateText
    created_at: Millis
    updated_at: Millis


@dataclass(frozen=True, slots=True)
class TemplateEntry:
    """A template in a list, without what may be large."""

    id: int
    name: str
    created_at: Millis
    updated_at: Millis


@dataclass(frozen=True, slots=True)
class NewAttachment:
    """A file that is to go with a template."""

    name: str
    media_type: str
    chunks: AsyncIterable[bytes]


class Templates:
    """One per process."""

    def __init__(self, store: Store, clock: Clock, uploads: Uploads) -> None:
        self._store = store
        self._clock = clock
        self._uploads = uploads

    # --- reading --------------------------------------------------------------------------------------------

    async def get(self, account_id: int, template_id: int) -> Template:
        """Raises ``NoSuchContent``."""
        async with self._store.read() as connection:
            return _template(await self._row(connection, account_id, template_id))

    async def list(self, account_id: int, *, offset: int = 0, limit: int = 20) -> Page[TemplateEntry]:
        """The newest first."""
        theirs = table.c.account_id == account_id
        columns = (table.c.id, table.c.name, table.c.created_at, table.c.updated_at)
        query = select(*columns).where(theirs).order_by(table.c.id.desc()).offset(offset).limit(limit)
        async with self._store.read() as connection:
            rows = (await connection.execute(query)).all()
            total = await connection.scalar(select(func.count()).select_from(table).where(theirs))
        return Page([TemplateEntry(*row) for row in rows], total or 0)

    async def attachments(self, account_id: int, template_id: int) -> Sequence[Upload]:
        """Its files, which ``Uploads.pieces`` reads. Raises ``NoSuchContent``."""
        async with self._store.read() as connection:
            await self._row(connection, account_id, template_id)
        return await self._uploads.of_template(template_id)

    # --- changing -------------------------------------------------------------------------------------------

    async def create(
        self, account_id: int, text: TemplateText, files: Sequence[NewAttachment] = (), *, actor: Actor = SYSTEM
    ) -> Template:
        """A template with all its files, or none. Raises ``BadField``, ``TooMuchContent``, ``NoSuchContent``."""
        check_template(text)
        received = await self._receive(account_id, files)
        now = self._clock.now()
        try:
            async with self._store.write() as connection:
                await lock_account(connection, account_id)
                await self._check_landing_page(connection, account_id, text)
                theirs = select(func.count()).select_from(table).where(table.c.account_id == account_id)
                if (await connection.scalar(theirs) or 0) >= MAX_TEMPLATES:
                    raise TooMuchContent("an account has at most {most} templates", most=MAX_TEMPLATES)
                values = {**asdict(text), "account_id": account_id, "created_at": now, "updated_at": now}
                row = (await connection.execute(insert(table).values(values).returning(*table.c))).one()
                for file in received:
                    await self._uploads.publish(connection, file, template_id=row.id)
                data = {"name": text.name, "attachments": len(received)}
                await changed(connection, account_id, now, actor, "template.create", str(row.id), **data)
        except BaseException:
            await self._discard(received)
            raise
        return _template(row)

    async def replace(
        self,
        account_id: int,
        template_id: int,
        text: TemplateText,
        files: Sequence[NewAttachment] | None = None,
        *,
        actor: Actor = SYSTEM,
    ) -> Template:
        """Give it another text. ``files``: instead of those that it has; ``None``: it keeps them.

        Raises as ``create`` does.
        """
        return await self._change(account_id, template_id, asdict(text), files, actor)

    async def patch(
        self,
        account_id: int,
        template_id: int,
        changes: Mapping[str, str],
        files: Sequence[NewAttachment] | None = None,
        *,
        actor: Actor = SYSTEM,
    ) -> Template:
        """Change some fields of ``TemplateText``, by name. Raises as ``create`` does."""
        for name in changes:
            if name not in FIELDS:
                raise BadField(name, "there is not a field {field}")
        return await self._change(account_id, template_id, changes, files, actor)

    async def _change(
        self,
        account_id: int,
        template_id: int,
        changes: Mapping[str, str],
        files: Sequence[NewAttachment] | None,
        actor: Actor,
    ) -> Template:
        before = await self.get(account_id, template_id)
        # A mistake is told before the files are taken; what is written is checked again.
        check_template(replace(before.text, **changes))
        received = await self._receive(account_id, files or ())
        now = self._clock.now()
        try:
            async with self._store.write() as connection:
                row = await self._row(connection, account_id, template_id, lock=True)
                text = check_template(replace(_template(row).text, **changes))
                if text.landing_page != row.landing_page:
                    await self._check_landing_page(connection, account_id, text)
                if files is not None:
                    await self._uploads.expire(connection, upload_table.c.template_id == template_id)
                    for file in received:
                        await self._uploads.publish(connection, file, template_id=template_id)
                change = update(table).where(table.c.id == template_id).values(**asdict(text), updated_at=now)
                row = (await connection.execute(change.returning(*table.c))).one()
                data: dict[str, Any] = {"name": text.name, "fields": sorted(changes)}
                if files is not None:
                    data["attachments"] = len(received)
                await changed(connection, account_id, now, actor, "template.change", str(template_id), **data)
        except BaseException:
            await self._discard(received)
            raise
        return _template(row)

    async def delete(self, account_id: int, template_id: int, *, actor: Actor = SYSTEM) -> None:
        """Remove it with its files. Raises ``NoSuchContent``."""
        now = self._clock.now()
        async with self._store.write() as connection:
            row = await self._row(connection, account_id, template_id, lock=True)
            await self._uploads.expire(connection, upload_table.c.template_id == template_id)
            await connection.execute(delete(table).where(table.c.id == template_id))
            await changed(connection, account_id, now, actor, "template.delete", str(template_id), name=row.name)

    # --- attachments ----------------------------------------------------------------------------------------

    async def attach(
        self, account_id: int, template_id: int, file: NewAttachment, *, actor: Actor = SYSTEM
    ) -> Upload:
        """One more file. Raises ``NoSuchContent``, ``BadField``, ``TooMuchContent``."""
        await self.get(account_id, template_id)
        received = await self._receive(account_id, (file,))
        now = self._clock.now()
        try:
            async with self._store.write() as connection:
                await self._row(connection, account_id, template_id, lock=True)
                theirs = select(func.count(), func.coalesce(func.sum(upload_table.c.size), 0)).where(
                    upload_table.c.template_id == template_id
                )
                count, size = (await connection.execute(theirs)).one()
                _check_attachments(count + 1, int(size) + received[0].size)
                made = await self._uploads.publish(connection, received[0], template_id=template_id)
                touched = update(table).where(table.c.id == template_id).values(updated_at=now)
                await connection.execute(touched)
                data = {"attachment": made.uid, "name": made.name, "size": made.size}
                await changed(connection, account_id, now, actor, "template.attach", str(template_id), **data)
        except BaseException:
            await self._discard(received)
            raise
        return made

    async def detach(self, account_id: int, template_id: int, uid: str, *, actor: Actor = SYSTEM) -> None:
        """Take the file of that uid away. Raises ``NoSuchContent``."""
        now = self._clock.now()
        async with self._store.write() as connection:
            await self._row(connection, account_id, template_id, lock=True)
            gone = 0
            if uid.isalnum() and uid.isascii():
                theirs = upload_table.c.template_id == template_id
                gone = await self._uploads.expire(connection, theirs, upload_table.c.uid == uid)
            if not gone:
                raise NoSuchContent("template {id} has no attachment {uid}", id=template_id, uid=uid)
            touched = update(table).where(table.c.id == template_id).values(updated_at=now)
            await connection.execute(touched)
            await changed(connection, account_id, now, actor, "template.detach", str(template_id), attachment=uid)

    async def _receive(self, account_id: int, files: Sequence[NewAttachment]) -> Sequence[Received]:
        received: list[Received] = []
        try:
            _check_attachments(len(files), 0)
            for file in files:
                received.append(await self._uploads.receive(account_id, file.name, file.media_type, file.chunks))
                _check_attachments(len(received), sum(item.size for item in received))
        except BaseException:
            await self._discard(received)
            raise
        return received

    async def _discard(self, received: Sequence[Received]) -> None:
        with contextlib.suppress(StoreUnavailable):
            for file in received:
                await self._uploads.discard(file)

    # --- rows -----------------------------------------------------------------------------------------------

    @staticmethod
    async def _row(
        connection: AsyncConnection, account_id: int, template_id: int, *, lock: bool = False
    ) -> Row[Any]:
        query = select(table).where(table.c.id == template_id, table.c.account_id == account_id)
        row = None
        if 0 < template_id <= MAX_ID:
            row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
        if row is None:
            raise NoSuchContent("there is no template {id}", id=template_id)
        return row

    @staticmethod
    async def _check_landing_page(connection: AsyncConnection, account_id: int, text: TemplateText) -> None:
        if not text.landing_page:
            return
        query = select(landing_page.c.id).where(
            landing_page.c.account_id == account_id, landing_page.c.uid == text.landing_page
        )
        if await connection.scalar(query) is None:
            raise BadField("landing_page", "{field}: there is no landing page {uid}", uid=text.landing_page)


def check_template(text: TemplateText) -> TemplateText:
    """``text``, or ``BadField``; whether its landing page exists is not asked here."""
    check_line("name", text.name, 0, MAX_NAME)
    check_line("subject", text.subject, 0, MAX_SUBJECT)
    check_line("preheader", text.preheader, 0, MAX_PREHEADER)
    check_line("landing_page", text.landing_page, 0, MAX_NAME)
    _check_mailboxes("sender", text.sender, 1)
    _check_mailboxes("reply_to", text.reply_to, None)
    try:
        size = len(text.html.encode())
    except UnicodeEncodeError:
        size = -1
    if too_many_slots(text.html):
        raise BadField("html", "{field} has at most {most} placeholders", most=MAX_SLOTS)
    if size < 0 or "\0" in text.html:
        raise BadField("html", "{field} is not a text that can be kept")
    if not 1 <= size <= MAX_HTML:
        raise BadField("html", "{field} has {shortest} to {longest} characters", shortest=1, longest=MAX_HTML)
    return text


def _check_mailboxes(field: str, value: str, most: int | None) -> None:
    check_line(field, value, 0, MAX_HEADER)
    # What placeholders will be is checked when the message is made.
    if not value or "{{" in value:
        return
    domains = mailbox_domains(value.encode())
    if domains is None or (most is not None and len(domains) > most):
        if most == 1:
            raise BadField(field, "{field} is one e-mail address, with a name or without")
        raise BadField(field, "{field} is a list of e-mail addresses")


def _check_attachments(count: int, size: int) -> None:
    problem: ContentError | None = None
    if count > MAX_ATTACHMENTS:
        problem = TooMuchContent("a template has at most {most} attachments", most=MAX_ATTACHMENTS)
    elif size > MAX_ATTACHED:
        problem = TooMuchContent(
            "the attachments of a template have at most {longest} bytes in all", longest=MAX_ATTACHED
        )
    if problem is not None:
        raise problem


def _template(row: Row[Any]) -> Template:
    text = TemplateText(**{name: getattr(row, name) for name in FIELDS})
    return Template(row.id, row.account_id, text, row.created_at, row.updated_at)
