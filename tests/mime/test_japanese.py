"""Messages in ISO-2022-JP: really in it, read as what was meant, and in UTF-8 where it has no form for a text."""

from __future__ import annotations

from email import message_from_bytes, policy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.mime.compose import Composer
from ekiden.mime.encodings import encode_japanese
from ekiden.mime.errors import BadHeaderValue
from ekiden.mime.fields import extra_field, text_field
from ekiden.mime.header import decode_words, encoded_words
from ekiden.mime.japanese import ISO_2022_JP, to_jis
from ekiden.mime.mailbox import Mailbox
from ekiden.mime.placeholders import HASHES, NONE

JAPANESE = st.text(st.sampled_from('あいうアイ漢字日本語テスト、。ー〜−¢ abc123=?_<>"\\,;()'), max_size=200)
_FROM = Mailbox("差出人", "from@example.com")
_TO = [Mailbox("宛先", "to@example.com")]


def read(octets: bytes) -> Any:
    return message_from_bytes(octets, policy=policy.default)


@pytest.mark.parametrize(
    ("given_", "read_as"),
    [
        ("テスト", "テスト"),
        ("ｶﾞｯｺｳ", "ガッコウ"),
        ("１０：００～１１：００", "１０：００〜１１：００"),
        ("－￠￡￢∥—", "−¢£¬‖―"),
    ],
)
def test_what_programs_write_has_its_form(given_: str, read_as: str) -> None:
    octets = to_jis(given_)
    assert octets is not None
    assert octets.decode("iso2022_jp") == read_as


@pytest.mark.parametrize("text", ["①", "한국어", "😀", "é"])
def test_what_has_none(text: str) -> None:
    assert to_jis(f"日本{text}") is None
    assert encode_japanese(text) is None
    assert encoded_words(text, charset=ISO_2022_JP).startswith("=?utf-8?B?")


def test_a_message_is_really_in_it() -> None:
    composer = Composer(
        _FROM,
        "件名 ((#key#)) テスト",
        text="本文\n二行目 ((#key#))",
        html="<p>本文 ((#key#))</p>",
        headers=[("X-Note", "メモ ((#key#))"), ("X-Plain", "値")],
        syntax=HASHES,
        charset=ISO_2022_JP,
    )
    octets = composer.compose(_TO, {"key": "値段"}, reply_to=[Mailbox("返信", "r@example.com")])
    assert octets.isascii()
    assert b"utf-8" not in octets.lower()
    assert "本文\r\n二行目 値段\r\n".encode("iso2022_jp") in octets
    message = read(octets)
    assert (message["Subject"], message["X-Note"], message["X-Plain"]) == ("件名 値段 テスト", "メモ 値段", "値")
    assert [address.display_name for address in message["From"].addresses] == ["差出人"]
    assert [address.display_name for address in message["Reply-To"].addresses] == ["返信"]
    text, html = message.iter_parts()
    assert (text.get_content_charset(), text["Content-Transfer-Encoding"]) == ("iso-2022-jp", "7bit")
    assert text.get_content() == "本文\r\n二行目 値段"
    assert html.get_content() == "<p>本文 値段</p>"


def test_a_text_without_a_form_is_in_utf_8() -> None:
    octets = Composer(_FROM, "①", text="本文", html="<p>😀</p>", charset=ISO_2022_JP).compose(_TO, {})
    message = read(octets)
    text, html = message.iter_parts()
    assert (message["Subject"], text.get_content(), html.get_content()) == ("①", "本文", "<p>😀</p>")
    assert (text.get_content_charset(), html.get_content_charset()) == ("iso-2022-jp", "utf-8")


def test_placeholders_in_header_fields() -> None:
    """Only where they are written with hashes; a value that breaks its line is an error."""
    headers = [("X-Api-Data", "((#id#))-{{id}}")]
    composer = Composer(_FROM, "s", text="t", headers=headers, syntax=HASHES)
    assert b"X-Api-Data: 7-{{id}}\r\n" in composer.compose(_TO, {"id": "7"})
    assert composer.names == {"id"}
    assert composer.length({"id": "x" * 100}) - composer.length({"id": ""}) == 100
    with pytest.raises(BadHeaderValue):
        composer.compose(_TO, {"id": "a\r\nBcc: b@example.com"})
    # What the message has of its own stands alone.
    assert composer.compose(_TO, {"id": "7"}, headers=[("X-API-DATA", "own")]).lower().count(b"x-api-data") == 1
    literal = Composer(_FROM, "((#id#)) {{id}}", text="${id} ((#id#))", headers=headers, syntax=NONE)
    assert literal.names == frozenset()
    assert b"Subject: ((#id#)) {{id}}\r\n" in literal.compose(_TO, {"id": "7"})


def test_long_lines_and_our_boundaries_are_not_sent_as_they_are() -> None:
    for text in ("あ" * 600, "--=_mixed_part", "a\n--=_related_part--", "\0"):
        encoded = encode_japanese(text)
        assert encoded is not None
        assert encoded[0] == b"base64"
        assert max(map(len, encoded[1].split(b"\r\n"))) <= 76
    assert encode_japanese("") == (b"7bit", b"\r\n")


@given(JAPANESE)
def test_texts_and_words_come_back(text: str) -> None:
    octets = to_jis(text)
    assert octets is not None
    meant = octets.decode("iso2022_jp")
    words = encoded_words(text, indent=9, charset=ISO_2022_JP)
    assert decode_words(words.replace("\r\n ", " ")) == (meant if text else "")
    for line in f"Subject: {words}".split("\r\n"):
        assert len(line) <= 76
    assert all(word.lower().startswith("=?iso-2022-jp?b?") for word in words.split("\r\n "))
    for field in (text_field("Subject", text, ISO_2022_JP), extra_field("X-A", text or "x", ISO_2022_JP)):
        assert field.isascii()
