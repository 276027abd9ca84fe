"""How times, lengths of time and tables look on a terminal, in a pipe and in JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from ekiden.cli.terminal import Terminal
from ekiden.cli.text_table import TextTable
from ekiden.core.clock import DAY, HOUR, MINUTE, SECOND, Millis
from ekiden.core.states import State
from ekiden.core.texts import Language


def output() -> Terminal:
    """Standard output: as wide as the terminal, or unfolded and without colours in a pipe."""
    return Terminal()


def make_table(*columns: str, right: tuple[str, ...] = (), translate: Callable[[str], str] = str) -> TextTable:
    """A table with these headings, once they are translated; those named in ``right`` hold numbers."""
    table = TextTable()
    for column in columns:
        table.add_column(translate(column), right=column in right)
    return table


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


def state_counts(counts: Mapping[State, int], lang: Language = "en") -> str:
    """``2 held, 1,000 queued``; empty when there is nothing to count."""
    from ekiden.delivery.explain import state_name

    if lang == "ja":
        return "、".join(f"{state_name(state, lang)} {count:,} 件" for state, count in sorted(counts.items()))
    return ", ".join(f"{count:,} {state_name(state, lang)}" for state, count in sorted(counts.items()))
