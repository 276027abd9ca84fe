"""Header fields that programs write wrongly, and what is made of them."""

from __future__ import annotations

import email
import email.policy
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.mime.author_domains import mailbox_domains
from ekiden.mime.repair import author_meant, repair
from ekiden.mime.scan import scan

GOOD = (
    b"From: A <a@d.example>\r\nDate: Sat, 29 Nov 2026 12:00:00 +0900\r\nMessage-ID: <a@d.example>\r\n"
    b"Subject: x\r\n\r\nFrom here\r\n"
)


def repaired(content: bytes, sender: str | None = "s@d.example") -> bytes:
    found = repair(scan(content), sender)
    return content if found is None else found.content


def fields(content: bytes, name: bytes) -> list[bytes]:
    header = scan(content)
    return [header.content[item.value : item.end].strip() for item in header.fields() if item.name == name]


RIGHT: dict[bytes, list[bytes]] = {
    b"Message-ID": [
        b"<a@b>",
        b"<a.b-c_d+e=f$g@h.example>",
        b"<a@[192.0.2.1]>",
        b'<"a"@b>',
        b"<a@b> (added by mx)",
        b"(x) <a@b>",
        b"<a..b@c>",
        b"\r\n <a@b>",
        b"<ABC123.JavaMail.root@host_1>",
    ],
    b"Date": [
        b"Sat, 29 Nov 2026 12:00:00 +0900",
        b"29 Nov 2026 12:00 GMT",
        b"Sat,  9 Nov 2026 12:00:00 -0000 (JST)",
        b"sat, 09 nov 26 12:00:60 EST",
        b"Sat, 29 Nov 2026\r\n 12:00:00 +0000",
    ],
}


def with_value(name: bytes, value: bytes) -> bytes:
    [good] = fields(GOOD, name.lower())
    return GOOD.replace(name + b": " + good, name + b": " + value)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in RIGHT for value in RIGHT[name]])
def test_what_is_right_is_left_alone(name: bytes, value: bytes) -> None:
    assert repair(scan(with_value(name, value)), None) is None


# ``None``: a new one is made by the door.
COMPLETED: dict[bytes, list[tuple[bytes, bytes | None]]] = {
    b"Message-ID": [
        (b"a@b", b"<a@b>"),
        (b"<a@b", b"<a@b>"),
        (b"a@b>", b"<a@b>"),
        (b"<<a@b>>", b"<a@b>"),
        (b'"a@b"', b"<a@b>"),
        (b"< a@b >", b"<a@b>"),
        (b"<a@b> <c@d>", b"<a@b>"),
        (b"<a@b>, <c@d>", b"<a@b>"),
        (b"", None),
        (b"<>", None),
        (b"<@>", None),
        (b"abc", None),
        (b"<abc>", None),
        (b"<a@>", None),
        (b"<@b>", None),
        (b'a@"', None),
        (b"';@b", None),
        (b"<a@b@c>", None),
        (b"<a b@c>", None),
        (b"<a@b> and more", None),
        ("<予約@b>".encode(), None),
        (b"<" + b"x" * 1000 + b"@b>", None),
        (b"<a@b\x00>", None),
    ],
    b"Date": [
        (b"Sun, 29 Nov 2026 12:00:00", b"Sun, 29 Nov 2026 12:00:00 -0000"),
        (b"2026-11-29T12:00:00+09:00", b"Sun, 29 Nov 2026 12:00:00 +0900"),
        (b"2026-11-29T03:00:00Z", b"Sun, 29 Nov 2026 03:00:00 +0000"),
        (b"2026-11-29 12:00:00", b"Sun, 29 Nov 2026 12:00:00 -0000"),
        (b"2026-11-29 12:00:00.5 -03:30".replace(b" -", b"-"), b"Sun, 29 Nov 2026 12:00:00 -0330"),
        (b"Sun Nov 29 12:00:00 2026", b"Sun, 29 Nov 2026 12:00:00 -0000"),
        (b"Nov 29 2026 12:00:00 +0900", b"Sun, 29 Nov 2026 12:00:00 +0900"),
        (b"Sun, 29 Nov 2026 12:00:00 JST", b"Sun, 29 Nov 2026 12:00:00 +0900"),
        (b"Sun, 29 Nov 2026 12:00:00 XYZ", b"Sun, 29 Nov 2026 12:00:00 -0000"),
        (b"Sun, 29-Nov-2026 12:00:00 GMT", b"Sun, 29 Nov 2026 12:00:00 +0000"),
        (b"Sun, 29 November 2026 12:00:00 +0900", b"Sun, 29 Nov 2026 12:00:00 +0900"),
        (b"", None),
        (b"now", None),
        (b"0", None),
        (b"Mon, 32 Nov 2026 12:00:00 +0000", None),
        (b"Mon, 2 Foo 2026 12:00:00 +0000", None),
        (b"Mon, 2 Nov 2026 25:00:00 +0000", None),
        (b"29/11/2026", None),
        (b"1 Jan 22222222226 00:00 JST", None),
        (b"1 Jan 2026 00:00:00 +99999999999999999", None),
        (b"Mon, 2 Nov 2026 99999999999:00:00 +0000", None),
        ("2026年11月29日 12時00分".encode(), None),
        (b"x" * 5000, None),
    ],
}


@pytest.mark.parametrize(
    ("name", "value", "completed"), [(name, *case) for name in COMPLETED for case in COMPLETED[name]]
)
def test_what_is_none_is_completed_or_goes(name: bytes, value: bytes, completed: bytes | None) -> None:
    content = repaired(with_value(name, value))
    assert fields(content, name.lower()) == ([] if completed is None else [completed])
    assert fields(content, b"x-original-" + name.lower()) == ([value] if value else [])
    assert content.endswith(b"\r\n\r\nFrom here\r\n")


@pytest.mark.parametrize(
    "header",
    [
        (b"Message-ID: " + b"a" * 880 + b"\r\n") * 280,
        (b"Message-ID: " + b"a" * 880 + b"@\r\n") * 280,
        b"From " + b"Mon" * 20_000 + b"\nX\r\n",
    ],
)
def test_made_to_take_long(header: bytes) -> None:
    begun = time.process_time()
    repair(scan(header + GOOD), None)
    assert time.process_time() - begun < 0.3


def test_only_one_message_id_and_one_date_stay() -> None:
    content = repaired(
        b"Message-Id: 1\r\nDate: 5\r\nFrom: a@d.example\r\nMESSAGE-ID: <b@c>\r\nDate: 1 Jan 26 00:00 GMT\r\n"
        b"Message-ID: <d@e>\r\nDate: 2 Jan 2026 00:00:00 +0000\r\n\r\n"
    )
    assert fields(content, b"message-id") == [b"<b@c>"]
    assert fields(content, b"x-original-message-id") == [b"1", b"<d@e>"]
    assert fields(content, b"date") == [b"1 Jan 26 00:00 GMT"]
    assert fields(content, b"x-original-date") == [b"5", b"2 Jan 2026 00:00:00 +0000"]


def test_lines_of_mailbox_files_go() -> None:
    line = b"From a@d.example Sat Nov 29 12:00:00 2026\r\n"
    for junk in (line, b">" + line, line + b">" + line, b"From MAILER-DAEMON\r\n"):
        assert repaired(junk + GOOD) == GOOD
    at = GOOD.index(b"Date:")
    assert repaired(GOOD[:at] + line + GOOD[at:]) == GOOD
    assert repaired(GOOD.replace(b"From: A", b"From : A")) == GOOD.replace(b"From: A", b"From : A")


def test_a_text_that_begins_so_is_kept() -> None:
    text = b"From here on it is a text\r\nof two lines\r\n\r\nand more\r\n"
    assert repaired(text) == text


def test_the_one_click_field_stands_once() -> None:
    post = b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    assert repaired(post + post.upper() + GOOD + post) == post + GOOD + post  # the last is body


JAPANESE = "予約係".encode("iso2022_jp")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"[Shop] <a@d.example>", "[Shop] <a@d.example>"),
        (b"Shop, Inc. <a@d.example>", "Shop, Inc. <a@d.example>"),
        (b"Shop: Tokyo <a@d.example>", "Shop: Tokyo <a@d.example>"),
        (b"Shop (Tokyo <a@d.example>", "Shop (Tokyo <a@d.example>"),
        (b'"Shop <a@d.example>', "Shop <a@d.example>"),
        (b'Shop "the best <a@d.example>', 'Shop "the best <a@d.example>'),
        (b"Shop; <a@d.example>", "Shop <a@d.example>"),
        (b"a@d.example <a@d.example>", "a@d.example"),
        (b"info@d.example <a@d.example>", "info@d.example <a@d.example>"),
        (b"<a@d.example> <a@d.example>", None),
        (b"<a@d.example> Shop", "Shop <a@d.example>"),
        (b"Shop a@d.example", "Shop <a@d.example>"),
        (b"Shop <a@d.example", "Shop <a@d.example>"),
        (b"a@d.example;", "a@d.example"),
        (b"a@d.example; b@d.example", "a@d.example, b@d.example"),
        (b"[A] <a@d.example>, [B] <b@d.example>", "[A] <a@d.example>, [B] <b@d.example>"),
        (JAPANESE + b" <a@d.example>", "予約係 <a@d.example>"),
        (b'"' + JAPANESE + b'" <a@d.example>', "予約係 <a@d.example>"),
        (JAPANESE + b"<a@d.example>", "予約係 <a@d.example>"),
        ("表示 [店] <a@d.example>".encode("cp932"), "表示 [店] <a@d.example>"),
        ("【予約】 店: <a@d.example>".encode("euc_jp"), "【予約】 店: <a@d.example>"),
        ("店、[予約] <a@d.example>".encode(), "店、[予約] <a@d.example>"),
        (b"=?utf-8?B?W1Nob3BdIDxhQGQuZXhhbXBsZT4=?= <a@d.example>, x", None),
        (b"Shop", "Shop <s@d.example>"),
        (b"[Shop]", "[Shop] <s@d.example>"),
        (b"", None),
        (b"a\0@d.example <a@d.example>", None),
        (b"[x] <a@d.example>, b@", None),
        (b"[x] " * 600 + b"<a@d.example>", None),
    ],
)
def test_authors_of_legacy_programs(value: bytes, shown: str | None) -> None:
    content = GOOD.replace(b"A <a@d.example>", value)
    found = repair(scan(content), "s@d.example")
    if shown is None:
        if found is not None and value:
            assert mailbox_domains(fields(found.content, b"from")[0]) is not None
        return
    assert found is not None
    [written] = fields(found.content, b"from")
    domains = mailbox_domains(written.replace(b"\r\n", b""))
    assert domains is not None
    assert set(domains) <= set(found.named) == {"d.example"}
    parsed = email.message_from_bytes(found.content, policy=email.policy.default)
    assert str(parsed["From"]).replace('"', "").replace("\\", "") == shown.replace('"', "")
    assert fields(found.content, b"x-original-from") == [value]
    assert found.what == ("From",)


@pytest.mark.parametrize(
    "value",
    [
        b"[Shop] ceo@bank.example <a@d.example>",
        b"[x] <ceo@bank.example> <a@d.example>",
        b"=?utf-8?B?Y2VvQGJhbmsuZXhhbXBsZQ==?= [x] <a@d.example>",
        "[x] ceo＠bank.example <a@d.example>".encode(),
        b"[x] (ceo@bank.example) <a@d.example>",
        b"[x] ceo@\tbank.example <a@d.example>",
    ],
)
def test_every_domain_that_anybody_may_see_is_named(value: bytes) -> None:
    found = author_meant(value)
    assert found is None or "bank.example" in found.named


@given(st.text(st.sampled_from('a@d.example<>,;:()[]"\\ =?\x1b$B店＠'), max_size=60))
def test_what_is_repaired_is_readable(text: str) -> None:
    found = author_meant(text.encode(), sender="s@d.example")
    if found is not None:
        assert found.mailboxes
        assert all(box.address.rpartition("@")[2].lower() in found.named for box in found.mailboxes)
