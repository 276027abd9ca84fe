"""What ``ekiden zone`` and ``ekiden rule`` say, in Japanese."""

from __future__ import annotations

from ekiden.cli.common import CliError, CliUsageError, lang
from ekiden.core.texts import Texts

TEXTS = Texts("cli/network_translations")


def tr(text: str, **values: object) -> str:
    """A text of this catalogue in the language of the person at the terminal."""
    return TEXTS(text, lang(), **values)


class NetworkCliError(CliError):
    catalogue = TEXTS


class NetworkUsageError(CliUsageError):
    catalogue = TEXTS
