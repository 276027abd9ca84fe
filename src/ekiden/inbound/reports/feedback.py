"""Complaints: ARF (RFC 5965, RFC 6650) and what resembles it.

Microsoft's JMRP sends the mail alone, with the recipient in a field of its own; others put the fields of ARF into a
part for people; some hide the recipient. Amazon SES tells in JSON.
"""

from __future__ import annotations

from typing import Final

from ekiden.core.report import Kind, Report
from ekiden.inbound.reports.dates import moment
from ekiden.inbound.reports.material import Fields, Material, header_fields
from ekiden.inbound.reports.patterns import compiled
from ekiden.inbound.reports.status_fields import mailbox

_MOST: Final = 50
_RECIPIENTS: Final = ("original-rcpt-to", "removal-recipient", "x-original-rcpt-to")
_OF_THE_MAIL: Final = ("x-hmxmroriginalrecipient", "x-original-to", "x-rcpt-to", "x-envelope-to", "to")
_SUBJECT: Final = compiled(
    r"complaint about message from|e?-?mail feedback report|^\W{0,4}(?:spam |abuse )complaint\b"
)
_FIELD_IN_TEXT: Final = compiled(r"^[ \t]{0,4}feedback-type:[ \t]*[a-z-]+[ \t]*$")
_HIDDEN: Final = compiled(r"^(?:redacted|undisclosed|hidden|hashed|anonymi[sz]ed|unknown|removed|x{3,})?(?:@|$)")
_NOT_TOLD: Final = compiled(r"^(?:redacted|undisclosed|unknown|hidden)?@?$|^<?undisclosed[ -]recipients")


def read_feedback(material: Material) -> tuple[list[Report], Fields] | None:
    """The complaints of a mail, and the fields that name what it is about; ``None``: it is none."""
    fields: Fields = [field for text in material.feedback for field in header_fields(text)]
    if not fields:
        fields = _in_text(material)
    if fields:
        return _reports(material, fields, "feedback-report"), fields
    if _resembles(material):
        return _reports(material, [("feedback-type", "abuse")], "returned-mail"), []
    return None


def _in_text(material: Material) -> Fields:
    match = _FIELD_IN_TEXT.search(material.text)
    if match is None:
        return []
    start = material.text.rfind("\n\n", 0, match.start()) + 2
    fields = header_fields(material.text[max(start, 0) :])
    return fields if any(name in ("user-agent", "version", "source-ip") for name, _ in fields) else []


def _resembles(material: Material) -> bool:
    if any(name == "x-hmxmroriginalrecipient" for name, _ in material.returned):
        return True
    if material.header("x-xarf").lower() in ("yes", "plain", "bulk"):
        return True
    return bool(material.returned) and _SUBJECT.search(material.header("subject")) is not None


def _reports(material: Material, fields: Fields, how: str) -> list[Report]:
    of = dict(reversed(fields))
    action = of.get("feedback-type", "").partition(" ")[0].lower()[:40] or "abuse"
    at = moment(of.get("arrival-date", "") or of.get("received-date", ""))
    remote = of.get("source-ip", "")[:64]
    return [
        Report(
            Kind.COMPLAINT,
            recipient,
            action=action,
            remote_mta=remote,
            at=at,
            named=_HIDDEN.search(recipient) is None,
            how=how,
        )
        for recipient in _recipients(material, fields) or [""]
    ]


def _recipients(material: Material, fields: Fields) -> list[str]:
    found = [mailbox(value) for name, value in fields if name in _RECIPIENTS]
    if not any(found):
        for wanted in _OF_THE_MAIL:
            found = [
                mailbox(value)
                for name, value in material.returned
                if name == wanted and not _NOT_TOLD.search(value.strip())
            ]
            if any(found):
                break
    return list(dict.fromkeys(address for address in found if address))[:_MOST]
