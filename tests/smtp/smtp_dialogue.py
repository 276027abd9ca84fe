"""Golden dialogues for the server machine: what they look like, and how they are played.

One line is one line on the wire: ``C: `` client, ``S: `` server, ``# tls`` the handshake, ``# timeout``,
``# shutdown``, ``# eof`` calls of the driver, ``# event …`` a kind of event that must have come by now.
``\\r``, ``\\n``, ``\\0`` and ``\\xNN`` in client lines are escapes; a trailing ``\\`` leaves the CRLF out.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field

from ekiden.smtp.events import Authenticate, DataStarting, Event, MailFrom, MessageReceived, RcptTo
from ekiden.smtp.reply import Reply
from ekiden.smtp.server import ServerConnection
from ekiden.smtp.server_config import ServerConfig

PASSWORD = "password"
QUEUE_ID = "0123456789ABC"
REFUSED = Reply.of(550, "5.7.1", "Refused by the test")


@dataclass
class Driver:
    """Decides as a listener would: addresses that begin with ``no`` are refused, the password is ``password``."""

    connection: ServerConnection
    events: list[Event] = field(default_factory=list)

    def turn(self) -> bytes:
        connection = self.connection
        while (event := connection.next_event()) is not None:
            self.events.append(event)
            match event:
                case MailFrom(sender) if sender is not None and sender.text.startswith("no"):
                    connection.reject(REFUSED)
                case RcptTo(recipient) if recipient.address.text.startswith("no"):
                    connection.reject(REFUSED)
                case MailFrom() | RcptTo() | DataStarting():
                    connection.accept()
                case MessageReceived(content=content) if b"refuse me" in content:
                    connection.reject(REFUSED)
                case MessageReceived():
                    connection.accept_message(QUEUE_ID)
                case Authenticate(password=password):
                    if password == PASSWORD:
                        connection.accept_auth()
                    else:
                        connection.reject_auth()
        return connection.data_to_send()

    def feed(self, data: bytes, size: int = 0) -> bytes:
        """Feed ``data`` in pieces of ``size`` octets (0: whole) and return all replies."""
        if not size:
            self.connection.receive_data(data)
            return self.turn()
        out = b""
        for at in range(0, len(data), size):
            self.connection.receive_data(data[at : at + size])
            out += self.turn()
        return out

    @property
    def messages(self) -> list[MessageReceived]:
        return [event for event in self.events if isinstance(event, MessageReceived)]


def open_relay(**changes: object) -> ServerConfig:
    """A listener that asks for neither TLS nor AUTH."""
    return ServerConfig("mail.test", require_tls=False, require_auth=False, **changes)  # type: ignore[arg-type]


def started(config: ServerConfig | None = None) -> Driver:
    """A session behind its banner."""
    driver = Driver(ServerConnection(config or open_relay()))
    driver.turn()
    return driver


def octets(line: str) -> bytes:
    text, end = (line[:-1], b"") if line.endswith("\\") else (line, b"\r\n")
    data = codecs.escape_decode(text.encode())[0]
    assert isinstance(data, bytes)
    return data + end


def play(script: str, config: ServerConfig, size: int = 0) -> Driver:
    """Play ``script`` with client octets in pieces of ``size``, and check each reply where it stands."""
    driver = Driver(ServerConnection(config))
    sent = b""
    received = driver.turn()
    expected = b""
    for number, line in enumerate(script.strip().splitlines(), 1):
        kind, _, text = line.strip().partition(" ")
        if kind == "S:":
            expected += text.encode() + b"\r\n"
            continue
        if kind == "C:":
            sent += octets(text)
            continue
        received += driver.feed(sent, size)
        sent = b""
        assert kind == "#", f"line {number}: {line}"
        match text.split(" "):
            case ["tls"]:
                driver.connection.tls_established("TLSv1.3 TEST")
            case ["timeout"]:
                driver.connection.timeout()
            case ["shutdown"]:
                driver.connection.shutdown()
            case ["eof"]:
                driver.connection.eof()
            case ["event", name]:
                assert name in [type(event).__name__ for event in driver.events], f"line {number}: no {name}"
            case _:
                raise AssertionError(f"line {number}: {line}")
        received += driver.turn()
    received += driver.feed(sent, size)
    assert [line.rstrip() for line in received.decode().splitlines()] == expected.decode().splitlines()
    return driver
