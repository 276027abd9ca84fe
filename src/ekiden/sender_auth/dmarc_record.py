"""DMARC policy records (RFC 9989 §4.7, §4.8): tags to values, with everything that is wrong in them.

Only the version can spoil a record. Any other fault is remembered in ``problems`` and the tag has its default, as
RFC 9989 wants it. The tags of RFC 7489 that RFC 9989 retired (pct, rf, ri) are known too: they are still published.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast
from urllib.parse import unquote

from ekiden.core.address import BadAddress, parse_address
from ekiden.core.texts import TranslatedError
from ekiden.sender_auth.dmarc_translations import TEXTS

Policy = Literal["none", "quarantine", "reject"]
Alignment = Literal["r", "s"]
Psd = Literal["y", "n", "u"]
ProblemCode = Literal["malformed", "repeated_tag", "unknown_tag", "retired_tag", "invalid_value", "report_size"]

_VERSION = re.compile(r"[vV][ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")
_TAG = re.compile(r"([A-Za-z]+)[ \t]*=[ \t]*([\x20-\x3a\x3c-\x7e]*)\Z")
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):([\x21-\x2b\x2d-\x7e]+)\Z")
_SIZE = re.compile(r"![0-9]+[kmgtKMGT]?\Z")
_POLICIES = frozenset({"none", "quarantine", "reject"})
_RETIRED = frozenset({"pct", "rf", "ri"})  # "historic" in the DMARC tag registry
_CHOICES = {
    "p": _POLICIES,
    "sp": _POLICIES,
    "np": _POLICIES,
    "adkim": frozenset({"r", "s"}),
    "aspf": frozenset({"r", "s"}),
    "t": frozenset({"y", "n"}),
    "psd": frozenset({"y", "n", "u"}),
}


class DmarcError(TranslatedError):
    """The base of what is raised about DMARC."""


class NotDmarc(DmarcError):
    """A text that is no DMARC record: it does not begin with ``v=DMARC1``."""


class Problem(NamedTuple):
    """A fault in a record: the tag (empty when there is none to name) and its text as written."""

    code: ProblemCode
    tag: str
    value: str


@dataclass(frozen=True, slots=True)
class DmarcRecord:
    """The tags of a record. ``policy`` (p), ``subdomain_policy`` (sp) and ``nonexistent_policy`` (np) are ``None``
    when they are not given or not valid. ``percent`` (pct) is 100 by default. ``aggregate`` (rua) and ``failure``
    (ruf) hold valid URIs, without the size limits of RFC 7489; ``failure_options`` (fo) is some of 0, 1, d and s.
    """

    text: str
    policy: Policy | None = None
    subdomain_policy: Policy | None = None
    nonexistent_policy: Policy | None = None
    dkim_alignment: Alignment = "r"
    spf_alignment: Alignment = "r"
    testing: bool = False
    psd: Psd = "u"
    percent: int = 100
    aggregate: tuple[str, ...] = ()
    failure: tuple[str, ...] = ()
    failure_options: frozenset[str] = frozenset({"0"})
    problems: tuple[Problem, ...] = ()

    @property
    def has_valid_policy(self) -> bool:
        """p is there, and p, sp and np are valid (§4.10.1)."""
        return self.policy is not None and not any(
            problem.code == "invalid_value" and problem.tag in {"p", "sp", "np"} for problem in self.problems
        )

    def requested(self, of: Literal["domain", "subdomain", "nonexistent"] = "domain") -> Policy | None:
        """The policy for mail from the domain of the record, a subdomain, or one that does not exist.

        Without a valid policy it is ``none`` when reports are wanted, else ``None``: no DMARC applies (§4.10.1).
        """
        if not self.has_valid_policy:
            return "none" if self.aggregate else None
        policy = self.policy
        if of != "domain":
            policy = self.subdomain_policy or policy
        if of == "nonexistent":
            policy = self.nonexistent_policy or policy
        return policy


def is_dmarc_record(record: bytes | str) -> bool:
    """Whether a TXT record begins with the version; others are not looked at (§4.10)."""
    return _VERSION.match(_text(record)) is not None


def parse_dmarc_record(record: bytes | str) -> DmarcRecord:
    """The tags of a record. Raises ``NotDmarc``; any other fault is among ``problems``."""
    text = _text(record)
    version = _VERSION.match(text)
    if version is None:
        raise NotDmarc(TEXTS, "a DMARC record begins with v=DMARC1 and a semicolon")
    problems: list[Problem] = []
    tags: dict[str, str] = {}
    for part in text[version.end() :].split(";"):
        match = _TAG.match(part.strip(" \t"))
        if match is None:
            if part.strip(" \t"):
                problems.append(Problem("malformed", "", part.strip(" \t")))
            continue
        tag, value = match.group(1).lower(), match.group(2)
        if tag in tags:
            problems.append(Problem("repeated_tag", tag, value))
            continue
        tags[tag] = value
    choices: dict[str, str] = {}
    for tag, value in tags.items():
        if tag in _CHOICES:
            if value.lower() in _CHOICES[tag]:
                choices[tag] = value.lower()
            else:
                problems.append(Problem("invalid_value", tag, value))
        elif tag in _RETIRED:
            problems.append(Problem("retired_tag", tag, value))
        elif tag not in {"rua", "ruf", "fo"}:
            problems.append(Problem("unknown_tag", tag, value))
    return DmarcRecord(
        text,
        cast("Policy | None", choices.get("p")),
        cast("Policy | None", choices.get("sp")),
        cast("Policy | None", choices.get("np")),
        cast("Alignment", choices.get("adkim", "r")),
        cast("Alignment", choices.get("aspf", "r")),
        choices.get("t") == "y",
        cast("Psd", choices.get("psd", "u")),
        _percent(tags.get("pct"), problems),
        _uris("rua", tags.get("rua"), problems),
        _uris("ruf", tags.get("ruf"), problems),
        _options(tags.get("fo"), problems),
        tuple(problems),
    )


def report_address(uri: str) -> str | None:
    """The mail address of a ``mailto:`` URI (RFC 6068); ``None`` for other schemes."""
    scheme, _, rest = uri.partition(":")
    return unquote(rest.partition("?")[0]) if scheme.lower() == "mailto" else None


def _uris(tag: str, value: str | None, problems: list[Problem]) -> tuple[str, ...]:
    uris = []
    for item in value.split(",") if value is not None else ():
        uri = item.strip(" \t")
        without_size = _SIZE.sub("", uri)
        if without_size != uri:
            problems.append(Problem("report_size", tag, uri))
        if _is_uri(without_size):
            uris.append(without_size)
        else:
            problems.append(Problem("invalid_value", tag, uri))
    return tuple(uris)


def _is_uri(uri: str) -> bool:
    # A comma or an exclamation mark inside of a URI is written %2C, %21 (§4.8).
    if _URI.match(uri) is None or "!" in uri:
        return False
    address = report_address(uri)
    if address is None:
        return True
    try:
        parse_address(address)
    except BadAddress:
        return False
    return True


def _percent(value: str | None, problems: list[Problem]) -> int:
    """RFC 7489 §6.3 ``pct``: 0 to 100."""
    if value is None:
        return 100
    if not re.fullmatch(r"[0-9]{1,3}", value) or int(value) > 100:
        problems.append(Problem("invalid_value", "pct", value))
        return 100
    return int(value)


def _options(value: str | None, problems: list[Problem]) -> frozenset[str]:
    if value is None:
        return frozenset({"0"})
    options = frozenset(item.strip(" \t").lower() for item in value.split(":"))
    if not options <= {"0", "1", "d", "s"}:
        problems.append(Problem("invalid_value", "fo", value))
        return frozenset({"0"})
    return options


def _text(record: bytes | str) -> str:
    return record.decode("ascii", "backslashreplace") if isinstance(record, bytes) else record
