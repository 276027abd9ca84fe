"""Network zones: named sets of addresses that rules refer to (contract ``ibm.md`` §4.2)."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.access.audit import Actor, changed
from ekiden.core.clock import Clock, Millis
from ekiden.networks.addresses import Interval, parse_ip, parse_range, parse_subnet
from ekiden.networks.errors import BadValue, TooMany, VersionMismatch, ZoneInUse, ZoneNameTaken, ZoneNotFound
from ekiden.store.row_values import value_of
from ekiden.store.set_aside import read, readable
from ekiden.store.tables import access_rule
from ekiden.store.tables import account as account_table
from ekiden.store.tables import network_zone as table

if TYPE_CHECKING:
    from ekiden.store.api import Store

Kind = Literal["ipAddress", "ipRange", "subnet", "vpc", "serviceRef", "instance"]
MAX_ZONES: Final = 500
"""Zones of one account."""
MAX_ADDRESSES: Final = 1_000
"""Addresses of one zone, and as many excluded ones."""
MAX_ALL_ADDRESSES: Final = 20_000
"""Addresses of all zones of one account, excluded ones too: each worker has them in memory, ready to be asked."""
MAX_DESCRIPTION: Final = 300

_ID = re.compile("[0-9a-f]{32}")
_NAME = re.compile(r"[a-zA-Z0-9 \-_]{1,128}")
_DESCRIPTION = re.compile(rf"[\x20-\xFE]{{0,{MAX_DESCRIPTION}}}")
_CRN = re.compile(r"crn:[!-~]{1,996}")
_REFERENCE = re.compile(r"[!-~]{1,128}")
_LITERAL: Final = {"ipAddress": parse_ip, "ipRange": parse_range, "subnet": parse_subnet}
_WRONG: Final = {
    "ipAddress": "{field}: {value!r} is not an IP address",
    "ipRange": "{field}: {value!r} is not a range of IP addresses, first-last",
    "subnet": "{field}: {value!r} is not a subnet, address/length",
}


class ServiceRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """A service whose addresses are meant. Empty: not given."""

    account_id: str
    service_type: str = ""
    service_name: str = ""
    service_instance: str = ""
    location: str = ""


class Address(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of a zone: ``ref`` for ``serviceRef``, ``value`` for all others."""

    type: Kind
    value: str = ""
    ref: ServiceRef | None = None

    def interval(self) -> Interval | None:
        """The addresses it names; ``None``: only the configuration knows them. Raises ``ValueError``."""
        parse = _LITERAL.get(self.type)
        return None if parse is None else parse(self.value)

    def __str__(self) -> str:
        if self.ref is None:
            return self.value
        return ":".join(part for part in ("service", self.ref.service_name, self.ref.location) if part)


class ZoneValues(msgspec.Struct, frozen=True):
    """What a client says of a zone."""

    name: str
    addresses: tuple[Address, ...]
    excluded: tuple[Address, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone as it is kept. ``version`` is another one after each change."""

    id: str
    account_id: int
    name: str
    description: str
    addresses: tuple[Address, ...]
    excluded: tuple[Address, ...]
    version: str
    created_at: Millis
    created_by: str
    updated_at: Millis
    updated_by: str


SORTS: Final[Mapping[str, str]] = {
    "name": "name",
    "description": "description",
    "created_at": "created_at",
    "created_by_id": "created_by",
    "last_modified_at": "updated_at",
    "last_modified_by_id": "updated_by",
}
"""Fields that lists of zones and rules can be sorted by, with their columns; rules have no ``name``."""


def parse_sort(sort: str, known: Mapping[str, str] = SORTS) -> list[tuple[str, bool]]:
    """``name,-created_at`` as (column, descending). Raises ``BadValue``."""
    found = []
    for item in sort.split(",") if sort else ():
        name = item.strip()
        column = known.get(name.removeprefix("-"))
        if column is None:
            raise BadValue("sort", "{field}: {value!r} is not a field to sort by", value=name)
        found.append((column, name.startswith("-")))
    return found


def check_zone(values: ZoneValues) -> None:
    """Raises ``BadValue`` that names the field."""
    if not _NAME.fullmatch(values.name):
        raise BadValue("name", "{field}: 1 to 128 letters, digits, blanks, hyphens and underscores")
    check_description(values.description)
    _check_addresses(values.addresses, "addresses")
    _check_addresses(values.excluded, "excluded")
    for index, address in enumerate(values.excluded):
        if address.type not in _LITERAL:
            raise BadValue(f"excluded[{index}].type", "{field}: only addresses, ranges and subnets can be excluded")


def check_description(text: str) -> None:
    """Raises ``BadValue``."""
    if not _DESCRIPTION.fullmatch(text):
        raise BadValue("description", "{field}: at most 300 characters of Latin-1")


def _check_addresses(addresses: Sequence[Address], field: str) -> None:
    if len(addresses) > MAX_ADDRESSES:
        raise BadValue(field, "{field}: at most {limit}", limit=MAX_ADDRESSES)
    for index, address in enumerate(addresses):
        _check_address(address, f"{field}[{index}]")


def _check_address(address: Address, field: str) -> None:
    if address.type == "serviceRef":
        if address.ref is None:
            raise BadValue(f"{field}.ref", "{field}: this is needed")
        if address.value:
            raise BadValue(f"{field}.value", "{field}: not for this type")
        for name, value in msgspec.structs.asdict(address.ref).items():
            if (value or name == "account_id") and not _REFERENCE.fullmatch(value):
                raise BadValue(f"{field}.ref.{name}", "{field}: 1 to 128 printable characters of ASCII, no blanks")
        if not (address.ref.service_name or address.ref.service_type):
            raise BadValue(f"{field}.ref.service_name", "{field}: this is needed")
        return
    if address.ref is not None:
        raise BadValue(f"{field}.ref", "{field}: not for this type")
    try:
        address.interval()
    except ValueError:
        raise BadValue(f"{field}.value", _WRONG[address.type], value=address.value) from None
    if address.type not in _LITERAL and not _CRN.fullmatch(address.value):
        raise BadValue(f"{field}.value", "{field}: {value!r} is not a CRN", value=address.value)


class Zones:
    """The zones of all accounts. Every change is written into the audit log and seen by all workers."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, account_id: int, values: ZoneValues, *, actor: Actor) -> Zone:
        """A new zone. Raises ``BadValue``, ``ZoneNameTaken``, ``TooMany``."""
        check_zone(values)
        now = self._clock.now()
        row = {
            "id": uuid.uuid4().hex,
            "account_id": account_id,
            "created_at": now,
            "created_by": actor.name,
            **self._changes(values, now, actor),
        }
        async with self._store.write() as connection:
            await lock_account(connection, account_id)
            await self._check_name(connection, account_id, values.name)
            others = await load_zones(connection, account_id)
            if len(others) >= MAX_ZONES:
                raise TooMany("an account has at most {limit} zones", limit=MAX_ZONES)
            _check_sum(values, others)
            made = (await connection.execute(insert(table).values(row).returning(*table.c))).one()
            await changed(connection, account_id, now, actor, "zone.create", made.id, **_audited(values))
        return _zone(made)

    async def get(self, account_id: int, zone_id: str) -> Zone:
        """Raises ``ZoneNotFound``."""
        async with self._store.read() as connection:
            return _zone(await self._row(connection, account_id, zone_id))

    async def list(self, account_id: int, *, name: str = "", sort: str = "") -> list[Zone]:
        """All, or the one of that name, oldest first unless ``sort`` says otherwise. Raises ``BadValue``."""
        order = [table.c[column].desc() if down else table.c[column] for column, down in parse_sort(sort)]
        query = select(table).where(table.c.account_id == account_id)
        if name:
            query = query.where(table.c.name == name)
        async with self._store.read() as connection:
            rows = (await connection.execute(query.order_by(*order, table.c.created_at, table.c.id))).all()
        return readable("network_zone", _zone, rows)

    async def count(self, account_id: int) -> int:
        """How many zones the account has."""
        async with self._store.read() as connection:
            return await count_zones(connection, account_id)

    async def replace(
        self, account_id: int, zone_id: str, version: str | None, values: ZoneValues, *, actor: Actor
    ) -> Zone:
        """Give the zone other values if it still has that version; ``None``: whichever it has.

        Raises ``ZoneNotFound``, ``VersionMismatch``, ``BadValue``, ``ZoneNameTaken``, ``TooMany``.
        """
        now = self._clock.now()
        async with self._store.write() as connection:
            await lock_account(connection, account_id)
            row = await self._row(connection, account_id, zone_id)
            if version is not None and version != row.version:
                raise VersionMismatch(zone_id)
            check_zone(values)
            if values.name != row.name:
                await self._check_name(connection, account_id, values.name)
            others = await load_zones(connection, account_id)
            _check_sum(values, [other for other in others if other.id != zone_id])
            change = update(table).where(table.c.id == zone_id).values(self._changes(values, now, actor))
            made = (await connection.execute(change.returning(*table.c))).one()
            await changed(connection, account_id, now, actor, "zone.replace", zone_id, **_audited(values))
        return _zone(made)

    async def delete(self, account_id: int, zone_id: str, *, actor: Actor) -> None:
        """Raises ``ZoneNotFound``, and ``ZoneInUse`` while rules name it."""
        now = self._clock.now()
        async with self._store.write() as connection:
            await lock_account(connection, account_id)
            row = await self._row(connection, account_id, zone_id)
            # The id is 32 random digits: where it stands in the text of the contexts, the zone is meant.
            naming = (
                select(access_rule.c.id)
                .where(access_rule.c.account_id == account_id, access_rule.c.contexts.contains(zone_id))
                .order_by(access_rule.c.created_at, access_rule.c.id)
            )
            rules = list(await connection.scalars(naming))
            if rules:
                raise ZoneInUse(zone_id, rules)
            await connection.execute(delete(table).where(table.c.id == zone_id))
            await changed(connection, account_id, now, actor, "zone.delete", zone_id, name=row.name)

    @staticmethod
    async def _row(connection: AsyncConnection, account_id: int, zone_id: str) -> Row[Any]:
        query = select(table).where(table.c.id == zone_id, table.c.account_id == account_id)
        row = (await connection.execute(query)).one_or_none() if is_id(zone_id) else None
        if row is None:
            raise ZoneNotFound(zone_id)
        return row

    @staticmethod
    async def _check_name(connection: AsyncConnection, account_id: int, name: str) -> None:
        query = select(table.c.id).where(table.c.account_id == account_id, table.c.name == name)
        if await connection.scalar(query) is not None:
            raise ZoneNameTaken(name)

    @staticmethod
    def _changes(values: ZoneValues, now: Millis, actor: Actor) -> dict[str, Any]:
        return {
            "name": values.name,
            "description": values.description,
            "addresses": msgspec.json.encode(values.addresses).decode(),
            "excluded": msgspec.json.encode(values.excluded).decode(),
            "version": secrets.token_hex(16),
            "updated_at": now,
            "updated_by": actor.name,
        }


def is_id(text: str) -> bool:
    """Whether a zone or a rule could have it; a database must not be asked for just any text (NUL)."""
    return _ID.fullmatch(text) is not None


def _check_sum(values: ZoneValues, others: Iterable[Zone]) -> None:
    count = len(values.addresses) + len(values.excluded)
    count += sum(len(zone.addresses) + len(zone.excluded) for zone in others)
    if count > MAX_ALL_ADDRESSES:
        raise TooMany("the zones of an account have at most {limit} addresses together", limit=MAX_ALL_ADDRESSES)


async def lock_account(connection: AsyncConnection, account_id: int) -> None:
    """Changes to zones and rules of one account happen one after another: what they check stays true."""
    await connection.execute(select(account_table.c.id).where(account_table.c.id == account_id).with_for_update())


async def count_zones(connection: AsyncConnection, account_id: int) -> int:
    """How many zones the account has."""
    query = select(func.count()).select_from(table).where(table.c.account_id == account_id)
    return await connection.scalar(query) or 0


async def load_zones(connection: AsyncConnection, account_id: int | None = None) -> list[Zone]:
    """The zones of one account or of all, for what is compiled from them."""
    query = select(table)
    if account_id is not None:
        query = query.where(table.c.account_id == account_id)
    rows = (await connection.execute(query)).all()
    if account_id is None:
        return readable("network_zone", _zone, rows)
    # What one account's mail is judged by is known as a whole or not at all.
    return [read("network_zone", _zone, row) for row in rows]


async def missing_zones(connection: AsyncConnection, account_id: int, ids: Iterable[str]) -> set[str]:
    """Those of ``ids`` that are no zones of the account."""
    wanted = set(ids)
    query = select(table.c.id).where(table.c.account_id == account_id)
    return wanted - set(await connection.scalars(query)) if wanted else wanted


_decode_addresses = msgspec.json.Decoder(tuple[Address, ...]).decode


def _zone(row: Row[Any]) -> Zone:
    return value_of(Zone, row, addresses=_decode_addresses(row.addresses), excluded=_decode_addresses(row.excluded))


def _audited(values: ZoneValues) -> dict[str, Any]:
    """The audit log tells how the zone was made, but not each of a thousand addresses."""
    return {
        "name": values.name,
        "addresses": [str(address) for address in values.addresses[:20]],
        "address_count": len(values.addresses),
        "excluded": [str(address) for address in values.excluded[:20]],
        "excluded_count": len(values.excluded),
    }
