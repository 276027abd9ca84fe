"""Parameters of a request, whatever they were written as: JSON's values, texts of a form, JSON within texts.

``""``, ``null`` and ``[]`` are as nothing (contract §4.2, §4.9). Parameters that nobody knows are not looked at.
All that is wrong is gathered, and told at once by ``done``.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ekiden.core.address import Address, BadAddress, parse_address
from ekiden.core.zones import moment_of
from ekiden.dialects.cmc.errors import INVALID, MISSING, TOO_LONG, UNKNOWN, ApiError, Entry, entry
from ekiden.dialects.cmc.request_body import Given
from ekiden.web.errors import TooDeep, TooMany
from ekiden.web.json_gauge import measure

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from ekiden.core.clock import Millis
    from ekiden.core.texts import TranslatedError

LONGEST: Final = 1_000
"""Characters of a parameter that is no text of a mail."""
MOST_PROBLEMS: Final = 100
MAX_OFFSET: Final = 1_000_000
"""Entries of a list that may be passed over."""
_DAY: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)\Z", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,9}\Z", re.ASCII)
_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_MOST_VALUES: Final = 150_000
_DEEPEST: Final = 16
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9998
Period = tuple["Millis | None", "Millis | None"]
"""From when, and until just before when; ``None``: it is open there."""


def is_absent(value: Any) -> bool:
    """Whether it says nothing."""
    return value is None or (isinstance(value, str | list) and not value)


def written(value: Any) -> str:
    """A single value as a text: numbers and truth values as JSON has them."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


class Params:
    """Those of one request."""

    def __init__(self, given: Given, composition: str) -> None:
        """``composition``: the name of the server configuration."""
        self.files = given.files
        self._given = given
        self._composition = composition
        self.problems: list[Entry] = []

    # --- what is wrong

    def add(self, field: str, template: str, code: str = INVALID, **values: Any) -> None:
        """Something is wrong with a parameter."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(entry(code, template, field, **values))

    def add_error(self, field: str, error: TranslatedError, code: str = INVALID) -> None:
        """The same, in the words of another error."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Entry(code, field, error))

    def done(self) -> None:
        """Raises ``ApiError`` if anything was wrong."""
        if self.problems:
            raise ApiError(400, self.problems)

    # --- values

    def value(self, name: str) -> Any:
        """As it was given; ``None``: not at all."""
        found = self._given.values.get(name)
        return None if is_absent(found) else found

    def structured(self, name: str) -> Any:
        """An object or array, also as JSON in a text; a text that is none stays one."""
        found = self.value(name)
        if isinstance(found, list) and self._given.is_form:  # a field that is repeated
            return [self._structured(name, item) for item in found]
        return self._structured(name, found)

    def _structured(self, name: str, value: Any) -> Any:
        if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
            return value
        try:
            octets = value.encode()
            measure(octets, _MOST_VALUES, _DEEPEST)
            found = msgspec.json.decode(octets)
        except (TooMany, TooDeep, msgspec.DecodeError, UnicodeError, RecursionError):
            self.add(name, "{field} is not JSON")
            return None
        return None if is_absent(found) else found

    def text(self, name: str, most: int, *, needed: bool = False) -> str:
        """Characters, lines among them; empty: there is none."""
        return self.text_of(name, self.value(name), most, needed=needed)

    def text_of(self, name: str, value: Any, most: int, *, needed: bool = False) -> str:
        """``text``, of a value; ``name`` is its field."""
        if is_absent(value):
            if needed:
                self.add(name, "{field} is missing", MISSING)
            return ""
        if isinstance(value, list | dict):
            self.add(name, "{field} must be a text")
            return ""
        found = written(value)
        if len(found) > most:
            self.add(name, "{field} has more than {most} characters", TOO_LONG, most=most)
            return ""
        if "\0" in found or not _is_unicode(found):
            self.add(name, "{field} has characters that no mail can have")
            return ""
        return found

    def line(self, name: str, most: int = LONGEST, *, needed: bool = False) -> str:
        """A text of one line, without blanks around it."""
        return self.line_of(name, self.value(name), most, needed=needed)

    def line_of(self, name: str, value: Any, most: int = LONGEST, *, needed: bool = False) -> str:
        """``line``, of a value."""
        found = self.text_of(name, value, most, needed=needed).strip()
        if _CONTROL.search(found) is not None:
            self.add(name, "{field} must be one line")
            return ""
        return found

    def number(self, name: str, lowest: int, highest: int, default: int) -> int:
        """A whole number."""
        found = self.number_or_none(name, lowest, highest)
        return default if found is None else found

    def number_or_none(self, name: str, lowest: int, highest: int) -> int | None:
        """A whole number; ``None``: there is none."""
        given = self.line(name)
        if not given:
            return None
        if _NUMBER.match(given) is None or not lowest <= int(given) <= highest:
            self.add(
                name, "{field} must be a whole number from {lowest} to {highest}", lowest=lowest, highest=highest
            )
            return None
        return int(given)

    def flag(self, name: str) -> bool:
        """Truth, which is false when nothing is said."""
        given = self.line(name).lower()
        if given and given not in _FLAGS:
            self.add(name, "{field} must be true or false")
        return _FLAGS.get(given, False)

    def choice(self, name: str, known: Collection[str], *, needed: bool = False) -> str:
        """One of some words; empty: there is none."""
        given = self.line(name, needed=needed)
        if given and given not in known:
            self.add(name, "{field} must be one of {known}", known=", ".join(known))
            return ""
        return given

    def address(self, name: str) -> Address | None:
        """An e-mail address."""
        return self.address_of(name, self.line(name))

    def address_of(self, name: str, text: str, *, carriers: bool = False) -> Address | None:
        """An address that is a text; ``None``: it is empty, or none. ``carriers``: see ``parse_address``."""
        if not text:
            return None
        try:
            return parse_address(text, carriers=carriers)
        except BadAddress as error:
            self.add(name, "{field} must be an e-mail address: {why}", why=error)
            return None

    # --- what lists are asked for

    def composition(self, *, needed: bool = True) -> str:
        """``server_composition``: there is one."""
        given = self.line("server_composition", needed=needed)
        if given and given != self._composition:
            self.add("server_composition", "there is no server configuration {name}", UNKNOWN, name=given[:100])
        return given

    def page(self, most: int, default: int) -> tuple[int, int]:
        """``p`` and ``r``: how many entries to pass over, and how many to tell."""
        rows = self.number("r", 1, most, default)
        page = self.number("p", 0, MAX_OFFSET, 0)
        if page * rows > MAX_OFFSET:
            self.add("p", "the list is too long for that; ask for a shorter period")
        return page * rows, rows

    def day(self, name: str, *, needed: bool = False) -> date | None:
        """``yyyy-mm-dd``."""
        given = self.line(name, needed=needed)
        match = _DAY.match(given)
        if match is not None:
            try:
                found = date(int(match[1]), int(match[2]), int(match[3]))
            except ValueError:
                pass
            else:
                if _FIRST_YEAR <= found.year <= _LAST_YEAR:
                    return found
        if given:
            self.add(name, "{field} must be a day such as {example}", example="2023-01-25")
        return None

    def moment(self, zone: ZoneInfo, today: date, *, needed: bool) -> Period | None:
        """``date``, and of it ``hour`` and ``minute``, if they are given; ``None``: no date is."""
        day = self.day("date", needed=needed)
        hour, minute = self.number_or_none("hour", 0, 23), self.number_or_none("minute", 0, 59)
        if day is None:
            return None
        if day > today:
            self.add("date", "{field} must not be in the future")
        if hour is None:
            if minute is not None:
                self.add("hour", "{field} is missing", MISSING)
            return moment_of(day, zone), moment_of(day + timedelta(days=1), zone)
        start = moment_of(day, zone, hour, minute or 0)
        return start, start + (3_600_000 if minute is None else 60_000)

    def days(self, zone: ZoneInfo, *, most: int = 0) -> Period:
        """``start_date`` and ``end_date``, both of which belong to it. ``most``: days; 0: any number."""
        start, end = self.day("start_date"), self.day("end_date")
        if start is not None and end is not None:
            if start > end:
                self.add("start_date", "{field} must not be after {other}", other="end_date")
            elif most and (end - start).days >= most:
                self.add("end_date", "the period must not have more than {most} days", most=most)
        return (
            None if start is None else moment_of(start, zone),
            None if end is None else moment_of(end + timedelta(days=1), zone),
        )


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:  # halves of surrogate pairs
        return False
    return True
