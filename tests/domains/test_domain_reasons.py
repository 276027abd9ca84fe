"""Every way in which records are wrong has its reason, and goes away when they are repaired."""

from __future__ import annotations

from collections.abc import Callable
from string import Formatter

import pytest
from domain_owner import INCLUDE, OURS, Owner

from ekiden.domains import reasons
from ekiden.domains.model import Domain, Record
from ekiden.domains.reason_translations import TEXTS
from ekiden.lab.records import Trouble
from ekiden.sender_auth.dkim_key import generate, public_record

NAME = "shop.example"
OK = f"v=spf1 include:{INCLUDE} ~all"
Break = Callable[[Owner], None]


def txt(name: str, *values: str) -> Break:
    return lambda owner: owner.lab.set_dns(name, "TXT", list(values))


def both(*changes: Break) -> Break:
    def change(owner: Owner) -> None:
        for part in changes:
            part(owner)

    return change


def trouble(name: str) -> Break:
    return lambda owner: owner.lab.records.set_trouble(name, Trouble("servfail"))


SPF: dict[str, tuple[Break, str, str]] = {
    # what is done to the DNS, the code, a part of the explanation
    "nothing": (lambda owner: owner.lab.remove_dns(NAME, "TXT"), "missing", NAME),
    "other texts": (txt(NAME, "google-site-verification=x"), "missing", NAME),
    "domain twice": (
        both(lambda owner: owner.lab.remove_dns(NAME, "TXT"), txt(f"{NAME}.{NAME}", OK)),
        "wrong_host",
        f"{NAME}.{NAME}",
    ),
    "at www": (
        both(lambda owner: owner.lab.remove_dns(NAME, "TXT"), txt(f"www.{NAME}", OK)),
        "wrong_host",
        f"www.{NAME}",
    ),
    "two records": (txt(NAME, OK, "v=spf1 mx -all"), "several_records", "2"),
    "without us": (txt(NAME, "v=spf1 mx -all"), "not_included", OURS[0]),
    "one address only": (txt(NAME, f"v=spf1 ip4:{OURS[0]} -all"), "not_included", OURS[1]),
    "excluded first": (txt(NAME, f"v=spf1 -ip4:{OURS[1]} include:{INCLUDE} -all"), "fails_for_address", OURS[1]),
    "with a question mark": (txt(NAME, f"v=spf1 ?include:{INCLUDE} -all"), "fails_for_address", "neutral"),
    "no colon": (txt(NAME, f"v=spf1 include={INCLUDE} -all"), "not_included", OURS[0]),
    "not valid": (txt(NAME, f"v=spf1 ip4:300.1.1.1 include:{INCLUDE} -all"), "syntax", "ip4:300.1.1.1"),
    "includes nothing": (
        txt(NAME, f"v=spf1 include:nobody.example include:{INCLUDE} -all"),
        "broken_include",
        "nobody.example",
    ),
    "redirects to nothing": (txt(NAME, "v=spf1 redirect=nobody.example"), "broken_include", "nobody.example"),
    "too many lookups": (
        both(
            txt(NAME, f"v=spf1 {' '.join(f'include:i{n}.example' for n in range(10))} include:{INCLUDE} -all"),
            *(txt(f"i{n}.example", "v=spf1 ?all") for n in range(10)),
        ),
        "lookup_limit",
        "10",
    ),
    "too many that find nothing": (
        txt(NAME, f"v=spf1 a:n1.example a:n2.example a:n3.example include:{INCLUDE} -all"),
        "lookup_limit",
        "2",
    ),
}


@pytest.mark.parametrize("case", SPF)
async def test_spf(owner: Owner, case: str) -> None:
    breaks, code, part = SPF[case]
    domain = await owner.verified()
    spf = await owner.record(domain, "spf")
    breaks(owner)
    domain = await owner.domains.verify(domain.id)
    check = await owner.check(domain, "spf")
    assert (check.result, check.code, domain.spf, domain.reason) == ("fail", code, "failed", code)
    assert part in check.text("en")
    assert part in check.text("ja")
    assert check.advice("en")
    (name, data) = (await owner.events())[-1]
    assert (name, data["reason"], data["text"]) == ("FAILED", code, check.text("en"))
    owner.put(spf)
    assert (await owner.domains.verify(domain.id)).reason == ""


async def test_following_the_advice_repairs_an_existing_record(owner: Owner) -> None:
    domain = await owner.verified()
    owner.lab.set_dns(NAME, "TXT", ["v=spf1 mx include:other.example -all", "verification=1"])
    owner.lab.set_dns("other.example", "TXT", ["v=spf1 -all"])
    domain = await owner.domains.verify(domain.id)
    record = await owner.record(domain, "spf")
    assert record.value == f"v=spf1 include:{INCLUDE} mx include:other.example -all"
    assert record.check is not None
    assert record.value in record.check.advice("en")
    owner.lab.set_dns(NAME, "TXT", [record.value])
    domain = await owner.domains.verify(domain.id)
    assert domain.spf == "successful"
    assert (await owner.record(domain, "spf")).value == record.value


async def test_addresses_without_our_include_are_enough(owner: Owner) -> None:
    domain = await owner.verified()
    owner.lab.set_dns(NAME, "TXT", [f"v=spf1 {' '.join(f'ip4:{address}' for address in OURS)} -all"])
    domain = await owner.domains.verify(domain.id)
    assert (domain.spf, domain.reason) == ("successful", "")
    record = await owner.record(domain, "spf")
    assert (record.status, record.why) == ("successful", "without_include")


@pytest.mark.parametrize("middle", [f"include:{INCLUDE}", f"redirect={INCLUDE}"])
async def test_our_include_may_be_further_away(owner: Owner, middle: str) -> None:
    domain = await owner.verified()
    owner.lab.set_dns(NAME, "TXT", ["v=spf1 include:_spf.shop.example -all"])
    owner.lab.set_dns(f"_spf.{NAME}", "TXT", [f"v=spf1 {middle}"])
    domain = await owner.domains.verify(domain.id)
    assert (domain.spf, (await owner.check(domain, "spf")).code) == ("successful", "")


@pytest.mark.parametrize(
    "breaks",
    [
        txt(INCLUDE, f"v=spf1 ip4:{OURS[0]} -all"),
        txt(INCLUDE, "v=spf1 ip4:x -all"),
        lambda owner: owner.lab.remove_dns(INCLUDE, "TXT"),
        trouble(INCLUDE),
    ],
)
async def test_what_is_our_fault_is_not_theirs(owner: Owner, breaks: Break) -> None:
    domain = await owner.verified()
    other = await owner.add("new.example")
    await owner.publish(other)
    breaks(owner)
    for _ in range(3):
        owner.clock.advance(48 * 3_600_000)
        domain = await owner.domains.verify(domain.id)
        assert (domain.status, domain.spf, domain.reason) == ("verified", "successful", "")
    check = await owner.check(domain, "spf")
    assert (check.result, check.code) == ("temporary", "our_record")
    assert INCLUDE in check.text("en")
    other = await owner.domains.verify(other.id)
    assert (other.status, other.spf, other.reason) == ("pending", "pending", "our_record")


KEYS: dict[str, tuple[Callable[[Record], Break], str]] = {
    "nothing": (lambda record: lambda owner: owner.lab.remove_dns(record.name, "TXT"), "missing"),
    "domain twice": (
        lambda record: both(
            lambda owner: owner.lab.remove_dns(record.name, "TXT"), txt(f"{record.name}.{NAME}", record.value)
        ),
        "wrong_host",
    ),
    "bare selector": (
        lambda record: both(
            lambda owner: owner.lab.remove_dns(record.name, "TXT"),
            txt(f"{record.name.split('.')[0]}.{NAME}", record.value),
        ),
        "wrong_host",
    ),
    "at the domain": (
        lambda record: both(lambda owner: owner.lab.remove_dns(record.name, "TXT"), txt(NAME, OK, record.value)),
        "wrong_host",
    ),
    "two records": (lambda record: txt(record.name, record.value, "v=DKIM1; k=rsa; p=AAAA"), "several_records"),
    "another key": (lambda record: txt(record.name, public_record(generate())), "key_differs"),
    "revoked": (lambda record: txt(record.name, "v=DKIM1; k=rsa; p="), "revoked"),
    "another type": (
        lambda record: txt(record.name, public_record(generate("ed25519-sha256"))),
        "wrong_type",
    ),
    "unknown type": (lambda record: txt(record.name, record.value.replace("k=rsa", "k=dsa")), "wrong_type"),
    "not for mail": (lambda record: txt(record.name, record.value + "; s=tlsrpt"), "key_restricted"),
    "another hash": (lambda record: txt(record.name, record.value + "; h=sha1"), "key_restricted"),
    "cut off": (lambda record: txt(record.name, record.value[:200]), "syntax"),
    "another version": (lambda record: txt(record.name, record.value.replace("DKIM1", "DKIM2")), "syntax"),
    "no key": (lambda record: txt(record.name, "v=DKIM1; k=rsa"), "syntax"),
    "not base64": (lambda record: txt(record.name, "v=DKIM1; k=rsa; p=???"), "syntax"),
    "no tags": (lambda record: txt(record.name, "hello"), "syntax"),
}


@pytest.mark.parametrize("case", KEYS)
async def test_dkim(owner: Owner, case: str) -> None:
    change, code = KEYS[case]
    domain = await owner.verified()
    record = await owner.record(domain, "dkim")
    change(record)(owner)
    domain = await owner.domains.verify(domain.id)
    check = await owner.check(domain, "dkim")
    assert (check.result, check.code, domain.dkim) == ("fail", code, "failed")
    assert check.asked == (record.name, "TXT")
    assert check.expected == record.value
    assert check.text("en") != check.text("ja")
    assert check.advice("en")
    assert [key.status for key in await owner.domains.keys(domain)] == ["active", "active"]
    owner.put(record)
    owner.lab.set_dns(NAME, "TXT", [OK])
    assert (await owner.domains.verify(domain.id)).reason == ""


async def test_a_key_record_that_says_testing(owner: Owner) -> None:
    domain = await owner.verified()
    record = await owner.record(domain, "dkim")
    owner.lab.set_dns(record.name, "TXT", [record.value + "; t=y"])
    domain = await owner.domains.verify(domain.id)
    assert domain.dkim == "successful"
    assert (await owner.record(domain, "dkim")).why == "key_testing"


async def test_records_behind_an_alias(owner: Owner) -> None:
    domain = await owner.add()
    await owner.publish(domain)
    record = await owner.record(domain, "dkim")
    owner.lab.remove_dns(record.name, "TXT")
    owner.lab.set_dns(record.name, "CNAME", ["elsewhere.example."])
    owner.lab.set_dns("elsewhere.example", "TXT", [record.value])
    assert (await owner.domains.verify(domain.id)).status == "verified"


DMARC = {
    "nothing": ((), "dmarc_missing"),
    "several": (("v=DMARC1; p=none", "v=DMARC1; p=reject"), "dmarc_several"),
    "weak": (("v=DMARC1; p=none; rua=mailto:x@shop.example",), "dmarc_advice"),
    "good": (("v=DMARC1; p=reject; rua=mailto:x@shop.example",), ""),
}


@pytest.mark.parametrize("case", DMARC)
async def test_dmarc_decides_nothing(owner: Owner, case: str) -> None:
    values, code = DMARC[case]
    domain = await owner.verified()
    owner.lab.set_dns(f"_dmarc.{NAME}", "TXT", list(values))
    domain = await owner.domains.verify(domain.id)
    assert (domain.status, domain.reason) == ("verified", "")
    record = await owner.record(domain, "dmarc")
    assert record.why == code
    assert record.check is not None
    assert record.check.text("en") != record.check.text("ja")
    assert not record.required
    if len(values) == 1:
        assert record.value == values[0]


async def test_no_answer_about_new_domains(owner: Owner) -> None:
    domain = await owner.add()
    for record in await owner.domains.records(domain):
        owner.lab.records.set_trouble(record.name, Trouble("servfail"))
    domain = await owner.domains.verify(domain.id)
    assert (domain.status, domain.spf, domain.dkim, domain.reason) == (
        "pending",
        "pending",
        "pending",
        "dns_failure",
    )
    assert {check.code for check in await owner.domains.checks(domain.id)} == {"dns_failure"}
    assert await owner.told() == []


@pytest.mark.parametrize(
    "text",
    [
        r'"v=spf1 \000 -all"',
        r'"v=spf1 \255\128 -all"',
        " ".join(['"v=spf1 "', *['"' + "x" * 255 + '"'] * 60]),
        " ".join(['"v=spf1"', *['" a:host.example"'] * 300]),
    ],
)
async def test_what_strangers_write_is_kept_within_bounds(owner: Owner, text: str) -> None:
    domain = await owner.verified()
    record = await owner.record(domain, "dkim")
    for name in (NAME, record.name, f"_dmarc.{NAME}"):
        owner.lab.set_dns(name, "TXT", [text])
    domain = await owner.domains.verify(domain.id)
    assert (domain.spf, domain.dkim) == ("failed", "failed")
    for check in await owner.domains.checks(domain.id):
        assert all(len(answer) <= 2_000 for answer in check.answered)
        assert len(check.text("ja")) < 1_000
    assert await owner.domains.records(domain)


async def test_the_first_check_finds_records_of_another(owner: Owner) -> None:
    domain: Domain = await owner.add("sub.shop.example")
    owner.lab.set_dns("*.shop.example", "TXT", ["v=spf1 -all"])
    domain = await owner.domains.verify(domain.id)
    assert (await owner.check(domain, "spf")).code == "not_included"
    assert (await owner.check(domain, "dkim")).code == "syntax"


def test_every_text_is_translated() -> None:
    for code, reason in reasons.REASONS.items():
        for text in filter(None, reason):
            assert text in TEXTS.japanese, code
            fields = {name for _, name, _, _ in Formatter().parse(text) if name}
            assert fields == {name for _, name, _, _ in Formatter().parse(TEXTS.japanese[text]) if name}


def test_an_unknown_code_stands_for_itself() -> None:
    assert reasons.short("new", "ja") == reasons.explanation("new", {}, "en") == "new"
    assert reasons.advice("new", {}, "en") == ""
