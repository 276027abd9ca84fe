"""What checks and an administrator's decision mean for a domain: values in, the domain as it is then out.

Temporary failures of the DNS change nothing. A verified domain whose records fail stays verified for the grace; the
first failed check after that suspends it, and the first good one brings it back. An address record is demanded
before a domain is verified for the first time only: what suspends are SPF and DKIM.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ekiden.core.clock import Millis
from ekiden.core.events import EventType
from ekiden.domains.model import Check, Domain, Kind, Proof, Status
from ekiden.domains.reasons import Fault
from ekiden.domains.return_paths import RP_KINDS


def proofs(domain: Domain, checks: Iterable[Check], *, require_address: bool) -> Domain:
    """``domain`` with what the decisive checks among ``checks`` say about ``spf`` and ``dkim``, and of its own
    return path."""
    checks = list(checks)
    found = {check.kind: check.result for check in checks if check.result in ("pass", "fail")}
    spf, dkim = domain.spf, domain.dkim
    spf_result = found.get("spf")
    address_result = found.get("address") if require_address and domain.verified_at is None else "pass"
    if spf_result == "fail" or (spf_result == "pass" and address_result == "fail"):
        spf = "failed"
    elif spf_result == "pass" and address_result == "pass":
        spf = "successful"
    dkim_result = found.get("dkim")
    if dkim_result is not None:
        dkim = _proof(dkim_result == "pass")
    return replace(domain, spf=spf, dkim=dkim, rp=_return_path(domain, checks))


def _return_path(domain: Domain, checks: Iterable[Check]) -> Proof:
    """Used as soon as both of its records are right, and no longer once one is not."""
    results = {check.kind: check.result for check in checks if check.kind in RP_KINDS}
    if "advice" in results.values():
        return "failed"
    passed = len(results) == len(RP_KINDS) and set(results.values()) == {"pass"}
    return "successful" if passed else domain.rp


def _proof(good: bool) -> Proof:
    return "successful" if good else "failed"


def judge(
    domain: Domain, checks: Iterable[Check], faults: Mapping[Kind, Fault], now: Millis, grace: Millis
) -> Domain:
    """The domain's status, reason and times after ``checks``; its proofs are up to date already.

    ``faults``: for each kind the code of the last decisive check, also of earlier ones; empty: it passed.
    """
    checks = list(checks)
    fault = _fault(domain, faults)
    recorded = domain.vouched or domain.spf == domain.dkim == "successful"
    if domain.approval == "refused":
        status: Status = "failed" if domain.verified_at is None else "suspended"
        return replace(domain, status=status, reason="approval_refused", failing_since=None)
    agreed = domain.approval != "pending" or domain.vouched
    if recorded and agreed:
        verified_at = domain.verified_at if domain.status == "verified" else now
        return replace(domain, status="verified", verified_at=verified_at, failing_since=None, reason=fault)
    if domain.status == "verified":
        since = domain.failing_since if domain.failing_since is not None else now
        confirmed = any(check.result == "fail" and check.kind in ("spf", "dkim") for check in checks)
        over = now - since >= grace and confirmed
        return replace(domain, status="suspended" if over else "verified", failing_since=since, reason=fault)
    if domain.verified_at is not None:
        return replace(domain, status="suspended", reason=fault or "approval_pending")
    if fault:
        return replace(domain, status="failed", reason=fault)
    return replace(domain, status="pending", reason=_waits_for(domain, checks, recorded=recorded))


def _fault(domain: Domain, faults: Mapping[Kind, Fault]) -> Fault:
    """What is wrong with the records; SPF goes first, as in the list of what to publish."""
    if domain.spf == "failed":
        return faults.get("spf") or faults.get("address") or "missing"
    if domain.dkim == "failed":
        return faults.get("dkim") or "missing"
    return ""


def _waits_for(domain: Domain, checks: Iterable[Check], *, recorded: bool) -> Fault:
    if recorded:
        return "approval_pending"
    unanswered = [check.code for check in checks if check.result == "temporary" and check.kind in ("spf", "dkim")]
    if unanswered:
        return unanswered[0]
    return domain.reason if domain.reason in ("dns_failure", "our_record") else "not_checked"


def event_of(before: Domain, after: Domain) -> EventType | None:
    """What there is to tell; ``None``: nothing has changed that anybody waits for.

    A domain whose records are right again within the grace is told as verified: it never was suspended.
    """
    if before.status != "verified" and after.status == "verified":
        return EventType.DOMAIN_VERIFIED if before.verified_at is None else EventType.DOMAIN_RESUMED
    if before.status == "verified" and after.status == "suspended":
        return EventType.DOMAIN_SUSPENDED
    if before.failing_since is not None and after.failing_since is None and after.status == "verified":
        return EventType.DOMAIN_VERIFIED
    failed = after.spf == "failed" or after.dkim == "failed" or after.approval == "refused"
    if failed and after.reason != before.reason and not after.vouched:
        return EventType.DOMAIN_FAILED
    return None
