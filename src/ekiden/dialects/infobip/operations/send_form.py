"""``POST /email/{1,2,3}/send``: mail from a form, with its files (contract §2.2).

One handler for the three: what they have in common they share, and a field that an older one did not know yet is
taken by it as well. They differ in what ``track`` is when nobody says it. A field that none of them has is a 400:
a misspelt ``sendAt`` would send at once, a file in a field of another name would not be sent at all.

Where the contract is silent: ``messageId`` is that of every recipient. A sender whom the account may not use is a
400 that names ``from``, and nothing is sent to anybody: no client that was looked at reads a status per message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from litestar import Response

from ekiden.core.submission import Marks
from ekiden.dialects.infobip import codes
from ekiden.dialects.infobip import value_rules as fields
from ekiden.dialects.infobip.attachments import Attachments
from ekiden.dialects.infobip.call import Call
from ekiden.dialects.infobip.config import InfobipConfig
from ekiden.dialects.infobip.form_names import FormFields
from ekiden.dialects.infobip.form_reader import MAX_FIELDS, MAX_REQUEST, Form
from ekiden.dialects.infobip.http import answer
from ekiden.dialects.infobip.news.reports import ReportJson
from ekiden.dialects.infobip.send_request import (
    CALLBACK_DATA,
    CONTENT,
    Callback,
    Content,
    new_bulk_id,
    origin_of,
    read_content,
    report_routes,
    tracking_routes,
    tracking_wish,
    unique,
)
from ekiden.dialects.infobip.status import status_json
from ekiden.dialects.infobip.value_rules import Checks
from ekiden.intake.mailing import Mailed, Mailing, MailingGroup, MailingRecipient
from ekiden.limits.loop_slices import Turns
from ekiden.mime.attachment_parts import SharedParts
from ekiden.mime.mailbox import Mailbox
from ekiden.web.need import Need

_READ: Final = (
    *("from", "to", "cc", "bcc", "replyTo", "messageId", "bulkId", "applicationId", "entityId"),
    *("campaignReferenceId", "notifyUrl", "notifyContentType", "intermediateReport", "trackingUrl", "callbackData"),
    *("track", "trackOpens", "trackClicks", "trackingPixelPosition", "sendAt", "clientPriority"),
    *("preserveRecipients", "landingPageId", *CONTENT),
)
_TAKEN: Final = ("ipPoolId", "skipPassiveStorage", "skipActiveStorage")
"""They change nothing: there are no pools to choose from, and what is kept is the operator's affair."""
FIELDS: Final = FormFields.of((*_READ, *_TAKEN), ("attachment", "inlineImage"))


def need(config: InfobipConfig) -> Need:
    """A form's of so many recipients."""
    return Need(MAX_REQUEST, max(MAX_FIELDS, config.max_recipients + 1_000))


async def send(call: Call) -> Response[bytes]:
    """Versions 1 and 3."""
    return await _send(call, None)


async def send_v2(call: Call) -> Response[bytes]:
    """Version 2, which tracks unless it is told not to."""
    return await _send(call, True)


async def _send(call: Call, track: bool | None) -> Response[bytes]:
    checks = Checks()
    form = await call.form(FIELDS, checks)
    try:
        mailing = await _mailing(call, form, track, checks)
    finally:
        form.close()
    call.body.close()  # what the messages need is counted for themselves
    [mailed] = await call.services.mailer.send_all([mailing])
    return answer({"bulkId": mailing.marks.bulk, "messages": entries(mailed)})


def entries(mailed: Sequence[Mailed]) -> list[dict[str, Any]]:
    """``messages`` of the answer, as ``/email/4/mime`` has them, too."""
    status = status_json(codes.PENDING_ACCEPTED)
    return [{"to": item.recipient, "messageId": item.external_id, "status": status} for item in mailed]


async def _mailing(call: Call, form: Form, track: bool | None, checks: Checks) -> Mailing:
    """Raises ``ApiError`` with all that is wrong with the fields."""
    account = call.caller.account

    def one(name: str) -> str | None:
        return form.one(name, checks)

    def boolean(name: str) -> bool | None:
        return checks.take(name, fields.boolean, one(name), None)

    def mark(name: str, longest: int) -> str:
        return checks.take(name, lambda value: fields.identifier(value, longest), one(name), "")

    reference = mark("messageId", fields.MAX_MESSAGE_ID)
    to, cc, bcc = await _recipients(call, checks, form, reference)
    content = await read_content(
        call, checks, ("from", one("from")), one, lambda name: name, landing_page="landingPageId", html_wins=True
    )
    marks = Marks(
        bulk=mark("bulkId", fields.MAX_BULK_ID) or new_bulk_id(),
        application=mark("applicationId", fields.MAX_PLATFORM_ID),
        entity=mark("entityId", fields.MAX_PLATFORM_ID),
        campaign=mark("campaignReferenceId", fields.MAX_CAMPAIGN),
    )
    callback = Callback(
        "notifyUrl",
        checks.take("notifyUrl", fields.url, one("notifyUrl"), ""),
        checks.take("notifyContentType", fields.report_format, one("notifyContentType"), ReportJson.name),
        boolean("intermediateReport") or False,
    )
    tracking_url = checks.take("trackingUrl", fields.url, one("trackingUrl"), "")
    data = checks.take(
        "callbackData", lambda value: fields.text(value, fields.MAX_CALLBACK_DATA), one("callbackData"), ""
    )
    switch = boolean("track")
    wish = tracking_wish(
        track if switch is None else switch,
        boolean("trackOpens"),
        boolean("trackClicks"),
        checks.take("trackingPixelPosition", fields.pixel_position, one("trackingPixelPosition"), "TOP"),
        content,
    )
    send_at = checks.take(
        "sendAt",
        lambda value: fields.send_at(value, call.services.clock.now(), fields.AHEAD_V3),
        one("sendAt"),
        None,
    )
    priority = checks.take("clientPriority", fields.priority, one("clientPriority"), account.priority)
    together = boolean("preserveRecipients") or False
    reply_to = _reply_to(checks, form, content)
    checks.done()
    routes = (
        *await report_routes(call, checks, callback),
        *await tracking_routes(call, checks, "trackingUrl", tracking_url),
    )
    checks.done()
    assert content.author is not None
    shared, html = await _files(call, form, content)
    return Mailing(
        account_id=account.id,
        credential_id=call.caller.credential.id,
        origin=origin_of(call),
        author=content.author,
        subject=content.subject,
        groups=(MailingGroup(to, cc, bcc, together=together, reply_to=reply_to),),
        text=content.text,
        html=html,
        amp=content.amp,
        defaults=content.defaults,
        headers=content.headers,
        shared=shared,
        priority=priority,
        send_at=send_at,
        marks=marks,
        labels={CALLBACK_DATA: data} if data else {},
        routes=routes,
        tracking=wish,
    )


async def _recipients(
    call: Call, checks: Checks, form: Form, reference: str
) -> tuple[tuple[MailingRecipient, ...], tuple[MailingRecipient, ...], tuple[MailingRecipient, ...]]:
    most = call.settings.max_recipients
    given = {name: form.many(name) for name in ("to", "cc", "bcc")}
    if not given["to"]:
        checks.add("to", "must not be null")
    if sum(map(len, given.values())) > most:
        longest = max(given, key=lambda name: len(given[name]))
        checks.add(longest, "must not have more than {most} entries", most=most)
        return (), (), ()
    read_one = partial(fields.form_recipient, carriers=call.services.carriers)
    seen: set[Any] = set()
    found = []
    turns = Turns()
    for name, values in given.items():
        read = []
        for number, value in enumerate(values):
            await turns.next()
            recipient = checks.take(f"{name}[{number}]", read_one, value, None)
            if recipient is not None:
                read.append(replace(recipient, reference=reference))
        found.append(unique(read, seen))
    return found[0], found[1], found[2]


def _reply_to(checks: Checks, form: Form, content: Content) -> tuple[Mailbox, ...]:
    values = form.many("replyTo")
    if values and content.own_reply_to:
        checks.add("headers", "header {name} is given twice", name="Reply-To")
    found = []
    if len(values) > fields.MAX_REPLY_TO:
        checks.add("replyTo", "must not have more than {most} entries", most=fields.MAX_REPLY_TO)
        return ()
    for number, value in enumerate(values):
        place = "replyTo" if len(values) == 1 else f"replyTo[{number}]"
        mailbox = checks.take(place, fields.mailbox, value, None)
        if mailbox is not None:
            found.append(mailbox)
    if not found and not content.own_reply_to:
        return content.reply_to
    return tuple(dict.fromkeys(found))


async def _files(call: Call, form: Form, content: Content) -> tuple[SharedParts | None, str | None]:
    """What the messages share, and the HTML that refers to it."""
    attachments = Attachments(call.services.mailer.tracker.new_id())
    for upload in content.files:
        await attachments.add_upload("templateId", call.services.uploads, upload)
    for uploaded in form.files:
        await attachments.add_form_file(uploaded)
    html = await call.work(len(content.html or ""), lambda: attachments.refer(content.html))
    return attachments.build(), html
