"""Long lists, a page at a time."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, func, or_

Item = TypeVar("Item")


class Page(NamedTuple, Generic[Item]):
    """A part of a list; ``total`` counts everything that matches."""

    items: list[Item]
    total: int


def contains(search: str, *columns: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether one of the columns contains the text, in upper or lower case."""
    return or_(*(func.lower(column).contains(search.lower(), autoescape=True) for column in columns))
