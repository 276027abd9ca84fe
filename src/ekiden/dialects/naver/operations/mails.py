"""``POST /mails``: a request to mail up to 100,000 people, and more of the address book (contract §4.1, §4.2).

Where the contract is silent:

- A recipient's own parameters go before those of the request. What has no value stays as it is written. Numbers and
  truth values are written as JSON writes them, and so is anything else but null, which is no value.
- With ``individual`` everybody gets a mail of their own, whatever their ``type``. Without it, those of type R are
  put into mails of thirty, and the last of them has the copies; such a mail is filled with the parameters of the
  request, and with those of its recipient where there is only one.
- Somebody who is named twice gets two mails; who is in a group as well gets no further one.
- What is given, and not empty, goes before what the template says; the sender's name of a template is that of its
  address. A template that is not in use is a 400.
- A time that is over, and one more than thirty days ahead, is a 400.
- Advertising that is not ``individual`` is a 400: each recipient has a way out of their own.
- ``useBasicUnsubscribeMsg`` and ``unsubscribeMessage`` say something for advertising only, where the message counts
  as a part of the body, as often as it stands there. In the latter,
  ``${unsubscribeUrl}`` stands for the link; without it the link follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
from litestar import Response

from ekiden.access.credential_scopes import SEND
from ekiden.access.unavailable import StoreUnavailable
from ekiden.content.template_sender import read_sender
from ekiden.core.address import BadAddress, parse_address
from ekiden.core.clock import Millis
from ekiden.core.submission import Origin
from ekiden.dialects.naver.errors import BadRequest
from ekiden.dialects.naver.http import Whole, answer, check_characters, check_media_type, decode_json
from ekiden.dialects.naver.times import LAST, parse_time
from ekiden.intake.errors import TemporarilyUnavailable
from ekiden.mailings.advertising import grown
from ekiden.mailings.values import MAX_PEOPLE, Groups, Kind, NewRequest, Person
from ekiden.mime.errors import MimeError
from ekiden.mime.mailbox import Mailbox
from ekiden.web.json_gauge import measure
from ekiden.web.json_members import BadJson, JsonObject
from ekiden.web.need import Need
from ekiden.web.operation import Operation

if TYPE_CHECKING:
    from ekiden.dialects.naver.call import Call

MAX_SENDER_NAME: Final = 69
MAX_TITLE: Final = 500
MAX_BODY: Final = 500 * 1024
"""Octets, as the two above; with the message to unsubscribe."""
MAX_NAME: Final = 69
MAX_REFERENCES: Final = 100
"""Characters, as the one above."""
MAX_GROUPS: Final = 5
MAX_FILES: Final = 20
MAILS: Final = Need(52_428_800, 5_000_000, 16, at_once=False)
_VALUES_OF_THE_REST: Final = 100_000
"""Of what is decoded in one call: all but the recipients."""
_RECIPIENTS: Final = "recipients"
_AT_ONCE: Final = 500
"""Recipients that are read before others get their turn."""
_OCTETS_OF_SOME: Final = 262_145
"""So much work they are: it is done in a thread."""
_REFERENCE: Final = re.compile(r"<[!-;=?A-~]+@[!-;=?A-~]+>\Z")
_KINDS: Final = ("R", "C", "B")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""What no header field can have. Wide blanks, joiners and marks of direction are letters as any."""


class Filter(msgspec.Struct, kw_only=True):
    andFilter: bool
    groups: list[str]


class NewMails(msgspec.Struct, kw_only=True):
    """Without the recipients, which are read by themselves."""

    senderAddress: str | None = None
    senderName: str | None = None
    templateSid: Whole | None = None
    title: str | None = None
    body: str | None = None
    individual: bool | None = None
    confirmAndSend: bool | None = None
    advertising: bool | None = None
    parameters: dict[str, Any] | None = None
    referencesHeader: str | None = None
    reservationUtc: int | None = None
    reservationDateTime: str | None = None
    attachFileIds: list[str] | None = None
    recipientGroupFilter: Filter | None = None
    useBasicUnsubscribeMsg: bool | None = None
    unsubscribeMessage: str | None = None
    recipients: list[Any] | None = None


async def create_mails(call: Call) -> Response[bytes]:
    """201 once all of it is on stable storage; nothing of it is sent by then."""
    text = await call.body.read_json()
    if text:
        check_media_type(call.content_type)
    await call.body.work(len(text), partial(check_characters, text))
    place = await call.body.work(len(text), partial(_find_recipients, text))
    rest = text if place is None else text[: place[0]] + b"[]" + text[place[1] :]
    await call.body.work(len(rest), partial(measure, rest, _VALUES_OF_THE_REST, MAILS.depth))
    given = await decode_json(call.body, rest, NewMails)
    new = await _request(call, given)
    try:
        async with await call.services.mail_requests.begin(new) as draft:
            if place is not None:
                people = _people(text, place[0], call.services.carriers)
                while some := await call.body.work(_OCTETS_OF_SOME, lambda: list(islice(people, _AT_ONCE))):
                    await draft.add(some)
            accepted = await draft.commit()
    except TemporarilyUnavailable as error:
        raise StoreUnavailable(str(error)) from error
    return answer({"requestId": accepted.id, "count": accepted.mails}, 201)


# --- recipients ---------------------------------------------------------------------------------------------------


def _find_recipients(text: bytes | bytearray) -> tuple[int, int] | None:
    """Where the array begins and ends; ``None``: there is none, or no element in it."""
    place = None
    try:
        reader = JsonObject(text or b"{}")
        for name in reader.members():
            if name == _RECIPIENTS and reader.is_array():
                start = reader.at
                count = sum(1 for _ in reader.elements())
                if count > MAX_PEOPLE:
                    raise BadRequest("{field} has more than {most} elements", field=_RECIPIENTS, most=MAX_PEOPLE)
                place = (start, reader.at) if count else None
            else:
                reader.value()
                place = None if name == _RECIPIENTS else place
    except BadJson as error:
        raise BadRequest("the request body is not JSON: {why}", why=str(error)[:200]) from None
    return place


def _people(text: bytes | bytearray, start: int, carriers: bool) -> Iterator[Person]:
    for number, given in enumerate(JsonObject(text, start).elements()):
        if given is not None:
            yield _person(given, number, carriers)


def _person(given: Any, number: int, carriers: bool) -> Person:
    if not isinstance(given, dict):
        raise BadRequest("{field} must be an object", field=_field(number))
    address = given.get("address")
    if address is None:
        raise BadRequest("{field} is missing", field=_field(number, "address"))
    if not isinstance(address, str):
        raise BadRequest("{field} must be a text", field=_field(number, "address"))
    name = given.get("name")
    if name is None:
        name = ""
    elif not isinstance(name, str):
        name = _written(name)
    if len(name) > MAX_NAME:
        raise BadRequest("{field} has more than {most} characters", field=_field(number, "name"), most=MAX_NAME)
    address = address.strip()
    try:
        parse_address(address, carriers=carriers)
    except BadAddress as error:
        field = _field(number, "address")
        raise BadRequest("{field} has an unexpected value: {why}", field=field, why=error) from None
    if not name.isprintable() and _CONTROL.search(name) is not None:
        raise BadRequest("{field} must be one line", field=_field(number, "name"))
    kind = given.get("type") or "R"
    if kind not in _KINDS:
        raise BadRequest("{field} must be one of {known}", field=_field(number, "type"), known=", ".join(_KINDS))
    values = given.get("parameters")
    if values is None:
        values = {}
    elif not isinstance(values, dict):
        raise BadRequest("{field} must be an object", field=_field(number, "parameters"))
    else:
        values = parameters(values)
    try:
        # Halves of surrogate pairs can neither be kept nor sent.
        for piece in (name, *values, *values.values()):
            if not piece.isascii():
                piece.encode()
    except UnicodeEncodeError:
        raise BadRequest("{field} has characters that are none", field=_field(number)) from None
    return Person(address, name, cast(Kind, kind), values)


def _field(number: int, name: str = "") -> str:
    """What a recipient, or a member of it, is called in an error."""
    return f"{_RECIPIENTS}[{number}]" + (f".{name}" if name else "")


def parameters(given: dict[str, Any]) -> dict[str, str]:
    """As texts; null is no value."""
    return {
        name.strip(): value if isinstance(value, str) else _written(value)
        for name, value in given.items()
        if value is not None
    }


def _written(value: Any) -> str:
    try:
        if value in (inf, -inf):
            raise OverflowError
        return msgspec.json.encode(value).decode()
    except (msgspec.MsgspecError, UnicodeEncodeError, OverflowError, RecursionError, TypeError):
        raise BadRequest("a parameter cannot be written as a text") from None


# --- texts and options --------------------------------------------------------------------------------------------


async def _request(call: Call, given: NewMails) -> NewRequest:
    sender, sender_name, title, body = given.senderAddress, given.senderName, given.title, given.body
    template: tuple[int, str] | None = None
    if given.templateSid is not None:
        sid = given.templateSid
        found = await call.services.templates.get(call.account_id, max(0, min(sid, 2**62)), unused=True)
        if not found.filing.in_use:
            raise BadRequest("the template {sid} is not in use", sid=sid)
        template = (found.id, found.text.name)
        author = read_sender(found.text.sender)
        if not sender:
            sender, sender_name = author.address, sender_name or author.name
        title = title or found.text.subject
        body = body or found.text.html
    for name, value in (("senderAddress", sender), ("title", title), ("body", body)):
        if not value:
            raise BadRequest("{field} is missing", field=name)
    assert sender
    assert title
    assert body
    advertising = bool(given.advertising)
    unsubscribe = ""
    if advertising and given.useBasicUnsubscribeMsg is False:
        if not given.unsubscribeMessage:
            raise BadRequest("{field} is missing", field="unsubscribeMessage")
        unsubscribe = given.unsubscribeMessage
    _check_size("senderName", sender_name or "", MAX_SENDER_NAME)
    _check_size("title", title, MAX_TITLE)
    _check_size("body", body, MAX_BODY)
    if advertising and grown(body, unsubscribe).octets > MAX_BODY:
        raise BadRequest("{field} has more than {most} bytes", field="body", most=MAX_BODY)
    for name, value in (("title", title), ("senderName", sender_name or "")):
        if _CONTROL.search(value) is not None:
            raise BadRequest("{field} must be one line", field=name)
    try:
        Mailbox(sender_name or "", sender.strip())
    except MimeError as error:
        raise BadRequest("{field} has an unexpected value: {why}", field="senderAddress", why=error) from None
    references = (given.referencesHeader or "").strip()
    if references and (len(references) > MAX_REFERENCES or not _REFERENCE.match(references)):
        raise BadRequest("{field} must be such as {example}", field="referencesHeader", example="<id@example.com>")
    files = given.attachFileIds or []
    if len(files) > MAX_FILES:
        raise BadRequest("{field} has more than {most} elements", field="attachFileIds", most=MAX_FILES)
    caller = call.caller
    return NewRequest(
        account_id=call.account_id,
        credential_id=caller.credential.id,
        origin=Origin("HTTP", client=caller.address, region=call.region, endpoint="public", listener="http"),
        sender=sender.strip(),
        sender_name=sender_name or "",
        subject=title,
        html=body,
        individual=given.individual is not False,
        advertising=advertising,
        unsubscribe=unsubscribe,
        references=references,
        parameters=parameters(given.parameters or {}),
        reserved_at=_reservation(given),
        hold=bool(given.confirmAndSend),
        files=tuple(files),
        template=template,
        groups=_groups(given.recipientGroupFilter),
        priority=int(caller.account.priority),
    )


def _check_size(name: str, text: str, most: int) -> None:
    if len(text) > most or (not text.isascii() and len(text.encode("utf-8", "replace")) > most):
        raise BadRequest("{field} has more than {most} bytes", field=name, most=most)


def _reservation(given: NewMails) -> Millis | None:
    utc, local = given.reservationUtc, given.reservationDateTime
    if utc is not None:
        if 0 <= utc <= LAST:
            return utc
        raise BadRequest("{name} is not a time such as {example}", name="reservationUtc", example="1542694793240")
    if not local:
        return None
    try:
        return parse_time(local.strip())
    except (ValueError, OverflowError):
        name, example = "reservationDateTime", "2018-11-20 15:19"
        raise BadRequest("{name} is not a time such as {example}", name=name, example=example) from None


def _groups(given: Filter | None) -> Groups | None:
    if given is None:
        return None
    names: Sequence[str] = list(dict.fromkeys(given.groups))
    if not 1 <= len(names) <= MAX_GROUPS:
        raise BadRequest("{field} has 1 to {most} elements", field="recipientGroupFilter.groups", most=MAX_GROUPS)
    return Groups(tuple(names), given.andFilter)


OPERATIONS: Final = (Operation("POST", "/mails", create_mails, SEND, MAILS),)
