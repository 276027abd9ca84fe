"""Sizes, counts and memory of the server machine: the right reply at the limit, and nothing kept beyond it."""

from __future__ import annotations

import pytest
from smtp_dialogue import Driver, open_relay, started

from ekiden.smtp.events import ConnectionClosing, MailFrom
from ekiden.smtp.server_config import ServerConfig

QUEUED = b"250 2.0.0 Ok: queued as 0123456789ABC\r\n"
ENVELOPE = b"MAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>\r\n"
TLS = ServerConfig("mail.test", tls_active=True)


def too_large(size: int, limit: int) -> bytes:
    return f"552 5.3.4 Message size {size} exceeds the limit of {limit} octets\r\n".encode()


def in_data(**changes: object) -> Driver:
    driver = started(open_relay(**changes))
    assert driver.feed(ENVELOPE + b"DATA\r\n").endswith(b"354 End data with <CR><LF>.<CR><LF>\r\n")
    return driver


@pytest.mark.parametrize("size", [0, 1, 7])
@pytest.mark.parametrize(
    ("content", "octets"),
    [
        (b"x" * 98 + b"\r\n", 100),
        (b"x" * 99 + b"\r\n", 101),
        (b"..\r\n" * 33, 99),  # 33 added dots do not count
        (b"..\r\n" * 34, 102),
        (b"..\r\n" * 3_000, 9_000),
        (b"\r\n" * 50, 100),
        (b"\n" * 50, 100),  # once line ends are mended
        (b"\n" * 60, 122),
        (b"a\rb\n.." * 400, 3_202),
        (b"x" * 5000 + b"\r\n", 5_002),
    ],
)
def test_size_of_content(content: bytes, octets: int, size: int) -> None:
    """The refusal names the size that the message would have had, however it came."""
    driver = in_data(max_size=100)
    end = b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n"
    if content == b"\n" * 50:
        content = b"\n" * 49
    fits = octets <= 100
    told = QUEUED if fits else too_large(octets, 100)
    assert driver.feed(content + end + b"NOOP\r\n", size) == told + b"250 2.0.0 Ok\r\n"
    assert [len(message.content) for message in driver.messages] == [octets] * fits


def test_a_size_that_is_announced_is_taken_up_to_the_last_octet() -> None:
    driver = started(open_relay(max_size=100))
    assert driver.feed(b"MAIL FROM:<a@b.test> SIZE=100\r\n").startswith(b"250 ")
    assert driver.feed(b"RSET\r\nMAIL FROM:<a@b.test> SIZE=101\r\n") == b"250 2.0.0 Ok\r\n" + too_large(101, 100)


def test_oversize_is_swallowed_in_bounded_memory() -> None:
    driver = in_data(max_size=10_000)
    for _ in range(200):
        assert driver.feed(b"y" * 997 + b"\r\n.") == b""
        assert driver.connection.held < 12_000
    assert driver.feed(b"\r\nNOOP\r\n") == too_large(200 * 999, 10_000) + b"250 2.0.0 Ok\r\n"
    # The transaction is over, the session goes on.
    assert driver.feed(b"DATA\r\n").startswith(b"503 5.5.1")
    assert driver.feed(ENVELOPE + b"DATA\r\nsmall\r\n.\r\n").endswith(QUEUED)


def test_dots_alone_do_not_fill_the_memory() -> None:
    driver = in_data(max_size=3000)
    for _ in range(300):
        driver.feed(b"...\r\n" * 20)
        assert driver.connection.held < 6000
    assert driver.feed(b".\r\n") == too_large(300 * 20 * 4, 3_000)


def test_chunks_that_are_too_large() -> None:
    driver = started(open_relay(max_size=100))
    driver.feed(ENVELOPE)
    assert driver.feed(b"BDAT 60\r\n" + b"a" * 60) == b"250 2.0.0 Ok: 60 octets received\r\n"
    assert driver.feed(b"BDAT 41\r\n" + b"b" * 41, 1) == too_large(101, 100)
    assert driver.feed(b"BDAT 10\r\n" + b"MAIL FROM:") == too_large(111, 100)
    assert driver.feed(b"BDAT 0 LAST\r\nNOOP\r\n") == too_large(111, 100) + b"250 2.0.0 Ok\r\n"
    assert driver.feed(b"BDAT 5 LAST\r\nabc\r\n").startswith(b"503 5.5.1")
    assert driver.feed(ENVELOPE + b"BDAT 60 LAST\r\n" + b"\n" * 60).endswith(too_large(120, 100))
    # 10^19 octets are announced: none is kept.
    driver.feed(ENVELOPE + b"BDAT 9999999999999999999 LAST\r\n")
    for _ in range(50):
        assert driver.feed(b"z" * 10_000) == b""
        assert driver.connection.held == 0
    assert driver.messages == []


def test_a_chunk_that_is_too_large_once_its_line_ends_are_mended() -> None:
    driver = started(open_relay(max_size=200_000))
    told = driver.feed(ENVELOPE + b"BDAT 190000\r\n" + b"\n" * 190_000)
    assert told.endswith(b"552 5.3.4 Message size exceeds the limit of 200000 octets once line ends are CRLF\r\n")


@pytest.mark.parametrize("argument", [b"", b" x", b" -1", b" 1 LATE", b" 1 LAST x", b" 123456789012345678901"])
def test_a_chunk_without_a_size_ends_the_session(argument: bytes) -> None:
    driver = started()
    driver.feed(ENVELOPE)
    reply = driver.feed(b"BDAT" + argument + b"\r\nMAIL FROM:<evil@b.test>\r\n")
    assert reply.startswith(b"501 5.5.4 Syntax: BDAT")
    assert reply.count(b"\r\n") == 1
    assert isinstance(driver.events[-1], ConnectionClosing)


def test_long_lines_of_content_are_kept() -> None:
    driver = in_data()
    driver.feed(b"x" * 100_000 + b"\r\n.\r\n")
    assert driver.messages[0].content == b"x" * 100_000 + b"\r\n"


@pytest.mark.parametrize("size", [0, 1])
def test_nul_in_content(size: int) -> None:
    driver = in_data()
    assert (
        driver.feed(b"a\0b\r\n.\r\nNOOP\r\n", size) == b"554 5.6.0 The message has NUL octets\r\n250 2.0.0 Ok\r\n"
    )
    assert driver.feed(ENVELOPE + b"BDAT 1 LAST\r\n\0").endswith(b"554 5.6.0 The message has NUL octets\r\n")
    assert driver.messages == []


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_long_command_lines(size: int) -> None:
    driver = started()
    assert driver.feed(b"NOOP " + b"x" * 4090 + b"\r\n", size) == b"250 2.0.0 Ok\r\n"
    too_long = b"500 5.5.2 Error: line too long\r\n"
    assert driver.feed(b"NOOP " + b"x" * 4096 + b"\r\nNOOP\r\n", size) == too_long + b"250 2.0.0 Ok\r\n"
    assert driver.feed(b"NOOP\r\nNOOP " + b"x" * 9000 + b"\nNOOP\n", size) == (
        b"250 2.0.0 Ok\r\n" + too_long + b"250 2.0.0 Ok\r\n"
    )


def test_a_line_that_never_ends_is_not_kept() -> None:
    driver = started()
    for _ in range(1000):
        assert driver.feed(b"MAIL FROM:<" + b"x" * 1000) == b""
        assert driver.connection.held < 6000
    assert driver.feed(b"\r\n") == b"500 5.5.2 Error: line too long\r\n"


def test_long_lines_of_auth() -> None:
    driver = started(TLS)
    password = b"cGFzc3dvcmQ="
    long_user = b"AUTH LOGIN " + b"QUJD" * 2500
    assert driver.feed(long_user + b"\r\n") == b"334 UGFzc3dvcmQ6\r\n"
    assert driver.feed(b" " * 5000 + password + b"\r\n") == b"235 2.7.0 Authentication successful\r\n"
    driver = started(TLS)
    assert driver.feed(b"AUTH PLAIN\r\n") == b"334 \r\n"
    too_long = b"500 5.5.6 Error: authentication exchange line is too long\r\n"
    assert driver.feed(b"A" * 13_000 + b"\r\nNOOP\r\n", 500) == too_long + b"250 2.0.0 Ok\r\n"
    assert driver.feed(b"AUTH PLAIN " + b"A" * 13_000 + b"\r\n") == b"500 5.5.2 Error: line too long\r\n"


def test_too_many_recipients() -> None:
    driver = started(open_relay(max_recipients=3))
    replies = driver.feed(b"MAIL FROM:<a@b.test>\r\n" + b"RCPT TO:<a@b.test>\r\n" * 5 + b"DATA\r\nx\r\n.\r\n")
    assert replies.splitlines()[1:6] == [b"250 2.1.5 Ok"] * 3 + [b"452 4.5.3 Error: too many recipients"] * 2
    assert len(driver.messages[0].recipients) == 3


def test_too_many_errors() -> None:
    driver = started(open_relay(max_errors=3))
    driver.feed(b"A\r\nB\r\n")
    # An accepted message forgives.
    driver.feed(ENVELOPE + b"DATA\r\nx\r\n.\r\n")
    assert driver.feed(b"A\r\nB\r\nC\r\nMAIL FROM:<a@b.test>\r\n") == (
        b"500 5.5.2 Error: command not recognized\r\n" * 3 + b"421 4.7.0 Error: too many errors\r\n"
    )
    assert driver.events[-1] == ConnectionClosing("too many errors")
    assert driver.feed(b"NOOP\r\n") == b""


def test_failed_logins_are_errors() -> None:
    driver = started(ServerConfig("mail.test", tls_active=True, max_errors=3))
    reply = driver.feed(b"AUTH PLAIN AHUAd3Jvbmc=\r\n" * 5)
    assert reply == b"535 5.7.8 Error: authentication failed\r\n" * 3 + b"421 4.7.0 Error: too many errors\r\n"


def test_what_is_pipelined_behind_a_refusal_is_one_error() -> None:
    driver = started(open_relay(max_errors=5))
    for mail in (b"MAIL FROM:<no@b.test>\r\n", b"MAIL FROM:<a@b.test> SIZE=999999999\r\n", b"MAIL FROM:<x>\r\n"):
        replies = driver.feed(mail + b"RCPT TO:<a@b.test>\r\n" * 50 + b"BDAT 2\r\nxx" * 10 + b"DATA\r\n")
        assert replies.count(b"\r\n503 5.5.1") == 61
    driver = started(ServerConfig("mail.test", tls_active=True, max_errors=5))
    assert driver.feed(b"MAIL FROM:<a@b.test>\r\n" + b"RCPT TO:<a@b.test>\r\n" * 50).count(b"530 5.7.0") == 51


def test_bad_addresses_of_a_long_list_are_not_errors() -> None:
    driver = started()
    replies = driver.feed(b"MAIL FROM:<a@b.test>\r\n" + b"RCPT TO:<bad>\r\n" * 100 + b"RCPT TO:<a@b.test>\r\n")
    assert replies.endswith(b"250 2.1.5 Ok\r\n")


def test_large_content_in_pieces_arrives_whole() -> None:
    driver = in_data()
    line = b"0123456789abcde\r\n"
    piece = line * 3855
    for _ in range(100):
        driver.feed(piece)
    driver.feed(b".\r\n")
    assert driver.messages[0].content == piece * 100
    assert driver.connection.held == 0


def test_replies_that_others_give_cannot_break_the_wire() -> None:
    from ekiden.smtp.reply import Reply

    driver = started()
    connection = driver.connection
    connection.receive_data(b"MAIL FROM:<a@b.test>\r\n")
    assert isinstance(connection.next_event(), MailFrom)
    connection.reject(Reply.of(550, "5.7.1", "no\r\n250 Ok\0ü"))
    assert connection.data_to_send() == b"550 5.7.1 no??250 Ok??\r\n"


CLOSING = b"421 4.7.0 Error: too many commands without a message\r\n"


@pytest.mark.parametrize(
    "command",
    [
        b"NOOP\r\n",
        b"RSET\r\n",
        b"VRFY x\r\n",
        b"HELP\r\n",
        b"EHLO x\r\n",
        b"HELO x\r\n",
        b"MAIL FROM:<no@b.test>\r\n",
        b"MAIL FROM:<a@b.test>\r\nRSET\r\n",
        b"RSET\r\n" + ENVELOPE + b"BDAT 1\r\nx",
        b"RCPT TO:<bad>\r\n",
    ],
)
def test_commands_that_lead_to_nothing_are_counted(command: bytes) -> None:
    driver = started(open_relay(max_commands=40, max_errors=1_000))
    driver.feed(b"MAIL FROM:<a@b.test>\r\n")
    assert driver.feed(command * 200).endswith(CLOSING)
    assert driver.connection.closed


def test_a_message_begins_the_count_anew() -> None:
    driver = started(open_relay(max_commands=40))
    for _ in range(20):
        assert driver.feed(b"NOOP\r\n" * 20 + ENVELOPE + b"DATA\r\nx\r\n.\r\n").endswith(QUEUED)


def test_recipients_that_are_accepted_do_not_count() -> None:
    driver = started(open_relay(max_commands=40, max_recipients=500))
    driver.feed(b"MAIL FROM:<a@b.test>\r\n" + b"RCPT TO:<a@b.test>\r\n" * 500)
    assert driver.feed(b"DATA\r\nx\r\n.\r\n").endswith(QUEUED)


def test_chunks_of_some_size_do_not_count_and_small_ones_do() -> None:
    driver = started(open_relay(max_commands=40, max_size=1 << 20))
    driver.feed(ENVELOPE)
    for _ in range(500):
        assert driver.feed(b"BDAT 1024\r\n" + b"x" * 1024).startswith(b"250 ")
    assert driver.feed(b"BDAT 0 LAST\r\n") == QUEUED
    driver.feed(ENVELOPE)
    out = b"".join(driver.feed(b"BDAT 1\r\nx") for _ in range(200))
    assert out.count(b"250 2.0.0") < 40
    assert out.endswith(CLOSING)


def test_between_chunks_it_is_content_that_is_awaited() -> None:
    """So its pace is that of the content, however short the chunks are."""
    driver = started(open_relay())
    driver.feed(ENVELOPE)
    assert driver.connection.receiving == "command"
    driver.feed(b"BDAT 1\r\nx")
    assert driver.connection.receiving == "content"
    driver.feed(b"RSET\r\n")
    assert driver.connection.receiving == "command"


def test_what_was_announced_is_known_until_the_transaction_ends() -> None:
    driver = started(open_relay())
    driver.feed(b"MAIL FROM:<a@b.test> SIZE=70000\r\n")
    assert driver.connection.announced == 70_000
    driver.feed(b"RSET\r\n")
    assert driver.connection.announced == 0
