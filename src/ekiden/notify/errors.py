"""What can be wrong with where news shall go."""

from __future__ import annotations

from typing import Any

from ekiden.core.language import Language
from ekiden.core.said import Said
from ekiden.core.said_sentences import ENGLISH
from ekiden.core.said_sentences import TEXTS as SENTENCES
from ekiden.core.texts import TranslatedError
from ekiden.notify.translations import TEXTS


class NotifyError(TranslatedError):
    """The base of this room; the text is one of ``notify.translations``."""

    def __init__(self, template: str, **values: Any) -> None:
        super().__init__(TEXTS, template, **values)


class BadEndpoint(NotifyError):
    """A URL or a way to authenticate that callbacks cannot use. Nothing was written."""


class SettingTaken(NotifyError):
    """There is a record of that name."""


class TooManySettings(NotifyError):
    """The account has as many records of the kind as it may."""


class ForbiddenDestination(BadEndpoint):
    """A callback would reach what is not public. No socket was opened."""

    def __init__(self, said: Said) -> None:
        self.said = said
        TranslatedError.__init__(self, SENTENCES, ENGLISH[said.code], **said.facts)

    def text(self, lang: Language) -> str:
        return self.said.text(lang)
