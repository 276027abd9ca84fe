"""A named SMTP listener: its sockets, its sessions, its end."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ekiden.access.authenticate import Authenticator, Principal
from ekiden.access.doorstep import Doorstep
from ekiden.access.failures import address_key
from ekiden.net.listen import ListenAddress, Networks, open_listener, parse_listen_address
from ekiden.net.proxy_protocol import BadProxyHeader, read_proxy_header
from ekiden.net.tls import ServerTls
from ekiden.server.smtp_config import SmtpConfig
from ekiden.server.smtp_session import SmtpSession
from ekiden.server.smtp_shared import Admission, NoMetrics, SessionContext, SmtpMetrics
from ekiden.smtp.server import ServerConfig

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.intake.door import Door

log = logging.getLogger(__name__)

_LAST_WORDS = 0.5
"""Seconds that the last replies of a drain have to leave the machine."""


@dataclass(frozen=True, slots=True)
class ListenerSpec:
    """One entry of ``[[listeners]]``, with its files loaded.

    ``addresses`` are texts such as ``0.0.0.0:587`` and ``[::]:587``. ``tls`` is needed unless mode is ``plain``.
    Clients in ``trusted_networks`` need neither TLS nor AUTH and are ``trusted``; in mode ``plain`` there are no
    others. Connections from ``proxy_from`` must begin with a PROXY header, which names the client.
    """

    name: str
    addresses: tuple[str, ...]
    mode: Literal["starttls", "tls", "plain"]
    tls: ServerTls | None = None
    region: str = ""
    endpoint: str = "public"
    proxy_from: tuple[str, ...] = ()
    trusted_networks: tuple[str, ...] = ()
    trusted: Principal | None = None

    def __post_init__(self) -> None:
        if self.tls is None and self.mode != "plain":
            raise ValueError(f"listener {self.name}: mode {self.mode} needs a certificate")
        if bool(self.trusted_networks) != (self.trusted is not None):
            raise ValueError(f"listener {self.name}: trusted networks and the account they stand for go together")


class SmtpListener:
    """One per entry and worker. ``admission`` is shared by the listeners of a worker."""

    def __init__(
        self,
        spec: ListenerSpec,
        door: Door,
        authenticator: Authenticator,
        clock: Clock,
        smtp_config: SmtpConfig,
        hostname: str,
        metrics: SmtpMetrics | None = None,
        *,
        admission: Admission | None = None,
        doorstep: Doorstep | None = None,
        sweep: float = 1.0,
    ) -> None:
        """``doorstep``: for listeners that only serve SMTP users of configurations with network rules.

        ``sweep``: seconds between two looks at all sessions for slow clients; there is no timer per session.
        """
        self.spec = spec
        self._sweep_every = sweep
        self._config = smtp_config
        self._proxies = Networks(spec.proxy_from)
        self.admission = admission or Admission(smtp_config)
        common = ServerConfig(
            hostname=hostname,
            max_size=smtp_config.max_size,
            max_recipients=smtp_config.max_recipients,
            max_errors=smtp_config.max_errors,
            tls_available=spec.mode == "starttls",
            tls_active=spec.mode == "tls",
        )
        self._shared = SessionContext(
            listener=spec.name,
            region=spec.region,
            endpoint=spec.endpoint,
            tls=spec.tls,
            plain=spec.mode == "plain",
            trusted_networks=Networks(spec.trusted_networks),
            trusted=spec.trusted,
            door=door,
            authenticator=authenticator,
            gate=door.policy.gate,
            refusals=door.policy.refusals,
            doorstep=doorstep,
            clock=clock,
            config=smtp_config,
            protocol=common,
            trusted_protocol=replace(common, require_tls=False, require_auth=False),
            metrics=metrics or NoMetrics(),
            admission=self.admission,
        )
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []
        self._acceptors: list[asyncio.Task[None]] = []
        self._beginning: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self.addresses: tuple[ListenAddress, ...] = ()
        """Where it listens, once started: with the real ports."""

    @property
    def sessions(self) -> int:
        """Open ones."""
        return len(self._shared.sessions)

    async def start(self) -> None:
        """Bind and accept. Raises ``OSError`` (with the address in its text) and then listens nowhere."""
        loop = asyncio.get_running_loop()
        try:
            for text in self.spec.addresses:
                address = parse_listen_address(text)
                try:
                    self._sockets.append(open_listener(address.host, address.port))
                except OSError as error:
                    raise OSError(error.errno, f"cannot listen on {text}: {error.strerror}") from None
            self.addresses = tuple(ListenAddress(*bound.getsockname()[:2]) for bound in self._sockets)
            for bound in self._sockets:
                if self.spec.mode == "tls" or self._proxies:
                    self._acceptors.append(loop.create_task(self._accept(bound)))
                else:
                    self._servers.append(await loop.create_server(self._session, sock=bound))
        except BaseException:
            self._stop_accepting()
            raise
        self._sweeper = loop.call_later(self._sweep_every, self._sweep)

    def reload(self, tls: ServerTls | None) -> None:
        """Use these certificates for handshakes from now on."""
        self._shared.tls = tls

    async def drain(self, timeout: float) -> None:
        """Accept no more; 421 to idle sessions; what is being received or stored may end within ``timeout``."""
        shared = self._shared
        shared.draining = True
        self._stop_accepting()
        for task in list(self._beginning):
            task.cancel()
        for session in list(shared.sessions):
            session.drain()
        await _until(lambda: all(session.closing for session in shared.sessions), timeout)
        for session in list(shared.sessions):
            session.end()
        await _until(lambda: not shared.sessions, _LAST_WORDS)
        for session in list(shared.sessions):
            session.abort()
        await _until(lambda: not shared.sessions and not self._beginning, _LAST_WORDS)
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def _session(self) -> SmtpSession:
        return SmtpSession(self._shared)

    def _stop_accepting(self) -> None:
        for server in self._servers:
            server.close()
        for acceptor in self._acceptors:
            acceptor.cancel()
        for bound in self._sockets:
            bound.close()
        self._servers.clear()
        self._acceptors.clear()
        self._sockets.clear()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for session in list(self._shared.sessions):
            try:
                session.check(now)
            except Exception:  # the others are to be looked at all the same
                log.exception("listener %s: a session could not be checked", self.spec.name)
                session.abort()
        self._sweeper = loop.call_later(self._sweep_every, self._sweep)

    # --- connections that begin with a PROXY header or a TLS handshake ------------------------------------------

    async def _accept(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(bound)
            except ConnectionAbortedError:
                continue
            except OSError as error:
                # No more file descriptors, most likely; those who wait in the backlog can wait a little longer.
                log.warning("listener %s cannot accept: %s", self.spec.name, error.strerror)
                await asyncio.sleep(0.2)
                continue
            if len(self._beginning) >= self._config.max_connections:
                accepted.close()
                continue
            task = loop.create_task(self._begin(accepted))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)

    async def _begin(self, accepted: socket.socket) -> None:
        session: SmtpSession | None = None
        try:
            peer = str(accepted.getpeername()[0])
            if peer in self._proxies:
                header = await read_proxy_header(accepted, self._config.tls_timeout)
                if header.source is not None:
                    peer = header.source.host
            session = self._admit(peer)
            if session is not None:
                await self._hand_over(accepted, session)
        except (BadProxyHeader, TimeoutError, OSError) as error:
            log.debug("listener %s: a connection ended before it began: %s", self.spec.name, error)
        except Exception:
            log.exception("listener %s: a connection could not begin", self.spec.name)
        finally:
            if session is None:
                accepted.close()
            else:
                session.never_began()

    def _admit(self, peer: str) -> SmtpSession | None:
        """The session for a client; ``None``: one connection too many, which cannot be said before a handshake."""
        if self.spec.mode != "tls":
            return SmtpSession(self._shared, peer)
        key = address_key(peer)
        if not self.admission.enter(key, trusted=peer in self._shared.trusted_networks):
            return None
        return SmtpSession(self._shared, peer, key)

    async def _hand_over(self, accepted: socket.socket, session: SmtpSession) -> None:
        """The loop owns the socket from here on, and closes it."""
        tls = self._shared.tls if self.spec.mode == "tls" else None
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: session,
            accepted,
            ssl=None if tls is None else tls.context,
            ssl_handshake_timeout=None if tls is None else self._config.tls_timeout,
        )


async def _until(done: Callable[[], bool], timeout: float) -> None:
    """Wait for ``done``, but not longer than ``timeout`` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while not done() and (left := deadline - loop.time()) > 0:  # noqa: ASYNC110 (sessions end in many places)
        await asyncio.sleep(min(0.02, left))
