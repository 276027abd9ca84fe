"""Listeners and sessions: real sockets, real TLS, a real store."""

from __future__ import annotations

import base64
import contextlib
import logging
import smtplib
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from listener_harness import HOST, PASSWORD, Client, Harness, Make
from sqlalchemy.schema import DropTable

from ekiden.access.accounts import suspend_account
from ekiden.access.authenticate import Principal
from ekiden.access.credentials import create_api_key, revoke_credential
from ekiden.core.ids import parse_id
from ekiden.listeners.smtp_listener import ListenerSpec
from ekiden.net.proxy_protocol import V2_SIGNATURE
from ekiden.net.tls import client_context, make_self_signed
from ekiden.store import tables
from support.stores_away import store_away

MiB = 1_048_576


def base64_text(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def on_loop(request: pytest.FixtureRequest) -> str:
    """What the listeners that most tests share run on."""
    return str(request.param)


@pytest.fixture(scope="module")
def starttls(on_loop: str, tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Harness]:
    """A submission listener; clients may also come without AUTH from 127.0.0.9."""
    with Harness(
        tmp_path_factory.mktemp("starttls"),
        sqlite_template,
        on_loop,
        trusted=True,
        trusted_networks=("127.0.0.9",),
        proxy_from=("127.0.0.2",),
        addresses=("127.0.0.1:0", "[::1]:0"),
    ) as harness:
        yield harness


@pytest.fixture(scope="module")
def tls(on_loop: str, tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Harness]:
    """Implicit TLS."""
    with Harness(
        tmp_path_factory.mktemp("tls"), sqlite_template, on_loop, mode="tls", proxy_from=("127.0.0.2",)
    ) as harness:
        yield harness


@pytest.fixture(scope="module")
def listeners(starttls: Harness, tls: Harness) -> dict[str, Harness]:
    """By mode."""
    return {"starttls": starttls, "tls": tls}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Harness]:
    """A relay for 127.0.0.1 alone."""
    with Harness(
        tmp_path_factory.mktemp("plain"),
        sqlite_template,
        mode="plain",
        trusted=True,
        trusted_networks=("127.0.0.1",),
        proxy_from=("127.0.0.2",),
    ) as harness:
        yield harness


def recipient(request: pytest.FixtureRequest) -> str:
    """An address that no other test uses."""
    return f"{abs(hash(request.node.nodeid)):x}@example.net"


@pytest.fixture
def to(request: pytest.FixtureRequest) -> str:
    return recipient(request)


# --- the ways in --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["mailer", "App"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_smtplib_submits_with_starttls(starttls: Harness, user: str, mechanism: str, to: str) -> None:
    with smtplib.SMTP(HOST_ADDRESS, starttls.port, "client.example.com", timeout=20) as client:
        client.starttls(context=starttls.context())
        client.ehlo()
        _login(client, mechanism, user, PASSWORD if user == "mailer" else starttls.api_key)
        assert client.sendmail("a@example.com", [to], "Subject: x\r\n\r\n.dot\r\n..\r\n") == {}
    assert starttls.mailbox.body(to) == b"Subject: x\r\n\r\n.dot\r\n..\r\n"
    received = starttls.mailbox.received(to)
    assert received.startswith("Received: from client.example.com ([127.0.0.1]) by mail.example.com with ESMTPSA ")
    assert "(TLSv1.3 TLS_" in received
    assert f" for <{to}>; " in received


@pytest.mark.parametrize("user", ["mailer", "app"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_smtplib_submits_with_implicit_tls(tls: Harness, user: str, mechanism: str, to: str) -> None:
    with smtplib.SMTP_SSL(HOST_ADDRESS, tls.port, "c.example.com", timeout=20, context=tls.context()) as client:
        client.ehlo()
        assert not client.has_extn("starttls")
        _login(client, mechanism, user, PASSWORD if user == "mailer" else tls.api_key)
        for _ in range(3):
            client.sendmail("a@example.com", [to], "Subject: x\r\n\r\nbody\r\n")
    assert len(tls.mailbox.contents[to]) == 3
    delivery = next(delivery for delivery in tls.mailbox.deliveries if delivery.recipient == to)
    assert delivery.message.account_id == tls.account_id
    assert delivery.message.credential_id


HOST_ADDRESS = "127.0.0.1"


def _login(client: smtplib.SMTP, mechanism: str, user: str, password: str) -> None:
    client.user, client.password = user, password
    method = client.auth_plain if mechanism == "PLAIN" else client.auth_login
    assert client.auth(mechanism, method, initial_response_ok=mechanism == "PLAIN")[0] == 235


def test_the_seed_dialogue_typed_by_hand(starttls: Harness, to: str) -> None:
    with Client(starttls.port) as client:
        client.secure(starttls.context())
        assert client.ask("auth login") == "334 VXNlcm5hbWU6"
        assert client.ask("   " + base64_text("App")) == "334 UGFzc3dvcmQ6"
        assert client.ask(base64_text(starttls.api_key)) == "235 2.7.0 Authentication successful"
        assert client.ask("mail from: mailer@example.com") == "250 2.1.0 Ok"
        assert client.ask(f"rcpt to: {to}") == "250 2.1.5 Ok"
        assert client.ask("data") == "354 End data with <CR><LF>.<CR><LF>"
        answer = client.ask("Subject: hi\r\n\r\nhello\r\n.")
        assert answer.startswith("250 2.0.0 Ok: queued as ")
        queued = starttls.mailbox.deliveries[-1]
        assert parse_id(answer.rpartition(" ")[2]) == queued.message.id
        assert client.ask("quit") == "221 2.0.0 Bye"
        assert client.line() == ""


def test_ipv6(starttls: Harness, to: str) -> None:
    with Client(starttls.listener.addresses[1].port, host="::1") as client:
        client.secure(starttls.context())
        assert client.ask("AUTH PLAIN " + base64_text(f"\0mailer\0{PASSWORD}")).startswith("235 ")
        client.send(f"MAIL FROM:<a@example.com>\r\nRCPT TO:<{to}>\r\nDATA\r\n")
        assert [client.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
        assert client.ask(".").startswith("250 ")
    assert "([IPv6:::1])" in starttls.mailbox.received(to)


def test_nothing_without_tls_and_login(starttls: Harness) -> None:
    with Client(starttls.port) as client:
        client.reply()
        client.send("EHLO x\r\n")
        offered = []
        while (line := client.line())[3] == "-":
            offered.append(line[4:])
        assert "STARTTLS" in offered
        assert not any(line.startswith("AUTH") for line in offered)
        assert client.ask("AUTH PLAIN " + base64_text(f"\0mailer\0{PASSWORD}")).startswith("530 5.7.0")
        assert client.ask("MAIL FROM:<a@example.com>").startswith("530 5.7.0")
    with Client(starttls.port) as client:
        client.secure(starttls.context())
        assert client.ask("MAIL FROM:<a@example.com>").startswith("530 5.7.0")
        assert client.ask("AUTH PLAIN " + base64_text("\0mailer\0wrong")).startswith("535 5.7.8")
        assert client.ask("MAIL FROM:<a@example.com>").startswith("530 5.7.0")
        assert client.ask("AUTH PLAIN").startswith("334")
        assert client.ask(base64_text(f"\0mailer\0{PASSWORD}")).startswith("235 ")
        assert client.ask("MAIL FROM:<a@example.com>").startswith("250 ")


def test_what_is_pipelined_behind_starttls_is_dropped(starttls: Harness) -> None:
    with Client(starttls.port) as client:
        client.reply()
        client.send("EHLO x\r\nSTARTTLS\r\nNOOP injected\r\nHELP\r\n")
        assert client.reply().startswith("250 ")
        assert client.reply().startswith("220 2.0.0")
        client.start_tls(starttls.context())
        assert client.ask("EHLO y") == "250 HELP"
        assert client.ask("QUIT").startswith("221 ")
        assert client.line() == ""


def test_garbage_instead_of_a_handshake(starttls: Harness, tls: Harness, caplog: pytest.LogCaptureFixture) -> None:
    with Client(starttls.port) as client:
        client.reply()
        client.ask("STARTTLS")
        client.send("MAIL FROM:<a@example.com>\r\n")
        client.rest()
    with Client(starttls.port) as client:
        client.reply()
        client.ask("STARTTLS")
    with Client(tls.port) as client:
        client.send("EHLO in clear\r\n")
        client.rest()
    with Client(tls.port):
        pass
    with Client(tls.port) as client:
        client.start_tls(tls.context())
        assert client.reply().startswith("220 ")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_names_choose_certificates(make: Make, tmp_path: Path) -> None:
    for mode in ("starttls", "tls"):
        other = make_self_signed(["other.example.com"]).write(tmp_path / f"{mode}.crt", tmp_path / f"{mode}.key")
        harness = make(mode=mode, certificates=[other])
        for files, name in ((other, "other.example.com"), (harness.files, HOST)):
            with Client(harness.port) as client:
                if mode == "starttls":
                    client.reply()
                    client.ask("STARTTLS")
                client.start_tls(client_context(verify=True, ca=files.certificate), name)
                assert client.ask("NOOP")[:3] == ("250" if mode == "starttls" else "220"), (
                    "a greeting after it, if any"
                )


# --- PROXY --------------------------------------------------------------------------------------------------------

V1 = b"PROXY TCP4 192.0.2.77 198.51.100.1 40000 587\r\n"
V2 = (
    V2_SIGNATURE
    + b"\x21\x11\x00\x0c"
    + socket.inet_aton("192.0.2.77")
    + socket.inet_aton("198.51.100.1")
    + struct.pack("!HH", 40_000, 587)
)
PROXY = "127.0.0.2"


@pytest.mark.parametrize(
    ("header", "seen"),
    [
        (V1, "192.0.2.77"),
        (V2, "192.0.2.77"),
        (b"PROXY UNKNOWN\r\n", PROXY),
        (V2_SIGNATURE + b"\x20\x00\x00\x00", PROXY),
    ],
    ids=["v1", "v2", "unknown", "local"],
)
@pytest.mark.parametrize("mode", ["starttls", "tls"])
def test_the_proxy_names_the_client(
    listeners: dict[str, Harness], mode: str, header: bytes, seen: str, to: str
) -> None:
    harness = listeners[mode]
    with Client(harness.port, source=PROXY) as client:
        client.send(header)
        if mode == "starttls":
            client.secure(harness.context())
        else:
            client.start_tls(harness.context())
            assert client.reply().startswith("220 ")
            assert client.ask("EHLO x").startswith("250 ")
        assert client.ask("AUTH PLAIN " + base64_text(f"\0mailer\0{PASSWORD}")).startswith("235 ")
        client.send(f"MAIL FROM:<a@example.com>\r\nRCPT TO:<{to}>\r\nDATA\r\n")
        assert [client.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
        assert client.ask(".").startswith("250 ")
    assert f"([{seen}])" in harness.mailbox.received(to)


def test_a_proxy_may_send_header_and_commands_at_once(plain: Harness, to: str) -> None:
    trusted = V1.replace(b"192.0.2.77", b"127.0.0.1")
    commands = f"MAIL FROM:<a@example.com>\r\nRCPT TO:<{to}>\r\nDATA\r\n\r\n.\r\nQUIT\r\n".encode()
    with Client(plain.port, source=PROXY) as client:
        client.send(trusted + commands)
        assert [line[:3] for line in client.rest()] == ["220", "250", "250", "354", "250", "221"]
    assert "([127.0.0.1])" in plain.mailbox.received(to)


def test_a_proxy_must_send_its_header(starttls: Harness) -> None:
    for data in (b"EHLO x\r\n", b"PROXY TCP4 nonsense\r\n", b"\x16\x03\x01\x00\x00"):
        with Client(starttls.port, source=PROXY) as client:
            client.send(data)
            assert client.rest() == []


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
def test_from_others_a_proxy_header_is_a_bad_command(starttls: Harness, header: bytes) -> None:
    with Client(starttls.port) as client:
        client.send(header)
        lines = client.reply(), client.reply()
        assert lines[0].startswith("220 ")
        assert lines[1][:1] in "45"


# --- trusted networks ---------------------------------------------------------------------------------------------


def test_a_trusted_network_needs_neither_tls_nor_login(plain: Harness, to: str) -> None:
    with smtplib.SMTP(HOST_ADDRESS, plain.port, timeout=20) as client:
        client.ehlo()
        assert not client.has_extn("starttls")
        client.sendmail("a@example.com", [to], "Subject: x\r\n\r\nbody\r\n")
    delivery = next(delivery for delivery in plain.mailbox.deliveries if delivery.recipient == to)
    assert (delivery.message.account_id, delivery.message.credential_id) == (plain.account_id, 0)
    assert " with ESMTP id " in plain.mailbox.received(to)


def test_others_are_not_served_in_clear(plain: Harness) -> None:
    with Client(plain.port, source="127.0.0.3") as client:
        assert client.rest() == ["554 5.7.1 No service for your network here"]


def test_a_trusted_network_on_a_listener_with_starttls(starttls: Harness, to: str) -> None:
    with Client(starttls.port, source="127.0.0.9") as client:
        client.reply()
        client.send(f"EHLO x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<{to}>\r\nDATA\r\n.\r\n")
        assert [client.reply()[:3] for _ in range(5)] == ["250", "250", "250", "354", "250"]
        assert client.ask("STARTTLS").startswith("220 ")
        client.start_tls(starttls.context())
        assert client.ask("EHLO x").startswith("250 ")
        assert client.ask("AUTH PLAIN " + base64_text(f"\0mailer\0{PASSWORD}")).startswith("235 ")
        client.send(f"MAIL FROM:<a@example.com>\r\nRCPT TO:<{to}>\r\nDATA\r\n.\r\n")
        assert [client.reply()[:3] for _ in range(4)] == ["250", "250", "354", "250"]
    credentials = [d.message.credential_id for d in starttls.mailbox.deliveries if d.recipient == to]
    assert credentials == [0, starttls.password.id]


def test_a_specification_that_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="certificate"):
        ListenerSpec("a", ("127.0.0.1:0",), "starttls")
    with pytest.raises(ValueError, match="trusted"):
        ListenerSpec("a", ("127.0.0.1:0",), "plain", trusted_networks=("127.0.0.1",))
    with pytest.raises(ValueError, match="trusted"):
        ListenerSpec("a", ("127.0.0.1:0",), "plain", trusted=Principal(1, 0, "a"))


def test_an_address_that_is_not_ours_is_named(make: Make) -> None:
    with pytest.raises(OSError, match=r"192\.0\.2\.1:25"):
        make(addresses=("127.0.0.1:0", "192.0.2.1:25"))


# --- sizes and flow -----------------------------------------------------------------------------------------------


def test_twenty_mebibytes(tls: Harness, to: str) -> None:
    line = b"x" * 510 + b"\r\n"
    content = b"Subject: large\r\n\r\n" + line * (40 * 1024)
    content = content[: 20 * MiB - 2] + b"\r\n"
    with smtplib.SMTP_SSL(HOST_ADDRESS, tls.port, timeout=60, context=tls.context()) as client:
        client.login("mailer", PASSWORD)
        client.sendmail("a@example.com", [to], content)
        assert tls.mailbox.body(to) == content
        assert client.mail("a@example.com", [f"size={20 * MiB + 1}"])[0] == 552
        client.mail("a@example.com")
        client.rcpt(to)
        assert client.data(content + line)[0] == 552
        assert client.noop()[0] == 250
    assert len(tls.mailbox.contents[to]) == 1


def test_many_messages_pipelined_in_one_go(plain: Harness, to: str) -> None:
    one = f"MAIL FROM:<a@example.com>\r\nRCPT TO:<{to}>\r\nDATA\r\nSubject: %d\r\n\r\n{'x' * 900}\r\n.\r\n"
    with Client(plain.port) as client:
        client.send("EHLO x\r\n" + "".join(one % number for number in range(300)) + "QUIT\r\n")
        codes = [line[:3] for line in client.rest() if line[3] == " "]
    assert codes == ["220", "250", *["250", "250", "354", "250"] * 300, "221"]
    subjects = [delivery.message.subject for delivery in plain.mailbox.deliveries if delivery.recipient == to]
    assert subjects == [str(number) for number in range(300)]


def test_a_client_that_closes_its_side_first_hears_every_answer(plain: Harness, to: str) -> None:
    with Client(plain.port) as client:
        client.send(f"MAIL FROM:<a@example.com>\r\nRCPT TO:<{to}>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        assert [line[:3] for line in client.rest()] == ["220", "250", "250", "354", "250"]


def test_a_client_that_vanishes(plain: Harness, to: str, caplog: pytest.LogCaptureFixture) -> None:
    for cut in (b"MAIL FROM:<a@example.com>\r\n", b"DATA\r\nSubject: x", b"DATA\r\nSubject: x\r\n\r\n.\r\n"):
        with Client(plain.port) as client:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.send(f"MAIL FROM:<a@example.com>\r\nRCPT TO:<{to}>\r\n".encode() + cut)
    eventually(lambda: plain.listener.sessions == 0)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_client_that_never_reads(make: Make) -> None:
    harness = make(mode="plain", trusted=True, trusted_networks=("127.0.0.1",), smtp={"command_timeout": 0.2})
    with Client(harness.port, rcvbuf=4096) as client:
        client.socket.settimeout(0.2)
        sent = 0
        try:
            for _ in range(10_000):
                sent += client.socket.send(b"EHLO x\r\n" * 512)
        except TimeoutError:
            pass  # the server does not read any more
        except OSError:
            pass  # it has closed already
        assert sent < 40 * MiB
        eventually(lambda: harness.listener.sessions == 0)


def test_help_is_no_way_to_fill_our_memory(plain: Harness) -> None:
    with Client(plain.port) as client:
        with contextlib.suppress(OSError):
            client.send(b"HELP\r\n" * 40_000)
        lines = client.rest()
    assert len(lines) < 3 * 40_000
    assert lines[-1] in (
        "421 4.7.0 Error: too many commands at once",
        "421 4.7.0 Error: too many commands without a message",
    )
    with Client(plain.port) as client:
        assert client.reply().startswith("220 ")


# --- slow ones ----------------------------------------------------------------------------------------------------


def test_idle_clients_are_told_and_closed(make: Make) -> None:
    harness = make(mode="plain", trusted=True, trusted_networks=("127.0.0.1",), smtp={"command_timeout": 0.2})
    with Client(harness.port) as silent, Client(harness.port) as dripping:
        assert silent.rest() == [f"220 {HOST} ESMTP", "421 4.4.2 Error: timeout exceeded"]
        for _ in range(40):  # octets without a command are no progress
            try:
                dripping.send("N")
            except OSError:
                break
            time.sleep(0.02)
        assert dripping.rest()[:2] == [f"220 {HOST} ESMTP", "421 4.4.2 Error: timeout exceeded"]


@pytest.mark.parametrize("limits", [{"command_timeout": 0.2}, {"data_timeout": 0.2}])
def test_slow_contents_are_cut(make: Make, limits: dict[str, float], to: str) -> None:
    harness = make(mode="plain", trusted=True, trusted_networks=("127.0.0.1",), smtp=limits)
    with Client(harness.port) as client:
        client.send(f"MAIL FROM:<a@example.com>\r\nRCPT TO:<{to}>\r\nDATA\r\nSubject: x\r\n")
        if "data_timeout" in limits:
            for _ in range(40):
                try:
                    client.send("x")
                except OSError:
                    break
                time.sleep(0.02)
        lines = client.rest()
    assert lines[3].startswith("354 ")
    assert lines[4:] == ["421 4.4.2 Error: timeout exceeded"]
    assert harness.mailbox.deliveries == []


def test_who_does_not_log_in_is_closed(make: Make) -> None:
    harness = make(smtp={"login_timeout": 0.3})
    with Client(harness.port) as client:
        client.reply()
        for _ in range(100):
            answer = client.ask("NOOP")
            if not answer.startswith("250 "):
                break
            time.sleep(0.02)
        assert answer == "421 4.4.2 Error: timeout exceeded"


def test_who_never_sends_mail_is_closed(make: Make) -> None:
    harness = make(mode="plain", trusted=True, trusted_networks=("127.0.0.1",), smtp={"session_timeout": 0.3})
    with Client(harness.port) as client:
        client.reply()
        for _ in range(100):
            answer = client.ask("NOOP")
            if not answer.startswith("250 "):
                break
            time.sleep(0.02)
        assert answer == "421 4.4.2 Error: timeout exceeded"


@pytest.mark.parametrize("mode", ["starttls", "tls"])
def test_slow_handshakes_are_cut(make: Make, mode: str) -> None:
    harness = make(mode=mode, smtp={"tls_timeout": 0.2}, proxy_from=("127.0.0.2",))
    with Client(harness.port) as client, Client(harness.port, source=PROXY) as proxy:
        if mode == "starttls":
            client.reply()
            client.ask("STARTTLS")
        client.send(b"\x16\x03\x01")
        assert client.rest() == []
        proxy.send("PROXY")
        assert proxy.rest() == []


# --- limits -------------------------------------------------------------------------------------------------------


def test_connections_are_limited(make: Make) -> None:
    harness = make(smtp={"max_connections": 5, "max_connections_per_address": 2})
    with Client(harness.port) as one, Client(harness.port) as two:
        assert one.reply().startswith("220 ")
        assert two.reply().startswith("220 ")
        with Client(harness.port) as three:
            assert three.rest() == ["421 4.7.0 Too many connections"]
        others = [Client(harness.port, source=f"127.0.0.{n}") for n in (11, 12, 13)]
        assert [other.reply()[:3] for other in others] == ["220"] * 3
        # A newcomer is served; who has proven nothing for longest goes.
        with Client(harness.port, source="127.0.0.14") as sixth:
            assert sixth.reply().startswith("220 ")
            assert one.rest() == ["421 4.7.0 Too many connections"]
            assert sixth.ask("QUIT").startswith("221 ")
        for other in others:
            assert other.ask("QUIT").startswith("221 ")
            other.socket.close()
        assert two.ask("QUIT").startswith("221 ")
        eventually(lambda: harness.listener.sessions == 0)
        with Client(harness.port) as again:
            assert again.reply().startswith("220 ")


def test_who_has_logged_in_keeps_its_place(make: Make) -> None:
    """As long as its account has no more than its share of them."""
    harness = make(smtp={"max_connections": 4})
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(Client(harness.port, source=f"127.0.0.{number}")) for number in (11, 12, 13, 14)
        ]
        for client in clients:
            client.secure(harness.context())
            assert client.ask("AUTH PLAIN " + base64_text(f"\0mailer\0{PASSWORD}")).startswith("235 ")
        for number in range(20, 30):
            newcomer = stack.enter_context(Client(harness.port, source=f"127.0.0.{number}"))
            assert newcomer.reply().startswith("220 ")
        for client in clients[:2]:
            assert client.ask("NOOP").startswith("250 ")
        for client in clients[2:]:
            assert client.rest() == []


@pytest.mark.parametrize("stage", ["handshake", "greeted"])
def test_a_flood_of_silent_connections_serves_newcomers(make: Make, on_loop: str, stage: str) -> None:
    """Many more than there are places: in their handshake, or after it."""
    harness = make(mode="tls", loop=on_loop, smtp={"max_connections": 4})
    with contextlib.ExitStack() as stack:
        silent = []
        for number in range(12):
            client = stack.enter_context(Client(harness.port, source=f"127.0.1.{number + 1}"))
            silent.append(client)
            if stage == "greeted":
                client.start_tls(harness.context())
                assert client.reply().startswith("220 ")
        for client in silent[:8]:
            assert client.rest() == []
        victim = stack.enter_context(Client(harness.port, source="127.0.2.1"))
        victim.start_tls(harness.context())
        assert victim.reply().startswith("220 ")
        assert harness.listener.admission.connections == 4
    eventually(lambda: harness.listener.admission.connections == 0)
    eventually(lambda: harness.listener.sessions == 0)


@pytest.mark.parametrize("mode", ["starttls", "tls"])
def test_a_crowd_leaves_nothing_behind(make: Make, on_loop: str, mode: str) -> None:
    """Pushed out at every moment of their beginning, since all of them come at once."""
    harness = make(mode=mode, loop=on_loop, smtp={"max_connections": 4})
    with contextlib.ExitStack() as stack:
        for number in range(80):
            stack.enter_context(Client(harness.port, source=f"127.0.1.{number + 1}"))
        eventually(lambda: harness.listener.admission.connections == 4)
    eventually(lambda: harness.listener.admission.connections == 0)
    eventually(lambda: harness.listener.sessions == 0)
    assert harness.counts.of["opened"] == harness.counts.of["closed"]


def test_handshakes_count_as_connections(make: Make) -> None:
    harness = make(mode="tls", smtp={"max_connections_per_address": 2})
    with Client(harness.port) as one, Client(harness.port) as two:
        eventually(lambda: harness.listener.admission.connections == 2)
        with Client(harness.port) as three:
            assert three.rest() == []
        one.send(b"\x16 this is no handshake")
        one.rest()
        eventually(lambda: harness.listener.admission.connections == 1)
        two.start_tls(harness.context())
        assert two.reply().startswith("220 ")
        with Client(harness.port) as four:
            four.start_tls(harness.context())
            assert four.reply().startswith("220 ")
    eventually(lambda: harness.listener.admission.connections == 0)


def begin(client: Client) -> str:
    """The answer to MAIL, without starting anything."""
    client.ask("RSET")
    return client.ask("MAIL FROM:<a@example.com>")


def test_memory_is_limited(make: Make, to: str) -> None:
    harness = make(
        mode="plain",
        trusted=True,
        trusted_networks=("127.0.0.1",),
        smtp={"max_memory": MiB, "max_size": 4 * MiB},
    )
    with Client(harness.port) as large, Client(harness.port) as other:
        other.reply()
        assert other.ask(f"MAIL FROM:<a@example.com> SIZE={2 * MiB}").startswith("452 4.3.1")
        assert other.ask("MAIL FROM:<a@example.com> SIZE=1000").startswith("250 ")
        assert other.ask("RSET").startswith("250 ")
        large.send(f"MAIL FROM:<a@example.com>\r\nRCPT TO:<{to}>\r\nDATA\r\n" + "x" * (MiB + 100_000))
        eventually(
            lambda: other.ask("MAIL FROM:<a@example.com>").startswith("452 4.3.1") or other.ask("RSET") == ""
        )
        large.send("\r\n.\r\n")
        eventually(lambda: other.ask("MAIL FROM:<a@example.com>").startswith("250 ") or other.ask("RSET") == "")
    with Client(harness.port) as client:
        client.send(f"MAIL FROM:<a@example.com>\r\nRCPT TO:<{to}>\r\nDATA\r\n")
        with contextlib.suppress(OSError):
            client.send("x" * (3 * MiB))
        lines = client.rest()
        assert lines[3].startswith("354 ")
        assert lines[4:] in ([], ["421 4.3.1 Too much mail is being received at this moment, try again later"])
    eventually(lambda: harness.listener.sessions == 0)
    assert harness.listener.admission.memory == 0
    assert harness.listener.admission.connections == 0


# --- trouble ------------------------------------------------------------------------------------------------------


def send_one(client: Client, to: str) -> str:
    client.send(f"MAIL FROM:<a@example.com>\r\nRCPT TO:<{to}>\r\nDATA\r\n")
    answers = [client.reply() for _ in range(3)]
    if not answers[2].startswith("354 "):
        return answers[0]
    return client.ask("Subject: x\r\n\r\n.")


def test_our_own_fault_ends_one_session_only(make: Make, to: str, caplog: pytest.LogCaptureFixture) -> None:
    harness = make(mode="plain", trusted=True, trusted_networks=("127.0.0.1",))
    with Client(harness.port) as one, Client(harness.port) as other:
        one.reply()
        other.reply()
        harness.mailbox.broken = True
        assert send_one(one, to).startswith("421 4.3.0")
        assert one.line() == ""
        harness.mailbox.broken = False
        assert send_one(other, to).startswith("250 ")
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1
    assert harness.counts.of["rejected 421"] == 1


def test_a_store_that_is_away_is_a_temporary_failure(make: Make, to: str, tmp_path: Path) -> None:
    harness = make(mode="plain", trusted=True, trusted_networks=("127.0.0.1",))
    ways = contextlib.AsyncExitStack()

    async def leave() -> None:
        harness.door._store = await ways.enter_async_context(store_away(tmp_path))

    harness.call(leave())
    with Client(harness.port) as client:
        client.reply()
        assert send_one(client, to).startswith("451 4.3.0")
        assert client.ask("NOOP").startswith("250 ")
    harness.call(ways.aclose())


def test_a_fault_of_ours_in_the_store_is_an_internal_error(
    make: Make, to: str, caplog: pytest.LogCaptureFixture
) -> None:
    harness = make(mode="plain", trusted=True, trusted_networks=("127.0.0.1",))

    async def drop() -> None:
        async with harness.store.write() as connection:
            await connection.execute(DropTable(tables.content))

    harness.call(drop())
    with Client(harness.port) as client:
        client.reply()
        assert send_one(client, to).startswith("421 4.3.0 Internal error")
        assert client.line() == ""
    with Client(harness.port) as client:
        assert client.reply().startswith("220 ")
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "no such table: content" in caplog.text
    assert "Traceback" in caplog.text


def test_open_sessions_hear_of_revoked_credentials_and_suspended_accounts(make: Make, to: str) -> None:
    harness = make()
    made = harness.call(create_api_key(harness.store, harness.account_id, "another", 1))
    with Client(harness.port) as one, Client(harness.port) as other:
        for client, key in ((one, made.key), (other, harness.api_key)):
            client.secure(harness.context())
            assert client.ask("AUTH PLAIN " + base64_text(f"\0App\0{key}")).startswith("235 ")
            assert send_one(client, to).startswith("250 ")
        harness.call(revoke_credential(harness.store, made.credential.id, 2))
        time.sleep(0.1)
        one.send("MAIL FROM:<a@example.com>\r\n")
        assert one.reply() == "421 4.7.0 Your credential is not valid any more"
        assert one.line() == ""
        assert send_one(other, to).startswith("250 ")
        harness.call(suspend_account(harness.store, "acme", 3))
        time.sleep(0.1)
        assert send_one(other, to).startswith("550 5.7.1 This account is suspended [")
        assert other.ask("NOOP").startswith("250 ")


def test_counts(make: Make, to: str) -> None:
    harness = make()
    with Client(harness.port) as client:
        client.secure(harness.context())
        client.ask("AUTH PLAIN " + base64_text("\0mailer\0wrong"))
        client.ask("AUTH PLAIN " + base64_text(f"\0mailer\0{PASSWORD}"))
        assert send_one(client, to).startswith("250 ")
        client.send(f"MAIL FROM:<a@example.com>\r\nRCPT TO:<{to}>\r\nDATA\r\n" + "Received: x\r\n" * 101 + ".\r\n")
        assert [client.reply()[:7] for _ in range(4)][3] == "554 5.4"
        client.ask("QUIT")
    eventually(lambda: harness.counts.of["closed"] == 1)
    assert harness.counts.of == {
        "opened": 1,
        "closed": 1,
        "auth bad_credentials": 1,
        "auth accepted": 1,
        "accepted": 1,
        "recipients": 1,
        "octets": len("Subject: x\r\n\r\n"),
        "rejected 554": 1,
    }


HOSTILE = st.lists(
    st.one_of(
        st.binary(max_size=50),
        st.sampled_from(
            (
                *(b"EHLO x\r\n", b"MAIL FROM:<a@b.test>\r\n", b"RCPT TO:<a@b.test>\r\n", b"DATA\r\n", b".\r\n"),
                *(b"BDAT 3\r\nabc", b"BDAT 1 LAST\r\nx", b"AUTH PLAIN\r\n", b"*\r\n", b"RSET\r\n"),
                *(b"HELP\r\n", b"\0\r\n", b"\r\n\n\r", b"x" * 5000, V1, V2, b"\x16\x03\x01\x00\x05hello"),
                *(b"STARTTLS\r\n", b"QUIT\r\n"),
            )
        ),
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(chunks=HOSTILE, whole=st.booleans(), mode=st.sampled_from(["plain", "starttls", "tls"]))
def test_no_octets_make_a_session_fail(
    listeners: dict[str, Harness],
    plain: Harness,
    mode: str,
    chunks: list[bytes],
    whole: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    harness = plain if mode == "plain" else listeners[mode]
    with Client(harness.port) as client:
        with contextlib.suppress(OSError):
            for chunk in [b"".join(chunks)] if whole else chunks:
                client.send(chunk)
            client.socket.shutdown(socket.SHUT_WR)
        for line in client.rest():
            assert line[:3].isdigit()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# --- the end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_draining_lets_transactions_finish(make: Make, loop: str, to: str) -> None:
    harness = make(loop=loop)
    with Client(harness.port) as idle, Client(harness.port) as busy, Client(harness.port) as early:
        assert idle.reply().startswith("220 ")
        for client in (busy, early):
            client.secure(harness.context())
            assert client.ask("AUTH PLAIN " + base64_text(f"\0mailer\0{PASSWORD}")).startswith("235 ")
            assert client.ask("MAIL FROM:<a@example.com>").startswith("250 ")
        busy.send(f"RCPT TO:<{to}>\r\nDATA\r\n")
        assert [busy.reply()[:3] for _ in range(2)] == ["250", "354"]
        drained = harness.start(harness.listener.drain(30))
        assert idle.rest() == ["421 4.3.2 Service shutting down"]
        with pytest.raises(OSError):
            Client(harness.port)
        early.send(f"RCPT TO:<{to}>\r\nDATA\r\n.\r\n")
        busy.send("Subject: x\r\n\r\n.\r\n")
        for lines in (busy.rest(), early.rest()[2:]):
            assert lines[0].startswith("250 2.0.0 Ok: queued as ")
            assert lines[1:] == ["421 4.3.2 Service shutting down"]
        drained.result(30)
    assert harness.listener.sessions == 0
    assert len(harness.mailbox.deliveries) == 2


def test_draining_ends_in_time(make: Make, to: str) -> None:
    harness = make(mode="plain", trusted=True, trusted_networks=("127.0.0.1",))
    with Client(harness.port) as stuck, Client(harness.port) as reset:
        stuck.send(f"MAIL FROM:<a@example.com>\r\nRCPT TO:<{to}>\r\nDATA\r\n")
        assert [stuck.reply()[:3] for _ in range(4)] == ["220", "250", "250", "354"]
        reset.send("MAIL FROM:<a@example.com>\r\nRSET\r\n")
        assert [reset.reply()[:3] for _ in range(3)] == ["220", "250", "250"]
        drained = harness.start(harness.listener.drain(0.2))
        assert stuck.rest() == reset.rest() == ["421 4.3.2 Service shutting down"]
        drained.result(30)
    assert harness.listener.sessions == 0
    assert harness.mailbox.deliveries == []


def test_draining_during_a_handshake(make: Make) -> None:
    harness = make(mode="tls")
    other = make()
    with Client(harness.port) as client, Client(other.port) as upgrading:
        upgrading.reply()
        upgrading.ask("STARTTLS")
        harness.call(harness.listener.drain(0.1))
        other.call(other.listener.drain(0.1))
        assert client.rest() == []
        assert upgrading.rest() == []


def eventually(done: Callable[[], bool]) -> None:
    """Wait until ``done``; fails after a long while."""
    for _ in range(500):
        if done():
            return
        time.sleep(0.02)
    assert done()


def test_the_harness_trusts_only_its_own_certificate(tls: Harness) -> None:
    with Client(tls.port) as client, pytest.raises(ssl.SSLCertVerificationError):
        client.start_tls(client_context(verify=True), HOST)
