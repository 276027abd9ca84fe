"""From a delivery's state, cause and reply to the status and error that Infobip's clients know (contract §6).

The group of a status follows from the state alone, so that a filter by group (``generalStatus``) is one by
states. Errors come from the enhanced code where it is specific, from well-known wordings where it is not, and from
the cause at last, as in ``delivery.outcome``. What is still being tried never has a permanent error.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

import msgspec

from ekiden.core.events import EventType
from ekiden.core.notices import Happening
from ekiden.core.states import Cause, State
from ekiden.delivery.bulks import Bulk
from ekiden.dialects.infobip import codes
from ekiden.dialects.infobip.codes import Error, Status

_STATUSES: Final[dict[State, Status]] = {
    State.HELD: codes.PENDING_ACCEPTED,
    State.SCHEDULED: codes.PENDING_ACCEPTED,
    State.QUEUED: codes.PENDING_ACCEPTED,
    State.SENDING: codes.PENDING_ENROUTE,
    State.DEFERRED: codes.PENDING_WAITING_DELIVERY,
    State.DELIVERED: codes.DELIVERED_TO_HANDSET,
    State.BOUNCED: codes.UNDELIVERABLE_NOT_DELIVERED,
    State.EXPIRED: codes.EXPIRED_EXPIRED,
    State.DROPPED: codes.REJECTED_NETWORK,
    State.CANCELLED: codes.UNDELIVERABLE_NOT_SENT,
}

# What was not sent on purpose, for another reason than suppression.
_DROPPED: Final[dict[Cause, tuple[Status, Error]]] = {
    Cause.NONE: (codes.REJECTED_NETWORK, codes.UNKNOWN),
    Cause.RECIPIENT: (codes.REJECTED_BLOCKLISTED, codes.UNKNOWN),
    Cause.REPUTATION: (codes.REJECTED_NETWORK, codes.UNKNOWN),
    Cause.CONTENT: (codes.SIGNALS_BLOCKED, codes.SPAM_DETECTED),
    Cause.RATE: (codes.REJECTED_FLOODING, codes.SAFETY_RATE_LIMIT),
    Cause.POLICY: (codes.REJECTED_NETWORK, codes.UNKNOWN),
    Cause.NETWORK: (codes.REJECTED_ROUTE, codes.UNKNOWN),
    Cause.OURS: (codes.REJECTED_INTERNAL, codes.INTERNAL),
}
_SUPPRESSED: Final[dict[str, Error]] = {
    "bounce": codes.SUPPRESSED_BOUNCE,
    "complaint": codes.SUPPRESSED_COMPLAINT,
    "over_quota": codes.INBOX_FULL,
    "unsubscribe": codes.UNSUBSCRIBED,
}

# Subject and detail of an enhanced code (RFC 3463, 7372, 7505): the error for good, and the one for now.
_ENHANCED: Final[dict[str, tuple[Error, Error]]] = {
    "1.1": (codes.INVALID_ADDRESS, codes.MAILBOX_UNAVAILABLE),
    "1.2": (codes.MX_NOT_FOUND, codes.SOFT_BOUNCE),
    "1.3": (codes.INVALID_ADDRESS, codes.SOFT_BOUNCE),
    "1.6": (codes.MAILBOX_GONE, codes.SOFT_BOUNCE),
    "1.7": (codes.SENDER_INVALID, codes.SOFT_BOUNCE),
    "1.8": (codes.SENDER_INVALID, codes.SOFT_BOUNCE),
    "1.10": (codes.INVALID_ADDRESS, codes.SOFT_BOUNCE),
    "2.0": (codes.MAILBOX_GONE, codes.MAILBOX_UNAVAILABLE),
    "2.1": (codes.MAILBOX_GONE, codes.MAILBOX_UNAVAILABLE),
    "2.2": (codes.INBOX_FULL, codes.INBOX_FULL),
    "4.4": (codes.MX_NOT_FOUND, codes.SOFT_BOUNCE),
    "7.20": (codes.DOMAIN_CONFIGURATION, codes.SOFT_BOUNCE),
    "7.21": (codes.DOMAIN_CONFIGURATION, codes.SOFT_BOUNCE),
    "7.22": (codes.DOMAIN_CONFIGURATION, codes.SOFT_BOUNCE),
    "7.23": (codes.DOMAIN_CONFIGURATION, codes.SOFT_BOUNCE),
    "7.24": (codes.DOMAIN_CONFIGURATION, codes.SOFT_BOUNCE),
    "7.25": (codes.DOMAIN_CONFIGURATION, codes.SOFT_BOUNCE),
    "7.26": (codes.DMARC_POLICY, codes.SOFT_BOUNCE),
    "7.27": (codes.DOMAIN_CONFIGURATION, codes.SOFT_BOUNCE),
    "7.28": (codes.PROVIDER_RATE_LIMIT, codes.PROVIDER_RATE_LIMIT),
}

# What servers say under codes that say little. In this order; only where the cause is the one given.
_TEXTS: Final[tuple[tuple[Cause, re.Pattern[str], Error, Error], ...]] = tuple(
    (cause, re.compile(pattern, re.IGNORECASE), final, for_now)
    for cause, pattern, final, for_now in (
        (
            Cause.RECIPIENT,
            r"quota|mailbox .{0,40}full|insufficient|not enough|out of storage",
            codes.INBOX_FULL,
            codes.INBOX_FULL,
        ),
        (
            Cause.RECIPIENT,
            r"disabled|inactive|suspended|deactivated",
            codes.MAILBOX_GONE,
            codes.MAILBOX_UNAVAILABLE,
        ),
        (
            Cause.REPUTATION,
            r"\b(?:sender|from|your|sending|url|uri) domain\b|surbl|\bdbl\b",
            codes.DOMAIN_BLACKLISTED,
            codes.IP_BLACKLISTED,
        ),
        (Cause.CONTENT, r"virus|malware|phish|trojan", codes.SUSPICIOUS_CONTENT, codes.SOFT_BOUNCE),
        (Cause.CONTENT, r"spam|unsolicited|bulk mail|junk", codes.SPAM_REVERTED, codes.SOFT_BOUNCE),
        (Cause.POLICY, r"gr[ea]y-?\s?list", codes.DOMAIN_POLICY, codes.MAILBOX_UNAVAILABLE),
        (Cause.POLICY, r"\bdmarc\b", codes.DMARC_POLICY, codes.SOFT_BOUNCE),
        (
            Cause.POLICY,
            r"\b(?:spf|dkim|rdns|ptr)\b|reverse (?:dns|lookup)",
            codes.DOMAIN_CONFIGURATION,
            codes.SOFT_BOUNCE,
        ),
    )
)

_CAUSES: Final[dict[Cause, tuple[Error, Error]]] = {
    Cause.NONE: (codes.HARD_BOUNCE, codes.SOFT_BOUNCE),
    Cause.RECIPIENT: (codes.INVALID_ADDRESS, codes.SOFT_BOUNCE),
    Cause.REPUTATION: (codes.IP_BLACKLISTED, codes.IP_BLACKLISTED),
    Cause.CONTENT: (codes.HARD_BOUNCE, codes.SOFT_BOUNCE),
    Cause.RATE: (codes.PROVIDER_RATE_LIMIT, codes.PROVIDER_RATE_LIMIT),
    Cause.POLICY: (codes.DOMAIN_POLICY, codes.ACCESS_DENIED),
    Cause.NETWORK: (codes.HARD_BOUNCE, codes.SOFT_BOUNCE),
    Cause.OURS: (codes.HARD_BOUNCE, codes.SOFT_BOUNCE),
}


def verdict(
    state: State, cause: Cause, code: int, enhanced: str, reason: str, suppression: str = ""
) -> tuple[Status, Error]:
    """The status and the error of a delivery; ``suppression``: the kind of the list that it was dropped for.

    ``code``, ``enhanced`` and ``reason`` are of the last reply, or ours; 0 and empty: none.
    """
    if state is State.DROPPED:
        error = _SUPPRESSED.get(suppression)
        return _DROPPED[cause] if error is None else (codes.REJECTED_BLOCKLISTED, error)
    status = _STATUSES[state]
    if state is State.CANCELLED:
        return status, codes.CANCELED
    if state is State.BOUNCED:
        return status, _reply_error(cause, code, enhanced, reason, True)
    if state is State.EXPIRED:
        error = _reply_error(cause, code, enhanced, reason, False)
        return status, codes.VALIDITY_EXPIRED if error is codes.SOFT_BOUNCE else error
    if state is State.DEFERRED:
        return status, _reply_error(cause, code, enhanced, reason, False)
    return status, codes.NO_ERROR


@lru_cache(maxsize=1024)
def _reply_error(cause: Cause, code: int, enhanced: str, reason: str, final: bool) -> Error:
    detail = enhanced.partition(".")[2]
    which = 0 if final else 1
    if cause is Cause.OURS and detail in ("3.0", "0.0"):
        return codes.INTERNAL
    # x.7.1 and the like are said for anything; codes of two or more meanings are left to the texts.
    if detail in _ENHANCED:
        return _ENHANCED[detail][which]
    for of, pattern, *errors in _TEXTS:
        if of is cause and pattern.search(reason):
            return errors[which]
    if cause is Cause.RECIPIENT:
        if code in (452, 552):
            return codes.INBOX_FULL  # RFC 5321 §4.2.2: storage
        if code == 450:
            return codes.MAILBOX_UNAVAILABLE
    return _CAUSES[cause][which]


_OF_EVENT: Final[dict[EventType, State]] = {
    EventType.ACCEPTED: State.QUEUED,
    EventType.HELD: State.HELD,
    EventType.RELEASED: State.QUEUED,
    EventType.DEFERRED: State.DEFERRED,
    EventType.DELIVERED: State.DELIVERED,
    EventType.BOUNCED: State.BOUNCED,
    EventType.EXPIRED: State.EXPIRED,
    EventType.DROPPED: State.DROPPED,
    EventType.CANCELLED: State.CANCELLED,
}
"""What is reported of an event: the state that it led to, whatever came after."""

REPORTED: Final = frozenset(_OF_EVENT)
"""The events that delivery reports are made of."""


def verdict_of(happening: Happening) -> tuple[Status, Error]:
    """The status and the error as of an event. ``KeyError`` for events that are not ``REPORTED``."""
    state = _OF_EVENT[happening.type]
    if not state.final and state is not State.DEFERRED:
        return _STATUSES[state], codes.NO_ERROR
    kind = str(happening.data.get("kind")) if happening.data.get("why") == "suppressed" else ""
    return verdict(state, Cause(happening.cause), happening.code, happening.enhanced, happening.reason, kind)


GENERAL_STATUSES: Final = ("ACCEPTED", "PENDING", "UNDELIVERABLE", "DELIVERED", "EXPIRED", "REJECTED")
"""What ``generalStatus`` in a query may be (contract §3.3). Nothing of ours is ever ``ACCEPTED``: it is pending."""


def states_of(general_status: str) -> frozenset[State]:
    """The states whose status is of the group; none for ``ACCEPTED``."""
    return frozenset(state for state, status in _STATUSES.items() if status.group_name == general_status)


def bulk_status(bulk: Bulk) -> str:
    """The status of a bulk (contract §4.1).

    A bulk whose rest was cancelled is ``CANCELED``, and one of which nothing was ever tried ``FAILED``; deliveries
    that failed one by one are in the reports. It is ``PAUSED`` although what was under way may still arrive.
    """
    if bulk.paused:
        return "PAUSED"
    if bulk.unfinished:
        return "PROCESSING" if bulk.begun else "PENDING"
    present = {state for state, count in bulk.counts.items() if count > 0}
    if State.CANCELLED in present:
        return "CANCELED"
    return "FAILED" if present == {State.DROPPED} else "FINISHED"


@lru_cache(maxsize=256)
def status_json(status: Status) -> msgspec.Raw:
    """The status object, encoded once."""
    return _raw(
        {
            "groupId": status.group,
            "groupName": status.group_name,
            "id": status.id,
            "name": status.name,
            "description": status.description,
        }
    )


@lru_cache(maxsize=256)
def error_json(error: Error) -> msgspec.Raw:
    """The error object, encoded once."""
    return _raw(
        {
            "groupId": error.group,
            "groupName": error.group_name,
            "id": error.id,
            "name": error.name,
            "description": error.description,
            "permanent": error.permanent,
        }
    )


def _raw(value: dict[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
