"""Domains of accounts: add, show what to publish, check, rotate keys, decide, remove.

Questions to the DNS are asked outside of any transaction; what they came to is then applied to the domain as it is
by that time, in one transaction with its event and its entry in the audit log.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ekiden.access.audit import SYSTEM, Actor, changed
from ekiden.core.clock import SECOND, Millis
from ekiden.core.ids import MAX_NODE, IdFactory
from ekiden.domains import evidence, queries
from ekiden.domains.check_schedule import first_check, next_check
from ekiden.domains.errors import DomainInUse, DomainsError, DomainTaken
from ekiden.domains.examine import Examination
from ekiden.domains.key_rotation import after_checks, decisive, make_keys, outlived
from ekiden.domains.lookup import PatientLookup
from ekiden.domains.model import Check, Domain, Key, Kind, Record, Status
from ekiden.domains.names import check_domain_name
from ekiden.domains.outgoing import ANY_VERSION, outgoing
from ekiden.domains.questionnaire import validate
from ekiden.domains.reasons import short
from ekiden.domains.records import records_of
from ekiden.domains.return_paths import RP_KINDS, Incoming, ReturnPathLook
from ekiden.domains.settings import DomainSettings
from ekiden.domains.signing_keys import PURPOSE
from ekiden.domains.status import event_of, judge, proofs
from ekiden.store.api import Conflict

if TYPE_CHECKING:
    from ekiden.access.vault import Vault
    from ekiden.core.clock import Clock
    from ekiden.domains.config import DomainsConfig
    from ekiden.sender_auth.dns import Lookup
    from ekiden.store.api import Connection, Store
    from ekiden.store.pages import Page

ALL_KINDS: Final[frozenset[Kind]] = frozenset({"spf", "dkim", "ed25519", "dmarc", "address", *RP_KINDS})
CONCURRENCY: Final = 8
"""Domains that the periodic duty looks at, at the same time."""
_STATE: Final[tuple[str, ...]] = (
    "status",
    "spf",
    "dkim",
    "rp",
    "reason",
    "approval",
    "approval_reason",
    "failing_since",
)


@dataclass(frozen=True, slots=True)
class Rechecked:
    """What the periodic duty did. ``failed``: domains by id that could not be looked at, and why."""

    done: int
    failed: Mapping[int, Exception]


@dataclass(frozen=True, slots=True)
class _Looked:
    """Checks of one time, with the key that each is of; 0: of no key."""

    checks: tuple[tuple[Check, int], ...] = ()

    @property
    def of_keys(self) -> dict[int, Check]:
        return {key: check for check, key in self.checks if key}


class Domains:
    """One per process. Every change is made by an ``Actor`` and reaches all workers within two seconds."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        vault: Vault,
        lookup: Lookup,
        config: DomainsConfig,
        hostname: str,
        versions: frozenset[int] = ANY_VERSION,
        incoming: Incoming | None = None,
    ) -> None:
        """``hostname``: that of the installation, as in EHLO. ``versions``: the families that mail goes out in.
        ``incoming``: where bounces are received; ``None``: nowhere."""
        self._store = store
        self._clock = clock
        self._vault = vault
        self._lookup = lookup
        self._config = config
        self._outgoing = outgoing(config, hostname, versions)
        self._incoming = incoming
        self.settings = DomainSettings(store, clock)
        # Ids need only be unique within a domain's checks, or an account's events.
        self._ids = IdFactory(random.SystemRandom().randint(0, MAX_NODE))

    @property
    def include(self) -> str:
        """The host that the SPF records of domains have to include."""
        return self._outgoing.include

    # --- reading --------------------------------------------------------------------------------------------

    async def get(self, account_id: int, name: str) -> Domain:
        """The account's domain of that name. Raises ``NoSuchDomain``, ``BadDomain``."""
        return await queries.get_domain(self._store, account_id, name)

    async def by_id(self, domain_id: int) -> Domain:
        """Raises ``NoSuchDomain``."""
        async with self._store.read() as connection:
            return await queries.find_domain(connection, domain_id)

    async def list_domains(self, account_id: int | None = None, *, status: Status | None = None) -> list[Domain]:
        """Domains of one account or of all, by name; ``status``: only those."""
        return await queries.list_domains(self._store, account_id, status=status)

    async def page(self, account_id: int, *, offset: int = 0, limit: int = 20) -> Page[Domain]:
        """A part of the account's domains, by name, and how many it has."""
        return await queries.page_domains(self._store, account_id, offset=offset, limit=limit)

    async def keys(self, domain: Domain) -> list[Key]:
        """Its keys without their private halves, the oldest first."""
        async with self._store.read() as connection:
            return await queries.list_keys(connection, domain)

    async def records(self, domain: Domain) -> list[Record]:
        """What its owner is to publish: SPF, DKIM, DMARC, the address, the return path; with the last check of
        each."""
        async with self._store.read() as connection:
            keys = await queries.list_keys(connection, domain)
            checks = await queries.last_checks(connection, domain)
        return records_of(domain, keys, checks, self._config, self.include, self._incoming)

    async def checks(self, domain_id: int, limit: int = 50) -> list[Check]:
        """The history, the newest check first. Raises ``NoSuchDomain``."""
        async with self._store.read() as connection:
            return await queries.list_checks(connection, await queries.find_domain(connection, domain_id), limit)

    # --- adding and removing --------------------------------------------------------------------------------

    async def add(
        self, account_id: int, name: str, *, approval: bool = False, vouched: bool = False, actor: Actor = SYSTEM
    ) -> Domain:
        """Give the account a domain, with keys of its own. Raises ``BadDomain``, ``DomainTaken``.

        ``approval``: an administrator has to agree, too. ``vouched``: an operator vouches for it: it may be sent
        from at once, and its keys sign whether their records are published or not. Other accounts may have the
        same domain; each proves it by its own keys.
        """
        ascii_name = check_domain_name(name)
        keys = await asyncio.to_thread(make_keys, self._vault, ed25519=self._config.ed25519)
        now = self._clock.now()
        values = {
            "account_id": account_id,
            "name": ascii_name,
            "created_at": now,
            "verified_at": now if vouched else None,
            "status": "verified" if vouched else "pending",
            "vouched": vouched,
            "spf": "pending",
            "dkim": "pending",
            "approval": "pending" if approval else "none",
            "approval_reason": "",
            "approved_by": "",
            "questionnaire": "{}",
            "reason": "" if vouched else "not_checked",
            "check_at": first_check(now, self._config),
            "track_opens": True,
            "track_clicks": True,
            "track_unsubscribes": False,
            "tracking_host": "",
            "return_path": "",
            "receive_bounces": True,
            "rp": "pending",
        }
        try:
            async with self._store.write() as connection:
                domain = await queries.add_domain(connection, values)
                await queries.add_keys(connection, domain, keys, now, active=vouched)
                data = {"domain_id": domain.id, "approval": domain.approval, "vouched": vouched}
                await changed(connection, account_id, now, actor, "domain.add", ascii_name, **data)
                if vouched:
                    await self._tell(connection, replace(domain, status="pending", verified_at=None), domain, ())
        except Conflict as error:
            taken = DomainTaken("the account has the domain {name} already", name=ascii_name)
            raise error.instead("uq_domain_account_id_name", taken) from None
        return domain

    async def remove(self, domain_id: int, actor: Actor = SYSTEM) -> None:
        """Take a domain away with its keys and checks. Raises ``NoSuchDomain``, ``DomainInUse``."""
        async with self._store.write() as connection:
            domain = await queries.find_domain(connection, domain_id, lock=True)
            if await queries.is_configured(connection, domain_id):
                raise DomainInUse(
                    "the domain {name} is used by an SMTP configuration; remove that first", name=domain.name
                )
            others = await queries.remove_domain(connection, domain)
            data = {"return_path_of": others} if others else {}
            await changed(
                connection, domain.account_id, self._clock.now(), actor, "domain.remove", domain.name, **data
            )

    # --- checking -------------------------------------------------------------------------------------------

    async def verify(self, domain_id: int, actor: Actor = SYSTEM, kinds: Collection[Kind] | None = None) -> Domain:
        """Look at the records now, and draw the consequences. ``kinds``: only at those. Raises ``NoSuchDomain``."""
        async with self._store.read() as connection:
            domain = await queries.find_domain(connection, domain_id)
            keys = await queries.list_keys(connection, domain)
        looked = await self._look(domain, keys, frozenset(ALL_KINDS if kinds is None else kinds))
        async with self._store.write() as connection:
            return await self._apply(connection, domain_id, actor, looked)

    async def recheck_due(self, now: Millis, limit: int = 200) -> Rechecked:
        """The periodic duty: ``verify`` up to ``limit`` domains whose time has come, the most overdue first."""
        async with self._store.read() as connection:
            due = await queries.due_domains(connection, now, limit)
        slots = asyncio.Semaphore(CONCURRENCY)
        failed: dict[int, Exception] = {}

        async def one(domain_id: int) -> None:
            async with slots:
                try:
                    await self.verify(domain_id)
                except Exception as error:
                    # Whatever it is: one domain must not keep the others from being looked at.
                    failed[domain_id] = error

        await asyncio.gather(*(one(domain_id) for domain_id in due))
        if failed:
            await self._postpone(failed, now)
        return Rechecked(len(due) - len(failed), failed)

    async def _postpone(self, domain_ids: Collection[int], now: Millis) -> None:
        """So that those that cannot be looked at are not the first again and again."""
        later = now + round(self._config.check_every * SECOND)
        async with self._store.write() as connection:
            await queries.change_domains(connection, domain_ids, check_at=later)

    async def _look(self, domain: Domain, keys: Sequence[Key], kinds: frozenset[Kind]) -> _Looked:
        lookup = PatientLookup(self._lookup, self._clock)
        look = Examination(domain.name, lookup, self._outgoing)
        questions = []
        if "dmarc" in kinds:
            questions.append((look.dmarc(), 0))
        if kinds & {"address", "spf"}:
            questions.append((look.address(), 0))
        questions += [(look.key(key), key.id) for key in keys if key.kind in kinds and key.status != "retired"]
        if "spf" in kinds:
            questions.append((look.spf(), 0))
        if self._incoming is not None and domain.receive_bounces:
            back = ReturnPathLook(self._incoming.of(domain), lookup, self._outgoing, self._incoming)
            if "rp_mx" in kinds:
                questions.append((back.mx(), 0))
            if "rp_spf" in kinds:
                questions.append((back.spf(), 0))
        answers = await asyncio.gather(*(question for question, _ in questions))
        return _Looked(tuple(zip(answers, (key for _, key in questions), strict=True)))

    async def _apply(self, connection: Connection, domain_id: int, actor: Actor, looked: _Looked) -> Domain:
        """What was seen, and whatever else was changed in this transaction, becomes the domain's state."""
        now = self._clock.now()
        before = await queries.find_domain(connection, domain_id, lock=True)
        keys = await queries.list_keys(connection, before)
        of_keys = looked.of_keys
        dkim = decisive(keys, of_keys)
        # The check of another key than the one that counts is kept, but it decides nothing.
        checks = [
            replace(check, result="advice") if check.kind == "dkim" and check is not dkim else check
            for check, key in looked.checks
            if not key or any(known.id == key for known in keys)
        ]
        await queries.add_checks(connection, before, [(self._ids.next(now), check) for check in checks], now)
        moved = await self._move_keys(connection, keys, after_checks(keys, of_keys, now, vouched=before.vouched))
        gone = await self._drop_keys(connection, keys, now)
        proved = proofs(before, checks, require_address=self._config.require_address)
        faults = await queries.last_faults(connection, before)
        after = judge(proved, checks, faults, now, round(self._config.grace * SECOND))
        if checks:
            current = await queries.list_keys(connection, before)
            at = next_check(after, current, checks, now, self._config)
            after = replace(after, checked_at=now, check_at=at)
        await self._save(connection, before, after, checks, actor, moved | gone)
        return after

    async def _move_keys(
        self, connection: Connection, before: Sequence[Key], after: Sequence[Key]
    ) -> dict[str, str]:
        """Save keys whose status is another now; returns the new status by selector."""
        moved = {}
        for old, new in zip(before, after, strict=True):
            if new != old:
                values = {"status": new.status, "active_at": new.active_at, "retired_at": new.retired_at}
                await queries.change_keys(connection, [new.id], **values)
                moved[new.selector] = str(new.status)
        return moved

    async def _drop_keys(self, connection: Connection, keys: Sequence[Key], now: Millis) -> dict[str, str]:
        gone = outlived(keys, now, round(self._config.overlap * SECOND))
        if gone:
            await queries.drop_keys(connection, [key.id for key in gone])
        return {key.selector: "removed" for key in gone}

    async def _save(
        self,
        connection: Connection,
        before: Domain,
        after: Domain,
        checks: Sequence[Check],
        actor: Actor,
        keys: Mapping[str, str],
    ) -> None:
        names = [item.name for item in fields(Domain) if item.name not in ("id", "questionnaire")]
        values = {name: getattr(after, name) for name in names if getattr(after, name) != getattr(before, name)}
        if values:
            await queries.change_domains(connection, [after.id], **values)
        state = {name: values[name] for name in _STATE if name in values}
        if not state and not keys:
            return
        action = f"domain.{after.status}" if "status" in state else "domain.check"
        data: dict[str, Any] = {**state, **({"keys": dict(keys)} if keys else {})}
        await changed(connection, after.account_id, self._clock.now(), actor, action, after.name, **data)
        await self._tell(connection, before, after, checks)

    async def _tell(self, connection: Connection, before: Domain, after: Domain, checks: Sequence[Check]) -> None:
        """The event of this change, if it is one that somebody waits for."""
        kind = event_of(before, after)
        if kind is None:
            return
        text = next((check.text("en") for check in checks if check.code == after.reason), short(after.reason, "en"))
        if after.reason == "approval_refused":
            text = after.approval_reason
        now = self._clock.now()
        values = {
            "account_id": after.account_id,
            "message_id": 0,
            "id": self._ids.next(now),
            "recipient_number": 0,
            "type": int(kind),
            "at": now,
            "data": msgspec.json.encode({"domain": after.name, "reason": after.reason, "text": text}).decode(),
        }
        await queries.add_event(connection, values)

    # --- keys -----------------------------------------------------------------------------------------------

    async def rotate(self, domain_id: int, actor: Actor = SYSTEM) -> Domain:
        """New keys, which begin to sign when their records are seen in DNS. Raises ``NoSuchDomain``.

        Keys that wait for their record give way to the new ones: nothing was signed with them. Those that sign
        retire when a new one takes over; their records stay needed for the overlap.
        """
        return await self._rotate(domain_id, actor, ())

    async def _rotate(self, domain_id: int, actor: Actor, lost: Sequence[int]) -> Domain:
        """``lost``: ids of keys that retire at once, whether or not another one takes over."""
        made = await asyncio.to_thread(make_keys, self._vault, ed25519=self._config.ed25519)
        now = self._clock.now()
        async with self._store.write() as connection:
            domain = await queries.find_domain(connection, domain_id, lock=True)
            await queries.retire_waiting_keys(connection, domain_id, now)
            if lost:
                await queries.change_keys(connection, lost, status="retired", retired_at=now)
            await queries.add_keys(connection, domain, made, now, active=False)
            after = replace(domain, check_at=first_check(now, self._config))
            await queries.change_domains(connection, [domain_id], check_at=after.check_at)
            selectors = [key["selector"] for key in made]
            await changed(
                connection, domain.account_id, now, actor, "domain.rotate", domain.name, selectors=selectors
            )
        return after

    async def renew_closed_keys(self, domain_id: int, actor: Actor = SYSTEM) -> bool:
        """New keys for a domain of whose keys the instance key does not open all; whether that was so.

        Those that stay closed sign nothing any more: mail goes unsigned until a new record is seen, which is better
        than not at all. Raises ``NoSuchDomain``.
        """
        async with self._store.read() as connection:
            in_use = await queries.sealed_in_use(connection, domain_id)
        closed = [key for key, sealed in in_use.items() if not self._vault.opens(sealed, PURPOSE)]
        if not closed:
            return False
        await self._rotate(domain_id, actor, closed)
        return True

    # --- approval -------------------------------------------------------------------------------------------

    async def answer(
        self,
        domain_id: int,
        answers: Mapping[str, Any],
        actor: Actor = SYSTEM,
        files: Sequence[evidence.File] | None = None,
    ) -> Domain:
        """Keep the answers to the questionnaire; one that was refused waits for a decision again.

        ``files`` support them, in the place of all there were; ``None``: those stay. Raises ``BadAnswer``,
        ``NoSuchDomain``.
        """
        kept = validate(answers)
        evidence.check_files(files or ())
        async with self._store.write() as connection:
            domain = await queries.find_domain(connection, domain_id, lock=True)
            values: dict[str, Any] = {"questionnaire": msgspec.json.encode(kept).decode()}
            if domain.approval == "refused":
                values |= {"approval": "pending", "approval_reason": ""}
            await queries.change_domains(connection, [domain_id], **values)
            now = self._clock.now()
            if files is not None:
                await queries.replace_evidence(connection, domain, files, now)
            await changed(connection, domain.account_id, now, actor, "domain.answer", domain.name)
            return await self._apply(connection, domain_id, actor, _Looked())

    async def attachments(self, domain: Domain) -> list[evidence.Evidence]:
        """The files that support its answers."""
        async with self._store.read() as connection:
            return await queries.list_evidence(connection, domain)

    async def attachment(self, domain: Domain, number: int) -> bytes | None:
        """The octets of one of them; ``None``: there is none of that number."""
        async with self._store.read() as connection:
            return await queries.read_evidence(connection, domain, number)

    async def approve(self, domain_id: int, actor: Actor) -> Domain:
        """An administrator agrees. Raises ``NoSuchDomain``."""
        return await self._decide(domain_id, actor, "approved", "")

    async def refuse(self, domain_id: int, reason: str, actor: Actor) -> Domain:
        """An administrator refuses: nothing is accepted from the domain any more. Raises ``NoSuchDomain``.

        Nobody vouches for it any more, either: else its owner could answer the questionnaire and be let in again.
        """
        if not reason.strip():
            raise DomainsError("a refusal needs a reason")
        return await self._decide(domain_id, actor, "refused", reason.strip())

    async def _decide(self, domain_id: int, actor: Actor, approval: str, reason: str) -> Domain:
        now = self._clock.now()
        async with self._store.write() as connection:
            domain = await queries.find_domain(connection, domain_id, lock=True)
            values: dict[str, Any] = {
                "approval": approval,
                "approval_reason": reason,
                "approved_by": actor.name,
                "approved_at": now,
            }
            if approval == "refused":
                values["vouched"] = False
            await queries.change_domains(connection, [domain_id], **values)
            action = f"domain.{'approve' if approval == 'approved' else 'refuse'}"
            await changed(connection, domain.account_id, now, actor, action, domain.name, reason=reason)
            return await self._apply(connection, domain_id, actor, _Looked())
