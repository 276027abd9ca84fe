"""What the lab's servers received: kept messages, dialogues, and people who wait for them. Bounded in count
and octets."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

import msgspec


class Mail(msgspec.Struct, frozen=True):
    """A message as received. ``data`` is its content after dot-unstuffing; ``at`` milliseconds since 1970 UTC.

    ``tls`` is protocol and cipher, or None. ``mail_parameters`` and ``rcpt_parameters`` (one text for each of
    ``to``) are the ESMTP parameters as sent. ``server`` is the name of the MX host, ``peer`` the client's address.
    """

    id: int
    sender: str = msgspec.field(name="from")
    to: tuple[str, ...]
    data: bytes
    tls: str | None
    at: int
    helo: str = ""
    peer: str = ""
    server: str = ""
    session: int = 0
    mail_parameters: str = ""
    rcpt_parameters: tuple[str, ...] = ()


class SessionRecord(msgspec.Struct):
    """One SMTP connection. ``dialogue`` lines start with "C: ", "S: " or "# "; ``violations`` are breaches of
    the protocol by the client, in plain words."""

    id: int
    at: int
    server: str
    address: str
    peer: str
    helo: str = ""
    tls: str | None = None
    messages: int = 0
    ended: str = ""
    dialogue: list[str] = []
    violations: list[str] = []


class Mailbox:
    """Keeps the newest ``max_count`` messages with at most ``max_bytes`` of content; ``dropped`` counts the
    others."""

    def __init__(self, max_count: int, max_bytes: int, max_sessions: int) -> None:
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._mail: deque[Mail] = deque()
        self._by_recipient: dict[str, deque[Mail]] = {}
        self._bytes = 0
        self._serial = 0
        self._session_serial = 0
        self._waiters: list[tuple[str | None, int, asyncio.Future[None]]] = []
        self.received = 0
        self.dropped = 0
        self.sessions: deque[SessionRecord] = deque(maxlen=max_sessions)

    def next_id(self) -> int:
        """The id of the next message."""
        self._serial += 1
        return self._serial

    def open_session(self, at: int, server: str, address: str, peer: str) -> SessionRecord:
        """A new record, kept from now on."""
        self._session_serial += 1
        record = SessionRecord(self._session_serial, at, server, address, peer)
        self.sessions.append(record)
        return record

    def add(self, mail: Mail) -> None:
        """Keep a message and wake those who wait for it."""
        self.received += 1
        self._mail.append(mail)
        self._bytes += len(mail.data)
        for key in _keys(mail):
            self._by_recipient.setdefault(key, deque()).append(mail)
        while len(self._mail) > self._max_count or (self._bytes > self._max_bytes and len(self._mail) > 1):
            self._drop_oldest()
        if self._waiters:
            self._wake()

    def _drop_oldest(self) -> None:
        old = self._mail.popleft()
        self._bytes -= len(old.data)
        self.dropped += 1
        for key in _keys(old):
            queue = self._by_recipient[key]
            queue.popleft()  # messages are in one order everywhere, so the oldest of all is the oldest here
            if not queue:
                del self._by_recipient[key]

    def find(
        self,
        to: str | None = None,
        *,
        sender: str | None = None,
        since: int | None = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> list[Mail]:
        """Messages, oldest first. ``to``: a recipient, or ``@domain``; ``since``: received then or later (ms);
        ``after``: with a greater id; ``limit``: the newest so many. Letter case of addresses does not matter."""
        found: Iterable[Mail] = self._candidates(to)
        if sender is not None:
            wanted = sender.lower()
            found = (mail for mail in found if mail.sender.lower() == wanted)
        if since is not None:
            earliest = since
            found = (mail for mail in found if mail.at >= earliest)
        if after is not None:
            last = after
            found = (mail for mail in found if mail.id > last)
        chosen = list(found)
        return chosen if limit is None else chosen[max(0, len(chosen) - limit) :]

    def count(self, to: str | None = None) -> int:
        """How many messages are kept (for ``to``)."""
        return len(self._candidates(to))

    def _candidates(self, to: str | None) -> deque[Mail]:
        return self._mail if to is None else self._by_recipient.get(to.lower(), deque())

    def clear(self) -> int:
        """Forget all messages; says how many."""
        count = len(self._mail)
        self._mail.clear()
        self._by_recipient.clear()
        self._bytes = 0
        return count

    async def wait(self, to: str | None, count: int, timeout: float) -> bool:
        """Wait until ``count`` messages (for ``to``) are kept. False when ``timeout`` seconds passed before."""
        if self.count(to) >= count:
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (to, count, future)
        self._waiters.append(entry)
        try:
            async with asyncio.timeout(timeout):
                await future
        except TimeoutError:
            return False
        finally:
            self._waiters.remove(entry)
        return True

    def _wake(self) -> None:
        for to, count, future in self._waiters:
            if not future.done() and self.count(to) >= count:
                future.set_result(None)


def _keys(mail: Mail) -> set[str]:
    keys = {address.lower() for address in mail.to}
    return keys | {key[key.rindex("@") :] for key in keys if "@" in key}
