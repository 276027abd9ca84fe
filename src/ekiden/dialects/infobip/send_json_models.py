"""The body of ``POST /email/4/messages`` (contract §2.3). Members that are not here are ignored.

Shapes are checked by the decoder; single values are ``Any`` and read with ``fields``, so that one answer names all
that is wrong with them. There are no cycles in them, so the collector need not look at thousands.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Destination(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    destination: Any = None
    message_id: Any = None
    placeholders: Any = None


class Group(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    to: list[Destination]
    cc: list[Destination] | None = None
    bcc: list[Destination] | None = None
    reply_to: Any = None
    preserve_recipients: Any = None


class Attachment(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """``binary`` has ``content``, ``contentType`` and ``fileName``; ``uploadedReference`` has ``contentId``."""

    type: Any = None
    content: Any = None
    content_type: Any = None
    file_name: Any = None
    password: Any = None
    content_id: Any = None


class ContentModel(msgspec.Struct, rename="camel", kw_only=True, gc=False):
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


class Platform(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    entity_id: Any = None
    application_id: Any = None


class ValidityPeriod(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    amount: Any = None
    time_unit: Any = None


class TimeOfDay(msgspec.Struct, kw_only=True, gc=False):
    hour: Any = None
    minute: Any = None


class DeliveryTimeWindow(msgspec.Struct, kw_only=True, gc=False):
    days: list[Any]
    from_: TimeOfDay | None = msgspec.field(default=None, name="from")
    to: TimeOfDay | None = None


class MessageOptions(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    platform: Platform | None = None
    validity_period: ValidityPeriod | None = None
    delivery_time_window: DeliveryTimeWindow | None = None
    campaign_reference_id: Any = None


class Delivery(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    url: Any = None
    intermediate_report: Any = None
    notify: Any = None


class Webhooks(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    delivery: Delivery | None = None
    content_type: Any = None
    callback_data: Any = None


class Message(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    destinations: list[Group]
    content: ContentModel
    sender: Any = None
    options: MessageOptions | None = None
    webhooks: Webhooks | None = None


class Schedule(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    bulk_id: Any = None
    send_at: Any = None


class TrackingModel(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    track: Any = None
    track_opens: Any = None
    track_clicks: Any = None
    tracking_url: Any = None
    tracking_pixel_position: Any = None


class RequestOptions(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    schedule: Schedule | None = None
    tracking: TrackingModel | None = None
    client_priority: Any = None


class MessagesRequest(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    messages: list[Message]
    options: RequestOptions | None = None
