"""Single header fields: making the ones that a submission server adds, and reading words for display."""

from __future__ import annotations

import re
from binascii import a2b_base64, a2b_qp
from datetime import datetime, timedelta
from functools import lru_cache

from ekiden.core.clock import SECOND, Millis
from ekiden.mime.charsets import decode_text
from ekiden.mime.japanese import ISO_2022_JP, UTF_8, Charset, to_jis

_DAYS = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")  # 1970-01-01 was a Thursday
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MAX_WORD = 75  # RFC 2047 §2
_LONGEST_DECODED = 131_072  # characters; 1,000 mailboxes with names in any script are fewer
# With blanks, which do not belong there, or with some question marks, but not with both: that may be two words.
_WORD = re.compile(
    r"=\?([^?\s]{0,60}+)\?([bBqQ])\?([^?]*+|[^\s?]*+(?:\?(?!=)[^\s?]*+){1,3})\?=",
)
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_BLANKS = " \t\r\n"
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

    Never fails: what cannot be decoded stays as it is or shows U+FFFD; octets are taken for what they look like.
    Words of one charset are decoded together, as some senders cut within a character. Beyond 131,072 characters
    the words stay.
    """
    text = value if isinstance(value, str) else decode_text(value)
    if "=?" not in text or len(text) > _LONGEST_DECODED:
        return text
    shown: list[str] = []
    gathered: list[bytes] = []  # of words of one charset, with nothing but blanks between them
    charset = ""
    at = 0
    for match in _WORD.finditer(text):
        octets = _word_octets(match)
        if octets is None:
            continue
        between = text[at : match.start()]
        apart = between.strip(_BLANKS) != "" or not gathered
        if gathered and (apart or match[1].lower() != charset):
            shown.append(decode_text(b"".join(gathered), charset))
            gathered.clear()
        if apart:
            shown.append(between)
        charset = match[1].lower()
        gathered.append(octets)
        at = match.end()
    if gathered:
        shown.append(decode_text(b"".join(gathered), charset))
    shown.append(text[at:])
    return "".join(shown)


def _word_octets(match: re.Match[str]) -> bytes | None:
    written = match[3].encode("utf-8", "replace")
    if match[2] in "qQ":
        return a2b_qp(written, header=True)
    kept = _NOT_BASE64.sub(b"", written)
    kept = kept[: len(kept) - (len(kept) % 4 == 1)]
    return a2b_base64(kept + b"==") if kept or not written else None


def encode_words(value: str, *, indent: int = 0) -> str:
    """``value`` for an ASCII header: as it is when it is printable ASCII, else as folded encoded words in UTF-8.

    ``indent`` is the length of what stands before it on its line (``len("Subject: ")``). Line breaks and control
    characters become blanks, so no value can start a field of its own.
    """
    clean = "".join(char if char.isprintable() or char == "\t" else " " for char in value)
    return clean if clean.isascii() and "=?" not in clean else encoded_words(clean, indent=indent)


def encoded_words(value: str, *, indent: int = 0, charset: Charset = UTF_8) -> str:
    """All of ``value`` as encoded words, even if it is ASCII; see ``encode_words``. Nothing is made a blank.

    What has no form in ``charset`` is written in UTF-8.
    """
    from base64 import b64encode

    if charset == ISO_2022_JP and to_jis(value) is None:
        charset = UTF_8
    words = []
    chunk, text = b"", ""
    room = _octets(min(_MAX_WORD, _MAX_LINE - indent), charset)
    for char in value:
        octets = _in_charset(text + char, charset) if charset != UTF_8 else chunk + char.encode("utf-8", "replace")
        if chunk and len(octets) > room:
            words.append(chunk)
            octets, text = _in_charset(char, charset), ""
            room = _octets(_MAX_WORD, charset)
        chunk, text = octets, text + char
    words.append(chunk)
    return "\r\n ".join(f"=?{charset}?B?{b64encode(word).decode()}?=" for word in words)


def _in_charset(text: str, charset: Charset) -> bytes:
    """Beginning and ending in ASCII, as each encoded word does (RFC 2047 §3)."""
    return (to_jis(text) or b"") if charset == ISO_2022_JP else text.encode("utf-8", "replace")


def _octets(width: int, charset: Charset) -> int:
    return max((width - len(f"=?{charset}?B??=")) // 4 * 3, 4)
