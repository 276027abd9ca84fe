"""Single values: what real clients send is taken, everything else is named."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.core.clock import DAY, HOUR, MINUTE
from ekiden.core.states import Priority
from ekiden.dialects.infobip import value_rules as fields
from ekiden.dialects.infobip.errors import ApiError
from ekiden.dialects.infobip.times import timestamp
from ekiden.dialects.infobip.value_rules import BadField, Checks

NOW = 1_764_590_400_000


@pytest.mark.parametrize("value", [True, "true", "True", "TRUE", "1", 1, "yes", "Yes", "on", " true "])
def test_true(value: Any) -> None:
    assert fields.boolean(value) is True


@pytest.mark.parametrize("value", [False, "false", "False", "0", 0, "no", "off"])
def test_false(value: Any) -> None:
    assert fields.boolean(value) is False


@pytest.mark.parametrize(
    ("reader", "values"),
    [
        (fields.boolean, ["", "maybe", 2, None, [], "truefalse"]),
        (
            partial(fields.whole, lowest=1, highest=9),
            ["", "0", 10, "1.0", 1.5, True, None, [], "１", "1e1", "9" * 99],
        ),
        (
            partial(fields.line, longest=5),
            ["", " ", "abcdef", "a\nb", "a\rb", "a\0", "a\x85", "a\u2028", "\ud800", 5, None],
        ),
        (partial(fields.text, longest=5), ["abcdef", "a\0", "\udfff", 5, None, ["a"]]),
        (partial(fields.identifier, longest=5), ["", "abcdef", "a\r\nb"]),
        (fields.priority, ["", "URGENT", 5, None]),
        (fields.pixel_position, ["", "MIDDLE", None]),
        (fields.report_format, ["", "text/plain", "json", None]),
        (
            fields.url,
            [
                "",
                "x",
                "ftp://a.example/",
                "javascript:alert(1)",
                "//a.example/",
                "http://",
                "http:///x",
                "http://user@a.example/",
                "http://user:pass@a.example/",
                "http://a.example:99999/",
                "http://a.example:0/",
                "http://a.example:x/",
                "http://[::1/",
                "http://[zz]/",
                "http://a b/",
                "http://a.example/ x",
                "http://a.example\\@b.example/",
                "http://a.example/\r\nX: y",
                "http://-a/",
                "http://a.example/" + "x" * 2_048,
                None,
                5,
            ],
        ),
        (
            fields.mailbox,
            [
                "",
                "x",
                "a@",
                "@b",
                "a@b@c",
                "a b@c.test",
                "Name <a@b.test",
                "Name a@b.test>",
                "<>",
                "a@b.test, c@d.test",
                "A <a@b.test>, B <c@d.test",
                "a@b.test\r\nBcc: x@y.test",
                "N\r\nBcc: <a@b.test>",
                "x" * 250 + "@b.test",
                "a..b@c.test",
                "a.@docomo.ne.jp.test",
                None,
                {"to": "a@b.test"},
            ],
        ),
        (
            fields.form_recipient,
            [
                "{",
                "{}",
                '{"to": 5}',
                '{"to": "x"}',
                '{"to": "a@b.test", "cc": "x"}',
                '{"to": "a@b.test", "placeholders": 5}',
                '{"to": "a@b.test", "placeholders": {"a": {}}}',
                '{"to": "a@b.test\\r\\nBcc: x@y.test"}',
                '{"to": "a@b.test", "placeholders": {"a": "\\ud800"}}',
                "[" * 99_999,
                "{" * 99_999,
                '{"a":' * 99_999,
            ],
        ),
        (
            fields.placeholders,
            ["x", "[]", "5", '{"a": []}', [], 5, None, {"a": {"b": "c"}}, {str(n): "" for n in range(1_001)}],
        ),
        (
            fields.headers,
            [
                "x",
                '{"": "x"}',
                '{"a b": "x"}',
                '{"a:": "x"}',
                '{"X-A\\r\\nB": "x"}',
                '{"X-A": "x\\r\\nBcc: y@z.test"}',
                '{"X-A": "x\\ny"}',
                '{"X-A": ""}',
                '{"X-A": null}',
                '{"X-A": ["x"]}',
                '{"X-A": "1", "x-a": "2"}',
                '{"Ä": "x"}',
                {f"X-{n}": "x" for n in range(101)},
                {"X-A": "x" * 4_001},
            ],
        ),
        (
            partial(fields.send_at, now=NOW, days=30),
            ["", "now", 5, timestamp(NOW + 31 * DAY), "2025-12-01"],
        ),
        (fields.validity, ["", 0, -1, "x", None]),
    ],
)
def test_values_that_cannot_be(reader: Callable[[Any], Any], values: list[Any]) -> None:
    for value in values:
        with pytest.raises(BadField) as refused:
            print(value, reader(value))
        assert refused.value.text("ja") != refused.value.text("en")


def test_values_that_can_be() -> None:
    assert fields.whole(" 7 ", 1, 9) == fields.whole(7, 1, 9) == 7
    assert fields.line(" ä\U0001f600", 5) == " ä\U0001f600"
    assert fields.text("a\r\n\tb", 9) == "a\r\n\tb"
    assert fields.text("", 0) == ""
    assert fields.identifier(" id ", 9) == "id"
    assert fields.priority("high") is Priority.HIGH
    assert fields.pixel_position("bottom") == "BOTTOM"
    assert fields.report_format("application/json; charset=utf-8") == "infobip-report-json"
    assert fields.report_format("Application/XML") == "infobip-report-xml"
    for url in (
        "http://a.example",
        "HTTPS://a.example:8443/x?y=z&a=@#f",
        "http://192.0.2.1/",
        "http://[2001:db8::1]:8080/x",
        "http://localhost:1/n",
        "https://例え.example/",
    ):
        assert fields.url(url) == url


@pytest.mark.parametrize(
    ("given_", "name", "address"),
    [
        ("a@b.test", "", "a@b.test"),
        (" <a@b.test> ", "", "a@b.test"),
        ("Jane Doe <jane@x.test>", "Jane Doe", "jane@x.test"),
        ('"Doe, Jane" <jane@x.test>', "Doe, Jane", "jane@x.test"),
        ('"A \\"B\\"" <jane@x.test>', 'A "B"', "jane@x.test"),
        ("日本 太郎 <taro@x.test>", "日本 太郎", "taro@x.test"),
        ("Jane<jane@X.test>", "Jane", "jane@x.test"),
    ],
)
def test_mailboxes(given_: str, name: str, address: str) -> None:
    found = fields.mailbox(given_)
    assert (found.name, found.address) == (name, address)


def test_carriers_old_addresses() -> None:
    given_ = "太郎 <a..b.@docomo.ne.jp>"
    found = fields.recipient(given_)
    assert (found.address.text, found.address.shown) == ('"a..b."@docomo.ne.jp', "a..b.@docomo.ne.jp")
    for reader in (fields.recipient, fields.form_recipient):
        with pytest.raises(BadField):
            reader(given_, carriers=False)
        assert reader('"a..b."@docomo.ne.jp', carriers=False).address.text == '"a..b."@docomo.ne.jp'
        assert reader("ab@docomo.ne.jp", carriers=False).address.text == "ab@docomo.ne.jp"


def test_recipients() -> None:
    given_ = ' {"to": "Al <alice@x.test>", "placeholders": {"name": "Alice", "n": 5, "ok": true}}'
    found = fields.form_recipient(given_)
    assert found.address.text == "alice@x.test"
    assert found.name == "Al"
    assert found.placeholders == {"name": "Alice", "n": "5", "ok": "true"}
    assert fields.form_recipient('{"to": "a@x.test", "placeholders": null}').placeholders == {}
    assert fields.form_recipient("a@x.test").placeholders == {}
    found = fields.recipient("a@x.test", '{"a": "b"}', "M1")
    assert (found.address.domain, found.placeholders, found.reference) == ("x.test", {"a": "b"}, "M1")


def test_placeholders_and_headers_as_texts_and_objects() -> None:
    assert fields.placeholders('{"a": "b", "c": null, "d": 1.5}') == {"a": "b", "c": "", "d": "1.5"}
    assert fields.placeholders({"a": "b"}) == {"a": "b"}
    assert fields.placeholders("") == {}
    assert fields.headers('{"X-C": "v", "X-N": 5}') == (("X-C", "v"), ("X-N", "5"))


NOT_SETTABLE = (
    "To, Cc, Bcc, From, Subject, Content-Type, DKIM-Signature, Content-Transfer-Encoding, Return-Path, MIME-Version"
)


@pytest.mark.parametrize("name", NOT_SETTABLE.split(", "))
def test_headers_of_the_contract_that_cannot_be_set(name: str) -> None:
    for spelling in (name, name.lower(), name.upper()):
        with pytest.raises(BadField, match=f"(?i)header {name} cannot be set"):
            fields.headers({"X-A": "b", spelling: "x"})


def test_send_at() -> None:
    assert fields.send_at(timestamp(NOW - 5), NOW, 30) is None
    assert fields.send_at(timestamp(NOW), NOW, 30) is None
    assert fields.send_at("2020-01-01T00:00:00", NOW, 30) is None
    assert fields.send_at(timestamp(NOW + 30 * DAY), NOW, fields.AHEAD_V3) == NOW + 30 * DAY
    with pytest.raises(BadField):
        fields.send_at(timestamp(NOW + 6 * DAY), NOW, fields.AHEAD_V4)


def test_validity() -> None:
    assert fields.validity(5) == 5 * MINUTE
    assert fields.validity("90", "seconds") == 90_000
    assert fields.validity(1_000, "HOURS") == 48 * HOUR


def test_checks_gather_everything() -> None:
    checks = Checks()
    assert checks.take("track", fields.boolean, "True", False) is True
    assert checks.take("track", fields.boolean, None, False) is False
    checks.done()
    assert checks.take("trackOpens", fields.boolean, "x", False) is False
    checks.add("to", "must not be null")
    with pytest.raises(ApiError) as refused:
        checks.done()
    assert [violation.property for violation in refused.value.violations] == ["trackOpens", "to"]


def test_single() -> None:
    assert fields.single([]) is None
    assert fields.single(["a", "a"]) == "a"
    with pytest.raises(BadField):
        fields.single(["a", "b"])


READERS = [fields.boolean, fields.url, fields.mailbox, fields.recipient, fields.placeholders, fields.headers]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@given(JSON, st.sampled_from(READERS))
def test_any_value_is_taken_or_refused(value: Any, reader: Callable[[Any], Any]) -> None:
    with suppress(BadField):
        reader(value)


@given(st.text(max_size=60))
def test_nothing_that_breaks_a_header_gets_through(text: str) -> None:
    for reader in (fields.mailbox, lambda value: fields.headers({"X-A": value})):
        with suppress(BadField):
            assert {"\r", "\n"}.isdisjoint(
                repr(reader(text)).replace("\\\\", "").replace("\\r", "\r").replace("\\n", "\n")
            )
