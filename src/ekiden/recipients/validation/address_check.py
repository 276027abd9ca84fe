"""Whether an address is worth sending to: its syntax, its domain's DNS, and what our own mail to it has shown.

No server is asked about a mailbox: receivers treat probes without a message as an attack, and what they answer
means little. So a mailbox is unknown unless the account's own deliveries of the last 30 days, or its suppressions,
tell; and whether a domain takes mail for any name at all (a "catch-all") is never known.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from ekiden.core.address import Address, BadAddress, parse_address, spellings
from ekiden.core.clock import DAY, Millis
from ekiden.core.diagnosis import BY_NUMBER, Diagnosis
from ekiden.core.states import Cause, State
from ekiden.dns.lookup_queue import on_behalf_of
from ekiden.dns.resolver import DnsTemporary, NoMailHost, NoSuchDomain, NullMx
from ekiden.recipients.validation.address_check_rules import is_disposable, is_role, suggestion
from ekiden.recipients.validation.queries import sent_to, suppressions_of
from ekiden.store.retention import first_id

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.dns.resolver import Resolver
    from ekiden.store.api import Store

Mailbox = Literal["true", "false", "unknown"]
Reason = Literal[
    "", "timed_out", "temp_rejection", "throttled", "inbox_full", "unable_to_connect", "unexpected_failure"
]
"""Why a mailbox is unknown, in the words of the dialect that asks for it; empty: nobody has tried."""
Risk = Literal["low", "medium", "high", "unknown"]
Detail = Literal[
    "invalid_syntax",
    "no_such_domain",
    "null_mx",
    "no_mail_host",
    "known_hardbounce",
    "mailbox_full",
    "known_complaint",
    "disposable_address",
    "role_address",
    "domain_typo",
]

MEMORY: Final[Millis] = 30 * DAY
"""How far back our own deliveries count."""
_LAST: Final = 20
"""Deliveries of one address that are looked at."""
_HOSTS: Final = 3
"""Mail hosts of a domain whose addresses are asked for."""


class AddressCheck(msgspec.Struct, frozen=True):
    """What is known of an address. ``reason`` is given only while ``mailbox`` is unknown.

    ``did_you_mean`` is another address, or empty. ``catch_all`` is always false: see the module.
    """

    address: str
    valid_syntax: bool
    mailbox: Mailbox
    risk: Risk
    reason: Reason = ""
    did_you_mean: str = ""
    disposable: bool = False
    role_based: bool = False
    catch_all: bool = False
    details: tuple[Detail, ...] = ()


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What something tells of a mailbox. ``at``: when that was."""

    mailbox: Mailbox = "unknown"
    reason: Reason = ""
    detail: Detail | None = None
    at: Millis = 0


class AddressChecks:
    """One per process. Raises what the store raises."""

    def __init__(self, store: Store, clock: Clock, resolver: Resolver, *, carriers: bool = True) -> None:
        """``carriers`` is ``core.address.parse_address``'s."""
        self._carriers = carriers
        self._store = store
        self._clock = clock
        self._resolver = resolver

    async def check_one(self, account_id: int, text: str) -> AddressCheck:
        """What ``account_id`` may know of ``text``: of deliveries and suppressions only its own count."""
        try:
            address = parse_address(text, carriers=self._carriers)
        except BadAddress:
            return AddressCheck(text, False, "false", "high", details=("invalid_syntax",))
        on_behalf_of(("address check", account_id))
        host = await self._mail_host(address.domain)
        known = await self._known(account_id, address)
        mailbox, reason = host.mailbox, host.reason
        if mailbox == "unknown" and known:
            mailbox, reason = known[0].mailbox, known[0].reason
        meant = suggestion(address.domain, takes_mail=host.detail is None)
        if mailbox == "true":
            # Its recipient has got our mail: it is no typing mistake.
            meant = ""
        disposable, role = is_disposable(address.domain), is_role(address.local)
        marks: tuple[tuple[object, Detail], ...] = (
            (disposable, "disposable_address"),
            (role, "role_address"),
            (meant, "domain_typo"),
        )
        found = [item.detail for item in (host, *known) if item.detail is not None]
        details = dict.fromkeys([*found, *(detail for is_so, detail in marks if is_so)])
        return AddressCheck(
            text,
            True,
            mailbox,
            _risk(mailbox, tuple(details)),
            reason if mailbox == "unknown" else "",
            f"{address.local}@{meant}" if meant else "",
            disposable,
            role,
            details=tuple(details),
        )

    async def _mail_host(self, domain: str) -> _Evidence:
        """Whether anybody takes mail for the domain: no mailbox is there if nobody does."""
        try:
            hosts = await self._resolver.mx(domain)
            for host in hosts[:_HOSTS]:
                try:
                    if await self._resolver.addresses(host.name):
                        return _Evidence()
                except NoSuchDomain:
                    continue
        except NullMx:
            return _Evidence("false", detail="null_mx")
        except NoSuchDomain:
            return _Evidence("false", detail="no_such_domain")
        except NoMailHost:
            return _Evidence("false", detail="no_mail_host")
        except DnsTemporary:
            return _Evidence(reason="timed_out")
        # Of a domain with many hosts the others may have addresses.
        return _Evidence() if len(hosts) > _HOSTS else _Evidence("false", detail="no_mail_host")

    async def _known(self, account_id: int, address: Address) -> list[_Evidence]:
        """What our own mail has shown, what counts most first."""
        since = first_id(self._clock.now() - MEMORY)
        async with self._store.read() as connection:
            deliveries = [
                row
                for form in spellings(address.shown)
                for row in await connection.execute(sent_to(account_id, form, since, _LAST))
            ]
            suppressions = (
                await connection.execute(suppressions_of(account_id, address.key, self._clock.now()))
            ).all()
        tried = (
            _tried(row.state, BY_NUMBER.get(row.diagnosis, Diagnosis.NONE), row.updated_at)
            for row in sorted(deliveries, key=attrgetter("message_id"), reverse=True)
        )
        found = [item for item in tried if item is not None][:1]
        found += [item for row in suppressions if (item := _suppressed(row.kind, row.created_at)) is not None]
        return sorted(found, key=lambda item: (item.mailbox != "unknown", item.at), reverse=True)


_OF_CAUSE: Final[dict[Cause, Reason]] = {
    Cause.NONE: "",
    Cause.RECIPIENT: "temp_rejection",
    Cause.REPUTATION: "temp_rejection",
    Cause.CONTENT: "temp_rejection",
    Cause.RATE: "throttled",
    Cause.POLICY: "temp_rejection",
    Cause.NETWORK: "unable_to_connect",
    Cause.OURS: "temp_rejection",
}
"""Why nothing is known of a mailbox after an attempt that failed for now; empty: it tells nothing."""


def _tried(state: int, diagnosis: Diagnosis, at: Millis) -> _Evidence | None:
    """What a delivery tells of the mailbox; ``None``: nothing, such as a refusal for the content's sake."""
    if state == State.DELIVERED:
        return _Evidence("true", at=at)
    if state == State.BOUNCED and diagnosis.hard:
        return _Evidence("false", detail="known_hardbounce", at=at)
    if state not in (State.BOUNCED, State.EXPIRED, State.DEFERRED):
        return None
    if diagnosis is Diagnosis.FULL:
        return _Evidence(reason="inbox_full", detail="mailbox_full", at=at)
    reason = _OF_CAUSE[diagnosis.cause]
    return _Evidence(reason=reason, at=at) if reason and state != State.BOUNCED else None


def _suppressed(kind: str, at: Millis) -> _Evidence | None:
    if kind == "bounce":
        return _Evidence("false", detail="known_hardbounce", at=at)
    if kind == "over_quota":
        return _Evidence(reason="inbox_full", detail="mailbox_full", at=at)
    return _Evidence(detail="known_complaint", at=at) if kind == "complaint" else None


def _risk(mailbox: Mailbox, details: tuple[Detail, ...]) -> Risk:
    if mailbox == "false" or {"disposable_address", "known_complaint"} & set(details):
        return "high"
    if details:
        return "medium"
    return "low" if mailbox == "true" else "unknown"
