"""Mailboxes as people write them, and as they stand in a field that every reader reads the same way."""

from __future__ import annotations

from email import message_from_bytes
from email.header import decode_header, make_header
from email.utils import getaddresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.mime.author_domains import mailbox_domains
from ekiden.mime.errors import BadMailbox
from ekiden.mime.mailbox import Mailbox, format_mailbox, mailbox_field, parse_mailbox
from ekiden.mime.scan import scan


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("a@b.example", "", "a@b.example"),
        (" <a@b.example> ", "", "a@b.example"),
        ("Name <a@b.example>", "Name", "a@b.example"),
        ("Name<a@b.example>", "Name", "a@b.example"),
        ("  Two  Words <a@b.example>", "Two  Words", "a@b.example"),
        ('"Doe, J." <a@b.example>', "Doe, J.", "a@b.example"),
        ("Doe, J. <a@b.example>", "Doe, J.", "a@b.example"),
        (r'"say \"hi\" \\" <a@b.example>', r'say "hi" \\'[:-1], "a@b.example"),
        ("山田 太郎 <a@b.example>", "山田 太郎", "a@b.example"),
        ("=?utf-8?B?5bGx55Sw?= <a@b.example>", "山田", "a@b.example"),
        ('"=?utf-8?B?5bGx55Sw?=" <a@b.example>', "山田", "a@b.example"),
        ("a@b.example <c@d.example>", "a@b.example", "c@d.example"),
        ("x < y <a@b.example>", "x < y", "a@b.example"),
        ('"" <a@b.example>', "", "a@b.example"),
        ('" <a@b.example>', '"', "a@b.example"),
        ("ü@日本.example", "", "ü@日本.example"),
        ('"a b"@c.example', "", '"a b"@c.example'),
    ],
)
def test_parse(text: str, name: str, address: str) -> None:
    assert parse_mailbox(text) == Mailbox(name, address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Name",
        "<>",
        "Name <>",
        ">",
        "a@b.example>",
        "Name <a@b.example> x",
        "a@b.example, c@d.example",
        "A <a@b.example>, B <c@d.example>, x",
        "<a@b.example",
        "a@b.example\r\nBcc: x@y.example",
        "Name\r\nBcc: x@y.example <a@b.example>",
        "Name\n<a@b.example>",
        "Na\x00me <a@b.example>",
        "Name\u2028 <a@b.example>",
        "=?utf-8?Q?a=0D=0ABcc:_x@y.example?= <a@b.example>",
        "a\ud800@b.example",
        "a b@c.example",
        "<a@b.example\t>\n",
    ],
)
def test_no_mailbox(text: str) -> None:
    with pytest.raises(BadMailbox) as raised:
        parse_mailbox(text)
    assert raised.value.text("en")
    assert "メールアドレスではありません" in raised.value.text("ja")


def test_the_error_names_what_is_wrong() -> None:
    with pytest.raises(BadMailbox, match="'joe at example' is not a mail address"):
        parse_mailbox("Joe <joe at example>")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "a@b.example"),
        ("Name", "Name <a@b.example>"),
        ("Two Words", "Two Words <a@b.example>"),
        ("Doe, J.", '"Doe, J." <a@b.example>'),
        ("two  blanks", '"two  blanks" <a@b.example>'),
        ("x@y.example", '"x@y.example" <a@b.example>'),
        ('say "hi"', "=?utf-8?B?c2F5ICJoaSI=?= <a@b.example>"),
        ("=?x", "=?utf-8?B?PT94?= <a@b.example>"),
        ("山田", "=?utf-8?B?5bGx55Sw?= <a@b.example>"),
    ],
)
def test_format(name: str, text: str) -> None:
    assert format_mailbox(Mailbox(name, "a@b.example")) == text


_NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=120).map(str.strip)
_ADDRESSES = st.sampled_from(
    ["a@b.example", "first.last+tag@sub.example.com", "x" * 60 + "@" + "y" * 50 + "." + "z" * 60 + ".example"]
)


def _read(field: bytes) -> list[tuple[str, str]]:
    message = message_from_bytes(field + b"\r\nbody")
    assert message.keys() == ["To"]
    unfolded = message["To"].replace("\r\n", "")
    return [(str(make_header(decode_header(name))), address) for name, address in getaddresses([unfolded])]


@given(st.lists(st.tuples(_NAMES, _ADDRESSES), min_size=1, max_size=8))
def test_the_standard_library_reads_them_back(mailboxes: list[tuple[str, str]]) -> None:
    field = mailbox_field("To", [Mailbox(*each) for each in mailboxes])
    assert field.endswith(b"\r\n")
    for line in field[:-2].split(b"\r\n"):
        assert line.strip()
        assert len(line) <= 76 or b"=?" not in line
        assert len(line) <= 300
    assert _read(field) == mailboxes


@given(st.lists(st.tuples(_NAMES, _ADDRESSES), min_size=1, max_size=5))
def test_the_door_reads_them(mailboxes: list[tuple[str, str]]) -> None:
    field = mailbox_field("From", [Mailbox(*each) for each in mailboxes])
    value = scan(field + b"\r\n").get(b"from")
    assert value is not None
    assert mailbox_domains(value) == tuple(address.rpartition("@")[2] for _, address in mailboxes)


def test_no_mailboxes_no_field() -> None:
    assert mailbox_field("Cc", []) == b""


def test_internationalised_addresses_stay() -> None:
    assert mailbox_field("To", [Mailbox("", "ü@日本.example")]) == "To: ü@xn--wgv71a.example\r\n".encode()


def test_a_thousand_recipients_are_folded() -> None:
    field = mailbox_field("To", [Mailbox("", f"user{n}@example.com") for n in range(1000)])
    assert max(map(len, field.split(b"\r\n"))) <= 76
    assert len(_read(field)) == 1000
