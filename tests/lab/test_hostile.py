"""Servers that violate the protocol do so as announced, and stop when their victim has gone."""

from __future__ import annotations

import pytest
from lab_clients import RawClient, Running

from ekiden.lab.catalogue import CATALOGUE

GREETED = ("hostile-garbage", "hostile-barelf", "hostile-early")


@pytest.mark.parametrize(
    "name", sorted(n for n in CATALOGUE if n.startswith("hostile-") and n not in ("hostile-bytes",))
)
def test_the_bytes_come_as_written(running: Running, someone: str, name: str) -> None:
    (rule,) = CATALOGUE[name].rules
    assert rule.raw is not None
    expected = rule.raw.encode("latin-1")
    client = running.raw(f"{name}.lab.test")
    if rule.at != "connect":
        client.reply()
        commands = {
            "ehlo": b"EHLO me",
            "mail": b"MAIL FROM:<>",
            "rcpt": b"RCPT TO:<%s@x.test>" % f"{someone}@{name}.lab.test".encode().partition(b"@")[0],
            "data": b"DATA",
            "end": b"body\r\n.",
        }
        commands["rcpt"] = f"RCPT TO:<{someone}@{name}.lab.test>".encode()
        for stage, command in commands.items():
            client.send(command + b"\r\n")
            if stage == rule.at:
                break
            client.reply()
    assert client.file.read(len(expected)) == expected
    if rule.endless:
        assert client.file.read(len(expected) * 50) == expected * 50


def test_endless_servers_stop_with_their_client(running: Running) -> None:
    for name in ("hostile-endless", "hostile-multiline"):
        client = RawClient(running.addresses(f"{name}.lab.test")[0], running.port)
        client.reply() if name == "hostile-multiline" else None
        client.send(b"EHLO me\r\n")
        client.file.read(100_000)
        record = running.session(client)
        client.close()
        while not record["ended"]:
            record = next(s for s in running.api("GET", "/sessions")[1] if s["id"] == record["id"])


def test_bytes_one_at_a_time(running: Running, someone: str) -> None:
    client = running.raw("hostile-bytes.lab.test")
    assert b"220 " in client.reply()
    assert client.command(b"EHLO me").endswith(b"250 STARTTLS\r\n")
    assert client.command(b"QUIT").startswith(b"221 ")


def test_a_hostile_reply_at_mail_lets_the_dialogue_go_on(running: Running, someone: str) -> None:
    client = running.raw("hostile-mail.lab.test")
    client.hello()
    client.send(b"MAIL FROM:<>\r\n")
    assert client.file.readline() == b"what?\r\n"
    assert client.command(b"RCPT TO:<%s@hostile-mail.lab.test>" % someone.encode()).startswith(b"250")
