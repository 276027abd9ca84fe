"""``POST /email/4/messages``: mail from JSON (contract §2.3). Errors name members by their paths.

Where the contract is silent: a message with text and HTML has both; ``notify: false`` keeps the report of a message
from its URL, not from those who fetch reports; a message whose window (``deliveryTimeWindow``) is closed sets out
when it opens; an attachment with a password is refused, since it would go out without.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from litestar import Response

from ekiden.core.clock import Millis
from ekiden.core.notices import Route
from ekiden.core.submission import Marks
from ekiden.dialects.infobip import codes
from ekiden.dialects.infobip import form_reader as forms
from ekiden.dialects.infobip import value_rules as fields
from ekiden.dialects.infobip.attachments import Attachments
from ekiden.dialects.infobip.blocked_files import blocked_extension
from ekiden.dialects.infobip.call import Call
from ekiden.dialects.infobip.config import InfobipConfig
from ekiden.dialects.infobip.delivery_window import read_window
from ekiden.dialects.infobip.errors import from_door
from ekiden.dialects.infobip.http import answer
from ekiden.dialects.infobip.news.reports import ReportJson
from ekiden.dialects.infobip.send_request import (
    CALLBACK_DATA,
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
from ekiden.dialects.infobip.shapes import (
    Attachment,
    Delivery,
    Destination,
    Group,
    Message,
    MessageOptions,
    MessagesRequest,
    Platform,
    RequestOptions,
    Schedule,
    TrackingModel,
    Webhooks,
)
from ekiden.dialects.infobip.status import status_json
from ekiden.dialects.infobip.value_rules import BadField, Checks
from ekiden.intake.errors import IntakeError, RequestTooLarge
from ekiden.intake.mailer import MAX_REQUEST
from ekiden.intake.mailing import Mailing, MailingGroup, MailingRecipient, TrackingWish
from ekiden.limits.loop_slices import Turns
from ekiden.mime.mailbox import Mailbox
from ekiden.web.need import Need

MAX_BODY: Final = 37_748_736
"""Octets: as much as a form may have, in base64."""
_BINARY: Final = "binary"
_REFERENCE: Final = "uploadedReference"
_UNKNOWN: Final = "application/octet-stream"
_BLANK_NAME: Final = "attachment"


def need(config: InfobipConfig) -> Need:
    """With an object of ten placeholders and an id for each recipient, and some for messages, groups and files."""
    return Need(MAX_BODY, 20 * config.max_recipients + 5_000)


async def send(call: Call) -> Response[bytes]:
    checks = Checks()
    request = await call.json(MessagesRequest, checks)
    reader = _Reader(call, request.options or RequestOptions(), checks)
    try:
        mailings = await reader.mailings(request.messages)
        call.body.close()  # what the messages need is counted for themselves
        mailed = await call.services.mailer.send_all(mailings)
    except IntakeError as error:
        raise from_door(error, _properties(request.messages)) from None
    status = status_json(codes.PENDING_ENROUTE)
    entries = [
        {"messageId": item.external_id, "status": status, "destination": item.recipient}
        for of in mailed
        for item in of
    ]
    return answer({"bulkId": reader.bulk, "messages": entries})


def _properties(messages: Sequence[Message]) -> dict[str, str]:
    """Where the door's fields are; with several messages nobody knows which one it was."""
    at = "messages[0]" if len(messages) == 1 else "messages"
    return {
        "from": f"{at}.sender",
        "to": f"{at}.destinations",
        "html": f"{at}.content.html",
        "attachment": f"{at}.content.attachments",
        "sendAt": "options.schedule.sendAt",
    }


class _Draft(NamedTuple):
    """A message whose values are good."""

    content: Content
    groups: tuple[MailingGroup, ...]
    marks: Marks
    labels: dict[str, str]
    callback: Callback
    wish: TrackingWish
    send_at: Millis | None
    expires_after: Millis | None


class _Reader:
    """Mailings of a request. All that is wrong with its values is told at once."""

    def __init__(self, call: Call, options: RequestOptions, checks: Checks) -> None:
        self._call = call
        self._checks = checks
        self._now = call.services.clock.now()
        schedule = options.schedule or Schedule()
        self.bulk = (
            checks.take(
                "options.schedule.bulkId",
                lambda value: fields.identifier(value, fields.MAX_BULK_ID),
                schedule.bulk_id,
                "",
            )
            or new_bulk_id()
        )
        self._send_at: Millis | None = checks.take(
            "options.schedule.sendAt",
            lambda value: fields.send_at(value, self._now, fields.AHEAD_V4),
            schedule.send_at,
            None,
        )
        self._priority = checks.take(
            "options.clientPriority", fields.priority, options.client_priority, call.caller.account.priority
        )
        self._octets = 0
        self._turns = Turns()
        self._tracking = options.tracking or TrackingModel()
        self._tracking_url = checks.take(
            "options.tracking.trackingUrl", fields.url, self._tracking.tracking_url, ""
        )

    async def mailings(self, messages: Sequence[Message]) -> list[Mailing]:
        """Raises ``ApiError``, and ``RequestTooLarge``."""
        checks = self._checks
        if not messages:
            checks.add("messages", "must not be blank")
        count = len(checks.violations)
        self._check_count(messages)
        if len(checks.violations) > count:
            checks.done()
        drafts = [await self._draft(message, f"messages[{number}]") for number, message in enumerate(messages)]
        checks.done()
        # Endpoints are made for good requests only.
        place = "options.tracking.trackingUrl"
        tracking = await tracking_routes(self._call, checks, place, self._tracking_url)
        routes = [(*await report_routes(self._call, checks, draft.callback), *tracking) for draft in drafts]
        checks.done()
        return [
            await self._mailing(draft, routes[number], messages[number], f"messages[{number}].content")
            for number, draft in enumerate(drafts)
        ]

    def _check_count(self, messages: Sequence[Message]) -> None:
        most = self._call.settings.max_recipients
        # Messages and groups without any are counted as well: there must not be more of them either.
        count = 0
        for message in messages:
            groups = (max(1, sum(len(of or ()) for of in _lists(group))) for group in message.destinations)
            count += max(1, sum(groups))
        if count > most:
            at = "messages" if len(messages) > 1 else "messages[0].destinations"
            self._checks.add(at, "must not have more than {most} entries", most=most)

    def _weigh(self, octets: int) -> None:
        """What a request names without bringing it (templates, uploads) is bounded, too: all of it is in memory."""
        self._octets += octets
        if self._octets > MAX_REQUEST:
            raise RequestTooLarge

    async def _draft(self, message: Message, at: str) -> _Draft:
        checks = self._checks
        given = message.content
        names = given.__struct_fields__
        values = dict(zip(given.__struct_encode_fields__, (getattr(given, name) for name in names), strict=True))
        await self._turns.next()
        content = await read_content(
            self._call,
            checks,
            (f"{at}.sender", message.sender),
            lambda name: values[name],
            lambda name: f"{at}.content.{name}",
            landing_page="optoutLandingPageId",
            html_wins=False,
        )
        self._weigh(len(content.html or "") + sum(upload.size for upload in content.files))
        webhooks = message.webhooks or Webhooks()
        options = message.options or MessageOptions()
        data = checks.take(
            f"{at}.webhooks.callbackData",
            lambda value: fields.text(value, fields.MAX_CALLBACK_DATA),
            webhooks.callback_data,
            "",
        )
        return _Draft(
            content,
            await self._groups(message, at, content),
            self._marks(options, f"{at}.options"),
            {CALLBACK_DATA: data} if data else {},
            self._callback(webhooks, f"{at}.webhooks"),
            self._wish(content),
            self._starts(options, f"{at}.options.deliveryTimeWindow"),
            self._validity(options, f"{at}.options.validityPeriod"),
        )

    async def _mailing(self, draft: _Draft, routes: tuple[Route, ...], message: Message, at: str) -> Mailing:
        content, account = draft.content, self._call.caller.account
        attachments = Attachments(self._call.services.mailer.tracker.new_id())
        for upload in content.files:
            await attachments.add_upload(f"{at}.templateId", self._call.services.uploads, upload)
        for name, files, inline in (
            ("attachments", message.content.attachments, False),
            ("inlineImages", message.content.inline_images, True),
        ):
            for number, given in enumerate(files or ()):
                await self._attach(attachments, given, f"{at}.{name}[{number}]", inline)
        assert content.author is not None
        shared = attachments.build()
        self._weigh(0 if shared is None else shared.content.size)
        return Mailing(
            account_id=account.id,
            credential_id=self._call.caller.credential.id,
            origin=origin_of(self._call),
            author=content.author,
            subject=content.subject,
            groups=draft.groups,
            text=content.text,
            html=await self._call.work(len(content.html or ""), lambda: attachments.refer(content.html)),
            amp=content.amp,
            defaults=content.defaults,
            headers=content.headers,
            shared=shared,
            priority=self._priority,
            send_at=draft.send_at,
            expires_after=draft.expires_after,
            marks=draft.marks,
            labels=draft.labels,
            routes=routes,
            tracking=draft.wish,
        )

    # --- parts of a message ---------------------------------------------------------------------------------

    async def _groups(self, message: Message, at: str, content: Content) -> tuple[MailingGroup, ...]:
        if not message.destinations:
            self._checks.add(f"{at}.destinations", "must not be blank")
        return tuple(
            [
                await self._group(group, f"{at}.destinations[{number}]", content)
                for number, group in enumerate(message.destinations)
            ]
        )

    async def _group(self, group: Group, at: str, content: Content) -> MailingGroup:
        checks = self._checks
        if not group.to:
            checks.add(f"{at}.to", "must not be blank")
        seen: set[Any] = set()
        to, cc, bcc = [
            unique(await self._recipients(of or (), f"{at}.{name}"), seen)
            for name, of in zip(("to", "cc", "bcc"), _lists(group), strict=True)
        ]
        reply_to = checks.take(f"{at}.replyTo", fields.mailbox, group.reply_to, None)
        if reply_to is not None and content.own_reply_to:
            checks.add(f"{at}.replyTo", "header {name} is given twice", name="Reply-To")
        together = checks.take(f"{at}.preserveRecipients", fields.boolean, group.preserve_recipients, False)
        answers: tuple[Mailbox, ...] = () if content.own_reply_to else content.reply_to
        return MailingGroup(to, cc, bcc, together=together, reply_to=answers if reply_to is None else (reply_to,))

    async def _recipients(self, given: Sequence[Destination], at: str) -> list[MailingRecipient]:
        checks = self._checks
        found = []
        for number, item in enumerate(given):
            await self._turns.next()
            place = f"{at}[{number}]"
            if item.destination is None:
                checks.add(f"{place}.destination", "must not be null")
            reference = checks.take(
                f"{place}.messageId",
                lambda value: fields.identifier(value, fields.MAX_MESSAGE_ID),
                item.message_id,
                "",
            )
            values: dict[str, str] = checks.take(
                f"{place}.placeholders", fields.placeholders, item.placeholders, {}
            )
            recipient = checks.take(f"{place}.destination", self._recipient, item.destination, None)
            if recipient is not None:
                found.append(replace(recipient, placeholders=values, reference=reference))
        return found

    def _recipient(self, value: Any) -> MailingRecipient:
        return fields.recipient(value, carriers=self._call.services.carriers)

    def _marks(self, options: MessageOptions, at: str) -> Marks:
        platform = options.platform or Platform()

        def mark(name: str, value: Any, longest: int) -> str:
            return self._checks.take(f"{at}.{name}", lambda given: fields.identifier(given, longest), value, "")

        return Marks(
            bulk=self.bulk,
            application=mark("platform.applicationId", platform.application_id, fields.MAX_PLATFORM_ID),
            entity=mark("platform.entityId", platform.entity_id, fields.MAX_PLATFORM_ID),
            campaign=mark("campaignReferenceId", options.campaign_reference_id, fields.MAX_CAMPAIGN),
        )

    def _callback(self, webhooks: Webhooks, at: str) -> Callback:
        checks, delivery = self._checks, webhooks.delivery or Delivery()
        callback = Callback(
            f"{at}.delivery.url",
            checks.take(f"{at}.delivery.url", fields.url, delivery.url, ""),
            checks.take(f"{at}.contentType", fields.report_format, webhooks.content_type, ReportJson.name),
            checks.take(f"{at}.delivery.intermediateReport", fields.boolean, delivery.intermediate_report, False),
        )
        wanted = checks.take(f"{at}.delivery.notify", fields.boolean, delivery.notify, True)
        return callback if wanted else callback._replace(url="")

    def _wish(self, content: Content) -> TrackingWish:
        checks, given = self._checks, self._tracking
        at = "options.tracking"
        return tracking_wish(
            checks.take(f"{at}.track", fields.boolean, given.track, None),
            checks.take(f"{at}.trackOpens", fields.boolean, given.track_opens, None),
            checks.take(f"{at}.trackClicks", fields.boolean, given.track_clicks, None),
            checks.take(f"{at}.trackingPixelPosition", fields.pixel_position, given.tracking_pixel_position, "TOP"),
            content,
        )

    def _starts(self, options: MessageOptions, at: str) -> Millis | None:
        if options.delivery_time_window is None:
            return self._send_at
        window = read_window(self._checks, at, options.delivery_time_window)
        if window is None:
            return None
        opens = window.next_opening(self._send_at or self._now)
        return opens if opens > self._now else None

    def _validity(self, options: MessageOptions, at: str) -> Millis | None:
        given = options.validity_period
        if given is None:
            return None
        if given.amount is None:
            self._checks.add(f"{at}.amount", "must not be null")
            return None
        unit = self._checks.take(
            f"{at}.timeUnit", lambda value: fields.choice(value, fields.TIME_UNITS), given.time_unit, "MINUTES"
        )
        return self._checks.take(f"{at}.amount", lambda value: fields.validity(value, unit), given.amount, None)

    async def _attach(self, attachments: Attachments, given: Attachment, at: str, inline: bool) -> None:
        checks = Checks()
        kind = checks.take(f"{at}.type", lambda value: fields.choice(value, (_BINARY, _REFERENCE)), given.type, "")
        if given.type is None:
            checks.add(f"{at}.type", "must not be null")
        if given.password is not None:
            checks.add(f"{at}.password", "is not supported")
        needed = {
            _BINARY: (("content", given.content), ("fileName", given.file_name)),
            _REFERENCE: (("contentId", given.content_id),),
        }
        for name, value in needed.get(kind, ()):
            if value is None:
                checks.add(f"{at}.{name}", "must not be null")
        file_name = checks.take(f"{at}.fileName", _file_name, given.file_name, "")
        content_id = checks.take(
            f"{at}.contentId", lambda value: fields.identifier(value, fields.MAX_MESSAGE_ID), given.content_id, ""
        )
        media_type = checks.take(
            f"{at}.contentType", lambda value: fields.line(value, forms.MAX_FILE_NAME), given.content_type, _UNKNOWN
        )
        if given.content is not None and not isinstance(given.content, str):
            checks.add(f"{at}.content", "must be encoded in base64")
        checks.done()
        if kind == _BINARY:
            text, given.content = given.content, None  # two times 20 MB are enough
            await attachments.add_base64(f"{at}.content", file_name, media_type, text, inline=inline)
        else:
            uploads = self._call.services.uploads
            await attachments.add_reference(
                f"{at}.contentId", uploads, self._call.account_id, content_id, inline=inline
            )


def _lists(group: Group) -> tuple[list[Destination] | None, ...]:
    return group.to, group.cc, group.bcc


def _file_name(value: Any) -> str:
    name = re.split(r"[/\\]", fields.line(value, forms.MAX_FILE_NAME))[-1].strip() or _BLANK_NAME
    extension = blocked_extension(name)
    if extension:
        raise BadField("files of the type .{extension} are not accepted", extension=extension)
    return name
