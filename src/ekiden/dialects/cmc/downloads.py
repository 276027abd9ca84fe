"""Lists as files: CSV in a ZIP (contract §4.8). Every value is quoted; UTF-8, lines end with CRLF."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import AsyncIterable, Sequence
from datetime import datetime
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Final

from litestar import Response

from ekiden.core.clock import SECOND
from ekiden.dialects.cmc.http import answer_file

if TYPE_CHECKING:
    from ekiden.dialects.cmc.call import Call

MOST: Final = 100_000
"""Rows of a file, the newest."""


async def answer_csv(
    call: Call, name: str, header: Sequence[str], pieces: AsyncIterable[Sequence[Sequence[str]]]
) -> Response[bytes]:
    """``bounces-20230125_140306.zip``; ``pieces``: rows, some at a time."""
    made = datetime.fromtimestamp(call.now // SECOND, call.zone)
    stem = f"{name}-{made:%Y%m%d_%H%M%S}"
    with SpooledTemporaryFile[bytes](max_size=1_048_576) as file:
        archive = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
        with archive, archive.open(f"{stem}.csv", "w") as member:
            member.write(_lines([header]))
            async for rows in pieces:
                text = _lines(rows)
                await call.work(len(text), partial(member.write, text))
        file.seek(0)
        return answer_file(f"{stem}.zip", file.read())


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(rows)
    return out.getvalue().encode("utf-8", "replace")
