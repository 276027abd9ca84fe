"""Programs that people really send with, beyond the plain case of ``test_submission.py``.

Each hands over a message through both doors; what the lab's receivers hold has the same body, octet for octet,
and the same header fields in the same order. Nothing is added but Received, and Date and Message-ID where they
lacked.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from support.private_postfix import Postfix, Relay
from support.return_paths import is_ours

ROOT = Path(__file__).parents[2]
DOORS = ("starttls", "tls")
KINDS = ("password", "api_key")
MECHANISMS = ("PLAIN", "LOGIN")
TOGETHER = [(door, kind, mechanism) for door in DOORS for kind in KINDS for mechanism in MECHANISMS]
SENDER = "mailer@demo.lab.test"
BODY = (
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"=E9=A7=85=E4=BC=9D\r\n.\r\n..two\r\n.one\r\n\r\n \t \r\nFrom the start of a line\r\n"
    + b"x" * 900
    + b"\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(bytes(range(256))).replace(b"\n", b"\r\n")
    + b"--b--\r\n"
)
HEADER = (
    b"X-First: kept\r\n"
    b"From: =?utf-8?b?6aeF5Lyd?= <mailer@demo.lab.test>\r\n"
    b"To: =?utf-8?q?Some_one?= <%(to)s>,\r\n\tOther <other@example.com>\r\n"
    b"Subject:  two blanks,\r\n  folded \r\n"
    b"Received: from earlier.example.com by mx.example.com; Sat, 21 Nov 2026 00:00:00 +0000\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n"
    b"x-lower-case: kept\r\n"
    b"X-Empty:\r\n"
    b"X-First: again\r\n"
)
ADDED = {b"dkim-signature", b"received", b"date", b"message-id"}


def message(recipient: str) -> bytes:
    return HEADER % {b"to": recipient.encode()} + b"\r\n" + BODY


def someone(domain: str = "accept.lab.test") -> str:
    return f"{uuid.uuid4().hex}@{domain}"


def program(name: str) -> str:
    """Its path. What is missing is told with the command that installs it."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        packages = re.search(r"^TEST_PACKAGES := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert packages is not None
        pytest.fail(
            f"{name} is missing; install it with: "
            f"sudo apt-get update && sudo apt-get install --no-install-recommends {packages[1]}"
        )
    return found


def credential(demo: Any, kind: str) -> tuple[str, str]:
    if kind == "api_key":
        return "App", demo.account["api_key"]
    return demo.account["username"], demo.account["password"]


def split(content: bytes) -> tuple[list[bytes], bytes]:
    """The header fields, folded as they are, and the body."""
    header, _, body = content.partition(b"\r\n\r\n")
    return re.findall(rb"[^\r\n]+(?:\r\n[ \t][^\r\n]*)*", header), body


def name_of(field: bytes) -> bytes:
    return field.partition(b":")[0].strip().lower()


def assert_same(sent: bytes, arrived: bytes) -> None:
    """Only Received, Date and Message-ID are new, and of the last two only what lacked; Bcc is gone."""
    before, body = split(sent)
    after, arrived_body = split(arrived)
    assert arrived_body == body
    kept = [field for field in before if name_of(field) != b"bcc"]
    added = list(after)
    for field in kept:
        assert field in added, field
        added.remove(field)
    assert [field for field in after if field in kept] == kept, "their order"
    names = [name_of(field) for field in added]
    assert set(names) <= ADDED - ({name_of(field) for field in kept} - {b"received"}), added
    assert names[:3] == [b"dkim-signature", b"dkim-signature", b"received"]
    for name in (b"date", b"message-id"):
        assert [name_of(field) for field in after].count(name) == 1


def arrived(demo: Any, recipient: str) -> bytes:
    (mail,) = demo.mail(recipient)
    assert is_ours(mail["from"])
    assert mail["to"] == [recipient]
    assert mail["tls"], "the lab offers STARTTLS"
    return bytes(mail["data"])


@pytest.fixture(scope="module")
def postfix(demo: Any) -> Iterator[Postfix]:
    """A mail server that relays through the platform, with one transport for each way to log in."""
    program("postfix")
    relays = []
    for number, (door, kind, mechanism) in enumerate(TOGETHER):
        host, port = demo.facts["smtp"][door]
        relays.append(
            Relay(f"relayed{number}.lab.test", host, port, door == "tls", mechanism, *credential(demo, kind))
        )
    with Postfix(relays, demo.facts["ca"]) as running:
        yield running


@pytest.mark.parametrize("number", range(len(TOGETHER)), ids=["-".join(how) for how in TOGETHER])
def test_postfix_as_relay_client(demo: Any, postfix: Postfix, number: int) -> None:
    """TLS with a checked certificate, SASL with the one mechanism that its transport allows, pipelining."""
    recipient = someone(f"relayed{number}.lab.test")
    sent = message(recipient)
    postfix.send(SENDER, [recipient], sent)
    try:
        data = arrived(demo, recipient)
    except ValueError:
        pytest.fail(postfix.log())
    assert_same(sent, data)
    received = [field for field in split(data)[0] if name_of(field) == b"received"]
    assert len(received) == 3, "the platform's, Postfix's, and the one it came with"
    assert b"relay.example.test" in received[0]
    assert b"with ESMTPSA" in received[0]


def test_postfix_with_many_recipients_and_messages(demo: Any, postfix: Postfix) -> None:
    """Its connections are used again, and one content goes to many."""
    many = [someone("relayed0.lab.test") for _ in range(60)]
    sent = message("many@relayed0.lab.test")
    for _ in range(3):
        postfix.send(SENDER, many, sent)
    for recipient in many:
        assert len(demo.mail(recipient, count=3)) == 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("door", DOORS)
def test_the_dialogue_of_the_handbook(demo: Any, door: str, kind: str) -> None:
    """Typed into ``openssl s_client`` as an operator's handbook has it: no EHLO of one's own, no angle brackets."""
    host, port = demo.facts["smtp"][door]
    recipient = someone()
    username, password = (base64.b64encode(text.encode()).decode() for text in credential(demo, kind))
    dialogue = [
        ("auth login", "334 VXNlcm5hbWU6"),
        (username, "334 UGFzc3dvcmQ6"),
        (password, "235 2.7.0 Authentication successful"),
        (f"mail from: {SENDER}", "250 2.1.0 Ok"),
        (f"rcpt to: {recipient}", "250 2.1.5 Ok"),
        ("data", "354 End data with <CR><LF>.<CR><LF>"),
        (f"from: Mailer <{SENDER}>", ""),
        (f"to: Recipient <{recipient}>", ""),
        ("Subject: Event Notifications SMTP interface", ""),
        ("", ""),
        ("Get the all events securely from the SMTP Interface", ""),
        (".", "250 2.0.0 Ok: queued as "),
        ("QUIT", "221 2.0.0 Bye"),
    ]
    command = [program("openssl"), "s_client", "-quiet", "-crlf", "-connect", f"{host}:{port}"]
    command += ["-CAfile", demo.facts["ca"], "-verify_return_error"]
    command += ["-starttls", "smtp"] if door == "starttls" else []
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        try:
            # With STARTTLS the greeting has been read before what is typed counts.
            assert door == "starttls" or client.stdout.readline().startswith(b"220 ")
            for typed, answer in dialogue:
                client.stdin.write(typed.encode() + b"\n")
                client.stdin.flush()
                if answer:
                    line = client.stdout.readline().decode()
                    assert line.startswith(answer), (typed, line)
            assert client.wait(60) == 0
        finally:
            client.kill()
    typed_content = "\r\n".join(text for text, _ in dialogue[6:11]) + "\r\n"
    assert_same(typed_content.encode(), arrived(demo, recipient))


@pytest.mark.parametrize(("door", "kind", "mechanism"), TOGETHER)
def test_msmtp_with_recipients_from_the_header(
    demo: Any, tmp_path: Path, door: str, kind: str, mechanism: str
) -> None:
    """As ``sendmail -t`` is used by programs; it is told to leave Bcc to us."""
    host, port = demo.facts["smtp"][door]
    username, password = credential(demo, kind)
    recipient, hidden = someone(), someone()
    config = tmp_path / "msmtprc"
    config.touch(0o600)
    config.write_text(
        f"account default\nhost {host}\nport {port}\nfrom {SENDER}\nundisclosed_recipients off\n"
        f"tls on\ntls_starttls {'on' if door == 'starttls' else 'off'}\ntls_trust_file {demo.facts['ca']}\n"
        f"auth {mechanism.lower()}\nuser {username}\npassword {password}\nremove_bcc_headers off\n"
    )
    sent = message(recipient).replace(b"Other <other@example.com>", b"Other <%s>" % hidden.encode())
    sent = sent.replace(b"MIME-Version", b"Bcc: " + hidden.encode() + b"\r\nMIME-Version")
    done = subprocess.run(
        [program("msmtp"), "-C", str(config), "--read-recipients"],
        input=sent.replace(b"\r\n", b"\n"),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    (mail,) = demo.mail(hidden)
    assert sorted(mail["to"]) == sorted([recipient, hidden])
    assert_same(sent, mail["data"])
    assert b"\r\nbcc:" not in mail["data"].lower()


@pytest.mark.parametrize("door", DOORS)
def test_swaks_with_headers_and_an_attachment(demo: Any, tmp_path: Path, door: str) -> None:
    host, port = demo.facts["smtp"][door]
    username, password = credential(demo, "password")
    recipient, hidden = someone(), someone()
    attachment = tmp_path / "octets.bin"
    attachment.write_bytes(bytes(range(256)) * 100)
    done = subprocess.run(
        [
            program("swaks"),
            *("--server", f"{host}:{port}", "--tls" if door == "starttls" else "--tls-on-connect"),
            *("--tls-ca-path", demo.facts["ca"], "--tls-verify", "--auth", "LOGIN"),
            *("--auth-user", username, "--auth-password", password, "--from", SENDER),
            *("--to", f"{recipient},{hidden}", "--h-Subject", "with an attachment", "--h-Bcc", hidden),
            *("--header", "X-Campaign: spring", "--body", "See attached", "--attach", f"@{attachment}"),
        ],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    data = demo.mail(recipient)[0]["data"]
    fields, _ = split(data)
    assert b"X-Campaign: spring" in fields
    assert b"Subject: with an attachment" in fields
    assert hidden.encode() not in b"\r\n".join(field for field in fields if name_of(field) != b"to")
    parts = [part.get_payload(decode=True) for part in message_from_bytes(data).walk()]
    assert attachment.read_bytes() in parts


@pytest.mark.parametrize(("door", "kind", "mechanism"), TOGETHER)
def test_smtplib_with_a_message_object(demo: Any, door: str, kind: str, mechanism: str) -> None:
    """``send_message`` as applications call it: attachments, Bcc, no Date, no Message-ID."""
    recipient, hidden = someone(), someone()
    text = EmailMessage()
    text["From"] = f"駅伝 <{SENDER}>"
    text["To"] = recipient
    text["Subject"] = "たすきをつなぐ"
    text.set_content("第一走者\n.\n..\nAnd on\n", cte="quoted-printable")
    text.add_attachment(os.urandom(5000), maintype="application", subtype="octet-stream", filename="数.bin")
    text.set_boundary("-border-")
    with demo.connect(door) as client:
        client.ehlo()
        client.user, client.password = credential(demo, kind)
        code, _ = client.auth(mechanism, getattr(client, f"auth_{mechanism.lower()}"))
        assert code == 235
        text["Bcc"] = hidden
        assert client.send_message(text) == {}
    sent = re.sub(rb"\r?\n", b"\r\n", text.as_bytes())
    for reader in (recipient, hidden):
        (mail,) = demo.mail(reader)
        assert_same(sent, mail["data"])
        assert hidden.encode() not in mail["data"]


def test_smtplib_with_an_international_address(demo: Any) -> None:
    recipient = f"駅伝{uuid.uuid4().hex}@accept.lab.test"
    sent = message("x@example.com").replace(b"<x@example.com>", f"<{recipient}>".encode())
    with demo.login(demo.connect()) as client:
        refused = client.sendmail(SENDER, [recipient], sent, ["SMTPUTF8", "BODY=8BITMIME"])
        assert refused == {}
    assert_same(sent, arrived(demo, recipient))
