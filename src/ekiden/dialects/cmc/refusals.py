"""What the door says to mail that it does not take, for who sends it over HTTP. Nothing was kept then."""

from __future__ import annotations

import math
import time
from typing import Final

from ekiden.core.clock import SECOND
from ekiden.core.display import iso
from ekiden.dialects.cmc.errors import (
    INVALID,
    MISSING,
    NO_DKIM,
    NO_DKIM_ERROR,
    QUOTA,
    REFUSED,
    SENDER,
    SUSPENDED,
    SYSTEM,
    SYSTEM_ERROR,
    TOO_LONG,
    TOO_MANY,
    UNAUTHENTICATED,
    UNAVAILABLE,
    ApiError,
    Entry,
    refused,
)
from ekiden.intake.errors import (
    AccountSuspended,
    AttachmentRefused,
    CredentialRevoked,
    HeaderTooLarge,
    IntakeError,
    MessageTooLarge,
    NoRecipients,
    QuotaReached,
    RequestTooLarge,
    SenderRefused,
    TemporarilyUnavailable,
    TooManyLinks,
    TooManyPlaceholders,
    TooManyRecipients,
)
from ekiden.mime.errors import BadHeaderValue, MimeError
from ekiden.web.problem import RETRY_AFTER

_TELLS: Final[tuple[tuple[type[IntakeError], int, str, str, str], ...]] = (
    (AccountSuspended, 403, SUSPENDED, "", "the account is suspended"),
    (CredentialRevoked, 401, UNAUTHENTICATED, "api_user", "api_user or api_key is not right"),
    (NoRecipients, 400, MISSING, "to", "{field} is missing"),
    (TooManyRecipients, 400, TOO_MANY, "to", "there are more recipients than one mail may have"),
    (MessageTooLarge, 500, SYSTEM, "", SYSTEM_ERROR),
    (RequestTooLarge, 500, SYSTEM, "", SYSTEM_ERROR),
    (HeaderTooLarge, 400, TOO_LONG, "headers", "the header of the mail is too large"),
    (TooManyLinks, 400, REFUSED, "html", "the mail has more links than can be tracked"),
    (TooManyPlaceholders, 400, TOO_MANY, "html", "the mail has more merge characters than can be filled"),
    (AttachmentRefused, 400, REFUSED, "attachments", "attachments are not accepted from this account"),
)


def of_door(error: IntakeError, author: str) -> ApiError:
    """``author``: the domain of the address that it is from."""
    for kind, status, code, field, template in _TELLS:
        if isinstance(error, kind):
            return refused(status, code, template, field)
    if isinstance(error, SenderRefused):
        if error.domain in ("", author):
            return refused(400, NO_DKIM, NO_DKIM_ERROR)
        return refused(400, SENDER, "{field} must be an address of a domain with DKIM", "envfrom")
    if isinstance(error, QuotaReached):
        wait = str(max(1, math.ceil(error.until / SECOND - time.time())))
        template = "the account has sent as much as it may; try again after {until}"
        return refused(429, QUOTA, template, headers={"Retry-After": wait}, until=iso(error.until))
    if isinstance(error, TemporarilyUnavailable) or not error.reply.permanent:
        headers = {"Retry-After": RETRY_AFTER}
        return refused(503, UNAVAILABLE, "the mail could not be stored; try again later", headers=headers)
    return refused(400, REFUSED, "the mail is refused: {why}", why=str(error))


def of_mime(error: MimeError) -> ApiError:
    """What the mail cannot be made of."""
    name = error.name.lower() if isinstance(error, BadHeaderValue) else ""
    field = "subject" if name == "subject" else "headers"
    return ApiError(400, (Entry(INVALID, field, error),))
