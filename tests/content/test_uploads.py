"""Files that come a piece at a time, are seen only as a whole, and go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from content_files import chunks, contents, count
from sqlalchemy import func, select, update

from ekiden.content.errors import BadField, NoSuchContent, TooMuchContent
from ekiden.content.uploads import MAX_VALIDITY, MIN_VALIDITY, PIECE, Uploads
from ekiden.core.clock import MINUTE
from ekiden.store import tables as t
from ekiden.store.api import Store
from support.manual_clock import ManualClock


async def test_a_file_is_read_as_it_came(uploads: Uploads, store: Store, account: int, clock: ManualClock) -> None:
    parts = [b"a" * 700_000, b"", b"b" * 2_500_000, b"c"]
    made = await uploads.store(account, "B44419", "報告.pdf", "application/pdf", MIN_VALIDITY, chunks(*parts))
    assert (made.uid, made.name, made.media_type, made.size) == ("B44419", "報告.pdf", "application/pdf", 3_200_001)
    assert made.expires_at == clock.now() + MIN_VALIDITY
    assert await uploads.open(account, "B44419") == made
    assert await contents(uploads, made) == b"".join(parts)
    async with store.read() as connection:
        sizes = [len(data) for data in await connection.scalars(select(t.upload_piece.c.data))]
    assert sizes == [PIECE, PIECE, PIECE, 3_200_001 - 3 * PIECE]
    with pytest.raises(NoSuchContent):
        await uploads.open(account + 1, "B44419")


async def test_a_uid_is_made_when_none_is_given(uploads: Uploads, account: int, clock: ManualClock) -> None:
    first, second = [await uploads.store(account, None, "f", "text/plain", None, chunks(b"x")) for _ in range(2)]
    assert first.uid != second.uid
    assert await uploads.open(account, first.uid) == first
    assert first.expires_at == clock.now() + MAX_VALIDITY


async def test_an_empty_file(uploads: Uploads, account: int) -> None:
    made = await uploads.store(account, "nothing", "f", "text/plain", None, chunks())
    assert made.size == 0
    assert await contents(uploads, made) == b""


async def test_the_last_complete_file_of_a_uid_counts(uploads: Uploads, account: int) -> None:
    old = await uploads.store(account, "x", "old", "text/plain", None, chunks(b"old"))
    reading = uploads.pieces(old)
    new = await uploads.store(account, "x", "new", "text/plain", None, chunks(b"new"))
    assert await uploads.open(account, "x") == new
    assert await contents(uploads, new) == b"new"
    # Whoever was about to read the old one is not disturbed.
    assert [piece async for piece in reading] == [b"old"]


async def test_files_of_the_same_uid_at_the_same_time(uploads: Uploads, account: int) -> None:
    made = await asyncio.gather(
        *(uploads.store(account, "x", f"f{n}", "text/plain", None, chunks(b"%d" % n)) for n in range(6))
    )
    assert await uploads.open(account, "x") in made


async def test_a_templates_attachment_is_not_replaced_by_a_file_of_its_id(
    uploads: Uploads, store: Store, account: int
) -> None:
    made = await uploads.store(account, "x", "f", "text/plain", None, chunks(b"attached"))
    async with store.write() as connection:
        await connection.execute(update(t.upload).values(template_id=5, expires_at=None))
    with pytest.raises(BadField, match="uid"):
        await uploads.store(account, "x", "f", "text/plain", None, chunks(b"other"))
    assert await uploads.of_template(5) == [replace(made, template_id=5, expires_at=None)]


async def test_nobody_sees_a_file_before_its_end(uploads: Uploads, store: Store, account: int) -> None:
    gate = asyncio.Event()
    begun = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"x" * PIECE
        begun.set()
        await gate.wait()
        yield b"y"

    task = asyncio.create_task(uploads.store(account, "slow", "f", "text/plain", None, slowly()))
    await begun.wait()
    with pytest.raises(NoSuchContent):
        await uploads.open(account, "slow")
    # Nobody waits for the client while it may write: another file gets in.
    other = await uploads.store(account, "quick", "f", "text/plain", None, chunks(b"z"))
    async with store.read() as connection:
        names = list(await connection.scalars(select(t.upload.c.uid)))
    for name in names:
        if name != other.uid:
            with pytest.raises(NoSuchContent):
                await uploads.open(account, name)
    gate.set()
    assert (await task).size == PIECE + 1


async def test_nothing_stays_of_a_file_that_breaks_off(uploads: Uploads, store: Store, account: int) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * (PIECE + 1)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await uploads.store(account, "x", "f", "text/plain", None, broken())
    assert await count(store, t.upload) == await count(store, t.upload_piece) == 0


async def test_a_client_that_goes_away(uploads: Uploads, store: Store, account: int) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * PIECE
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(uploads.store(account, "x", "f", "text/plain", None, endless()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await count(store, t.upload) == await count(store, t.upload_piece) == 0


async def test_what_retention_took_while_it_came(uploads: Uploads, store: Store, account: int) -> None:
    async def interrupted() -> AsyncIterator[bytes]:
        yield b"x" * PIECE
        async with store.write() as connection:
            await connection.execute(t.upload_piece.delete())
            await connection.execute(t.upload.delete())
        yield b"y" * PIECE

    with pytest.raises(NoSuchContent):
        await uploads.store(account, "x", "f", "text/plain", None, interrupted())
    assert await count(store, t.upload_piece) == 0


async def test_files_expire(uploads: Uploads, account: int, clock: ManualClock) -> None:
    await uploads.store(account, "x", "f", "text/plain", MIN_VALIDITY, chunks(b"x"))
    clock.advance(MIN_VALIDITY - 1)
    await uploads.open(account, "x")
    clock.advance(1)
    with pytest.raises(NoSuchContent):
        await uploads.open(account, "x")


async def test_bounds(store: Store, account: int, clock: ManualClock) -> None:
    small = Uploads(store, clock, largest=10, room=15)
    await small.store(account, "a", "f", "text/plain", None, chunks(b"12345", b"67890"))
    with pytest.raises(TooMuchContent, match="at most 10 bytes"):
        await small.store(account, "b", "f", "text/plain", None, chunks(b"12345678901"))
    with pytest.raises(TooMuchContent, match="15 bytes in all"):
        await small.store(account, "b", "f", "text/plain", None, chunks(b"123456"))
    await small.store(account, "b", "f", "text/plain", None, chunks(b"12345"))
    async with store.read() as connection:
        assert await connection.scalar(select(func.sum(t.upload.c.size))) == 15


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("uid", {"uid": ""}),
        ("uid", {"uid": " x"}),
        ("uid", {"uid": "x" * 201}),
        ("uid", {"uid": "a\r\nb"}),
        ("name", {"name": ""}),
        ("name", {"name": "a\nb"}),
        ("media_type", {"media_type": "pdf"}),
        ("media_type", {"media_type": "text/plain\r\nX-Evil: 1"}),
        ("media_type", {"media_type": "text/plain; charset"}),
        ("validity", {"validity": MIN_VALIDITY - MINUTE}),
        ("validity", {"validity": MAX_VALIDITY + MINUTE}),
    ],
)
async def test_values_that_cannot_be_taken(
    uploads: Uploads, account: int, field: str, change: dict[str, str]
) -> None:
    values = {"uid": "u", "name": "f", "media_type": 'text/plain; charset="utf-8"', "validity": None, **change}
    with pytest.raises(BadField) as raised:
        await uploads.store(account, chunks=chunks(b"x"), **values)  # type: ignore[arg-type]
    assert raised.value.field == field
    assert raised.value.text("ja") != raised.value.text("en")


@pytest.mark.parametrize("uid", ["", " x", "\0", "none", "\ud800"])
async def test_no_such_uid(uploads: Uploads, account: int, uid: str) -> None:
    with pytest.raises(NoSuchContent):
        await uploads.open(account, uid)


async def test_a_file_that_goes_while_it_is_read(uploads: Uploads, store: Store, account: int) -> None:
    made = await uploads.store(account, "x", "f", "text/plain", None, chunks(b"x" * (PIECE + 1)))
    reading = uploads.pieces(made)
    assert len(await anext(reading)) == PIECE
    async with store.write() as connection:
        await connection.execute(t.upload_piece.delete())
    with pytest.raises(NoSuchContent):
        await anext(reading)


async def test_what_was_published_is_never_discarded(uploads: Uploads, store: Store, account: int) -> None:
    """The commit of a request that was told no may have succeeded all the same."""
    received = await uploads.receive(account, "f", "text/plain", chunks(b"x"))
    async with store.write() as connection:
        made = await uploads.publish(connection, received)
    await uploads.discard(received)
    assert await contents(uploads, made) == b"x"
    async with store.write() as connection:
        await connection.execute(update(t.upload).values(uid=" gone"))
    await uploads.discard(received)
    assert await count(store, t.upload_piece) == 0
