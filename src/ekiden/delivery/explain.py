"""Why a delivery stands where it stands, in a person's words: from states and diagnoses to sentences.

Every state and every diagnosis has a text in both languages, so there is always an answer. The sentences themselves
are in ``explain_sentences``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from ekiden.core.diagnosis import Diagnosis
from ekiden.core.language import Language
from ekiden.core.said import Said
from ekiden.core.states import After, Cause, State, Wait
from ekiden.delivery.explain_sentences import (
    AFTER_ADVICE,
    AFTERWARDS,
    CAUSE_NAMES,
    HEADLINES,
    NOT_REPORTED,
    NOTHING,
    REASONS,
    STATE_ADVICE,
    STATE_NAMES,
    SUPPRESSED,
    WAIT_NAMES,
    WAITS,
)


class Explanation(NamedTuple):
    """``headline`` says what became of it, ``reason`` why, ``advice`` what to do. The last two may be empty."""

    headline: str
    reason: str
    advice: str

    @property
    def text(self) -> str:
        return " ".join(part for part in self if part)


NOTHING_AFTER: Final = After(0)
_ASKS_WHY = frozenset({State.DEFERRED, State.BOUNCED, State.EXPIRED})
"""The states whose reason lies in a failed attempt; in the others a reply has nothing to explain."""


def explain(
    state: State,
    diagnosis: Diagnosis,
    lang: Language = "en",
    *,
    wait: Wait | None = None,
    said: Said | None = None,
    after: After = NOTHING_AFTER,
    late: Diagnosis = Diagnosis.NONE,
) -> Explanation:
    """What became of a delivery, why, and what to do about it.

    ``diagnosis`` is that of its last attempt; ``wait`` is what it waits for, ``said`` what Ekiden says of it.
    ``after``: what was heard of it once it had ended; ``late``: what is wrong if it bounced then.
    """
    if after & After.BOUNCED:
        found = REASONS[late]
        return Explanation(AFTERWARDS[After.BOUNCED].get(lang), found.reason.get(lang), found.advice.get(lang))
    heard = next((bit for bit in (After.COMPLAINED, After.UNSUBSCRIBED, After.AUTO_REPLIED) if after & bit), None)
    if heard is not None:
        return Explanation(AFTERWARDS[heard].get(lang), "", AFTER_ADVICE.get(heard, NOTHING).get(lang))
    headline = HEADLINES[state].get(lang)
    waits = None if wait is None else WAITS.get(wait)
    if waits is not None:
        headline = waits.reason.get(lang)
        if state is not State.DEFERRED:
            return Explanation(headline, "", waits.advice.get(lang))
    if state is State.DROPPED and (kind := suppression_kind(said)):
        found = SUPPRESSED[kind]
        return Explanation(headline, found.reason.get(lang), found.advice.get(lang))
    if state not in _ASKS_WHY:
        return Explanation(headline, "", STATE_ADVICE.get(state, NOTHING).get(lang))
    found = REASONS[diagnosis]
    if diagnosis is Diagnosis.UNREPORTED and state is State.DEFERRED:
        headline = NOT_REPORTED.get(lang)
    return Explanation(headline, found.reason.get(lang), found.advice.get(lang))


def explain_to_sender(diagnosis: Diagnosis, lang: Language) -> tuple[str, str]:
    """Why a delivery failed or waits, and what its sender can do: what a report to the sender says of it.

    The same words as ``explain``, but for advice that only an operator can follow.
    """
    found = REASONS[diagnosis]
    return found.reason.get(lang), (found.to_sender or found.advice).get(lang)


def suppression_kind(said: Said | None) -> str:
    """Of the suppression that a delivery was dropped for; empty: it was for something else."""
    kind = str(said.facts.get("kind")) if said is not None and said.code == "suppressed" else ""
    return kind if kind in SUPPRESSED else ""


def wait_name(wait: Wait, lang: Language = "en") -> str:
    """What is waited for, in a few words."""
    return WAIT_NAMES[wait].get(lang)


def state_name(state: State, lang: Language = "en") -> str:
    """One word for the state."""
    return STATE_NAMES[state].get(lang)


def cause_name(cause: Cause, lang: Language = "en") -> str:
    """One word for the cause."""
    return CAUSE_NAMES[cause].get(lang)


def state_counts(counts: Mapping[State, int], lang: Language = "en") -> str:
    """``2 held, 1,000 queued``; empty when there is nothing to count."""
    if lang == "ja":
        return "、".join(f"{state_name(state, lang)} {count:,} 件" for state, count in sorted(counts.items()))
    return ", ".join(f"{count:,} {state_name(state, lang)}" for state, count in sorted(counts.items()))
