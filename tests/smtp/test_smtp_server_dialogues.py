"""Golden dialogues, each played whole, in small pieces, and byte by byte."""

from __future__ import annotations

from dataclasses import replace

import pytest
from smtp_dialogue import QUEUE_ID, Driver, open_relay, play, started

from ekiden.core.address import Address
from ekiden.core.submission import Notify, Recipient, Ret
from ekiden.smtp.commands import COMMANDS
from ekiden.smtp.errors import UsageError
from ekiden.smtp.events import Authenticate, ConnectionClosing, Hello, MailFrom, MessageReceived, RcptTo, StartTls
from ekiden.smtp.reply import Reply
from ekiden.smtp.server import ServerConnection
from ekiden.smtp.server_config import ServerConfig

STARTTLS = ServerConfig("mail.test", tls_available=True)
IMPLICIT = ServerConfig("mail.test", tls_active=True)
RELAY = open_relay()

DIALOGUES: dict[str, tuple[ServerConfig, str]] = {
    "the seed, typed by hand": (
        STARTTLS,
        r"""
        S: 220 mail.test ESMTP
        C: EHLO client.test
        S: 250-mail.test
        S: 250-PIPELINING
        S: 250-SIZE 20971520
        S: 250-8BITMIME
        S: 250-SMTPUTF8
        S: 250-CHUNKING
        S: 250-ENHANCEDSTATUSCODES
        S: 250-DSN
        S: 250-LIMITS RCPTMAX=1000
        S: 250-STARTTLS
        S: 250 HELP
        C: STARTTLS
        S: 220 2.0.0 Ready to start TLS
        # event StartTls
        # tls
        C: auth login\n\
        S: 334 VXNlcm5hbWU6
        C: dXNlcm5hbWU=\n\
        S: 334 UGFzc3dvcmQ6
        C: cGFzc3dvcmQ=\n\
        S: 235 2.7.0 Authentication successful
        C: mail from: mailer@example.com\n\
        S: 250 2.1.0 Ok
        C: rcpt to: recipient@test.com\n\
        S: 250 2.1.5 Ok
        C: data\n\
        S: 354 End data with <CR><LF>.<CR><LF>
        C: from: Mailer <mailer@example.com>
        C: to: Recipient <recipent@test.com>
        C: Subject: IBM Cloud Event Notifications SMTP interface
        C:
        C: Get the all events securely from IBM EN SMTP Interface
        C: .
        S: 250 2.0.0 Ok: queued as 0123456789ABC
        C: quit
        S: 221 2.0.0 Bye
        # event ConnectionClosing
        """,
    ),
    "EHLO inside TLS": (
        IMPLICIT,
        r"""
        S: 220 mail.test ESMTP
        C: ehlo [127.0.0.1]
        S: 250-mail.test
        S: 250-PIPELINING
        S: 250-SIZE 20971520
        S: 250-8BITMIME
        S: 250-SMTPUTF8
        S: 250-CHUNKING
        S: 250-ENHANCEDSTATUSCODES
        S: 250-DSN
        S: 250-LIMITS RCPTMAX=1000
        S: 250-AUTH LOGIN PLAIN
        S: 250 HELP
        C: STARTTLS
        S: 503 5.5.1 Error: TLS already active
        """,
    ),
    "nothing before TLS": (
        STARTTLS,
        r"""
        S: 220 mail.test ESMTP
        C: HELO client.test
        S: 250 mail.test
        C: AUTH PLAIN AHUAcGFzc3dvcmQ=
        S: 530 5.7.0 Must issue a STARTTLS command first
        C: MAIL FROM:<a@b.test>
        S: 530 5.7.0 Must issue a STARTTLS command first
        C: RCPT TO:<a@b.test>
        S: 530 5.7.0 Must issue a STARTTLS command first
        C: DATA
        S: 530 5.7.0 Must issue a STARTTLS command first
        C: BDAT 6 LAST
        C: NOOP
        S: 530 5.7.0 Must issue a STARTTLS command first
        C: VRFY a@b.test
        S: 530 5.7.0 Must issue a STARTTLS command first
        C: NOOP
        S: 250 2.0.0 Ok
        C: RSET
        S: 250 2.0.0 Ok
        C: STARTTLS now
        S: 501 5.5.4 Syntax: STARTTLS
        C: QUIT
        S: 221 2.0.0 Bye
        """,
    ),
    "no AUTH where there is no TLS": (
        RELAY,
        r"""
        S: 220 mail.test ESMTP
        C: AUTH PLAIN AHUAcGFzc3dvcmQ=
        S: 502 5.5.1 Error: AUTH is not offered here
        C: STARTTLS
        S: 502 5.5.1 Error: STARTTLS is not offered here
        """,
    ),
    "AUTH in all its ways": (
        IMPLICIT,
        r"""
        S: 220 mail.test ESMTP
        C: MAIL FROM:<a@b.test>
        S: 530 5.7.0 Authentication required
        C: AUTH
        S: 501 5.5.4 Syntax: AUTH mechanism [initial-response]
        C: AUTH CRAM-MD5
        S: 504 5.5.4 Error: unknown authentication mechanism
        C: AUTH PLAIN %%%
        S: 501 5.5.2 Error: bad base64 in the response
        C: AUTH PLAIN =
        S: 501 5.5.2 Error: malformed response
        C: AUTH PLAIN dXNlcg==
        S: 501 5.5.2 Error: malformed response
        C: AUTH PLAIN /////w==
        S: 501 5.5.2 Error: malformed response
        C: AUTH PLAIN b3RoZXIAdXNlcgBwYXNzd29yZA==
        S: 535 5.7.8 Error: authentication failed
        C: AUTH PLAIN
        S: 334
        C: *
        S: 501 5.7.0 Authentication aborted
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: QXBw
        S: 334 UGFzc3dvcmQ6
        C:  *
        S: 501 5.7.0 Authentication aborted
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: \xc3\xbc
        S: 501 5.5.2 Error: bad base64 in the response
        C: AUTH LOGIN =
        S: 334 VXNlcm5hbWU6
        C:
        S: 501 5.5.2 Error: malformed response
        C: AUTH LOGIN   QXBw
        S: 334 UGFzc3dvcmQ6
        C: d3Jvbmc=
        S: 535 5.7.8 Error: authentication failed
        C: auth login
        S: 334 VXNlcm5hbWU6
        C:   QXBw
        S: 334 UGFzc3dvcmQ6
        C:  cGFzc3dvcmQ=
        S: 235 2.7.0 Authentication successful
        C: AUTH PLAIN AHUAcGFzc3dvcmQ=
        S: 503 5.5.1 Error: already authenticated
        C: MAIL FROM:<a@b.test>
        S: 250 2.1.0 Ok
        C: AUTH PLAIN AHUAcGFzc3dvcmQ=
        S: 503 5.5.1 Error: AUTH is not permitted during a mail transaction
        """,
    ),
    "AUTH PLAIN without initial response, and with identity": (
        IMPLICIT,
        r"""
        S: 220 mail.test ESMTP
        C: AUTH PLAIN
        S: 334
        C:  dXNlcgB1c2VyAHBhc3N3b3Jk
        S: 235 2.7.0 Authentication successful
        """,
    ),
    "the order of commands": (
        RELAY,
        r"""
        S: 220 mail.test ESMTP
        C: RCPT TO:<a@b.test>
        S: 503 5.5.1 Error: need MAIL command
        C: DATA
        S: 503 5.5.1 Error: need MAIL command
        C: MAIL FROM:<a@b.test>
        S: 250 2.1.0 Ok
        C: MAIL FROM:<a@b.test>
        S: 503 5.5.1 Error: nested MAIL command
        C: DATA
        S: 554 5.5.1 No valid recipients
        C: RCPT TO:<nobody@b.test>
        S: 550 5.7.1 Refused by the test
        C: DATA
        S: 554 5.5.1 No valid recipients
        C: RCPT TO:<a@b.test>
        S: 250 2.1.5 Ok
        C: STARTTLS
        S: 503 5.5.1 Error: bad sequence of commands
        C: DATA now
        S: 501 5.5.4 Syntax: DATA
        C: RSET
        S: 250 2.0.0 Ok
        C: RCPT TO:<a@b.test>
        S: 503 5.5.1 Error: need MAIL command
        C: MAIL FROM:<no@b.test>
        S: 550 5.7.1 Refused by the test
        C: RCPT TO:<a@b.test>
        S: 503 5.5.1 Error: need MAIL command
        C: MAIL FROM:<>
        S: 250 2.1.0 Ok
        C: HELO again
        S: 250 mail.test
        C: DATA
        S: 503 5.5.1 Error: need MAIL command
        """,
    ),
    "commands and their arguments": (
        RELAY,
        r"""
        S: 220 mail.test ESMTP
        C: HELO
        S: 501 5.5.4 Syntax: HELO hostname
        C: EHLO
        S: 501 5.5.4 Syntax: EHLO hostname
        C: NOOP anything at all
        S: 250 2.0.0 Ok
        C: RSET now
        S: 501 5.5.4 Syntax: RSET
        C: VRFY
        S: 501 5.5.4 Syntax: VRFY address
        C: VRFY someone
        S: 252 2.0.0 Send some mail, and we will try to deliver it
        C: EXPN list
        S: 502 5.5.1 Error: command not implemented
        C: ETRN domain
        S: 502 5.5.1 Error: command not implemented
        C: BANANA
        S: 500 5.5.2 Error: command not recognized
        C:
        S: 500 5.5.2 Error: command not recognized
        C: nOoP
        S: 250 2.0.0 Ok
        C:   noop
        S: 250 2.0.0 Ok
        C: NOOP\tx
        S: 250 2.0.0 Ok
        C: NO\0OP
        S: 500 5.5.2 Error: the command has control characters or is not UTF-8
        C: NOOP \xff
        S: 500 5.5.2 Error: the command has control characters or is not UTF-8
        C: NOOP\rNOOP
        S: 500 5.5.2 Error: the command has control characters or is not UTF-8
        C: QUIT now
        S: 501 5.5.4 Syntax: QUIT
        C: QUIT
        S: 221 2.0.0 Bye
        """,
    ),
    "paths": (
        RELAY,
        r"""
        S: 220 mail.test ESMTP
        C: MAIL FROM
        S: 501 5.5.4 Syntax: MAIL FROM:<address>
        C: MAIL FROM:
        S: 501 5.5.4 Syntax: MAIL FROM:<address>
        C: MAIL FROM:<a@b.test
        S: 501 5.5.4 Syntax: MAIL FROM:<address>
        C: MAIL FROM:<a@b.test>SIZE=1
        S: 501 5.5.4 Syntax: MAIL FROM:<address>
        C: MAIL TO:<a@b.test>
        S: 501 5.5.4 Syntax: MAIL FROM:<address>
        C: MAIL FROM:<nobody>
        S: 501 5.1.7 Bad address: 'nobody' has no @
        C: MAIL FROM:<\xc3\xbc@b.test>
        S: 553 5.6.7 The address has non-ASCII characters: MAIL needs SMTPUTF8
        C: MAIL FROM : a@b.test SIZE=10
        S: 250 2.1.0 Ok
        C: rcpt to:<@one.test,@[IPv6:::1]:user@dom.test>
        S: 250 2.1.5 Ok
        C: Rcpt To: < "a> b"@dom.test >
        S: 250 2.1.5 Ok
        C: RCPT TO:"a b"@dom.test NOTIFY=NEVER
        S: 250 2.1.5 Ok
        C: RCPT TO:<@route-without-end>
        S: 501 5.5.4 Syntax: RCPT TO:<address>
        C: RCPT TO:<"a@dom.test>
        S: 501 5.5.4 Syntax: RCPT TO:<address>
        C: RCPT TO:<>
        S: 501 5.1.3 Bad recipient address: it is empty
        C: RCPT TO:<postmaster>
        S: 550 5.1.1 No mailbox here: postmaster needs a domain
        C: RCPT TO:<a@b..test>
        S: 501 5.1.3 Bad address: b..test is not a domain name: the part '' is not allowed
        C: RCPT TO:<u@\xe4\xbe\x8b.test>
        S: 553 5.6.7 The address has non-ASCII characters: MAIL needs SMTPUTF8
        """,
    ),
    "parameters": (
        RELAY,
        r"""
        S: 220 mail.test ESMTP
        C: MAIL FROM:<a@b.test> SIZE=20971521
        S: 552 5.3.4 Message size 20971521 exceeds the limit of 20971520 octets
        C: MAIL FROM:<a@b.test> SIZE=big
        S: 501 5.5.4 Bad value of SIZE: it is a number of octets
        C: MAIL FROM:<a@b.test> SIZE=1 size=1
        S: 501 5.5.4 The parameter SIZE is given twice
        C: MAIL FROM:<a@b.test> BODY=BINARYMIME
        S: 555 5.5.4 Unsupported parameter: BODY=BINARYMIME
        C: MAIL FROM:<a@b.test> FOO=bar
        S: 555 5.5.4 Unsupported parameter: FOO
        C: MAIL FROM:<a@b.test> RET=ALL
        S: 501 5.5.4 Bad value of RET: it is FULL or HDRS
        C: MAIL FROM:<a@b.test> ENVID=a+0D+0Ab
        S: 501 5.5.4 Bad value of ENVID: xtext of characters that are not printable
        C: MAIL FROM:<a@b.test> ENVID=a+zz
        S: 501 5.5.4 Bad value of ENVID: not xtext
        C: MAIL FROM:<a@b.test> SMTPUTF8=1
        S: 501 5.5.4 Bad value of SMTPUTF8: it takes none
        C: MAIL FROM:<\xc3\xbc@b.test> SMTPUTF8 BODY=8BITMIME AUTH=<> RET=HDRS ENVID=id+2B1
        S: 250 2.1.0 Ok
        C: RCPT TO:<a@b.test> NOTIFY=NEVER,FAILURE
        S: 501 5.5.4 Bad value of NOTIFY: it is NEVER, or any of SUCCESS,FAILURE,DELAY
        C: RCPT TO:<a@b.test> ORCPT=nothing
        S: 501 5.5.4 Bad value of ORCPT: not an address type and an address
        C: RCPT TO:<a@b.test> SIZE=1
        S: 555 5.5.4 Unsupported parameter: SIZE
        C: RCPT TO:<\xe4\xbe\x8b@\xe4\xbe\x8b.test> NOTIFY=success,Delay ORCPT=utf-8;\xe4\xbe\x8b@b.test
        S: 250 2.1.5 Ok
        """,
    ),
    "pipelining": (
        RELAY,
        r"""
        S: 220 mail.test ESMTP
        C: MAIL FROM:<a@b.test>
        C: RCPT TO:<nobody@b.test>
        C: RCPT TO:<b@b.test>
        C: DATA
        C: one
        C: .
        C: MAIL FROM:<a@b.test>
        C: RCPT TO:<b@b.test>
        C: DATA
        C: refuse me
        C: .
        C: MAIL FROM:<no@b.test>
        C: RCPT TO:<b@b.test>
        C: DATA
        C: QUIT
        C: NOOP
        S: 250 2.1.0 Ok
        S: 550 5.7.1 Refused by the test
        S: 250 2.1.5 Ok
        S: 354 End data with <CR><LF>.<CR><LF>
        S: 250 2.0.0 Ok: queued as 0123456789ABC
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 354 End data with <CR><LF>.<CR><LF>
        S: 550 5.7.1 Refused by the test
        S: 550 5.7.1 Refused by the test
        S: 503 5.5.1 Error: need MAIL command
        S: 503 5.5.1 Error: need MAIL command
        S: 221 2.0.0 Bye
        """,
    ),
    "chunks": (
        RELAY,
        r"""
        S: 220 mail.test ESMTP
        C: BDAT 6
        C: NOOP
        S: 503 5.5.1 Error: need MAIL command
        C: MAIL FROM:<a@b.test>
        S: 250 2.1.0 Ok
        C: BDAT 6 LAST
        C: NOOP
        S: 554 5.5.1 No valid recipients
        C: RCPT TO:<a@b.test>
        S: 250 2.1.5 Ok
        C: bdat 5
        C: one
        S: 250 2.0.0 Ok: 5 octets received
        C: DATA
        S: 503 5.5.1 Error: BDAT has begun, only BDAT or RSET may follow
        C: RCPT TO:<b@b.test>
        S: 503 5.5.1 Error: BDAT has begun, only BDAT or RSET may follow
        C: MAIL FROM:<b@b.test>
        S: 503 5.5.1 Error: nested MAIL command
        C: BDAT 0
        S: 250 2.0.0 Ok: 0 octets received
        C: BDAT 3
        C: .
        S: 250 2.0.0 Ok: 3 octets received
        C: BDAT 0 LAST
        S: 250 2.0.0 Ok: queued as 0123456789ABC
        C: MAIL FROM:<a@b.test>
        S: 250 2.1.0 Ok
        C: RCPT TO:<a@b.test>
        S: 250 2.1.5 Ok
        C: BDAT 3 LAST
        C: end\
        S: 250 2.0.0 Ok: queued as 0123456789ABC
        C: MAIL FROM:<a@b.test>
        C: RCPT TO:<nobody@b.test>
        C: BDAT 6
        C: DATA
        C: BDAT 6 LAST
        C: QUIT
        S: 250 2.1.0 Ok
        S: 550 5.7.1 Refused by the test
        S: 554 5.5.1 No valid recipients
        S: 554 5.5.1 No valid recipients
        C: BDAT x
        S: 501 5.5.4 Syntax: BDAT size [LAST]; closing, the end of the chunk is unknown
        # event ConnectionClosing
        """,
    ),
    "idle": (
        RELAY,
        r"""
        S: 220 mail.test ESMTP
        C: NOO\
        # timeout
        S: 421 4.4.2 Error: timeout exceeded
        # event ConnectionClosing
        """,
    ),
    "idle in the middle of content": (
        RELAY,
        r"""
        S: 220 mail.test ESMTP
        C: MAIL FROM:<a@b.test>
        C: RCPT TO:<a@b.test>
        C: DATA
        C: half
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 354 End data with <CR><LF>.<CR><LF>
        # timeout
        S: 421 4.4.2 Error: timeout exceeded
        # event ConnectionClosing
        """,
    ),
    "going away": (
        RELAY,
        r"""
        S: 220 mail.test ESMTP
        # shutdown
        S: 421 4.3.2 Service shutting down
        # event ConnectionClosing
        """,
    ),
    "a client that hangs up": (
        RELAY,
        r"""
        S: 220 mail.test ESMTP
        C: NOOP
        C: NOO\
        S: 250 2.0.0 Ok
        # eof
        # event ConnectionClosing
        """,
    ),
    "another protocol": (
        RELAY,
        r"""
        S: 220 mail.test ESMTP
        C: POST / HTTP/1.1
        C: MAIL FROM:<a@b.test>
        S: 421 4.7.0 This is not the protocol spoken here
        # event ConnectionClosing
        """,
    ),
    "help": (
        RELAY,
        r"""
        S: 220 mail.test ESMTP
        C: HELP
        S: 214-2.0.0 Commands of this server:
        S: 214-2.0.0   HELP HELO EHLO STARTTLS AUTH MAIL RCPT
        S: 214-2.0.0   DATA BDAT RSET NOOP VRFY QUIT
        S: 214 2.0.0 For one of them: HELP <command>
        C: help quit
        S: 214-2.0.0 QUIT
        S: 214 2.0.0 Ends the session.
        C: HELP me
        S: 504 5.5.4 No help on that; say HELP for the list
        """,
    ),
    "help in Japanese, once EHLO was said": (
        open_relay(language="ja"),
        r"""
        S: 220 mail.test ESMTP
        C: HELP QUIT
        S: 214-2.0.0 QUIT
        S: 214 2.0.0 Ends the session.
        C: EHLO x
        S: 250-mail.test
        S: 250-PIPELINING
        S: 250-SIZE 20971520
        S: 250-8BITMIME
        S: 250-SMTPUTF8
        S: 250-CHUNKING
        S: 250-ENHANCEDSTATUSCODES
        S: 250-DSN
        S: 250-LIMITS RCPTMAX=1000
        S: 250 HELP
        C: HELP QUIT
        S: 214-2.0.0 QUIT
        S: 214 2.0.0 セッションを終了します。
        """,
    ),
    "a listener that wants HELO and knows postmaster": (
        open_relay(require_hello=True, accept_bare_postmaster=True, ask_before_data=True),
        r"""
        S: 220 mail.test ESMTP
        C: MAIL FROM:<a@b.test>
        S: 503 5.5.1 Error: send HELO or EHLO first
        C: HELO x
        S: 250 mail.test
        C: MAIL FROM:<a@b.test>
        S: 250 2.1.0 Ok
        C: RCPT TO:<Postmaster>
        S: 250 2.1.5 Ok
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        # event DataStarting
        C: .
        S: 250 2.0.0 Ok: queued as 0123456789ABC
        """,
    ),
}


@pytest.mark.parametrize("size", [0, 1, 7])
@pytest.mark.parametrize("name", DIALOGUES)
def test_dialogue(name: str, size: int) -> None:
    config, script = DIALOGUES[name]
    play(script, config, size)


def test_events_of_a_session() -> None:
    driver = Driver(ServerConnection(STARTTLS))
    driver.feed(b"EHLO c.test\r\nSTARTTLS\r\n")
    driver.connection.tls_established("TLSv1.3 X")
    driver.feed(b"EHLO d.test\r\nAUTH PLAIN AEFwcABwYXNzd29yZA==\r\n")
    driver.feed(b"MAIL FROM:<a@b.test> SIZE=7 BODY=8BITMIME RET=FULL ENVID=x\r\n")
    driver.feed(
        b"RCPT TO:<c@D.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@d.test\r\nDATA\r\nhello\r\n.\r\nQUIT\r\n"
    )
    address = Address("c@d.test", "d.test", "c@D.test")
    recipient = Recipient(address, Notify.SUCCESS | Notify.DELAY, "rfc822;x+y@d.test")
    kinds = [type(event) for event in driver.events]
    assert kinds == [
        Hello, StartTls, Hello, Authenticate, MailFrom, RcptTo, MessageReceived, ConnectionClosing,
    ]  # fmt: skip
    assert driver.events[0] == Hello("c.test", True)
    assert driver.events[3] == Authenticate("PLAIN", "App", "password")
    assert "password" not in repr(driver.events[3])
    assert driver.events[5] == RcptTo(recipient)
    message = driver.messages[0]
    assert message.sender == Address("a@b.test", "b.test")
    assert message.recipients == [recipient]
    assert message.content == b"hello\r\n"
    assert (message.params.size, message.params.eight_bit) == (7, True)
    assert (message.params.ret, message.params.envid) == (Ret.FULL, "x")
    assert driver.connection.closed
    assert driver.connection.authenticated == "App"


def test_the_empty_challenge_has_its_blank() -> None:
    """``continue-req = "334" SP [base64] CRLF`` (RFC 4954 §8)."""
    assert started(IMPLICIT).feed(b"AUTH PLAIN\r\n") == b"334 \r\n"


def test_source_route_is_stripped() -> None:
    driver = started()
    driver.feed(b"MAIL FROM:<@relay.test:a@b.test>\r\nRCPT TO:<@x.test,@y.test:c@d.test>\r\n")
    assert driver.events[0].sender == Address("a@b.test", "b.test")  # type: ignore[union-attr]
    assert driver.events[1].recipient.address.text == "c@d.test"  # type: ignore[union-attr]


def test_carriers_old_addresses_may_be_refused() -> None:
    driver = started(replace(RELAY, carrier_addresses=False))
    driver.feed(b"MAIL FROM:<a@b.test>\r\n")
    assert driver.feed(b"RCPT TO:<a..b@docomo.ne.jp>\r\n").startswith(b"501 5.1.3 ")
    assert driver.feed(b'RCPT TO:<"a..b"@docomo.ne.jp>\r\n').startswith(b"250 ")
    assert driver.feed(b"RCPT TO:<ab@docomo.ne.jp>\r\n").startswith(b"250 ")


def test_smtputf8_addresses() -> None:
    driver = started()
    driver.feed("MAIL FROM:<送信@例え.test> SMTPUTF8\r\nRCPT TO:<受信@例え.test>\r\nDATA\r\nx\r\n.\r\n".encode())
    message = driver.messages[0]
    assert message.sender == Address("送信@xn--r8jz45g.test", "xn--r8jz45g.test", "送信@例え.test")
    assert message.recipients[0].address.text == "受信@xn--r8jz45g.test"
    assert message.params.smtputf8


def test_everything_is_dropped_at_starttls() -> None:
    connection = ServerConnection(STARTTLS)
    driver = Driver(connection)
    # The second EHLO and the MAIL are an injection: sent in clear text behind STARTTLS.
    driver.feed(b"EHLO c.test\r\nSTARTTLS\r\nEHLO evil.test\r\nMAIL FROM:<evil@b.test>\r\n")
    connection.receive_data(b"NOOP\r\n")  # what comes before the handshake is over is TLS's, not ours
    assert (driver.turn(), connection.buffered, connection.held) == (b"", 0, 0)
    assert [type(event) for event in driver.events] == [Hello, StartTls]
    connection.tls_established("TLSv1.3 X")
    assert (connection.hello, connection.esmtp) == ("", False)
    assert driver.feed(b"RCPT TO:<a@b.test>\r\n") == b"530 5.7.0 Authentication required\r\n"


RELAY_WITH_TLS = open_relay(tls_available=True)


@pytest.mark.parametrize("command", [b"RCPT TO:<a@b.test>", b"DATA", b"BDAT 0 LAST"])
def test_what_a_refused_mail_left_behind_does_not_survive_starttls(command: bytes) -> None:
    """Without TLS and AUTH to be asked for, so that it is the state that answers."""
    kept, dropped = Driver(ServerConnection(RELAY_WITH_TLS)), Driver(ServerConnection(RELAY_WITH_TLS))
    for driver in (kept, dropped):
        driver.feed(b"EHLO c.test\r\n")
        assert driver.feed(b"MAIL FROM:<no@b.test>\r\n").startswith(b"550 ")
    assert dropped.feed(b"STARTTLS\r\n").startswith(b"220 ")
    dropped.connection.tls_established("TLSv1.3 X")
    # Behind a MAIL that was refused nothing counts as an error; after STARTTLS nobody has said MAIL.
    for _ in range(RELAY_WITH_TLS.max_errors - 1):
        assert dropped.feed(command + b"\r\n").startswith(b"503 5.5.1 ")
        assert kept.feed(command + b"\r\n").startswith(b"503 5.5.1 ")
    dropped.feed(command + b"\r\n")
    kept.feed(command + b"\r\n")
    assert (kept.connection.closed, dropped.connection.closed) == (False, True)


def test_starttls_has_no_place_in_a_transaction() -> None:
    driver = Driver(ServerConnection(RELAY_WITH_TLS))
    driver.feed(b"EHLO c.test\r\nMAIL FROM:<a@b.test>\r\n")
    assert driver.feed(b"STARTTLS\r\n").startswith(b"503 ")
    assert driver.feed(b"RCPT TO:<a@b.test>\r\n").startswith(b"250 ")
    assert driver.feed(b"STARTTLS\r\n").startswith(b"503 ")
    assert driver.feed(b"RSET\r\nSTARTTLS\r\n").endswith(b"220 2.0.0 Ready to start TLS\r\n")
    driver.connection.tls_established("TLSv1.3 X")
    assert driver.feed(b"RCPT TO:<a@b.test>\r\n").startswith(b"503 ")
    assert driver.feed(b"DATA\r\n").startswith(b"503 ")
    assert driver.messages == []


def test_the_greeting_does_not_survive_starttls() -> None:
    driver = Driver(ServerConnection(open_relay(tls_available=True, require_hello=True)))
    driver.feed(b"EHLO c.test\r\n")
    assert driver.feed(b"MAIL FROM:<a@b.test>\r\nRSET\r\n").startswith(b"250 ")
    driver.feed(b"STARTTLS\r\n")
    driver.connection.tls_established("TLSv1.3 X")
    assert (driver.connection.hello, driver.connection.transmission_type()) == ("", "ESMTPS")
    assert driver.feed(b"MAIL FROM:<a@b.test>\r\n").startswith(b"503 ")
    assert driver.feed(b"EHLO c.test\r\nMAIL FROM:<a@b.test>\r\n").endswith(b"250 2.1.0 Ok\r\n")


def test_an_exchange_that_was_begun_in_clear_does_not_survive_starttls() -> None:
    """What comes after the handshake is a command, whatever was half said before it."""
    driver = Driver(ServerConnection(RELAY_WITH_TLS))
    driver.feed(b"EHLO c.test\r\nSTARTTLS\r\nAUTH LOGIN\r\nEHL")
    driver.connection.tls_established("TLSv1.3 X")
    assert driver.feed(b"O c.test\r\n").startswith(b"500 ")
    assert driver.feed(b"NOOP\r\n").startswith(b"250 ")
    assert not [event for event in driver.events if isinstance(event, Authenticate)]


def test_pipelined_octets_wait_behind_a_decision() -> None:
    connection = ServerConnection(RELAY)
    connection.receive_data(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>\r\nQUIT\r\n")
    assert isinstance(connection.next_event(), MailFrom)
    assert connection.waiting
    assert connection.next_event() is None
    waiting = connection.buffered
    connection.receive_data(b"NOOP\r\n")
    assert connection.buffered == waiting + 6 == len(b"RCPT TO:<a@b.test>\r\nQUIT\r\nNOOP\r\n")
    connection.accept()
    assert isinstance(connection.next_event(), RcptTo)
    connection.reject(Reply.of(450, "4.2.0", "Later"))
    assert isinstance(connection.next_event(), ConnectionClosing)
    assert connection.next_event() is None
    assert connection.data_to_send() == (
        b"220 mail.test ESMTP\r\n250 2.1.0 Ok\r\n450 4.2.0 Later\r\n221 2.0.0 Bye\r\n"
    )


def test_shutdown_waits_for_the_decision_that_is_awaited() -> None:
    connection = started().connection
    connection.receive_data(
        b"MAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>\r\nDATA\r\nx\r\n.\r\nMAIL FROM:<a@b.test>\r\n"
    )
    while not isinstance(connection.next_event(), MessageReceived):
        if connection.waiting:
            connection.accept()
    connection.data_to_send()
    connection.shutdown()
    connection.shutdown()
    assert connection.data_to_send() == b""
    assert connection.next_event() is None
    connection.accept_message(QUEUE_ID)
    assert connection.data_to_send() == (
        b"250 2.0.0 Ok: queued as 0123456789ABC\r\n421 4.3.2 Service shutting down\r\n"
    )
    assert connection.next_event() == ConnectionClosing("shutdown")


def test_decisions_that_come_too_late_are_harmless() -> None:
    connection = started().connection
    connection.receive_data(b"MAIL FROM:<a@b.test>\r\n")
    connection.next_event()
    connection.reject(Reply.of(421, "4.3.2", "Overloaded"))
    assert connection.data_to_send() == b"421 4.3.2 Overloaded\r\n"
    assert connection.next_event() == ConnectionClosing("Overloaded")
    connection.accept()
    connection.reject(Reply.of(550, "5.0.0", "No"))
    connection.accept_message("X")
    assert connection.data_to_send() == b""


def test_decisions_that_answer_nothing_are_errors() -> None:
    connection = started().connection
    for call in (connection.accept, connection.accept_auth, connection.reject_auth):
        with pytest.raises(UsageError):
            call()
    with pytest.raises(UsageError):
        connection.accept_message("X")
    with pytest.raises(UsageError):
        connection.reject(Reply.of(550, "", "No"))
    with pytest.raises(UsageError):
        connection.tls_established("TLSv1.3 X")


def test_refusing_a_connection_replaces_the_banner() -> None:
    connection = ServerConnection(RELAY)
    connection.refuse(Reply.of(421, "4.7.0", "Too many connections"))
    assert connection.data_to_send() == b"421 4.7.0 Too many connections\r\n"
    assert connection.next_event() == ConnectionClosing("refused")


@pytest.mark.parametrize(
    ("config", "commands", "smtputf8", "expected"),
    [
        (RELAY, b"HELO x\r\n", False, "SMTP"),
        (RELAY, b"EHLO x\r\n", False, "ESMTP"),
        (RELAY, b"EHLO x\r\n", True, "UTF8SMTP"),
        (IMPLICIT, b"EHLO x\r\n", False, "ESMTPS"),
        (IMPLICIT, b"EHLO x\r\nAUTH PLAIN AHUAcGFzc3dvcmQ=\r\n", False, "ESMTPSA"),
        (IMPLICIT, b"EHLO x\r\nAUTH PLAIN AHUAcGFzc3dvcmQ=\r\n", True, "UTF8SMTPSA"),
    ],
)
def test_transmission_type(config: ServerConfig, commands: bytes, smtputf8: bool, expected: str) -> None:
    driver = started(config)
    driver.feed(commands)
    assert driver.connection.transmission_type(smtputf8) == expected


def test_every_command_has_help_in_both_languages() -> None:
    for language in ("en", "ja"):
        driver = started(open_relay(language=language))
        driver.feed(b"EHLO x\r\n")
        for verb, command in COMMANDS.items():
            text = driver.feed(f"HELP {verb}\r\n".encode()).decode()
            assert text.startswith("214-2.0.0 ")
            assert command.syntax in text
            assert (command.help_en if language == "en" else command.help_ja) in text
            assert command.help_en.isascii()
            assert not command.help_ja.isascii()


def test_what_the_driver_may_time() -> None:
    driver = started()
    connection = driver.connection
    assert connection.receiving == "command"
    driver.feed(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n")
    assert connection.receiving == "content"
    connection.receive_data(b"x\r\n.\r\n")
    connection.next_event()
    assert connection.receiving == ""
