"""Suppressions: addresses that a sending domain of an account does not mail: they bounced, complained or left.

A row stops mail whatever its kind. Addresses are compared by their key (``core.address``): in one form and in
lower case, for whoever left as ``Ann@x`` must not be mailed as ``ann@x``. Carriers' old addresses are known here
whether new mail to them is taken or not.

A row is of one sending domain, or, with ``ANY_DOMAIN`` in its place, of all that the account sends from.

Rows come from people (the CLI, an API: written into the audit log) and from what happens to messages (bounces,
complaints, recipients who unsubscribe), which the events of messages tell. They stay until somebody removes them or
they expire; from then on nobody is told of them. Who registered and removed what is kept besides
(``recipients.suppression_history``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

from sqlalchemy import ColumnElement, Row, and_, case, delete, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from ekiden.access.audit import Actor, changed
from ekiden.access.errors import AccessError
from ekiden.core.address import BadAddress, parse_address, shown_address, to_ascii_domain
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.language import Language
from ekiden.core.said import Said, either, in_words, say
from ekiden.core.texts import TranslatedError
from ekiden.recipients.suppression_history import Change, note_changes
from ekiden.recipients.suppression_memory import SuppressionMemory
from ekiden.recipients.translations import TEXTS
from ekiden.store.api import StoreUnavailable
from ekiden.store.pages import Page, contains
from ekiden.store.row_values import value_of
from ekiden.store.tables import suppression as table

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from ekiden.core.clock import Clock, Millis
    from ekiden.store.api import Store

SuppressionKind = Literal["complaint", "unsubscribe", "bounce", "over_quota"]
KINDS: Final[tuple[SuppressionKind, ...]] = get_args(SuppressionKind)
"""Where an address has several, the first of these is told."""

Registrar = Literal["recipient", "account", "platform", "operator"]
"""Who does something about a suppression: its recipient, by a link; people and programs of the account; Ekiden, of
what happened; who runs Ekiden."""
ANY_DOMAIN: Final = ""
"""In the place of a sending domain: each of the account's."""

Identity = tuple[int, str, str, SuppressionKind]
"""Account, domain, address and kind: of each there is one row."""

MAX_REASON: Final = 500
"""Characters of a reason that are kept."""
_BATCH = 500
_PATIENCE: Final = 60.0  # seconds of waiting for the account's turn
_TRY_AGAIN: Final = 0.02  # seconds
_ADVISORY_LOCK = 0x656B_0002
_OWN_WAY_OUT: Final = '["unsubscribed_'
"""How the reason of a row begins whose recipient has used a link (``unsubscribing``), also in an older Ekiden's."""


SortBy = Literal["created", "by_recipient"]


class SuppressionError(AccessError, ValueError):
    """A change to suppressions was refused; nothing was written."""

    def __init__(self, template: str, **values: Any) -> None:
        TranslatedError.__init__(self, TEXTS, template, **values)


@dataclass(frozen=True, slots=True)
class Suppression:
    """``domain`` does not mail ``address``, which is as people write it; ``ANY_DOMAIN``: the account does not.

    ``reason``: the reply that led to it, who asked for it, or what Ekiden says (``said.either``). ``expires_at``:
    until when; ``None``: until somebody removes it. ``registered_by`` is empty where nobody has kept it.
    """

    id: int
    account_id: int
    domain: str
    address: str
    kind: SuppressionKind
    reason: str
    created_at: Millis
    expires_at: Millis | None = None
    registered_by: Registrar | Literal[""] = ""

    def told(self, lang: Language = "en") -> str:
        """``reason`` for people."""
        return in_words(self.reason, lang)


class _New(NamedTuple):
    account_id: int
    domain: str
    address: str
    kind: SuppressionKind
    reason: str
    expires_at: Millis | None
    registered_by: Registrar
    diagnosis: Diagnosis = Diagnosis.NONE

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

        Suppressions of other than ``kinds`` do not count: a message that is no advertising may go to those who have
        unsubscribed where only that was declined. What is found says which ``kind`` stops it: of several that
        count the first of ``KINDS``.

        Hardly a second behind other workers. No query, but for one a second, unless an address is suppressed.
        """
        if self.memory.has_none(account_id):
            return {}
        domain = to_ascii_domain(domain)
        keys = {address: parse_address(address).key for address in addresses}
        asked = {(of, key) for key in keys.values() for of in (domain, ANY_DOMAIN)}
        suspects, known = await self.memory.suspects(account_id, asked)
        if not suspects:
            return {}
        found = await self._find(account_id, domain, {address for _, address in suspects})
        if known:
            self.memory.in_vain(account_id, len({key for _, key in suspects}) - len(found))
        counting = {
            address: next((of_kind[kind] for kind in KINDS if kind in kinds and kind in of_kind), None)
            for address, of_kind in found.items()
        }
        return {given: first for given, key in keys.items() if (first := counting.get(key)) is not None}

    async def find(self, account_id: int, domain: str, address: str, kind: SuppressionKind) -> Suppression | None:
        """That row, straight from the table, of a domain or of ``ANY_DOMAIN``. Raises ``SuppressionError``."""
        name, key = _domain_or_any(domain), mailbox_key(address)
        query = select(table).where(
            table.c.account_id == account_id,
            table.c.domain == name,
            table.c.address == key,
            table.c.kind == kind,
            _in_force(self._clock.now()),
        )
        async with self._store.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else suppression_of(row)

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
        query = select(table).where(table.c.account_id == account_id, _in_force(self._clock.now()))
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
            return [suppression_of(row) for row in rows]

    async def last_end(
        self, account_id: int, address: str, kinds: Sequence[SuppressionKind]
    ) -> tuple[bool, Millis | None]:
        """Whether an address has any of these kinds, of whichever domain, and when the last of them expires;
        ``None``: not all of them do. Raises ``SuppressionError``."""
        theirs = (
            table.c.account_id == account_id,
            table.c.address == mailbox_key(address),
            table.c.kind.in_(kinds),
            _in_force(self._clock.now()),
        )
        query = select(func.count(), func.count(table.c.expires_at), func.max(table.c.expires_at)).where(*theirs)
        async with self._store.read() as connection:
            count, expiring, last = (await connection.execute(query)).one()
        return bool(count), last if expiring == count else None

    async def page(
        self,
        account_id: int,
        kind: SuppressionKind,
        *,
        address: str = "",
        since: Millis | None = None,
        until: Millis | None = None,
        by_recipient: bool | None = None,
        sort: Sequence[tuple[SortBy, bool]] = (),
        offset: int = 0,
        limit: int = 100,
    ) -> Page[Suppression]:
        """Those of the whole account (``ANY_DOMAIN``), and how many there are in all.

        ``address``: one, or a part of some. ``by_recipient``: whether the recipient has used a link. ``sort``: by
        what, and whether descending; the newest first unless it says otherwise.
        """
        wanted = [
            table.c.account_id == account_id,
            table.c.domain == ANY_DOMAIN,
            table.c.kind == kind,
            _in_force(self._clock.now()),
        ]
        if address:
            wanted.append(_like(address))
        if since is not None:
            wanted.append(table.c.created_at >= since)
        if until is not None:
            wanted.append(table.c.created_at <= until)
        own = or_(
            table.c.registered_by == "recipient",
            and_(table.c.registered_by == "", table.c.reason.startswith(_OWN_WAY_OUT, autoescape=True)),
        )
        if by_recipient is not None:
            wanted.append(own if by_recipient else ~own)
        columns = {"created": table.c.created_at, "by_recipient": case((own, 1), else_=0)}
        order = [columns[name].desc() if descending else columns[name] for name, descending in sort]
        order += [table.c.created_at.desc(), table.c.id.desc()]
        async with self._store.read() as connection:
            rows = await connection.execute(
                select(table).where(*wanted).order_by(*order).offset(offset).limit(limit)
            )
            found = [suppression_of(row) for row in rows]
            total = await connection.scalar(select(func.count()).select_from(table).where(*wanted))
        return Page(found, total or 0)

    async def domains(self, account_id: int, *, offset: int = 0, limit: int = 100) -> Sequence[str]:
        """The sending domains of an account that have any, by name."""
        theirs = table.c.account_id == account_id, table.c.domain != ANY_DOMAIN
        query = select(table.c.domain).where(*theirs).distinct().order_by(table.c.domain)
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
        by: Registrar = "account",
        expires_at: Millis | None = None,
    ) -> int:
        """Suppress addresses, all or none; returns how many were not yet. Raises ``SuppressionError``.

        ``domain``: or ``ANY_DOMAIN``. What was to expire and is added without ``expires_at`` counts as new.
        """
        name, known_kind = _domain_or_any(domain), check_kind(kind)
        keys = list(dict.fromkeys(mailbox_key(address) for address in addresses))
        now = self._clock.now()
        reason = either(reason or actor.name)[:MAX_REASON]
        async with self._in_turn(account_id) as connection:
            rows = [_New(account_id, name, key, known_kind, reason, expires_at, by) for key in keys]
            added = await _insert(connection, rows, now)
            if added:
                new = [row.address for row in rows if row.identity in added]
                await _audit(connection, account_id, now, actor, "suppression.add", name, known_kind, new)
        self.memory.outdated()
        return len(added)

    async def remove(
        self,
        account_id: int,
        domain: str,
        addresses: Iterable[str],
        kind: str = "",
        *,
        actor: Actor,
        by: Registrar = "account",
    ) -> int:
        """Take suppressions back; of every kind unless one is named. Returns how many rows there were.

        ``domain``: or ``ANY_DOMAIN``, which takes those of the whole account back. Raises ``SuppressionError``.
        """
        name, kinds = _domain_or_any(domain), (check_kind(kind),) if kind else KINDS
        keys = list(dict.fromkeys(mailbox_key(address) for address in addresses))
        now = self._clock.now()
        removed: list[Change] = []
        async with self._store.write() as connection:
            for start in range(0, len(keys), _BATCH):
                theirs = (
                    table.c.account_id == account_id,
                    table.c.domain == name,
                    table.c.address.in_(keys[start : start + _BATCH]),
                )
                await _expire(connection, now, *theirs)
                statement = delete(table).where(*theirs, table.c.kind.in_(kinds))
                reason = either(actor.name)[:MAX_REASON]
                removed += [
                    Change(account_id, *row, "removed", by, reason, Diagnosis.NONE, now)
                    for row in await connection.execute(statement.returning(*_WHAT))
                ]
            await note_changes(connection, removed)
            if removed:
                gone = sorted({item.address for item in removed})
                await _audit(connection, account_id, now, actor, "suppression.remove", name, kind, gone)
        return len(removed)

    # what happens by itself

    async def note(
        self,
        account_id: int,
        domain: str,
        address: str,
        kind: SuppressionKind,
        reason: str | Said,
        *,
        by: Registrar = "platform",
        expires_at: Millis | None = None,
        diagnosis: Diagnosis = Diagnosis.NONE,
    ) -> bool:
        """Suppress an address because of something that happened; false: it was already. Not in the audit log.

        ``domain``: or ``ANY_DOMAIN``. Calls at the same time share a transaction. Raises ``SuppressionError``.
        """
        what = (account_id, _domain_or_any(domain), mailbox_key(address), kind)
        row = _New(*what, either(reason)[:MAX_REASON], expires_at, by, diagnosis)
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(account_id, []).append(_Waiting(row, answer))
        if account_id not in self._tasks:
            self._tasks[account_id] = asyncio.create_task(self._write(account_id))
        return await answer

    async def note_bounce(
        self,
        account_id: int,
        domain: str,
        address: str,
        reason: str,
        *,
        diagnosis: Diagnosis = Diagnosis.NONE,
        lasts: Millis | None = None,
    ) -> bool:
        """``note`` a bounce whose diagnosis is hard. ``reason`` is the reply with its codes.

        ``lasts``: for how long from now; ``None``: until somebody removes it.
        """
        expires_at = None if lasts is None else self._clock.now() + lasts
        return await self.note(
            account_id, domain, address, "bounce", reason, diagnosis=diagnosis, expires_at=expires_at
        )

    async def expire(self, limit: int = 500) -> int:
        """Remove up to ``limit`` rows that have expired, with their entries in the history; returns how many.

        A duty of the housekeeping. What they say counts no more from their time on, whenever this comes to them.
        """
        now = self._clock.now()
        due = select(table.c.id).where(table.c.expires_at <= now).order_by(table.c.expires_at).limit(limit)
        async with self._store.read() as connection:
            ids = list(await connection.scalars(due))
        if not ids:
            return 0
        async with self._store.write() as connection:
            return await _expire(connection, now, table.c.id.in_(ids))

    async def expire_of(self, account_id: int, key: str) -> None:
        """``expire`` what is over of one address (a key), for whoever looks at its history."""
        now = self._clock.now()
        theirs = table.c.account_id == account_id, table.c.address == key
        async with self._store.read() as connection:
            over = select(table.c.id).where(*theirs, table.c.expires_at <= now)
            ids = list(await connection.scalars(over))
        if ids:
            async with self._store.write() as connection:
                await _expire(connection, now, table.c.id.in_(ids))

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
        now = self._clock.now()
        found: dict[str, dict[SuppressionKind, Suppression]] = {}
        for start in range(0, len(keys), _BATCH):
            query = select(table).where(
                table.c.account_id == account_id,
                table.c.domain.in_((domain, ANY_DOMAIN)),
                table.c.address.in_(keys[start : start + _BATCH]),
                _in_force(now),
            )
            async with self._store.read() as connection:
                rows = (await connection.execute(query)).all()
            for row in rows:
                found.setdefault(row.address, {})[row.kind] = suppression_of(row)
        return found


_WHAT: Final = (table.c.domain, table.c.address, table.c.kind)


def _in_force(now: Millis) -> ColumnElement[bool]:
    return or_(table.c.expires_at.is_(None), table.c.expires_at > now)


def _like(text: str) -> ColumnElement[bool]:
    try:
        return table.c.address == parse_address(text).key
    except BadAddress:
        return contains(text, table.c.address)


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


def _domain_or_any(text: str) -> str:
    return ANY_DOMAIN if text == ANY_DOMAIN else domain_key_of(text)


async def _insert(connection: AsyncConnection, rows: Sequence[_New], now: Millis) -> set[Identity]:
    """Those that were not there, or were to expire and now stay. The rows are of one account."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    known: dict[Identity, _New] = {}
    for row in rows:
        known.setdefault(row.identity, row)
    unique = list(known.values())
    added: set[Identity] = set()
    for start in range(0, len(unique), _BATCH):
        batch = unique[start : start + _BATCH]
        theirs = (
            table.c.account_id == batch[0].account_id,
            table.c.domain.in_({row.domain for row in batch}),
            table.c.address.in_({row.address for row in batch}),
        )
        await _expire(connection, now, *theirs)
        values = [
            {name: value for name, value in row._asdict().items() if name != "diagnosis"} | {"created_at": now}
            for row in batch
        ]
        new = dialect.insert(table).values(values)
        given = {name: new.excluded[name] for name in ("expires_at", "reason", "registered_by")}
        statement = new.on_conflict_do_update(
            index_elements=[table.c.account_id, *_WHAT],
            set_=given,
            where=and_(table.c.expires_at.is_not(None), new.excluded.expires_at.is_(None)),
        )
        found = await connection.execute(statement.returning(table.c.account_id, *_WHAT))
        fresh: list[Identity] = [tuple(row) for row in found]
        added.update(fresh)
        await note_changes(
            connection,
            [
                Change(*identity, "registered", row.registered_by, row.reason, row.diagnosis, now)
                for identity in fresh
                for row in (known[identity],)
            ],
        )
    return added


async def _expire(connection: AsyncConnection, now: Millis, *which: ColumnElement[bool]) -> int:
    """Remove those whose time is over, as the platform does at that time; returns how many there were."""
    gone = delete(table).where(*which, table.c.expires_at <= now)
    rows = (await connection.execute(gone.returning(table.c.account_id, *_WHAT, table.c.expires_at))).all()
    said = say("suppression_expired").encode()
    await note_changes(
        connection, [Change(*row[:4], "removed", "platform", said, Diagnosis.NONE, row.expires_at) for row in rows]
    )
    return len(rows)


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


def suppression_of(row: Row[Any]) -> Suppression:
    """From a row of the table ``suppression``."""
    by = row.registered_by or ("recipient" if row.reason.startswith(_OWN_WAY_OUT) else "")
    return value_of(Suppression, row, address=shown_address(row.address), registered_by=by)
