"""Every verdict has words, and the words fit what real servers say."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.core.states import Cause, State, Wait
from ekiden.core.texts import Language
from ekiden.delivery import explain as rules
from ekiden.delivery.explain import cause_name, explain, state_name
from ekiden.delivery.explain_texts import HEADLINES, REASONS

JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
ASKS_WHY = [State.DEFERRED, State.BOUNCED, State.EXPIRED]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("cause", Cause)
def test_every_state_and_cause_has_a_text_in_both_languages(state: State, cause: Cause) -> None:
    wait = Wait.HELD_BY_OPERATOR if state is State.HELD else None
    english = explain(state, cause, 0, "", "", "en", wait=wait)
    japanese = explain(state, cause, 0, "", "", "ja", wait=wait)
    assert english.headline.endswith(".")
    assert english.advice
    assert not JAPANESE.search(english.text)
    for part, other in zip(english, japanese, strict=True):
        assert bool(part) == bool(other)
        assert not other or JAPANESE.search(other)
    if state in ASKS_WHY:
        assert english.reason
    assert state_name(state) == state.name.lower()
    assert cause_name(cause) == cause.name.lower()
    assert JAPANESE.search(state_name(state, "ja"))
    assert JAPANESE.search(cause_name(cause, "ja"))


@given(
    st.sampled_from(State),
    st.sampled_from(Cause),
    st.integers(0, 999),
    st.one_of(st.just(""), st.from_regex(r"[245]\.\d{1,3}\.\d{1,3}", fullmatch=True), st.text(max_size=12)),
    st.text(max_size=200),
    st.sampled_from(["en", "ja"]),
)
def test_no_verdict_is_without_words(
    state: State, cause: Cause, code: int, enhanced: str, reply: str, lang: Language
) -> None:
    assert explain(state, cause, code, enhanced, reply, lang).text


@pytest.mark.parametrize(
    ("state", "cause", "enhanced", "reply", "words"),
    [
        (State.BOUNCED, Cause.RECIPIENT, "5.1.1", "550 5.1.1 The email account does not exist.", "no such mailbox"),
        (State.BOUNCED, Cause.RECIPIENT, "", "550 No such user here", "no such mailbox"),
        (State.BOUNCED, Cause.RECIPIENT, "5.2.2", "552 5.2.2 Mailbox is over quota", "mailbox is full"),
        (State.DEFERRED, Cause.POLICY, "4.7.1", "451 4.7.1 Greylisting in action, come back later", "greylisting"),
        (State.DEFERRED, Cause.RATE, "4.7.0", "421 4.7.0 Too many connections from your host", "limits how much"),
        (State.BOUNCED, Cause.REPUTATION, "5.7.1", "554 5.7.1 blocked using zen.spamhaus.org", "blocklist"),
        (State.BOUNCED, Cause.POLICY, "5.7.26", "550 5.7.26 Unauthenticated mail", "DMARC"),
        (State.BOUNCED, Cause.POLICY, "5.7.23", "550 5.7.23 validation failed", "SPF"),
        (State.BOUNCED, Cause.RECIPIENT, "5.1.10", "556 5.1.10 no mail here", "null MX"),
        (State.BOUNCED, Cause.CONTENT, "5.3.4", "552 5.3.4 Message size exceeds fixed maximum", "larger"),
        (State.BOUNCED, Cause.POLICY, "5.7.1", "554 5.7.1 Relay access denied", "not responsible"),
        (State.BOUNCED, Cause.CONTENT, "5.6.7", "553 5.6.7 SMTPUTF8 needed", "SMTPUTF8"),
        (State.DEFERRED, Cause.NETWORK, "4.4.1", "no answer from 127.0.0.9:25", "could be reached"),
        (State.DEFERRED, Cause.NETWORK, "4.4.3", "DNS time-out", "looked up in DNS"),
        (State.EXPIRED, Cause.NETWORK, "4.4.7", "gave up", "within the time"),
        (State.DEFERRED, Cause.OURS, "", "", "may have the message or not"),
        (State.DEFERRED, Cause.OURS, "4.3.0", "worker ended", "platform's own side"),
        # "5.1.1" means what it says, but a transient "unknown user" may be a directory that is down.
        (State.DEFERRED, Cause.RECIPIENT, "", "450 user unknown in local table", "refuses this recipient"),
    ],
)
def test_the_reason_fits_the_reply(state: State, cause: Cause, enhanced: str, reply: str, words: str) -> None:
    code = int(reply[:3]) if reply[:3].isdigit() else 0
    assert words in explain(state, cause, code, enhanced, reply).reason


@pytest.mark.parametrize("key", REASONS)
@pytest.mark.parametrize("lang", ["en", "ja"])
def test_advice_to_senders_is_none_for_operators(key: str, lang: Language) -> None:
    """Who gets a report has neither our commands and settings nor the dialogue at hand."""
    found = REASONS[key]
    advice = (found.to_sender or found.advice).get(lang)
    assert advice
    for word in ("`", "ekiden", "ialogue", "対話", "下の", "below"):
        assert word not in advice, (key, advice)


def test_rules_name_only_reasons_that_exist() -> None:
    named = set(rules._BY_ENHANCED.values()) | set(rules._BY_CAUSE.values()) | {key for key, _, _ in rules._BY_TEXT}
    assert named | {rules._UNREPORTED} == set(REASONS)
    assert set(rules._BY_CAUSE) == set(Cause)
    assert set(HEADLINES) == set(State)
