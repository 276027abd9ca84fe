"""Delivery reports: pushed in JSON and XML (contract §5.1, §5.2), and as entries of the pulled lists (§3.1, §3.2).

Keys that have nothing to say are left out. ``sentAt`` is when the message was accepted, ``doneAt`` when what is
reported happened, ``timeToFirstAttempt`` in milliseconds from the one to the first attempt. The price is the one of
Infobip's own examples: mail costs nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from ekiden.core.notices import Happening
from ekiden.dialects.infobip.codes import Error, Status
from ekiden.dialects.infobip.status import REPORTED, error_json, status_json, verdict_of
from ekiden.dialects.infobip.times import timestamp
from ekiden.web.xml import XML, xml_document, xml_text

PRICE: Final = msgspec.Raw(b'{"pricePerMessage":0,"currency":"UNKNOWN"}')
_CHANNEL: Final = msgspec.Raw(b'"EMAIL"')
CALLBACK_DATA: Final = "callback_data"
"""The label of a message that holds what its sender wants back (``callbackData``)."""
BATCH: Final = 100
"""Reports in a request, as in Infobip's other channels (contract §5.1)."""


class _Pushed(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    entityId: str = ""
    applicationId: str = ""
    campaignReferenceId: str = ""
    bulkId: str = ""
    price: msgspec.Raw
    status: msgspec.Raw
    error: msgspec.Raw
    messageId: str
    doneAt: str
    smsCount: int
    sentAt: str
    attemptCount: int
    timeToFirstAttempt: int | None = None
    smtp: dict[str, str] | None = None
    callbackData: str = ""
    to: str


class ReportV1(msgspec.Struct, omit_defaults=True, kw_only=True):
    """An entry of ``results`` of ``/email/1/reports``."""

    applicationId: str = ""
    entityId: str = ""
    bulkId: str = ""
    messageId: str
    to: str
    sentAt: str
    doneAt: str
    messageCount: int
    attemptCount: int
    timeToFirstAttempt: int | None = None
    price: msgspec.Raw
    status: msgspec.Raw
    error: msgspec.Raw
    channel: msgspec.Raw
    """Of older answers; Infobip's older client does without no report that lacks it (contract §3.1)."""


class Platform(msgspec.Struct, omit_defaults=True):
    """``platform`` of the ``/email/4`` generation."""

    entityId: str = ""
    applicationId: str = ""


class ReportV4(msgspec.Struct, omit_defaults=True, kw_only=True):
    """An entry of ``results`` of ``/email/4/reports``."""

    bulkId: str = ""
    price: msgspec.Raw
    status: msgspec.Raw
    error: msgspec.Raw
    messageId: str
    to: str
    sender: str
    sentAt: str
    doneAt: str
    messageCount: int
    callbackData: str = ""
    platform: Platform | None = None
    campaignReferenceId: str = ""
    attemptCount: int
    timeToFirstAttempt: int | None = None


def report_v1(happening: Happening) -> ReportV1:
    """For one of the events that are ``reportable``."""
    return ReportV1(
        applicationId=happening.application,
        entityId=happening.entity,
        messageCount=1,
        channel=_CHANNEL,
        **_common(happening),
    )


def report_v4(happening: Happening) -> ReportV4:
    """For one of the events that are ``reportable``."""
    return ReportV4(
        sender=happening.sender,
        messageCount=1,
        callbackData=happening.labels.get(CALLBACK_DATA, ""),
        platform=platform(happening.entity, happening.application),
        campaignReferenceId=happening.campaign,
        **_common(happening),
    )


def _common(happening: Happening) -> dict[str, Any]:
    """What every generation of reports tells."""
    status, error = verdict_of(happening)
    return {
        "bulkId": happening.bulk,
        "price": PRICE,
        "status": status_json(status),
        "error": error_json(error),
        "messageId": happening.external_id,
        "to": happening.recipient,
        "sentAt": timestamp(happening.accepted_at),
        "doneAt": timestamp(happening.at),
        "attemptCount": happening.attempts,
        "timeToFirstAttempt": _time_to_first(happening),
    }


def platform(entity: str, application: str) -> Platform | None:
    """``None``: the sender named neither."""
    return Platform(entity, application) if entity or application else None


def reportable(happening: Happening) -> bool:
    """Whether delivery reports tell of it: what became of one recipient."""
    return happening.type in REPORTED and happening.recipient != ""


class ReportJson:
    """``infobip-report-json``: a ``notify.formats.Format``."""

    name: Final = "infobip-report-json"
    content_type: Final = "application/json"
    batch: Final = BATCH

    def wants(self, happening: Happening) -> bool:
        return reportable(happening)

    def encode(self, happenings: Sequence[Happening]) -> bytes:
        return _encode({"results": [_pushed(happening) for happening in happenings]})


class ReportXml:
    """``infobip-report-xml``: a ``notify.formats.Format``. Elements are named as the keys of the JSON."""

    name: Final = "infobip-report-xml"
    content_type: Final = XML
    batch: Final = BATCH

    def wants(self, happening: Happening) -> bool:
        return reportable(happening)

    def encode(self, happenings: Sequence[Happening]) -> bytes:
        results = "".join([_result_xml(happening) for happening in happenings])
        return xml_document(f"<reportResponse><results>{results}</results></reportResponse>")


_encode = msgspec.json.Encoder().encode


def _time_to_first(happening: Happening) -> int | None:
    first = happening.first_attempt_at
    return None if first is None else max(0, first - happening.accepted_at)


def _response(happening: Happening) -> str:
    """The reply as one line, ``250 2.0.0 OK``; empty: there was none."""
    if not happening.code:
        return ""
    return " ".join(filter(None, (str(happening.code), happening.enhanced, happening.reason)))


def _pushed(happening: Happening) -> _Pushed:
    response = _response(happening)
    return _Pushed(
        entityId=happening.entity,
        applicationId=happening.application,
        campaignReferenceId=happening.campaign,
        smsCount=1,
        smtp={"response": response} if response else None,
        callbackData=happening.labels.get(CALLBACK_DATA, ""),
        **_common(happening),
    )


@lru_cache(maxsize=256)
def _status_xml(status: Status) -> str:
    return (
        f"<status><groupId>{status.group}</groupId><groupName>{status.group_name}</groupName><id>{status.id}</id>"
        f"<name>{status.name}</name><description>{xml_text(status.description)}</description></status>"
    )


@lru_cache(maxsize=256)
def _error_xml(error: Error) -> str:
    return (
        f"<error><groupId>{error.group}</groupId><groupName>{error.group_name}</groupName><id>{error.id}</id>"
        f"<name>{error.name}</name><description>{xml_text(error.description)}</description>"
        f"<permanent>{str(error.permanent).lower()}</permanent></error>"
    )


def _element(name: str, text: str) -> str:
    return f"<{name}>{xml_text(text)}</{name}>" if text else ""


def _result_xml(happening: Happening) -> str:
    status, error = verdict_of(happening)
    first = _time_to_first(happening)
    response = _response(happening)
    return (
        f"<result>{_element('bulkId', happening.bulk)}<messageId>{xml_text(happening.external_id)}</messageId>"
        f"<to>{xml_text(happening.recipient)}</to>"
        f"<sentAt>{timestamp(happening.accepted_at)}</sentAt><doneAt>{timestamp(happening.at)}</doneAt>"
        f"<smsCount>1</smsCount><attemptCount>{happening.attempts}</attemptCount>"
        f"{'' if first is None else f'<timeToFirstAttempt>{first}</timeToFirstAttempt>'}"
        f"{_element('callbackData', happening.labels.get(CALLBACK_DATA, ''))}"
        "<price><pricePerMessage>0</pricePerMessage><currency>UNKNOWN</currency></price>"
        f"{_status_xml(status)}{_error_xml(error)}"
        f"{f'<smtp><response>{xml_text(response)}</response></smtp>' if response else ''}"
        f"{_element('entityId', happening.entity)}{_element('applicationId', happening.application)}"
        f"{_element('campaignReferenceId', happening.campaign)}</result>"
    )
