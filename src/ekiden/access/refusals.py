"""What was refused, and why: kept, so that ``ekiden trace`` can tell whoever quotes the reply.

A refusal has an id like a message, which stands at the end of the reply. Who is refused the same thing again within
the same minute is told the same id. Rows are written once a second and not one by one, and so many each minute at
most: whoever is refused very often, and for ever other things, fills neither the database nor the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from sqlalchemy import Select, insert, select

from ekiden.core.address import Address, parse_address
from ekiden.core.clock import MINUTE
from ekiden.core.ids import IdFactory, format_id
from ekiden.limits.journal import REFUSED
from ekiden.limits.repeated_log import RepeatedLog
from ekiden.smtp.reply import KeptReply, Reply
from ekiden.store.errors import told
from ekiden.store.retention import first_id
from ekiden.store.row_values import value_of
from ekiden.store.set_aside import readable
from ekiden.store.tables import refusal as table
from ekiden.store.tables import refused_recipient

if TYPE_CHECKING:
    from ekiden.core.clock import Clock, Millis
    from ekiden.store.api import Store

_EVERY = 1.0
_SAME_FOR: Millis = MINUTE
_MOST_RECIPIENTS = 20
"""Kept of each message that was refused."""
_MOST = 300
"""Kept in each ``_SAME_FOR``; what is beyond is only counted in the log."""
_MOST_NAMED = 1_000
"""Recipients that are kept in each ``_SAME_FOR``, of all that was refused."""


@dataclass(frozen=True, slots=True)
class KeptRefusal:
    """One refusal. ``account_id`` 0: nobody had logged in. ``facts``: listener, domain, rule, …"""

    account_id: int
    id: int
    at: Millis
    stage: str
    reason: str
    reply: str
    credential_id: int
    client: str
    sender: str
    facts: dict[str, Any]


class _Refused(NamedTuple):
    account_id: int
    refusal_id: int
    recipient: str


class Refusals:
    """One per worker; close it at the end."""

    def __init__(self, store: Store, clock: Clock, ids: IdFactory) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self.log = RepeatedLog("ekiden.access")
        self._waiting: list[dict[str, Any]] = []
        self._minute: Millis = 0
        self._kept: dict[tuple[object, ...], int] = {}
        """Ids of this minute, by everything that one says of a refusal."""
        self._recipients: set[_Refused] = set()
        """Of this minute."""
        self._waiting_recipients: list[_Refused] = []
        self._task: asyncio.Task[None] | None = None

    def note(
        self,
        stage: str,
        reason: str,
        reply: Reply,
        *,
        account_id: int = 0,
        credential_id: int = 0,
        client: str = "",
        sender: str = "",
        facts: Mapping[str, str] | None = None,
        recipients: Sequence[Address] = (),
    ) -> Reply:
        """Keep and log a refusal; returns the reply with its id at the end.

        The first ``recipients`` are kept, too: it is found by them.
        """
        now = self._clock.now()
        said = f"{reply.code} {reply.enhanced} {reply.text}"
        data = msgspec.json.encode(dict(facts or {})).decode()
        minute = now - now % _SAME_FOR
        if minute != self._minute:
            self._minute = minute
            self._kept.clear()
            self._recipients.clear()
        same = (stage, reason, said, account_id, credential_id, client, sender, data)
        number = self._kept.get(same)
        if number is None:
            number = self._ids.next(now)
            if len(self._kept) < _MOST:
                self._kept[same] = number
                row = {
                    "account_id": account_id,
                    "id": number,
                    "at": now,
                    "stage": stage,
                    "reason": reason,
                    "reply": said,
                    "credential_id": credential_id,
                    "client": client,
                    "sender": sender,
                    "data": data,
                }
                self._waiting.append(row)
                self._write_later()
        if same in self._kept:
            self._note_recipients(account_id, number, recipients)
        self.tell(
            stage,
            reason,
            reply,
            client=client,
            account_id=account_id,
            id=format_id(number),
            sender=sender,
            facts=data,
        )
        lines = (*reply.lines[:-1], f"{reply.lines[-1]} [{format_id(number)}]")
        return KeptReply(reply.code, reply.enhanced, lines, reply.local)

    def tell(
        self, stage: str, reason: str, reply: Reply, *, client: str, account_id: int = 0, **facts: str | int
    ) -> None:
        """Log a refusal (``docs/logging.md``), unless ``note`` has."""
        if not REFUSED.level or isinstance(reply, KeptReply):
            return
        self.log.tell(
            REFUSED,
            key=(stage, reason, reply.code, account_id, client),
            client=client,
            stage=stage,
            reason=reason,
            code=reply.code,
            enhanced=reply.enhanced,
            account=account_id,
            text=reply.text,
            **facts,
        )

    def _note_recipients(self, account_id: int, number: int, recipients: Sequence[Address]) -> None:
        for recipient in recipients[:_MOST_RECIPIENTS]:
            key = _Refused(account_id, number, recipient.key)
            if key not in self._recipients and len(self._recipients) < _MOST_NAMED:
                self._recipients.add(key)
                self._waiting_recipients.append(key)
                self._write_later()

    def _write_later(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._write_soon())

    async def close(self) -> None:
        """Write what is not written yet."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._write()
        self.log.flush()

    async def _write_soon(self) -> None:
        await asyncio.sleep(_EVERY)
        self._task = None
        await self._write()

    async def _write(self) -> None:
        rows, self._waiting = self._waiting, []
        keys, self._waiting_recipients = self._waiting_recipients, []
        if not rows and not keys:
            return
        try:
            async with self._store.write() as connection:
                if rows:
                    await connection.execute(insert(table), rows)
                if keys:
                    await connection.execute(insert(refused_recipient), [key._asdict() for key in keys])
        except Exception as error:
            told(self.log, "refusals are not kept", error, count=len(rows))
            # Who comes again gets an id that somebody will know.
            lost = {row["id"] for row in rows}
            self._recipients.difference_update(keys)
            self._kept = {same: number for same, number in self._kept.items() if number not in lost}


async def find_refusal(store: Store, number: int) -> KeptRefusal | None:
    """The refusal of that id."""
    async with store.read() as connection:
        row = (await connection.execute(select(table).where(table.c.id == number))).one_or_none()
    return None if row is None else _refusal(row)


async def list_refusals(store: Store, account_id: int | None = None, limit: int = 100) -> list[KeptRefusal]:
    """The latest refusals of one account or of all, newest first."""
    query = select(table).order_by(table.c.id.desc()).limit(limit)
    if account_id is not None:
        query = query.where(table.c.account_id == account_id)
    async with store.read() as connection:
        return readable("refusal", _refusal, await connection.execute(query))


def recipient_statement(
    account_id: int, recipient: str, since: Millis, until: Millis | None, limit: int
) -> Select[Any]:
    """The refusals of one account to one recipient (``core.address``'s key), newest first."""
    keys = select(refused_recipient.c.refusal_id).where(
        refused_recipient.c.account_id == account_id,
        refused_recipient.c.recipient == recipient,
        refused_recipient.c.refusal_id >= first_id(since),
    )
    if until is not None:
        keys = keys.where(refused_recipient.c.refusal_id < first_id(until))
    newest = keys.order_by(refused_recipient.c.refusal_id.desc()).limit(limit).subquery()
    return (
        select(table)
        .join(newest, newest.c.refusal_id == table.c.id)
        .where(table.c.account_id == account_id)
        .order_by(table.c.id.desc())
    )


async def refusals_to(
    store: Store,
    recipient: str,
    accounts: Iterable[int],
    since: Millis = 0,
    until: Millis | None = None,
    limit: int = 100,
) -> list[KeptRefusal]:
    """What the accounts had refused that was for ``recipient``, as ``core.address`` takes it; the newest first.

    Only what was refused after its recipients were named is known by them.
    """
    found: list[Any] = []
    key = parse_address(recipient).key
    async with store.read() as connection:
        for account_id in accounts:
            found += await connection.execute(recipient_statement(account_id, key, since, until, limit))
    found.sort(key=lambda row: row.id, reverse=True)
    return readable("refusal", _refusal, found[:limit])


def _refusal(row: Any) -> KeptRefusal:
    return value_of(KeptRefusal, row, facts=msgspec.json.decode(row.data))
