"""What Amazon SES tells by mail, over SNS: a JSON document as the whole text."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ekiden.core.diagnosis import Diagnosis
from ekiden.core.report import Kind, Report
from ekiden.inbound.reports.material import Fields
from ekiden.inbound.reports.statement import judge, read_statement
from ekiden.inbound.reports.status_fields import tidy

_MOST: Final = 50
_KINDS: Final = {"Complaint": Kind.COMPLAINT, "Bounce": Kind.BOUNCE, "DeliveryDelay": Kind.DELAY}
_LISTS: Final = {
    "Complaint": ("complaint", "complainedRecipients"),
    "Bounce": ("bounce", "bouncedRecipients"),
    "DeliveryDelay": ("deliveryDelay", "delayedRecipients"),
}


def read_ses_notice(text: str) -> tuple[list[Report], Fields] | None:
    """``None``: the text is no such document, or tells of something else."""
    text = text.strip()
    if not text.startswith("{") or "ecipients" not in text:
        return None
    end = text.rfind("}")
    try:
        # Lines that were too long come with an exclamation mark where they were cut.
        document = msgspec.json.decode(text[: end + 1].replace("!\n ", "").replace("\n", ""))
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    if isinstance(document, dict) and isinstance(document.get("Message"), dict):
        document = document["Message"]
    told = _text(document, "notificationType") or _text(document, "eventType")
    if told not in _KINDS:
        return None
    part, name = _LISTS[told]
    of_all = _object(document, part)
    entries = of_all.get(name)
    reports = [
        _report(_KINDS[told], of_all, entry)
        for entry in (entries if isinstance(entries, list) else [])[:_MOST]
        if isinstance(entry, dict)
    ]
    mail = _object(document, "mail")
    fields = [("x-ses-message-id", _text(mail, "messageId")), ("return-path", _text(mail, "source"))]
    headers = _object(mail, "commonHeaders")
    fields.append(("message-id", _text(headers, "messageId")))
    return reports, [(key, value) for key, value in fields if value]


def _report(kind: Kind, of_all: dict[str, Any], entry: dict[str, Any]) -> Report:
    recipient = tidy(_text(entry, "emailAddress"))
    if kind is Kind.COMPLAINT:
        action = _text(of_all, "complaintFeedbackType").lower()[:40] or "abuse"
        return Report(kind, recipient, action=action, how="ses")
    statement = read_statement(
        _text(entry, "diagnosticCode").partition(";")[2].strip(), _text(entry, "status")[:11]
    )
    action = _text(entry, "action").lower()[:20] or ("failed" if kind is Kind.BOUNCE else "delayed")
    if not statement.words:
        statement = statement._replace(words=_WORDS.get(_text(of_all, "bounceSubType"), ""))
    found = judge(statement, recipient, kind is Kind.BOUNCE)
    if _text(of_all, "bounceType") == "Transient" and found.hard:
        found = Diagnosis.RECIPIENT_REFUSED
    return Report(
        kind,
        recipient,
        action=action,
        diagnosis=found,
        code=statement.code,
        enhanced=statement.enhanced,
        text=statement.words,
        stage=statement.stage,
        expired=statement.expired,
        how="ses",
    )


_WORDS: Final = {
    "NoEmail": "User unknown",
    "MailboxFull": "Mailbox full",
    "MessageTooLarge": "Message too large",
    "ContentRejected": "Message content rejected",
    "AttachmentRejected": "Attachment type not allowed",
    "Suppressed": "Address is on a suppression list",
    "OnAccountSuppressionList": "Address is on a suppression list",
}
"""Of ``bounceSubType``, where nothing else is said."""


def _object(value: Any, name: str) -> dict[str, Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _text(value: Any, name: str) -> str:
    found = value.get(name) if isinstance(value, dict) else None
    return found[:2_000] if isinstance(found, str) else ""
