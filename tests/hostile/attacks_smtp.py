"""Clients of the SMTP listeners: silent ones, huge headers, contents that never end."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
import time
from typing import Any

from arena import Arena, Impossible, Watch, lasting, together

CRLF = b"\r\n"


def connect_many(address: tuple[str, int], count: int, first: int = 1) -> list[socket.socket]:
    """Silent connections, 200 from each of as many loopback addresses as that takes."""
    made = []
    for number in range(count):
        client = socket.socket()
        client.settimeout(5)
        client.bind((f"127.1.{first}.{1 + number // 200}", 0))
        try:
            client.connect(address)
        except OSError:
            client.close()
            continue
        made.append(client)
    return made


def silent_connections(arena: Arena, scale: int, _: Watch) -> str:
    """Row 2: more connections that say nothing than there are descriptors, to every listener."""
    count = 500 * scale
    made: list[socket.socket] = []
    try:
        for number, door in enumerate(("starttls", "tls", "http")):
            made += connect_many(arena.door(door), count, first=number + 1)
        time.sleep(4)
    finally:
        for client in made:
            client.close()
    return f"{len(made)} silent connections to 3 listeners, 256 descriptors a process"


def listen_on_ipv6(arena: Arena) -> None:
    """Every listener at the same port of ::1, too."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        raise Impossible(f"there is no IPv6 here: {error}") from error

    def change(settings: dict[str, Any]) -> None:
        for listener in (*settings["listeners"], settings["http"]):
            (address,) = listener["addresses"]
            listener["addresses"] = [address, f"[::1]:{address.rpartition(':')[2]}"]

    arena.restart(change)


def silent_connections_ipv6(arena: Arena, scale: int, _: Watch) -> str:
    """Row 2: one IPv6 network has more silent connections than there are descriptors, and comes again at once."""
    made: list[socket.socket] = []
    total = 0
    try:
        until = time.monotonic() + 8
        while time.monotonic() < until:
            for door in ("starttls", "tls", "http"):
                for _number in range(100 * scale):
                    client = socket.socket(socket.AF_INET6)
                    client.settimeout(5)
                    try:
                        client.connect(("::1", arena.door(door)[1]))
                    except OSError:
                        client.close()
                        continue
                    total += 1
                    made.append(client)
            time.sleep(0.2)
            while len(made) > 1_500 * scale:
                made.pop(0).close()
        assert total > 500, total
    finally:
        for client in made:
            client.close()
    return f"{total} silent connections from ::1 to 3 listeners, 256 descriptors a process"


def headers(arena: Arena, scale: int, _: Watch) -> str:
    """Row 4: contents that are one header."""
    size = 12_000_000
    shapes = (
        b"From: " + b"a" * size,
        b"From: " + b"<a@b>, " * (size // 7),
        b"From: " + b"(" * size,
        b"x-ib-a: a\r\n" * (size // 11),
        b"Received: x\r\n" * (size // 13),
        b"Subject: " + b"=?utf-8?q?a?= " * (size // 14),
        b"To: a\r\n" + b" b,\r\n" * (size // 5),
    )

    def send(number: int) -> tuple[int, bytes]:
        client = arena.login(f"127.0.0.{100 + number % 100}")
        try:
            client.mail(f"me@{arena.demo.account['domain']}")
            client.rcpt("a@accept.lab.test")
            return client.data(shapes[number % len(shapes)] + CRLF + CRLF + b"x" + CRLF)
        except (smtplib.SMTPException, OSError) as error:
            return 0, repr(error).encode()
        finally:
            client.close()

    answers = together(len(shapes) * scale, send)
    codes = [answer[0] if isinstance(answer, tuple) else 0 for answer in answers]
    # Those that come to one worker at once may not all have room in its small memory: 421.
    assert set(codes) <= {552, 421}, answers
    assert 552 in codes, answers
    return f"{len(answers)} contents with {size // 1_000_000} MB of header, {len(shapes)} shapes"


def chunks_that_drip(arena: Arena, scale: int, _: Watch) -> str:
    """``BDAT 1`` again and again, by as many connections as one address may have."""
    clients = [arena.login("127.0.0.66") for _ in range(10 * scale)]
    sent = 0
    try:
        for client in clients:
            client.mail(f"me@{arena.demo.account['domain']}")
            client.rcpt("a@accept.lab.test")
        until = time.monotonic() + lasting(scale, 8)
        while time.monotonic() < until:
            for client in clients:
                with contextlib.suppress(OSError, smtplib.SMTPException):
                    client.send(b"BDAT 1\r\nx")
                    sent += 1
            time.sleep(0.02)
    finally:
        for client in clients:
            client.close()
    return f"{sent} chunks of one octet on {len(clients)} connections"


def commands(arena: Arena, scale: int, _: Watch) -> str:
    """Pipelined commands by the megabyte from clients that never read."""
    lines = (
        b"HELP\r\n",
        b"NOOP\r\n",
        b"RSET\r\n",
        b"VRFY a\r\n",
        b"EHLO a\r\n",
        b"GARBAGE\r\n",
        b"\r\n",
        b"a" * 900,
    )

    def flood(number: int) -> int:
        sent = 0
        client = socket.create_connection(arena.door("starttls"), 10, source_address=(f"127.0.2.{number + 1}", 0))
        try:
            block = lines[number % len(lines)] * 20_000
            until = time.monotonic() + lasting(scale, 6)
            while time.monotonic() < until:
                sent += client.send(block)
        except OSError:
            pass
        finally:
            client.close()
        return sent

    sent = sum(value for value in together(len(lines) * scale, flood) if isinstance(value, int))
    return f"{sent / 1e6:.0f} MB of pipelined commands on {len(lines) * scale} connections that read nothing"


def handshakes(arena: Arena, scale: int, _: Watch) -> str:
    """TLS handshakes that stop in the middle, garbage instead of them, and renewals without end."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    def shake(number: int) -> int:
        done = 0
        until = time.monotonic() + lasting(scale, 6)
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                client = socket.create_connection(arena.door("tls"), 5, source_address=(f"127.0.3.{number + 1}", 0))
                with client:
                    if number % 3 == 0:
                        client.sendall(b"\x16\x03\x01\x02\x00\x01\x00" + b"a" * 40)
                        time.sleep(0.2)
                    elif number % 3 == 1:
                        client.sendall(b"GET / HTTP/1.1\r\n\r\n" * 50)
                    else:
                        context.wrap_socket(client).close()
                done += 1
        return done

    done = sum(value for value in together(12 * scale, shake) if isinstance(value, int))
    return f"{done} TLS handshakes, broken or thrown away"


def large_contents(arena: Arena, scale: int, _: Watch) -> str:
    """Contents of the largest size, sent slowly by many: who came first must not have all the memory."""
    block = (b"x" * 76 + CRLF) * 10_000

    def send(number: int) -> int:
        sent = 0
        client = arena.login(f"127.0.4.{number + 1}")
        try:
            client.mail(f"me@{arena.demo.account['domain']}")
            client.rcpt("a@accept.lab.test")
            if client.docmd("DATA")[0] != 354:
                return 0
            client.send(b"Subject: large\r\n\r\n")
            until = time.monotonic() + 8
            while time.monotonic() < until and sent < 19_000_000:
                client.send(block)
                sent += len(block)
                time.sleep(0.3)
        except (OSError, smtplib.SMTPException):
            pass
        finally:
            client.close()
        return sent

    sent = sum(value for value in together(20 * scale, send) if isinstance(value, int))
    return f"{sent / 1e6:.0f} MB of contents that never end, on {20 * scale} connections of one account"


ROWS: tuple[dict[str, Any], ...] = (
    {"name": "silent-connections", "attack": silent_connections, "files": 256},
    {
        "name": "silent-connections-ipv6",
        "attack": silent_connections_ipv6,
        "prepare": listen_on_ipv6,
        "files": 256,
    },
    {"name": "huge-headers", "attack": headers, "shares": True},
    {"name": "chunks-that-drip", "attack": chunks_that_drip, "shares": True},
    {"name": "commands-by-the-megabyte", "attack": commands, "shares": True},
    {"name": "tls-handshakes", "attack": handshakes, "shares": True},
    {"name": "contents-that-never-end", "attack": large_contents, "shares": True},
)
