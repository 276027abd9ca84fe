import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.core.address import parse_address, to_ascii_domain
from ekiden.core.errors import BadAddress

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
    "l" * 65 + "@b.test",
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
    assert address.text == text
    assert address.domain == domain
    assert address.local + "@" == text[: len(address.local) + 1]


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
        assert not set(address.text) & set("\r\n\0")


def test_a_domain_keeps_its_meaning():
    assert to_ascii_domain("Example.COM.") == "example.com"
