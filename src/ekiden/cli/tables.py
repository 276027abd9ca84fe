"""Tables on a terminal and in a pipe."""

from __future__ import annotations

from collections.abc import Callable

from ekiden.cli.terminal import Terminal
from ekiden.cli.text_table import TextTable


def output() -> Terminal:
    """Standard output: as wide as the terminal, or unfolded and without colours in a pipe."""
    return Terminal()


def make_table(*columns: str, right: tuple[str, ...] = (), translate: Callable[[str], str] = str) -> TextTable:
    """A table with these headings, once they are translated; those named in ``right`` hold numbers."""
    table = TextTable()
    for column in columns:
        table.add_column(translate(column), right=column in right)
    return table
