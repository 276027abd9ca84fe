"""The header scan, held against the standard library's parser."""

from __future__ import annotations

import email
import email.policy
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.mime.scan import Field, HeaderBounds, measure, scan

NAMES = st.one_of(
    st.sampled_from(["Bcc", "BCC", "Subject", "Date", "X-Bcc", "Bcc-X", "Resent-Bcc", "Received", "To"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"), min_size=1, max_size=20),
)
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
LINES = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)
VALUES = st.lists(LINES, min_size=1, max_size=4).flatmap(
    lambda lines: st.sampled_from(["\r\n ", "\r\n\t", "\r\n   "]).map(lambda fold: fold.join(lines))
)
# ``From `` at the start is a mailbox line to the standard library.
HEADERS = st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=12)
BODIES = st.binary(max_size=200)


def build(headers: list[tuple[str, str]], body: bytes = b"") -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode() + b"\r\n" + body


def unfold(value: str) -> bytes:
    return value.replace("\r\n", "").strip().encode()


@given(HEADERS, BODIES)
def test_sees_what_the_standard_parser_sees(headers: list[tuple[str, str]], body: bytes) -> None:
    content = build(headers, body)
    parsed = email.message_from_bytes(content, policy=email.policy.compat32)
    header = scan(content)

    assert [field.name.decode() for field in header.fields()] == [name.lower() for name in parsed]
    assert content[header.body :] == body
    for name in {name.lower() for name in parsed} | {"date", "bcc"}:
        assert header.has(name.encode()) == (name in parsed)
        assert header.count(name.encode()) == len(parsed.get_all(name, []))
        if name in parsed:
            assert header.get(name.encode()) == unfold(parsed[name])


@given(HEADERS, BODIES, st.sets(st.sampled_from([b"bcc", b"resent-bcc", b"subject"]), min_size=1))
def test_removal_takes_the_fields_and_nothing_else(
    headers: list[tuple[str, str]], body: bytes, names: set[bytes]
) -> None:
    kept = [(name, value) for name, value in headers if name.lower().encode() not in names]
    content = build(headers, body)
    result = scan(content).without(names)

    assert result == build(kept, body)
    if kept == headers:
        assert result is content


@given(st.binary(max_size=300))
def test_never_fails_and_removing_nothing_changes_nothing(content: bytes) -> None:
    header = scan(content)
    assert 0 <= header.end <= header.body <= len(content)
    assert header.without([b"bcc"]) == content or header.has(b"bcc")
    assert header.header_without([]) == header.raw
    for field in header.fields():
        assert field.start < field.value <= field.end <= header.end
        assert header.has(field.name)
    assert not scan(header.without([b"bcc"])).has(b"bcc") or header.end == 0 or b"bcc" in content.lower()


@pytest.mark.parametrize(
    ("content", "end", "body", "names"),
    [
        (b"", 0, 0, []),
        (b"\r\nbody", 0, 2, []),
        (b"just text\r\n\r\nmore: text", 0, 0, []),
        (b" folded: without a field\r\n\r\n", 0, 0, []),
        (b"To: a\r\n", 7, 7, [b"to"]),
        (b"To: a", 5, 5, [b"to"]),
        (b"To: a\r\n\r\n", 7, 9, [b"to"]),
        (b"To: a\r\ngarbage\r\nCc: b\r\n\r\nx", 23, 25, [b"to", b"cc"]),
        (b"From a@b Mon Jan  1 2024\r\nTo: a\r\n\r\nx", 33, 35, [b"to"]),
        (b">From a@b Mon Jan  1 2024\r\nTo: a\r\n\r\nx", 34, 36, [b"to"]),
        (b"To : obsolete\r\n\r\n", 15, 17, [b"to"]),
        (b"To: a\nBcc: b\r\n\r\n", 14, 16, [b"to"]),
    ],
)
def test_odd_blocks(content: bytes, end: int, body: int, names: list[bytes]) -> None:
    header = scan(content)
    assert (header.end, header.body) == (end, body)
    assert [field.name for field in header.fields()] == names
    assert [name for name in (b"to", b"cc", b"bcc") if header.has(name)] == names


def test_fields_have_their_places() -> None:
    content = b"To: a\r\nSubject:  one\r\n\ttwo\r\nX: y\r\n\r\nbody"
    header = scan(content)
    assert header.fields() == [
        Field(b"to", 0, 3, 7),
        Field(b"subject", 7, 15, 28),
        Field(b"x", 28, 30, 34),
    ]
    assert header.get(b"subject") == b"one\ttwo"
    assert header.get(b"none") is None


def test_a_name_is_the_whole_name() -> None:
    header = scan(b"Bccx: 1\r\nX-Bcc: 2\r\nSubject: bcc: 3\r\n bcc: 4\r\n\r\nBcc: 5\r\n")
    assert not header.has(b"bcc")
    assert header.has(b"bccx")


def test_removal_keeps_malformed_lines() -> None:
    content = b"To: a\r\nBcc: x,\r\n y\r\nnonsense\r\n more\r\nBCC : z\r\nCc: b\r\n\r\nBcc: stays\r\n"
    assert scan(content).without([b"bcc"]) == b"To: a\r\nnonsense\r\n more\r\nCc: b\r\n\r\nBcc: stays\r\n"


@pytest.mark.parametrize(
    ("content", "ascii_header"), [(b"S: a\r\n\r\n\xe9", True), (b"S: \xc3\xa9\r\n\r\n", False)]
)
def test_eight_bit_header(content: bytes, ascii_header: bool) -> None:
    assert scan(content).is_ascii is ascii_header


BOUNDS = HeaderBounds(octets=4_000, fields=10, field=1_000)
NO_BODY = pytest.mark.parametrize(
    "body", [b"", b"\r\nbody\r\n", b"\r\n" + b"x" * 50_000], ids=["none", "some", "large"]
)


@NO_BODY
@pytest.mark.parametrize(
    ("block", "exceeded"),
    [
        (b"From: a@b.c\r\n", None),
        (b"From: " + b"x" * 992 + b"\r\n", None),
        (b"From: " + b"x" * 993 + b"\r\n", "field"),
        (b"From: " + b"x\r\n " * 300 + b"\r\n", "field"),
        (b"A: b\r\nFrom: " + b"x" * 993 + b"\r\nC: d\r\n", "field"),
        (b"From: " + b"x" * 3_993 + b"\r\n", "octets"),
        (b"From: a\r\n" * 10, None),
        (b"From: a\r\n" * 11, "fields"),
        (b"From: a\r\n x\r\n x\r\n" * 10, None),  # folded lines are no fields
        (b"From: a\r\n" + b"no field\r\n" * 10, "fields"),
        (b"From: a\r\n" + b"x\r\n" * 2_000, "octets"),
        (b">From a\r\n" + b"x\r\n" * 2_000, "octets"),
        (b"no field\r\n" + b"x\r\n" * 2_000, None),  # all body
        (b"\r\n" + b"x\r\n" * 2_000, None),
    ],
)
def test_measures_a_header_before_anybody_reads_it(block: bytes, exceeded: str | None, body: bytes) -> None:
    assert measure(block + body, BOUNDS) == exceeded


@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_measures_what_is_nearly_nothing(size: int) -> None:
    assert measure(b"\r\n\r\n"[:size], BOUNDS) is None
    assert measure(b"a:b\r\n"[:size], BOUNDS) is None


def test_measures_up_to_the_bound_and_not_to_the_end() -> None:
    """A gigabyte would take longer than this, and a field that is not found costs no more than one that is."""
    content = b"x-ib-a: a\r\n" * 2_000_000
    began = time.process_time()
    for _ in range(100):
        assert measure(content, HeaderBounds()) == "octets"
    assert time.process_time() - began < 1


def test_removes_very_many_names_in_one_pass() -> None:
    """The square of a header that the door allows would be seconds."""
    names = [b"x-ib-%04d" % number for number in range(1_000)]
    block = b"".join(b"%b: %b\r\n" % (name, b"v" * 240) for name in names)
    header = scan(block + b"From: a@b.c\r\n\r\nbody")
    began = time.process_time()
    for _ in range(10):
        assert header.without(frozenset(names)) == b"From: a@b.c\r\n\r\nbody"
    assert time.process_time() - began < 1
