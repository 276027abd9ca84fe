"""A domain, its keys, the checks of it and the records it is to publish: plain values, and how rows become them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

import msgspec
from sqlalchemy import Row

from ekiden.core.clock import Millis
from ekiden.core.texts import Language
from ekiden.domains.reasons import Fault, advice, explanation
from ekiden.sender_auth.dkim_key import Algorithm

Status = Literal["pending", "verified", "failed", "suspended"]
"""``pending``: waits for the first check, for the DNS or for an approval. ``failed``: the records are not right, or
an administrator refused; it never was verified. ``verified``: may be sent from. ``suspended``: was verified, and
nothing is accepted from it until its records are back."""
Proof = Literal["pending", "successful", "failed"]
"""What the last decisive check of SPF (with the address record) or DKIM said."""
Approval = Literal["none", "pending", "approved", "refused"]
"""Whether an administrator has to agree; ``none``: nobody has to."""
KeyStatus = Literal["pending", "active", "retired"]
"""``pending``: waits for its record; ``active``: signs; ``retired``: its record is still needed."""
Kind = Literal["spf", "dkim", "ed25519", "dmarc", "address"]
Result = Literal["pass", "fail", "temporary", "advice"]
"""``temporary``: nothing is known, and nothing changes. ``advice``: decides nothing."""

KIND_OF: Final[Mapping[str, Kind]] = {"rsa-sha256": "dkim", "ed25519-sha256": "ed25519"}
"""The kind of check that belongs to a key's algorithm."""


@dataclass(frozen=True, slots=True)
class Tracking:
    """What is counted of messages that are composed here, unless a request says otherwise.

    ``unsubscribes``: they offer a page of ours (RFC 8058). ``host`` is that of all their links; empty: that of the
    installation.
    """

    opens: bool = True
    clicks: bool = True
    unsubscribes: bool = False
    host: str = ""


@dataclass(frozen=True, slots=True)
class Domain:
    """``name`` is in lower-case A-labels. ``reason`` is the code of what is wrong; empty: nothing.

    ``verified_at``: when it last became usable. ``failing_since``: the first failed check in a row since then.
    ``check_at``: the next periodic check.
    """

    id: int
    account_id: int
    name: str
    created_at: Millis
    verified_at: Millis | None
    status: Status
    vouched: bool
    spf: Proof
    dkim: Proof
    approval: Approval
    approval_reason: str
    approved_by: str
    approved_at: Millis | None
    questionnaire: Mapping[str, Any]
    reason: Fault
    checked_at: Millis | None
    check_at: Millis | None
    failing_since: Millis | None
    tracking: Tracking
    return_path: str
    """Envelope sender of what is composed here; empty: the author."""

    @property
    def usable(self) -> bool:
        """Whether it may be sent from."""
        return self.status == "verified"


@dataclass(frozen=True, slots=True)
class Key:
    """One DKIM key, without its private half. ``record`` is the text of the TXT record at ``name``."""

    id: int
    domain_id: int
    domain: str
    selector: str
    algorithm: Algorithm
    record: str
    status: KeyStatus
    created_at: Millis
    active_at: Millis | None
    retired_at: Millis | None

    @property
    def name(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def kind(self) -> Kind:
        return KIND_OF[self.algorithm]


@dataclass(frozen=True, slots=True)
class Check:
    """One look at one record: what was asked, answered and expected, and what follows.

    ``values`` fill the explanation of ``code``. ``id`` is 0 until it is kept.
    """

    kind: Kind
    result: Result
    code: Fault
    asked: tuple[str, str]
    """Name and type of the question."""
    expected: str
    answered: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    at: Millis = 0
    id: int = 0

    def text(self, lang: Language) -> str:
        """What was found, as a sentence."""
        return explanation(self.code, self._values(), lang)

    def advice(self, lang: Language) -> str:
        """What to do about it; empty: nothing."""
        return advice(self.code, self._values(), lang)

    def _values(self) -> dict[str, Any]:
        name, rdtype = self.asked
        return {"name": name, "type": rdtype, "expected": self.expected, **self.values}


@dataclass(frozen=True, slots=True)
class Record:
    """A record for the owner of a domain to publish.

    ``name`` has no final dot. ``value`` is empty for an address, which is the owner's affair. ``status`` is that of
    the last check, or ``retired``: keep it until ``until``, then remove it. ``check`` is the last one, if any.
    """

    kind: Kind
    name: str
    type: Literal["TXT", "A"]
    value: str
    required: bool
    status: Literal["pending", "successful", "failed", "retired"]
    check: Check | None = None
    until: Millis | None = None

    @property
    def why(self) -> Fault:
        """The code of what is wrong, or of what is to be known; empty: nothing."""
        return self.check.code if self.check is not None else "not_checked"


def domain_of(row: Row[Any]) -> Domain:
    """A row of the table ``domain``."""
    return Domain(
        id=row.id,
        account_id=row.account_id,
        name=row.name,
        created_at=row.created_at,
        verified_at=row.verified_at,
        status=cast(Status, row.status),
        vouched=row.vouched,
        spf=cast(Proof, row.spf),
        dkim=cast(Proof, row.dkim),
        approval=cast(Approval, row.approval),
        approval_reason=row.approval_reason,
        approved_by=row.approved_by,
        approved_at=row.approved_at,
        questionnaire=msgspec.json.decode(row.questionnaire),
        reason=cast(Fault, row.reason),
        checked_at=row.checked_at,
        check_at=row.check_at,
        failing_since=row.failing_since,
        tracking=Tracking(row.track_opens, row.track_clicks, row.track_unsubscribes, row.tracking_host),
        return_path=row.return_path,
    )


def key_of(row: Row[Any], domain: str) -> Key:
    """A row of the table ``dkim_key``."""
    return Key(
        id=row.id,
        domain_id=row.domain_id,
        domain=domain,
        selector=row.selector,
        algorithm=cast(Algorithm, row.algorithm),
        record=row.record,
        status=cast(KeyStatus, row.status),
        created_at=row.created_at,
        active_at=row.active_at,
        retired_at=row.retired_at,
    )


def check_of(row: Row[Any]) -> Check:
    """A row of the table ``domain_check``."""
    told = msgspec.json.decode(row.answered)
    name, rdtype = msgspec.json.decode(row.asked)
    return Check(
        kind=cast(Kind, row.kind),
        result=cast(Result, row.result),
        code=cast(Fault, row.code),
        asked=(name, rdtype),
        expected=row.expected,
        answered=tuple(told["answers"]),
        values=told["values"],
        at=row.at,
        id=row.id,
    )


def asked_json(name: str, rdtype: str) -> str:
    """The column ``domain_check.asked``."""
    return msgspec.json.encode([name, rdtype]).decode()


def answered_json(check: Check) -> str:
    """The column ``domain_check.answered``."""
    return msgspec.json.encode({"answers": check.answered, "values": check.values}).decode()
