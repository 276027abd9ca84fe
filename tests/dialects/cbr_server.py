"""The API of context-based restrictions on a loopback port, as a worker serves it, and IBM's own client for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from ibm_cloud_sdk_core.authenticators import BearerTokenAuthenticator
from ibm_platform_services.context_based_restrictions_v1 import ContextBasedRestrictionsV1
from real_worker import real_worker

from ekiden.access.accounts import Account, create_account
from ekiden.access.credentials import create_api_key
from ekiden.dialects.ibm.dialect import IBM
from ekiden.networks.config import NetworkConfig
from ekiden.store.api import Store
from ekiden.web.platform import Platform

T = TypeVar("T")
SMTP_API = "crn:v1:bluemix:public:event-notifications-dev::::api-type:smtp-configuration"
INSTANCE = "11111111-2222-4333-8444-555555555555"


@dataclass
class CbrServer:
    """``account`` is who calls; each ``client`` has an API key of it, unless another account is named."""

    store: Store
    base: str
    account: Account
    platform: Platform

    @classmethod
    @asynccontextmanager
    async def running(cls, store: Store, networks: NetworkConfig) -> AsyncIterator[CbrServer]:
        async with real_worker(store, dialects=(IBM,), networks=networks) as worker:
            account = await create_account(store, "acme", worker.platform.clock.now())
            yield cls(store, f"http://127.0.0.1:{worker.port}", account, worker.platform)

    async def token(self, account: Account | None = None, scopes: tuple[str, ...] = ()) -> str:
        owner = account or self.account
        made = await create_api_key(self.store, owner.id, "test", self.platform.clock.now(), scopes=scopes)
        credential = await self.platform.directory.credential(made.credential.id)
        facts = await self.platform.directory.account(owner.id)
        assert credential is not None
        assert facts is not None
        return self.platform.tokens.issue(credential, facts, scopes or ("send", "read", "manage"), 600).text

    async def client(
        self, account: Account | None = None, scopes: tuple[str, ...] = ()
    ) -> ContextBasedRestrictionsV1:
        """IBM's client; its calls block, so they go through ``apart``."""
        service = ContextBasedRestrictionsV1(BearerTokenAuthenticator(await self.token(account, scopes)))
        service.set_service_url(self.base)
        service.set_http_config({"timeout": 30})
        return service


async def apart(call: Callable[..., T], *args: Any, **options: Any) -> T:
    """A blocking call, in a thread."""
    return await asyncio.to_thread(call, *args, **options)


def raw(server: CbrServer, token: str) -> Callable[..., Awaitable[httpx.Response]]:
    """Requests that IBM's client would not send."""

    async def send(method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        async with httpx.AsyncClient(base_url=server.base, trust_env=False) as client:
            return await client.request(method, path, headers=headers, **options)

    return send


def rule_body(account: str, *zones: str, endpoint: str = "", **others: Any) -> dict[str, Any]:
    """The body of a rule for SMTP."""
    attributes = [{"name": "networkZoneId", "value": ", ".join(zones)}] if zones else []
    if endpoint:
        attributes.append({"name": "endpointType", "value": endpoint})
    return {
        "contexts": [{"attributes": attributes}] if attributes else [],
        "resources": [
            {
                "attributes": [
                    {"name": "accountId", "value": account},
                    {"name": "serviceName", "value": "event-notifications"},
                    {"name": "serviceInstance", "value": INSTANCE},
                ]
            }
        ],
        "operations": {"api_types": [{"api_type_id": SMTP_API}]},
        "enforcement_mode": "enabled",
        **others,
    }
