"""What a large request costs, weighed in a server of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from infobip_cloud import SENDER, File, multipart
from infobip_process import peak_memory

HERE = Path(__file__).parent
MEGABYTE = 1_000_000
SIZE = 20 * MEGABYTE
MOST = 80 * MEGABYTE
"""Measured: 40. What allocators keep for later differs from machine to machine."""


@pytest.fixture
def server(sqlite_url: str) -> Iterator[tuple[int, Callable[[bytes, str], int]]]:
    """Its process id, and a request to it that returns the status."""
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    command = [sys.executable, str(HERE / "infobip_process.py"), sqlite_url]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        found = json.loads(process.stdout.readline())

        def post(body: bytes, content_type: str) -> int:
            connection = HTTPConnection("127.0.0.1", found["port"], timeout=60)
            headers = {"Authorization": f"App {found['key']}", "Content-Type": content_type}
            try:
                connection.request("POST", "/email/3/send", body, headers)
                return connection.getresponse().status
            finally:
                connection.close()

        yield process.pid, post
        process.stdin.close()


async def test_a_large_form_costs_little_memory(
    server: tuple[int, Callable[[bytes, str], int]], record_property: Callable[[str, object], None]
) -> None:
    pid, post = server

    async def send(files: list[File]) -> None:
        fields = [
            ("from", SENDER),
            ("to", "a@shop.example"),
            ("to", "b@shop.example"),
            ("subject", "s"),
            ("text", "t"),
        ]
        content_type, body = multipart(fields, files)
        assert await asyncio.to_thread(post, body, content_type) == 200

    await send([File("attachment", "small.bin", bytes(100_000))])
    before = peak_memory(pid)
    await send([File("attachment", "large.bin", os.urandom(SIZE))])
    cost = peak_memory(pid) - before
    record_property("figures", f"a form with a file of 20 MB for two recipients costs {cost / MEGABYTE:.1f} MB")
    assert cost < MOST
