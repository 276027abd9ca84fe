"""Tables whose ids, times and addresses stay whole, however narrow the terminal is.

In a pipe a row is a line. On a terminal the first of these shapes is taken that has room:

1. all columns side by side;
2. the same, with the last column folded;
3. the first columns side by side, and below them, indented, what the others have;
4. a block of lines for each row, with the headings as labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from ekiden.cli.fold import longest_word
from ekiden.cli.terminal import folded, visible_styled
from ekiden.core.visible import visible

_GAP: Final = "  "
_INDENT: Final = 4
_NARROWEST: Final = 30
"""Columns that a folded last column has at least."""


@dataclass(frozen=True, slots=True)
class _Column:
    heading: str
    right: bool


class TextTable:
    """A table of texts; a ``Group`` of texts is a cell of several lines."""

    def __init__(self) -> None:
        self._columns: list[_Column] = []
        self._rows: list[list[list[Text]]] = []

    @property
    def empty(self) -> bool:
        """Whether it has no rows."""
        return not self._rows

    def add_column(self, heading: str, *, right: bool = False) -> None:
        """``right``: it holds numbers."""
        self._columns.append(_Column(visible(heading), right))

    def add_row(self, *cells: RenderableType) -> None:
        """A cell for each column."""
        self._rows.append([_lines(cell) for cell in cells])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._shaped(options.max_width)

    def _shaped(self, width: int) -> Iterable[Text]:
        widths = self._widths()
        last = len(widths) - 1
        spent = [sum(widths[:count]) + len(_GAP) * count for count in range(len(widths) + 1)]
        if spent[-1] - len(_GAP) <= width:
            return self._side_by_side(widths)
        room = width - spent[last]
        if room >= _NARROWEST and room >= self._longest_word_of_last():
            return self._side_by_side([*widths[:last], room])
        abreast = max((count for count in range(last + 1) if spent[count] - len(_GAP) <= width), default=0)
        if abreast >= min(3, last):
            return self._hanging(widths[:abreast], width)
        return self._blocks(width)

    def _widths(self) -> list[int]:
        return [
            max([cell_len(column.heading), *(line.cell_len for row in self._rows for line in row[index])])
            for index, column in enumerate(self._columns)
        ]

    def _longest_word_of_last(self) -> int:
        return max((longest_word(line.plain) for row in self._rows for line in row[-1]), default=0)

    def _side_by_side(self, widths: Sequence[int]) -> Iterable[Text]:
        headings = [[Text(column.heading, "bold")] for column in self._columns[: len(widths)]]
        for row in (headings, *self._rows):
            yield from self._row(row[: len(widths)], widths)

    def _row(self, row: Sequence[Sequence[Text]], widths: Sequence[int]) -> Iterable[Text]:
        cells = [
            [part for line in cell for part in folded(line, width, 0)]
            for cell, width in zip(row, widths, strict=True)
        ]
        for number in range(max(map(len, cells))):
            made = Text()
            for column, cell, width in zip(self._columns, cells, widths, strict=False):
                text = cell[number] if number < len(cell) else Text()
                blanks = " " * (width - text.cell_len)
                made.append(blanks).append_text(text) if column.right else made.append_text(text).append(blanks)
                made.append(_GAP)
            made.rstrip()
            yield made

    def _hanging(self, widths: Sequence[int], width: int) -> Iterable[Text]:
        abreast = len(widths)
        rest = self._columns[abreast:]
        yield from self._row([[Text(column.heading, "bold")] for column in self._columns[:abreast]], widths)
        if len(rest) == 1:
            yield Text(" " * _INDENT + rest[0].heading, "bold")
        for row in self._rows:
            yield from self._row(row[:abreast], widths)
            if len(rest) == 1:
                for line in row[-1]:
                    if line:
                        yield from folded(Text(" " * _INDENT).append_text(line), width, _INDENT)
                continue
            yield from self._labelled(row[abreast:], rest, width)

    def _labelled(self, cells: Sequence[Sequence[Text]], columns: Sequence[_Column], width: int) -> Iterable[Text]:
        """What there is, one after the other, as many in a line as there is room for."""
        line = Text(" " * _INDENT)
        for column, cell in zip(columns, cells, strict=True):
            value = Text(" ").join(list(cell))
            if not value:
                continue
            item = Text.assemble((f"{column.heading}: ", "dim"), value)
            if line.plain.strip() and line.cell_len + len(_GAP) + item.cell_len > width:
                yield from folded(line, width, 2 * _INDENT)
                line = Text(" " * _INDENT)
            elif line.plain.strip():
                line.append(_GAP)
            line.append_text(item)
        if line.plain.strip():
            yield from folded(line, width, 2 * _INDENT)

    def _blocks(self, width: int) -> Iterable[Text]:
        label = max(cell_len(column.heading) for column in self._columns)
        for row in self._rows:
            for index, (column, cell) in enumerate(zip(self._columns, row, strict=True)):
                start = "" if index == 0 else _GAP
                heading = column.heading + " " * (label - cell_len(column.heading) + len(_GAP))
                for number, line in enumerate(cell):
                    before = heading if number == 0 else " " * (label + len(_GAP))
                    if line:
                        made = Text.assemble(start, (before, "dim"), line)
                        yield from folded(made, width, cell_len(start + before))


def _lines(cell: RenderableType) -> list[Text]:
    if isinstance(cell, Group):
        return [line for item in cell.renderables for line in _lines(item)]
    return [visible_styled(cell) if isinstance(cell, Text) else Text(visible(str(cell)))]
