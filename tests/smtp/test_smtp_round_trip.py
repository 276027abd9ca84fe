"""The client machine connected to the server machine: what goes in comes out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smtp_dialogue import Driver, open_relay

from ekiden.core.said import say
from ekiden.core.submission import Notify, Ret
from ekiden.smtp.client import ClientConnection
from ekiden.smtp.content import normalise_line_ends
from ekiden.smtp.events import MessageReceived
from ekiden.smtp.server import ServerConnection
from ekiden.smtp.server_config import ServerConfig
from ekiden.smtp.transaction import (
    Closed,
    Greeting,
    HelloDone,
    TlsReady,
    Transaction,
    TransactionDone,
    TransactionRecipient,
    TransactionResult,
)


def carry(
    transactions: list[Transaction], config: ServerConfig | None = None, size: int = 0
) -> tuple[list[TransactionResult], list[MessageReceived], ClientConnection]:
    """Send ``transactions`` over one connection, octets crossing in pieces of ``size``; results and messages."""
    client = ClientConnection("client.test")
    driver = Driver(ServerConnection(config or open_relay()))
    results: list[TransactionResult] = []
    waiting = list(transactions)
    incoming = driver.turn()
    while True:
        for at in range(0, len(incoming), size or len(incoming)):
            client.receive_data(incoming[at : at + (size or len(incoming))])
            while (event := client.next_event()) is not None:
                match event:
                    case Greeting():
                        client.ehlo()
                    case HelloDone(extensions) if "STARTTLS" in extensions:
                        client.starttls()
                    case TlsReady():
                        driver.connection.tls_established("TLSv1.3 TEST")
                        client.tls_established(say("tls_begun", tls="TLSv1.3 TEST"))
                        client.ehlo()
                    case HelloDone() | TransactionDone():
                        if isinstance(event, TransactionDone):
                            results.append(event.result)
                        if waiting:
                            client.send(waiting.pop(0))
                        else:
                            client.quit()
                    case Closed():
                        return results, driver.messages, client
        said = client.data_to_send()
        while client.sending:
            said += client.data_to_send()
        incoming = driver.feed(said, size)


@given(st.lists(st.binary(max_size=400), min_size=1, max_size=3), st.integers(0, 50))
def test_any_content_arrives(contents: list[bytes], size: int) -> None:
    clean = [normalise_line_ends(content.replace(b"\0", b"")) for content in contents]
    results, messages, _ = carry(
        [
            Transaction(
                "a@src.test", [TransactionRecipient("b@dst.test")], content, eight_bit=not content.isascii()
            )
            for content in clean
        ],
        size=size,
    )
    assert [message.content for message in messages] == clean
    assert [result.recipients[0].text for result in results] == ["Ok: queued as 0123456789ABC"] * len(clean)


@given(
    st.lists(st.sampled_from([b"\r\n", b".", b"..", b"\r\n.\r\n", b"a", b"\n", b"\r"]), max_size=30),
    st.integers(0, 4),
)
def test_dots_and_line_ends_arrive(pieces: list[bytes], size: int) -> None:
    content = b"".join(pieces)
    _, messages, _ = carry([Transaction("", [TransactionRecipient("b@dst.test")], content)], size=size)
    assert [message.content for message in messages] == [normalise_line_ends(content)]


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_envelope_arrives(size: int) -> None:
    recipients = [
        TransactionRecipient("b@dst.test", Notify.SUCCESS | Notify.DELAY, "rfc822;o+x@old.test"),
        TransactionRecipient("受信@例え.test", Notify.NEVER, "utf-8;元@例え.test"),
        TransactionRecipient('"a b>"@dst.test'),
        TransactionRecipient("nobody@dst.test"),
    ]
    transaction = Transaction(
        "送信@例え.test", recipients, "Subject: 件名\r\n\r\n本文\r\n".encode(), ret=Ret.HDRS, envid="id 1+2=3",
        smtputf8=True, eight_bit=True,
    )  # fmt: skip
    config = ServerConfig("mail.test", tls_available=True, require_auth=False)
    results, messages, client = carry([transaction], config, size)
    (message,) = messages
    assert message.sender is not None
    assert message.sender.text == "送信@xn--r8jz45g.test"
    assert [r.address.text for r in message.recipients] == [
        "b@dst.test", "受信@xn--r8jz45g.test", '"a b>"@dst.test',
    ]  # fmt: skip
    assert [(r.notify, r.orcpt) for r in message.recipients] == [(r.notify, r.orcpt) for r in recipients[:3]]
    assert (message.params.ret, message.params.envid) == (Ret.HDRS, "id 1+2=3")
    assert (message.params.smtputf8, message.params.eight_bit) == (True, True)
    assert message.content == transaction.content
    assert [reply.code for reply in results[0].recipients] == [250, 250, 250, 550]
    assert client.offer.max_recipients == 1000
    assert client.offer.max_size == 20_971_520


def test_large_content_arrives() -> None:
    content = (b"." * 78 + b"\r\n") * 40_000
    results, messages, _ = carry(
        [Transaction("a@src.test", [TransactionRecipient("b@dst.test")], content)], size=65_536
    )
    assert messages[0].content == content
    assert results[0].reusable


def test_many_recipients_arrive() -> None:
    recipients = [TransactionRecipient(f"r{number}@dst.test") for number in range(1000)]
    results, messages, _ = carry([Transaction("a@src.test", recipients, b"x\r\n")])
    assert len(messages[0].recipients) == 1000
    assert {reply.code for reply in results[0].recipients} == {250}
