"""``/template``: templates, where they stand, out of use and back (contract §7).

A name is told apart among the templates in use of one category. What stands at the top has the parent -1.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ekiden.content.errors import BadField, CategoryNotEmpty, ContentTaken, NoSuchContent, check_line
from ekiden.content.template_queries import ROOT
from ekiden.content.template_sender import Sender, read_sender
from ekiden.content.template_text import TemplateText
from ekiden.content.templates import Filing, Template
from ekiden.dialects.naver.errors import BadRequest, NoResource
from ekiden.dialects.naver.http import answer, is_letter
from ekiden.dialects.naver.times import nes_date
from ekiden.dialects.naver.tree_shapes import TOP, category_shape, structure
from ekiden.web.need import NO_BODY, Need
from ekiden.web.operation import changes, reads

if TYPE_CHECKING:
    from litestar import Response

    from ekiden.dialects.naver.call import Call

MAX_NAME: Final = 100
"""Characters; the others are octets."""
MAX_DESCRIPTION: Final = 300
MAX_TITLE: Final = 500
MAX_BODY: Final = 500 * 1024
MAX_SENDER_NAME: Final = 69
_ALLOWED: Final = frozenset("._- ")
_ESCAPED: Final = 6
"""Octets that JSON may write for one."""
TEMPLATE: Final = Need(_ESCAPED * MAX_BODY + 65_536)
_FIELDS: Final = {
    "name": "templateName",
    "subject": "title",
    "html": "body",
    "sender": "senderAddress",
    "parent": "parentSid",
}
"""What the service calls them, and clients."""


class NewTemplate(msgspec.Struct, kw_only=True):
    templateName: str
    title: str
    body: str
    senderAddress: str
    categorySid: int = TOP
    description: str | None = None
    senderName: str | None = None
    isUse: bool = True


class OtherTemplate(msgspec.Struct, kw_only=True):
    """``isUse`` ``None``: as it was."""

    templateName: str
    title: str
    body: str
    senderAddress: str
    description: str | None = None
    senderName: str | None = None
    isUse: bool | None = None


class Location(msgspec.Struct, kw_only=True):
    """``parentSid`` ``None``: it stays there."""

    templateName: str
    parentSid: int | None = None
    lowerSid: int | None = None


async def create_template(call: Call) -> Response[bytes]:
    """201."""
    given = await call.json(NewTemplate)
    text = TemplateText(name=check_name("templateName", given.templateName, 1), **_texts(given))
    filing = Filing(
        category_number(given.categorySid),
        _within("description", given.description or "", 0, MAX_DESCRIPTION),
        given.isUse,
    )
    with told_as():
        made = await call.services.templates.create(call.account_id, text, filing=filing, actor=call.caller.actor)
    return await _answer(call, made, 201)


async def get_structure(call: Call) -> Response[bytes]:
    """All that stands in the tree; ``isUse=true``: without templates that are not in use."""
    unused = call.query.flag("isUse") is not True
    branches = await call.services.template_categories.tree(call.account_id, unused=unused)
    return answer({"contents": await structure(branches, None)})


async def get_template(call: Call) -> Response[bytes]:
    """In use or not."""
    return await _answer(call, await call.services.templates.get(call.account_id, call.sid("sid"), unused=True))


async def update_template(call: Call) -> Response[bytes]:
    """All that this language knows of it but its category."""
    given = await call.json(OtherTemplate)
    name = await _name(call, given.templateName, 0)
    description = _within("description", given.description or "", 0, MAX_DESCRIPTION)
    with told_as():
        template = await call.services.templates.edit(
            call.account_id,
            call.sid("sid"),
            {"name": name, **_texts(given)},
            description=description,
            in_use=given.isUse,
            actor=call.caller.actor,
        )
    return await _answer(call, template)


async def update_location(call: Call) -> Response[bytes]:
    """Its name, its category, and its place."""
    given = await call.json(Location)
    name = await _name(call, given.templateName, 1)
    with told_as():
        template = await call.services.templates.move(
            call.account_id,
            call.sid("sid"),
            name=name,
            category_id=None if given.parentSid is None else category_number(given.parentSid),
            lower=given.lowerSid,
            actor=call.caller.actor,
        )
    return await _answer(call, template)


async def delete_template(call: Call) -> Response[bytes]:
    """It is out of use, and can be restored."""
    return await _use(call, in_use=False)


async def restore_template(call: Call) -> Response[bytes]:
    return await _use(call, in_use=True)


async def _use(call: Call, *, in_use: bool) -> Response[bytes]:
    with told_as():
        template = await call.services.templates.use(
            call.account_id, call.sid("sid"), in_use=in_use, actor=call.caller.actor
        )
    return await _answer(call, template)


# --- reading -------------------------------------------------------------------------------------------------


def check_name(field: str, name: str, shortest: int) -> str:
    """``name``, or the 400. Letters are those of any script."""
    if not shortest <= len(name) <= MAX_NAME:
        raise BadRequest(
            "{field} must have {shortest} to {longest} characters", field=field, shortest=shortest, longest=MAX_NAME
        )
    if not all(is_letter(char) or char in _ALLOWED for char in name) or (name and name.isspace()):
        raise BadRequest("{field} may have letters, digits, blanks and the characters . _ -", field=field)
    return name


async def _name(call: Call, name: str, shortest: int) -> str:
    """Of the template that the path names: what it is called already, in whichever language, it may go on to be."""
    try:
        return check_name("templateName", name, shortest)
    except BadRequest:
        found = await call.services.templates.get(call.account_id, call.sid("sid"), unused=True)
        if found.text.name != name:
            raise
        return name


def category_number(sid: int) -> int:
    """As the service has it. Raises the 400 of what can be none."""
    if sid == TOP:
        return ROOT
    if sid <= ROOT:
        raise NoResource("there is nothing with the number {sid}", sid=sid)
    return sid


@contextmanager
def told_as() -> Iterator[None]:
    """What the service refuses is told with the names that clients know."""
    try:
        yield
    except BadField as error:
        field = _FIELDS.get(error.field, error.field)
        error.values["field"] = field
        raise
    except ContentTaken as error:
        raise BadRequest("there is something of the name {name} already", name=error.values["name"]) from None
    except CategoryNotEmpty:
        raise BadRequest("a category that is not empty cannot be deleted") from None


def _texts(given: NewTemplate | OtherTemplate) -> dict[str, str]:
    name = _within("senderName", given.senderName or "", 0, MAX_SENDER_NAME)
    check_line("senderName", name, 0, MAX_SENDER_NAME)
    _within("senderAddress", given.senderAddress, 1, None)
    try:
        sender = Sender(given.senderAddress.strip(), name).line()
    except BadField:
        raise BadRequest("{field} must be one e-mail address", field="senderAddress") from None
    return {
        "subject": _within("title", given.title, 1, MAX_TITLE),
        "html": _within("body", given.body, 1, MAX_BODY),
        "sender": sender,
    }


def _within(field: str, text: str, shortest: int, longest: int | None) -> str:
    """``text``, or the 400: so many octets."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size < shortest:
        raise BadRequest("{field} is missing", field=field)
    if longest is not None and size > longest:
        raise BadRequest("{field} must not have more than {longest} bytes", field=field, longest=longest)
    return text


# --- answers -------------------------------------------------------------------------------------------------


async def _answer(call: Call, template: Template, status: int = 200) -> Response[bytes]:
    text, filing = template.text, template.filing
    sender = read_sender(text.sender)
    filed = None
    if filing.category_id != ROOT:
        with suppress(NoSuchContent):  # it may just have gone
            found = await call.services.template_categories.get(call.account_id, filing.category_id)
            filed = category_shape(found)
    shape: dict[str, Any] = {
        "sid": template.id,
        "createDate": nes_date(template.created_at),
        "name": text.name,
        "description": filing.description or None,
        "title": text.subject,
        "senderAddress": sender.address,
        "senderName": sender.name or None,
        "body": text.html,
        "isUse": filing.in_use,
        "category": filed,
    }
    # Of templates in other languages it may be megabytes.
    return await call.work(len(text.html), lambda: answer(shape, status))


OPERATIONS: Final = (
    changes("POST", "/template", create_template, need=TEMPLATE),
    reads("/template", get_structure),
    reads("/template/{sid:str}", get_template),
    changes("PUT", "/template/{sid:str}", update_template, need=TEMPLATE),
    changes("PUT", "/template/{sid:str}/name-location", update_location),
    changes("DELETE", "/template/{sid:str}", delete_template, need=NO_BODY),
    changes("PUT", "/template/{sid:str}/restoration", restore_template, need=NO_BODY),
)
