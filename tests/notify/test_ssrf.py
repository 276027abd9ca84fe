"""Callbacks reach what is public, what the operator allows, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outbox_parts import Names, World, running, until

from ekiden.lab.http import HttpRule, HttpServer, Receiver
from ekiden.notify.client import Client
from ekiden.notify.config import CallbacksConfig
from ekiden.notify.endpoints import parse_endpoint_url
from ekiden.notify.errors import BadEndpoint, ForbiddenDestination, NotifyError
from ekiden.notify.ssrf import Destinations
from ekiden.notify.status_codes import Result
from ekiden.notify.translations import TEXTS
from support.manual_clock import ManualClock

PUBLIC = ["8.8.8.8", "1.1.1.1", "203.0.112.1", "2606:4700:4700::1111", "2a00:1450:4001::5", "64:ff9b::808:808"]
FORBIDDEN = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:10.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "not an address",
    "",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    Destinations().check_address(address)


@pytest.mark.parametrize("address", FORBIDDEN)
def test_forbidden_addresses(address: str) -> None:
    with pytest.raises(ForbiddenDestination):
        Destinations().check_address(address)


@pytest.mark.parametrize("address", ["10.20.3.4", "::ffff:10.20.3.4", "64:ff9b::a14:304", "fd12::1"])
def test_the_operator_may_allow_networks(address: str) -> None:
    allowed = Destinations(["10.20.0.0/16", "fd12::/16"])
    allowed.check_address(address)
    with pytest.raises(ForbiddenDestination):
        allowed.check_address("10.21.0.1")


def test_in_the_lab_there_is_nothing_but_loopback() -> None:
    lab = Destinations(["10.0.0.0/8"], loopback_only=True)
    lab.check_address("127.0.0.1")
    lab.check_address("::1")
    for address in ("10.0.0.1", "8.8.8.8"):
        with pytest.raises(ForbiddenDestination, match="lab"):
            lab.check_address(address)


@given(st.ip_addresses(v=4))
def test_a_wrapped_address_is_what_it_wraps(address: object) -> None:
    def refused(text: str) -> bool:
        try:
            Destinations().check_address(text)
        except ForbiddenDestination:
            return True
        return False

    plain = refused(str(address))
    assert refused(f"::ffff:{address}") is plain
    assert refused(f"64:ff9b::{address}") is plain


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x.example/",
        "file:///etc/passwd",
        "//x.example/",
        "x.example",
        "http://",
        "http:///path",
        "http://x.example:99999/",
        "http://x.example/\r\nHost: y",
        "http://x.example/ y",
        "http://[::1",
        "http://x.example/" + "a" * 2048,
        "http://x.example:25/",
        "http://10.0.0.1/",
        "http://[::ffff:10.0.0.1]/",
    ],
)
def test_urls_that_are_refused_at_once(url: str) -> None:
    with pytest.raises(BadEndpoint) as caught:
        parse_endpoint_url(url, Destinations())
    assert caught.value.text("ja") != caught.value.text("en")


@pytest.mark.parametrize("url", ["http://x.example/", "HTTPS://x.example:8443/a?b=c", "https://例え.jp/受信?件=1"])
def test_urls_that_are_taken(url: str) -> None:
    parse_endpoint_url(url, Destinations())


@pytest.fixture
async def receiver():  # type: ignore[no-untyped-def]
    made = Receiver(100)
    server = HttpServer(made.handle)
    port = await server.start("127.0.0.1")
    yield made, port
    await server.close()


async def post(url: str, destinations: Destinations, **names: list[str]):  # type: ignore[no-untyped-def]
    client = Client(CallbacksConfig(timeout=5.0), ManualClock(), Names(**names), destinations)  # type: ignore[arg-type]
    try:
        return await client.post(url, None, b"{}", "application/json")
    finally:
        await client.close()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "x.localhost", "private.example", "[::ffff:127.0.0.1]", "127.1", "2130706433"],
)
async def test_no_spelling_reaches_loopback(receiver, host: str) -> None:  # type: ignore[no-untyped-def]
    got, port = receiver
    answer = await post(f"http://{host}:{port}/", Destinations(), private_example=["127.0.0.1"])
    assert (answer.result, answer.status) == (Result.FAILED, 0)
    assert not got.callbacks


async def test_a_name_is_connected_to_at_the_address_that_was_checked(receiver) -> None:  # type: ignore[no-untyped-def]
    got, port = receiver
    allowed = Destinations(["127.0.0.0/8"])
    answer = await post(f"http://hook.example:{port}/x", allowed, hook_example=["10.0.0.1", "127.0.0.1"])
    assert answer.result is Result.TAKEN
    assert got.callbacks[0].headers["Host"] == f"hook.example:{port}"


async def test_a_name_that_leads_inside_is_told_so_in_the_log(world: World) -> None:
    port = world.url.rpartition(":")[2]
    url = f"http://inside.example:{port}/hook"
    route = (await world.route())._replace(endpoint_id=await world.endpoints.find(world.account, "batched", url))
    await world.accept(route)
    outbox = await world.outbox(destinations=Destinations(), names=Names(inside_example=["127.0.0.1", "fd00::1"]))
    async with running(outbox):
        await until(world.log, outbox)
    [row] = await world.log()
    assert row.status == 0
    assert "inside.example" in row.answer
    assert not world.receiver.callbacks


async def test_redirects_are_not_followed(receiver) -> None:  # type: ignore[no-untyped-def]
    got, port = receiver
    got.put("/a", [HttpRule(status=307, headers={"Location": f"http://127.0.0.1:{port}/b"})])
    answer = await post(f"http://127.0.0.1:{port}/a", Destinations(loopback_only=True))
    assert (answer.result, answer.status) == (Result.FAILED, 307)
    assert [callback.path for callback in got.callbacks] == ["/a"]


def test_every_sentence_is_translated() -> None:
    assert all(japanese != english for english, japanese in TEXTS.japanese.items())
    assert issubclass(BadEndpoint, NotifyError)
