"""An HTTP server that keeps what clients send, octet for octet, and answers as it was told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any, NamedTuple

from ekiden.lab.http import HttpServer, Request, Response
from ekiden.net.tls import ServerTls, make_self_signed


class Part(NamedTuple):
    """A part of multipart/form-data."""

    name: str
    filename: str | None
    content_type: str | None
    content: bytes


class Front(NamedTuple):
    """A URL, and the file with the certificate to trust there."""

    base: str
    certificate: Path


class Stub:
    """Its ``answer`` is for every request until it is changed."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer = Response()
        self.base = ""

    def say(self, status: int, document: Any = None) -> None:
        """Answer so, with ``document`` as JSON; None: without content."""
        if document is None:
            self.answer = Response(status)
        else:
            fields = (("Content-Type", "application/json"), ("X-Request-Id", "stub"))
            self.answer = Response(status, json.dumps(document).encode(), fields)

    async def handle(self, request: Request) -> Response:
        self.requests.append(request)
        return self.answer

    @property
    def last(self) -> Request:
        return self.requests[-1]

    @property
    def line(self) -> str:
        """Method and target of the last request."""
        return f"{self.last.method} {self.last.target}"

    @property
    def fields(self) -> dict[str, str]:
        """Header of the last request, names in lower case."""
        return {name.lower(): value for name, value in self.last.headers}

    @property
    def parts(self) -> list[Part]:
        """The last request's multipart/form-data, as the octets are."""
        header = BytesHeaderParser().parsebytes(f"Content-Type: {self.fields['content-type']}\r\n\r\n".encode())
        assert header.get_content_type() == "multipart/form-data"
        mark = b"--" + header.get_boundary("").encode()
        first, *parts, last = (b"\r\n" + self.last.body).split(b"\r\n" + mark)
        assert (first, last.rstrip(b"\r\n")) == (b"", b"--")
        return [_part(part.removeprefix(b"\r\n")) for part in parts]


def _part(octets: bytes) -> Part:
    head, _, content = octets.partition(b"\r\n\r\n")
    fields = BytesHeaderParser().parsebytes(head + b"\r\n\r\n")
    name = fields.get_param("name", header="Content-Disposition")
    return Part(str(name), fields.get_filename(), fields["Content-Type"], content)


@asynccontextmanager
async def running_stub() -> AsyncIterator[Stub]:
    """A stub, until the end of the block; its ``base`` is its URL."""
    stub = Stub()
    server = HttpServer(stub.handle)
    stub.base = f"http://127.0.0.1:{await server.start('127.0.0.1')}"
    try:
        yield stub
    finally:
        await server.close()
        await asyncio.sleep(0)  # connections that were cut are closed in the loop's next round


@asynccontextmanager
async def tls_front(stub: Stub, folder: Path) -> AsyncIterator[Front]:
    """The same stub behind TLS, until the end of the block, with a certificate for ``localhost`` in ``folder``."""
    files = make_self_signed(["localhost"]).write(folder / "certificate.pem", folder / "key.pem")
    tasks: set[asyncio.Task[None]] = set()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = stub.base.removeprefix("http://").partition(":")
        inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, inner_writer))
                group.create_task(_copy(inner_reader, writer))
        finally:
            inner_writer.transport.abort()
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(relay(reader, writer))
        tasks.add(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=ServerTls([files]).context)
    try:
        yield Front(f"https://localhost:{server.sockets[0].getsockname()[1]}", Path(files.certificate))
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()  # TLS has no half-closed connections: the other direction ends as well
