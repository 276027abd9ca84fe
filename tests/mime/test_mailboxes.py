"""Who a From field names: a table of tricks, and the standard library's two parsers as witnesses."""

from __future__ import annotations

from email.headerregistry import HeaderRegistry
from email.utils import getaddresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.core.address import to_ascii_domain
from ekiden.mime.author_domains import mailbox_domains

GOOD = ("good.example",)


@pytest.mark.parametrize(
    ("value", "domains"),
    [
        (b"x@good.example", GOOD),
        (b" \tx@GOOD.example ", GOOD),
        (b"Name <x@good.example>", GOOD),
        (b"<x@good.example>", GOOD),
        (b"< x@good.example >", GOOD),
        (b'"Name" <x@good.example>', GOOD),
        (b'"Name"<x@good.example>', GOOD),
        (b"Joe Q. Public <john.q.public@good.example>", GOOD),
        (b'"Joe \\"the\\" Public" <x@good.example>', GOOD),
        (b"=?utf-8?B?5pel5pys?= <x@good.example>", GOOD),
        (b"=?utf-8?Q?evil=40evil.example?= <x@good.example>", GOOD),
        (b'"=?utf-8?B?5pel5pys?=" <x@good.example>', GOOD),
        ("山田　太郎（株） <x@good.example>".encode(), GOOD),
        ("用户@例え.jp".encode(), ("xn--r8jz45g.jp",)),
        ("Ü <x@BÜCHER.example>".encode(), ("xn--bcher-kva.example",)),
        (b"caf\xe9 <x@good.example>", GOOD),
        (b'"evil@evil.example" <x@good.example>', GOOD),
        (b'"<evil@evil.example>" <x@good.example>', GOOD),
        (b"x@good.example (Name)", GOOD),
        (b"Pete(A nice \\) chap) <pete(his account)@good.example(his host)>", GOOD),
        (b"x(a(b)c)@good.example", GOOD),
        (b'"quoted local"@good.example', GOOD),
        (b'<"x>"@good.example>', GOOD),
        (b'a . "b" . c @ good.example', GOOD),
        (b"x@localhost", ("localhost",)),
        (b"x@[192.0.2.1]", ("[192.0.2.1]",)),
        (b"X <x@[IPv6:2001:DB8::1]>", ("[ipv6:2001:db8::1]",)),
        (b"x@good.example, Y <y@evil.example>", ("good.example", "evil.example")),
        (b"<x@good.example>, evil@evil.example", ("good.example", "evil.example")),
        (b", x@good.example,, y@b.example, ", ("good.example", "b.example")),
        (b'"a, b" <x@good.example>', GOOD),
        (b"Us: x@good.example, Y <y@b.example>;", ("good.example", "b.example")),
        (b"Us: x@good.example;, y@b.example", ("good.example", "b.example")),
        (b"Nobody:;, x@good.example", GOOD),
    ],
)
def test_readable(value: bytes, domains: tuple[str, ...]) -> None:
    assert mailbox_domains(value) == domains
    # The cache and the short ways change nothing: neither does a value that is too long for them.
    assert mailbox_domains(value + b" " * 600) == domains


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b",",
        b"Name",
        b"<>",
        b"Name <>",
        b"@good.example",
        b"x@",
        b"Nobody:;",
        b"Nobody: ;, ",
        # More than one reading of who it is.
        b"x@good.example <y@evil.example>",
        b"evil@evil.example x@good.example",
        b"x@good.example y@evil.example",
        b"<x@good.example> <y@evil.example>",
        b"<x@good.example>y@evil.example",
        b"<x@good.example, y@evil.example>",
        b"<<x@good.example>>",
        b"<x@good.example",
        b"x@good.example>",
        b"x@y@good.example",
        b"<@evil.example:x@good.example>",
        b"x@good.example; y@evil.example",
        b"x@good.example;",
        b"Us: x@good.example",
        b"Us: x@good.example; y@evil.example",
        b"Us: We: x@good.example;;",
        b'"evil@evil.example": x@good.example;',
        b"evil@evil.example: x@good.example;",
        b"=?utf-8?B?PGV2aWxAZXZpbC5leGFtcGxlPg==?=, <x@good.example>",
        # Quotes, brackets and comments that do not close, or close elsewhere for a simple reader.
        b'"Name <x@good.example>',
        b'Name" <x@good.example>',
        b'"Name\\" <x@good.example>',
        b"(Name <x@good.example>",
        b"Name) <x@good.example>",
        b"x@[192.0.2.1",
        b"x@[192.0.2.1]]",
        b'"a\\" <evil@evil.example> \\"" <x@good.example>',
        b'"a\\\\" <x@good.example>, "b <evil@evil.example> " <y@good.example>',
        b"(evil@evil.example) x@good.example",
        b"x@good.example (evil@evil.example)",
        b"(\\) <evil@evil.example> (\\) <x@good.example>",
        b'<"evil@evil.example>"@good.example>',
        b'"evil@evil.example"@good.example',
        b'=?utf-8?q?"?= <evil@evil.example>, =?utf-8?q?"?= <x@good.example>',
        b'"=?utf-8?q?=22?= <evil@evil.example>, " <x@good.example>',
        b'"\x81" <x@good.example>, " <evil@evil.example>, " <y@good.example>',
        b'"\x95\\" <evil@evil.example>, " <x@good.example>',
        # Addresses that are none, or not for everybody.
        b"x@good.example .evil.example",
        b"x@good.example(c).evil.example",
        b"x@good . example",
        b"x@good.example.",
        b"x@.good.example",
        b"x@good..example",
        b"x..y@good.example",
        b".x@good.example",
        b"x y@good.example",
        b"x@good_example!",
        b"x@[evil]",
        b"x@-",
        b"=?utf-8?q?evil=40evil.example?=@good.example",
        b"=?utf-8?q?evil=40evil.example?= x@good.example",
        b"x@=?utf-8?q?good.example?=",
        b"caf\xe9@good.example",
        b"x@caf\xe9.example",
        "evil＠evil.example＞@good.example".encode(),
        "evil\u202e@good.example".encode(),
        "x@evil.example。good.example".encode(),
        "x@good\u200b.example".encode(),
        # Characters that end a line or a string for somebody.
        b"x@good.example\r\n",
        b"A\rB <x@good.example>",
        b"A\nB <x@good.example>",
        b"A\0B <x@good.example>",
        b"A\x1bB <x@good.example>",
        "A\u2028B <x@good.example>".encode(),
        "A\u0085B <x@good.example>".encode(),
        b"x@" + b"a" * 300 + b".example",
        b"x@" + "ä".encode() * 5000 + b".example",
    ],
)
def test_not_readable(value: bytes) -> None:
    assert mailbox_domains(value) is None
    assert mailbox_domains(value + b" " * 600) is None


def test_long_values_take_linear_time() -> None:
    # No assertion on time: a quadratic reader would not come back before the suite's own limit.
    size = 200_000
    for piece in (
        b"(",
        b"<",
        b'"',
        b"a ",
        b"a,",
        b"a@",
        b"a.",
        b"\\",
        b'"" ',
        b"() ",
        b"a@b.example, ",
        b": ",
        b" \t",
    ):
        mailbox_domains(piece * (size // len(piece)))
        mailbox_domains(piece * (400 // len(piece)))


ATOMS = st.text(st.sampled_from("abcXYZ019!#$%&'*+-/^_`{|}~"), min_size=1, max_size=6)
DOMAINS = st.lists(
    st.from_regex(r"[a-zA-Z0-9]([a-z0-9-]{0,4}[a-z0-9])?", fullmatch=True), min_size=1, max_size=3
).map(".".join)
LOCALS = st.lists(ATOMS, min_size=1, max_size=3).map(".".join)
ADDRESSES = st.tuples(LOCALS, DOMAINS).map("@".join)
NAMES = st.one_of(
    st.just(""),
    st.lists(ATOMS, min_size=1, max_size=3).map(" ".join),
    st.text(st.sampled_from("ab @<>,;:()."), max_size=12).map('"{}"'.format),
    st.just("=?utf-8?B?5pel5pys?="),
    st.just("日本"),
)
MAILBOXES = st.one_of(
    ADDRESSES,
    st.tuples(NAMES, ADDRESSES).map(lambda pair: f"{pair[0]} <{pair[1]}>"),
    st.tuples(ADDRESSES, ATOMS).map(lambda pair: f"{pair[0]} ({pair[1]})"),
)
PIECES = st.sampled_from(
    [
        *'<>@,;:"()\\. \t[]',
        "a",
        "b.example",
        "x@a.example",
        "<y@b.example>",
        '"n@c.example"',
        "=?utf-8?q?=22?=",
        "é",
        "(c)",
    ]
)


def witnesses(value: str) -> list[list[str]]:
    """The domains that each parser of the standard library finds."""
    with_utils = [address.rpartition("@")[2] for _, address in getaddresses([value]) if address]
    try:
        header = HeaderRegistry()("From", value)
    except (AttributeError, TypeError, IndexError):  # slips of the library on some obsolete forms
        return [with_utils]
    return [with_utils, [address.domain for address in header.addresses]]  # type: ignore[attr-defined]


@given(st.lists(MAILBOXES, min_size=1, max_size=4))
def test_well_formed_fields_are_read_as_by_the_standard_library(mailboxes: list[str]) -> None:
    value = ", ".join(mailboxes)
    domains = mailbox_domains(value.encode())
    if domains is None:
        # Only an @ in a name beside a comment or an encoded word is refused, among what is well formed.
        assert value.count("@") > len(mailboxes)
        return
    assert len(domains) == len(mailboxes)
    for found in witnesses(value):
        assert tuple(domain.lower() for domain in found) == domains


@given(st.lists(PIECES, max_size=12).map("".join))
def test_nobody_finds_an_author_that_we_did_not(value: str) -> None:
    domains = mailbox_domains(value.encode())
    if domains is None:
        return
    for found in witnesses(value):
        assert {to_ascii_domain(domain) for domain in found if domain} <= set(domains)


@given(st.binary(max_size=60))
def test_octets_never_raise(value: bytes) -> None:
    domains = mailbox_domains(value)
    assert domains is None or (domains and all(domain.isascii() for domain in domains))
