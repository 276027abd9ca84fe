"""What an operator should know about the DMARC record of a domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ekiden.core.language import Language
from ekiden.sender_auth.dmarc_record import DmarcRecord, Policy, report_address
from ekiden.sender_auth.dmarc_translations import TEXTS

Severity = Literal["error", "warning", "info"]
AdviceCode = Literal[
    "no_record",
    "several_records",
    "no_policy",
    "policy_none",
    "weaker_subdomains",
    "weaker_nonexistent",
    "testing",
    "sample",
    "no_reports",
    "foreign_reports",
    "failure_options_unused",
    "public_suffix",
    "malformed",
    "repeated_tag",
    "unknown_tag",
    "retired_tag",
    "invalid_value",
    "report_size",
]

_STRENGTH: Mapping[Policy, int] = {"none": 0, "quarantine": 1, "reject": 2}
_SEVERITIES: Mapping[AdviceCode, Severity] = {
    "no_record": "error",
    "several_records": "error",
    "no_policy": "error",
    "malformed": "error",
    "repeated_tag": "error",
    "invalid_value": "error",
    "policy_none": "warning",
    "weaker_subdomains": "warning",
    "weaker_nonexistent": "warning",
    "testing": "warning",
    "sample": "warning",
    "no_reports": "warning",
    "public_suffix": "warning",
    "unknown_tag": "warning",
    "foreign_reports": "info",
    "failure_options_unused": "info",
    "retired_tag": "info",
    "report_size": "info",
}
_SENTENCES: Mapping[AdviceCode, str] = {
    "no_record": "There is no DMARC record. Publish one, for example: v=DMARC1; p=none; rua=mailto:{mailbox}",
    "several_records": "There are several DMARC records; receivers ignore all of them. Keep one.",
    "no_policy": "The record has no valid policy (p). Without one, receivers act as if there were p=none at best.",
    "policy_none": (
        "The policy is none: forged mail is delivered. Once reports are clean, go on to quarantine or reject."
    ),
    "weaker_subdomains": "Subdomains have a weaker policy (sp={value}) than the domain (p={policy}).",
    "weaker_nonexistent": "Names that do not exist have a weaker policy (np={value}) than the domain (p={policy}).",
    "testing": "The record is a test (t=y): receivers do one level less than the policy says.",
    "sample": "By RFC 7489 the policy is for {value} % of the mail (pct); RFC 9989 only knows t=y, for tests.",
    "no_reports": "Nobody gets aggregate reports (rua), so faults and forgeries go unnoticed.",
    "foreign_reports": (
        "Reports go to {value}. Its owner, if that is not you, must publish the TXT record {name}: v=DMARC1"
    ),
    "failure_options_unused": "fo has no effect without an address for failure reports (ruf).",
    "public_suffix": "The record says that the domain is a public suffix (psd=y); only registries publish that.",
    "malformed": "This part is not tag=value and has no effect: {value}",
    "repeated_tag": "The tag {tag} stands more than once; {tag}={value} has no effect.",
    "unknown_tag": "There is no tag {tag}; it has no effect.",
    "retired_tag": "The tag {tag} belongs to RFC 7489; RFC 9989 no longer has it.",
    "invalid_value": "{tag} cannot be {value}; this has no effect.",
    "report_size": "The size limit in {tag}={value} belongs to RFC 7489; receivers ignore it.",
}


@dataclass(frozen=True, slots=True)
class Advice:
    """``code`` for programs, ``text`` for people."""

    code: AdviceCode
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def severity(self) -> Severity:
        """``error``: DMARC does not work as meant; ``warning``: it protects less than it could; ``info``."""
        return _SEVERITIES[self.code]

    def text(self, lang: Language) -> str:
        return TEXTS(_SENTENCES[self.code], lang, **self.values)


def advise(record: DmarcRecord | None, domain: str, *, several: bool = False) -> list[Advice]:
    """Advice about the record published for ``domain``, the gravest first.

    ``record`` is ``None`` if there is none, or ``several``.
    """
    if several:
        return [Advice("several_records")]
    if record is None:
        return [Advice("no_record", {"mailbox": f"dmarc@{domain}"})]
    advice: list[Advice] = []
    for code, tag, value in record.problems:
        # A pct that has an effect is told as one.
        if (code, tag) != ("retired_tag", "pct") or record.percent == 100:
            advice.append(Advice(code, {"tag": tag, "value": value}))
    policy = record.policy
    if policy is None:
        advice.append(Advice("no_policy"))
    elif policy == "none":
        advice.append(Advice("policy_none"))
    else:
        weaker: dict[AdviceCode, Policy | None] = {
            "weaker_subdomains": record.subdomain_policy,
            "weaker_nonexistent": record.nonexistent_policy,
        }
        for name, other in weaker.items():
            if other is not None and _STRENGTH[other] < _STRENGTH[policy]:
                advice.append(Advice(name, {"value": other, "policy": policy}))
    if record.testing:
        advice.append(Advice("testing"))
    if record.percent < 100:
        advice.append(Advice("sample", {"value": record.percent}))
    if not record.aggregate:
        advice.append(Advice("no_reports"))
    advice += _foreign_reports(record, domain)
    if not record.failure and record.failure_options != {"0"}:
        advice.append(Advice("failure_options_unused"))
    if record.psd == "y":
        advice.append(Advice("public_suffix"))
    order: tuple[Severity, ...] = ("error", "warning", "info")
    return sorted(advice, key=lambda item: order.index(item.severity))


def _foreign_reports(record: DmarcRecord, domain: str) -> list[Advice]:
    """Addresses outside of the domain, whose owner has to agree (RFC 9990 §4)."""
    advice = []
    domain = domain.lower()
    seen: set[str] = set()
    for uri in record.aggregate + record.failure:
        address = report_address(uri)
        if address is None:
            continue
        target = address.rpartition("@")[2].lower()
        related = target == domain or target.endswith("." + domain) or domain.endswith("." + target)
        if not related and target not in seen:
            seen.add(target)
            name = f"{domain}._report._dmarc.{target}"
            advice.append(Advice("foreign_reports", {"value": address, "name": name}))
    return advice
