"""Which mail a report is about, as far as it quotes that mail.

Who has the tables looks for an envelope sender with a token of ours; then for a Message-ID, or another id, of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ekiden.core.report import Origin, Report
from ekiden.inbound.reports.material import Fields, Material
from ekiden.inbound.reports.patterns import ADDRESS, compiled
from ekiden.inbound.reports.status_fields import mailbox, tidy

_MOST: Final = 20
"""Of each."""
_FOR: Final = compiled(rf"\bfor[ \t]+<?({ADDRESS})")
_ENVELOPE_FROM: Final = compiled(rf"envelope-from[ \t=]*<?({ADDRESS})")
_MESSAGE_ID: Final = compiled(r"<[^<>\s]{1,900}>")
_ID: Final = compiled(
    r"^(?:x-[a-z0-9-]{0,50}(?:id|uid|guid|token|key|ref|reference|metadata|message|job|campaign|mailing)"
    r"|(?:cfbl-)?feedback-id|original-envelope-id|x-original-message-id|x-report-abuse-to)$"
)
_SENDERS: Final = ("return-path", "x-envelope-from", "x-original-return-path", "original-mail-from", "errors-to")


class _Collected:
    """Values in their order, each once."""

    def __init__(self) -> None:
        self.values: dict[str, None] = {}

    def add(self, values: Iterable[str]) -> None:
        for value in values:
            if value and len(self.values) < _MOST:
                self.values.setdefault(value)


def quoted_origin(material: Material, said: Fields, reports: Iterable[Report]) -> Origin:
    """``said``: fields in which the report itself names the mail, such as Original-Mail-From (RFC 5965)."""
    senders, recipients, message_ids = _Collected(), _Collected(), _Collected()
    fields = [*material.returned, *said]
    for name in _SENDERS:
        senders.add(mailbox(value) for key, value in fields if key == name)
    for name, value in fields:
        if name == "received":
            senders.add(tidy(match[1]) for match in _ENVELOPE_FROM.finditer(value))
            recipients.add(tidy(match[1]) for match in _FOR.finditer(value))
        elif name in ("message-id", "x-original-message-id", "original-message-id"):
            match = _MESSAGE_ID.search(value)
            message_ids.add([f"<{value.strip()[:900]}>" if match is None else match[0]])
        elif name in ("original-rcpt-to", "x-hmxmroriginalrecipient", "x-original-to", "delivered-to"):
            recipients.add([mailbox(value)])
    for report in reports:
        recipients.add((report.asked, report.recipient))
    ids = dict.fromkeys((name, value[:500]) for name, value in fields if value and _ID.search(name))
    return Origin(tuple(senders.values), tuple(recipients.values), tuple(message_ids.values), tuple(ids)[:_MOST])
