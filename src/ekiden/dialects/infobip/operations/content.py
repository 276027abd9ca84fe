"""``POST /email/1/content``: a file that messages name later (contract §2.5), written as it comes."""

from __future__ import annotations

from typing import Final

from litestar import Response

from ekiden.content.errors import BadField, ContentError
from ekiden.content.uploads import MAX_FILE, MAX_UID, MAX_VALIDITY, MIN_VALIDITY
from ekiden.core.clock import MINUTE
from ekiden.dialects.infobip import value_rules as fields
from ekiden.dialects.infobip.blocked_files import blocked_extension
from ekiden.dialects.infobip.call import Call
from ekiden.dialects.infobip.errors import REQUEST, ApiError, Violation
from ekiden.dialects.infobip.http import answer
from ekiden.dialects.infobip.value_rules import Checks
from ekiden.web.need import Need

CONTENT_ID: Final = "X-Content-Id"
MEDIA_TYPE: Final = "X-Media-Type"
VALIDITY: Final = "X-Validity-Period-Minutes"
_HEADERS: Final = {"uid": CONTENT_ID, "name": CONTENT_ID, "media_type": MEDIA_TYPE, "validity": VALIDITY}
_LONGEST_TYPE: Final = 255
FILE: Final = Need(MAX_FILE, kept=False)
"""It is stored piece by piece."""


async def upload(call: Call) -> Response[bytes]:
    """Its id is its name as well: what it is called when it is attached."""
    checks = Checks()
    headers = call.request.headers
    for name in (CONTENT_ID, MEDIA_TYPE):
        if name not in headers:
            checks.add(name, "must not be null")
    uid = checks.take(CONTENT_ID, lambda value: fields.identifier(value, MAX_UID), headers.get(CONTENT_ID), "")
    media_type = checks.take(
        MEDIA_TYPE, lambda value: fields.identifier(value, _LONGEST_TYPE), headers.get(MEDIA_TYPE), ""
    )
    minutes = checks.take(
        VALIDITY,
        lambda value: fields.whole(value, MIN_VALIDITY // MINUTE, MAX_VALIDITY // MINUTE),
        headers.get(VALIDITY),
        MAX_VALIDITY // MINUTE,
    )
    extension = blocked_extension(uid)
    if extension:
        checks.add(CONTENT_ID, "files of the type .{extension} are not accepted", extension=extension)
    checks.done()
    chunks = call.body.chunks()
    try:
        made = await call.services.uploads.store(call.account_id, uid, uid, media_type, minutes * MINUTE, chunks)
    except BadField as error:
        raise ApiError(400, (Violation.of(_HEADERS.get(error.field, REQUEST), error),)) from None
    except ContentError as error:
        raise ApiError(400, (Violation.of(REQUEST, error),)) from None
    return answer({"uploadedContentId": made.uid})
