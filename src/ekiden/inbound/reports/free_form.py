"""Reports in free form: whom they name, and what they say of each.

The forms are data (``bounces.toml``); a mail that has none of them, but is sent by a mail system and speaks of
something that failed, is read by what most have in common: an address that begins a line, and words behind it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from ekiden.core.diagnosis import Stage
from ekiden.inbound.reports.material import Material
from ekiden.inbound.reports.patterns import ADDRESS, compiled
from ekiden.inbound.reports.shape_data import BODIES, FAILED, NOT_RECIPIENTS, SHAPES, Shape
from ekiden.inbound.reports.statement import MAX_WORDS, stage_of
from ekiden.inbound.reports.status_fields import tidy

MAX_RECIPIENTS: Final = 100
_MAX_HITS: Final = 200
_SEARCHED: Final = 16_384
"""Characters of what is said to people in which recipients are looked for."""
_MARKED: Final = 6_144
"""In which a form shows itself."""


class Found(NamedTuple):
    """What is said of one recipient."""

    recipient: str
    text: str
    stage: Stage | None
    surely: bool = True
    """The report names it; else only the mail that came back does."""


class FreeForm(NamedTuple):
    """``name`` is that of the form; empty: none is known. ``says``: as of ``Shape``."""

    name: str
    found: list[Found]
    says: str = ""


def find_shape(material: Material) -> Shape | None:
    """The form that a mail has."""
    sender, subject = material.header("from"), material.header("subject")
    said = material.text[:_MARKED]
    for number in BODIES.matching(said):
        shape = SHAPES[number]
        if shape.sender is not None and not shape.sender.search(sender):
            continue
        if shape.subject is not None and not shape.subject.search(subject):
            continue
        if any(not pattern.search(material.header(name)) for name, pattern in shape.header):
            continue
        return shape
    return None


_USUAL: Final = compiled(
    rf"^[ \t>*-]{{0,12}}(?:<({ADDRESS})>|({ADDRESS}))[ \t]*(?:\([^)\n]*\))?[ \t]*:?[ \t]*$"
    rf"|^[ \t]{{0,8}}(?:<({ADDRESS})>|\"({ADDRESS})\")[ \t]*(?:\([^)\n]*\))?[ \t]*:?"
    rf"|^[ \t]{{0,8}}({ADDRESS})(?:[ \t]*:|[ \t]+[\[(-]|[ \t]+\.\.\.)"
    rf"|(?:deliver(?:ed|y)?|message|mail|sent|send|addressed|undeliverable|recipients?|address|rcpt)(?: failed)?"
    rf"(?: for| to)?[ \t]*:?[ \t]*['\"<]{{0,2}}({ADDRESS})"
)
_ANY: Final = compiled(rf"<?({ADDRESS})")
_REPLIES: Final = compiled(r"^[ \t]*(?:<<<|<--)[ \t]*([45]\d\d[^\n]*)$")
_REPLY_LINE: Final = compiled(r"^[45]\d\d[ -]\S[^\n]*$")
_SMTP: Final = compiled(r"(?:^|[\s:>\"'(\[|])[45][0-5]\d(?:[ -]|$)")


def read_free_form(material: Material, shape: Shape | None, known: Iterable[str] = ()) -> FreeForm:
    """What ``material`` says in words. ``known``: recipients that its fields name: only they are looked for."""
    text = material.text[:_SEARCHED]
    wanted = {address.lower() for address in known}
    if shape is not None and shape.recipient is not None:
        hits = _hits(text, shape.recipient)
    else:
        hits = [hit for hit in _hits(text, _USUAL) if wanted or _likely(hit.recipient, material)]
    if wanted:
        hits = [hit for hit in hits if hit.recipient.lower() in wanted]
    found = _segments(text, hits, shape)
    if not found and len(wanted) == 1 and shape is not None:
        line = _REPLY_LINE.search(text)
        if line is not None:
            found = [Found(next(iter(wanted)), line[0], stage_of(text))]
    return FreeForm("", found) if shape is None else FreeForm(shape.name, found, shape.says)


class _Hit(NamedTuple):
    recipient: str
    line: int
    """Where its line begins."""
    end: int


def _hits(text: str, pattern: object) -> list[_Hit]:
    hits: list[_Hit] = []
    for number, match in enumerate(pattern.finditer(text)):  # type: ignore[attr-defined]
        if number == _MAX_HITS:
            break
        address = tidy(next((group for group in match.groups() if group), ""))
        if address:
            hits.append(_Hit(address, text.rfind("\n", 0, match.start() + 1) + 1, match.end()))
    return hits


def _likely(address: str, material: Material) -> bool:
    """Of an address that is only somewhere in what is said."""
    if NOT_RECIPIENTS.said(address):
        return False
    return address.lower() not in material.own


class _Said:
    """What belongs to a recipient."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.before: list[str] = []
        """Since the recipient that is named before."""
        self.behind: list[str] = []
        """Up to the next one."""


def _segments(text: str, hits: list[_Hit], shape: Shape | None) -> list[Found]:
    """What is said of each recipient, in the order in which they are named first."""
    said: dict[str, _Said] = {}
    last = 0
    for number, hit in enumerate(hits):
        key = hit.recipient.lower()
        if key not in said and len(said) == MAX_RECIPIENTS:
            break
        one = said.setdefault(key, _Said(hit.recipient))
        following = hits[number + 1].line if number + 1 < len(hits) else len(text)
        one.before.append(text[last : hit.line])
        one.behind.append(text[hit.end : max(following, hit.end)])
        line_end = text.find("\n", hit.end)
        last = len(text) if line_end < 0 else line_end
    return [Found(one.name, *_statement(text, one, shape, len(said) == 1)) for one in said.values()]


def _statement(text: str, said: _Said, shape: Shape | None, alone: bool) -> tuple[str, Stage | None]:
    segments = said.before if shape is not None and shape.before else said.behind
    own = "\n".join(segments)
    if shape is None:
        return _words(segments, own, text if alone else ""), stage_of(text if alone else own)
    stage = shape.stage or stage_of(own) or (stage_of(text) if alone else None)
    if shape.pipelined and stage is Stage.DATA:
        stage = None
    if shape.says:
        return shape.says, stage
    if shape.text is not None:
        match = shape.text.search(own) or shape.text.search(text)
        if match is not None:
            return next((group for group in match.groups() if group), ""), stage
    if shape.dialogue:
        told, around = _over_the_wire(said)
        if told:
            stage = shape.stage or stage_of(around)
            return told, None if shape.pipelined and stage is Stage.DATA else stage
    return _words(segments, own, text if alone else ""), stage


def _over_the_wire(said: _Said) -> tuple[str, str]:
    """Of a transcript what the peer replied, or what the reporter says instead; and the lines around it.

    The lines before a recipient's are from the last command on: what is before was about others.
    """
    for behind in said.behind:
        line = behind.partition("\n")[0].strip()
        if line and not _TRANSLATED.search(line) and _SAYS.search(line):
            return line, line
    for before, behind in zip(reversed(said.before), reversed(said.behind), strict=True):
        around = before[max(before.rfind("\n>>>"), before.rfind("\n-->"), 0) :][-4 * MAX_WORDS :]
        replies = [match[1] for match in _REPLIES.finditer(around)]
        if replies:
            return _first_reply(replies), f"{around}{behind[:MAX_WORDS]}"
    for behind in said.behind:
        replies = [match[1] for match in _REPLIES.finditer(behind[: 4 * MAX_WORDS])]
        if replies:
            return _first_reply(replies), behind
    return "", ""


_TRANSLATED: Final = compiled(
    r"^(?:user unknown|remote protocol error|service unavailable|deferred\b|\(reason: \d{0,3}\))"
)
_SAYS: Final = compiled(r"[a-z]{3,} [a-z]{3,}|[^\x00-\x7f]{3,}")


def _words(segments: list[str], own: str, all_of_it: str) -> str:
    for segment in segments if len(segments) == 1 else (*segments, own):
        if _SMTP.search(segment):
            return _from_reply(segment)
    return _paragraphs(own if own.strip() else all_of_it)


def _first_reply(replies: list[str]) -> str:
    """The lines of the first of them; what the peer said to commands that were sent with it comes behind."""
    lines = [replies[0]]
    for line in replies[1:]:
        if lines[-1][3:4] != "-" or line[:3] != lines[0][:3]:
            break
        lines.append(line)
    return " ".join(lines)


def _from_reply(segment: str) -> str:
    match = _SMTP.search(segment)
    assert match is not None
    return _paragraphs(segment[match.start() :])


_BLANK: Final = compiled(r"\n[ \t]*\n")


def _paragraphs(text: str) -> str:
    """The first paragraphs, until something is said that speaks of a failure."""
    parts = _BLANK.split(text[: 4 * MAX_WORDS].strip(), 6)
    told = ""
    for part in parts[:6]:
        told = f"{told}\n{part}" if told else part
        if _SMTP.search(told) or FAILED.said(told):
            break
    return told


def named_anywhere(material: Material) -> list[str]:
    """Addresses in what is said, those that it may be about; the likeliest first."""
    found: dict[str, str] = {}
    for number, match in enumerate(_ANY.finditer(material.text[:_SEARCHED])):
        if number == _MAX_HITS:
            break
        address = tidy(match[1])
        if address and _likely(address, material):
            found.setdefault(address.lower(), address)
    return list(found.values())[:MAX_RECIPIENTS]
