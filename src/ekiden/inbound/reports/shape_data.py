"""What ``bounces.toml`` has: how reports in free form look, and what their words say of the dialogue."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any, Final, NamedTuple

from ekiden.core.diagnosis import Stage
from ekiden.inbound.reports.patterns import Pattern, PatternSet, any_of, compiled


class Shape(NamedTuple):
    """One form of reports. Of ``sender``, ``subject`` and ``header`` all that are given have to match, and its body
    (``BODIES``)."""

    name: str
    sender: Pattern | None
    subject: Pattern | None
    header: tuple[tuple[str, Pattern], ...]
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
    pipelined: bool
    """It sends commands together: behind DATA stands what was replied to RCPT, or to DATA."""


def _pattern(item: dict[str, Any], name: str) -> Pattern | None:
    return any_of(_several(item[name])) if name in item else None


def _several(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _shape(item: dict[str, Any]) -> Shape:
    return Shape(
        item["name"],
        _pattern(item, "from"),
        _pattern(item, "subject"),
        tuple((name, compiled(value)) for name, value in item.get("header", {}).items()),
        _pattern(item, "recipient"),
        _pattern(item, "text"),
        item.get("before", False),
        item.get("dialogue", False),
        item.get("says", ""),
        Stage[item["stage"]] if "stage" in item else None,
        item.get("sure", False),
        item.get("pipelined", False),
    )


_DATA: Final[dict[str, Any]] = tomllib.loads(
    files("ekiden.inbound.reports").joinpath("bounces.toml").read_text("utf-8")
)
SHAPES: Final = tuple(_shape(item) for item in _DATA["shape"])
BODIES: Final = PatternSet(_several(item["body"]) for item in _DATA["shape"])
"""What is in the text of each of ``SHAPES``."""
STAGES: Final = tuple(Stage[item["stage"]] for item in _DATA["stage"])
OF_STAGES: Final = PatternSet(item["words"] for item in _DATA["stage"])
"""What is said of each of ``STAGES``, of which the first counts."""
_WORDS: Final[dict[str, list[str]]] = _DATA["words"]
EXPIRED: Final = PatternSet([_WORDS["expired"]])
VAGUE: Final = compiled(rf"(?:{'|'.join(_WORDS['vague'])})[\s.!]*")
DELAYED: Final = PatternSet([_WORDS["delayed"]])
ASIDES: Final = any_of(_WORDS["asides"], folded=True)
FAILED: Final = PatternSet([_WORDS["failed"]])
SUBJECTS: Final = PatternSet([_WORDS["subjects"]])
YOURS: Final = PatternSet([_WORDS["yours"]])
FORWARDED: Final = PatternSet([_WORDS["forwarded"]])
SENDERS: Final = PatternSet([_WORDS["senders"]])
NOT_RECIPIENTS: Final = PatternSet([_WORDS["not_recipients"]])
SILENT_FILTERS: Final = tuple(_WORDS["silent_filters"])
AFTER_CONTENT: Final = PatternSet([_WORDS["after_content"]])
