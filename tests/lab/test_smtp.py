"""The receiving servers, seen by smtplib and by a client that sends bytes as it likes."""

from __future__ import annotations

import base64
import smtplib
import socket
import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab_clients import RawClient, Running

from ekiden.lab.catalogue import CATALOGUE

CONTENT = b"From: a@sender.test\r\nSubject: test\r\n\r\n.one\r\n..\r\n\r\nlast\r\n"
SENDER = "a@sender.test"


def kept(running: Running, address: str) -> list[dict[str, object]]:
    return running.api("GET", f"/mail?to={address}")[1]


def content_of(mail: dict[str, object]) -> bytes:
    return base64.b64decode(str(mail["data"]))


def outcome(running: Running, domain: str, local: str) -> str:
    """What smtplib makes of one message: "250", a code with its stage, or "cut at STAGE"."""
    stage = "connect"
    try:
        client = running.smtp(domain)
        for stage, command in (
            ("ehlo", client.ehlo),
            ("mail", lambda: client.mail(SENDER)),
            ("rcpt", lambda: client.rcpt(f"{local}@{domain}")),
            ("data", lambda: client.data(CONTENT)),
        ):
            code, _ = command()
            if code >= 400:
                return f"{code} at {'end' if stage == 'data' else stage}"
    except smtplib.SMTPDataError as error:
        return f"{error.smtp_code} at data"
    except smtplib.SMTPConnectError as error:
        return f"{error.smtp_code} at {stage}"
    except (smtplib.SMTPServerDisconnected, ConnectionError):
        return f"cut at {stage}"
    return "250"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accept", "250"),
        ("tempfail", "451 at rcpt"),
        ("reject", "550 at rcpt"),
        ("mailboxfull", "452 at rcpt"),
        ("mailboxfull-552", "552 at rcpt"),
        ("spam", "554 at end"),
        ("service-unavailable", "421 at connect"),
        ("blocked", "554 at connect"),
        ("reject-mail", "554 at mail"),
        ("reject-data", "554 at data"),
        ("reject-end", "554 at end"),
        ("reject-ehlo", "554 at ehlo"),
        ("tempfail-mail", "451 at mail"),
        ("tempfail-data", "451 at data"),
        ("tempfail-end", "451 at end"),
        ("tempfail-ehlo", "451 at ehlo"),
        ("disconnect-connect", "cut at connect"),
        ("disconnect-ehlo", "cut at ehlo"),
        ("disconnect-mail", "cut at mail"),
        ("disconnect-rcpt", "cut at rcpt"),
        ("disconnect-data", "cut at data"),
        ("disconnect-body", "cut at data"),
        ("disconnect-end", "cut at data"),
        ("reset-end", "cut at data"),
        ("hostile-bytes", "250"),
        ("nopipelining", "250"),
        ("noenhanced", "250"),
        ("needtls", "530 at mail"),
        ("notls", "250"),
        ("nomx", "250"),
        ("truncated", "250"),
        ("twin", "250"),
        ("dual", "250"),
    ],
)
def test_outcomes(running: Running, someone: str, name: str, expected: str) -> None:
    domain = f"{name}.lab.test"
    if name == "nomx":
        running.addresses = lambda domain: running.values(domain, "A")  # type: ignore[method-assign]
    try:
        assert outcome(running, domain, someone) == expected
    finally:
        vars(running).pop("addresses", None)
    mails = kept(running, f"{someone}@{domain}")
    assert [content_of(mail) for mail in mails] == ([CONTENT] if expected == "250" else [])


def test_what_is_kept_about_a_message(running: Running, someone: str) -> None:
    client = running.smtp("accept.lab.test")
    client.starttls()
    to = [f"{someone}@accept.lab.test", f"{someone}+2@other.lab.test"]
    client.sendmail(SENDER, to, CONTENT, ["BODY=8BITMIME", "RET=HDRS"], ["NOTIFY=NEVER"])
    (mail,) = kept(running, to[0].upper())
    assert mail["from"] == SENDER
    assert mail["to"] == to
    assert content_of(mail) == CONTENT
    assert str(mail["tls"]).startswith("TLSv1.")
    assert isinstance(mail["at"], int)
    assert mail["mail_parameters"] == f"size={len(CONTENT)} BODY=8BITMIME RET=HDRS"
    assert mail["rcpt_parameters"] == ["NOTIFY=NEVER", "NOTIFY=NEVER"]
    assert mail["server"] == "mx.accept.lab.test"
    assert running.api("GET", f"/mail?to=@other.lab.test&from={SENDER}")[1] == [mail]
    assert running.session(client)["violations"] == []


@pytest.mark.parametrize(
    "data", [b"", b"\r\n", b".\r\n", b"..\r\n", b"a\r\n.b\r\n", b"\r\n.\r\n"[2:], b"x" * 998 + b"\r\n", b"\r\n\r\n"]
)
def test_content_at_its_edges(running: Running, someone: str, data: bytes) -> None:
    send_content(running, someone, data, [len(data)])


@settings(max_examples=40)
@given(
    st.lists(st.text("ab.\r\n", max_size=6).map(lambda t: t.encode()), max_size=12),
    st.lists(st.integers(0, 60), max_size=4),
)
def test_content_is_kept_byte_for_byte_however_it_is_cut(
    running: Running, lines: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(line + b"\r\n" for line in lines)
    if b"\r\n.\r\n" in (b"\r\n" + data).replace(b"\r\n.", b"\r\n.."):
        return
    someone = f"u{abs(hash((data, *cuts)))}"
    send_content(running, someone, data, cuts)


def send_content(running: Running, local: str, data: bytes, cuts: list[int]) -> None:
    to = f"{local}@accept.lab.test"
    before = len(kept(running, to))
    client = running.raw("accept.lab.test")
    client.hello()
    for command in (b"MAIL FROM:<>", b"RCPT TO:<%s>" % to.encode(), b"DATA"):
        client.command(command)
    wire = (b"\r\n" + data).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    start = 0
    for cut in sorted(cuts):
        client.send(wire[start:cut])
        start = max(start, cut)
    client.send(wire[start:])
    assert client.reply().startswith(b"250 ")
    assert client.command(b"QUIT").startswith(b"221 ")
    assert content_of(kept(running, to)[before]) == data
    client.close()


def test_greylisting_counts_tries_of_each_recipient(running: Running, someone: str) -> None:
    client = running.smtp("greylist.lab.test")
    client.ehlo()
    for recipient in (f"{someone}@greylist.lab.test", f"{someone}b@greylist.lab.test"):
        client.mail(SENDER)
        assert client.rcpt(recipient)[0] == 451
        client.rset()
        client.mail(SENDER)
        assert client.rcpt(recipient) == (250, b"2.1.5 Ok")
        client.rset()
    client.mail("other@sender.test")
    assert client.rcpt(f"{someone}@greylist.lab.test")[0] == 451


def test_greylisting_by_time(running: Running, someone: str) -> None:
    reply = {"code": 451, "enhanced": "4.7.1", "text": "Later"}
    domain = running.put_behaviour({"rules": [{"at": "rcpt", "reply": reply, "within": 0.05}]})
    client = running.smtp(domain)
    client.ehlo()
    codes = []
    while not codes or codes[-1] != 250:
        client.mail(SENDER)
        codes.append(client.rcpt(f"{someone}@{domain}")[0])
        client.rset()
    assert set(codes) == {451, 250}


@pytest.mark.parametrize(
    ("local", "code", "stage"),
    [
        ("fail-550", 550, "rcpt"),
        ("fail-451", 451, "rcpt"),
        ("full+{}", 452, "rcpt"),
        ("fail-554-at-end+{}", 554, "end"),
        ("fail-451-at-data+{}", 451, "data"),
        ("greylist+{}", 451, "rcpt"),
        ("slow-0.01+{}", 250, ""),
    ],
)
def test_local_parts_override_the_domain(running: Running, someone: str, local: str, code: int, stage: str) -> None:
    expected = f"{code} at {stage}" if stage else "250"
    assert outcome(running, "accept.lab.test", local.format(someone)) == expected


def test_the_local_part_accept_overrides_a_refusing_domain(running: Running, someone: str) -> None:
    assert outcome(running, "reject.lab.test", f"accept+{someone}") == "250"


def test_each_recipient_gets_its_own_verdict(running: Running, someone: str) -> None:
    client = running.smtp("accept.lab.test")
    recipients = [f"{local}+{someone}@accept.lab.test" for local in ("ok", "fail-550", "full", "fine")]
    refused = client.sendmail(SENDER, recipients, CONTENT)
    assert {to: code for to, (code, _) in refused.items()} == {recipients[1]: 550, recipients[2]: 452}
    (mail,) = kept(running, recipients[0])
    assert mail["to"] == [recipients[0], recipients[3]]


def test_a_client_without_dns_reaches_every_behaviour(running: Running, someone: str) -> None:
    with smtplib.SMTP("127.0.0.1", running.port, timeout=10) as client:
        client.ehlo()
        client.mail(SENDER)
        assert client.rcpt(f"{someone}@reject.lab.test")[0] == 550
        assert client.rcpt(f"{someone}@mailboxfull.lab.test")[0] == 452
        assert client.rcpt(f"{someone}@wherever.lab.test")[0] == 250


@pytest.mark.parametrize(
    ("name", "absent"),
    [
        ("nopipelining", {"pipelining"}),
        ("no8bitmime", {"8bitmime", "smtputf8"}),
        ("nosmtputf8", {"smtputf8"}),
        ("nodsn", {"dsn"}),
        ("noenhanced", {"enhancedstatuscodes"}),
        ("notls", {"starttls"}),
        ("accept", set()),
    ],
)
def test_what_is_offered(running: Running, name: str, absent: set[str]) -> None:
    client = running.smtp(f"{name}.lab.test")
    client.ehlo()
    everything = {"pipelining", "size", "8bitmime", "smtputf8", "dsn", "enhancedstatuscodes", "starttls"}
    assert set(client.esmtp_features) == everything - absent
    if name == "noenhanced":
        assert client.mail(SENDER) == (250, b"Ok")


def test_helo_only(running: Running, someone: str) -> None:
    client = running.smtp("helo.lab.test")
    assert client.ehlo()[0] == 502
    assert client.helo()[0] == 250
    assert client.sendmail(SENDER, [f"{someone}@helo.lab.test"], CONTENT) == {}
    assert len(kept(running, f"{someone}@helo.lab.test")) == 1


def test_size_limits(running: Running, someone: str) -> None:
    client = running.smtp("small.lab.test")
    client.ehlo()
    assert client.mail(SENDER, ["SIZE=10001"]) == (552, b"5.3.4 Message size exceeds the limit of 10000")
    client.mail(SENDER)
    client.rcpt(f"{someone}@small.lab.test")
    assert client.data(b"x" * 70 + b"\r\n")[0] == 250
    client.mail(SENDER)
    client.rcpt(f"{someone}@small.lab.test")
    assert client.data((b"x" * 70 + b"\r\n") * 40_000)[0] == 552
    assert len(kept(running, f"{someone}@small.lab.test")) == 1


class TestTls:
    def test_the_certificate_names_the_host(self, running: Running) -> None:
        client = running.raw("accept.lab.test")
        client.hello()
        assert client.command(b"STARTTLS").startswith(b"220")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        wrapped = context.wrap_socket(client.socket, server_hostname="mx.accept.lab.test")
        pem = ssl.DER_cert_to_PEM_cert(wrapped.getpeercert(binary_form=True) or b"")
        wrapped.close()
        again = running.raw("accept.lab.test")
        again.hello()
        again.command(b"STARTTLS")
        trusting = ssl.create_default_context(cadata=pem)
        trusting.wrap_socket(again.socket, server_hostname="mx.accept.lab.test").close()

    @pytest.mark.parametrize("name", ["expiredcert", "wrongcert"])
    def test_wrong_certificates(self, running: Running, someone: str, name: str) -> None:
        client = running.smtp(f"{name}.lab.test")
        client.starttls()  # smtplib verifies nothing unless told to
        assert client.sendmail(SENDER, [f"{someone}@{name}.lab.test"], CONTENT) == {}
        strict = running.smtp(f"{name}.lab.test")
        with pytest.raises(ssl.SSLCertVerificationError):
            strict.starttls(context=ssl.create_default_context())

    def test_an_expired_certificate_is_one_for_the_right_name(self, running: Running) -> None:
        from cryptography import x509

        certificates = {}
        for name in ("expiredcert", "wrongcert"):
            client = running.smtp(f"{name}.lab.test")
            client.starttls()
            assert isinstance(client.sock, ssl.SSLSocket)
            certificates[name] = x509.load_der_x509_certificate(client.sock.getpeercert(binary_form=True) or b"")
        valid = certificates["wrongcert"].not_valid_after_utc
        assert certificates["expiredcert"].not_valid_after_utc < valid
        common = certificates["expiredcert"].subject.rfc4514_string()
        assert common == "CN=mx.expiredcert.lab.test"
        assert certificates["wrongcert"].subject.rfc4514_string() == "CN=wrong.example"

    def test_refused(self, running: Running, someone: str) -> None:
        client = running.smtp("refusetls.lab.test")
        with pytest.raises(smtplib.SMTPResponseException) as caught:
            client.starttls()
        assert caught.value.smtp_code == 454
        assert client.sendmail(SENDER, [f"{someone}@refusetls.lab.test"], CONTENT) == {}

    @pytest.mark.parametrize("name", ["badtls", "droptls"])
    def test_broken_handshakes(self, running: Running, name: str) -> None:
        client = running.smtp(f"{name}.lab.test")
        with pytest.raises((ssl.SSLError, OSError)):
            client.starttls()

    def test_a_handshake_that_never_comes(self, running: Running) -> None:
        client = running.raw("hangtls.lab.test")
        client.hello()
        assert client.command(b"STARTTLS").startswith(b"220")
        client.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)

    def test_required(self, running: Running, someone: str) -> None:
        client = running.smtp("needtls.lab.test")
        client.starttls()
        assert client.sendmail(SENDER, [f"{someone}@needtls.lab.test"], CONTENT) == {}

    def test_a_client_that_fails_the_handshake_is_dropped(self, running: Running) -> None:
        client = running.raw("accept.lab.test")
        client.hello()
        client.command(b"STARTTLS")
        client.send(b"this is no TLS\r\n" * 10)
        while client.file.read(4096):
            pass
        assert "TLS handshake failed" in running.session(client)["ended"]


class TestHosts:
    def test_dead_ones_refuse(self, running: Running, someone: str) -> None:
        for address in running.addresses("dead.lab.test") + running.addresses("deadfirst.lab.test")[:1]:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((address, running.port), timeout=10)
        second = running.addresses("deadfirst.lab.test")[1]
        with smtplib.SMTP(second, running.port, timeout=10) as client:
            assert client.sendmail(SENDER, [f"{someone}@deadfirst.lab.test"], CONTENT) == {}

    def test_hanging_ones_never_answer(self, running: Running) -> None:
        for name in ("hang", "hangfirst"):
            with pytest.raises(TimeoutError):
                socket.create_connection((running.addresses(f"{name}.lab.test")[0], running.port), timeout=0.2)
        socket.create_connection((running.addresses("hangfirst.lab.test")[1], running.port), timeout=10).close()

    def test_ipv6(self, running: Running, someone: str) -> None:
        if not running.lab.internet.ipv6:
            assert running.api("PUT", "/behaviour/six.test", {"hosts": [{"family": "ipv6"}]})[0] == 400
            return
        with smtplib.SMTP("::1", running.port, timeout=10) as client:
            assert client.sendmail(SENDER, [f"{someone}@ipv6.lab.test"], CONTENT) == {}
        domain = running.put_behaviour(
            {
                "hosts": [{"family": "ipv6"}],
                "rules": CATALOGUE["reject"].rules and [{"at": "rcpt", "reply": {"code": 550}}],
            }
        )
        with smtplib.SMTP("::1", running.port, timeout=10) as client:
            client.ehlo()
            client.mail(SENDER)
            assert client.rcpt(f"{someone}@{domain}")[0] == 550

    def test_multi_line_greetings_and_slow_ones(self, running: Running) -> None:
        reply = {"code": 220, "text": "one\ntwo"}
        domain = running.put_behaviour(
            {"rules": [{"at": "connect", "delay": 0.01}, {"at": "connect", "reply": reply}]}
        )
        client = running.raw(domain)
        assert client.reply() == b"220-one\r\n220 two\r\n"
        assert running.session(client)["dialogue"][:2] == ["# waits 0.01 s", "S: 220-one"]

    @pytest.mark.parametrize("name", ["slow", "slow-banner", "silent"])
    def test_slow_greetings_are_not_there_yet(self, running: Running, name: str) -> None:
        client = running.raw(f"{name}.lab.test")
        client.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)


class TestThrottles:
    def test_connections(self, running: Running) -> None:
        domain = running.put_behaviour("throttle")
        first, second, third = (running.raw(domain) for _ in range(3))
        replies = sorted(client.reply()[:3] for client in (first, second, third))
        assert replies == [b"220", b"220", b"421"]

    def test_messages_per_connection(self, running: Running, someone: str) -> None:
        domain = running.put_behaviour("onemessage")
        client = running.smtp(domain)
        client.sendmail(SENDER, [f"{someone}@{domain}"], CONTENT)
        assert client.mail(SENDER)[0] == 421
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.noop()

    def test_messages_per_second(self, running: Running) -> None:
        domain = running.put_behaviour({"throttle": {"messages_per_second": 1}})
        client = running.smtp(domain)
        client.ehlo()
        codes = []
        while codes[-1:] != [450]:
            codes.append(client.mail(SENDER)[0])
            client.rset()
        while codes[-1:] != [250]:
            codes.append(client.mail(SENDER)[0])
            client.rset()

    def test_recipients(self, running: Running, someone: str) -> None:
        client = running.smtp("fewrecipients.lab.test")
        to = [f"{someone}{n}@fewrecipients.lab.test" for n in range(5)]
        refused = client.sendmail(SENDER, to, CONTENT)
        assert {address: reply[0] for address, reply in refused.items()} == {to[3]: 452, to[4]: 452}


def test_the_mix_is_what_the_seed_says(running: Running) -> None:
    client: smtplib.SMTP | None = None
    codes = []
    mix = CATALOGUE["mix"]
    expected = []
    for number in range(40):
        to = f"mixed{number}@mix.lab.test"
        rules = mix.recipient_rules(to, 1)
        expected.append(rules[0].reply.code if rules and rules[0].reply else 250)
        if client is None:
            client = running.smtp("mix.lab.test")
            client.ehlo()
        client.mail("mixer@sender.test")
        codes.append(client.rcpt(to)[0])
        if codes[-1] == 421:
            client.close()
            client = None
        else:
            client.rset()
    assert codes == expected
    assert set(codes) == {250, 421, 550}


def test_the_mix_at_the_end_of_data_reaches_every_share(running: Running) -> None:
    """What an address gets is its own for ever, so these are the same each time."""
    seen = {outcome(running, "mix-end.lab.test", f"mixed-end{n}") for n in range(80)}
    assert seen == {"250", "451 at end", "554 at end", "cut at data"}


def test_a_lost_reply_keeps_the_message(running: Running, someone: str) -> None:
    assert outcome(running, "lostreply.lab.test", someone) == "cut at data"
    assert outcome(running, "lostreply.lab.test", someone) == "250"
    assert len(kept(running, f"{someone}@lostreply.lab.test")) == 2


def test_a_rule_for_a_share_of_cases(running: Running, someone: str) -> None:
    domain = running.put_behaviour({"seed": 7, "rules": [{"at": "rcpt", "reply": {"code": 450}, "percent": 50}]})
    client = running.smtp(domain)
    client.ehlo()
    client.mail(SENDER)
    assert {client.rcpt(f"{someone}{n}@{domain}")[0] for n in range(40)} == {250, 450}


@pytest.mark.parametrize(
    ("wire", "what"),
    [
        (b"EHLO me\r\nQUIT\r\n", "sent more before it had the reply to EHLO"),
        (b"EHLO me\nQUIT\r\n", "bare LF"),
        (b"EHLO\r\nQUIT\r\n", "EHLO without a name"),
        (b"MAIL FROM:<a@b.test>\r\nQUIT\r\n", "MAIL before EHLO"),
        (b"HELO me\r\nSTARTTLS\r\nQUIT\r\n", "STARTTLS although"),
        (b"EHLO me\r\nMAIL FROM: <a@b.test>\r\nQUIT\r\n", "malformed"),
        (b"EHLO me\r\nMAIL FROM:<a@b.test> AUTH=<>\r\nQUIT\r\n", "nobody offered: AUTH"),
        (b"HELO me\r\nMAIL FROM:<a@b.test> SIZE=9\r\nQUIT\r\n", "SIZE was not offered"),
        ("EHLO me\r\nMAIL FROM:<あ@b.test>\r\nQUIT\r\n".encode(), "without SMTPUTF8"),
        (b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<>\r\nQUIT\r\n", "malformed"),
        (b"LUNCH\r\nQUIT\r\n", "unknown command: LUNCH"),
        (b"EHLO " + b"x" * 600 + b"\r\nQUIT\r\n", "octets"),
        (b"EHLO a\rb\r\nMAIL FROM:<a@b.test> SIZE=" + b"9" * 5000 + b"\r\nQUIT\r\n", "octets"),
    ],
)
def test_violations_by_clients_are_noted(running: Running, wire: bytes, what: str) -> None:
    client = running.raw("accept.lab.test")
    client.reply()
    client.send(wire)
    while client.file.readline():
        pass
    violations = running.session(client)["violations"]
    assert any(what in violation for violation in violations), violations


def test_speaking_before_the_greeting_is_noted(running: Running) -> None:
    domain = running.put_behaviour({"rules": [{"at": "connect", "delay": 0.2}]})
    client = running.raw(domain)
    client.send(b"EHLO me\r\n")
    client.reply()
    client.reply()
    assert any("greeting" in violation for violation in running.session(client)["violations"])


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"a\nb\r\n", "bare CR or LF"),
        (b"a\rb\r\n", "bare CR or LF"),
        ("あ\r\n".encode(), "8-bit"),
        (b"a\0b\r\n", "NUL"),
        (b"x" * 999 + b"\r\n", "text line"),
        (b"a\r\n.b\r\n", "single dot"),
    ],
)
def test_violations_in_content_are_noted(running: Running, someone: str, content: bytes, what: str) -> None:
    client = running.raw("accept.lab.test")
    client.hello()
    client.send(b"MAIL FROM:<>\r\nRCPT TO:<%s@accept.lab.test>\r\nDATA\r\n" % someone.encode())
    assert [client.reply()[:3] for _ in range(3)] == [b"250", b"250", b"354"]
    client.send(content + b".\r\n")
    assert client.reply().startswith(b"250")
    (violation,) = running.session(client)["violations"]
    assert what in violation


def test_groups_of_commands_are_no_violation(running: Running, someone: str) -> None:
    client = running.raw("accept.lab.test")
    client.hello()
    to = b"RCPT TO:<%s@accept.lab.test>\r\n" % someone.encode()
    client.send(b"MAIL FROM:<>\r\n" + to + b"DATA\r\n")
    assert [client.reply()[:3] for _ in range(3)] == [b"250", b"250", b"354"]
    client.send(b"one\r\n.\r\nMAIL FROM:<>\r\n" + to + b"RSET\r\nQUIT\r\n")
    assert [client.reply()[:3] for _ in range(5)] == [b"250", b"250", b"250", b"250", b"221"]
    assert running.session(client)["violations"] == []
    assert running.session(client)["ended"] == "the client quit"
    slow = running.raw("nopipelining.lab.test")
    slow.hello()
    slow.send(b"MAIL FROM:<>\r\n" + to)
    slow.reply()
    assert running.session(slow)["violations"] == ["the client sent more before it had the reply to MAIL"]


def test_bytes_before_the_handshake_are_thrown_away(running: Running) -> None:
    client = running.raw("accept.lab.test")
    client.hello()
    client.send(b"STARTTLS\r\nMAIL FROM:<injected@x.test>\r\n")
    assert client.reply().startswith(b"220")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(client.socket) as wrapped:
        wrapped.sendall(b"NOOP\r\n")
        assert wrapped.recv(100).startswith(b"250")
    assert not any("injected" in line for line in running.session(client)["dialogue"])


def test_a_client_that_goes_is_let_go(running: Running) -> None:
    for after in (b"", b"EHLO me\r\n", b"MAIL FR", b"x" * 20_000):
        client = RawClient(running.addresses("accept.lab.test")[0], running.port)
        client.send(after)
        client.close()
    assert running.smtp("accept.lab.test").noop()[0] == 250
