"""The time that a reply names: "try again in 300 seconds". Nobody standardised that, so its common wordings are
looked for in the text.
"""

from __future__ import annotations

import re

from ekiden.core.clock import DAY, HOUR, MINUTE, SECOND, Millis

MAX_HINT: Millis = 24 * HOUR
"""A peer that names a longer time is not believed further than this."""
_UNITS: tuple[tuple[str, Millis], ...] = (
    (r"milliseconds?|msecs?|ms", 1),
    (r"seconds?|secs?|sec|s", SECOND),
    (r"minutes?|mins?|min|m", MINUTE),
    (r"hours?|hrs?|hr|h", HOUR),
    (r"days?|d", DAY),
)
_UNIT = rf"(?:{'|'.join(names for names, _ in _UNITS)})(?![a-z])"
_NUMBER = r"(?<![\d.])\d{1,7}(?:\.\d{1,3})?"
_PART = re.compile(rf"({_NUMBER})[ -]?\s*({_UNIT})", re.IGNORECASE)
_WORDS = re.compile(r"\b(?:(?P<half>half an?)|an?|one)[ -](?P<unit>minute|min|hour|hr|day)\b", re.IGNORECASE)
# 5 minutes, 1 hour 30 minutes, 1h30m, 1 hour, 30 minutes and 5 seconds
_WAIT = rf"(?P<wait>{_NUMBER}[ -]?\s*{_UNIT}(?:(?:\s*,?\s*(?:and|&|\+)?\s*){_NUMBER}\s*{_UNIT})*)"
_LONE = r"(?P<number>\d{1,7})"  # seconds
_CLOCK = re.compile(r"\b(?:in|after|for|wait)\s+(?P<h>\d{1,2}):(?P<m>[0-5]\d):(?P<s>[0-5]\d)\b", re.IGNORECASE)
_LEADS = (
    r"again|retry|retried|retrying|resend|resent|back|reconnect|later|wait|deferred|delay(?:ed)?|greylist\w*|"
    r"graylist\w*|blocked|available|expires?|resum\w+"
)
_HINTS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # try again in 300 seconds, retry after 5 minutes, wait 60s, please retry in about 5 min
        rf"\b(?:{_LEADS})\b[^\d\n]{{0,40}}?{_WAIT}",
        # greylisted (300), greylisted: 300 ; retry=300, retry-after: 300, delay=300
        rf"\b(?:gr[ea]ylist(?:ed|ing)?|retry(?:[ _-]?after)?|delay|wait)\s*[=:(]\s*(?:{_WAIT}|{_LONE}(?![\d.]))",
        # retry after 300; try again in 300 (no unit: seconds)
        rf"\b(?:retry after|again (?:in|after)|retry in)\s+{_LONE}(?=\s*(?:[.;,)]|$))",
        # 5 minutes remaining, 300 seconds left
        rf"{_WAIT}\s+(?:remaining|left|from now)\b",
        # for the next 5 minutes, at least 1 hour
        rf"\b(?:at least|in the next|for the next)\s+{_WAIT}",
    )
)
_IN_WORDS = re.compile(rf"\b(?:{_LEADS})\b[^\d\n]{{0,40}}?(?P<wait>{_WORDS.pattern})", re.IGNORECASE)
_MAX_READ = 1_000
"""Characters of a text that are looked through."""


def hint_of(text: str) -> Millis | None:
    """The wait that a peer's reply names, or ``None``. ``hint_of("try again in 1 hour 5 min") == 3_900_000``."""
    text = text[:_MAX_READ]
    if not any(char.isdigit() for char in text):
        return _in_words(text)
    clock = _CLOCK.search(text)
    if clock is not None:
        seconds = int(clock["h"]) * 3600 + int(clock["m"]) * 60 + int(clock["s"])
        return min(seconds * SECOND, MAX_HINT) if seconds else None
    for pattern in _HINTS:
        match = pattern.search(text)
        if match is not None:
            found = match.groupdict()
            wait = int(found["number"]) * SECOND if found.get("number") else _sum(found.get("wait") or "")
            return min(wait, MAX_HINT) if wait > 0 else None
    return _in_words(text)


def _sum(wait: str) -> Millis:
    """All parts of it together."""
    return round(sum(float(number) * _unit_millis(unit) for number, unit in _PART.findall(wait)))


def _in_words(text: str) -> Millis | None:
    """Try again in an hour."""
    match = _IN_WORDS.search(text)
    if match is None:
        return None
    wait = _unit_millis(match["unit"])
    return wait // 2 if match["half"] else wait


def _unit_millis(unit: str) -> Millis:
    return next(millis for names, millis in _UNITS if re.fullmatch(names, unit, re.IGNORECASE))
