"""Clients of the HTTP listener: headers without end, half a request, bodies that are dear to read."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from datetime import UTC, datetime, timedelta
from json import dumps
from typing import Any

from arena import Arena, Watch, together


def _raw(arena: Arena, head: bytes, piece: bytes, most: int, source: str, seconds: float = 8.0) -> int:
    """Send ``head`` and then ``piece`` until ``most`` octets are sent, the time is over or the server closes."""
    sent = 0
    with (
        contextlib.suppress(OSError),
        socket.create_connection(arena.door("http"), 5, source_address=(source, 0)) as it,
    ):
        it.sendall(head)
        until = time.monotonic() + seconds
        while sent < most and time.monotonic() < until:
            sent += it.send(piece)
    return sent


def headers(arena: Arena, scale: int, _: Watch) -> str:
    """Row 3: 60 MB of request line, of one field, of many fields, of trailers, of a chunk's extension."""
    shapes = (
        (b"GET /", b"a" * 65_536),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: ", b"a" * 65_536),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n", b"x-a: b\r\n" * 8_000),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\r\n", b" folded\r\n" * 8_000),
        (
            b"POST /email/3/send HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            b"x-a: b\r\n" * 8_000,
        ),
        (b"POST /email/3/send HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"a" * 65_536),
        (b"POST /email/3/send HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n" * 10_000),
    )

    def send(number: int) -> int:
        head, piece = shapes[number % len(shapes)]
        return _raw(arena, head, piece, 60_000_000, f"127.0.5.{number + 1}")

    sent = sum(value for value in together(len(shapes) * scale, send) if isinstance(value, int))
    return f"{len(shapes) * scale} requests whose head never ends; {sent / 1e6:.1f} MB of 60 MB each were taken"


def half_requests(arena: Arena, scale: int, _: Watch) -> str:
    """Row 3: half a request, and then an octet now and then, on more connections than there are descriptors."""
    made = []
    for number in range(400 * scale):
        client = socket.socket()
        client.settimeout(5)
        client.bind((f"127.2.1.{1 + number // 40}", 0))
        try:
            client.connect(arena.door("http"))
            client.sendall(
                b"POST /email/3/send HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n"[: 10 + number % 60]
            )
        except OSError:
            client.close()
            continue
        made.append(client)
    try:
        for _ in range(8):
            time.sleep(0.5)
            for client in made:
                with contextlib.suppress(OSError):
                    client.send(b"a")
    finally:
        for client in made:
            client.close()
    return f"{len(made)} connections with half a request"


def _post(arena: Arena, path: str, body: bytes, headers: dict[str, str], source: str) -> int:
    host, port = arena.door("http")
    connection = http.client.HTTPConnection(host, port, timeout=60, source_address=(source, 0))
    try:
        connection.request("POST", path, body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def bodies(arena: Arena, scale: int, _: Watch) -> str:
    """Row 5: bodies that cost much more to read than to send, with a credential and without one."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    json = {"Content-Type": "application/json"}
    mixed = {"Content-Type": "multipart/form-data; boundary=b"}
    part = b'--b\r\nContent-Disposition: form-data; name="to"\r\n\r\n\r\n'
    bodies = (
        ("/email/3/send", b"text=" + b"%41" * 8_000_000, form),
        ("/email/3/send", b"a=b&" * 6_000_000, form),
        ("/email/2/validations", b'{"x":[' + b"0," * 19_000_000 + b"0]}", json),
        ("/email/2/validations", b"[" * 10_000_000, json),
        ("/email/4/messages", b'{"messages":[' + b"{}," * 12_000_000 + b"{}]}", json),
        ("/email/4/messages", b'{"messages":[{"sender":"' + b"\\u0041" * 4_000_000 + b'"}]}', json),
        ("/email/3/send", part * 500_000 + b"--b--\r\n", mixed),
        ("/email/3/send", b'--b\r\nContent-Disposition: form-data; name="' + b"a" * 20_000_000, mixed),
    )

    def send(number: int) -> int:
        path, body, headers = bodies[number % len(bodies)]
        proof = arena.key() if number % 2 else {"Authorization": "App wrong"}
        try:
            return _post(arena, path, body, headers | proof, f"127.0.6.{number + 1}")
        except (OSError, http.client.HTTPException):
            return 0

    statuses = together(2 * len(bodies) * scale, send)
    good = [status for status in statuses if isinstance(status, int) and 200 <= status < 300]
    assert not good, statuses
    return f"{len(statuses)} bodies of 20 to 40 MB that are dear to read"


def refused_uploads(arena: Arena, scale: int, _: Watch) -> str:
    """Row 16: 100 MB that are refused early. The answer arrives."""

    def send(number: int) -> int:
        body = b"a" * 100_000_000
        return _post(arena, "/email/3/send", body, {"Authorization": "App wrong"}, f"127.0.7.{number + 1}")

    statuses = together(4 * scale, send)
    assert all(status in (400, 401, 413) for status in statuses), statuses
    return f"{len(statuses)} uploads of 100 MB that were refused, each with an answer"


def pages(arena: Arena, scale: int, _: Watch) -> str:
    """Lists that are long, asked for on very many connections at once: what they cost is the store and the loop."""
    domain, made = arena.demo.account["domain"], 5
    later = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.000+00:00")
    for number in range(made):
        to = [{"destination": f"{number}-{each}@later.lab.test"} for each in range(1_000)]
        message = {
            "sender": f"me@{domain}",
            "destinations": [{"to": to}],
            "content": {"subject": "hello", "text": "hello"},
        }
        body = {"messages": [message], "options": {"schedule": {"bulkId": "large", "sendAt": later}}}
        headers = arena.key() | {"Content-Type": "application/json"}
        assert _post(arena, "/email/4/messages", dumps(body).encode(), headers, "127.0.8.1") == 200
    paths = ("/email/1/logs?limit=1000", "/email/4/logs?limit=1000", "/email/1/bulks/status?bulkId=large")

    def ask(number: int) -> int:
        host, port = arena.door("http")
        source = f"127.0.8.{number % 250 + 2}"
        connection = http.client.HTTPConnection(host, port, timeout=60, source_address=(source, 0))
        try:
            connection.request("GET", paths[number % len(paths)], headers=arena.key())
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    statuses = together(180 * scale, ask)
    assert set(statuses) <= {200, 429}, statuses
    assert statuses.count(200) >= 100, statuses
    return f"{len(statuses)} long lists at once, {statuses.count(200)} were answered"


ROWS: tuple[dict[str, Any], ...] = (
    {"name": "http-headers", "attack": headers, "shares": True},
    {"name": "dear-bodies", "attack": bodies, "shares": True},
    {"name": "refused-uploads", "attack": refused_uploads, "shares": True},
    {"name": "half-requests", "attack": half_requests, "files": 256},
    {"name": "long-lists", "attack": pages, "slowest": 5.0},
)
