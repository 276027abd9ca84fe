"""How times, lengths of time and sizes look to people, and times in JSON."""

from __future__ import annotations

from datetime import UTC, datetime

from ekiden.core.clock import DAY, HOUR, MINUTE, SECOND, Millis
from ekiden.core.language import Language


def iso(at: Millis | None) -> str | None:
    """RFC 3339 in UTC with milliseconds, as in every JSON of the command line."""
    if at is None:
        return None
    moment = datetime.fromtimestamp(at // SECOND, UTC).replace(microsecond=at % SECOND * 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def local_time(at: Millis) -> str:
    """For people: local time to the second, with its offset."""
    return datetime.fromtimestamp(at / SECOND, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


_UNITS: tuple[tuple[Millis, str, str], ...] = (
    (DAY, "d", "日"),
    (HOUR, "h", "時間"),
    (MINUTE, "m", "分"),
    (SECOND, "s", "秒"),
)


def exact_time(at: Millis) -> str:
    """For people who compare: local time to the millisecond."""
    moment = datetime.fromtimestamp(at // SECOND, UTC).astimezone()
    return f"{moment:%Y-%m-%d %H:%M:%S}.{at % SECOND:03d}"


def span(length: Millis, lang: Language = "en") -> str:
    """A length of time in its two largest units: ``2h 5m``, ``340 ms``."""
    if length < SECOND:
        return f"{length} ms"
    parts: list[str] = []
    for size, english, japanese in _UNITS:
        count, length = divmod(length, size)
        if count:
            parts.append(f"{count}{japanese if lang == 'ja' else english}")
        if len(parts) == 2 or (parts and not count):
            break
    return ("" if lang == "ja" else " ").join(parts)


def relative(at: Millis, now: Millis, lang: Language = "en") -> str:
    """``in 5m``, ``3h ago``, ``now``."""
    distance = at - now
    if abs(distance) < SECOND:
        return "今" if lang == "ja" else "now"
    text = span(abs(distance), lang)
    if lang == "ja":
        return f"{text}後" if distance > 0 else f"{text}前"
    return f"in {text}" if distance > 0 else f"{text} ago"


def octets(size: int) -> str:
    """``512 B``, ``4.0 KiB``, ``1.5 MiB``."""
    if size < 1024:
        return f"{size} B"
    if size < 1024 * 1024:
        return f"{size / 1024:.1f} KiB"
    if size < 1024 * 1024 * 1024:
        return f"{size / 1024 / 1024:.1f} MiB"
    return f"{size / 1024 / 1024 / 1024:.1f} GiB"
