"""What the sender calls a message, and who is told what becomes of it."""

from __future__ import annotations

from ekiden.core.clock import Millis
from ekiden.core.display import relative
from ekiden.core.language import Language
from ekiden.core.notices import News
from ekiden.core.submission import Marks
from ekiden.core.texts import Texts
from ekiden.delivery.trace_news_queries import TracedRoute

_TEXTS = Texts("cli/trace_news_view")

_MARKS = {
    "bulk": "bulk {value}",
    "reference": "message id {value}",
    "application": "application {value}",
    "entity": "entity {value}",
    "campaign": "campaign {value}",
}
_NEWS = {
    News.FINAL: "final reports",
    News.INTERMEDIATE: "intermediate reports",
    News.TRACKING: "opens, clicks and the like",
    News.FAILURE: "failures",
}


def separator(lang: Language) -> str:
    """What stands between the items of a list."""
    return "、" if lang == "ja" else ", "


def marks_text(marks: Marks, lang: Language) -> str:
    """What the sender calls the message, in one line; empty: nothing."""
    given = [(text, getattr(marks, name)) for name, text in _MARKS.items()]
    return separator(lang).join(_TEXTS(text, lang, value=value) for text, value in given if value)


def route_text(route: TracedRoute, now: Millis, lang: Language) -> str:
    """Who is told of what, what of it is not told yet, and why."""
    news = separator(lang).join(_TEXTS(text, lang) for kind, text in _NEWS.items() if kind & route.news)
    # Without a URL nobody is told: the account fetches it.
    text = _TEXTS("{news} to {url}" if route.url else "{news} kept to be fetched", lang, news=news, url=route.url)
    remarks = []
    if route.waiting:
        waiting = "{count} waiting" if route.url else "{count} not fetched yet"
        remarks.append(_TEXTS(waiting, lang, count=route.waiting))
    if route.dead:
        remarks.append(_TEXTS("{count} given up", lang, count=route.dead))
    if route.failures:
        why = f"{route.status or ''} {route.told(lang)}".strip() or _TEXTS("no answer", lang)
        failed = "failed {count} times in a row, last with {why}; next try {time}"
        when = relative(route.retry_at, now, lang)
        remarks.append(_TEXTS(failed, lang, count=route.failures, why=why, time=when))
    return f"{text} ({'; '.join(remarks)})" if remarks else text
