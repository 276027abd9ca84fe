"""A tree that goes out as a file and comes in again, here or in another account; and workers that end midway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from content_files import chunks, contents, count
from sqlalchemy import select, update

from ekiden.access.accounts import create_account
from ekiden.content.errors import ImportBroken, NoSuchContent, TooMuchContent
from ekiden.content.template_categories import Branch, TemplateCategories
from ekiden.content.template_exports import MAX_KEPT, MAX_WAITING, ExportState, TemplateExports
from ekiden.content.template_imports import TemplateImports
from ekiden.content.template_text import TemplateText
from ekiden.content.templates import Filing, Templates
from ekiden.content.uploads import MAX_VALIDITY, PIECE, Uploads
from ekiden.limits.workshop import Workshop
from ekiden.store import tables as t
from ekiden.store.api import Store
from ekiden.store.retention import RetentionConfig, prune
from ekiden.store.workers import end
from support.manual_clock import ManualClock


@pytest.fixture
async def exports(
    store: Store, clock: ManualClock, templates: Templates, categories: TemplateCategories, uploads: Uploads
) -> TemplateExports:
    return await a_worker(store, clock, templates, categories, uploads)


async def a_worker(
    store: Store, clock: ManualClock, templates: Templates, categories: TemplateCategories, uploads: Uploads
) -> TemplateExports:
    worker = await store.register_worker("node.example", 1, clock.now(), 3_600_000)
    return TemplateExports(store, clock, worker.id, templates, categories, uploads, Workshop())


async def exported(exports: TemplateExports, uploads: Uploads, account: int) -> bytes:
    number = await exports.request(account)
    while await exports.work():
        pass
    return await contents(uploads, await exports.open(account, number))


async def states(exports: TemplateExports, account: int) -> dict[int, ExportState]:
    return {item.id: item.state for item in (await exports.list(account)).items}


def shown(branches: list[Branch]) -> list[object]:
    return [
        (branch.node.name, branch.node.is_category, branch.node.in_use, shown(branch.below)) for branch in branches
    ]


async def test_there_and_back(
    templates: Templates,
    categories: TemplateCategories,
    uploads: Uploads,
    exports: TemplateExports,
    imports: TemplateImports,
    store: Store,
    account: int,
    clock: ManualClock,
) -> None:
    spring = await categories.create(account, "봄 / 春")
    early = await categories.create(account, "early", spring.id)
    await categories.create(account, "empty", spring.id)
    large = '<p>"\\\n春🎏' * 90_000
    for text, filing in (
        (TemplateText("plain", "<p>", sender="a@x.example", subject="s" * 500), Filing()),
        (TemplateText("large", large, sender='"a, b" <a@x.example>'), Filing(early.id, "what\nfor")),
        (TemplateText("gone", "<p>", reply_to="b@x.example", preheader="p"), Filing(spring.id, in_use=False)),
        (TemplateText("gone", "<p>", sender="{{shop}} <{{a}}@x.example>"), Filing(spring.id, in_use=False)),
        (TemplateText("", "<b>"), Filing()),
        (TemplateText("last", "<p>"), Filing(spring.id)),
    ):
        await templates.create(account, text, filing=filing)
    tree = await categories.tree(account)
    await templates.move(account, tree[-1].node.id, name="", lower=spring.id)
    file = await exported(exports, uploads, account)
    assert len(file) > PIECE
    assert json.loads(file)["contents"][0]["name"] == ""

    other = (await create_account(store, "other", clock.now())).id
    made = await imports.take(await imports.receive(other, chunks(file[:1000], file[1000:])))
    assert shown(made) == shown(await categories.tree(other)) == shown(await categories.tree(account))
    assert await exported(exports, uploads, other) == file
    # Twice the same is refused with its first name, and nothing of the file stays in the store.
    with pytest.raises(ImportBroken, match="春"):
        await imports.take(await imports.receive(other, chunks(file)))
    assert len(await categories.tree(other)) == len(await categories.tree(account)) + 1
    assert await count(store, t.upload) == 2


async def test_what_stands_before_a_mistake_stays(
    imports: TemplateImports, categories: TemplateCategories, store: Store, account: int
) -> None:
    item = {"body": "<p>", "title": "t", "senderAddress": "a@x.example"}
    nodes = [
        {"name": "c", "templates": [{**item, "name": "one", "landingPage": "1_2"}]},
        {**item, "name": "two"},
        {**item, "name": "faulty", "body": ""},
        {**item, "name": "three"},
    ]
    with pytest.raises(ImportBroken, match=r"^faulty: body .*everything before that has been imported$") as raised:
        await imports.take(await imports.receive(account, chunks(json.dumps(nodes).encode())))
    assert "それより前の内容はインポートされました" in raised.value.text("ja")
    wanted = [("c", True, True, [("one", False, True, [])]), ("two", False, True, [])]
    assert shown(await categories.tree(account)) == wanted
    with pytest.raises(ImportBroken):
        await imports.take(await imports.receive(account, chunks(b"nonsense")))
    assert await count(store, t.upload) == await count(store, t.upload_piece) == 0


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"title": "two\nlines"}, "^faulty: title has"),
        ({"senderAddress": "nobody"}, "^faulty: senderAddress is"),
        ({"senderAddress": "a@x.example", "senderName": "n\n"}, "^faulty: senderAddress is"),
        ({"name": "", "preheader": "p" * 76}, r"^\(\?\): preheader has"),
        ({"replyTo": "nobody"}, "^faulty: replyTo is"),
    ],
)
async def test_a_mistake_is_told_of_whose_it_is(
    imports: TemplateImports, account: int, wrong: dict[str, str], told: str
) -> None:
    """And with the names that the file has for it."""
    item = {"body": "<p>", "title": "t", "senderAddress": "a@x.example"}
    nodes = [{**item, "name": "good"}, {**item, "name": "faulty", **wrong}]
    with pytest.raises(ImportBroken, match=told):
        await imports.take(await imports.receive(account, chunks(json.dumps(nodes).encode())))


async def test_names_that_are_not_told_apart_here_are_so_in_the_file(
    templates: Templates,
    categories: TemplateCategories,
    uploads: Uploads,
    exports: TemplateExports,
    imports: TemplateImports,
    store: Store,
    account: int,
    clock: ManualClock,
) -> None:
    """Templates that are not filed may have one name."""
    long = "n" * 255
    for name in ("a", "a", "a 2", "a", "", "", long, long):
        await templates.create(account, TemplateText(name, "<p>"))
    await categories.create(account, "a")
    await templates.create(account, TemplateText("a", "<p>"), filing=Filing(in_use=False))
    file = await exported(exports, uploads, account)
    wanted = ["a", "a 3", "a 2", "a 4", "", "", long, f"{'n' * 253} 2", "a", "a"]
    assert [item["name"] for item in json.loads(file)["contents"]] == wanted
    other = (await create_account(store, "other", clock.now())).id
    await imports.take(await imports.receive(other, chunks(file)))
    assert await exported(exports, uploads, other) == file


async def test_states_of_an_export(
    exports: TemplateExports, templates: Templates, store: Store, account: int, clock: ManualClock
) -> None:
    await templates.create(account, TemplateText("t", "<p>"), filing=Filing())
    first = await exports.request(account)
    clock.advance(5)
    second = await exports.request(account)
    assert await states(exports, account) == {first: ExportState.WAITING, second: ExportState.WAITING}
    with pytest.raises(NoSuchContent):
        await exports.open(account, first)
    clock.advance(58_521)
    assert await exports.work()
    page = await exports.list(account, [("state", True), ("id", False)])
    assert [(item.id, item.state) for item in page.items] == [
        (first, ExportState.DONE),
        (second, ExportState.WAITING),
    ]
    assert page.total == 2
    assert (page.items[0].requested_at, page.items[0].completed_at) == (clock.now() - 58_526, clock.now())
    for order, wanted in (
        ((("id", False),), [first, second]),
        ((("requested_at", True),), [second, first]),
        ((), [second, first]),
    ):
        assert [item.id for item in (await exports.list(account, order)).items] == wanted
    assert [item.id for item in (await exports.list(account, offset=1, limit=1)).items] == [first]
    assert (await exports.open(account, first)).expires_at == clock.now() + MAX_VALIDITY
    for stranger, number in ((account + 1, first), (account, second), (account, 0), (account, 1 << 70)):
        with pytest.raises(NoSuchContent):
            await exports.open(stranger, number)
    assert await exports.work()
    assert not await exports.work()
    clock.advance(MAX_VALIDITY)
    assert await states(exports, account) == {first: ExportState.EXPIRED, second: ExportState.EXPIRED}
    with pytest.raises(NoSuchContent):
        await exports.open(account, first)
    # They are listed for a while, and then go with their files.
    clock.advance(3_600_000)
    await prune(store, clock.now(), RetentionConfig())
    assert (await exports.list(account)).total == 2
    assert await count(store, t.upload) == 0
    clock.advance(31 * 86_400_000)
    await exports.request(account)
    await prune(store, clock.now(), RetentionConfig())
    assert (await exports.list(account)).total == 1


async def test_few_wait_and_few_are_kept(
    exports: TemplateExports, uploads: Uploads, store: Store, account: int
) -> None:
    for _ in range(MAX_WAITING):
        await exports.request(account)
    with pytest.raises(TooMuchContent):
        await exports.request(account)
    other = (await create_account(store, "other", 0)).id
    theirs = await exports.request(other)
    made = []
    for _ in range(MAX_KEPT + 1):
        while await exports.work():
            pass
        made.append(await exports.request(account))
    while await exports.work():
        pass
    found = await states(exports, account)
    assert sorted(number for number, state in found.items() if state is ExportState.DONE) == made[-MAX_KEPT:]
    assert await contents(uploads, await exports.open(other, theirs)) == b'{"contents":[]}\n'
    gone = min(found)
    for owner, number in ((account, gone), (other, made[-1])):
        with pytest.raises(NoSuchContent, match=f"^there is no file of export {number}$"):
            await exports.open(owner, number)


async def test_no_room_for_a_file(
    templates: Templates, categories: TemplateCategories, store: Store, account: int, clock: ManualClock
) -> None:
    small = Uploads(store, clock, room=10)
    exports = await a_worker(store, clock, templates, categories, small)
    number = await exports.request(account)
    assert await exports.work()
    assert await states(exports, account) == {number: ExportState.EXPIRED}
    assert await count(store, t.upload) == 0


async def test_a_worker_ends_midway(
    exports: TemplateExports,
    templates: Templates,
    categories: TemplateCategories,
    uploads: Uploads,
    store: Store,
    account: int,
    clock: ManualClock,
) -> None:
    await templates.create(account, TemplateText("t", "<p>"), filing=Filing())
    number = await exports.request(account)
    reached, go_on = asyncio.Event(), asyncio.Event()

    class Slow(TemplateCategories):
        async def tree(self, account_id: int, *, unused: bool = True) -> list[Branch]:
            reached.set()
            await go_on.wait()
            return await super().tree(account_id, unused=unused)

    slow = await a_worker(store, clock, templates, Slow(store, clock), uploads)
    hanging = asyncio.create_task(slow.work())
    await asyncio.wait_for(reached.wait(), 30)
    assert await states(exports, account) == {number: ExportState.WRITING}
    # It lives, so nobody takes over from it.
    assert not await exports.work()
    async with store.read() as connection:
        owner = await connection.scalar(select(t.template_export.c.owner))
    async with store.write() as connection:
        await end(connection, owner, clock.now())
    assert await exports.work()
    assert await states(exports, account) == {number: ExportState.DONE}
    file = await contents(uploads, await exports.open(account, number))
    # What comes back of the one that was believed to be gone changes nothing.
    await templates.create(account, TemplateText("u", "<p>"), filing=Filing())
    go_on.set()
    assert await hanging
    assert await contents(uploads, await exports.open(account, number)) == file
    assert await count(store, t.upload) == 1


async def test_a_store_that_was_away(exports: TemplateExports, store: Store, account: int) -> None:
    """What this worker had claimed and could not finish it takes again."""
    number = await exports.request(account)
    assert await exports.work()
    async with store.write() as connection:
        owner = await connection.scalar(select(t.worker.c.id))
        again = {"completed_at": None, "owner": owner, "upload_uid": "", "expires_at": None}
        await connection.execute(update(t.template_export).values(again))
    assert await states(exports, account) == {number: ExportState.WRITING}
    exports.renewed(owner or 0)
    assert await exports.work()
    assert await states(exports, account) == {number: ExportState.DONE}


async def test_a_client_that_goes_away_leaves_nothing(imports: TemplateImports, store: Store, account: int) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * (PIECE + 1)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await imports.receive(account, broken())
    assert await count(store, t.upload) == await count(store, t.upload_piece) == 0
