"""A JSON object of many megabytes, read member by member, and its long arrays element by element.

A decoder makes everything of a text in one call, which keeps the interpreter for as long and needs many times the
memory of the text. This reads as far as is asked for, from a window on the octets.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, Final

_WINDOW: Final = 65_536
"""Octets that are decoded at a time; an element that is larger doubles it."""
_LARGEST: Final = 4_194_304
"""Characters of one value."""
_MOST_MARKS: Final = 400_000
"""Brackets and commas of a value that is larger than a window: each may become an object."""
_PART_OF_A_NUMBER: Final = 2
_BLANKS: Final = " \t\n\r"
_NO_BLANK: Final = re.compile(f"[^{_BLANKS}]")


class BadJson(ValueError):
    """The text is not JSON, or not an object."""


def _no_number(text: str) -> Any:
    raise BadJson(f"{text} is not a number of JSON")


_scan = json.JSONDecoder(parse_constant=_no_number).scan_once  # type: ignore[attr-defined]


class JsonObject:
    """The object that ``text`` is. Raises ``BadJson`` wherever it turns out to be none."""

    def __init__(self, text: bytes | bytearray, start: int = 0) -> None:
        """``start``: an offset that ``at`` has told, where a value begins."""
        self._octets = text
        self._next = start
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._window = ""
        self._place = 0

    @property
    def at(self) -> int:
        """Octets that have been read."""
        return self._next - self._pending() - len(self._window[self._place :].encode("utf-8", "surrogatepass"))

    def _pending(self) -> int:
        state: tuple[bytes, int] = self._decode.__self__.getstate()  # type: ignore[attr-defined]
        return len(state[0])

    def members(self) -> Iterator[str]:
        """The names, in their order. Behind each, ``value`` or ``elements`` is to be read to its end."""
        self._expect("{")
        if self._peek() == "}":
            self._place += 1
        else:
            while True:
                name = self.value() if self._peek() == '"' else None
                if not isinstance(name, str):
                    raise BadJson("the name of a member is missing")
                self._expect(":")
                yield name
                if self._one_of(",}") == "}":
                    break
        if self._peek():
            raise BadJson("something follows the object")

    def is_array(self) -> bool:
        """Whether the value that comes is one."""
        return self._peek() == "["

    def elements(self) -> Iterator[Any]:
        """Of the array that comes."""
        self._expect("[")
        if self._peek() == "]":
            self._place += 1
            return
        while True:
            yield self.value()
            if self._one_of(",]") == "]":
                return

    def value(self) -> Any:
        """What comes, decoded."""
        self._peek()
        size = _WINDOW
        while True:
            try:
                found, end = _scan(self._window, self._place)
            except (StopIteration, json.JSONDecodeError) as error:
                if not self._more(size):
                    raise BadJson(str(error) or "a value is missing") from None
                self._check_size()
            except RecursionError:
                raise BadJson("it is nested too deeply") from None
            except BadJson:
                raise
            except ValueError:  # more digits than Python makes a number of
                raise BadJson("a number is too long") from None
            else:
                # A number near the end of the window may go on behind it: ``1e+`` is read as 1.
                if len(self._window) - end > _PART_OF_A_NUMBER or not self._more(size):
                    self._place = end
                    return found
            size *= 2

    def _check_size(self) -> None:
        """One value must neither keep the interpreter for long nor become much."""
        window = self._window
        if len(window) > _WINDOW and (
            len(window) > _LARGEST + 2 * _WINDOW or sum(map(window.count, "[{,")) > _MOST_MARKS
        ):
            raise BadJson("a value is too large")

    def _peek(self) -> str:
        """The next character that is not blank; empty: there is none."""
        while True:
            window = self._window
            if self._place < len(window) and (char := window[self._place]) not in _BLANKS:
                return char  # as nearly always
            found = _NO_BLANK.search(window, self._place)
            if found is not None:
                self._place = found.start()
                return found[0]
            self._place = len(window)
            if not self._more(_WINDOW):
                return ""

    def _one_of(self, chars: str) -> str:
        found = self._peek()
        if not found or found not in chars:
            raise BadJson(f"one of {' '.join(chars)} is missing")
        self._place += 1
        return found

    def _expect(self, char: str) -> None:
        self._one_of(char)

    def _more(self, size: int) -> bool:
        """Decode further; false: that was all."""
        if self._next >= len(self._octets):
            return False
        piece = bytes(self._octets[self._next : self._next + size])
        self._next += len(piece)
        try:
            text = self._decode(piece, self._next >= len(self._octets))
        except UnicodeDecodeError as error:
            raise BadJson(str(error)) from None
        self._window = self._window[self._place :] + text
        self._place = 0
        return True
