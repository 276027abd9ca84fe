"""A server of the IBM dialect on loopback, an account on it, and IBM's own clients to talk to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any, NamedTuple

import msgspec
from ibm_cloud_sdk_core.authenticators import BearerTokenAuthenticator, IAMAuthenticator
from ibm_eventnotifications.event_notifications_v1 import EventNotificationsV1
from real_worker import real_worker

from ekiden.access.accounts import Account, create_account
from ekiden.access.audit import Actor
from ekiden.access.credentials import create_api_key
from ekiden.dialects.ibm.call import IbmApi
from ekiden.dialects.ibm.config import IbmConfig
from ekiden.dialects.ibm.dialect import IBM
from ekiden.domains.config import DomainsConfig
from ekiden.lab import Lab
from ekiden.net.clock import SystemClock
from ekiden.senders.config import RegionConfig
from ekiden.senders.projects import Project
from ekiden.store.api import Store
from ekiden.web.platform import Platform

INCLUDE = "spf.sender.example"
ADDRESS = "192.0.2.10"
ADMIN = Actor("test:admin")
REGION = RegionConfig(
    name="jp-tok",
    smtp_public="smtp.sender.example",
    smtp_private="private.smtp.sender.example",
    addresses=(ADDRESS,),
)


class Reply(NamedTuple):
    """A raw answer; ``headers`` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass
class Cloud:
    """One account with one instance. ``base`` is the URL of the server."""

    store: Store
    lab: Lab
    services: Platform
    api: IbmApi
    account: Account
    project: Project
    key: str = field(repr=False)
    port: int = 0

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def instance(self) -> str:
        return self.project.uid

    def client(self, key: str | None = None, *, prefix: str = "/event-notifications") -> EventNotificationsV1:
        """IBM's client with a fresh authenticator: one that failed sleeps a minute before it tries again."""
        client = EventNotificationsV1(authenticator=IAMAuthenticator(key or self.key, url=self.base))
        client.set_service_url(self.base + prefix)
        client.set_http_config({"timeout": 20})
        return client

    def bearer(self, token: str) -> EventNotificationsV1:
        """IBM's client with a token that somebody else got."""
        client = EventNotificationsV1(authenticator=BearerTokenAuthenticator(token))
        client.set_service_url(self.base)
        return client

    async def call(self, method: Callable[..., Any], *args: Any, **values: Any) -> Any:
        """The result of a method of the blocking client."""
        return (await self.call_plain(method, *args, **values)).get_result()

    async def call_plain(self, method: Callable[..., Any], *args: Any, **values: Any) -> Any:
        """What a blocking method returns."""
        return await asyncio.to_thread(method, *args, **values)

    async def token(self, key: str | None = None) -> str:
        """A bearer token."""
        body = f"grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey&apikey={key or self.key}"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        reply = await self.request("POST", "/identity/token", body.encode(), headers, token="")
        assert reply.status == 200, reply.body
        return str(reply.json["access_token"])

    async def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        token: str | None = None,
    ) -> Reply:
        """A raw request; ``token`` ``None``: with a new one of the account; empty: with none."""
        given = dict(headers or {})
        if token is None:
            token = await self.token()
        if token:
            given["Authorization"] = f"Bearer {token}"
        return await asyncio.to_thread(self._request, method, path, body, given)

    def _request(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Reply:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers)
            answered = connection.getresponse()
            found = {name.lower(): value for name, value in answered.getheaders()}
            return Reply(answered.status, found, answered.read())
        finally:
            connection.close()

    async def publish(self, domain: str) -> None:
        """What the account's domain has to have in the DNS."""
        found = await self.services.domains.get(self.account.id, domain)
        for record in await self.services.domains.records(found):
            if record.type == "TXT" and record.kind != "dmarc":
                self.lab.set_dns(record.name, "TXT", [record.value])
        self.lab.set_dns(domain, "A", [ADDRESS])


@asynccontextmanager
async def running_cloud(
    store: Store,
    lab: Lab,
    *,
    config: IbmConfig | None = None,
    clock: Any = None,
    proxy_from: Sequence[str] = (),
) -> AsyncIterator[Cloud]:
    """The server, until the end of the block."""
    clock = clock or SystemClock()
    lab.set_dns(INCLUDE, "TXT", [f"v=spf1 ip4:{ADDRESS} -all"])
    async with real_worker(
        store,
        lab,
        clock=clock,
        proxy_from=proxy_from,
        dialects=(IBM,),
        ibm=config or IbmConfig(),
        domains=DomainsConfig(spf_include=INCLUDE, addresses=(ADDRESS,)),
        regions=(REGION,),
    ) as worker:
        account = await create_account(store, "acme", clock.now(), region="jp-tok")
        key = await create_api_key(store, account.id, "test", clock.now())
        project = await worker.platform.projects.create(account.id, "main", region="jp-tok")
        yield Cloud(store, lab, worker.platform, worker.apis["ibm"], account, project, key.key, worker.port)
