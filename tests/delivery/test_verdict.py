"""Replies become verdicts: final or not, and whose matter it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.core.diagnosis import Diagnosis, Stage
from ekiden.core.said import say
from ekiden.core.states import Cause, State
from ekiden.delivery import verdict as verdicts
from ekiden.delivery.verdict import classify
from ekiden.smtp.diagnose import MAX_TEXT
from ekiden.smtp.reply import Reply


@pytest.mark.parametrize(
    ("code", "enhanced", "text", "cause"),
    [
        (550, "5.1.1", "User unknown", Cause.RECIPIENT),
        (550, "5.1.1", "blocked by policy", Cause.POLICY),
        (550, "", "mailbox unavailable", Cause.RECIPIENT),
        (550, "", "No such user here", Cause.RECIPIENT),
        (553, "5.1.3", "bad address", Cause.RECIPIENT),
        (552, "5.2.2", "Mailbox full", Cause.RECIPIENT),
        (452, "4.2.2", "The account is over quota", Cause.RECIPIENT),
        (452, "", "Insufficient storage in mailbox", Cause.RECIPIENT),
        (554, "5.7.1", "Client host [192.0.2.1] blocked using zen.spamhaus.org", Cause.REPUTATION),
        (550, "5.7.1", "Our system has detected a very low reputation of the sending domain", Cause.REPUTATION),
        (421, "4.7.0", "[TSS04] Messages from 192.0.2.1 temporarily deferred", Cause.REPUTATION),
        (550, "5.7.1", "weren't sent. part of their network is on our block list (S3150).", Cause.REPUTATION),
        (421, "4.7.0", "Too many connections", Cause.RATE),
        (450, "4.7.1", "You've exceeded your daily sending rate", Cause.RATE),
        (421, "4.7.28", "unusual", Cause.RATE),
        (450, "4.7.1", "message rate limit", Cause.RATE),
        (451, "4.4.5", "busy", Cause.RATE),
        (554, "5.7.1", "Message refused as spam", Cause.CONTENT),
        (554, "", "virus found", Cause.CONTENT),
        (552, "5.3.4", "message too big", Cause.CONTENT),
        (552, "5.2.3", "longer than the mailbox takes", Cause.CONTENT),
        (554, "5.6.0", "malformed MIME", Cause.CONTENT),
        (550, "5.7.26", "unauthenticated", Cause.POLICY),
        (550, "5.7.1", "Relaying denied", Cause.POLICY),
        (530, "5.7.0", "Must issue STARTTLS first", Cause.POLICY),
        (451, "4.7.1", "Greylisting in action", Cause.POLICY),
        (450, "", "Greylisted, see http://postgrey.example", Cause.POLICY),
        (554, "5.7.1", "no", Cause.POLICY),
        (451, "4.3.0", "server is overloaded", Cause.NETWORK),
        (451, "4.3.2", "System not accepting messages", Cause.NETWORK),
        (421, "", "Service not available", Cause.NETWORK),
        (451, "4.4.1", "no answer", Cause.NETWORK),
        (501, "5.5.4", "Invalid arguments", Cause.OURS),
        (503, "", "bad sequence", Cause.OURS),
        (550, "5.1.8", "Sender address rejected: Domain not found", Cause.OURS),
    ],
)
def test_causes(code: int, enhanced: str, text: str, cause: Cause) -> None:
    verdict = classify(code, enhanced, text)
    assert verdict.cause is cause
    assert verdict.state is (State.BOUNCED if code >= 500 else State.DEFERRED)
    assert (verdict.code, verdict.enhanced, verdict.text) == (code, enhanced, text)


@given(
    st.integers(200, 599).filter(lambda code: not 300 <= code < 400),
    st.sampled_from(["", "4.7.1", "5.1.1", "5.0.0", "2.0.0", "5.999.999"]),
    st.text(max_size=800),
)
def test_every_reply_has_a_verdict(code: int, enhanced: str, text: str) -> None:
    verdict = classify(code, enhanced, text)
    assert verdict.state is {2: State.DELIVERED, 4: State.DEFERRED, 5: State.BOUNCED}[code // 100]
    assert (verdict.cause is Cause.NONE) == (code < 300)
    assert len(verdict.text) <= MAX_TEXT
    assert not any(char < " " or char == "\x7f" for char in verdict.text)


def test_a_refused_connection_waits_whatever_its_code() -> None:
    reply = Reply.of(554, "5.7.1", "Your address is on our block list")
    verdict = verdicts.no_connection(say("refuses_to_talk", reply=str(reply)), reply)
    assert verdict.state is State.DEFERRED
    assert verdict.cause is Cause.REPUTATION
    assert (verdict.code, verdict.enhanced) == (554, "5.7.1")


@pytest.mark.parametrize(
    ("code", "enhanced", "text", "slower"),
    [
        (421, "4.3.2", "closing", True),
        (450, "4.7.1", "rate limit", True),
        (550, "5.7.1", "rate limit", False),
        (451, "4.3.0", "try later", False),
        (250, "", "Ok", False),
        # About one sender's domain, one recipient, one message: nobody else's business.
        (421, "4.7.27", "Your email has been rate limited because SPF authentication didn't pass", False),
        (421, "4.7.29", "rate limited because this message wasn't sent over a TLS connection", False),
        (421, "4.7.30", "rate limited because DKIM authentication didn't pass", False),
        (421, "4.7.32", "rate limited because the From: header isn't aligned", False),
        (421, "4.7.40", "rate limited because the sending domain doesn't have a DMARC record", False),
        (421, "4.7.27", "", False),
        (421, "4.7.28", "unusual rate of unsolicited email originating from your DKIM domain", False),
        (421, "4.7.28", "unusual rate of unsolicited email originating from your IP address", True),
        (450, "4.2.1", "The user you are trying to contact is receiving mail too quickly", False),
        (421, "4.7.1", "Messages to a@x.example deferred due to excessive volume", False),
        (421, "", "#4.x.2 Too many messages for this session", True),
        (421, "4.7.0", "[TSS04] Messages from 192.0.2.1 temporarily deferred", True),
        (451, "4.7.1", "Greylisted", False),
        (452, "4.2.2", "mailbox full", False),
        (421, "4.4.2", "timeout", True),
    ],
)
def test_replies_that_ask_for_fewer_connections(code: int, enhanced: str, text: str, slower: bool) -> None:
    assert verdicts.asks_to_slow_down(classify(code, enhanced, text)) is slower


def test_expiry_keeps_the_last_reply() -> None:
    last = classify(452, "4.2.2", "Mailbox full")
    verdict = verdicts.expired(last, "5d")
    assert verdict.state is State.EXPIRED
    assert (verdict.code, verdict.enhanced, verdict.cause) == (452, "4.2.2", Cause.RECIPIENT)
    assert verdict.text == "given up after 5d; last: Mailbox full"


def test_where_it_was_said_counts() -> None:
    at_rcpt, at_end = (classify(550, "", "Unknown user", stage) for stage in (Stage.RCPT, Stage.END))
    assert (at_rcpt.diagnosis, at_rcpt.cause) == (Diagnosis.NO_MAILBOX, Cause.RECIPIENT)
    assert (at_end.diagnosis, at_end.cause) == (Diagnosis.RECIPIENT_FILTER, Cause.RECIPIENT)
    assert at_rcpt.state is at_end.state is State.BOUNCED


def test_our_own_words_are_not_read() -> None:
    verdict = classify(451, "4.5.0", "The server refused RSET: 550 5.1.1 spam from a blocklist", local=True)
    assert (verdict.state, verdict.diagnosis) == (State.DEFERRED, Diagnosis.NOT_SMTP)


@pytest.mark.parametrize("code", [450, 452, 550, 552])
def test_too_many_recipients_is_temporary(code: int) -> None:
    verdict = classify(code, "", "too many recipients")
    assert (verdict.state, verdict.diagnosis) == (State.DEFERRED, Diagnosis.RECIPIENTS)


@pytest.mark.parametrize(
    ("reply", "hard"),
    [
        ("550 5.1.1 The email account that you tried to reach does not exist.", True),
        ("550 5.1.1 <a@x.example>: Recipient address rejected: User unknown in virtual mailbox table", True),
        ("556 5.1.10 x.example accepts no mail (null MX)", True),
        ("550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", True),
        ("551 5.1.6 The mailbox has moved", True),
        ("553 5.1.3 The recipient address is not a valid RFC-5321 address", False),
        ("550 5.2.1 The email account that you tried to reach is inactive.", True),
        ("550  No such user here", True),
        ("550  Requested action not taken: mailbox unavailable; user unknown", True),
        ("550 5.0.0 a@x.example unknown user account", True),
        ("550 5.0.0 No such user", True),
        ("550 5.1.2 x.example does not exist in the DNS", False),
        ("552 5.2.2 mailbox full", False),
        ("550 5.1.1 mailbox over quota", False),
        ("550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents more", False),
        ("550 5.7.1 User unknown", True),
        ("550  message rejected", False),
        ("450 4.1.1 User unknown", False),
        ("450  User unknown", False),
        ("450 5.1.1 User unknown", False),
        ("499  no such user", False),
        ("500  no such user", True),
        ("550 5.4.4 no route", False),
    ],
)
def test_what_is_a_hard_bounce(reply: str, hard: bool) -> None:
    code, enhanced, text = reply.split(" ", 2)
    verdict = classify(int(code), enhanced, text)
    assert (verdict.state is State.BOUNCED and verdict.diagnosis.hard) is hard
    for stage in Stage:
        assert stage is Stage.RCPT or not classify(int(code), enhanced, text, stage).diagnosis.hard
