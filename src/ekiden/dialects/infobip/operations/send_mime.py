"""``POST /email/4/mime``: a message that its sender has composed (contract §2.4).

Where the contract is silent: members of the JSON body win over the ``X-IB-*`` fields of the message; all recipients
get one message, and the ids of the second and further ones end in ``-2`` and so on unless ``messageId`` is given;
line ends become CRLF; ``from`` belongs to the same organisation as the message's own author when one's domain is
the other's or below it. HTML is tracked as the settings of the author's domain say.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Sequence
from dataclasses import replace
from email.utils import getaddresses
from functools import partial
from typing import Any, Final

import msgspec
from litestar import Response

from ekiden.core.address import Address, BadAddress, parse_address
from ekiden.core.ids import external_id
from ekiden.core.submission import Recipient, Submission
from ekiden.dialects.infobip import value_rules as fields
from ekiden.dialects.infobip.annotator import tracked
from ekiden.dialects.infobip.attachments import decoded_base64
from ekiden.dialects.infobip.call import Call
from ekiden.dialects.infobip.config import InfobipConfig
from ekiden.dialects.infobip.errors import from_door, header_too_large
from ekiden.dialects.infobip.http import answer
from ekiden.dialects.infobip.operations.send_form import entries
from ekiden.dialects.infobip.operations.send_json import MAX_BODY
from ekiden.dialects.infobip.send_request import (
    CALLBACK_DATA,
    Callback,
    new_bulk_id,
    origin_of,
    report_routes,
    tracking_routes,
)
from ekiden.dialects.infobip.smtp_headers import SmtpOptions, read_options
from ekiden.dialects.infobip.value_rules import BadField, Checks
from ekiden.intake.errors import HeaderTooLarge, IntakeError
from ekiden.intake.mailing import Mailed
from ekiden.limits.loop_slices import Turns
from ekiden.mime.author_domains import mailbox_domains
from ekiden.mime.mailbox import Mailbox, mailbox_field
from ekiden.mime.repair import author_meant, charset_of
from ekiden.mime.scan import Header, scan
from ekiden.web.body import LARGE
from ekiden.web.need import Need

MAX_MESSAGE: Final = 26_214_400
"""Octets: 25 MB (contract §2.2)."""
_LONGEST_RECIPIENT: Final = 500
"""Characters of one with its name, on average, in a header with as many as there may be."""
_AT_ONCE: Final = 2_048
"""Characters of recipients in a header from which on they are read in a thread: 8 kB can take 20 ms."""
_IN_HEADER: Final = (b"to", b"cc", b"bcc")


class _Request(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    mime_message: Any = None
    message_id: Any = None
    bulk_id: Any = None
    from_: Any = msgspec.field(default=None, name="from")
    destinations: list[Any] | None = None
    intermediate_report: Any = None
    notify_url: Any = None
    notify_content_type: Any = None
    callback_data: Any = None
    tracking_url: Any = None
    client_priority: Any = None
    application_id: Any = None
    entity_id: Any = None


def need(config: InfobipConfig) -> Need:
    """A message in base64, and its recipients."""
    return Need(MAX_BODY, config.max_recipients + 100, 4)


async def send(call: Call) -> Response[bytes]:
    checks = Checks()
    request = await call.json(_Request, checks)
    if request.mime_message is None:
        checks.add("mimeMessage", "must not be null")
    given, request.mime_message = request.mime_message, None
    length = len(given) if isinstance(given, str) else 0
    content = await call.work(length, lambda: checks.take("mimeMessage", _message, given, b""))
    try:
        call.services.mailer.check_header(content)
    except HeaderTooLarge as error:
        template, values = header_too_large(error)
        checks.add("mimeMessage", template, **values)
        checks.done()
    header = scan(content)
    found = read_options(header)
    options = _options(checks, request, found)
    author = checks.take("from", lambda value: _other_author(value, header), request.from_, None)
    address = _author(header) if author is None else parse_address(author.address)
    if content and address is None and request.from_ is None:
        checks.add("from", "must not be null")
    recipients = await _recipients(call, checks, request.destinations, header)
    checks.done()
    routes = (
        *await report_routes(
            call,
            checks,
            Callback("notifyUrl", options.notify_url, options.notify_format, options.intermediate),
        ),
        *await tracking_routes(call, checks, "trackingUrl", options.tracking_url),
    )
    checks.done()
    assert address is not None
    submission = Submission(
        account_id=call.account_id,
        credential_id=call.caller.credential.id,
        sender=None,
        recipients=[Recipient(address) for address in recipients],
        content=_rewritten(header, found.names, author),
        origin=origin_of(call),
        priority=options.priority,
        labels={CALLBACK_DATA: options.callback_data} if options.callback_data else {},
        marks=options.marks,
        routes=routes,
    )
    try:
        submission = await _settled(call, submission, address, options)
        [receipt] = await call.services.mailer.submit([submission])
    except IntakeError as error:
        raise from_door(error) from None
    mailed = [
        Mailed(
            address.shown,
            receipt.message_id,
            number,
            external_id(receipt.message_id, number, options.reference),
        )
        for number, address in enumerate(recipients, 1)
    ]
    return answer({"bulkId": options.bulk, "messages": entries(mailed)})


def _message(value: Any) -> bytes:
    if not isinstance(value, str):
        raise BadField("must be encoded in base64")
    try:
        content = b"".join(_with_line_ends(decoded_base64(value)))
    except (binascii.Error, ValueError):
        raise BadField("must be encoded in base64") from None
    if not content:
        raise BadField("must not be blank")
    if len(content) > MAX_MESSAGE:
        raise BadField("must not have more than {most} octets", most=MAX_MESSAGE)
    if not scan(content).end:
        raise BadField("must begin with a header")
    return content if content.endswith(b"\r\n") else content + b"\r\n"


def _with_line_ends(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Every line end as CRLF."""
    size = 0
    rest = b""
    for piece in pieces:
        octets = rest + piece
        rest = b"\r" if octets.endswith(b"\r") else b""
        if rest:
            octets = octets[:-1]
        lines = octets.count(b"\r\n")
        if octets.count(b"\n") != lines or octets.count(b"\r") != lines:
            octets = octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
        size += len(octets)
        yield octets
        if size > MAX_MESSAGE:
            return
    if rest:
        yield b"\r\n"


def _options(checks: Checks, request: _Request, found: SmtpOptions) -> SmtpOptions:
    """Those of the message, with those of the body instead where there are any."""
    own: dict[str, Any] = {}
    for attribute, name, value, reader in (
        ("reference", "messageId", request.message_id, _identifier(fields.MAX_MESSAGE_ID)),
        ("bulk", "bulkId", request.bulk_id, _identifier(fields.MAX_BULK_ID)),
        ("application", "applicationId", request.application_id, _identifier(fields.MAX_PLATFORM_ID)),
        ("entity", "entityId", request.entity_id, _identifier(fields.MAX_PLATFORM_ID)),
        ("intermediate", "intermediateReport", request.intermediate_report, fields.boolean),
        ("notify_url", "notifyUrl", request.notify_url, fields.url),
        ("notify_format", "notifyContentType", request.notify_content_type, fields.report_format),
        ("callback_data", "callbackData", request.callback_data, _callback_data),
        ("tracking_url", "trackingUrl", request.tracking_url, fields.url),
        ("priority", "clientPriority", request.client_priority, fields.priority),
    ):
        if value is not None:
            own[attribute] = checks.take(name, reader, value, getattr(found, attribute))
    options = replace(found, **own)
    return options if options.bulk else replace(options, bulk=new_bulk_id())


def _identifier(longest: int) -> Any:
    return lambda value: fields.identifier(value, longest)


def _callback_data(value: Any) -> str:
    return fields.text(value, fields.MAX_CALLBACK_DATA)


def _author(header: Header) -> Address | None:
    """The message's own; ``None``: there is not exactly one, or nobody can tell (the door asks this, too)."""
    value = header.get(b"from")
    if value is None or header.count(b"from") > 1:
        return None
    if not mailbox_domains(value):
        # Legacy programs' fields are repaired there, and what they name has to be the account's.
        meant = author_meant(value, charset_of(header))
        return None if meant is None else parse_address(meant.mailboxes[0].address)
    try:
        return parse_address(getaddresses([value.decode("utf-8", "replace")])[0][1])
    except (BadAddress, RecursionError):  # the library reads comments within comments so
        return None


def _other_author(value: Any, header: Header) -> Mailbox:
    """``from`` of the body, if the message's own author allows it."""
    mailbox = fields.mailbox(value)
    own = _author(header)
    if own is None:
        if header.has(b"from"):
            raise BadField("must belong to the domain of the message's own author")
        return mailbox
    domain = parse_address(mailbox.address).domain
    if not (domain == own.domain or domain.endswith(f".{own.domain}") or own.domain.endswith(f".{domain}")):
        raise BadField("must belong to the domain of the message's own author")
    return mailbox


async def _recipients(call: Call, checks: Checks, destinations: list[Any] | None, header: Header) -> list[Address]:
    """Each once. Those of the message's header, unless the body has any."""
    place, most = "destinations", call.settings.max_recipients
    given: list[Any] = destinations or []
    if not given:
        place = "mimeMessage"
        values = [value for name in _IN_HEADER for value in _values(header, name)]
        length = sum(map(len, values))
        if length > most * _LONGEST_RECIPIENT:
            checks.add(place, "must not have more than {most} entries", most=most)
            return []
        weight = LARGE if length > _AT_ONCE else 0
        given = await call.work(weight + length, lambda: _named(values))
    if not given and header.content:
        checks.add("destinations", "must have at least one recipient")
    if len(given) > most:
        checks.add(place, "must not have more than {most} entries", most=most)
        return []
    unique: dict[str, Address] = {}
    read_one = partial(fields.recipient, carriers=call.services.carriers)
    turns = Turns()
    for number, value in enumerate(given):
        await turns.next()
        at = f"{place}[{number}]" if place == "destinations" else place
        found = checks.take(at, read_one, value, None)
        if value is None:
            checks.add(at, "must not be null")
        if found is not None:
            unique.setdefault(found.address.text, found.address)
    return list(unique.values())


def _values(header: Header, name: bytes) -> list[str]:
    return [
        header.content[field.value : field.end].decode("utf-8", "replace").replace("\r\n", "").strip()
        for field in header.fields()
        if field.name == name
    ]


def _named(values: Sequence[str]) -> list[str]:
    return [address for value in values for address in _addresses(value)]


def _addresses(value: str) -> list[str]:
    try:
        found = [address for _, address in getaddresses([value]) if address]
    except RecursionError:  # the library reads comments within comments so
        found = []
    # What cannot be read must not be left out quietly: it is told as an address that is none.
    return found if found or "@" not in value else [value]


def _rewritten(header: Header, names: frozenset[bytes], author: Mailbox | None) -> bytes:
    """The message without the instructions in its header, and from ``author`` if there is another one."""
    if author is None:
        return header.without(names)
    return mailbox_field("From", (author,)) + header.without(names | {b"from"})


async def _settled(call: Call, submission: Submission, author: Address, options: SmtpOptions) -> Submission:
    """With its envelope sender, and tracked: as the domain's settings say, and the message's own fields before."""
    tracker = call.services.mailer.tracker
    settings = await tracker.sending_settings(call.account_id, author.domain)
    sender = parse_address(settings.return_path) if settings.return_path else author
    return await tracked(replace(submission, sender=sender), options, tracker, settings)
