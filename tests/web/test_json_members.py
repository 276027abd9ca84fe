"""Large JSON objects are read as the standard library reads them, whatever the window cuts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.web import json_members
from ekiden.web.json_members import BadJson, JsonObject

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def read(text: bytes, listed: str) -> tuple[dict[str, Any], list[tuple[int, int]]]:
    found: dict[str, Any] = {}
    places = []
    reader = JsonObject(text)
    for name in reader.members():
        if name == listed and reader.is_array():
            start = reader.at
            found[name] = list(reader.elements())
            places.append((start, reader.at))
        else:
            found[name] = reader.value()
    return found, places


@pytest.mark.parametrize("window", [1, 7, 65_536])
def test_it_reads_what_json_reads(window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_members, "_WINDOW", window)

    @given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), st.lists(VALUES, max_size=6), st.booleans())
    def check(others: dict[str, Any], listed: list[Any], spaced: bool) -> None:
        value = {**others, "list": listed, **{name + "~": item for name, item in others.items()}}
        text = json.dumps(value, ensure_ascii=spaced, indent=1 if spaced else None).encode("utf-8", "surrogatepass")
        try:
            text.decode()
        except UnicodeDecodeError:
            return
        found, places = read(text, "list")
        assert found == value
        for start, end in places:
            assert json.loads(text[start:end]) == listed
            assert list(JsonObject(text, start).elements()) == listed

    check()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{",
        b'{"a"',
        b'{"a":',
        b'{"a":1',
        b'{"a":1,}',
        b'{"list":[1,]}',
        b'{"list":[1',
        b'{"a":nul}',
        b'{"a":NaN}',
        b'{"a":1}x',
        b"{a:1}",
        b"{1:1}",
        b'{"a":"\xff"}',
        b'{"a":"\n"}',
        b'{"a":"\xe6\x97',
        b'{"a":' + b"[" * 200_000,
        b'{"list":[' + b"1" * 5_000 + b"]}",
    ],
)
def test_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(BadJson):
        read(text, "list")


def test_what_is_no_number_is_named() -> None:
    with pytest.raises(BadJson, match="-Infinity is not a number of JSON"):
        read(b'{"a":-Infinity}', "list")
