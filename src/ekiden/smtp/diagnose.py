"""Reads a refusal: where in the dialogue it came, its codes and its words become a ``Diagnosis``.

Codes and words often contradict each other: many servers say 5.7.1 or 5.1.1 to everything, and the words of some
are about somebody else. So codes that a receiver gives for one thing only are believed first. Else the words decide
(``reply_words``), and those that excuse the recipient come before those that condemn it: whatever speaks of policy,
spam, sizes, quotas or relaying says nothing about whether a mailbox exists, and no good address may be taken for a
dead one. Then come the codes of RFC 3463, and at last the basic code.

What was found is seen in the light of the stage: only at RCPT somebody is asked whether there is a mailbox. Behind
the content "user unknown" is what filters of recipients say, those of Japanese carriers above all; behind MAIL it
is about the sender. Known forms of replies are in ``tests/smtp/replies.tsv``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from ekiden.core.diagnosis import Diagnosis, Stage
from ekiden.smtp.reply_words import MARKS, TOO_MANY, WORDS

D = Diagnosis

MAX_TEXT: Final = 500
"""Characters of a reply that are read."""


def diagnose(stage: Stage, code: int, enhanced: str, text: str) -> Diagnosis:
    """What a reply of 4xx or 5xx says about the recipient that it was given for. Never fails.

    ``text`` is without the codes; empty: only they are known.
    """
    return _diagnose(stage, code, enhanced, text[:MAX_TEXT])


def diagnose_own(code: int, enhanced: str) -> Diagnosis:
    """Of a reply that no peer sent (``Reply.local``): its words are for people."""
    detail = enhanced.partition(".")[2]
    return _OWN.get(detail) or _precise(code, detail, None) or _of_code(Stage.RCPT, code, detail)


_OWN: Final[dict[str, Diagnosis]] = {
    "1.3": D.BAD_ADDRESS,
    "3.0": D.PEER,
    "4.2": D.LOST,
    "5.0": D.NOT_SMTP,
}


@lru_cache(maxsize=1024)
def _diagnose(stage: Stage, code: int, enhanced: str, text: str) -> Diagnosis:
    text = text.lower()
    if not enhanced:
        written = _ENHANCED.search(text)
        enhanced = written[1] if written is not None else ""
    detail = enhanced.partition(".")[2]
    said = _of_text(code, _VARIABLE.sub("*", _ADDRESS.sub("@", text))) if text else None
    found = _precise(code, detail, said) or said
    if found is None or _CODES.get(detail) in _SURER.get(found, ()):
        found = _of_code(stage, code, detail)
    if found is D.PEER and code in _TAKE_NO_MAIL:
        found = D.NO_ROUTE
    return _by_stage(stage, code, detail, found)


# ---- codes that mean one thing

_AUTHENTICATION: Final = frozenset({D.SPF, D.DKIM, D.DMARC, D.PTR, D.TLS})
_RATES: Final = frozenset({D.RATE_IP, D.RATE_DOMAIN, D.RATE_RECIPIENT, D.CONNECTIONS})

# What the words may say instead is the second: a code of RFC 7372 that Gmail gives for another check.
_PRECISE: Final[dict[str, tuple[Diagnosis, frozenset[Diagnosis]]]] = {
    "1.7": (D.SENDER_REFUSED, frozenset({D.DOMAIN_BLOCKED, D.IP_BLOCKED, D.SPF, D.DMARC, D.SPAM})),
    "1.8": (D.SENDER_REFUSED, frozenset({D.DOMAIN_BLOCKED, D.IP_BLOCKED, D.SPF, D.DMARC, D.SPAM})),
    "5.3": (D.RECIPIENTS, frozenset({D.TOO_BIG, D.POLICY})),
    "6.7": (D.SMTPUTF8, frozenset()),  # RFC 6531 §3.2
    "7.20": (D.DKIM, _AUTHENTICATION),  # RFC 7372 §3
    "7.21": (D.DKIM, _AUTHENTICATION),
    "7.22": (D.DKIM, _AUTHENTICATION),
    "7.23": (D.SPF, _AUTHENTICATION),
    "7.24": (D.SPF, _AUTHENTICATION),
    "7.25": (D.PTR, _AUTHENTICATION),
    "7.26": (D.DMARC, _AUTHENTICATION),
    "7.28": (D.RATE_IP, _RATES),
    "7.29": (D.TLS, _AUTHENTICATION),  # this and the next three are Gmail's
    "7.30": (D.DKIM, _AUTHENTICATION),  # RFC 8689: REQUIRETLS, which we never ask for
    "7.32": (D.DMARC, frozenset()),
    "7.40": (D.DMARC, frozenset()),
    "7.54": (D.RELAY, frozenset()),  # Exchange's, as the next ones
    "7.57": (D.AUTHENTICATION, frozenset()),
    "7.64": (D.RELAY, frozenset()),
    "7.509": (D.DMARC, frozenset()),
    "7.515": (D.DMARC, frozenset({D.SPF, D.DKIM})),
    "2.121": (D.RATE_RECIPIENT, frozenset()),
    "2.122": (D.RATE_RECIPIENT, frozenset()),
}


def _precise(code: int, detail: str, said: Diagnosis | None) -> Diagnosis | None:
    if detail == "7.27":
        # RFC 7505 §4.2: the sender's domain has a null MX. Gmail: SPF did not pass, which is what it defers for.
        # Sendmail: it is the recipient's.
        if said in _AUTHENTICATION or said in (D.NULL_MX, D.NO_ROUTE):
            return said
        return D.SPF if code < 500 else D.SENDER_REFUSED
    known = _PRECISE.get(detail)
    if known is not None:
        if detail == "5.3" and not _counts_recipients(code):
            return None
        return said if said in known[1] else known[0]
    subject, _, number = detail.partition(".")
    if subject == "7" and len(number) == 3 and number.isdigit() and 606 <= int(number) <= 649:
        return D.IP_BLOCKED  # Exchange Online
    return None


def _counts_recipients(code: int) -> bool:
    """Some say 550 or, as RFC 821 had it, 552 (RFC 5321 §4.5.3.1.10)."""
    return 450 <= code <= 454 or 550 <= code <= 554


# ---- words

# What the code may say instead: more than "try again later", or that the mailbox is there after all.
_EXCUSES: Final = frozenset({D.FULL, D.TOO_BIG, D.BAD_ADDRESS, D.NO_DOMAIN})
_SURER: Final[dict[Diagnosis, frozenset[Diagnosis]]] = {
    D.PEER: frozenset({D.FULL, D.TOO_BIG, D.NO_DOMAIN, D.LOST, D.DNS, D.LOOP}),
    D.NO_MAILBOX: _EXCUSES,
    D.DISABLED: _EXCUSES,
    D.MOVED: _EXCUSES,
}

# A code in the words themselves: "(#5.1.1)", "#5.1.0 Address rejected".
_ENHANCED: Final = re.compile(r"(?:^|#|\b[45]\d\d[ -])([45]\.\d{1,3}\.\d{1,3})\b")
# What an address or a link is made of says nothing, but for those that are looked for.
_ADDRESS: Final = re.compile(r"[^\s<>()\[\]\"',;:]{1,128}@[^\s<>()\[\]\"',;:]{1,255}")
# Marks of time, place and session: without them there are few different replies, and those are remembered.
_VARIABLE: Final = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|(?<![\w.-])(?=[a-z_.-]{0,40}\d)[\w.-]{9,200}", re.ASCII)
_LINK: Final = re.compile(r"\bhttps?://[^\s<>()\"']{1,400}|\bwww\.[^\s<>()\"']{1,400}")
_HOST: Final = re.compile(r"\b(?:[a-z0-9_-]{1,63}\.){2,9}[a-z0-9-]{1,63}\b")

# Postfix puts it before whatever an access table or a policy service says.
_PREFIX: Final = re.compile(r"recipient address rejected: (?=\w)(?!access denied)")


@lru_cache(maxsize=1024)
def _of_text(code: int, text: str) -> Diagnosis | None:
    """What the words say, whatever the codes. ``text`` is in lower case and has no addresses."""
    for pattern, diagnosis in MARKS:
        if pattern.search(text):
            return diagnosis
    plain = _PREFIX.sub("", _HOST.sub("*", _LINK.sub("*", text)))
    if _counts_recipients(code) and TOO_MANY.search(plain):
        return D.RECIPIENTS
    for pattern, diagnosis in WORDS:
        if pattern.search(plain):
            return diagnosis
    return None


# ---- codes that say what the words do not

# Subject and detail of RFC 3463 and its registry (RFC 5248). A lone subject is for what is not listed.
_CODES: Final[dict[str, Diagnosis]] = {
    "1": D.RECIPIENT_REFUSED,
    "1.0": D.RECIPIENT_REFUSED,
    "1.1": D.NO_MAILBOX,
    "1.2": D.NO_DOMAIN,
    "1.3": D.BAD_ADDRESS,
    "1.4": D.RECIPIENT_REFUSED,
    "1.6": D.MOVED,
    "1.10": D.NULL_MX,  # RFC 7505 §4.2
    "2": D.RECIPIENT_REFUSED,
    "2.1": D.DISABLED,
    "2.2": D.FULL,
    "2.3": D.TOO_BIG,
    "3": D.PEER,
    "3.4": D.TOO_BIG,
    "4": D.NETWORK,
    "4.1": D.NO_ANSWER,
    "4.2": D.LOST,
    "4.3": D.DNS,
    "4.4": D.NO_ROUTE,
    "4.5": D.RATE_IP,
    "4.6": D.LOOP,
    "4.7": D.PEER,
    "4.14": D.LOOP,  # Exchange
    "4.310": D.NO_DOMAIN,
    "5": D.PROTOCOL,
    "6": D.MALFORMED,
    "6.2": D.CONVERSION,
    "6.3": D.CONVERSION,
    "6.5": D.CONVERSION,
    "6.8": D.SMTPUTF8,
    "6.9": D.SMTPUTF8,
    "7": D.POLICY,
    "7.8": D.AUTHENTICATION,  # RFC 4954 §6
    "7.10": D.TLS,
    "7.11": D.TLS,
    "7.13": D.DISABLED,
    "7.16": D.TOO_BIG,
    "7.17": D.RECIPIENT_REFUSED,  # RFC 7293 §14: the mailbox has another owner
    "7.18": D.RECIPIENT_REFUSED,
    "7.508": D.RATE_IP,
    "7.511": D.IP_BLOCKED,
    "7.512": D.MALFORMED,
    "7.513": D.IP_BLOCKED,
}
_TAKE_NO_MAIL: Final = (521, 556)
"""RFC 7504: no mail is taken here."""
_VAGUE: Final = frozenset({"0.0", "3.0", "4.0", "5.0"})
"""Said about anything: the basic code knows as much."""

_BASIC: Final[dict[int, Diagnosis]] = {
    421: D.PEER,
    450: D.RECIPIENT_REFUSED,
    451: D.PEER,
    452: D.PEER,
    454: D.PEER,
    455: D.PROTOCOL,
    500: D.PROTOCOL,
    501: D.PROTOCOL,
    502: D.PROTOCOL,
    503: D.PROTOCOL,
    504: D.PROTOCOL,
    530: D.AUTHENTICATION,
    534: D.AUTHENTICATION,
    535: D.AUTHENTICATION,
    538: D.TLS,
    550: D.RECIPIENT_REFUSED,
    551: D.RECIPIENT_REFUSED,
    552: D.FULL,
    553: D.RECIPIENT_REFUSED,
    554: D.POLICY,
    555: D.PROTOCOL,
}


def _of_code(stage: Stage, code: int, detail: str) -> Diagnosis:
    if detail == "4.1" and code >= 500:
        return D.RECIPIENT_REFUSED  # Exchange: not in its directory
    if code in _TAKE_NO_MAIL and not detail.startswith("1."):
        return D.NO_ROUTE
    if detail and detail not in _VAGUE:
        found = _CODES.get(detail) or _CODES.get(detail.partition(".")[0])
        if found is not None:
            return found
    if code == 552 and stage is Stage.MAIL:
        return D.TOO_BIG  # the SIZE that MAIL named
    if stage is not Stage.RCPT and code in _ABOUT_WHAT_WAS_ASKED:
        # No recipient was asked about: it is about the sender, or the message, or us.
        if code < 500:
            return D.PEER
        return D.SENDER_REFUSED if stage is Stage.MAIL else D.UNKNOWN
    return _BASIC.get(code) or (D.PEER if code < 500 else D.UNKNOWN)


_ABOUT_WHAT_WAS_ASKED: Final = frozenset({450, 550, 551, 553})


# ---- the stage

_OF_MAILBOXES: Final = frozenset({D.NO_MAILBOX, D.DISABLED, D.MOVED, D.NULL_MX})
_OF_RECIPIENTS: Final = _OF_MAILBOXES | {D.BAD_ADDRESS, D.RECIPIENT_REFUSED, D.RECIPIENT_FILTER, D.NO_DOMAIN}


def _by_stage(stage: Stage, code: int, detail: str, found: Diagnosis) -> Diagnosis:
    if stage is Stage.RCPT:
        # For now: a directory may be down.
        return D.RECIPIENT_REFUSED if found is D.NO_MAILBOX and code < 500 else found
    if stage >= Stage.DATA:
        if found in _OF_MAILBOXES:
            return D.RECIPIENT_FILTER
        return found
    if found in _OF_RECIPIENTS:
        if stage is Stage.MAIL:
            return D.SENDER_REFUSED
        coded = _of_code(stage, code, detail)
        if coded not in _OF_RECIPIENTS:
            return coded
        return D.POLICY if code >= 500 else D.PEER
    if found is D.FULL:
        return D.PEER
    return found
