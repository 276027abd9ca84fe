"""Templates with their files: whole or not at all, and nothing in them that could break a header."""

from __future__ import annotations

import pytest
from content_files import chunks, contents, count
from sqlalchemy import insert, select

from ekiden.access.audit import Actor, list_entries
from ekiden.content.errors import BadField, NoSuchContent, TooMuchContent
from ekiden.content.template_text import TemplateText
from ekiden.content.templates import MAX_ATTACHMENTS, NewAttachment, Templates
from ekiden.content.uploads import Uploads
from ekiden.store import tables as t
from ekiden.store.api import Store
from support.manual_clock import ManualClock

KEY = Actor("api_key:7", "192.0.2.1")
SPRING = TemplateText(
    name="spring",
    html="<p>Hello {{name}} 👋</p>",
    sender="Shop <news@shop.example>",
    reply_to="a@shop.example, b@shop.example",
    subject="Spring 👩‍💻 sale",
    preheader="春",
)


def file(name: str = "a.txt", data: bytes = b"data") -> NewAttachment:
    return NewAttachment(name, "text/plain", chunks(data))


async def test_a_template_from_its_first_day_to_its_last(
    templates: Templates, store: Store, account: int, clock: ManualClock
) -> None:
    made = await templates.create(account, SPRING, actor=KEY)
    assert (made.text, made.created_at, made.updated_at) == (SPRING, clock.now(), clock.now())
    assert await templates.get(account, made.id) == made
    clock.advance(5)
    other = TemplateText("summer", "<p>x</p>")
    assert (await templates.replace(account, made.id, other, actor=KEY)).text == other
    patched = await templates.patch(account, made.id, {"subject": "Sun"}, actor=KEY)
    assert patched.text == TemplateText("summer", "<p>x</p>", subject="Sun")
    assert (patched.created_at, patched.updated_at) == (made.created_at, clock.now())
    await templates.delete(account, made.id, actor=KEY)
    with pytest.raises(NoSuchContent):
        await templates.get(account, made.id)
    entries = await list_entries(store, account)
    assert [(entry.action, entry.actor, entry.target) for entry in entries[:4]] == [
        ("template.delete", "api_key:7", str(made.id)),
        ("template.change", "api_key:7", str(made.id)),
        ("template.change", "api_key:7", str(made.id)),
        ("template.create", "api_key:7", str(made.id)),
    ]


async def test_lists_come_in_pages(templates: Templates, account: int) -> None:
    made = [await templates.create(account, TemplateText(f"t{n}", "<p>")) for n in range(5)]
    await templates.create(account + 1, TemplateText("theirs", "<p>"))
    page = await templates.list(account, offset=1, limit=3)
    assert page.total == 5
    assert [item.id for item in page.items] == [template.id for template in made[3:0:-1]]
    assert page.items[0].name == "t3"
    assert (await templates.list(account, offset=9)).items == []


async def test_another_account_has_nothing_to_do_with_it(templates: Templates, account: int) -> None:
    made = await templates.create(account, SPRING, [file()])
    (attachment,) = await templates.attachments(account, made.id)
    stranger = account + 1
    for call in (
        lambda: templates.get(stranger, made.id),
        lambda: templates.replace(stranger, made.id, SPRING),
        lambda: templates.patch(stranger, made.id, {}),
        lambda: templates.delete(stranger, made.id),
        lambda: templates.attachments(stranger, made.id),
        lambda: templates.attach(stranger, made.id, file()),
        lambda: templates.detach(stranger, made.id, attachment.uid),
        lambda: templates.get(account, 1 << 70),
        lambda: templates.get(account, -1),
    ):
        with pytest.raises(NoSuchContent):
            await call()
    assert await templates.get(account, made.id) == made


async def test_attachments(
    templates: Templates, uploads: Uploads, store: Store, account: int, clock: ManualClock
) -> None:
    made = await templates.create(account, SPRING, [file("a.txt", b"one"), file("b.txt", b"two")])
    first, second = await templates.attachments(account, made.id)
    assert (first.name, first.expires_at, await contents(uploads, second)) == ("a.txt", None, b"two")
    third = await templates.attach(account, made.id, file("c.txt", b"three"))
    await templates.detach(account, made.id, first.uid)
    assert await templates.attachments(account, made.id) == [second, third]
    for uid in (first.uid, "x", "\0", ""):
        with pytest.raises(NoSuchContent):
            await templates.detach(account, made.id, uid)
    await templates.replace(account, made.id, SPRING)
    assert await templates.attachments(account, made.id) == [second, third]
    await templates.patch(account, made.id, {}, [file("d.txt", b"four")])
    assert [item.name for item in await templates.attachments(account, made.id)] == ["d.txt"]
    await templates.delete(account, made.id)
    # They are read to their ends by those who have begun, and then expire.
    async with store.read() as connection:
        rows = (await connection.execute(select(t.upload.c.template_id, t.upload.c.expires_at))).all()
    assert len(rows) == 4
    assert all(row.template_id is None and row.expires_at == clock.now() for row in rows)


async def test_all_of_it_or_nothing(templates: Templates, store: Store, account: int) -> None:
    wrong = NewAttachment("b.txt", "no type", chunks(b"x"))
    with pytest.raises(BadField):
        await templates.create(account, SPRING, [file(), wrong])
    missing = TemplateText("t", "<p>", landing_page="1_2")
    with pytest.raises(BadField, match="1_2"):
        await templates.create(account, missing, [file()])
    made = await templates.create(account, SPRING, [file()])
    with pytest.raises(BadField):
        await templates.replace(account, made.id, missing, [file(), file()])
    with pytest.raises(BadField):
        await templates.patch(account, made.id, {"id": "7"})
    assert await templates.get(account, made.id) == made
    assert await count(store, t.upload) == await count(store, t.upload_piece) == await count(store, t.template) == 1


async def test_a_landing_page_of_the_account(templates: Templates, store: Store, account: int) -> None:
    page = {"uid": "1_2", "name": "n", "html": "", "created_at": 0, "updated_at": 0}
    async with store.write() as connection:
        await connection.execute(insert(t.landing_page).values(account_id=account, **page))
    made = await templates.create(account, TemplateText("t", "<p>", landing_page="1_2"))
    assert made.text.landing_page == "1_2"
    with pytest.raises(BadField):
        await templates.create(account + 1, TemplateText("t", "<p>", landing_page="1_2"))


async def test_bounds(templates: Templates, account: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TooMuchContent):
        await templates.create(account, SPRING, [file() for _ in range(MAX_ATTACHMENTS + 1)])
    made = await templates.create(account, SPRING, [file() for _ in range(MAX_ATTACHMENTS)])
    with pytest.raises(TooMuchContent):
        await templates.attach(account, made.id, file())
    monkeypatch.setattr("ekiden.content.templates.MAX_ATTACHED", 10)
    with pytest.raises(TooMuchContent):
        await templates.create(account, SPRING, [file(), file(), file()])
    monkeypatch.setattr("ekiden.content.templates.MAX_TEMPLATES", 1)
    with pytest.raises(TooMuchContent):
        await templates.create(account, SPRING)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "x" * 256),
        ("name", "a\0b"),
        ("subject", "x" * 201),
        ("subject", "Hello\r\nBcc: all@victim.example"),
        ("subject", "a\u2028b"),
        ("preheader", "x" * 76),
        ("sender", "news@shop.example\r\nBcc: all@victim.example"),
        ("sender", "no address"),
        ("sender", "a@x.example, b@x.example"),
        ("sender", "{{name}}\n <a@x.example>"),
        ("reply_to", "nobody"),
        ("landing_page", "1\n2"),
        ("html", ""),
        ("html", "a\0b"),
        ("html", "\ud800"),
        ("html", "x" * (10 * 1024 * 1024 + 1)),
    ],
)
async def test_values_that_cannot_be_taken(templates: Templates, account: int, field: str, value: str) -> None:
    made = await templates.create(account, SPRING)
    with pytest.raises(BadField) as raised:
        await templates.patch(account, made.id, {field: value})
    assert raised.value.field == field
    assert await templates.get(account, made.id) == made


async def test_senders_may_have_placeholders(templates: Templates, account: int) -> None:
    text = TemplateText("t", "<p>", sender="{{shop}} <news@{{domain}}>", reply_to="{{reply}}")
    assert (await templates.create(account, text)).text == text
