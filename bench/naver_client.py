"""A client of NAVER's API: an access key of the bench's account, and requests signed with it."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import tomllib
from pathlib import Path
from typing import Any

from bench.ekiden_server import ACCOUNT
from bench.load import Endpoint
from bench.tools import BenchError
from ekiden.access.access_keys import create_access_key
from ekiden.access.accounts import get_account
from ekiden.access.vault import Vault
from ekiden.dialects.naver.signing import signed_headers
from ekiden.net.clock import SystemClock
from ekiden.process.instance_key import KEY_NAME
from ekiden.store.open import open_store
from ekiden.web.dialect import ToSign

_PATH = "/api/v1"
_TIMEOUT = 300.0


class NaverClient:
    """Of the server at ``endpoint``, whose configuration is in ``directory``.

    Its requests raise ``BenchError`` for an answer that was not expected, and what sockets raise.
    """

    def __init__(self, endpoint: Endpoint, directory: Path) -> None:
        if endpoint.http_port is None:
            raise BenchError("this server has no HTTP API here")
        self._port = endpoint.http_port
        self._id, self._secret = asyncio.run(_access_key(directory))

    def post(self, path: str, octets: bytes) -> dict[str, Any]:
        """The answer to what creates something. ``path``: such as ``/mails``."""
        return self._request("POST", path, octets, 201)

    def get(self, path: str) -> dict[str, Any]:
        """The answer."""
        return self._request("GET", path, None, 200)

    def _request(self, method: str, path: str, octets: bytes | None, expected: int) -> dict[str, Any]:
        target = _PATH + path
        to_sign = ToSign(method, target, self._id, self._secret, SystemClock().now())
        headers = {"Content-Type": "application/json", **signed_headers(to_sign)}
        with contextlib.closing(
            http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT)
        ) as connection:
            connection.request(method, target, octets, headers)
            answer = connection.getresponse()
            content = answer.read()
        if answer.status != expected:
            raise BenchError(f"{method} {path} was answered {answer.status}: {content[:500]!r}")
        found: dict[str, Any] = json.loads(content)
        return found


async def _access_key(directory: Path) -> tuple[str, str]:
    url = tomllib.loads((directory / "ekiden.toml").read_text())["store"]["url"]
    vault = Vault.from_file(directory / KEY_NAME)
    store = await open_store(url)
    try:
        account = await get_account(store, ACCOUNT)
        key = await create_access_key(store, vault, account.id, "bench", SystemClock().now())
        return key.id, key.secret
    finally:
        await store.close()
