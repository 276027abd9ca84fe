"""A server of the Infobip dialect on loopback, an account with a domain on it, and a raw client to talk to it."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec
from real_worker import real_worker
from sqlalchemy import select

from ekiden.access.accounts import Account, create_account
from ekiden.access.audit import Actor
from ekiden.access.credentials import NewApiKey, create_api_key
from ekiden.access.vault import Vault
from ekiden.dialects.infobip.call import InfobipApi
from ekiden.dialects.infobip.config import InfobipConfig
from ekiden.dialects.infobip.dialect import INFOBIP
from ekiden.lab import Lab
from ekiden.net.clock import SystemClock
from ekiden.store import tables
from ekiden.store.api import Store
from ekiden.web.platform import Platform

DOMAIN = "sender.example"
SENDER = f"news@{DOMAIN}"
ADMIN = Actor("test:admin")
MAX_SIZE = 41_943_040


class Reply(NamedTuple):
    """A raw answer; ``headers`` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def problems(self) -> dict[str, list[str]]:
        """What is wrong with which field, in either envelope."""
        found = self.json
        if "requestError" in found:
            errors: dict[str, list[str]] = found["requestError"]["serviceException"].get("validationErrors", {})
            return errors
        problems: dict[str, list[str]] = {}
        for violation in found["violations"]:
            problems.setdefault(violation["property"], []).append(violation["violation"])
        return problems


class File(NamedTuple):
    """A file of a form."""

    field: str
    filename: str
    content: bytes
    content_type: str = "application/octet-stream"


@dataclass
class Cloud:
    """One account with the verified domain ``DOMAIN``. ``key`` may do everything."""

    store: Store
    lab: Lab
    services: Platform
    api: InfobipApi
    vault: Vault
    account: Account
    key: str = field(repr=False)
    port: int = 0

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        authorization: str | None = None,
    ) -> Reply:
        """A raw request; ``authorization`` ``None``: with the account's key; empty: with none."""
        given = dict(headers or {})
        if authorization is None:
            authorization = f"App {self.key}"
        if authorization:
            given["Authorization"] = authorization
        return await asyncio.to_thread(self._request, method, path, body, given)

    def _request(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Reply:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answered = connection.getresponse()
            found = {name.lower(): value for name, value in answered.getheaders()}
            return Reply(answered.status, found, answered.read())
        finally:
            connection.close()

    async def json(self, method: str, path: str, value: Any, **rest: Any) -> Reply:
        """A request with a JSON body."""
        headers = {"Content-Type": "application/json"}
        return await self.request(method, path, msgspec.json.encode(value), headers, **rest)

    async def form(
        self,
        fields: Iterable[tuple[str, str]],
        files: Sequence[File] = (),
        path: str = "/email/3/send",
        **rest: Any,
    ) -> Reply:
        """A request with a multipart form."""
        content_type, body = multipart(fields, files)
        return await self.request("POST", path, body, {"Content-Type": content_type}, **rest)

    async def add_key(self, *scopes: str, networks: Sequence[str] = ()) -> NewApiKey:
        """Another API key of the account."""
        now = self.services.clock.now()
        return await create_api_key(
            self.store, self.account.id, f"key {uuid4().hex}", now, scopes=scopes, networks=networks
        )

    async def rows(self, table: str) -> list[Any]:
        """All of a table, in the order of its primary key."""
        found = tables.metadata.tables[table]
        async with self.store.read() as connection:
            query = select(found).order_by(*found.primary_key.columns)
            return list((await connection.execute(query)).all())

    async def content(self, message_id: int) -> bytes:
        """A message as it would be sent."""
        kept = await self.store.content(self.account.id, message_id)
        assert kept is not None
        return kept

    async def messages(self) -> list[Any]:
        """Every message, parsed, in the order in which they were sent."""
        return [
            email.message_from_bytes(await self.content(row.id), policy=email.policy.default)
            for row in await self.rows("message")
        ]

    async def stored(self) -> list[str]:
        """The tables in which a request has left something."""
        kept = ("message", "delivery", "content", "shared_content", "notice")
        return [table for table in kept if await self.rows(table)]


def multipart(fields: Iterable[tuple[str, str]], files: Sequence[File] = ()) -> tuple[str, bytes]:
    """Content-Type and body of a form, as clients of Infobip write it."""
    boundary = uuid4().hex
    parts = []
    for name, value in fields:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        parts.append(head.encode() + value.encode() + b"\r\n")
    for file in files:
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{file.field}"; filename="{file.filename}"\r\n'
            f"Content-Type: {file.content_type}\r\n\r\n"
        )
        parts.append(head.encode() + file.content + b"\r\n")
    parts.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(parts)


@asynccontextmanager
async def running_infobip(
    store: Store,
    lab: Lab,
    *,
    config: InfobipConfig | None = None,
    clock: Any = None,
) -> AsyncIterator[Cloud]:
    """The server, until the end of the block."""
    clock = clock or SystemClock()
    async with real_worker(
        store, lab, clock=clock, dialects=(INFOBIP,), infobip=config or InfobipConfig()
    ) as worker:
        account = await create_account(store, "acme", clock.now())
        key = await create_api_key(store, account.id, "test", clock.now())
        await worker.platform.domains.add(account.id, DOMAIN, vouched=True)
        api = worker.apis["infobip"]
        yield Cloud(store, lab, worker.platform, api, worker.vault, account, key.key, worker.port)
