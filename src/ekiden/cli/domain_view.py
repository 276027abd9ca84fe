"""Domains, their records and their checks for people, as zone-file lines and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

from ekiden.cli.common import lang
from ekiden.cli.domain_translations import TEXTS
from ekiden.cli.tables import make_table
from ekiden.cli.text_table import TextTable
from ekiden.core.clock import SECOND
from ekiden.core.display import iso, local_time

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
}
_TTL = 3_600  # seconds: a mistake is over soon, and recursive name servers are asked seldom enough
_STRING = 255  # octets of one string of a TXT record, RFC 1035 §3.3


def say(text: str, **values: Any) -> str:
    """A text of ``domain_translations`` in the language of the person at the terminal."""
    return TEXTS(text, lang(), **values)


# --- JSON ---------------------------------------------------------------------------------------------------


def domain_json(domain: Domain, account: str) -> dict[str, Any]:
    """One domain; the keys are documented in docs/cli.md."""
    return {
        "id": domain.id,
        "account": account,
        "name": domain.name,
        "status": domain.status,
        "reason": domain.reason,
        "vouched": domain.vouched,
        "spf": domain.spf,
        "dkim": domain.dkim,
        "approval": domain.approval,
        "approval_reason": domain.approval_reason,
        "approved_by": domain.approved_by,
        "approved_at": iso(domain.approved_at),
        "created_at": iso(domain.created_at),
        "verified_at": iso(domain.verified_at),
        "checked_at": iso(domain.checked_at),
        "check_at": iso(domain.check_at),
        "failing_since": iso(domain.failing_since),
        "tracking": {
            "opens": domain.tracking.opens,
            "clicks": domain.tracking.clicks,
            "unsubscribes": domain.tracking.unsubscribes,
            "host": domain.tracking.host,
        },
        "return_path": domain.return_path,
    }


def record_json(record: Record) -> dict[str, Any]:
    from ekiden.domains.reasons import short

    check = record.check
    return {
        "kind": record.kind,
        "name": record.name,
        "type": record.type,
        "value": record.value,
        "zone_line": zone_line(record),
        "required": record.required,
        "status": record.status,
        "code": record.why,
        "why": check.text(lang()) if check is not None else short("not_checked", lang()),
        "advice": check.advice(lang()) if check is not None else "",
        "until": iso(record.until),
    }


def check_json(check: Check) -> dict[str, Any]:
    return {
        "at": iso(check.at),
        "kind": check.kind,
        "result": check.result,
        "code": check.code,
        "asked": {"name": check.asked[0], "type": check.asked[1]},
        "expected": check.expected,
        "answered": list(check.answered),
        "why": check.text(lang()),
        "advice": check.advice(lang()),
    }


# --- zone file ----------------------------------------------------------------------------------------------


def zone_line(record: Record) -> str:
    """The record as a line of a zone file (RFC 1035 §5.1); empty for an address, which is the owner's affair."""
    if record.type != "TXT":
        return ""
    octets = record.value.encode()
    strings = [octets[start : start + _STRING] for start in range(0, len(octets), _STRING)]
    quoted = " ".join(f'"{"".join(_escaped(octet) for octet in string)}"' for string in strings)
    return f"{record.name}. {_TTL} IN TXT {quoted}"


def _escaped(octet: int) -> str:
    if octet in b'"\\':
        return f"\\{chr(octet)}"
    return chr(octet) if 32 <= octet < 127 else f"\\{octet:03d}"


# --- for people ---------------------------------------------------------------------------------------------


def domain_table(domains: Iterable[Domain], accounts: Mapping[int, str]) -> TextTable:
    from ekiden.domains.reasons import short

    table = make_table("domain", "account", "status", "SPF", "DKIM", "why", "last check", translate=_heading)
    for item in domains:
        table.add_row(
            item.name,
            accounts.get(item.account_id, str(item.account_id)),
            say(item.status),
            item.spf,
            item.dkim,
            short(item.reason, lang()) if item.reason else "",
            local_time(item.checked_at) if item.checked_at else say("never"),
        )
    return table


def _heading(text: str) -> str:
    return text if text == "DKIM" else say(text)


def print_domain(out: Console, domain: Domain, account: str, config: DomainsConfig) -> None:
    """Its state in a few lines."""
    from ekiden.domains.reasons import short

    out.print(say("{name} of {account}: {status}", name=domain.name, account=account, status=say(domain.status)))
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
    if domain.checked_at is None or domain.check_at is None:
        out.print(say("not checked yet"))
    else:
        times = {"time": local_time(domain.checked_at), "next": local_time(domain.check_at)}
        out.print(say("checked {time}; next {next}", **times))


def _counted(name: str) -> str:
    return {"opens": say("opens"), "clicks": say("clicks"), "unsubscribes": say("unsubscribing")}[name]


def print_records(out: Console, records: Sequence[Record]) -> None:
    """Lines of a zone file; what there is to say about each is a comment of that file."""
    out.print()
    out.print(f"; {say('Records to publish:')}")
    for record in records:
        for line in _remarks(record):
            out.print(f"; {line}", soft_wrap=True)
        line = zone_line(record) or f"; {say('wanted: an A record, such as that of a website')}"
        # One record is one line, however narrow the terminal is: it is there to be copied.
        out.print(line, soft_wrap=True)


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


def evidence_json(file: Evidence) -> dict[str, Any]:
    """For ``--json``."""
    return {
        "number": file.number,
        "name": file.name,
        "media_type": file.media_type,
        "size": file.size,
        "added_at": iso(file.added_at),
    }


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
