"""``emails/send`` and ``emails/bulk``: one mail for up to thirty people, or one each for up to a thousand.

Where the contract is silent:

- The id of a request is the Message-ID of its mail. A bulk to several people is several mails, each with a
  Message-ID of its own; lists and events tell the id of the request for all of them.
- Merge characters ``((#key#))`` are filled in subject, texts and the values of ``headers``, with the properties of
  an element of ``to``, of which ``name`` and ``address`` are two. What has no value stays as it is written; a value
  is not looked at again. In ``send`` they are text as any.
- In a bulk there is neither ``cc`` nor ``bcc``: everybody there would get a thousand mails.
- ``attachments`` that is another number than there are files is an error: a file that got lost is noticed.
- ``text`` that is the word ``null`` in a form that has ``html``, is none: that is how a client for Node writes it.
- HTML goes as it is: opens and clicks are not counted. A way out is offered where the domain is set so.
- A text that has no form in ISO-2022-JP is sent in UTF-8 (``mime.japanese``).
"""

from __future__ import annotations

import asyncio
import re
import uuid
from mimetypes import MimeTypes
from typing import TYPE_CHECKING, Any, Final

from ekiden.access.credential_scopes import SEND
from ekiden.core.submission import Marks, Origin
from ekiden.dialects.cmc.call import Call, operations
from ekiden.dialects.cmc.errors import INVALID, MISSING, TOO_LONG, TOO_MANY
from ekiden.dialects.cmc.http import answer_one
from ekiden.dialects.cmc.labels import AUTHOR, MAX_API_DATA, REQUEST
from ekiden.dialects.cmc.params import Params, is_absent, written
from ekiden.dialects.cmc.refusals import of_door, of_mime
from ekiden.intake.errors import IntakeError
from ekiden.intake.mailing import Mailing, MailingGroup, MailingRecipient, TrackingWish
from ekiden.limits.loop_slices import Turns
from ekiden.mime.attachment_parts import SharedBuilder, SharedParts
from ekiden.mime.errors import BadMailbox, MimeError
from ekiden.mime.japanese import ISO_2022_JP, UTF_8, Charset
from ekiden.mime.mailbox import Mailbox, split_mailbox
from ekiden.mime.placeholders import HASHES, NONE
from ekiden.web.need import Need

if TYPE_CHECKING:
    from litestar import Response

_MIB: Final = 1_048_576
MAX_RECIPIENTS: Final = 10
"""Of each of to, cc and bcc."""
MAX_BULK: Final = 1_000
MAX_SUBJECT: Final = 512
MAX_TEXT: Final = 10 * _MIB
MAX_NAME: Final = 255
"""Characters, as the two above."""
MAX_PROPERTIES: Final = 100
MAX_PROPERTY: Final = 5 * 1_024
"""Octets of the value of a property."""
MAX_KEY: Final = 100
MAX_HEADERS: Final = 100
MAX_HEADER: Final = 2_000
SEND_NEED: Final = Need(26 * _MIB, 5_000)
BULK_NEED: Final = Need(52 * _MIB, MAX_BULK * (MAX_PROPERTIES + 3) + 5_000)
_BLOCK: Final = 1_048_576
_CHARSETS: Final[dict[str, Charset]] = {"": UTF_8, "UTF-8": UTF_8, "ISO-2022-JP": ISO_2022_JP}
_FIELD_NAME: Final = re.compile(r"[!-9;-~]{1,76}\Z")  # RFC 5322 §3.6.8
_NOT_SETTABLE: Final = frozenset(
    {
        *("from", "to", "cc", "bcc", "subject", "sender", "date", "message-id", "return-path", "received"),
        *("mime-version", "content-type", "content-transfer-encoding", "dkim-signature"),
    }
)
"""Fields that a mail has of its own."""
_API_DATA: Final = "x-api-data"
_UNTRACKED: Final = TrackingWish(opens=False, clicks=False)
_TYPES: Final = MimeTypes()
"""By extension, without what the system knows besides."""
_UNKNOWN: Final = "application/octet-stream"


async def send(call: Call, params: Params) -> Response[bytes]:
    """One mail, in which those of to and cc see each other."""
    to, cc, bcc = [_people(params, name, call.services.carriers) for name in ("to", "cc", "bcc")]
    group = MailingGroup(to, cc, bcc, together=True)
    return await _sent(call, params, group)


async def send_bulk(call: Call, params: Params) -> Response[bytes]:
    """A mail for each, filled with what is each one's own."""
    for name in ("cc", "bcc"):
        if params.structured(name) is not None:
            params.add(name, "{field} is not possible in a bulk")
    to = await _merged(params, call.services.carriers)
    return await _sent(call, params, MailingGroup(tuple(to)), bulk=True)


async def _sent(call: Call, params: Params, group: MailingGroup, *, bulk: bool = False) -> Response[bytes]:
    id = call.services.mailer.new_header_id(str(uuid.uuid4()))
    mailing = await _mailing(call, params, group, id, bulk=bulk)
    call.body.close()  # what the mails need is counted for themselves
    try:
        await call.services.mailer.send_all([mailing])
    except IntakeError as error:
        raise of_door(error, mailing.author.address.rpartition("@")[2]) from error
    except MimeError as error:
        raise of_mime(error) from error
    return answer_one(call.is_xml, "id", id)


async def _mailing(call: Call, params: Params, group: MailingGroup, id: str, *, bulk: bool) -> Mailing:
    """Raises ``ApiError`` with all that is wrong."""
    author = _mailbox(params, "from", needed=True)
    reply_to = _mailbox(params, "replyto")
    subject = params.line("subject", MAX_SUBJECT, needed=True)
    text, html = params.text("text", MAX_TEXT), params.text("html", MAX_TEXT)
    if html and text == "null":
        text = ""
    if not text and not html and not any(problem.field in ("text", "html") for problem in params.problems):
        params.add("text", "{field} is missing", MISSING)
    charset = params.line("charset").upper()
    if charset not in _CHARSETS:
        params.add("charset", "{field} must be one of {known}", known="UTF-8, ISO-2022-JP")
    sender = params.address("envfrom")
    headers = _headers(params)
    _check_files(params)
    params.done()
    assert author is not None
    together = len(group.recipients) == 1 or group.together
    if together:
        headers = (("Message-ID", id), *headers)
    caller = call.caller
    labels = {AUTHOR: author.address}
    return Mailing(
        account_id=call.account_id,
        credential_id=caller.credential.id,
        origin=Origin("HTTP", caller.address, region=caller.account.region, endpoint="public", listener="http"),
        author=author,
        subject=subject,
        groups=(
            MailingGroup(
                group.to,
                group.cc,
                group.bcc,
                together=group.together,
                reply_to=() if reply_to is None else (reply_to,),
            ),
        ),
        text=text or None,
        html=html or None,
        headers=headers,
        shared=await _files(call, params),
        priority=caller.account.priority,
        marks=Marks(bulk=id[1:].partition("@")[0]),
        labels=labels if together else {**labels, REQUEST: id},
        tracking=_UNTRACKED,
        syntax=HASHES if bulk else NONE,
        charset=_CHARSETS[charset],
        sender=sender,
    )


# --- people -------------------------------------------------------------------------------------------------------


def _listed(params: Params, name: str, most: int, *, needed: bool) -> list[Any]:
    """One, or an array of them; none is too many."""
    found = params.structured(name)
    if found is None:
        if needed and not any(problem.field == name for problem in params.problems):
            params.add(name, "{field} is missing", MISSING)
        return []
    items = found if isinstance(found, list) else [found]
    if len(items) > most:
        params.add(name, "{field} has more than {most} elements", TOO_MANY, most=most)
        return []
    return items


def _people(params: Params, name: str, carriers: bool) -> tuple[MailingRecipient, ...]:
    items = _listed(params, name, MAX_RECIPIENTS, needed=name == "to")
    read = [_person(params, name, item, carriers) for item in items]
    return tuple(person for person in read if person is not None)


def _person(params: Params, field: str, item: Any, carriers: bool) -> MailingRecipient | None:
    """An address, or an object with one and a name."""
    name, text = _name_and_address(params, field, item)
    address = params.address_of(field, text, carriers=carriers)
    return None if address is None else MailingRecipient(address, name)


def _name_and_address(params: Params, field: str, item: Any) -> tuple[str, str]:
    """Both as they were given; what is wrong is noted."""
    if isinstance(item, dict):
        name = params.line_of(field, item.get("name"), MAX_NAME)
        return name, params.line_of(field, item.get("address"), needed=True)
    if is_absent(item) or isinstance(item, list):
        params.add(field, "{field} must be an e-mail address, or an object with name and address")
        return "", ""
    text = params.line_of(field, item)
    try:
        return split_mailbox(text)
    except BadMailbox as error:
        params.add_error(field, error)
        return "", ""


def _mailbox(params: Params, field: str, *, needed: bool = False) -> Mailbox | None:
    given = params.structured(field)
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    if given is None:
        if needed and not any(problem.field == field for problem in params.problems):
            params.add(field, "{field} is missing", MISSING)
        return None
    count = len(params.problems)
    name, address = _name_and_address(params, field, given)
    if len(params.problems) > count:
        return None
    try:
        return Mailbox(name, address)
    except BadMailbox as error:
        params.add_error(field, error)
        return None


async def _merged(params: Params, carriers: bool) -> list[MailingRecipient]:
    """Those of a bulk, with their properties."""
    turns = Turns()
    found = []
    for item in _listed(params, "to", MAX_BULK, needed=True):
        await turns.next()
        person = _person(params, "to", item, carriers)
        if person is None:
            continue
        values = {"name": person.name, "address": person.address.shown}
        if isinstance(item, dict):
            values.update(_properties(params, item))
        found.append(MailingRecipient(person.address, person.name, values))
    return found


def _properties(params: Params, item: dict[str, Any]) -> dict[str, str]:
    """What is besides name and address; null is no value."""
    given = {key: value for key, value in item.items() if key not in ("name", "address") and value is not None}
    if len(given) > MAX_PROPERTIES:
        params.add("to", "{field} has an element with more than {most} properties", TOO_MANY, most=MAX_PROPERTIES)
        return {}
    values = {}
    for key, value in given.items():
        text = written(value)
        if len(key) > MAX_KEY or len(text.encode("utf-8", "replace")) > MAX_PROPERTY:
            params.add("to", "{field} has a property with more than {most} octets", TOO_LONG, most=MAX_PROPERTY)
            return {}
        values[key.strip()] = params.text_of("to", text, MAX_PROPERTY)
    return values


# --- fields and files ---------------------------------------------------------------------------------------------


def _headers(params: Params) -> tuple[tuple[str, str], ...]:
    """An array of name and value, or an object."""
    given = params.structured("headers")
    if not given:
        return ()
    if isinstance(given, dict):
        pairs: list[tuple[Any, Any]] = list(given.items())
    elif isinstance(given, list) and all(isinstance(item, dict) and "name" in item for item in given):
        pairs = [(item["name"], item.get("value")) for item in given]
    else:
        params.add("headers", "{field} must be an array of objects with name and value, or an object")
        return ()
    if len(pairs) > MAX_HEADERS:
        params.add("headers", "{field} has more than {most} elements", TOO_MANY, most=MAX_HEADERS)
        return ()
    found: list[tuple[str, str]] = []
    for name, value in pairs:
        if not isinstance(name, str) or _FIELD_NAME.match(name) is None or name.lower() in _NOT_SETTABLE:
            params.add("headers", "{name} cannot be set", INVALID, name=str(name)[:MAX_KEY])
            continue
        most = MAX_API_DATA if name.lower() == _API_DATA else MAX_HEADER
        text = params.line_of("headers", value, most)
        if text:
            found.append((name, text))
    return tuple(found)


def _check_files(params: Params) -> None:
    count = params.number_or_none("attachments", 0, 1_000)
    if count is not None and count != len(params.files):
        template = "{field} says {count}, and there are {files} files"
        params.add("attachments", template, count=count, files=len(params.files))


async def _files(call: Call, params: Params) -> SharedParts | None:
    """What all mails of the request share."""
    builder = SharedBuilder(call.services.mailer.tracker.new_id())
    for given in params.files:
        kind = given.content_type or _TYPES.guess_type(given.filename)[0] or _UNKNOWN
        writer = builder.begin(given.filename, kind)
        while chunk := given.file.read(_BLOCK):
            writer.write(chunk)
            await asyncio.sleep(0)
        writer.end()
    return builder.build()


OPERATIONS: Final = (
    *operations("/api/{version}/emails/send", send, SEND, SEND_NEED),
    *operations("/api/{version}/emails/bulk", send_bulk, SEND, BULK_NEED, versions=("v2",)),
)
