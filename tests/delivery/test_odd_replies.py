"""Whatever a server says behind the final dot: what it has taken is not sent again (real sockets, a real store)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from delivery_road import CONTENT, road

from ekiden.core.states import Cause, State
from ekiden.lab import Lab
from ekiden.store.api import Store

ODD = {
    "emptyline": "\r\n250 2.0.0 Ok\r\n",
    "unreadable": "queued as 7\r\n250 2.0.0 Ok\r\n",
    "octets": "\xff\xfe\x00\x1b\r\n\r\n250 2.0.0 Ok\r\n",
    "again354": "354 go on\r\n250 2.0.0 Ok\r\n",
    "noblank": "250OK\r\n",
    "bom": "\xef\xbb\xbf250 2.0.0 Ok\r\n",
    "longline": "250 2.0.0 " + "x" * 9000 + "\r\n",
    "barecr": "250 2.0.0 Ok\r",
    "cut": "250 2.0.0 Ok: queu",
    "unfinished": "250-2.0.0 Ok\r\n",
    "manylines": "250-2.0.0 Ok\r\n" * 400,
}


@pytest.mark.parametrize("name", ODD)
async def test_one_copy_whatever_the_final_reply_looks_like(sqlite_store: Store, lab: Lab, name: str) -> None:
    """The server keeps the message and then says this; half of them close behind it, or say nothing more."""
    rule = {"at": "end", "raw": ODD[name], "keep": True, "disconnect": "close" if name == "cut" else ""}
    await lab.set_behaviour(f"{name}.lab.test", {"rules": [rule]})
    async with road(sqlite_store, lab, data_timeout=3.0, reply_timeout=0.5, retry=(0.2,)) as r:
        message_id = await r.send(f"a@{name}.lab.test", f"b@{name}.lab.test")
        rows = await r.settled(message_id)
        assert [(row["state"], row["code"] // 100) for row in rows] == [(State.DELIVERED, 2)] * 2
        (mail,) = lab.mail()
        assert mail.data == CONTENT
        await r.drain()


@pytest.mark.parametrize("at", ["connect", "ehlo", "mail", "rcpt", "data"])
@pytest.mark.parametrize("before", ["\r\n", "hello there\r\n"])
async def test_lines_before_any_reply_harm_nothing(sqlite_store: Store, lab: Lab, at: str, before: str) -> None:
    if at == "connect" and before.strip():
        return  # whoever begins with other words speaks another protocol
    replies = {"connect": "220 lab ESMTP", "ehlo": "250-lab\r\n250 PIPELINING", "data": "354 Go"}
    rule = {"at": at, "raw": before + replies.get(at, "250 2.1.0 Ok") + "\r\n"}
    await lab.set_behaviour("odd.lab.test", {"rules": [rule]})
    async with road(sqlite_store, lab) as r:
        row = await r.one(await r.send("a@odd.lab.test"))
        assert (row["state"], row["attempts"]) == (State.DELIVERED, 1)
        assert [mail.data for mail in lab.mail()] == [CONTENT]
        await r.drain()


class FewRecipients:
    """A server that takes ``most`` recipients of a message and refuses the others, or all at the ``end``."""

    def __init__(self, most: int, reply: str, *, end: bool = False) -> None:
        self.most, self.reply, self.end = most, reply, end
        self.taken: list[int] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        count = 0
        writer.write(b"220 few ESMTP\r\n")
        while line := await reader.readline():
            verb = line[:4].upper()
            answer = "250 Ok"
            if verb == b"EHLO":
                answer = "250-few\r\n250 PIPELINING"
            elif verb == b"MAIL":
                count = 0
            elif verb == b"RCPT":
                if count >= self.most and not self.end:
                    answer = self.reply
                else:
                    count += 1
            elif verb == b"DATA":
                writer.write(b"354 Go\r\n")
                await reader.readuntil(b".\r\n" if not count else b"\r\n.\r\n")
                if not count:
                    answer = "554 No recipients"
                elif count > self.most:
                    answer = self.reply
                else:
                    self.taken.append(count)
            elif verb == b"QUIT":
                answer = "221 Bye"
            writer.write(answer.encode() + b"\r\n")
            if verb == b"QUIT":
                break
        writer.close()


async def send_to_few(store: Store, lab: Lab, peer: FewRecipients, count: int) -> list[Any]:
    # The port of the lab's own servers, at an address of its own.
    server = await asyncio.start_server(peer.serve, "127.0.0.77", lab.smtp_port)
    lab.set_dns("few.test", "A", ["127.0.0.77"])
    async with server, road(store, lab) as r:
        rows = await r.settled(await r.send(*(f"u{n}@few.test" for n in range(count))))
        await r.drain()
        return rows


@pytest.mark.parametrize(
    "reply",
    [
        "452 4.5.3 Too many recipients",
        "452 Too many recipients",
        "552 Recipient limit exceeded",
        "552 Too many recipients",
        "550 5.5.3 Error",
        "550 Maximum number of recipients exceeded",
        "554 5.5.3 Too many recipients received this connection",
        "451 4.5.3 Only 3 recipients per message",
        "450 Too many recipients in this transaction",
    ],
)
async def test_recipients_behind_a_limit_go_at_once_in_another_transaction(
    sqlite_store: Store, lab: Lab, reply: str
) -> None:
    peer = FewRecipients(3, reply)
    rows = await send_to_few(sqlite_store, lab, peer, 8)
    assert [(row["state"], row["attempts"]) for row in rows] == [(State.DELIVERED, 1)] * 8
    assert sorted(peer.taken) == [2, 3, 3]


@pytest.mark.parametrize("reply", ["552 5.5.3 Too many recipients", "452 Too many recipients"])
async def test_a_message_that_is_refused_for_their_number_goes_in_halves(
    sqlite_store: Store, lab: Lab, reply: str
) -> None:
    peer = FewRecipients(2, reply, end=True)
    rows = await send_to_few(sqlite_store, lab, peer, 6)
    assert [(row["state"], row["attempts"]) for row in rows] == [(State.DELIVERED, 1)] * 6
    assert sum(peer.taken) == 6
    assert max(peer.taken) <= 2


async def test_a_limit_that_even_one_recipient_exceeds_is_a_matter_of_time(sqlite_store: Store, lab: Lab) -> None:
    [row] = await send_to_few(sqlite_store, lab, FewRecipients(0, "552 Recipient limit exceeded"), 1)
    assert (row["state"], row["cause"], row["code"]) == (State.DEFERRED, Cause.RATE, 552)
