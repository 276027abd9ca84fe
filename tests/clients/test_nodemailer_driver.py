"""The driver of Nodemailer, against an SMTP server that is not ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import Message
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

from ekiden.net.tls import ServerTls, make_self_signed
from support.official_clients import ClientError, Nodemailer

HEADERS = {"X-IB-Bulk-Id": "B1", "X-IB-Callback-Data": "駅伝", "List-Unsubscribe": "<https://x.test/u>"}
MESSAGE = {
    "from": "Jane <jane@x.test>",
    "to": ["john@y.test", "Ann <ann@y.test>"],
    "bcc": "blind@y.test",
    "subject": "日本",
    "text": "hello",
    "html": "<b>hello</b>",
    "headers": HEADERS,
    "attachments": [{"filename": "a.bin", "content": bytes(range(256)), "contentType": "application/x-test"}],
}


class Peer:
    """What it was given, and with which credentials."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.attempts: list[tuple[str, LoginPassword]] = []
        self.port = 0
        self.certificate = Path()

    def message(self) -> Message:
        """The last one; a method, because aiosmtpd looks at every property when a client connects."""
        content = self.envelopes[-1].content
        assert isinstance(content, bytes)
        return message_from_bytes(content, policy=default)

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        return "250 2.0.0 queued as 7"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        self.attempts.append((mechanism, data))
        right = data.password == b"right"
        return AuthResult(success=right, handled=right)  # not handled: aiosmtpd answers 535

    def transport(self, password: str = "right", **options: Any) -> dict[str, Any]:
        auth = {"user": "App", "pass": password}
        return {"host": "127.0.0.1", "port": self.port, "requireTLS": True, "auth": auth} | options


@asynccontextmanager
async def running_peer(folder: Path) -> AsyncIterator[Peer]:
    """A submission server with STARTTLS and AUTH, its certificate for 127.0.0.1 in ``folder``."""
    files = make_self_signed(["127.0.0.1"]).write(folder / "certificate.pem", folder / "key.pem")
    context = ServerTls([files]).context
    peer = Peer()
    peer.certificate = Path(files.certificate)

    def session() -> SMTP:
        return SMTP(
            peer,
            hostname="peer.test",
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=peer.authenticate,
        )

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        await server.wait_closed()


@pytest.fixture
async def peer(tmp_path: Path) -> AsyncIterator[Peer]:
    async with running_peer(tmp_path) as running:
        yield running


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_a_message_with_everything(nodemailer: Nodemailer, peer: Peer, mechanism: str) -> None:
    trusted = {"ca": peer.certificate.read_text()}
    told = await nodemailer.send_async(peer.transport(authMethod=mechanism, tls=trusted), MESSAGE)
    assert told["response"] == "250 2.0.0 queued as 7"
    assert told["accepted"] == ["john@y.test", "ann@y.test", "blind@y.test"]
    assert told["envelope"]["from"] == "jane@x.test"
    (attempt,) = peer.attempts
    assert attempt == (mechanism, LoginPassword(b"App", b"right"))
    message = peer.message()
    assert {name: str(message[name]) for name in HEADERS} == HEADERS
    assert (message["Subject"], message["Message-ID"], message["Bcc"]) == ("日本", told["messageId"], None)
    (file,) = [part for part in message.walk() if part.get_filename() == "a.bin"]
    assert file.get_payload(decode=True) == bytes(range(256))


async def test_certificates_are_checked_unless_told_otherwise(nodemailer: Nodemailer, peer: Peer) -> None:
    with pytest.raises(ClientError, match="certificate") as refused:
        await nodemailer.send_async(peer.transport(), MESSAGE)
    assert (refused.value.status, peer.envelopes) == (None, [])
    await nodemailer.send_async(peer.transport(tls={"rejectUnauthorized": False}), MESSAGE)
    assert len(peer.envelopes) == 1


async def test_refusals_are_told(nodemailer: Nodemailer, peer: Peer) -> None:
    transport = peer.transport("wrong", tls={"rejectUnauthorized": False})
    with pytest.raises(ClientError) as refused:
        await nodemailer.send_async(transport, MESSAGE)
    assert (refused.value.status, refused.value.code) == (535, "EAUTH")
    assert refused.value.data.startswith("535 5.7.8")


async def test_a_raw_message_goes_as_it_is(nodemailer: Nodemailer, peer: Peer) -> None:
    raw = b"From: jane@x.test\r\nTo: john@y.test\r\nX-IB-Notify-Url: http://x.test/\r\n\r\n\xe9\xa7\x85\r\n.\r\n"
    message = {"envelope": {"from": "jane@x.test", "to": ["john@y.test"]}, "raw": raw}
    await nodemailer.send_async(peer.transport(tls={"rejectUnauthorized": False}), message)
    assert peer.envelopes[-1].content == raw
