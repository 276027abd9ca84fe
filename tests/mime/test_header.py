"""Dates, Message-IDs and encoded words, held against the standard library."""

from __future__ import annotations

from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.mime.header import decode_words, encode_words, format_date, make_message_id


@given(st.integers(min_value=0, max_value=253_402_300_799_999))
def test_dates_are_those_of_the_standard_library(at: int) -> None:
    moment = datetime.fromtimestamp(at // 1000, tz=UTC)
    assert parsedate_to_datetime(format_date(at)) == moment
    # The standard library pads the day with a zero; RFC 5322 allows both.
    assert format_date(at).replace(", ", ", 0" if moment.day < 10 else ", ") == format_datetime(moment)


def test_message_id() -> None:
    assert make_message_id("01ABC", "mail.example.com") == "<01ABC@mail.example.com>"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        (b"plain \xc3\xa9", "plain é"),
        (b"broken \xe9", "broken é"),
        ("=?utf-8?q?caf=C3=A9?=", "café"),
        ("=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=", "日本"),
        ("=?utf-8?B?5pel?= =?utf-8?B?5pys?=", "日本"),
        ("Re: =?utf-8?B?5pel?= ok", "Re: 日 ok"),
        ("=?unknown-charset?B?5pel?=", "日"),
        ("=?utf-8?B?5?=", "=?utf-8?B?5?="),
        ("a =? b", "a =? b"),
        # Cut within a character; with question marks or blanks, which do not belong there; a language (RFC 2231).
        ("=?iso-2022-jp?B?GyRCRnw=?= =?ISO-2022-JP?B?S1wbKEI=?=", "日本"),
        ("=?utf-8?B?5pc=?=\r\n =?utf-8?Q?=A5?= x", "日 x"),
        ("=?utf-8?Q?Hello?_you??=", "Hello? you?"),
        ("=?utf-8?Q?Hello you?=", "Hello you"),
        ("=?utf-8*en?q?a?=", "a"),
        ("=?utf-8?q?a?=?=", "a?="),
        ("=?gb2312?B?xOO6ww==?= =?utf-8?q?=E3=81=82?=", "你好あ"),
    ],
)
def test_decode_words(value: str | bytes, shown: str) -> None:
    assert decode_words(value) == shown


@given(st.text())
def test_decode_words_never_fails(value: str) -> None:
    decode_words(value)
    decode_words(f"=?{value}?=")


def test_long_texts_are_decoded_and_endless_ones_are_not() -> None:
    text = "\U0001f338" * 4_000
    assert decode_words(encode_words(text).replace("\r\n", "")) == text
    endless = "=?utf-8?q?=FF?= " * 200_000
    assert decode_words(endless) == endless


@given(st.text(st.characters(exclude_categories=("Cs",))), st.integers(min_value=0, max_value=40))
def test_encoded_words_come_back(value: str, indent: int) -> None:
    encoded = encode_words(value, indent=indent)
    assert encoded.isascii()
    lines = encoded.split("\r\n")
    assert all(line.startswith(" ") for line in lines[1:])
    clean = "".join(char if char.isprintable() or char == "\t" else " " for char in value)
    if encoded != clean:
        assert indent + len(lines[0]) <= 78
        assert all(len(line) <= 76 for line in lines)
        assert str(make_header(decode_header(encoded))) == clean
