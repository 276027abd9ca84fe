"""Error statuses of bounces and blocks (contract §4.5), by diagnosis; on the wire they are texts."""

from __future__ import annotations

import hashlib
from typing import Final

from ekiden.core.diagnosis import Diagnosis as D

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
UNKNOWN_HOST: Final = 1
UNKNOWN_USER: Final = 2
TIMEOUT: Final = 3
"""Of what was tried until its time was over, and of what could not be reached."""
POLICY: Final = 4
OVER_CAPACITY: Final = 5
FORWARDING: Final = 6
MISCONFIGURED: Final = 7
"""The receiving server is."""
TOO_LARGE: Final = 8
BAD_ADDRESS: Final = 9
SUPPRESSED: Final = 10
UNSUBSCRIBED: Final = 11
OTHER: Final = 99
"""Permanent, and none of these."""

STATUSES: Final = (
    *(UNKNOWN_HOST, UNKNOWN_USER, TIMEOUT, POLICY, OVER_CAPACITY, FORWARDING, MISCONFIGURED, TOO_LARGE),
    *(BAD_ADDRESS, SUPPRESSED, UNSUBSCRIBED, OTHER),
)

OF_DIAGNOSIS: Final[dict[D, int]] = {
    D.NONE: OTHER,
    D.NO_MAILBOX: UNKNOWN_USER,
    D.DISABLED: UNKNOWN_USER,
    D.FULL: OVER_CAPACITY,
    D.MOVED: FORWARDING,
    D.BAD_ADDRESS: BAD_ADDRESS,
    D.RECIPIENT_REFUSED: POLICY,
    D.RECIPIENT_FILTER: POLICY,
    D.NO_DOMAIN: UNKNOWN_HOST,
    D.NULL_MX: UNKNOWN_HOST,
    D.NO_ROUTE: UNKNOWN_HOST,
    D.SENDER_REFUSED: POLICY,
    D.SPF: POLICY,
    D.DKIM: POLICY,
    D.DMARC: POLICY,
    D.PTR: POLICY,
    D.TLS: POLICY,
    D.AUTHENTICATION: POLICY,
    D.IP_BLOCKED: POLICY,
    D.DOMAIN_BLOCKED: POLICY,
    D.SPAM: POLICY,
    D.VIRUS: POLICY,
    D.MALFORMED: OTHER,
    D.TOO_BIG: TOO_LARGE,
    D.CONVERSION: MISCONFIGURED,
    D.SMTPUTF8: BAD_ADDRESS,
    D.RATE_IP: POLICY,
    D.RATE_DOMAIN: POLICY,
    D.RATE_RECIPIENT: OVER_CAPACITY,
    D.CONNECTIONS: POLICY,
    D.RECIPIENTS: POLICY,
    D.GREYLISTED: POLICY,
    D.RELAY: MISCONFIGURED,
    D.POLICY: POLICY,
    D.PROTOCOL: MISCONFIGURED,
    D.PEER: MISCONFIGURED,
    D.NO_ANSWER: TIMEOUT,
    D.LOST: TIMEOUT,
    D.DNS: TIMEOUT,
    D.NETWORK: TIMEOUT,
    D.NOT_SMTP: MISCONFIGURED,
    D.LOOP: FORWARDING,
    D.OURS: OTHER,
    D.UNREPORTED: OTHER,
    D.UNKNOWN: OTHER,
}

OF_SUPPRESSION: Final[dict[str, int]] = {
    "bounce": SUPPRESSED,
    "complaint": SUPPRESSED,
    "over_quota": SUPPRESSED,
    "unsubscribe": UNSUBSCRIBED,
}
"""Of what was not sent since its recipient is on a list, by its kind (``recipients.suppressions.KINDS``)."""


_OF_BLOCK: Final[dict[str, int]] = {"complaint": POLICY, "over_quota": OVER_CAPACITY, "unsubscribe": UNSUBSCRIBED}


def block_status(kind: str, diagnosis: D) -> int:
    """Of a block, by the kind of its suppression, and of what led to it."""
    return _OF_BLOCK.get(kind) or OF_DIAGNOSIS[diagnosis]


def block_id(account_id: int, domain: str, address: str, kind: str) -> str:
    """What a block is called: 13 letters and digits, always the same."""
    text = f"{account_id}\0{domain}\0{address}\0{kind}".encode()
    number = int.from_bytes(hashlib.sha256(text).digest()[:8], "big")
    digits = []
    for _ in range(13):
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return "".join(digits)


def bounce_status(diagnosis: D, *, expired: bool = False, suppression: str = "") -> int:
    """Of a delivery that failed. ``expired``: its time was over; ``suppression``: the kind of what stopped it."""
    if suppression:
        return OF_SUPPRESSION.get(suppression, SUPPRESSED)
    return TIMEOUT if expired else OF_DIAGNOSIS[diagnosis]
