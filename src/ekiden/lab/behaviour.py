"""How a domain of the lab behaves, as values: what its DNS says, which hosts it has, what they answer at which
command.

Nothing here does I/O. JSON bodies of the lab's API and arguments of Python callers become ``Behaviour`` values
here, and wrong ones become ``LabError`` with a sentence that names the field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Annotated, Any, Literal, get_args

import msgspec

from ekiden.core.errors import EkidenError

Stage = Literal["connect", "ehlo", "starttls", "mail", "rcpt", "data", "body", "end", "rset", "quit"]
"""Where a rule acts: at the greeting, at a command's reply, at ``body`` (in the middle of the content, after
its first bytes have come), or at ``end`` (the reply to the end of data). ``ehlo`` covers HELO as well."""

STAGES: tuple[Stage, ...] = get_args(Stage)
RECIPIENT_STAGES: frozenset[Stage] = frozenset({"rcpt", "data", "body", "end"})
"""Stages where the recipient's own rules (its local part, its domain) are known."""

Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]
Extension = Literal["PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES"]
EXTENSIONS: tuple[Extension, ...] = get_args(Extension)


class LabError(EkidenError):
    """Something the lab was asked for and cannot do; the text says why."""


class _Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The common form of the values here: immutable, and a misspelt field is an error."""


class Answer(_Value, frozen=True):
    """A reply. Line breaks in ``text`` make a multi-line one; ``enhanced`` is put on every line (RFC 2034 §4)."""

    code: Annotated[int, msgspec.Meta(ge=100, le=999)]
    enhanced: Annotated[str, msgspec.Meta(pattern=r"^([245]\.\d{1,3}\.\d{1,3})?$")] = ""
    text: str = ""

    def encode(self, *, enhanced: bool = True) -> bytes:
        """The bytes on the wire, CRLF at each end of line."""
        prefix = f"{self.enhanced} " if enhanced and self.enhanced else ""
        lines = self.text.split("\n")
        out = [f"{self.code}-{prefix}{line}\r\n" for line in lines[:-1]]
        out.append(f"{self.code} {prefix}{lines[-1]}".rstrip() + "\r\n")
        return "".join(out).encode("utf-8", "surrogateescape")


class Rule(_Value, frozen=True):
    """What happens at one stage, and when.

    Conditions (all must hold): ``first`` N tries of one sender and recipient (at the connection's own stages:
    first N connections), ``within`` so many seconds after the first of them, ``percent`` of the cases (drawn
    from the seed, the recipient and the number of the try: the same every time).

    Effects: wait ``delay`` seconds; then send ``reply``, or the bytes ``raw`` (one character, one byte), once or
    ``endless``; ``trickle`` sends byte by byte; then ``disconnect``: "close", or "reset" (TCP RST). Without
    ``reply`` and ``raw`` the usual reply follows, except before a disconnect. A rule with a delay only lets
    the rules after it act as well. ``keep`` keeps the message although the reply is no success or never comes
    (stage ``end``).
    """

    at: Stage
    reply: Answer | None = None
    raw: str | None = None
    delay: Seconds = 0
    disconnect: Literal["", "close", "reset"] = ""
    trickle: bool = False
    endless: bool = False
    keep: bool = False
    first: Annotated[int, msgspec.Meta(ge=0)] = 0
    within: Seconds = 0
    percent: Percent = 100

    def __post_init__(self) -> None:
        if self.endless and not self.raw:
            raise ValueError("endless repeats raw, which is missing or empty")

    @property
    def final(self) -> bool:
        """Whether rules after this one are not looked at."""
        return bool(self.reply or self.raw is not None or self.disconnect or self.trickle or self.keep)


class Mix(_Value, frozen=True):
    """One share of a provider's mix: ``percent`` of all tries of recipients meet these ``rules`` (none:
    accepted)."""

    percent: Percent
    rules: tuple[Rule, ...] = ()


class Throttle(_Value, frozen=True):
    """Limits of one host; 0 is no limit. ``connections`` at once (421 at connect), ``messages_per_connection``
    (421 at MAIL), ``messages_per_second`` (450 at MAIL), ``recipients_per_message`` (452 4.5.3 at RCPT)."""

    connections: Annotated[int, msgspec.Meta(ge=0)] = 0
    messages_per_connection: Annotated[int, msgspec.Meta(ge=0)] = 0
    messages_per_second: Annotated[float, msgspec.Meta(ge=0)] = 0
    recipients_per_message: Annotated[int, msgspec.Meta(ge=0)] = 0


class MailHost(_Value, frozen=True):
    """One MX host. "up" serves SMTP, "dead" refuses connections, "hang" lets them time out."""

    preference: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 10
    state: Literal["up", "dead", "hang"] = "up"
    family: Literal["ipv4", "ipv6", "both"] = "ipv4"

    def __post_init__(self) -> None:
        if self.family != "ipv4" and self.state != "up":
            raise ValueError("loopback has one IPv6 address only, so that a host with IPv6 can only be up")


Format = Literal["postfix", "exim", "exchange", "gmail", "qmail", "docomo", "au", "softbank", "arf", "auto-reply"]
"""How a report is written: bounces as these systems write them, a complaint (RFC 5965), a vacation reply (RFC
3834)."""
DELAYS: frozenset[Format] = frozenset({"postfix", "exim", "gmail"})
"""Formats that have one for mail that is late as well."""


class Report(_Value, frozen=True):
    """What a server sends about a message that it has taken: ``delay`` seconds later, by mail, to the envelope
    sender or ``to``, from the null sender.

    ``reply`` is what the server behind it is said to have answered, at ``stage`` ("{recipient}" in its text
    becomes the address; without it the usual one of the format). ``action`` "delayed": not yet delivered, and
    still tried. ``local_part`` stands in place of the envelope sender's, wherever that is found in the report and
    in what it returns, and is where the report goes: a report without the token of a return path. ``redact``: nor
    is the recipient told.
    """

    format: Format
    delay: Seconds = 1
    reply: Answer | None = None
    stage: Literal["rcpt", "end"] = "rcpt"
    action: Literal["failed", "delayed"] = "failed"
    to: Annotated[str, msgspec.Meta(max_length=1000, pattern=r"^([^\x00-\x20\x7f<>]+@[^\x00-\x20\x7f<>]+)?$")] = ""
    local_part: Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[^\x00-\x20\x7f<>@]*$")] = ""
    redact: bool = False
    dkim: Annotated[str, msgspec.Meta(max_length=255)] = ""

    def __post_init__(self) -> None:
        if self.action == "delayed" and self.format not in DELAYS:
            raise ValueError(f"only {', '.join(sorted(DELAYS))} have a report of mail that is delayed")


class Behaviour(_Value, frozen=True):
    """Everything that can be chosen for one domain. All defaults together: a server that accepts."""

    description: str = ""
    dns: Literal[
        "mx",
        "null-mx",
        "mx-nowhere",
        "address-only",
        "no-mail",
        "nxdomain",
        "servfail",
        "refused",
        "timeout",
        "truncated",
    ] = "mx"
    dns_delay: Seconds = 0
    hosts: Annotated[tuple[MailHost, ...], msgspec.Meta(min_length=1, max_length=16)] = (MailHost(),)
    banner: str = "lab ESMTP"
    esmtp: bool = True
    extensions: tuple[Extension, ...] = EXTENSIONS
    size: Annotated[int, msgspec.Meta(ge=0, le=1 << 30)] = 52_428_800
    tls: Literal[
        "offered", "none", "required", "refused", "garbage", "hang", "disconnect", "expired", "wrong-name"
    ] = "offered"
    rules: tuple[Rule, ...] = ()
    mix: tuple[Mix, ...] = ()
    throttle: Throttle = Throttle()
    report: Report | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        total = sum(share.percent for share in self.mix)
        if total > 100.000001:
            raise ValueError(f"the percentages of mix sum up to {total:g}, which is more than 100")

    def recipient_rules(self, recipient: str, number: int) -> tuple[Rule, ...]:
        """The rules for try ``number`` (from 1) of this recipient: its share of the mix first, then the common
        ones."""
        if not self.mix:
            return self.rules
        point = draw(self.seed, "mix", recipient, number)
        for share in self.mix:
            if point < share.percent:
                return share.rules + self.rules
            point -= share.percent
        return self.rules


def draw(seed: int, *parts: object) -> float:
    """A number from 0 up to 100 (exclusive) that depends on the arguments alone: the same in every run."""
    digest = blake2b("/".join(map(str, (seed, *parts))).encode("utf-8", "surrogateescape"), digest_size=6).digest()
    return int.from_bytes(digest) * 100 / (1 << 48)


def parse_behaviour(value: object, catalogue: Mapping[str, Behaviour]) -> Behaviour:
    """A behaviour from decoded JSON: the name of a ready-made one, or an object of ``Behaviour``'s fields.

    The object may name a ready-made one in ``like`` and replace fields of it, and of its report. Raises
    ``LabError``.
    """
    if isinstance(value, Behaviour):
        return value
    if isinstance(value, str):
        return _ready_made(value, catalogue)
    if not isinstance(value, Mapping):
        raise LabError("a behaviour is the name of a ready-made one, or an object")
    fields: dict[str, Any] = dict(value)
    like = fields.pop("like", None)
    if like is not None:
        if not isinstance(like, str):
            raise LabError("like: the name of a ready-made behaviour is expected")
        base = msgspec.to_builtins(_ready_made(like, catalogue))
        if isinstance(fields.get("report"), Mapping):
            fields["report"] = base.get("report", {}) | fields["report"]
        fields = base | {"description": ""} | fields
    try:
        return msgspec.convert(fields, Behaviour)
    except msgspec.ValidationError as error:
        raise LabError(f"this is not a behaviour: {error}") from None


def _ready_made(name: str, catalogue: Mapping[str, Behaviour]) -> Behaviour:
    found = catalogue.get(name.removesuffix(".lab.test"))
    if found is None:
        raise LabError(f"there is no ready-made behaviour {name!r}; there are: {', '.join(sorted(catalogue))}")
    return found


# Local parts that override what the recipient's domain does: NAME or NAME+anything.
_FAIL = re.compile(r"(?:fail|reject)-([45]\d\d)(?:-at-(rcpt|data|end))?")
_GREYLIST = re.compile(r"greylist(?:-(\d{1,4}))?")
_SLOW = re.compile(r"slow-(\d{1,4}(?:\.\d{1,3})?)(?:-at-(rcpt|data|end))?")
_HINT = re.compile(r"hint-(\d{1,6})")
_DISCONNECT = re.compile(r"disconnect-at-(rcpt|data|body|end)")
_FULL = re.compile(r"full(?:-(452|552))?")
_ACCEPT = re.compile(r"accept")
_LATER = re.compile(r"(?:late-([45]\d\d)|complain|auto-reply)(?:-after-(\d{1,4}(?:\.\d{1,3})?))?")

ENHANCED = {421: "4.3.2", 450: "4.2.0", 451: "4.3.0", 452: "4.2.2", 550: "5.1.1", 552: "5.2.2", 554: "5.7.1"}
"""The enhanced code that goes with a basic one where a local part names only that (RFC 3463 §3)."""


def local_part_rules(local: str) -> tuple[Rule, ...] | None:
    """The rules that a recipient's local part asks for; None when it asks for nothing.

    ``fail-CODE[-at-STAGE]``, ``greylist[-TRIES]``, ``hint-SECONDS``, ``slow-SECONDS[-at-STAGE]``,
    ``disconnect-at-STAGE``, ``full[-CODE]``, ``accept`` (whatever the domain does); each may
    be followed by ``+anything``. Those that ask for a report (``recipient_report``) are accepted as well.
    """
    word = local.partition("+")[0].lower()
    if match := _FAIL.fullmatch(word):
        code = int(match[1])
        stage: Any = match[2] or "rcpt"
        enhanced = ENHANCED.get(code, f"{code // 100}.0.0")
        return (Rule(at=stage, reply=Answer(code, enhanced, f"{local} asked for {code}")),)
    if match := _GREYLIST.fullmatch(word):
        reply = Answer(451, "4.7.1", "Greylisted, please try again later")
        return (Rule(at="rcpt", reply=reply, first=int(match[1] or 1)),)
    if match := _HINT.fullmatch(word):
        reply = Answer(451, "4.7.1", f"Greylisted, please try again in {match[1]} seconds")
        return (Rule(at="rcpt", reply=reply, first=1),)
    if match := _SLOW.fullmatch(word):
        stage = match[2] or "rcpt"
        return (Rule(at=stage, delay=min(float(match[1]), 3600)),)
    if match := _DISCONNECT.fullmatch(word):
        stage = match[1]
        return (Rule(at=stage, disconnect="close"),)
    if match := _FULL.fullmatch(word):
        return (Rule(at="rcpt", reply=mailbox_full(int(match[1] or 452))),)
    if _ACCEPT.fullmatch(word) or _LATER.fullmatch(word):
        return ()
    return None


def recipient_report(local: str, domain: Report | None) -> Report | None:
    """What is sent later about mail for this local part, where ``domain`` is what its domain does.

    ``late-CODE``: a bounce with the reply CODE, in the domain's format (else Postfix's); ``complain``,
    ``auto-reply``; each with ``-after-SECONDS``. ``accept``: nothing.
    """
    word = local.partition("+")[0].lower()
    match = _LATER.fullmatch(word)
    if match is None:
        return None if word == "accept" else domain
    if match[1] is None:
        found = Report("arf" if word.startswith("complain") else "auto-reply")
    elif domain is None or domain.format in ("arf", "auto-reply"):
        found = Report("postfix", reply=_late_reply(int(match[1])))
    else:
        found = msgspec.structs.replace(domain, reply=_late_reply(int(match[1])))
    return found if match[2] is None else msgspec.structs.replace(found, delay=min(float(match[2]), 3600))


def _late_reply(code: int) -> Answer | None:
    if code == 550:
        return None  # the format's own words for a user that is not known
    if code in (452, 552):
        return mailbox_full(code)
    text = "Message refused by policy" if code >= 500 else "Temporary failure, try later"
    return Answer(code, ENHANCED.get(code, f"{code // 100}.0.0"), text)


def mailbox_full(code: int) -> Answer:
    """Mailbox full, for now (452) or for good (552)."""
    return Answer(code, f"{code // 100}.2.2", "Mailbox full")
