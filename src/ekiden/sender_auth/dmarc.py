"""DMARC: which policy applies to a domain, and whether a message passes (RFC 9989).

The organisational domain is found with the DNS tree walk of RFC 9989 §4.10, at most eight questions, and not with
a list of public suffixes as in RFC 7489: what the owners of domains publish decides (``psd=``), and no list can be
out of date. A subdomain without a record thus needs one at its organisational domain, also for relaxed alignment.

``t=y`` (RFC 9989) and ``pct`` (RFC 7489, retired) both mean one level less than the policy; they do not add up.
A question that the DNS does not answer gives ``temperror`` with the disposition ``none``, unless the message passes
without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from ekiden.core.address import BadAddress, to_ascii_domain
from ekiden.core.language import Language
from ekiden.sender_auth.dmarc_record import (
    Alignment,
    DmarcRecord,
    Policy,
    is_dmarc_record,
    parse_dmarc_record,
)
from ekiden.sender_auth.dmarc_translations import TEXTS
from ekiden.sender_auth.dns import Lookup, TemporaryDnsError
from ekiden.sender_auth.recorded_lookup import Asked, RecordedLookup

_MAX_REMEMBERED = 512  # octets of a record that is remembered when it was read
MAX_LABELS = 7  # of the parents that are asked, §4.10 step 4

DmarcWord = Literal["none", "pass", "fail", "temperror", "permerror"]
DmarcReason = Literal[
    "aligned",
    "not_aligned",
    "no_record",
    "several_records",  # at the author domain, and no record above it
    "no_policy",  # neither a valid p= nor a valid rua= (§4.10.1)
    "bad_domain",
    "dns",
]

_LESS: Mapping[Policy, Policy] = {"reject": "quarantine", "quarantine": "none", "none": "none"}


class Identifier(NamedTuple):
    """What SPF or DKIM said of a domain: that of MAIL FROM (HELO's when it is empty), or ``d=`` of a signature.

    ``result`` is a word of RFC 8601 §2.7; only ``pass`` can align.
    """

    kind: Literal["spf", "dkim"]
    domain: str
    result: str
    selector: str = ""


class IdentifierAlignment(NamedTuple):
    """An identifier beside the author domain. ``organizational_domain`` is empty when it did not matter."""

    identifier: Identifier
    mode: Alignment
    aligned: bool
    organizational_domain: str = ""


@dataclass(frozen=True, slots=True)
class Discovery:
    """The record that applies to mail from ``domain``, found at ``policy_domain``; ``None`` when there is none.

    ``reason`` is ``no_record``, ``several_records``, ``bad_domain`` or ``dns`` when there is no record, else empty.
    """

    domain: str
    record: DmarcRecord | None = None
    policy_domain: str | None = None
    reason: DmarcReason | Literal[""] = ""
    trace: tuple[Asked, ...] = ()


@dataclass(frozen=True, slots=True)
class DmarcResult:
    """What DMARC says about a message.

    - ``word``, ``reason``: the result, for headers and for programs
    - ``policy``: what the domain asks for when a message fails; ``None`` when DMARC does not apply
    - ``disposition``: what to do with this message: less than ``policy`` when it passes, or when ``softened`` says
      ``testing`` (``t=y``) or ``sample`` (``pct``)
    - ``identifiers``: the alignment of each
    - ``organizational_domain``: of the author domain, ``None`` when nobody needed it
    - ``trace``: the questions to the DNS, in order
    """

    word: DmarcWord
    reason: DmarcReason
    domain: str
    policy_domain: str | None = None
    record: DmarcRecord | None = None
    policy: Policy | None = None
    disposition: Policy = "none"
    softened: Literal["", "testing", "sample"] = ""
    identifiers: tuple[IdentifierAlignment, ...] = ()
    organizational_domain: str | None = None
    trace: tuple[Asked, ...] = ()
    problem: str = field(default="", repr=False)

    def text(self, lang: Language) -> str:
        """The result as a sentence for a person."""
        values: dict[str, Any] = {"domain": self.domain, "policy": self.policy, "problem": self.problem}
        return TEXTS(_REASONS[self.reason], lang, **values)


_REASONS: Mapping[DmarcReason, str] = {
    "aligned": "SPF or DKIM passed for a domain that belongs to {domain}",
    "not_aligned": "neither SPF nor DKIM passed for a domain that belongs to {domain}, which asks for: {policy}",
    "no_record": "no DMARC record applies to {domain}",
    "several_records": "{domain} has several DMARC records, so none of them counts",
    "no_policy": "the DMARC record for {domain} has no valid policy and no address for reports",
    "bad_domain": "{domain} is not a domain name",
    "dns": "the DNS failed when asked about DMARC for {domain}: {problem}",
}


async def discover(domain: str, lookup: Lookup) -> Discovery:
    """The policy record for mail from ``domain``: its own, its organisational domain's, or the public suffix's.

    RFC 9989 §4.10.1. Never raises.
    """
    asked = RecordedLookup(lookup)
    try:
        found = await _discover(domain, asked)
    except TemporaryDnsError:
        found = Discovery(domain, reason="dns")
    return replace(found, trace=tuple(asked.trace))


async def organizational_domain(domain: str, lookup: Lookup) -> str:
    """RFC 9989 §4.10.2. Raises ``TemporaryDnsError``; ``BadAddress`` when ``domain`` is no domain name."""
    start = to_ascii_domain(domain)
    return _organizational(start, await _walk(start, lookup))


async def evaluate(
    domain: str, identifiers: Sequence[Identifier], lookup: Lookup, *, draw: int | None = None
) -> DmarcResult:
    """Whether a message whose From field has ``domain`` passes, and what its owner asks for if not.

    ``draw``, a number from 0 to 99 that the caller drew for this message, makes ``pct`` count: the message is left
    out of the sample when it is not below. Without it ``pct`` has no effect, as in RFC 9989. Never raises.
    """
    asked = RecordedLookup(lookup)
    try:
        result = await _evaluate(domain, identifiers, asked, draw)
    except TemporaryDnsError as error:
        result = DmarcResult("temperror", "dns", domain, problem=str(error))
    return replace(result, trace=tuple(asked.trace))


async def _evaluate(
    domain: str, identifiers: Sequence[Identifier], lookup: RecordedLookup, draw: int | None
) -> DmarcResult:
    found = await _discover(domain, lookup)
    record = found.record
    if record is None or found.policy_domain is None:
        word: DmarcWord = "permerror" if found.reason == "bad_domain" else "none"
        return DmarcResult(word, found.reason or "no_record", found.domain)
    policy = await _requested(found.domain, found.policy_domain, record, lookup)
    result = DmarcResult("none", "no_policy", found.domain, found.policy_domain, record, policy)
    if policy is None:
        return result
    aligner = _Aligner(found.domain, record, lookup)
    result = replace(
        result,
        identifiers=tuple([await aligner.align(identifier) for identifier in identifiers]),
        organizational_domain=aligner.organizational_domain,
    )
    if any(item.aligned for item in result.identifiers):
        return replace(result, word="pass", reason="aligned")
    if aligner.problem:
        return replace(result, word="temperror", reason="dns", problem=aligner.problem)
    softened: Literal["", "testing", "sample"] = ""
    if policy != "none" and record.testing:
        softened = "testing"
    elif policy != "none" and draw is not None and draw >= record.percent:
        softened = "sample"
    return replace(
        result,
        word="fail",
        reason="not_aligned",
        disposition=_LESS[policy] if softened else policy,
        softened=softened,
    )


async def _discover(domain: str, lookup: Lookup) -> Discovery:
    """Raises ``TemporaryDnsError``."""
    try:
        domain = to_ascii_domain(domain)
    except BadAddress:
        return Discovery(domain, reason="bad_domain")
    if domain.startswith("["):
        return Discovery(domain, reason="bad_domain")
    own = await _records(domain, lookup)
    if len(own) == 1:
        return Discovery(domain, own[0], domain)
    found = await _walk(domain, lookup)
    organizational = _organizational(domain, found)
    # The walk ends at a psd=y; when its child has no record, the public suffix speaks for it.
    for candidate in (organizational, organizational.partition(".")[2]):
        record = found.get(candidate)
        if record is not None and (candidate == organizational or record.psd == "y"):
            return Discovery(domain, record, candidate)
    return Discovery(domain, reason="several_records" if own else "no_record")


async def _requested(domain: str, policy_domain: str, record: DmarcRecord, lookup: Lookup) -> Policy | None:
    """p for the domain of the record, else sp, or np if the author domain does not exist (§4.10.1)."""
    if domain == policy_domain:
        return record.requested()
    if record.nonexistent_policy is not None and not await _exists(domain, lookup):
        return record.requested("nonexistent")
    return record.requested("subdomain")


async def _exists(domain: str, lookup: Lookup) -> bool:
    """A domain with neither A, AAAA nor MX does not exist, as far as DMARC goes.

    That is RFC 9091 §2.6. RFC 9989 §3.2.13 wants NXDOMAIN, which ``Lookup`` does not tell from a name without data.
    """
    return bool(await lookup(domain, "A") or await lookup(domain, "AAAA") or await lookup(domain, "MX"))


async def _records(domain: str, lookup: Lookup) -> list[DmarcRecord]:
    answers = await lookup("_dmarc." + domain, "TXT")
    return [_read(answer) for answer in answers if is_dmarc_record(answer)]


def _read(record: bytes) -> DmarcRecord:
    return _remembered(record) if len(record) <= _MAX_REMEMBERED else parse_dmarc_record(record)


@lru_cache(maxsize=256)
def _remembered(record: bytes) -> DmarcRecord:
    return parse_dmarc_record(record)


async def _walk(start: str, lookup: Lookup) -> dict[str, DmarcRecord]:
    """The DNS tree walk (§4.10): the record of each domain that has exactly one, the longest name first."""
    found: dict[str, DmarcRecord] = {}
    domain = start
    while domain:
        records = await _records(domain, lookup)
        if len(records) == 1:
            found[domain] = records[0]
            if records[0].psd != "u":
                break
        # Step 4: long names go to seven labels at once, others lose one label.
        labels = domain.split(".")[1:]
        domain = ".".join(labels[-MAX_LABELS:])
    return found


def _organizational(start: str, found: Mapping[str, DmarcRecord]) -> str:
    """§4.10.2, from the longest name to the shortest."""
    shortest = start
    for domain, record in found.items():
        if record.psd == "n":
            return domain
        if record.psd == "y" and domain != start:
            below = start.removesuffix("." + domain).rpartition(".")[2]
            return f"{below}.{domain}"
        shortest = domain
    return shortest


class _Aligner:
    """Compares identifiers with the author domain; ``problem`` is what the DNS did not answer."""

    def __init__(self, domain: str, record: DmarcRecord, lookup: Lookup) -> None:
        self._domain = domain
        self._record = record
        self._lookup = lookup
        self.organizational_domain: str | None = None
        self.problem = ""

    async def align(self, identifier: Identifier) -> IdentifierAlignment:
        """§4.4: strict is the same domain, relaxed the same organisational domain."""
        mode = self._record.spf_alignment if identifier.kind == "spf" else self._record.dkim_alignment
        if identifier.result != "pass":
            return IdentifierAlignment(identifier, mode, aligned=False)
        try:
            domain = to_ascii_domain(identifier.domain)
        except BadAddress:
            return IdentifierAlignment(identifier, mode, aligned=False)
        if domain == self._domain or mode == "s":
            return IdentifierAlignment(identifier, mode, domain == self._domain)
        try:
            if self.organizational_domain is None:
                self.organizational_domain = await organizational_domain(self._domain, self._lookup)
            organizational = await organizational_domain(domain, self._lookup)
        except TemporaryDnsError as error:
            self.problem = str(error)
            return IdentifierAlignment(identifier, mode, aligned=False)
        return IdentifierAlignment(identifier, mode, organizational == self.organizational_domain, organizational)
