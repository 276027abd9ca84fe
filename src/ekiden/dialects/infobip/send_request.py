"""What the ways to send have in common: texts, templates, recipients, callbacks, and the answer.

Where the contract is silent: a recipient named twice with the same values is mailed once, one named twice with
other values or another id of its own gets both messages. ``templateLanguageVersion``, ``ipPoolId``, the ``skip…``
switches of storage and ``placeholdersMasking`` are taken and change nothing. ``{{unsubscribeUrl}}`` is a link to
the page to unsubscribe.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import getaddresses
from html import escape
from typing import Any, Final, NamedTuple

from ekiden.content.errors import ContentError
from ekiden.content.templates import Template
from ekiden.content.uploads import Upload
from ekiden.core.notices import News, Route
from ekiden.core.submission import Origin
from ekiden.dialects.infobip import form_reader as forms
from ekiden.dialects.infobip import value_rules as fields
from ekiden.dialects.infobip.call import Call
from ekiden.dialects.infobip.errors import Violation
from ekiden.dialects.infobip.news.reports import ReportJson
from ekiden.dialects.infobip.news.tracking import Tracking
from ekiden.dialects.infobip.smtp_headers import PREFIX
from ekiden.dialects.infobip.value_rules import BadField, Checks
from ekiden.intake.mailing import MailingRecipient, TrackingWish
from ekiden.mime.errors import BadMailbox, MimeError
from ekiden.mime.html_tokens import tags
from ekiden.mime.mailbox import Mailbox, parse_mailbox
from ekiden.notify.errors import NotifyError

CALLBACK_DATA: Final = "callback_data"
"""The label of a message that keeps it."""
MAX_LANDING_PLACEHOLDERS: Final = 256
"""Characters (contract §2.2)."""
MAX_LANDING_PAGE: Final = 64
_MAX_TEMPLATE: Final = (1 << 63) - 1
_ID_LENGTH: Final = 20
_ID_LETTERS: Final = string.ascii_lowercase + string.digits
_LISTENER: Final = "http"
CONTENT: Final = (
    "subject",
    "text",
    "html",
    "ampHtml",
    "templateId",
    "defaultPlaceholders",
    "headers",
    "landingPagePlaceholders",
    "templateLanguageVersion",
)
"""Names of fields that ``read_content`` reads, besides author and landing page."""


def new_bulk_id() -> str:
    """As Infobip's: 20 lower-case letters and digits."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))


def origin_of(call: Call) -> Origin:
    """For the Received field and the trace."""
    return Origin(
        "HTTP",
        client=call.caller.address,
        region=call.caller.account.region,
        endpoint="public",
        listener=_LISTENER,
    )


# --- what is written -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Content:
    """Texts and what fills them. ``files``: those of a template."""

    author: Mailbox | None = None
    subject: str = ""
    text: str | None = None
    html: str | None = None
    amp: str | None = None
    reply_to: tuple[Mailbox, ...] = ()
    """A template's, for groups that have none of their own."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()
    landing_page: str = ""
    landing_placeholders: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[Upload] = ()

    @property
    def own_reply_to(self) -> bool:
        """Whether the headers say where answers go."""
        return any(name.lower() == "reply-to" for name, _ in self.headers)


async def read_content(
    call: Call,
    checks: Checks,
    author: tuple[str, Any],
    given: Callable[[str], Any],
    at: Callable[[str], str],
    *,
    landing_page: str,
    html_wins: bool,
) -> Content:
    """``given`` has the values by their documented names, ``at`` their places in the request.

    ``author`` is place and value of the sender; ``landing_page`` the name of that field here. ``html_wins``: a text
    beside HTML is ignored, as the form API documents it.
    """
    raw = {name: given(name) for name in (*CONTENT, landing_page)}

    def take(name: str, reader: Callable[[Any], Any], default: Any) -> Any:
        return checks.take(at(name), reader, raw[name], default)

    content = Content(
        subject=take("subject", _subject, ""),
        text=take("text", _long_text, None),
        html=take("html", _long_text, None),
        amp=take("ampHtml", _long_text, None),
        defaults=take("defaultPlaceholders", fields.placeholders, {}),
        headers=take("headers", _headers, ()),
        landing_page=take(landing_page, _landing_page, ""),
        landing_placeholders=take("landingPagePlaceholders", _landing_placeholders, {}),
    )
    take("templateLanguageVersion", _language_version, "1")
    place, sender = author
    content.author = checks.take(place, fields.mailbox, sender, None)
    template = raw["templateId"]
    if template is not None:
        await _fill_from_template(call, checks, content, at("templateId"), template)
    if content.author is None and sender is None:
        checks.add(place, "must not be null")
    if not content.subject and raw["subject"] is None:
        checks.add(at("subject"), "must not be null")
    if template is None and raw["text"] is None and raw["html"] is None:
        checks.add(at("text"), "must not be null")
    if raw["ampHtml"] is not None and raw["html"] is None and template is None:
        checks.add(at("html"), "must not be null")
    if html_wins and content.html is not None:
        content.text = None
    if content.landing_page:
        await _check_landing_page(call, checks, at(landing_page), content.landing_page)
    return content


def _subject(value: Any) -> str:
    return fields.line(value, fields.MAX_SUBJECT)


def _language_version(value: Any) -> str:
    return fields.choice(value, ("1", "2"))


def _long_text(value: Any) -> str:
    return fields.template(value, forms.MAX_TEXT)


def _headers(value: Any) -> tuple[tuple[str, str], ...]:
    found = fields.headers(value)
    for name, _ in found:
        # What these say in SMTP has fields of its own here.
        if name.lower().startswith(PREFIX.decode()):
            raise BadField("header {name} cannot be set", name=name)
    return found


def _landing_page(value: Any) -> str:
    return fields.identifier(value, MAX_LANDING_PAGE)


def _landing_placeholders(value: Any) -> dict[str, str]:
    return fields.placeholders(fields.text(value, MAX_LANDING_PLACEHOLDERS))


async def _check_landing_page(call: Call, checks: Checks, place: str, uid: str) -> None:
    try:
        await call.services.landing_pages.get(call.account_id, uid)
    except ContentError as error:
        checks.violations.append(Violation.of(place, error))


async def _fill_from_template(call: Call, checks: Checks, content: Content, place: str, value: Any) -> None:
    """The template's texts instead of the request's (contract §2.2); the rest where the request has nothing."""
    template_id = checks.take(place, lambda given: fields.whole(given, 1, _MAX_TEMPLATE), value, 0)
    if not template_id:
        return
    try:
        template = await call.services.templates.get(call.account_id, template_id)
        content.files = await call.services.templates.attachments(call.account_id, template_id)
        content.author = content.author or _template_author(template)
        if template.text.reply_to:
            content.reply_to = mailboxes(template.text.reply_to)
    except (ContentError, MimeError) as error:
        checks.violations.append(Violation.of(place, error))
        return
    content.text = None
    texts = template.text
    content.html = await call.work(len(texts.html), lambda: _with_preheader(texts.html, texts.preheader))
    content.subject = content.subject or template.text.subject
    content.landing_page = content.landing_page or template.text.landing_page


def _template_author(template: Template) -> Mailbox | None:
    return parse_mailbox(template.text.sender) if template.text.sender else None


def mailboxes(value: str) -> tuple[Mailbox, ...]:
    """A list as a header field has it. Raises ``BadMailbox``."""
    try:
        return tuple(Mailbox(name, address) for name, address in getaddresses([value]))
    except RecursionError:  # the library reads comments within comments so
        raise BadMailbox(value[:80], "comments within comments") from None


def _with_preheader(html: str, preheader: str) -> str:
    """What readers show beside the subject is the first text of a message; nobody sees it in there."""
    if not preheader:
        return html
    hidden = f'<div style="display:none;max-height:0;overflow:hidden">{escape(preheader, quote=False)}</div>'
    end = next((tag.end for tag in tags(html, ("body",)) if tag.name == "body" and not tag.closing), 0)
    return html[:end] + hidden + html[end:]


# --- who gets it ---------------------------------------------------------------------------------------------


def unique(recipients: Iterable[MailingRecipient], seen: set[Any]) -> tuple[MailingRecipient, ...]:
    """Each once: see the module. ``seen`` goes on to the next list."""
    kept = []
    for recipient in recipients:
        key = (
            recipient.address.local,
            recipient.address.domain,
            tuple(sorted(recipient.placeholders.items())),
            recipient.reference,
        )
        if key not in seen:
            seen.add(key)
            kept.append(recipient)
    return tuple(kept)


# --- who is told ---------------------------------------------------------------------------------------------


class Callback(NamedTuple):
    """Where reports go. ``place`` is that of the URL in the request; ``url`` empty: nowhere."""

    place: str
    url: str
    format: str = ReportJson.name
    intermediate: bool = False


async def report_routes(call: Call, checks: Checks, callback: Callback) -> tuple[Route, ...]:
    """Of delivery reports."""
    news = News.FINAL | News.INTERMEDIATE if callback.intermediate else News.FINAL
    return await _route(call, checks, callback.place, callback.url, callback.format, news)


async def tracking_routes(call: Call, checks: Checks, place: str, url: str) -> tuple[Route, ...]:
    """Of what recipients do."""
    return await _route(call, checks, place, url, Tracking.name, News.TRACKING)


async def _route(call: Call, checks: Checks, place: str, url: str, format: str, news: News) -> tuple[Route, ...]:
    if not url:
        return ()
    try:
        return (Route(await call.services.endpoints.find(call.account_id, format, url), int(news)),)
    except NotifyError as error:
        checks.violations.append(Violation.of(place, error))
        return ()


def tracking_wish(
    track: bool | None, opens: bool | None, clicks: bool | None, pixel: Any, content: Content
) -> TrackingWish:
    """``track`` is for both that are not said (contract §2.2); what nobody says the domain's settings do."""
    return TrackingWish(
        opens=track if opens is None else opens,
        clicks=track if clicks is None else clicks,
        pixel=pixel,
        landing_page=content.landing_page,
        landing_placeholders=content.landing_placeholders,
    )
