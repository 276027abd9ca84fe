"""Real clients submit through the real ports, and the lab's receivers hold the bytes that were sent."""

from __future__ import annotations

import base64
import re
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest

CONTENT = (
    b"From: Me <me@demo.lab.test>\r\n"
    b"To: you@accept.lab.test\r\n"
    b"Date: Sat, 21 Nov 2026 12:00:00 +0900\r\n"
    b"Message-ID: <%s@demo.lab.test>\r\n"
    b"Subject: =?utf-8?B?6aeF5Lyd?=\r\n"
    b"X-Folded: one\r\n\ttwo\r\n"
    b"\r\n"
    b"First line\r\n"
    b".dots\r\n..\r\n.\r\n"
    b" trailing blanks  \r\n"
    b"\ttab = \x07\r\n"
)
# Signatures of both keys, and then the trace of this server.
ADDED = re.compile(
    rb"(DKIM-Signature: [^\r\n]+(\r\n[ \t][^\r\n]+)*\r\n){2}Received: from [^\r\n]+(\r\n[ \t][^\r\n]+)*\r\n"
)


def a_message() -> bytes:
    return CONTENT % uuid.uuid4().hex.encode()


def a_recipient() -> str:
    return f"{uuid.uuid4().hex}@accept.lab.test"


def credential(demo: Any, kind: str) -> tuple[str, str]:
    account = demo.account
    return ("App", account["api_key"]) if kind == "api_key" else (account["username"], account["password"])


def assert_arrived(demo: Any, recipient: str, sent: bytes, via: bytes = b"ESMTPSA") -> None:
    (mail,) = demo.mail(recipient)
    assert mail["data"].endswith(sent)
    added = mail["data"][: -len(sent)]
    assert ADDED.fullmatch(added), added
    assert b"with " + via in added
    assert mail["tls"], "the lab offers STARTTLS"


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("kind", ["password", "api_key"])
@pytest.mark.parametrize("door", ["starttls", "tls"])
def test_smtplib(demo: Any, door: str, kind: str, mechanism: str) -> None:
    recipient, content = a_recipient(), a_message()
    with demo.connect(door) as client:
        client.ehlo("client.example.com")
        client.user, client.password = credential(demo, kind)
        code, _ = client.auth(mechanism, getattr(client, f"auth_{mechanism.lower()}"))
        assert code == 235
        queue_id = demo.send(client, [recipient], content)
    assert_arrived(demo, recipient, content)
    assert queue_id.isalnum()


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("kind", ["password", "api_key"])
@pytest.mark.parametrize("door", ["starttls", "tls"])
def test_swaks(demo: Any, tmp_path: Path, door: str, kind: str, mechanism: str) -> None:
    recipient, content = a_recipient(), a_message()
    (tmp_path / "message").write_bytes(content.replace(b"\r\n", b"\n"))
    username, password = credential(demo, kind)
    host, port = demo.facts["smtp"][door]
    done = subprocess.run(
        [
            "swaks",
            *("--server", f"{host}:{port}", "--tls" if door == "starttls" else "--tls-on-connect"),
            *("--tls-ca-path", demo.facts["ca"], "--tls-verify"),
            *("--auth", mechanism, "--auth-user", username, "--auth-password", password),
            *("--from", "me@demo.lab.test", "--to", recipient, "--data", f"@{tmp_path / 'message'}"),
        ],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    assert b"250 2.0.0 Ok: queued as " in done.stdout
    (mail,) = demo.mail(recipient)
    # swaks ends the data with one more line of its own.
    assert content in mail["data"]


@pytest.mark.parametrize("kind", ["password", "api_key"])
@pytest.mark.parametrize("door", ["starttls", "tls"])
def test_openssl_typed_by_hand(demo: Any, door: str, kind: str) -> None:
    """As the seed shows it: lower-case verbs, AUTH LOGIN after its prompts, addresses without angle brackets."""
    recipient = a_recipient()
    host, port = demo.facts["smtp"][door]
    username, password = (base64.b64encode(text.encode()).decode() for text in credential(demo, kind))
    typed = [
        ("ehlo client.example.com", "250 "),
        ("auth login", "334 VXNlcm5hbWU6"),
        (" " + username, "334 UGFzc3dvcmQ6"),
        (password, "235 2.7.0 Authentication successful"),
        ("mail from: me@demo.lab.test", "250 2.1.0 Ok"),
        (f"rcpt to: {recipient}", "250 2.1.5 Ok"),
        ("data", "354 End data with <CR><LF>.<CR><LF>"),
        ("from: Mailer <me@demo.lab.test>\nsubject: typed\n\nGet all the events.\n.", "250 2.0.0 Ok: queued as "),
        ("quit", "221 "),
    ]
    command = ["openssl", "s_client", "-connect", f"{host}:{port}", "-CAfile", demo.facts["ca"]]
    command += [
        "-verify_return_error",
        "-crlf",
        "-quiet",
        "-no_ign_eof",
        *(["-starttls", "smtp"] if door == "starttls" else []),
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        if door == "tls":  # with -starttls openssl reads the greeting itself
            assert client.stdout.readline().startswith(b"220 ")
        for text, expected in typed:
            client.stdin.write(text.encode() + b"\n")
            client.stdin.flush()
            while (line := client.stdout.readline().decode())[3:4] == "-":
                pass
            assert line.startswith(expected), (text, line)
        assert client.wait(30) == 0
    (mail,) = demo.mail(recipient)
    assert b"subject: typed\r\n" in mail["data"]
    assert mail["data"].endswith(b"\r\n\r\nGet all the events.\r\n")
    assert b"\r\nDate: " in mail["data"]
    assert b"\r\nMessage-ID: <" in mail["data"]


@pytest.mark.parametrize("mechanism", ["plain", "login"])
@pytest.mark.parametrize("door", ["starttls", "tls"])
def test_msmtp(demo: Any, tmp_path: Path, door: str, mechanism: str) -> None:
    recipient, content = a_recipient(), a_message()
    host, port = demo.facts["smtp"][door]
    username, password = credential(demo, "api_key")
    config = tmp_path / "msmtprc"
    config.write_text(
        f"account default\nhost {host}\nport {port}\nfrom me@demo.lab.test\ntls on\n"
        f"tls_starttls {'on' if door == 'starttls' else 'off'}\ntls_trust_file {demo.facts['ca']}\n"
        f"auth {mechanism}\nuser {username}\npassword {password}\n"
    )
    config.chmod(0o600)
    done = subprocess.run(
        ["msmtp", "-C", str(config), recipient],
        input=content.replace(b"\r\n", b"\n"),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert_arrived(demo, recipient, content)


def test_one_content_for_many_recipients(demo: Any) -> None:
    domain = "accept.lab.test"
    recipients = [f"{uuid.uuid4().hex}@{domain}" for _ in range(30)]
    content = a_message()
    with demo.login(demo.connect()) as client:
        queue_id = demo.send(client, recipients, content)
    for recipient in recipients:
        assert demo.mail(recipient)
    found = demo.mail(recipients[0])
    assert len(found[0]["to"]) == 30, "one transaction for all of them"
    assert len(demo.trace(queue_id)["recipients"]) == 30


def test_bcc_stays_here(demo: Any) -> None:
    recipient = a_recipient()
    content = a_message().replace(b"X-Folded", b"Bcc: secret@example.com,\r\n other@example.com\r\nX-Folded")
    with demo.login(demo.connect()) as client:
        demo.send(client, [recipient], content)
    (mail,) = demo.mail(recipient)
    assert b"secret" not in mail["data"]
    assert b"other@example.com" not in mail["data"]
    assert mail["data"].endswith(content[content.index(b"X-Folded") :])


def test_without_login_nothing_is_taken(demo: Any) -> None:
    with demo.connect() as client:
        client.ehlo()
        assert client.mail("me@demo.lab.test")[0] == 530
    with demo.connect("tls") as client:
        client.ehlo()
        client.user, client.password = "demo", "wrong password"
        assert client.docmd("AUTH PLAIN", base64.b64encode(b"\0demo\0wrong").decode())[0] == 535


def test_numbers_move(demo: Any, eventually: Any) -> None:
    before = demo.metrics()
    recipient = a_recipient()
    with demo.login(demo.connect()) as client:
        demo.send(client, [recipient], a_message())
    demo.mail(recipient)
    delivered = 'ekiden_attempts_total{cause="none",state="delivered"}'
    after = eventually(lambda: (now := demo.metrics())[delivered] > before[delivered] and now, "the count")
    for name in (
        "ekiden_messages_accepted_total",
        "ekiden_recipients_accepted_total",
        "ekiden_accept_seconds_count",
    ):
        assert after[name] > before[name], name
