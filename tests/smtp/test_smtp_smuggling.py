"""Nothing but CRLF "." CRLF ends content, and what looks like it stays content also after line ends are mended."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smtp_dialogue import Driver, started

from ekiden.smtp.content import (
    ChunkedContent,
    ContentReader,
    normalise_line_ends,
    outgoing,
    stuff_dots,
)


def unstuff_dots(content: bytes) -> bytes:
    """The reverse of stuffing. Only CRLF begins a new line: a dot behind a bare LF is content as it stands."""
    return content.replace(b"\r\n.", b"\r\n").removeprefix(b".")


ENVELOPE = b"MAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n"
SMUGGLED = b"MAIL FROM:<evil@b.test>\r\nRCPT TO:<victim@b.test>\r\nDATA\r\nevil\r\n"

# Each stands between two lines of content. The value: what is given out for it, between "one" and "two".
NOT_AN_END = {
    b"\n.\n": b"\r\n.\r\n",
    b"\n.\r": b"\r\n.\r\n",
    b"\r.\r": b"\r\n.\r\n",
    b"\r.\n": b"\r\n.\r\n",
    b"\n.\r\n": b"\r\n.\r\n",
    b"\r.\r\n": b"\r\n.\r\n",
    b"\r\n.\r": b"\r\n\r\n",  # a dot at the start of a CRLF line is the stuffed one
    b"\r\n.\n": b"\r\n\r\n",
    b"\r\n..\r\n": b"\r\n.\r\n",
    b"\n\r\n.\n": b"\r\n\r\n\r\n",
    b"\r\r\n.\n": b"\r\n\r\n\r\n",
    b"\n..\n": b"\r\n..\r\n",
    b"\r\n. \r\n": b"\r\n \r\n",
    b"\r\n.\t\r\n": b"\r\n\t\r\n",
    b"\r\n.\x0b\r\n": b"\r\n\x0b\r\n",
    b"\r\n.\xc2\x85": b"\r\n\xc2\x85",
    b"\r\n\r.\r\n": b"\r\n\r\n.\r\n",
    b"\r\n\n.\r\n": b"\r\n\r\n.\r\n",
}


@pytest.mark.parametrize("size", [0, 1, 3])
@pytest.mark.parametrize("mark", NOT_AN_END, ids=repr)
def test_no_other_end_of_content(mark: bytes, size: int) -> None:
    driver = started()
    driver.feed(ENVELOPE)
    assert driver.feed(b"one" + mark + SMUGGLED, size) == b""
    assert driver.messages == []
    assert driver.feed(b"two\r\n.\r\n", size) == b"250 2.0.0 Ok: queued as 0123456789ABC\r\n"
    assert [message.content for message in driver.messages] == [b"one" + NOT_AN_END[mark] + SMUGGLED + b"two\r\n"]


@pytest.mark.parametrize("size", [0, 1, 3])
@pytest.mark.parametrize("line", [b".\n", b".\r", b"\n.\n", b"\r.\r\n", b"..\r\n", b".a\r\n", b". \r\n"])
def test_no_other_end_at_the_start_of_content(line: bytes, size: int) -> None:
    driver = started()
    driver.feed(ENVELOPE)
    assert driver.feed(line + SMUGGLED, size) == b""
    driver.feed(b"\r\n.\r\n", size)
    assert len(driver.messages) == 1
    assert driver.messages[0].content.endswith(b"evil\r\n\r\n")


def test_an_end_at_the_start_of_content() -> None:
    driver = started()
    for size in (0, 1, 2):
        driver.feed(ENVELOPE)
        assert driver.feed(b".\r\nNOOP\r\n", size) == b"250 2.0.0 Ok: queued as 0123456789ABC\r\n250 2.0.0 Ok\r\n"
    assert [message.content for message in driver.messages] == [b"", b"", b""]


@pytest.mark.parametrize("parts", list(product([b"\r", b"\n", b"\r\n", b""], repeat=2)), ids=repr)
def test_only_one_mixture_of_line_ends_is_an_end(parts: tuple[bytes, bytes]) -> None:
    before, after = parts
    driver = started()
    driver.feed(ENVELOPE)
    driver.feed(b"one" + before + b"." + after + b"NOOP\r\n")
    assert (len(driver.messages) == 1) == (before == after == b"\r\n")


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a"]), max_size=24), st.integers(0, 5))
def test_content_ends_where_crlf_dot_crlf_is_and_nowhere_else(pieces: list[bytes], size: int) -> None:
    octets = b"".join(pieces)
    wire = octets + b"\r\n.\r\n"
    # The CRLF of the DATA line counts as the first half of an end.
    raw = b"" if wire.startswith(b".\r\n") else wire[: wire.index(b"\r\n.\r\n") + 2]
    driver = started()
    driver.feed(ENVELOPE)
    driver.feed(wire, size)
    content = driver.messages[0].content
    assert content == normalise_line_ends(unstuff_dots(raw))
    assert content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n")


@given(st.binary(max_size=200))
def test_stuffing_is_undone_by_unstuffing(octets: bytes) -> None:
    content = normalise_line_ends(octets)
    stuffed = stuff_dots(content)
    assert unstuff_dots(stuffed) == content
    assert b"\r\n.\r\n" not in b"\r\n" + stuffed
    assert normalise_line_ends(content) == content


@given(st.lists(st.sampled_from([b"\r\n", b".", b"..", b"text"]), max_size=30), st.integers(1, 9))
def test_pieces_do_not_matter_to_the_reader(pieces: list[bytes], size: int) -> None:
    content = normalise_line_ends(b"".join(pieces))
    wire = stuff_dots(content) + b".\r\nQUIT"
    reader, buffer, got = ContentReader(10_000), bytearray(), None
    for at in range(0, len(wire), size):
        buffer += wire[at : at + size]
        if got is None:
            got = reader.read(buffer)
    assert got == content
    assert bytes(buffer) == b"QUIT"


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"\r\n.", b"a"]), max_size=60),
    st.integers(1, 20),
    st.integers(5, 12),
)
def test_pieces_made_ready_early_are_the_same_content(pieces: list[bytes], size: int, piece: int) -> None:
    octets = b"".join(pieces)
    wire = octets + b"\r\n.\r\n"
    raw = b"" if wire.startswith(b".\r\n") else wire[: wire.index(b"\r\n.\r\n") + 2]
    reader, buffer, got = ContentReader(10_000, piece), bytearray(), None
    for at in range(0, len(wire), size):
        buffer += wire[at : at + size]
        if got is None:
            got = reader.read(buffer)
            assert got is not None or len(buffer) <= piece + 5
    assert got == normalise_line_ends(unstuff_dots(raw))
    assert reader.held == 0


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a", b"\r\r\n\n"]), max_size=40), st.integers(2, 9))
def test_chunks_are_the_same_content_however_they_are_cut(chunks: list[bytes], piece: int) -> None:
    content = ChunkedContent(piece)
    for chunk in chunks:
        content.add(memoryview(chunk))
    assert content.received == sum(map(len, chunks))
    assert content.take() == normalise_line_ends(b"".join(chunks))
    assert (content.received, content.held) == (0, 0)


def test_a_bare_line_feed_ends_a_command_but_not_content() -> None:
    driver = Driver(started().connection)
    assert driver.feed(b"MAIL FROM:<a@b.test>\nRCPT TO:<a@b.test>\nDATA\n.\n").count(b"\r\n") == 3
    assert driver.messages == []
    driver.feed(b"\r\n.\r\n")
    assert driver.messages[0].content == b"\r\n\r\n"


@given(
    octets=st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"x", b"..", b"\r\n."]), max_size=40).map(
        b"".join
    )
)
def test_a_content_in_pieces_is_the_same_on_the_wire(octets: bytes) -> None:
    content = normalise_line_ends(octets)
    whole = stuff_dots(content) + b".\r\n"
    for piece in (2, 3, 5, 7, 1_000):
        assert b"".join(outgoing(content, normalised=True, piece=piece)) == whole
        assert b"".join(outgoing(octets, piece=piece)) == whole
