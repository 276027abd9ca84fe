"""What can be wrong with a change to content."""

from __future__ import annotations

import re
from typing import Any, Final

from ekiden.content.translations import TEXTS
from ekiden.core.texts import TranslatedError

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class ContentError(TranslatedError):
    """The change was refused; nothing was written. The text is one of ``content.translations``."""

    def __init__(self, template: str, **values: Any) -> None:
        super().__init__(TEXTS, template, **values)


class BadContent(ContentError, ValueError):
    """A name, an id or a text that cannot be used."""


class BadField(BadContent):
    """A field of a template or of a file cannot have that value. ``field`` is its name here."""

    def __init__(self, field: str, template: str, **values: Any) -> None:
        super().__init__(template, field=field, **values)
        self.field = field


class BadFile(BadContent):
    """A file that is not what it should be."""


class ContentTaken(ContentError):
    """The account has something of that id or name already."""


class NoSuchContent(ContentError, LookupError):
    """The account has nothing of that id."""


class ImportBroken(ContentError):
    """What is in a file cannot be made, from some place in it on."""


class CategoryNotEmpty(ContentError):
    """Only a category with nothing in it can be removed."""


class TooMuchContent(ContentError):
    """A file that is too large, or one thing more than there is room for."""


def check_line(field: str, text: str, shortest: int, longest: int) -> str:
    """``text``, or ``BadField``: so many characters, and none of them ends a line or is a control character.

    So nothing that is written into a header can begin another field (RFC 5322 §2.2).
    """
    if not shortest <= len(text) <= longest:
        raise BadField(field, "{field} has {shortest} to {longest} characters", shortest=shortest, longest=longest)
    if _CONTROL.search(text):
        raise BadField(field, "{field} has control characters or line breaks")
    return text
