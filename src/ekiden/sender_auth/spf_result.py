"""What an SPF check found: the result, why, and what was asked of the DNS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from ekiden.core.language import Language
from ekiden.sender_auth.recorded_lookup import Asked
from ekiden.sender_auth.spf_errors import SpfSyntaxError
from ekiden.sender_auth.spf_record import Qualifier
from ekiden.sender_auth.spf_translations import TEXTS

SpfWord = Literal["none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"]

SpfReason = Literal[
    "mechanism",  # a mechanism matched
    "default",  # none did: neutral (§4.7)
    "bad_domain",  # no name that could have a record (§4.3)
    "no_record",
    "several_records",
    "syntax",
    "lookup_limit",  # more than 10 terms that ask the DNS (§4.6.4)
    "void_limit",  # more than 2 questions without an answer (§4.6.4)
    "mx_limit",  # an mx with more than 10 hosts (§4.6.4)
    "include_none",  # include: of a domain without a record (§5.2)
    "redirect_none",  # redirect= to one (§6.1)
    "dns",  # the DNS did not answer (§4.4, §5)
]

WORDS: Mapping[Qualifier, SpfWord] = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}  # §4.6.2


class Step(NamedTuple):
    """A term that led to the result: ``include:…``, ``redirect=…`` on the way, the one that matched at the end."""

    domain: str
    term: str


@dataclass(frozen=True, slots=True)
class SpfResult:
    """The answer of ``check_host`` (RFC 7208 §2.6).

    - ``word``: the result
    - ``reason``: the same for programs
    - ``domain``: whose record decided, or has the fault
    - ``path``: the terms that led to it, the outermost first
    - ``record``: the record of the domain that was asked about
    - ``explanation``: what the domain says about a ``fail`` (§6.2). It is foreign text: mark it as such
    - ``lookups``, ``void_lookups``: how much of the limits (10 terms, 2 questions) was used
    - ``syntax_error``: the fault, when ``reason`` is ``syntax``
    - ``trace``: the questions to the DNS, in order
    """

    word: SpfWord
    reason: SpfReason
    domain: str
    path: tuple[Step, ...] = ()
    record: str | None = None
    explanation: str | None = None
    lookups: int = 0
    void_lookups: int = 0
    syntax_error: SpfSyntaxError | None = None
    trace: tuple[Asked, ...] = ()
    template: str = field(default="", repr=False)
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def mechanism(self) -> str | None:
        """The directive that matched, as written: the one of the outermost record (after redirects)."""
        if self.reason != "mechanism":
            return None
        return next(step.term for step in self.path if not step.term.lower().startswith("redirect="))

    def text(self, lang: Language) -> str:
        """The result as a sentence for a person."""
        values = dict(self.values)
        if self.syntax_error is not None:
            values["problem"] = self.syntax_error.text(lang)
        return TEXTS(self.template, lang, **values)
