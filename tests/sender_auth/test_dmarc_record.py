"""DMARC records and the advice about them."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.sender_auth import dmarc, dmarc_advice, dmarc_record
from ekiden.sender_auth.dmarc_advice import advise
from ekiden.sender_auth.dmarc_record import (
    DmarcRecord,
    NotDmarc,
    is_dmarc_record,
    parse_dmarc_record,
    report_address,
)
from ekiden.sender_auth.dmarc_translations import TEXTS


# RFC 7489 appendix B.2: what the owner of example.com publishes, step by step.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "v=DMARC1; p=none; rua=mailto:dmarc-feedback@example.com",
            {"policy": "none", "aggregate": ("mailto:dmarc-feedback@example.com",), "failure": ()},
        ),
        (
            "v=DMARC1; p=none; rua=mailto:dmarc-feedback@example.com; ruf=mailto:auth-reports@example.com",
            {"failure": ("mailto:auth-reports@example.com",)},
        ),
        (
            "v=DMARC1; p=none; rua=mailto:dmarc-feedback@example.com; "
            "ruf=mailto:auth-reports@thirdparty.example.net",
            {"failure": ("mailto:auth-reports@thirdparty.example.net",)},
        ),
        (
            "v=DMARC1; p=quarantine; rua=mailto:dmarc-feedback@example.com,"
            "mailto:tld-test@thirdparty.example.net!10m; pct=25",
            {
                "policy": "quarantine",
                "aggregate": ("mailto:dmarc-feedback@example.com", "mailto:tld-test@thirdparty.example.net"),
                "percent": 25,
            },
        ),
    ],
)
def test_rfc_7489_appendix_b2(text: str, expected: dict[str, Any]) -> None:
    record = parse_dmarc_record(text.encode())
    assert {name: getattr(record, name) for name in expected} == expected
    assert record.requested() == record.policy


def test_all_tags() -> None:
    record = parse_dmarc_record(
        "V = DMARC1 ;P=Reject; sp = quarantine;np=none;adkim=s ;aspf=S;t=y;psd=n;fo=1:d:s;;"
        "rua=mailto:a@d.example , https://r.example/x ; ruf=mailto:f@d.example?subject=x;"
    )
    assert record == DmarcRecord(
        record.text,
        "reject",
        "quarantine",
        "none",
        "s",
        "s",
        True,
        "n",
        100,
        ("mailto:a@d.example", "https://r.example/x"),
        ("mailto:f@d.example?subject=x",),
        frozenset({"1", "d", "s"}),
    )
    assert [record.requested(of) for of in ("domain", "subdomain", "nonexistent")] == [
        "reject",
        "quarantine",
        "none",
    ]


@pytest.mark.parametrize(
    ("text", "is_record"),
    [
        (b"v=DMARC1", True),
        (b"v=DMARC1;", True),
        (b"v = DMARC1 ; p=none", True),
        (b"v=dmarc1; p=none", False),
        (b"v=DMARC12; p=none", False),
        (b"v=DMARC1 p=none", False),
        (b" v=DMARC1; p=none", False),
        (b"p=none; v=DMARC1", False),
        (b"\xff", False),
    ],
)
def test_version(text: bytes, is_record: bool) -> None:
    assert is_dmarc_record(text) is is_record
    if not is_record:
        with pytest.raises(NotDmarc):
            parse_dmarc_record(text)


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ("p=none; hello", ("malformed", "", "hello")),
        ("p=none; a b=c", ("malformed", "", "a b=c")),
        ("p=none; x=\x00", ("malformed", "", "x=\x00")),
        ("p=none; p=reject", ("repeated_tag", "p", "reject")),
        ("p=none; foo=bar", ("unknown_tag", "foo", "bar")),
        ("p=none; ri=86400", ("retired_tag", "ri", "86400")),
        ("p=block", ("invalid_value", "p", "block")),
        ("p=none; sp=", ("invalid_value", "sp", "")),
        ("p=none; adkim=relaxed", ("invalid_value", "adkim", "relaxed")),
        ("p=none; t=yes", ("invalid_value", "t", "yes")),
        ("p=none; fo=2", ("invalid_value", "fo", "2")),
        ("p=none; pct=101", ("invalid_value", "pct", "101")),
        ("p=none; rua=a@d.example", ("invalid_value", "rua", "a@d.example")),
        ("p=none; rua=mailto:a@@d.example", ("invalid_value", "rua", "mailto:a@@d.example")),
        ("p=none; rua=mailto:a@d.example,", ("invalid_value", "rua", "")),
        ("p=none; ruf=mailto:a@d.example!10m", ("report_size", "ruf", "mailto:a@d.example!10m")),
    ],
)
def test_problems(tags: str, problem: tuple[str, str, str]) -> None:
    record = parse_dmarc_record(f"v=DMARC1; {tags}")
    assert problem in record.problems
    code, tag, _ = problem
    (advice,) = [item for item in advise(record, "d.example") if item.code == code and item.values["tag"] == tag]
    assert advice.text("ja") != advice.text("en")


@pytest.mark.parametrize(
    ("tags", "requested"),
    [
        ("p=reject", "reject"),
        ("p=reject; rua=a", "reject"),
        ("", None),
        ("rua=mailto:a@d.example", "none"),
        ("p=block; rua=mailto:a@d.example", "none"),
        ("p=block; rua=a", None),
        ("p=reject; sp=block; rua=mailto:a@d.example", "none"),
        ("p=reject; np=block", None),
    ],
)
def test_without_a_valid_policy(tags: str, requested: str | None) -> None:
    assert parse_dmarc_record(f"v=DMARC1; {tags}").requested() == requested


@pytest.mark.parametrize(
    ("uri", "address"),
    [("mailto:a%2Bb@d.example?subject=x", "a+b@d.example"), ("https://d.example/", None)],
)
def test_report_address(uri: str, address: str | None) -> None:
    assert report_address(uri) == address


@pytest.mark.parametrize(
    ("tags", "codes"),
    [
        (None, ["no_record"]),
        ("", ["no_policy", "no_reports"]),
        ("p=none; rua=mailto:a@d.example", ["policy_none"]),
        ("p=reject; rua=mailto:a@d.example", []),
        ("p=reject; rua=mailto:a@sub.d.example", []),
        ("p=reject; sp=quarantine; np=none; rua=mailto:a@d.example", ["weaker_subdomains", "weaker_nonexistent"]),
        ("p=quarantine; sp=reject; rua=mailto:a@d.example", []),
        ("p=reject; t=y", ["testing", "no_reports"]),
        ("p=reject; pct=50; rua=mailto:a@d.example", ["sample"]),
        ("p=reject; pct=100; rua=mailto:a@d.example", ["retired_tag"]),
        ("p=reject; rua=mailto:a@r.example,mailto:b@r.example", ["foreign_reports"]),
        ("p=reject; fo=1; rua=mailto:a@d.example", ["failure_options_unused"]),
        ("p=reject; psd=y; rua=mailto:a@d.example", ["public_suffix"]),
        ("p=bad; fo=1; rua=mailto:a@d.example", ["invalid_value", "no_policy", "failure_options_unused"]),
    ],
)
def test_advice(tags: str | None, codes: list[str]) -> None:
    record = None if tags is None else parse_dmarc_record(f"v=DMARC1; {tags}")
    advice = advise(record, "d.example")
    assert [item.code for item in advice] == codes
    for item in advice:
        assert item.severity in {"error", "warning", "info"}
        assert item.text("ja") != item.text("en")


def test_advice_about_several_records() -> None:
    assert [item.code for item in advise(None, "d.example", several=True)] == ["several_records"]


def test_advice_names_the_record_that_allows_reports() -> None:
    record = parse_dmarc_record("v=DMARC1; p=reject; rua=mailto:auth-reports@thirdparty.example.net")
    (advice,) = advise(record, "example.com")
    assert "example.com._report._dmarc.thirdparty.example.net: v=DMARC1" in advice.text("en")


_TAGS = st.text("pst=; nonerejctuafwkd:,!@.mailto%\x00é09", max_size=60)


@given(st.one_of(st.binary(max_size=60), _TAGS.map(lambda text: f"v=DMARC1; {text}".encode())))
def test_any_record_is_read_or_refused(text: bytes) -> None:
    try:
        record = parse_dmarc_record(text)
    except NotDmarc:
        assert not is_dmarc_record(text)
        return
    for of in ("domain", "subdomain", "nonexistent"):
        assert record.requested(of) in {None, "none", "quarantine", "reject"}  # type: ignore[arg-type]
    for item in advise(record, "d.example"):
        assert item.text("en")
        assert item.text("ja")


def test_every_text_is_translated() -> None:
    """Each sentence of the modules is in the catalogue, and the catalogue has no others."""
    said = set()
    for module in (dmarc, dmarc_record, dmarc_advice):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.add(node.value)
    assert set(TEXTS.japanese) <= said
    sentences = {*dmarc_advice._SENTENCES.values(), *dmarc._REASONS.values()}
    assert sentences <= set(TEXTS.japanese)
