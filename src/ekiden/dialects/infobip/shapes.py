"""The body of ``POST /email/4/messages`` (contract §2.3). A member that is not here is a 400: a misspelt ``sendAt``
would send at once.

Shapes are checked by the decoder; single values are ``Any`` and read with ``fields``, so that one answer names all
that is wrong with them. There are no cycles in them, so the collector need not look at thousands.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Destination(msgspec.Struct, rename="camel", kw_only=True, gc=False, forbid_unknown_fields=True):
    destination: Any = None
    message_id: Any = None
    placeholders: Any = None


class Group(msgspec.Struct, rename="camel", kw_only=True, gc=False, forbid_unknown_fields=True):
    to: list[Destination]
    cc: list[Destination] | None = None
    bcc: list[Destination] | None = None
    reply_to: Any = None
    preserve_recipients: Any = None


class Attachment(msgspec.Struct, rename="camel", kw_only=True, gc=False, forbid_unknown_fields=True):
    """``binary`` has ``content``, ``contentType`` and ``fileName``; ``uploadedReference`` has ``contentId``."""

    type: Any = None
    content: Any = None
    content_type: Any = None
    file_name: Any = None
    password: Any = None
    content_id: Any = None


class ContentModel(msgspec.Struct, rename="camel", kw_only=True, gc=False, forbid_unknown_fields=True):
    subject: Any = None
    text: Any = None
    html: Any = None
    amp_html: Any = None
    template_id: Any = None
    attachments: list[Attachment] | None = None
    inline_images: list[Attachment] | None = None
    default_placeholders: Any = None
    landing_page_placeholders: Any = None
    optout_landing_page_id: Any = None
    template_language_version: Any = None
    headers: Any = None


class Platform(msgspec.Struct, rename="camel", kw_only=True, gc=False, forbid_unknown_fields=True):
    entity_id: Any = None
    application_id: Any = None


class ValidityPeriod(msgspec.Struct, rename="camel", kw_only=True, gc=False, forbid_unknown_fields=True):
    amount: Any = None
    time_unit: Any = None


class TimeOfDay(msgspec.Struct, kw_only=True, gc=False, forbid_unknown_fields=True):
    hour: Any = None
    minute: Any = None


class DeliveryTimeWindow(msgspec.Struct, kw_only=True, gc=False, forbid_unknown_fields=True):
    days: list[Any]
    from_: TimeOfDay | None = msgspec.field(default=None, name="from")
    to: TimeOfDay | None = None


class MessageOptions(msgspec.Struct, rename="camel", kw_only=True, gc=False, forbid_unknown_fields=True):
    platform: Platform | None = None
    validity_period: ValidityPeriod | None = None
    delivery_time_window: DeliveryTimeWindow | None = None
    campaign_reference_id: Any = None


class Delivery(msgspec.Struct, rename="camel", kw_only=True, gc=False, forbid_unknown_fields=True):
    url: Any = None
    intermediate_report: Any = None
    notify: Any = None


class Webhooks(msgspec.Struct, rename="camel", kw_only=True, gc=False, forbid_unknown_fields=True):
    delivery: Delivery | None = None
    content_type: Any = None
    callback_data: Any = None


class Message(msgspec.Struct, rename="camel", kw_only=True, gc=False, forbid_unknown_fields=True):
    destinations: list[Group]
    content: ContentModel
    sender: Any = None
    options: MessageOptions | None = None
    webhooks: Webhooks | None = None
    # These are documented, and change nothing here.
    ips: Any = None
    placeholders_masking: Any = None
    storage: Any = None


class Schedule(msgspec.Struct, rename="camel", kw_only=True, gc=False, forbid_unknown_fields=True):
    bulk_id: Any = None
    send_at: Any = None


class TrackingModel(msgspec.Struct, rename="camel", kw_only=True, gc=False, forbid_unknown_fields=True):
    track: Any = None
    track_opens: Any = None
    track_clicks: Any = None
    tracking_url: Any = None
    tracking_pixel_position: Any = None


class RequestOptions(msgspec.Struct, rename="camel", kw_only=True, gc=False, forbid_unknown_fields=True):
    schedule: Schedule | None = None
    tracking: TrackingModel | None = None
    client_priority: Any = None


class MessagesRequest(msgspec.Struct, rename="camel", kw_only=True, gc=False, forbid_unknown_fields=True):
    messages: list[Message]
    options: RequestOptions | None = None
