"""What recipients do with a message, told to the tracking URL: one flat object per request (contract §5.3).

Opens and clicks by machines have the same shape; only events and traces of ours tell which they are.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ekiden.core.events import EventType
from ekiden.core.notices import Happening
from ekiden.dialects.infobip.news.reports import CALLBACK_DATA

_NAMESPACE: Final = uuid.UUID("5f3c3c1e-55a7-5c55-a34d-6b1d3f2d5f5a")
"""Of the ids that receivers recognise repetitions by. It never changes."""

_TYPES: Final[dict[EventType, str]] = {
    EventType.OPENED: "OPENED",
    EventType.CLICKED: "CLICKED",
    EventType.UNSUBSCRIBED: "UNSUBSCRIBED",
    EventType.COMPLAINED: "COMPLAINED",
    EventType.LATE_BOUNCE: "LATE_BOUNCE",
}
_BY_PROVIDER: Final = frozenset({EventType.COMPLAINED, EventType.LATE_BOUNCE})
"""Told by the recipient's provider, so nothing is known of a device, but the sender is named."""


class _Tracked(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    notificationType: str
    eventId: str
    domain: str
    recipient: str
    sender: str = ""
    url: str = ""
    sendDateTime: int
    messageId: str
    bulkId: str = ""
    callbackData: str = ""
    recipientInfo: dict[str, str] | None = None
    geoLocation: dict[str, str] | None = None
    entityId: str = ""
    applicationId: str = ""
    campaignReferenceId: str = ""


class Tracking:
    """``infobip-tracking``: a ``notify.formats.Format``."""

    name: Final = "infobip-tracking"
    content_type: Final = "application/json"
    batch: Final = 1

    def wants(self, happening: Happening) -> bool:
        return happening.type in _TYPES

    def encode(self, happenings: Sequence[Happening]) -> bytes:
        (happening,) = happenings
        return _encode(_tracked(happening))


_encode = msgspec.json.Encoder().encode


def event_uuid(happening: Happening) -> str:
    """The same for the same event, however often it is sent."""
    return str(uuid.uuid5(_NAMESPACE, f"{happening.message_id}/{happening.event_id}"))


def _tracked(happening: Happening) -> _Tracked:
    by_provider = happening.type in _BY_PROVIDER
    data = happening.data
    return _Tracked(
        notificationType=_TYPES[happening.type],
        eventId=event_uuid(happening),
        domain=happening.sender.rpartition("@")[2],
        recipient=happening.recipient,
        sender=happening.sender if by_provider else "",
        url=str(data.get("url", "")) if happening.type is EventType.CLICKED else "",
        sendDateTime=happening.accepted_at,
        messageId=happening.external_id,
        bulkId=happening.bulk,
        callbackData=happening.labels.get(CALLBACK_DATA, ""),
        recipientInfo=None if by_provider else _device(data.get("device")),
        geoLocation=None if by_provider else _place(data.get("geo")),
        entityId=happening.entity,
        applicationId=happening.application,
        campaignReferenceId=happening.campaign,
    )


def _device(device: Any) -> dict[str, str] | None:
    """From ``{"type", "os", "name"}`` of the event."""
    return _renamed(device, {"type": "deviceType", "os": "os", "name": "deviceName"})


def _place(place: Any) -> dict[str, str] | None:
    """From ``{"country", "city"}`` of the event, where somebody looked it up."""
    return _renamed(place, {"country": "countryName", "city": "city"})


def _renamed(value: Any, names: dict[str, str]) -> dict[str, str] | None:
    if not isinstance(value, dict):
        return None
    return {theirs: str(value[ours]) for ours, theirs in names.items() if value.get(ours)} or None
