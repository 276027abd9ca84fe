"""Forms as real clients send them, over a socket, and as broken ones do."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from infobip_probe import Probe, probing

from ekiden.dialects.infobip.blocked_files import blocked_extension
from ekiden.dialects.infobip.form_reader import MAX_FILES_SIZE, MAX_REQUEST, MAX_TEXT, field_name

BOUNDARY = "60f8fdd2cfba7ad5016ba25529a66409"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
URLENCODED = "application/x-www-form-urlencoded"


@pytest.fixture
async def probe() -> AsyncIterator[Probe]:
    async with probing() as running:
        yield running


def part(name: str, value: bytes | str = b"", more: str = "", headers: str = "") -> bytes:
    data = value if isinstance(value, bytes) else value.encode()
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n{headers}\r\n'
    return head.encode() + data + b"\r\n"


def file(
    name: str = "a.txt", value: bytes = b"hello", field: str = "attachment", type_: str = "text/plain"
) -> bytes:
    return part(field, value, f'; filename="{name}"', f"Content-Type: {type_}\r\n")


END = f"--{BOUNDARY}--\r\n".encode()


async def send(probe: Probe, body: bytes, content_type: str = MULTIPART) -> Any:
    reply = await probe.client.post("/form", content=body, headers={"Content-Type": content_type})
    assert reply.status_code in (200, 400), reply.text
    return reply.json()


async def refused(probe: Probe, body: bytes, content_type: str = MULTIPART) -> dict[str, list[str]]:
    found = await send(probe, body, content_type)
    exception = found["requestError"]["serviceException"]
    assert (exception["messageId"], exception["text"]) == ("BAD_REQUEST", "Bad request")
    errors: dict[str, list[str]] = exception["validationErrors"]
    return errors


async def test_the_form_of_an_official_client(probe: Probe) -> None:
    """As captured in the contract, §8: no types of texts, UTF-8, a file under the name of its field."""
    body = b"".join(
        [
            part("from", "Jane <jane@x.test>"),
            part("to", "john@x.test"),
            part("to", '{"to": "alice@x.test", "placeholders": {"name": "Alice"}}'),
            part("subject", "S {{ph1}} 日本"),
            part("intermediateReport", "True"),
            file(),
            file("attachment", b"\x00\r\n--\xff", type_="application/octet-stream"),
            file("logo.png", b"png", "inlineImage", "image/png"),
            END,
        ]
    )
    found = await send(probe, body)
    assert found["texts"] == {
        "from": ["Jane <jane@x.test>"],
        "to": ["john@x.test", '{"to": "alice@x.test", "placeholders": {"name": "Alice"}}'],
        "subject": ["S {{ph1}} 日本"],
        "intermediatereport": ["True"],
    }
    octets = "application/octet-stream"
    assert [tuple(uploaded.values()) for uploaded in found["files"]] == [
        ("attachment", "a.txt", "text/plain", 5, "hello"),
        ("attachment", "attachment", octets, 6, "\x00\r\n--\xff"),
        ("inlineimage", "logo.png", "image/png", 3, "png"),
    ]


@pytest.mark.parametrize("name", ["to", "TO", "to[]", "to[0]", "to['0']", 'to["0"]', "To[12]", " to "])
def test_names_of_lists(name: str) -> None:
    assert field_name(name) == "to"


async def test_names_of_other_generations(probe: Probe) -> None:
    names = ("HTML", "replyto", "to['0']", "to['1']", "preserverecipients")
    found = await send(probe, b"".join(part(name, name) for name in names) + END)
    assert found["texts"] == {
        "html": ["HTML"],
        "replyto": ["replyto"],
        "to": ["to['0']", "to['1']"],
        "preserverecipients": ["preserverecipients"],
    }


async def test_a_text_from_a_file_is_a_text(probe: Probe) -> None:
    found = await send(probe, file("mail.html", b"<p>Hi</p>", "html", "text/html") + END)
    assert found == {"texts": {"html": ["<p>Hi</p>"]}, "files": []}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ('; filename="報告書.pdf"', "報告書.pdf"),
        ("; filename*=UTF-8''%E5%A0%B1%E5%91%8A%E6%9B%B8.pdf", "報告書.pdf"),
        ('; filename="=?utf-8?B?5aCx5ZGK5pu4LnBkZg==?="', "報告書.pdf"),
        ('; filename="C:\\\\Users\\\\me\\\\a.pdf"', "a.pdf"),
        ('; filename="../../etc/a.pdf"', "a.pdf"),
        ("; filename=a.pdf", "a.pdf"),
        ('; filename="a%22b.pdf"', 'a"b.pdf'),
    ],
)
async def test_names_of_files(probe: Probe, given: str, wanted: str) -> None:
    found = await send(probe, part("attachment", b"x", given) + END)
    assert [(of["filename"], of["content_type"]) for of in found["files"]] == [(wanted, "application/octet-stream")]


async def test_texts_in_other_charsets(probe: Probe) -> None:
    for charset, codec in (("Shift_JIS", "cp932"), ("windows-31J", "cp932"), ("ISO-8859-1", "latin-1")):
        text = "café" if codec == "latin-1" else "髙①"
        body = part("text", text.encode(codec), headers=f"Content-Type: text/plain; charset={charset}\r\n")
        assert (await send(probe, body + END))["texts"] == {"text": [text]}
    for charset in ("punycode", "idna", "rot13", "base64", "x" * 99, "utf-7"):
        body = part("text", b"x", headers=f"Content-Type: text/plain; charset={charset}\r\n")
        assert list(await refused(probe, body + END)) == ["text"]


async def test_urlencoded(probe: Probe) -> None:
    found = await send(probe, b"to=a%40x.test&to=b%40x.test&Subject=%E6%97%A5+%E6%9C%AC&text=", URLENCODED)
    assert found == {
        "texts": {"to": ["a@x.test", "b@x.test"], "subject": ["日 本"], "text": [""]},
        "files": [],
    }
    assert await send(probe, b"", URLENCODED) == {"texts": {}, "files": []}
    for body in (b"to", b"\xff=x", b"&".join([b"to=x"] * 12_001)):
        assert list(await refused(probe, body, URLENCODED)) == ["request"]
    assert list(await refused(probe, b"to=%ff", URLENCODED)) == ["to"]


async def test_an_empty_form(probe: Probe) -> None:
    assert await send(probe, END) == {"texts": {}, "files": []}


ONE = part("to", "a@x.test")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        ONE,
        ONE + END[:-5],
        ONE[:-10],
        ONE[:40],
        b"to=a@x.test",
        ONE.replace(b"\r\n", b"\n") + END,
        b"x" + ONE + END,
        ONE.replace(b"form-data", b"attachment") + END,
        f"--{BOUNDARY}\r\n\r\nx\r\n".encode() + END,
        f"--{BOUNDARY}\r\nX-Long: {'x' * 5_000}\r\n\r\nx\r\n".encode() + END,
        f"--{BOUNDARY}\r\n".encode() + b"X-Y: z\r\n" * 9 + b"\r\nx\r\n" + END,
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=x\xff\r\n\r\nx\r\n".encode("latin-1") + END,
        file("a.txt", b"x" * 300_000)[:-2],
    ],
)
async def test_broken_multipart(probe: Probe, body: bytes) -> None:
    (sentence,) = (await refused(probe, body))["request"]
    assert sentence.startswith("the body is not a form as its Content-Type says: ")


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "multipart/mixed; boundary=x", "", "multipart/form-data"]
)
async def test_no_form_at_all(probe: Probe, content_type: str) -> None:
    assert list(await refused(probe, ONE + END, content_type)) == ["request"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (part("", "x"), "request"),
        (part("attachment", "x"), "attachment"),
        (file(""), "attachment"),
        (file("a.EXE"), "attachment"),
        (file("a.txt.scr. "), "attachment"),
        (file("a%0D%0AX-Y: z.txt"), "attachment"),
        (file("a\tb.txt"), "attachment"),
        (file("x" * 256), "attachment"),
        (file("a.js", field="inlineImage"), "inlineImage"),
        (part("text", "eA==", headers="Content-Transfer-Encoding: base64\r\n"), "text"),
        (part("text", b"\xff\xfe"), "text"),
        (file() * 21, "attachment"),
    ],
)
async def test_parts_that_cannot_be(probe: Probe, body: bytes, field: str) -> None:
    assert list(await refused(probe, body + END)) == [field]


async def test_encodings_that_change_nothing(probe: Probe) -> None:
    body = part(
        "text", "é", headers="Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    )
    assert (await send(probe, body + END))["texts"] == {"text": ["é"]}


async def test_what_is_too_large(probe: Probe) -> None:
    assert list(await refused(probe, part("html", b"x" * (MAX_TEXT + 1)) + END)) == ["html"]
    half = MAX_FILES_SIZE // 2
    assert list(await refused(probe, file("a", b"x" * half) + file("b", b"x" * (half + 1)) + END)) == ["attachment"]
    assert list(await refused(probe, part("text", b"x" * 9_000_000) * 3 + b"x" * MAX_REQUEST)) == ["request"]


async def test_ten_thousand_recipients_are_read(probe: Probe) -> None:
    found = await send(probe, b"".join(part("to", f"r{n}@x.test") for n in range(10_000)) + END)
    assert len(found["texts"]["to"]) == 10_000
    assert list(await refused(probe, ONE * 12_001 + END)) == ["request"]


async def test_what_comes_behind_the_end_does_not_matter(probe: Probe) -> None:
    assert (await send(probe, ONE + END + b"epilogue\r\n"))["texts"] == {"to": ["a@x.test"]}


async def test_a_form_in_small_pieces(probe: Probe) -> None:
    body = ONE + file("a.bin", b"\r\n--" * 500) + END

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 7):
            yield body[at : at + 7]

    reply = await probe.client.post("/form", content=pieces(), headers={"Content-Type": MULTIPART})
    assert reply.json()["texts"] == {"to": ["a@x.test"]}
    assert reply.json()["files"][0]["size"] == 2_000


async def test_a_client_that_goes_away_leaves_the_server_alive(probe: Probe) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", probe.port)
    writer.write(
        f"POST /form HTTP/1.1\r\nHost: x\r\nContent-Type: {MULTIPART}\r\nContent-Length: 999999\r\n\r\n".encode()
        + file("a.txt", b"x" * 300_000)
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await send(probe, ONE + END))["texts"] == {"to": ["a@x.test"]}


async def test_large_files_cost_little_memory(probe: Probe) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield file("big.bin", b"", type_="application/octet-stream")[:-2]
        for _ in range(320):
            yield b"x" * 65_536
        yield b"\r\n" + END

    tracemalloc.start()
    try:
        reply = await probe.client.post("/form", content=pieces(), headers={"Content-Type": MULTIPART})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reply.json()["files"][0]["size"] == 320 * 65_536
    assert peak < 12_000_000


def test_blocked_extensions_are_the_contracts() -> None:
    contract = (
        "ade adp apk appx appxbundle bat cab chm cmd com cpl dll dmg ex ex_ exe hta ins isp iso jar js jse lib lnk "
        "mde msc msi msix msixbundle msp mst nsh pif ps1 scr sct shb sys vb vbe vbs vxd wsc wsf wsh"
    )
    for extension in contract.split():
        assert blocked_extension(f"a.{extension}") == blocked_extension(f"A.B.{extension.upper()}.") == extension
    for name in ("exe", "a.txt", "exe.txt", "a.exe.zip", "a"):
        assert blocked_extension(name) == ""


WRITTEN_AS_A_PROGRAM = (
    "a.exe::$DATA",
    "a.exe:stream",
    "a.txt:b.exe",
    "a.exe:",
    "a.exe;1",
    "a.exe. . .",
    "a.exe\u00a0\u3000.",
    "a.exe\u200b",
    "a.e\u00adxe",
    "a.\u202eexe",
    "invoice\u202efdp.exe",
    "a．ｅｘｅ",
    "a\u2024exe",
    "a.exé",
    "a.e日xe",
    "a.exe\0.txt",
    "a.ex\0e",
    'a.ex"e',
    "a.exe?",
    "a.<exe>",
    "a.exe/",
    "a.exe/. .",
    "dir\\a.exe\\",
    "=?utf-8?B?YS5leGU=?=",
    "=?utf-8?Q?a=2Eexe?=",
    "a.pdf.exe",
    ".exe",
    "CON.exe",
    "a.EXE",
    "a.ﬁx.eXe",
)


@pytest.mark.parametrize("name", WRITTEN_AS_A_PROGRAM)
def test_the_name_that_a_receiver_writes_decides(name: str) -> None:
    assert blocked_extension(name) in ("exe", "ex")


@pytest.mark.parametrize(
    "name", ["報告書：第1版.pdf", "a b.c.txt", "re: offer.pdf", "naïve.docx", "..", "", "con.txt"]
)
def test_other_names_stay(name: str) -> None:
    assert blocked_extension(name) == ""


def test_brackets_in_a_name_do_not_cost_the_square_of_them() -> None:
    began = time.process_time()
    assert field_name("[" * 200_000) == "[" * 200_000
    assert field_name("TO" + "[" * 200_000 + "]") == "to"
    assert field_name("a[1][2]") == "a[1]"
    assert field_name("a]") == "a]"
    assert time.process_time() - began < 5  # it was minutes
