"""SPF records and macros: what is valid, and what is said of what is not."""

from __future__ import annotations

import ast
import inspect
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spf_cases import EXPANSIONS, FAULTS
from spf_zone import ZoneLookup, run

from ekiden.sender_auth import spf, spf_errors, spf_macro, spf_record
from ekiden.sender_auth.spf_errors import SpfSyntaxError
from ekiden.sender_auth.spf_macro import parse_domain_spec, parse_explanation
from ekiden.sender_auth.spf_record import is_spf_record, parse_spf_record
from ekiden.sender_auth.spf_translations import TEXTS


def test_terms() -> None:
    record = parse_spf_record(
        b"v=spf1 ip4:192.0.2.7/24 -A:x.example/28//64  ~ip6:2001:db8::/32 exp=e.%{d} k=v ?all"
    )
    network, address, network6, everything = record.mechanisms
    assert network.network == ip_network("192.0.2.0/24")
    assert (address.name, address.qualifier, address.prefix4, address.prefix6) == ("a", "-", 28, 64)
    assert address.domain is not None
    assert (address.domain.text, address.text, address.position) == ("x.example", "-A:x.example/28//64", 25)
    assert (network6.qualifier, network6.network) == ("~", ip_network("2001:db8::/32"))
    assert (everything.name, everything.qualifier) == ("all", "?")
    assert record.explanation is not None
    assert record.explanation.value.letters == {"d"}
    assert [(item.name, item.value.text) for item in record.modifiers] == [("k", "v")]
    assert record.redirect is None


@pytest.mark.parametrize(
    ("record", "is_spf"),
    [(b"v=spf1", True), (b"V=SPF1 ", True), (b"v=spf10", False), (b"v=spf1\t-all", False), (b" v=spf1", False)],
)
def test_version(record: bytes, is_spf: bool) -> None:
    assert is_spf_record(record) is is_spf


@pytest.mark.parametrize(("record", "code", "term", "position"), FAULTS)
def test_faults(record: bytes, code: str, term: str, position: int) -> None:
    with pytest.raises(SpfSyntaxError) as raised:
        parse_spf_record(record)
    error = raised.value
    assert (error.code, error.term, error.position) == (code, term, position)
    assert term in str(error)
    assert error.text("ja") != error.text("en")


def test_a_fault_says_what_to_write() -> None:
    for record, said in [
        ("v=spf1 a:192.0.2.1", "a:192.0.2.1 (character 8): 192.0.2.1 is an address; write ip4:192.0.2.1"),
        ("v=spf1 ip:192.0.2.1", "ip:192.0.2.1 (character 8): there is no mechanism ip; ip4 is meant"),
        ("v=spf1 mx,a", "mx,a (character 8): terms are separated by blanks, not by commas"),
        ("v=spf1 include=x.example -all", None),  # a modifier that nobody knows: valid, and without effect
        ("v=spf1 -include=x.example", "after a mechanism stands a colon, not an equals sign"),
    ]:
        if said is None:
            assert [item.name for item in parse_spf_record(record).modifiers] == ["include"]
            continue
        with pytest.raises(SpfSyntaxError) as raised:
            parse_spf_record(record)
        assert said in str(raised.value)


def test_explanations_may_have_blanks_and_more_macros() -> None:
    assert parse_explanation("%{c} at %{t} for %{r}").letters == {"c", "t", "r"}
    with pytest.raises(SpfSyntaxError):
        parse_explanation("tab\there")


@pytest.mark.parametrize(("macro", "text"), EXPANSIONS)
def test_expansions(macro: str, text: str) -> None:
    zone = {
        "email.example.com": {"TXT": ["v=spf1 -all exp=e.example"]},
        "e.example": {"TXT": [macro]},
        "3.2.0.192.in-addr.arpa": {"PTR": ["mx.example.org"]},
        "mx.example.org": {"A": ["192.0.2.3"]},
    }
    sender = "strong-bad@email.example.com"
    found = run(spf.check_host("192.0.2.3", "email.example.com", sender, "h.example", ZoneLookup(zone)))
    assert found.explanation == text


def test_ipv6_is_expanded_by_nibbles() -> None:
    zone = {"d.example": {"TXT": ["v=spf1 -all exp=e.example"]}, "e.example": {"TXT": ["%{ir}.%{v} %{c} %{t}"]}}
    found = run(spf.check_host("2001:db8::cb01", "d.example", "d.example", "h.example", ZoneLookup(zone), at=7))
    nibbles = "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6"
    assert found.explanation is not None
    assert found.explanation.lower() == f"{nibbles} 2001:db8::cb01 7"


def test_long_names_lose_labels_on_the_left() -> None:
    values = {"l": ".".join(["a" * 60] * 5), "d": "d.example"}
    name = parse_domain_spec("%{l}.%{d}").expand_name(values)
    assert name == ".".join(["a" * 60] * 4) + ".d.example"
    assert len(name) == 253
    assert parse_domain_spec("x.%{d}.example.").expand_name(values) == "x.d.example.example"


_TERMS = st.text("abimxptr4618%{}.:/=-+~?,_dlsh 0v\x00\xff", max_size=40)


@given(st.one_of(st.binary(max_size=60), _TERMS.map(lambda text: b"v=spf1 " + text.encode())))
def test_any_record_is_read_or_refused(record: bytes) -> None:
    try:
        read = parse_spf_record(record)
    except SpfSyntaxError as error:
        assert error.text("en")
        assert error.text("ja")
    else:
        terms = [item.text for item in (*read.mechanisms, *read.modifiers)]
        terms += [item.text for item in (read.redirect, read.explanation) if item is not None]
        assert sorted(terms) == sorted(record[6:].decode().split())


def test_text_is_read_like_octets() -> None:
    assert parse_spf_record("v=spf1 -all").text == "v=spf1 -all"
    for text in ("v=spf1 a:é.example", "v=spf1 \ud800"):
        with pytest.raises(SpfSyntaxError) as raised:
            parse_spf_record(text)
        assert (raised.value.code, raised.value.position) == ("not_ascii", 8)


def test_every_text_is_translated() -> None:
    """Each template of the modules is in the catalogue, and the catalogue has no others."""
    said = set()
    for module in (spf, spf_errors, spf_macro, spf_record):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.add(node.value)
    assert set(TEXTS.japanese) <= said
