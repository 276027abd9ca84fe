"""Recipients' domains lead to the public, and to nobody's inside: with real sockets and a real store."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

import pytest
from delivery_road import road

from ekiden.core.states import State
from ekiden.delivery.config import RouteConfig
from ekiden.dns.resolver import MxHost, address_of_literal
from ekiden.net.destinations import OURS, Destinations, is_ours
from ekiden.net.network import RealNetwork
from ekiden.store.api import Store

BANNER = b"220 secret.inside.example internal relay\r\n"


class Names:
    """Every domain is its own host, at the address that its first label spells: ``127-0-0-1.test``."""

    async def mx(self, domain: str) -> list[MxHost]:
        return [MxHost(0, domain)]

    async def addresses(self, name: str) -> list[str]:
        literal = address_of_literal(name)
        return [literal or name.partition(".")[0].replace("-", ".")]

    async def txt(self, name: str) -> list[str]:
        return []


class Inside:
    """A server on this machine that nobody outside may reach."""

    def __init__(self) -> None:
        self.knocks = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.knocks += 1
        writer.write(BANNER)
        await reader.read(100)
        writer.close()


@pytest.mark.parametrize("recipient", ["u@[127.0.0.1]", "u@[IPv6:::1]", "u@127-0-0-1.test", "u@0-0-0-0.test"])
async def test_mail_does_not_come_in_again(sqlite_store: Store, recipient: str) -> None:
    """Refused at once and for good, nothing was knocked at, and no banner is in the trace."""
    inside = Inside()
    server = await asyncio.start_server(inside.talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        road(
            sqlite_store, network=RealNetwork(), resolver=Names(), destinations=Destinations(), smtp_port=port
        ) as r,
    ):
        message_id = await r.send(recipient, sender="")
        row = await r.one(message_id)
        assert (row["state"], row["code"], row["enhanced"]) == (State.BOUNCED, 550, "5.4.4")
        (attempt,) = await r.attempts(message_id)
        assert "secret" not in attempt["dialogue"]
        assert "not delivered to" in attempt["reply"]
        assert inside.knocks == 0
        assert r.metrics.forbade == 1
        await r.drain()


async def test_the_configuration_may_lead_inside(sqlite_store: Store) -> None:
    """A static route does, and so does an allowed network."""
    inside = Inside()
    server = await asyncio.start_server(inside.talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    route = RouteConfig(domain="routed.test", hosts=(f"127.0.0.1:{port}",))
    async with server:
        async with road(
            sqlite_store,
            network=RealNetwork(),
            resolver=Names(),
            destinations=Destinations(),
            smtp_port=port,
            routes=(route,),
        ) as r:
            assert (await r.one(await r.send("u@routed.test")))["state"] == State.DEFERRED
            await r.drain()
        assert inside.knocks == 1
        allowed = Destinations(["127.0.0.0/8"])
        async with road(
            sqlite_store, network=RealNetwork(), resolver=Names(), destinations=allowed, smtp_port=port
        ) as r:
            assert (await r.one(await r.send("u@127-0-0-1.test")))["state"] == State.DEFERRED
            await r.drain()
        assert inside.knocks == 2


def test_addresses_of_this_machine_are_known_without_sending() -> None:
    """Whatever addresses it has; its first one that is not loopback is found the way a peer would see it."""
    assert is_ours(ipaddress.ip_address("127.0.0.1"))
    assert not is_ours(ipaddress.ip_address("8.8.8.8"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("8.8.8.8", 9))
        except OSError:
            return  # no route to anywhere: no address but loopback
        own = probe.getsockname()[0]
    assert is_ours(ipaddress.ip_address(own))
    networks = [f"{own}/32"]
    assert Destinations(networks).refusal(own) is None
    assert Destinations(networks, refused_networks=networks).refusal(own) is not None
    if not ipaddress.ip_address(own).is_private:
        assert Destinations().refusal(own) == OURS
