"""Records as people really publish them: in upper case, behind other terms, pasted with quotes, in pieces."""

from __future__ import annotations

import re

import pytest
from domain_owner import INCLUDE, OURS, Owner

from ekiden.domains.model import Check, Domain
from ekiden.lab.records import Trouble
from ekiden.sender_auth.pasted import MAX_PASTED, cleaned, joined

NAME = "shop.example"
OK = f"v=spf1 include:{INCLUDE} ~all"
FOUR = " ".join(f"ip4:{address}" for address in OURS)


def quoted(text: str) -> str:
    """A TXT record whose octets are ``text``, as the lab takes it: quotation marks of its own are escaped."""
    octets = text.encode()
    strings = [octets[start : start + 255] for start in range(0, len(octets), 255)]
    return " ".join(
        '"' + "".join(chr(o) if 32 <= o < 127 and o not in b'"\\' else f"\\{o:03d}" for o in string) + '"'
        for string in strings
    )


def sentences(check: Check, lang: str) -> list[str]:
    text = check.text(lang) + ": " + check.advice(lang)  # type: ignore[arg-type]
    return [part.strip() for part in re.split(r": |; |、|。|：", text) if part.strip()]


async def with_spf(owner: Owner, record: str, below: str) -> tuple[Domain, str]:
    """The domain as it is checked with these records of its own and of ``_spf`` below it, and the remark on SPF."""
    domain = await owner.verified()
    owner.lab.set_dns(f"_spf.{NAME}", "TXT", [below])
    owner.lab.set_dns(NAME, "TXT", [record])
    domain = await owner.domains.verify(domain.id)
    return domain, (await owner.check(domain, "spf")).code


@pytest.mark.parametrize(
    "record",
    [
        f"V=SPF1 INCLUDE:{INCLUDE.upper()} -ALL",
        f"v=spf1 Include:{INCLUDE.title()}. ~All",
        f"v=spf1 {FOUR} include:{INCLUDE} -all",
        f"v=spf1 a mx {FOUR} +INCLUDE:{INCLUDE.upper()}. -all",
        f"v=spf1 {FOUR} redirect={INCLUDE.upper()}.",
        f"v=spf1 {FOUR} include:_spf.%{{d}} -all",
        f"v=spf1 {FOUR} include:_spf.shop.example -all",
    ],
)
async def test_who_includes_us_gets_no_remark(owner: Owner, record: str) -> None:
    domain, code = await with_spf(owner, record, f"v=spf1 redirect={INCLUDE.upper()}")
    assert (domain.spf, code) == ("successful", "")
    assert (await owner.record(domain, "spf")).value == record


@pytest.mark.parametrize(
    "record",
    [
        f"v=spf1 {FOUR} -all",
        f"v=spf1 {FOUR} ?include:{INCLUDE} -all",
        f"v=spf1 {FOUR} ~all include:{INCLUDE}",
        f"v=spf1 {FOUR} include:_spf.shop.example -all",
        f"v=spf1 {FOUR} -all redirect={INCLUDE}",
    ],
)
async def test_who_includes_us_without_effect_gets_one(owner: Owner, record: str) -> None:
    domain, code = await with_spf(owner, record, f"v=spf1 -include:{INCLUDE} include:_spf.{NAME}")
    assert (domain.spf, code) == ("successful", "without_include")


async def test_who_includes_us_further_away_is_not_told_otherwise(owner: Owner) -> None:
    _, code = await with_spf(owner, f"v=spf1 include:_spf.{NAME} -all", f"v=spf1 ?include:{INCLUDE.upper()}")
    assert code == "fails_for_address"


async def test_our_own_fault_in_upper_case_is_not_theirs(owner: Owner) -> None:
    domain = await owner.verified()
    owner.lab.set_dns(f"_spf.{NAME}", "TXT", [f"v=spf1 include:{INCLUDE.upper()}"])
    owner.lab.set_dns(NAME, "TXT", [f"V=SPF1 INCLUDE:_SPF.{NAME.upper()} -ALL"])
    owner.lab.set_dns(INCLUDE, "TXT", ["v=spf1 -all"])
    domain = await owner.domains.verify(domain.id)
    assert ((await owner.check(domain, "spf")).code, domain.spf) == ("our_record", "successful")


SPF: dict[str, tuple[str, str, str, str]] = {
    # as published: what to show, what to remove in both languages
    "quotes": (f'"{OK}"', f'"{OK}"', "quotation marks", "引用符"),
    "one quote": (f'{OK}"', f'{OK}"', "quotation marks", "引用符"),
    "curly quotes": (f"“{OK}”", "v=spf1", "quotation marks, full-width and", "引用符、全角"),
    "in two strings": (f'"v=spf1 " "include:{INCLUDE} ~all"', '" "', "quotation marks", "引用符"),
    "each term quoted": (f'"v=spf1" "include:{INCLUDE}" "~all"', '" "', "quotation marks", "引用符"),
    "as HTML": (f"&quot;{OK}&quot;", "&quot;v=spf1", "quotation marks", "引用符"),
    "a blank": (f" {OK}", f"␣{OK}", "blanks at the beginning", "先頭の空白"),
    "a tab": (OK.replace(" ", "\t", 1), "v=spf1", "blanks at the beginning, tabs", "タブ"),
    "a wide blank": (OK.replace(" ", "\u3000", 1), "v=spf1", "full-width", "全角"),
    "wide letters": (OK.replace("v=spf1", "ｖ＝ｓｐｆ１"), "include:", "full-width", "全角"),
    "a backslash": (
        rf"v=spf1\; include:{INCLUDE} ~all",
        r"v=spf1\;",
        "backslashes, semicolons",
        "バックスラッシュ",
    ),
    "a semicolon": (f"v=spf1 include:{INCLUDE} ~all;", "~all;", "semicolons", "セミコロン"),
    "a zone line": (f'{NAME}. 3600 IN TXT "{OK}"', "3600 IN TXT", "anything before v=, quotation", "v= より前"),
    "parentheses": (f'( "{OK}" )', '( "', "quotation marks, parentheses", "括弧"),
    "quotes inside": (f'v=spf1 include:"{INCLUDE}" ~all', '"spf', "quotation marks", "引用符"),
}


@pytest.mark.parametrize("case", SPF)
async def test_a_pasted_spf_record_is_shown_as_found(owner: Owner, case: str) -> None:
    published, shown, english, japanese = SPF[case]
    domain = await owner.verified()
    owner.lab.set_dns(NAME, "TXT", [quoted(published), "other=1"])
    domain = await owner.domains.verify(domain.id)
    check = await owner.check(domain, "spf")
    assert (check.result, check.code, domain.reason) == ("fail", "pasted", "pasted")
    assert shown in check.text("en")
    assert shown in check.text("ja")
    assert english in check.advice("en")
    assert japanese in check.advice("ja")
    assert len(check.answered) == 1
    record = await owner.record(domain, "spf")
    assert record.value == OK
    assert check.advice("en").endswith(OK)
    owner.lab.set_dns(NAME, "TXT", [record.value])
    assert (await owner.domains.verify(domain.id)).spf == "successful"


async def test_other_terms_of_a_pasted_record_stay(owner: Owner) -> None:
    domain = await owner.verified()
    owner.lab.set_dns(NAME, "TXT", [quoted('"v=spf1 mx -all"')])
    domain = await owner.domains.verify(domain.id)
    assert (await owner.record(domain, "spf")).value == f"v=spf1 include:{INCLUDE} mx -all"


@pytest.mark.parametrize("published", [f"spf1 include:{INCLUDE} -all", f"v=spf1include:{INCLUDE}", "SPF v1 mx"])
async def test_what_only_means_spf_is_shown(owner: Owner, published: str) -> None:
    domain = await owner.verified()
    owner.lab.set_dns(NAME, "TXT", [quoted(published)])
    domain = await owner.domains.verify(domain.id)
    check = await owner.check(domain, "spf")
    assert check.code == "not_spf"
    assert published in check.text("en")
    assert (await owner.record(domain, "spf")).value == OK


async def test_a_token_with_the_three_letters_is_not_meant_as_spf(owner: Owner) -> None:
    domain = await owner.verified()
    owner.lab.set_dns(NAME, "TXT", ["site-verification=hSpF7xQ"])
    domain = await owner.domains.verify(domain.id)
    assert (await owner.check(domain, "spf")).code == "missing"


@pytest.mark.parametrize(
    ("change", "english"),
    [
        (lambda text: f'"{text}"', "quotation marks"),
        (lambda text: text.replace(";", r"\;"), "backslashes"),
        (lambda text: f'"{text[:200]}" "{text[200:]}"', "quotation marks"),
        (lambda text: f'("{text[:200]}"\n "{text[200:]}")', "quotation marks, parentheses"),
        (lambda text: f'k1._domainkey IN TXT "{text}"', "anything before v=, quotation marks"),
        (lambda text: text.replace("v=DKIM1;", "v=DKIM1\uff1b"), "full-width"),
    ],
)
async def test_a_pasted_key_is_shown_as_found(owner: Owner, change: object, english: str) -> None:
    domain = await owner.verified()
    record = await owner.record(domain, "dkim")
    published = change(record.value)  # type: ignore[operator]
    owner.lab.set_dns(record.name, "TXT", [quoted(published)])
    domain = await owner.domains.verify(domain.id)
    check = await owner.check(domain, "dkim")
    assert (check.result, check.code) == ("fail", "pasted")
    assert (
        published.encode("ascii", "backslashreplace").decode()[:20] in check.text("ja") or not published.isascii()
    )
    assert english in check.advice("en")
    assert check.advice("ja").endswith(record.value)


async def test_a_key_in_pieces(owner: Owner) -> None:
    domain = await owner.verified()
    record = await owner.record(domain, "dkim")
    pieces = [f'"{record.value[:150]}"', record.value[150:300], f'"{record.value[300:]}"']
    owner.lab.set_dns(record.name, "TXT", [quoted(piece) for piece in (pieces[2], pieces[0], pieces[1])])
    domain = await owner.domains.verify(domain.id)
    check = await owner.check(domain, "dkim")
    assert check.code == "in_pieces"
    assert "3" in check.text("en")


@pytest.mark.parametrize(
    ("published", "value"),
    [
        ('"v=DMARC1; p=reject; rua=mailto:x@shop.example"', "v=DMARC1; p=reject; rua=mailto:x@shop.example"),
        (" v=DMARC1; p=reject", "v=DMARC1; p=reject"),
        (r"v=DMARC1\; p=reject\; rua=mailto:x@shop.example", "v=DMARC1; p=reject; rua=mailto:x@shop.example"),
        (r"v=DMARC1; p=reject\; rua=mailto:x@shop.example", "v=DMARC1; p=reject; rua=mailto:x@shop.example"),
    ],
)
async def test_a_pasted_dmarc_record_is_shown_as_found(owner: Owner, published: str, value: str) -> None:
    domain = await owner.verified()
    owner.lab.set_dns(f"_dmarc.{NAME}", "TXT", [quoted(published)])
    domain = await owner.domains.verify(domain.id)
    record = await owner.record(domain, "dmarc")
    assert (domain.status, record.why, record.value) == ("verified", "pasted", value)
    assert record.check is not None
    assert published.strip() in record.check.text("en")


@pytest.mark.parametrize(
    "publish",
    [
        lambda owner: owner.lab.records.set_trouble(NAME, Trouble("servfail")),
        lambda owner: owner.lab.records.set_trouble(f"_dmarc.{NAME}", Trouble("servfail")),
        lambda owner: owner.lab.records.set_trouble(INCLUDE, Trouble("servfail")),
        lambda owner: owner.lab.set_dns(NAME, "TXT", [f"v=spf1 -ip4:{OURS[1]} include:{INCLUDE} -all"]),
        lambda owner: owner.lab.set_dns(NAME, "TXT", [f"v=spf1 include={INCLUDE} -all"]),
        lambda owner: owner.lab.set_dns(NAME, "TXT", ["v=spf1 ip4:300.1.1.1 -all"]),
        lambda owner: owner.lab.set_dns(NAME, "TXT", ["v=spf1 include:nobody.example -all"]),
        lambda owner: owner.lab.set_dns(NAME, "TXT", [quoted(f'"{OK}"')]),
        lambda owner: owner.lab.remove_dns(NAME, "TXT"),
        lambda owner: owner.lab.remove_dns(INCLUDE, "TXT"),
    ],
)
async def test_no_sentence_is_said_twice(owner: Owner, publish: object) -> None:
    domain = await owner.verified()
    publish(owner)  # type: ignore[operator]
    domain = await owner.domains.verify(domain.id)
    checks = [check for check in await owner.domains.checks(domain.id) if check.code]
    assert checks
    for check in checks:
        for lang in ("en", "ja"):
            said = sentences(check, lang)
            assert len(said) == len(set(said)), said
            text = check.text(lang)
            assert text.lower().count("no answer") <= 1, text
            assert text.count("応答がありません") <= 1, text


def test_what_is_no_record_stays_and_time_is_bounded() -> None:
    assert cleaned(b'"hello"') == (b'"hello"', frozenset())
    assert cleaned(b"v=spf1 -all ") == (b"v=spf1 -all", frozenset())
    assert cleaned(b"\xff v=DMARC1; p=none")[0] == b"v=DMARC1; p=none"
    assert len(cleaned(b'"v=spf1 ' + b'" "' * MAX_PASTED)[0]) <= MAX_PASTED
    assert joined([b"x"] * 5) == []
