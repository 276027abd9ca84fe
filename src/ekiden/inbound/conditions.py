"""Conditions of routes: a header field, and a pattern of RE2 that is found in its value.

RE2 takes linear time whatever the pattern and the value are; what that cannot do is refused with a sentence. The
rest of the bound is ours: a pattern is tried on so much of a value that the slowest of its machines ends in time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import msgspec
import re2

from ekiden.inbound.errors import BadCondition

TO: Final = "to"
"""The field that stands for the envelope's recipient, and not for what the header says."""
MAX_CONDITIONS: Final = 20
"""Of a route."""
MAX_PATTERN: Final = 1_000
"""Characters."""
MAX_VALUE: Final = 16_384
"""Octets of the fields of a name that are looked at."""
_MOST_WORK: Final = 2_000_000
"""Instructions of a pattern times octets: some 0.1 s, where RE2 has to go through all of them for each octet."""
_MEMORY: Final = 65_536
"""Octets that RE2 may take for a pattern: some 2,700 instructions."""
_REMEMBERED: Final = 1_024
_NAME: Final = re.compile(r"[!-9;-~]{1,76}")


class Condition(msgspec.Struct, frozen=True):
    """``header``: the name of a field, in any case. ``pattern`` regards cases, unless it says that it does not."""

    header: str
    pattern: str

    @property
    def of_recipient(self) -> bool:
        """It tests the envelope's recipient."""
        return self.header.lower() == TO


class Pattern:
    """A pattern that was compiled."""

    __slots__ = ("_most", "_regexp", "size")

    def __init__(self, text: str) -> None:
        """Raises ``BadCondition``."""
        options = re2.Options()
        options.log_errors = False
        options.never_capture = True
        options.max_mem = _MEMORY
        try:
            self._regexp: Any = re2.compile(text, options)
        except re2.error as error:
            raise _told(text, error) from None
        except UnicodeEncodeError:
            raise BadCondition("the pattern has a character that UTF-8 cannot say") from None
        self.size: int = self._regexp.programsize
        """Its instructions: what an octet costs at most."""
        self._most = min(MAX_VALUE, _MOST_WORK // max(1, self.size))

    def found_in(self, values: Iterable[bytes]) -> bool:
        """Whether it is found in one of them, which are UTF-8; only so much of all of them is looked at."""
        left = self._most
        for value in values:
            if self._regexp.search(value[:left]) is not None:
                return True
            left -= len(value)
            if left <= 0:
                break
        return False


@lru_cache(_REMEMBERED)
def compiled(text: str) -> Pattern:
    """The pattern; raises ``BadCondition``. For threads, too."""
    return Pattern(text)


def check_conditions(conditions: Iterable[Condition]) -> None:
    """Raises ``BadCondition`` for the first that cannot be tested."""
    for condition in conditions:
        if not _NAME.fullmatch(condition.header):
            raise BadCondition("{name} is not the name of a header field", name=condition.header[:80])
        if not condition.pattern:
            raise BadCondition("the condition for {name} has no pattern", name=condition.header)
        if len(condition.pattern) > MAX_PATTERN:
            raise BadCondition("a pattern has at most {most} characters", most=MAX_PATTERN)
        Pattern(condition.pattern)


def _told(pattern: str, error: Any) -> BadCondition:
    """What is wrong with it, from what RE2 says: ``b"missing ): (a"``."""
    said = error.args[0].decode("utf-8", "replace") if error.args else ""
    what, _, part = said.partition(": ")
    if what == "invalid perl operator":
        # RE2 stops where it does not know how to go on.
        if part in ("(?=", "(?!", "(?<", "(?<=", "(?<!"):
            return BadCondition("{part}: patterns here (RE2) cannot look ahead or behind", part=part)
        if part == "(?>":
            return BadCondition(_NO_ATOMIC, part=part)
        if part == "(?P" and "(?P=" in pattern:
            return BadCondition(_NO_REFERENCES, part="(?P=")
        return BadCondition("{part}: patterns here (RE2) have no such group", part=part)
    if what == "invalid escape sequence":
        if part[1:2] in "123456789kg":
            return BadCondition(_NO_REFERENCES, part=part)
        return BadCondition("{part}: patterns here (RE2) have no such escape", part=part)
    if what == "bad repetition operator" and part.endswith("+"):
        return BadCondition(_NO_ATOMIC, part=part)
    if what == "invalid repetition size":
        return BadCondition("{part}: a part of a pattern is repeated at most 1,000 times in all", part=part)
    if what.startswith("pattern too large"):
        return BadCondition("the pattern is too large once its repetitions are written out")
    return BadCondition("{pattern} is not a pattern of RE2: {said}", pattern=pattern, said=said)


_NO_REFERENCES: Final = "{part}: patterns here (RE2) cannot refer back to what a group has found"
_NO_ATOMIC: Final = "{part}: patterns here (RE2) have no atomic groups and no possessive repetitions"
