"""Bodies of requests that are large: they stay in the pieces that they were made of, which go out one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property


@dataclass(frozen=True)
class Body:
    """``before`` and ``behind``: what stands on either side of the place for a key. ``key`` writes it, by name and
    value."""

    content_type: str
    before: tuple[bytes, ...]
    behind: tuple[bytes, ...]
    key: Callable[[str, str], bytes]

    @property
    def pieces(self) -> tuple[bytes, ...]:
        return self.before + self.behind

    @cached_property
    def size(self) -> int:
        """Octets."""
        return sum(map(len, self.pieces))

    def with_key(self, name: str, value: str) -> Body:
        return replace(self, before=(*self.before, self.key(name, value)))
