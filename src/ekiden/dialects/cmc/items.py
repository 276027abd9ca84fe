"""What became of mail, as lists and events tell it (contract §1.3, §4.3, §4.4): every value is a text, none is
left out, and there is no other: PHP's client ends with an error at a member that it does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ekiden.core.diagnosis import Stage
from ekiden.core.events import EventType
from ekiden.dialects.cmc.codes import bounce_status
from ekiden.dialects.cmc.labels import api_data, author, told_id
from ekiden.mime.header import decode_words

if TYPE_CHECKING:
    from ekiden.core.notices import Happening

DELIVERY_STATUSES: Final[dict[EventType, str]] = {
    EventType.ACCEPTED: "queued",
    EventType.QUEUED: "queued",
    EventType.DELIVERED: "succeeded",
    EventType.DEFERRED: "deferred",
    EventType.BOUNCED: "failed",
    EventType.EXPIRED: "failed",
    EventType.DROPPED: "failed",
    EventType.CANCELLED: "failed",
}
BOUNCE_TYPES: Final = frozenset({EventType.BOUNCED, EventType.EXPIRED, EventType.DROPPED, EventType.LATE_BOUNCE})
_WITH_REASON: Final = frozenset({"failed", "deferred"})
_PHASES: Final[dict[Stage, str]] = {
    Stage.CONNECT: "CONNECT",
    Stage.EHLO: "EHLO",
    Stage.MAIL: "MAIL FROM",
    Stage.RCPT: "RCPT TO",
    Stage.DATA: "DATA",
    Stage.END: "DATA end",
}
"""As RCPT and the end of the content were seen; the others after their example."""
_NEVER_SENT: Final = "Delivery was cancelled before the message was sent."


class DeliveryItem(msgspec.Struct, gc=False):
    """In the order in which members were seen."""

    reason: str
    sourceIp: str
    returnPath: str
    created: str
    subject: str
    apiData: str
    messageId: str
    author: str = msgspec.field(name="from")
    to: str
    senderIp: str
    status: str


class BounceItem(msgspec.Struct, gc=False):
    """``status`` is a number, as a text."""

    created: str
    status: str
    author: str = msgspec.field(name="from")
    to: str
    messageId: str
    returnPath: str
    subject: str
    apiData: str
    reason: str


def delivery_item(happening: Happening, created: str) -> DeliveryItem:
    """``created``: when it happened, there."""
    status = DELIVERY_STATUSES[happening.type]
    return DeliveryItem(
        reason=reason_of(happening) if status in _WITH_REASON else "",
        sourceIp=happening.client if status == "queued" else "",
        returnPath=happening.sender,
        created=created,
        subject=decode_words(happening.subject),
        apiData=api_data(happening.labels),
        messageId=told_id(happening.labels, happening.header_id),
        author=author(happening.labels, happening.sender),
        to=happening.recipient,
        senderIp=happening.source,
        status=status,
    )


def bounce_item(happening: Happening, created: str) -> BounceItem:
    """``created``: when it happened, there."""
    # A bounce that comes later says so itself.
    expired = happening.type is EventType.EXPIRED or bool(happening.data.get("expired"))
    stopped_by = str(happening.data.get("kind", "")) if happening.data.get("why") == "suppressed" else ""
    return BounceItem(
        created=created,
        status=str(bounce_status(happening.diagnosis, expired=expired, suppression=stopped_by)),
        author=author(happening.labels, happening.sender),
        to=happening.recipient,
        messageId=told_id(happening.labels, happening.header_id),
        returnPath=happening.sender,
        subject=decode_words(happening.subject),
        apiData=api_data(happening.labels),
        reason=reason_of(happening),
    )


def reason_of(happening: Happening) -> str:
    """The peer's reply and what it answered; where there was none, what Ekiden says."""
    if happening.data.get("why") == "suppressed":
        return f"Recipient address <{happening.recipient}> is suppressed to send mail. (in reply to RCPT TO)"
    if happening.type is EventType.CANCELLED:
        return happening.reason or _NEVER_SENT
    if happening.stage is None:
        return happening.reason
    code = " ".join(filter(None, (str(happening.code or ""), happening.enhanced)))
    text = happening.reason if happening.reason.startswith(code) else f"{code} {happening.reason}"
    return f"{text} (in reply to {_PHASES[happening.stage]})"
