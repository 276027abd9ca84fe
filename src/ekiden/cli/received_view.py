"""A mail that came in, with all that followed, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from ekiden.cli.trace_news_view import separator
from ekiden.core.display import local_time, octets, relative
from ekiden.core.ids import format_id
from ekiden.core.texts import Texts
from ekiden.mime.header import decode_words

if TYPE_CHECKING:
    from rich.console import Console

    from ekiden.core.clock import Millis
    from ekiden.core.language import Language
    from ekiden.inbound.received_queries import Received, ReceivedTrace, TracedNotice

TEXTS = Texts("cli/received_view")

_COLOURS = {"told": "green", "waiting": "yellow", "paused": "yellow", "dead": "red"}
_STATES = {
    "told": "the application has it",
    "waiting": "waits, next request {when}",
    "paused": "waits: the route is paused",
    "dead": "given up",
    "gone": "the route was removed",
}


def kind_text(received: Received, lang: Language) -> str:
    """What it turned out to be."""
    return TEXTS("not read yet" if received.kind is None else received.kind.value, lang)


def followed_text(received: Received, lang: Language) -> str:
    """What followed, in a few words."""
    told = received.told
    if told.get("failed"):
        return TEXTS("could not be read: {why}", lang, why=told["failed"])
    if told.get("unclaimed"):
        return TEXTS("nobody receives it any more", lang)
    if "recipients" in told:
        names = dict.fromkeys(name for each in told["recipients"] for name in each.get("routes", ()))
        late = sum(each.get("undecided", 0) for each in told["recipients"])
        parts = [TEXTS("route {name}", lang, name=name) for name in names] or [TEXTS("no route takes it", lang)]
        if late:
            parts.append(TEXTS("{count} routes whose conditions took too long", lang, count=late))
        return separator(lang).join(parts)
    about = dict.fromkeys([*(each.get("message") for each in told.get("reports", ())), told.get("message")])
    return separator(lang).join(TEXTS("about {id}", lang, id=id) for id in about if id)


def print_received(out: Console, trace: ReceivedTrace, account: str, now: Millis, lang: Language) -> None:
    """The whole story. ``account`` is its name; empty: who runs Ekiden."""
    received = trace.received
    mail = received.mail
    out.print(Text(format_id(mail.id), "bold"))
    facts = [
        (
            "came in",
            separator(lang).join(
                [local_time(mail.accepted_at), TEXTS("listener {name}", lang, name=mail.listener)]
            ),
        ),
        ("server", f"{mail.helo} [{mail.peer}]"),
        ("encryption", mail.tls or TEXTS("none", lang)),
        ("from", mail.sender or TEXTS("the null sender (a notification)", lang)),
        ("to", separator(lang).join(mail.recipients)),
        ("subject", decode_words(mail.subject)),
        ("Message-ID", mail.header_id),
        ("size", octets(mail.size)),
        ("for", account or TEXTS("who runs Ekiden", lang)),
        ("is from", _authentication(mail.authentication, lang)),
        ("is", kind_text(received, lang)),
        ("followed", followed_text(received, lang)),
        ("content", "" if trace.has_content else TEXTS("not kept any more", lang)),
    ]
    _facts(out, [(TEXTS(name, lang), value) for name, value in facts if value])
    for item in trace.notices:
        _notice(out, item, now, lang)


def _facts(out: Console, facts: list[tuple[str, str]]) -> None:
    from rich.cells import cell_len

    width = max(cell_len(name) for name, _ in facts)
    for name, value in facts:
        line = Text("  ")
        line.append(name + " " * (width - cell_len(name)), "dim")
        out.print(line.append("  " + value))


def _authentication(encoded: str, lang: Language) -> str:
    from ekiden.inbound.verdicts import Authentication

    if not encoded:
        return ""
    found = Authentication.decode(encoded)
    parts: list[Any] = [("SPF", found.spf.result, found.spf.domain)]
    parts += [("DKIM", item.result, item.domain) for item in found.dkim] or [("DKIM", "none", "")]
    parts += [("DMARC", found.dmarc.result, found.dmarc.domain), ("ARC", found.arc.result, "")]
    return separator(lang).join(" ".join(filter(None, each)) for each in parts)


def _notice(out: Console, item: TracedNotice, now: Millis, lang: Language) -> None:
    when = "" if item.due_at is None else relative(item.due_at, now, lang)
    line = Text("  ")
    line.append(TEXTS("{recipient} by route {name}", lang, recipient=item.recipient, name=item.route))
    line.append("  " + TEXTS(_STATES[item.state], lang, when=when), _COLOURS.get(item.state, ""))
    out.print(line)
    if item.url:
        out.print(Text("    " + item.url, "dim"))
    for request in item.requests:
        said = f"{request.status or ''} {request.words(lang)}".strip()
        took = TEXTS("{millis} ms", lang, millis=request.millis)
        out.print(Text(f"    {local_time(request.at)}  {said}  ({took})"))
