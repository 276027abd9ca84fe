"""Settings that are saved first and have effect once they are applied, with the endpoints that are made of them.

An account has records of several kinds: one of a kind, or several with names. Saving writes what is wanted and
changes nothing that is sent. Applying makes all that is saved effective, in one transaction: every worker follows
within two seconds, by ``account.revision``. What differs meanwhile is told field by field.

Whoever brings a kind plans the endpoints of a record (``Plan``), each a part of it with a name. They are rows that
change in place, so that news under way follows the new settings; a part that is wanted no more is *retired*: what
waits for it, or still comes, is taken off the outbox without a request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, delete, insert, select, text, update

from ekiden.access.audit import Actor, changed
from ekiden.access.remembered import Remembered
from ekiden.notify.auth import Auth, check_auth, seal_auth
from ekiden.notify.errors import SettingTaken, TooManySettings
from ekiden.notify.options import Options
from ekiden.store.retention import RETIRED
from ekiden.store.set_aside import readable
from ekiden.store.tables import SETTING_SQL, endpoint
from ekiden.store.tables import account as account_table
from ekiden.store.tables import staged_setting as table

if TYPE_CHECKING:
    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection

    from ekiden.access.directory import AccountFacts
    from ekiden.access.vault import Vault
    from ekiden.core.clock import Clock, Millis
    from ekiden.store.api import Store

PURPOSE: Final = "staged setting"
_document: Final = msgspec.json.Decoder(dict[str, Any]).decode
_secrets: Final = msgspec.json.Decoder(dict[str, str]).decode
_encode: Final = msgspec.json.Encoder().encode


class Difference(NamedTuple):
    """A field that has not the effect that was saved. ``None``: there is none. Of a ``secret`` no more is told."""

    kind: str
    name: str
    field: str
    applied: Any
    saved: Any
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Version:
    """A record as it was saved, or as it has effect. ``document``: ``None``: there is none any more, or not yet."""

    document: Mapping[str, Any] | None
    secrets: Mapping[str, str] = field(repr=False)
    revision: int
    """0: never."""
    at: Millis | None
    by: str


@dataclass(frozen=True, slots=True)
class Setting:
    """A record of an account."""

    kind: str
    name: str
    saved: Version
    applied: Version

    @property
    def differences(self) -> list[Difference]:
        """In the order of the fields; none: it has effect as it was saved."""
        old, new = self.applied.document or {}, self.saved.document or {}
        of = self.kind, self.name
        found = [
            Difference(*of, key, old.get(key), new.get(key))
            for key in dict.fromkeys([*new, *old])
            if old.get(key) != new.get(key)
        ]
        hidden, shown = self.applied.secrets, self.saved.secrets
        keys = dict.fromkeys([*shown, *hidden])
        found += [Difference(*of, key, None, None, True) for key in keys if hidden.get(key) != shown.get(key)]
        return found


class PlannedEndpoint(NamedTuple):
    """An endpoint as a record wants it."""

    format: str
    url: str
    auth: Auth | None = None
    options: Options = Options()


Plan = Callable[[str, str, Mapping[str, Any], Mapping[str, str]], Mapping[str, PlannedEndpoint]]
"""Of a kind, a name, a document and its secrets: the endpoints, by the part of the record that each of them is."""


class Applied(NamedTuple):
    """A record that has effect. ``endpoints``: ids, by part."""

    name: str
    document: Mapping[str, Any]
    endpoints: Mapping[str, int]


class StagedSettings:
    """Stateless. Its coroutines raise what the store raises, and ``access.vault.VaultError``."""

    def __init__(self, store: Store, clock: Clock, vault: Vault) -> None:
        self._store = store
        self._clock = clock
        self._vault = vault

    async def records(self, account_id: int, kind: str = "") -> list[Setting]:
        """All records, or those of a kind; by kind and name."""
        query = select(table).where(table.c.account_id == account_id).order_by(table.c.kind, table.c.name)
        if kind:
            query = query.where(table.c.kind == kind)
        async with self._store.read() as connection:
            rows = (await connection.execute(query)).all()
        return readable("staged_setting", self._setting, rows)

    async def save(
        self,
        account_id: int,
        kind: str,
        name: str,
        document: Mapping[str, Any],
        secrets: Mapping[str, str],
        *,
        actor: Actor,
        new: bool = False,
        most: int | None = None,
    ) -> None:
        """In the place of what was saved before. ``document`` is JSON-ready and has no secret.

        ``new``: it takes no place, else ``SettingTaken``. ``most``: records of the kind, else ``TooManySettings``.
        """
        text = _encode(document).decode()
        await self._save(account_id, kind, name, text, secrets, "setting.save", actor, new=new, most=most)

    async def remove(self, account_id: int, kind: str, name: str, *, actor: Actor) -> bool:
        """It goes when settings are next applied. False: there is none."""
        return await self._save(account_id, kind, name, None, {}, "setting.remove", actor)

    async def apply(self, account_id: int, plan: Plan, *, actor: Actor) -> Sequence[Difference]:
        """Make everything that is saved effective; returns what changed by it. Raises what ``plan`` raises: then
        nothing is changed."""
        now = self._clock.now()
        async with self._store.write() as connection:
            rows = await self._locked(connection, account_id)
            unapplied = [row for row in rows if row.saved_revision != row.applied_revision]
            settings = readable("staged_setting", self._setting, unapplied)
            for item in settings:
                theirs = _is(account_id, item.kind, item.name)
                if item.saved.document is None:
                    await self._plan_in(connection, account_id, item, {}, gone=True)
                    await connection.execute(delete(table).where(*theirs))
                    continue
                planned = plan(item.kind, item.name, item.saved.document, item.saved.secrets)
                await self._plan_in(connection, account_id, item, planned)
                await connection.execute(
                    update(table)
                    .where(*theirs)
                    .values(
                        applied=table.c.saved,
                        applied_sealed=table.c.saved_sealed,
                        applied_revision=table.c.saved_revision,
                        applied_at=now,
                        applied_by=actor.name,
                    )
                )
            differences = [each for item in settings for each in item.differences]
            if settings:
                fields = sorted({"/".join(filter(None, each[:3])) for each in differences})
                await changed(connection, account_id, now, actor, "setting.apply", "", fields=fields)
        return differences

    async def _save(
        self,
        account_id: int,
        kind: str,
        name: str,
        document: str | None,
        secrets: Mapping[str, str],
        action: str,
        actor: Actor,
        *,
        new: bool = False,
        most: int | None = None,
    ) -> bool:
        now = self._clock.now()
        values = {
            "saved": document,
            "saved_sealed": self._vault.seal(_encode(secrets), PURPOSE) if secrets else None,
            "saved_at": now,
            "saved_by": actor.name,
        }
        theirs = _is(account_id, kind, name)
        async with self._store.write() as connection:
            rows = await self._locked(connection, account_id)
            known = next((row for row in rows if (row.kind, row.name) == (kind, name)), None)
            if document is None and (known is None or known.saved is None):
                return False
            there = known is not None and known.saved is not None
            if new and there:
                raise SettingTaken("there is {name} already", name=repr(name))
            if (
                most is not None
                and not there
                and sum(row.kind == kind and row.saved is not None for row in rows) >= most
            ):
                raise TooManySettings("an account has at most {most} of them", most=most)
            if known is None:
                first = {"saved_revision": 1, "applied_revision": 0, "applied_by": ""}
                row = {"account_id": account_id, "kind": kind, "name": name, **values, **first}
                await connection.execute(insert(table).values(row))
            elif document is None and known.applied is None:
                await connection.execute(delete(table).where(*theirs))  # it never had effect
            else:
                revision = table.c.saved_revision + 1
                await connection.execute(update(table).where(*theirs).values(values | {"saved_revision": revision}))
            await changed(connection, account_id, now, actor, action, "/".join(filter(None, (kind, name))))
        return True

    async def _locked(self, connection: AsyncConnection, account_id: int) -> Sequence[Row[Any]]:
        """The records; nobody else saves or applies meanwhile."""
        await connection.execute(
            select(account_table.c.id).where(account_table.c.id == account_id).with_for_update()
        )
        return (await connection.execute(select(table).where(table.c.account_id == account_id))).all()

    async def _plan_in(
        self,
        connection: AsyncConnection,
        account_id: int,
        item: Setting,
        planned: Mapping[str, PlannedEndpoint],
        *,
        gone: bool = False,
    ) -> None:
        """Make endpoints as they are planned, and retire the others of the record. ``gone``: the record is, too."""
        now = self._clock.now()
        known = (await _made(connection, account_id, item.kind)).get(item.name, {})
        for part, wanted in planned.items():
            if wanted.auth is not None:
                check_auth(wanted.auth)
            values = {
                "format": wanted.format,
                "url": wanted.url,
                "sealed": None if wanted.auth is None else seal_auth(self._vault, wanted.auth),
                # What failed before may do no more: it is tried at once.
                "failures": 0,
                "failing_since": None,
                "retry_at": 0,
                "used_at": now,
                **wanted.options.columns(),
            }
            if part in known:
                await connection.execute(update(endpoint).where(endpoint.c.id == known[part]).values(values))
                continue
            setting = f"{item.kind}/{item.name}/{part}"  # kinds and parts have no slash; names may
            of = {"account_id": account_id, "setting": setting, "digest": setting, "created_at": now}
            await connection.execute(insert(endpoint).values(values | of))
        for part, id in known.items():
            if part in planned:
                continue
            retired = {"format": RETIRED, "retry_at": 0, "used_at": now, **Options().columns()}
            if gone:
                retired |= {"setting": "", "digest": f"retired/{id}"}
            await connection.execute(update(endpoint).where(endpoint.c.id == id).values(retired))

    def _setting(self, row: Row[Any]) -> Setting:
        return Setting(
            row.kind,
            row.name,
            self._version(row.saved, row.saved_sealed, row.saved_revision, row.saved_at, row.saved_by),
            self._version(row.applied, row.applied_sealed, row.applied_revision, row.applied_at, row.applied_by),
        )

    def _version(
        self, document: str | None, sealed: bytes | None, revision: int, at: Millis | None, by: str
    ) -> Version:
        secrets = {} if sealed is None else _secrets(self._vault.open(sealed, PURPOSE))
        return Version(None if document is None else _document(document), secrets, revision, at, by)


class AppliedSettings:
    """What has effect, from memory: one per worker. No query while nothing of the account changes."""

    def __init__(self, store: Store) -> None:
        self._remembered: Remembered[str, tuple[Applied, ...]] = Remembered(store, _load)

    def get(self, account: AccountFacts, kind: str) -> tuple[Applied, ...] | None:
        """What is known; ``None``: ask ``load``."""
        return self._remembered.get(account, kind)

    async def load(self, account: AccountFacts, kind: str) -> tuple[Applied, ...]:
        """The records of a kind that have effect. Raises what the store raises."""
        return await self._remembered.load(account, kind)


async def _load(connection: AsyncConnection, account_id: int, kind: str) -> tuple[Applied, ...]:
    query = select(table.c.name, table.c.applied).where(
        table.c.account_id == account_id, table.c.kind == kind, table.c.applied.is_not(None)
    )
    rows = (await connection.execute(query.order_by(table.c.name))).all()
    if not rows:
        return ()
    ids = await _made(connection, account_id, kind, endpoint.c.format != RETIRED)

    def applied(row: Any) -> Applied:
        return Applied(row.name, _document(row.applied), ids.get(row.name, {}))

    return tuple(readable("staged_setting", applied, rows))


async def _made(
    connection: AsyncConnection, account_id: int, kind: str, *which: ColumnElement[bool]
) -> dict[str, dict[str, int]]:
    """The endpoints of a kind's records: ids by name and part."""
    found: dict[str, dict[str, int]] = {}
    of_settings = select(endpoint.c.id, endpoint.c.setting).where(
        endpoint.c.account_id == account_id, text(SETTING_SQL), *which
    )
    for row in await connection.execute(of_settings):
        of_kind, _, rest = row.setting.partition("/")
        if of_kind == kind:
            name, _, part = rest.rpartition("/")
            found.setdefault(name, {})[part] = row.id
    return found


def _is(account_id: int, kind: str, name: str) -> tuple[ColumnElement[bool], ...]:
    return table.c.account_id == account_id, table.c.kind == kind, table.c.name == name
