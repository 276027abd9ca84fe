"""A client of the HTTP API of Infobip as the bench needs one: bodies made beforehand, one request at a time."""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bench.load import SENDER_DOMAIN, Endpoint
from bench.rendering import texts
from bench.tools import BenchError

SENDER = f"Shop <shop@{SENDER_DOMAIN}>"
_BOUNDARY = "60f8fdd2cfba7ad5016ba25529a66409"
_TIMEOUT = 120.0


class Body(NamedTuple):
    """A request but for who sends it. ``messages``: how many the answer has to name."""

    path: str
    content_type: str
    octets: bytes
    messages: int


class Answer(NamedTuple):
    """``seconds`` from connecting until the last octet of the answer."""

    seconds: float
    content: dict[str, Any]


def name_of(number: int) -> str:
    """The value of ``{{name}}`` for a recipient."""
    return f"Taro {number}"


def _recipients(count: int, domain: str) -> list[tuple[str, dict[str, str]]]:
    return [
        (f"taro.{number}@{domain}", {"name": name_of(number), "order": f"2026-{number:08d}"})
        for number in range(1, count + 1)
    ]


def json_body(count: int, domain: str, *, tracked: bool = False) -> Body:
    """``/email/4/messages`` to ``count`` recipients with values of their own (Infobip contract §2.3)."""
    subject, text, html = texts("English")
    to = [
        {"destination": address, "placeholders": json.dumps(values)}
        for address, values in _recipients(count, domain)
    ]
    # A message for each: the group is one of individual mails.
    message = {
        "sender": SENDER,
        "destinations": [{"to": to}],
        "content": {"subject": subject, "text": text, "html": html},
    }
    tracking = {"track": tracked}
    octets = json.dumps({"messages": [message], "options": {"tracking": tracking}}).encode()
    return Body("/email/4/messages", "application/json", octets, count)


def form_body(
    count: int, domain: str, files: Mapping[str, bytes] | None = None, fields: Mapping[str, str] | None = None
) -> Body:
    """``/email/3/send`` to ``count`` recipients, with ``files`` by name and further ``fields`` (contract §2.2)."""
    subject, text, html = texts("English")
    to = [json.dumps({"to": address, "placeholders": values}) for address, values in _recipients(count, domain)]
    given = [("from", SENDER), *(("to", each) for each in to), ("subject", subject), ("text", text), ("html", html)]
    given += [*{"track": "False", **(fields or {})}.items()]
    parts = [_part(f'name="{name}"', value.encode()) for name, value in given]
    for name, octets in (files or {}).items():
        head = f'name="attachment"; filename="{name}"\r\nContent-Type: application/octet-stream'
        parts.append(_part(head, octets))
    octets = b"".join([*parts, f"--{_BOUNDARY}--\r\n".encode()])
    return Body("/email/3/send", f"multipart/form-data; boundary={_BOUNDARY}", octets, count)


def _part(head: str, octets: bytes) -> bytes:
    return b"".join((f"--{_BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode(), octets, b"\r\n"))


def post(endpoint: Endpoint, body: Body) -> Answer:
    """Send it over a connection of its own. Raises ``BenchError`` unless every message was taken."""
    if endpoint.http_port is None or endpoint.credentials is None:
        raise BenchError("this server has no HTTP API here")
    login = base64.b64encode(":".join(endpoint.credentials).encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": body.content_type, "Accept": "application/json"}
    begin = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.http_port, timeout=_TIMEOUT)
    try:
        connection.request("POST", body.path, body.octets, headers)
        response = connection.getresponse()
        octets = response.read()
        seconds = time.perf_counter() - begin
    except OSError as error:
        raise BenchError(f"{body.path}: {error}") from None
    finally:
        connection.close()
    if response.status != 200:
        raise BenchError(f"{body.path} was answered {response.status}: {octets[:300].decode(errors='replace')}")
    content: dict[str, Any] = json.loads(octets)
    ids: Sequence[str] = [message["messageId"] for message in content["messages"]]
    if len(set(ids)) != body.messages:
        raise BenchError(f"{body.path} took {len(set(ids))} messages of {body.messages}")
    return Answer(seconds, content)
