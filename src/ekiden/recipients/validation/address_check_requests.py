"""Many addresses to be checked: kept at once, checked by and by by the workers' housekeeping, read in pages."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog
from sqlalchemy import ColumnElement, Row, bindparam, insert, or_, select, text, tuple_, update

from ekiden.core.clock import DAY, Millis
from ekiden.core.ids import format_id, parse_id
from ekiden.core.texts import Texts, TranslatedError
from ekiden.recipients.validation.address_check import AddressCheck, Mailbox, Risk
from ekiden.store.api import StoreUnavailable
from ekiden.store.set_aside import readable
from ekiden.store.tables import address_check as table
from ekiden.store.tables import worker as worker_table

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.core.ids import IdFactory
    from ekiden.recipients.validation.address_check import AddressChecks
    from ekiden.store.api import Store

log = structlog.get_logger()

MAX_REQUEST: Final = 200
"""Characters of a request's id; this and the next two are of the dialect that asks for lists."""
MAX_DESTINATIONS: Final = 100_000
MAX_DESTINATION: Final = 320
MAX_SIZE: Final = 1_000
"""Results on one page."""
DEFAULT_SINCE: Final[Millis] = 7 * DAY
_BATCH: Final = 1_000
_AT_ONCE: Final = 16
"""Addresses that a worker checks at the same time."""
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
_WAITING: Final = text("checked_at IS NULL")  # word for word as in the partial index

TEXTS: Final = Texts("recipients/validation/address_check_requests")


class BadCheckRequest(TranslatedError, ValueError):
    """A request that cannot be taken, or a cursor that no page has given. ``field`` is what is wrong."""

    def __init__(self, field: str, template: str, **values: Any) -> None:
        super().__init__(TEXTS, template, **values)
        self.field = field


@dataclass(frozen=True, slots=True)
class Checked:
    """An address of a request, and what was found."""

    id: int
    request: str
    check: AddressCheck
    requested_at: Millis
    checked_at: Millis


@dataclass(frozen=True, slots=True)
class CheckFilter:
    """Which results of the account; everything that is given must hold, of ``addresses`` any one.

    ``since`` and ``until`` are times of the check, both included; without ``since`` it is the last week.
    """

    account_id: int
    request: str | None = None
    addresses: tuple[str, ...] = ()
    mailbox: Mailbox | None = None
    valid_syntax: bool | None = None
    catch_all: bool | None = None
    disposable: bool | None = None
    role_based: bool | None = None
    risk: Risk | None = None
    since: Millis | None = None
    until: Millis | None = None


@dataclass(frozen=True, slots=True)
class CheckPage:
    """``previous`` and ``next`` are cursors; empty: there is nothing more."""

    items: tuple[Checked, ...]
    previous: str
    next: str


class AddressCheckRequests:
    """One per worker; ``ids`` are those of the worker."""

    def __init__(self, store: Store, clock: Clock, ids: IdFactory, worker_id: int, checks: AddressChecks) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._worker = worker_id
        self._checks = checks
        self._turn = asyncio.Lock()

    def renewed(self, worker_id: int) -> None:
        """This process has another registration in the store."""
        self._worker = worker_id

    # --- asking ---------------------------------------------------------------------------------------------

    async def request(self, account_id: int, request: str | None, destinations: Sequence[str]) -> str:
        """Have addresses checked; returns the id of the request, made when it is ``None``.

        They are inserted in batches. When it fails midway some will be checked, and asking again with the same id
        adds to the request. Raises ``BadCheckRequest``.
        """
        request = str(uuid.uuid4()) if request is None else request
        if not 1 <= len(request) <= MAX_REQUEST or not _storable(request):
            raise BadCheckRequest(
                "request", "the id of a request has 1 to {longest} characters", longest=MAX_REQUEST
            )
        if not 1 <= len(destinations) <= MAX_DESTINATIONS:
            raise BadCheckRequest("destinations", "a request has 1 to {most} addresses", most=MAX_DESTINATIONS)
        if not all(1 <= len(address) <= MAX_DESTINATION and _storable(address) for address in destinations):
            raise BadCheckRequest(
                "destination", "an address has 1 to {longest} characters", longest=MAX_DESTINATION
            )
        now = self._clock.now()
        waiting = iter(destinations)
        while batch := list(islice(waiting, _BATCH)):
            rows = [
                {
                    "account_id": account_id,
                    "id": self._ids.next(now),
                    "request": request,
                    "address": address,
                    "requested_at": now,
                    "result": "",
                }
                for address in batch
            ]
            async with self._store.write() as connection:
                await connection.execute(insert(table), rows)
        return request

    # --- checking -------------------------------------------------------------------------------------------

    async def work(self, limit: int = 200) -> int:
        """Check up to ``limit`` of the addresses that wait, the oldest first; returns how many that were.

        A duty of the housekeeping: several workers may do it at once, since each claims what it checks. What a
        worker had claimed when it ended, others take over.
        """
        async with self._turn:
            claimed = await self._claim(limit)
            slots = asyncio.Semaphore(_AT_ONCE)

            async def one(row: Row[Any]) -> AddressCheck:
                async with slots:
                    return await self._check(row.account_id, row.address)

            found: list[AddressCheck] = []
            for result in await asyncio.gather(*(one(row) for row in claimed), return_exceptions=True):
                if isinstance(result, BaseException):
                    raise result
                found.append(result)
            if claimed:
                await self._finish(claimed, found)
        return len(claimed)

    async def _claim(self, limit: int) -> Sequence[Row[Any]]:
        alive = select(worker_table.c.id).where(worker_table.c.ended_at.is_(None))
        # Ours: of a round that the store broke off.
        free = or_(table.c.owner.is_(None), table.c.owner == self._worker, table.c.owner.not_in(alive))
        async with self._store.read() as connection:
            if await connection.scalar(select(table.c.id).where(_WAITING).limit(1)) is None:
                return ()
        keys = (table.c.account_id, table.c.id)
        some = select(*keys).where(_WAITING, free).order_by(table.c.id).limit(limit)
        async with self._store.write() as connection:
            found = [tuple(row) for row in await connection.execute(some.with_for_update(skip_locked=True))]
            if not found:
                return ()
            claim = update(table).where(tuple_(*keys).in_(found)).values(owner=self._worker)
            return (await connection.execute(claim.returning(*keys, table.c.address))).all()

    async def _check(self, account_id: int, address: str) -> AddressCheck:
        try:
            return await self._checks.check_one(account_id, address)
        except StoreUnavailable:
            raise
        except Exception as error:
            # Whatever it is: one address must not keep the others from being checked.
            log.exception("an address cannot be checked", account=account_id, why=str(error))
            return AddressCheck(address, True, "unknown", "unknown", "unexpected_failure")

    async def _finish(self, claimed: Sequence[Row[Any]], found: Sequence[AddressCheck]) -> None:
        now = self._clock.now()
        done = (
            update(table)
            .where(
                table.c.account_id == bindparam("account"),
                table.c.id == bindparam("key"),
                # Fenced: another worker may have taken it over, when we were believed to be gone.
                table.c.owner == self._worker,
                table.c.checked_at.is_(None),
            )
            .values(checked_at=now, owner=None, result=bindparam("found"))
        )
        rows = [
            {"account": row.account_id, "key": row.id, "found": msgspec.json.encode(check).decode()}
            for row, check in zip(claimed, found, strict=True)
        ]
        async with self._store.write() as connection:
            await connection.execute(done, rows)

    # --- reading --------------------------------------------------------------------------------------------

    async def results(self, wanted: CheckFilter, cursor: str = "", size: int = 100) -> CheckPage:
        """What was found, in the order in which it was asked for. Raises ``BadCheckRequest``."""
        back, position = _parse_cursor(cursor)
        size = max(1, min(size, MAX_SIZE))
        if not all(map(_storable, (wanted.request or "", *wanted.addresses))):
            return CheckPage((), "", "")
        query = select(table).where(*self._conditions(wanted))
        if position is not None:
            query = query.where(table.c.id < position if back else table.c.id > position)
        query = query.order_by(table.c.id.desc() if back else table.c.id).limit(size + 1)
        async with self._store.read() as connection:
            rows = list((await connection.execute(query)).all())
        more = len(rows) > size
        rows = rows[:size]
        if back:
            rows.reverse()

        def checked(row: Any) -> Checked:
            return Checked(row.id, row.request, _decode(row.result), row.requested_at, row.checked_at)

        items = tuple(readable("address_check", checked, rows))
        if not items:
            return CheckPage((), "", "")
        before = more if back else position is not None
        after = back or more
        return CheckPage(
            items,
            f"p{format_id(items[0].id)}" if before else "",
            f"n{format_id(items[-1].id)}" if after else "",
        )

    def _conditions(self, wanted: CheckFilter) -> list[ColumnElement[bool]]:
        since = self._clock.now() - DEFAULT_SINCE if wanted.since is None else wanted.since
        conditions = [table.c.account_id == wanted.account_id, table.c.checked_at >= since]
        if wanted.until is not None:
            conditions.append(table.c.checked_at <= wanted.until)
        if wanted.request is not None:
            conditions.append(table.c.request == wanted.request)
        if wanted.addresses:
            conditions.append(table.c.address.in_(wanted.addresses))
        for name in ("mailbox", "valid_syntax", "catch_all", "disposable", "role_based", "risk"):
            value = getattr(wanted, name)
            if value is not None:
                # Word for word as msgspec writes it; inside of a text its quotes would have backslashes.
                told = msgspec.json.encode({name: value}).decode()[1:-1]
                conditions.append(table.c.result.contains(told, autoescape=True))
        return conditions


_decode = msgspec.json.Decoder(AddressCheck).decode


def _parse_cursor(cursor: str) -> tuple[bool, int | None]:
    """Whether it leads back, and the id that it begins beyond."""
    if not cursor:
        return False, None
    try:
        if cursor[0] not in "np":
            raise ValueError(cursor)
        return cursor[0] == "p", parse_id(cursor[1:])
    except ValueError:
        raise BadCheckRequest("cursor", "this is not a cursor of ours: {cursor}", cursor=cursor) from None


def _storable(text: str) -> bool:
    """A database can hold neither NUL nor halves of surrogate pairs."""
    return _UNSTORABLE.search(text) is None
