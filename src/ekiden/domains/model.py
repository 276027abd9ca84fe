"""A domain, its keys, the checks of it and the records it is to publish: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ekiden.core.clock import Millis
from ekiden.core.language import Language
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
Kind = Literal["spf", "dkim", "ed25519", "dmarc", "address", "rp_mx", "rp_spf"]
"""``rp_mx``, ``rp_spf``: of the domain's own return path; they never decide whether it may be sent from."""
Result = Literal["pass", "fail", "temporary", "advice"]
"""``temporary``: nothing is known, and nothing changes. ``advice``: decides nothing."""

PLATFORM: Final = 0
"""``Domain.account_id`` of the installation's own domain, in whose name it writes itself."""
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
    receive_bounces: bool
    """Bounces of its mail come to us, where any are received; else to the envelope sender."""
    rp: Proof
    """What the last check of its own return path said; unless ``successful``, the installation's is used."""

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
    type: Literal["TXT", "A", "MX"]
    value: str
    required: bool
    status: Literal["pending", "successful", "failed", "retired"]
    check: Check | None = None
    until: Millis | None = None
    alias: str = ""
    """A host to which one CNAME at ``name`` does as well as all records of that name."""

    @property
    def why(self) -> Fault:
        """The code of what is wrong, or of what is to be known; empty: nothing."""
        return self.check.code if self.check is not None else "not_checked"
