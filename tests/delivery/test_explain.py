"""Every verdict has words, and the words fit what real servers say."""

from __future__ import annotations

import re

import pytest

from ekiden.core.diagnosis import Diagnosis, Verdict
from ekiden.core.language import Language
from ekiden.core.said import say
from ekiden.core.states import Cause, State, Wait
from ekiden.delivery import verdict as verdicts
from ekiden.delivery.explain import cause_name, explain, state_name
from ekiden.delivery.explain_sentences import HEADLINES, REASONS
from ekiden.delivery.verdict import classify

JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
ASKS_WHY = [State.DEFERRED, State.BOUNCED, State.EXPIRED]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("diagnosis", Diagnosis)
def test_every_state_and_diagnosis_has_a_text_in_both_languages(state: State, diagnosis: Diagnosis) -> None:
    wait = Wait.HELD_BY_OPERATOR if state is State.HELD else None
    english = explain(state, diagnosis, "en", wait=wait)
    japanese = explain(state, diagnosis, "ja", wait=wait)
    assert english.headline.endswith(".")
    assert english.advice
    assert not JAPANESE.search(english.text)
    for part, other in zip(english, japanese, strict=True):
        assert bool(part) == bool(other)
        assert not other or JAPANESE.search(other)
    if state in ASKS_WHY:
        assert english.reason
    assert state_name(state) == state.name.lower()
    assert JAPANESE.search(state_name(state, "ja"))


def test_every_cause_and_every_diagnosis_has_words() -> None:
    assert set(REASONS) == set(Diagnosis)
    assert set(HEADLINES) == set(State)
    for cause in Cause:
        assert cause_name(cause) == cause.name.lower()
        assert JAPANESE.search(cause_name(cause, "ja"))
    # Each says something else, but for those of which nothing is known.
    said = [reason.reason.en for diagnosis, reason in REASONS.items() if diagnosis is not Diagnosis.NONE]
    assert len(set(said)) == len(said)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("550 5.1.1 The email account does not exist.", "no such mailbox"),
        ("550  No such user here", "no such mailbox"),
        ("552 5.2.2 Mailbox is over quota", "mailbox is full"),
        ("451 4.7.1 Greylisting in action, come back later", "greylisting"),
        ("421 4.7.0 Too many connections from your host", "no more connections"),
        ("450 4.7.1 message rate limit exceeded", "limits how much"),
        ("554 5.7.1 blocked using zen.spamhaus.org", "blocklist"),
        ("550 5.7.26 Unauthenticated mail", "DMARC"),
        ("550 5.7.23 validation failed", "SPF"),
        ("556 5.1.10 no mail here", "null MX"),
        ("552 5.3.4 Message size exceeds fixed maximum", "larger"),
        ("554 5.7.1 Relay access denied", "not responsible"),
        ("553 5.6.7 SMTPUTF8 needed", "SMTPUTF8"),
        # "5.1.1" means what it says, but a transient "unknown user" may be a directory that is down.
        ("450  user unknown in local table", "refuses this recipient"),
    ],
)
def test_the_reason_fits_the_reply(reply: str, words: str) -> None:
    code, enhanced, text = reply.split(" ", 2)
    found = classify(int(code), enhanced, text)
    assert words in explain(found.state, found.diagnosis).reason


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (verdicts.no_connection(say("no_address")), "could be reached"),
        (verdicts.dns_trouble(say("no_address")), "looked up in DNS"),
        (verdicts.connection_lost(say("no_address")), "broke or stalled"),
        (verdicts.our_fault(say("no_address")), "platform's own side"),
        (verdicts.expired(verdicts.no_connection(say("no_address")), "5d"), "could be reached"),
    ],
)
def test_the_reason_fits_what_nobody_answered(found: Verdict, words: str) -> None:
    assert words in explain(found.state, found.diagnosis).reason


def test_what_nobody_reported_is_told_so() -> None:
    found = explain(State.DEFERRED, Diagnosis.UNREPORTED)
    assert "may have the message or not" in found.reason
    assert "not known" in found.headline


@pytest.mark.parametrize("diagnosis", REASONS)
@pytest.mark.parametrize("lang", ["en", "ja"])
def test_advice_to_senders_is_none_for_operators(diagnosis: Diagnosis, lang: Language) -> None:
    """Who gets a report has neither our commands and settings nor the dialogue at hand."""
    found = REASONS[diagnosis]
    advice = (found.to_sender or found.advice).get(lang)
    assert advice
    for word in ("`", "ekiden", "ialogue", "対話", "下の", "below"):
        assert word not in advice, (diagnosis, advice)
