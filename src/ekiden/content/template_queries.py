"""What templates and categories ask of both tables: who stands beside whom, in which order, under which names.

Both are numbered together, and stand among their siblings in one order. Positions have gaps, so that a move writes
one row: rows of templates are large. Only when there is no gap left all siblings are counted anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Select, delete, func, insert, literal, null, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.content.errors import BadField, ContentTaken, NoSuchContent
from ekiden.core.clock import Millis
from ekiden.store.tables import template, template_category

MAX_ID: Final = (1 << 63) - 1
MAX_DEPTH: Final = 20
"""Categories within each other."""
ROOT: Final = 0
"""The category that is none: what stands at the top has it as its parent."""
_GAP: Final = 1 << 32


class Node(NamedTuple):
    """A template or a category, without what may be large. ``parent_id``: ``ROOT``, or a category."""

    id: int
    parent_id: int
    is_category: bool
    position: int
    name: str
    created_at: Millis
    unused_since: Millis | None = None

    @property
    def in_use(self) -> bool:
        return self.unused_since is None


class Category(NamedTuple):
    id: int
    parent_id: int
    name: str
    created_at: Millis


async def category(connection: AsyncConnection, account_id: int, category_id: int) -> Category:
    """Raises ``NoSuchContent``."""
    found = None
    if 0 < category_id <= MAX_ID:
        table = template_category.c
        query = select(table.id, table.parent_id, table.name, table.created_at).where(
            table.account_id == account_id, table.id == category_id
        )
        found = (await connection.execute(query)).one_or_none()
    if found is None:
        raise NoSuchContent("there is no category {id}", id=category_id)
    return Category(*found)


async def nodes(connection: AsyncConnection, account_id: int, parent_id: int | None = None) -> Sequence[Any]:
    """Rows as ``Node``, each among its siblings in its place; of one parent, or of all."""
    templates, categories = template.c, template_category.c
    one: Select[Any] = select(
        templates.id,
        templates.category_id.label("parent_id"),
        literal(0).label("is_category"),
        templates.position,
        templates.name,
        templates.created_at,
        templates.unused_since,
    ).where(templates.account_id == account_id)
    other: Select[Any] = select(
        categories.id,
        categories.parent_id,
        literal(1),
        categories.position,
        categories.name,
        categories.created_at,
        null(),
    ).where(categories.account_id == account_id)
    if parent_id is not None:
        one, other = one.where(templates.category_id == parent_id), other.where(categories.parent_id == parent_id)
    both = union_all(one, other).subquery()
    query = select(both).order_by(both.c.parent_id, both.c.position, both.c.id)
    return (await connection.execute(query)).all()


def node(row: Any) -> Node:
    """One of ``nodes``."""
    return Node(
        row.id,
        row.parent_id,
        bool(row.is_category),
        row.position,
        row.name,
        row.created_at,
        row.unused_since,
    )


async def new_number(connection: AsyncConnection, account_id: int, now: Millis) -> int:
    """One of the numbers of templates, which no template will have: of a row that goes at once."""
    empty = dict.fromkeys(("name", "sender", "reply_to", "subject", "preheader", "html", "landing_page"), "")
    values = {**empty, "account_id": account_id, "created_at": now, "updated_at": now}
    made = await connection.execute(insert(template).values(values).returning(template.c.id))
    number: int = made.scalar_one()
    await connection.execute(delete(template).where(template.c.id == number))
    return number


async def last_place(connection: AsyncConnection, account_id: int, parent_id: int) -> int:
    """The position of what comes behind all that stand in a category."""
    last = 0
    for table, parent in ((template, "category_id"), (template_category, "parent_id")):
        query = select(func.max(table.c.position)).where(
            table.c.account_id == account_id, table.c[parent] == parent_id
        )
        last = max(last, await connection.scalar(query) or 0)
    return last + _GAP


async def place_before(
    connection: AsyncConnection, account_id: int, parent_id: int, moved: int, lower: int
) -> int | None:
    """The position in front of the sibling ``lower``; ``None``: it is not there. ``moved`` is who goes there."""
    row: list[Node] = [
        found for found in map(node, await nodes(connection, account_id, parent_id)) if found.id != moved
    ]
    at = next((number for number, found in enumerate(row) if found.id == lower), None)
    if at is None:
        return None
    above = row[at - 1].position if at else row[at].position - 2 * _GAP
    between = (above + row[at].position) // 2
    if above < between < row[at].position:
        return between
    for number, found in enumerate(row):
        table = template_category if found.is_category else template
        position = (number + 1) * _GAP
        if found.position != position:
            owned = table.c.account_id == account_id, table.c.id == found.id
            await connection.execute(update(table).where(*owned).values(position=position))
    return at * _GAP + _GAP // 2


async def check_name(
    connection: AsyncConnection,
    account_id: int,
    parent_id: int,
    name: str,
    *,
    is_category: bool,
    but: int = 0,
) -> None:
    """Raises ``ContentTaken`` when a sibling of the same kind that is in use has that name; ``but`` does not count.

    Templates without a name are many.
    """
    if not name:
        return
    table = template_category if is_category else template
    parent = table.c.parent_id if is_category else table.c.category_id
    query = select(table.c.id).where(
        table.c.account_id == account_id, parent == parent_id, table.c.name == name, table.c.id != but
    )
    if not is_category:
        query = query.where(template.c.unused_since.is_(None))
    if (await connection.execute(query.limit(1))).first() is not None:
        if is_category:
            raise ContentTaken("there is a category {name} already", name=name)
        raise ContentTaken("there is a template {name} already", name=name)


async def ancestors(connection: AsyncConnection, account_id: int, category_id: int) -> list[int]:
    """The category and those that it is in, the innermost first; of ``ROOT`` none. Raises ``NoSuchContent``."""
    found: list[int] = []
    while category_id != ROOT:
        if len(found) > MAX_DEPTH:
            break
        found.append(category_id)
        category_id = (await category(connection, account_id, category_id)).parent_id
    return found


def check_depth(depth: int) -> None:
    """Raises ``BadField`` for a category so deep."""
    if depth > MAX_DEPTH:
        raise BadField("parent", "categories are at most {most} levels deep", most=MAX_DEPTH)
