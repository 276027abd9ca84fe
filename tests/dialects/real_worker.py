"""What a worker answers over HTTP, wired as the server wires it, upon a store and the DNS of a lab."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from ekiden.access.config import AccessConfig
from ekiden.access.vault import Vault
from ekiden.config.model import LabConfig, config_type
from ekiden.core.clock import DAY
from ekiden.core.ids import IdFactory
from ekiden.dns.config import DnsConfig
from ekiden.lab import Lab
from ekiden.listeners.http_app import make_app
from ekiden.listeners.http_config import HttpConfig
from ekiden.listeners.http_server import HttpServer
from ekiden.net.clock import SystemClock
from ekiden.net.listen import open_listener
from ekiden.process.worker import NoDelivery
from ekiden.store.api import Store
from ekiden.web.dialect import Dialect
from ekiden.web.operation import routers
from ekiden.web.platform import Platform
from ekiden.wiring.dialects import DIALECTS
from ekiden.wiring.http_routes import Faces
from ekiden.wiring.services import Services

HOST = "mail.sender.example"


@dataclass
class RealWorker:
    """``id`` of its registration; ``apis`` by the name of their dialect; ``port`` of its HTTP."""

    id: int

    platform: Platform
    services: Services
    apis: dict[str, Any]
    vault: Vault
    port: int


@asynccontextmanager
async def real_worker(
    store: Store,
    lab: Lab | None = None,
    *,
    clock: Any = None,
    proxy_from: Sequence[str] = (),
    dialects: Sequence[Dialect[Any]] = DIALECTS,
    **sections: Any,
) -> AsyncIterator[RealWorker]:
    """Until the end of the block. ``sections`` of the configuration, those of dialects among them.

    ``dialects``: those that are spoken there; whoever tests one names it, for their routes are most of the cost.
    """
    clock = clock or SystemClock()
    vault = Vault(bytes(range(32)))
    host, port = lab.dns_address if lab is not None else ("127.0.0.1", 53)
    settings = {
        "hostname": HOST,
        "access": AccessConfig(delay=0.01, max_delay=0.01, recheck=0.0),
        "dns": DnsConfig(nameservers=(host,), port=port, timeout=2.0, lifetime=4.0),
        "lab": LabConfig(enabled=True),
    }
    config = config_type(tuple(dialects))(**settings | sections)
    me = await store.register_worker("here", 1, clock.now(), DAY)
    ids = IdFactory(me.node)
    services = Services(config, store, clock, ids, me.id, vault, dialects=dialects)
    faces = Faces(config, store, clock, ids, me.id, services, services.mailer(services.door(NoDelivery())))
    apis = faces.apis()

    async def ready() -> list[str]:
        return []

    async def metrics() -> bytes:
        return b""

    listener = open_listener("127.0.0.1", 0)
    app = make_app(ready, metrics, [router for api in apis.values() for router in routers(api)])
    server = HttpServer(app, [listener], msgspec.structs.replace(HttpConfig(), proxy_from=tuple(proxy_from)))
    await server.start()
    try:
        yield RealWorker(
            me.id, next(iter(apis.values())).services, services, apis, vault, listener.getsockname()[1]
        )
    finally:
        await server.stop()
        await faces.close()
        await services.close()
