"""What ``ekiden cmc`` says, in Japanese."""

from __future__ import annotations

from ekiden.cli.common import CliUsageError, lang
from ekiden.core.texts import Texts

TEXTS = Texts("cli/cmc_translations")


def tr(text: str, **values: object) -> str:
    """A text of this catalogue in the language of the person at the terminal."""
    return TEXTS(text, lang(), **values)


class CmcUsageError(CliUsageError):
    catalogue = TEXTS
