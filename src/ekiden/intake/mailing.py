"""What a request asks for when its messages are composed here: texts, recipients with their own values, options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ekiden.core.address import Address
from ekiden.core.clock import Millis
from ekiden.core.notices import Route
from ekiden.core.states import Priority
from ekiden.core.submission import NO_MARKS, Marks, Origin
from ekiden.mime.attachment_parts import SharedParts
from ekiden.mime.html_links import PixelPosition
from ekiden.mime.japanese import UTF_8, Charset
from ekiden.mime.mailbox import Mailbox
from ekiden.mime.placeholders import BRACES, Syntax


@dataclass(frozen=True, slots=True)
class MailingRecipient:
    """``name`` is for display. ``reference``: the sender's own id of the message to this recipient, if any."""

    address: Address
    name: str = ""
    placeholders: Mapping[str, str] = field(default_factory=dict)
    reference: str = ""

    @property
    def mailbox(self) -> Mailbox:
        return Mailbox(self.name, self.address.text)


@dataclass(frozen=True, slots=True)
class MailingGroup:
    """Recipients who get a message each, in which nobody sees another; or, ``together``, one message for all.

    Those of ``bcc`` are not named in a common message. It has one text: it is filled with the defaults and, where
    there is a single recipient in ``to``, with that one's placeholders. Its reference is the first one's of ``to``.
    """

    to: tuple[MailingRecipient, ...]
    cc: tuple[MailingRecipient, ...] = ()
    bcc: tuple[MailingRecipient, ...] = ()
    together: bool = False
    reply_to: tuple[Mailbox, ...] = ()

    @property
    def recipients(self) -> tuple[MailingRecipient, ...]:
        """All of them."""
        return (*self.to, *self.cc, *self.bcc)


@dataclass(frozen=True, slots=True)
class TrackingWish:
    """``None``: as the settings of the author's domain say.

    ``unsubscribe``: offer a page of ours, also by one click (RFC 8058). ``landing_page``: the account's own one;
    naming it is a wish for it. ``everywhere``: who leaves by it leaves all domains of the account.
    """

    opens: bool | None = None
    clicks: bool | None = None
    pixel: PixelPosition = "TOP"
    unsubscribe: bool | None = None
    landing_page: str = ""
    landing_placeholders: Mapping[str, str] = field(default_factory=dict)
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class Mailing:
    """Messages of one author and one set of texts. ``defaults`` fill what a recipient has no value for.

    ``headers`` are further fields. ``expires_after``: how long delivery may be tried. ``marks`` have no reference.
    ``{{unsubscribeUrl}}``, in the ``syntax`` of placeholders, stands for the link to the page where its recipient
    unsubscribes. ``to_unsubscribed``: those who have unsubscribed get it as well. ``charset``: of texts and header
    fields. ``sender``: of the envelope; ``None``: as the author's domain says.
    """

    account_id: int
    credential_id: int
    origin: Origin
    author: Mailbox
    subject: str
    groups: tuple[MailingGroup, ...]
    text: str | None = None
    html: str | None = None
    amp: str | None = None
    defaults: Mapping[str, str] = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()
    shared: SharedParts | None = None
    priority: Priority = Priority.STANDARD
    send_at: Millis | None = None
    expires_after: Millis | None = None
    marks: Marks = NO_MARKS
    labels: Mapping[str, str] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    tracking: TrackingWish = TrackingWish()
    syntax: Syntax = BRACES
    to_unsubscribed: bool = False
    charset: Charset = UTF_8
    sender: Address | None = None


class Mailed(NamedTuple):
    """A recipient, as its sender wrote it, of a mailing that is on stable storage.

    ``external_id`` is what the sender is told.
    """

    recipient: str
    message_id: int
    number: int
    external_id: str
