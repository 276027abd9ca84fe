"""What is wrong with a request before anybody has looked into it. Dialects say it in their own words."""

from __future__ import annotations

from typing import Final

from ekiden.core.errors import EkidenError


class RequestRefused(EkidenError):
    """Base."""


REASONS: Final = ("TooLarge", "TooMany", "TooDeep", "Incomplete", "NoRoom")
"""The names of all of them, for the metrics."""


class TooLarge(RequestRefused):
    """The body, or the query, has more than ``most`` octets."""

    def __init__(self, most: int) -> None:
        self.most = most
        super().__init__(f"more than {most} octets")


class TooMany(RequestRefused):
    """It has more than ``most`` values: members, elements, fields, parameters."""

    def __init__(self, most: int) -> None:
        self.most = most
        super().__init__(f"more than {most} values")


class TooDeep(RequestRefused):
    """It is nested deeper than ``most``."""

    def __init__(self, most: int) -> None:
        self.most = most
        super().__init__(f"nested deeper than {most}")


class Incomplete(RequestRefused):
    """The client went away."""


class NoRoom(RequestRefused):
    """Not now: the worker, or the account's share of it, has no memory or no turn left."""
