"""X-IB-* fields: every spelling in, bad values named, everything else of the header untouched."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.core.states import Priority
from ekiden.core.submission import NO_MARKS, Marks
from ekiden.dialects.infobip.errors import from_door
from ekiden.dialects.infobip.smtp_headers import HeaderRefused, SmtpOptions, read_options
from ekiden.mime.scan import scan


def read(*lines: str | bytes) -> SmtpOptions:
    block = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\r\n" for line in lines)
    return read_options(scan(b"From: a@x.test\r\n" + block + b"Subject: s\r\n\r\nX-IB-Bulk-Id: body\r\n"))


def test_all_of_them() -> None:
    found = read(
        "X-IB-Bulk-Id: B1",
        "X-IB-Callback-Data: some data; with = signs",
        "X-IB-Intermediate-Report: true",
        "X-IB-Notify-Content-Type: application/xml",
        "X-IB-Notify-Url: https://a.example/n?x=y",
        "X-IB-Tracking-Url: http://a.example/t",
        "X-IB-Client-Priority: HIGH",
        "X-IB-Application-Id: app",
        "X-IB-Entity-Id: unit",
        "X-IB-Message-Id: M1",
        "X-IB-Campaign-Reference-Id: spring",
        "X-IB-Track: True",
        "X-IB-Track-Opens: false",
        "X-IB-Track-Clicks: 1",
    )
    assert found.marks == Marks("B1", "M1", "app", "unit", "spring")
    assert found.callback_data == "some data; with = signs"
    assert found.intermediate is True
    assert found.notify_format == "infobip-report-xml"
    assert (found.notify_url, found.tracking_url) == ("https://a.example/n?x=y", "http://a.example/t")
    assert found.priority is Priority.HIGH
    assert (found.track, found.track_opens, found.track_clicks) == (True, False, True)
    assert len(found.names) == len(found.given) == 14


def test_none_of_them() -> None:
    found = read("X-I: x", "X-IBM: y", "In-Reply-To: <x-ib-bulk-id: z@x>")
    assert found == SmtpOptions()
    assert found.names == frozenset()
    assert found.marks == NO_MARKS


@pytest.mark.parametrize(
    "name", ["X-IB-Bulk-Id", "x-ib-bulk-id", "X-IB-bulk-id", "X-IB-BulkId", "X-IB-BULKID", "X-Ib-B-U-L-K-Id"]
)
def test_spellings(name: str) -> None:
    found = read(f"{name}: B1")
    assert found.bulk == "B1"
    assert found.names == {name.lower().encode()}
    assert found.given == {"bulk"}


@pytest.mark.parametrize(
    ("line", "attribute", "wanted"),
    [
        ("X-IB-Callback-Data: =?utf-8?B?5pel5pys?= x", "callback_data", "日本 x"),
        ("X-IB-Callback-Data: =?utf-8?Q?a?=\r\n =?utf-8?Q?b?=", "callback_data", "ab"),
        ("X-IB-Callback-Data: one\r\n\ttwo", "callback_data", "one two"),
        ("X-IB-Callback-Data:\r\n one", "callback_data", "one"),
        ("X-IB-Callback-Data: a\tb", "callback_data", "a b"),
        ("X-IB-Callback-Data: 日本", "callback_data", "日本"),
        ("X-IB-Notify-Url: https://a.example/\r\n long", "notify_url", "https://a.example/long"),
        (
            "X-IB-Notify-Url: =?utf-8?Q?https=3A//a=2Eexample?=\r\n =?utf-8?Q?/x?=",
            "notify_url",
            "https://a.example/x",
        ),
        ("X-IB-Client-Priority : low", "priority", Priority.LOW),
        ("X-IB-Application-Id:app", "application", "app"),
    ],
)
def test_values(line: str, attribute: str, wanted: Any) -> None:
    assert getattr(read(line), attribute) == wanted


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("X-IB-Bulk-Id", ["", "x" * 101]),
        ("X-IB-Message-Id", ["x" * 201]),
        ("X-IB-ApplicationId", ["x" * 256, ""]),
        ("X-IB-Entity-ID", ["x" * 256]),
        ("X-IB-Campaign-Reference-Id", ["x" * 256]),
        ("X-IB-Callback-Data", ["", "x" * 4_001, "=?utf-8?Q?a=0Db?=", "=?utf-8?Q?a=FF?=", "\x00"]),
        ("X-IB-Intermediate-Report", ["", "maybe"]),
        ("X-IB-Notify-Content-Type", ["text/plain", "json"]),
        ("X-IB-Notify-Url", ["", "a.example", "ftp://a.example/", "http://u:p@a.example/", "http://a b/"]),
        ("X-IB-Tracking-Url", ["javascript:x", "http://"]),
        ("X-IB-Client-Priority", ["URGENT", ""]),
        ("X-IB-Track", ["x"]),
    ],
)
def test_bad_values_are_refused_by_name(name: str, values: list[str]) -> None:
    for value in values:
        with pytest.raises(HeaderRefused) as refused:
            read(f"{name}: {value}")
        assert refused.value.reply.code == 554
        assert refused.value.reply.enhanced == "5.6.0"
        line = refused.value.reply.encode()
        assert line.startswith(f"554 5.6.0 {name}: ".encode())
        assert line.count(b"\r\n") == 1
        assert [violation.property for violation in from_door(refused.value).violations] == [name]


def test_octets_that_are_no_text() -> None:
    with pytest.raises(HeaderRefused, match="X-IB-Callback-Data: must be valid Unicode text"):
        read(b"X-IB-Callback-Data: \xff")


def test_two_values() -> None:
    for lines in (("X-IB-Bulk-Id: a", "X-IB-Bulk-Id: a"), ("X-IB-Bulk-Id: a", "X-IB-BulkId: b")):
        with pytest.raises(HeaderRefused, match=r"X-IB-Bulk-?Id: must be given once"):
            read(*lines)


def test_unknown_ones_are_taken_off_as_well() -> None:
    found = read("X-IB-Future: x", "X-IB-: y", "X-IB-Bulk-Id: B1")
    assert found.names == {b"x-ib-future", b"x-ib-", b"x-ib-bulk-id"}
    content = b"X-IB-Future: x\r\nTo: b@x.test\r\nX-IB-Bulk-Id:\r\n B1\r\nReferences: <a@b>\r\n\r\nbody\r\n"
    header = scan(content)
    assert header.without(read_options(header).names) == b"To: b@x.test\r\nReferences: <a@b>\r\n\r\nbody\r\n"


# U+FFFD is what an encoded word that cannot be decoded shows: it is taken for one.
_WRITTEN = st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"], exclude_characters="\ufffd")


@given(st.text(_WRITTEN, min_size=1, max_size=300))
def test_what_the_standard_library_writes(value: str) -> None:
    message = EmailMessage()
    message["X-IB-Callback-Data"] = value
    content = message.as_bytes().replace(b"\n", b"\r\n")
    if not value.strip():
        return
    found = read_options(scan(content)).callback_data
    # Where it breaks a line between two words it loses the blank, so it is asked what it has written.
    written = message_from_bytes(content, policy=policy.default)["X-IB-Callback-Data"]
    assert found.split() == written.split()
