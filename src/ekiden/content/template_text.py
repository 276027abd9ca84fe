"""The text of a template, and what it may be.

The placeholders in it are the business of whoever renders. ``sender`` and ``reply_to`` are what a header field
says, so nothing in them can end a line.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from ekiden.content.errors import BadField, check_line
from ekiden.mime.author_domains import mailbox_domains
from ekiden.mime.placeholders import MAX_SLOTS, too_many_slots

MAX_NAME: Final = 255
MAX_SUBJECT: Final = 200
MAX_FILED_SUBJECT: Final = 500
"""Of templates in a tree."""
MAX_PREHEADER: Final = 75
MAX_HEADER: Final = 998 - len("Reply-To: ")
"""Characters of a header field's value: RFC 5322 §2.1.1 allows no longer line."""
MAX_HTML: Final = 10 * 1024 * 1024
"""Octets (contract §2.2)."""
MAX_DESCRIPTION: Final = 300


@dataclass(frozen=True, slots=True)
class TemplateText:
    """What a client writes into a template; empty: not given.

    ``preheader`` is the line that readers show beside the subject. ``landing_page`` is the uid of one.
    """

    name: str
    html: str
    sender: str = ""
    reply_to: str = ""
    subject: str = ""
    preheader: str = ""
    landing_page: str = ""


FIELDS: Final = tuple(item.name for item in fields(TemplateText))


def check_template(text: TemplateText, longest_subject: int = MAX_SUBJECT) -> TemplateText:
    """``text``, or ``BadField``; whether its landing page exists is not asked here."""
    check_line("name", text.name, 0, MAX_NAME)
    check_line("subject", text.subject, 0, longest_subject)
    check_line("preheader", text.preheader, 0, MAX_PREHEADER)
    check_line("landing_page", text.landing_page, 0, MAX_NAME)
    _check_mailboxes("sender", text.sender, 1)
    _check_mailboxes("reply_to", text.reply_to, None)
    size = _octets(text.html)
    if too_many_slots(text.html):
        raise BadField("html", "{field} has at most {most} placeholders", most=MAX_SLOTS)
    if size < 0 or "\0" in text.html:
        raise BadField("html", "{field} is not a text that can be kept")
    if not 1 <= size <= MAX_HTML:
        raise BadField("html", "{field} has {shortest} to {longest} characters", shortest=1, longest=MAX_HTML)
    return text


def check_description(text: str) -> str:
    """``text``, or ``BadField``."""
    if len(text) > MAX_DESCRIPTION:
        raise BadField(
            "description", "{field} has {shortest} to {longest} characters", shortest=0, longest=MAX_DESCRIPTION
        )
    if _octets(text) < 0 or "\0" in text:
        raise BadField("description", "{field} is not a text that can be kept")
    return text


def _check_mailboxes(field: str, value: str, most: int | None) -> None:
    check_line(field, value, 0, MAX_HEADER)
    # What placeholders will be is checked when the message is made.
    if not value or "{{" in value:
        return
    domains = mailbox_domains(value.encode())
    if domains is None or (most is not None and len(domains) > most):
        if most == 1:
            raise BadField(field, "{field} is one e-mail address, with a name or without")
        raise BadField(field, "{field} is a list of e-mail addresses")


def _octets(text: str) -> int:
    """In UTF-8; -1: it cannot be written so."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return -1
