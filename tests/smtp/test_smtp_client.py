"""The client machine against peers that behave, misbehave, and vanish."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.core.diagnosis import Stage
from ekiden.core.said import Remark, say
from ekiden.core.submission import Notify, Ret
from ekiden.smtp.client import ClientConnection
from ekiden.smtp.errors import UsageError
from ekiden.smtp.reply import Reply
from ekiden.smtp.transaction import (
    ClientEvent,
    Closed,
    Greeting,
    HelloDone,
    HelloRefused,
    ResetDone,
    TlsReady,
    TlsRefused,
    Transaction,
    TransactionDone,
    TransactionRecipient,
    TransactionResult,
)

A, B, C = (TransactionRecipient(f"{name}@dst.test") for name in "abc")
IN_TLS = say("tls_begun", tls="TLSv1.3 X")
CONTENT = b"Subject: x\r\n\r\n.dot\r\n"
STUFFED = b"Subject: x\r\n\r\n..dot\r\n.\r\n"
PIPELINING = b"250-mx.test\r\n250 PIPELINING\r\n"
PLAIN = b"250 mx.test\r\n"
OK = b"250 2.0.0 Ok\r\n"
GO = b"354 Go\r\n"
NO = b"550 5.1.1 No such user\r\n"
LATER = b"451 4.7.1 Greylisted\r\n"
BYE = b"421 4.3.2 Going away\r\n"


def greeted(ehlo: bytes = PIPELINING) -> ClientConnection:
    """A session behind EHLO, with nothing awaited."""
    client = ClientConnection("me.test")
    client.receive_data(b"220 mx.test ESMTP\r\n")
    assert client.next_event() == Greeting(Reply(220, "", ("mx.test ESMTP",)))
    client.ehlo()
    assert client.data_to_send() == b"EHLO me.test\r\n"
    client.receive_data(ehlo)
    assert isinstance(client.next_event(), HelloDone)
    assert client.next_event() is None
    return client


def events_of(client: ClientConnection) -> list[ClientEvent]:
    events = []
    while (event := client.next_event()) is not None:
        events.append(event)
    return events


@dataclass
class Case:
    """``replies``: each piece of the peer; ``sent``: what the client sends before the piece of the same index."""

    replies: list[bytes]
    sent: list[bytes]
    result: list[str]
    reusable: bool = True
    ehlo: bytes = PIPELINING
    recipients: list[TransactionRecipient] = field(default_factory=lambda: [A, B])
    end: str = ""
    local: bool = False


ENVELOPE = b"MAIL FROM:<s@src.test>\r\nRCPT TO:<a@dst.test>\r\nRCPT TO:<b@dst.test>\r\nDATA\r\n"
MAIL, RCPT_A, RCPT_B = (line + b"\r\n" for line in ENVELOPE.split(b"\r\n")[:3])
SENT = "250 2.0.0 Ok"

CASES: dict[str, Case] = {
    "pipelined, all is well": Case([OK + OK + OK + GO, OK], [ENVELOPE, STUFFED], [SENT, SENT]),
    "pipelined, replies one by one": Case(
        [OK, OK, OK, GO, OK], [ENVELOPE, b"", b"", b"", STUFFED], [SENT, SENT]
    ),
    "step by step": Case(
        [OK, OK, OK, GO, OK], [MAIL, RCPT_A, RCPT_B, b"DATA\r\n", STUFFED], [SENT, SENT], ehlo=PLAIN
    ),
    "one refused": Case([OK + NO + OK + GO, OK], [ENVELOPE, STUFFED], ["550 5.1.1 No such user", SENT]),
    "one refused, step by step": Case(
        [OK, OK, NO, GO, OK],
        [MAIL, RCPT_A, RCPT_B, b"DATA\r\n", STUFFED],
        [SENT, "550 5.1.1 No such user"],
        ehlo=PLAIN,
    ),
    "251 is as good as 250": Case(
        [OK + b"251 2.1.5 Will forward\r\n" + b"252 2.0.0 Cannot verify\r\n" + GO, OK],
        [ENVELOPE, STUFFED],
        [SENT, SENT],
    ),
    "all refused, DATA too": Case(
        [OK + NO + LATER + b"554 5.5.1 No valid recipients\r\n"],
        [ENVELOPE],
        ["550 5.1.1 No such user", "451 4.7.1 Greylisted"],
    ),
    "all refused, but DATA is not": Case(
        [OK + NO + NO + GO, b"554 5.5.1 No recipients\r\n"],
        [ENVELOPE, b".\r\n"],
        ["550 5.1.1 No such user"] * 2,
    ),
    "all refused, step by step": Case(
        [OK, NO, LATER],
        [MAIL, RCPT_A, RCPT_B],
        ["550 5.1.1 No such user", "451 4.7.1 Greylisted"],
        ehlo=PLAIN,
    ),
    "MAIL refused": Case(
        [b"553 5.1.8 Bad sender\r\n" + NO + NO + NO], [ENVELOPE], ["553 5.1.8 Bad sender"] * 2
    ),
    "MAIL refused, step by step": Case([LATER], [MAIL], ["451 4.7.1 Greylisted"] * 2, ehlo=PLAIN),
    "MAIL refused, and the peer takes the rest": Case(
        [NO + OK + OK + GO, OK], [ENVELOPE, b".\r\n"], ["550 5.1.1 No such user"] * 2
    ),
    "DATA refused": Case(
        [OK + OK + NO + LATER], [ENVELOPE], ["451 4.7.1 Greylisted", "550 5.1.1 No such user"]
    ),
    "content refused": Case(
        [OK + OK + OK + GO, b"552 5.2.2 Mailbox full\r\n"], [ENVELOPE, STUFFED], ["552 5.2.2 Mailbox full"] * 2
    ),
    "421 to MAIL": Case([BYE], [ENVELOPE], ["421 4.3.2 Going away"] * 2, False),
    "421 to RCPT": Case(
        [OK + NO + BYE], [ENVELOPE], ["550 5.1.1 No such user", "421 4.3.2 Going away"], False
    ),
    "421 to the second RCPT takes the first with it": Case(
        [OK + OK + BYE], [ENVELOPE], ["421 4.3.2 Going away"] * 2, False
    ),
    "421 to content": Case(
        [OK + OK + NO + GO, BYE],
        [ENVELOPE, STUFFED],
        ["421 4.3.2 Going away", "550 5.1.1 No such user"],
        False,
    ),
    "lost at once": Case(
        [], [], ["421 4.4.2 The connection was lost while waiting for the reply to MAIL"] * 2, False,
        end="eof", local=True,
    ),
    "lost between RCPTs": Case(
        [OK + NO], [ENVELOPE],
        ["550 5.1.1 No such user", "421 4.4.2 The connection was lost while waiting for the reply to RCPT"], False,
        end="eof", local=True,
    ),
    "lost behind content": Case(
        [OK + OK + OK + GO], [ENVELOPE],
        ["421 4.4.2 The connection was lost while waiting for the reply to content"] * 2, False,
        end="eof", local=True,
    ),
    "timed out at DATA": Case(
        [OK + OK + OK], [ENVELOPE], ["421 4.4.2 Timed out while waiting for the reply to DATA"] * 2, False,
        end="timeout", local=True,
    ),
    "half a reply is none": Case(
        [OK + OK + b"250 2.1.5 O"], [ENVELOPE],
        ["421 4.4.2 The connection was lost while waiting for the reply to RCPT"] * 2, False,
        end="eof", local=True,
    ),
    "garbage": Case(
        [b"HTTP/1.1 400 Bad Request\r\n"], [ENVELOPE], ["451 4.5.0 The server's replies cannot be told apart"] * 2,
        False, end="eof", local=True,
    ),
    "garbage without end": Case(
        [b"x\r\n" * 300], [ENVELOPE], ["451 4.5.0 The server's replies cannot be told apart"] * 2, False,
        local=True,
    ),
    "an endless line": Case(
        [b"250 " + b"x" * 80_000], [ENVELOPE],
        ["451 4.5.0 The peer does not speak SMTP: a reply line is longer than 65536 octets"] * 2, False, local=True,
    ),
    "lines between replies": Case(
        [b"\r\n" + OK + OK + b"hello\r\n" + NO + b"\r\n" + GO, OK], [ENVELOPE, STUFFED],
        [SENT, "550 5.1.1 No such user"],
    ),
    "a line instead of a reply": Case(  # the 550 is not B's
        [b"Ok\r\n" + NO + OK + GO], [ENVELOPE], ["451 4.5.0 The server's replies cannot be told apart"] * 2, False,
        local=True,
    ),
    "a line instead of a reply, and all refused": Case(
        [b"Ok\r\n" + OK + NO + NO], [ENVELOPE], ["451 4.5.0 The server's replies cannot be told apart"] * 2, False,
        end="timeout", local=True,
    ),
    "lines between replies, step by step": Case(
        [b"\r\n" + OK, b"what\r\n" + OK, b"\r\n" + NO, b"\r\n" + GO, OK],
        [MAIL, RCPT_A, RCPT_B, b"DATA\r\n", STUFFED], [SENT, "550 5.1.1 No such user"], ehlo=PLAIN,
    ),
    "an empty line behind each reply": Case(
        [OK + b"\r\n", OK + b"\r\n", OK + b"\r\n", GO + b"\r\n", OK + b"\r\n"],
        [MAIL, RCPT_A, RCPT_B, b"DATA\r\n", STUFFED], [SENT, SENT], ehlo=PLAIN,
    ),
    "words behind 354": Case([OK + OK + OK + GO + b"Type now\r\n", OK], [ENVELOPE, STUFFED], [SENT, SENT]),
    "an endless reply": Case(
        [b"250-x\r\n" * 300], [ENVELOPE],
        ["451 4.5.0 The peer does not speak SMTP: a reply does not end"] * 2, False, local=True,
    ),
    "354 to MAIL": Case(
        [GO], [ENVELOPE], ["451 4.5.0 The peer answered MAIL with 354 Go"] * 2, False, local=True
    ),
    "354 to RCPT": Case(
        [OK + GO], [ENVELOPE], ["451 4.5.0 The peer answered RCPT with 354 Go"] * 2, False, local=True
    ),
    "250 to DATA": Case(
        [OK + OK + OK + OK], [ENVELOPE], ["451 4.5.0 The peer answered DATA with 250 2.0.0 Ok"] * 2, False,
        local=True,
    ),
    "a reply to content before there was any": Case(
        [OK + OK + OK + GO + OK], [ENVELOPE], ["451 4.5.0 The peer replied before it was asked"] * 2, False,
        local=True,
    ),
    "replies ahead of the commands, step by step": Case(
        [OK + OK], [MAIL], ["451 4.5.0 The peer replied before it was asked"] * 2, False, ehlo=PLAIN, local=True
    ),
    "421 ahead of the command": Case(
        [OK + BYE], [MAIL], ["421 4.3.2 Going away"] * 2, False, ehlo=PLAIN
    ),
}  # fmt: skip


GONE = "421 4.4.2 The connection was lost while waiting for the reply to content"
# What the peer says behind the final dot before it is gone, and what that means.
ODD_ENDS: dict[bytes, str] = {
    b"\r\n" + OK: SENT,
    b"\n\n\r\n" + OK: SENT,
    b"queued\r\n" + OK: SENT,
    b"\xff\xfe\0\r\n" + OK: SENT,
    b"HTTP/1.1 200 OK\r\n" + OK: SENT,
    b"25 Ok\r\n" + OK: SENT,
    b"2500 Ok\r\n" + OK: SENT,
    b"150 wait\r\n" + OK: SENT,
    b"999 what\r\n" + OK: SENT,
    GO + OK: SENT,
    b"334 go on\r\n" + OK: SENT,
    b"250-\r\n\r\n" + OK: "250 2.0.0  Ok",
    b"x" * 9000 + b"\r\n" + OK: SENT,
    b"250OK\r\n": "250 OK",
    b"\xef\xbb\xbf250 Ok\r\n": "250 Ok",
    b"\t250 Ok\r\n": "250 Ok",
    b"250\r\n": "250",
    b"200 Ok\r\n": "200 Ok",
    b"250 Ok": "250 Ok",
    b"250": "250",
    b"250 2.0.0 Ok: queu": "250 2.0.0 Ok: queu",
    b"250 Ok\r": "250 Ok",
    b"250-Ok\r\n": "250 Ok",
    b"250-Ok\r\n250-m": "250 Ok m",
    b"250 " + b"x" * 80_000: "250 " + "x" * 1000,
    b"250-x\r\n" * 256: "250 " + "x " * 256,
    b"250 " + b"x" * 5000 + b"\r\n": "250 " + "x" * 1000,
    # no yes
    b"": GONE,
    b"\r\n": GONE,
    b"queued\r\n": GONE,
    b"25": GONE,
    b"550 5.7.1 Sp": GONE,
    b"\r\n" + NO: "550 5.1.1 No such user",
    b"queued\r\n" + LATER: "451 4.7.1 Greylisted",
    b"250-Ok\r\n550 5.1.1 No such user\r\n": "550 5.1.1 Ok No such user",
    GO * 100 + OK: SENT,
    GO * 101: "451 4.5.0 The peer answered content with 354 Go",
    b"x\r\n" * 300: "451 4.5.0 The peer does not speak SMTP: not a reply: 'x'",
}


@pytest.mark.parametrize("ehlo", [PIPELINING, PLAIN])
@pytest.mark.parametrize("bytewise", [False, True])
@pytest.mark.parametrize("said", ODD_ENDS)
def test_what_was_taken_is_taken_however_it_is_said(said: bytes, bytewise: bool, ehlo: bytes) -> None:
    client = greeted(ehlo)
    client.send(Transaction("s@src.test", [A, B], CONTENT))
    for reply in (OK, OK, OK, GO):
        client.data_to_send()
        client.receive_data(reply)
        assert client.next_event() is None
    assert client.data_to_send() == STUFFED
    events: list[ClientEvent] = []
    for piece in [said[at : at + 1] for at in range(len(said))] if bytewise else [said]:
        client.receive_data(piece)
        events += events_of(client)
    client.eof()
    events += events_of(client)
    (done,) = [event for event in events if isinstance(event, TransactionDone)]
    shown = ODD_ENDS[said]
    assert [str(reply).replace("  ", " ")[:1000] for reply in done.result.recipients] == [
        shown.replace("  ", " ")[:1000].strip()
    ] * 2


def test_no_reply_of_one_message_is_taken_for_the_next() -> None:
    """Some servers answer the content once for each recipient."""
    client = greeted()
    client.send(Transaction("s@src.test", [A, B], CONTENT))
    assert not finish(client, OK + OK + OK + GO, OK + OK).reusable
    client = greeted()
    client.send(Transaction("s@src.test", [A, B], CONTENT))
    assert finish(client, OK + OK + OK + GO, OK + b"\r\n").reusable


@pytest.mark.parametrize("bytewise", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_transaction(name: str, bytewise: bool) -> None:
    case = CASES[name]
    if bytewise and "ahead of" in name:
        return  # in pieces, the reply is not there yet when the command goes out
    client = greeted(case.ehlo)
    client.send(Transaction("s@src.test", case.recipients, CONTENT))
    events: list[ClientEvent] = []
    for number, reply in enumerate(case.replies):
        sent = client.data_to_send()
        if number < len(case.sent):
            assert sent == case.sent[number]
        for piece in [reply[i : i + 1] for i in range(len(reply))] if bytewise else [reply]:
            client.receive_data(piece)
            events += events_of(client)
    if case.end:
        getattr(client, case.end)()
        events += events_of(client)
    if name == "a reply to content before there was any" and bytewise:
        return  # as above: then it looks like an answer
    (done,) = [event for event in events if isinstance(event, TransactionDone)]
    assert [str(reply) for reply in done.result.recipients] == case.result
    assert done.result.reusable == case.reusable
    assert done.result.local == case.local
    assert client.closed == (not case.reusable)
    assert isinstance(events[-1], Closed) == (not case.reusable)
    assert not client.busy


@pytest.mark.parametrize(
    ("ehlo", "replies", "stages"),
    [
        (PIPELINING, [OK + OK + OK + GO, OK], [Stage.END, Stage.END]),
        (PIPELINING, [OK + NO + OK + GO, NO], [Stage.RCPT, Stage.END]),
        (PLAIN, [OK, OK, NO, GO, NO], [Stage.END, Stage.RCPT]),
        (PIPELINING, [OK + NO + OK + NO], [Stage.RCPT, Stage.DATA]),
        (PIPELINING, [NO + NO + NO + NO], [Stage.MAIL, Stage.MAIL]),
        (PIPELINING, [OK + NO + BYE], [Stage.RCPT, Stage.RCPT]),
        (PIPELINING, [OK + OK + NO + GO, BYE], [Stage.END, Stage.RCPT]),
        (PIPELINING, [OK + OK + OK + BYE], [Stage.DATA, Stage.DATA]),
        (PIPELINING, [BYE], [Stage.MAIL, Stage.MAIL]),
    ],
)
def test_each_reply_has_the_stage_that_it_answers(ehlo: bytes, replies: list[bytes], stages: list[Stage]) -> None:
    client = greeted(ehlo)
    client.send(Transaction("s@src.test", [A, B], CONTENT))
    events: list[ClientEvent] = []
    for reply in replies:
        client.data_to_send()
        client.receive_data(reply)
        events += events_of(client)
    (done,) = [event for event in events if isinstance(event, TransactionDone)]
    assert done.result.stages == stages


def finish(client: ClientConnection, replies: bytes, final: bytes = OK) -> TransactionResult:
    client.receive_data(replies)
    assert client.next_event() is None
    client.data_to_send()
    client.receive_data(final)
    event = client.next_event()
    assert isinstance(event, TransactionDone)
    return event.result


def test_rset_goes_before_the_next_transaction_only_after_one_that_was_left_open() -> None:
    client = greeted()
    transaction = Transaction("s@src.test", [A], CONTENT)
    client.send(transaction)
    assert client.data_to_send().startswith(b"MAIL")
    client.receive_data(OK + NO + b"554 5.5.1 No valid recipients\r\n")
    assert isinstance(client.next_event(), TransactionDone)
    client.send(transaction)
    assert client.data_to_send().startswith(b"RSET\r\nMAIL FROM:")
    assert finish(client, OK + OK + OK + GO).reusable
    client.send(transaction)
    assert client.data_to_send().startswith(b"MAIL")
    assert client.transactions == 3


def test_a_refused_rset_is_no_verdict() -> None:
    client = greeted(PLAIN)
    client.send(Transaction("s@src.test", [A], CONTENT))
    client.receive_data(OK)
    client.next_event()
    client.receive_data(NO)
    assert isinstance(client.next_event(), TransactionDone)
    client.data_to_send()
    client.send(Transaction("s@src.test", [A], CONTENT))
    assert client.data_to_send() == b"RSET\r\n"
    client.receive_data(b"500 What?\r\n")
    done, closed = events_of(client)
    assert isinstance(done, TransactionDone)
    assert str(done.result.recipients[0]) == "451 4.5.0 The server refused RSET: 500 What?"
    assert (done.result.reusable, done.result.local) == (False, True)
    assert isinstance(closed, Closed)


def test_rset_by_the_driver() -> None:
    client = greeted()
    client.rset()
    assert client.data_to_send() == b"RSET\r\n"
    client.receive_data(OK)
    assert client.next_event() == ResetDone(Reply(250, "2.0.0", ("Ok",)))


@pytest.mark.parametrize("size", [0, 1])
def test_hello(size: int) -> None:
    client = ClientConnection("me.test")
    ehlo = (
        b"250-mx.test greets you\r\n250-size 1000\r\n250-8BITMIME\r\n250-AUTH=LOGIN\r\n250-AUTH PLAIN LOGIN\r\n"
        b"250-LIMITS RCPTMAX=5 MAILMAX=2 OTHER=x\r\n250-\r\n250 \xff\r\n"
    )
    events: list[ClientEvent] = []
    for data in (b"220-mx.test\r\n220 ready\r\n", ehlo):
        for at in range(0, len(data), size or len(data)):
            client.receive_data(data[at : at + (size or len(data))])
            events += events_of(client)
        if len(events) == 1:
            client.ehlo()
    assert events[0] == Greeting(Reply(220, "", ("mx.test", "ready")))
    extensions = {
        "SIZE": "1000", "8BITMIME": "", "AUTH": "PLAIN LOGIN", "LIMITS": "RCPTMAX=5 MAILMAX=2 OTHER=x", "?": "",
    }  # fmt: skip
    assert events[1] == HelloDone(extensions)
    assert (client.offer.max_size, client.offer.max_recipients, client.offer.max_transactions) == (1000, 5, 2)
    assert client.offer.esmtp


def test_helo_when_ehlo_is_unknown() -> None:
    client = ClientConnection("me.test")
    client.receive_data(b"220 old\n")
    client.next_event()
    client.ehlo()
    client.data_to_send()
    client.receive_data(b"502 unimplemented\n")
    assert client.next_event() is None
    assert client.data_to_send() == b"HELO me.test\r\n"
    assert client.awaiting == "HELO"
    client.receive_data(b"250 hi\n")
    assert client.next_event() == HelloDone({})
    assert not client.offer.esmtp
    assert client.offer.max_recipients is None


@pytest.mark.parametrize("replies", [[b"450 4.7.0 Later\r\n"], [b"550 No\r\n", b"550 5.7.1 No\r\n"]])
def test_hello_refused(replies: list[bytes]) -> None:
    client = ClientConnection("me.test")
    client.receive_data(b"220 x\r\n")
    client.next_event()
    client.ehlo()
    for reply in replies:
        client.receive_data(reply)
        event = client.next_event()
    assert isinstance(event, HelloRefused)
    client.quit()
    assert client.data_to_send().endswith(b"QUIT\r\n")
    client.receive_data(b"221 bye\r\n")
    assert client.next_event() == Closed("quit")


@pytest.mark.parametrize(
    ("said", "events"),
    [
        (b"554 5.7.1 Blocked\r\n", [Greeting(Reply(554, "5.7.1", ("Blocked",)))]),
        (BYE, [Greeting(Reply(421, "4.3.2", ("Going away",))), Closed("421 4.3.2 Going away")]),
        (b"SSH-2.0-x\r\n", [Closed("the peer does not speak SMTP: not a reply: 'SSH-2.0-x'")]),
    ],
)
def test_greetings(said: bytes, events: list[ClientEvent]) -> None:
    client = ClientConnection("me.test")
    client.receive_data(said)
    got = events_of(client)
    assert [type(event) for event in got] == [type(event) for event in events]
    for event, expected in zip(got, events, strict=True):
        if isinstance(expected, Closed):
            assert isinstance(event, Closed)
            assert event.reason == expected.reason
        else:
            assert event == expected


def test_no_greeting_at_all() -> None:
    client = ClientConnection("me.test")
    client.timeout()
    assert client.next_event() == Closed("timed out while waiting for the greeting")
    client = ClientConnection("me.test")
    client.eof()
    assert client.next_event() == Closed("the connection was lost while waiting for the greeting")


def test_starttls() -> None:
    client = greeted(b"250-mx.test\r\n250-DSN\r\n250 STARTTLS\r\n")
    client.starttls()
    assert client.data_to_send() == b"STARTTLS\r\n"
    # What comes along in clear text is forged.
    client.receive_data(b"220 2.0.0 Ready\r\n250-evil\r\n250 SIZE 1\r\n")
    assert client.next_event() == TlsReady()
    client.receive_data(b"250 evil\r\n")
    assert (client.next_event(), client.buffered) == (None, 0)
    with pytest.raises(UsageError):
        client.ehlo()
    client.tls_established(IN_TLS)
    assert client.offer.extensions == {}
    client.ehlo()
    client.receive_data(PIPELINING)
    assert client.next_event() == HelloDone({"PIPELINING": ""})
    assert Remark(IN_TLS) in client.dialogue


def test_starttls_refused() -> None:
    client = greeted(b"250-mx.test\r\n250-PIPELINING\r\n250 STARTTLS\r\n")
    client.starttls()
    client.data_to_send()
    client.receive_data(b"454 4.7.0 No\r\n")
    assert client.next_event() == TlsRefused(Reply(454, "4.7.0", ("No",)))
    client.send(Transaction("", [A], CONTENT))
    assert client.data_to_send().startswith(b"MAIL FROM:<>\r\n")
    with pytest.raises(UsageError):
        greeted().starttls()


def test_unsolicited_replies_when_idle() -> None:
    client = greeted()
    client.receive_data(b"421 4.4.2 Idle too long\r\n")
    closed = client.next_event()
    assert closed == Closed("421 4.4.2 Idle too long", Reply(421, "4.4.2", ("Idle too long",)))
    client = greeted()
    client.receive_data(OK)
    assert client.next_event() == Closed("a reply that nothing asked for: 250 2.0.0 Ok")


def test_sending_on_a_connection_that_was_lost_meanwhile() -> None:
    client = greeted()
    client.eof()
    client.send(Transaction("s@src.test", [A, B], CONTENT))
    done, closed = events_of(client)
    assert isinstance(done, TransactionDone)
    assert [reply.code for reply in done.result.recipients] == [421, 421]
    assert done.result.local
    assert isinstance(closed, Closed)
    client.ehlo()
    client.rset()
    client.quit()
    assert client.data_to_send() == b""


def test_a_result_that_came_with_the_end_of_the_connection_is_not_reusable() -> None:
    client = greeted()
    client.send(Transaction("s@src.test", [A], CONTENT))
    client.receive_data(OK + OK + GO)
    client.next_event()
    client.receive_data(OK)
    client.eof()
    done, closed = events_of(client)
    assert isinstance(done, TransactionDone)
    assert (done.result.recipients[0].code, done.result.reusable) == (250, False)
    assert isinstance(closed, Closed)


def test_mailmax_ends_reuse() -> None:
    client = greeted(b"250-mx.test\r\n250-PIPELINING\r\n250 LIMITS MAILMAX=1\r\n")
    client.send(Transaction("s@src.test", [A], CONTENT))
    assert not finish(client, OK + OK + GO).reusable


def test_rcptmax_leaves_the_rest_for_later() -> None:
    client = greeted(b"250-mx.test\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=2\r\n")
    client.send(Transaction("s@src.test", [A, B, C], CONTENT))
    assert client.data_to_send().count(b"RCPT") == 2
    result = finish(client, OK + OK + OK + GO)
    assert [(reply.code, reply.local) for reply in result.recipients] == [(250, False), (250, False), (452, True)]


FULL = b"250-mx.test\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 DSN\r\n"
DSN_RECIPIENT = TransactionRecipient("a@dst.test", Notify.FAILURE | Notify.DELAY, "rfc822;x+y@old.test")


@pytest.mark.parametrize(
    ("transaction", "mail", "rcpt"),
    [
        (Transaction("s@src.test", [A], CONTENT), b" SIZE=20", b"<a@dst.test>"),
        (Transaction("s@src.test", [A], CONTENT, size=77), b" SIZE=77", b"<a@dst.test>"),
        (Transaction("s@src.test", [A], CONTENT, eight_bit=True), b" SIZE=20 BODY=8BITMIME", b"<a@dst.test>"),
        (
            Transaction("s@src.test", [DSN_RECIPIENT], CONTENT, ret=Ret.HDRS, envid="a b+c"),
            b" SIZE=20 RET=HDRS ENVID=a+20b+2Bc",
            b"<a@dst.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;x+2By@old.test",
        ),
        (
            Transaction("s@src.test", [TransactionRecipient("a@dst.test", Notify.NEVER)], CONTENT),
            b" SIZE=20",
            b"<a@dst.test> NOTIFY=NEVER",
        ),
        (
            Transaction("s@src.test", [TransactionRecipient("受信@dst.test")], CONTENT),
            b" SIZE=20 BODY=8BITMIME SMTPUTF8",
            "<受信@dst.test>".encode(),
        ),
        (
            Transaction("s@src.test", [TransactionRecipient("a@dst.test", orcpt="utf-8;受@x.test")], CONTENT),
            b" SIZE=20 BODY=8BITMIME SMTPUTF8",
            "<a@dst.test> ORCPT=utf-8;受@x.test".encode(),
        ),
        (
            Transaction("s@src.test", [TransactionRecipient("a@dst.test", orcpt="bad\r\nRSET")], CONTENT),
            b" SIZE=20",
            b"<a@dst.test>",
        ),
    ],
)
def test_parameters_where_they_are_offered(transaction: Transaction, mail: bytes, rcpt: bytes) -> None:
    client = greeted(FULL)
    client.send(transaction)
    assert client.data_to_send() == b"MAIL FROM:<s@src.test>" + mail + b"\r\nRCPT TO:" + rcpt + b"\r\nDATA\r\n"


def test_no_parameters_where_they_are_not_offered() -> None:
    client = greeted()
    client.send(Transaction("s@src.test", [DSN_RECIPIENT], CONTENT, ret=Ret.FULL, envid="x"))
    assert client.data_to_send() == b"MAIL FROM:<s@src.test>\r\nRCPT TO:<a@dst.test>\r\nDATA\r\n"


UTF8_HEADER = "Subject: 件名\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("transaction", "ehlo", "expected"),
    [
        (Transaction("s@src.test", [A], b"x" * 1001), FULL, "552 5.3.4"),
        (Transaction("s@src.test", [A], "ü".encode(), eight_bit=True), PIPELINING, "554 5.6.3"),
        (Transaction("送@src.test", [A], CONTENT), PIPELINING, "553 5.6.7"),
        (Transaction("s@src.test", [TransactionRecipient("受@dst.test")], CONTENT), PIPELINING, "553 5.6.7"),
        (Transaction("s@src.test", [A], UTF8_HEADER, smtputf8=True), PIPELINING, "553 5.6.7"),
        (Transaction("s@src.test", [TransactionRecipient("a@dst.test>\r\nRSET")], CONTENT), FULL, "553 5.1.3"),
        (Transaction("s\n@src.test", [A], CONTENT), FULL, "553 5.1.3"),
        (Transaction("s@src.test", [TransactionRecipient("\ud800@dst.test")], CONTENT), FULL, "553 5.1.3"),
    ],
)
def test_what_cannot_be_asked_is_decided_here(transaction: Transaction, ehlo: bytes, expected: str) -> None:
    client = greeted(ehlo)
    client.send(transaction)
    assert client.data_to_send() == b""
    event = client.next_event()
    assert isinstance(event, TransactionDone)
    assert str(event.result.recipients[0]).startswith(expected)
    assert event.result.local
    assert event.result.reusable


def test_smtputf8_is_not_needed_for_ascii() -> None:
    """RFC 6531 §3.4 leaves such mail deliverable everywhere; an international domain goes as A-labels."""
    client = greeted()
    client.send(Transaction("s@例え.test", [TransactionRecipient("a@例え.test")], CONTENT, smtputf8=True))
    assert client.data_to_send() == (b"MAIL FROM:<s@xn--r8jz45g.test>\r\nRCPT TO:<a@xn--r8jz45g.test>\r\nDATA\r\n")


def test_addresses_of_earlier_versions_get_their_one_form() -> None:
    """The queue may have them: a peer with SMTPUTF8 sees A-labels as well, and needs it for local parts only."""
    old = [TransactionRecipient(address) for address in ("a@例え.test", "b@dst.test.", "c@dst。test")]
    client = greeted(b"250-mx.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")
    client.send(Transaction("s@例え.test.", old, CONTENT))
    said = client.data_to_send().decode()
    assert [line for line in said.split("\r\n") if line.startswith(("MAIL", "RCPT"))] == [
        "MAIL FROM:<s@xn--r8jz45g.test>",
        "RCPT TO:<a@xn--r8jz45g.test>",
        "RCPT TO:<b@dst.test>",
        "RCPT TO:<c@dst.test>",
    ]


def test_only_recipients_that_need_smtputf8_are_refused() -> None:
    client = greeted()
    client.send(Transaction("s@src.test", [TransactionRecipient("受@dst.test"), A], CONTENT))
    assert client.data_to_send() == b"MAIL FROM:<s@src.test>\r\nRCPT TO:<a@dst.test>\r\nDATA\r\n"
    assert [reply.code for reply in finish(client, OK + OK + GO).recipients] == [553, 250]


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"", b".\r\n"),
        (b"a", b"a\r\n.\r\n"),
        (b"a\nb\rc\r\n", b"a\r\nb\r\nc\r\n.\r\n"),
        (b"a\n.\nb", b"a\r\n..\r\nb\r\n.\r\n"),
        (b".\r\n", b"..\r\n.\r\n"),
    ],
)
def test_content_on_the_wire(content: bytes, wire: bytes) -> None:
    client = greeted()
    client.send(Transaction("s@src.test", [A], content))
    client.data_to_send()
    client.receive_data(OK + OK + GO)
    assert client.next_event() is None
    assert client.data_to_send() == wire


def test_dialogue_is_kept_for_one_transaction() -> None:
    client = greeted()
    transaction = Transaction("s@src.test", [A, B], CONTENT)
    for _ in range(3):
        client.send(transaction)
        finish(client, OK + NO + b"250-2.1.5 two\r\n250 2.1.5 lines\r\n" + GO)
        assert client.dialogue == [
            "S: 220 mx.test ESMTP",
            "C: EHLO me.test",
            "S: 250-mx.test",
            "S: 250 PIPELINING",
            "C: MAIL FROM:<s@src.test>",
            "C: RCPT TO:<a@dst.test>",
            "C: RCPT TO:<b@dst.test>",
            "C: DATA",
            "S: 250 2.0.0 Ok",
            "S: 550 5.1.1 No such user",
            "S: 250-2.1.5 two",
            "S: 250 2.1.5 lines",
            "S: 354 Go",
            Remark(say("content_sent", octets=20)),
            "S: 250 2.0.0 Ok",
        ]


def test_what_is_awaited() -> None:
    client = ClientConnection("me.test")
    assert client.awaiting == "greeting"
    client = greeted(PLAIN)
    assert client.awaiting == ""
    client.send(Transaction("s@src.test", [A], CONTENT))
    for awaited, reply in (("MAIL", OK), ("RCPT", OK), ("DATA", GO), ("content", OK)):
        assert client.awaiting == awaited
        client.receive_data(reply)
        client.next_event()
    assert client.awaiting == ""


def test_out_of_turn() -> None:
    client = greeted()
    client.send(Transaction("s@src.test", [A], CONTENT))
    for call in (client.ehlo, client.quit, client.rset):
        with pytest.raises(UsageError):
            call()
    with pytest.raises(UsageError):
        client.send(Transaction("s@src.test", [A], CONTENT))
    with pytest.raises(UsageError):
        client.tls_established(IN_TLS)


REPLIES = [
    b"220 x\r\n", b"250 2.1.0 Ok\r\n", b"250-x\r\n", b"250 ", b"354 Go\r\n", b"421 bye\r\n", b"450 4.2.1 later\r\n",
    b"550 5.1.1 no\r\n", b"552 5.2.2 full\r\n", b"250-mx\r\n250-PIPELINING\r\n250-SIZE 10\r\n250 DSN\r\n", b"\r\n",
    b"\n", b"199 x\r\n", b"600 x\r\n", b"250\r\n", b"25", b"\0", b"\xff", b"250-" + b"x" * 5000,
    b"250-x\r\n250 STARTTLS\r\n",
]  # fmt: skip
HELLO = [b"220 x\r\n", PIPELINING]
BEGINNINGS = [
    [],
    HELLO,
    [HELLO[0], PLAIN],
    [*HELLO, OK * 3],
    [*HELLO, OK * 4 + GO],
    [HELLO[0], PLAIN, OK, OK, NO, OK, GO],
]
hostile = st.tuples(
    st.sampled_from(BEGINNINGS),
    st.lists(st.one_of(st.sampled_from(REPLIES), st.binary(max_size=8)), max_size=25),
).map(lambda parts: parts[0] + parts[1])


@given(hostile, st.booleans(), st.sampled_from(["eof", "timeout"]))
def test_any_peer(pieces: list[bytes], tls: bool, end: str) -> None:
    """Whatever a peer says: no exception, one decision for every recipient of every transaction, then Closed."""
    client = ClientConnection("me.test")
    began = done = 0

    def react() -> bool:
        nonlocal began, done
        while (event := client.next_event()) is not None:
            match event:
                case Greeting() | HelloRefused():
                    (client.quit if isinstance(event, HelloRefused) else client.ehlo)()
                case HelloDone() if tls and "STARTTLS" in client.offer.extensions:
                    client.starttls()
                case TlsReady():
                    client.tls_established(IN_TLS)
                    client.ehlo()
                case HelloDone() | TlsRefused() | ResetDone():
                    began += 1
                    client.send(Transaction("s@src.test", [A, B, C], b".\r\n"))
                case TransactionDone(result):
                    done += 1
                    assert len(result.recipients) == 3
                    assert all(200 <= reply.code < 600 for reply in result.recipients)
                    assert all(reply.code // 100 != 3 for reply in result.recipients)
                    if result.reusable:
                        began += 1
                        client.send(Transaction("s@src.test", [A, B, C], b"x\r\n"))
                case Closed():
                    return True
        return False

    closed = False
    for piece in pieces:
        client.receive_data(piece)
        closed = react() or closed
        sent = client.data_to_send()
        assert sent.count(b"\r") == sent.count(b"\n") == sent.count(b"\r\n")
        assert client.buffered < 70_000
        assert len(client.dialogue) < 2000
    getattr(client, end)()
    assert react() != closed, "Closed comes exactly once"
    assert began == done
    assert client.closed
