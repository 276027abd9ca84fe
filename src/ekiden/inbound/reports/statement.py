"""What a reporter says went wrong: its codes, the words, and what the reply answered that it quotes.

The words are judged by ``smtp.diagnose``, as those of a live reply are. Only where a report does not tell the stage
something is added here, so that no living mailbox is taken for a dead one: see ``judge``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ekiden.core.diagnosis import Diagnosis, Stage
from ekiden.inbound.reports.patterns import compiled, one_line
from ekiden.inbound.reports.shape_data import ASIDES, EXPIRED, OF_STAGES, SILENT_FILTERS, STAGES, VAGUE
from ekiden.smtp.diagnose import diagnose

MAX_WORDS: Final = 2_000
"""Characters of a statement that are looked at; ``smtp.diagnose`` judges the first of them."""
NO_CODE: Final = 599
"""What stands for the code of a final failure that has none: no server means anything by it."""
NO_CODE_YET: Final = 499

_CODE: Final = compiled(
    r"(?:^|[\s:>\"'(\[|,;#])([45][0-5]\d)"
    r"(?:[ \t-]*[ \t:(#-]#?([245]\.\d{1,3}\.\d{1,3})\b|[ \t]*-[ \t]*|[ \t]+|: ?|[.,;)'\"\]]|$)"
)
_ENHANCED: Final = compiled(r"(?:^|[\s#(:;=<\[-])([45]\.\d{1,3}\.\d{1,3})(?:[\s#):;,\]>-]|\.?$|\. )")
# Codes of the lines of a reply that were joined, and of those who quote what somebody quoted.
_REPEATED: Final = compiled(
    r"(?:^|\s)[45]\d\d[ -]#?(?:[45]\.\d{1,3}\.\d{1,3}\b)?|^[ \t:#-]*[45]\.\d{1,3}\.\d{1,3}[ \t:-]"
)


class Statement(NamedTuple):
    """``stage``: ``None`` when it is not told."""

    code: int
    enhanced: str
    words: str
    stage: Stage | None
    expired: bool

    @property
    def vague(self) -> bool:
        """It says that something failed, and not what."""
        return not self.words or VAGUE.fullmatch(self.words) is not None


def stage_of(text: str) -> Stage | None:
    """What is told of the dialogue: "in reply to RCPT TO command"."""
    found = OF_STAGES.matching(text)
    return STAGES[found[0]] if found else None


def expired(text: str) -> bool:
    """Whether somebody gave up after a while."""
    return EXPIRED.said(text)


def read_statement(text: str, status: str = "") -> Statement:
    """``text`` is all that is said of a recipient; ``status`` an enhanced code that has a field of its own."""
    text = text[: 2 * MAX_WORDS]
    stage, gave_up = stage_of(text), expired(text)
    text = ASIDES.sub(" ", text)
    code, enhanced, words = 0, "", text
    match = _CODE.search(text)
    if match is not None:
        code, enhanced = int(match[1]), match[2] or ""
        words = text[match.end() :]
    if not enhanced:
        found = _ENHANCED.search(text)
        enhanced = found[1] if found is not None else ""
        if found is not None and code == 0 and not text[: found.start(1)].rpartition("\n")[2].strip():
            words = text[found.end(1) :]  # a reply without its basic code
    words = one_line(_REPEATED.sub(" ", words), MAX_WORDS).lstrip("#:;- ")
    if not words and match is not None:
        # The code came last: "Mailbox is full. 552"
        words = one_line(text[: match.start()], MAX_WORDS)
    return Statement(code, enhanced or status, words, stage, gave_up or _after_too_long(status))


def _after_too_long(status: str) -> bool:
    """RFC 3463 §3.5: X.4.7."""
    return status[1:] == ".4.7"


_CLEAR: Final = frozenset({"0.0", "3.0", "4.0", "5.0"})
"""Details of enhanced codes that say nothing."""


def judge(statement: Statement, recipient: str, final: bool) -> Diagnosis:
    """What a statement comes to. ``final``: nobody will try again.

    Where the stage is not told, most were asked about the recipient, and so it is taken. But that an address is no
    good for ever is believed then only of a reporter's own words, or with a code that says the same: some receivers
    say "550 user unknown", and others "550 5.7.1 user unknown", behind the content, and mean that they filter. It
    is not believed at all of what the reporter calls temporary.
    """
    code = statement.code or (NO_CODE if final and statement.enhanced[:1] != "4" else NO_CODE_YET)
    stage = statement.stage
    if stage is None:
        stage = Stage.END if _filters(recipient) else Stage.RCPT
    found = diagnose(stage, code, statement.enhanced, statement.words)
    if found.hard:
        if statement.stage is None and not _plain(statement, found):
            found = diagnose(Stage.END, code, statement.enhanced, statement.words)
        elif code < 500 or statement.enhanced.startswith("4"):
            found = Diagnosis.RECIPIENT_REFUSED
    if statement.expired and found in _NOTHING and (statement.vague or statement.code == 0):
        return Diagnosis.NETWORK
    return found


def _plain(statement: Statement, found: Diagnosis) -> bool:
    """Whether codes and words say the same, or there are only words."""
    detail = statement.enhanced.partition(".")[2]
    if found is Diagnosis.DISABLED:
        return detail in ("2.1", "7.13") or detail in _CLEAR or not detail
    if not detail:
        return statement.code == 0
    return detail.startswith("1.")


_NOTHING: Final = frozenset({Diagnosis.UNKNOWN, Diagnosis.PROTOCOL, Diagnosis.RECIPIENT_REFUSED})
"""What codes come to when the words say nothing."""


def _filters(recipient: str) -> bool:
    domain = recipient.rpartition("@")[2].lower()
    return any(domain == name or domain.endswith("." + name) for name in SILENT_FILTERS)
