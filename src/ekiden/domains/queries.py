"""The SQL of domains, their keys, checks and evidence. Nothing here needs a secret or the DNS."""

from __future__ import annotations

import mimetypes
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
from sqlalchemy import ColumnElement, and_, delete, exists, func, insert, select, update

from ekiden.core.return_path import BouncesTo
from ekiden.domains.errors import NoSuchDomain
from ekiden.domains.evidence import Evidence, File
from ekiden.domains.model import (
    PLATFORM,
    Check,
    Domain,
    Key,
    Kind,
    Result,
    Status,
    Tracking,
)
from ekiden.domains.names import check_domain_name, return_path_host
from ekiden.domains.reasons import Fault
from ekiden.store.pages import Page
from ekiden.store.row_values import value_of
from ekiden.store.set_aside import read, readable
from ekiden.store.tables import dkim_key, domain, domain_check, domain_evidence, event, smtp_configuration

if TYPE_CHECKING:
    from ekiden.core.clock import Millis
    from ekiden.store.api import Connection, Store


MAX_ABOVE: Final = 8
"""Domains above an envelope sender's that are looked for."""


async def list_domains(
    store: Store, account_id: int | None = None, *, status: Status | None = None
) -> list[Domain]:
    """Domains of one account or of all, by name; ``status``: only those."""
    query = select(domain).order_by(domain.c.name, domain.c.id)
    if account_id is not None:
        query = query.where(domain.c.account_id == account_id)
    if status is not None:
        query = query.where(domain.c.status == status)
    async with store.read() as connection:
        return readable("domain", domain_of, await connection.execute(query))


async def page_domains(store: Store, account_id: int, *, offset: int, limit: int) -> Page[Domain]:
    """A part of the account's domains, by name, and how many it has."""
    theirs = domain.c.account_id == account_id
    query = select(domain).where(theirs).order_by(domain.c.name).offset(offset).limit(limit)
    async with store.read() as connection:
        found = readable("domain", domain_of, await connection.execute(query))
        total = await connection.scalar(select(func.count()).select_from(domain).where(theirs))
    return Page(found, total or 0)


async def get_domain(store: Store, account_id: int, name: str) -> Domain:
    """The account's domain of that name. Raises ``NoSuchDomain``, ``BadDomain``."""
    ascii_name = check_domain_name(name)
    query = select(domain).where(domain.c.account_id == account_id, domain.c.name == ascii_name)
    async with store.read() as connection:
        row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NoSuchDomain("there is no domain {name}", name=ascii_name)
    return read("domain", domain_of, row)


async def find_domain(connection: Connection, domain_id: int, *, lock: bool = False) -> Domain:
    """The domain of that id; ``lock``: until the transaction ends nobody else changes it. ``NoSuchDomain``."""
    query = select(domain).where(domain.c.id == domain_id)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NoSuchDomain("there is no domain {name}", name=domain_id)
    return read("domain", domain_of, row)


async def has_domain(connection: Connection, account_id: int, name: str) -> bool:
    query = select(domain.c.id).where(domain.c.account_id == account_id, domain.c.name == name)
    return await connection.scalar(query) is not None


async def own_domain(connection: Connection, name: str) -> int | None:
    """The id of the installation's own domain of that name."""
    query = select(domain.c.id).where(domain.c.account_id == PLATFORM, domain.c.name == name)
    found: int | None = await connection.scalar(query)
    return found


async def is_configured(connection: Connection, domain_id: int) -> bool:
    """Whether an SMTP configuration uses it."""
    return bool(await connection.scalar(select(exists().where(smtp_configuration.c.domain_id == domain_id))))


async def due_domains(connection: Connection, now: Millis, limit: int) -> list[int]:
    """Ids of those whose time to be checked has come, the most overdue first."""
    query = select(domain.c.id).where(domain.c.check_at <= now).order_by(domain.c.check_at).limit(limit)
    return list(await connection.scalars(query))


async def add_domain(connection: Connection, values: Mapping[str, Any]) -> Domain:
    return domain_of((await connection.execute(insert(domain).values(values).returning(*domain.c))).one())


async def change_domains(connection: Connection, domain_ids: Collection[int], **values: Any) -> None:
    await connection.execute(update(domain).where(domain.c.id.in_(domain_ids)).values(values))


async def remove_domain(connection: Connection, gone: Domain) -> list[str]:
    """With all that belongs to it. Returns the names of the account's domains that had their return path there and
    have none now: the door would take nothing of theirs."""
    await connection.execute(delete(dkim_key).where(dkim_key.c.domain_id == gone.id))
    await connection.execute(delete(domain_check).where(_belongs(gone)))
    await connection.execute(delete(domain_evidence).where(_supports(gone)))
    await connection.execute(delete(domain).where(domain.c.id == gone.id))
    there = domain.c.return_path.endswith(f"@{gone.name}", autoescape=True)
    cleared = update(domain).where(domain.c.account_id == gone.account_id, there).values(return_path="")
    return sorted(await connection.scalars(cleared.returning(domain.c.name)))


async def add_event(connection: Connection, values: Mapping[str, Any]) -> None:
    await connection.execute(insert(event).values(values))


async def list_keys(connection: Connection, of: Domain) -> list[Key]:
    """Its keys, the oldest first."""
    columns = [column for column in dkim_key.c if column.name != "sealed"]
    query = select(*columns).where(dkim_key.c.domain_id == of.id).order_by(dkim_key.c.id)
    return readable("dkim_key", lambda row: key_of(row, of.name), await connection.execute(query))


async def active_keys(connection: Connection, domain_id: int) -> Sequence[Any]:
    """``selector`` and ``algorithm`` of those that sign."""
    query = select(dkim_key.c.selector, dkim_key.c.algorithm)
    active = (dkim_key.c.domain_id == domain_id, dkim_key.c.status == "active")
    return (await connection.execute(query.where(*active))).all()


async def sealed_keys(connection: Connection, selectors: Collection[str]) -> Sequence[Any]:
    """``selector``, ``algorithm``, ``sealed``, and the ``name`` of the domain."""
    query = (
        select(dkim_key.c.selector, dkim_key.c.algorithm, dkim_key.c.sealed, domain.c.name)
        .join(domain, domain.c.id == dkim_key.c.domain_id)
        .where(dkim_key.c.selector.in_(selectors))
    )
    return (await connection.execute(query)).all()


async def sealed_in_use(connection: Connection, domain_id: int) -> dict[int, bytes]:
    """The private halves of its keys that are not retired, by id."""
    in_use = (dkim_key.c.domain_id == domain_id, dkim_key.c.status != "retired")
    rows = await connection.execute(select(dkim_key.c.id, dkim_key.c.sealed).where(*in_use))
    return {row.id: row.sealed for row in rows}


async def add_keys(
    connection: Connection, of: Domain, keys: Sequence[Mapping[str, Any]], now: Millis, *, active: bool
) -> None:
    common = {
        "account_id": of.account_id,
        "domain_id": of.id,
        "status": "active" if active else "pending",
        "created_at": now,
        "active_at": now if active else None,
    }
    for key in keys:
        await connection.execute(insert(dkim_key).values({**key, **common}))


async def change_keys(connection: Connection, ids: Collection[int], **values: Any) -> None:
    await connection.execute(update(dkim_key).where(dkim_key.c.id.in_(ids)).values(values))


async def drop_keys(connection: Connection, ids: Collection[int]) -> None:
    await connection.execute(delete(dkim_key).where(dkim_key.c.id.in_(ids)))


async def retire_waiting_keys(connection: Connection, domain_id: int, now: Millis) -> None:
    """Keys that wait for their record; those that never signed go."""
    waiting = (dkim_key.c.domain_id == domain_id, dkim_key.c.status == "pending")
    await connection.execute(delete(dkim_key).where(*waiting, dkim_key.c.active_at.is_(None)))
    await connection.execute(update(dkim_key).where(*waiting).values(status="retired", retired_at=now))


async def add_checks(connection: Connection, of: Domain, checks: Iterable[tuple[int, Check]], now: Millis) -> None:
    """Each with its id."""
    for number, check in checks:
        values = {
            "account_id": of.account_id,
            "domain_id": of.id,
            "id": number,
            "at": now,
            "kind": check.kind,
            "result": check.result,
            "code": check.code,
            "asked": msgspec.json.encode(check.asked).decode(),
            "expected": check.expected,
            "answered": msgspec.json.encode({"answers": check.answered, "values": check.values}).decode(),
        }
        await connection.execute(insert(domain_check).values(values))


async def list_checks(connection: Connection, of: Domain, limit: int = 50) -> list[Check]:
    """The last checks, the newest first."""
    query = select(domain_check).where(_belongs(of)).order_by(domain_check.c.id.desc()).limit(limit)
    return readable("domain_check", check_of, await connection.execute(query))


async def last_checks(connection: Connection, of: Domain) -> dict[tuple[Kind, str], Check]:
    """The last check of each kind and name that was asked for."""
    newest = (
        select(func.max(domain_check.c.id))
        .where(_belongs(of))
        .group_by(domain_check.c.kind, domain_check.c.asked)
        .scalar_subquery()
    )
    query = select(domain_check).where(_belongs(of), domain_check.c.id.in_(newest)).order_by(domain_check.c.id)
    found = readable("domain_check", check_of, await connection.execute(query))
    return {(check.kind, check.asked[0]): check for check in found}


async def last_faults(connection: Connection, of: Domain) -> Mapping[Kind, Fault]:
    """For each kind that decides, the code of the last check that passed (empty) or failed."""
    faults: dict[Kind, Fault] = {}
    kinds: tuple[Kind, ...] = ("spf", "dkim", "address")
    for kind in kinds:
        query = (
            select(domain_check)
            .where(_belongs(of), domain_check.c.kind == kind, domain_check.c.result.in_(("pass", "fail")))
            .order_by(domain_check.c.id.desc())
            .limit(1)
        )
        row = (await connection.execute(query)).one_or_none()
        if row is not None:
            faults[kind] = row.code if row.result == "fail" else ""
    return faults


def _belongs(of: Domain) -> ColumnElement[bool]:
    return and_(domain_check.c.account_id == of.account_id, domain_check.c.domain_id == of.id)


async def replace_evidence(connection: Connection, of: Domain, files: Sequence[File], now: Millis) -> None:
    """Keep these in the place of all there were."""
    await connection.execute(delete(domain_evidence).where(_supports(of)))
    rows = [
        {
            "account_id": of.account_id,
            "domain_id": of.id,
            "number": number,
            "name": file.name,
            "media_type": mimetypes.guess_type(file.name)[0] or "application/octet-stream",
            "size": len(file.data),
            "added_at": now,
            "data": file.data,
        }
        for number, file in enumerate(files, 1)
    ]
    if rows:
        await connection.execute(insert(domain_evidence), rows)


async def list_evidence(connection: Connection, of: Domain) -> list[Evidence]:
    """In their order."""
    columns = [domain_evidence.c[name] for name in Evidence._fields]
    query = select(*columns).where(_supports(of)).order_by(domain_evidence.c.number)
    return [Evidence(*row) for row in await connection.execute(query)]


async def read_evidence(connection: Connection, of: Domain, number: int) -> bytes | None:
    """The octets of one; ``None``: there is none of that number."""
    query = select(domain_evidence.c.data).where(_supports(of), domain_evidence.c.number == number)
    found: bytes | None = await connection.scalar(query)
    return found


def _supports(of: Domain) -> ColumnElement[bool]:
    return and_(domain_evidence.c.account_id == of.account_id, domain_evidence.c.domain_id == of.id)


@dataclass(frozen=True, slots=True)
class SendingSettings:
    """What a domain's owner has set for the messages that are composed here; without a domain, the defaults."""

    tracking: Tracking = field(default_factory=Tracking)
    return_path: str = ""


async def bounces_to(connection: Connection, account_id: int, name: str) -> BouncesTo:
    """For mail whose envelope sender is at ``name``, in A-labels: by the nearest of the account's domains that is
    it or stands above it. The return path is the nearest one that is published.

    ``off`` as well where there is none that was ever verified: we sign nothing for others, and with an envelope
    sender of ours their mail would not pass SPF for their domain any more (DMARC).
    """
    labels = name.split(".")
    names = [".".join(labels[start:]) for start in range(min(len(labels) - 1, MAX_ABOVE + 1))]
    columns = (domain.c.name, domain.c.status, domain.c.receive_bounces, domain.c.rp)
    query = select(*columns).where(domain.c.account_id == account_id, domain.c.name.in_(names))
    rows = sorted((await connection.execute(query)).all(), key=lambda row: -len(row.name))
    if not rows or not rows[0].receive_bounces or rows[0].status not in ("verified", "suspended"):
        return BouncesTo(off=True)
    return BouncesTo(False, next((return_path_host(row.name) for row in rows if row.rp == "successful"), ""))


async def sending_settings(connection: Connection, account_id: int, name: str) -> SendingSettings:
    """Of the account's domain ``name``, in A-labels; those of a new one when there is none."""
    query = select(domain).where(domain.c.account_id == account_id, domain.c.name == name)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return SendingSettings()
    found = domain_of(row)
    return SendingSettings(found.tracking, found.return_path)


def domain_of(row: Any) -> Domain:
    """A row of the table ``domain``."""
    return value_of(
        Domain,
        row,
        questionnaire=msgspec.json.decode(row.questionnaire),
        tracking=Tracking(row.track_opens, row.track_clicks, row.track_unsubscribes, row.tracking_host),
    )


def key_of(row: Any, domain: str) -> Key:
    """A row of the table ``dkim_key``."""
    return value_of(Key, row, domain=domain)


def check_of(row: Any) -> Check:
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
