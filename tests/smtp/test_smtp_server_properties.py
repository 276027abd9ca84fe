"""Whatever octets a client sends, in whatever pieces: no exception, bounded memory, well-formed replies."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from smtp_dialogue import Driver, open_relay, started

from ekiden.smtp.events import ConnectionClosing, StartTls
from ekiden.smtp.server import ServerConnection
from ekiden.smtp.server_config import ServerConfig

REPLY = re.compile(rb"(?:[2-5][0-9]{2}-[^\r\n]*\r\n)*[2-5][0-9]{2} [^\r\n]*\r\n")
CONFIGS = [
    open_relay(max_size=50, max_recipients=2, max_errors=1000, max_line=600),
    ServerConfig("mail.test", tls_available=True, max_size=50, max_errors=1000, max_line=600),
    ServerConfig("mail.test", tls_active=True, require_auth=False, max_size=50, max_line=600, ask_before_data=True),
    ServerConfig("mail.test", tls_active=True, max_size=50, max_errors=5, max_line=600, language="ja"),
]
PIECES = [
    b"\r\n", b"\n", b"\r", b".", b"\0", b"\xff", b" ", b"\t", b"<", b">", b'"', b"@", b":", b"=", b"*",
    b"EHLO x\r\n", b"HELO", b"STARTTLS\r\n", b"AUTH PLAIN ", b"AUTH LOGIN\r\n", b"AHUAcGFzc3dvcmQ=\r\n",
    b"QXBw\r\n",
    b"MAIL FROM:<a@b.test>", b"MAIL FROM:<>\r\n", b"MAIL FROM: ", b" SIZE=", b" SMTPUTF8", b" BODY=8BITMIME",
    b" RET=HDRS", b" ENVID=+", b"RCPT TO:<a@b.test>\r\n", b"RCPT TO:<no@b.test>\r\n", b"RCPT TO:<@a,@b:c@d.test>",
    b" NOTIFY=", b"NEVER", b"SUCCESS,", b" ORCPT=utf-8;\\x{", b"1F600}", b"DATA\r\n", b"BDAT ", b"BDAT 5\r\n",
    b"BDAT 3 LAST\r\n", b"7", b"99999", b" LAST", b"RSET\r\n", b"NOOP\r\n", b"VRFY x\r\n", b"HELP\r\n", b"QUIT\r\n",
    b"text\r\n.\r\n", b"\r\n.\r\n", b"x" * 700, "ü例\u2028".encode(),
]  # fmt: skip
streams = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=12)), max_size=60).map(b"".join)


class TlsDriver(Driver):
    """Also answers STARTTLS."""

    def turn(self) -> bytes:
        out = super().turn()
        while self.events and isinstance(self.events[-1], StartTls):
            self.events.append(None)  # type: ignore[arg-type]
            self.connection.tls_established("TLSv1.3 TEST")
            out += super().turn()
        return out


@given(streams, st.sampled_from(CONFIGS), st.integers(0, 40))
def test_any_octets(stream: bytes, config: ServerConfig, size: int) -> None:
    connection = ServerConnection(config)
    driver = TlsDriver(connection)
    out = driver.turn()
    for at in range(0, len(stream), size or 10_000):
        out += driver.feed(stream[at : at + (size or 10_000)])
        assert connection.held <= 12_288 + 40 + 2 * config.max_size
        assert connection.buffered == 0, "the driver decides at once, so nothing waits"
    connection.eof()
    out += driver.turn()
    assert re.sub(REPLY, b"", out) == b""
    assert isinstance(driver.events[-1], ConnectionClosing)
    assert sum(isinstance(event, ConnectionClosing) for event in driver.events) == 1
    for message in driver.messages:
        assert len(message.content) <= config.max_size
        assert message.content == b"" or message.content.endswith(b"\r\n")
        assert b"\0" not in message.content
        assert message.recipients
    assert all("no@" not in recipient.address.text for m in driver.messages for recipient in m.recipients)


@given(streams, st.sampled_from([CONFIGS[0], CONFIGS[2]]), st.integers(1, 40))
def test_pieces_do_not_matter(stream: bytes, config: ServerConfig, size: int) -> None:
    whole, pieces = started(config), started(config)
    assert whole.feed(stream) == pieces.feed(stream, size)
    assert whole.events == pieces.events


@given(streams, st.integers(0, 300), st.sampled_from(["timeout", "shutdown", "eof"]))
def test_ending_at_any_moment(stream: bytes, at: int, how: str) -> None:
    driver = TlsDriver(ServerConnection(CONFIGS[0]))
    driver.feed(stream[:at])
    getattr(driver.connection, how)()
    driver.turn()
    assert driver.connection.closed
    assert isinstance(driver.events[-1], ConnectionClosing)
    assert driver.feed(stream[at:]) == b""
