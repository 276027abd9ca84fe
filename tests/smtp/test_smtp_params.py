"""xtext, ORCPT and NOTIFY: encodings of parameters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.core.address import parse_address
from ekiden.core.submission import Notify, Recipient
from ekiden.smtp.errors import CommandRefused
from ekiden.smtp.params import (
    decode_orcpt,
    decode_xtext,
    encode_orcpt,
    encode_xtext,
    format_notify,
    parse_mail_parameters,
    parse_notify,
    parse_recipient,
)
from ekiden.smtp.path import mailbox, split_path


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_xtext_round_trip(text: str) -> None:
    encoded = encode_xtext(text)
    assert decode_xtext(encoded) == text
    assert " " not in encoded
    assert "=" not in encoded


@pytest.mark.parametrize("text", ["+", "+4", "+4a", "+0D", "+0A", "+7F", "a b", "a=b", "ü", "+00"])
def test_bad_xtext(text: str) -> None:
    with pytest.raises(ValueError):
        decode_xtext(text)


@given(st.text(st.characters(min_codepoint=33, codec="utf-8"), min_size=1), st.booleans())
def test_orcpt_round_trip(address: str, smtputf8: bool) -> None:
    if not address.isprintable():
        return
    kind = "rfc822" if address.isascii() else "utf-8"
    encoded = encode_orcpt(f"{kind};{address}", smtputf8=smtputf8)
    assert decode_orcpt(encoded) == f"{kind};{address}"
    assert smtputf8 or encoded.isascii()


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        ("rfc822;a@b.test", "rfc822;a@b.test"),
        ("RFC822;a+2Bb@b.test", "rfc822;a+b@b.test"),
        (r"utf-8;\x{53D7}@b.test", "utf-8;受@b.test"),
        (r"utf-8;\x{1F4E7}@b.test", "utf-8;📧@b.test"),
        ("utf-8;受@b.test", "utf-8;受@b.test"),
    ],
)
def test_orcpt(value: str, decoded: str) -> None:
    assert decode_orcpt(value) == decoded


@pytest.mark.parametrize(
    "value",
    ["", "rfc822", "rfc822;", ";a@b", "bad type;a@b", r"utf-8;\x{D800}", r"utf-8;\x{0D}\x{0A}", r"utf-8;\x{FFFFFF}",
     "rfc822;+0D+0A", "rfc822;受@b"],
)  # fmt: skip
def test_bad_orcpt(value: str) -> None:
    with pytest.raises(ValueError):
        decode_orcpt(value)


@pytest.mark.parametrize(
    ("value", "notify"),
    [
        ("NEVER", Notify.NEVER),
        ("never", Notify.NEVER),
        ("SUCCESS", Notify.SUCCESS),
        ("failure,DELAY", Notify.FAILURE | Notify.DELAY),
        ("SUCCESS,FAILURE,DELAY", Notify.SUCCESS | Notify.FAILURE | Notify.DELAY),
    ],
)
def test_notify(value: str, notify: Notify) -> None:
    assert parse_notify(value) == notify
    assert parse_notify(format_notify(notify)) == notify


@pytest.mark.parametrize("value", ["", ",", "SUCCESS,", "NEVER,SUCCESS", "SUCCESS,NEVER", "ALWAYS"])
def test_bad_notify(value: str) -> None:
    with pytest.raises(ValueError):
        parse_notify(value)


@given(st.text(max_size=60))
def test_any_text_is_parameters_or_refused(text: str) -> None:
    address = parse_address("a@b.test")
    for parse in (parse_mail_parameters, lambda text: parse_recipient(address, text)):
        try:
            parse(text)
        except CommandRefused as refusal:
            assert refusal.reply.code in (501, 555)


PATH_PIECES = [
    "FROM:",
    "TO:",
    "<",
    ">",
    '"',
    "\\",
    "@",
    "a",
    "b.test",
    " ",
    "\t",
    ":",
    ",",
    "[",
    "]",
    "ü",
    "SIZE=1",
]


@given(st.lists(st.sampled_from(PATH_PIECES), max_size=20).map("".join), st.booleans())
def test_any_text_is_a_path_or_refused(text: str, smtputf8: bool) -> None:
    try:
        path, parameters = split_path(text, "FROM:")
        assert parameters == "" or parameters[0] in " \t"
        address = mailbox(path, smtputf8=smtputf8, status="5.1.7")
    except CommandRefused as refusal:
        assert refusal.reply.code in (501, 553)
    else:
        assert address.text == path
        assert smtputf8 or path.isascii()


def test_recipient_without_parameters() -> None:
    address = parse_address("a@b.test")
    assert parse_recipient(address, "") == Recipient(address)
    assert parse_recipient(address, "  ") == Recipient(address)
