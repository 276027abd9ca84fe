"""From a delivery's state and diagnosis to the status and error that Infobip's clients know (contract §6).

The group of a status follows from the state alone, so that a filter by group (``generalStatus``) is one by
states. What is still being tried never has a permanent error.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec

from ekiden.core.diagnosis import Diagnosis
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

ERRORS: Final[dict[Diagnosis, tuple[Error, Error]]] = {
    Diagnosis.NONE: (codes.HARD_BOUNCE, codes.SOFT_BOUNCE),
    Diagnosis.NO_MAILBOX: (codes.INVALID_ADDRESS, codes.MAILBOX_UNAVAILABLE),
    Diagnosis.DISABLED: (codes.MAILBOX_GONE, codes.MAILBOX_UNAVAILABLE),
    Diagnosis.FULL: (codes.INBOX_FULL, codes.INBOX_FULL),
    Diagnosis.MOVED: (codes.MAILBOX_GONE, codes.SOFT_BOUNCE),
    Diagnosis.BAD_ADDRESS: (codes.INVALID_ADDRESS, codes.SOFT_BOUNCE),
    Diagnosis.RECIPIENT_REFUSED: (codes.INVALID_ADDRESS, codes.MAILBOX_UNAVAILABLE),
    Diagnosis.RECIPIENT_FILTER: (codes.DOMAIN_POLICY, codes.ACCESS_DENIED),
    Diagnosis.NO_DOMAIN: (codes.MX_NOT_FOUND, codes.SOFT_BOUNCE),
    Diagnosis.NULL_MX: (codes.INVALID_ADDRESS, codes.SOFT_BOUNCE),
    Diagnosis.NO_ROUTE: (codes.MX_NOT_FOUND, codes.SOFT_BOUNCE),
    Diagnosis.SENDER_REFUSED: (codes.SENDER_INVALID, codes.SOFT_BOUNCE),
    Diagnosis.SPF: (codes.DOMAIN_CONFIGURATION, codes.SOFT_BOUNCE),
    Diagnosis.DKIM: (codes.DOMAIN_CONFIGURATION, codes.SOFT_BOUNCE),
    Diagnosis.DMARC: (codes.DMARC_POLICY, codes.SOFT_BOUNCE),
    Diagnosis.PTR: (codes.DOMAIN_CONFIGURATION, codes.SOFT_BOUNCE),
    Diagnosis.TLS: (codes.DOMAIN_POLICY, codes.ACCESS_DENIED),
    Diagnosis.AUTHENTICATION: (codes.DOMAIN_POLICY, codes.ACCESS_DENIED),
    Diagnosis.IP_BLOCKED: (codes.IP_BLACKLISTED, codes.IP_BLACKLISTED),
    Diagnosis.DOMAIN_BLOCKED: (codes.DOMAIN_BLACKLISTED, codes.ACCESS_DENIED),
    Diagnosis.SPAM: (codes.SPAM_REVERTED, codes.SOFT_BOUNCE),
    Diagnosis.VIRUS: (codes.SUSPICIOUS_CONTENT, codes.SOFT_BOUNCE),
    Diagnosis.MALFORMED: (codes.HARD_BOUNCE, codes.SOFT_BOUNCE),
    Diagnosis.TOO_BIG: (codes.HARD_BOUNCE, codes.SOFT_BOUNCE),
    Diagnosis.CONVERSION: (codes.HARD_BOUNCE, codes.SOFT_BOUNCE),
    Diagnosis.SMTPUTF8: (codes.HARD_BOUNCE, codes.SOFT_BOUNCE),
    Diagnosis.RATE_IP: (codes.PROVIDER_RATE_LIMIT, codes.PROVIDER_RATE_LIMIT),
    Diagnosis.RATE_DOMAIN: (codes.PROVIDER_RATE_LIMIT, codes.PROVIDER_RATE_LIMIT),
    Diagnosis.RATE_RECIPIENT: (codes.PROVIDER_RATE_LIMIT, codes.PROVIDER_RATE_LIMIT),
    Diagnosis.CONNECTIONS: (codes.PROVIDER_RATE_LIMIT, codes.PROVIDER_RATE_LIMIT),
    Diagnosis.RECIPIENTS: (codes.PROVIDER_RATE_LIMIT, codes.PROVIDER_RATE_LIMIT),
    Diagnosis.GREYLISTED: (codes.DOMAIN_POLICY, codes.MAILBOX_UNAVAILABLE),
    Diagnosis.RELAY: (codes.DOMAIN_POLICY, codes.ACCESS_DENIED),
    Diagnosis.POLICY: (codes.DOMAIN_POLICY, codes.ACCESS_DENIED),
    Diagnosis.PROTOCOL: (codes.HARD_BOUNCE, codes.SOFT_BOUNCE),
    Diagnosis.PEER: (codes.HARD_BOUNCE, codes.SOFT_BOUNCE),
    Diagnosis.NO_ANSWER: (codes.HARD_BOUNCE, codes.SOFT_BOUNCE),
    Diagnosis.LOST: (codes.HARD_BOUNCE, codes.SOFT_BOUNCE),
    Diagnosis.DNS: (codes.HARD_BOUNCE, codes.SOFT_BOUNCE),
    Diagnosis.NETWORK: (codes.HARD_BOUNCE, codes.SOFT_BOUNCE),
    Diagnosis.NOT_SMTP: (codes.HARD_BOUNCE, codes.SOFT_BOUNCE),
    Diagnosis.LOOP: (codes.DOMAIN_POLICY, codes.SOFT_BOUNCE),
    Diagnosis.OURS: (codes.INTERNAL, codes.INTERNAL),
    Diagnosis.UNREPORTED: (codes.INTERNAL, codes.INTERNAL),
    Diagnosis.UNKNOWN: (codes.HARD_BOUNCE, codes.SOFT_BOUNCE),
}
"""The error of what failed for good, and of what failed for now, which is never permanent."""


def verdict(state: State, cause: Cause, diagnosis: Diagnosis, suppression: str = "") -> tuple[Status, Error]:
    """The status and the error of a delivery. ``diagnosis`` is that of its last attempt, ``suppression`` the kind
    of the list that it was dropped for."""
    if state is State.DROPPED:
        error = _SUPPRESSED.get(suppression)
        return _DROPPED[cause] if error is None else (codes.REJECTED_BLOCKLISTED, error)
    status = _STATUSES[state]
    if state is State.CANCELLED:
        return status, codes.CANCELED
    if state is State.BOUNCED:
        return status, ERRORS[diagnosis][0]
    if state is State.EXPIRED:
        error = ERRORS[diagnosis][1]
        return status, codes.VALIDITY_EXPIRED if error is codes.SOFT_BOUNCE else error
    if state is State.DEFERRED:
        return status, ERRORS[diagnosis][1]
    return status, codes.NO_ERROR


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
    return verdict(state, Cause(happening.cause), happening.diagnosis, kind)


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
