"""Exports: an account's tree of templates as a file, asked for at once and written by and by.

The workers' housekeeping writes them, the oldest first, one template in memory at a time; what a worker had begun
when it ended another one begins anew. A file is kept for a week. Of an account few are kept: a further one takes
the place of the oldest.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy import ColumnElement, Row, case, func, insert, or_, select, update

from ekiden.access.audit import SYSTEM, Actor, changed
from ekiden.content import template_files
from ekiden.content.errors import ContentError, NoSuchContent, TooMuchContent
from ekiden.content.template_queries import MAX_ID
from ekiden.content.template_text import MAX_NAME
from ekiden.content.uploads import MAX_VALIDITY
from ekiden.networks.zones import lock_account
from ekiden.store.api import StoreUnavailable
from ekiden.store.pages import Page
from ekiden.store.tables import template_export as table
from ekiden.store.tables import upload as upload_table
from ekiden.store.tables import worker as worker_table

if TYPE_CHECKING:
    from ekiden.content.template_categories import Branch, TemplateCategories
    from ekiden.content.templates import Templates
    from ekiden.content.uploads import Received, Upload, Uploads
    from ekiden.core.clock import Clock, Millis
    from ekiden.limits.workshop import Workshop
    from ekiden.store.api import Store

log = structlog.get_logger()

MAX_WAITING: Final = 3
"""Exports of an account that are not written yet."""
MAX_KEPT: Final = 5
"""Files of an account that are kept."""
MAX_LISTED: Final = 1_000
"""Exports on one page."""
MEDIA_TYPE: Final = "application/json"
_LARGE: Final = 131_072
"""Characters of a template from which on it is written in a thread."""


class ExportState(IntEnum):
    """In the order of what becomes of one."""

    WAITING = 1
    WRITING = 2
    DONE = 3
    EXPIRED = 4
    """There is no file any more, or none could be written."""


@dataclass(frozen=True, slots=True)
class Export:
    """``completed_at`` ``None``: not yet. ``upload_uid``: of ``Uploads.open``; empty: there is no file."""

    id: int
    account_id: int
    state: ExportState
    requested_at: Millis
    completed_at: Millis | None
    upload_uid: str


SORTS: Final = ("id", "requested_at", "state")


class TemplateExports:
    """One per worker."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        worker_id: int,
        templates: Templates,
        categories: TemplateCategories,
        uploads: Uploads,
        workshop: Workshop,
    ) -> None:
        self._store = store
        self._clock = clock
        self._worker = worker_id
        self._templates = templates
        self._categories = categories
        self._uploads = uploads
        self._workshop = workshop
        self._turn = asyncio.Lock()

    def renewed(self, worker_id: int) -> None:
        """This process has another registration in the store."""
        self._worker = worker_id

    # --- asking ---------------------------------------------------------------------------------------------

    async def request(self, account_id: int, *, actor: Actor = SYSTEM) -> int:
        """Have the tree written; returns the number of the export. Raises ``TooMuchContent``."""
        now = self._clock.now()
        async with self._store.write() as connection:
            await lock_account(connection, account_id)
            waiting = table.c.account_id == account_id, table.c.completed_at.is_(None)
            count = await connection.scalar(select(func.count()).select_from(table).where(*waiting)) or 0
            if count >= MAX_WAITING:
                raise TooMuchContent("at most {most} exports of an account wait at a time", most=MAX_WAITING)
            values = {"account_id": account_id, "requested_at": now, "upload_uid": ""}
            made = await connection.execute(insert(table).values(values).returning(table.c.id))
            export_id: int = made.scalar_one()
            await changed(connection, account_id, now, actor, "template_export.request", str(export_id))
        return export_id

    async def list(
        self,
        account_id: int,
        sorts: Sequence[tuple[str, bool]] = (("requested_at", True),),
        *,
        offset: int = 0,
        limit: int = 20,
    ) -> Page[Export]:
        """In the order of ``sorts``: names of ``SORTS``, and whether it is falling."""
        state = self._state()
        columns: dict[str, ColumnElement[Any]] = {
            "id": table.c.id,
            "requested_at": table.c.requested_at,
            "state": state,
        }
        order = [columns[name].desc() if falling else columns[name] for name, falling in sorts]
        theirs = table.c.account_id == account_id
        query = select(table, state.label("state")).where(theirs).order_by(*order, table.c.id.desc())
        async with self._store.read() as connection:
            rows = (await connection.execute(query.offset(offset).limit(min(limit, MAX_LISTED)))).all()
            total = await connection.scalar(select(func.count()).select_from(table).where(theirs))
        return Page([_export(row) for row in rows], total or 0)

    async def open(self, account_id: int, export_id: int) -> Upload:
        """Its file, which ``Uploads.pieces`` reads.

        Raises ``NoSuchContent``: there is none, not yet or not any more.
        """
        row = None
        if 0 < export_id <= MAX_ID:
            query = select(table.c.upload_uid).where(table.c.id == export_id, table.c.account_id == account_id)
            async with self._store.read() as connection:
                row = (await connection.execute(query)).one_or_none()
        if row is not None and row.upload_uid:
            with contextlib.suppress(NoSuchContent):  # it has gone
                return await self._uploads.open(account_id, row.upload_uid)
        raise NoSuchContent("there is no file of export {id}", id=export_id)

    def _state(self) -> ColumnElement[int]:
        over = table.c.expires_at <= self._clock.now()
        return case(
            (over, int(ExportState.EXPIRED)),
            (table.c.completed_at.is_not(None), int(ExportState.DONE)),
            (table.c.owner.is_not(None), int(ExportState.WRITING)),
            else_=int(ExportState.WAITING),
        )

    # --- writing --------------------------------------------------------------------------------------------

    async def work(self) -> bool:
        """Write the one that has waited longest; returns whether there was one.

        A duty of the housekeeping: several workers may do it at once, since each claims what it writes.
        """
        async with self._turn:
            claimed = await self._claim()
            if claimed is None:
                return False
            received = None
            try:
                name = f"templates-{claimed.id}.json"
                received = await self._uploads.receive(
                    claimed.account_id,
                    name,
                    MEDIA_TYPE,
                    self._written(claimed.account_id),
                    largest=template_files.MAX_TREE_FILE,
                )
            except (StoreUnavailable, TimeoutError):
                raise
            except ContentError as error:
                # It is larger than a file may be, or the account has no room for it.
                log.warning("an export cannot be kept", account=claimed.account_id, why=str(error))
            except Exception:
                # Whatever it is: one export must not keep the others from being written.
                log.exception("an export cannot be written", account=claimed.account_id)
            await self._finish(claimed, received)
        return True

    async def _claim(self) -> Row[Any] | None:
        alive = select(worker_table.c.id).where(worker_table.c.ended_at.is_(None))
        # Ours: one that the store broke off.
        free = or_(table.c.owner.is_(None), table.c.owner == self._worker, table.c.owner.not_in(alive))
        waiting = select(table.c.id).where(table.c.completed_at.is_(None), free).order_by(table.c.id).limit(1)
        async with self._store.read() as connection:
            if await connection.scalar(waiting) is None:
                return None
        async with self._store.write() as connection:
            found = await connection.scalar(waiting.with_for_update(skip_locked=True))
            if found is None:
                return None
            claim = update(table).where(table.c.id == found).values(owner=self._worker)
            return (await connection.execute(claim.returning(*table.c))).one()

    async def _finish(self, claimed: Row[Any], received: Received | None) -> None:
        now = self._clock.now()
        expires = now if received is None else now + MAX_VALIDITY
        try:
            async with self._store.write() as connection:
                # Fenced: another worker may have taken it over, when we were believed to be gone.
                mine = (
                    table.c.id == claimed.id,
                    table.c.owner == self._worker,
                    table.c.completed_at.is_(None),
                )
                done = {"completed_at": now, "owner": None, "expires_at": expires}
                if (await connection.execute(update(table).where(*mine).values(done))).rowcount and received:
                    upload = await self._uploads.publish(connection, received, expires_at=expires)
                    named = update(table).where(table.c.id == claimed.id).values(upload_uid=upload.uid)
                    await connection.execute(named)
                    await self._make_room(connection, claimed.account_id)
        finally:
            if received is not None:
                await self._uploads.discard(received)

    async def _make_room(self, connection: Any, account_id: int) -> None:
        """What is beyond the newest ``MAX_KEPT`` files expires."""
        now = self._clock.now()
        kept = table.c.account_id == account_id, table.c.expires_at > now
        query = select(table.c.id, table.c.upload_uid).where(*kept).order_by(table.c.id.desc()).offset(MAX_KEPT)
        for old in (await connection.execute(query)).all():
            await connection.execute(update(table).where(table.c.id == old.id).values(expires_at=now))
            theirs = upload_table.c.account_id == account_id, upload_table.c.uid == old.upload_uid
            await self._uploads.expire(connection, *theirs)

    async def _written(self, account_id: int) -> AsyncIterator[bytes]:
        yield template_files.BEGIN
        branches = await self._categories.tree(account_id)
        names, first = _Names(branches), True
        for branch in branches:
            async for piece in self._branch(account_id, branch, names, first):
                yield piece
                first = False
        yield template_files.END

    async def _branch(self, account_id: int, branch: Branch, names: _Names, first: bool) -> AsyncIterator[bytes]:
        """``names``: of its siblings."""
        comma = b"" if first else b","
        if not branch.node.is_category:
            written = await self._template(account_id, branch.node.id, names)
            if written:
                yield comma + written
            return
        yield comma + template_files.category_begin(branch.node.name)
        names = _Names(branch.below)
        for is_category in (True, False):
            if not is_category:
                yield template_files.CATEGORY_MIDDLE
            first = True
            for below in branch.below:
                if below.node.is_category is is_category:
                    async for piece in self._branch(account_id, below, names, first):
                        yield piece
                        first = False
        yield template_files.CATEGORY_END

    async def _template(self, account_id: int, template_id: int, names: _Names) -> bytes:
        """As it is now; nothing: it has gone since the tree was read."""
        try:
            found = await self._templates.get(account_id, template_id, unused=True)
        except NoSuchContent:
            return b""
        if found.filing.in_use:
            found = replace(found, text=replace(found.text, name=names.of(found.text.name)))
        if len(found.text.html) <= _LARGE:
            return template_files.template(found)
        return await self._workshop.run(account_id, lambda: template_files.template(found))


class _Names:
    """What templates in use that stand beside each other are called in the file.

    An import tells them apart, while they may have one name here: those that were not filed (``Templates.create``).
    So a name that was given is given again with a number.
    """

    def __init__(self, siblings: Sequence[Branch]) -> None:
        self._theirs = {branch.node.name for branch in siblings}
        self._given: set[str] = set()
        self._last: dict[str, int] = {}

    def of(self, name: str) -> str:
        """Of the next one, which is called ``name`` here."""
        given = name
        while given and given in self._given:
            number = self._last[name] = self._last.get(name, 1) + 1
            end = f" {number}"
            numbered = name[: MAX_NAME - len(end)] + end
            if numbered not in self._theirs:
                given = numbered
        self._given.add(given)
        return given


def _export(row: Row[Any]) -> Export:
    return Export(
        row.id,
        row.account_id,
        ExportState(row.state),
        row.requested_at,
        row.completed_at,
        row.upload_uid,
    )
