"""Templates of an account: what its messages can begin with, and the files that go with each (contract §4.6).

Each has its place in a tree of categories (``content.template_categories``). One that is not in use is out of sight
for everybody who does not ask for it, and can be brought back; of the many that an account may collect, those that
were out of use for longest go.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.access.audit import SYSTEM, Actor, changed
from ekiden.content.errors import BadField, ContentError, NoSuchContent, TooMuchContent, check_line
from ekiden.content.template_queries import (
    MAX_ID,
    ROOT,
    category,
    check_name,
    last_place,
    place_before,
)
from ekiden.content.template_text import (
    FIELDS,
    MAX_FILED_SUBJECT,
    MAX_NAME,
    MAX_SUBJECT,
    TemplateText,
    check_description,
    check_template,
)
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

MAX_TEMPLATES: Final = 1_000
"""Of an account, in use; the contract has no number."""
MAX_UNUSED: Final = 1_000
"""Of an account, not in use."""
MAX_ATTACHMENTS: Final = 20
MAX_ATTACHED: Final = 25 * 1024 * 1024
"""Octets of all attachments of one template: more than that no message may have."""


@dataclass(frozen=True, slots=True)
class Filing:
    """Where a template is filed, and how. ``category_id``: ``ROOT``: in none."""

    category_id: int = ROOT
    description: str = ""
    in_use: bool = True


@dataclass(frozen=True, slots=True)
class Template:
    id: int
    account_id: int
    text: TemplateText
    created_at: Millis
    updated_at: Millis
    filing: Filing


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

    async def get(self, account_id: int, template_id: int, *, unused: bool = False) -> Template:
        """``unused``: also one that is not in use. Raises ``NoSuchContent``."""
        async with self._store.read() as connection:
            return _template(await self._row(connection, account_id, template_id, unused=unused))

    async def list(self, account_id: int, *, offset: int = 0, limit: int = 20) -> Page[TemplateEntry]:
        """Those in use, the newest first."""
        theirs = _used(account_id)
        columns = (table.c.id, table.c.name, table.c.created_at, table.c.updated_at)
        query = select(*columns).where(*theirs).order_by(table.c.id.desc()).offset(offset).limit(limit)
        async with self._store.read() as connection:
            rows = (await connection.execute(query)).all()
            total = await connection.scalar(select(func.count()).select_from(table).where(*theirs))
        return Page([TemplateEntry(*row) for row in rows], total or 0)

    async def attachments(self, account_id: int, template_id: int) -> Sequence[Upload]:
        """Its files, which ``Uploads.pieces`` reads. Raises ``NoSuchContent``."""
        async with self._store.read() as connection:
            await self._row(connection, account_id, template_id)
        return await self._uploads.of_template(template_id)

    # --- changing -------------------------------------------------------------------------------------------

    async def create(
        self,
        account_id: int,
        text: TemplateText,
        files: Sequence[NewAttachment] = (),
        *,
        filing: Filing | None = None,
        actor: Actor = SYSTEM,
    ) -> Template:
        """A template with all its files, or none, behind what stands in its category.

        ``filing`` ``None``: at the top, whatever the others there are called. Raises ``BadField``,
        ``TooMuchContent``, ``NoSuchContent``, and ``ContentTaken`` when it is filed and another one has its name.
        """
        filed = filing or Filing()
        check_template(text, MAX_SUBJECT if filing is None else MAX_FILED_SUBJECT)
        check_description(filed.description)
        received = await self._receive(account_id, files)
        now = self._clock.now()
        try:
            async with self._store.write() as connection:
                await lock_account(connection, account_id)
                await self._check_landing_page(connection, account_id, text)
                if filed.category_id != ROOT:
                    await category(connection, account_id, filed.category_id)
                if filing is not None and filed.in_use:
                    await check_name(connection, account_id, filed.category_id, text.name, is_category=False)
                await self._make_room(connection, account_id, filed.in_use, now, actor)
                values = {
                    **asdict(text),
                    "account_id": account_id,
                    "created_at": now,
                    "updated_at": now,
                    "category_id": filed.category_id,
                    "position": await last_place(connection, account_id, filed.category_id),
                    "description": filed.description,
                    "unused_since": None if filed.in_use else now,
                }
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
        _changed(before.text, changes)
        received = await self._receive(account_id, files or ())
        now = self._clock.now()
        try:
            async with self._store.write() as connection:
                row = await self._row(connection, account_id, template_id, lock=True)
                text = _changed(_template(row).text, changes)
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

    async def edit(
        self,
        account_id: int,
        template_id: int,
        changes: Mapping[str, str],
        *,
        description: str,
        in_use: bool | None = None,
        actor: Actor = SYSTEM,
    ) -> Template:
        """Change fields of ``TemplateText``, by name, and the description of one that is in use or not.

        ``in_use`` ``None``: as it was. Raises as ``create`` of one that is filed.
        """
        check_description(description)
        now = self._clock.now()
        async with self._store.write() as connection:
            await lock_account(connection, account_id)
            row = await self._row(connection, account_id, template_id, lock=True, unused=True)
            text = check_template(replace(_template(row).text, **changes), MAX_FILED_SUBJECT)
            if text.landing_page != row.landing_page:
                await self._check_landing_page(connection, account_id, text)
            values = {**asdict(text), "description": description, "updated_at": now}
            used = row.unused_since is None if in_use is None else in_use
            values |= await self._use(connection, row, used, now, actor, name=text.name)
            row = await self._write(connection, row.id, values)
            data = {"name": text.name, "fields": sorted(changes), "in_use": used}
            await changed(connection, account_id, now, actor, "template.change", str(template_id), **data)
        return _template(row)

    async def move(
        self,
        account_id: int,
        template_id: int,
        *,
        name: str,
        category_id: int | None = None,
        lower: int | None = None,
        actor: Actor = SYSTEM,
    ) -> Template:
        """Another name, another category (``None``: its own), a place in front of the sibling ``lower`` (if it is
        one). In another category it comes last. Raises as ``create`` of one that is filed."""
        check_line("name", name, 0, MAX_NAME)
        now = self._clock.now()
        async with self._store.write() as connection:
            await lock_account(connection, account_id)
            row = await self._row(connection, account_id, template_id, lock=True, unused=True)
            parent = row.category_id if category_id is None else category_id
            values: dict[str, Any] = {"name": name, "category_id": parent, "updated_at": now}
            if parent != row.category_id:
                if parent != ROOT:
                    await category(connection, account_id, parent)
                values["position"] = await last_place(connection, account_id, parent)
            if row.unused_since is None and (name, parent) != (row.name, row.category_id):
                await check_name(connection, account_id, parent, name, is_category=False, but=template_id)
            if lower is not None:
                position = await place_before(connection, account_id, parent, template_id, lower)
                if position is not None:
                    values["position"] = position
            row = await self._write(connection, template_id, values)
            data = {"name": name, "category": parent}
            await changed(connection, account_id, now, actor, "template.move", str(template_id), **data)
        return _template(row)

    async def use(self, account_id: int, template_id: int, *, in_use: bool, actor: Actor = SYSTEM) -> Template:
        """Take it out of use, or bring it back; what is so already stays so.

        Raises ``NoSuchContent``; when it comes back, ``ContentTaken`` and ``TooMuchContent``, too.
        """
        now = self._clock.now()
        async with self._store.write() as connection:
            await lock_account(connection, account_id)
            row = await self._row(connection, account_id, template_id, lock=True, unused=True)
            values = await self._use(connection, row, in_use, now, actor, name=row.name)
            if values:
                row = await self._write(connection, template_id, {**values, "updated_at": now})
                action = "template.restore" if in_use else "template.retire"
                await changed(connection, account_id, now, actor, action, str(template_id), name=row.name)
        return _template(row)

    async def delete(self, account_id: int, template_id: int, *, actor: Actor = SYSTEM) -> None:
        """Remove it with its files. Raises ``NoSuchContent``."""
        now = self._clock.now()
        async with self._store.write() as connection:
            row = await self._row(connection, account_id, template_id, lock=True)
            await self._remove(connection, account_id, row.id, row.name, now, actor)

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

    async def _use(
        self, connection: AsyncConnection, row: Row[Any], in_use: bool, now: Millis, actor: Actor, *, name: str
    ) -> dict[str, Any]:
        """What changes in a row that is to be called ``name`` and to be in use or not."""
        was = row.unused_since is None
        if in_use and (not was or name != row.name):
            await check_name(connection, row.account_id, row.category_id, name, is_category=False, but=row.id)
        if in_use == was:
            return {}
        await self._make_room(connection, row.account_id, in_use, now, actor)
        return {"unused_since": None if in_use else now}

    async def _make_room(
        self, connection: AsyncConnection, account_id: int, in_use: bool, now: Millis, actor: Actor
    ) -> None:
        """For one more that is in use, or not: then what was out of use for longest goes.

        Raises ``TooMuchContent``.
        """
        theirs = _used(account_id) if in_use else _unused(account_id)
        count = await connection.scalar(select(func.count()).select_from(table).where(*theirs)) or 0
        if count < (MAX_TEMPLATES if in_use else MAX_UNUSED):
            return
        if in_use:
            raise TooMuchContent("an account has at most {most} templates", most=MAX_TEMPLATES)
        oldest = select(table.c.id, table.c.name).where(*theirs).order_by(table.c.unused_since, table.c.id)
        for gone in (await connection.execute(oldest.limit(count - MAX_UNUSED + 1))).all():
            await self._remove(connection, account_id, gone.id, gone.name, now, actor)

    async def _remove(
        self, connection: AsyncConnection, account_id: int, template_id: int, name: str, now: Millis, actor: Actor
    ) -> None:
        await self._uploads.expire(connection, upload_table.c.template_id == template_id)
        await connection.execute(delete(table).where(table.c.id == template_id))
        await changed(connection, account_id, now, actor, "template.delete", str(template_id), name=name)

    @staticmethod
    async def _write(connection: AsyncConnection, template_id: int, values: Mapping[str, Any]) -> Row[Any]:
        change = update(table).where(table.c.id == template_id).values(values)
        return (await connection.execute(change.returning(*table.c))).one()

    @staticmethod
    async def _row(
        connection: AsyncConnection,
        account_id: int,
        template_id: int,
        *,
        lock: bool = False,
        unused: bool = False,
    ) -> Row[Any]:
        query = select(table).where(table.c.id == template_id, table.c.account_id == account_id)
        row = None
        if 0 < template_id <= MAX_ID:
            row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
        if row is None or not (unused or row.unused_since is None):
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


def _changed(text: TemplateText, changes: Mapping[str, str]) -> TemplateText:
    """A subject that was filed here in another language may stay as long as it is."""
    longest = MAX_SUBJECT if "subject" in changes else max(MAX_SUBJECT, len(text.subject))
    return check_template(replace(text, **changes), longest)


def _used(account_id: int) -> tuple[ColumnElement[bool], ...]:
    return table.c.account_id == account_id, table.c.unused_since.is_(None)


def _unused(account_id: int) -> tuple[ColumnElement[bool], ...]:
    return table.c.account_id == account_id, table.c.unused_since.is_not(None)


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
    filing = Filing(row.category_id, row.description, row.unused_since is None)
    return Template(row.id, row.account_id, text, row.created_at, row.updated_at, filing)
