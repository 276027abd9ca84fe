import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.core.address import (
    Address,
    BadAddress,
    is_carrier,
    parse_address,
    shown_address,
    spellings,
    to_ascii_domain,
)

GOOD = [
    ("a@b.test", "b.test"),
    ("A.B+tag@Example.COM", "example.com"),
    ("o'brien!#$%&*/=?^_`{|}~-@b.test", "b.test"),
    ('"a b"@b.test', "b.test"),
    ('"a\\"b"@b.test', "b.test"),
    ("a@[192.0.2.1]", "[192.0.2.1]"),
    ("a@[IPv6:2001:db8::1]", "[ipv6:2001:db8::1]"),
    ("用户@例え.テスト", "xn--r8jz45g.xn--zckzah"),
    ("a@bücher.example", "xn--bcher-kva.example"),
    ("a@localhost", "localhost"),
    ("a@_dmarc.b.test", "_dmarc.b.test"),
    ("l" * 64 + "@b.test", "b.test"),
    ("l" * 247 + "@b.test", "b.test"),
]

BAD = [
    "",
    "a",
    "@b.test",
    "a@",
    "a@@b.test",
    ".a@b.test",
    "a.@b.test",
    "a..b@b.test",
    "a b@b.test",
    "a@b..test",
    "a@-b.test",
    "a@b_.test-",
    "a@" + "b" * 64 + ".test",
    "l" * 248 + "@b.test",
    "用" * 83 + "@b.test",
    "a@" + "例え." * 90 + "test",
    "a@b.test..",
    "a@例え。。test",
    "a@.",
    "a@。",
    "a..b@docomo.ne.jp.test",
    "a..b@adocomo.ne.jp",
    "a..b@例え.docomo.ne.jp",
    "a..b c@docomo.ne.jp",
    "あ..い@docomo.ne.jp",
    "a\ud800@b.test",
    "a@" + ".".join(["b" * 60] * 5),
    "a@[999]",
    "a\r\n@b.test",
    "a@b.test\r\n",
    "a@b.test\n",
    '"a\x00"@b.test',
    "a\x00@b.test",
    "<a@b.test>",
    "a@b.test>",
    "a@b,test",
]


@pytest.mark.parametrize(("text", "domain"), GOOD)
def test_good(text, domain):
    address = parse_address(text)
    assert address.shown == text
    assert address.domain == domain
    assert address.local + "@" == text[: len(address.local) + 1]
    assert parse_address(address.text) == Address(address.text, domain)


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        (
            "a@b.test",
            ["a@b.test.", "a@B.TEST", "a@b。test", "a@b．test｡", '"a"@b.test', '"\\a"@b.test', "a@ｂ.test"],
        ),
        ("A.b@b.test", ["A.b@B.test", '"A.b"@b.test', '"A\\.b"@b.test.']),
        (
            "a@xn--bcher-kva.test",
            ["a@bücher.test", "a@Bu\u0308cher.test.", "a@XN--BCHER-KVA.test", "a@BÜCHER。test"],
        ),
        ("用户@xn--r8jz45g.test", ["用户@例え.test", '"用户"@例え.test']),
        ('"a b"@b.test', ['"a b"@B.test.', '"a\\ \\b"@b.test']),
        ("a@[IPv6:2001:db8::1]", ["a@[IPV6:2001:DB8::1]", "a@[ipv6:2001:db8::1]"]),
        ('"a..b"@docomo.ne.jp', ["a..b@docomo.ne.jp", "a..b@DOCOMO.ne.jp.", '"a.\\.b"@docomo．ne．jp']),
        ('"a."@ezweb.ne.jp', ["a.@ezweb.ne.jp", '"a."@ezweb.ne.jp.']),
        ('".a"@c.ezweb.ne.jp', [".a@c.ezweb.ne.jp"]),
    ],
)
def test_one_form(text, spelled):
    assert parse_address(text).text == text
    for other in spelled:
        found = parse_address(other)
        assert (found.text, found.shown) == (text, other)
        assert spellings(other) == (text, other)
        assert parse_address(text).key == found.key


def test_keys_do_not_tell_cases_apart():
    assert parse_address("Ann.B@B.test.").key == "ann.b@b.test"
    assert (
        parse_address("Jose\u0301@例え.test").key == parse_address("JOSÉ@例え.TEST").key == "josé@xn--r8jz45g.test"
    )


def test_what_cannot_be_seen_is_not_shown():
    found = parse_address("a@exam\u200bple.test")
    assert (found.text, found.shown) == ("a@example.test", "a@example.test")


def test_carriers_addresses():
    assert is_carrier("docomo.ne.jp")
    assert is_carrier("t.vodafone.ne.jp")
    assert not is_carrier("vodafone.ne.jp")
    assert shown_address('"a..b"@docomo.ne.jp') == "a..b@docomo.ne.jp"
    for other in ('"a..b"@b.test', '"a b"@docomo.ne.jp', "a@docomo.ne.jp", "用户@b.test"):
        assert shown_address(other) == other
    with pytest.raises(BadAddress):
        parse_address("a..b@docomo.ne.jp", carriers=False)
    assert parse_address('"a..b"@docomo.ne.jp', carriers=False).text == '"a..b"@docomo.ne.jp'


@pytest.mark.parametrize("text", BAD)
def test_bad(text):
    with pytest.raises(BadAddress):
        parse_address(text)


@given(st.text(max_size=300))
def test_any_text_is_an_address_or_explained(text):
    try:
        address = parse_address(text)
    except BadAddress as error:
        assert str(error)
    else:
        assert address.domain.isascii()
        assert parse_address(address.text)[:2] == address[:2]
        assert not set(address.text) & set("\r\n\0")


def test_a_domain_keeps_its_meaning():
    assert to_ascii_domain("Example.COM.") == "example.com"
