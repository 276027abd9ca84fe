"""The console of the command line: nothing that others wrote is obeyed by the terminal that shows it.

Subjects, replies of servers, names of files, texts of the DNS and much else is written by strangers. Escape
sequences and characters that turn the direction of text are made visible here, at the depth through which every
line and every cell goes (``core.visible``), so that no command can forget it; markup of rich is never read out of
a text. Lines are ours: a line end in somebody's text is shown, and what needs two lines is a
``rich.console.Group``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ekiden.core.visible import split_visible, visible, visible_text


class Terminal(Console):
    """``rich.console.Console`` for texts of others: each text that is printed, and each cell, is one line."""

    def __init__(self, *, stderr: bool = False, width: int | None = None, file: IO[str] | None = None) -> None:
        super().__init__(stderr=stderr, width=width, file=file, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Plain texts, before they are measured, so that columns stay in line."""
        options.update(markup=False, emoji=False)
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Texts with styles, and whatever else comes to be shown."""
        if isinstance(renderable, Text):
            renderable = visible_styled(renderable)
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment  # rich's own: cursor movements of a progress bar
                continue
            shown = visible_text(segment.text)
            yield segment if shown is segment.text else Segment(shown, segment.style)


class TextTable(Table):
    """A table whose texts are made visible before it measures its columns."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        super().add_row(*(_cell(cell) for cell in cells), **options)


def visible_styled(text: Text) -> Text:
    """``core.visible.visible`` for a text with styles."""
    changes = split_visible(text.plain)
    if not changes:
        return text
    shown = text.blank_copy()
    at = 0
    for start, end, instead in changes:
        shown.append_text(text[at:start])
        shown.append(instead)
        at = end
    return shown.append_text(text[at:])


def _cell(cell: RenderableType | None) -> RenderableType | None:
    if isinstance(cell, str):
        return visible(cell)
    return visible_styled(cell) if isinstance(cell, Text) else cell


def say(text: str, *, stderr: bool = False) -> None:
    """Lines without a console: what ``print`` is elsewhere."""
    print(visible_text(text), file=sys.stderr if stderr else sys.stdout, flush=True)
