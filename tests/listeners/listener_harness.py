"""A listener on an event loop in a thread of its own, as in a worker, for clients that block."""

from __future__ import annotations

import asyncio
import base64
import shutil
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from ekiden.access.accounts import create_account
from ekiden.access.authenticate import Authenticator, Principal
from ekiden.access.config import AccessConfig
from ekiden.access.credentials import create_api_key, set_password
from ekiden.core.clock import DAY
from ekiden.core.ids import IdFactory
from ekiden.intake.config import IntakeConfig
from ekiden.intake.door import Door
from ekiden.intake.doorstep import Doorstep
from ekiden.listeners.smtp_config import SmtpConfig
from ekiden.listeners.smtp_listener import ListenerSpec, SmtpListener
from ekiden.listeners.smtp_submission import Submissions
from ekiden.net.clock import SystemClock
from ekiden.net.tls import CertificateFiles, ServerTls, client_context, make_self_signed
from ekiden.store.api import Store
from ekiden.store.open import open_store
from ekiden.store.records import Delivery
from support.door_parts import door_parts

HOST = "mail.example.com"
PASSWORD = "correct horse"
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}
T = TypeVar("T")


class Mailbox:
    """Takes what was accepted, by recipient. While ``broken`` it fails as no part of the road should."""

    def __init__(self) -> None:
        self.contents: dict[str, list[bytes]] = {}
        self.deliveries: list[Delivery] = []
        self.broken = False

    def capacity(self, account_id: int, count: int, size: int) -> bool:
        if self.broken:
            raise RuntimeError("a fault of ours")
        return True

    def offer(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            assert delivery.message.content is not None
            self.contents.setdefault(delivery.recipient, []).append(delivery.message.content)
        self.deliveries += deliveries

    def body(self, recipient: str) -> bytes:
        """Of the only message to ``recipient``, without the fields that were added."""
        [content] = self.contents[recipient]
        return content.partition(b"@mail.example.com>\r\n")[2]

    def received(self, recipient: str) -> str:
        """The Received field that was added, unfolded."""
        [content] = self.contents[recipient]
        return content.partition(b"Date: ")[0].decode().replace("\r\n\t", " ")


class Counts:
    """``SmtpMetrics``."""

    def __init__(self) -> None:
        self.of: Counter[str] = Counter()

    def connection_opened(self) -> None:
        self.of["opened"] += 1

    def connection_closed(self) -> None:
        self.of["closed"] += 1

    def message_accepted(self, recipients: int, size: int, seconds: float) -> None:
        assert seconds >= 0
        self.of["accepted"] += 1
        self.of["recipients"] += recipients
        self.of["octets"] += size

    def session_ended(self, bound: str) -> None:
        self.of[f"ended {bound}"] += 1

    def message_rejected(self, code: int) -> None:
        self.of[f"rejected {code}"] += 1

    def authenticated(self, result: str) -> None:
        """``Authenticator.told``."""
        self.of[f"auth {result}"] += 1


class Harness:
    """Start with ``with``. ``spec`` is what the listener's specification says besides the common things."""

    def __init__(
        self,
        folder: Path,
        template: Path,
        loop: str = "uvloop",
        *,
        smtp: dict[str, Any] | None = None,
        trusted: bool = False,
        restricted: bool = False,
        recheck: float = 0.05,
        access: AccessConfig | None = None,
        in_clear: bool = False,
        addresses: tuple[str, ...] = ("127.0.0.1:0",),
        certificates: Sequence[CertificateFiles] = (),
        **spec: Any,
    ) -> None:
        self.database = folder / "ekiden.db"
        shutil.copyfile(template, self.database)
        names = (HOST, "127.0.0.1", "127.0.0.2", "::1")
        self.files = make_self_signed(names).write(folder / "server.crt", folder / "server.key")
        self.mailbox = Mailbox()
        self.counts = Counts()
        self._loop_name = loop
        self._smtp = SmtpConfig(**(smtp or {}))
        self._certificates = certificates
        """Besides that of ``HOST``."""
        self._spec = {"name": "test", "mode": "starttls", "region": "eu", "addresses": addresses} | spec
        self._trusted = trusted
        self._restricted = restricted
        self._access = access
        self._in_clear = in_clear
        self._recheck = recheck
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._failed: BaseException | None = None
        self.loop: asyncio.AbstractEventLoop
        self.listener: SmtpListener
        self.store: Store
        self.door: Door
        self.api_key = ""
        self.account_id = 0

    def __enter__(self) -> Harness:
        self._thread.start()
        self._ready.wait(30)
        self._raise()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(30)
        self._raise()

    def _raise(self) -> None:
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the listener's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def start(self, work: Coroutine[Any, Any, T]) -> Any:
        """The same without waiting: returns the future."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    @property
    def port(self) -> int:
        return self.listener.addresses[0].port

    def context(self) -> ssl.SSLContext:
        """A client's, that trusts the listener and nobody else."""
        return client_context(verify=True, ca=self.files.certificate)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=LOOPS[self._loop_name]) as runner:
                runner.run(self._main())
        except BaseException as error:
            self._failed = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.store = await open_store(f"sqlite:///{self.database}")
        clock = SystemClock()
        now = clock.now()
        account = await create_account(self.store, "acme", now, senders="any")
        self.account_id = account.id
        self.password = await set_password(self.store, account.id, "mailer", PASSWORD, now)
        self.api_key = (await create_api_key(self.store, account.id, "key", now)).key
        me = await self.store.register_worker("here", 1, now, DAY)
        config = self._access or AccessConfig(delay=0, max_delay=0, recheck=self._recheck, address_limit=1000)
        self.authenticator = authenticator = Authenticator(self.store, clock, config)
        authenticator.told = self.counts.authenticated
        ids = IdFactory(me.node)
        self.parts = parts = door_parts(self.store, clock, ids, authenticator.directory)
        self.door = door = Door(
            self.store,
            clock,
            ids,
            me.id,
            IntakeConfig(hostname=HOST, max_size=self._smtp.max_size),
            self.mailbox,
            directory=authenticator.directory,
            policy=parts.policy,
            signer=parts.signer,
        )
        spec = ListenerSpec(
            tls=None if self._spec["mode"] == "plain" else ServerTls([self.files, *self._certificates]),
            trusted=Principal(account.id, 0, "acme") if self._trusted else None,
            restricted=self._restricted,
            **self._spec,
        )
        doorstep = Doorstep(self.store, clock) if self._restricted else None
        self.listener = SmtpListener(
            spec,
            Submissions(door, authenticator, doorstep),
            self._smtp,
            HOST,
            self.counts,
            sweep=0.02,
        )
        if self._in_clear:  # as if TLS ended before us
            shared = self.listener._shared
            shared.protocol = replace(shared.protocol, tls_available=False, tls_active=True)
        await self.listener.start()
        self._ready.set()
        await self._stop.wait()
        await self.listener.drain(2)
        assert self.listener.sessions == 0
        if doorstep is not None:
            await doorstep.close()
        await authenticator.close()
        await parts.close()
        await self.store.close()


class Client:
    """A socket that speaks in lines. ``source`` is the address it connects from."""

    def __init__(self, port: int, *, host: str = "127.0.0.1", source: str | None = None, rcvbuf: int = 0) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.socket.settimeout(20)
        if rcvbuf:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if source is not None:
            self.socket.bind((source, 0))
        self.socket.connect((host, port))
        self._buffer = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def start_tls(self, context: ssl.SSLContext, name: str | None = HOST) -> None:
        self.socket = context.wrap_socket(self.socket, server_hostname=name)

    def send(self, data: bytes | str) -> None:
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def line(self) -> str:
        """One line; empty at the end of the connection."""
        while b"\n" not in self._buffer:
            try:
                data = self.socket.recv(65_536)
            except ConnectionResetError:
                data = b""
            if not data:
                rest, self._buffer = self._buffer, b""
                return rest.decode()
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode().rstrip("\r")

    def reply(self) -> str:
        """The last line of the next reply."""
        while True:
            line = self.line()
            if line[3:4] != "-":
                return line

    def ask(self, command: str) -> str:
        self.send(command + "\r\n")
        return self.reply()

    def rest(self) -> list[str]:
        """Every line until the server closes."""
        lines = []
        while line := self.line():
            lines.append(line)
        return lines

    def secure(self, context: ssl.SSLContext) -> None:
        """Greeting, STARTTLS, EHLO."""
        assert self.reply().startswith("220 ")
        assert self.ask("STARTTLS").startswith("220 ")
        self.start_tls(context)
        assert self.ask("EHLO client.example.com").startswith("250 ")


Make = Callable[..., Harness]
"""Of the fixture ``make``: started with these options of ``Harness``."""


def plain(username: str, password: str) -> str:
    """The command that logs in so, in one line."""
    return "AUTH PLAIN " + base64.b64encode(f"\0{username}\0{password}".encode()).decode()


class Lag:
    """How long callbacks of a harness' loop had to wait at most, while the block ran.

    Only while this process had a processor: that of a machine which stands still is nobody's fault.
    """

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self._over = False
        self.worst = 0.0

    def __enter__(self) -> Lag:
        self._probe = self._harness.start(self._watch())
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._probe.result(30)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._over:
            before, worked = loop.time(), time.process_time()
            await asyncio.sleep(0.005)
            self.worst = max(self.worst, min(loop.time() - before - 0.005, time.process_time() - worked))
