"""Lists in numbered pages, in the shape of Spring Data (contract §4.4)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from ekiden.dialects.naver.errors import BadRequest
from ekiden.dialects.naver.http import Query

DEFAULT_SIZE: Final = 10
MAX_SIZE: Final = 1_000
"""Elements of a page; who asks for more gets so many, as ``size`` then says."""
_LAST_PAGE: Final = 2**31 - 1
_MOST_ORDERS: Final = 10
_DIRECTIONS: Final = {"asc": False, "desc": True}


class Order(NamedTuple):
    """``property`` is the wire's name."""

    property: str
    descending: bool = False

    def shape(self) -> dict[str, Any]:
        return {
            "direction": "DESC" if self.descending else "ASC",
            "property": self.property,
            "ignoreCase": False,
            "nullHandling": "NATIVE",
            "ascending": not self.descending,
            "descending": self.descending,
        }


class Page(NamedTuple):
    """What is asked for. ``number`` counts from 0; ``sort`` has one order or more."""

    number: int
    size: int
    sort: Sequence[Order]

    @property
    def offset(self) -> int:
        return self.number * self.size

    def shape(self, content: Sequence[Any], total: int, **besides: Any) -> dict[str, Any]:
        """The envelope. ``total``: of all pages; ``besides`` stands behind ``content``."""
        pages = -(-total // self.size)
        return {
            "content": content,
            **besides,
            "last": self.number + 1 >= pages,
            "totalElements": total,
            "totalPages": pages,
            "first": self.number == 0,
            "numberOfElements": len(content),
            "size": self.size,
            "number": self.number,
            "sort": [order.shape() for order in self.sort],
        }


def read_page(query: Query, sortable: Collection[str], default: Order) -> Page:
    """``page``, ``size`` and ``sort``. Raises the 400 of what they cannot be."""
    size = min(query.number("size", DEFAULT_SIZE, 1, _LAST_PAGE), MAX_SIZE)
    return Page(query.number("page", 0, 0, _LAST_PAGE), size, read_sort(query, sortable, default))


def read_sort(query: Query, sortable: Collection[str], default: Order) -> Sequence[Order]:
    """``sort=property(,asc|desc)``, as often as it is given; what is named twice counts where it stands first."""
    found: dict[str, Order] = {}
    for given in query.texts("sort", _MOST_ORDERS):
        *names, last = given.split(",")
        descending = _DIRECTIONS.get(last.strip().lower())
        if descending is None:
            names.append(last)
        for name in (name.strip() for name in names):
            if name not in sortable:
                raise BadRequest(
                    "{name} cannot be sorted by; choose one of {known}",
                    name=name[:100],
                    known=", ".join(sorted(sortable)),
                )
            found.setdefault(name, Order(name, bool(descending)))
    return tuple(found.values()) or (default,)
