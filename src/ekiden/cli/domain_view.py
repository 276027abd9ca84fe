"""Domains, their records and their checks for people; records as lines of a zone file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

from ekiden.cli.common import lang
from ekiden.cli.domain_translations import TEXTS
from ekiden.cli.tables import make_table
from ekiden.cli.text_table import TextTable
from ekiden.core.clock import SECOND
from ekiden.core.display import local_time

if TYPE_CHECKING:
    from ekiden.domains.config import DomainsConfig
    from ekiden.domains.evidence import Evidence
    from ekiden.domains.model import Check, Domain, Kind, Record

KINDS: Final[Mapping[Kind, str]] = {
    "spf": "SPF",
    "dkim": "DKIM, RSA",
    "ed25519": "DKIM, Ed25519 (a second signature; may be left out)",
    "dmarc": "DMARC (recommended)",
    "address": "address",
    "rp_mx": "return path, MX (recommended)",
    "rp_spf": "return path, SPF (recommended)",
}


def say(text: str, **values: Any) -> str:
    """A text of ``domain_translations`` in the language of the person at the terminal."""
    return TEXTS(text, lang(), **values)


def domain_table() -> TextTable:
    return make_table("domain", "account", "status", "SPF", "DKIM", "why", "last check", translate=_heading)


def domain_cells(item: Domain, account: str) -> tuple[str, ...]:
    """A row of ``domain_table``."""
    from ekiden.domains.reasons import short

    why = short(item.reason, lang()) if item.reason else ""
    checked = local_time(item.checked_at) if item.checked_at else say("never")
    return item.name, account, say(item.status), item.spf, item.dkim, why, checked


def _heading(text: str) -> str:
    return text if text == "DKIM" else say(text)


def print_domain(out: Console, domain: Domain, account: str, config: DomainsConfig) -> None:
    """Its state in a few lines."""
    from ekiden.domains.reasons import short

    whose = account or say("(this installation)")
    out.print(say("{name} of {account}: {status}", name=domain.name, account=whose, status=say(domain.status)))
    if domain.vouched:
        out.print(say("an operator vouches for it"))
    if domain.reason and domain.failing_since is not None:
        why = short(domain.reason, lang())
        since = local_time(domain.failing_since)
        out.print(say("{why} (checks fail since {time})", why=why, time=since))
        if domain.usable:
            end = local_time(domain.failing_since + round(config.grace * SECOND))
            out.print(say("if that stays so, nothing is accepted from it from {time} on", time=end))
    elif domain.reason and domain.checked_at is not None:
        out.print(short(domain.reason, lang()))
    if domain.approval == "pending":
        answered = "approval: pending; the questionnaire is answered"
        out.print(say(answered if domain.questionnaire else "approval: pending; the questionnaire is not answered"))
    elif domain.approval == "approved":
        out.print(say("approval: given by {actor}", actor=domain.approved_by))
    elif domain.approval == "refused":
        reason = domain.approval_reason
        out.print(say("approval: refused by {actor}: {reason}", actor=domain.approved_by, reason=reason))
    tracking = domain.tracking
    counted = {"opens": tracking.opens, "clicks": tracking.clicks, "unsubscribes": tracking.unsubscribes}
    names = [_counted(name) for name, is_on in counted.items() if is_on]
    if tracking.host:
        out.print(say("tracking: {what}, by {host}", what=", ".join(names) or say("nothing"), host=tracking.host))
    else:
        out.print(say("tracking: {what}", what=", ".join(names) or say("nothing")))
    if domain.return_path:
        out.print(say("return path: {address}", address=domain.return_path))
    if not domain.receive_bounces:
        out.print(say("bounces: to the envelope sender"))
    elif domain.rp == "successful":
        out.print(say("bounces: to Ekiden, by a return path of its own"))
    if domain.checked_at is None or domain.check_at is None:
        out.print(say("not checked yet"))
    else:
        times = {"time": local_time(domain.checked_at), "next": local_time(domain.check_at)}
        out.print(say("checked {time}; next {next}", **times))


def _counted(name: str) -> str:
    return {"opens": say("opens"), "clicks": say("clicks"), "unsubscribes": say("unsubscribing")}[name]


def print_records(out: Console, records: Sequence[Record]) -> None:
    """Lines of a zone file; what there is to say about each is a comment of that file."""
    from ekiden.domains.records import alias_line, zone_line

    out.print()
    out.print(f"; {say('Records to publish:')}")
    for record in records:
        for line in _remarks(record):
            out.print(f"; {line}", soft_wrap=True)
        line = zone_line(record) or f"; {say('wanted: an A record, such as that of a website')}"
        # One record is one line, however narrow the terminal is: it is there to be copied.
        out.print(line, soft_wrap=True)
        if record.alias:
            alias = alias_line(record)
            out.print(
                f"; {say('or, in the place of all records of that name: {line}', line=alias)}", soft_wrap=True
            )


def _remarks(record: Record) -> list[str]:
    kind = say(KINDS[record.kind])
    if record.until is not None:
        return [say("{kind}: retired; keep the record until {time}", kind=kind, time=local_time(record.until))]
    if record.check is None:
        return [say("{kind}: not checked yet", kind=kind)]
    if not record.check.code:
        return [say("{kind}: published", kind=kind)]
    lines = [say("{kind}: {what}", kind=kind, what=record.check.text(lang()))]
    advice = record.check.advice(lang())
    return [*lines, f"→ {advice}"] if advice else lines


def print_checks(out: Console, checks: Sequence[Check]) -> None:
    """The history as a table."""
    if not checks:
        return
    out.print()
    out.print(say("Last checks:"))
    table = make_table("time", "record", "result", "found", translate=say)
    for check in checks:
        table.add_row(local_time(check.at), check.asked[0], say(check.result), check.text(lang()))
    out.print(table)


def print_answers(out: Console, answers: Mapping[str, Any], files: Sequence[Evidence]) -> None:
    """The questionnaire with its answers and the files that support them, if there are any."""
    from ekiden.domains.questionnaire import QUESTIONS

    if not answers:
        return
    out.print()
    out.print(say("Answers:"))
    for question in QUESTIONS:
        if question.id in answers:
            out.print(f"{question.part}. {question.text(lang())}", soft_wrap=True)
            out.print(f"   {_answer(answers[question.id])}", soft_wrap=True)
    if files:
        out.print(say("Attachments (ekiden domain attachment):"))
        for file in files:
            out.print(f"   {file.number}. {file.name} ({file.media_type}, {file.size})", soft_wrap=True)


def _answer(value: Any) -> str:
    if isinstance(value, bool):
        return say("yes") if value else say("no")
    return ", ".join(value) if isinstance(value, list) else str(value)
