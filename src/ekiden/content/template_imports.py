"""Imports: a tree of templates that was exported, here or from another account, becomes a part of an account's own.

One thing after another, as the file has them: what comes before a faulty one stays. The file lies in the store
while it is read, so that a slow client holds nothing but its connection.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ekiden.access.audit import SYSTEM, Actor
from ekiden.content.errors import BadField, BadFile, ContentError, ImportBroken
from ekiden.content.template_files import MAX_TREE_FILE, MEMBERS, CategoryBegins, CategoryEnds, Item, TreeReader
from ekiden.content.template_queries import ROOT
from ekiden.store.api import StoreUnavailable

if TYPE_CHECKING:
    from ekiden.content.template_categories import Branch, TemplateCategories
    from ekiden.content.template_files import TemplateFound
    from ekiden.content.templates import Templates
    from ekiden.content.uploads import Received, Uploads
    from ekiden.limits.workshop import Workshop

_SLICE: Final = 131_072
"""Octets that are looked at in one call."""
_SHOWN: Final = 100
"""Characters of a name in an error."""
_NAMELESS: Final = "(?)"


class TemplateImports:
    """One per worker."""

    def __init__(
        self, templates: Templates, categories: TemplateCategories, uploads: Uploads, workshop: Workshop
    ) -> None:
        self._templates = templates
        self._categories = categories
        self._uploads = uploads
        self._workshop = workshop

    async def receive(self, account_id: int, chunks: AsyncIterable[bytes]) -> Received:
        """Take the file as it comes. Raises ``TooMuchContent``, and whatever ``chunks`` raises."""
        return await self._uploads.receive(
            account_id, "import.json", "application/json", chunks, largest=MAX_TREE_FILE
        )

    async def take(self, received: Received, *, actor: Actor = SYSTEM) -> list[Branch]:
        """Make what is in the file; returns that, as a tree. The file is gone then (``drop``).

        Raises ``ImportBroken``, and ``TimeoutError`` when it has not had a thread in time.
        """
        made = _Made(self._templates, self._categories, received.account_id, actor)
        try:
            await self._read(received, made)
        finally:
            await self.drop(received)
        tree = await self._categories.tree(received.account_id)
        return [branch for branch in tree if branch.node.id in made.top]

    async def drop(self, received: Received) -> None:
        """Nothing is made of it."""
        with contextlib.suppress(StoreUnavailable):
            await self._uploads.discard(received)

    async def _read(self, received: Received, made: _Made) -> None:
        try:
            async with contextlib.aclosing(self._items(received)) as items:
                async for item in items:
                    await made.add(item)
        except ImportBroken:
            raise
        except ContentError as error:
            raise _broken(made.name, error) from None

    async def _items(self, received: Received) -> AsyncGenerator[Item, None]:
        """What the file has. Raises ``ImportBroken``."""
        reader = TreeReader()
        try:
            async for piece in self._uploads.pieces(received):
                for at in range(0, len(piece), _SLICE):
                    part = piece[at : at + _SLICE]
                    for item in await self._work(received, lambda part=part: reader.feed(part)):  # type: ignore[misc]
                        yield item
            while items := await self._work(received, reader.close):
                for item in items:
                    yield item
        except BadFile as error:
            raise ImportBroken("{why}; everything before that has been imported", why=error) from None
        except BadField as error:
            raise _broken(reader.name, error) from None

    async def _work(self, received: Received, read: Callable[[], list[Item]]) -> list[Item]:
        if received.size <= _SLICE:
            return read()
        return await self._workshop.run(received.account_id, read)


def _broken(name: str, error: ContentError) -> ImportBroken:
    """``name``: of what cannot be made. Its members are told as the file has them."""
    if isinstance(error, BadField):
        error.values["field"] = MEMBERS.get(error.field, error.field)
    shown = name[:_SHOWN] or _NAMELESS
    return ImportBroken("{name}: {why}; everything before that has been imported", name=shown, why=error)


class _Made:
    """What has been made, and where the next one goes."""

    def __init__(self, templates: Templates, categories: TemplateCategories, account_id: int, actor: Actor) -> None:
        self._templates = templates
        self._categories = categories
        self._account = account_id
        self._actor = actor
        self._within = [ROOT]
        self.name = ""
        """Of what is being made, or was last."""
        self.top: set[int] = set()
        """Numbers of what stands at the top."""

    async def add(self, item: Item) -> None:
        """Raises ``ContentError``."""
        if isinstance(item, CategoryEnds):
            self._within.pop()
            return
        parent = self._within[-1]
        if isinstance(item, CategoryBegins):
            self.name = item.name
            made = await self._categories.create(self._account, item.name, parent, actor=self._actor)
            self._within.append(made.id)
            number = made.id
        else:
            self.name = item.text.name
            number = await self._add_template(item, parent)
        if parent == ROOT:
            self.top.add(number)

    async def _add_template(self, item: TemplateFound, parent: int) -> int:
        filing = replace(item.filing, category_id=parent)
        try:
            made = await self._templates.create(self._account, item.text, filing=filing, actor=self._actor)
        except BadField as error:
            if error.field != "landing_page":
                raise
            # It is a page of the account that the tree comes from.
            text = replace(item.text, landing_page="")
            made = await self._templates.create(self._account, text, filing=filing, actor=self._actor)
        return made.id
