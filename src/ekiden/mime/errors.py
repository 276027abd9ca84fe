"""What can be wrong with the parts that a message is composed of, in words for people."""

from __future__ import annotations

from typing import Any

from ekiden.core.texts import TranslatedError
from ekiden.mime.translations import TEXTS


class MimeError(TranslatedError):
    """A message cannot be composed as asked. Nothing was made."""

    def __init__(self, template: str, **values: Any) -> None:
        super().__init__(TEXTS, template, **values)


class BadMailbox(MimeError, ValueError):
    """Text that is no ``Name <local@domain>`` and no ``local@domain``."""

    def __init__(self, mailbox: str, reason: object) -> None:
        super().__init__("{mailbox!r} is not a mail address: {reason}", mailbox=mailbox, reason=reason)


class BadHeaderName(MimeError, ValueError):
    """A name that no header field can have (RFC 5322 §3.6.8)."""

    def __init__(self, name: str) -> None:
        super().__init__("{name!r} is not the name of a header field", name=name)


class BadHeaderValue(MimeError, ValueError):
    """A value that would not stay within its field, or that no line can hold. ``name`` is the field's."""

    def __init__(self, template: str, name: str) -> None:
        super().__init__(template, name=name)
        self.name = name
