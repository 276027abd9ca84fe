"""Lists that are read a numbered page at a time: domains, suppressions, templates (contract §4.3, §4.4, §4.6)."""

from __future__ import annotations

from typing import Final, NamedTuple

from ekiden.dialects.infobip.http import Query

_LAST_PAGE: Final = 1_000_000


class PageWanted(NamedTuple):
    """``page`` counts from 0."""

    page: int
    size: int

    @property
    def offset(self) -> int:
        return self.page * self.size

    def short(self) -> dict[str, int]:
        """``paging`` of answers that do not say how many there are."""
        return {"page": self.page, "size": self.size}

    def full(self, total: int) -> dict[str, int]:
        """``paging`` with the totals."""
        return {**self.short(), "totalPages": -(-total // self.size), "totalResults": total}


def read_page(query: Query, default: int, most: int) -> PageWanted:
    """``page`` and ``size``; ``default`` and ``most`` are sizes."""
    return PageWanted(query.number("page", 0, 0, _LAST_PAGE), query.number("size", default, 1, most))
