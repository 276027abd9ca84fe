"""Canonical forms: the RFC's example, a table of edges, and a second implementation that goes line by line."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ekiden.sender_auth.canonical import (
    SLICE,
    BodyHash,
    Canonicalization,
    canonical_body,
    canonical_field,
    field_name,
    split_fields,
)
from ekiden.sender_auth.dkim_sign import hash_body

OCTETS = st.lists(
    st.sampled_from([b"a", b"\xe9", b" ", b"\t", b"\r", b"\n", b"\r\n", b":", b"\0"]), max_size=24
).map(b"".join)


def by_lines(body: bytes, how: Canonicalization) -> bytes:
    lines = body.split(b"\r\n")
    if how == "relaxed":
        lines = [re.sub(rb"[ \t]+", b" ", line).removesuffix(b" ") for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines) or (b"\r\n" if how == "simple" else b"")


@pytest.mark.parametrize("how", ["simple", "relaxed"])
@given(body=OCTETS)
@example(body=b"\r\n")
@example(body=b"a\r\r\n\r\n")
@example(body=b"a\r\n\n\r\n\r\n")
@example(body=b"a\n\r\n\r\n")
@example(body=b"\n\r\n")
@example(body=b"\r\r\n\r")
@example(body=b" \t")
def test_bodies_like_line_by_line(body: bytes, how: Canonicalization) -> None:
    assert canonical_body(body, how) == by_lines(body, how)


@pytest.mark.parametrize("how", ["simple", "relaxed"])
@given(pieces=st.lists(OCTETS, max_size=5))
@example(pieces=[b"a ", b" \r", b"\n ", b"\r\n"])
@example(pieces=[b"\r\n", b" ", b"\t"])
@example(pieces=[b"a\r\n\r", b"\n\r", b"\r\n"])
def test_a_body_in_slices_has_the_same_hash(pieces: list[bytes], how: Canonicalization) -> None:
    sliced = BodyHash(how)
    for piece in pieces:
        sliced.update(piece)
    assert sliced.digest() == hashlib.sha256(canonical_body(b"".join(pieces), how)).digest()


@pytest.mark.parametrize("how", ["simple", "relaxed"])
@given(pieces=st.lists(OCTETS, max_size=5), lengths=st.sets(st.integers(0, 60), max_size=4))
@example(pieces=[], lengths={0, 1, 2, 3})
@example(pieces=[b"a\r\n", b"\r\n", b"b"], lengths={3, 4, 5, 8})
def test_beginnings_of_a_body_are_hashed_with_it(
    pieces: list[bytes], lengths: set[int], how: Canonicalization
) -> None:
    sliced = BodyHash(how, lengths)
    for piece in pieces:
        sliced.update(piece)
    whole = canonical_body(b"".join(pieces), how)
    assert sliced.digest() == hashlib.sha256(whole).digest()
    assert sliced.octets == len(whole)
    assert sliced.beginnings == {
        length: hashlib.sha256(whole[:length]).digest() for length in lengths if length <= len(whole)
    }


@pytest.mark.parametrize("unit", [b"\r\n", b" \r\n", b"a  \t", b"\r", b"a \r\n", b" "])
def test_large_bodies_are_hashed_in_slices(unit: bytes) -> None:
    body = unit * (3 * SLICE // len(unit)) + b"end  \r\n\r\n"
    for how in ("simple", "relaxed"):
        assert hash_body(body, (), how) == b64encode(hashlib.sha256(canonical_body(body, how)).digest())


@given(OCTETS)
def test_a_canonical_body_is_its_own_canonical_form(body: bytes) -> None:
    for how in ("simple", "relaxed"):
        once = canonical_body(body, how)
        assert canonical_body(once, how) == once


@pytest.mark.parametrize(
    ("body", "simple", "relaxed"),
    [
        (b"", b"\r\n", b""),
        (b"\r\n", b"\r\n", b""),
        (b"\r\n\r\n\r\n", b"\r\n", b""),
        (b"text", b"text\r\n", b"text\r\n"),
        (b"text\r\n", b"text\r\n", b"text\r\n"),
        (b"text\r\n\r\n\r\n", b"text\r\n", b"text\r\n"),
        (b"text\r\n \r\n", b"text\r\n \r\n", b"text\r\n"),
        (b" C \r\nD \t E\r\n\r\n\r\n", b" C \r\nD \t E\r\n", b" C\r\nD E\r\n"),  # RFC 6376 §3.4.5
        (b"\r\ntext\r\n", b"\r\ntext\r\n", b"\r\ntext\r\n"),
        (b"text\r", b"text\r\r\n", b"text\r\r\n"),
        (b"text\n", b"text\n\r\n", b"text\n\r\n"),
        (b"text\n\r\n\r\n", b"text\n\r\n", b"text\n\r\n"),
        (b"a \n\r\n", b"a \n\r\n", b"a \n\r\n"),
        (b"text \xa0\x85 \r\n", b"text \xa0\x85 \r\n", b"text \xa0\x85\r\n"),
    ],
)
def test_bodies(body: bytes, simple: bytes, relaxed: bytes) -> None:
    assert canonical_body(body, "simple") == simple
    assert canonical_body(body, "relaxed") == relaxed


@pytest.mark.parametrize(
    ("raw", "name", "relaxed"),
    [
        (b"A: X", b"a", b"a:X"),  # RFC 6376 §3.4.5
        (b"B : Y\t\r\n\tZ  ", b"b", b"b:Y Z"),
        (b"SUBJect: AbC", b"subject", b"subject:AbC"),
        (b"Subject\t :\t", b"subject", b"subject:"),
        (b"Subject:", b"subject", b"subject:"),
        (b"Subject:\r\n \r\n x", b"subject", b"subject:x"),
        (b"Subject: a\r\n\tb: c", b"subject", b"subject:a b: c"),
        (b"Subject: caf\xe9 \xa0", b"subject", b"subject:caf\xe9 \xa0"),
        (b"Subject: a\nb\r", b"subject", b"subject:a\nb\r"),
    ],
)
def test_fields(raw: bytes, name: bytes, relaxed: bytes) -> None:
    assert field_name(raw) == name
    assert canonical_field(raw, "relaxed") == relaxed
    assert canonical_field(raw, "simple") == raw


def test_a_block_is_split_at_the_ends_of_fields() -> None:
    block = b"A: 1\r\nB: 2\r\n 3\r\n\t4\r\nno field\r\nC\n: 5\r\nD\r\n : 6\r\n"
    fields = split_fields(block)
    assert fields == [b"A: 1", b"B: 2\r\n 3\r\n\t4", b"no field", b"C\n: 5", b"D\r\n : 6"]
    assert [field_name(field) for field in fields] == [b"a", b"b", b"", b"c\n", b"d\r\n"]
    assert split_fields(b"") == []
    assert split_fields(b"A: 1") == [b"A: 1"]
