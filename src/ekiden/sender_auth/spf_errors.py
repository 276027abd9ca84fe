"""What can be wrong with an SPF record, said in both languages."""

from __future__ import annotations

from typing import Any, Literal

from ekiden.core.language import Language
from ekiden.core.texts import TranslatedError
from ekiden.sender_auth.spf_translations import TEXTS

SpfSyntaxCode = Literal[
    "not_spf",
    "not_ascii",
    "too_long",
    "bad_character",
    "unknown_mechanism",
    "unexpected_argument",
    "missing_domain",
    "bad_domain",
    "bad_macro",
    "bad_address",
    "bad_prefix",
    "repeated_modifier",
]


class SpfError(TranslatedError):
    """The base of what is raised about SPF."""


class SpfSyntaxError(SpfError):
    """A record, or a macro string, that does not follow RFC 7208 §12.

    ``code`` is for programs. ``term`` is the term as written and ``position`` the number of the character, counted
    from 1, where it begins; both are empty when the fault is not in a term.
    """

    def __init__(
        self, code: SpfSyntaxCode, template: str, *, term: str = "", position: int = 0, **values: Any
    ) -> None:
        self.code = code
        self.term = term
        self.position = position
        super().__init__(TEXTS, template, **values)

    def text(self, lang: Language) -> str:
        problem = super().text(lang)
        if not self.position:
            return problem
        return TEXTS(
            "{term} (character {position}): {problem}",
            lang,
            term=self.term,
            position=self.position,
            problem=problem,
        )

    def within(self, term: str, position: int) -> SpfSyntaxError:
        """The same fault, told with the term that has it."""
        return SpfSyntaxError(self.code, self.template, term=term, position=position, **self.values)
