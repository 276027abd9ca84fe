"""What recipients' servers, their DNS and the receivers of callbacks can do."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

from arena import Arena, Watch, together

from peers import Peers, endless, silent


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


def _messages(arena: Arena, urls: list[str]) -> None:
    """One message for each URL, with tracking events told there."""
    for start in range(0, len(urls), 100):
        for url in urls[start : start + 100]:
            body = json.dumps(
                {
                    "messages": [
                        {
                            "sender": f"me@{arena.demo.account['domain']}",
                            "destinations": [{"to": [{"destination": "a@accept.lab.test"}]}],
                            "content": {"subject": "x", "text": "x"},
                            "webhooks": {"delivery": {"url": url}},
                        }
                    ]
                }
            ).encode()
            request = urllib.request.Request(
                arena.demo.facts["http"] + "/email/4/messages",
                body,
                {"Content-Type": "application/json", **arena.key()},
                method="POST",
            )
            with urllib.request.urlopen(request, timeout=60) as response:
                assert response.status == 200


def endless_interim_answers(arena: Arena, scale: int, _: Watch) -> str:
    """Row 6: callback receivers that answer ``100 Continue`` for ever."""
    with Peers() as peers:
        host, port = peers.listen(endless(b"HTTP/1.1 100 Continue\r\n\r\n" * 2_000))
        _messages(arena, [f"http://{host}:{port}/{number}" for number in range(3 * scale)])
        time.sleep(8)
        assert peers.connections, "nobody was told"
        return f"{3 * scale} callback receivers that answer 100 Continue for ever; {peers.connections} connections"


def silent_callback_receivers(arena: Arena, scale: int, _: Watch) -> str:
    """Row 17: a URL of its own for each message, at a host that never answers."""
    with Peers() as peers:
        host, port = peers.listen(silent)
        _messages(arena, [f"http://{host}:{port}/{number}" for number in range(100 * scale)])
        time.sleep(6)
        return f"{100 * scale} callback URLs at a host that never answers; {peers.connections} connections"


ROWS: tuple[dict[str, Any], ...] = (
    {"name": "dripping-mail-servers", "attack": dripping_servers, "stores": ("sqlite", "postgresql")},
    {"name": "silent-name-servers", "attack": silent_name_servers},
    {"name": "dead-mail-hosts", "attack": dead_hosts},
    {"name": "endless-interim-answers", "attack": endless_interim_answers},
    {"name": "silent-callback-receivers", "attack": silent_callback_receivers},
)
