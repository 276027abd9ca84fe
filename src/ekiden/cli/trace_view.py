"""The history of a message for people: two languages, with or without colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from ekiden.cli.tables import make_table
from ekiden.cli.trace_news_view import marks_text, route_text, separator
from ekiden.cli.waiting import reason_text, wait_text
from ekiden.core.clock import Millis
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.display import exact_time, local_time, octets, relative, span
from ekiden.core.events import EventType
from ekiden.core.ids import format_id
from ekiden.core.language import Language
from ekiden.core.said import Said, dialogue_told, tell
from ekiden.core.states import State
from ekiden.core.texts import Texts
from ekiden.delivery.explain import cause_name, explain, state_name, suppression_kind
from ekiden.delivery.trace_news_queries import TracedRoute
from ekiden.delivery.trace_queries import MessageTrace, TracedAttempt, TracedDelivery, TracedEvent
from ekiden.mime.header import decode_words

_TEXTS = Texts("cli/trace_view")

_COLOURS = {
    State.DELIVERED: "green",
    State.BOUNCED: "red",
    State.EXPIRED: "red",
    State.DEFERRED: "yellow",
    State.HELD: "yellow",
}

# Told by the attempt that led to it, unless there was none.
_BY_ATTEMPT = {
    EventType.DELIVERED: State.DELIVERED,
    EventType.DEFERRED: State.DEFERRED,
    EventType.BOUNCED: State.BOUNCED,
    EventType.EXPIRED: State.EXPIRED,
}

_EVENT_TEXTS = {
    EventType.ACCEPTED: "accepted and stored",
    EventType.QUEUED: "queued for this recipient",
    EventType.DELIVERED: "delivered",
    EventType.DEFERRED: "deferred",
    EventType.BOUNCED: "bounced",
    EventType.EXPIRED: "expired",
    EventType.DROPPED: "dropped",
    EventType.CANCELLED: "cancelled",
    EventType.HELD: "held",
    EventType.RELEASED: "released",
    EventType.LEASE_LOST: "its worker ended before it reported; the outcome of that attempt is unknown",
    EventType.NOTIFIED: "a report to the sender was made",
    EventType.OPENED: "opened",
    EventType.CLICKED: "link followed: {url}",
    EventType.UNSUBSCRIBED: "the recipient unsubscribed",
    EventType.COMPLAINED: "reported as unwanted by the recipient",
    EventType.LATE_BOUNCE: "bounced after the recipient's server had accepted it",
}


def _facts(out: Console, facts: list[tuple[str, str]], indent: str = "") -> None:
    from rich.cells import cell_len

    width = max(cell_len(name) for name, _ in facts)
    for name, value in facts:
        line = Text(indent)
        line.append(name + " " * (width - cell_len(name)), "dim")
        line.append("  " + value)
        out.print(line)


def _head(
    out: Console, trace: MessageTrace, now: Millis, lang: Language, routes: Sequence[TracedRoute] = ()
) -> None:
    out.print(Text(format_id(trace.id), "bold"))
    facts = [(_TEXTS("from", lang), trace.sender or _TEXTS("the null sender (a notification)", lang))]
    if trace.subject:
        facts.append((_TEXTS("subject", lang), decode_words(trace.subject)))
    if trace.header_id:
        facts.append((_TEXTS("Message-ID", lang), trace.header_id))
    priority = _TEXTS(trace.priority.name.lower(), lang)
    sized = _TEXTS("{size}, priority {priority}", lang, size=octets(trace.size), priority=priority)
    facts.append((_TEXTS("size", lang), sized))
    came = separator(lang).join([local_time(trace.accepted_at), *_origin(trace, lang)])
    facts.append((_TEXTS("accepted", lang), came))
    if any(not item.state.final for item in trace.deliveries):
        when = f"{local_time(trace.expires_at)} ({relative(trace.expires_at, now, lang)})"
        facts.append((_TEXTS("expires", lang), when))
    elif not trace.has_content:
        facts.append((_TEXTS("content", lang), _TEXTS("removed, because no recipient needs it any more", lang)))
    marks = marks_text(trace.marks, lang)
    if marks:
        facts.append((_TEXTS("marks", lang), marks))
    facts += [(_TEXTS("told", lang), route_text(route, now, lang)) for route in routes]
    _facts(out, facts, "  ")


def _origin(trace: MessageTrace, lang: Language) -> list[str]:
    origin = trace.origin
    parts = [_TEXTS("account {account}", lang, account=trace.account)]
    if not trace.credential:
        parts.append(_TEXTS("no login (trusted network or made here)", lang))
    elif trace.credential_kind == "api_key":
        parts.append(_TEXTS("API key {name}", lang, name=trace.credential))
    else:
        parts.append(_TEXTS("password {name}", lang, name=trace.credential))
    if origin.get("client"):
        parts.append(_TEXTS("client {client}", lang, client=origin["client"]))
    if origin.get("helo"):
        parts.append(_TEXTS("HELO {helo}", lang, helo=origin["helo"]))
    if origin.get("via"):
        parts.append(origin["via"])
    if origin.get("client"):
        parts.append(origin.get("tls") or _TEXTS("without encryption", lang))
    for key in ("listener", "region", "endpoint"):
        if origin.get(key):
            text = "{endpoint} endpoint" if key == "endpoint" else f"{key} {{{key}}}"
            parts.append(_TEXTS(text, lang, **{key: origin[key]}))
    return parts


def print_summary(out: Console, trace: MessageTrace, now: Millis, lang: Language) -> None:
    """The message, and one line for each recipient."""
    _head(out, trace, now, lang)
    attempts = _TEXTS("attempts", lang)
    table = make_table(
        "",
        *(_TEXTS(name, lang) for name in ("recipient", "state", "waits for", "next", "attempts", "reason")),
        right=(attempts,),
    )
    for item in trace.deliveries:
        table.add_row(
            str(item.number),
            item.recipient,
            Text(state_name(item.state, lang), _COLOURS.get(item.state, "")),
            wait_text(item, lang),
            relative(item.due_at, now, lang) if item.state.waiting else "",
            str(item.attempt_count),
            reason_text(item, lang),
        )
    out.print()
    out.print(table)


def print_trace(
    out: Console,
    trace: MessageTrace,
    routes: Sequence[TracedRoute],
    now: Millis,
    lang: Language,
    *,
    dialogue: bool,
) -> None:
    """The whole story."""
    _head(out, trace, now, lang, routes)
    for delivery in trace.deliveries:
        out.print()
        line = Text()
        line.append(f"{delivery.number}. {delivery.recipient}", "bold")
        line.append("  ")
        line.append(state_name(delivery.state, lang), f"bold {_COLOURS.get(delivery.state, '')}".strip())
        out.print(line)
        found = explain(
            delivery.state,
            delivery.diagnosis,
            lang,
            wait=delivery.wait,
            said=delivery.said,
            after=delivery.after,
            late=delivery.late,
        )
        out.print(f"   {found.headline}")
        facts = [(_TEXTS("why", lang), found.reason)] if found.reason else []
        unreported = delivery.diagnosis is Diagnosis.UNREPORTED and delivery.state is State.DEFERRED  # told above
        if delivery.reason and delivery.state is not State.DELIVERED and not unreported:
            facts.append((_TEXTS("detail", lang), _reason(delivery, lang)))
        if found.advice:
            facts.append((_TEXTS("advice", lang), found.advice))
        if delivery.state is State.DROPPED and suppression_kind(delivery.said):
            command = f"ekiden suppression list --account {trace.account} --address {delivery.recipient}"
            facts.append((_TEXTS("suppression", lang), command))
        if delivery.state.waiting:
            when = f"{local_time(delivery.due_at)} ({relative(delivery.due_at, now, lang)})"
            facts.append((_TEXTS("next attempt", lang), when))
        if facts:
            _facts(out, facts, "   ")
        out.print()
        for at, text, details in _timeline(trace, delivery, now, lang, dialogue):
            entry = Text("   ")
            entry.append(exact_time(at), "dim")
            entry.append("  ")
            entry.append(text)
            out.print(entry)
            for detail in details:
                out.print(Text(f"      {detail}", _detail_style(detail)))


def _reason(delivery: TracedDelivery, lang: Language) -> str:
    reason = reason_text(delivery, lang)
    if not delivery.cause or delivery.holds:
        return reason
    return f"{reason} ({_TEXTS('cause', lang)}: {cause_name(delivery.cause, lang)})"


def _detail_style(line: str) -> str:
    return "dim" if line[:2] in ("S:", "C:", "# ") else ""


def _timeline(
    trace: MessageTrace, delivery: TracedDelivery, now: Millis, lang: Language, dialogue: bool
) -> list[tuple[Millis, str, list[str]]]:
    entries: list[tuple[Millis, str, list[str]]] = []
    told = {attempt.state for attempt in delivery.attempts}
    lost = {attempt.number for attempt in delivery.attempts if _is_lost(attempt)}
    next_times = {event.at: event.data["next_at"] for event in delivery.events if "next_at" in event.data}
    for event in [*trace.events, *delivery.events]:
        if _BY_ATTEMPT.get(event.type) in told:
            continue
        if event.type is EventType.LEASE_LOST and event.data.get("attempt") in lost:
            continue
        entries.append((event.at, _event_text(event, lang), []))
    for attempt in delivery.attempts:
        details = _attempt_details(attempt, lang, dialogue)
        next_at = next_times.get(attempt.finished_at)
        if next_at is not None:
            details.append(_TEXTS("waits until {time}", lang, time=exact_time(next_at)))
        entries.append((attempt.started_at, _attempt_text(attempt, lang), details))
    if delivery.state is State.SENDING:
        passed = span(max(0, now - delivery.due_at), lang)
        template = "attempt {number}: begun {span} ago, not reported yet"
        text = _TEXTS(template, lang, number=delivery.attempt_count, span=passed)
        entries.append((delivery.due_at, text, []))
    if delivery.state.waiting and delivery.due_at > now:
        entries.append((delivery.due_at, _TEXTS("next attempt", lang), []))
    entries.sort(key=lambda entry: entry[0])
    return entries


def _is_lost(attempt: TracedAttempt) -> bool:
    """Its worker ended before it came to a verdict."""
    return attempt.diagnosis is Diagnosis.UNREPORTED


def _attempt_text(attempt: TracedAttempt, lang: Language) -> str:
    if _is_lost(attempt):
        # Neither a state nor how long it took: its end is when somebody noticed.
        text = "attempt {number}: its worker ended before it reported; what became of it is not known"
        return _TEXTS(text, lang, number=attempt.number)
    return _TEXTS(
        "attempt {number}: {state}, after {span}",
        lang,
        number=attempt.number,
        state=state_name(attempt.state, lang),
        span=span(max(0, attempt.finished_at - attempt.started_at), lang),
    )


def _attempt_details(attempt: TracedAttempt, lang: Language, dialogue: bool) -> list[str]:
    if _is_lost(attempt):
        return []
    details = []
    if attempt.host or attempt.address:
        where = f"{attempt.host} [{attempt.address}]" if attempt.address else attempt.host
        # Of a conversation that never came to the message nothing is said: it may never have begun.
        talked = any(line.startswith("C: MAIL") for line in attempt.dialogue)
        encryption = attempt.tls or (_TEXTS("without encryption", lang) if talked else "")
        details.append(f"{where}, {encryption}" if encryption else where)
    if attempt.reply:
        details.append(_reply(attempt, lang))
    if dialogue:
        details += dialogue_told(attempt.dialogue, lang)
    return details


def _reply(attempt: TracedAttempt, lang: Language) -> str:
    """The reply as the peer gave it; when it never answered, the text is ours and the code what we report."""
    code = f"{attempt.code} {attempt.enhanced}".strip()
    if any(line.startswith(f"S: {attempt.code}") for line in attempt.dialogue):
        text = attempt.reply if attempt.reply.startswith(str(attempt.code)) else f"{code} {attempt.reply}"
        return f"{_TEXTS('reply', lang)}: {text}"
    if not attempt.code:
        return tell(attempt.said, attempt.reply, lang)
    reply = tell(attempt.said, attempt.reply, lang)
    return _TEXTS("{reply} (our own verdict: {code})", lang, reply=reply, code=code)


def _event_text(event: TracedEvent, lang: Language) -> str:
    data = event.data
    if event.type is EventType.NOTIFIED and data.get("dsn"):
        text = _TEXTS("a report to the sender was made (message {id})", lang, id=data["dsn"])
    elif event.type is EventType.RELEASED and data.get("action") == "retry":
        text = _TEXTS("due again", lang)
    else:
        text = _TEXTS(_EVENT_TEXTS[event.type], lang, url=data.get("url", ""))
    remarks = [_reason_of(data, lang)] if data.get("reason") else []
    if event.type is EventType.LATE_BOUNCE:
        reply = " ".join(str(data[name]) for name in ("code", "enhanced", "text") if data.get(name))
        remarks += [reply] if reply else []
    if data.get("still_held_by"):
        holders = [
            _TEXTS(_HOLDERS.get(holder, "{holder}"), lang, holder=holder) for holder in data["still_held_by"]
        ]
        remarks.append(_TEXTS("still held: {holders}", lang, holders=", ".join(holders)))
    if event.type is EventType.ACCEPTED:
        remarks += _made_right(data, lang)
    if event.type in _BY_RECIPIENT:
        remarks += _visit(data, lang)
    if data.get("by"):
        remarks.append(_TEXTS("by {who}", lang, who=data["by"]))
    return f"{text} ({', '.join(remarks)})" if remarks else text


def _reason_of(data: dict[str, Any], lang: Language) -> str:
    """Of an event: what a person said, or Ekiden."""
    said = data.get("said")
    if isinstance(said, list) and len(said) == 2 and isinstance(said[0], str) and isinstance(said[1], dict):
        return Said(*said).text(lang)
    return str(data["reason"])


_HOLDERS = {"sender": "paused by its sender", "operator": "held by an operator"}


def _made_right(data: dict[str, Any], lang: Language) -> list[str]:
    """What the door changed in the message (``mime.repair``, ``mime.reencode``)."""
    remarks = []
    if data.get("repaired"):
        remarks.append(_TEXTS("repaired: {fields}", lang, fields=", ".join(map(str, data["repaired"]))))
    for why in data.get("encoded") or ():
        remarks.append(_TEXTS(_ENCODED.get(why, "{why}"), lang, why=why))
    return remarks


_ENCODED = {"long lines": "long lines encoded", "8bit": "8-bit text encoded"}
_BY_RECIPIENT = frozenset({EventType.OPENED, EventType.CLICKED, EventType.UNSUBSCRIBED})


_HOW = {"page": "on the page", "one-click": "with one click (RFC 8058)", "mail": "by mail"}
_MACHINES = {
    "head": "it asked without fetching (HEAD)",
    "prefetch": "fetched in advance",
    "no-user-agent": "it does not say what it is (no User-Agent)",
    "apple-mail-privacy": "Apple Mail Privacy Protection",
    "user-agent": "a scanner or robot, by its User-Agent",
    "too-soon": "too soon after the message was accepted",
    "burst": "several links at once",
}
"""By the codes of ``recipients.machines``."""


def _visit(data: dict[str, Any], lang: Language) -> list[str]:
    """What is known of who opened, clicked or unsubscribed."""
    device = data.get("device")
    remarks = [" ".join(str(part) for part in device.values() if part)] if isinstance(device, dict) else []
    if data.get("how"):
        remarks.append(_TEXTS(_HOW.get(data["how"], "how: {how}"), lang, how=data["how"]))
    if data.get("machine"):
        why = str(data.get("why") or "")
        machine = "automatic access: {why}" if why else "automatic access"
        remarks.append(_TEXTS(machine, lang, why=_TEXTS(_MACHINES.get(why, "{why}"), lang, why=why)))
    return remarks
