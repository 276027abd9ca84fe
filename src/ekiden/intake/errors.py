"""Why the door stays shut. Every error knows its SMTP reply."""

from __future__ import annotations

import re
from typing import ClassVar

from ekiden.core.clock import Millis
from ekiden.core.errors import EkidenError
from ekiden.intake.sender_rights import SUSPENDED
from ekiden.mime.header import format_date
from ekiden.mime.scan import HeaderBounds
from ekiden.smtp.replies import too_large
from ekiden.smtp.reply import Reply

_CAPITALS = re.compile(r"(?<!^)(?=[A-Z])")


class IntakeError(EkidenError):
    """The submission was not taken; nothing of it was kept."""

    default: ClassVar[Reply] = Reply.of(451, "4.3.0", "Try again later")

    def __init__(self, reply: Reply | None = None) -> None:
        self.reply = reply or self.default
        super().__init__(self.reply.text)

    @property
    def word(self) -> str:
        """What it is called in the log: ``message_too_large``."""
        return _CAPITALS.sub("_", type(self).__name__).lower()


class AccountSuspended(IntakeError):
    """Nothing is accepted from the account."""

    default = SUSPENDED.reply


class NoRecipients(IntakeError):
    """There is nobody to send it to."""

    default = Reply.of(554, "5.5.1", "No valid recipients")


class TooManyRecipients(IntakeError):
    """More recipients than one message may have (RFC 5321 §4.5.3.1.10)."""

    default = Reply.of(452, "4.5.3", "Error: too many recipients")


class MessageTooLarge(IntakeError):
    """The content has ``size`` octets, more than the ``limit`` (RFC 1870 §6.3)."""

    def __init__(self, size: int, limit: int) -> None:
        self.size = size
        self.limit = limit
        super().__init__(too_large(size, limit))


class HeaderTooLarge(IntakeError):
    """The header block is larger than anybody needs; ``what`` is what ``mime.scan.measure`` found."""

    def __init__(self, what: str = "octets", bounds: HeaderBounds = HeaderBounds()) -> None:  # noqa: B008
        template, self.most = {
            "octets": ("The header is larger than {most} octets", bounds.octets),
            "fields": ("The header has more than {most} fields", bounds.fields),
            "field": ("A header field is larger than {most} octets", bounds.field),
        }[what]
        self.what = what
        super().__init__(Reply.of(552, "5.3.4", template.format(most=self.most)))


class RequestTooLarge(IntakeError):
    """The messages of one request are too much for the memory of a worker; several requests will do."""

    default = Reply.of(552, "5.3.4", "The messages of this request are too large together")


class TooManyLinks(IntakeError):
    """A message has more links than can be tracked."""

    default = Reply.of(554, "5.6.0", "The message has more links than can be tracked")


class TooManyPlaceholders(IntakeError):
    """A text has more placeholders than can be filled (``mime.placeholders.MAX_SLOTS``)."""

    default = Reply.of(554, "5.6.0", "The message has more placeholders than can be filled")


class CredentialRevoked(IntakeError):
    """Who submits it may not log in any more."""

    default = Reply.of(550, "5.7.1", "Your credential is not valid any more")


class SenderRefused(IntakeError):
    """The sender or the author is not the account's; the reply says which, and why (contract ibm.md §5.3).

    ``domain``: whose it is not; empty: nobody can tell.
    """

    default = Reply.of(553, "5.7.1", "Sender address rejected")

    def __init__(self, reply: Reply | None = None, domain: str = "") -> None:
        self.domain = domain
        super().__init__(reply)


class AttachmentRefused(IntakeError):
    """The SMTP configuration takes no attachments; ``what`` is the first one's name or type."""

    def __init__(self, what: str) -> None:
        super().__init__(Reply.of(554, "5.6.1", f"Attachments are not accepted by your SMTP configuration: {what}"))


class QuotaReached(IntakeError):
    """The account has sent what it may, and does not want delays. There is room again at ``until``."""

    def __init__(self, until: Millis) -> None:
        self.until = until
        super().__init__(Reply.of(452, "4.7.1", f"Quota reached, try again after {format_date(until)}"))


class AlreadyExpired(IntakeError):
    """Its time to be delivered in is over before it began."""

    default = Reply.of(554, "5.4.7", "The time to deliver the message in is over already")


class MailLoop(IntakeError):
    """It has passed too many servers (RFC 5321 §6.3)."""

    default = Reply.of(554, "5.4.6", "Too many hops: the message has more Received fields than allowed")


class TemporarilyUnavailable(IntakeError):
    """The store did not take it; the sender still has it, and shall try again."""

    default = Reply.of(451, "4.3.0", "The message could not be stored, try again later")


class Busy(TemporarilyUnavailable):
    """Too much is being taken already; a moment later there is room again."""

    default = Reply.of(452, "4.3.1", "Too much is being sent at this moment, try again later")
