"""The X-IB-* fields of messages that come by the SMTP API and in ``/email/4/mime`` (contract §7.5).

Names match in any case, with or without the hyphens behind ``X-IB-``. Beyond the documented ones, these are an
extension of ours: ``X-IB-Message-Id``, ``X-IB-Campaign-Reference-Id``, ``X-IB-Track``, ``X-IB-Track-Opens`` and
``X-IB-Track-Clicks``, which mean what the HTTP API's parameters of that name mean. All fields that begin with
``X-IB-`` are ours and taken off, also those that mean nothing to us. A bad value, or two values, refuse the
message.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ekiden.core.states import Priority
from ekiden.core.submission import Marks
from ekiden.dialects.infobip import value_rules as fields
from ekiden.dialects.infobip.news.reports import ReportJson
from ekiden.dialects.infobip.value_rules import BadField
from ekiden.intake.errors import IntakeError
from ekiden.mime.header import decode_words
from ekiden.mime.scan import Header
from ekiden.smtp.reply import Reply

PREFIX: Final = b"x-ib-"
_FOLD: Final = re.compile(rb"\r\n[ \t]+")


class HeaderRefused(IntakeError):
    """An X-IB field that cannot be as it is; the reply names it, and the message is not taken."""

    def __init__(self, name: str, why: str) -> None:
        self.field = name
        super().__init__(Reply.of(554, "5.6.0", f"{name}: {why}"))


@dataclass(frozen=True, slots=True)
class SmtpOptions:
    """What the fields ask for; empty and ``None``: nothing.

    ``names`` are the fields to take off, in lower case as ``Header.without`` wants them. ``notify_format`` is the
    name of a ``notify`` format.
    """

    names: frozenset[bytes] = frozenset()
    bulk: str = ""
    reference: str = ""
    application: str = ""
    entity: str = ""
    campaign: str = ""
    callback_data: str = ""
    intermediate: bool = False
    notify_url: str = ""
    notify_format: str = ReportJson.name
    tracking_url: str = ""
    priority: Priority = Priority.STANDARD
    track: bool | None = None
    track_opens: bool | None = None
    track_clicks: bool | None = None
    given: frozenset[str] = frozenset()
    """The attributes that a field set, for who has to choose between two sources."""

    @property
    def marks(self) -> Marks:
        return Marks(self.bulk, self.reference, self.application, self.entity, self.campaign)


def _callback_data(value: str) -> str:
    return fields.line(value, fields.MAX_CALLBACK_DATA)


def _identifier(longest: int) -> Callable[[str], str]:
    return lambda value: fields.identifier(value, longest)


_READERS: Final[dict[bytes, tuple[str, Callable[[str], Any]]]] = {
    b"bulkid": ("bulk", _identifier(fields.MAX_BULK_ID)),
    b"callbackdata": ("callback_data", _callback_data),
    b"intermediatereport": ("intermediate", fields.boolean),
    b"notifycontenttype": ("notify_format", fields.report_format),
    b"notifyurl": ("notify_url", fields.url),
    b"trackingurl": ("tracking_url", fields.url),
    b"clientpriority": ("priority", fields.priority),
    b"applicationid": ("application", _identifier(fields.MAX_PLATFORM_ID)),
    b"entityid": ("entity", _identifier(fields.MAX_PLATFORM_ID)),
    b"messageid": ("reference", _identifier(fields.MAX_MESSAGE_ID)),
    b"campaignreferenceid": ("campaign", _identifier(fields.MAX_CAMPAIGN)),
    b"track": ("track", fields.boolean),
    b"trackopens": ("track_opens", fields.boolean),
    b"trackclicks": ("track_clicks", fields.boolean),
}
_URLS: Final = frozenset({"notify_url", "tracking_url"})
_NOTHING: Final = SmtpOptions()


def read_options(header: Header) -> SmtpOptions:
    """The options of a message. Raises ``HeaderRefused``."""
    if not header.begins(PREFIX):
        return _NOTHING
    names = set()
    values: dict[str, Any] = {}
    for found in header.fields():
        if not found.name.startswith(PREFIX):
            continue
        names.add(found.name)
        attribute, reader = _READERS.get(found.name.removeprefix(PREFIX).replace(b"-", b""), ("", None))
        if reader is None:
            continue
        name = header.content[found.start : found.start + len(found.name)].decode("ascii")
        if attribute in values:
            raise HeaderRefused(name, "must be given once")
        try:
            values[attribute] = reader(_value(header.content[found.value : found.end], attribute in _URLS))
        except BadField as error:
            raise HeaderRefused(name, str(error)) from None
    return SmtpOptions(names=frozenset(names), given=frozenset(values), **values)


def _value(raw: bytes, is_url: bool) -> str:
    """Unfolded, encoded words decoded (RFC 2047). A URL that was folded had no blank there."""
    unfolded = _FOLD.sub(b"" if is_url and b"=?" not in raw else b" ", raw)
    try:
        text = unfolded.decode().replace("\t", " ").strip(" \r\n")
    except UnicodeDecodeError:
        raise BadField("must be valid Unicode text") from None
    decoded = decode_words(text)
    if "\ufffd" in decoded and "\ufffd" not in text:
        raise BadField("must be valid Unicode text")
    return decoded
