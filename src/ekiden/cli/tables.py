"""What commands print: JSON for programs; lines and tables on a terminal and in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rich.console import RenderableType

from ekiden.cli.common import error_console, print_json, tr
from ekiden.cli.terminal import Terminal
from ekiden.cli.text_table import TextTable

if TYPE_CHECKING:
    from ekiden.documents.document import Document


def output() -> Terminal:
    """Standard output: as wide as the terminal, or unfolded and without colours in a pipe."""
    return Terminal()


def make_table(*columns: str, right: tuple[str, ...] = (), translate: Callable[[str], str] = str) -> TextTable:
    """A table with these headings, once they are translated; those named in ``right`` hold numbers."""
    table = TextTable()
    for column in columns:
        table.add_column(translate(column), right=column in right)
    return table


def show(as_json: bool, document: Document, told: RenderableType | Callable[[], object]) -> None:
    """The document for programs; for people the line or table that is ``told``, or what prints it."""
    if as_json:
        print_json(document)
    elif callable(told):
        told()
    else:
        output().print(told)


def show_list(
    as_json: bool,
    documents: Iterable[Document],
    table: TextTable,
    rows: Iterable[Iterable[RenderableType]],
    none: str | None = None,
) -> None:
    """The documents for programs; for people the table with its rows, or that there are ``none``."""
    if as_json:
        print_json(list(documents))
        return
    for row in rows:
        table.add_row(*row)
    if table.empty:
        error_console().print(tr("nothing found") if none is None else none)
    else:
        output().print(table)
