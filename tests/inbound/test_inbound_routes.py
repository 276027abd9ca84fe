"""Mail that accounts receive: taken at RCPT, told to their applications, and nothing of it lost on the way."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from reception_world import eventually
from route_world import ANN, RouteWorld, form_of
from sqlalchemy import select, update

from ekiden.access.accounts import create_account, resume_account, suspend_account
from ekiden.core.clock import DAY, MINUTE, SECOND
from ekiden.core.ids import format_id, parse_id
from ekiden.inbound.inbound_domains import add_inbound_domain, remove_inbound_domain
from ekiden.inbound.received_queries import list_received, load_received
from ekiden.inbound.route_directory import RouteDirectory
from ekiden.lab.http import Callback, HttpRule
from ekiden.net.tls import CertificateFiles
from ekiden.notify.administration import list_dead, replay_event, replay_range, retry
from ekiden.store import tables as t
from ekiden.store.open import open_store
from ekiden.store.retention import RetentionConfig, prune

MAIL = b"From: a@example.net\r\nSubject: hello\r\n\r\nbody\r\n"


@pytest.fixture
async def world(sqlite_url: str, certificate_files: CertificateFiles) -> AsyncIterator[RouteWorld]:
    store = await open_store(sqlite_url)
    made = RouteWorld(store, certificate_files)
    await made.open()
    yield made
    await made.close()
    await store.close()


def field(name: str, value: str) -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\n'
    return (head + value).encode()


# ---- what an application gets

FULL = (
    b"Received: from x.example by y.example; Sat, 21 Nov 2026 00:00:00 +0000\r\n"
    b"Received: from w.example by x.example; Sat, 21 Nov 2026 00:00:00 +0000\r\n"
    b"From: =?UTF-8?B?5bGx55Sw?= <a@example.net>\r\n"
    b"To: someone@elsewhere.example\r\n"
    b"SUBJECT: =?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=\r\n folded\r\n"
    b"X-Twice: <1>\r\nX-Twice: 2\r\n"
    b"MIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n"
    b"--c\r\nContent-Type: text/plain; charset=Shift_JIS\r\n\r\n\x93\xfa\x96{\r\n\r\n--c\r\n"
    b"Content-Type: text/html; charset=UTF-8\r\n\r\n<p>\xe6\x97\xa5&amp;</p>\r\n\r\n--c--\r\n"
    b"--b\r\nContent-Type: image/png; name*=UTF-8''%E7%94%BB%E5%83%8F1.png\r\n"
    b"Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment\r\n\r\n"
    + base64.encodebytes(bytes(range(256))).replace(b"\n", b"\r\n")
    + b'--b\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename="a b.csv"\r\n\r\n'
    + b'x,"y"\r\n--b--\r\n'
)


def full_headers(request: Callback, id: str) -> list[dict[str, str]]:
    """As ``FULL`` has them, below those that were added; what these say is for the tests of reception."""
    headers: list[dict[str, str]] = (
        json.loads(request.body)["headers"]
        if request.field("content-type") == "application/json"
        else json.loads(next(part.data for part in form_of(request) if part.name == "headers"))
    )
    own = next(n for n, each in enumerate(headers) if "y.example" in each["value"])
    assert headers[0] == {"name": "Return-Path", "value": "<a@example.net>"}
    assert id in headers[own - 1 if headers[own - 1]["name"] == "Received" else 1]["value"]
    return [
        *headers[:own],
        {"name": "Received", "value": "from x.example by y.example; Sat, 21 Nov 2026 00:00:00 +0000"},
        {"name": "Received", "value": "from w.example by x.example; Sat, 21 Nov 2026 00:00:00 +0000"},
        {"name": "From", "value": "山田 <a@example.net>"},
        {"name": "To", "value": "someone@elsewhere.example"},
        {"name": "SUBJECT", "value": "日本 folded"},
        {"name": "X-Twice", "value": "<1>"},
        {"name": "X-Twice", "value": "2"},
        {"name": "MIME-Version", "value": "1.0"},
        {"name": "Content-Type", "value": 'multipart/mixed; boundary="b"'},
    ]


async def test_a_form_to_the_octet(world: RouteWorld) -> None:
    await world.route("受付", "To=^info@", path="/form", basic_user="u", password="pässword", api_key="K1")
    id = await world.send(FULL, "info@shop.example")
    async with world.telling():
        (request,) = await world.told("/form")
    boundary = request.field("content-type").removeprefix("multipart/form-data; boundary=")
    assert len(boundary) == 48
    headers = json.dumps(full_headers(request, id), ensure_ascii=False, separators=(",", ":"))
    file = 'Content-Disposition: form-data; name="attachment{}"; filename="{}"\r\nContent-Type: {}\r\n\r\n'
    expected = [
        field("api_key", "K1"),
        field("server_composition", "pro"),
        field("filter", "受付"),
        field("headers", headers.replace("<", "\\u003C").replace(">", "\\u003E")),
        field("subject", "日本 folded"),
        field("envelope-from", "a@example.net"),
        field("envelope-to", "info@shop.example"),
        field("text", "日本\r\n"),
        field("html", "<p>日&amp;</p>\r\n"),
        field("attachments", "2"),
        file.format(1, "=?UTF-8?B?55S75YOPMS5wbmc=?=", "image/png").encode() + bytes(range(256)),
        file.format(2, "a b.csv", "text/csv").encode() + b'x,"y"',
    ]
    delimiter = b"--" + boundary.encode()
    assert (
        request.body == b"".join(delimiter + b"\r\n" + part + b"\r\n" for part in expected) + delimiter + b"--\r\n"
    )
    assert request.method == "POST"
    assert [
        name.lower() for name, _ in request.fields if name.lower() in ("content-length", "transfer-encoding")
    ] == ["content-length"]
    assert request.field("host") == f"127.0.0.1:{world.http_port}"
    assert request.field("connection") == "Keep-Alive"
    assert request.field("accept-encoding") == "gzip, deflate"
    assert base64.b64decode(request.field("authorization").split()[1]).decode() == "u:pässword"


async def test_json_to_the_octet(world: RouteWorld) -> None:
    await world.route("json", "Subject=^日本", format="json", api_key="K1")
    await world.route("bearer", "Subject=^日本", format="json", api_key="K2", bearer=True)
    id = await world.send(FULL, "info@shop.example")
    async with world.telling():
        (request,) = await world.told("/json")
        (other,) = await world.told("/bearer")
    expected = {
        "filter": "json",
        "headers": full_headers(request, id),
        "api_key": "K1",
        "subject": "日本 folded",
        "envelope-to": "info@shop.example",
        "server_composition": "pro",
        "html": "<p>日&amp;</p>\r\n",
        "text": "日本\r\n",
        "envelope-from": "a@example.net",
    }
    assert request.body == json.dumps(expected, ensure_ascii=False, separators=(",", ":")).encode()
    assert request.field("content-type") == "application/json"
    assert other.field("authorization") == "Bearer K2"
    del expected["api_key"]
    assert json.loads(other.body) == expected | {"filter": "bearer"}


NAMED = "=?UTF-8?B?" + base64.b64encode("見積（最終）.pdf".encode()).decode() + "?="
SAMPLES: dict[str, tuple[bytes, dict[str, Any]]] = {
    "iso-2022-jp": (
        b"Subject: =?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=\r\nContent-Type: text/plain; charset=ISO-2022-JP\r\n\r\n"
        + "日本語の本文\r\n".encode("iso-2022-jp"),
        {"subject": "日本", "text": "日本語の本文\r\n"},
    ),
    "shift_jis": (
        b"Content-Type: text/plain; charset=Shift_JIS\r\n\r\n" + "①髙橋～\r\n".encode("cp932"),
        {"text": "①髙橋～\r\n"},
    ),
    "euc-jp": (
        b"Content-Type: text/plain; charset=EUC-JP\r\n\r\n" + "日本語\r\n".encode("euc-jp"),
        {"text": "日本語\r\n"},
    ),
    "gb18030": (
        b"Content-Type: text/plain; charset=GB18030\r\n\r\n" + "你好，世界𠀀\r\n".encode("gb18030"),
        {"text": "你好，世界𠀀\r\n"},
    ),
    "mislabelled": (
        "Subject: 請求書\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n日本語のテキスト\r\n".encode(),
        {"subject": "請求書", "text": "日本語のテキスト\r\n"},
    ),
    "mislabelled as latin": (
        b"Content-Type: text/plain; charset=iso-8859-1\r\n\r\n"
        + "これは日本語の本文です。\r\n".encode("shift_jis"),
        {"text": "これは日本語の本文です。\r\n"},
    ),
    "rfc 2231, in pieces": (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/pdf\r\n"
        b"Content-Disposition: attachment;\r\n filename*0*=UTF-8''%E8%A6%8B%E7%A9%8D%EF%BC%88%E6%9C%80;\r\n"
        b" filename*1*=%E7%B5%82%EF%BC%89;\r\n filename*2=.pdf\r\n\r\nPDF\r\n--b--\r\n",
        {"files": [(NAMED, "application/pdf", b"PDF")]},
    ),
    "encoded words in a name": (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/pdf\r\n"
        b'Content-Disposition: attachment; filename="=?ISO-2022-JP?B?'
        + base64.b64encode("見積（最終）".encode("iso-2022-jp"))
        + b'?=.pdf"\r\n\r\nPDF\r\n--b--\r\n',
        {"files": [(NAMED, "application/pdf", b"PDF")]},
    ),
    "raw octets in a name": (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/pdf\r\n"
        b'Content-Disposition: attachment; filename="' + "見積（最終）.pdf".encode() + b'"\r\n\r\nPDF\r\n--b--\r\n',
        {"files": [(NAMED, "application/pdf", b"PDF")]},
    ),
    "a name of many characters": (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n"
        b'Content-Disposition: attachment; filename="a\\"b.txt"\r\n\r\nx\r\n--b--\r\n',
        {"files": [("=?UTF-8?B?" + base64.b64encode(b'a"b.txt').decode() + "?=", "text/plain", b"x")]},
    ),
    "winmail.dat stays a file": (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/ms-tnef\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\neJ8+Ig==\r\n--b--\r\n",
        {"files": [("winmail.dat", "application/ms-tnef", b"\x78\x9f\x3e\x22")]},
    ),
    "a message within": (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
        b"Subject: inner\r\n\r\nx\r\n--b--\r\n",
        {"files": [("inner.eml", "message/rfc822", b"Subject: inner\r\n\r\nx")]},
    ),
    "no end of a multipart": (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nfirst\r\n--b\r\nContent-Type: image/gif\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nR0lG\r\n",
        {"text": "first", "files": [("image.gif", "image/gif", b"GIF")]},
    ),
    "an encoding that nobody knows": (
        b"Content-Transfer-Encoding: x-zip\r\n\r\n\x01\xff\r\n",
        {"files": [("attachment.txt", "text/plain", b"\x01\xff\r\n")]},
    ),
    "no body": (b"Subject: nothing\r\n\r\n", {"subject": "nothing", "text": ""}),
    "no header": (b"\r\njust text\r\n", {"text": "just text\r\n"}),
    "nothing": (b"", {"text": ""}),
    "html alone": (b"Content-Type: text/html\r\n\r\n<b>x</b>\r\n", {"html": "<b>x</b>\r\n"}),
    "half a base64": (
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n5pel5pys6Kqe5\r\n",
        {"text": "日本語"},
    ),
}


async def test_what_comes_out_is_what_was_put_in(world: RouteWorld) -> None:
    """Odd charsets, names of files, and broken MIME, in both forms."""
    await world.route("form", "To=.")
    await world.route("json", "To=.", format="json")
    for number, (content, _) in enumerate(SAMPLES.values()):
        await world.send(content, f"s{number}@shop.example")
    async with world.telling():
        forms, jsons = await world.told("/form", len(SAMPLES)), await world.told("/json", len(SAMPLES))
    for number, (name, (_, expected)) in enumerate(SAMPLES.items()):
        to = f"s{number}@shop.example"
        form = next(form for form in map(form_of, forms) if any(part.data == to.encode() for part in form))
        fields = {part.name: part for part in form}
        texts = {key: part.data.decode() for key, part in fields.items() if part.filename is None}
        files = [
            (part.filename, dict(part.headers)["Content-Type"], part.data)
            for part in form
            if part.filename is not None
        ]
        got = {key: texts[key] for key in ("subject", "text", "html") if texts.get(key) is not None}
        want = {"subject": "", **{key: value for key, value in expected.items() if key != "files"}}
        assert got == want, name
        assert files == expected.get("files", []), name
        assert texts["attachments"] == str(len(files)), name
        body = next(body for body in (json.loads(each.body) for each in jsons) if body["envelope-to"] == to)
        assert {key: body[key] for key in ("subject", "text", "html") if key in body} == want, name
        assert json.loads(texts["headers"]) == body["headers"], name


# ---- who is taken at RCPT


async def ask(world: RouteWorld, *recipients: str, sender: str = "a@example.net") -> list[str]:
    client = await world.client()
    await client.ask("EHLO x.example")
    found = []
    for recipient in recipients:
        await client.ask("RSET", f"MAIL FROM:<{sender}>")
        found.append((await client.ask(f"RCPT TO:<{recipient}>"))[:9])
    return found


async def test_who_is_taken(world: RouteWorld) -> None:
    now = world.clock.now()
    await world.route("both", r"To=^mail\+[0-9a-z]+@", "to=@shop\\.example$", "Subject=x")
    yes, no = "250 2.1.5", "550 5.1.1"
    tried = ("mail+x1@shop.example", "MAIL+x1@shop.example", "my.mail+x1@shop.example", "info@shop.example")
    assert await ask(world, *tried) == [yes, no, no, no]
    assert await ask(world, "mail+x1@SHOP.Example", "mail+x1@other.example") == [yes, no]
    # Whoever takes mail has to take this; it is read by who runs the installation.
    assert await ask(world, "Postmaster@shop.example", "abuse@shop.example") == [yes, no]
    assert await ask(world, "mail+x1@shop.example", sender="") == ["550 5.7.1"]

    await world.route("any", "From=.")
    assert await ask(world, "whoever@shop.example") == [yes]
    await suspend_account(world.store, "acme", now)
    await world.directory.look()
    assert await ask(world, "whoever@shop.example") == ["450 4.2.1"]
    await resume_account(world.store, "acme", now)
    await remove_inbound_domain(world.store, world.account, "shop.example", now)
    await world.directory.look()
    assert await ask(world, "whoever@shop.example") == [no]


async def test_before_anything_is_known_nobody_is_refused_for_good(
    sqlite_url: str, certificate_files: CertificateFiles
) -> None:
    store = await open_store(sqlite_url)
    world = RouteWorld(store, certificate_files)
    await world.start()
    try:
        assert await ask(world, "info@shop.example") == ["451 4.3.0"]
        await world.directory.look()
        assert await ask(world, "info@shop.example") == ["550 5.1.1"]
    finally:
        await world.close()
        await store.close()


async def test_a_pattern_that_takes_long_is_left_to_who_reads(world: RouteWorld) -> None:
    await world.route("slow", r"To=^(\p{L}|\d)[^@]*x{200}@")
    slow = f"{'1' * 230}@shop.example"
    assert await ask(world, slow, "1@shop.example") == ["250 2.1.5", "550 5.1.1"]
    await world.send(MAIL, slow)
    (row,) = await world.read_mails()
    assert json.loads(row.told) == {"recipients": [{"number": 1, "recipient": slow, "routes": []}]}


# ---- which routes fire


async def test_every_route_and_every_recipient_by_itself(world: RouteWorld) -> None:
    await world.route("info", "To=^info@")
    await world.route("all", "SUBJECT=^hel+o$")
    await world.route("case", "Subject=HELLO")
    await world.route("any case", "Subject=(?i)HELLO", path="/any-case")
    await world.route("two", "Subject=hello", "From=example\\.org")
    await world.route("saved only", "To=.", path="/saved", apply=False)
    id = await world.send(MAIL, "info@shop.example", "x@shop.example")
    async with world.telling():
        await world.told("/all", 2)
        await world.told("/any-case", 2)
        (one,) = await world.told("/info")
        await eventually(lambda: not world.memory.used)
    both = {form["envelope-to"] for form in map(values, world.receiver.find("/all"))}
    assert both == {"info@shop.example", "x@shop.example"}
    assert values(one)["filter"] == "info"
    assert not world.receiver.find("/case") + world.receiver.find("/two") + world.receiver.find("/saved")
    assert await world.notices() == []
    trace = await load_received(world.store, parse_id(id))
    assert trace is not None
    assert trace.has_content
    assert [(item.number, item.recipient, item.route, item.state) for item in trace.notices] == [
        (1, "info@shop.example", "all", "told"),
        (1, "info@shop.example", "any case", "told"),
        (1, "info@shop.example", "info", "told"),
        (2, "x@shop.example", "all", "told"),
        (2, "x@shop.example", "any case", "told"),
    ]
    assert [(request.status, request.answer) for request in trace.notices[0].requests] == [(200, "")]


def values(request: Callback) -> dict[str, str]:
    return {part.name: part.text or "" for part in form_of(request)}


async def test_what_no_route_takes_is_kept_and_told_so(world: RouteWorld) -> None:
    await world.route("order", "To=^info@", "Subject=^Order")
    await world.send(MAIL)
    (row,) = await world.read_mails()
    told = {"recipients": [{"number": 1, "recipient": "info@shop.example", "routes": []}]}
    assert (json.loads(row.told), await world.notices()) == (told, [])
    assert [item.told for item in await list_received(world.store, world.account)] == [told]
    assert await list_received(world.store, 0) == []


async def test_another_worker_knows_what_the_first_one_knew(world: RouteWorld) -> None:
    """Mail that nobody reads is claimed by whoever has not heard of its route yet."""
    await world.reader.drain(2)
    await world.route("info", "To=^info@")
    await world.send(MAIL)
    stale = RouteWorld(world.store, world._files)
    stale.clock = world.clock
    await stale.start()
    async with world.store.write() as connection:
        await connection.execute(update(t.inbound_mail).values(owner=None))
    try:
        (row,) = await stale.read_mails()
        assert json.loads(row.told)["recipients"][0]["routes"] == ["info"]
    finally:
        await stale.close()


async def test_a_route_that_went_meanwhile(world: RouteWorld) -> None:
    await world.reader.drain(2)
    await world.route("info", "To=^info@")
    await world.send(MAIL)
    await remove_inbound_domain(world.store, world.account, "shop.example", world.clock.now())
    other = RouteWorld(world.store, world._files)
    await other.start()
    async with world.store.write() as connection:
        await connection.execute(update(t.inbound_mail).values(owner=None))
    try:
        (row,) = await other.read_mails()
        assert (row.told, await world.notices()) == ('{"unclaimed":true}', [])
    finally:
        await other.close()


# ---- what is told again, and when it is given up


async def test_a_receiver_that_is_down_gets_it_afterwards(world: RouteWorld) -> None:
    await world.route("info", "To=^info@", retry_interval=60, retry_days=1)
    world.receiver.put("/info", [HttpRule(disconnect="close", times=3)])
    await world.send(MAIL)
    async with world.telling() as outbox:
        await world.told("/info", 1)
        for count in (2, 3, 4):
            await eventually_retried(world)
            world.clock.advance(59 * SECOND)
            outbox.wake()
            assert not await world.receiver.wait("/info", count, 0.05)
            world.clock.advance(SECOND)
            outbox.wake()
            await world.told("/info", count)
        await no_notices(world)
    assert [request.status for request in world.receiver.find("/info")] == [0, 0, 0, 200]


async def eventually_retried(world: RouteWorld) -> None:
    """The result of the last request is written."""

    async def count() -> int:
        async with world.store.read() as connection:
            return len((await connection.execute(select(t.callback))).all())

    while await count() < world.receiver.received:
        pass


async def no_notices(world: RouteWorld) -> None:
    while await world.notices():
        pass


@pytest.mark.parametrize("status", [503, 500, 400])
async def test_it_is_given_up_after_the_period_and_told_when_asked(world: RouteWorld, status: int) -> None:
    await world.route("info", "To=^info@", retry_interval=600, retry_days=1)
    world.receiver.put("/info", [HttpRule(status=status)])
    id = await world.send(MAIL)
    async with world.telling() as outbox:
        for count in (1, 2, 3):
            await world.told("/info", count)
            await eventually_retried(world)
            if count == 3:
                async with world.store.write() as connection:  # the rest of the day
                    await connection.execute(update(t.notice).values(attempts=144, due_at=t.notice.c.due_at - DAY))
                    failing = t.endpoint.c.failing_since
                    await connection.execute(update(t.endpoint).values(failing_since=failing - DAY))
            world.clock.advance(600 * SECOND)
            outbox.wake()
        await world.told("/info", 4)
        while [notice.dead_at for notice in await world.notices()] == [None]:
            pass
        (dead,) = await list_dead(world.store)
        assert format_id(dead.message_id) == id
        trace = await load_received(world.store, parse_id(id))
        assert trace is not None
        assert (trace.notices[0].state, trace.notices[0].requests[-1].status) == ("dead", status)

        # A month later the content is still there, and so it can be told.
        world.receiver.put("/info", [])
        await prune(world.store, world.clock.now() + 29 * DAY, RetentionConfig())
        await retry(world.store, [dead.endpoint_id], world.clock.now())
        outbox.wake()
        await world.told("/info", 5)
        await no_notices(world)
    assert values(world.receiver.find("/info")[-1])["text"] == "body\r\n"


async def test_one_mail_that_an_application_fails_at_holds_up_no_other(world: RouteWorld) -> None:
    await world.route("info", "To=^info@", retry_interval=60)
    world.receiver.put("/info", [HttpRule(status=500, times=1)])
    first = await world.send(MAIL)
    async with world.telling() as outbox:
        await world.told("/info", 1)
        await eventually_retried(world)
        await world.send(MAIL)
        await world.told("/info", 2)
        await eventually_retried(world)
        (left,) = await world.notices()
        assert (format_id(left.message_id), left.attempts) == (first, 1)
        world.clock.advance(60 * SECOND)
        outbox.wake()
        await world.told("/info", 3)
        await no_notices(world)


async def test_paused_it_waits_resumed_it_goes_removed_it_is_gone(world: RouteWorld) -> None:
    await world.route("info", "To=^info@")
    await world.settings.pause_inbound(world.account, "info", paused=True, actor=ANN)
    await world.apply()
    id = await world.send(MAIL)
    await world.read_mails()
    async with world.telling() as outbox:
        outbox.wake()
        assert not await world.receiver.wait("/info", 1, 0.2)
        trace = await load_received(world.store, parse_id(id))
        assert trace is not None
        assert trace.notices[0].state == "paused"
        # However long: neither what it tells nor its content goes.
        await prune(world.store, world.clock.now() + 400 * DAY, RetentionConfig())
        await world.settings.pause_inbound(world.account, "info", paused=False, actor=ANN)
        await world.apply()
        outbox.wake()
        await world.told("/info", 1)
        await no_notices(world)

        await world.settings.pause_inbound(world.account, "info", paused=True, actor=ANN)
        await world.apply()
        id = await world.send(MAIL)
        await world.read_mails()
        await world.settings._staged.remove(world.account, "inbound", "info", actor=ANN)
        assert len(await world.notices()) == 1
        await world.apply()
        outbox.wake()
        await no_notices(world)
    assert len(world.receiver.find("/info")) == 1
    trace = await load_received(world.store, parse_id(id))
    assert trace is not None
    assert trace.notices[0].state == "gone"


async def test_how_long_what_came_in_is_kept(world: RouteWorld) -> None:
    await world.route("info", "To=^info@")
    await world.send(MAIL)
    await world.send(MAIL, sender="b@example.net")
    async with world.telling():
        await world.told("/info", 2)
        await no_notices(world)
    now = world.clock.now()

    async def counts() -> list[int]:
        async with world.store.read() as connection:
            tables = t.content, t.event, t.inbound_mail
            return [len((await connection.execute(select(table))).all()) for table in tables]

    await prune(world.store, now + 7 * DAY - MINUTE, RetentionConfig())
    assert await counts() == [2, 2, 2]
    await prune(world.store, now + 7 * DAY + MINUTE, RetentionConfig())
    assert await counts() == [0, 2, 2]
    await prune(world.store, now + 30 * DAY + MINUTE, RetentionConfig())
    assert await counts() == [0, 0, 0]


async def test_told_once_more(world: RouteWorld) -> None:
    await world.route("info", "To=^info@")
    await world.route("other", "To=^info@")
    id = await world.send(MAIL)
    now = world.clock.now()
    async with world.telling() as outbox:
        await world.told("/info", 1)
        await world.told("/other", 1)
        await no_notices(world)
        trace = await load_received(world.store, parse_id(id))
        assert trace is not None
        first = trace.notices[0]
        assert await replay_event(world.store, first.event_id, now, endpoint_id=first.endpoint_id) == 1
        outbox.wake()
        await world.told("/info", 2)
        await no_notices(world)
        assert (
            await replay_range(world.store, first.endpoint_id, now - MINUTE, now + MINUTE, now, dry_run=True) == 1
        )
        assert await replay_range(world.store, first.endpoint_id, now - MINUTE, now + MINUTE, now) == 1
        assert await replay_range(world.store, first.endpoint_id, now + MINUTE, now + DAY, now) == 0
        outbox.wake()
        await world.told("/info", 3)
        # Without its content there is nothing to tell.
        await no_notices(world)
        async with world.store.write() as connection:
            await connection.execute(t.content.delete())
        assert await replay_event(world.store, first.event_id, now) == 2
        outbox.wake()
        while [notice.dead_at is None for notice in await world.notices()] != [False, False]:
            pass
    assert len(world.receiver.find("/info")) == 3
    trace = await load_received(world.store, parse_id(id))
    assert trace is not None
    assert trace.notices[0].requests[-1].words() == "the content of the message is gone from the store"


# ---- bounds


async def test_two_accounts_and_many_routes(world: RouteWorld) -> None:
    """A look is a query; what an account has is read when something of it has changed."""
    now = world.clock.now()
    other = (await create_account(world.store, "other", now)).id
    await add_inbound_domain(world.store, other, "other.example", now)
    for number in range(100):
        await world.route(f"r{number}", f"To=^n{number}@", account=other, apply=False)
    with pytest.raises(Exception, match="at most 100"):
        await world.route("more", "To=.", account=other, apply=False)
    assert await ask(world, "n99@other.example") == ["550 5.1.1"]
    await world.apply(other)
    assert await ask(world, "n99@other.example", "n100@other.example") == ["250 2.1.5", "550 5.1.1"]
    seen = world.directory._mark
    await world.directory.look()
    assert world.directory._mark is seen
    assert [route.name for route in world.directory.routes(world.account)] == []
    fresh = RouteDirectory(world.store)
    await fresh.look()
    assert len(fresh.routes(other)) == 100


async def test_large_mails_go_one_after_the_other(world: RouteWorld) -> None:
    """25 MB each; the budget of the worker has room for one of them."""
    await world.route("info", "To=^info@")
    file = bytes(range(256)) * 72_000
    content = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/zip\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(file).replace(b"\n", b"\r\n")
        + b"--b--\r\n"
    )
    assert len(content) > 25_000_000
    for _ in range(2):
        await world.send(content)
        await world.read_mails()
        await eventually(lambda: not world.memory.used)
    world.memory.restart_peak()
    async with world.telling():
        both = await world.told("/info", 2)
        await no_notices(world)
        await eventually(lambda: not world.memory.used)
    assert all(form_of(request)[-1].data == file for request in both)
    assert world.memory.restart_peak() <= 2 * len(content) + 1_000


async def test_a_hundred_thousand_parts_within_parts(world: RouteWorld) -> None:
    await world.route("info", "Subject=bomb")
    bomb = b"Subject: bomb\r\n" + b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(100_000)
    )
    await world.send(bomb)
    async with world.telling():
        (request,) = await world.told("/info")
    form = form_of(request)
    assert [part.data for part in form if part.name == "attachments"] == [b"1"]
    assert len(form[-1].data) > 1_000_000
