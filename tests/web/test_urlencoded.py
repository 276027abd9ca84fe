"""Forms are read as the library reads them, however they are cut."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.web.errors import TooMany
from ekiden.web.urlencoded import MAX_NAME, BadForm, UrlencodedReader

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def read(body: bytes, cuts: list[int], most: int = 100) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    reader = UrlencodedReader(lambda name, value: found.append((name, value)), most, 1_000)
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        reader.feed(body[start:end])
    reader.close()
    return found


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=5), st.data())
def test_what_was_written_is_read(fields: list[tuple[str, str]], data: st.DataObject) -> None:
    body = urlencode(fields).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    assert read(body, cuts) == fields


@given(st.text("ab%4=1+E_.\r\n", max_size=20), st.data())
def test_signs_without_digits_stand_for_themselves(value: str, data: st.DataObject) -> None:
    body = b"a=" + value.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=4)))
    try:
        [expected] = parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        with pytest.raises(BadForm):
            read(body, cuts)
        return
    assert read(body, cuts) == [expected]


@pytest.mark.parametrize(
    "body",
    [b"to", b"a=b&&c=d", b"\xff=x", b"a=%ff", b"%ff=a", b"a=" + b"x" * 1_001, b"a" * (MAX_NAME + 1) + b"=x"],
)
def test_bad_forms(body: bytes) -> None:
    with pytest.raises(BadForm):
        read(body, [])


def test_fields_are_counted() -> None:
    assert len(read(b"a=b&" * 99 + b"a=b", [])) == 100
    with pytest.raises(TooMany):
        read(b"a=b&" * 100 + b"a=b", [])
