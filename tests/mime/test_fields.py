"""Header fields from values of others: they come back as they were, and none begins another field."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.mime.errors import BadHeaderName, BadHeaderValue
from ekiden.mime.fields import check_name, extra_field, text_field

_TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=300)


def _read(field: bytes) -> str:
    message: Any = message_from_bytes(field + b"\r\nbody", policy=default)
    assert len(message.keys()) == 1
    return str(message[message.keys()[0]])


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("Hello", b"Subject: Hello\r\n"),
        ("  Hello\t", b"Subject: Hello\r\n"),
        ("", b"Subject: \r\n"),
        ("日本", b"Subject: =?utf-8?B?5pel5pys?=\r\n"),
        ("=?utf-8?B?5pel5pys?=", b"Subject: =?utf-8?B?PT91dGYtOD9CPzVwZWw1cHlzPz0=?=\r\n"),
        ("word " * 20, b"Subject: " + b"word " * 12 + b"word\r\n" + b" word" * 7 + b"\r\n"),
        ("x" * 67, b"Subject: " + b"x" * 67 + b"\r\n"),
        ("👨‍👩‍👧", b"Subject: =?utf-8?B?8J+RqOKAjfCfkanigI3wn5Gn?=\r\n"),
    ],
)
def test_text_field(value: str, field: bytes) -> None:
    assert text_field("Subject", value) == field


@given(_TEXT | st.text("ab  =?ü", max_size=200))
def test_texts_come_back(value: str) -> None:
    field = text_field("Subject", value)
    lines = field.split(b"\r\n")
    assert lines.pop() == b""
    assert all(line.strip() and len(line) <= 76 for line in lines)
    assert _read(field) == value.strip(" \t")


@pytest.mark.parametrize("control", ["\r\n", "\n", "\r", "\0", "\x1b", "\x7f", "\x0b", "\x0c"])
@pytest.mark.parametrize("value", ["a{}Bcc: x@y.example", "{}", "日本{}\r\n\r\nbody", "a{}"])
def test_control_characters_are_refused(value: str, control: str) -> None:
    for write in (text_field, extra_field):
        with pytest.raises(BadHeaderValue) as raised:
            write("X-Field", value.replace("{}", control))
        assert raised.value.name == "X-Field"
        assert "改行" in raised.value.text("ja")


@given(st.text(), st.sampled_from([text_field, extra_field]))
def test_no_value_gets_out_of_its_field(value: str, write: Any) -> None:
    try:
        field = write("X-Field", value)
    except BadHeaderValue:
        return
    assert field.startswith(b"X-Field: ")
    assert field.endswith(b"\r\n")
    for line in field[:-2].split(b"\r\n")[1:]:
        assert line[:1] == b" "
        assert line.strip()
    assert field.count(b"\n") == field.count(b"\r\n") == field.count(b"\r")


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "ü", "a\tb", "x" * 77, "a\0", "日本"])
def test_bad_names(name: str) -> None:
    for call in (lambda: check_name(name), lambda: extra_field(name, "x")):
        with pytest.raises(BadHeaderName):
            call()


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("value", b"X-A: value\r\n"),
        ("a  b\tc", b"X-A: a  b\tc\r\n"),
        ("=?utf-8?B?5pel5pys?=", b"X-A: =?utf-8?B?5pel5pys?=\r\n"),
        ("名前 <a@b.example>", b"X-A: =?utf-8?B?5ZCN5YmN?= <a@b.example>\r\n"),
        ("日 本 x 語", b"X-A: =?utf-8?B?5pelIOacrA==?= x =?utf-8?B?6Kqe?=\r\n"),
        (f"<https://x.example/{'a' * 100}>, <mailto:a@b.example>",
         b"X-A: <https://x.example/" + b"a" * 100 + b">,\r\n <mailto:a@b.example>\r\n"),
        ("", b"X-A: \r\n"),
    ],
)  # fmt: skip
def test_extra_field(value: str, field: bytes) -> None:
    assert extra_field("X-A", value) == field


@given(st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs")), min_size=1), min_size=1))
def test_words_of_extra_fields_come_back(words: list[str]) -> None:
    value = " ".join(word.replace("=?", "") or "x" for word in words)
    field = extra_field("X-A", value)
    assert all(len(line) <= 76 or b"=?" not in line for line in field.split(b"\r\n"))
    assert _read(field) == value


def test_words_longer_than_a_line() -> None:
    assert extra_field("X-A", "x" * 997)
    for value in ("x" * 998, "a " + "x" * 998 + " ü"):
        with pytest.raises(BadHeaderValue, match="longer than a line"):
            extra_field("X-A", value)
