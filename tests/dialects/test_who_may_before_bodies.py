"""Who may not is told so before a body is read, and what is announced as too large is not waited for."""

from __future__ import annotations

import asyncio
import os
import re
import zlib
from typing import Any

import pytest
from cmc_cloud import running_cmc
from ibm_cloud import Cloud as IbmCloud
from infobip_cloud import Cloud
from naver_cloud import running_naver
from neighbour import Neighbour

from ekiden.access.credential_scopes import SCOPES
from ekiden.dialects.cmc import routes as cmc
from ekiden.dialects.ibm import routes as ibm
from ekiden.dialects.infobip.routes import OPERATIONS
from ekiden.dialects.naver import routes as naver
from ekiden.store.open import open_store
from ekiden.web.body import PLACES
from ekiden.web.need import QUERY

ENDLESS = "Transfer-Encoding: chunked"
HUGE = "Content-Length: 99999999999"
CBR = [
    ("POST", "/v1/zones"),
    ("GET", "/v1/zones"),
    ("PUT", "/v1/zones/x"),
    ("DELETE", "/v1/zones/x"),
    ("POST", "/v1/rules"),
    ("PUT", "/v1/rules/x"),
]


async def asked(port: int, method: str, path: str, *headers: str) -> int:
    """The status of the answer to a request whose body never comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        lines = [f"{method} {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *headers, "", ""]
        writer.write("\r\n".join(lines).encode())
        line = await asyncio.wait_for(reader.readline(), 30)
        return int(line.split()[1])
    finally:
        writer.close()


def paths(operations: Any) -> list[tuple[str, str]]:
    names = {"{domain:str}": "sender.example", "{template:str}": "1", "{attachment:str}": "A"}
    found = []
    for operation in operations:
        path = operation.path
        for name, value in names.items():
            path = path.replace(name, value)
        found.append((operation.method, path.replace("{id:str}", "x").replace("{user_id:str}", "y")))
    return found


async def test_infobip(infobip_all: Cloud) -> None:
    scopes = {scope: (await infobip_all.add_key(scope)).key for scope in ("send", "read", "manage")}
    for operation, (method, path) in zip(OPERATIONS, paths(OPERATIONS), strict=True):
        port = infobip_all.port
        other = next(key for scope, key in scopes.items() if scope != operation.scope)
        for body in (ENDLESS, HUGE):
            assert await asked(port, method, path, body) == 401, path
            assert await asked(port, method, path, body, "Authorization: App x" + "y" * 9_000) == 401, path
            assert await asked(port, method, path, body, f"Authorization: App {other}") == 403, path
        right = f"Authorization: App {scopes[operation.scope]}"
        assert await asked(port, method, path, HUGE, right) == 400, path


async def test_infobip_logins(infobip_all: Cloud) -> None:
    for path in ("/auth/1/session", "/auth/1/oauth2/token"):
        assert await asked(infobip_all.port, "POST", path, HUGE) == 400
    assert await asked(infobip_all.port, "DELETE", "/auth/1/session", ENDLESS) == 401


async def test_ibm(cloud: IbmCloud) -> None:
    token = f"Authorization: Bearer {await cloud.token()}"
    rows = [(method, f"/v1/instances/{cloud.instance}{path}") for method, path in paths(ibm.OPERATIONS)]
    for method, path in (*rows, *CBR):
        for body in (ENDLESS, HUGE):
            assert await asked(cloud.port, method, path, body) == 401, path
            assert await asked(cloud.port, method, path, body, "Authorization: Bearer " + "y" * 9_000) == 401, path
        assert await asked(cloud.port, method, path, HUGE, token) == 413, path
    assert await asked(cloud.port, "POST", "/identity/token", HUGE) == 413


async def test_naver(sqlite_url: str) -> None:
    store = await open_store(sqlite_url)
    async with running_naver(store) as cloud:
        clients = {scope: cloud.client_of(await cloud.add_key(scopes=[scope])) for scope in SCOPES}
        port = cloud.port
        for operation in naver.OPERATIONS:
            method, path = operation.method, "/api/v1" + re.sub(r"{\w+:str}", "1", operation.path)

            def signed(scope: str, method: str = method, path: str = path) -> list[str]:
                return [f"{name}: {value}" for name, value in clients[scope].headers(method, path).items()]

            other = next(scope for scope in SCOPES if scope != operation.scope)
            for body in (ENDLESS, HUGE):
                assert await asked(port, method, path, body) == 401, path
                assert await asked(port, method, path, body, *signed(other)) == 401, path
            assert await asked(port, method, path, HUGE, *signed(operation.scope)) == 413, path
    await store.close()


async def test_cmc(sqlite_url: str) -> None:
    """Who sends it stands in the body; of what is announced as too large nothing is waited for."""
    store = await open_store(sqlite_url)
    async with running_cmc(store) as cloud:
        for method, path in paths(cmc.OPERATIONS):
            assert await asked(cloud.port, method, path, HUGE) == 500, path
    await store.close()


@pytest.mark.parametrize(
    ("query", "status"),
    [("a=b&" * QUERY.parameters + "limit=1", 400), ("messageId=" + "x" * 60_000, 414)],
    ids=["parameters", "octets"],
)
async def test_a_query_is_bounded_before_it_is_parsed(infobip_all: Cloud, query: str, status: int) -> None:
    assert (await infobip_all.request("GET", f"/email/1/logs?{query}")).status == status


async def test_no_room_is_told(infobip_all: Cloud) -> None:
    bodies = infobip_all.services.bodies
    memory = bodies.memory
    bodies.patience = 0.05
    assert memory.take("somebody", memory.total)
    try:
        body = b'{"messages":[]' + b" " * 200_000 + b"}"
        headers = {"Content-Type": "application/json"}
        full = await infobip_all.request("POST", "/email/4/messages", body, headers)
        assert (full.status, full.json["errorCode"], "retry-after" in full.headers) == (429, "E429", True)
        assert bodies.refused == {"NoRoom": 1}
        # What is small costs nothing worth counting.
        small = await infobip_all.request("POST", "/email/4/messages", b'{"messages":[]}', headers)
        assert small.status == 400
    finally:
        memory.give("somebody", memory.total)
    assert memory.used == 0


async def test_a_bomb_of_gzip(cloud: IbmCloud) -> None:
    """A thousandth of what it becomes; it is looked at piece by piece."""

    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    bomb = packer.compress(b'{"name":"' + b"a" * 40_000_000) + packer.flush()
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    path = f"/v1/instances/{cloud.instance}/smtp/config"
    with Neighbour(cloud.port, os.getpid()):
        assert (await cloud.request("POST", path, bomb, headers)).status == 413


async def test_lists_have_places_of_which_no_account_has_all(infobip_all: Cloud) -> None:
    """A hundred long lists at once were begun at once: the victim's mail waited for ten seconds."""
    bodies = infobip_all.services.bodies
    bodies.turn_patience = 0.2
    account = next(row.id for row in await infobip_all.rows("account"))
    mine = 0
    while bodies.places.take(account):
        mine += 1
    assert 0 < mine < PLACES
    try:
        for path in ("/email/1/logs", "/email/4/reports", "/email/1/bulks?bulkId=a"):
            reply = await infobip_all.request("GET", path)
            assert (reply.status, "retry-after" in reply.headers) == (429, True), path
        # What sends has no such places, and others have theirs.
        reply = await infobip_all.json("POST", "/email/4/messages", {"messages": []})
        assert reply.status == 400
        async with bodies.turn("somebody else"):
            assert bodies.places.held("somebody else") == 1
    finally:
        bodies.places.give(account, mine)
    assert (await infobip_all.request("GET", "/email/1/logs")).status == 200
    assert bodies.places.free == PLACES
