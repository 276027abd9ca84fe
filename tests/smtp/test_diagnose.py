"""What replies say: documented forms of many receivers, and others whose codes and words contradict each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.core.diagnosis import Diagnosis, Stage
from ekiden.core.states import Cause
from ekiden.smtp.diagnose import _of_text, diagnose, diagnose_own
from ekiden.smtp.reply import ReplyParser

BY_LABEL = {diagnosis.label: diagnosis for diagnosis in Diagnosis}
REPLIES = [
    line.split("\t")
    for line in (Path(__file__).parent / "replies.tsv").read_text().splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize(("stage", "code", "enhanced", "wanted", "text"), REPLIES)
def test_documented_replies(stage: str, code: str, enhanced: str, wanted: str, text: str) -> None:
    assert diagnose(Stage[stage.upper()], int(code), enhanced, text).label == wanted
    # In other letters it says the same.
    assert diagnose(Stage[stage.upper()], int(code), enhanced, text.upper()).label == wanted


def test_the_table_has_every_diagnosis_that_a_reply_can_lead_to() -> None:
    ours = {Diagnosis.NONE, Diagnosis.OURS, Diagnosis.UNREPORTED, Diagnosis.NO_ANSWER, Diagnosis.NOT_SMTP}
    assert {BY_LABEL[row[3]] for row in REPLIES} >= set(Diagnosis) - ours - {Diagnosis.NETWORK}
    assert len(REPLIES) > 400


# What excuses the recipient, whatever else is said: a good address must not be taken for a dead one.
EXCUSES = (
    "rejected by local policy",
    "this looks like spam",
    "mailbox is full",
    "over quota",
    "message too large",
    "relaying denied",
    "rate limited",
    "too many connections",
    "blocked using zen.spamhaus.org",
    "SPF check failed",
    "DMARC policy",
    "greylisted, try again later",
    "administratively prohibited",
    "try again later",
)
GONE = ("User unknown", "No such user here", "Mailbox does not exist", "Recipient address rejected: user unknown")


@pytest.mark.parametrize("excuse", EXCUSES)
@pytest.mark.parametrize("gone", GONE)
@pytest.mark.parametrize(("code", "enhanced"), [(550, "5.1.1"), (550, ""), (554, "5.7.1"), (550, "5.2.1")])
def test_nothing_is_hard_that_speaks_of_something_else(excuse: str, gone: str, code: int, enhanced: str) -> None:
    assert diagnose(Stage.RCPT, code, enhanced, f"<a@x.example>: {gone}").hard
    assert not diagnose(Stage.RCPT, code, enhanced, f"<a@x.example>: {gone}; {excuse}").hard
    assert not diagnose(Stage.RCPT, code, enhanced, f"{excuse}: <a@x.example> {gone.lower()}").hard


@pytest.mark.parametrize("row", REPLIES, ids=lambda row: row[4][:40])
def test_only_an_answer_to_rcpt_can_be_hard(row: list[str]) -> None:
    for stage in Stage:
        found = diagnose(stage, int(row[1]), row[2], row[4])
        assert stage is Stage.RCPT or not found.hard
        assert int(row[1]) >= 500 or found not in (Diagnosis.NO_MAILBOX, Diagnosis.NONE)


def test_addresses_and_links_say_nothing() -> None:
    for word in ("spam", "policy", "full", "greylist", "sorbs", "dmarc", "relay"):
        text = f"<{word}@{word}.example>: User unknown; see https://{word}.example/{word} ({word}.mx.example.net)"
        assert diagnose(Stage.RCPT, 550, "5.1.1", text) is Diagnosis.NO_MAILBOX


def test_own_replies_are_judged_by_their_codes() -> None:
    """Their words quote what peers said."""
    assert diagnose_own(421, "4.4.2") is Diagnosis.LOST
    assert diagnose_own(451, "4.5.0") is Diagnosis.NOT_SMTP
    assert diagnose_own(451, "4.3.0") is Diagnosis.PEER
    assert diagnose_own(553, "5.6.7") is Diagnosis.SMTPUTF8
    assert diagnose_own(553, "5.1.3") is Diagnosis.BAD_ADDRESS
    assert diagnose_own(552, "5.3.4") is Diagnosis.TOO_BIG
    assert diagnose_own(452, "4.5.3") is Diagnosis.RECIPIENTS


@given(
    st.sampled_from(Stage),
    st.integers(400, 599),
    st.one_of(st.just(""), st.from_regex(r"[45]\.\d{1,3}\.\d{1,3}", fullmatch=True), st.text(max_size=8)),
    st.text(max_size=700),
)
def test_every_refusal_has_a_diagnosis(stage: Stage, code: int, enhanced: str, text: str) -> None:
    assert diagnose(stage, code, enhanced, text).cause is not Cause.NONE
    assert diagnose_own(code, enhanced).cause is not Cause.NONE


def test_sessions_and_times_do_not_make_replies_different() -> None:
    """A million bounces of one receiver are read once: what tells them apart is not looked at."""
    before = _of_text.cache_info().misses
    for number in range(1000, 1100):
        parser = ReplyParser()
        parser.feed(
            f"550 5.1.1 <u{number}@x.example> does not exist, h{number}si675602plb.{number} - gsmtp\r\n".encode()
        )
        reply = parser.next()
        assert reply is not None
        assert diagnose(Stage.RCPT, reply.code, reply.enhanced, reply.text)
    assert _of_text.cache_info().misses == before + 1
