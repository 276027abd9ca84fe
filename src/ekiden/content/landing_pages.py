"""Landing pages: what an account shows to those who follow its link to unsubscribe, instead of our own page.

HTML with placeholders ``{{name}}``, whose values come with the message, and ``{{unsubscribe}}``, where the button
is put. It is the account's own HTML on a host of ours: it is served in a sandbox, without scripts (``landing``).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Row, delete, insert, select, update

from ekiden.access.audit import Actor, changed
from ekiden.content.errors import BadContent, ContentTaken, NoSuchContent
from ekiden.mime.placeholders import Text
from ekiden.store.row_values import value_of
from ekiden.store.tables import account
from ekiden.store.tables import landing_page as table

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from ekiden.core.clock import Clock, Millis
    from ekiden.store.api import Store

BUTTON: Final = "unsubscribe"
"""The placeholder that stands for the button."""
MAX_UID: Final = 64
MAX_NAME: Final = 128
MAX_HTML: Final = 1_048_576
"""Octets."""
MAX_SLOTS: Final = 1_000
"""Placeholders: whoever has a link has them filled as often as he likes."""
MAX_SHOWN: Final = 2 * MAX_HTML
"""Characters of a page with its values."""
_UID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class LandingPage:
    """``uid`` is what requests call it, such as ``1_23456``."""

    id: int
    account_id: int
    uid: str
    name: str
    html: str
    created_at: Millis
    updated_at: Millis

    def render(self, values: Mapping[str, str], button: str) -> str:
        """The page with ``values`` as text in the place of their names, and the HTML ``button`` in its own.

        Empty: so filled it is longer than ``MAX_SHOWN``.
        """
        words = {name: escape(value) for name, value in values.items()} | {BUTTON: button}
        page = Text.compile(self.html)
        return page.render(words) if page.length(words) <= MAX_SHOWN else ""

    @property
    def can_be_shown(self) -> bool:
        """Older ones may have more placeholders than anybody has the time to fill for each reader."""
        return self.html.count("{{") <= MAX_SLOTS


class LandingPages:
    """Those of all accounts. Every change is written into the audit log."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def add(
        self, account_id: int, html: str, *, name: str, uid: str = "", replace: bool = False, actor: Actor
    ) -> LandingPage:
        """A new page; without a ``uid`` it is given one. ``replace``: or another content for the page of that uid.

        Raises ``BadContent``, ``ContentTaken``.
        """
        _check(html, name, uid)
        now = self._clock.now()
        values = {"name": name, "html": html, "updated_at": now}
        async with self._store.write() as connection:
            # Changes to the pages of one account happen one after another.
            owner = select(account.c.id).where(account.c.id == account_id)
            await connection.execute(owner.with_for_update(key_share=True))
            old = await _row(connection, account_id, uid) if uid else None
            if old is not None and not replace:
                raise ContentTaken("there is a landing page {uid!r} already", uid=uid)
            if old is not None:
                statement = update(table).where(table.c.id == old.id).values(values)
            else:
                uid = uid or await _new_uid(connection, account_id)
                new = {"account_id": account_id, "uid": uid, "created_at": now, **values}
                statement = insert(table).values(new)  # type: ignore[assignment]
            row = (await connection.execute(statement.returning(*table.c))).one()
            action = "landing_page.add" if old is None else "landing_page.replace"
            await changed(connection, account_id, now, actor, action, uid, name=name, characters=len(html))
        return _page(row)

    async def find(self, account_id: int, uid: str) -> LandingPage | None:
        """The page of that uid."""
        async with self._store.read() as connection:
            row = await _row(connection, account_id, uid)
        return None if row is None else _page(row)

    async def get(self, account_id: int, uid: str) -> LandingPage:
        """The page of that uid. Raises ``NoSuchContent``."""
        found = await self.find(account_id, uid)
        if found is None:
            raise NoSuchContent("there is no landing page {uid!r}", uid=uid)
        return found

    async def list(self, account_id: int) -> list[LandingPage]:
        """Oldest first."""
        query = select(table).where(table.c.account_id == account_id).order_by(table.c.id)
        async with self._store.read() as connection:
            return [_page(row) for row in await connection.execute(query)]

    async def remove(self, account_id: int, uid: str, *, actor: Actor) -> LandingPage:
        """Links that name it show our own page from then on. Raises ``NoSuchContent``."""
        async with self._store.write() as connection:
            row = await _row(connection, account_id, uid)
            if row is None:
                raise NoSuchContent("there is no landing page {uid!r}", uid=uid)
            await connection.execute(delete(table).where(table.c.id == row.id))
            now = self._clock.now()
            await changed(connection, account_id, now, actor, "landing_page.remove", uid, name=row.name)
        return _page(row)


def _check(html: str, name: str, uid: str) -> None:
    if uid and not _UID.fullmatch(uid):
        raise BadContent(
            "a landing page's id has 1 to {longest} letters, digits, hyphens and underscores", longest=MAX_UID
        )
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise BadContent("a landing page's name has 1 to {longest} printable characters", longest=MAX_NAME)
    if len(html.encode("utf-8", "replace")) > MAX_HTML:
        raise BadContent("a landing page has at most {longest} octets", longest=MAX_HTML)
    if html.count("{{") > MAX_SLOTS:
        raise BadContent("a landing page has at most {most} placeholders", most=MAX_SLOTS)
    if BUTTON not in Text.compile(html).names:
        raise BadContent("a landing page needs {mark} where its button is to be", mark="{{" + BUTTON + "}}")


async def _row(connection: AsyncConnection, account_id: int, uid: str) -> Row[Any] | None:
    # A database must not be asked for just any text (NUL).
    if not _UID.fullmatch(uid):
        return None
    query = select(table).where(table.c.account_id == account_id, table.c.uid == uid)
    return (await connection.execute(query)).one_or_none()


async def _new_uid(connection: AsyncConnection, account_id: int) -> str:
    while True:
        uid = f"1_{secrets.randbelow(90_000_000) + 10_000_000}"
        if await _row(connection, account_id, uid) is None:
            return uid


def _page(row: Row[Any]) -> LandingPage:
    return value_of(LandingPage, row)
