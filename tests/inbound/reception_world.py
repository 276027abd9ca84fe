"""A reception as a worker has it: a real listener, a real store, and a reader that notes what it gets."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from ekiden.access.refusals import Refusals
from ekiden.access.vault import Vault
from ekiden.core.address import Address
from ekiden.core.clock import Clock
from ekiden.core.ids import IdFactory
from ekiden.core.return_path import PURPOSE, ReturnPaths
from ekiden.core.srs import Srs
from ekiden.inbound.authentication import MailAuthentication
from ekiden.inbound.config import InboundConfig
from ekiden.inbound.loops import Loops
from ekiden.inbound.mailboxes import Mailboxes, Routed, Use
from ekiden.inbound.reader import Found, MailReader, Opened, Reader
from ekiden.inbound.reception import Reception
from ekiden.inbound.targets import ForwardTarget
from ekiden.limits.memory import Memory
from ekiden.limits.workshop import Workshop
from ekiden.listeners.smtp_config import SmtpConfig
from ekiden.listeners.smtp_listener import ListenerSpec, SmtpListener
from ekiden.listeners.smtp_reception import Receptions, reception_limits
from ekiden.net.clock import SystemClock
from ekiden.net.tls import CertificateFiles, ServerTls
from ekiden.sender_auth.dns import RecordType
from ekiden.store.api import Store

HOST = "mx.example.com"
DAY = 86_400_000


async def eventually(done: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not done():  # noqa: ASYNC110 (it happens in many places)
            await asyncio.sleep(0.01)


class Noting:
    """A reader that notes what it is given, and fails as often as it is told to."""

    def __init__(self) -> None:
        self.read_mails: list[Opened] = []
        self.failures = 0

    async def read(self, mails: Sequence[Opened]) -> list[Found | Exception]:
        answers: list[Found | Exception] = []
        for mail in mails:
            if self.failures:
                self.failures -= 1
                answers.append(ValueError("cannot be read"))
            else:
                self.read_mails.append(mail)
                answers.append(Found(told={"seen": len(mail.boxes)}))
        return answers


class Routes:
    """What accounts receive, by address."""

    def __init__(self) -> None:
        self.accounts: dict[str, int] = {}
        self.targets: dict[str, list[tuple[str, ForwardTarget]]] = {}
        """Names of routes that send on, and to whom, by address."""
        self.domains: dict[str, int] = {}
        self.closed: set[int] = set()
        self.known = True
        self.looks = 0

    async def look(self) -> None:
        self.looks += 1

    def receiver(self, domain: str) -> int | None:
        return self.domains.get(domain)

    def account_for(self, address: Address) -> int | None:
        return self.accounts.get(address.text)

    def forwards(self, address: Address) -> tuple[str, ...]:
        return tuple(route for route, _ in self.targets.get(address.text, ()))

    def suspended(self, account_id: int) -> bool:
        return account_id in self.closed


class Dialogue:
    """An SMTP client that says what it is told to say."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def reply(self) -> str:
        """All lines of the next reply."""
        lines = []
        while True:
            line = (await self._reader.readline()).decode().rstrip("\r\n")
            lines.append(line)
            if line[3:4] != "-":
                return "\n".join(lines)

    async def ask(self, *commands: str) -> str:
        """The reply to the last of them."""
        answer = ""
        for command in commands:
            self._writer.write(command.encode() + b"\r\n")
            answer = await self.reply()
        return answer

    async def send(self, content: bytes) -> str:
        """The answer to DATA with this content."""
        assert (await self.ask("DATA")).startswith("354")
        self._writer.write(content + b".\r\n")
        return await self.reply()

    async def start_tls(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        await self._writer.start_tls(context)

    def close(self) -> None:
        self._writer.close()


class World:
    """``start`` it; everything ends with the test."""

    def __init__(self, store: Store, files: CertificateFiles) -> None:
        self.store = store
        self.clock: Clock = SystemClock()
        self.paths = ReturnPaths([Vault(os.urandom(32)).derive(PURPOSE)])
        self.routes = Routes()
        self.noting = Noting()
        self.readers: Mapping[Use, MailReader] = dict.fromkeys(Use, self.noting)
        self.memory = Memory(64 << 20)
        self.workshop = Workshop(1)
        self.zone: dict[tuple[str, str], list[Any]] = {}
        self.srs = Srs([os.urandom(32)])
        self.loops = Loops(self.clock)
        self.queued: Callable[[], None] = lambda: None
        """Called when messages were queued."""
        self.mailboxes = Mailboxes(self.clock, self.paths, self.srs, {HOST}, self.routed())
        self._registered = False
        self._files = files
        self._dialogues: list[Dialogue] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self._listener: SmtpListener | None = None

    def routed(self) -> Routed:
        """What accounts receive."""
        return self.routes

    async def start(self, config: InboundConfig | None = None, *, reading: bool = True) -> None:
        config = config or InboundConfig()
        await self.register()
        self.reader = Reader(
            self.store,
            self.clock,
            lambda: self.me.id,
            self.mailboxes,
            self.readers,
            self.memory,
            lambda: self.queued(),  # noqa: PLW0108 (it may change)
        )
        reception = Reception(
            self.store,
            self.clock,
            self.ids,
            lambda: self.me.id,
            HOST,
            config,
            self.mailboxes,
            MailAuthentication(self.look_up, self.workshop, HOST),
            self.reader,
            self.loops,
        )
        self.refusals = Refusals(self.store, self.clock, self.ids)
        spec = ListenerSpec("mx", ("127.0.0.1:0",), "inbound", ServerTls([self._files]))
        self._listener = SmtpListener(
            spec, Receptions(reception, self.refusals), reception_limits(SmtpConfig(), config), HOST, sweep=0.05
        )
        await self._listener.start()
        if reading:
            self.read()

    async def register(self) -> None:
        """As a worker; ``start`` does it, too."""
        if not self._registered:
            self._registered = True
            self.me = await self.store.register_worker("here", 1, self.clock.now(), DAY)
            self.ids = IdFactory(self.me.node)

    async def look_up(self, name: str, type: RecordType) -> Sequence[Any]:
        """The DNS of this world."""
        return self.zone.get((name, type), [])

    def read(self) -> None:
        """Let the reader begin."""
        self.run(self.reader.run())

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Until the world ends."""
        self._tasks.append(asyncio.create_task(work))

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._listener is not None
        return self._listener.addresses[0].port

    async def client(self) -> Dialogue:
        """Connected, and greeted."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        made = Dialogue(reader, writer)
        self._dialogues.append(made)
        assert (await made.reply()).startswith("220 ")
        return made

    async def close(self) -> None:
        for dialogue in self._dialogues:
            dialogue.close()
        if self._listener is not None:
            await self._listener.drain(1)
            await self.refusals.close()
        if self._tasks:
            await self.reader.drain(2)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
