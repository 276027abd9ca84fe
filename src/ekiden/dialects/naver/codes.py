"""What became of a mail, in this API's codes (contract §4.3, §4.7).

Where the contract is silent: what can still be tried again is told with ``…_ABNORMAL``, what has ended with
``…_ERROR``; the names between are those of the documented ones.
"""

from __future__ import annotations

from typing import Final

from ekiden.core.diagnosis import Diagnosis as D
from ekiden.mailings.reading import Reader
from ekiden.mailings.values import MailStatus

STATUS: Final[dict[MailStatus, str]] = {
    MailStatus.PREPARING: "P",
    MailStatus.READY: "R",
    MailStatus.SENDING: "I",
    MailStatus.SENT: "S",
    MailStatus.FAILED: "F",
    MailStatus.UNSUBSCRIBED: "U",
    MailStatus.CANCELLED: "C",
    MailStatus.PARTLY: "PF",
}
BY_CODE: Final = {code: status for status, code in STATUS.items()}

SENT: Final = "MAIL_SENT"
BLOCKED: Final = "SEND_BLOCK_ADDRESS"
NO_DOMAIN: Final = "NONEXISTENT_DOMAIN_ADDRESS"

KINDS: Final[dict[D, str]] = {
    D.NONE: "SMTP",
    D.NO_MAILBOX: "RECIPIENT_ADDRESS",
    D.DISABLED: "MAILBOX",
    D.FULL: "MAILBOX",
    D.MOVED: "RECIPIENT_ADDRESS",
    D.BAD_ADDRESS: "RECIPIENT_ADDRESS",
    D.RECIPIENT_REFUSED: "RECIPIENT_ADDRESS",
    D.RECIPIENT_FILTER: "SECURITY_AND_POLICY",
    D.NO_DOMAIN: NO_DOMAIN,
    D.NULL_MX: NO_DOMAIN,
    D.NO_ROUTE: NO_DOMAIN,
    D.SENDER_REFUSED: "SECURITY_AND_POLICY",
    D.SPF: "SECURITY_AND_POLICY",
    D.DKIM: "SECURITY_AND_POLICY",
    D.DMARC: "SECURITY_AND_POLICY",
    D.PTR: "SECURITY_AND_POLICY",
    D.TLS: "SECURITY_AND_POLICY",
    D.AUTHENTICATION: "SECURITY_AND_POLICY",
    D.IP_BLOCKED: "SECURITY_AND_POLICY",
    D.DOMAIN_BLOCKED: "SECURITY_AND_POLICY",
    D.SPAM: "MAIL_CONTENTS",
    D.VIRUS: "MAIL_CONTENTS",
    D.MALFORMED: "MAIL_CONTENTS",
    D.TOO_BIG: "MAIL_CONTENTS",
    D.CONVERSION: "MAIL_CONTENTS",
    D.SMTPUTF8: "RECIPIENT_ADDRESS",
    D.RATE_IP: "SECURITY_AND_POLICY",
    D.RATE_DOMAIN: "SECURITY_AND_POLICY",
    D.RATE_RECIPIENT: "SECURITY_AND_POLICY",
    D.CONNECTIONS: "RECEIVE_MAIL_SERVICE",
    D.RECIPIENTS: "RECEIVE_MAIL_SERVICE",
    D.GREYLISTED: "SECURITY_AND_POLICY",
    D.RELAY: "RECIPIENT_ADDRESS",
    D.POLICY: "SECURITY_AND_POLICY",
    D.PROTOCOL: "SMTP",
    D.PEER: "RECEIVE_MAIL_SERVICE",
    D.NO_ANSWER: "NETWORK",
    D.LOST: "NETWORK",
    D.DNS: "NETWORK",
    D.NETWORK: "NETWORK",
    D.NOT_SMTP: "SMTP",
    D.LOOP: "RECEIVE_MAIL_SERVICE",
    D.OURS: "SMTP",
    D.UNREPORTED: "SMTP",
    D.UNKNOWN: "SMTP",
}
"""The beginning of a result's code; one that has no other end is the whole of it."""


def result_code(diagnosis: D, *, final: bool) -> str:
    """Of a failure, or of a try that will be repeated."""
    kind = KINDS[diagnosis]
    if kind == NO_DOMAIN:
        return kind
    return f"{kind}_ERROR" if final else f"{kind}_ABNORMAL"


def send_result(reader: Reader) -> str | None:
    """``sendResultCode`` of a recipient; ``None``: there is no result."""
    if reader.status is MailStatus.SENT:
        return SENT
    if reader.status is MailStatus.FAILED:
        return BLOCKED if reader.suppressed else result_code(reader.diagnosis, final=True)
    if reader.status is MailStatus.SENDING and reader.diagnosis is not D.NONE:
        return result_code(reader.diagnosis, final=False)
    return None
