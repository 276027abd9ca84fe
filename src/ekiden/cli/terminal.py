"""The console of the command line: nothing that others wrote is obeyed by the terminal that shows it.

Subjects, replies of servers, names of files, texts of the DNS and much else is written by strangers. Escape
sequences and characters that turn the direction of text are made visible here, at the depth through which every
line and every cell goes (``core.visible``), so that no command can forget it; markup of rich is never read out of
a text. Lines are ours: a line end in somebody's text is shown, and what needs two lines is a
``rich.console.Group``.

In a pipe a line of ours is a line. On a terminal what is too long is folded between words (``cli.fold``) and
indented; tables have a shape of their own (``cli.text_table``).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from ekiden.cli.fold import fold, hanging
from ekiden.core.visible import split_visible, visible, visible_text

UNFOLDED = 1 << 20
"""The width of what is not a terminal: nothing is folded there."""


class Terminal(Console):
    """``rich.console.Console`` for texts of others: each text that is printed is one line, folded if need be."""

    def __init__(self, *, stderr: bool = False, width: int | None = None, file: IO[str] | None = None) -> None:
        stream = file or (sys.stderr if stderr else sys.stdout)
        if width is None and not stream.isatty():
            width = UNFOLDED
        super().__init__(stderr=stderr, width=width, file=file, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Plain texts, before they are measured, so that columns stay in line."""
        options.update(markup=False, emoji=False)
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Texts with styles, and whatever else comes to be shown."""
        chosen = options or self.options
        if isinstance(renderable, Text):
            renderable = visible_styled(renderable)
            if not chosen.no_wrap and chosen.justify in (None, "default"):
                for line in folded(renderable, chosen.max_width):
                    yield from line.render(self, end=renderable.end)
                return
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment  # rich's own: cursor movements of a progress bar
                continue
            shown = visible_text(segment.text)
            yield segment if shown is segment.text else Segment(shown, segment.style)


def folded(text: Text, width: int, hang: int | None = None) -> list[Text]:
    """The lines of a text for so many columns. ``hang``: how far the others are indented; else by its look."""
    if text.cell_len <= width:
        return [text]
    hang = min(hanging(text.plain) if hang is None else hang, width // 2)
    lines = [text[start:end] for start, end in fold(text.plain, width, hang)]
    return [lines[0], *(Text(" " * hang).append_text(line) for line in lines[1:])]


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


def say(text: str, *, stderr: bool = False) -> None:
    """Lines without a console: what ``print`` is elsewhere."""
    print(visible_text(text), file=sys.stderr if stderr else sys.stdout, flush=True)


def say_folded(text: str, *, stderr: bool = False) -> None:
    """A line that is folded on a terminal, as a ``Terminal`` folds it."""
    Terminal(stderr=stderr).print(text)
