"""Names, addresses, schedules and verdicts: without DNS and without a database."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.core.clock import DAY, HOUR, MINUTE
from ekiden.core.events import EventType
from ekiden.domains.check_schedule import next_check
from ekiden.domains.config import DomainsConfig
from ekiden.domains.errors import BadDomain
from ekiden.domains.examine import spf_suggestion
from ekiden.domains.model import Check, Domain, Kind, Result, Tracking
from ekiden.domains.names import MAX_NAME, check_domain_name
from ekiden.domains.outgoing import outgoing, spread
from ekiden.domains.reasons import Fault
from ekiden.domains.status import event_of, judge, proofs
from ekiden.domains.translations import TEXTS
from ekiden.net.families import Families
from ekiden.sender_auth.spf_record import parse_spf_record


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        (" example.com ", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("a.b.c.example", "a.b.c.example"),
    ],
)
def test_domain_names(given: str, name: str) -> None:
    assert check_domain_name(given) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "com",
        "localhost",
        "[192.0.2.1]",
        "[IPv6:2001:db8::1]",
        "192.0.2.1",
        "_dmarc.example.com",
        "a b.example",
        "-a.example",
        "a..example",
        "*.example.com",
        "user@example.com",
        "https://example.com/",
        "x" * 64 + ".example",
        ".".join(["x" * 60] * 4),
        "ex\0ample.com",
    ],
)
def test_names_that_are_no_sending_domains(name: str) -> None:
    with pytest.raises(BadDomain) as refused:
        check_domain_name(name)
    assert refused.value.template in TEXTS.japanese


def test_the_longest_name_has_room_for_its_selector() -> None:
    name = ".".join(["x" * 50] * 4).ljust(MAX_NAME, "x")
    assert check_domain_name(name) == name
    with pytest.raises(BadDomain, match="too long"):
        check_domain_name(name + "x")
    assert len(f"{'0' * 36}._domainkey.{name}") <= 253


@pytest.mark.parametrize(
    ("network", "count"),
    [("192.0.2.1", 1), ("192.0.2.0/30", 4), ("192.0.2.7/28", 16), ("10.0.0.0/8", 16), ("2001:db8::/32", 16)],
)
def test_networks_are_spread_out(network: str, count: int) -> None:
    found = [ip_address(address) for address in spread(network)]
    whole = ip_network(network, strict=False)
    assert len(set(found)) == count
    assert found == sorted(found)  # type: ignore[type-var]
    assert (found[0], found[-1]) == (whole[0], whole[-1])


def test_the_hostname_is_the_include_unless_another_is_configured() -> None:
    assert outgoing(DomainsConfig(), "mail.sender.example").include == "mail.sender.example"
    assert outgoing(DomainsConfig(spf_include="SPF.sender.example."), "x.example").include == "spf.sender.example"


async def test_only_families_that_mail_goes_out_in_are_checked() -> None:
    async def lookup(name: str, rdtype: str, /) -> list[str]:
        assert name == "mail.sender.example"
        return {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"]}[rdtype]

    both = outgoing(DomainsConfig(), "mail.sender.example")
    assert await both.resolve(lookup) == ("192.0.2.1", "2001:db8::1")
    for families, expected in (
        (Families(ipv6=False), ("192.0.2.1",)),
        (Families(["2001:db8::7"]), ("2001:db8::1",)),
        (Families(["10.0.0.7", "2001:db8::7"]), ("192.0.2.1", "2001:db8::1")),
    ):
        ours = outgoing(DomainsConfig(), "mail.sender.example", families.versions)
        assert await ours.resolve(lookup) == expected


@given(
    st.lists(st.sampled_from(["mx", "a", "-all", "include:us.example", "?include:us.example", "ip4:192.0.2.1"])),
)
def test_suggestions_are_records(terms: list[str]) -> None:
    if "-all" in terms:
        terms = [*terms[: terms.index("-all")], "-all"]
    suggestion = spf_suggestion(" ".join(["v=spf1", *terms]), "us.example")
    record = parse_spf_record(suggestion.encode())
    assert [item.text for item in record.mechanisms].count("include:us.example") == 1
    assert spf_suggestion(suggestion, "us.example") == suggestion


def make(**values: object) -> Domain:
    fresh: dict[str, object] = {
        "id": 1,
        "account_id": 1,
        "name": "shop.example",
        "created_at": 0,
        "verified_at": None,
        "status": "pending",
        "vouched": False,
        "spf": "pending",
        "dkim": "pending",
        "approval": "none",
        "approval_reason": "",
        "approved_by": "",
        "approved_at": None,
        "questionnaire": {},
        "reason": "not_checked",
        "checked_at": None,
        "check_at": 0,
        "failing_since": None,
        "tracking": Tracking(),
        "return_path": "",
        "receive_bounces": True,
        "rp": "pending",
    }
    return Domain(**{**fresh, **values})  # type: ignore[arg-type]


def check(kind: Kind, result: Result) -> Check:
    code: Fault = {"pass": "", "fail": "missing", "temporary": "dns_failure", "advice": ""}[result]  # type: ignore[assignment]
    return Check(kind, result, code, ("shop.example", "TXT"), "")


GRACE = DAY


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["pass", "fail", "temporary"]),
            st.sampled_from(["pass", "fail", "temporary"]),
            st.integers(MINUTE, 2 * DAY),
        ),
        max_size=30,
    ),
    st.sampled_from(["none", "pending", "approved"]),
)
def test_the_states_of_any_history(history: list[tuple[Result, Result, int]], approval: str) -> None:
    """Never suspended without a failure older than the grace, never verified without both proofs."""
    domain = make(approval=approval)
    now = 0
    faults: dict[Kind, Fault] = {}
    for spf, dkim, wait in history:
        now += wait
        checks = [check("spf", spf), check("dkim", dkim)]
        faults |= {item.kind: item.code for item in checks if item.result in ("pass", "fail")}
        before = domain
        domain = judge(proofs(domain, checks, require_address=False), checks, faults, now, GRACE)
        told = event_of(before, domain)
        if domain.status == "verified" and before.status != "verified":
            assert (domain.spf, domain.dkim, domain.verified_at) == ("successful", "successful", now)
            assert domain.approval != "pending"
            assert told in (EventType.DOMAIN_VERIFIED, EventType.DOMAIN_RESUMED)
        if before.status == "verified" and domain.status != "verified":
            assert domain.status == "suspended"
            assert "fail" in (spf, dkim)
            assert domain.failing_since is not None
            assert now - domain.failing_since >= GRACE
            assert told is EventType.DOMAIN_SUSPENDED
        if (spf, dkim) == ("pass", "pass"):
            assert domain.usable == (approval != "pending")
        if "fail" not in (spf, dkim):
            assert domain.status != "suspended" or before.status == "suspended"
        assert (domain.reason == "") == (domain.spf == domain.dkim == "successful" and approval != "pending")


def test_waits() -> None:
    config = DomainsConfig()
    fine = make(status="verified", verified_at=0)
    assert next_check(fine, [], [], 5 * DAY, config) == 5 * DAY + 6 * HOUR
    assert next_check(make(), [], [], 0, config) == MINUTE
    assert next_check(make(), [], [], 8 * HOUR, config) == 9 * HOUR
    assert next_check(make(), [], [], 30 * DAY, config) == 30 * DAY + 6 * HOUR
    failing = make(status="verified", verified_at=0, failing_since=10 * DAY)
    assert next_check(failing, [], [], 10 * DAY, config) == 10 * DAY + MINUTE
    suspended = make(status="suspended", verified_at=0, failing_since=0)
    assert next_check(suspended, [], [], 30 * DAY, config) == 30 * DAY + HOUR
    unanswered = [check("spf", "temporary")]
    assert next_check(fine, [], unanswered, 5 * DAY, config) == 5 * DAY + 10 * MINUTE
