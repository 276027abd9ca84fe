"""The lab's DNS data: editing it, and what queries find."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.lab.behaviour import LabError
from ekiden.lab.records import Records, Trouble


@pytest.fixture
def records() -> Records:
    made = Records("lab.test", 1)
    made.put("lab.test", "NS", ["ns.lab.test."])
    made.put("a.lab.test", "MX", ["10 mx.a.lab.test", "20 mx2.a.lab.test."])
    made.put("mx.a.lab.test", "A", ["127.1.2.3"])
    made.put("*.lab.test", "MX", ["10 mx.a.lab.test."])
    return made


def ask(records: Records, name: str, kind: str) -> dns.message.Message:
    return records.answer(dns.message.make_query(name, kind))[0]


def found(records: Records, name: str, kind: str) -> list[str]:
    return [value.to_text() for rrset in ask(records, name, kind).answer for value in rrset]


def test_records_are_found_whatever_the_letter_case(records: Records) -> None:
    response = ask(records, "A.Lab.TEST", "MX")
    assert response.rcode() == dns.rcode.NOERROR
    assert response.flags & dns.flags.AA
    assert sorted(found(records, "A.Lab.TEST", "MX")) == ["10 mx.a.lab.test.", "20 mx2.a.lab.test."]
    assert response.answer[0].ttl == 1
    assert response.answer[0].name.to_text() == "A.Lab.TEST."


@pytest.mark.parametrize(
    ("name", "kind", "rcode", "zone"),
    [
        ("a.lab.test", "TXT", "NOERROR", "lab.test."),
        ("nothing.a.lab.test", "A", "NXDOMAIN", "lab.test."),  # a.lab.test is in the way of the wildcard
        ("other.test", "A", "NXDOMAIN", "."),
        ("test", "MX", "NOERROR", "."),  # a name with names below it exists
        ("some.thing.lab.test", "A", "NOERROR", "lab.test."),  # the wildcard has no A
    ],
)
def test_negative_answers(records: Records, name: str, kind: str, rcode: str, zone: str) -> None:
    response = ask(records, name, kind)
    assert dns.rcode.to_text(response.rcode()) == rcode
    assert not response.answer
    soa = response.authority[0]
    assert (soa.rdtype, soa.name.to_text()) == (dns.rdatatype.SOA, zone)
    assert soa[0].minimum == 1


def test_wildcards(records: Records) -> None:
    response = ask(records, "some.thing.lab.test", "MX")
    assert response.answer[0].name.to_text() == "some.thing.lab.test."
    assert found(records, "some.thing.lab.test", "MX") == ["10 mx.a.lab.test."]


def test_edits_replace_and_remove(records: Records) -> None:
    records.put("a.lab.test", "mx", ["0 ."])
    assert found(records, "a.lab.test", "MX") == ["0 ."]
    assert records.remove("a.lab.test", "MX")
    assert not records.remove("a.lab.test", "MX")
    assert ask(records, "a.lab.test", "MX").rcode() == dns.rcode.NOERROR  # mx.a.lab.test is below
    assert records.remove("mx.a.lab.test")
    assert found(records, "a.lab.test", "MX") == ["10 mx.a.lab.test."]  # now the wildcard's


def test_aliases_are_followed(records: Records) -> None:
    records.put("www.test", "CNAME", ["a.lab.test."])
    assert found(records, "www.test", "MX") == ["a.lab.test.", "10 mx.a.lab.test.", "20 mx2.a.lab.test."]
    assert found(records, "www.test", "CNAME") == ["a.lab.test."]
    records.put("loop.test", "CNAME", ["loop.test."])
    assert set(found(records, "loop.test", "A")) == {"loop.test."}


@pytest.mark.parametrize(
    ("name", "kind", "values", "what"),
    [
        ("a.lab.test", "LUNCH", ["x"], "LUNCH"),
        ("a.lab.test", "ANY", ["x"], "ANY"),
        ("a.lab.test", "A", ["127.0.0.300"], "127.0.0.300"),
        ("a.lab.test", "MX", ["10 ok.", "mx.only"], "mx.only"),
        ("a.lab.test", "CNAME", ["b.lab.test."], "CNAME"),
        ("a..test", "A", ["127.0.0.1"], "a..test"),
        ("x" * 64 + ".test", "A", ["127.0.0.1"], "is not a domain name"),
    ],
)
def test_wrong_edits_are_explained_and_change_nothing(
    records: Records, name: str, kind: str, values: list[str], what: str
) -> None:
    before = records.listing()
    with pytest.raises(LabError) as caught:
        records.put(name, kind, values)
    assert what in str(caught.value)
    assert records.listing() == before


@given(st.text(min_size=0, max_size=600).filter(lambda text: not text.lstrip().startswith('"')))
def test_any_text_can_be_a_txt_record(text: str) -> None:
    try:
        octets = text.encode()
    except UnicodeEncodeError:
        return
    records = Records("lab.test", 1)
    records.put("txt.test", "TXT", [text])
    (value,) = ask(records, "txt.test", "TXT").answer[0]
    assert b"".join(value.strings) == octets


def test_quoted_txt_is_presentation_format() -> None:
    records = Records("lab.test", 1)
    records.put("txt.test", "TXT", ['"v=DKIM1; p=" "abc"'])
    assert found(records, "txt.test", "TXT") == ['"v=DKIM1; p=" "abc"']


def test_names_of_every_script_and_with_underscores() -> None:
    records = Records("lab.test", 1)
    records.put("例え.テスト", "A", ["127.0.0.1"])
    assert found(records, "xn--r8jz45g.xn--zckzah", "A") == ["127.0.0.1"]
    records.put("s1._domainkey.x.test", "TXT", ["v=DKIM1"])
    assert found(records, "s1._domainkey.x.test", "TXT") == ['"v=DKIM1"']


@pytest.mark.parametrize("fault", ["nxdomain", "servfail", "refused"])
def test_troubles_of_a_name(records: Records, fault: str) -> None:
    records.set_trouble("a.lab.test", Trouble(fault))  # type: ignore[arg-type]
    response = ask(records, "a.lab.test", "MX")
    assert dns.rcode.to_text(response.rcode()).lower() == fault
    assert not response.answer
    assert found(records, "mx.a.lab.test", "A") == ["127.1.2.3"]
    records.set_trouble("a.lab.test", None)
    assert found(records, "a.lab.test", "MX")


def test_any_and_other_opcodes(records: Records) -> None:
    assert len(found(records, "a.lab.test", "ANY")) == 2
    notify = dns.message.make_query("a.lab.test", "SOA")
    notify.set_opcode(dns.opcode.NOTIFY)
    assert records.answer(notify)[0].rcode() == dns.rcode.NOTIMP
