"""A client of NAVER's API as its documentation has it: the signature is that of the seed's listing, in Python."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from http.client import HTTPConnection
from typing import Any, NamedTuple

_last_time = [0]


class Reply(NamedTuple):
    """``headers`` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, str]:
        """What is below ``error``; nothing else is in the body."""
        assert set(self.json) == {"error"}, self.body
        found: dict[str, str] = self.json["error"]
        return found

    @property
    def code(self) -> tuple[int, str]:
        """The status, and the code of either shape of an error."""
        found = self.error
        shapes = ({"errorCode", "message", "details"}, {"code", "message"})
        assert set(found) in shapes, self.body
        assert all(isinstance(value, str) and value for value in found.values()), self.body
        assert self.headers["content-type"] == "application/json"
        return self.status, found.get("code") or found["errorCode"]


def make_signature(method: str, url: str, timestamp: str, access_key: str, secret_key: str) -> str:
    """``makeSignature`` of the seed."""
    space = " "
    new_line = "\n"
    message = method + space + url + new_line + timestamp + new_line + access_key
    digest = hmac.new(secret_key.encode("utf-8"), message.encode("utf-8"), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def next_time() -> str:
    """A timestamp that no other request of this process has: the same again would be the same signature."""
    _last_time[0] = max(_last_time[0] + 1, int(time.time() * 1000))
    return str(_last_time[0])


class NaverClient:
    """``base`` is a path such as ``/api/v1``."""

    def __init__(self, port: int, access_key: str, secret_key: str, base: str = "/api/v1", lang: str = "") -> None:
        self.port = port
        self.access_key = access_key
        self.secret_key = secret_key
        self.base = base
        self.lang = lang

    def headers(self, method: str, target: str, timestamp: str | None = None) -> dict[str, str]:
        """That sign ``target``, which begins with a slash."""
        timestamp = timestamp or next_time()
        found = {
            "x-ncp-apigw-timestamp": timestamp,
            "x-ncp-iam-access-key": self.access_key,
            "x-ncp-apigw-signature-v2": make_signature(method, target, timestamp, self.access_key, self.secret_key),
        }
        if self.lang:
            found["x-ncp-lang"] = self.lang
        return found

    async def request(
        self,
        method: str,
        path: str,
        value: Any = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        signed: str | None = None,
        timestamp: str | None = None,
    ) -> Reply:
        """Of ``path`` below the base. ``value`` goes as JSON, ``body`` as it is; ``headers`` besides, and an empty
        one is left out. ``signed``: another target than is sent."""
        target = self.base + path
        given = self.headers(method, signed or target, timestamp)
        if value is not None:
            body = json.dumps(value, ensure_ascii=False).encode()
        if body is not None:
            given["Content-Type"] = "application/json"
        given.update(headers or {})
        return await send(self.port, method, target, body, {name: text for name, text in given.items() if text})


async def send(
    port: int, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Reply:
    """A raw request. ``target`` is ASCII."""

    def ask() -> Reply:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request(method, target, body, dict(headers or {}))
            found = connection.getresponse()
            return Reply(found.status, {name.lower(): text for name, text in found.getheaders()}, found.read())
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


def assert_shape(value: Any, shape: Any, at: str = "$") -> None:
    """``value`` is as ``shape`` says, key by key: no key is missing, none is too many.

    A shape is a type; a tuple of shapes, any of which fits; ``None``, which is null; a dict of shapes by key; a
    list of one shape, for each element; or a constant, which the value equals. ``NES_DATE`` and ``LABEL`` are some.
    """
    if isinstance(shape, tuple):
        reasons = []
        for choice in shape:
            try:
                return assert_shape(value, choice, at)
            except AssertionError as error:
                reasons.append(str(error))
        raise AssertionError(f"{at}: none of {len(shape)} shapes fits: {reasons}")
    if isinstance(shape, type):
        assert type(value) is shape, f"{at}: {value!r} is not {shape.__name__}"
    elif isinstance(shape, dict):
        assert isinstance(value, dict), f"{at}: {value!r} is no object"
        missing, besides = shape.keys() - value.keys(), value.keys() - shape.keys()
        assert not missing, f"{at}: {sorted(missing)} missing"
        assert not besides, f"{at}: {sorted(besides)} too many"
        for key, of in shape.items():
            assert_shape(value[key], of, f"{at}.{key}")
    elif isinstance(shape, list):
        assert isinstance(value, list), f"{at}: {value!r} is no array"
        for number, item in enumerate(value):
            assert_shape(item, shape[0], f"{at}[{number}]")
    else:
        assert value == shape, f"{at}: {value!r} is not {shape!r}"
        assert type(value) is type(shape), f"{at}: {value!r} is of another type than {shape!r}"
    return None


NES_DATE = {"utc": int, "formattedDate": str, "formattedDateTime": str}
LABEL = {"label": str, "code": str}
SORT = {
    "direction": str,
    "property": str,
    "ignoreCase": False,
    "nullHandling": "NATIVE",
    "ascending": bool,
    "descending": bool,
}


def page_shape(item: Any, **besides: Any) -> dict[str, Any]:
    """Of a page with such elements."""
    return {
        "content": [item],
        "last": bool,
        "totalElements": int,
        "totalPages": int,
        "first": bool,
        "numberOfElements": int,
        "size": int,
        "number": int,
        "sort": [SORT],
        **besides,
    }
