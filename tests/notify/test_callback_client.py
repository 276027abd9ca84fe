"""One request: authentication, pooled connections, and what an answer means."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from outbox_parts import LAB, VAULT, Names, World

from ekiden.core.clock import DAY, HOUR, MINUTE, SECOND
from ekiden.lab.http import HttpRule, HttpServer, Receiver
from ekiden.net.tls import make_self_signed
from ekiden.notify.auth import Auth, Basic, Bearer, BodyKey, Header, authenticated, open_auth, seal_auth
from ekiden.notify.client import MAX_ANSWER, Client
from ekiden.notify.config import CallbacksConfig
from ekiden.notify.endpoints import Endpoints
from ekiden.notify.errors import BadEndpoint
from ekiden.notify.formats import PULL, by_name
from ekiden.notify.schedule import retry_after, wait_after, waited
from ekiden.notify.status_codes import Result, result_of
from support.manual_clock import ManualClock


class Peer:
    """A receiver and a client."""

    def __init__(self, receiver: Receiver, server: HttpServer, port: int, client: Client) -> None:
        self.receiver = receiver
        self.server = server
        self.url = f"http://127.0.0.1:{port}"
        self.client = client

    async def post(self, path: str = "/", auth: Auth | None = None, body: bytes = b'{"a":1}'):  # type: ignore[no-untyped-def]
        return await self.client.post(self.url + path, auth, body, "application/json")


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    receiver = Receiver(1000)
    server = HttpServer(receiver.handle)
    port = await server.start("127.0.0.1")
    client = Client(CallbacksConfig(timeout=1.0), ManualClock(), Names(), LAB)  # type: ignore[arg-type]
    yield Peer(receiver, server, port, client)
    await client.close()
    await server.close()


async def test_what_goes_over_the_wire(peer: Peer) -> None:
    answer = await peer.post("/hook?x=1")
    assert (answer.result, answer.status, answer.text) == (Result.TAKEN, 200, "")
    [request] = peer.receiver.callbacks
    assert (request.method, request.path, request.body) == ("POST", "/hook?x=1", b'{"a":1}')
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"].startswith("Ekiden/")
    assert "Cookie" not in request.headers
    assert "Accept-Encoding" not in request.headers


async def test_cookies_are_not_kept(peer: Peer) -> None:
    peer.receiver.put("/", [HttpRule(headers={"Set-Cookie": "a=b; Path=/"})])
    await peer.post()
    await peer.post()
    assert "Cookie" not in peer.receiver.callbacks[1].headers


@pytest.mark.parametrize(
    ("auth", "field", "value"),
    [
        (
            Basic("user", "päss:word"),
            "Authorization",
            "Basic " + base64.b64encode("user:päss:word".encode()).decode(),
        ),
        (Bearer("tok.en"), "Authorization", "Bearer tok.en"),
        (Header("X-Api-Key", "k1"), "X-Api-Key", "k1"),
    ],
)
async def test_authentication_in_the_header(peer: Peer, auth: Auth, field: str, value: str) -> None:
    await peer.post(auth=auth)
    assert peer.receiver.callbacks[0].headers[field] == value
    assert open_auth(VAULT, seal_auth(VAULT, auth)) == auth


async def test_a_key_in_the_body(peer: Peer) -> None:
    await peer.post(auth=BodyKey("apiKey", 'k"1'))
    assert json.loads(peer.receiver.callbacks[0].body) == {"apiKey": 'k"1', "a": 1}
    assert authenticated(BodyKey("k", "v"), b"{}", "application/json")[1] == b'{"k":"v"}'
    form = authenticated(BodyKey("k", "v&w"), b"a=1", "application/x-www-form-urlencoded")
    assert form == ({}, b"k=v%26w&a=1")
    answer = await peer.client.post(peer.url, BodyKey("k", "v"), b"<a/>", "application/xml")
    assert (answer.result, answer.status) == (Result.FAILED, 0)
    assert "application/xml" in answer.text


async def test_no_answer_in_time(peer: Peer) -> None:
    peer.receiver.put("/", [HttpRule(delay=30)])
    answer = await peer.post()
    assert (answer.result, answer.status, answer.text) == (Result.FAILED, 0, "no answer within 1 s")


async def test_a_long_answer_is_cut_and_a_status_counts_in_spite_of_it(peer: Peer) -> None:
    peer.receiver.put("/", [HttpRule(body="ä" * MAX_ANSWER)])
    answer = await peer.post()
    assert answer.result is Result.TAKEN
    assert answer.text == "ä" * 500


async def test_connections_are_used_again(peer: Peer) -> None:
    for _ in range(20):
        await peer.post()
    assert len(peer.server._connections) == 1


async def test_a_connection_that_was_closed_meanwhile_is_no_failure(peer: Peer) -> None:
    await peer.post()
    peer.receiver.put("/", [HttpRule(times=1, disconnect="close"), HttpRule()])
    answer = await peer.post()
    assert answer.result is Result.TAKEN
    assert len(peer.receiver.callbacks) == 3


@pytest.mark.parametrize("disconnect", ["close", "reset"])
async def test_a_receiver_that_hangs_up_fails(peer: Peer, disconnect: str) -> None:
    peer.receiver.put("/", [HttpRule(disconnect=disconnect)])  # type: ignore[arg-type]
    answer = await peer.post()
    assert (answer.result, answer.status) == (Result.FAILED, 0)
    assert answer.text
    assert len(peer.receiver.callbacks) == 1


async def test_nobody_listens(peer: Peer) -> None:
    await peer.server.close()
    answer = await peer.post()
    assert (answer.result, answer.status) == (Result.FAILED, 0)
    assert answer.text


async def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    make_self_signed(["127.0.0.1"]).write(tmp_path / "cert.pem", tmp_path / "key.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    client = Client(CallbacksConfig(timeout=5.0), ManualClock(), Names(), LAB)  # type: ignore[arg-type]
    answer = await client.post(f"https://127.0.0.1:{port}/", None, b"{}", "application/json")
    assert (answer.result, answer.status) == (Result.FAILED, 0)
    assert "certificate verify failed" in answer.text
    await client.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("result", "statuses"),
    [
        (Result.TAKEN, [200, 201, 202, 204, 299]),
        (Result.REFUSED, [400, 406, 409, 411, 413, 414, 415, 422, 431]),
        (Result.FAILED, [0, 100, 301, 302, 304, 307, 401, 403, 404, 405, 408, 410, 429, 500, 502, 503, 504, 599]),
    ],
)
def test_what_a_status_means(result: Result, statuses: list[int]) -> None:
    assert {result_of(status) for status in statuses} == {result}


def test_the_schedule_of_the_contract() -> None:
    """Infobip contract §5.6: 1 min + 1 min · n²."""
    waits = [wait_after(failures, HOUR) // MINUTE for failures in range(1, 12)]
    assert waits == [1, 2, 5, 10, 17, 26, 37, 50, 60, 60, 60]
    assert waited(4, HOUR) == 18 * MINUTE
    assert waited(0, HOUR) == 0


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("120", 120 * SECOND),
        ("0", 0),
        ("999999999999", DAY),
        ("Thu, 01 Jan 2026 00:02:00 GMT", 2 * MINUTE),
        ("Wed, 31 Dec 2025 23:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
    ],
)
def test_retry_after(value: str, wait: int | None) -> None:
    assert retry_after(value, ManualClock().now()) == wait


async def test_endpoints_are_found_again(world: World) -> None:
    find = world.endpoints.find
    first = await find(world.account, "batched", "https://x.example/hook")
    assert await find(world.account, "batched", "https://x.example/hook#fragment") == first
    others = {
        await find(world.account + 1, "batched", "https://x.example/hook"),
        await find(world.account, "single", "https://x.example/hook"),
        await find(world.account, "batched", "https://x.example/hook", Bearer("a")),
        await find(world.account, "batched", "https://x.example/hook", Bearer("b")),
        await find(world.account, PULL, ""),
    }
    assert len({first, *others}) == 6
    # Another worker, which remembers nothing.
    world.endpoints._remembered.clear()
    assert await find(world.account, "batched", "https://x.example/hook") == first


async def test_workers_that_find_one_at_the_same_time_make_one(world: World) -> None:
    finders = [Endpoints(world.store, world.clock, VAULT) for _ in range(6)]
    url = "https://x.example/hook"
    found = await asyncio.gather(*(finder.find(world.account, "batched", url) for finder in finders))
    assert len(set(found)) == 1


async def test_a_password_in_a_url_is_not_kept_in_clear(world: World) -> None:
    id = await world.endpoints.find(world.account, "batched", "https://me:s3cret@x.example/hook")
    row = await world.endpoint(id)
    assert row.url == "https://x.example/hook"
    assert b"s3cret" not in row.sealed
    assert open_auth(VAULT, row.sealed) == Basic("me", "s3cret")


@pytest.mark.parametrize(
    "auth", [Header("X Key", "v"), Header("X", "a\r\nHost: b"), Bearer("a\n"), Basic("a", "\0")]
)
async def test_authentication_that_would_break_the_header(world: World, auth: Auth) -> None:
    with pytest.raises(BadEndpoint):
        await world.endpoints.find(world.account, "batched", "https://x.example/", auth)


def test_names_of_formats_are_unique() -> None:
    from outbox_parts import Batched, Single

    assert set(by_name([Batched(), Single()])) == {"batched", "single", "retired"}
    with pytest.raises(ValueError, match="batched"):
        by_name([Batched(), Batched()])


def test_networks_of_the_configuration_are_checked() -> None:
    with pytest.raises(ValueError, match="10"):
        CallbacksConfig(allowed_networks=("10.0.0.0/33",))
    with pytest.raises(ValueError, match="longest_wait"):
        CallbacksConfig(longest_wait=10.0)
