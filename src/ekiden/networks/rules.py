"""Network rules: from where which resource may be used (context-based restrictions, contract ``ibm.md`` §4)."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.access.accounts import account_uid
from ekiden.access.audit import Actor, changed
from ekiden.core.clock import Clock, Millis
from ekiden.networks.api_types import MODES, SERVICES, SMTP, Mode, find_api_type
from ekiden.networks.errors import (
    BadValue,
    ModeNotSupported,
    NotProtected,
    RuleNotFound,
    TooMany,
    VersionMismatch,
)
from ekiden.networks.zones import SORTS, check_description, is_id, lock_account, missing_zones, parse_sort
from ekiden.store.row_values import value_of
from ekiden.store.set_aside import read, readable
from ekiden.store.tables import access_rule as table
from ekiden.store.tables import account as account_table

if TYPE_CHECKING:
    from ekiden.store.api import Store

MAX_RULES: Final = 500
"""Rules of one account."""
MAX_TAGGED_RULES: Final = 200
"""Those of them that name tags."""
MAX_CONTEXTS: Final = 1_000
MAX_CONDITIONS: Final = 10_000
"""Attributes of the contexts of all rules of one account, and zones that they list: what one request may cost."""
MAX_TAGS: Final = 10
MAX_API_TYPES: Final = 100

SMTP_API_TYPES: Final = (SMTP,)
"""What a request to submit mail over SMTP asks for."""
ZONE: Final = "networkZoneId"
ENDPOINT: Final = "endpointType"
MFA: Final = "mfa"
ACCOUNT: Final = "accountId"
SERVICE_NAME: Final = "serviceName"
SERVICE_INSTANCE: Final = "serviceInstance"
REGION: Final = "region"
RESOURCE_ATTRIBUTES: Final = (ACCOUNT, SERVICE_NAME, SERVICE_INSTANCE, REGION, "resourceGroupId")
OPERATORS: Final = ("stringEquals", "stringMatch")
"""``stringMatch``: ``*`` stands for any characters, ``?`` for one."""
RULE_SORTS: Final = {field: column for field, column in SORTS.items() if field != "name"}

_CONTEXT_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    ENDPOINT: ("public", "private", "direct"),
    MFA: ("NONE", "LEVEL1", "LEVEL2", "LEVEL3"),
}
_VALUE = re.compile(r"[ -~]{1,1000}")
_TAG_NAME = re.compile(r"[a-zA-Z0-9_.\-]{1,128}")
_ZONE_SEPARATOR = re.compile(r"[\s,]+")


class Attribute(msgspec.Struct, frozen=True):
    """A condition of a context."""

    name: str
    value: str

    def zone_ids(self) -> list[str]:
        """The zones that a ``networkZoneId`` lists, separated by commas or blanks."""
        return [zone for zone in _ZONE_SEPARATOR.split(self.value) if zone]


class Context(msgspec.Struct, frozen=True):
    """Where a request comes from: all attributes must hold."""

    attributes: tuple[Attribute, ...]


class ResourceAttribute(msgspec.Struct, frozen=True, omit_defaults=True):
    """``operator`` empty: ``stringEquals``."""

    name: str
    value: str
    operator: str = ""


class Resource(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a rule protects: all attributes and tags must fit."""

    attributes: tuple[ResourceAttribute, ...]
    tags: tuple[ResourceAttribute, ...] = ()

    def value(self, name: str) -> str:
        """The value of an attribute; empty: there is none."""
        return next((item.value for item in self.attributes if item.name == name), "")


class RuleValues(msgspec.Struct, frozen=True):
    """What a client says of a rule. ``contexts`` empty: nobody may; ``api_types`` empty: all of the service."""

    contexts: tuple[Context, ...]
    resource: Resource
    description: str = ""
    api_types: tuple[str, ...] = ()
    mode: Mode = "enabled"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as it is kept. ``version`` is another one after each change."""

    id: str
    account_id: int
    description: str
    contexts: tuple[Context, ...]
    resource: Resource
    api_types: tuple[str, ...]
    mode: Mode
    version: str
    created_at: Millis
    created_by: str
    updated_at: Millis
    updated_by: str

    def values(self) -> RuleValues:
        """What a client could have said."""
        return RuleValues(self.contexts, self.resource, self.description, self.api_types, self.mode)

    def zone_ids(self) -> set[str]:
        """The zones that its contexts name."""
        return _zone_ids(self.contexts)


def check_rule(values: RuleValues) -> None:
    """Raises ``BadValue`` that names the field, as far as that can be said without the account's zones."""
    check_description(values.description)
    if len(values.contexts) > MAX_CONTEXTS:
        raise BadValue("contexts", "{field}: at most {limit}", limit=MAX_CONTEXTS)
    for index, context in enumerate(values.contexts):
        _check_context(context, f"contexts[{index}].attributes")
    _check_resource(values.resource)
    _check_operations(values)


def _check_context(context: Context, field: str) -> None:
    if not context.attributes:
        raise BadValue(field, "{field}: this is needed")
    for index, attribute in enumerate(context.attributes):
        at = f"{field}[{index}]"
        allowed = _CONTEXT_VALUES.get(attribute.name)
        if attribute.name == ZONE:
            if not attribute.zone_ids() or not _VALUE.fullmatch(attribute.value):
                raise BadValue(f"{at}.value", "{field}: ids of zones, separated by commas")
        elif allowed is None:
            names = ", ".join((ZONE, *_CONTEXT_VALUES))
            raise BadValue(
                f"{at}.name", "{field}: {value!r} is none of {allowed}", value=attribute.name, allowed=names
            )
        elif attribute.value not in allowed:
            raise BadValue(
                f"{at}.value",
                "{field}: {value!r} is none of {allowed}",
                value=attribute.value,
                allowed=", ".join(allowed),
            )


def _check_resource(resource: Resource) -> None:
    field = "resources[0].attributes"
    seen: set[str] = set()
    for index, attribute in enumerate(resource.attributes):
        at = f"{field}[{index}]"
        if attribute.name not in RESOURCE_ATTRIBUTES:
            raise BadValue(
                f"{at}.name",
                "{field}: {value!r} is none of {allowed}",
                value=attribute.name,
                allowed=", ".join(RESOURCE_ATTRIBUTES),
            )
        if attribute.name in seen:
            raise BadValue(f"{at}.name", "{field}: {value!r} is there twice", value=attribute.name)
        seen.add(attribute.name)
        fixed = attribute.name in (ACCOUNT, SERVICE_NAME)
        _check_resource_value(attribute, at, OPERATORS[:1] if fixed else OPERATORS)
    for name in (ACCOUNT, SERVICE_NAME):
        if name not in seen:
            raise BadValue(field, "{field}: the attribute {name} is needed", name=name)
    if len(resource.tags) > MAX_TAGS:
        raise BadValue("resources[0].tags", "{field}: at most {limit}", limit=MAX_TAGS)
    for index, tag in enumerate(resource.tags):
        at = f"resources[0].tags[{index}]"
        if not _TAG_NAME.fullmatch(tag.name):
            raise BadValue(f"{at}.name", "{field}: 1 to 128 letters, digits, underscores, points and hyphens")
        _check_resource_value(tag, at, OPERATORS)
    service = resource.value(SERVICE_NAME)
    if service not in SERVICES:
        raise NotProtected(field, "{field}: rules do not protect the service {service!r}", service=service)


def _check_resource_value(attribute: ResourceAttribute, field: str, operators: tuple[str, ...]) -> None:
    if not _VALUE.fullmatch(attribute.value):
        raise BadValue(f"{field}.value", "{field}: 1 to 1000 printable characters of ASCII")
    if attribute.operator and attribute.operator not in operators:
        raise BadValue(
            f"{field}.operator",
            "{field}: {value!r} is none of {allowed}",
            value=attribute.operator,
            allowed=", ".join(operators),
        )


def _check_operations(values: RuleValues) -> None:
    if values.mode not in MODES:
        raise BadValue(
            "enforcement_mode",
            "{field}: {value!r} is none of {allowed}",
            value=values.mode,
            allowed=", ".join(MODES),
        )
    if len(values.api_types) > MAX_API_TYPES:
        raise BadValue("operations.api_types", "{field}: at most {limit}", limit=MAX_API_TYPES)
    service = values.resource.value(SERVICE_NAME)
    for index, api_type in enumerate(values.api_types):
        field = f"operations.api_types[{index}].api_type_id"
        known = find_api_type(service, api_type)
        if known is None:
            raise NotProtected(
                field, "{field}: {service} has no API type {value!r}", service=service, value=api_type
            )
        if values.mode not in known.modes:
            raise ModeNotSupported(
                "enforcement_mode",
                "{field}: {value!r} is not supported for {api_type}",
                value=values.mode,
                api_type=known.display_name,
            )


@dataclass(frozen=True, slots=True)
class RuleFilter:
    """Which rules: those with all these values. ``attributes`` are of the resource; empty texts: any."""

    attributes: Mapping[str, str]
    zone_id: str = ""
    mode: str = ""

    def keeps(self, rule: Rule) -> bool:
        """Whether the rule is one of them."""
        return (
            (not self.mode or rule.mode == self.mode)
            and (not self.zone_id or self.zone_id in rule.zone_ids())
            and all(rule.resource.value(name) == value for name, value in self.attributes.items() if value)
        )


class Rules:
    """The rules of all accounts. Every change is written into the audit log and seen by all workers."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, account_id: int, values: RuleValues, *, actor: Actor) -> Rule:
        """A new rule. Raises ``BadValue`` and its kin, ``TooMany``."""
        check_rule(values)
        now = self._clock.now()
        async with self._store.write() as connection:
            await lock_account(connection, account_id)
            others = await load_rules(connection, account_id)
            if len(others) >= MAX_RULES:
                raise TooMany("an account has at most {limit} rules", limit=MAX_RULES)
            self._check_others(values, others)
            row = {
                "id": uuid.uuid4().hex,
                "account_id": account_id,
                "created_at": now,
                "created_by": actor.name,
                **await self._changes(connection, account_id, values, now, actor),
            }
            made = (await connection.execute(insert(table).values(row).returning(*table.c))).one()
            await changed(connection, account_id, now, actor, "rule.create", made.id, **_audited(_rule(made)))
        return _rule(made)

    async def get(self, account_id: int, rule_id: str) -> Rule:
        """Raises ``RuleNotFound``."""
        async with self._store.read() as connection:
            return _rule(await self._row(connection, account_id, rule_id))

    async def list(self, account_id: int, wanted: RuleFilter | None = None, *, sort: str = "") -> list[Rule]:
        """All, or the wanted ones; oldest first unless ``sort`` says otherwise. Raises ``BadValue``."""
        order = [
            table.c[column].desc() if down else table.c[column] for column, down in parse_sort(sort, RULE_SORTS)
        ]
        query = select(table).where(table.c.account_id == account_id)
        async with self._store.read() as connection:
            rows = (await connection.execute(query.order_by(*order, table.c.created_at, table.c.id))).all()
        rules = readable("cbr_rule", _rule, rows)
        return rules if wanted is None else [rule for rule in rules if wanted.keeps(rule)]

    async def replace(
        self, account_id: int, rule_id: str, version: str | None, values: RuleValues, *, actor: Actor
    ) -> Rule:
        """Give the rule other values if it still has that version; ``None``: whichever it has.

        Raises ``RuleNotFound``, ``VersionMismatch``, ``BadValue`` and its kin, ``TooMany``.
        """
        now = self._clock.now()
        async with self._store.write() as connection:
            await lock_account(connection, account_id)
            row = await self._row(connection, account_id, rule_id)
            if version is not None and version != row.version:
                raise VersionMismatch(rule_id)
            check_rule(values)
            others = await load_rules(connection, account_id)
            self._check_others(values, [other for other in others if other.id != rule_id])
            changes = await self._changes(connection, account_id, values, now, actor)
            change = update(table).where(table.c.id == rule_id).values(changes)
            made = (await connection.execute(change.returning(*table.c))).one()
            await changed(connection, account_id, now, actor, "rule.replace", rule_id, **_audited(_rule(made)))
        return _rule(made)

    async def delete(self, account_id: int, rule_id: str, *, actor: Actor) -> None:
        """Raises ``RuleNotFound``."""
        now = self._clock.now()
        async with self._store.write() as connection:
            await lock_account(connection, account_id)
            row = await self._row(connection, account_id, rule_id)
            await connection.execute(delete(table).where(table.c.id == rule_id))
            await changed(connection, account_id, now, actor, "rule.delete", rule_id, description=row.description)

    @staticmethod
    async def _row(connection: AsyncConnection, account_id: int, rule_id: str) -> Row[Any]:
        query = select(table).where(table.c.id == rule_id, table.c.account_id == account_id)
        row = (await connection.execute(query)).one_or_none() if is_id(rule_id) else None
        if row is None:
            raise RuleNotFound(rule_id)
        return row

    @staticmethod
    def _check_others(values: RuleValues, others: Sequence[Rule]) -> None:
        count = _conditions(values.contexts) + sum(_conditions(other.contexts) for other in others)
        if count > MAX_CONDITIONS:
            raise TooMany("the rules of an account have at most {limit} conditions together", limit=MAX_CONDITIONS)
        if values.resource.tags and sum(bool(other.resource.tags) for other in others) >= MAX_TAGGED_RULES:
            raise TooMany("an account has at most {limit} rules with tags", limit=MAX_TAGGED_RULES)

    @staticmethod
    async def _changes(
        connection: AsyncConnection, account_id: int, values: RuleValues, now: Millis, actor: Actor
    ) -> dict[str, Any]:
        resource = await _of_account(connection, account_id, values.resource)
        missing = await missing_zones(connection, account_id, _zone_ids(values.contexts))
        if missing:
            raise BadValue("contexts", "{field}: there is no zone {zones}", zones=", ".join(sorted(missing)))
        return {
            "description": values.description,
            "contexts": msgspec.json.encode(values.contexts).decode(),
            "resource": msgspec.json.encode(resource).decode(),
            "api_types": msgspec.json.encode(values.api_types).decode(),
            "mode": values.mode,
            "version": secrets.token_hex(16),
            "updated_at": now,
            "updated_by": actor.name,
        }


async def _of_account(connection: AsyncConnection, account_id: int, resource: Resource) -> Resource:
    """The resource with the account's id where its name stood. Raises ``BadValue`` if it is another account's."""
    uid = account_uid(account_id)
    given = resource.value(ACCOUNT)
    if given.lower() != uid:
        name = await connection.scalar(select(account_table.c.name).where(account_table.c.id == account_id))
        if given != name:
            raise BadValue("resources[0].attributes", "{field}: the resource belongs to another account")
    attributes = tuple(
        msgspec.structs.replace(item, value=uid) if item.name == ACCOUNT else item for item in resource.attributes
    )
    return msgspec.structs.replace(resource, attributes=attributes)


async def load_rules(connection: AsyncConnection, account_id: int | None = None) -> list[Rule]:
    """The rules of one account or of all, oldest first, for what is compiled from them."""
    query = select(table).order_by(table.c.created_at, table.c.id)
    if account_id is not None:
        query = query.where(table.c.account_id == account_id)
    rows = (await connection.execute(query)).all()
    if account_id is None:
        return readable("cbr_rule", _rule, rows)
    # A rule that is left out could let in whom it should keep out.
    return [read("cbr_rule", _rule, row) for row in rows]


def _zone_ids(contexts: Iterable[Context]) -> set[str]:
    return {
        zone
        for context in contexts
        for attribute in context.attributes
        if attribute.name == ZONE
        for zone in attribute.zone_ids()
    }


def _conditions(contexts: Iterable[Context]) -> int:
    attributes = [attribute for context in contexts for attribute in context.attributes]
    return len(attributes) + sum(len(item.zone_ids()) for item in attributes if item.name == ZONE)


_decode_contexts = msgspec.json.Decoder(tuple[Context, ...]).decode
_decode_resource = msgspec.json.Decoder(Resource).decode
_decode_api_types = msgspec.json.Decoder(tuple[str, ...]).decode


def _rule(row: Row[Any]) -> Rule:
    return value_of(
        Rule,
        row,
        contexts=_decode_contexts(row.contexts),
        resource=_decode_resource(row.resource),
        api_types=_decode_api_types(row.api_types),
    )


def _audited(rule: Rule) -> dict[str, Any]:
    return {
        "description": rule.description,
        "mode": rule.mode,
        "zones": sorted(rule.zone_ids()),
        "instance": rule.resource.value(SERVICE_INSTANCE),
        "api_types": rule.api_types,
    }
