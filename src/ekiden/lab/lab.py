"""A whole lab: DNS, receiving servers, callback receiver and API, in this process or as one of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import structlog

from ekiden.lab.addresses import loopback
from ekiden.lab.api import Api
from ekiden.lab.behaviour import Behaviour, LabError, parse_behaviour
from ekiden.lab.catalogue import CATALOGUE, ZONE
from ekiden.lab.dns import NameServer, Query
from ekiden.lab.http import MAX_KEPT, Callback, HttpRule, HttpServer, Receiver
from ekiden.lab.internet import Domain, Internet, domain_name
from ekiden.lab.mailbox import Mail, Mailbox, SessionRecord
from ekiden.lab.records import Records
from ekiden.lab.reports import Reports
from ekiden.lab.routes import Route
from ekiden.lab.sending import Letter, Sender, Sent

_log = structlog.get_logger()


class LabConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ports of 0 are free ones. ``host`` must be a loopback address. ``ttl`` in seconds, of every DNS answer.

    ``max_mail`` messages with ``max_mail_bytes`` octets are kept at most (the oldest go first), so many callbacks
    with octets of their bodies, and the last so many sessions. ``wildcard``: names below lab.test that nobody has
    named accept mail as well. ``state_file``: ports, behaviours and DNS edits are written there and taken from
    there at the next start; kept mail is not.
    """

    host: str = "127.0.0.1"
    dns_port: int = 0
    smtp_port: int = 0
    api_port: int = 0
    http_port: int = 0
    ttl: int = 1
    max_mail: int = 100_000
    max_mail_bytes: int = 256 << 20
    max_sessions: int = 2_000
    max_callbacks: int = 10_000
    max_callback_bytes: int = MAX_KEPT
    wildcard: bool = True
    state_file: str = ""


class State(msgspec.Struct):
    """What the state file holds. ``dns``: (name, type, values), no values for what was deleted."""

    block: str = ""
    dns_port: int = 0
    smtp_port: int = 0
    api_port: int = 0
    http_port: int = 0
    behaviours: dict[str, Behaviour | None] = {}
    dns: list[tuple[str, str, list[str]]] = []
    routes: dict[str, Route] = {}
    http: dict[str, list[HttpRule]] = {}


class Lab:
    """``async with Lab() as lab:`` — everything listens on loopback inside, and nothing is left outside.

    ``dns_address`` is (host, port) of UDP and TCP, ``smtp_port`` the port of all receiving servers, ``api_url`` and
    ``http_url`` (the receiver of callbacks) are URLs without a final slash.
    """

    def __init__(self, config: LabConfig | None = None, catalogue: Mapping[str, Behaviour] = CATALOGUE) -> None:
        """``catalogue``: the receiving servers at the start, by the label below lab.test. A hundred listeners with
        their records are nearly all of what a start costs: who only asks the DNS has none."""
        self.config = config or LabConfig()
        self._catalogue = catalogue
        loopback(self.config.host)
        self.dns_address: tuple[str, int] = (self.config.host, 0)
        self.smtp_port = 0
        self.api_url = ""
        self.http_url = ""
        self.records = Records(ZONE, self.config.ttl)
        self.mailbox = Mailbox(self.config.max_mail, self.config.max_mail_bytes, self.config.max_sessions)
        self.receiver = Receiver(self.config.max_callbacks, self.config.max_callback_bytes)
        self.sender = Sender(self.records, self.port_of, lambda: self.internet.origin)
        self.reports = Reports(self.sender, self._host_of)
        self.internet = Internet(self.records, self.mailbox, self.reports.take)
        self._state = State()
        self._name_server = NameServer(self.records)
        self._http_server = HttpServer(self.receiver.handle)
        self._http_port = 0
        self._http_back: asyncio.Task[None] | None = None
        self._api_server = HttpServer(Api(self).handle)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Bring everything up. ``LabError`` when a port that was asked for is taken."""
        config, old = self.config, self._load()
        host = config.host
        try:
            smtp = await _with_fallback(
                lambda port: self.internet.start(
                    self._catalogue, host=host, port=port, block=old.block or None, wildcard=config.wildcard
                ),
                config.smtp_port,
                old.smtp_port,
            )
            dns = await _with_fallback(lambda p: self._name_server.start(host, p), config.dns_port, old.dns_port)
            http = await _with_fallback(lambda p: self._http_server.start(host, p), config.http_port, old.http_port)
            api = await _with_fallback(lambda p: self._api_server.start(host, p), config.api_port, old.api_port)
            self.dns_address, self.smtp_port = (host, dns), smtp
            self._http_port = http
            self.http_url, self.api_url = f"http://{_bracket(host)}:{http}", f"http://{_bracket(host)}:{api}"
            self._state = State(self.internet.block.start, dns, smtp, api, http)
            for domain, behaviour in old.behaviours.items():
                if behaviour is None:
                    await self.remove_behaviour(domain)
                else:
                    await self.set_behaviour(domain, behaviour)
            for name, rdtype, values in old.dns:
                self.set_dns(name, rdtype, values)
            self._state.routes = old.routes  # their records are among those above
            for prefix, rules in old.http.items():
                self.set_http(prefix, rules)
            self._save()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close every listener and connection."""
        if self._http_back is not None:
            self._http_back.cancel()
        await self._api_server.close()
        await self._http_server.close()
        await self._name_server.close()
        await self.internet.close()
        await self.reports.close()

    def addresses(self) -> dict[str, Any]:
        """Where everything is, as in the line that ``python -m ekiden.lab`` prints and in ``GET /``."""
        return {
            "dns": list(self.dns_address),
            "smtp": [self.config.host, self.smtp_port],
            "api": self.api_url,
            "http": self.http_url,
            "zone": ZONE,
            "ipv6": self.internet.ipv6,
            "pid": os.getpid(),
        }

    # Mail.

    def mail(self, to: str | None = None, *, sender: str | None = None, limit: int | None = None) -> list[Mail]:
        """Kept messages, oldest first; ``to`` is an address or ``@domain``."""
        return self.mailbox.find(to, sender=sender, limit=limit)

    async def wait_for_mail(self, to: str | None = None, count: int = 1, timeout: float = 10) -> list[Mail]:
        """Wait until ``count`` messages for ``to`` are there and return all of them. ``TimeoutError`` after
        ``timeout`` s."""
        if not await self.mailbox.wait(to, count, timeout):
            raise TimeoutError(
                f"{self.mailbox.count(to)} of {count} messages for {to or 'anybody'} after {timeout:g} s"
            )
        return self.mailbox.find(to)

    @property
    def sessions(self) -> list[SessionRecord]:
        """The last SMTP connections, oldest first."""
        return list(self.mailbox.sessions)

    def violations(self) -> list[str]:
        """Every breach of the protocol by clients in those sessions."""
        return [what for session in self.mailbox.sessions for what in session.violations]

    # DNS.

    def set_dns(self, name: str, rdtype: str, values: Iterable[str]) -> None:
        """Replace a record set, at once; values in presentation format, none removes it."""
        chosen = list(values)
        self.records.put(name, rdtype, chosen)
        key = name.rstrip(".").lower()
        self._state.dns = [edit for edit in self._state.dns if (edit[0], edit[1]) != (key, rdtype.upper())]
        self._state.dns.append((key, rdtype.upper(), chosen))
        self._save()

    def remove_dns(self, name: str, rdtype: str) -> bool:
        """Remove a record set. Says whether there was one."""
        there = rdtype.upper() in next(iter(self.records.listing(name).values()), {})
        self.set_dns(name, rdtype, [])
        return there

    @property
    def queries(self) -> list[Query]:
        """The last DNS queries, oldest first."""
        return list(self._name_server.queries)

    # Mail that the lab sends.

    async def send(self, to: str | tuple[str, ...], raw: str | bytes, *, sender: str = "", **more: Any) -> Sent:
        """Bring a message to the servers of its recipients, once; ``more`` as in ``Letter``. ``LabError`` when
        what is asked for is wrong; refusals are results."""
        text, octets = (raw, None) if isinstance(raw, str) else (None, raw)
        return await self.sender.send(Letter(to, sender, text, octets, **more))

    def _host_of(self, domain: str) -> tuple[str, str]:
        return self.internet.host_of(domain)

    @property
    def routes(self) -> dict[str, Route]:
        """What was set with ``set_route``, by domain."""
        return self._state.routes

    def set_route(self, domain: str, route: Route) -> Route:
        """From now on mail for ``domain`` goes to the server of ``route``: MX, address and SPF records in the DNS,
        and the port that its host is reached at. Other routes to the same host lead where this one does.
        ``LabError`` if wrong."""
        name = domain_name(domain)
        route = route.named(name)
        for owner, rdtype, values in route.records(name, self.records.listing(name).get(name, {})):
            self.set_dns(owner, rdtype, values)
        for other, kept in list(self.routes.items()):
            if kept.host == route.host:
                self.routes[other] = msgspec.structs.replace(kept, address=route.address, port=route.port)
        self.routes[name] = route
        self._save()
        return route

    def remove_route(self, domain: str) -> bool:
        """Mail for ``domain`` goes nowhere: its MX record goes. Says whether there was a route."""
        name = domain_name(domain)
        if self.routes.pop(name, None) is None:
            return False
        self.remove_dns(name, "MX")
        return True

    def port_of(self, host: str) -> int:
        """The port at which this MX host takes mail: that of a route, or the one of all servers of the lab."""
        return next((route.port for route in self.routes.values() if route.host == host), self.smtp_port)

    # Behaviour.

    async def set_behaviour(self, domain: str, behaviour: Behaviour | Mapping[str, Any] | str) -> Domain:
        """Choose how a domain behaves: a value, its JSON form, or the name of a ready-made one. ``LabError``
        if wrong."""
        chosen = parse_behaviour(behaviour, CATALOGUE)
        found = await self.internet.set_behaviour(domain, chosen)
        self._state.behaviours.pop(found.name, None)
        self._state.behaviours[found.name] = chosen
        # What the domain has just published replaces earlier edits of the same record sets.
        self._state.dns = [edit for edit in self._state.dns if (edit[0], edit[1]) not in found.records]
        self._save()
        return found

    async def remove_behaviour(self, domain: str) -> bool:
        """A ready-made domain gets its own behaviour back, another one ceases to be. Says whether it was there."""
        name = domain_name(domain)
        own = CATALOGUE.get(name.removesuffix(f".{ZONE}")) if name.endswith(f".{ZONE}") else None
        if own is not None:
            await self.internet.set_behaviour(name, own)
        elif not await self.internet.remove(name):
            return False
        self._state.behaviours.pop(name, None)
        self._save()
        return True

    # Callbacks.

    def set_http(self, prefix: str, rules: list[HttpRule]) -> None:
        """Choose how the receiver of callbacks answers below ``prefix``; no rules: 200."""
        self.receiver.put(prefix, rules)
        self._state.http = self.receiver.rules
        self._save()

    @property
    def http_up(self) -> bool:
        """Whether the receiver of callbacks takes connections."""
        return self._http_server.listens

    async def set_http_up(self, up: bool, seconds: float = 0) -> None:
        """Switch the receiver of callbacks on, or off: connections are cut and refused then, for ``seconds`` (0:
        until it is switched on). ``LabError`` when somebody else has taken its port meanwhile."""
        if self._http_back is not None:
            self._http_back.cancel()
            self._http_back = None
        if not up:
            await self._http_server.close()
            if seconds:
                self._http_back = asyncio.create_task(self._http_comes_back(seconds))
        elif not self.http_up:
            await self._http_server.start(self.config.host, self._http_port)

    async def _http_comes_back(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._http_back = None
        try:
            await self.set_http_up(True)
        except LabError as error:  # nobody waits for it; GET /http-server says that it is dead
            _log.error("the lab's receiver of callbacks stays down", why=str(error))

    def callbacks(self, path: str | None = None) -> list[Callback]:
        """Callbacks received on paths that begin with ``path``, oldest first."""
        return self.receiver.find(path)

    # The state file.

    def _load(self) -> State:
        if not self.config.state_file:
            return State()
        path = Path(self.config.state_file)
        try:
            return msgspec.json.decode(path.read_bytes(), type=State)
        except FileNotFoundError:
            return State()
        except (OSError, msgspec.DecodeError) as error:
            raise LabError(f"the lab's state file {path} cannot be read: {error}") from None

    def _save(self) -> None:
        if not self.config.state_file or not self._state.api_port:
            return
        path = Path(self.config.state_file)
        fresh = path.with_name(path.name + ".new")
        fresh.write_bytes(msgspec.json.encode(self._state))
        fresh.replace(path)


async def _with_fallback(start: Callable[[int], Any], wanted: int, remembered: int) -> int:
    """Start on the port that was asked for, or on the remembered one if it is still free, or on a free one."""
    if not wanted and remembered:
        with contextlib.suppress(LabError):
            return int(await start(remembered))
    return int(await start(wanted))


def _bracket(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def serve_lab(
    config: LabConfig, ready: Callable[[dict[str, Any]], None], *, watch_stdin: bool = False
) -> None:
    """Run a lab until SIGTERM, SIGINT, or (``watch_stdin``) the end of standard input, which a parent holds
    open."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Lab(config) as lab:
        if watch_stdin:
            await loop.connect_read_pipe(lambda: _UntilEnd(stop), sys.stdin)
        ready(lab.addresses())
        await stop.wait()


class _UntilEnd(asyncio.Protocol):
    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop.set()


def run_lab(config: LabConfig | None = None, *, json_line: bool = True, watch_stdin: bool = False) -> None:
    """Run a lab as this process's whole work; prints its addresses when it is ready, as one line of JSON or as
    text."""
    import uvloop

    def ready(addresses: dict[str, Any]) -> None:
        if json_line:
            print(json.dumps(addresses), flush=True)
            return
        print("The lab is up; everything is on loopback, documented in docs/lab.md.")
        for what in ("dns", "smtp", "api", "http"):
            value = addresses[what]
            print(f"  {what:<5} {value if isinstance(value, str) else f'{value[0]}:{value[1]}'}", flush=True)

    uvloop.run(serve_lab(config or LabConfig(), ready, watch_stdin=watch_stdin))
