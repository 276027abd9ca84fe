"""What gets into a TXT record when it is pasted: the quotes and backslashes of a zone file, its whole line, blanks.

A record that looks right to whoever published it and that no receiver reads is the most frequent fault of all. This
tells a reader what it would be without what does not belong to it, and names that.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import permutations
from typing import Final, Literal

from ekiden.core.language import Language
from ekiden.core.texts import Texts

Stray = Literal["before", "quotes", "backslashes", "parentheses", "blanks", "semicolons", "wide"]
"""A kind of what does not belong to a record; ``before``: anything before ``v=``, such as a name and a type."""

MAX_PASTED: Final = 8_192
"""Octets of a record that are looked at: more than any that is meant to be read."""
MAX_PIECES: Final = 4
"""Records that may be one in pieces; they come in any order."""
_VERSION: Final = re.compile(r"v[ \t]*=[ \t]*(?:spf1|dkim1|dmarc1)", re.IGNORECASE)
_BETWEEN: Final = re.compile(r'"\s*"')
# A term of its own, quoted by itself: in a zone file it would lack its blank.
_BETWEEN_TERMS: Final = re.compile(
    r'(?<=\S)"\s*"(?=[+?~-]?(?:all|include|a|mx|ptr|ip4|ip6|exists|redirect|exp)(?:[:=/"\s]|\Z))', re.IGNORECASE
)
_SOLE_BLANK: Final = re.compile(r"\s")
# Invisible ones go; those that stand for a quotation mark or a blank become it. NFKC does the full-width forms.
_FORMS: Final = {
    **dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad")),
    **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f\u00ab\u00bb\u300c\u300d\u300e\u300f"), '"'),
    **dict.fromkeys(map(ord, "\u2018\u2019"), "'"),
}
_QUOTES: Final = "'`\u00b4"
_ORDER: Final[tuple[Stray, ...]] = (
    "before",
    "quotes",
    "backslashes",
    "parentheses",
    "blanks",
    "semicolons",
    "wide",
)
_NAMES: Final[dict[Stray, str]] = {
    "before": "anything before v=",
    "quotes": "quotation marks",
    "backslashes": "backslashes",
    "parentheses": "parentheses",
    "blanks": "blanks at the beginning, tabs and line ends",
    "semicolons": "semicolons",
    "wide": "full-width and invisible characters",
}
TEXTS: Final = Texts("sender_auth/pasted")


def cleaned(record: bytes) -> tuple[bytes, frozenset[Stray]]:
    """The record without what pasting brought into it, and the kinds of that; none: it has nothing of the sort.

    Linear in the length, of which ``MAX_PASTED`` octets count. What names no version of SPF, DKIM or DMARC stays.
    """
    text = record[:MAX_PASTED].decode("utf-8", "surrogateescape")
    strays: set[Stray] = set()
    if not text.isascii():
        plain = unicodedata.normalize("NFKC", text.translate(_FORMS))
        if plain != text:
            strays.add("wide")
            text = plain
    text = text.replace("&quot;", '"')
    found = _VERSION.search(text)
    if found is None:
        return record, frozenset()
    before, text = text[: found.start()], text[found.start() :]
    rest = _without(before, '"' + _QUOTES, "quotes", strays)
    rest = _without(rest, "\\", "backslashes", strays)
    rest = _without(rest, "(", "parentheses", strays)
    if rest.strip():
        strays.add("before")
    elif rest:
        strays.add("blanks")
    is_spf = found.group()[-4:].lower() == "spf1"
    if is_spf:
        text = _BETWEEN_TERMS.sub(' "', text)
    # In a zone file strings that stand beside each other are one, with nothing between them.
    text = _without(_BETWEEN.sub('"', text), '"', "quotes", strays)
    text = _without(text, "\\", "backslashes", strays)
    end = text.rstrip()
    while end and end[-1] in _QUOTES + ")":
        strays.add("parentheses" if end[-1] == ")" else "quotes")
        end = end[:-1].rstrip()
    if is_spf:
        end = _without(end, ";", "semicolons", strays)
        blanked = _SOLE_BLANK.sub(" ", end)
        if blanked != end:
            strays.add("blanks")
        end = blanked
    return end.encode("utf-8", "surrogateescape"), frozenset(strays)


def _without(text: str, signs: str, stray: Stray, strays: set[Stray]) -> str:
    kept = text.translate(dict.fromkeys(map(ord, signs)))
    if kept != text:
        strays.add(stray)
    return kept


def joined(records: Sequence[bytes]) -> list[bytes]:
    """Records that may be one in pieces, put together in every order; nothing of one, or of too many."""
    if not 1 < len(records) <= MAX_PIECES:
        return []
    pieces = [
        cleaned(record)[0] if _VERSION.search(record.decode("ascii", "replace")) else record for record in records
    ]
    pieces = [piece.strip(b'" \t\r\n') for piece in pieces]
    return [b"".join(order) for order in permutations(pieces)]


def named(strays: frozenset[Stray], lang: Language) -> str:
    """The kinds as a person calls them, in a list."""
    return TEXTS(", ", lang).join(TEXTS(_NAMES[stray], lang) for stray in _ORDER if stray in strays)
