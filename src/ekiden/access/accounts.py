"""Accounts, the tenants: rare changes, made by operators."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from sqlalchemy import Row, func, insert, select, update

from ekiden.access.audit import SYSTEM, Actor, changed
from ekiden.access.errors import BadName, NameTaken, NotFound
from ekiden.core.clock import Millis
from ekiden.core.states import Priority
from ekiden.store.api import Conflict
from ekiden.store.row_values import value_of
from ekiden.store.set_aside import read, readable
from ekiden.store.tables import account as table
from ekiden.store.tables import audit

if TYPE_CHECKING:
    from ekiden.store.api import Connection, Store

MAX_NAME = 64
MIN_BLOCK_HOURS: Final = 168
"""A week."""
MAX_BLOCK_HOURS: Final = 876_000
"""A hundred years."""
_REPORTING: Final = "account.reporting"
Senders = Literal["verified", "any"]
"""Which senders an account may use: those of its verified domains, or any, as a relay for others needs it."""
OverQuota = Literal["delay", "reject"]
"""What becomes of a message over the quota: delivered in the next window that has room, or refused."""
WINDOWS: Final = (60, 3_600, 86_400)
"""Lengths in seconds of the windows of quotas; they begin at multiples of their length since the epoch."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Recipients that an account may send to in each minute, hour and day (UTC); ``None``: as many as it likes."""

    minute: int | None = None
    hour: int | None = None
    day: int | None = None
    action: OverQuota = "delay"

    @property
    def limited(self) -> bool:
        return self.minute is not None or self.hour is not None or self.day is not None

    @property
    def limits(self) -> tuple[tuple[int, int], ...]:
        """(seconds of the window, limit) for each that there is."""
        found = zip(WINDOWS, (self.minute, self.hour, self.day), strict=True)
        return tuple((seconds, limit) for seconds, limit in found if limit is not None)


@dataclass(frozen=True, slots=True)
class Account:
    """``priority`` is the default of its messages. While ``suspended_at`` is set nothing it submits is accepted."""

    id: int
    name: str
    priority: Priority
    created_at: Millis
    suspended_at: Millis | None
    region: str = ""
    senders: Senders = "verified"
    quota: Quota = Quota()
    reports_endpoint: int | None = None
    """Keeps its delivery reports to be fetched; ``None``: none are kept."""
    suppress_bounces: bool = False
    """Addresses that bounce for good are not mailed again."""
    block_hours: int | None = None
    """For so long such an address is blocked for the whole account; ``None``: nobody has said."""

    @property
    def uid(self) -> str:
        """What other services' clients take for an account id: 32 hexadecimal digits."""
        return account_uid(self.id)


def account_uid(account_id: int) -> str:
    """``Account.uid`` of an account's id."""
    return format(account_id, "032x")


def check_name(name: str, what: str, longest: int = MAX_NAME) -> str:
    """``name``, or ``BadName``: 1 to ``longest`` printable characters, no blanks around them."""
    if not 1 <= len(name) <= longest or not name.isprintable() or name != name.strip():
        template = what + " must be 1 to {longest} printable characters without leading or trailing spaces"
        raise BadName(template, longest=longest)
    return name


async def create_account(
    store: Store,
    name: str,
    now: Millis,
    *,
    priority: Priority = Priority.STANDARD,
    region: str = "",
    senders: Senders = "verified",
    actor: Actor = SYSTEM,
) -> Account:
    """A new account. Raises ``BadName``, ``NameTaken``."""
    values = {
        "name": check_name(name, "an account's name"),
        "priority": int(priority),
        "created_at": now,
        "region": region,
        "senders": senders,
        "quota_action": "delay",
        "suppress_bounces": False,
        "revision": 0,
    }
    try:
        async with store.write() as connection:
            row = (await connection.execute(insert(table).values(values).returning(*table.c))).one()
            await changed(connection, row.id, now, actor, "account.create", name, region=region, senders=senders)
    except Conflict as error:
        taken = NameTaken("there is an account {name!r} already", name=name)
        raise error.instead("uq_account_name", taken) from None
    return _account(row)


async def get_account(store: Store, name: str) -> Account:
    """The account of that name. Raises ``NotFound``."""
    async with store.read() as connection:
        row = (await connection.execute(select(table).where(table.c.name == name))).one_or_none()
    if row is None:
        raise NotFound("there is no account {name!r}", name=name)
    return read("account", _account, row)


async def list_accounts(store: Store) -> list[Account]:
    """Every account, by name."""
    async with store.read() as connection:
        rows = (await connection.execute(select(table).order_by(table.c.name))).all()
    return readable("account", _account, rows)


async def find_account(store: Store, account_id: int) -> Account | None:
    """The account of that id, if there is one."""
    async with store.read() as connection:
        row = (await connection.execute(select(table).where(table.c.id == account_id))).one_or_none()
    return None if row is None else read("account", _account, row)


async def suspend_account(store: Store, name: str, now: Millis, *, actor: Actor = SYSTEM) -> Account:
    """Accept nothing more from it, within two seconds on every worker. What is queued is still delivered."""
    return await _change(store, name, now, actor, "account.suspend", {"suspended_at": now})


async def resume_account(store: Store, name: str, now: Millis, *, actor: Actor = SYSTEM) -> Account:
    """End a suspension."""
    return await _change(store, name, now, actor, "account.resume", {"suspended_at": None})


async def set_priority(
    store: Store, name: str, priority: Priority, now: Millis, *, actor: Actor = SYSTEM
) -> Account:
    """Change the default priority of its coming messages."""
    return await _change(store, name, now, actor, "account.priority", {"priority": int(priority)})


async def set_senders(store: Store, name: str, senders: Senders, now: Millis, *, actor: Actor = SYSTEM) -> Account:
    """Change which senders its messages may have."""
    return await _change(store, name, now, actor, "account.senders", {"senders": senders})


async def set_region(store: Store, name: str, region: str, now: Millis, *, actor: Actor = SYSTEM) -> Account:
    """Change the region that serves it."""
    return await _change(store, name, now, actor, "account.region", {"region": region})


async def set_quota(store: Store, name: str, quota: Quota, now: Millis, *, actor: Actor = SYSTEM) -> Account:
    """Change how much it may send. Raises ``BadName`` for a limit below 1."""
    if any(limit < 1 for _, limit in quota.limits):
        raise BadName("a quota is at least 1")
    values = {
        "quota_minute": quota.minute,
        "quota_hour": quota.hour,
        "quota_day": quota.day,
        "quota_action": quota.action,
    }
    return await _change(store, name, now, actor, "account.quota", values)


async def set_reporting(
    store: Store,
    name: str,
    now: Millis,
    *,
    reports_endpoint: int | None,
    suppress_bounces: bool,
    actor: Actor = SYSTEM,
) -> Account:
    """Change where reports of its coming messages are kept, and whether addresses that bounce are suppressed."""
    values = {"reports_endpoint": reports_endpoint, "suppress_bounces": suppress_bounces}
    return await _change(store, name, now, actor, _REPORTING, values)


async def begin_reporting(
    store: Store, name: str, now: Millis, *, reports_endpoint: int, actor: Actor = SYSTEM
) -> bool:
    """Keep reports and suppress addresses that bounce, unless somebody has ever said how it is to be.

    Returns whether reports are kept now. Raises ``NotFound``.
    """
    values = {"reports_endpoint": reports_endpoint, "suppress_bounces": True}
    async with store.write() as connection:
        row = (await connection.execute(select(table).where(table.c.name == name).with_for_update())).one_or_none()
        if row is None:
            raise NotFound("there is no account {name!r}", name=name)
        if row.reports_endpoint is not None:
            return True
        said = select(audit.c.id).where(audit.c.account_id == row.id, audit.c.action == _REPORTING).limit(1)
        if await connection.scalar(said) is not None:
            return False
        await connection.execute(update(table).where(table.c.id == row.id).values(values))
        await changed(connection, row.id, now, actor, _REPORTING, name, **values)
    return True


async def set_block_hours(
    store: Store, name: str, hours: int | None, now: Millis, *, actor: Actor = SYSTEM
) -> Account:
    """Change for how long addresses that bounce for good from now on are blocked; ``None``: as if nobody had said.

    Raises ``BadName``, ``NotFound``.
    """
    if hours is not None and not MIN_BLOCK_HOURS <= hours <= MAX_BLOCK_HOURS:
        raise BadName("a block lasts from {least} to {most} hours", least=MIN_BLOCK_HOURS, most=MAX_BLOCK_HOURS)
    return await _change(store, name, now, actor, "account.block", {"block_hours": hours})


async def _change(
    store: Store, name: str, now: Millis, actor: Actor, action: str, values: Mapping[str, int | str | None]
) -> Account:
    async with store.write() as connection:
        statement = update(table).where(table.c.name == name).values(values).returning(*table.c)
        row = (await connection.execute(statement)).one_or_none()
        if row is None:
            raise NotFound("there is no account {name!r}", name=name)
        await changed(connection, row.id, now, actor, action, name, **values)
    return _account(row)


def _account(row: Row[Any]) -> Account:
    return value_of(Account, row, priority=Priority(row.priority), quota=quota_of(row))


def quota_of(row: Row[Any]) -> Quota:
    """The quota in a row of the table ``account``."""
    return Quota(row.quota_minute, row.quota_hour, row.quota_day, cast(OverQuota, row.quota_action))


async def account_rows(connection: Connection, ids: Collection[int]) -> Sequence[Row[Any]]:
    """Those that there are."""
    return (await connection.execute(select(table).where(table.c.id.in_(ids)))).all()


async def revisions(connection: Connection) -> tuple[int, int]:
    """How many accounts there are, and the sum of their revisions: it is the same while nothing has changed."""
    query = select(func.count(), func.coalesce(func.sum(table.c.revision), 0)).select_from(table)
    number, revisions = (await connection.execute(query)).one()
    return int(number), int(revisions)
