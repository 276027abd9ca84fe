"""Tokens of links: what was sealed is read, and nothing else is."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.access.vault import Vault
from ekiden.recipients.tracking_tokens import (
    MAX_TOKEN,
    MAX_URL,
    AnyToken,
    ClickToken,
    OpenToken,
    TrackingTokens,
    UnsubscribeToken,
    trackable,
)

TOKENS = TrackingTokens(Vault(bytes(range(32))))
OTHERS = TrackingTokens(Vault(bytes(32)))
BASE64URL = string.ascii_letters + string.digits + "-_"

ACCOUNT = st.integers(1, 2**40)
MESSAGE = st.integers(0, 2**63 - 1)
NUMBER = st.integers(0, 10_000)
URL = st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), max_size=300).map(
    lambda text: f"https://shop.example/{text}"
)
WORDS = st.dictionaries(st.text(max_size=10), st.text(max_size=30), max_size=4)
TOKEN = st.one_of(
    st.builds(OpenToken, ACCOUNT, MESSAGE, NUMBER),
    st.builds(ClickToken, ACCOUNT, MESSAGE, NUMBER, URL.filter(trackable)),
    st.builds(
        UnsubscribeToken,
        ACCOUNT,
        MESSAGE,
        NUMBER,
        st.just("shop.example"),
        st.just("ann@reader.example"),
        st.just("") | st.just("1_23456"),
        WORDS,
    ),
)


def read(text: str, tokens: TrackingTokens = TOKENS) -> list[AnyToken]:
    """What each way of reading makes of it."""
    found = (tokens.read_open(text), tokens.read_click(text), tokens.read_unsubscribe(text))
    return [token for token in found if token is not None]


@given(TOKEN)
def test_what_was_sealed_is_read_as_what_it_is(token: AnyToken) -> None:
    text = TOKENS.seal(token)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", text)
    assert read(text) == [token]
    assert TOKENS.seal(token) == text
    assert read(text, OTHERS) == []


@given(token=TOKEN, data=st.data())
def test_nothing_that_was_altered_is_read(token: AnyToken, data: st.DataObject) -> None:
    text = TOKENS.seal(token)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from(BASE64URL).filter(lambda char: char != text[at]))
    assert read(text[:at] + other + text[at + 1 :]) == []
    assert read(text[:at]) == []
    assert read(text[:at] + text[at + 1 :]) == []
    for added in ("A", "=", "==", "\n", " ", ".", "%20", "\0", "é"):
        assert read(text + added) == []
        assert read(text[:at] + added + text[at:]) == []


@given(st.text(max_size=80) | st.text(BASE64URL, max_size=200))
def test_any_text(text: str) -> None:
    assert read(text) == []


def test_a_very_long_text_is_not_looked_at() -> None:
    assert read("A" * (MAX_TOKEN + 4)) == []


def test_a_token_says_nothing_of_what_is_in_it() -> None:
    token = UnsubscribeToken(3, 7, 1, "shop.example", "ann@reader.example")
    assert "ann" not in repr(TOKENS.urls("https://t.example"))
    one = TOKENS.seal(token)
    two = TOKENS.seal(UnsubscribeToken(3, 7, 2, "shop.example", "ann@reader.example"))
    same = sum(a == b for a, b in zip(one, two, strict=True))
    assert same < len(one) // 4


def test_links() -> None:
    urls = TOKENS.urls("https://links.example.com/")
    opened = urls.open(3, 2**62, 1)
    assert re.fullmatch(r"https://links\.example\.com/t/o/[A-Za-z0-9_-]{38,40}", opened)
    assert TOKENS.read_open(opened.rpartition("/")[2]) == OpenToken(3, 2**62, 1)
    clicked = urls.click(3, 7, 2, "https://shop.example/a?b=c#d")
    assert clicked.startswith("https://links.example.com/t/c/")
    assert TOKENS.read_click(clicked.rpartition("/")[2]) == ClickToken(3, 7, 2, "https://shop.example/a?b=c#d")
    left = urls.unsubscribe(3, 7, 2, "shop.example", "a@b.example", page="1_2", placeholders={"name": "Ann"})
    assert left.startswith("https://links.example.com/t/u/")
    assert TOKENS.read_unsubscribe(left.rpartition("/")[2]) == UnsubscribeToken(
        3, 7, 2, "shop.example", "a@b.example", "1_2", {"name": "Ann"}
    )


def test_long_urls_are_deflated() -> None:
    url = (
        "https://www.shop.example/products/index.html?utm_source=newsletter&utm_medium=email&utm_campaign="
        + "x" * 200
    )
    assert len(TOKENS.seal(ClickToken(3, 2**62, 1, url))) < len(url)
    longest = "https://shop.example/" + "".join(chr(97 + i * 7919 % 26) for i in range(MAX_URL - 21))
    token = ClickToken(3, 2**62, 1, longest)
    assert read(TOKENS.seal(token)) == [token]


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://shop.example", True),
        ("http://shop.example:8080/a?b#c", True),
        ("HTTPS://Shop.Example/", True),
        ("https://[2001:db8::1]/", True),
        ("https://例え.jp/道", True),
        ("https://shop.example/" + "a" * (MAX_URL - 21), True),
        ("https://shop.example/" + "a" * (MAX_URL - 20), False),
        ("https://shop.example/" + "道" * 2000, False),
        ("", False),
        ("//shop.example/", False),
        ("/path", False),
        ("https:///path", False),
        ("https:\\\\shop.example", False),
        ("ftp://shop.example/", False),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("httpx://shop.example/", False),
        ("https://shop.example/a b", False),
        ("https://shop.example/\r\nSet-Cookie: a=b", False),
        ("https://shop.example/\0", False),
        ("https://shop.example/\ud800", False),
        ("https://[::1", False),
    ],
)
def test_only_the_web_is_linked_to(url: str, good: bool) -> None:
    assert trackable(url) is good
    if not good:
        with pytest.raises(ValueError):
            TOKENS.urls("https://t.example").click(1, 2, 3, url)


def test_a_token_has_bounds() -> None:
    with pytest.raises(ValueError):
        TOKENS.seal(UnsubscribeToken(1, 2, 3, "d.example", "a@b.example", "1_2", {"text": "x" * 20_000}))
