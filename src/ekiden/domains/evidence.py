"""Files that support the answers to a questionnaire: what IBM's support case has as attachments (its seed)."""

from __future__ import annotations

import mimetypes
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import and_, delete, insert, select

from ekiden.domains.errors import BadAnswer
from ekiden.store.tables import domain_evidence as table

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from ekiden.core.clock import Millis
    from ekiden.domains.model import Domain

MAX_FILES: Final = 10
MAX_SIZE: Final = 10_485_760
"""Octets of all files of a domain together."""
MAX_NAME: Final = 255
_QUESTION: Final = "attachments"


class File(NamedTuple):
    """One to keep: its name without folders, and its octets."""

    name: str
    data: bytes


class Evidence(NamedTuple):
    """One that is kept. ``number`` counts from 1."""

    number: int
    name: str
    media_type: str
    size: int
    added_at: Millis


def check_files(files: Sequence[File]) -> None:
    """Raises ``BadAnswer`` for what is too much, or has no name."""
    if len(files) > MAX_FILES:
        raise BadAnswer(_QUESTION, "{question}: there may be {most} files", most=MAX_FILES)
    if sum(len(file.data) for file in files) > MAX_SIZE:
        raise BadAnswer(_QUESTION, "{question}: the files may have {most} octets together", most=MAX_SIZE)
    for file in files:
        bad = not file.name.strip() or len(file.name) > MAX_NAME or "/" in file.name
        if bad or any(unicodedata.category(char) in ("Cc", "Cs") for char in file.name):
            raise BadAnswer(_QUESTION, "{question}: {value} is not the name of a file", value=repr(file.name))


async def replace(connection: AsyncConnection, domain: Domain, files: Sequence[File], now: Millis) -> None:
    """Keep these in the place of all there were."""
    await connection.execute(delete(table).where(_of(domain)))
    rows = [
        {
            "account_id": domain.account_id,
            "domain_id": domain.id,
            "number": number,
            "name": file.name,
            "media_type": mimetypes.guess_type(file.name)[0] or "application/octet-stream",
            "size": len(file.data),
            "added_at": now,
            "data": file.data,
        }
        for number, file in enumerate(files, 1)
    ]
    if rows:
        await connection.execute(insert(table), rows)


async def find(connection: AsyncConnection, domain: Domain) -> list[Evidence]:
    """In their order."""
    columns = [table.c[name] for name in Evidence._fields]
    rows = await connection.execute(select(*columns).where(_of(domain)).order_by(table.c.number))
    return [Evidence(*row) for row in rows]


async def read(connection: AsyncConnection, domain: Domain, number: int) -> bytes | None:
    """The octets of one; ``None``: there is none of that number."""
    found: bytes | None = await connection.scalar(select(table.c.data).where(_of(domain), table.c.number == number))
    return found


def _of(domain: Domain) -> Any:
    return and_(table.c.account_id == domain.account_id, table.c.domain_id == domain.id)
