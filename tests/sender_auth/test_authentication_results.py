"""Authentication-Results: what we write is what authres reads, what we read, and what is removed."""

from __future__ import annotations

import re

import authres
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ekiden.mime.scan import scan
from ekiden.sender_auth.authentication_results import (
    MAX_OCTETS,
    MAX_PROPERTIES,
    MAX_RESULTS,
    MAX_VALUE,
    AuthenticationResults,
    BadAuthenticationResults,
    MethodResult,
    Property,
    field,
    read,
    read_instance,
    without_claims,
)

OURS = "mx.ekiden.example"
WORDS = st.sampled_from(["pass", "fail", "softfail", "temperror", "permerror", "none"])
TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
PROPERTIES = st.lists(
    st.builds(
        Property,
        st.sampled_from(["smtp", "header", "policy"]),
        st.sampled_from(["mailfrom", "d", "i", "b", "from", "remote-ip"]),
        TEXT,
    ),
    max_size=4,
).map(tuple)
RESULTS = st.lists(
    st.builds(MethodResult, st.sampled_from(["spf", "dkim", "dmarc", "arc", "iprev"]), WORDS, TEXT, PROPERTIES),
    max_size=5,
)


def value_of(written: bytes) -> bytes:
    return written.partition(b":")[2]


def test_a_field() -> None:
    results = [
        MethodResult("spf", "pass", "mechanism", (Property("smtp", "mailfrom", "hanako@example.com"),)),
        MethodResult(
            "dkim",
            "fail",
            "body",
            (
                Property("header", "d", "example.com"),
                Property("header", "s", "s2026"),
                Property("header", "a", "rsa-sha256"),
                Property("header", "b", "a+b/c=12"),
            ),
        ),
        MethodResult("arc", "none", "", (Property("smtp", "remote-ip", "2001:db8::1"),)),
    ]
    assert field(OURS, results) == (
        b"Authentication-Results: mx.ekiden.example;\r\n"
        b" spf=pass reason=mechanism smtp.mailfrom=hanako@example.com;\r\n"
        b" dkim=fail reason=body header.d=example.com header.s=s2026 header.a=rsa-sha256\r\n"
        b' header.b="a+b/c=12";\r\n'
        b' arc=none smtp.remote-ip="2001:db8::1"\r\n'
    )
    assert field(OURS, []) == b"Authentication-Results: mx.ekiden.example; none\r\n"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("example.com", b"example.com"),
        ("@example.com", b"@example.com"),
        ("a.b+c@xn--r8jz45g.jp", b"a.b+c@xn--r8jz45g.jp"),
        ("a b@example.com", b'"a b@example.com"'),
        ("a;dkim=pass", b'"a;dkim=pass"'),
        ('a"b\\c', b'"a\\"b\\\\c"'),
        ("a@b@c", b'"a@b@c"'),
        ("(", b'"("'),
        ("a\r\nX: y", b'"a??X: y"'),
        ("花子@example.com", b'"??@example.com"'),
    ],
)
def test_values(value: str, written: bytes) -> None:
    found = field(OURS, [MethodResult("spf", "none", "", (Property("smtp", "mailfrom", value),))])
    assert found.endswith(b"smtp.mailfrom=" + written + b"\r\n")


def test_a_value_that_is_too_long_or_empty_is_left_out() -> None:
    for value in ("", "x" * (MAX_VALUE + 1)):
        results = [MethodResult("spf", "none", value, (Property("smtp", "mailfrom", value),))]
        assert field(OURS, results) == b"Authentication-Results: mx.ekiden.example;\r\n spf=none\r\n"


@given(RESULTS)
@example([MethodResult("spf", "pass", "\x7f\r\n", (Property("smtp", "mailfrom", "\r\nX: y"),))])
def test_what_is_written_is_one_field_and_is_read_back(results: list[MethodResult]) -> None:
    written = field(OURS, results)
    assert written.isascii()
    assert re.fullmatch(rb"[!-~][ -~]+\r\n(?: [!-~][ -~]*\r\n)*", written)

    def kept(text: str) -> str:
        return "".join(letter if " " <= letter <= "~" else "?" for letter in text)

    expected = tuple(
        MethodResult(
            item.method,
            item.result,
            kept(item.reason),
            tuple(Property(ptype, name, kept(value)) for ptype, name, value in item.properties if value),
        )
        for item in results
    )
    assert read(value_of(written)) == AuthenticationResults(OURS, expected)


def test_authres_reads_what_we_write() -> None:
    """A second reader, with what a message usually brings."""
    results = [
        MethodResult("spf", "fail", "mechanism", (Property("smtp", "mailfrom", "a.b@example.com"),)),
        MethodResult("dkim", "pass", "", (Property("header", "d", "example.com"), Property("header", "s", "s1"))),
        MethodResult("dkim", "temperror", "a name; that=says (much)", (Property("header", "b", "a+b/c=12"),)),
        MethodResult(
            "dmarc",
            "fail",
            "not_aligned",
            (Property("header", "from", "a.example"), Property("policy", "dmarc", "none")),
        ),
        MethodResult("arc", "pass", "", (Property("smtp", "remote-ip", "2001:db8::1"),)),
        MethodResult("iprev", "pass", "", (Property("policy", "iprev", "192.0.2.1"),)),
    ]
    judged = authres.AuthenticationResultsHeader.parse(field(OURS, results).decode().replace("\r\n", ""))
    assert judged.authserv_id == OURS
    found = [
        (item.method, item.result, item.reason or "", tuple((p.type, p.name, p.value) for p in item.properties))
        for item in judged.results
    ]
    assert found == [tuple(item) for item in results]
    assert authres.AuthenticationResultsHeader.parse(field(OURS, []).decode().strip()).results == []


@pytest.mark.parametrize(
    ("value", "authserv_id", "results"),
    [
        (b" example.org 1; none", "example.org", ()),
        (b" example.org", "example.org", ()),
        (b' "a b"; none;', "a b", ()),
        # RFC 8601 appendix B
        (
            b" example.com; spf=pass smtp.mailfrom=example.net",
            "example.com",
            (MethodResult("spf", "pass", "", (Property("smtp", "mailfrom", "example.net"),)),),
        ),
        (
            b" foo.example.net (foobar) 1 (baz);\r\n dkim (like it) / 1 (One yay) = (wait for it) fail\r\n"
            b" policy (A dot can go here) . (like that) expired\r\n (surprised me) = (as I was not expecting it)"
            b" 1362471462",
            "foo.example.net",
            (MethodResult("dkim", "fail", "", (Property("policy", "expired", "1362471462"),)),),
        ),
        # as others write
        (
            b" mx.google.com;\r\n       dkim=pass header.i=@example.com header.s=s header.b=ab/+c==;\r\n"
            b"       spf=pass (google.com: domain of a@b.c designates 192.0.2.1 as permitted sender)"
            b" smtp.mailfrom=a@b.c;\r\n"
            b"       dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=example.com",
            "mx.google.com",
            (
                MethodResult(
                    "dkim",
                    "pass",
                    "",
                    (
                        Property("header", "i", "@example.com"),
                        Property("header", "s", "s"),
                        Property("header", "b", "ab/+c=="),
                    ),
                ),
                MethodResult("spf", "pass", "", (Property("smtp", "mailfrom", "a@b.c"),)),
                MethodResult("dmarc", "pass", "", (Property("header", "from", "example.com"),)),
            ),
        ),
        (
            b" mx.microsoft.com 1; spf=pass (sender ip is 192.0.2.1) smtp.rcpttodomain=a.example"
            b" smtp.mailfrom=b.example; dmarc=pass (p=reject sp=none pct=100) action=none header.from=b.example;"
            b" dkim=none (message not signed); arc=pass (0 oda=0 ltdi=1)",
            "mx.microsoft.com",
            (
                MethodResult(
                    "spf",
                    "pass",
                    "",
                    (Property("smtp", "rcpttodomain", "a.example"), Property("smtp", "mailfrom", "b.example")),
                ),
                MethodResult("dmarc", "pass", "", (Property("header", "from", "b.example"),)),
                MethodResult("dkim", "none"),
                MethodResult("arc", "pass"),
            ),
        ),
        (
            b' x; auth=PASS reason="he said \\"hi\\";" smtp.auth="a b"@example.com; nonsense; =; a=; x=!; ok=yes',
            "x",
            (
                MethodResult("auth", "pass", 'he said "hi";', (Property("smtp", "auth", "a b@example.com"),)),
                MethodResult("ok", "yes"),
            ),
        ),
    ],
)
def test_what_is_read(value: bytes, authserv_id: str, results: tuple[MethodResult, ...]) -> None:
    assert read(value) == AuthenticationResults(authserv_id, results)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"; spf=pass",
        b" spf=pass smtp.mailfrom=x",  # nobody says so
        b" a b; none",
        b" a 1 2; none",
        b" a 2; spf=pass",
        b" a/b; none",
        b' "a; none',
        b" a; (none",
        b" a; spf=pass (((",
        b" a;" + b" " * MAX_OCTETS,
        b" a" + b"; x=y" * (MAX_RESULTS + 1),
        b" a; spf=pass" + b" p.q=r" * (MAX_PROPERTIES + 1),
    ],
)
def test_what_is_not_read(value: bytes) -> None:
    with pytest.raises(BadAuthenticationResults):
        read(value)


def test_the_bounds_are_reached() -> None:
    assert len(read(b" a" + b"; x=y" * MAX_RESULTS).results) == MAX_RESULTS
    assert len(read(b" a; spf=pass" + b" p.q=r" * MAX_PROPERTIES).results[0].properties) == MAX_PROPERTIES
    assert read(b" a; none".ljust(MAX_OCTETS)).authserv_id == "a"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b" i=1; a; none", (1, b" a; none")),
        (b"\r\n (x) i (y) = (z\\) ) 42 ;a", (42, b"a")),
        (b" i=1 a; none", None),
        (b" I=1; a", None),
        (b" i=100; a", None),
        (b" i=; a", None),
        (b" (i=1; a", None),
        (b" a; i=1", None),
    ],
)
def test_instances(value: bytes, found: tuple[int, bytes] | None) -> None:
    if found is None:
        with pytest.raises(BadAuthenticationResults):
            read_instance(value)
    else:
        assert read_instance(value) == found


REST = b"From: a@example.com\r\nSubject: x\r\n"


@pytest.mark.parametrize(
    "claim",
    [
        b"Authentication-Results: mx.ekiden.example; dkim=pass\r\n",
        b"authentication-RESULTS \t: MX.Ekiden.Example.; none\r\n",
        b'Authentication-Results:\r\n (hm) "mx.ekiden.example"\r\n 1; dkim=pass\r\n',
        b'Authentication-Results: "mx\\.ekiden.example"; dkim=pass\r\n',
        b"Authentication-Results: second.example; dkim=pass\r\n",
        # of no version that we know, whoever wrote it (RFC 8601 §5)
        b"Authentication-Results: other.example 2; dkim=pass\r\n",
        # not readable, and we are in it
        b"Authentication-Results: mx.ekiden.example dkim=pass\r\n",
        b"Authentication-Results: (mx.ekiden.example; dkim=pass\r\n",
        b'Authentication-Results: "mx.eki\r\n den.example; dkim=pass\r\n',
        b"Authentication-Results: mx.ekiden.example;" + b" x" * MAX_OCTETS + b"\r\n",
        b"Authentication-Results:" + b" " * MAX_OCTETS + b"mx.ekiden.example; none\r\n",
    ],
)
def test_claims_are_removed(claim: bytes) -> None:
    ids = {OURS, "second.example"}
    for content in (claim + REST, REST + claim, claim + REST + claim + claim):
        assert without_claims(content + b"\r\nbody\r\n" + claim, ids) == REST + b"\r\nbody\r\n" + claim
    assert without_claims(claim, ids) == b""


@pytest.mark.parametrize(
    "field",
    [
        b"Authentication-Results: mx.ekiden.example.org; dkim=pass\r\n",
        b"Authentication-Results: other.example; spf=pass smtp.helo=mx.ekiden.example\r\n",
        b"Authentication-Results: spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=other.example\r\n",
        b"X-Authentication-Results: mx.ekiden.example; dkim=pass\r\n",
        b"ARC-Authentication-Results: i=1; mx.ekiden.example; dkim=pass\r\n",
        b"Subject: x\r\n Authentication-Results: mx.ekiden.example; dkim=pass\r\n",
        b"Authentication-Results-Too: mx.ekiden.example; dkim=pass\r\n",
        b"Authentication-Results mx.ekiden.example; dkim=pass\r\n",
    ],
)
def test_what_others_say_stays(field: bytes) -> None:
    content = field + REST + b"\r\nbody\r\n"
    assert without_claims(content, {OURS}) is content


CLAIM = b"Authentication-Results: mx.ekiden.example; none"


@pytest.mark.parametrize(
    "field",
    [
        b"X: a\n" + CLAIM,
        b"X: a\r" + CLAIM + b"\n y",
        CLAIM + b"\nX: a",
        CLAIM + b"\n",
        CLAIM + b"\r\r\n x",
        b"Authentication-Results: a.example; none\n" + CLAIM,
        b"nonsense\n" + CLAIM,
        b"X: a" + b"\nAuthentication-Results: a.example" * 11,
    ],
)
def test_claims_behind_a_bare_line_end_are_removed(field: bytes) -> None:
    """Some readers take a bare CR or LF for the end of a line."""
    assert without_claims(REST + field + b"\r\n" + REST + b"\r\nbody", {OURS}) == REST + REST + b"\r\nbody"
    assert without_claims(REST + field, {OURS}) == REST[:-2]


_LINES = rb"""Authentication-Results:|mx.ekiden.example|; none|a.example|X: y|authentication-results :|;|(|"|1"""
LINES = st.lists(
    st.sampled_from([CLAIM, *_LINES.split(b"|"), b"\r\n", b"\r\n", b"\n", b"\r", b" ", b"\t"]), max_size=12
).map(b"".join)


@given(LINES)
def test_no_claim_is_left_and_nothing_else_goes(lines: bytes) -> None:
    content = b"From: a@example.com\r\n" + lines + b"\r\nTo: b@example.com\r\n\r\nbody"
    left = without_claims(content, {OURS})
    before, after = scan(content), scan(left)
    assert left[after.end :] == content[before.end :]  # the header ends where it ended
    assert without_claims(left, {OURS}) is left
    fields = after.raw.split(b"\r\n")
    assert [line for line in before.raw.split(b"\r\n") if line in fields or OURS.encode() not in line] >= fields
    for line in re.split(rb"(?:\r\n|\r|\n)(?![ \t])", after.raw):
        name, _, value = line.partition(b":")
        if name.strip(b" \t").lower() == b"authentication-results":
            assert not re.match(rb"\s*mx\.ekiden\.example\s*(?:;|$)", value)
