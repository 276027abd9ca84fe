"""Requests of Customers Mail Cloud's clients, written as those clients write them (contract §5.3)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlencode
from xml.etree import ElementTree

BOUNDARY = "----------------------------473229301234567890123456"


class Reply(NamedTuple):
    """``headers`` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def xml(self) -> ElementTree.Element:
        assert self.headers["content-type"] == "application/xml"
        return ElementTree.fromstring(self.body)

    @property
    def errors(self) -> list[tuple[str, str]]:
        """Codes with their fields; nothing else is in the body, and each has a message."""
        assert self.status >= 400, self.body
        assert self.headers["content-type"] == "application/json"
        assert set(self.json) == {"errors"}, self.body
        assert self.json["errors"]
        for item in self.json["errors"]:
            assert set(item) == {"code", "field", "message"}, self.body
            assert all(isinstance(value, str) for value in item.values()), self.body
            assert item["message"], self.body
        return [(item["code"], item["field"]) for item in self.json["errors"]]


class Part(NamedTuple):
    """Of a form; ``filename`` ``None``: a text."""

    name: str
    content: bytes
    filename: str | None = None
    content_type: str = ""


def form_of(parts: Iterable[Part]) -> bytes:
    """As urllib3 and form-data write it: a raw UTF-8 file name, and no type unless there is one."""
    found = []
    for part in parts:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{part.name}"'
        if part.filename is not None:
            head += f'; filename="{part.filename}"'
        if part.content_type:
            head += f"\r\nContent-Type: {part.content_type}"
        found.append(head.encode() + b"\r\n\r\n" + part.content + b"\r\n")
    return b"".join(found) + f"--{BOUNDARY}--\r\n".encode()


FORM = f"multipart/form-data; boundary={BOUNDARY}"
URLENCODED = "application/x-www-form-urlencoded"


class CmcClient:
    """``who`` goes in front of each body."""

    def __init__(self, port: int, api_user: str, api_key: str) -> None:
        self.port = port
        self.who = {"api_user": api_user, "api_key": api_key}

    async def raw(
        self, path: str, body: bytes | None, content_type: str = "application/json", **headers: str
    ) -> Reply:
        """A body as it is. Names of ``headers`` with underscores."""
        given = {"Content-Type": content_type} if content_type else {}
        given.update({name.replace("_", "-"): value for name, value in headers.items()})
        return await send(self.port, "POST", path, body, given)

    async def json(self, path: str, value: Mapping[str, Any], **headers: str) -> Reply:
        """An object, as JSON."""
        return await self.raw(path, json.dumps({**self.who, **value}).encode(), **headers)

    async def urlencoded(self, path: str, fields: Mapping[str, str], **headers: str) -> Reply:
        """Fields of a plain form."""
        return await self.raw(path, urlencode({**self.who, **fields}).encode(), URLENCODED, **headers)

    async def multipart(
        self, path: str, fields: Mapping[str, str], files: Sequence[Part] = (), **headers: str
    ) -> Reply:
        """Fields and files."""
        texts = [Part(name, value.encode()) for name, value in {**self.who, **fields}.items()]
        return await self.raw(path, form_of([*texts, *files]), FORM, **headers)


async def send(port: int, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
    """A raw request."""

    def ask() -> Reply:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers))
            found = connection.getresponse()
            return Reply(found.status, {name.lower(): text for name, text in found.getheaders()}, found.read())
        finally:
            connection.close()

    return await asyncio.to_thread(ask)
