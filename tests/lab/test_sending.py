"""Mail that the lab sends: found by its own DNS, said as SMTP wants it, and every refusal a result."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import dkim
import pytest
from lab_clients import Running

from ekiden.lab import Lab, LabConfig, LabError, Route
from ekiden.lab.sending import MAX_RECIPIENTS

SENDER = "a@sender.test"
RAW = "Subject: x\n\n.one\n..\nlast"
WIRE = b"Subject: x\r\n\r\n.one\r\n..\r\nlast\r\n"


def send(running: Running, **letter: Any) -> dict[str, Any]:
    status, answer = running.api("POST", "/send", {"from": SENDER, "raw": RAW, **letter})
    assert status == 200, answer
    return answer  # type: ignore[no-any-return]


def kept(running: Running, to: str) -> dict[str, Any]:
    (mail,) = running.api("GET", f"/mail?to={to}")[1]
    return mail  # type: ignore[no-any-return]


def violations(running: Running, mail: dict[str, Any]) -> list[str]:
    return next(s["violations"] for s in running.api("GET", "/sessions")[1] if s["id"] == mail["session"])  # type: ignore[no-any-return]


def test_a_message_reaches_the_server_that_the_dns_names(running: Running, someone: str) -> None:
    to = f"{someone}@accept.lab.test"
    answer = send(running, to=to)
    (reply,) = answer["replies"]
    assert answer["accepted"]
    assert (reply["to"], reply["accepted"], reply["stage"], reply["code"]) == (to, True, "end", 250)
    (dialogue,) = answer["dialogues"]
    assert (dialogue["host"], dialogue["port"]) == ("mx.accept.lab.test", running.port)
    assert dialogue["address"] == running.addresses("accept.lab.test")[0]
    assert [line[:7] for line in dialogue["lines"] if line.startswith("C: ")] == [
        "C: EHLO", "C: STAR", "C: EHLO", "C: MAIL", "C: RCPT", "C: DATA", "C: (32 ", "C: QUIT",
    ]  # fmt: skip
    mail = kept(running, to)
    assert base64.b64decode(mail["data"]) == WIRE
    assert (mail["from"], mail["helo"]) == (SENDER, "out.lab.test")
    assert mail["tls"] == dialogue["tls"]
    assert mail["tls"].startswith("TLSv1.")
    assert mail["peer"] == dialogue["source"]
    assert mail["mail_parameters"] == "SIZE=28"
    assert violations(running, mail) == []


def test_the_sending_host_has_a_name_and_may_send(running: Running, someone: str) -> None:
    to = f"{someone}@accept.lab.test"
    send(running, to=to, **{"from": ""})
    mail = kept(running, to)
    assert mail["from"] == ""
    address = mail["peer"].rpartition(":")[0]
    assert running.values("out.lab.test", "A") == [address]
    assert running.values("out.lab.test", "TXT") == ['"v=spf1 a -all"']
    assert running.values(".".join(reversed(address.split("."))) + ".in-addr.arpa", "PTR") == ["out.lab.test."]


@pytest.mark.parametrize(
    ("options", "peer", "helo"),
    [
        ({"source": "127.0.0.9"}, "127.0.0.9", "[127.0.0.9]"),
        ({"source": "127.0.0.10"}, "127.0.0.10", "named.test"),
        ({"source": "127.0.0.9", "helo": "other.test"}, "127.0.0.9", "other.test"),
        ({"helo": "other.test"}, "127.", "other.test"),
    ],
)
def test_address_and_name_can_be_chosen(
    running: Running, someone: str, options: dict[str, str], peer: str, helo: str
) -> None:
    running.api("PUT", "/dns/10.0.0.127.in-addr.arpa/PTR", ["named.test."])
    to = f"{someone}@accept.lab.test"
    send(running, to=to, **options)
    mail = kept(running, to)
    assert mail["peer"].startswith(peer)
    assert mail["helo"] == helo


@pytest.mark.parametrize(
    ("domain", "stage", "code"),
    [
        ("reject", "rcpt", 550),
        ("spam", "end", 554),
        ("reject-mail", "mail", 554),
        ("reject-data", "data", 554),
        ("reject-ehlo", "ehlo", 554),
        ("service-unavailable", "connect", 421),
        ("blocked", "connect", 554),
        ("disconnect-rcpt", "rcpt", 0),
        ("disconnect-body", "end", 0),
        ("hostile-garbage", "connect", 0),
        ("hostile-codes", "rcpt", 0),
        ("hostile-250", "data", 250),
        ("hostile-354", "rcpt", 354),
        ("badtls", "starttls", 0),
        ("droptls", "starttls", 0),
        ("dead", "connect", 0),
        ("nullmx", "dns", 0),
        ("mxnowhere", "dns", 0),
        ("nomail", "dns", 0),
        ("nxdomain", "dns", 0),
        ("servfail", "dns", 0),
        ("dnstimeout", "dns", 0),
    ],
)
def test_refusals_are_results(running: Running, someone: str, domain: str, stage: str, code: int) -> None:
    answer = send(running, to=f"{someone}@{domain}.lab.test")
    (reply,) = answer["replies"]
    assert not answer["accepted"]
    assert (reply["accepted"], reply["stage"], reply["code"]) == (False, stage, code)
    assert reply["text"]
    assert (reply["dialogue"] is None) == (stage == "dns")


@pytest.mark.parametrize("domain", ["deadfirst", "refusetls", "helo", "nomx", "ipv6", "twin", "hostile-bytes"])
def test_a_server_that_can_be_reached_is(running: Running, someone: str, domain: str) -> None:
    if domain == "ipv6" and not running.lab.internet.ipv6:
        pytest.skip("no IPv6 on this machine")
    answer = send(running, to=f"{someone}@{domain}.lab.test")
    assert answer["accepted"], answer
    assert len(answer["dialogues"]) == (2 if domain == "deadfirst" else 1)
    assert answer["replies"][0]["dialogue"] == len(answer["dialogues"]) - 1


def test_recipients_have_replies_of_their_own(running: Running, someone: str) -> None:
    to = [f"{local}+{someone}@accept.lab.test" for local in ("x", "fail-550", "full")]
    to += [f"{someone}@reject.lab.test", f"y+{someone}@accept.lab.test"]
    answer = send(running, to=to)
    assert [(r["to"], r["stage"], r["code"]) for r in answer["replies"]] == list(
        zip(to, ["end", "rcpt", "rcpt", "rcpt", "end"], [250, 550, 452, 550, 250], strict=True)
    )
    assert not answer["accepted"]
    assert len(answer["dialogues"]) == 2
    assert kept(running, to[0])["to"] == [to[0], to[4]]


def test_what_is_8_bit_says_so(running: Running, someone: str) -> None:
    to = f"{someone}@accept.lab.test"
    octets = "Subject: 件名\r\n\r\nあ\n\xff".encode() + b"\r\n"
    answer = send(running, to=to, raw=None, raw_base64=base64.b64encode(octets).decode())
    assert answer["accepted"], answer
    mail = kept(running, to)
    assert base64.b64decode(mail["data"]) == octets
    assert mail["mail_parameters"] == f"SIZE={len(octets)} BODY=8BITMIME"
    refused = send(running, to=f"{someone}@no8bitmime.lab.test", raw="あ")
    assert (refused["replies"][0]["stage"], refused["replies"][0]["code"]) == ("mail", 0)


def test_international_addresses(running: Running, someone: str) -> None:
    to = f"{someone}+あ@accept.lab.test"
    assert send(running, to=to)["accepted"]
    (mail,) = [m for m in running.api("GET", "/mail?to=@accept.lab.test")[1] if to in m["to"]]
    assert mail["mail_parameters"] == "SIZE=28 BODY=8BITMIME SMTPUTF8"
    assert violations(running, mail) == []
    refused = send(running, to=f"{someone}+あ@nosmtputf8.lab.test")
    assert "SMTPUTF8" in refused["replies"][0]["text"]


def test_tls_can_be_left_out_or_demanded(running: Running, someone: str) -> None:
    to = f"{someone}@accept.lab.test"
    assert send(running, to=to, tls="none")["dialogues"][0]["tls"] is None
    assert kept(running, to)["tls"] is None
    for domain in ("notls", "refusetls"):
        (reply,) = send(running, to=f"{someone}@{domain}.lab.test", tls="required")["replies"]
        assert reply["stage"] == "starttls"


def test_a_server_that_says_nothing_is_given_up(running: Running, someone: str) -> None:
    answer = send(running, to=f"{someone}@silent-end.lab.test", timeout=0.2)
    (reply,) = answer["replies"]
    assert (reply["stage"], reply["code"], reply["accepted"]) == ("end", 0, False)


def test_a_server_can_be_named(running: Running, someone: str) -> None:
    answer = send(running, to="postmaster", server=f"127.0.0.1:{running.port}")
    assert answer["accepted"], answer
    assert answer["dialogues"][0]["address"] == "127.0.0.1"
    literal = send(running, to=f"{someone}@[127.0.0.1]")
    assert literal["accepted"], literal


@pytest.mark.parametrize(
    ("letter", "what"),
    [
        ({}, "to"),
        ({"to": []}, "recipients"),
        ({"to": [f"a{n}@x.test" for n in range(MAX_RECIPIENTS + 1)]}, "recipients"),
        ({"to": [f"a@x{n}.test" for n in range(21)]}, "domains"),
        ({"to": "nobody"}, "domain"),
        ({"to": "a@x.test\r\nDATA"}, "RCPT"),
        ({"to": "a@x.test", "from": "a>\r\nDATA"}, "from"),
        ({"to": "a@x.test", "helo": "a b"}, "helo"),
        ({"to": "a@x.test", "raw_base64": "YQ=="}, "raw"),
        ({"to": "a@x.test", "raw": None}, "raw"),
        ({"to": "a@x.test", "raw": None, "raw_base64": "%"}, "raw_base64"),
        ({"to": "a@x.test", "source": "192.0.2.1"}, "loopback"),
        ({"to": "a@x.test", "server": "192.0.2.1:25"}, "loopback"),
        ({"to": "a@x.test", "server": "mail.test:25"}, "ADDRESS:PORT"),
        ({"to": "a@x.test", "timeout": 0}, "timeout"),
        ({"to": "a@x.test", "dkim": "a..test", "raw": "From: a@x.test\n\n"}, "dkim"),
        ({"to": "a@x.test", "dkim": "x.test"}, "From field"),
        ({"to": "a@x.test", "lunch": 1}, "lunch"),
    ],
)
def test_what_cannot_be_sent_is_explained(running: Running, letter: dict[str, Any], what: str) -> None:
    status, answer = running.api("POST", "/send", {"from": SENDER, "raw": RAW, **letter})
    assert status == 400
    assert what in answer["error"]


def test_nothing_leaves_loopback(running: Running, someone: str) -> None:
    running.api("PUT", "/dns/outside.test/MX", ["10 mx.outside.test."])
    running.api("PUT", "/dns/mx.outside.test/A", ["192.0.2.1"])
    (reply,) = send(running, to=f"{someone}@outside.test")["replies"]
    assert (reply["stage"], reply["code"]) == ("connect", 0)
    assert "loopback" in reply["text"]


def test_a_domain_signs(running: Running, someone: str) -> None:
    """An independent verifier asks the lab's DNS."""

    def key(name: bytes, timeout: int = 5) -> bytes:
        (text,) = running.values(name.decode(), "TXT")
        return text.strip('"').replace('" "', "").encode()

    domain = f"{someone}.test"
    raw = f"From: a@{domain}\nSubject: x\n\nHello\n"
    to = f"{someone}@accept.lab.test"
    assert send(running, to=to, raw=raw, dkim=domain.upper())["accepted"]
    mail = kept(running, to)
    data = base64.b64decode(mail["data"])
    assert f"d={domain};".encode() in data
    assert dkim.verify(data, dnsfunc=key)
    assert violations(running, mail) == []
    running.api("PUT", f"/dns/lab._domainkey.{domain}/TXT", ["v=DKIM1; k=rsa; p="])
    send(running, to=to, raw=raw, dkim=domain)
    assert running.values(f"lab._domainkey.{domain}", "TXT") == ['"v=DKIM1; k=rsa; p="']
    late = running.put_behaviour({"report": {"format": "arf", "delay": 0, "dkim": domain}})
    send(running, to=f"a@{late}", raw=raw, **{"from": f"{someone}-fbl@accept.lab.test"})
    (report,) = running.api("GET", f"/reports?to={someone}-fbl@accept.lab.test&wait=10")[1]
    content = running.http(running.lab.api_url, "GET", f"/reports/{report['id']}")[2]
    assert content.startswith(b"DKIM-Signature: ")
    assert base64.b64decode(kept(running, f"{someone}-fbl@accept.lab.test")["data"]) == content


@pytest.fixture
async def other() -> AsyncIterator[Lab]:
    """A server beside the lab; another lab's, as it notes what its clients do wrong."""
    async with Lab() as lab:
        yield lab


class TestRoutes:
    async def test_mail_for_a_domain_goes_to_a_server_beside_the_lab(self, other: Lab) -> None:
        async with Lab() as lab:
            lab.set_dns("rp.example.test", "TXT", ["something else", "v=spf1 -all"])
            lab.set_route("RP.Example.test", Route(other.smtp_port))
            sent = await lab.send("b-token@rp.example.test", RAW)
            assert sent.accepted, sent
            assert sent.dialogues[0].host == "mx.rp.example.test"
            (mail,) = other.mail("b-token@rp.example.test")
            assert (mail.sender, mail.data) == ("", WIRE)
            assert other.violations() == lab.mail() == []
            records = lab.records.listing()
            assert records["rp.example.test"]["MX"] == ["10 mx.rp.example.test."]
            assert records["mx.rp.example.test"]["A"] == ["127.0.0.1"]
            assert records["rp.example.test"]["TXT"] == [
                '"something else"',
                '"v=spf1 ip4:127.0.0.0/8 ip6:::1 -all"',
            ]
            # A domain that is an alias of it is served as well (a customer's return path may be one CNAME).
            lab.set_dns("rp.customer.test", "CNAME", ["rp.example.test."])
            assert (await lab.send("b-two@rp.customer.test", RAW)).accepted
            assert lab.remove_route("rp.example.test")
            assert not lab.remove_route("rp.example.test")
            assert not (await lab.send("b-three@rp.example.test", RAW)).accepted

    async def test_routes_to_one_host_move_together(self, other: Lab) -> None:
        async with Lab() as lab:
            lab.set_route("one.test", Route(9, host="mail.platform.test"))
            lab.set_route("two.test", Route(other.smtp_port, host="mail.platform.test", spf=""))
            assert lab.routes["one.test"].port == other.smtp_port
            assert (await lab.send("a@one.test", RAW)).accepted
            assert "TXT" not in lab.records.listing("two.test")["two.test"]

    async def test_routes_outlive_a_start(self, other: Lab, tmp_path: Any) -> None:
        config = LabConfig(state_file=str(tmp_path / "lab.json"))
        async with Lab(config) as lab:
            lab.set_route("kept.test", Route(other.smtp_port))
            lab.set_route("gone.test", Route(other.smtp_port))
            lab.remove_route("gone.test")
        async with Lab(config) as lab:
            assert set(lab.routes) == {"kept.test"}
            assert (await lab.send("a@kept.test", RAW)).accepted
            assert not (await lab.send("a@gone.test", RAW)).accepted

    def test_over_the_api(self, running: Running, someone: str) -> None:
        status, answer = running.api("PUT", f"/routes/{someone}.test", {"port": running.port})
        assert (status, answer["host"], answer["address"]) == (200, f"mx.{someone}.test", "127.0.0.1")
        assert running.api("GET", "/routes")[1][f"{someone}.test"] == answer
        assert send(running, to=f"a@{someone}.test")["accepted"]
        assert running.api("DELETE", f"/routes/{someone}.test")[1] == {"deleted": True}

    @pytest.mark.parametrize(
        "route",
        [
            Route(25, address="192.0.2.1"),
            Route(25, address="mail.test"),
            Route(25, host="a..test"),
            Route(25, host="."),
        ],
    )
    async def test_wrong_ones_change_nothing(self, running: Running, route: Route) -> None:
        before = running.lab.records.listing("wrong.test")
        with pytest.raises(LabError):
            running.lab.set_route("wrong.test", route)
        assert running.lab.records.listing("wrong.test") == before
