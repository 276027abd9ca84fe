"""Contents and commands that are made to hurt, over a real listener: what the others on its event loop notice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from listener_harness import Client, Lag, Make

from ekiden.limits.loop_slices import SharedTurn
from ekiden.limits.memory import Memory
from ekiden.listeners.smtp_admission import Admission
from ekiden.listeners.smtp_config import SmtpConfig
from ekiden.process.metrics import SESSION_BOUNDS

MiB = 1 << 20
SIZE = 19 * MiB
PATIENCE = 1.0
"""Seconds that the event loop may be away at once. It is hundredths; with the code before it was up to a minute."""


@pytest.fixture
def make(make: Make) -> Make:
    """Those that speak in clear and trust this machine."""
    usual = {"mode": "plain", "trusted": True, "trusted_networks": ("127.0.0.1",)}
    return lambda **options: make(**usual | options)


def filled(unit: bytes, head: bytes = b"From: a@example.com\r\n\r\n") -> bytes:
    return head + (unit * (SIZE // len(unit) + 1))[:SIZE]


def many_names() -> bytes:
    return b"".join(b"x-ib-%d: a\r\n" % n for n in range(1_200_000))


# Made when they are sent: all of them together are hundreds of megabytes.
HEADERS: dict[str, tuple[Callable[[], bytes], str]] = {
    "mailboxes": (partial(filled, b"a@b.c,", b"From: "), "552 5.3.4 The header is larger than 262144 octets"),
    "short-lines": (partial(filled, b"x-ib-a: a\r\n", b""), "552 5.3.4 The header is larger than 262144 octets"),
    "names": (many_names, "552 5.3.4 The header is larger"),
    "folded": (
        partial(filled, b"\r\n x", b"From: a@example.com"),
        "552 5.3.4 The header is larger than 262144 octets",
    ),
    "many-fields": (
        lambda: b"received: x\r\n" * 1_001 + b"\r\nx",
        "552 5.3.4 The header has more than 1000 fields",
    ),
    "one-field": (
        lambda: b"From: " + b"(" * 66_000 + b"\r\n\r\nx",
        "552 5.3.4 A header field is larger than 65536 octets",
    ),
}
BODIES: dict[str, tuple[Callable[[], bytes], str]] = {
    "bare-cr": (partial(filled, b"\r"), "552 5.3.4 Message size"),
    "bare-lf-and-dots": (partial(filled, b"\n.\n."), "552 5.3.4 Message size"),
    "cr-lf": (lambda: filled(b"\n")[: SIZE // 3], "250 "),
    "dots": (partial(filled, b"\r\n.."), "250 "),
    "one-line": (partial(filled, b"x"), "250 "),
    "blanks": (partial(filled, b" "), "250 "),
    "double-blanks": (partial(filled, b"a  \t"), "250 "),
    "blank-lines": (partial(filled, b" \r\n"), "250 "),
    "boundaries": (
        partial(filled, b"--b\r\n", b"From: a@example.com\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"),
        "250 ",
    ),
    "soft-breaks": (partial(filled, b"=\r\n"), "250 "),
    "nul": (partial(filled, b"\0"), "554 5.6.0"),
}


@pytest.mark.parametrize("name", [*HEADERS, *BODIES])
@pytest.mark.parametrize("verb", ["DATA", "BDAT"])
def test_a_large_content_does_not_keep_the_others_waiting(make: Make, name: str, verb: str) -> None:
    made, expected = (HEADERS | BODIES)[name]
    content = made()
    if verb == "BDAT" and name == "dots":
        expected = "250 "
    harness = make()
    with Client(harness.port) as hostile, Client(harness.port) as victim, Lag(harness) as lag:
        victim.reply()
        hostile.reply()
        hostile.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<h@example.net>\r\n")
        assert [hostile.reply()[:3], hostile.reply()[:3]] == ["250", "250"]
        if verb == "DATA":
            assert hostile.ask("DATA").startswith("354 ")
            hostile.send(content)
            hostile.send("\r\n.\r\n")
        else:
            hostile.send(f"BDAT {len(content)} LAST\r\n".encode())
            hostile.send(content)
        victim.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<v@example.net>\r\nDATA\r\n")
        victim.send("From: a@example.com\r\n\r\nx\r\n.\r\n")
        assert [victim.reply()[:3] for _ in range(4)] == ["250", "250", "354", "250"]
        assert hostile.reply().startswith(expected)
    assert lag.worst < PATIENCE, lag.worst
    assert harness.listener.admission.memory == 0
    assert "v@example.net" in harness.mailbox.contents


# --- sessions that lead to nothing ------------------------------------------------------------------------------


def test_commands_without_a_message_end_the_session_at_once(make: Make) -> None:
    """In one read of the socket there may be tens of thousands of them."""
    harness = make(smtp={"max_commands": 200})
    with Client(harness.port) as hostile, Lag(harness) as lag:
        hostile.reply()
        hostile.send(b"NOOP\r\n" * 43_000)
        assert hostile.rest()[-1] == "421 4.7.0 Error: too many commands without a message"
    assert harness.counts.of["ended commands"] == 1
    assert lag.worst < PATIENCE, lag.worst


def test_chunks_that_drip_have_the_pace_of_their_content(make: Make) -> None:
    """Each is answered, so the session looks alive; the content is not."""
    harness = make(smtp={"data_timeout": 0.5})
    with Client(harness.port) as hostile:
        hostile.reply()
        assert hostile.ask("MAIL FROM:<a@example.com>").startswith("250 ")
        assert hostile.ask("RCPT TO:<h@example.net>").startswith("250 ")
        deadline = time.monotonic() + 20
        while (answer := hostile.ask("BDAT 3\r\nx")).startswith("250 "):
            assert time.monotonic() < deadline, "the session went on for 20 s"
            time.sleep(0.02)
        assert answer == "421 4.4.2 Error: timeout exceeded"
    assert harness.counts.of["ended content"] == 1


@pytest.mark.parametrize(
    ("bound", "settings", "said"),
    [
        ("errors", {"max_errors": 3}, b"X\r\n" * 3),
        ("silence", {"command_timeout": 0.2}, b"EHLO x\r\n"),
        ("session", {"session_timeout": 0.2}, b""),
        ("replies", {}, b"HELP\r\n" * 1_900),
    ],
)
def test_each_bound_that_ends_a_session_is_counted(
    make: Make, bound: str, settings: dict[str, Any], said: bytes
) -> None:
    harness = make(smtp=settings)
    with Client(harness.port) as client:
        assert client.reply().startswith("220 ")
        client.send(said)
        deadline = time.monotonic() + 20
        while not (line := client.line()).startswith("421 "):
            assert line, "closed without a word"
            assert time.monotonic() < deadline
            if bound == "session":
                client.send("NOOP\r\n")
    ended = {name: count for name, count in harness.counts.of.items() if name.startswith("ended ")}
    assert ended == {f"ended {bound}": 1}
    assert bound in SESSION_BOUNDS


# --- memory -----------------------------------------------------------------------------------------------------


def test_one_account_cannot_have_all_of_the_memory() -> None:
    admission = Admission(SmtpConfig(max_memory=64 * MiB), budget=Memory(64 * MiB))
    held = 0
    while admission.has_room("greedy", MiB) and admission.take("greedy", MiB, 0):
        held += MiB
    assert held == 32 * MiB
    # Everybody else still finds room, each less than the one before.
    for victim in range(10):
        assert admission.has_room(victim, 20_000), victim
        while admission.take(victim, 20_000, 0):
            pass
    assert admission.has_room("late", 1_000)
    admission.give("greedy", held)
    assert admission.has_room("late", 20 * MiB)


def test_a_single_content_may_be_large_although_nobody_announced_it() -> None:
    admission = Admission(SmtpConfig(max_memory=64 * MiB), budget=Memory(64 * MiB))
    assert admission.take("other", 24 * MiB, 0)
    taken = 0
    while taken < 30 * MiB:
        assert admission.take("large", MiB, taken), taken
        taken += MiB
    assert not admission.take("large", 11 * MiB, taken)
    assert admission.memory == 54 * MiB
    admission.give("large", taken)
    admission.give("other", 24 * MiB)
    assert admission.memory == 0


def test_what_is_announced_is_kept_free_until_the_transaction_ends(make: Make) -> None:
    harness = make(smtp={"max_memory": 4 * MiB, "max_size": 3 * MiB})
    admission = harness.listener.admission
    with Client(harness.port) as one, Client(harness.port) as two:
        one.reply()
        two.reply()
        assert one.ask(f"MAIL FROM:<a@example.com> SIZE={3 * MiB}").startswith("250 ")
        assert admission.memory == 3 * MiB
        assert two.ask(f"MAIL FROM:<a@example.com> SIZE={2 * MiB}").startswith("452 4.3.1")
        assert one.ask("RSET").startswith("250 ")
        assert admission.memory == 0
        assert two.ask(f"MAIL FROM:<a@example.com> SIZE={2 * MiB}").startswith("250 ")


# --- what is pipelined ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.0, 10.0], ids=["in-turns", "at-once"])
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_what_is_pipelined_is_answered_in_its_order_in_as_many_turns_as_it_takes(
    make: Make, loop: str, seconds: float
) -> None:
    harness = make(loop=loop)
    harness.listener._shared.turn = SharedTurn(seconds)
    parameter = "ORCPT=rfc822;" + "+41" * 90
    recipients = [f"RCPT TO:<r{number}@example.net> {parameter}" for number in range(500)]
    with Client(harness.port) as client:
        client.reply()
        assert client.ask("EHLO x").startswith("250")
        client.send("\r\n".join(["NOOP"] * 40 + ["MAIL FROM:<a@example.com>", *recipients, "DATA", ""]))
        answers = [client.reply() for _ in range(40 + 1 + len(recipients) + 1)]
        assert [answer[:3] for answer in answers] == ["250"] * (41 + len(recipients)) + ["354"]
        client.send("Subject: x\r\n\r\nx\r\n.\r\n" + "NOOP\r\n" * 100 + "QUIT\r\n")
        assert [line[:3] for line in client.rest()] == ["250"] * 101 + ["221"]
    assert len(harness.mailbox.contents) == len(recipients)


def test_who_pipelines_without_end_leaves_others_their_turns(make: Make) -> None:
    """Sixteen at once: 64 KiB of each lie in the kernel, and each command of them is dear."""
    harness = make()
    line = b"RCPT TO:<a@example.net> ORCPT=rfc822;" + b"+41" * 90 + b"\r\n"
    block = b"MAIL FROM:<a@example.com>\r\n" + line * 900 + b"RSET\r\n"
    with ExitStack() as stack, Lag(harness) as lag:
        hostile = [stack.enter_context(Client(harness.port)) for _ in range(16)]
        for client in hostile:
            client.reply()
        senders = [threading.Thread(target=client.send, args=(block,)) for client in hostile]
        for sender in senders:
            sender.start()
        with Client(harness.port) as victim:
            victim.reply()
            for _ in range(20):
                assert victim.ask("NOOP").startswith("250")
        for client in hostile:
            assert [client.reply()[:3] for _ in range(902)] == ["250"] * 902
        for sender in senders:
            sender.join()
    assert lag.worst < PATIENCE, lag.worst
