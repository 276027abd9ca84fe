"""``/template/export`` and ``/template/import``: the tree of templates as a file, and back (contract §7)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from litestar.response import Stream

from ekiden.content.errors import BadFile, ImportBroken
from ekiden.content.template_exports import Export, ExportState
from ekiden.content.template_files import MAX_TREE_FILE
from ekiden.core.clock import HOUR, MINUTE, SECOND, Millis
from ekiden.dialects.naver.errors import BadRequest
from ekiden.dialects.naver.http import answer, check_media_type
from ekiden.dialects.naver.labels import labelled
from ekiden.dialects.naver.paging import Order, read_page
from ekiden.dialects.naver.times import ZONE, nes_date
from ekiden.dialects.naver.tree_shapes import structure
from ekiden.web import multipart
from ekiden.web.errors import NoRoom
from ekiden.web.need import NO_BODY, Need
from ekiden.web.operation import changes, reads
from ekiden.web.urlencoded import BadForm

if TYPE_CHECKING:
    from litestar import Response

    from ekiden.content.uploads import Received
    from ekiden.dialects.naver.call import Call
    from ekiden.dialects.naver.translations import Language

FIELD: Final = "file"
MAX_PARTS: Final = 100
FILE: Final = Need(MAX_TREE_FILE + 65_536, MAX_PARTS, kept=False)
PATH: Final = "/template/export"
_SORTS: Final = {"createUtc": "requested_at", "sid": "id", "statusCode": "state"}
"""Names on the wire, and the service's."""
_CODES: Final = {
    ExportState.WAITING: "R",
    ExportState.WRITING: "I",
    ExportState.DONE: "C",
    ExportState.EXPIRED: "E",
}
_PLAIN: Final = frozenset({"", "7bit", "8bit", "binary"})


async def request_export(call: Call) -> Response[bytes]:
    """200: it is written by and by."""
    return answer({"sid": await call.services.template_exports.request(call.account_id, actor=call.caller.actor)})


async def list_exports(call: Call) -> Response[bytes]:
    """The newest first, unless they are sorted otherwise."""
    page = read_page(call.query, _SORTS, Order("createUtc", True))
    sorts = [(_SORTS[order.property], order.descending) for order in page.sort]
    found = await call.services.template_exports.list(call.account_id, sorts, offset=page.offset, limit=page.size)
    base = f"{str(call.request.base_url).rstrip('/')}{call.operation.path}"
    return answer(page.shape([_shape(item, base, call.language) for item in found.items], found.total))


async def download_export(call: Call) -> Stream:
    """The file."""
    upload = await call.services.template_exports.open(call.account_id, call.sid("sid"))
    written = datetime.fromtimestamp(upload.created_at / SECOND, ZONE)
    headers = {
        "Content-Disposition": f'attachment; filename="template_{written:%Y%m%d%H%M%S}.json";',
        "Content-Transfer-Encoding": "binary",
        "Content-Length": str(upload.size),
        "X-Content-Type-Options": "nosniff",
    }
    pieces = call.services.uploads.pieces(upload)
    return Stream(pieces, media_type="application/octet-stream;charset=UTF-8", headers=headers)


async def import_templates(call: Call) -> Response[bytes]:
    """201: what is in the file is made, one thing after another; what comes before a faulty one stays."""
    check_media_type(call.content_type, multipart.MEDIA_TYPE)
    received = await _receive(call)
    imports = call.services.template_imports
    try:
        async with call.services.bodies.turn(call.account_id):
            branches = await imports.take(received, actor=call.caller.actor)
    except NoRoom:
        await imports.drop(received)
        raise
    except TimeoutError:
        raise NoRoom from None
    except ImportBroken as error:
        why = error.values["why"]
        if isinstance(why, BadFile):
            raise BadRequest("the file cannot be read: {why}", why=why) from None
        raise BadRequest("{name} of the file cannot be added: {why}", name=error.values["name"], why=why) from None
    return answer({"contents": await structure(branches, [])}, 201)


async def _receive(call: Call) -> Received:
    """The first file of the field. What else is in the form says nothing."""
    imports = call.services.template_imports
    received = None
    try:
        async for part in multipart.parts(call.body.chunks(), call.content_type, MAX_PARTS):
            if part.head.name != FIELD or received is not None:
                continue
            if part.head.encoding not in _PLAIN:
                raise BadRequest("{name} cannot have that value", name=FIELD)
            received = await imports.receive(call.account_id, part.chunks())
    except BaseException as error:
        if received is not None:
            await imports.drop(received)
        if isinstance(error, BadForm):
            raise BadRequest("the request body is not a form: {why}", why=error.why) from None
        raise
    if received is None:
        raise BadRequest("{field} is missing", field=FIELD)
    return received


def _shape(item: Export, base: str, language: Language) -> dict[str, Any]:
    return {
        "sid": item.id,
        "projectSid": item.account_id,
        "requestUtc": nes_date(item.requested_at),
        "completeUtc": nes_date(item.completed_at),
        "elapsedTime": None if item.completed_at is None else _elapsed(item.completed_at - item.requested_at),
        "statusCode": labelled("export_status", _CODES[item.state], language),
        "downloadUrl": f"{base}/{item.id}" if item.state is ExportState.DONE else None,
    }


def _elapsed(time: Millis) -> str:
    """``00:00:58.521``; hours have as many digits as they need."""
    hours, rest = divmod(max(time, 0), HOUR)
    minutes, rest = divmod(rest, MINUTE)
    seconds, millis = divmod(rest, SECOND)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{millis:03d}"


OPERATIONS: Final = (
    changes("POST", f"{PATH}/request", request_export, need=NO_BODY),
    reads(PATH, list_exports),
    reads(f"{PATH}/{{sid:str}}", download_export),
    changes("POST", "/template/import", import_templates, need=FILE),
)
