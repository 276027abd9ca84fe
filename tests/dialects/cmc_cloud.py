"""A server of the dialect of Customers Mail Cloud on loopback, with an account, its domain and an API user."""

from __future__ import annotations

import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from real_worker import RealWorker, real_worker
from sqlalchemy import select

from ekiden.access.accounts import Account, create_account
from ekiden.access.api_users import set_api_user
from ekiden.dialects.cmc.call import CmcApi
from ekiden.store import tables
from ekiden.store.api import Store
from support.cmc_client import CmcClient

DOMAIN = "sender.example"
SENDER = f"info@{DOMAIN}"
USER = f"user@{DOMAIN}"
KEY = "key1key1"
SEND = "/api/v2/emails/send.json"
BULK = "/api/v2/emails/bulk.json"


@dataclass
class Cloud:
    """``client`` is of an API user who may do everything."""

    store: Store
    worker: RealWorker
    account: Account
    client: CmcClient

    @property
    def port(self) -> int:
        return self.worker.port

    @property
    def api(self) -> CmcApi:
        found: CmcApi = self.worker.apis["cmc"]
        return found

    async def add_user(self, login: str, account_id: int = 0, **bounds: Any) -> CmcClient:
        """Another API user, of this account unless another is given."""
        now = self.worker.platform.clock.now()
        await set_api_user(self.store, account_id or self.account.id, login, KEY, now, **bounds)
        return CmcClient(self.port, login, KEY)

    async def rows(self, table: str) -> list[Any]:
        """All of a table, in the order of its primary key."""
        found = tables.metadata.tables[table]
        async with self.store.read() as connection:
            query = select(found).order_by(*found.primary_key.columns)
            return list((await connection.execute(query)).all())

    async def contents(self) -> list[bytes]:
        """Every message as it would be sent, in the order in which they came."""
        found = [await self.store.content(self.account.id, row.id) for row in await self.rows("message")]
        return [content for content in found if content is not None]

    async def messages(self) -> list[Any]:
        """``contents``, parsed."""
        return [email.message_from_bytes(each, policy=email.policy.default) for each in await self.contents()]


@asynccontextmanager
async def running_cmc(store: Store, name: str = "acme", **sections: Any) -> AsyncIterator[Cloud]:
    """Until the end of the block."""
    async with real_worker(store, **sections) as worker:
        now = worker.platform.clock.now()
        account = await create_account(store, name, now)
        await worker.platform.domains.add(account.id, DOMAIN, vouched=True)
        await set_api_user(store, account.id, USER, KEY, now)
        yield Cloud(store, worker, account, CmcClient(worker.port, USER, KEY))
