"""What ``bounces.toml`` has: how reports in free form look, and what their words say of the dialogue."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any, Final, NamedTuple

from ekiden.core.diagnosis import Stage
from ekiden.inbound.reports.patterns import Pattern, any_of, compiled


class Shape(NamedTuple):
    """One form of reports. Of ``sender``, ``subject``, ``header`` and ``body`` all that are given have to match."""

    name: str
    sender: Pattern | None
    subject: Pattern | None
    header: tuple[tuple[str, Pattern], ...]
    body: Pattern | None
    recipient: Pattern | None
    """Its groups are addresses: where one is, what is said of it begins."""
    text: Pattern | None
    """Its groups are what is said, within what belongs to a recipient; ``None``: all of that."""
    before: bool
    """What is said of a recipient stands before it."""
    dialogue: bool
    """What is said stands in a transcript, ``<<<`` or ``<--`` before what peers replied."""
    says: str
    """What a report of this form means in plain words, whatever its language."""
    stage: Stage | None
    sure: bool
    """Its marks are enough, whoever sent it."""


def _pattern(item: dict[str, Any], name: str) -> Pattern | None:
    value = item.get(name)
    if value is None:
        return None
    return compiled(value) if isinstance(value, str) else any_of(value)


def _shape(item: dict[str, Any]) -> Shape:
    return Shape(
        item["name"],
        _pattern(item, "from"),
        _pattern(item, "subject"),
        tuple((name, compiled(value)) for name, value in item.get("header", {}).items()),
        _pattern(item, "body"),
        _pattern(item, "recipient"),
        _pattern(item, "text"),
        item.get("before", False),
        item.get("dialogue", False),
        item.get("says", ""),
        Stage[item["stage"]] if "stage" in item else None,
        item.get("sure", False),
    )


_DATA: Final[dict[str, Any]] = tomllib.loads(
    files("ekiden.inbound.reports").joinpath("bounces.toml").read_text("utf-8")
)
SHAPES: Final = tuple(_shape(item) for item in _DATA["shape"])
STAGES: Final = tuple((any_of(item["words"]), Stage[item["stage"]]) for item in _DATA["stage"])
EXPIRED: Final = any_of(_DATA["words"]["expired"])
VAGUE: Final = compiled(rf"(?:{'|'.join(_DATA['words']['vague'])})[\s.!]*")
DELAYED: Final = any_of(_DATA["words"]["delayed"])
ASIDES: Final = any_of(_DATA["words"]["asides"])
FAILED: Final = any_of(_DATA["words"]["failed"])
SUBJECTS: Final = any_of(_DATA["words"]["subjects"])
SENDERS: Final = any_of(_DATA["words"]["senders"])
NOT_RECIPIENTS: Final = any_of(_DATA["words"]["not_recipients"])
SILENT_FILTERS: Final[tuple[str, ...]] = tuple(_DATA["words"]["silent_filters"])
AFTER_CONTENT: Final = any_of(_DATA["words"]["after_content"])
