"""Categories of templates: a tree of an account, in which each template has its place.

Siblings, categories and templates alike, are in one order; a category and a template are numbered alike too. Names
are told apart among siblings of one kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.access.audit import SYSTEM, Actor, changed
from ekiden.content.errors import BadField, CategoryNotEmpty, TooMuchContent, check_line
from ekiden.content.template_queries import (
    ROOT,
    Category,
    Node,
    ancestors,
    category,
    check_depth,
    check_name,
    last_place,
    new_number,
    node,
    nodes,
    place_before,
)
from ekiden.limits.loop_slices import in_turns
from ekiden.networks.zones import lock_account
from ekiden.store.tables import template
from ekiden.store.tables import template_category as table

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.store.api import Store

MAX_CATEGORIES: Final = 1_000
"""Of an account."""
MAX_CATEGORY_NAME: Final = 255


@dataclass(frozen=True, slots=True)
class Branch:
    """A node with what is below it, in order."""

    node: Node
    below: list[Branch]


class TemplateCategories:
    """One per process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    # --- reading --------------------------------------------------------------------------------------------

    async def get(self, account_id: int, category_id: int) -> Category:
        """Raises ``NoSuchContent``."""
        async with self._store.read() as connection:
            return await category(connection, account_id, category_id)

    async def tree(self, account_id: int, *, unused: bool = True) -> list[Branch]:
        """What stands at the top, with all that is below. ``unused``: templates that are not in use, too."""
        async with self._store.read() as connection:
            rows = await nodes(connection, account_id)
        branches = await in_turns(lambda row: Branch(node(row), []), rows)
        by_id = {branch.node.id: branch for branch in branches}
        top: list[Branch] = []
        for branch in branches:
            if branch.node.in_use or unused:
                # A worker of an older version may just have filed something where nothing is.
                parent = by_id.get(branch.node.parent_id)
                (top if parent is None else parent.below).append(branch)
        return top

    # --- changing -------------------------------------------------------------------------------------------

    async def create(self, account_id: int, name: str, parent_id: int = ROOT, *, actor: Actor = SYSTEM) -> Category:
        """The last one in its parent.

        Raises ``BadField``, ``NoSuchContent``, ``ContentTaken``, ``TooMuchContent``.
        """
        _check(name)
        now = self._clock.now()
        async with self._store.write() as connection:
            await lock_account(connection, account_id)
            check_depth(len(await ancestors(connection, account_id, parent_id)) + 1)
            theirs = select(func.count()).select_from(table).where(table.c.account_id == account_id)
            if (await connection.scalar(theirs) or 0) >= MAX_CATEGORIES:
                raise TooMuchContent("an account has at most {most} categories", most=MAX_CATEGORIES)
            await check_name(connection, account_id, parent_id, name, is_category=True)
            number = await new_number(connection, account_id, now)
            made = {
                "account_id": account_id,
                "id": number,
                "parent_id": parent_id,
                "position": await last_place(connection, account_id, parent_id),
                "name": name,
                "created_at": now,
            }
            await connection.execute(insert(table).values(made))
            await changed(connection, account_id, now, actor, "template_category.create", str(number), name=name)
        return Category(number, parent_id, name, now)

    async def change(
        self,
        account_id: int,
        category_id: int,
        *,
        name: str | None = None,
        parent_id: int | None = None,
        lower: int | None = None,
        actor: Actor = SYSTEM,
    ) -> Category:
        """Another name, another parent, a place in front of the sibling ``lower`` (if it is one).

        What is ``None`` stays; in another parent it comes last. Raises as ``create``.
        """
        if name is not None:
            _check(name)
        now = self._clock.now()
        async with self._store.write() as connection:
            await lock_account(connection, account_id)
            before = await category(connection, account_id, category_id)
            name = before.name if name is None else name
            parent_id = before.parent_id if parent_id is None else parent_id
            values: dict[str, Any] = {"name": name, "parent_id": parent_id}
            if parent_id != before.parent_id:
                await self._check_move(connection, account_id, category_id, parent_id)
                values["position"] = await last_place(connection, account_id, parent_id)
            if (name, parent_id) != (before.name, before.parent_id):
                await check_name(connection, account_id, parent_id, name, is_category=True, but=category_id)
            if lower is not None:
                position = await place_before(connection, account_id, parent_id, category_id, lower)
                if position is not None:
                    values["position"] = position
            mine = table.c.account_id == account_id, table.c.id == category_id
            await connection.execute(update(table).where(*mine).values(values))
            data = {"name": name, "parent": parent_id}
            await changed(connection, account_id, now, actor, "template_category.change", str(category_id), **data)
        return Category(category_id, parent_id, name, before.created_at)

    async def delete(self, account_id: int, category_id: int, *, actor: Actor = SYSTEM) -> Category:
        """Remove an empty one. Templates in it that are not in use go to the top.

        Raises ``NoSuchContent``, ``CategoryNotEmpty``.
        """
        now = self._clock.now()
        async with self._store.write() as connection:
            await lock_account(connection, account_id)
            gone = await category(connection, account_id, category_id)
            below = [node(row) for row in await nodes(connection, account_id, category_id)]
            if any(found.in_use for found in below):
                raise CategoryNotEmpty("category {id} is not empty", id=category_id)
            if below:
                place = await last_place(connection, account_id, ROOT)
                moved = template.c.account_id == account_id, template.c.category_id == category_id
                await connection.execute(update(template).where(*moved).values(category_id=ROOT, position=place))
            await connection.execute(
                delete(table).where(table.c.account_id == account_id, table.c.id == category_id)
            )
            await changed(
                connection, account_id, now, actor, "template_category.delete", str(category_id), name=gone.name
            )
        return gone

    @staticmethod
    async def _check_move(connection: AsyncConnection, account_id: int, category_id: int, parent_id: int) -> None:
        above = await ancestors(connection, account_id, parent_id)
        if category_id in above:
            raise BadField("parent", "category {id} cannot be moved below itself", id=category_id)
        below = [found for found in map(node, await nodes(connection, account_id)) if found.is_category]
        depths = {category_id: 1}
        grown = True
        while grown:
            grown = False
            for found in below:
                if found.id not in depths and found.parent_id in depths:
                    depths[found.id] = depths[found.parent_id] + 1
                    grown = True
        check_depth(len(above) + max(depths.values()))


def _check(name: str) -> None:
    check_line("name", name, 1, MAX_CATEGORY_NAME)
