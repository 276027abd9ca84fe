"""What is counted before it is decoded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.web.errors import TooDeep, TooMany
from ekiden.web.json_gauge import MAX_ESCAPES, MAX_PLAIN, JsonGauge, measure

TEXTS = st.text('a"\\{}[],:\n日', max_size=6)
VALUES = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=30,
)


def values(value: Any) -> int:
    if not isinstance(value, list | dict):
        return 0
    inner = list(value.values()) if isinstance(value, dict) else value
    return 1 + max(0, len(inner) - 1) + sum(map(values, inner))


def depth(value: Any) -> int:
    if not isinstance(value, list | dict):
        return 0
    return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)


def fits(text: bytes, most: int, deep: int, cuts: list[int]) -> bool:
    gauge = JsonGauge(most, deep)
    try:
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            gauge.feed(text[start:end])
    except (TooMany, TooDeep):
        return False
    return True


@given(VALUES, st.booleans(), st.data())
def test_counts_are_right_wherever_the_text_is_cut(value: Any, ascii_only: bool, data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    assert fits(text, values(value), depth(value), cuts)
    if values(value):
        assert not fits(text, values(value) - 1, depth(value), cuts)
        assert not fits(text, values(value), depth(value) - 1, cuts)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":"' + b"\\n" * (MAX_ESCAPES + 1),
        b"[" + b"1" * (MAX_PLAIN + 1),
        b'"' * 5_000,
        b" " * (MAX_PLAIN + 1),
        b"{}," * 2_000,
    ],
)
def test_what_costs_without_being_a_value(text: bytes) -> None:
    with pytest.raises(TooMany):
        measure(text, 1_000, 16)


def test_depth() -> None:
    measure(b"[" * 16 + b"]" * 16, 1_000, 16)
    with pytest.raises(TooDeep):
        measure(b"[" * 17, 1_000, 16)
    with pytest.raises(TooDeep):
        measure(b'{"a":[' * 9, 1_000, 16)
