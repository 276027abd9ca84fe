"""``ekiden send`` against an SMTP server that is not ours: aiosmtpd, with real TLS and AUTH."""

from __future__ import annotations

import asyncio
import email
import email.policy
import itertools
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from installation import Installation, loop_apart

from ekiden.cli.common import CliError
from ekiden.cli.default_sender import _domain, default_sender
from ekiden.cli.submission import configured_server, given_server, read_message
from ekiden.config.load import load_config
from ekiden.store.open import open_store
from ekiden.wiring.dialects import DIALECTS

PASSWORD = "correct horse"


@dataclass
class Peer:
    """What the server holds. Recipients at ``refused.example`` get a 550."""

    folder: Path
    port: int = 0
    got: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    refuse_content: bool = False

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, _: Any) -> str:
        if address.endswith("@refused.example"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.refuse_content:
            return "554 5.6.0 not that"
        assert isinstance(envelope.content, bytes)
        with self._lock:
            self.got.append((str(envelope.mail_from), list(envelope.rcpt_tos), envelope.content))
            return f"250 2.0.0 Ok: queued as {next(self._numbers):013d}"


def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    good = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
    return AuthResult(success=good, handled=good)


@pytest.fixture
def peer(tmp_path: Path, ekiden: Installation) -> Iterator[Peer]:
    """With STARTTLS and AUTH required, on the certificate of the installation."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    made = Peer(tmp_path)

    def protocol() -> SMTP:
        return SMTP(
            made,
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=authenticate,
            enable_SMTPUTF8=True,
            decode_data=False,
        )

    async def start() -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)

    async def stop() -> None:
        server.close()
        await server.wait_closed()

    with loop_apart() as apart:
        server = apart(start())
        made.port = server.sockets[0].getsockname()[1]
        text = ekiden.config.read_text().replace('["127.0.0.1:0"]\nmode', f'["127.0.0.1:{made.port}"]\nmode')
        ekiden.config.write_text(text)
        yield made
        apart(stop())


@pytest.fixture(autouse=True)
def _login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EKIDEN_SMTP_USERNAME", "acme")
    monkeypatch.setenv("EKIDEN_SMTP_PASSWORD", PASSWORD)


def test_one_message_through_the_configured_listener(ekiden: Installation, peer: Peer) -> None:
    found = ekiden.json("send", "--to", "a@x.example,b@x.example", "--to", "c@x.example", "--subject", "件名")
    assert set(found) == {"accepted", "refused_recipients", "not_tried", "errors", "seconds", "messages"}
    assert (found["accepted"], found["refused_recipients"], found["not_tried"]) == (1, 0, 0)
    assert found["messages"] == [
        {
            "id": "0000000000001",
            "recipients": ["a@x.example", "b@x.example", "c@x.example"],
            "reply": "250 2.0.0 Ok: queued as 0000000000001",
            "refused": [],
        }
    ]
    ((sender, recipients, content),) = peer.got
    assert (sender, recipients) == ("postmaster@mail.test.example", ["a@x.example", "b@x.example", "c@x.example"])
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert message["Subject"] == "件名"
    assert message["Message-ID"].endswith("@mail.test.example>")


def verified(ekiden: Installation, name: str, account: str = "acme") -> None:
    """A domain that may be sent from."""
    assert ekiden.run("domain", "add", name, "--account", account, "--vouch").status == 0


def test_the_sender_is_one_that_the_login_may_send_as(
    ekiden: Installation, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ekiden.run("account", "create", "acme")
    ekiden.run("credential", "password", "create", "acme")
    ekiden.run("domain", "add", "pending.example", "--account", "acme")
    none = ekiden.run("send", "--to", "a@x.example")
    assert (none.status, none.out, peer.got) == (1, "", [])
    assert none.err.startswith("ekiden: acme has no verified domain to send from")
    verified(ekiden, "shop.example")
    verified(ekiden, "a.other.example", account="acme")
    ekiden.json("send", "--to", "a@x.example")
    assert peer.got[-1][0] == "postmaster@a.other.example"
    assert email.message_from_bytes(peer.got[-1][2])["From"] == "postmaster@a.other.example"
    ekiden.json("send", "--to", "a@x.example", "--from", "me@pending.example")
    assert peer.got[-1][0] == "me@pending.example"
    verified(ekiden, "mail.test.example")
    ekiden.json("send", "--to", "a@x.example")
    assert peer.got[-1][0] == "postmaster@mail.test.example", "the host's own name, when that may be"
    ekiden.run("domain", "remove", "mail.test.example")
    # A key's account is known by the key; another server's logins are not known here.
    ekiden.run("account", "create", "beta")
    verified(ekiden, "beta.example", account="beta")
    key = ekiden.json("credential", "api-key", "create", "beta")["api_key"]
    assert asyncio.run(_picked(ekiden, "App", key)) == "beta.example"
    assert asyncio.run(_picked(ekiden, "APP", "ek_unknown")) is None
    assert asyncio.run(_picked(ekiden, "stranger", "x")) is None
    ekiden.run("account", "set-senders", "beta", "any")
    assert asyncio.run(_picked(ekiden, "App", key)) == "mail.test.example"
    monkeypatch.delenv("EKIDEN_SMTP_USERNAME")
    elsewhere = f"localhost:{peer.port}"
    assert default_sender(None, "acme", "x", elsewhere=True) == "postmaster@localhost", "no configuration here"
    assert ekiden.run("send", "--to", "a@x.example", "--server", elsewhere, "--insecure").status == 1


async def _picked(ekiden: Installation, username: str, password: str) -> str | None:
    store = await open_store(ekiden.url)
    try:
        return await _domain(store, username, password, "mail.test.example")
    finally:
        await store.close()


def test_for_people(ekiden: Installation, peer: Peer) -> None:
    ended = ekiden.run("send", "--from", "me@x.example", "--to", "a@x.example", "--text", "hello\n.\nend")
    assert (ended.status, ended.out) == (0, "0000000000001  accepted for a@x.example\n")
    assert b"\r\nhello\r\n.\r\nend\r\n" in peer.got[0][2]


def test_text_and_html(ekiden: Installation, peer: Peer, tmp_path: Path) -> None:
    (tmp_path / "part.html").write_text("<p>é</p>", "utf-8")
    ekiden.json("send", "--to", "a@x.example", "--text", "plain", "--html", str(tmp_path / "part.html"))
    message = email.message_from_bytes(peer.got[0][2], policy=email.policy.default)
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]


def test_many(ekiden: Installation, peer: Peer, tmp_path: Path) -> None:
    (tmp_path / "to.txt").write_text("# people\na@x.example\n\nb@x.example # a friend\n")
    found = ekiden.json("send", "--to-file", str(tmp_path / "to.txt"), "--count", "15", "--connections", "3")
    assert found["accepted"] == 30
    assert len({message["id"] for message in found["messages"]}) == 30
    # Whoever stands in a file gets a message alone.
    assert sorted(recipients for _, recipients, _ in peer.got) == [["a@x.example"]] * 15 + [["b@x.example"]] * 15
    told = ekiden.run("send", "--to-file", str(tmp_path / "to.txt"), "--count", "15").out
    assert told.startswith("30 messages accepted in ")


def test_a_stored_message_goes_as_it_is(ekiden: Installation, peer: Peer, tmp_path: Path) -> None:
    file = tmp_path / "message.eml"
    file.write_bytes(
        b"From: Me <me@x.example>\nTo: A <a@x.example>\nCc: b@x.example, a@x.example\n\n.dot\n8-bit: \xc3\xa9"
    )
    ekiden.json("send", "--file", str(file))
    sender, recipients, content = peer.got[0]
    assert (sender, recipients) == ("me@x.example", ["a@x.example", "b@x.example"])
    assert content == file.read_bytes().replace(b"\n", b"\r\n") + b"\r\n"
    ekiden.json("send", "--file", str(file), "--from", "other@x.example", "--to", "c@x.example")
    assert peer.got[1][:2] == ("other@x.example", ["c@x.example"])


def test_international_addresses(ekiden: Installation, peer: Peer) -> None:
    ekiden.json("send", "--from", "差出人@x.example", "--to", "宛先@例え.example")
    assert peer.got[0][:2] == ("差出人@x.example", ["宛先@xn--r8jz45g.example"])


def test_refused_recipients_are_told_and_the_others_go(ekiden: Installation, peer: Peer) -> None:
    ended = ekiden.run("send", "--to", "a@x.example", "--to", "b@refused.example")
    assert ended.status == 1
    assert ended.out == "0000000000001  accepted for a@x.example\n"
    assert ended.err == "refused for b@refused.example: 550 5.1.1 no such user\n"
    assert ekiden.run("send", "--to", "b@refused.example", "--json").out.startswith(
        '{"accepted":0,"refused_recipients":1'
    )
    assert len(peer.got) == 1


def test_refused_content(ekiden: Installation, peer: Peer) -> None:
    peer.refuse_content = True
    ended = ekiden.run("send", "--to", "a@x.example", "--count", "2")
    assert ended.status == 1
    assert ended.err == "refused for a@x.example: 554 5.6.0 not that\n" * 2


def test_a_wrong_password(ekiden: Installation, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EKIDEN_SMTP_PASSWORD", "wrong")
    ended = ekiden.run("send", "--to", "a@x.example")
    assert ended.status == 1
    assert f"ekiden: 127.0.0.1:{peer.port} said 535" in ended.err
    assert "wrong" not in ended.err


def test_a_certificate_that_nobody_trusts(ekiden: Installation, peer: Peer, tmp_path: Path) -> None:
    server = f"127.0.0.1:{peer.port}"
    ended = ekiden.run("send", "--to", "a@x.example", "--from", "b@x.example", "--server", server)
    assert ended.status == 1
    assert "certificate verify failed" in ended.err
    args = ("send", "--to", "a@x.example", "--from", "b@x.example", "--server", f"localhost:{peer.port}")
    assert "Hostname mismatch" in ekiden.run(*args, "--ca", str(tmp_path / "cert.pem")).err
    assert ekiden.json(*args, "--insecure")["accepted"] == 1


def test_nobody_answers(ekiden: Installation) -> None:
    ended = ekiden.run("send", "--to", "a@x.example", "--from", "b@x.example", "--server", "127.0.0.1:1")
    assert ended.status == 1
    assert ended.err.startswith("ekiden: 127.0.0.1:1 cannot be used: ")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--server", "h:25"], "there is no recipient; give --to or --to-file"),
        (["--to", "nobody", "--server", "h:25"], "'nobody' has no @"),
        (["--to", "a@x.example", "--server", "mail"], "--server: 'mail' is not HOST:PORT"),
        (["--to", "a@x.example", "--server", "h:25", "--tls", "ssl"], "--tls: 'ssl' is not allowed"),
        (["--to", "a@x.example"], "listener submission has port 0"),
        (["--to", "a@x.example", "--tls", "tls"], "the configuration has no such listener"),
        (["--to-file", "/nonexistent", "--server", "h:25"], "--to-file: /nonexistent cannot be read"),
        (["--file", "/nonexistent", "--server", "h:25"], "--file: /nonexistent cannot be read"),
    ],
)
def test_errors(ekiden: Installation, args: list[str], message: str) -> None:
    ended = ekiden.run("send", *args)
    assert ended.status == (1 if "listener" in message or "cannot be read" in message else 2)
    assert message in ended.err


def test_servers(ekiden: Installation) -> None:
    assert given_server("h:465", None, None, False).mode == "tls"
    assert given_server("[::1]:587", None, None, False).host == "::1"
    assert given_server("h:25", "none", None, False).context is None
    config = ekiden.config.read_text().replace('"127.0.0.1:0"]\nmode', '"0.0.0.0:2587"]\nmode')
    ekiden.config.write_text(config)
    found = configured_server(load_config(ekiden.config, dialects=DIALECTS), None)
    assert (found.host, found.port, found.mode) == ("127.0.0.1", 2587, "starttls")


def test_a_message_without_addresses(tmp_path: Path) -> None:
    file = tmp_path / "m.eml"
    file.write_bytes(b"Subject: x\n\nbody")
    with pytest.raises(CliError, match="no From"):
        read_message(file, sender=None, recipients=["a@x.example"])
    with pytest.raises(CliError, match="no To"):
        read_message(file, sender="a@x.example", recipients=[])
