"""What all documents are: frozen structs, made from what a service knows, whose members say what they mean."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Self

import msgspec

from ekiden.core.display import iso

Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
"""RFC 3339 in UTC with milliseconds."""


def says(meaning: str) -> msgspec.Meta:
    """What a member means, in Markdown: ``Annotated[int, says("…")]``. Schemas and ``cli.reference`` read it."""
    return msgspec.Meta(description=meaning)


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Members are in the order in which they are printed."""

    @classmethod
    def like(cls, item: Any, **members: Any) -> Self:
        """``members``, and the attributes of ``item`` that have the names of the others.

        Of those, times (``at``, ``…_at``) become texts, and members of enumerations their names.
        """
        for name in cls.__struct_fields__:
            if name not in members and hasattr(item, name):
                members[name] = _plain(name, getattr(item, name))
        return cls(**members)


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name.lower()
    return iso(value) if name == "at" or name.endswith("_at") else value
