"""The lab's name server, asked by dnspython's client."""

from __future__ import annotations

import socket

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest
from lab_clients import Running


@pytest.mark.parametrize("tcp", [False, True])
def test_mx_and_its_address(running: Running, tcp: bool) -> None:
    response = running.query("accept.lab.test", "MX", tcp=tcp)
    assert response.answer[0].to_text() == "accept.lab.test. 1 IN MX 10 mx.accept.lab.test."
    (address,) = running.values("mx.accept.lab.test", "A")
    assert address.startswith("127.")
    reverse = ".".join(reversed(address.split("."))) + ".in-addr.arpa"
    assert running.values(reverse, "PTR") == ["mx.accept.lab.test."]


def test_every_host_has_an_address_of_its_own(running: Running) -> None:
    addresses = running.addresses("accept.lab.test") + running.addresses("twin.lab.test")
    assert len(set(addresses)) == 3


@pytest.mark.parametrize(
    ("name", "mx"),
    [
        ("nullmx.lab.test", ["0 ."]),
        ("mxnowhere.lab.test", ["10 nowhere.mxnowhere.lab.test."]),
        ("nomx.lab.test", []),
        ("nomail.lab.test", []),
        ("deadfirst.lab.test", ["10 mx1.deadfirst.lab.test.", "20 mx2.deadfirst.lab.test."]),
        ("dead.lab.test", ["10 mx1.dead.lab.test.", "20 mx2.dead.lab.test."]),
        ("twin.lab.test", ["10 mx1.twin.lab.test.", "10 mx2.twin.lab.test."]),
        ("nobody-named-this.lab.test", ["10 mx.accept.lab.test."]),
    ],
)
def test_mail_exchangers(running: Running, name: str, mx: list[str]) -> None:
    response = running.query(name, "MX")
    assert response.rcode() == dns.rcode.NOERROR
    assert running.values(name, "MX") == mx


def test_address_records(running: Running) -> None:
    assert running.values("nomx.lab.test", "A")
    assert not running.values("nomail.lab.test", "A")
    assert running.query("nowhere.mxnowhere.lab.test", "A").rcode() == dns.rcode.NXDOMAIN
    assert running.values("mx.ipv6.lab.test", "AAAA") == ["::1"]
    assert running.values("mx.ipv6.lab.test", "A") == []
    assert running.values("mx.dual.lab.test", "AAAA") == ["::1"]
    assert running.values("mx.dual.lab.test", "A")


@pytest.mark.parametrize(
    ("name", "rcode"),
    [
        ("nxdomain.lab.test", "NXDOMAIN"),
        ("servfail.lab.test", "SERVFAIL"),
        ("dnsrefused.lab.test", "REFUSED"),
        ("outside.example", "NXDOMAIN"),
    ],
)
def test_failures(running: Running, name: str, rcode: str) -> None:
    for tcp in (False, True):
        assert dns.rcode.to_text(running.query(name, "MX", tcp=tcp).rcode()) == rcode


def test_silence(running: Running) -> None:
    with pytest.raises(dns.exception.Timeout):
        running.query("dnstimeout.lab.test", "MX", timeout=0.3)


def test_slow_answers_come(running: Running) -> None:
    name = running.put_behaviour({"dns_delay": 0.05})
    assert running.values(name, "MX")
    assert running.query(name, "MX", tcp=True).answer


def test_truncation_leads_to_tcp(running: Running) -> None:
    response = running.query("truncated.lab.test", "MX", use_edns=True, payload=4096)
    assert response.flags & dns.flags.TC
    assert not response.answer
    assert running.query("truncated.lab.test", "MX", tcp=True).answer


def test_large_answers_are_truncated_to_what_the_client_takes(running: Running) -> None:
    running.api("PUT", "/dns/large.test/TXT", ["x" * 900])
    assert running.query("large.test", "TXT").flags & dns.flags.TC
    assert running.query("large.test", "TXT", use_edns=True, payload=1232).answer
    assert running.query("large.test", "TXT", tcp=True).answer


def test_edits_count_at_once(running: Running) -> None:
    assert running.api("PUT", "/dns/edit.test/A", ["127.0.0.9", "127.0.0.8"]) == (200, ["127.0.0.9", "127.0.0.8"])
    assert running.values("edit.test", "A") == ["127.0.0.8", "127.0.0.9"]
    assert running.api("GET", "/dns/edit.test") == (200, {"A": ["127.0.0.9", "127.0.0.8"]})
    assert running.api("GET", "/dns/edit.test/a") == (200, ["127.0.0.9", "127.0.0.8"])
    assert running.api("DELETE", "/dns/edit.test/A") == (200, {"deleted": True})
    assert running.api("DELETE", "/dns/edit.test/A") == (200, {"deleted": False})
    assert running.query("edit.test", "A").rcode() == dns.rcode.NXDOMAIN


def test_queries_are_remembered(running: Running) -> None:
    running.query("Remember.test", "TXT", tcp=True)
    _, queries = running.api("GET", "/queries?name=remember.test")
    assert [(q["name"], q["type"], q["transport"]) for q in queries] == [("remember.test", "TXT", "tcp")]


def test_nonsense_is_answered_with_formerr_or_not_at_all(running: Running) -> None:
    host, port = running.lab.dns_address
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.connect((host, port))
        client.send(b"")
        client.send(b"short")
        client.send(dns.message.make_response(dns.message.make_query("a.test", "A")).to_wire())
        client.send(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x3fcut")
        wire = client.recv(4096)
        assert wire[:2] == b"\x12\x34"
        assert dns.message.from_wire(wire).rcode() == dns.rcode.FORMERR
    with socket.create_connection((host, port), timeout=10) as client:
        client.sendall(b"\x00\x02no" + b"\x00\x10cut")
    assert running.values("accept.lab.test", "MX")
