"""Why a delivery stands where it stands, in a person's words: pure rules from verdicts to sentences.

Three layers, the most precise that knows anything wins: what the reply says in its text, its enhanced status code
(RFC 3463 and the IANA registry of RFC 5248), and the cause that delivery assigned. Every state and cause has a text
in both languages, so there is always an answer. The sentences themselves are in ``explain_texts``.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ekiden.core.said import Said
from ekiden.core.states import Cause, State, Wait
from ekiden.core.texts import Language
from ekiden.delivery.explain_texts import (
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

_UNREPORTED: Final = "unreported"
"""The key of an attempt that nobody came back from."""


class Explanation(NamedTuple):
    """``headline`` says what became of it, ``reason`` why, ``advice`` what to do. The last two may be empty."""

    headline: str
    reason: str
    advice: str

    @property
    def text(self) -> str:
        return " ".join(part for part in self if part)


_ASKS_WHY = frozenset({State.DEFERRED, State.BOUNCED, State.EXPIRED})
"""The states whose reason lies in a failed attempt; in the others a reply has nothing to explain."""

_BY_CAUSE: dict[Cause, str] = {
    Cause.NONE: "unknown",
    Cause.RECIPIENT: "recipient",
    Cause.REPUTATION: "reputation",
    Cause.CONTENT: "content",
    Cause.RATE: "rate",
    Cause.POLICY: "policy",
    Cause.NETWORK: "network",
    Cause.OURS: "ours",
}

# The subject and detail of RFC 3463 codes, and those that the IANA registry added since.
_BY_ENHANCED: dict[str, str] = {
    "1.0": "bad_address",
    "1.1": "unknown_user",
    "1.2": "bad_domain",
    "1.3": "bad_address",
    "1.4": "bad_address",
    "1.6": "moved",
    "1.7": "bad_sender",
    "1.8": "bad_sender",
    "1.10": "null_mx",  # RFC 7505 §4.2
    "2.1": "disabled",
    "2.2": "full",
    "2.3": "too_big",
    "3.1": "system_full",
    "3.2": "system_down",
    "3.4": "too_big",
    "4.0": "network",
    "4.1": "no_answer",
    "4.2": "connection_lost",
    "4.3": "dns_failure",
    "4.4": "no_route",
    "4.5": "system_down",
    "4.6": "loop",
    "4.7": "expired",
    "5.0": "protocol",
    "5.1": "protocol",
    "5.2": "protocol",
    "5.3": "too_many_recipients",
    "5.4": "protocol",
    "6.0": "content",
    "6.1": "content",
    "6.2": "conversion",
    "6.3": "conversion",
    "6.5": "conversion",
    "6.7": "smtputf8",  # RFC 6531 §3.2
    "6.8": "smtputf8",
    "6.9": "smtputf8",
    "7.2": "policy",
    "7.8": "authentication",  # RFC 4954 §6
    "7.10": "encryption",
    "7.13": "disabled",
    "7.17": "moved",  # RFC 7293 §14
    "7.18": "moved",
    "7.20": "dkim",  # RFC 7372 §3
    "7.21": "dkim",
    "7.22": "dkim",
    "7.23": "spf",
    "7.24": "spf",
    "7.25": "reverse_dns",
    "7.26": "dmarc",
    "7.27": "null_mx",  # RFC 7505 §4.2: the sender's own domain
    "7.28": "rate",
}

# What servers say when their code alone is vague. Order matters: the first that is found wins. The third field
# limits a pattern to codes of that class, because the same words mean something else in the other.
_BY_TEXT: tuple[tuple[str, re.Pattern[str], str], ...] = tuple(
    (key, re.compile(pattern, re.IGNORECASE), classes)
    for key, pattern, classes in (
        ("greylist", r"gr[ae]y-?\s?list|postgrey|come back (?:later|in \d)", "4"),
        ("blocklist", r"spamhaus|spamcop|barracudacentral|sorbs|black-?\s?list|block-?\s?list|dnsbl|\brbl\b", "45"),
        ("dmarc", r"\bdmarc\b", "45"),
        ("spf", r"\bspf\b", "45"),
        ("dkim", r"\bdkim\b", "45"),
        ("reverse_dns", r"reverse dns|reverse lookup|\brdns\b|\bptr\b|reverse host", "45"),
        (
            "full",
            r"mailbox (?:is )?full|over ?quota|quota (?:is )?exceeded|exceeded .{0,20}quota|out of storage",
            "45",
        ),
        ("rate", r"rate.?limit|too many (?:connections|messages|mails)|throttl|slow down|too fast", "45"),
        (
            "relay",
            r"relay(?:ing)?(?: access)? (?:is )?(?:denied|prohibited|not (?:allowed|permitted))|unable to relay",
            "5",
        ),
        ("disabled", r"(?:account|mailbox|user).{0,20}(?:disabled|inactive|suspended|deactivated)", "45"),
        (
            "unknown_user",
            r"user unknown|unknown (?:user|recipient)|no such (?:user|recipient|mailbox|address|person)"
            r"|(?:user|recipient|mailbox|address|account).{0,40}(?:does not|doesn't) exist"
            r"|(?:mailbox|recipient|user).{0,10}not found|invalid (?:recipient|mailbox)",
            "5",
        ),
        ("virus", r"\bvirus\b|malware|phish", "45"),
        ("spam", r"\bspam|unsolicited|junk mail", "45"),
        ("too_big", r"too (?:big|large)|exceeds .{0,30}size|size limit|maximum (?:message )?size", "5"),
        ("encryption", r"must issue a starttls|encryption (?:is )?required|tls (?:is )?required", "45"),
    )
)


def _key(cause: Cause, code: int, enhanced: str, reply: str) -> str:
    if cause is Cause.OURS and not code and not enhanced:
        return _UNREPORTED  # every verdict has a code: nobody came to one
    group = (enhanced or str(code))[:1]
    # What we could not reach gave no reply; the text is then ours, and the cause and code say all there is.
    if cause not in {Cause.NETWORK, Cause.OURS}:
        for key, pattern, classes in _BY_TEXT:
            if group in classes and pattern.search(reply):
                return key
    key_by_code = _BY_ENHANCED.get(enhanced.partition(".")[2])
    if key_by_code is not None:
        return key_by_code
    if cause is Cause.NONE and code == 552:
        return "full"  # RFC 5321 §4.2.2: exceeded storage allocation
    if cause is Cause.NETWORK and code:
        return "system_down"  # our own verdicts have codes known above: somebody answered, and said "later"
    return _BY_CAUSE[cause]


def explain(
    state: State,
    cause: Cause,
    code: int,
    enhanced: str,
    reply: str,
    lang: Language = "en",
    *,
    wait: Wait | None = None,
    said: Said | None = None,
) -> Explanation:
    """What became of a delivery, why, and what to do about it.

    ``code`` and ``enhanced`` are the last reply's (0 and empty: none), ``reply`` its text; ``wait`` is what it
    waits for, ``said`` what Ekiden says of it. Never fails: what is not known more closely is told by its cause.
    """
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
    key = _key(cause, code, enhanced, reply)
    found = REASONS[key]
    if key == _UNREPORTED and state is State.DEFERRED:
        headline = NOT_REPORTED.get(lang)
    return Explanation(headline, found.reason.get(lang), found.advice.get(lang))


def explain_to_sender(cause: Cause, code: int, enhanced: str, reply: str, lang: Language) -> tuple[str, str]:
    """Why a delivery failed or waits, and what its sender can do: what a report to the sender says of it.

    The same words as ``explain``, but for advice that only an operator can follow.
    """
    found = REASONS[_key(cause, code, enhanced, reply)]
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
