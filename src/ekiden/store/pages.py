"""Long lists, a page at a time."""

from __future__ import annotations

import re
from typing import Generic, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, func, or_

Item = TypeVar("Item")


class Page(NamedTuple, Generic[Item]):
    """A part of a list; ``total`` counts everything that matches."""

    items: list[Item]
    total: int


def contains(search: str, *columns: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether one of the columns contains the text, in upper or lower case as the database knows them.

    SQLite knows those of ASCII only, so both sides must be its own work.
    """
    pattern = "%" + re.sub(r"([%_\\])", r"\\\1", search) + "%"
    return or_(*(func.lower(column).like(func.lower(pattern), escape="\\") for column in columns))
