"""``/files``: files that mails have as attachments (contract §5).

Where the contract is silent: a request has at most ``MOST`` files and ``OCTETS`` in all; parts that are not called
``fileList`` are passed over. A file that is too large is a 400, a request that is a 413. What is deleted is gone
for requests to come; mails that were asked for keep their files.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from litestar import Response

from ekiden.access.credential_scopes import READ, SEND
from ekiden.content.errors import ContentError
from ekiden.content.uploads import Received, Upload, check_media_type
from ekiden.core.clock import DAY
from ekiden.dialects.naver.errors import BadRequest
from ekiden.dialects.naver.http import answer
from ekiden.dialects.naver.http import check_media_type as check_content_type
from ekiden.web.multipart import MEDIA_TYPE, parts
from ekiden.web.need import Need
from ekiden.web.operation import Operation
from ekiden.web.urlencoded import BadForm

if TYPE_CHECKING:
    from ekiden.dialects.naver.call import Call

FIELD: Final = "fileList"
LARGEST: Final = 10 * 1024 * 1024
"""Octets of a file."""
OCTETS: Final = 41_943_040
MOST: Final = 20
_UNKNOWN: Final = "application/octet-stream"
_SUFFIX: Final = "-99"


async def create_files(call: Call) -> Response[bytes]:
    """201."""
    check_content_type(call.content_type, MEDIA_TYPE)
    uploads = call.services.uploads
    received: dict[str, Received] = {}
    try:
        async for part in parts(call.body.chunks(), call.content_type, 2 * MOST):
            if part.head.name != FIELD:
                continue
            if len(received) == MOST:
                raise BadRequest("a request has at most {most} files", most=MOST)
            name = part.head.filename or "attachment"
            kind = _media_type(part.head.content_type)
            received[_new_id()] = await uploads.receive(call.account_id, name, kind, part.chunks(), largest=LARGEST)
        if not received:
            raise BadRequest("{field} is missing", field=FIELD)
    except BaseException as error:
        for item in received.values():
            with suppress(Exception):
                await uploads.discard(item)
        if isinstance(error, BadForm):
            raise BadRequest("the form cannot be read: {why}", why=str(error)) from None
        raise
    batch = _new_id()
    return answer(_shape(batch, await uploads.keep_batch(batch, received, DAY)), 201)


async def get_files(call: Call) -> Response[bytes]:
    """Those of one request."""
    batch = call.name("id")
    return answer(_shape(batch, await call.services.uploads.of_batch(call.account_id, batch)))


async def delete_files(call: Call) -> Response[bytes]:
    """All of them."""
    batch = call.name("id")
    return answer(_shape(batch, await call.services.uploads.expire_batch(call.account_id, batch)))


def _shape(batch: str, files: Sequence[Upload]) -> dict[str, Any]:
    shown = [{"fileName": file.name, "fileSize": file.size, "fileId": file.uid} for file in files]
    return {"tempRequestId": batch, "files": shown}


def _new_id() -> str:
    return f"{uuid.uuid4()}{_SUFFIX}"


def _media_type(given: str) -> str:
    try:
        return check_media_type(given)
    except ContentError:
        return _UNKNOWN


OPERATIONS: Final = (
    Operation("POST", "/files", create_files, SEND, Need(OCTETS, 0, 0, kept=False)),
    Operation("GET", "/files/{id:str}", get_files, READ, much=True),
    Operation("DELETE", "/files/{id:str}", delete_files, SEND, much=True),
)
