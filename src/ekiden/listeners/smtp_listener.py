"""A named SMTP listener: its sockets, its sessions, its end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import structlog

from ekiden.access.failures import throttle_key
from ekiden.limits.connections import Place
from ekiden.listeners.smtp_admission import TOO_MANY_CONNECTIONS, Admission
from ekiden.listeners.smtp_config import SmtpConfig
from ekiden.listeners.smtp_context import SessionContext, SmtpMetrics
from ekiden.listeners.smtp_session import SmtpSession
from ekiden.net.accept import Acceptor
from ekiden.net.listen import ListenAddress, Networks, open_listener, parse_listen_address
from ekiden.net.proxy_protocol import BadProxyHeader, read_proxy_header
from ekiden.net.tls import ServerTls
from ekiden.smtp.server_config import ServerConfig
from ekiden.store.errors import told

if TYPE_CHECKING:
    from ekiden.access.authenticate import Principal
    from ekiden.access.directory import Directory
    from ekiden.listeners.smtp_visitor import SmtpService

log = structlog.get_logger()

_LAST_WORDS = 0.5
"""Seconds that the last replies of a drain have to leave the machine."""


@dataclass(frozen=True, slots=True)
class ListenerSpec:
    """One entry of ``[[listeners]]``, with its files loaded.

    ``addresses`` are texts such as ``0.0.0.0:587`` and ``[::]:587``. ``tls`` is needed unless mode is ``plain``;
    ``inbound`` is for other servers, with STARTTLS. Clients in ``trusted_networks`` need neither TLS nor AUTH and
    are ``trusted``; in mode ``plain`` there are no others. Connections from ``proxy_from`` must begin with a PROXY
    header, which names the client.
    """

    name: str
    addresses: tuple[str, ...]
    mode: Literal["starttls", "tls", "plain", "inbound"]
    tls: ServerTls | None = None
    region: str = ""
    endpoint: str = "public"
    proxy_from: tuple[str, ...] = ()
    trusted_networks: tuple[str, ...] = ()
    trusted: Principal | None = None
    restricted: bool = False
    """Clients that no network rule could let in are turned away when they connect."""
    max_size: int = 0
    """Octets of a message; 0: as ``SmtpConfig`` says."""
    max_recipients: int = 0
    """Of a message; 0: as ``SmtpConfig`` says."""

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
        service: SmtpService,
        smtp_config: SmtpConfig,
        hostname: str,
        metrics: SmtpMetrics | None = None,
        *,
        admission: Admission | None = None,
        carriers: bool = True,
        sweep: float = 1.0,
        paused: Callable[[], None] | None = None,
    ) -> None:
        """``carriers``: whether Japanese carriers' old addresses are taken without quotes (``core.address``).
        ``sweep``: seconds between two looks at all sessions for slow clients; there is no timer per session.
        ``paused``: called each time that the system has nothing left to accept connections with.
        """
        self.spec = spec
        self._sweep_every = sweep
        self._paused = paused
        self._config = smtp_config
        self._proxies = Networks(spec.proxy_from)
        self.admission = admission or Admission(smtp_config)
        common = ServerConfig(
            hostname=hostname,
            max_size=spec.max_size or smtp_config.max_size,
            max_recipients=spec.max_recipients or smtp_config.max_recipients,
            max_errors=smtp_config.max_errors,
            max_commands=smtp_config.max_commands,
            tls_available=spec.mode in ("starttls", "inbound"),
            tls_active=spec.mode == "tls",
            carrier_addresses=carriers,
        )
        self._shared = SessionContext(
            spec=spec,
            service=service,
            trusted_networks=Networks(spec.trusted_networks),
            config=smtp_config,
            protocol=service.offers(common, trusted=False),
            trusted_protocol=service.offers(common, trusted=True),
            metrics=metrics or SmtpMetrics(),
            admission=self.admission,
        )
        self._sockets: list[socket.socket] = []
        self._loop: asyncio.AbstractEventLoop
        self._acceptors: list[Acceptor] = []
        self._beginning: dict[asyncio.Task[None], bool] = {}
        """Connections without a session yet; and whether the task may be cancelled."""
        self._sweeper: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task[None] | None = None
        self.addresses: tuple[ListenAddress, ...] = ()
        """Where it listens, once started: with the real ports."""

    @property
    def sessions(self) -> int:
        """Open ones."""
        return len(self._shared.sessions)

    async def start(self) -> None:
        """Bind and accept. Raises ``OSError`` (with the address in its text) and then listens nowhere."""
        self._loop = loop = asyncio.get_running_loop()
        try:
            for text in self.spec.addresses:
                address = parse_listen_address(text)
                try:
                    self._sockets.append(open_listener(address.host, address.port))
                except OSError as error:
                    raise OSError(error.errno, f"cannot listen on {text}: {error.strerror}") from None
            self.addresses = tuple(ListenAddress(*bound.getsockname()[:2]) for bound in self._sockets)
            for bound in self._sockets:
                acceptor = Acceptor(bound, self._accepted, name=self.spec.name, paused=self._exhausted)
                self._acceptors.append(acceptor)
                acceptor.start()
        except BaseException:
            self._stop_accepting()
            raise
        self._sweeper = loop.call_later(self._sweep_every, self._sweep)

    def _exhausted(self) -> None:
        """No descriptor is left. Whoever has proven nothing makes room."""
        self.admission.places.shed()
        if self._paused is not None:
            self._paused()

    async def drain(self, timeout: float) -> None:
        """Accept no more; 421 to idle sessions; what is being received or stored may end within ``timeout``."""
        shared = self._shared
        shared.draining = True
        self._stop_accepting()
        for task, may_be_cancelled in list(self._beginning.items()):
            if may_be_cancelled:
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
        if self._looking is not None:
            await asyncio.gather(self._looking, return_exceptions=True)

    def _stop_accepting(self) -> None:
        for acceptor in self._acceptors:
            acceptor.close()
        for bound in self._sockets:
            bound.close()
        self._acceptors.clear()
        self._sockets.clear()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for session in list(self._shared.sessions):
            try:
                session.check(now)
            except Exception:  # the others are to be looked at all the same
                log.exception("a session could not be checked", listener=self.spec.name)
                session.abort()
        if self._looking is None:
            self._look_at_credentials()
        self._sweeper = loop.call_later(self._sweep_every, self._sweep)

    def _look_at_credentials(self) -> None:
        """Read what idle sessions were opened with, all in one query, so that a change ends them, too."""
        ids = {session.credential_id for session in self._shared.sessions}
        ids.discard(0)
        directory = self._shared.service.directory
        if ids and directory is not None:
            self._looking = asyncio.get_running_loop().create_task(self._end_sessions(directory, ids))

    async def _end_sessions(self, directory: Directory, credential_ids: set[int]) -> None:
        try:
            await directory.refresh(credential_ids)
        except Exception as error:
            # They are asked again at MAIL, and in a second.
            told(log, "the credentials of open sessions are not known", error)
        else:
            for session in list(self._shared.sessions):
                session.check_credential()
        finally:
            self._looking = None

    # --- the beginning of a connection --------------------------------------------------------------------------

    def _accepted(self, accepted: socket.socket, address: Any) -> None:
        """Called for each connection. Who has no place is told so at once; the handshake that it would take in mode
        ``tls`` is not worth it."""
        peer = str(address[0])
        trusted = peer in self._proxies or peer in self._shared.trusted_networks
        place = self.admission.places.enter(throttle_key(peer), accepted.close, trusted=trusted)
        if place is None:
            self._turn_away(accepted, peer)
            return
        task = self._loop.create_task(self._begin(accepted, peer, place))
        self._beginning[task] = True

        def cut() -> None:
            task.cancel()

        def done(_: asyncio.Task[None]) -> None:
            del self._beginning[task]
            if task.cancelled():  # perhaps before it did anything
                accepted.close()
                place.leave()

        place.cut_with(cut)
        task.add_done_callback(done)

    def _turn_away(self, accepted: socket.socket, peer: str) -> None:
        self._shared.service.refusals.tell(
            "connect", "connections", TOO_MANY_CONNECTIONS, client=peer, listener=self.spec.name
        )
        if self.spec.mode != "tls":
            with suppress(OSError):
                accepted.send(TOO_MANY_CONNECTIONS.encode())
        accepted.close()

    async def _begin(self, accepted: socket.socket, peer: str, place: Place) -> None:
        session: SmtpSession | None = None
        try:
            if peer in self._proxies:
                header = await read_proxy_header(accepted, self._config.tls_timeout)
                if header.source is not None:
                    peer = header.source.host
                    if not place.move(throttle_key(peer), trusted=peer in self._shared.trusted_networks):
                        self._turn_away(accepted, peer)
                        return
            session = SmtpSession(self._shared, peer, place)
            if self.spec.mode != "tls":
                # uvloop would close the transport, and tell the session of its beginning, but not of its end.
                place.cut_with(session.push_out)
                task = asyncio.current_task()
                assert task is not None
                self._beginning[task] = False
            await self._hand_over(accepted, session)
        except (BadProxyHeader, TimeoutError, OSError) as error:
            log.debug("a connection ended before it began", listener=self.spec.name, why=str(error))
        except Exception:
            log.exception("a connection could not begin", listener=self.spec.name)
        finally:
            if session is None:
                accepted.close()
            if session is None or not session.began:
                place.leave()

    async def _hand_over(self, accepted: socket.socket, session: SmtpSession) -> None:
        """The loop owns the socket from here on, and closes it."""
        tls = self.spec.tls if self.spec.mode == "tls" else None
        await self._loop.connect_accepted_socket(
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
