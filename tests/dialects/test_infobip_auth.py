"""Who may use the Infobip API: the four schemes, scopes, networks, suspension, throttles; sessions and tokens."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from infobip_cloud import SENDER, Cloud, Reply, multipart, running_infobip
from sqlalchemy import update

from ekiden.access.accounts import suspend_account
from ekiden.access.authenticate import Authenticator, Password, Proof
from ekiden.access.credentials import revoke_credential, set_password
from ekiden.access.directory import Directory
from ekiden.access.sessions import Sessions, SessionToken
from ekiden.core.clock import MINUTE, SECOND
from ekiden.dialects.infobip.config import InfobipConfig
from ekiden.lab import Lab
from ekiden.store.api import Store
from ekiden.store.tables import credential
from ekiden.web.throttle import Throttle, Throttles
from support.manual_clock import ManualClock
from support.structured_logs import told

LEGACY_401 = {"requestError": {"serviceException": {"messageId": "UNAUTHORIZED", "text": "Unauthorized"}}}
PASSWORD = "correct horse"
FIELDS = [("from", SENDER), ("to", "john@shop.example"), ("subject", "Hello"), ("text", "Dear John")]


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


class Worker:
    """Sessions as another worker of the installation knows them."""

    def __init__(self, store: Store, clock: ManualClock, *times: float) -> None:
        self.directory = Directory(store, clock, max_age=-1.0)
        self.sessions = Sessions(store, clock, self.directory, *times)
        self.open = self.sessions.open
        self.authenticator = Authenticator(store, clock, directory=self.directory)

    async def knows(self, token: str) -> bool:
        return isinstance(await self.authenticator.prove(SessionToken(self.sessions, token), "127.0.0.1"), Proof)


async def send(infobip: Cloud, authorization: str | None) -> Reply:
    return await infobip.form(FIELDS, authorization=authorization)


async def add_password(infobip: Cloud, username: str = "jane", **bounds: Any) -> Any:
    now = infobip.services.clock.now()
    return await set_password(infobip.store, infobip.account.id, username, PASSWORD, now, **bounds)


async def log_in(infobip: Cloud, username: str = "jane", password: str = PASSWORD) -> Reply:
    body = {"username": username, "password": password}
    return await infobip.json("POST", "/auth/1/session", body, authorization="")


async def token_for(infobip: Cloud, key: str, **more: str) -> Reply:
    form = {"client_id": "anything", "client_secret": key, "grant_type": "client_credentials", **more}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode(form).encode()
    return await infobip.request("POST", "/auth/1/oauth2/token", body, headers, authorization="")


async def test_all_four_schemes(infobip: Cloud) -> None:
    await add_password(infobip)
    session = (await log_in(infobip)).json["token"]
    given = (await token_for(infobip, infobip.key)).json
    assert (given["token_type"], given["expires_in"]) == ("Bearer", 3_600)
    schemes = [
        f"App {infobip.key}",
        f"app {infobip.key}",
        basic("jane", PASSWORD),
        f"IBSSO {session}",
        f"Bearer {given['access_token']}",
    ]
    for authorization in schemes:
        reply = await send(infobip, authorization)
        assert reply.status == 200, (authorization, reply.body)
    credentials = [row.credential_id for row in await infobip.rows("message")]
    key, password = credentials[0], credentials[2]
    assert credentials == [key, key, password, password, key]


STRANGERS = [
    "",
    "App",
    "App wrong",
    "Basic",
    "Basic %%%",
    "Basic YTpi\xe9",
    "Basic " + base64.b64encode(b"no colon").decode(),
    "Basic " + base64.b64encode(b"\xff:\xff").decode(),
    basic("jane", "wrong"),
    basic("nobody", PASSWORD),
    "IBSSO",
    "IBSSO 00000000-0000-0000-0000-000000000000",
    "Bearer a.b.c",
    "Digest x",
]


async def test_strangers(infobip: Cloud) -> None:
    await add_password(infobip)
    for authorization in STRANGERS:
        reply = await send(infobip, authorization)
        assert (reply.status, reply.json) == (401, LEGACY_401), authorization
        assert "App" in reply.headers["www-authenticate"]
    newer = await infobip.json("POST", "/email/4/messages", {}, authorization="App wrong")
    assert (newer.status, newer.json["errorCode"]) == (401, "E401")
    assert await infobip.stored() == []


async def test_each_stranger_that_shows_something_is_told_of(infobip: Cloud) -> None:
    await add_password(infobip)
    with told(requests="off", refused="off") as lines:
        for authorization in STRANGERS:
            await send(infobip, authorization)
        await token_for(infobip, "wrong")
        grant = b"grant_type=client_credentials"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        await infobip.request("POST", "/auth/1/oauth2/token", grant, headers, authorization="Basic %%%")
        await infobip.request("DELETE", "/auth/1/session", authorization="IBSSO nobody")
        await send(infobip, "App " + "x" * 9_000)
    assert {(line["event"], line["why"], line["client"]) for line in lines} == {
        ("login refused", "bad_credentials", "127.0.0.1")
    }
    names = ["(app)", "app", "(basic)", "(basic)", "(basic)", "(basic)", "(basic)", "jane", "nobody", "(ibsso)"]
    names += ["(session)", "(bearer)", "(unknown)", "app", "(basic)", "(session)", "(unknown)"]
    assert [line["login"] for line in lines] == names


async def test_users_of_smtp_configurations_are_strangers_here(infobip: Cloud) -> None:
    made = await add_password(infobip)
    async with infobip.store.write() as connection:
        change = update(credential).where(credential.c.id == made.id).values(kind="smtp_user")
        await connection.execute(change)
    assert (await send(infobip, basic("jane", PASSWORD))).status == 401
    assert (await log_in(infobip)).status == 401


async def test_scopes(infobip: Cloud) -> None:
    reader = await infobip.add_key("read")
    for authorization in (
        f"App {reader.key}",
        f"Bearer {(await token_for(infobip, reader.key)).json['access_token']}",
        f"Bearer {(await token_for(infobip, infobip.key, scope='read')).json['access_token']}",
        f"Bearer {(await token_for(infobip, reader.key, scope='send')).json['access_token']}",
    ):
        reply = await send(infobip, authorization)
        assert reply.status == 403, reply.body
        assert reply.json["requestError"]["serviceException"]["messageId"] == "FORBIDDEN"
    sender = await infobip.add_key("send")
    assert (await send(infobip, f"App {sender.key}")).status == 200
    newer = await infobip.json("POST", "/email/4/messages", {}, authorization=f"App {reader.key}")
    assert (newer.status, newer.json["errorCode"]) == (403, "E403")


async def test_a_credential_is_for_its_networks_only(infobip: Cloud) -> None:
    elsewhere = await infobip.add_key(networks=("192.0.2.0/24",))
    assert (await send(infobip, f"App {elsewhere.key}")).status == 401
    assert (await token_for(infobip, elsewhere.key)).status == 401
    here = await infobip.add_key(networks=("127.0.0.0/8",))
    assert (await send(infobip, f"App {here.key}")).status == 200


async def test_a_suspended_account_is_forbidden_everything(infobip: Cloud) -> None:
    await add_password(infobip)
    session = (await log_in(infobip)).json["token"]
    bearer = (await token_for(infobip, infobip.key)).json["access_token"]
    await suspend_account(infobip.store, "acme", infobip.services.clock.now())
    for authorization in (f"App {infobip.key}", f"IBSSO {session}", f"Bearer {bearer}", basic("jane", PASSWORD)):
        assert (await send(infobip, authorization)).status == 403
    assert (await log_in(infobip)).status == 403
    assert await infobip.stored() == []


async def test_sessions_and_tokens_end_with_their_credential(infobip: Cloud) -> None:
    password, key = await add_password(infobip), await infobip.add_key()
    session = (await log_in(infobip)).json["token"]
    bearer = (await token_for(infobip, key.key)).json["access_token"]
    for made in (password, key.credential):
        await revoke_credential(infobip.store, made.id, infobip.services.clock.now())
    for authorization in (f"IBSSO {session}", f"Bearer {bearer}"):
        assert (await send(infobip, authorization)).status == 401


async def test_a_session_is_closed(infobip: Cloud) -> None:
    await add_password(infobip)
    opened = await log_in(infobip)
    assert opened.status == 200
    assert opened.headers["cache-control"] == "no-store"
    token = opened.json["token"]
    assert str(UUID(token)) == token
    kept = [row for row in await infobip.rows("credential") if row.kind == "session"]
    assert all(token not in str(row) for row in kept)
    assert (await send(infobip, f"IBSSO {token}")).status == 200
    assert (await infobip.request("DELETE", "/auth/1/session", authorization=f"IBSSO {token}")).status == 204
    assert (await send(infobip, f"IBSSO {token}")).status == 401
    again = await infobip.request("DELETE", "/auth/1/session", authorization=f"IBSSO {token}")
    assert (again.status, again.json) == (401, LEGACY_401)


async def test_no_cache_keeps_what_opens_a_door(infobip: Cloud) -> None:
    await add_password(infobip)
    key = await infobip.add_key()
    for opened in (await log_in(infobip), await token_for(infobip, key.key)):
        assert (opened.status, opened.headers["cache-control"]) == (200, "no-store")


LOGINS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"username", "password"}),
    ({"username": "jane"}, {"password"}),
    ({"username": 7, "password": PASSWORD}, {"username"}),
    ({"username": "a\r\nb", "password": PASSWORD}, {"username"}),
    ({"username": "jane", "password": "x" * 600}, {"password"}),
]


async def test_bad_logins_name_their_fields(infobip: Cloud) -> None:
    for body, named in LOGINS:
        reply = await infobip.json("POST", "/auth/1/session", body, authorization="")
        assert (reply.status, set(reply.problems)) == (400, named)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for form, named in (
        ({}, {"grant_type", "client_secret"}),
        ({"grant_type": "password", "client_secret": "x"}, {"grant_type"}),
    ):
        body = urlencode(form).encode()
        reply = await infobip.request("POST", "/auth/1/oauth2/token", body, headers, authorization="")
        assert (reply.status, set(reply.problems)) == (400, named)
    assert (await token_for(infobip, "wrong")).status == 401


async def test_a_secret_is_taken_from_no_query(infobip: Cloud) -> None:
    """It would be in the log of every proxy on the way; as a header RFC 6749 §2.3.1 has it."""
    form = {"client_id": "any", "client_secret": infobip.key, "grant_type": "client_credentials"}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    path = "/auth/1/oauth2/token"
    query = await infobip.request("POST", f"{path}?{urlencode(form)}", b"", headers, authorization="")
    assert (query.status, "client_secret" in query.problems) == (400, True)
    grant = b"grant_type=client_credentials"
    query = await infobip.request("POST", f"{path}?client_secret={infobip.key}", grant, headers, authorization="")
    assert query.status == 400
    assert query.problems == {"client_secret": ["must be in the body, never in the query"]}
    given = await infobip.request("POST", path, grant, headers, authorization=basic("any", infobip.key))
    assert (await send(infobip, f"Bearer {given.json['access_token']}")).status == 200
    for place in (f"?apiKey={infobip.key}", f"?authorization=App%20{infobip.key}"):
        assert (await infobip.request("GET", f"/email/1/logs{place}", authorization="")).status == 401


@pytest.fixture
async def slow(store: Store) -> AsyncIterator[Cloud]:
    """Sends once a second."""
    config = InfobipConfig(sends_per_second=1)
    async with Lab(catalogue={}) as lab, running_infobip(store, lab, config=config) as running:
        yield running


async def test_too_many_requests(slow: Cloud) -> None:
    replies = await asyncio.gather(*(slow.json("POST", "/email/4/messages", {}) for _ in range(20)))
    late = [reply for reply in replies if reply.status == 429]
    assert late
    assert {reply.json["errorCode"] for reply in late} == {"E429"}
    assert {reply.headers["retry-after"] for reply in late} == {"1"}
    content_type, body = multipart([])
    older = await asyncio.gather(
        *(slow.request("POST", "/email/3/send", body, {"Content-Type": content_type}) for _ in range(20))
    )
    late = [reply for reply in older if reply.status == 429]
    assert late
    exception = late[0].json["requestError"]["serviceException"]
    assert exception == {"messageId": "TOO_MANY_REQUESTS", "text": "Too many requests"}


def test_buckets_are_of_accounts_and_endpoints() -> None:
    clock = ManualClock()
    throttles = Throttles({"logs": Throttle(60, 60, 3), "free": Throttle(0, 1, 1)}, clock)
    assert [throttles.take(1, "logs", "a") for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]
    assert throttles.take(1, "logs", "b") == 0.0
    assert throttles.take(2, "logs", "a") == 0.0
    assert throttles.take(1, "free", "a") == throttles.take(1, "unknown", "a") == 0.0
    clock.advance(500)
    assert throttles.take(1, "logs", "a") == pytest.approx(0.5)
    clock.advance(500)
    assert throttles.take(1, "logs", "a") == 0.0
    clock.advance(10 * SECOND)
    assert [throttles.take(1, "logs", "a") for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]


async def test_a_session_that_nobody_uses_ends_everywhere(infobip: Cloud) -> None:
    clock = ManualClock()
    await add_password(infobip)
    principal = await infobip.services.authenticator.prove(Password("jane", PASSWORD), "127.0.0.1")
    assert isinstance(principal, Proof)

    def worker() -> Worker:
        return Worker(infobip.store, clock, 60 * 60)

    here, there = worker(), worker()
    token = await here.open(principal)
    assert await there.knows(token)
    for _ in range(3):  # used on one worker, it lives on the other
        clock.advance(50 * MINUTE)
        assert await here.knows(token)
    assert await there.knows(token)
    clock.advance(61 * MINUTE)
    assert not await here.knows(token)
    assert not await there.knows(token)
    assert not await worker().knows(token)
    assert await here.open(principal)
    assert [row.kind for row in await infobip.rows("credential")].count("session") == 1


async def test_a_session_ends_however_often_it_is_used(infobip: Cloud) -> None:
    clock = ManualClock()
    await add_password(infobip)
    principal = await infobip.services.authenticator.prove(Password("jane", PASSWORD), "127.0.0.1")
    assert isinstance(principal, Proof)

    def worker() -> Worker:
        return Worker(infobip.store, clock, 60 * 60, 12 * 60 * 60)

    here, there = worker(), worker()
    token = await here.open(principal)
    for _ in range(23):
        clock.advance(30 * MINUTE)
        assert await here.knows(token)
    clock.advance(30 * MINUTE)
    for anywhere in (here, there, worker()):
        assert not await anywhere.knows(token)
    # The next one to be opened sweeps it away.
    assert await here.open(principal)
    assert [row.kind for row in await infobip.rows("credential")].count("session") == 1


async def test_a_new_password_ends_the_sessions_of_the_old_one(infobip: Cloud) -> None:
    await add_password(infobip)
    token = (await log_in(infobip)).json["token"]
    now = infobip.services.clock.now()
    await set_password(infobip.store, infobip.account.id, "jane", "battery staple", now)
    assert (await send(infobip, f"IBSSO {token}")).status == 401


async def test_an_account_has_so_many_sessions(infobip: Cloud) -> None:
    clock = infobip.services.clock
    await add_password(infobip)
    principal = await infobip.services.authenticator.prove(Password("jane", PASSWORD), "127.0.0.1")
    assert isinstance(principal, Proof)
    sessions = Sessions(infobip.store, clock, infobip.services.directory, 60.0, most=3)
    tokens = [await sessions.open(principal) for _ in range(4)]
    alive = [await sessions.find(token) is not None for token in tokens]
    assert alive == [False, True, True, True]
