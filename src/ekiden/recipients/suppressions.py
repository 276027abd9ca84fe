"""Suppressions: addresses that a sending domain of an account does not mail: they bounced, complained or left.

A row stops mail whatever its kind. Addresses are compared by their key (``core.address``): in one form and in
lower case, for whoever left as ``Ann@x`` must not be mailed as ``ann@x``. Carriers' old addresses are known here
whether new mail to them is taken or not.

Rows come from people (the CLI, an API: written into the audit log) and from what happens to messages (bounces,
complaints, recipients who unsubscribe), which the events of messages tell. They stay until somebody removes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

from sqlalchemy import Row, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from ekiden.access.audit import Actor, changed
from ekiden.access.errors import AccessError
from ekiden.core.address import BadAddress, parse_address, shown_address, to_ascii_domain
from ekiden.core.language import Language
from ekiden.core.said import Said, either, in_words
from ekiden.core.texts import TranslatedError
from ekiden.recipients.suppression_memory import SuppressionMemory
from ekiden.recipients.translations import TEXTS
from ekiden.store.api import StoreUnavailable
from ekiden.store.row_values import value_of
from ekiden.store.tables import suppression as table

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from ekiden.core.clock import Clock, Millis
    from ekiden.store.api import Store

SuppressionKind = Literal["complaint", "unsubscribe", "bounce", "over_quota"]
KINDS: Final[tuple[SuppressionKind, ...]] = get_args(SuppressionKind)
"""Where an address has several, the first of these is told."""

Identity = tuple[int, str, str, SuppressionKind]
"""Account, domain, address and kind: of each there is one row."""

MAX_REASON: Final = 500
"""Characters of a reason that are kept."""
_BATCH = 500
_PATIENCE: Final = 60.0  # seconds of waiting for the account's turn
_TRY_AGAIN: Final = 0.02  # seconds
_ADVISORY_LOCK = 0x656B_0002


class SuppressionError(AccessError, ValueError):
    """A change to suppressions was refused; nothing was written."""

    def __init__(self, template: str, **values: Any) -> None:
        TranslatedError.__init__(self, TEXTS, template, **values)


@dataclass(frozen=True, slots=True)
class Suppression:
    """``domain`` does not mail ``address``, which is as people write it.

    ``reason``: the reply that led to it, who asked for it, or what Ekiden says (``said.either``).
    """

    id: int
    account_id: int
    domain: str
    address: str
    kind: SuppressionKind
    reason: str
    created_at: Millis

    def told(self, lang: Language = "en") -> str:
        """``reason`` for people."""
        return in_words(self.reason, lang)


class _New(NamedTuple):
    account_id: int
    domain: str
    address: str
    kind: SuppressionKind
    reason: str

    @property
    def identity(self) -> Identity:
        return self[:4]


class _Waiting(NamedTuple):
    row: _New
    answer: asyncio.Future[bool]


class Suppressions:
    """One per worker; close it at the end. Its coroutines raise what the store raises."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.memory = SuppressionMemory(store, clock)
        self._waiting: dict[int, list[_Waiting]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._one = asyncio.Lock()
        """One of them writes at a time, however many accounts there are."""

    # asking

    async def check(
        self, account_id: int, domain: str, addresses: Sequence[str], kinds: Sequence[SuppressionKind] = KINDS
    ) -> dict[str, Suppression]:
        """Those of ``addresses`` (each as ``core.address`` accepts it) that ``domain`` must not mail, and why.

        Suppressions of other than ``kinds`` do not count.

        Hardly a second behind other workers. No query, but for one a second, unless an address is suppressed.
        """
        if self.memory.has_none(account_id):
            return {}
        domain = to_ascii_domain(domain)
        keys = {address: (domain, parse_address(address).key) for address in addresses}
        suspects, known = await self.memory.suspects(account_id, set(keys.values()))
        if not suspects:
            return {}
        found = await self._find(account_id, domain, {address for _, address in suspects})
        if known:
            self.memory.in_vain(account_id, len(suspects) - len(found))
        counting = {
            address: next((of_kind[kind] for kind in KINDS if kind in kinds and kind in of_kind), None)
            for address, of_kind in found.items()
        }
        return {given: first for given, key in keys.items() if (first := counting.get(key[1])) is not None}

    async def find(self, account_id: int, domain: str, address: str, kind: SuppressionKind) -> Suppression | None:
        """That row, straight from the table. Raises ``SuppressionError``."""
        name, key = domain_key_of(domain), mailbox_key(address)
        query = select(table).where(
            table.c.account_id == account_id,
            table.c.domain == name,
            table.c.address == key,
            table.c.kind == kind,
        )
        async with self._store.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _suppression(row)

    async def list(
        self,
        account_id: int,
        *,
        domain: str = "",
        kind: str = "",
        address: str = "",
        recipient_domain: str = "",
        since: Millis | None = None,
        until: Millis | None = None,
        newest: bool = False,
        offset: int = 0,
        limit: int = 100,
    ) -> list[Suppression]:
        """Those to which all of it applies, oldest first, or ``newest`` first; with ``until``."""
        query = select(table).where(table.c.account_id == account_id)
        if domain:
            query = query.where(table.c.domain == domain_key_of(domain))
        if kind:
            query = query.where(table.c.kind == check_kind(kind))
        if address:
            query = query.where(table.c.address == mailbox_key(address))
        if recipient_domain:
            query = query.where(table.c.address.endswith(f"@{domain_key_of(recipient_domain)}", autoescape=True))
        if since is not None:
            query = query.where(table.c.created_at >= since)
        if until is not None:
            query = query.where(table.c.created_at <= until)
        async with self._store.read() as connection:
            rows = await connection.execute(
                query.order_by(table.c.id.desc() if newest else table.c.id).offset(offset).limit(limit)
            )
            return [_suppression(row) for row in rows]

    async def domains(self, account_id: int, *, offset: int = 0, limit: int = 100) -> Sequence[str]:
        """The sending domains of an account that have any, by name."""
        query = select(table.c.domain).where(table.c.account_id == account_id).distinct().order_by(table.c.domain)
        async with self._store.read() as connection:
            return (await connection.scalars(query.offset(offset).limit(limit))).all()

    # changes by people

    async def add(
        self,
        account_id: int,
        domain: str,
        addresses: Iterable[str],
        kind: str,
        *,
        actor: Actor,
        reason: str = "",
    ) -> int:
        """Suppress addresses, all or none; returns how many were not yet. Raises ``SuppressionError``."""
        name, known_kind = domain_key_of(domain), check_kind(kind)
        keys = list(dict.fromkeys(mailbox_key(address) for address in addresses))
        now = self._clock.now()
        reason = either(reason or actor.name)[:MAX_REASON]
        async with self._in_turn(account_id) as connection:
            rows = [_New(account_id, name, key, known_kind, reason) for key in keys]
            added = await _insert(connection, rows, now)
            if added:
                new = [row.address for row in rows if row.identity in added]
                await _audit(connection, account_id, now, actor, "suppression.add", name, known_kind, new)
        self.memory.outdated()
        return len(added)

    async def remove(
        self, account_id: int, domain: str, addresses: Iterable[str], kind: str = "", *, actor: Actor
    ) -> int:
        """Take suppressions back; of every kind unless one is named. Returns how many rows there were.

        Raises ``SuppressionError``.
        """
        name, kinds = domain_key_of(domain), (check_kind(kind),) if kind else KINDS
        keys = list(dict.fromkeys(mailbox_key(address) for address in addresses))
        now = self._clock.now()
        removed: list[str] = []
        async with self._store.write() as connection:
            for start in range(0, len(keys), _BATCH):
                statement = delete(table).where(
                    table.c.account_id == account_id,
                    table.c.domain == name,
                    table.c.address.in_(keys[start : start + _BATCH]),
                    table.c.kind.in_(kinds),
                )
                removed += await connection.scalars(statement.returning(table.c.address))
            if removed:
                gone = sorted(set(removed))
                await _audit(connection, account_id, now, actor, "suppression.remove", name, kind, gone)
        return len(removed)

    # what happens by itself

    async def note(
        self, account_id: int, domain: str, address: str, kind: SuppressionKind, reason: str | Said
    ) -> bool:
        """Suppress an address because of something that happened; false: it was already. Not in the audit log.

        Calls at the same time share a transaction. Raises ``SuppressionError``.
        """
        row = _New(account_id, domain_key_of(domain), mailbox_key(address), kind, either(reason)[:MAX_REASON])
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(account_id, []).append(_Waiting(row, answer))
        if account_id not in self._tasks:
            self._tasks[account_id] = asyncio.create_task(self._write(account_id))
        return await answer

    async def note_bounce(self, account_id: int, domain: str, address: str, reason: str) -> bool:
        """``note`` a bounce whose diagnosis is hard. ``reason`` is the reply with its codes."""
        return await self.note(account_id, domain, address, "bounce", reason)

    async def close(self) -> None:
        """Write what is not written yet."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self.memory.close()

    @asynccontextmanager
    async def _in_turn(self, account_id: int) -> AsyncIterator[AsyncConnection]:
        """A transaction that has the account's turn. It is waited for without a connection: a worker has few, and
        another's long import is nobody else's business. Raises ``StoreUnavailable``.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + _PATIENCE
        while loop.time() < until:
            async with self._one, self._store.write() as connection:
                if await take_turn(connection, account_id):
                    yield connection
                    return
            await asyncio.sleep(_TRY_AGAIN)
        raise StoreUnavailable("another change to the suppressions of the account goes on for long")

    async def _write(self, account_id: int) -> None:
        try:
            while waiting := self._waiting.pop(account_id, None):
                for start in range(0, len(waiting), _BATCH):
                    await self._write_some(account_id, waiting[start : start + _BATCH])
        finally:
            del self._tasks[account_id]

    async def _write_some(self, account_id: int, batch: Sequence[_Waiting]) -> None:
        try:
            async with self._in_turn(account_id) as connection:
                added = await _insert(connection, [item.row for item in batch], self._clock.now())
        except Exception as error:
            for item in batch:
                if not item.answer.done():
                    item.answer.set_exception(error)
            return
        self.memory.outdated()
        for item in batch:
            new = item.row.identity in added
            added.discard(item.row.identity)
            if not item.answer.done():
                item.answer.set_result(new)

    async def _find(
        self, account_id: int, domain: str, addresses: Iterable[str]
    ) -> dict[str, dict[SuppressionKind, Suppression]]:
        """By address and kind."""
        keys = sorted(addresses)
        found: dict[str, dict[SuppressionKind, Suppression]] = {}
        for start in range(0, len(keys), _BATCH):
            query = select(table).where(
                table.c.account_id == account_id,
                table.c.domain == domain,
                table.c.address.in_(keys[start : start + _BATCH]),
            )
            async with self._store.read() as connection:
                rows = (await connection.execute(query)).all()
            for row in rows:
                found.setdefault(row.address, {})[row.kind] = _suppression(row)
        return found


def check_kind(kind: str) -> SuppressionKind:
    """``kind``, or ``SuppressionError``."""
    if kind not in KINDS:
        raise SuppressionError(
            "{kind!r} is not a kind of suppression; there are {known}", kind=kind, known=", ".join(KINDS)
        )
    return kind


async def take_turn(connection: AsyncConnection, account_id: int) -> bool:
    """To be called before rows of an account are inserted: its ids are then in the order of the commits, on
    PostgreSQL too. Of different accounts they need not be. False: somebody else has the turn.

    The lock is kept until the transaction ends, and its rows are seen. SQLite's writers take turns anyway.
    """
    if connection.dialect.name != "postgresql":
        return True
    # Two that meet in 31 bits wait for each other, and nothing worse.
    lock = func.pg_try_advisory_xact_lock(_ADVISORY_LOCK, account_id & 0x7FFF_FFFF)
    return bool(await connection.scalar(select(lock)))


def mailbox_key(text: str) -> str:
    """How what a person wrote is kept: one for those that are one mailbox to most. Raises ``SuppressionError``."""
    try:
        return parse_address(text).key
    except BadAddress as error:
        raise SuppressionError("{address!r} is not an e-mail address: {why}", address=text, why=error) from None


def domain_key_of(text: str) -> str:
    """A domain as it is kept, of what a person wrote, or ``SuppressionError``."""
    try:
        return to_ascii_domain(text)
    except BadAddress as error:
        raise SuppressionError("{domain!r} is not a domain name: {why}", domain=text, why=error) from None


async def _insert(connection: AsyncConnection, rows: Sequence[_New], now: Millis) -> set[Identity]:
    """Those that were not there."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    added: set[Identity] = set()
    for start in range(0, len(rows), _BATCH):
        values = [{**row._asdict(), "created_at": now} for row in rows[start : start + _BATCH]]
        statement = dialect.insert(table).values(values).on_conflict_do_nothing()
        columns = (table.c.account_id, table.c.domain, table.c.address, table.c.kind)
        added.update(tuple(row) for row in await connection.execute(statement.returning(*columns)))
    return added


async def _audit(
    connection: AsyncConnection,
    account_id: int,
    now: Millis,
    actor: Actor,
    action: str,
    domain: str,
    kind: str,
    addresses: Sequence[str],
) -> None:
    """The audit log tells how many, and the first of them."""
    data = {"kind": kind, "addresses": list(addresses[:20]), "address_count": len(addresses)}
    await changed(connection, account_id, now, actor, action, domain, **data)


def _suppression(row: Row[Any]) -> Suppression:
    return value_of(Suppression, row, address=shown_address(row.address))
