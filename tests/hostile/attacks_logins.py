"""Guesses: from the victim's own address, and from hundreds of others."""

from __future__ import annotations

import base64
import contextlib
import http.client
import smtplib
import socket
import ssl
import threading
import time
from typing import Any

from arena import VICTIM, Arena, Watch, lasting, together


def wrong_keys_beside(arena: Arena, scale: int, _: Watch) -> str:
    """Row 10: wrong API keys from the address that the victim comes from, by HTTP and SMTP."""
    host, port = arena.door("http")

    def guess(number: int) -> int:
        connection = http.client.HTTPConnection(host, port, timeout=60, source_address=(VICTIM, 0))
        try:
            connection.request("GET", "/email/1/logs", headers={"Authorization": f"App ek_wrong{number}"})
            return connection.getresponse().status
        finally:
            connection.close()

    statuses = together(60 * scale, guess)
    assert set(statuses) <= {401, 429}, statuses
    return f"{len(statuses)} wrong keys from the victim's own address"


def guesses(arena: Arena, scale: int, _: Watch) -> str:
    """Row 11: hundreds of addresses with one connection each, guessing passwords of the victim and of nobody."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    names = (arena.demo.facts["neighbour"][0], "nobody", "root", arena.demo.account["username"])

    def guess(number: int) -> int:
        done = 0
        until = time.monotonic() + lasting(scale, 10)
        while time.monotonic() < until:
            source = f"127.3.{number % 250}.{1 + done % 200}"
            with contextlib.suppress(OSError):
                plain = socket.create_connection(arena.door("tls"), 10, source_address=(source, 0))
                with context.wrap_socket(plain) as client:
                    client.recv(1000)
                    client.sendall(b"EHLO a\r\n")
                    client.recv(4000)
                    login = base64.b64encode(f"\0{names[done % len(names)]}\0guess{number}-{done}".encode())
                    client.sendall(b"AUTH PLAIN " + login + b"\r\n")
                    client.recv(1000)
                    done += 1
        return done

    done = sum(value for value in together(60 * scale, guess) if isinstance(value, int))
    lines = len(arena.log())
    assert lines < 2_000 * scale, f"{lines} lines in the log"
    return f"{done} guesses from {60 * scale} connections, {lines} lines in the log"


def changed_password(arena: Arena, scale: int, _: Watch) -> str:
    """Row 13: sessions of the old password send without a pause, and are refused once there is another one."""
    demo = arena.demo
    slowest = 0.0
    count = 8

    for _round in range(scale):
        begun, changed = threading.Event(), threading.Event()

        def send(number: int, begun: threading.Event = begun, changed: threading.Event = changed) -> float:
            """Seconds from the change until the first refusal; 0: before the command had said that it was made."""
            client = arena.login(f"127.0.10.{number + 1}")
            at = 0.0
            try:
                while not at or time.monotonic() - at < 20:
                    at = at or (time.monotonic() if changed.is_set() else 0.0)
                    code, _reply = client.mail(f"me@{demo.account['domain']}")
                    if code == 250:
                        client.rcpt("a@accept.lab.test")
                        code, _reply = client.data(b"Subject: x\r\n\r\nx\r\n")
                    if code != 250:
                        assert begun.is_set(), "it was refused although nothing had changed"
                        assert code // 100 in (4, 5), code
                        return time.monotonic() - at if at else 0.0
                    time.sleep(0.05)
            except smtplib.SMTPServerDisconnected:
                assert begun.is_set(), "it was cut off although nothing had changed"
                return time.monotonic() - at if at else 0.0
            finally:
                client.close()
            raise AssertionError("the old password's session goes on sending")

        def change(begun: threading.Event = begun, changed: threading.Event = changed) -> None:
            time.sleep(2)
            begun.set()
            made = demo.run("credential", "password", "create", "demo", demo.account["username"], "--replace")
            # From here on, whatever the command took after its commit: the old one counts for two seconds at most.
            changed.set()
            demo.account["password"] = made["password"]

        changing = threading.Thread(target=change)
        changing.start()
        waited = together(count, send)
        changing.join()
        assert all(isinstance(seconds, float) for seconds in waited), waited
        slowest = max(slowest, *waited)
        assert slowest < 5, f"the old password was good for {slowest:.1f} s"
        arena.login().close()
    return f"{scale} changes with {count} sessions that send; the last old one refused after {slowest:.1f} s"


ROWS: tuple[dict[str, Any], ...] = (
    {"name": "wrong-keys-beside-the-victim", "attack": wrong_keys_beside},
    {"name": "changed-password", "attack": changed_password},
    {"name": "guesses-from-everywhere", "attack": guesses, "slowest": 20.0},
)
