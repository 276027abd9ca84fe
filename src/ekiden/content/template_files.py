"""The file that a tree of templates is written into, and read from again: JSON, a piece at a time.

``{"contents": [...]}`` lists what stands at the top; a category has ``isCategory``, ``name``, ``isUse`` and the
lists ``subCategories`` and ``templates``, a template ``name``, ``isUse``, ``description``, ``title``,
``senderAddress``, ``senderName`` and ``body``. Besides, where there is something to tell: ``sender`` as it stands
in a header, when address and name do not say it all, ``replyTo``, ``preheader``, ``landingPage``. Attachments and
numbers are no part of it: a tree that was read has others.

Reading takes other members, any order of them that has a category's name before what is in it, ``null`` for what is
not given, and a list instead of the object around it. Nothing is in memory but the value that is being read.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from ekiden.content.errors import BadFile, ContentError
from ekiden.content.template_sender import Sender, read_sender
from ekiden.content.template_text import MAX_HTML, TemplateText
from ekiden.content.templates import Filing, Template

MAX_TREE_FILE: Final = 1024 * 1024 * 1024
"""Octets."""
MAX_VALUE: Final = 2 * MAX_HTML + 2
"""Octets of a text as it is written: it may be longer than what it says."""
MAX_VALUES: Final = 400_000
"""Members, elements, objects and arrays of a file."""
MAX_NESTED: Final = 64
"""Objects and arrays within each other."""
BEGIN: Final = b'{"contents":['
END: Final = b"]}\n"

_KINDS: Final = ("subCategories", "templates")
_BLANK: Final = re.compile(rb"[ \t\r\n]*+")
_MARK: Final = codecs.BOM_UTF8
_IN_STRING: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_LITERAL: Final = re.compile(rb"[A-Za-z0-9+.\-]*+")
_MAX_LITERAL: Final = 64
_TEXTS: Final = {
    "body": "html",
    "title": "subject",
    "replyTo": "reply_to",
    "preheader": "preheader",
    "landingPage": "landing_page",
}
MEMBERS: Final = {name: member for member, name in _TEXTS.items()} | {"sender": "senderAddress"}
"""What the file calls fields of ``TemplateText``; others have the same name."""


# --- writing -------------------------------------------------------------------------------------------------


def category_begin(name: str) -> bytes:
    """A category, and the list of the categories in it, which follow with commas between them."""
    return b'{"name":%b,"isCategory":true,"isUse":true,"subCategories":[' % msgspec.json.encode(name)


CATEGORY_MIDDLE: Final = b'],"templates":['
"""Its templates follow, with commas between them."""
CATEGORY_END: Final = b"]}"


def template(found: Template) -> bytes:
    """A template."""
    text = found.text
    sender = read_sender(text.sender)
    told: dict[str, Any] = {
        "name": text.name,
        "isCategory": False,
        "isUse": found.filing.in_use,
        "description": found.filing.description or None,
        "title": text.subject,
        "senderAddress": sender.address,
        "senderName": sender.name or None,
    }
    extra = {
        "sender": "" if text.sender == _line(sender) else text.sender,
        "replyTo": text.reply_to,
        "preheader": text.preheader,
        "landingPage": text.landing_page,
    }
    told |= {name: value for name, value in extra.items() if value}
    return msgspec.json.encode({**told, "body": text.html})


def _line(sender: Sender) -> str:
    """Empty: it is none."""
    if not sender.address:
        return ""
    try:
        return sender.line()
    except ValueError:
        return ""


# --- reading -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CategoryBegins:
    """What follows until its ``CategoryEnds`` is in it."""

    name: str


@dataclass(frozen=True, slots=True)
class CategoryEnds:
    pass


@dataclass(frozen=True, slots=True)
class TemplateFound:
    """``filing`` has no category."""

    text: TemplateText
    filing: Filing


Item = CategoryBegins | CategoryEnds | TemplateFound
_Steps = Generator[None, None, Any]
"""Each time that it yields more of the file is needed."""


class TreeReader:
    """Feed it the file as it comes; it returns what has become complete."""

    def __init__(self) -> None:
        self._text = bytearray()
        self._at = 0
        self._ended = False
        self._values = 0
        self._items: list[Item] = []
        self._error: ContentError | None = None
        self._steps = self._file()
        self.name = ""
        """Of the template that came last: what is wrong with a value is wrong with its."""
        next(self._steps)

    def feed(self, data: bytes) -> list[Item]:
        """Raises ``BadFile`` or ``BadField``, once all before the mistake has been returned."""
        self._text += data
        return self._go_on()

    def close(self) -> list[Item]:
        """The end of the file, to be called until nothing comes any more. Raises as ``feed``."""
        self._ended = True
        return self._go_on()

    def _go_on(self) -> list[Item]:
        if self._error is None:
            try:
                next(self._steps)
            except StopIteration:
                pass
            except ContentError as error:
                self._error = error
        del self._text[: self._at]
        self._at = 0
        items, self._items = self._items, []
        if self._error is not None and not items:
            raise self._error
        return items

    # --- tokens ---------------------------------------------------------------------------------------------

    def _peek(self) -> _Steps:
        """The next octet that is no blank; -1: there is none."""
        while True:
            found = _BLANK.match(self._text, self._at)
            assert found is not None
            self._at = found.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return -1
            yield

    def _take(self, wanted: bytes) -> _Steps:
        """Raises ``BadFile`` unless one of the octets comes next; returns it."""
        octet = yield from self._peek()
        if octet < 0 or octet not in wanted:
            raise BadFile("the file is not JSON")
        self._at += 1
        return octet

    def _string(self) -> _Steps:
        yield from self._take(b'"')
        scanned = 0
        while True:
            found = _IN_STRING.match(self._text, self._at + scanned)
            assert found is not None
            scanned = found.end() - self._at
            if scanned > MAX_VALUE:
                raise BadFile("the file has a text of more than {longest} octets", longest=MAX_VALUE)
            if found.end() < len(self._text) and self._text[found.end()] == 0x22:
                break
            if self._ended:
                raise BadFile("the file is not JSON")
            yield
        end = self._at + scanned
        try:
            value = msgspec.json.decode(b'"%b"' % bytes(self._text[self._at : end]), type=str)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise BadFile("the file is not JSON") from None
        self._at = end + 1
        return value

    def _literal(self) -> _Steps:
        """A number, ``true``, ``false`` or ``null``."""
        while True:
            found = _LITERAL.match(self._text, self._at)
            assert found is not None
            if found.end() - self._at > _MAX_LITERAL:
                raise BadFile("the file is not JSON")
            if found.end() < len(self._text) or self._ended:
                break
            yield
        try:
            value = msgspec.json.decode(found[0])
        except msgspec.DecodeError:
            raise BadFile("the file is not JSON") from None
        self._at = found.end()
        return value

    def _count(self) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            raise BadFile("the file has more than {most} values", most=MAX_VALUES)

    def _value(self, depth: int) -> _Steps:
        """Of a member that says something: a text, a number, ...; of an object or array nothing is kept."""
        if depth > MAX_NESTED:
            raise BadFile("the file is nested more than {most} levels deep", most=MAX_NESTED)
        self._count()
        octet = yield from self._peek()
        if octet == 0x22:
            return (yield from self._string())
        if octet == 0x7B:
            yield from self._members(lambda _: self._value(depth + 1))
            return None
        if octet == 0x5B:
            yield from self._elements(lambda: self._value(depth + 1))
            return None
        return (yield from self._literal())

    def _members(self, read: Any) -> _Steps:
        yield from self._take(b"{")
        if (yield from self._peek()) == 0x7D:
            self._at += 1
            return
        while True:
            key = yield from self._string()
            yield from self._take(b":")
            self._count()
            yield from read(key)
            if (yield from self._take(b",}")) == 0x7D:
                return

    def _elements(self, read: Any) -> _Steps:
        yield from self._take(b"[")
        if (yield from self._peek()) == 0x5D:
            self._at += 1
            return
        while True:
            self._count()
            yield from read()
            if (yield from self._take(b",]")) == 0x5D:
                return

    # --- the tree -------------------------------------------------------------------------------------------

    def _file(self) -> Generator[None, None, None]:
        yield
        if (yield from self._peek()) == _MARK[0]:  # as editors on Windows write it
            for octet in _MARK:
                yield from self._take(bytes((octet,)))
        if (yield from self._peek()) == 0x5B:
            yield from self._elements(lambda: self._node(1, None))
        else:
            seen = False

            def member(key: str) -> _Steps:
                nonlocal seen
                if key == "contents":
                    seen = True
                    yield from self._list(1, None)
                else:
                    yield from self._value(1)

            yield from self._members(member)
            if not seen:
                raise BadFile("the file has no contents")
        if (yield from self._peek()) >= 0:
            raise BadFile("the file is not JSON")

    def _list(self, depth: int, is_category: bool | None) -> _Steps:
        if (yield from self._peek()) == 0x6E:  # null
            yield from self._literal()
        else:
            yield from self._elements(lambda: self._node(depth, is_category))

    def _node(self, depth: int, is_category: bool | None) -> _Steps:
        """``is_category`` ``None``: it says so itself."""
        if depth > MAX_NESTED:
            raise BadFile("the file is nested more than {most} levels deep", most=MAX_NESTED)
        found = _Found(is_category)

        def member(key: str) -> _Steps:
            # A template may have both lists, but nothing in them.
            if key in _KINDS and found.is_category is not False and (yield from self._peek()) == 0x5B:
                self._begin(found)
                yield from self._list(depth + 1, key == "subCategories")
                return
            value = yield from self._value(depth)
            found.take(key, value)

        yield from self._members(member)
        if found.is_category:
            self._begin(found)
            self._items.append(CategoryEnds())
        else:
            self.name = found.text("name")
            self._items.append(found.template())

    def _begin(self, found: _Found) -> None:
        if not found.begun:
            found.is_category = found.begun = True
            self._items.append(CategoryBegins(found.text("name")))


@dataclass(slots=True)
class _Found:
    """A node, as far as it is known."""

    is_category: bool | None
    begun: bool = False
    told: dict[str, Any] = field(default_factory=dict)

    def take(self, key: str, value: Any) -> None:
        if key == "isCategory" and isinstance(value, bool) and self.is_category is None:
            self.is_category = value
        elif key in _KNOWN:
            self.told[key] = value

    def text(self, key: str) -> str:
        value = self.told.get(key)
        if value is not None and not isinstance(value, str):
            raise BadFile("{field} of the file is not a text", field=key)
        return value or ""

    def template(self) -> TemplateFound:
        sender = self.text("sender")
        if not sender and self.text("senderAddress"):
            sender = Sender(self.text("senderAddress"), self.text("senderName")).line()
        texts = {name: self.text(key) for key, name in _TEXTS.items()}
        used = self.told.get("isUse")
        if used is not None and not isinstance(used, bool):
            raise BadFile("{field} of the file is not true or false", field="isUse")
        text = TemplateText(name=self.text("name"), sender=sender, **texts)
        return TemplateFound(text, Filing(description=self.text("description"), in_use=used is not False))


_KNOWN: Final = frozenset({"name", "isUse", "description", "senderAddress", "senderName", "sender", *_TEXTS})
