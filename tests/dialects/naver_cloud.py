"""A server of the NAVER dialect on loopback with an account, and clients with access keys of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from real_worker import RealWorker, real_worker

from ekiden.access.access_keys import AccessKey, create_access_key
from ekiden.access.accounts import Account, create_account
from ekiden.dialects.naver.dialect import NAVER
from ekiden.dialects.naver.routes import OPERATIONS, naver_api
from ekiden.lab import Lab
from ekiden.store.api import Store
from ekiden.web.operation import Operation
from support.naver_client import NaverClient


@dataclass
class Cloud:
    """``client`` has an access key without restrictions."""

    store: Store
    worker: RealWorker
    account: Account
    client: NaverClient
    key: AccessKey

    @property
    def port(self) -> int:
        return self.worker.port

    async def add_key(self, account_id: int = 0, **bounds: Any) -> AccessKey:
        """Of this account unless another is given."""
        now = self.worker.platform.clock.now()
        return await create_access_key(
            self.store, self.worker.vault, account_id or self.account.id, "test", now, **bounds
        )

    def client_of(self, key: AccessKey, base: str = "/api/v1", lang: str = "") -> NaverClient:
        return NaverClient(self.port, key.id, key.secret, base, lang)


@asynccontextmanager
async def running_naver(
    store: Store, lab: Lab | None = None, *, besides: Sequence[Operation] = (), name: str = "acme", **sections: Any
) -> AsyncIterator[Cloud]:
    """Until the end of the block. ``besides``: operations that there are only here, also in the place of others."""
    own = {(item.method, item.path) for item in besides}
    operations = (*(item for item in OPERATIONS if (item.method, item.path) not in own), *besides)

    def api(services: Any, settings: Any) -> Any:
        return naver_api(services, settings, operations)

    async with real_worker(store, lab, dialects=(replace(NAVER, api=api),), **sections) as worker:
        now = worker.platform.clock.now()
        account = await create_account(store, name, now)
        key = await create_access_key(store, worker.vault, account.id, "main", now)
        yield Cloud(store, worker, account, NaverClient(worker.port, key.id, key.secret), key)
