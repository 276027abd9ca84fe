"""The status and error codes of Infobip's e-mail channel (contract §6): the table, and nothing but the table.

Groups of errors have one spelling on every wire of ours. Infobip's page about e-mail calls them Dropped, Bounced
and System errors, but no example of an answer has these words; its clients of the ``/email/4`` generation take only
``OK``, ``HANDSET_ERRORS``, ``USER_ERRORS`` and ``OPERATOR_ERRORS`` (contract §0.7), which are the names that the
same ids have had in all its older APIs. Older clients take any text.
"""

from __future__ import annotations

from typing import Final, NamedTuple

ERROR_GROUPS: Final = {0: "OK", 1: "HANDSET_ERRORS", 2: "USER_ERRORS", 3: "OPERATOR_ERRORS"}
"""1: not handed to the recipient's server. 2: refused by it. 3: our own trouble."""
STATUS_GROUPS: Final = {1: "PENDING", 2: "UNDELIVERABLE", 3: "DELIVERED", 4: "EXPIRED", 5: "REJECTED"}


class Status(NamedTuple):
    """What became of a delivery (contract §6.1)."""

    group: int
    id: int
    name: str
    description: str

    @property
    def group_name(self) -> str:
        return STATUS_GROUPS[self.group]


class Error(NamedTuple):
    """Why (contract §6.2). ``permanent``: trying again cannot help."""

    group: int
    id: int
    name: str
    description: str
    permanent: bool

    @property
    def group_name(self) -> str:
        return ERROR_GROUPS[self.group]


PENDING_WAITING_DELIVERY: Final = Status(
    1, 3, "PENDING_WAITING_DELIVERY", "Message sent, waiting for delivery report"
)
PENDING_ENROUTE: Final = Status(1, 7, "PENDING_ENROUTE", "Message sent to next instance")
PENDING_ACCEPTED: Final = Status(1, 26, "PENDING_ACCEPTED", "Message accepted, pending for delivery.")
UNDELIVERABLE_NOT_DELIVERED: Final = Status(2, 9, "UNDELIVERABLE_NOT_DELIVERED", "Message sent not delivered")
UNDELIVERABLE_NOT_SENT: Final = Status(2, 31, "UNDELIVERABLE_NOT_SENT", "Message not sent")
DELIVERED_TO_HANDSET: Final = Status(3, 5, "DELIVERED_TO_HANDSET", "Message delivered to handset")
EXPIRED_EXPIRED: Final = Status(4, 15, "EXPIRED_EXPIRED", "Message expired")
REJECTED_NETWORK: Final = Status(5, 6, "REJECTED_NETWORK", "Network is forbidden")
REJECTED_BLOCKLISTED: Final = Status(
    5, 14, "REJECTED_DESTINATION_BLOCKLISTED", "Destination is on a list of addresses that get no mail"
)
REJECTED_ROUTE: Final = Status(5, 19, "REJECTED_ROUTE_NOT_AVAILABLE", "Route not available")
REJECTED_FLOODING: Final = Status(5, 20, "REJECTED_FLOODING_FILTER", "Rejected by the flooding filter")
SIGNALS_BLOCKED: Final = Status(5, 87, "SIGNALS_BLOCKED", "Message blocked for its content")
REJECTED_INTERNAL: Final = Status(5, 89, "REJECTED_INTERNAL_ERROR", "Internal error")

NO_ERROR: Final = Error(0, 0, "NO_ERROR", "No Error", False)
UNKNOWN: Final = Error(1, 255, "EC_UNKNOWN_ERROR", "Unknown error", False)
# The general codes are of the first group in Infobip's registry.
CANCELED: Final = Error(1, 4100, "EC_MESSAGE_CANCELED", "Message canceled", True)
VALIDITY_EXPIRED: Final = Error(1, 4101, "EC_VALIDITY_EXPIRED", "Validity period expired", True)

SPAM_DETECTED: Final = Error(1, 6002, "EC_SPAM_DETECTED", "Spam detected", True)
UNSUBSCRIBED: Final = Error(1, 6003, "EC_UNSUBSCRIBED_EMAIL_ADDRESS", "Unsubscribed email address", True)
SENDER_INVALID: Final = Error(1, 6029, "EC_SENDER_ADDRESS_INVALID", "Sender address invalid", True)
SUPPRESSED_BOUNCE: Final = Error(1, 6034, "EC_SUPPRESSED_BOUNCE", "Address suppressed after a bounce", True)
SUPPRESSED_COMPLAINT: Final = Error(
    1, 6035, "EC_SUPPRESSED_SPAM_COMPLAINT", "Address suppressed after a spam complaint", True
)
ACCESS_DENIED: Final = Error(
    1, 6053, "EC_ACCESS_DENIED_BY_MAILBOX_PROVIDER", "Access denied by mailbox provider", False
)
SAFETY_RATE_LIMIT: Final = Error(1, 6057, "EC_SAFETY_RATE_LIMIT", "Safety rate limit", False)
PROVIDER_RATE_LIMIT: Final = Error(
    1, 6058, "EC_MAILBOX_PROVIDER_RATE_LIMIT", "Rate limit of the mailbox provider", False
)

INVALID_ADDRESS: Final = Error(2, 6006, "EC_INVALID_EMAIL_ADDRESS", "Invalid email address", True)
MAILBOX_UNAVAILABLE: Final = Error(
    2, 6007, "EC_MAILBOX_TEMPORARY_UNAVAILABLE", "Mailbox temporary unavailable", False
)
MAILBOX_GONE: Final = Error(2, 6009, "EC_MAILBOX_PERMANENTLY_UNAVAILABLE", "Mailbox permanently unavailable", True)
INBOX_FULL: Final = Error(2, 6010, "EC_RECIPIENT_INBOX_FULL", "Recipient inbox full", False)
SOFT_BOUNCE: Final = Error(2, 6011, "EC_SOFT_BOUNCE", "Soft bounce", False)
HARD_BOUNCE: Final = Error(2, 6012, "EC_HARD_BOUNCE", "Hard bounce", True)
IP_BLACKLISTED: Final = Error(2, 6017, "EC_SENDER_IP_BLACKLISTED", "Sender IP blacklisted", False)
MX_NOT_FOUND: Final = Error(2, 6037, "EC_RECIPIENT_DOMAIN_MX_NOT_FOUND", "Recipient domain MX not found", True)
SPAM_REVERTED: Final = Error(2, 6042, "EC_SPAM_REVERTED", "Refused as spam", True)
SUSPICIOUS_CONTENT: Final = Error(2, 6043, "EC_SUSPICIOUS_CONTENT", "Suspicious content", True)
DOMAIN_POLICY: Final = Error(2, 6045, "EC_RECIPIENT_DOMAIN_POLICY_ERROR", "Recipient domain policy error", True)
DOMAIN_CONFIGURATION: Final = Error(2, 6047, "EC_DOMAIN_CONFIGURATION_ERROR", "Domain configuration error", True)
DMARC_POLICY: Final = Error(2, 6048, "EC_DMARC_POLICY_ISSUE", "DMARC policy issue", True)
DOMAIN_BLACKLISTED: Final = Error(2, 6049, "EC_SENDER_DOMAIN_BLACKLISTED", "Sender domain blacklisted", True)

INTERNAL: Final = Error(3, 6013, "EC_INTERNAL_SYSTEM_ERROR", "Internal system error", False)
