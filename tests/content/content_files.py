"""Files as clients send them, and what is left of them in the tables."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import func, select

from ekiden.content.uploads import Upload, Uploads
from ekiden.store.api import Store


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def contents(uploads: Uploads, upload: Upload) -> bytes:
    return b"".join([piece async for piece in uploads.pieces(upload)])


async def count(store: Store, table: Any) -> int:
    async with store.read() as connection:
        return await connection.scalar(select(func.count()).select_from(table)) or 0
