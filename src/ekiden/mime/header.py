"""Single header fields: making the ones that a submission server adds, and reading words for display."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

from ekiden.core.clock import SECOND, Millis

_DAYS = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")  # 1970-01-01 was a Thursday
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MAX_WORD = 75  # RFC 2047 §2
_LONGEST_DECODED = 32_768  # characters; 4,000 of any script are fewer in encoded words
_MAX_LINE = 76  # RFC 2047 §2, of a line with an encoded word in it


def format_date(at: Millis) -> str:
    """``Sat, 1 Jan 2028 09:00:00 +0000`` (RFC 5322 §3.3), always in UTC."""
    return _format_second(at // SECOND)


@lru_cache(maxsize=16)
def _format_second(second: int) -> str:
    days, rest = divmod(second, 86_400)
    hour, rest = divmod(rest, 3_600)
    year, month, day = _civil(days)
    return (
        f"{_DAYS[days % 7]}, {day} {_MONTHS[month - 1]} {year:04d} "
        f"{hour:02d}:{rest // 60:02d}:{rest % 60:02d} +0000"
    )


def format_moment(moment: datetime, offset: timedelta | None) -> str:
    """A local time of a zone that is ``offset`` from UTC; ``None``: nobody knows the zone (RFC 5322 §3.3)."""
    minutes = 0 if offset is None else int(offset.total_seconds()) // 60
    sign = "-" if minutes < 0 or offset is None else "+"
    hours, rest = divmod(abs(minutes), 60)
    return (
        f"{_DAYS[(moment.weekday() + 4) % 7]}, {moment.day} {_MONTHS[moment.month - 1]} {moment.year:04d} "
        f"{moment.hour:02d}:{moment.minute:02d}:{moment.second:02d} {sign}{hours:02d}{rest:02d}"
    )


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month and day of the Gregorian calendar, from days since 1970-01-01.

    Counted in years that begin in March, so that the leap day comes last.
    """
    days += 719_468  # to 0000-03-01
    era, of_era = divmod(days, 146_097)
    year_of_era = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    day_of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month + 2) // 5 + 1
    return year_of_era + era * 400 + (month >= 10), month + 3 if month < 10 else month - 9, day


def make_message_id(unique: str, hostname: str) -> str:
    """``<unique@hostname>`` (RFC 5322 §3.6.4). ``unique`` is an id of ours, so it needs no quoting."""
    return f"<{unique}@{hostname}>"


def decode_words(value: str | bytes) -> str:
    """A field's value with its encoded words (RFC 2047) decoded, for display.

    Never fails: what cannot be decoded stays as it is or shows U+FFFD. What is longer than anybody reads stays,
    too: the library takes a time that grows with the square of the words.
    """
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if "=?" not in text or len(text) > _LONGEST_DECODED:
        return text
    from email.errors import HeaderParseError
    from email.header import decode_header

    try:
        parts = decode_header(text)
    except (HeaderParseError, ValueError):
        return text
    decoded = []
    for part, charset in parts:
        if isinstance(part, str):
            decoded.append(part)
            continue
        # Without a charset it is text that stood between encoded words; the library hands it back raw.
        name = charset or "raw-unicode-escape"
        try:
            decoded.append(part.decode(name, "replace"))
        except (LookupError, ValueError):
            decoded.append(part.decode("utf-8", "replace"))
    return "".join(decoded)


def encode_words(value: str, *, indent: int = 0) -> str:
    """``value`` for an ASCII header: as it is when it is printable ASCII, else as folded encoded words in UTF-8.

    ``indent`` is the length of what stands before it on its line (``len("Subject: ")``). Line breaks and control
    characters become blanks, so no value can start a field of its own.
    """
    clean = "".join(char if char.isprintable() or char == "\t" else " " for char in value)
    return clean if clean.isascii() and "=?" not in clean else encoded_words(clean, indent=indent)


def encoded_words(value: str, *, indent: int = 0) -> str:
    """All of ``value`` as encoded words, even if it is ASCII; see ``encode_words``. Nothing is made a blank."""
    from base64 import b64encode

    words = []
    chunk = b""
    room = _octets(min(_MAX_WORD, _MAX_LINE - indent))
    for char in value:
        octets = char.encode("utf-8", "replace")
        if chunk and len(chunk) + len(octets) > room:
            words.append(chunk)
            chunk = b""
            room = _octets(_MAX_WORD)
        chunk += octets
    words.append(chunk)
    return "\r\n ".join(f"=?utf-8?B?{b64encode(word).decode()}?=" for word in words)


def _octets(width: int) -> int:
    return max((width - len("=?utf-8?B??=")) // 4 * 3, 4)
