"""Help and wrong usage in Japanese: what typer and click say, and what the commands say of themselves.

Imported only when a reader of Japanese asks for help or errs. The English stands where it is said; ``help.ja.json``
has the Japanese of each paragraph.
"""

from __future__ import annotations

import inspect
import re
from itertools import pairwise
from typing import Any, Final

import rich.text
from rich.cells import cell_len
from typer import rich_utils

from ekiden.cli.common import HELP
from ekiden.cli.fold import fold as fold_line

_TITLES: Final = (
    *("ARGUMENTS_PANEL_TITLE", "OPTIONS_PANEL_TITLE", "COMMANDS_PANEL_TITLE", "ERRORS_PANEL_TITLE"),
    *("DEFAULT_STRING", "ENVVAR_STRING", "REQUIRED_LONG_STRING", "ABORTED_TEXT", "RICH_HELP"),
)
_METAVARS: Final = ("options_metavar", "subcommand_metavar")


def in_japanese(text: str | None) -> str | None:
    """A help text, paragraph by paragraph."""
    if not text:
        return text
    paragraphs = (" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n"))
    return "\n\n".join(HELP(part, "ja") for part in paragraphs)


def translate(command: Any, ctx: Any) -> None:
    """Everything that the help of this command shows."""
    _prepare(ctx)
    command.help = in_japanese(command.help)
    for name in _METAVARS:
        if hasattr(command, name):
            setattr(command, name, in_japanese(getattr(command, name)))
    for param in command.get_params(ctx):
        if hasattr(param, "help"):
            param.help = in_japanese(param.help)
    for child in getattr(command, "commands", {}).values():
        child.help, child.short_help = in_japanese(child.help), in_japanese(child.short_help)


def explain(error: Any) -> None:
    """Wrong usage (``typer``'s ``ClickException``): what is shown of it."""
    if error.__class__.__name__ == "NoArgsIsHelpError":
        return  # its message is the help
    if error.ctx is not None:
        _prepare(error.ctx)
        for name in _METAVARS:
            if hasattr(error.ctx.command, name):
                setattr(error.ctx.command, name, in_japanese(getattr(error.ctx.command, name)))
    text = said_in_japanese(error.format_message())
    error.format_message = lambda: text


def said_in_japanese(message: str) -> str:
    """What typer says of wrong usage; what it says in a newer version stays English."""
    for english, pattern in _patterns():
        found = pattern.fullmatch(message)
        if found is not None:
            values = found.groupdict()
            if "why" in values:
                values["why"] = said_in_japanese(values["why"])
            return HELP(english, "ja").format(**values)
    return message


def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """The templates whose values have names, the longest first, as patterns."""
    templates = [text for text in HELP.japanese if re.search(r"\{(?:name|names|why|limit|value)\}", text)]
    templates += [text for text in HELP.japanese if text.startswith(("Input should", "Missing command"))]
    made = []
    for text in sorted(templates, key=len, reverse=True):
        escaped = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(text))
        made.append((text, re.compile(escaped, re.DOTALL)))
    return made


def _prepare(ctx: Any) -> None:
    """Titles and marks, the word before the usage, and lines that are folded as Japanese is."""
    for name in _TITLES:
        setattr(rich_utils, name, HELP(getattr(rich_utils, name), "ja"))
    ctx.formatter_class = _with_usage(ctx.formatter_class)
    # Rich breaks lines at blanks, of which Japanese has none, and else anywhere.
    rich.text.divide_line = _divide  # type: ignore[attr-defined]


def _divide(text: str, width: int, fold: bool = True) -> list[int]:
    """Where lines begin, as ``rich``'s own says. It leaves the blank at the end of a line: that needs room, too."""
    for room in (width, width - 1):
        starts = [span.start for span in fold_line(text, room)[1:]]
        if all(cell_len(text[a:b]) <= width for a, b in pairwise([0, *starts, len(text)])):
            break
    return starts


def _with_usage(base: Any) -> Any:
    class Formatter(base):  # type: ignore[misc]
        """Its usage begins in Japanese."""

        def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
            super().write_usage(prog, args, prefix or HELP("Usage: ", "ja"))

    return Formatter
