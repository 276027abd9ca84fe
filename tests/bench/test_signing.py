"""What the bench does about DKIM: who runs where, what is proved before the clock starts, how it is judged."""

from __future__ import annotations

import smtplib
import socket
from collections.abc import Mapping, Sequence

import pytest
from bench.__main__ import known_servers, parser, plan, profiled
from bench.auth_load import make_content, numbered
from bench.ekiden_server import Ekiden
from bench.figures import MIB, Sample, Target, judge
from bench.load import DEFAULT_SCENARIOS, SCENARIOS, SENDER_DOMAIN, source_command
from bench.proof import Receiver, check
from bench.report import tables
from bench.tools import BenchError, free_ports, greets
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from ekiden.sender_auth.dkim_key import public_record
from ekiden.sender_auth.dkim_sign import SigningKey, sign

AT = 1_795_312_800_000
RSA = SigningKey(SENDER_DOMAIN, "one", "rsa-sha256", generate_private_key(65_537, 2048))
SHORT = SigningKey(SENDER_DOMAIN, "short", "rsa-sha256", generate_private_key(65_537, 1024))
ED25519 = SigningKey(SENDER_DOMAIN, "two", "ed25519-sha256", Ed25519PrivateKey.generate())
OTHER = SigningKey("other.test", "one", "rsa-sha256", RSA.private)
RECORDS = {
    f"{key.selector}._domainkey.{key.domain}": public_record(key.private).encode()
    for key in (RSA, SHORT, ED25519, OTHER)
}


def message(number: int, keys: Sequence[SigningKey], body: bytes = b"hello\r\n") -> bytes:
    content = (
        b"From: <a@src.test>\r\nTo: <b@dst.test>\r\nDate: Sun, 22 Nov 2026 02:00:00 +0000\r\n"
        b"Message-ID: <%d@src.test>\r\nSubject: bench\r\n\r\n%b" % (number, body)
    )
    return sign(content, keys, AT) + content


@pytest.mark.parametrize("keys", [[RSA], [RSA, ED25519], [ED25519]])
def test_right_signatures_are_found_right(keys: list[SigningKey]) -> None:
    contents = [message(number, keys) for number in range(3)]
    check(contents, [key.algorithm for key in keys], RECORDS)


@pytest.mark.parametrize(
    ("contents", "records", "why"),
    [
        ([message(1, [])], RECORDS, "signed with nothing"),
        ([message(1, [RSA]), message(2, [])], RECORDS, "signed with nothing"),
        ([message(1, [RSA, RSA])], RECORDS, "was signed with"),
        ([message(1, [ED25519])], RECORDS, "was signed with"),
        ([message(1, [RSA]) + b"more\r\n"], RECORDS, "does not verify"),
        ([message(1, [RSA]).replace(b"hello", b"hullo")], RECORDS, "does not verify"),
        ([message(1, [RSA])], {}, "does not verify"),
        ([message(1, [SHORT])], RECORDS, "1024 bits"),
        ([message(1, [OTHER])], RECORDS, "another kind"),
        ([message(1, [RSA]), message(1, [RSA])], RECORDS, "different Message-IDs"),
    ],
)
def test_what_would_make_a_row_worthless_is_found(
    contents: list[bytes], records: Mapping[str, bytes], why: str
) -> None:
    with pytest.raises(BenchError, match=why):
        check(contents, ["rsa-sha256"], records)


def test_a_simple_form_is_another_kind() -> None:
    plain = message(1, [])
    content = sign(plain, [RSA], AT, body_canonicalization="simple") + plain
    with pytest.raises(BenchError, match="another kind"):
        check([content], ["rsa-sha256"], RECORDS)


def test_the_receiver_keeps_what_is_sent_and_lets_go_of_its_port() -> None:
    (port,) = free_ports(1)
    content = message(1, [RSA], b".\r\n..two dots\r\n.a\r\nend\r\n")
    with Receiver(port) as receiver:
        assert greets(port)
        with smtplib.SMTP("127.0.0.1", port) as client:
            for _ in range(2):
                client.sendmail("a@src.test", ["b@dst.test"], content)
            idle = socket.create_connection(("127.0.0.1", port), 10)
            assert idle.recv(100).startswith(b"220")
        assert receiver.count() == 2
        assert receiver.messages == [content, content]
        check(receiver.messages[:1], ["rsa-sha256"], RECORDS)
    # Whoever kept a connection hears of its end, and the next sink has the same port.
    assert idle.recv(100) == b""
    idle.close()
    with Receiver(port):
        assert greets(port)


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BenchError, match="cannot listen"):
            Receiver(taken.getsockname()[1])


def names(arguments: str) -> dict[str, list[str]]:
    options = parser().parse_intermixed_args(arguments.split())
    return {scenario.name: [server.name for server in servers] for scenario, servers in plan(options)}


def test_signing_is_compared_by_those_who_sign_and_with_postfix() -> None:
    assert "dkim" in DEFAULT_SCENARIOS
    planned = names("compare")
    able = {name for name, server in known_servers().items() if server.missing() is None}
    assert list(planned) == list(DEFAULT_SCENARIOS)
    signing = {"postfix", "postfix-opendkim", "ekiden-dkim", "ekiden-dkim1", "ekiden-pg-dkim", "ekiden-dkim2"}
    assert set(planned["dkim"]) == signing & able
    assert set(planned["4k"]) == {"postfix", "ekiden", "ekiden1", "ekiden-pg", "aiosmtpd"} & able
    assert set(planned["tls"]) == set(planned["4k"]) - {"aiosmtpd"}


def test_servers_that_are_named_run_in_every_scenario() -> None:
    assert names("compare --scenarios 50k,dkim --servers ekiden,ekiden-dkim") == {
        "50k": ["ekiden", "ekiden-dkim"],
        "dkim": ["ekiden", "ekiden-dkim"],
    }
    beside = names("compare --scenarios 4k,dkim --with ekiden-dkim,ekiden")
    assert beside["4k"].count("ekiden") == beside["dkim"].count("ekiden-dkim") == 1
    assert "ekiden" not in beside["dkim"]
    with pytest.raises(BenchError, match="is no server"):
        names("compare --with sendmail")
    with pytest.raises(BenchError, match="is no scenario"):
        names("compare --scenarios none")


def test_one_of_ours_is_profiled() -> None:
    assert profiled(["ekiden-dkim"]).signing == "rsa"
    for wrong in (["postfix"], ["ekiden", "ekiden1"], []):
        with pytest.raises(BenchError, match="can be profiled"):
            profiled(wrong)


def test_what_servers_sign_with() -> None:
    servers = known_servers()
    assert servers["postfix-opendkim"].signatures == servers["ekiden-dkim"].signatures == ("rsa-sha256",)
    assert servers["ekiden-dkim2"].signatures == ("rsa-sha256", "ed25519-sha256")
    assert servers["postfix"].signatures == servers["ekiden"].signatures == ()
    signing = [server for server in servers.values() if isinstance(server, Ekiden) and server.signatures]
    assert all("signing with rsa-sha256" in server.title for server in signing)


@pytest.mark.parametrize("scenario", ["4k", "dkim"])
def test_the_load_of_signing_is_that_of_4k(scenario: str) -> None:
    try:
        command = source_command(SCENARIOS[scenario], 2525, 100)
    except BenchError:
        pytest.skip("smtp-source is not installed")
    assert command == source_command(SCENARIOS["4k"], 2525, 100)
    assert f"a@{SENDER_DOMAIN}" in command


def test_no_two_messages_of_our_generator_are_the_same() -> None:
    content = make_content(4096)
    seen = [numbered(content, number) for number in (1, 23)]
    assert [len(each) - len(content) for each in seen] == [2, 3]
    assert seen[0].startswith(b"Message-ID: <bench.1@src.test>\r\n")
    assert seen[1].removeprefix(b"Message-ID: <bench.23@src.test>") == content.removeprefix(
        b"Message-ID: <bench@src.test>"
    )


def sample(server: str, e2e: float, round_number: int = 1) -> Sample:
    return Sample(server, "dkim", round_number, 1000, accept=e2e, e2e=e2e, cpu=1.0, pss=MIB)


@pytest.mark.parametrize(("ekiden", "met"), [(2500, (True, True)), (2000, (False, True)), (1590, (False, False))])
def test_signing_is_judged_against_both_kinds_of_postfix(ekiden: float, met: tuple[bool, bool]) -> None:
    samples = [sample("postfix", 1000), sample("postfix-opendkim", 400), sample("ekiden-dkim", ekiden)]
    judged: list[tuple[Target, bool | None]] = [
        (verdict.target, verdict.met) for verdict in judge(samples) if verdict.target.scenario == "dkim"
    ]
    assert [(target.base, verdict) for target, verdict in judged] == [
        ("postfix", met[0]),
        ("postfix-opendkim", met[1]),
    ]


def test_the_table_of_signing_has_the_ratio_to_opendkim() -> None:
    samples = [sample("postfix", 1000), sample("postfix-opendkim", 400), sample("ekiden-dkim", 2000)]
    title, header, body = tables(samples)[0]
    assert title.startswith("dkim: ")
    assert header[-1] == "e2e × OpenDKIM"
    assert [row[-1] for row in body] == ["2.50", "1.00", "5.00"]
    assert {len(row) for row in body} == {len(header)}
    alone = tables([sample("postfix", 1000)])[0][2]
    assert alone[0][-1] == "–"
