"""Hostile clients and servers against a running platform: a correct reply or a close, and nobody else notices.

After each test the same workers live, are ready, and carry a message; in the end the log has no trouble in it.
"""

from __future__ import annotations

import base64
import os
import re
import ssl
import urllib.request
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hostile_peers import REPLIES, USUAL, RawClient, RawServer, Script, Stage
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ekiden.lab.catalogue import CATALOGUE
from support.demo_process import Demo, wait_for

ENVIRONMENT = {
    "EKIDEN_SMTP__COMMAND_TIMEOUT": "2s",
    "EKIDEN_SMTP__TLS_TIMEOUT": "2s",
    "EKIDEN_SMTP__DATA_TIMEOUT": "5s",
    "EKIDEN_SMTP__MAX_SIZE": "2000000",
    "EKIDEN_SMTP__MAX_CONNECTIONS_PER_ADDRESS": "1000",
    "EKIDEN_ACCESS__ADDRESS_DELAY_AFTER": "10000",
    "EKIDEN_ACCESS__ADDRESS_LIMIT": "10000",
    "EKIDEN_DELIVERY__RETRY": "2s,1h",
    "EKIDEN_DELIVERY__CONNECT_TIMEOUT": "1s",
    "EKIDEN_DELIVERY__GREETING_TIMEOUT": "1500ms",
    "EKIDEN_DELIVERY__COMMAND_TIMEOUT": "1500ms",
    "EKIDEN_DELIVERY__DATA_TIMEOUT": "1500ms",
    "EKIDEN_DELIVERY__TLS_TIMEOUT": "1500ms",
    "EKIDEN_DELIVERY__REPLY_TIMEOUT": "3s",
}
MESSAGE = b"From: <me@demo.lab.test>\r\nSubject: still here\r\n\r\nHello\r\n"
MEBIBYTE = 1 << 20

quietly = partial(
    settings,
    database=None,
)


@pytest.fixture(scope="module")
def attacked() -> Iterator[Demo]:
    running = Demo("--workers", "2", environment=ENVIRONMENT)
    try:
        yield running
        log = Path(running.facts["log"]).read_text("utf-8")
        trouble = running.trouble()
    finally:
        assert running.stop() == 0
    assert trouble == []
    assert "Traceback" not in log


@pytest.fixture(autouse=True)
def unharmed(attacked: Demo) -> Iterator[None]:
    """The same workers before and after, ready, and a message goes through."""
    workers = attacked.workers()
    assert len(workers) == 2
    yield
    assert attacked.workers() == workers
    with urllib.request.urlopen(attacked.facts["http"] + "/readyz", timeout=30) as response:
        assert response.status == 200
    recipient = f"{uuid.uuid4().hex}@accept.lab.test"
    for door in ("starttls", "tls"):
        with attacked.login(attacked.connect(door)) as client:
            attacked.send(client, [recipient], MESSAGE)
    assert len(attacked.mail(recipient, count=2)) == 2


def door(demo: Demo, name: str) -> tuple[str, int]:
    host, port = demo.facts["smtp"][name]
    return host, port


def logged_in(demo: Demo) -> RawClient:
    client = RawClient(door(demo, "tls"), demo.context)
    client.reply()
    account = demo.account
    initial = base64.b64encode(f"\0{account['username']}\0{account['password']}".encode())
    client.send(b"EHLO client.example.com\r\n")
    client.reply()
    client.send(b"AUTH PLAIN " + initial + b"\r\n")
    assert client.reply().startswith(b"235 ")
    return client


# ---- clients

COMMANDS = (
    b"EHLO client.example.com",
    b"ehlo x",
    b"HELO x",
    b"EHLO",
    b"MAIL FROM:<me@demo.lab.test>",
    b"MAIL FROM:<me@demo.lab.test> SIZE=99999999999 BODY=BINARYMIME",
    b"MAIL FROM:<" + b"a" * 300 + b"@b> ENVID=" + b"+00" * 50,
    b"mail from: me@demo.lab.test",
    b"RCPT TO:<hostile@accept.lab.test> NOTIFY=NEVER",
    b"RCPT TO:<>",
    b"RCPT TO:<@a,@b:c@accept.lab.test>",
    b"RCPT TO:<\xe3\x81\x82@accept.lab.test>",
    b"DATA",
    b"BDAT 10",
    b"BDAT 3 LAST",
    b"BDAT 99999999999999999999 LAST",
    b"BDAT -1",
    b"AUTH PLAIN",
    b"AUTH LOGIN AAAA",
    b"AUTH PLAIN " + b"A" * 9000,
    b"*",
    b".",
    b"RSET",
    b"NOOP " + b"x" * 400,
    b"HELP BDAT",
    b"VRFY root",
    b"EXPN all",
    b"STARTTLS now",
    b"GARBAGE \x00\xff",
    b"",
)
LINE_ENDS = (b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n", b"\0\r\n")


@st.composite
def conversations(draw: st.DrawFn) -> bytes:
    """Commands in any order, with any line ends, and octets in between."""
    lines = st.tuples(st.sampled_from(COMMANDS), st.sampled_from(LINE_ENDS)).map(b"".join)
    return b"".join(draw(st.lists(st.one_of(lines, lines, lines, st.binary(max_size=80)), max_size=25)))


def assert_replies(received: bytes) -> None:
    assert REPLIES.fullmatch(received), received
    assert received.startswith((b"220 ", b"421 ")), received


@quietly(max_examples=150)
@given(said=conversations())
def test_any_conversation_in_clear(attacked: Demo, said: bytes) -> None:
    with RawClient(door(attacked, "starttls")) as client:
        client.send(said)
        client.half_close()
        assert_replies(client.rest())


@quietly(max_examples=100)
@given(said=conversations())
def test_any_conversation_after_login(attacked: Demo, said: bytes) -> None:
    with logged_in(attacked) as client:
        client.send(said + b"\r\n.\r\nRSET\r\nQUIT\r\n")
        if b"BDAT" in said or b"*" in said:
            # It may be waiting for more octets of a chunk.
            client.read()
        else:
            client.rest()
        client.socket.close()
        assert re.match(rb"220 ", client.received)
        lines = client.received.split(b"\r\n")
        assert all(re.match(rb"[2-5][0-9]{2}[ -]", line) for line in lines[:-1]), client.received


@quietly(max_examples=60)
@given(said=st.binary(min_size=1, max_size=300))
def test_garbage_in_place_of_a_handshake(attacked: Demo, said: bytes) -> None:
    with RawClient(door(attacked, "tls")) as client:
        client.send(said)
        client.half_close()
        answer = client.rest()
        # A TLS alert at most; never a word of SMTP.
        assert answer == b"" or answer[:1] == b"\x15", answer
    with RawClient(door(attacked, "starttls")) as client:
        client.reply()
        client.send(b"EHLO x\r\n")
        client.reply()
        client.send(b"STARTTLS\r\n")
        assert client.reply().startswith(b"220 ")
        before = len(client.received)
        client.send(said)
        client.half_close()
        answer = client.rest()[before:]
        assert answer == b"" or answer[:1] == b"\x15", answer


def test_garbage_after_the_handshake(attacked: Demo) -> None:
    for garbage in (b"\x17\x03\x03\x00\x20" + os.urandom(32), b"EHLO in clear\r\n", b"\x80" * 20_000):
        with (
            RawClient(door(attacked, "tls")) as client,
            os.fdopen(os.dup(client.socket.fileno()), "wb", buffering=0) as wire,
        ):
            client.start_tls(attacked.context)
            client.reply()
            wire.write(garbage)
            client.rest()


def test_handshakes_that_stop_in_the_middle(attacked: Demo) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    machine = attacked.context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        machine.do_handshake()
    hello = outgoing.read()
    waiting = []
    for cut in range(0, len(hello), max(1, len(hello) // 40)):
        client = RawClient(door(attacked, "tls"))
        client.send(hello[:cut])
        if cut % 2:
            client.reset()
        else:
            waiting.append(client)
    for client in waiting:
        with client:
            assert b"220" not in client.rest()


def test_clients_that_say_nothing(attacked: Demo) -> None:
    """They hold nobody up, and are sent away when their time is over."""
    silent = [RawClient(door(attacked, "starttls")) for _ in range(60)]
    half = [RawClient(door(attacked, "starttls")) for _ in range(20)]
    for client in half:
        client.send(b"EHLO half a com")
    with attacked.login(attacked.connect()) as client:
        attacked.send(client, ["meanwhile@accept.lab.test"], MESSAGE)
    for raw in silent + half:
        with raw:
            received = raw.rest()
            assert_replies(received)
            assert re.search(rb"^421 4\.4\.2 ", received, re.MULTILINE), received


def test_what_was_pipelined_behind_starttls_is_forgotten(attacked: Demo) -> None:
    with RawClient(door(attacked, "starttls")) as client:
        client.reply()
        client.send(b"EHLO x\r\n")
        client.reply()
        client.send(b"STARTTLS\r\nEHLO injected\r\nNOOP\r\nAUTH PLAIN AGEAYg==\r\nQUIT\r\n")
        assert client.reply().startswith(b"220 ")
        client.start_tls(attacked.context)
        before = len(client.received)
        client.send(b"MAIL FROM:<a@b.example>\r\nNOOP\r\nQUIT\r\n")
        replies = client.rest()[before:].split(b"\r\n")
        assert [reply[:3] for reply in replies] == [b"530", b"250", b"221", b""]


DIALOGUE = (
    b"EHLO client.example.com\r\n",
    b"AUTH PLAIN %(secret)s\r\n",
    b"MAIL FROM:<me@demo.lab.test> RET=HDRS\r\n",
    b"RCPT TO:<%(recipient)s>\r\n",
    b"DATA\r\n",
    b"Subject: cut\r\n\r\nFirst\r\n..\r\nLast\r\n",
    b".\r\n",
    b"QUIT\r\n",
)


def test_disconnects_at_every_octet(attacked: Demo) -> None:
    """Nothing that was not ended is ever delivered."""
    account = attacked.account
    secret = base64.b64encode(f"\0{account['username']}\0{account['password']}".encode())
    names = uuid.uuid4().hex[:8]

    def text(number: int) -> tuple[bytes, int]:
        values = {b"secret": secret, b"recipient": b"%s-%03d@accept.lab.test" % (names.encode(), number)}
        parts = [part % values for part in DIALOGUE]
        return b"".join(parts), sum(map(len, parts[:-1]))

    whole, complete = text(0)
    for cut in range(len(whole)):
        said, _ = text(cut)
        client = RawClient(door(attacked, "tls"), attacked.context)
        client.send(said[:cut])
        if cut % 3 == 0:
            client.reset()
        elif cut % 3 == 1:
            client.socket.close()
        else:
            with client:
                client.read()
    # One that is ended, and waits for its reply.
    said, _ = text(999)
    with RawClient(door(attacked, "tls"), attacked.context) as client:
        client.send(said)
        assert b"250 2.0.0 Ok: queued as " in client.rest()
    assert attacked.mail(f"{names}-999@accept.lab.test")
    arrived = {
        int(recipient[len(names) + 1 :].partition("@")[0])
        for mail in attacked.get(f"{attacked.facts['lab']}/mail?to=@accept.lab.test")
        for recipient in mail["to"]
        if recipient.startswith(names)
    }
    assert {number for number in arrived if number < complete} == set()


def test_floods_of_small_commands(attacked: Demo) -> None:
    for line, count in ((b"NOOP\r\n", 20_000), (b"RSET\r\n", 20_000), (b"HELP MAIL\r\n", 5_000), (b"\r\n", 5_000)):
        with RawClient(door(attacked, "starttls")) as client:
            client.socket.setblocking(True)
            received = _flood(client, line * count)
            assert_replies(received)
            assert received.count(b"\n") <= 40 * count


def _flood(client: RawClient, data: bytes) -> bytes:
    """Send and read at the same time, as a client that does not want to be stopped."""
    import threading

    reader = threading.Thread(target=client.rest)
    reader.start()
    client.send(data + b"QUIT\r\n")
    client.half_close()
    reader.join()
    return client.received


def memory(pid: int) -> int:
    """Octets of a process that are resident."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]


def test_clients_that_never_read(attacked: Demo) -> None:
    """The server stops reading from them, keeps little, and cuts them off."""
    before = sum(memory(pid) for pid in attacked.workers())
    clients = [RawClient(door(attacked, "starttls")) for _ in range(20)]
    for client in clients:
        client.socket.setblocking(False)
    sent = [0] * len(clients)
    block = b"HELP DATA\r\nEHLO x\r\n" * 1000
    for _ in range(200):
        for number, client in enumerate(clients):
            try:
                sent[number] += client.socket.send(block)
            except (BlockingIOError, ConnectionError):
                continue
    grown = sum(memory(pid) for pid in attacked.workers()) - before
    assert grown < 64 * MEBIBYTE, f"{grown} octets for {sum(sent)} that nobody reads answers to"

    def gone(client: RawClient) -> bool:
        try:
            client.socket.send(b"x")
        except BlockingIOError:
            return False
        except OSError:
            return True
        return False

    for client in clients:
        wait_for(lambda c=client: gone(c), "the server to cut off who does not read")
        client.socket.close()


def test_lines_without_end(attacked: Demo) -> None:
    with RawClient(door(attacked, "starttls")) as client:
        client.send(b"EHLO " + b"x" * MEBIBYTE + b"\r\nNOOP\r\nQUIT\r\n")
        received = client.rest()
        assert_replies(received)
        assert [line[:3] for line in received.splitlines()] == [b"220", b"500", b"250", b"221"]
    before = sum(memory(pid) for pid in attacked.workers())
    with RawClient(door(attacked, "starttls")) as client:
        for _ in range(64):
            if not client.send(b"x" * MEBIBYTE):
                break
        grown = sum(memory(pid) for pid in attacked.workers()) - before
        assert grown < 16 * MEBIBYTE
        client.half_close()
        assert_replies(client.rest())


def test_contents_too_large_with_and_without_notice(attacked: Demo) -> None:
    with logged_in(attacked) as client:
        client.send(b"MAIL FROM:<me@demo.lab.test> SIZE=2000001\r\n")
        assert client.reply().startswith(b"552 5.3.4 ")
        client.send(b"MAIL FROM:<me@demo.lab.test>\r\nRCPT TO:<large@accept.lab.test>\r\nDATA\r\n")
        while b"\r\n354 " not in client.received:
            client.read()
        for _ in range(8):
            client.send(b"0123456789abcde\n" * (MEBIBYTE // 16))
        client.send(b"\r\n.\r\n")
        assert client.reply().startswith(b"552 5.3.4 ")
        client.send(b"NOOP\r\n")
        assert client.reply().startswith(b"250 ")


@pytest.mark.parametrize(
    "end",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r",
        b"\r\n.\r",
        b"\r.\r\n",
        b"\n\n.\r\n",
        b"\r\n\0.\r\n",
        b"\r\n.\0\r\n",
    ],
)
def test_nothing_but_the_true_end_ends_content(attacked: Demo, end: bytes) -> None:
    """What looks like an end to careless servers arrives inside the one message, and starts no second."""
    name = uuid.uuid4().hex
    smuggled = f"smuggled-{name}@accept.lab.test"
    content = (
        b"Subject: outer\r\n\r\nouter" + end + b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<"
        + smuggled.encode() + b">\r\nDATA\r\nSubject: inner\r\n\r\ninner\r\n"
    )  # fmt: skip
    with logged_in(attacked) as client:
        client.send(f"MAIL FROM:<me@demo.lab.test>\r\nRCPT TO:<{name}@accept.lab.test>\r\nDATA\r\n".encode())
        while b"\r\n354 " not in client.received:
            client.read()
        client.send(content + b".\r\n")
        answer = client.reply()
        client.send(b"QUIT\r\n")
        assert client.rest().endswith(b"\r\n221 2.0.0 Bye\r\n")
    if b"\0" in end:
        assert answer.startswith(b"554 5.6.0 ")
    else:
        assert answer.startswith(b"250 2.0.0 ")
        (mail,) = attacked.mail(f"{name}@accept.lab.test")
        assert b"MAIL FROM:<evil@example.com>\r\n" in mail["data"]
        assert mail["data"].endswith(b"\r\n\r\ninner\r\n")
        assert b"\n" not in mail["data"].replace(b"\r\n", b"")
        assert b"\r" not in mail["data"].replace(b"\r\n", b"")
    found = attacked.get(f"{attacked.facts['lab']}/mail?to={smuggled}")
    assert found == []


# ---- servers


def attempted(demo: Demo, queue_id: str) -> list[dict[str, Any]]:
    """The recipients of a message once each has been tried."""
    found = demo.trace(queue_id)["recipients"]
    return found if all(item["history"] for item in found) else []


def test_hostile_servers_of_the_lab(attacked: Demo) -> None:
    names = [name for name in CATALOGUE if name.startswith("hostile-")]
    with attacked.login(attacked.connect()) as client:
        ids = [
            attacked.send(client, [f"n{number}@{name}.lab.test" for name in names], MESSAGE) for number in range(5)
        ]
    for queue_id in ids:
        found = wait_for(lambda q=queue_id: attempted(attacked, q), "an attempt at every hostile server")
        assert {item["history"][0]["state"] for item in found} <= {"deferred", "bounced", "delivered"}
        assert all(item["history"][0]["cause"] != "ours" for item in found)


@pytest.fixture(scope="module")
def raw_server(attacked: Demo) -> Iterator[RawServer]:
    server = RawServer(attacked.get(attacked.facts["lab"] + "/")["smtp"][1])
    yield server
    server.close()


REPLY_LINES = (
    b"250 Ok\r\n",
    b"250-more\r\n",
    b"250",
    b"250\r\n",
    b"354 Go\r\n",
    b"421 4.3.2 Bye\r\n",
    b"451 4.7.1 Later, in 99999999999999999999 seconds\r\n",
    b"550 5.1.1 No\r\n",
    b"550-5.1.1 No\r\n451 4.1.1 Or later\r\n",
    b"199 What\r\n",
    b"999 2.0.0 What\r\n",
    b"2.0.0 Ok\r\n",
    b"250 2.0.0 \x1b[31m\x00\xff\r\n",
    b"550 \xe3\x81\xaa\xe3\x81\x84\r\n",
    b"554 " + b"x" * 5000 + b"\r\n",
    b"250-" + b"y" * 2000 + b"\r\n",
    b"250-AUTH STARTTLS SIZE=1\r\n250-LIMITS RCPTMAX=0 MAILMAX=x\r\n250 SIZE 99999999999999999999\r\n",
    b"\r\n",
    b"\n",
    b"\r",
)
STAGES: tuple[Stage, ...] = tuple(USUAL)


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    pieces = st.one_of(st.sampled_from(REPLY_LINES), st.sampled_from(REPLY_LINES), st.binary(max_size=60))
    says = draw(
        st.dictionaries(st.sampled_from(STAGES), st.lists(pieces, max_size=4).map(b"".join), min_size=1, max_size=2)
    )
    return Script(says, draw(st.sampled_from(("close", "reset", "close", ""))))


# No smaller case is looked for: each takes seconds.
@quietly(max_examples=5, phases=[Phase.generate])
@given(servers=st.lists(scripts(), min_size=20, max_size=40))
def test_servers_that_reply_anything(attacked: Demo, raw_server: RawServer, servers: list[Script]) -> None:
    """Each recipient has a verdict with a reason; delivered is only what the server said yes to."""
    recipients = [f"you@[{raw_server.add(script)}]" for script in servers]
    with attacked.login(attacked.connect()) as client:
        queue_id = attacked.send(client, recipients, MESSAGE)
    found = wait_for(lambda: attempted(attacked, queue_id), "an attempt at every server")
    by_recipient = {item["recipient"]: item for item in found}
    for recipient, script in zip(recipients, servers, strict=True):
        item = by_recipient[recipient]
        first = item["history"][0]
        assert first["state"] in ("delivered", "deferred", "bounced")
        if first["state"] == "delivered":
            assert script.confirmed >= 1, (script, first)
        else:
            assert 400 <= first["code"] < 600, (script, first)
            assert first["reply"], (script, first)
        shown = "\n".join(first["dialogue"]) + first["reply"]
        assert all(char.isprintable() or char == "\n" for char in shown), shown
