"""Forms with files, part by part: what is read of one, what is skipped, and what is no form."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ekiden.web.multipart import Head, events, parts
from ekiden.web.urlencoded import BadForm

TYPE = 'multipart/form-data; boundary="b"'
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\none\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="C:\\\\x\\\\a.json"\r\n'
    b"Content-Type: application/json; charset=UTF-8\r\nContent-Transfer-Encoding: BINARY\r\n\r\n[1,\r\n2]\r\n"
    b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename*=UTF-8''%EA%B0%80.txt\r\n\r\n\r\n"
    b"--b--\r\nwhat stands behind it"
)


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("read", ["all", "first", "none"])
async def test_parts_are_read_or_skipped(size: int, read: str) -> None:
    heads, contents = [], []
    async for part in parts(pieces(FORM, size), TYPE, 10):
        heads.append(part.head)
        if read != "none":
            contents.append(b"")
            async for chunk in part.chunks():
                contents[-1] += chunk
                if read == "first":
                    break
    assert heads == [
        Head("note", None, "", "", ""),
        Head("file", "a.json", "application/json", "UTF-8", "binary"),
        Head("file", "가.txt", "", "", ""),
    ]
    if read == "all":
        assert contents == [b"one", b"[1,\r\n2]", b""]


@pytest.mark.parametrize(
    ("form", "content_type", "most"),
    [
        (FORM, "multipart/form-data", 10),
        (FORM, TYPE, 2),
        (FORM[:-40], TYPE, 10),
        (b"", TYPE, 10),
        (b"x" + FORM, TYPE, 10),
        (b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n", TYPE, 10),
    ],
)
async def test_what_is_no_form(form: bytes, content_type: str, most: int) -> None:
    with pytest.raises(BadForm):
        async for _ in events(pieces(form, 50), content_type, most):
            pass
