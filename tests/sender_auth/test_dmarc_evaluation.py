"""DMARC evaluation: the tree walk, alignment, and what to do with a message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spf_zone import TIMEOUT, Zone, ZoneLookup, run

from ekiden.sender_auth.dmarc import DmarcResult, Identifier, discover, evaluate, organizational_domain

SPF = Identifier("spf", "example.com", "pass")
EXAMPLE: Zone = {"_dmarc.example.com": {"TXT": ["v=DMARC1; p=reject; sp=quarantine; np=none"]}}


def judge(zone: Zone, domain: str, *identifiers: Identifier, draw: int | None = None) -> DmarcResult:
    return run(evaluate(domain, identifiers, ZoneLookup(zone), draw=draw))


# RFC 7489 appendix B.1 (RFC 9989 has the same): author domain, authenticated domain, strict, relaxed.
@pytest.mark.parametrize("kind", ["spf", "dkim"])
@pytest.mark.parametrize(
    ("author", "authenticated", "strict", "relaxed"),
    [
        ("example.com", "example.com", True, True),
        ("example.com", "child.example.com", False, True),
        ("child.example.com", "example.com", False, True),
        ("child.example.com", "example.net", False, False),
        ("child.example.com", "other.example.com", False, True),
        ("Example.COM.", "EXAMPLE.com", True, True),
        ("example.com", "notexample.com", False, False),
        ("example.com", "com", False, False),
    ],
)
def test_rfc_7489_appendix_b1(kind: str, author: str, authenticated: str, strict: bool, relaxed: bool) -> None:
    identifier = Identifier("spf" if kind == "spf" else "dkim", authenticated, "pass", "s1")
    for mode, aligned in (("s", strict), ("r", relaxed)):
        zone = {"_dmarc.example.com": {"TXT": [f"v=DMARC1; p=reject; aspf={mode}; adkim={mode}"]}}
        result = judge(zone, author, identifier)
        assert result.word == ("pass" if aligned else "fail")
        assert result.disposition == ("none" if aligned else "reject")
        assert [(item.mode, item.aligned) for item in result.identifiers] == [(mode, aligned)]


@pytest.mark.parametrize("word", ["none", "neutral", "fail", "softfail", "temperror", "permerror", "policy"])
def test_only_a_pass_aligns(word: str) -> None:
    result = judge(EXAMPLE, "example.com", Identifier("spf", "example.com", word))
    assert (result.word, result.reason) == ("fail", "not_aligned")


def test_one_identifier_is_enough() -> None:
    result = judge(EXAMPLE, "example.com", Identifier("dkim", "example.net", "pass", "a"), SPF)
    assert [item.aligned for item in result.identifiers] == [False, True]
    assert result.word == "pass"


def test_nobody_vouches() -> None:
    result = judge(EXAMPLE, "example.com")
    assert (result.word, result.policy, result.disposition) == ("fail", "reject", "reject")
    assert "example.com" in result.text("en")
    assert result.text("ja") != result.text("en")


# RFC 9989 §4.10: which names are asked for, and which is the organisational domain.


def test_the_walk_asks_eight_times_at_most() -> None:
    lookup = ZoneLookup({})
    domain = "a.b.c.d.e.f.g.h.i.j.mail.example.com"
    assert run(organizational_domain(domain, lookup)) == domain
    labels = [domain, *("g.h.i.j.mail.example.com".split(".", count)[-1] for count in range(7))]
    assert lookup.asked == [(f"_dmarc.{name}", "TXT") for name in labels]


@pytest.mark.parametrize(
    ("records", "organizational"),
    [
        ({}, "a.mail.example.com"),
        ({"mail.example.com": "", "example.com": ""}, "example.com"),
        ({"mail.example.com": "psd=n", "example.com": ""}, "mail.example.com"),
        ({"com": "psd=y"}, "example.com"),
        ({"example.com": "psd=y"}, "mail.example.com"),
        ({"a.mail.example.com": "psd=y", "example.com": ""}, "a.mail.example.com"),
        ({"a.mail.example.com": "", "com": ""}, "com"),
        ({"a.mail.example.com": "", "com": "psd=y"}, "example.com"),
    ],
)
def test_organizational_domain(records: dict[str, str], organizational: str) -> None:
    zone = {f"_dmarc.{name}": {"TXT": [f"v=DMARC1; p=none; {tags}"]} for name, tags in records.items()}
    assert run(organizational_domain("a.mail.example.com", ZoneLookup(zone))) == organizational


@pytest.mark.parametrize(
    ("records", "policy_domain", "policy"),
    [
        ({"mail.example.com": "p=none"}, "mail.example.com", "none"),
        ({"mail.example.com": "p=none", "example.com": "p=reject"}, "mail.example.com", "none"),
        ({"example.com": "p=reject"}, "example.com", "reject"),
        ({"example.com": "p=reject; sp=quarantine"}, "example.com", "quarantine"),
        ({"example.com": "p=reject; sp=quarantine; np=none"}, "example.com", "none"),
        ({"com": "p=reject; psd=y"}, "com", "reject"),
        ({"com": "p=reject; psd=y", "example.com": "p=quarantine"}, "example.com", "quarantine"),
        ({"com": "p=reject; sp=none; np=quarantine; psd=y"}, "com", "quarantine"),
        ({}, None, None),
    ],
)
def test_policy_discovery(records: dict[str, str], policy_domain: str | None, policy: str | None) -> None:
    zone = {f"_dmarc.{name}": {"TXT": [f"v=DMARC1; {tags}"]} for name, tags in records.items()}
    result = judge(zone, "mail.example.com")
    assert (result.policy_domain, result.policy) == (policy_domain, policy)
    assert result.word == ("none" if policy is None else "fail")
    assert run(discover("mail.example.com", ZoneLookup(zone))).policy_domain == policy_domain


@pytest.mark.parametrize("rdtype", ["A", "AAAA", "MX"])
def test_np_is_for_names_that_do_not_exist(rdtype: str) -> None:
    zone = {**EXAMPLE, "shop.example.com": {rdtype: [(10, "m.example.com") if rdtype == "MX" else "192.0.2.1"]}}
    assert judge(zone, "shop.example.com").disposition == "quarantine"
    assert judge(zone, "ship.example.com").disposition == "none"


def test_several_records_are_none() -> None:
    several = {"TXT": ["v=DMARC1; p=none", "v=DMARC1; p=reject"]}
    assert judge({"_dmarc.example.com": several}, "example.com", SPF).reason == "several_records"
    beside = {"TXT": ["v=DMARC1; p=reject", "hello", b"\xff"]}
    assert judge({"_dmarc.example.com": beside}, "example.com", SPF).word == "pass"
    above = {"_dmarc.a.example.com": several, "_dmarc.example.com": beside}
    assert judge(above, "a.example.com").policy_domain == "example.com"


def test_a_record_without_a_policy_does_not_apply() -> None:
    result = judge({"_dmarc.example.com": {"TXT": ["v=DMARC1; p=block"]}}, "example.com", SPF)
    assert (result.word, result.reason, result.disposition) == ("none", "no_policy", "none")


@pytest.mark.parametrize("domain", ["", "a..b", "[192.0.2.1]", "ex ample.com", "é" * 80])
def test_no_domain(domain: str) -> None:
    assert judge({}, domain, SPF).word == "permerror"
    assert run(discover(domain, ZoneLookup({}))).reason == "bad_domain"


@pytest.mark.parametrize(
    ("tags", "draw", "disposition", "softened"),
    [
        ("p=reject", 99, "reject", ""),
        ("p=reject; t=y", None, "quarantine", "testing"),
        ("p=quarantine; t=y", None, "none", "testing"),
        ("p=none; t=y", None, "none", ""),
        ("p=reject; pct=25", None, "reject", ""),
        ("p=reject; pct=25", 24, "reject", ""),
        ("p=reject; pct=25", 25, "quarantine", "sample"),
        ("p=quarantine; pct=0", 0, "none", "sample"),
        ("p=reject; pct=0; t=y", 0, "quarantine", "testing"),
    ],
)
def test_tests_and_samples(tags: str, draw: int | None, disposition: str, softened: str) -> None:
    result = judge({"_dmarc.example.com": {"TXT": [f"v=DMARC1; {tags}"]}}, "example.com", draw=draw)
    assert (result.word, result.disposition, result.softened) == ("fail", disposition, softened)


def test_no_answer() -> None:
    result = judge({"_dmarc.example.com": {"TXT": TIMEOUT}}, "example.com", SPF)
    assert (result.word, result.reason, result.disposition) == ("temperror", "dns", "none")
    assert "no answer for _dmarc.example.com (TXT)" in result.text("ja")
    assert [question.error for question in result.trace] == ["no answer for _dmarc.example.com (TXT)"]
    assert run(discover("example.com", ZoneLookup({"_dmarc.example.com": {"TXT": TIMEOUT}}))).reason == "dns"


def test_no_answer_about_an_identifier() -> None:
    zone = {**EXAMPLE, "_dmarc.a.example.com": {"TXT": TIMEOUT}}
    unsure = Identifier("dkim", "a.example.com", "pass", "s")
    assert judge(zone, "example.com", unsure).word == "temperror"
    assert judge(zone, "example.com", unsure, SPF).word == "pass"


def test_what_need_not_be_asked_is_not() -> None:
    lookup = ZoneLookup(EXAMPLE)
    result = run(evaluate("example.com", [SPF, Identifier("dkim", "example.net", "fail")], lookup))
    assert result.word == "pass"
    assert result.organizational_domain is None
    assert lookup.asked == [("_dmarc.example.com", "TXT")]


_DOMAINS = st.one_of(
    st.sampled_from(["example.com", "a.example.com", "b.a.example.com", "com"]), st.text(max_size=20)
)
_TEXTS = st.sampled_from(
    ["v=DMARC1; p=reject", "v=DMARC1; p=none; psd=y", "v=DMARC1; p=quarantine; psd=n; np=reject", "v=DMARC1", "x"]
)


@given(
    st.dictionaries(
        st.sampled_from(["_dmarc.example.com", "_dmarc.a.example.com", "_dmarc.com", "_dmarc.b.a.example.com"]),
        st.fixed_dictionaries({"TXT": st.one_of(st.just(TIMEOUT), st.lists(_TEXTS, max_size=2))}),
    ),
    _DOMAINS,
    st.lists(
        st.builds(
            Identifier, st.sampled_from(["spf", "dkim"]), _DOMAINS, st.sampled_from(["pass", "fail", "temperror"])
        ),
        max_size=3,
    ),
    st.one_of(st.none(), st.integers(0, 99)),
)
def test_nothing_makes_it_raise(zone: Zone, domain: str, identifiers: list[Identifier], draw: int | None) -> None:
    result = judge(zone, domain, *identifiers, draw=draw)
    assert result.text("en") != result.text("ja")
    assert (result.word == "pass") == any(item.aligned for item in result.identifiers)
    if result.word != "fail":
        assert result.disposition == "none"
