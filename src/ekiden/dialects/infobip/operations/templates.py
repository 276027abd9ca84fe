"""``/email/1/templates``: templates, their attachments, and how they look with values (contract §4.6).

Where the contract is silent: POST and PUT need ``html`` only; PUT empties what it does not name, PATCH leaves it.
Both keep the attachments unless ``attachments`` is given, which takes the place of all. A preview has the values as
a message would have them, and browsers must not run what it contains. There are no pictures of templates. ``url``
of an attachment is a path on this server, for the same credentials.
"""

from __future__ import annotations

import binascii
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import msgspec
from litestar import Response
from litestar.response import Stream

from ekiden.content.errors import BadField as BadContentField
from ekiden.content.errors import TooMuchContent
from ekiden.content.template_text import TemplateText
from ekiden.content.templates import MAX_ATTACHMENTS, NewAttachment, Template
from ekiden.content.uploads import Upload
from ekiden.dialects.infobip import value_rules as fields
from ekiden.dialects.infobip.attachments import decoded_base64
from ekiden.dialects.infobip.blocked_files import blocked_extension
from ekiden.dialects.infobip.call import Call
from ekiden.dialects.infobip.errors import REQUEST, ApiError, Violation
from ekiden.dialects.infobip.form_names import FormFields
from ekiden.dialects.infobip.form_reader import MAX_REQUEST, Form
from ekiden.dialects.infobip.http import Query, answer, decode_json, empty
from ekiden.dialects.infobip.paging import read_page
from ekiden.dialects.infobip.times import timestamp
from ekiden.dialects.infobip.value_rules import BadField, Checks
from ekiden.mime.placeholders import MAX_SLOTS, Text, too_many_slots
from ekiden.web.errors import RequestRefused
from ekiden.web.json_gauge import measure
from ekiden.web.need import Need
from ekiden.web.problem import JSON

SIZE: Final = 20
MAX_SIZE: Final = 20
PATH: Final = "/email/1/templates"
_MEMBERS: Final = {
    "name": "name",
    "from": "sender",
    "replyTo": "reply_to",
    "subject": "subject",
    "preheader": "preheader",
    "html": "html",
    "landingPage": "landing_page",
}
"""Fields of the form, and of ``TemplateText``."""
_PLACES: Final = {field: name for name, field in _MEMBERS.items()}
_TEMPLATE: Final = FormFields.of((*_MEMBERS, "attachments"))
_PREVIEW: Final = FormFields.of(("placeholders",))
_ATTACHMENT: Final = FormFields.of(("contentType", "fileName", "data"))
_PREVIEW_HEADERS: Final = {"Content-Security-Policy": "sandbox", "X-Content-Type-Options": "nosniff"}
PREVIEW: Final = Need(2 * 1_048_576, 3 * fields.MAX_PLACEHOLDERS + 10)
"""The values of one message, in JSON an object for each."""
_FILE_VALUES: Final = 200
"""Of JSON with as many files as a template may have."""


class _File(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    contentType: str
    fileName: str
    data: str


class _Preview(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    placeholders: Any = None


async def list_templates(call: Call) -> Response[bytes]:
    """The newest first."""
    checks = Checks()
    wanted = read_page(Query(call.request, checks), SIZE, MAX_SIZE)
    checks.done()
    found = await call.services.templates.list(call.account_id, offset=wanted.offset, limit=wanted.size)
    results = [
        {
            "id": entry.id,
            "name": entry.name,
            "createdAt": timestamp(entry.created_at),
            "updatedAt": timestamp(entry.updated_at),
        }
        for entry in found.items
    ]
    return answer({"results": results, "paging": wanted.full(found.total)})


async def create_template(call: Call) -> Response[bytes]:
    """201."""
    given, files = await _read(call, whole=True)
    try:
        template = await call.services.templates.create(
            call.account_id, TemplateText(**given), files or (), actor=call.caller.actor
        )
    except (BadContentField, TooMuchContent) as error:
        raise _refused(error) from None
    return answer(await _template_json(call, template), 201)


async def get_template(call: Call) -> Response[bytes]:
    template = await call.services.templates.get(call.account_id, _id(call))
    return answer(await _template_json(call, template))


async def replace_template(call: Call) -> Response[bytes]:
    """All of its texts."""
    template_id = _id(call)
    given, files = await _read(call, whole=True)
    try:
        template = await call.services.templates.replace(
            call.account_id, template_id, TemplateText(**given), files, actor=call.caller.actor
        )
    except (BadContentField, TooMuchContent) as error:
        raise _refused(error) from None
    return answer(await _template_json(call, template))


async def patch_template(call: Call) -> Response[bytes]:
    """What is given of it; a field without a value is emptied."""
    template_id = _id(call)
    given, files = await _read(call, whole=False)
    try:
        template = await call.services.templates.patch(
            call.account_id, template_id, given, files, actor=call.caller.actor
        )
    except (BadContentField, TooMuchContent) as error:
        raise _refused(error) from None
    return answer(await _template_json(call, template))


async def delete_template(call: Call) -> Response[bytes]:
    await call.services.templates.delete(call.account_id, _id(call), actor=call.caller.actor)
    return empty()


async def preview(call: Call) -> Response[bytes]:
    """Its HTML with values: ``placeholders`` are texts by name, or objects with a ``value``."""
    template_id = _id(call)
    checks = Checks()
    given = await _placeholders(call, checks)
    length = len(given) if isinstance(given, str) else PREVIEW.octets
    values: Mapping[str, str] = await call.work(length, lambda: checks.take("placeholders", _values, given, {}))
    checks.done()
    template = await call.services.templates.get(call.account_id, template_id)
    html = await call.work(len(template.text.html), lambda: _filled(template.text.html, values))
    # What serves it adds the charset to a text.
    return Response(html, media_type="text/html", headers=dict(_PREVIEW_HEADERS))


async def _placeholders(call: Call, checks: Checks) -> Any:
    """As a form or JSON has them: a text of JSON, in JSON also the object itself; ``None``: not given."""
    media_type = call.content_type.partition(";")[0].strip().lower()
    if not media_type:
        return None
    if media_type == JSON or media_type.endswith("+json"):
        return (await call.json(_Preview, checks)).placeholders
    form = await call.form(_PREVIEW, checks)
    form.close()
    return form.one("placeholders", checks)


def _filled(source: str, values: Mapping[str, str]) -> bytes:
    if too_many_slots(source):
        raise ApiError.field("html", "must not have more than {most} placeholders", most=MAX_SLOTS)
    html = Text(source)
    if html.length(values) > MAX_REQUEST:
        raise ApiError.field("placeholders", "must not have more than {most} octets", most=MAX_REQUEST)
    return html.render(values).encode("utf-8", "replace")


def _values(given: Any) -> dict[str, str]:
    found = fields.decoded(given) if isinstance(given, str) else given
    if isinstance(found, dict):
        found = {name: _value(of) for name, of in found.items()}
    return fields.placeholders(found if isinstance(found, dict) else given)


def _value(given: Any) -> Any:
    return given["value"] if isinstance(given, dict) and set(given) == {"value"} else given


async def list_attachments(call: Call) -> Response[bytes]:
    """In the order in which they came."""
    found = await call.services.templates.attachments(call.account_id, _id(call))
    return answer([_attachment_json(upload) for upload in found])


async def add_attachment(call: Call) -> Response[bytes]:
    """201."""
    template_id = _id(call)
    checks = Checks()
    form = await call.form(_ATTACHMENT, checks)
    form.close()

    def required(name: str) -> str:
        value = form.one(name, checks)
        if value is None:
            checks.add(name, "must not be null")
        return value or ""

    given = _File(contentType=required("contentType"), fileName=required("fileName"), data=required("data"))
    checks.done()
    file = await call.work(len(given.data), lambda: _new_attachment(checks, given, ""))
    checks.done()
    try:
        made = await call.services.templates.attach(call.account_id, template_id, file, actor=call.caller.actor)
    except (BadContentField, TooMuchContent) as error:
        raise _refused(error, {"name": "fileName", "media_type": "contentType"}) from None
    return answer(_attachment_json(made), 201)


async def delete_attachment(call: Call) -> Response[bytes]:
    await call.services.templates.detach(
        call.account_id, _id(call), call.parameter("attachment"), actor=call.caller.actor
    )
    return empty()


async def download_attachment(call: Call) -> Stream:
    """The file, as it was given."""
    uid = call.parameter("attachment")
    for upload in await call.services.templates.attachments(call.account_id, _id(call)):
        if upload.uid == uid:
            # It is somebody's file: nothing of it is for a browser to show.
            headers = {
                "Content-Disposition": "attachment",
                "Content-Length": str(upload.size),
                **_PREVIEW_HEADERS,
            }
            pieces = call.services.uploads.pieces(upload)
            return Stream(pieces, media_type="application/octet-stream", headers=headers)
    raise ApiError(404)


# --- reading -------------------------------------------------------------------------------------------------


def _id(call: Call) -> int:
    """That of the path; 0, which no template has, when it is no number."""
    text = call.parameter("template")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0


async def _read(call: Call, *, whole: bool) -> tuple[dict[str, str], list[NewAttachment] | None]:
    """The texts by field of ``TemplateText``, and the files; ``None``: there is no word of them."""
    checks = Checks()
    form = await call.form(_TEMPLATE, checks)
    form.close()
    found = {}
    for name, field in _MEMBERS.items():
        value = _single(form, name, checks)
        if value is not None:
            found[field] = value
        elif whole:
            found[field] = ""
            if name == "html":
                checks.add(name, "must not be null")
    attachments = form.one("attachments", checks)
    files = None
    if attachments is not None:
        given = attachments
        files = await call.work(len(given), lambda: _files(checks, given))
    checks.done()
    return found, files


def _single(form: Form, name: str, checks: Checks) -> str | None:
    """The text of a field, which may be empty; ``None``: not given."""
    try:
        return fields.single(form.texts.get(name.lower(), ()))
    except BadField as error:
        checks.violations.append(Violation.of(name, error))
        return None


def _files(checks: Checks, given: str) -> list[NewAttachment]:
    try:
        text = given.encode("utf-8", "replace")
        measure(text, _FILE_VALUES, 3)
        found = decode_json(text, list[_File])
    except RequestRefused:
        checks.add("attachments", "must not have more than {most} entries", most=MAX_ATTACHMENTS)
        return []
    except ApiError as error:
        for violation in error.violations:
            path = "" if violation.property == REQUEST else violation.property
            checks.violations.append(
                Violation(f"attachments{path}", violation.template, violation.values, violation.texts)
            )
        return []
    return [_new_attachment(checks, file, f"attachments[{number}].") for number, file in enumerate(found)]


def _new_attachment(checks: Checks, file: _File, place: str) -> NewAttachment:
    data = b""
    try:
        data = b"".join(decoded_base64(file.data))
    except (binascii.Error, ValueError):
        checks.add(f"{place}data", "must be encoded in base64")
    extension = blocked_extension(file.fileName)
    if extension:
        checks.add(f"{place}fileName", "files of the type .{extension} are not accepted", extension=extension)
    return NewAttachment(file.fileName, file.contentType, _chunks(data))


async def _chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _refused(error: BadContentField | TooMuchContent, places: Mapping[str, str] | None = None) -> ApiError:
    """What a service does not take, with the field's name in the request."""
    if isinstance(error, BadContentField):
        known = places or {**_PLACES, "name": "name", "media_type": "attachments"}
        return ApiError(400, (Violation.of(known.get(error.field, REQUEST), error),))
    return ApiError(400, (Violation.of(REQUEST, error),))


# --- answers -------------------------------------------------------------------------------------------------


async def _template_json(call: Call, template: Template) -> dict[str, Any]:
    text = template.text
    uploads = await call.services.templates.attachments(call.account_id, template.id)
    found = {
        "id": template.id,
        "name": text.name,
        "from": text.sender,
        "replyTo": text.reply_to,
        "subject": text.subject,
        "preheader": text.preheader,
        "html": text.html,
        "isHtmlEditable": True,
        "attachments": [_attachment_json(upload) for upload in uploads],
        "createdAt": timestamp(template.created_at),
        "updatedAt": timestamp(template.updated_at),
    }
    if text.landing_page:
        found["landingPageId"] = text.landing_page
    return found


def _attachment_json(upload: Upload) -> dict[str, Any]:
    return {
        "id": upload.uid,
        "contentType": upload.media_type,
        "fileName": upload.name,
        "size": upload.size,
        "url": f"{PATH}/{upload.template_id}/attachments/{upload.uid}/download",
    }
