"""What recipients' servers, their DNS and the receivers of callbacks can do."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import Any

import dns.message
import dns.query
from arena import DOMAIN as VICTIMS
from arena import Arena, Watch, together

from peers import Peers, endless, silent
from support.demo_process import wait_for


def _submit(arena: Arena, domains: list[str], each: int = 50) -> None:
    """One recipient in each domain."""

    def send(number: int) -> None:
        client = arena.login(f"127.0.8.{number + 1}")
        for domain in domains[number * each : (number + 1) * each]:
            arena.demo.send(client, [f"a@{domain}"], b"Subject: x\r\n\r\nx\r\n")
        client.quit()

    for answer in together((len(domains) + each - 1) // each, send):
        assert answer is None, answer


def dripping_servers(arena: Arena, scale: int, _: Watch) -> str:
    """Row 1: an MX for each of hundreds of domains that greets, and then drips."""
    count = 300 * scale
    with Peers() as peers:
        host, _port = peers.listen(endless(b"2", 2.0, begins=b"220-"), arena.delivery_port)
        domains = [f"d{number}.drip.test" for number in range(count)]

        def publish(number: int) -> None:
            for domain in domains[number::8]:
                arena.demo.publish(f"mx.{domain}", "A", host)
                arena.demo.publish(domain, "MX", f"10 mx.{domain}.")

        together(8, publish)
        _submit(arena, domains)
        time.sleep(10)
        return f"{count} recipients in domains whose server drips; {peers.connections} connections"


def slow_site(arena: Arena, scale: int, _: Watch) -> str:
    """Row 1: thousands of large messages of one account for one site that drips: they fill memory and the queue."""
    count = 500 if scale == 1 else 5_000
    content = b"Subject: x\r\n\r\n" + (b"x" * 76 + b"\r\n") * 800
    with Peers() as peers:
        host, _port = peers.listen(endless(b"2", 2.0, begins=b"220-"), arena.delivery_port)
        arena.demo.publish("mx.slow.test", "A", host)
        arena.demo.publish("slow.test", "MX", "10 mx.slow.test.")

        def send(number: int) -> None:
            client = arena.login(f"127.0.11.{number + 1}")
            for one in range(number, count, 4):
                arena.demo.send(client, [f"a{one}@slow.test"], content)
            client.quit()

        for answer in together(4, send, 300):
            assert answer is None, answer
        time.sleep(8)
        assert peers.open, "nobody is kept waiting"
        return f"{count} messages of 60 KB for a site that drips; {peers.connections} connections"


def silent_name_servers(arena: Arena, scale: int, _: Watch) -> str:
    """Row 1: recipients in domains whose name servers never answer."""
    count = 300 * scale
    _submit(arena, [f"d{number}.dnstimeout.lab.test" for number in range(count)])
    time.sleep(8)
    return f"{count} recipients in domains whose name servers never answer"


def dead_hosts(arena: Arena, scale: int, _: Watch) -> str:
    """Row 1: a domain with hundreds of MX hosts, none of which answers."""
    hosts = 150 * scale
    with Peers() as peers:
        host, _port = peers.listen(silent, arena.delivery_port)
        arena.demo.publish("mx.many.test", "A", host)
        for number in range(8):
            values = []
            for one in range(number, hosts, 8):
                arena.demo.publish(f"mx{one}.many.test", "A", host)
                values.append(f"{one} mx{one}.many.test.")
            arena.demo.publish(f"d{number}.many.test", "MX", *values)
        _submit(arena, [f"d{number}.many.test" for number in range(8)])
        time.sleep(8)
        return f"8 domains with {hosts // 8} MX hosts each that take the connection and say nothing"


def leave_the_lab(arena: Arena) -> None:
    """An ordinary platform: names from the lab's DNS, its own policy, and the victim's mail by a static route."""
    nameserver = arena.demo.get(_lab(arena))["dns"]

    def ask(name: str, kind: str) -> str:
        answer = dns.query.udp(dns.message.make_query(name, kind), nameserver[0], 10, port=nameserver[1])
        return str(answer.answer[0][0]).rpartition(" ")[2]

    address = ask(ask(VICTIMS, "MX"), "A")
    route = {"domain": VICTIMS, "hosts": [f"{address}:{arena.delivery_port}"]}
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        port = probe.getsockname()[1]

    def change(settings: dict[str, Any]) -> None:
        settings["lab"]["enabled"] = False
        settings["delivery"].update(smtp_port=port, routes=[route])

    arena.restart(change)
    arena.delivery_port = port


def _lab(arena: Arena) -> str:
    return str(arena.demo.facts["lab"])


INSIDE = (
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::1",
    "fe80::1",
    "fd00::1",
)


def mail_to_the_inside(arena: Arena, scale: int, _: Watch) -> str:
    """Row 9: every way to name an address that is not public. Nobody is dialled, and no banner is told."""
    banner = b"220 secret.inside.example\r\n"
    addresses = list(INSIDE)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("192.0.2.1", 9))
        addresses.append(probe.getsockname()[0])
    recipients = []
    for number, address in enumerate(addresses):
        six = ":" in address
        recipients.append(f"u@[IPv6:{address}]" if six else f"u@[{address}]")
        arena.demo.publish(f"a{number}.inside.test", "AAAA" if six else "A", address)
        arena.demo.publish(f"m{number}.inside.test", "MX", f"10 a{number}.inside.test.")
        recipients += [f"u@a{number}.inside.test", f"u@m{number}.inside.test"]
    arena.demo.publish("all.inside.test", "A", *(address for address in addresses if ":" not in address))
    # No more than are looked up in one attempt: behind those there might be one that is public.
    arena.demo.publish("many.inside.test", "MX", *(f"{n} a{n}.inside.test." for n in range(10)))
    recipients += ["u@all.inside.test", "u@many.inside.test"]
    with Peers() as peers:
        peers.listen(endless(b"", 1.0, begins=banner), arena.delivery_port, "0.0.0.0")
        with contextlib.suppress(OSError):  # without IPv6
            peers.listen(endless(b"", 1.0, begins=banner), arena.delivery_port, "::1")
        client = arena.login()
        queue_ids = [arena.demo.send(client, recipients, b"Subject: x\r\n\r\nx\r\n") for _number in range(scale)]
        client.quit()
        for queue_id in queue_ids:
            trace = wait_for(lambda queue_id=queue_id: _done(arena, queue_id), "bounces")  # type: ignore[misc]
            for delivery in trace["recipients"]:
                assert delivery["state"] == "bounced", delivery
                assert delivery["enhanced"].startswith("5.4."), delivery
            assert "secret" not in json.dumps(trace)
        assert peers.connections == 0, "somebody was dialled"
    return f"{scale} messages to {len(recipients)} addresses of the inside; nobody was dialled"


def _done(arena: Arena, queue_id: str) -> dict[str, Any] | None:
    trace = arena.demo.trace(queue_id)
    waiting = {"queued", "sending", "deferred"}
    return None if waiting & {delivery["state"] for delivery in trace["recipients"]} else trace


def _message(arena: Arena, url: str) -> None:
    arena.message("a@accept.lab.test", arena.key(), arena.demo.account["domain"], url)


def endless_interim_answers(arena: Arena, scale: int, _: Watch) -> str:
    """Row 6: callback receivers that answer ``100 Continue`` for ever."""
    with Peers() as peers:
        host, port = peers.listen(endless(b"HTTP/1.1 100 Continue\r\n\r\n" * 2_000))
        for number in range(3 * scale):
            _message(arena, f"http://{host}:{port}/{number}")
        time.sleep(8)
        assert peers.connections, "nobody was told"
        return f"{3 * scale} callback receivers that answer 100 Continue for ever; {peers.connections} connections"


def silent_callback_receivers(arena: Arena, scale: int, _: Watch) -> str:
    """Row 17: a URL of its own for each message, at a host that never answers."""
    with Peers() as peers:
        host, port = peers.listen(silent)
        for number in range(100 * scale):
            _message(arena, f"http://{host}:{port}/{number}")
        time.sleep(6)
        return f"{100 * scale} callback URLs at a host that never answers; {peers.connections} connections"


ROWS: tuple[dict[str, Any], ...] = (
    {"name": "dripping-mail-servers", "attack": dripping_servers, "stores": ("sqlite", "postgresql")},
    {"name": "slow-site", "attack": slow_site},
    {"name": "slow-site-one-worker", "attack": slow_site, "workers": 1},
    {"name": "silent-name-servers", "attack": silent_name_servers},
    {"name": "mail-to-the-inside", "attack": mail_to_the_inside, "prepare": leave_the_lab},
    {"name": "dead-mail-hosts", "attack": dead_hosts},
    {"name": "endless-interim-answers", "attack": endless_interim_answers},
    {"name": "silent-callback-receivers", "attack": silent_callback_receivers},
)
