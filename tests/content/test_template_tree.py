"""Templates in their categories: places, names, out of use and back, and what an account may have of them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from content_files import chunks, count
from sqlalchemy import select, text

from ekiden.access.audit import Actor, list_entries
from ekiden.content.errors import BadField, CategoryNotEmpty, ContentTaken, NoSuchContent, TooMuchContent
from ekiden.content.template_categories import Branch, TemplateCategories
from ekiden.content.template_queries import MAX_DEPTH, MAX_ID, ROOT
from ekiden.content.template_text import TemplateText
from ekiden.content.templates import Filing, NewAttachment, Template, Templates
from ekiden.store import tables as t
from ekiden.store.api import Store
from support.manual_clock import ManualClock

KEY = Actor("api_key:7", "192.0.2.1")


async def filed(templates: Templates, account: int, name: str, category: int = ROOT, **rest: bool) -> Template:
    return await templates.create(account, TemplateText(name, "<p>x</p>"), filing=Filing(category, **rest))


def names(branches: list[Branch]) -> list[object]:
    """``name`` for a template, ``(name, what is below)`` for a category."""
    return [
        (branch.node.name, names(branch.below)) if branch.node.is_category else branch.node.name
        for branch in branches
    ]


async def test_a_tree(
    templates: Templates, categories: TemplateCategories, store: Store, account: int, clock: ManualClock
) -> None:
    spring = await categories.create(account, "spring", actor=KEY)
    early = await categories.create(account, "early", spring.id)
    first = await filed(templates, account, "first", spring.id)
    top = await filed(templates, account, "top")
    assert len({spring.id, early.id, first.id, top.id}) == 4
    assert [spring.id, early.id, first.id, top.id] == sorted([spring.id, early.id, first.id, top.id])
    assert spring == await categories.get(account, spring.id)
    assert (spring.parent_id, early.parent_id, spring.created_at) == (ROOT, spring.id, clock.now())
    assert first.filing == Filing(spring.id)
    tree = await categories.tree(account)
    assert names(tree) == [("spring", [("early", []), "first"]), "top"]
    assert (tree[0].below[1].node.id, tree[0].below[1].node.created_at) == (first.id, clock.now())
    assert await categories.tree(account + 1) == []
    # What is made in another language stands at the top, and may be called like another one.
    await templates.create(account, TemplateText("top", "<p>"))
    assert names(await categories.tree(account)) == [("spring", [("early", []), "first"]), "top", "top"]
    entries = await list_entries(store, account)
    assert ("template_category.create", "api_key:7", str(spring.id)) in [
        (entry.action, entry.actor, entry.target) for entry in entries
    ]
    # The row that the number was taken of is not there.
    assert await count(store, t.template) == 3


async def test_places(templates: Templates, categories: TemplateCategories, account: int) -> None:
    made = {name: await filed(templates, account, name) for name in "abcd"}
    shelf = await categories.create(account, "shelf")

    async def order() -> str:
        return "".join(branch.node.name[0] for branch in await categories.tree(account))

    assert await order() == "abcds"
    for moved, lower, wanted in (
        ("d", "b", "adbcs"),
        ("c", "a", "cadbs"),
        ("c", "c", "cadbs"),
        ("b", None, "cadbs"),
    ):
        below = None if lower is None else made[lower].id
        await templates.move(account, made[moved].id, name=moved, lower=below)
        assert await order() == wanted
    # Categories and templates stand in one row; nobody is placed in front of what is not there.
    await categories.change(account, shelf.id, lower=made["a"].id)
    assert await order() == "csadb"
    await templates.move(account, made["b"].id, name="b", lower=shelf.id)
    assert await order() == "cbsad"
    for nowhere in (0, -1, 10**6, MAX_ID + 1):
        await templates.move(account, made["a"].id, name="a", lower=nowhere)
    assert await order() == "cbsad"
    # Into another category: the last one there, or in front of somebody.
    await templates.move(account, made["c"].id, name="c", category_id=shelf.id)
    await templates.move(account, made["d"].id, name="d", category_id=shelf.id, lower=made["c"].id)
    await templates.move(account, made["a"].id, name="a2", category_id=shelf.id, lower=made["b"].id)
    assert names(await categories.tree(account)) == ["b", ("shelf", ["d", "c", "a2"])]
    # A gap that has been used up is made anew.
    for _ in range(40):
        await templates.move(account, made["c"].id, name="c", lower=made["d"].id)
        await templates.move(account, made["d"].id, name="d", lower=made["c"].id)
    assert names(await categories.tree(account)) == ["b", ("shelf", ["d", "c", "a2"])]


async def test_rows_of_older_versions_have_their_places(
    templates: Templates, categories: TemplateCategories, store: Store, account: int
) -> None:
    """They know nothing of positions: their templates stand by their numbers."""
    made = [await filed(templates, account, name) for name in "abc"]
    async with store.write() as connection:
        await connection.execute(text("UPDATE template SET position = 0"))
    assert names(await categories.tree(account)) == ["a", "b", "c"]
    await templates.move(account, made[2].id, name="c", lower=made[1].id)
    assert names(await categories.tree(account)) == ["a", "c", "b"]


async def test_categories_move_with_all_that_is_in_them(
    templates: Templates, categories: TemplateCategories, account: int
) -> None:
    one, two = [await categories.create(account, name) for name in ("one", "two")]
    inner = await categories.create(account, "inner", one.id)
    await filed(templates, account, "t", inner.id)
    moved = await categories.change(account, one.id, name="uno", parent_id=two.id)
    assert (moved.id, moved.parent_id, moved.name) == (one.id, two.id, "uno")
    assert names(await categories.tree(account)) == [("two", [("uno", [("inner", ["t"])])])]
    for nowhere in (one.id, inner.id):
        with pytest.raises(BadField):
            await categories.change(account, one.id, parent_id=nowhere)
    await categories.change(account, inner.id, parent_id=ROOT, lower=two.id)
    assert names(await categories.tree(account)) == [("inner", ["t"]), ("two", [("uno", [])])]
    unchanged = await categories.change(account, inner.id)
    assert unchanged.name == "inner"


async def test_the_tree_is_not_too_deep(categories: TemplateCategories, account: int) -> None:
    parent, made = ROOT, []
    for level in range(MAX_DEPTH):
        made.append(await categories.create(account, f"c{level}", parent))
        parent = made[-1].id
    with pytest.raises(BadField):
        await categories.create(account, "too deep", parent)
    other = await categories.create(account, "other")
    with pytest.raises(BadField):
        await categories.change(account, made[0].id, parent_id=other.id)
    await categories.change(account, made[1].id, parent_id=other.id)


async def test_names_of_siblings(templates: Templates, categories: TemplateCategories, account: int) -> None:
    shelf = await categories.create(account, "same")
    other = await categories.create(account, "other")
    made = await filed(templates, account, "same")
    below = await filed(templates, account, "same", shelf.id)
    with pytest.raises(ContentTaken):
        await categories.create(account, "same")
    with pytest.raises(ContentTaken):
        await categories.change(account, other.id, name="same")
    with pytest.raises(ContentTaken):
        await filed(templates, account, "same")
    with pytest.raises(ContentTaken):
        await templates.move(account, below.id, name="same", category_id=ROOT)
    # To keep one's name is no second use of it; one that is not in use keeps its name for nobody.
    await categories.change(account, shelf.id, name="same", lower=other.id)
    await templates.move(account, made.id, name="same", lower=shelf.id)
    await templates.use(account, made.id, in_use=False)
    again = await filed(templates, account, "same")
    with pytest.raises(ContentTaken):
        await templates.use(account, made.id, in_use=True)
    with pytest.raises(ContentTaken):
        await templates.edit(account, made.id, {}, description="", in_use=True)
    await templates.move(account, again.id, name="another")
    assert (await templates.use(account, made.id, in_use=True)).filing.in_use
    for _ in range(2):
        await filed(templates, account, "")


async def test_out_of_use_and_back(
    templates: Templates, categories: TemplateCategories, store: Store, account: int, clock: ManualClock
) -> None:
    shelf = await categories.create(account, "shelf")
    file = NewAttachment("a.txt", "text/plain", chunks(b"data"))
    made = await templates.create(account, TemplateText("t", "<p>"), [file], filing=Filing(shelf.id, "what\nfor"))
    clock.advance(7)
    gone = await templates.use(account, made.id, in_use=False, actor=KEY)
    assert gone.filing == Filing(shelf.id, "what\nfor", in_use=False)
    assert gone.updated_at == clock.now()
    assert await templates.use(account, made.id, in_use=False) == gone
    # Nobody sees it who does not ask for it.
    for call in (
        lambda: templates.get(account, made.id),
        lambda: templates.attachments(account, made.id),
        lambda: templates.patch(account, made.id, {}),
        lambda: templates.delete(account, made.id),
        lambda: templates.attach(account, made.id, file),
    ):
        with pytest.raises(NoSuchContent):
            await call()
    assert (await templates.list(account)).total == 0
    assert await templates.get(account, made.id, unused=True) == gone
    assert names(await categories.tree(account)) == [("shelf", ["t"])]
    assert names(await categories.tree(account, unused=False)) == [("shelf", [])]
    # It can be changed, and comes back with its files.
    edited = await templates.edit(account, made.id, {"name": "u", "subject": "s" * 500}, description="")
    assert (edited.text.name, edited.filing) == ("u", Filing(shelf.id, "", in_use=False))
    back = await templates.use(account, made.id, in_use=True)
    assert back == await templates.get(account, made.id)
    assert [item.name for item in await templates.attachments(account, made.id)] == ["a.txt"]
    assert (await templates.list(account)).total == 1
    # What is not known in the other language stays as it is there.
    assert (await templates.patch(account, made.id, {"preheader": "p"})).text.subject == "s" * 500
    with pytest.raises(BadField):
        await templates.patch(account, made.id, {"subject": "s" * 201})
    # An empty category goes, and what is out of use moves to the top.
    with pytest.raises(CategoryNotEmpty):
        await categories.delete(account, shelf.id)
    await templates.edit(account, made.id, {}, description="", in_use=False)
    assert (await categories.delete(account, shelf.id)).name == "shelf"
    assert names(await categories.tree(account)) == ["u"]
    assert (await templates.use(account, made.id, in_use=True)).filing.category_id == ROOT
    assert {entry.action for entry in await list_entries(store, account)} == {
        *("template.create", "template.retire", "template.change", "template.restore"),
        *("template_category.create", "template_category.delete", "account.create"),
    }


async def test_another_account_and_numbers_that_are_none(
    templates: Templates, categories: TemplateCategories, account: int
) -> None:
    shelf = await categories.create(account, "shelf")
    made = await filed(templates, account, "t", shelf.id)
    stranger = account + 1
    for call in (
        lambda: templates.get(stranger, made.id, unused=True),
        lambda: templates.move(stranger, made.id, name="x"),
        lambda: templates.edit(stranger, made.id, {}, description=""),
        lambda: templates.use(stranger, made.id, in_use=False),
        lambda: templates.move(account, made.id, name="t", category_id=made.id),
        lambda: filed(templates, account, "x", made.id),
        lambda: filed(templates, stranger, "x", shelf.id),
        lambda: categories.get(stranger, shelf.id),
        lambda: categories.create(stranger, "x", shelf.id),
        lambda: categories.change(stranger, shelf.id, name="x"),
        lambda: categories.delete(stranger, shelf.id),
        lambda: categories.delete(account, made.id),
        lambda: categories.get(account, 1 << 70),
        lambda: categories.get(account, -1),
        lambda: categories.change(account, shelf.id, parent_id=1 << 70),
        lambda: templates.use(account, shelf.id, in_use=False),
    ):
        with pytest.raises(NoSuchContent):
            await call()
    assert names(await categories.tree(account)) == [("shelf", ["t"])]


async def test_bounds(
    templates: Templates,
    categories: TemplateCategories,
    store: Store,
    account: int,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("", "x" * 256, "a\nb", "\ud800"):
        with pytest.raises(BadField):
            await categories.create(account, name)
    for description in ("x" * 301, "a\0b", "\ud800"):
        with pytest.raises(BadField):
            await templates.create(account, TemplateText("t", "<p>"), filing=Filing(description=description))
    monkeypatch.setattr("ekiden.content.template_categories.MAX_CATEGORIES", 1)
    await categories.create(account, "one")
    with pytest.raises(TooMuchContent):
        await categories.create(account, "two")
    monkeypatch.setattr("ekiden.content.templates.MAX_TEMPLATES", 1)
    monkeypatch.setattr("ekiden.content.templates.MAX_UNUSED", 2)
    made = []
    for name in "abcd":
        clock.advance(1)
        made.append(await filed(templates, account, name))
        with pytest.raises(TooMuchContent):
            await filed(templates, account, "more")
        await templates.use(account, made[-1].id, in_use=False)
    # What has been out of use for longest has gone, with its files.
    async with store.read() as connection:
        left = list(await connection.scalars(select(t.template.c.name).order_by(t.template.c.id)))
    assert left == ["c", "d"]
    await templates.use(account, made[2].id, in_use=True)
    with pytest.raises(TooMuchContent):
        await templates.use(account, made[3].id, in_use=True)
    await filed(templates, account, "e", in_use=False)
    await filed(templates, account, "f", in_use=False)
    assert {branch.node.name for branch in await categories.tree(account)} == {"one", "c", "e", "f"}


@pytest.mark.parametrize(
    ("query", "how"),
    [
        (
            "SELECT id, category_id, position, name, created_at, unused_since FROM template WHERE account_id = 1",
            "ALL",
        ),
        ("SELECT max(position) FROM template WHERE account_id = 1 AND category_id = 0", "ALL"),
        (
            "SELECT id FROM template WHERE account_id = 1 AND category_id = 0 AND name = 'x' AND id <> 5"
            " AND unused_since IS NULL LIMIT 1",
            "ALL",
        ),
        ("SELECT count(*) FROM template WHERE account_id = 1 AND unused_since IS NULL", "ALL"),
        (
            "SELECT id, name FROM template WHERE account_id = 1 AND unused_since IS NULL ORDER BY id DESC LIMIT 20",
            "SEARCH template USING INDEX ix_template_unused (account_id=? AND unused_since=?)",
        ),
    ],
)
def test_what_a_tree_shows_is_read_from_an_index(sqlite_template: Path, query: str, how: str) -> None:
    """Behind a body of megabytes SQLite reads nothing without reading the body."""
    connection = sqlite3.connect(f"file:{sqlite_template}?mode=ro", uri=True)
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")]
    connection.close()
    if how == "ALL":
        assert all("COVERING INDEX" in step for step in steps), steps
    else:
        assert steps == [how]
