"""What a received mail says about mail of ours (``core.report``): the one reader of reports.

What is written for machines is read first (RFC 3464, RFC 5965), then what is written for people. The words of both
go through the judgement of live replies (``statement.judge``). Whatever a mail is, it costs no more than the bounds
here and in ``material`` allow: where they end, the rest is ``Diagnosis.UNKNOWN``.
"""

from __future__ import annotations

from typing import Final

from ekiden.core.diagnosis import Diagnosis, Stage
from ekiden.core.report import Kind, Reading, Report
from ekiden.inbound.reports.auto_reply import read_auto_reply, says_so
from ekiden.inbound.reports.dates import moment
from ekiden.inbound.reports.feedback import read_feedback
from ekiden.inbound.reports.free_form import Found, FreeForm, find_shape, named_anywhere, read_free_form
from ekiden.inbound.reports.material import Fields, Material, addresses_in, gather
from ekiden.inbound.reports.origin import quoted_origin
from ekiden.inbound.reports.patterns import ADDRESS, compiled
from ekiden.inbound.reports.ses_notice import read_ses_notice
from ekiden.inbound.reports.shape_data import (
    AFTER_CONTENT,
    DELAYED,
    FAILED,
    FORWARDED,
    SENDERS,
    SUBJECTS,
    YOURS,
    Shape,
)
from ekiden.inbound.reports.statement import Statement, expired, judge, read_statement, stage_of
from ekiden.inbound.reports.status_fields import Group, Status, mailbox, read_status, split_type
from ekiden.inbound.reports.unsubscribe import asks_to_unsubscribe
from ekiden.mime.tree import Part, TreeBounds, read_tree
from ekiden.smtp.diagnose import MAX_TEXT

MAX_OCTETS: Final = 1 << 20
"""Of a mail that are looked at: what comes behind is the mail that is returned."""
BOUNDS: Final = TreeBounds(parts=128, depth=12, header=131_072, fields=2_000, delimiters=2_000)
MAX_REPORTS: Final = 100
MAX_JUDGED: Final = 1_500
"""Characters of different statements of one mail that are judged."""


def read_report(raw: bytes, tree: Part | None = None) -> Reading:
    """``raw`` is the mail as it came, ``tree`` its parts if somebody has read them already. Never raises."""
    material = gather(read_tree(raw[:MAX_OCTETS], BOUNDS) if tree is None else tree)
    material.shortened = material.shortened or len(raw) > MAX_OCTETS
    return _read(material, 0)


def _read(material: Material, depth: int) -> Reading:
    complaints = read_feedback(material)
    if complaints is not None:
        reports, said = complaints
        return _reading(material, reports[0].kind, reports, said)
    aggregate = _aggregate(material)
    if aggregate is not None:
        return _reading(material, aggregate, [], [])
    notice = read_ses_notice(material.text)
    if notice is not None:
        reports, said = notice
        return _reading(material, reports[0].kind if reports else Kind.OTHER, reports, said)
    bounce = _bounce(material)
    if bounce is None or all(report.how == GUESSED for report in bounce.reports):
        inner = _sent_on(material, depth)
        if inner is not None:
            return inner
    if bounce is not None:
        return bounce
    if asks_to_unsubscribe(material):
        sender = mailbox(material.header("from"))
        return _reading(material, Kind.UNSUBSCRIBE, [Report(Kind.UNSUBSCRIBE, sender, how="words")], [])
    reply = read_auto_reply(material)
    if reply is not None:
        return _reading(material, reply.kind, [reply], [])
    return _reading(material, Kind.OTHER, [], [])


def _reading(material: Material, kind: Kind, reports: list[Report], said: Fields) -> Reading:
    reports = reports[:MAX_REPORTS]
    return Reading(kind, tuple(reports), quoted_origin(material, said, reports), material.shortened)


# ---- reports about many mails

_DMARC_SUBJECT: Final = compiled(r"^\W{0,4}report[- ]domain: ?\S+")
_DMARC_FILE: Final = compiled(r"^[^!\s]+![^!\s]+!\d+!\d+(?:![^!\s]+)?\.(?:xml|zip|gz|xml\.gz)$")
_TLS_TYPES: Final = ("application/tlsrpt+json", "application/tlsrpt+gzip")


def _aggregate(material: Material) -> Kind | None:
    report_type = material.root.params.get("report-type", "").lower()
    if report_type == "tlsrpt" or any(kind in _TLS_TYPES for kind, _ in material.files):
        return Kind.TLS_REPORT
    if any(_DMARC_FILE.search(name.strip()) for _, name in material.files):
        return Kind.DMARC_REPORT
    if _DMARC_SUBJECT.search(material.header("subject")) and material.files:
        return Kind.DMARC_REPORT
    return None


# ---- bounces and delays

_DSN: Final = "delivery-status"
GUESSED: Final = "returned-mail"
"""``Report.how`` of a recipient of whom only the mail that came back tells."""


def _bounce(material: Material) -> Reading | None:
    """``None``: the mail is no report about a delivery."""
    subject = material.header("subject")
    status = _joined(material)
    declared = bool(material.statuses)
    if not declared and says_so(material):
        return None
    shape = find_shape(material)
    if not (declared or _speaks_of_failure(material, shape, subject)):
        return None
    groups = _chosen(status, material)
    known = [address for group in groups for address in (group.recipient, group.asked) if address]
    free = read_free_form(material, shape, known)
    judged = _Judge()
    late = not groups and _only_late(material, subject)
    if groups:
        reporter = split_type(status.of_message.get("reporting-mta", ""))[1]
        reports = [_of_group(group, free, material, reporter, judged) for group in groups]
    else:
        named = _named(material, free, subject, declared)
        reports = [_of_words(found, free, material, judged, late, len(named) == 1) for found in named]
    if not reports and not declared:
        return None
    reports = _each_once(reports)
    kind = _whole(reports, late, subject)
    return _reading(material, kind, reports, list(status.of_message.items()))


def _each_once(reports: list[Report]) -> list[Report]:
    """One of each recipient; what failed counts more than what is late."""
    found: dict[str, Report] = {}
    for report in reports:
        before = found.get(report.recipient.lower())
        if before is None or _ORDER[report.kind] < _ORDER[before.kind]:
            found[report.recipient.lower()] = report
    return list(found.values())


_ORDER: Final = {Kind.BOUNCE: 0, Kind.DELAY: 1, Kind.OTHER: 2}


def _sent_on(material: Material, depth: int) -> Reading | None:
    """A report that came within another one, which says nothing itself: some gateways do so."""
    if depth or material.inner is None or not _from_a_system(material):
        return None
    inner = gather(material.inner)
    if not _from_a_system(inner):
        return None
    found = _read(inner, depth + 1)
    return found if found.kind in (Kind.BOUNCE, Kind.DELAY) and found.reports else None


def _joined(material: Material) -> Status:
    of_message: dict[str, str] = {}
    groups: list[Group] = []
    for text in material.statuses[:8]:
        status = read_status(text)
        of_message = {**status.of_message, **of_message}
        groups += status.groups
        material.shortened = material.shortened or status.shortened
    return Status(of_message, groups[:MAX_REPORTS], False)


def _chosen(status: Status, material: Material) -> list[Group]:
    """Groups that say something. One without a recipient is of the one who is named elsewhere, if there is one."""
    if all(group.recipient for group in status.groups):
        return status.groups
    named = [*addresses_in(material.header("x-failed-recipients"))] or _returned_to(material)
    if len(status.groups) == 1 and named:
        return [status.groups[0]._replace(recipient=named[0])]
    return [group for group in status.groups if group.recipient]


def _from_a_system(material: Material) -> bool:
    """Whether a mail system wrote it, and no person."""
    sender = material.header("from")
    if not sender or SENDERS.said(sender):
        return True
    if material.header("x-failed-recipients"):
        return True
    return _OF_SYSTEMS.match(material.header("return-path")) is not None


_OF_SYSTEMS: Final = compiled(r"^(?:<>|<?mailer-daemon(?:@[^>]*)?>?)$")


def _speaks_of_failure(material: Material, shape: Shape | None, subject: str) -> bool:
    if shape is not None and shape.sure and not material.header("in-reply-to"):
        return True
    if material.header("x-failed-recipients"):
        return True
    about = SUBJECTS.said(subject)
    fails = FAILED.said(material.text) or DELAYED.said(material.text)
    if _from_a_system(material):
        if shape is not None or about:
            return about or fails
        # Postmasters write other things, too.
        ours = YOURS.said(material.text) or bool(material.returned)
        return fails and ours and not material.header("in-reply-to")
    # Some send as if they were somebody: their subject says so, they have a form or return the mail.
    if not about or not fails or material.header("in-reply-to") or FORWARDED.said(subject):
        return False
    return shape is not None or bool(material.returned)


def _only_late(material: Material, subject: str) -> bool:
    if DELAYED.said(subject):
        return True
    return DELAYED.said(material.text[:4_096])


def _named(material: Material, free: FreeForm, subject: str, declared: bool) -> list[Found]:
    """Whom a report in free form is about."""
    failed = list(dict.fromkeys(addresses_in(material.header("x-failed-recipients"))))
    if failed:
        return _of_failed(failed, free, material)
    if free.found:
        return free.found
    others = named_anywhere(material)
    returned = _returned_to(material)
    if others:
        likely = [address for address in others if address.lower() in returned] or others[:1]
        return [Found(likely[0], material.text, stage_of(material.text))]
    if returned and (declared or SUBJECTS.said(subject)):
        return [Found(returned[0], material.text, stage_of(material.text), surely=False)]
    if SUBJECTS.said(subject) and FAILED.said(material.text):
        # Whom is known by the address that it came to.
        return [Found("", material.text, stage_of(material.text), surely=False)]
    return []


def _of_failed(failed: list[str], free: FreeForm, material: Material) -> list[Found]:
    said = {found.recipient.lower(): found for found in free.found}
    alone = len(failed) == 1
    texts: list[Found] = []
    for address in failed[:MAX_REPORTS]:
        found = said.get(address)
        if found is None and alone and len(free.found) == 1:
            found = free.found[0]._replace(recipient=address)
        if found is None:
            text = free.says or (material.text if alone else "")
            found = Found(address, text, stage_of(material.text) if alone else None)
        texts.append(found)
    return texts


def _returned_to(material: Material) -> list[str]:
    """Recipients in the header that came back."""
    found: dict[str, None] = {}
    for wanted in ("to", "cc"):
        for name, value in material.returned:
            if name == wanted:
                found.update(dict.fromkeys(addresses_in(value)))
    for name, value in material.returned:
        if name == "received" and (match := _FOR.search(value)):
            found.setdefault(match[1].lower())
    return list(found)[:MAX_REPORTS]


_FOR: Final = compiled(rf"\bfor[ \t]+<?({ADDRESS})")


class _Judge:
    """``statement.judge``, for so many different statements of one mail: that is what takes most of its time."""

    def __init__(self) -> None:
        self._known: dict[tuple[Statement, str, bool], Diagnosis] = {}
        self._left = MAX_JUDGED

    def __call__(self, statement: Statement, recipient: str, final: bool) -> Diagnosis:
        statement = statement._replace(words=_ADDRESS.sub("@", statement.words[:MAX_TEXT]))
        key = (statement, recipient.rpartition("@")[2].lower(), final)
        found = self._known.get(key)
        if found is None:
            if self._left <= 0:
                return Diagnosis.UNKNOWN
            self._left -= max(len(statement.words), _LEAST)
            found = self._known[key] = judge(statement, recipient, final)
        return found


_ADDRESS: Final = compiled(ADDRESS)
"""Which address it is makes no other statement."""
_LEAST: Final = 40


def _of_group(group: Group, free: FreeForm, material: Material, reporter: str, judged: _Judge) -> Report:
    action = group.action or _assumed_action(group, material)
    kind = _KINDS.get(action, Kind.BOUNCE)
    statement = read_statement(group.diagnostic, group.status)
    words = _words_of(group, free)
    how = _DSN
    if statement.stage is None and AFTER_CONTENT.said(reporter):
        statement = statement._replace(stage=Stage.END)
    if words is not None:
        told = read_statement(words.text, group.status)
        if _says_more(told, statement):
            statement, how = told, free.name or _DSN
        statement = statement._replace(stage=statement.stage or words.stage)
    if kind is Kind.OTHER:
        diagnosis = Diagnosis.NONE
    else:
        final = kind is Kind.BOUNCE
        diagnosis = judged(statement, group.recipient, final)
        if diagnosis is Diagnosis.UNKNOWN and words is not None:
            told = read_statement(words.text, group.status)
            diagnosis = judged(told._replace(stage=statement.stage), group.recipient, final)
    return Report(
        kind,
        group.recipient,
        asked=group.asked if group.asked.lower() != group.recipient.lower() else "",
        action=action,
        diagnosis=diagnosis,
        code=statement.code,
        enhanced=statement.enhanced,
        text=statement.words[:MAX_TEXT],
        stage=statement.stage,
        expired=statement.expired,
        remote_mta=group.remote_mta,
        at=moment(group.date),
        how=how,
    )


_KINDS: Final = {
    "delayed": Kind.DELAY,
    "relayed": Kind.OTHER,
    "delivered": Kind.OTHER,
    "expanded": Kind.OTHER,
}


def _assumed_action(group: Group, material: Material) -> str:
    if group.waits or _only_late(material, material.header("subject")):
        return "delayed"
    return "delivered" if group.status.startswith("2.") and not group.diagnostic else "failed"


def _words_of(group: Group, free: FreeForm) -> Found | None:
    wanted = {group.recipient.lower(), group.asked.lower()}
    for found in free.found:
        if found.recipient.lower() in wanted:
            return found
    return None


def _says_more(told: Statement, statement: Statement) -> bool:
    """Whether what is said to people is better than what the fields have: those are often cut, or have no words."""
    if told.vague:
        return False
    if statement.vague:
        return True
    start = statement.words[:24].lower()
    return (
        told.code == statement.code
        and len(told.words) > len(statement.words)
        and told.words.lower().startswith(start)
    )


def _of_words(found: Found, free: FreeForm, material: Material, judged: _Judge, late: bool, alone: bool) -> Report:
    statement = read_statement(found.text)
    gave_up = statement.expired or (alone and expired(material.text))
    statement = statement._replace(stage=found.stage or statement.stage, expired=gave_up)
    kind = Kind.DELAY if late else Kind.BOUNCE
    return Report(
        kind,
        found.recipient,
        action="delayed" if late else "failed",
        diagnosis=judged(statement, found.recipient, not late),
        code=statement.code,
        enhanced=statement.enhanced,
        text=statement.words[:MAX_TEXT],
        stage=statement.stage,
        expired=statement.expired,
        at=moment(material.header("date")),
        how=(free.name or "words") if found.surely else GUESSED,
        named=found.surely,
    )


def _whole(reports: list[Report], late: bool, subject: str) -> Kind:
    kinds = {report.kind for report in reports}
    for kind in (Kind.BOUNCE, Kind.DELAY):
        if kind in kinds:
            return kind
    if kinds:
        return Kind.OTHER
    return Kind.DELAY if late or DELAYED.said(subject) else Kind.BOUNCE
