"""Lengths of time as people write them in a configuration: ``90s``, ``5m``, ``1h``, ``5d``, ``1h30m``."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

Duration = Annotated[float, msgspec.Meta(extra={"unit": "duration"})]
"""Seconds; in a configuration a number of seconds or a text such as ``5m``."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+\Z")


def parse_duration(text: str | float) -> float:
    """Seconds. ``ValueError`` when the text is not a duration, or the number is negative or infinite."""
    seconds = float("nan")
    if isinstance(text, int | float):
        if not isinstance(text, bool):
            seconds = float(text)
    else:
        cleaned = text.replace(" ", "")
        if cleaned.isascii() and cleaned.isdigit():
            seconds = float(cleaned)
        elif cleaned.isascii() and _WHOLE.match(cleaned):
            seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(cleaned))
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{text!r} is not a duration")
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest exact text: ``format_duration(5400) == "90m"``."""
    if seconds == 0:
        return "0s"
    for unit in ("w", "d", "h", "m", "s"):
        size = _UNITS[unit]
        if unit != "w" and seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)}{unit}"
    return f"{round(seconds * 1000)}ms"
