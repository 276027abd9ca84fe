"""Bodies that are made to keep the server: it goes on answering others meanwhile, and its memory stays bounded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from infobip_cloud import SENDER
from neighbour import Neighbour, memory, peak

HERE = Path(__file__).parent
MEGABYTE = 1_000_000
SLOWEST = 1.5
"""Processor seconds of the server that a neighbour may wait for. Measured: up to 0.2. Before: up to 16."""
MOST = 200 * MEGABYTE
JSON = "application/json"
URLENCODED = "application/x-www-form-urlencoded"


class Server(NamedTuple):
    pid: int
    port: int
    key: str

    def post(self, path: str, body: bytes, content_type: str, **headers: str) -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        given = {"Authorization": f"App {self.key}", "Content-Type": content_type, **headers}
        try:
            connection.request("POST", path, body, given)
            reply = connection.getresponse()
            return reply.status, msgspec.json.decode(reply.read())
        finally:
            connection.close()


@pytest.fixture(scope="module")
def server(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    database = tmp_path_factory.mktemp("hostile") / "ekiden.db"
    shutil.copyfile(sqlite_template, database)
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    command = [sys.executable, str(HERE / "infobip_process.py"), f"sqlite:///{database}"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        found = json.loads(process.stdout.readline())
        yield Server(process.pid, found["port"], found["key"])
        assert process.poll() is None
        process.stdin.close()


def message(**content: Any) -> bytes:
    to = [{"to": [{"destination": "a@shop.example"}]}]
    body = {"subject": "s", **content}
    options = {"tracking": {"track": True}}
    one = {"sender": SENDER, "destinations": to, "content": body}
    return msgspec.json.encode({"messages": [one], "options": options})


def urlencoded(text: bytes, copies: int) -> bytes:
    head = b"from=news%40sender.example&to=a%40shop.example&subject=s&text="
    return head + text * copies


class Attack(NamedTuple):
    path: str
    make: Callable[[], bytes]
    content_type: str
    status: int


ATTACKS = {
    "urlencoded, every octet encoded": Attack(
        "/email/3/send", lambda: urlencoded(b"%41", 8_000_000), URLENCODED, 200
    ),
    "urlencoded, 8 M fields": Attack("/email/3/send", lambda: b"a=b&" * 6_500_000, URLENCODED, 400),
    "urlencoded, signs without digits": Attack(
        "/email/3/send", lambda: urlencoded(b"%", 8_000_000), URLENCODED, 200
    ),
    "a list of nothing": Attack(
        "/email/2/validations", lambda: b'{"destinations":[' + b"{}," * 5_000_000 + b"{}]}", JSON, 400
    ),
    "a list of numbers beside it": Attack(
        "/email/2/validations", lambda: b'{"x":[' + b"1," * 7_000_000 + b'1],"destinations":[]}', JSON, 400
    ),
    "a list larger than it can be": Attack(
        "/email/2/validations", lambda: b'{"destinations":["' + b"a" * 39_000_000 + b'"]}', JSON, 400
    ),
    "empty messages": Attack(
        "/email/4/messages",
        lambda: b'{"messages":[' + b",".join([b'{"destinations":[],"content":{}}'] * 1_100_000) + b"]}",
        JSON,
        400,
    ),
    "messages that lack everything": Attack(
        "/email/4/messages", lambda: b'{"messages":[' + b",".join([b"{}"] * 12_000) + b"]}", JSON, 400
    ),
    "one wrong member and many right ones": Attack(
        "/email/2/validations", lambda: b'{"x":1,"destinations":[' + b"{}," * 80_000 + b"{}]}", JSON, 400
    ),
    "a name without end": Attack(
        "/email/4/messages", lambda: b'{"messages":[{"content":{"' + b"a" * 30_000_000 + b'":1}}]}', JSON, 400
    ),
    "depth": Attack("/email/4/messages", lambda: b"[" * 37_000_000, JSON, 400),
    "depth in pairs": Attack("/email/4/messages", lambda: b'{"a":' * 7_000_000, JSON, 400),
    "digits": Attack("/email/4/messages", lambda: b'{"messages":' + b"1" * 37_000_000 + b"}", JSON, 400),
    "escapes": Attack("/email/4/mime", lambda: b'{"mimeMessage":"' + b"\\u0041" * 6_000_000 + b'"}', JSON, 400),
    "bare line ends": Attack(
        "/email/4/mime",
        lambda: msgspec.json.encode(
            {"mimeMessage": b"From: a\n\n" + b"\n" * 18_000_000, "destinations": ["a@b.c"]}
        ),
        JSON,
        400,
    ),
    "base64 with blanks": Attack(
        "/email/4/messages",
        lambda: message(
            text="t", attachments=[{"type": "binary", "fileName": "a", "content": "QU JD" * 5_000_000}]
        ),
        JSON,
        200,
    ),
    "placeholders without end": Attack("/email/4/messages", lambda: message(html="{{a}}" * 1_900_000), JSON, 400),
    "placeholders of placeholders": Attack(
        "/email/4/messages",
        lambda: message(text="t", defaultPlaceholders='{"a":' + "[" * 9_000_000 + "}"),
        JSON,
        400,
    ),
    "tags without end": Attack("/email/4/messages", lambda: message(html="<a " * 3_000_000), JSON, 200),
    "tags": Attack("/email/4/messages", lambda: message(html="<a>" * 3_000_000), JSON, 200),
    "attributes without end": Attack(
        "/email/4/messages", lambda: message(html="<a " + "x " * 4_000_000), JSON, 200
    ),
    "angles": Attack("/email/4/messages", lambda: message(html="<" * 9_000_000), JSON, 200),
    "ampersands": Attack("/email/4/messages", lambda: message(html="&" * 9_000_000), JSON, 200),
    "one line": Attack("/email/4/messages", lambda: message(text="=" * 9_000_000), JSON, 200),
    "line ends": Attack("/email/4/messages", lambda: message(text="\n" * 2_900_000), JSON, 200),
    "a text in Japanese": Attack("/email/4/messages", lambda: message(text="日" * 3_000_000), JSON, 200),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_others_are_answered_meanwhile(
    server: Server, name: str, record_property: Callable[[str, object], None]
) -> None:
    attack = ATTACKS[name]
    body = attack.make()
    assert server.post("/email/4/messages", message(text="t"), JSON)[0] == 200
    before = memory(server.pid)
    with Neighbour(server.port, server.pid) as neighbour:
        status, reply = server.post(attack.path, body, attack.content_type)
    grown = peak(server.pid) - before
    record_property("figures", f"{name}: {neighbour.slowest * 1000:.0f} ms, {grown / MEGABYTE:.0f} MB")
    assert status == attack.status, reply
    assert neighbour.answers
    assert neighbour.slowest < SLOWEST
    assert grown < MOST
