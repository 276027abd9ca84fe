"""What ``ekiden suppression`` and ``ekiden landing-page`` say, in Japanese."""

from __future__ import annotations

from ekiden.cli.common import CliError, CliUsageError, lang
from ekiden.core.texts import Texts

TEXTS = Texts("cli/opt_out_translations")


def tr(text: str, **values: object) -> str:
    """A text of this catalogue in the language of the person at the terminal."""
    return TEXTS(text, lang(), **values)


class OptOutCliError(CliError):
    catalogue = TEXTS


class OptOutUsageError(CliUsageError):
    catalogue = TEXTS


def unreadable(file: object, error: OSError | UnicodeDecodeError) -> OptOutCliError:
    """The error of a file that a command was given."""
    why = tr("it is not UTF-8") if isinstance(error, UnicodeDecodeError) else error.strerror
    return OptOutCliError("{file} cannot be read: {why}", file=file, why=why)
