"""Diagnoses: what follows from each is told for every one of them."""

from __future__ import annotations

import pytest

from ekiden.core.diagnosis import BY_NUMBER, CAUSES, HARD, SCOPES, Diagnosis, Scope
from ekiden.core.states import Cause

KEPT = {
    # Numbers are in databases and labels in what others read: neither ever changes.
    "none": 0,
    "no-mailbox": 1,
    "disabled": 2,
    "full": 3,
    "moved": 4,
    "bad-address": 5,
    "recipient-refused": 6,
    "recipient-filter": 7,
    "no-domain": 8,
    "null-mx": 9,
    "no-route": 10,
    "sender-refused": 11,
    "spf": 12,
    "dkim": 13,
    "dmarc": 14,
    "ptr": 15,
    "tls": 16,
    "authentication": 17,
    "ip-blocked": 18,
    "domain-blocked": 19,
    "spam": 20,
    "virus": 21,
    "malformed": 22,
    "too-big": 23,
    "conversion": 24,
    "smtputf8": 25,
    "rate-ip": 26,
    "rate-domain": 27,
    "rate-recipient": 28,
    "connections": 29,
    "recipients": 30,
    "greylisted": 31,
    "relay": 32,
    "policy": 33,
    "protocol": 34,
    "peer": 35,
    "no-answer": 36,
    "lost": 37,
    "dns": 38,
    "network": 39,
    "not-smtp": 40,
    "loop": 41,
    "ours": 42,
    "unreported": 43,
    "unknown": 44,
}


def test_labels_and_numbers_stay() -> None:
    assert {diagnosis.label: int(diagnosis) for diagnosis in Diagnosis} == KEPT
    assert {number: Diagnosis(number) for number in KEPT.values()} == BY_NUMBER


@pytest.mark.parametrize("diagnosis", Diagnosis)
def test_every_one_has_what_follows(diagnosis: Diagnosis) -> None:
    assert set(CAUSES) == set(HARD) == set(SCOPES) == set(Diagnosis)
    assert (diagnosis.cause is Cause.NONE) == (diagnosis is Diagnosis.NONE)
    # A bounce can only condemn an address for the recipient's sake.
    assert not diagnosis.hard or diagnosis.cause is Cause.RECIPIENT


def test_what_is_about_one_sender_is_nobody_elses_business() -> None:
    assert {diagnosis.label for diagnosis in Diagnosis if diagnosis.scope is Scope.SENDER} == {
        "sender-refused",
        "spf",
        "dkim",
        "dmarc",
        "tls",
        "domain-blocked",
        "rate-domain",
    }
