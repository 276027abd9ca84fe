"""Requests and their mails as they stand: ``/mails/requests`` and ``/mails/{mailId}`` (contract §4.4 to §4.7).

Where the contract is silent: what has no result has none told (``sendResultCode`` is null); ``sendDate`` is when a
mail was made ready, once its sending has begun; ``title`` of a mail is as its recipient reads it, and is looked for
so; addresses are compared as a whole; ``received`` is false for a mail that several have: nobody can tell them
apart.
"""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING, Any, Final

from litestar import Response

from ekiden.dialects.naver.codes import BY_CODE, STATUS, send_result
from ekiden.dialects.naver.errors import BadRequest
from ekiden.dialects.naver.http import answer
from ekiden.dialects.naver.labels import label, labelled
from ekiden.dialects.naver.paging import Order, read_page
from ekiden.dialects.naver.times import nes_date
from ekiden.limits.loop_slices import in_turns
from ekiden.mailings.reading import (
    MailFilter,
    MailOrder,
    Reader,
    Request,
    RequestFilter,
    RequestOrder,
)
from ekiden.mailings.shelf import FoundMail
from ekiden.mailings.values import MailStatus
from ekiden.web.operation import reads

if TYPE_CHECKING:
    from ekiden.dialects.naver.call import Call

_REQUESTS_BY: Final[dict[str, RequestOrder]] = {
    "createUtc": "created",
    "recipientCount": "recipients",
    "reservationUtc": "reserved",
    "sendUtc": "sent",
    "statusCode": "status",
}
_MAILS_BY: Final[dict[str, MailOrder]] = {"id": "id", "createUtc": "id", "statusCode": "status"}
_VIA: Final = ("API", "CONSOLE")


async def list_requests(call: Call) -> Response[bytes]:
    """A page of them."""
    query = call.query
    since, until = query.period(needed=True)
    assert since is not None
    assert until is not None
    via = query.text("dispatchType") or ""
    if via and via not in _VIA:
        raise BadRequest("{name} cannot have that value", name="dispatchType")
    page = read_page(query, _REQUESTS_BY, Order("createUtc", True))
    wanted = RequestFilter(
        since=since,
        until=until,
        id=query.text("requestId") or "",
        mail=query.text("mailId") or "",
        via=via,
        title=query.text("title") or "",
        template_id=query.number_or_none("templateSid"),
        sender=(query.text("senderAddress") or "").strip(),
        recipient=(query.text("recipientAddress") or "").strip(),
        statuses=_statuses(call),
    )
    order = [(_REQUESTS_BY[item.property], item.descending) for item in page.sort]
    found = await call.services.mail_reading.requests(call.account_id, wanted, order, page.offset, page.size)
    content = await in_turns(lambda request: _request(call, request), found.requests)
    return answer(page.shape(content, found.total))


async def get_status(call: Call) -> Response[bytes]:
    """How many mails of a request stand where."""
    found = await call.services.mail_reading.status(call.account_id, call.name("id"))
    standing, counts = found.standing, found.standing.counts
    by_status = [
        {"status": labelled("email_status", code, call.language), "count": count}
        for code, count in sorted((STATUS[status], count) for status, count in counts.items())
    ]
    sent = counts.get(MailStatus.SENT, 0)
    return answer(
        {
            "requestId": found.request.id,
            "readyCompleted": standing.prepared,
            "allSentSuccess": standing.prepared and sent == standing.mails > 0,
            "requestCount": max(standing.mails, found.request.mails),
            "sentCount": sent,
            "finishCount": standing.finished,
            "readyCount": standing.mails,
            "reservationDate": nes_date(found.request.reserved_at),
            "countsByStatus": by_status,
        }
    )


async def list_mails(call: Call) -> Response[bytes]:
    """A page of those of a request."""
    query = call.query
    page = read_page(query, _MAILS_BY, Order("createUtc", True))
    wanted = MailFilter(
        mail=query.text("mailId") or "",
        recipient=(query.text("recipientAddress") or "").strip(),
        title=query.text("title") or "",
        statuses=_statuses(call),
    )
    order = [(_MAILS_BY[item.property], item.descending) for item in page.sort]
    found = await call.services.mail_reading.mails(
        call.account_id, call.name("id"), wanted, order, page.offset, page.size
    )
    content = await in_turns(lambda mail: _mail(call, found.request, mail), found.mails)
    return answer(page.shape(content, found.total))


async def get_mail(call: Call) -> Response[bytes]:
    """One of them, with its text and what became of it."""
    found = await call.services.mail_reading.mail(call.account_id, call.name("id"))
    shown = _mail(call, found.request, found.mail)
    del shown["representativeRecipient"], shown["reservationStatus"]
    several = len(found.readers) > 1
    return answer(
        {
            **shown,
            "requesterIp": masked(found.client),
            "reservationDate": nes_date(found.request.reserved_at),
            "body": found.html,
            "referencesHeader": found.references or None,
            "attachFiles": [
                {"fileId": file.id, "fileName": file.name, "fileSize": file.size} for file in found.files
            ],
            "recipients": [_reader(call, reader, several=several) for reader in found.readers],
        }
    )


def _statuses(call: Call) -> frozenset[MailStatus]:
    # Some clients write them into one parameter.
    codes = [code.strip() for given in call.query.texts("sendStatus") for code in given.split(",")]
    unknown = next((code for code in codes if code not in BY_CODE), None)
    if unknown is not None:
        raise BadRequest("{name} cannot have that value", name="sendStatus")
    return frozenset(BY_CODE[code] for code in codes)


def _request(call: Call, request: Request) -> dict[str, Any]:
    return {
        "requestId": request.id,
        "requestDate": nes_date(request.created_at),
        "templateSid": request.template_id,
        "templateName": request.template_name or None,
        "emailStatus": labelled("email_status", STATUS[request.status], call.language),
        "senderAddress": request.sender,
        "senderName": request.sender_name or None,
        "dispatchType": request.via,
        "sendDate": nes_date(request.sent_at),
        "reservationDate": nes_date(request.reserved_at),
        "requestCount": request.mails,
        "recipientCount": request.recipients,
    }


def _mail(call: Call, request: Request, mail: FoundMail) -> dict[str, Any]:
    others = len(mail.people) - 1
    first = mail.people[0].address
    reserved = "N" if request.reserved_at is None else "Y"
    return {
        "requestId": request.id,
        "requestDate": nes_date(request.created_at),
        "mailId": mail.id,
        "title": mail.title,
        "templateSid": request.template_id,
        "templateName": request.template_name or None,
        "emailStatus": labelled("email_status", STATUS[mail.status], call.language),
        "senderAddress": request.sender,
        "senderName": request.sender_name or None,
        "sendDate": nes_date(mail.sent_at),
        "reservationStatus": labelled("reservation_status", reserved, call.language),
        "advertising": request.advertising,
        "representativeRecipient": f"{first}({others})" if others else first,
    }


def _reader(call: Call, reader: Reader, *, several: bool) -> dict[str, Any]:
    code = send_result(reader)
    opened = None if several else reader.opened_at
    return {
        "address": reader.person.address,
        "name": reader.person.name,
        "type": labelled("recipient_type", reader.person.kind, call.language),
        "received": opened is not None,
        "receivedDate": nes_date(opened),
        "status": labelled("email_status", STATUS[reader.status], call.language),
        "retryCount": max(0, reader.attempts - 1),
        # With the line end that replies have in this API (contract §4.7).
        "sendResultMessage": f"{reader.reply}\n" if reader.reply and code is not None else None,
        "sendResultCode": code,
        "sendResultCodeMessage": None if code is None else label("send_result", code, call.language),
    }


def masked(address: str) -> str:
    """``10.78.xx.73``; of an IPv6 address what names a host is hidden likewise."""
    try:
        found = ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, IPv4Address):
        first, second, _, last = str(found).split(".")
        return f"{first}.{second}.xx.{last}"
    parts = found.exploded.split(":")
    return ":".join([*parts[:3], *["xx"] * 4, parts[-1]])


OPERATIONS: Final = (
    reads("/mails/requests", list_requests),
    reads("/mails/requests/{id:str}/status", get_status),
    reads("/mails/requests/{id:str}/mails", list_mails),
    reads("/mails/{id:str}", get_mail),
)
