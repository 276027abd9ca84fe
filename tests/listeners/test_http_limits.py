"""What the HTTP listener takes from its clients, and for how long; with a neighbour that is served meanwhile."""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import socket
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
import uvloop
from litestar import Request, Response, Router, get, post

from ekiden.listeners.http_app import make_app
from ekiden.listeners.http_config import HttpConfig
from ekiden.listeners.http_server import HttpServer
from ekiden.net.listen import open_listener
from support.structured_logs import told

PATIENCE = 30.0  # seconds; only reached when something is broken
HEAD = b"Host: mail.example.com\r\n"
GET = b"GET /x/n HTTP/1.1\r\n" + HEAD + b"\r\n"
MB = 1_000_000


class Answer(NamedTuple):
    """``headers`` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """Raw octets to a server, and answers from it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def push(self, octets: bytes, times: int) -> None:
        """As often as it takes or the server allows."""
        try:
            for _ in range(times):
                self.writer.write(octets)
                await self.writer.drain()
        except ConnectionError:
            pass

    async def answer(self, *, method: str = "GET") -> Answer:
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *fields = head.split("\r\n")[:-2]
            headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
            body = b""
            status = int(line.split(" ")[1])
            if method != "HEAD" and status >= 200:
                if headers.get("transfer-encoding") == "chunked":
                    while size := int(await self.reader.readuntil(b"\r\n"), 16):
                        body += await self.reader.readexactly(size)
                        await self.reader.readexactly(2)
                    await self.reader.readexactly(2)
                elif "content-length" in headers:
                    body = await self.reader.readexactly(int(headers["content-length"]))
            return Answer(status, headers, body)

    async def end(self) -> bytes:
        """What comes until the server ends the connection."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def ended(self) -> bool:
        """The server has answered all it will, and a client that goes on sending notices."""
        await self.end()
        return True

    def close(self) -> None:
        self.writer.close()


class Counts:
    """``HttpMetrics``."""

    def __init__(self) -> None:
        self.open = 0
        self.refusals: Counter[str] = Counter()

    def connection_opened(self) -> None:
        self.open += 1

    def connection_closed(self) -> None:
        self.open -= 1

    def refused(self, reason: str) -> None:
        self.refusals[reason] += 1

    def unknown_proxy(self) -> None:
        self.refusals["unknown proxy"] += 1


class Site:
    """A server with an application of its own, whose errors below ``/x`` are ``{"wrong": status}``."""

    def __init__(self, port: int, server: HttpServer, counts: Counts) -> None:
        self.port = port
        self.server = server
        self.counts = counts
        self._clients: list[Client] = []

    async def connect(self, octets: bytes = b"", *, limit: int = 2**16, source: str = "") -> Client:
        local = (source, 0) if source else None
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, limit=limit, local_addr=local))
        self._clients.append(client)
        client.send(octets)
        return client

    async def ask(self, octets: bytes, *, method: str = "GET") -> Answer:
        client = await self.connect(octets)
        answer = await client.answer(method=method)
        client.close()
        return answer

    async def serves(self) -> None:
        """A neighbour gets its answer."""
        assert (await self.ask(GET)).status == 200

    async def until(self, check: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not check():  # noqa: ASYNC110 (of the server's own state)
                await asyncio.sleep(0.01)

    def close(self) -> None:
        for client in self._clients:
            client.close()


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[Site]:
    listener = open_listener("127.0.0.1", 0)
    counts = Counts()

    @get("/n")
    async def nothing(request: Request[Any, Any, Any]) -> dict[str, Any]:
        return {"client": request.client and request.client.host, "headers": dict(request.headers)}

    @post("/body", status_code=200)
    async def body(request: Request[Any, Any, Any]) -> dict[str, Any]:
        taken = await request.body()
        return {"octets": len(taken), "headers": dict(request.headers), "text": taken[:100].decode("latin-1")}

    @post("/early", status_code=401)
    async def early() -> dict[str, str]:
        return {"who": "are you"}

    @get("/large")
    async def large(request: Request[Any, Any, Any]) -> Response[bytes]:
        return Response(bytes(int(request.query_params["octets"])), media_type="application/octet-stream")

    waiting = asyncio.Event()

    @get("/slow")
    async def slow() -> str:
        await waiting.wait()
        return "at last"

    def wrong(_: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        status = getattr(error, "status_code", 500)
        return Response({"wrong": status, "why": str(getattr(error, "detail", ""))}, status_code=status)

    async def ready() -> list[str]:
        return []

    async def metrics() -> bytes:
        return b"metrics\n"

    handlers = [nothing, body, early, large, slow]
    router = Router(
        "/x", route_handlers=handlers, exception_handlers={Exception: wrong}, request_max_body_size=None
    )
    server = HttpServer(make_app(ready, metrics, [router]), [listener], HttpConfig(**settings), counts)
    await server.start()
    site = Site(listener.getsockname()[1], server, counts)
    try:
        yield site
    finally:
        waiting.set()
        site.close()
        await server.stop()


def on_uvloop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """On the loop that workers have."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        uvloop.run(test(**fixtures))

    return run


# --- what is too much ------------------------------------------------------------------------------------------

TOO_MUCH = {
    "one field": (b"GET /x/n HTTP/1.1\r\n" + HEAD + b"a: ", b"x" * 65_536, 900, 431),
    "a name": (b"GET /x/n HTTP/1.1\r\n" + HEAD, b"x" * 65_536, 900, 431),
    "many fields": (b"GET /x/n HTTP/1.1\r\n" + HEAD, b"a: b\r\n" * 10_000, 900, 431),
    "empty fields": (b"GET /x/n HTTP/1.1\r\n" + HEAD, b"a:\r\n" * 10_000, 900, 431),
    "large fields": (b"GET /x/n HTTP/1.1\r\n" + HEAD, (b"a: " + b"b" * 9000 + b"\r\n") * 7, 900, 431),
    "white space": (b"GET /x/n HTTP/1.1\r\n" + HEAD + b"a:", b" " * 65_536, 900, 431),
    "a URL": (b"GET /x/n", b"x" * 65_536, 900, 414),
    "a query": (b"GET /x/n?", b"a=b&" * 16_000, 900, 414),
    "trailers": (
        b"POST /x/body HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n",
        b"a: b\r\n" * 10_000,
        900,
        431,
    ),
    "a trailer": (
        b"POST /x/body HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\na: ",
        b"x" * 65_536,
        900,
        400,
    ),
    "an extension": (
        b"POST /x/body HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;a=",
        b"x" * 65_536,
        900,
        400,
    ),
    "extensions": (
        b"POST /x/body HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
        (b"1;" + b"x" * 200 + b"\r\nx\r\n") * 300,
        900,
        400,
    ),
}


@pytest.mark.parametrize("name", TOO_MUCH)
@on_uvloop
async def test_what_is_too_much_is_answered_and_costs_nothing(name: str) -> None:
    begin, more, times, status = TOO_MUCH[name]
    async with running() as site:
        await site.serves()
        gc.collect()
        tracemalloc.start()
        try:
            client = await site.connect(begin)
            sending = asyncio.create_task(client.push(more, times))
            answer = await client.answer()
            await site.serves()
            await sending
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert answer.status == status
        assert answer.headers["connection"] == "close"
        assert json.loads(answer.body)["wrong"] == status  # in the language of its path
        assert peak < 10 * MB
        assert site.counts.refusals["too_large"] == 1


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /x/n HTTP/1.1\r\nHost: a\r\na: %b\r\n\r\n" % (b"x" * (16_384 - 5)), 200),
        (b"GET /x/n HTTP/1.1\r\nHost: a\r\na: %b\r\n\r\n" % (b"x" * (16_384 - 4)), 431),
        (b"GET /x/n HTTP/1.1\r\nHost: a\r\n%b\r\n" % (b"a: b\r\n" * 127), 200),
        (b"GET /x/n HTTP/1.1\r\nHost: a\r\n%b\r\n" % (b"a: b\r\n" * 128), 431),
        (b"GET /x/n?%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * (16_384 - 5)), 200),
        (b"GET /x/n?%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * (16_384 - 4)), 414),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
@on_uvloop
async def test_bounds_are_exact_however_octets_come(request_: bytes, status: int, whole: bool) -> None:
    async with running() as site:
        client = await site.connect()
        client.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        step = len(request_) if whole else 1000
        for at in range(0, len(request_), step):
            client.send(request_[at : at + step])
            await asyncio.sleep(0)
        assert (await client.answer()).status == status


@pytest.mark.parametrize("path", ["/", "/healthz", "/nowhere?a", "/x/n", "/x"])
@on_uvloop
async def test_an_error_has_its_status_whatever_the_path(path: str, caplog: pytest.LogCaptureFixture) -> None:
    async with running() as site:
        answer = await site.ask(f"GET {path} HTTP/1.1\r\nHost: a\r\n".encode() + b"a: b\r\n" * 200 + b"\r\n")
        assert answer.status == 431
        assert 431 in json.loads(answer.body).values()
    assert not caplog.records


@on_uvloop
async def test_small_chunks_are_no_extensions() -> None:
    async with running() as site:
        client = await site.connect(b"POST /x/body HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        await client.push(b"1\r\nx\r\n" * 10_000, 10)
        client.send(b"0\r\nAuthorization: App stolen\r\n\r\n")
        answer = json.loads((await client.answer()).body)
        assert answer["octets"] == 100_000
        assert "authorization" not in answer["headers"]  # a trailer is no header
        client.send(GET)
        assert (await client.answer()).status == 200


@on_uvloop
async def test_octets_that_are_no_request() -> None:
    async with running() as site:
        for octets in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 100, b"EHLO example.com\r\n", b"\0" * 100):
            answer = await site.ask(octets)
            assert (answer.status, answer.headers["content-type"]) == (400, "text/plain; charset=utf-8")
        client = await site.connect()
        await client.push(b"\r\n" * 32_768, 900)
        assert (await client.answer()).status == 431
        await site.serves()


@on_uvloop
async def test_a_request_that_is_refused_in_its_body_has_one_line() -> None:
    """Not one of a client that went, too; and the answer has the id of the line."""
    async with running() as site:
        with told() as lines:
            head = b"POST /x/body HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
            client = await site.connect(head + b"5\r\n12345\r\n")
            await site.until(lambda: bool(site.server._tasks))  # the application reads
            client.send(b"nothing\r\n")
            answer = await client.answer()
            await client.end()
            await site.until(lambda: not site.server._tasks)
        assert answer.status == 400
        assert [(line["status"], line["route"]) for line in lines] == [(400, "/x/body")]
        assert lines[0]["request_id"] == answer.headers["x-request-id"]


# --- what is too slow ------------------------------------------------------------------------------------------


@on_uvloop
async def test_silence_and_half_requests_end(caplog: pytest.LogCaptureFixture) -> None:
    quick = {"first_timeout": 0.3, "header_timeout": 0.4, "keep_alive": 0.3, "body_idle_timeout": 0.4}
    async with running(**quick) as site:
        silent = await site.connect()
        half = await site.connect(b"GET /x/n HTTP/1.1\r\nHos")
        line = await site.connect(b"GE")
        kept = await site.connect(GET)
        body = await site.connect(b"POST /x/body HTTP/1.1\r\n" + HEAD + b"Content-Length: 10\r\n\r\n12345")
        chunks = await site.connect(
            b"POST /x/body HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12"
        )
        await site.serves()
        assert await silent.end() == b""
        answer = await half.answer()
        assert (answer.status, json.loads(answer.body)["wrong"]) == (408, 408)
        answer = await line.answer()
        assert (answer.status, answer.headers["content-type"]) == (408, "text/plain; charset=utf-8")
        assert (await kept.answer()).status == 200
        assert await kept.end() == b""
        for client in (body, chunks):
            answer = await client.answer()
            assert (answer.status, json.loads(answer.body)["wrong"]) == (408, 408)
        site.close()
        await site.until(lambda: not site.counts.open)
        assert site.counts.refusals["too_slow"] == 4
    assert not caplog.records


@on_uvloop
async def test_drops_do_not_keep_a_connection() -> None:
    async def drip(client: Client, octet: bytes) -> None:
        while not client.reader.at_eof():
            client.send(octet)
            await asyncio.sleep(0.02)

    async with running(header_timeout=0.5, body_timeout=0.5, linger_timeout=0.3) as site:
        header = await site.connect(b"GET /x/n HTTP/1.1\r\n" + HEAD)
        blank = await site.connect()
        body = await site.connect(b"POST /x/body HTTP/1.1\r\n" + HEAD + b"Content-Length: 1000000\r\n\r\n")
        drips = [
            asyncio.create_task(drip(client, octet))
            for client, octet in ((header, b"a"), (blank, b"\r\n"), (body, b"x"))
        ]
        for client in (header, blank, body):
            assert (await client.answer()).status == 408
        await site.serves()
        site.close()
        await asyncio.gather(*drips)


@on_uvloop
async def test_who_does_not_read_the_answer_is_not_waited_for() -> None:
    async with running(answer_timeout=0.5) as site:
        clients = [
            await site.connect(b"GET /x/large?octets=30000000 HTTP/1.1\r\n" + HEAD + b"\r\n" + GET * 3, limit=1024)
            for _ in range(2)
        ]
        await site.until(lambda: site.counts.refusals["not_read"] == 2)
        await site.serves()
        site.close()
        await site.until(lambda: not site.counts.open)
        del clients


@on_uvloop
async def test_answers_that_nobody_reads_have_one_bound() -> None:
    async with running(max_unread=8 * 1024 * 1024) as site:
        gc.collect()
        ask = b"GET /x/large?octets=20000000 HTTP/1.1\r\n" + HEAD + b"\r\n"
        for _ in range(20):
            await site.connect(ask, limit=1024)
        await site.until(lambda: site.counts.refusals["not_read"] >= 19)
        await site.serves()


@on_uvloop
async def test_a_slow_reader_gets_all_of_a_large_answer() -> None:
    async with running(answer_timeout=5.0) as site:
        client = await site.connect(b"GET /x/large?octets=20000000 HTTP/1.1\r\n" + HEAD + b"\r\n" + GET)
        await site.serves()
        assert len((await client.answer()).body) == 20_000_000
        assert (await client.answer()).status == 200


# --- answers that arrive ---------------------------------------------------------------------------------------


def upload(port: int, head: bytes, octets: int) -> tuple[bytes, int]:
    """As a client that sends everything before it reads: the answer, and how much could be sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall(head)
        sent, piece = 0, bytes(1 << 20)
        while sent < octets:
            client.sendall(piece)
            sent += len(piece)
        answer = b""
        while found := client.recv(65_536):
            answer += found
        return answer, sent


@pytest.mark.parametrize(
    ("path", "status"),
    [(b"/x/early", b" 401 "), (b"/x/nowhere", b" 404 "), (b"/x/body\r\nX: " + b"y" * 20_000, b"")],
)
@on_uvloop
async def test_an_upload_that_is_refused_early_reads_its_answer(path: bytes, status: bytes) -> None:
    target, _, field = path.partition(b"\r\n")
    extra = field + b"\r\n" if field else b""
    head = b"POST " + target + b" HTTP/1.1\r\n" + HEAD + extra + b"Content-Length: 104857600\r\n\r\n"
    async with running() as site:
        uploading = asyncio.create_task(asyncio.to_thread(upload, site.port, head, 104_857_600))
        await site.serves()
        answer, sent = await uploading
        assert (status or b" 431 ") in answer.partition(b"\r\n")[0]
        assert b"connection: close" in answer
        assert sent == 104_857_600


@on_uvloop
async def test_what_is_dropped_is_bounded() -> None:
    head = b"POST /x/early HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    async with running(linger_octets=4_000_000) as site:
        with pytest.raises(ConnectionError):
            await asyncio.to_thread(upload, site.port, head, 1 << 30)
        await site.serves()
    async with running(linger_timeout=0.3) as site:
        client = await site.connect(b"POST /x/early HTTP/1.1\r\n" + HEAD + b"Content-Length: 1000000\r\n\r\n")
        assert (await client.answer()).status == 401
        await site.until(lambda: not site.counts.open)


@on_uvloop
async def test_the_rest_of_a_small_body_does_not_end_the_connection() -> None:
    async with running() as site:
        client = await site.connect(b"POST /x/early HTTP/1.1\r\n" + HEAD + b"Content-Length: 1000\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, "connection" in answer.headers) == (401, False)
        client.send(b"x" * 1000 + GET)
        assert (await client.answer()).status == 200


@on_uvloop
async def test_a_hundred_is_for_bodies_that_are_wanted() -> None:
    expect = HEAD + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    async with running() as site:
        client = await site.connect(b"POST /x/early HTTP/1.1\r\n" + expect)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (401, "close")
        client = await site.connect(b"POST /x/body HTTP/1.1\r\n" + expect)
        assert (await client.answer()).status == 100
        client.send(b"12345")
        assert json.loads((await client.answer()).body)["octets"] == 5


@on_uvloop
async def test_an_end_of_sending_is_no_end_of_reading() -> None:
    async with running() as site:
        client = await site.connect(b"POST /x/body HTTP/1.1\r\n" + HEAD + b"Content-Length: 5\r\n\r\n12345")
        client.writer.write_eof()
        assert (await client.answer()).status == 200
        assert await client.end() == b""


@on_uvloop
async def test_a_client_that_goes_away_in_its_body_says_nothing_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running() as site:
        client = await site.connect(b"POST /x/body HTTP/1.1\r\n" + HEAD + b"Content-Length: 5\r\n\r\n123")
        await site.until(lambda: site.counts.open == 1)
        client.close()
        await site.until(lambda: not site.counts.open)
        await site.serves()
    assert not caplog.records


# --- connections -----------------------------------------------------------------------------------------------


@on_uvloop
async def test_silent_connections_make_room() -> None:
    bounds = {"max_connections": 8, "max_connections_per_address": 8, "reserve": 4}
    async with running(**bounds) as site:
        for number in range(40):
            await site.connect(b"" if number % 2 else b"GET /x", source=f"127.0.1.{number + 1}")
        await site.serves()
        await site.until(lambda: site.counts.open <= 9)
        assert (await site.ask(b"GET /healthz HTTP/1.1\r\n" + HEAD + b"\r\n")).status == 200


@on_uvloop
async def test_health_and_metrics_have_a_reserve() -> None:
    bounds = {"max_connections": 8, "max_connections_per_address": 8, "reserve": 4}
    ask = b"GET /x/slow HTTP/1.1\r\n" + HEAD + b"\r\n"
    async with running(**bounds) as site:
        busy = [await site.connect(ask, source=f"127.0.1.{number + 1}") for number in range(8)]
        await site.until(
            lambda: site.server.admission.places.open == 8 and not site.server.admission.places.unproven
        )
        silent = [await site.connect(source=f"127.0.2.{number + 1}") for number in range(10)]
        for path in (b"/healthz", b"/readyz", b"/metrics"):
            answer = await site.ask(b"GET " + path + b" HTTP/1.1\r\n" + HEAD + b"\r\n")
            assert (answer.status, answer.headers["connection"]) == (200, "close")
        answer = await site.ask(GET)
        assert (answer.status, answer.headers["connection"], answer.headers["retry-after"]) == (503, "close", "5")
        assert json.loads(answer.body)["wrong"] == 503
        assert site.counts.refusals["connections"] >= 1
        del busy, silent


@on_uvloop
async def test_one_address_has_its_share_and_a_proxy_is_no_address() -> None:
    bounds: dict[str, Any] = {"max_connections": 40, "max_connections_per_address": 4, "reserve": 8}
    ask = b"GET /x/slow HTTP/1.1\r\n" + HEAD + b"\r\n"
    async with running(**bounds) as site:
        for _ in range(4):
            await site.connect(ask, source="127.0.1.1")
        await site.until(lambda: not site.server.admission.places.unproven)
        client = await site.connect(GET, source="127.0.1.1")
        assert (await client.answer()).status == 503
        await site.serves()
    async with running(**bounds, proxy_from=("127.0.1.1",)) as site:
        for _ in range(20):
            await site.connect(ask, source="127.0.1.1")
        forwarded = b"X-Forwarded-For: 192.0.2.1, 198.51.100.7, 127.0.1.1\r\n\r\n"
        client = await site.connect(GET[:-2] + forwarded, source="127.0.1.1")
        answer = await client.answer()
        assert (answer.status, json.loads(answer.body)["client"]) == (200, "198.51.100.7")
        client = await site.connect(GET[:-2] + forwarded, source="127.0.1.2")
        assert json.loads((await client.answer()).body)["client"] == "127.0.1.2"


# --- pipelines -------------------------------------------------------------------------------------------------


@on_uvloop
async def test_pipelined_requests_are_answered_in_order_up_to_a_bound() -> None:
    async with running(max_pipelined=4) as site:
        client = await site.connect(b"POST /x/body HTTP/1.1\r\n" + HEAD + b"Content-Length: 1\r\n\r\na" + GET * 3)
        assert json.loads((await client.answer()).body)["octets"] == 1
        for _ in range(3):
            assert (await client.answer()).status == 200
        client.send(GET * 1000)
        answers = (await client.end()).split(b"HTTP/1.1 200 OK\r\n")[1:]
        assert len(answers) == 5
        assert b"connection: close" in answers[-1]
        assert not any(b"connection: close" in answer for answer in answers[:-1])
        await site.serves()


@on_uvloop
async def test_a_mistake_is_answered_after_what_came_before_it() -> None:
    async with running() as site:
        client = await site.connect(GET + GET + b"GET /x/n HTTP/1.1\r\nbad field\r\n\r\n" + GET)
        assert [(await client.answer()).status for _ in range(3)] == [200, 200, 400]
        assert await client.end() == b""


# --- forms of requests -----------------------------------------------------------------------------------------

CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLED = b"GET /x/n HTTP/1.1\r\nHost: smuggled\r\n\r\n"
REFUSED = {
    "both lengths": HEAD + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "both lengths, the other way": HEAD + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n123456",
    "the same length twice": HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n12345",
    "a list of lengths": HEAD + b"Content-Length: 5, 5\r\n\r\n12345",
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n",
    "a signed length": HEAD + b"Content-Length: +5\r\n\r\n12345",
    "a hexadecimal length": HEAD + b"Content-Length: 0x5\r\n\r\n12345",
    "a length beyond 64 bits": HEAD + b"Content-Length: 18446744073709551617\r\n\r\n1",
    "an empty length": HEAD + b"Content-Length: \r\n\r\n",
    "a name with a space": HEAD + b"Content-Length : 5\r\n\r\n12345",
    "a folded field": HEAD + b"X: a\r\n b\r\n\r\n",
    "a folded length": HEAD + b"Content-Length:\r\n 5\r\n\r\n12345",
    "bare line feeds": HEAD.replace(b"\r\n", b"\n") + b"Content-Length: 0\n\n",
    "a bare line feed at the end": HEAD + b"Content-Length: 0\r\n\n",
    "a bare carriage return": HEAD + b"X: a\rContent-Length: 5\r\n\r\n12345",
    "a zero octet": HEAD + b"X: a\0b\r\n\r\n",
    "an unknown coding": HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
    "a coding after chunked": HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "a coding that is not quite": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": None,
    "a chunk size with a sign": HEAD + CHUNKED + b"\r\n-1\r\nx\r\n0\r\n\r\n",
    "a chunk size with 0x": HEAD + CHUNKED + b"\r\n0x1\r\nx\r\n0\r\n\r\n",
    "a chunk size beyond 64 bits": HEAD + CHUNKED + b"\r\n10000000000000001\r\nx\r\n0\r\n\r\n",
    "a chunk size with a space": HEAD + CHUNKED + b"\r\n1 \r\nx\r\n0\r\n\r\n",
    "a chunk with bare line feeds": HEAD + CHUNKED + b"\r\n1\nx\n0\n\n",
    "a chunk that is longer than it says": HEAD + CHUNKED + b"\r\n1\r\nxx\r\n0\r\n\r\n",
    "no host": b"\r\n",
    "two hosts": HEAD + HEAD + b"\r\n",
    "a field without a name": HEAD + b": x\r\n\r\n",
    "a field without a colon": HEAD + b"nothing\r\n\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
@on_uvloop
async def test_forms_that_two_servers_may_understand_in_two_ways_are_refused(name: str) -> None:
    rest = REFUSED[name]
    octets = b"POST /x/body HTTP/1.1\r\n" + rest if rest is not None else b""
    if rest is None:
        octets = b"POST /x/body HTTP/1.0\r\n" + HEAD + CHUNKED + b"\r\n0\r\n\r\n"
    async with running() as site:
        client = await site.connect(octets + SMUGGLED)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert await client.end() == b""
        await site.serves()


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET http://mail.example.com/x/n HTTP/1.1", 200),
        (b"GET http://mail.example.com:80/x/n?a=b HTTP/1.1", 200),
        (b"GET ftp://mail.example.com/x/n HTTP/1.1", 400),
        (b"GET x/n HTTP/1.1", 400),
        (b"OPTIONS * HTTP/1.1", 200),
        (b"GET * HTTP/1.1", 400),
        (b"CONNECT mail.example.com:443 HTTP/1.1", 501),
        (b"GET /x/n HTTP/1.0", 200),
        (b"HEAD /x/n HTTP/1.1", 405),
        (b"GET /x/n HTTP/2.0", 505),
        (b"GET /x/n HTTP/0.9", 400),
        (b"GET /x/n", 400),
        (b"get /x/n HTTP/1.1", 400),
        (b"GET /x/\xc3\xa9 HTTP/1.1", 400),
        (b"GET /x/%6e HTTP/1.1", 200),
        (b"GET /x/n#there HTTP/1.1", 200),
        (b"PRI * HTTP/2.0", 400),
    ],
)
@on_uvloop
async def test_request_lines(line: bytes, status: int) -> None:
    async with running() as site:
        answer = await site.ask(line + b"\r\n" + HEAD + b"\r\n", method="HEAD")
        assert answer.status == status
        assert ("connection" in answer.headers) == (status not in (200, 405) or b"HTTP/1.0" in line)
        await site.serves()


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c", b"nonsense"])
@pytest.mark.parametrize("split", [True, False])
@on_uvloop
async def test_another_protocol_is_not_asked_for_twice(
    protocol: bytes, split: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Its body is a body, and no request that a proxy in front has not seen."""
    upgrade = HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + protocol + b"\r\nHTTP2-Settings: AA\r\n"
    length = b"Content-Length: %d\r\n\r\n" % len(SMUGGLED)
    chunks = CHUNKED + b"\r\n%x\r\n" % len(SMUGGLED)
    async with running() as site:
        client = await site.connect()
        for head, tail in ((length, b""), (chunks, b"\r\n0\r\n\r\n")):
            client.send(b"POST /x/body HTTP/1.1\r\n" + upgrade + head)
            if split:
                await client.writer.drain()
                await asyncio.sleep(0.02)
            client.send(SMUGGLED + tail)
            answer = json.loads((await client.answer()).body)
            assert (answer["octets"], answer["text"]) == (len(SMUGGLED), SMUGGLED.decode())
        client.send(b"GET /x/n HTTP/1.1\r\n" + upgrade + b"\r\n" + GET)
        assert [(await client.answer()).status for _ in range(2)] == [200, 200]
    assert not caplog.records


@on_uvloop
async def test_over_ipv6() -> None:
    listener = open_listener("::1", 0)
    async with running() as site:
        server = HttpServer(site.server.app, [listener], HttpConfig(max_connections_per_address=1))
        await server.start()
        client = Client(*await asyncio.open_connection("::1", listener.getsockname()[1]))
        client.send(GET)
        assert json.loads((await client.answer()).body)["client"] == "::1"
        client.close()
        await server.stop()
