"""Replies: their text on the wire, and what is made of a peer's octets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.smtp.reply import Reply, ReplyParser


def parse_reply(data: bytes) -> Reply:
    """The one reply that ``data`` is. Raises ``ValueError`` when it is not exactly one."""
    parser = ReplyParser()
    parser.feed(data)
    reply = parser.next(strict=True)
    if reply is None or parser.buffered or parser.odd:
        raise ValueError("not exactly one reply")
    return reply


@pytest.mark.parametrize(
    ("reply", "wire"),
    [
        (Reply.of(250, "2.1.0", "Ok"), b"250 2.1.0 Ok\r\n"),
        (Reply.of(354, "", "Go"), b"354 Go\r\n"),
        (Reply.of(334, ""), b"334 \r\n"),
        (Reply.of(250, "", "a", "b", "c"), b"250-a\r\n250-b\r\n250 c\r\n"),
        (Reply.of(550, "5.1.1", "No", "user"), b"550-5.1.1 No\r\n550 5.1.1 user\r\n"),
        (Reply.of(550, "5.1.1", "a\r\nb\tc\x7f\u2028"), b"550 5.1.1 a??b c??\r\n"),
        (Reply.of(550, "", "駅伝"), b"550 ??\r\n"),
        (Reply.of(550, "", "x" * 600), b"550-" + b"x" * 480 + b"\r\n550 " + b"x" * 120 + b"\r\n"),
        (Reply.of(550, "", "\ud800"), b"550 ?\r\n"),
    ],
)
def test_encode(reply: Reply, wire: bytes) -> None:
    assert reply.encode() == wire


def test_encode_utf8() -> None:
    assert Reply.of(250, "2.0.0", "駅伝").encode(utf8=True) == "250 2.0.0 駅伝\r\n".encode()
    lines = Reply.of(250, "", "駅" * 400).encode(utf8=True).split(b"\r\n")
    assert all(len(line) <= 510 for line in lines)
    assert b"".join(line[4:] for line in lines).decode() == "駅" * 400


@pytest.mark.parametrize(
    ("wire", "reply"),
    [
        (b"250 2.1.0 Ok\r\n", Reply(250, "2.1.0", ("Ok",))),
        (b"250\r\n", Reply(250, "", ("",))),
        (b"250 \n", Reply(250, "", ("",))),
        (b"250 2.0.0\r\n", Reply(250, "2.0.0", ("",))),
        (b"550-5.7.1 a\r\n550-5.7.1  b\r\n550 5.7.1 c\r\n", Reply(550, "5.7.1", ("a", "b", "c"))),
        (b"550-a\r\n550 5.7.1 c\r\n", Reply(550, "5.7.1", ("a", "c"))),
        (b"550 2.1.0 contradiction\r\n", Reply(550, "", ("2.1.0 contradiction",))),
        (b"550 5.1.1000 x\r\n", Reply(550, "", ("5.1.1000 x",))),
        (b"550 5.1.1no blank\r\n", Reply(550, "", ("5.1.1no blank",))),
        (b"550 a\xff\0b\r\n", Reply(550, "", ("a??b",))),
        ("550 5.1.1 宛先不明\r\n".encode(), Reply(550, "5.1.1", ("宛先不明",))),
        (b"250-one\r\n550 two\r\n", Reply(550, "", ("one", "two"))),
        (b"250OK\r\n", Reply(250, "", ("OK",))),
        (b"550:No\r\n", Reply(550, "", (":No",))),
        (b"\xef\xbb\xbf250 2.0.0 Ok\r\n", Reply(250, "2.0.0", ("Ok",))),
        (b" \x00250-a\r\n\t250 b\r\n", Reply(250, "", ("a", "b"))),
        (b"250 " + b"x" * 5000 + b"\r\n", Reply(250, "", ("x" * 4092,))),
    ],
)
@pytest.mark.parametrize("size", [1, 100])
def test_parse(wire: bytes, reply: Reply, size: int) -> None:
    parser = ReplyParser()
    got = []
    for at in range(0, len(wire), size):
        parser.feed(wire[at : at + size])
        got.append(parser.next())
    assert [reply_ for reply_ in got if reply_ is not None] == [reply]
    assert parser.buffered == 0
    assert parse_reply(wire) == reply


@pytest.mark.parametrize(
    "wire", [b"", b"250 x", b"250 x\r\n250 y\r\n", b"abc\r\n", b"\r\n", b"99 x\r\n", b"250x\r\n", b"2500 x\r\n"]
)
def test_not_one_reply(wire: bytes) -> None:
    with pytest.raises(ValueError):
        parse_reply(wire)


def test_lines_that_are_no_replies_are_passed_over() -> None:
    parser = ReplyParser()
    parser.feed(b"\r\nqueued\r\n250-a\r\n\r\nmore of it\n250 b\r\n\r\n251 c\r\n")
    assert parser.next() == Reply(250, "", ("a", "b"))
    assert parser.odd == ["", "queued", "", "more of it"]
    assert parser.odd_octets == 0
    assert parser.next() == Reply(251, "", ("c",))
    assert parser.buffered == 0


@pytest.mark.parametrize("line", [b"\r\n", b"x\r\n", b"x" * 80_000])
def test_no_end_of_them_is_an_error(line: bytes) -> None:
    parser = ReplyParser()
    parser.feed(line * 300)
    with pytest.raises(ValueError):
        parser.next()


def test_kinds() -> None:
    assert [Reply.of(code, "").positive for code in (220, 354, 450, 550)] == [True, True, False, False]
    assert [Reply.of(code, "").permanent for code in (250, 421, 550)] == [False, False, True]
    assert str(Reply.of(550, "5.1.1", "No", "user")) == "550 5.1.1 No user"


@given(
    st.integers(200, 599),
    st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126)), min_size=1, max_size=5),
)
def test_what_is_encoded_is_parsed(code: int, lines: list[str]) -> None:
    reply = Reply(
        code, f"{code // 100}.1.2" if code // 100 in (2, 4, 5) else "", tuple(f"x{line}" for line in lines)
    )
    assert parse_reply(reply.encode()) == reply


@given(st.lists(st.binary(max_size=30), max_size=20))
def test_any_octets_give_replies_or_one_error(pieces: list[bytes]) -> None:
    parser = ReplyParser()
    for piece in pieces:
        parser.feed(piece)
        try:
            while (reply := parser.next()) is not None:
                assert all(line.isprintable() for line in reply.lines)
                assert 200 <= reply.code < 600
            assert len(parser.odd) < 300
        except ValueError:
            return
