"""From a route to a session: the addresses of its hosts are tried in their order, and what came of each is kept."""

from __future__ import annotations

import asyncio
import ssl

from ekiden.core.clock import Clock
from ekiden.core.diagnosis import Verdict
from ekiden.core.errors import EkidenError
from ekiden.core.said import Remark, say
from ekiden.delivery import verdict as verdicts
from ekiden.delivery.config import DeliveryConfig
from ekiden.delivery.metrics import DeliveryMetrics
from ekiden.delivery.routing import Candidate, Route, Router
from ekiden.delivery.session import TOO_SLOW, Session, SessionLost, TlsBroken
from ekiden.net.network import Network, OutsideLab, host_port
from ekiden.net.trouble import trouble
from ekiden.smtp.client import ClientConnection

_BROKEN_MOST = 10_000
_AGAIN_IN_CLEAR = Remark(say("again_in_clear"))


class NotConnected(EkidenError):
    """No address of the route led to a session. ``dialogue`` shows each; ``host`` and ``address`` the last."""

    def __init__(self, verdict: Verdict, dialogue: list[str], candidate: Candidate | None) -> None:
        super().__init__(verdict.text)
        self.verdict = verdict
        self.dialogue = dialogue
        self.host = candidate.host if candidate else ""
        self.address = host_port(candidate.address, candidate.port) if candidate else ""


class Connector:
    """Opens sessions: the addresses of a route in their order until one talks SMTP with us."""

    def __init__(
        self,
        network: Network,
        router: Router,
        clock: Clock,
        config: DeliveryConfig,
        hostname: str,
        tls: ssl.SSLContext,
        metrics: DeliveryMetrics | None = None,
    ) -> None:
        self._metrics = metrics or DeliveryMetrics()
        self._network = network
        self._router = router
        self._clock = clock
        self._config = config
        self._hostname = config.helo or hostname
        self._tls = tls
        self._in_clear = not config.starttls
        self._families = config.families()
        self._tls_broken: dict[str, float] = {}

    async def open(self, route: Route) -> Session:
        """A session with the best address that answers.

        Raises ``routing.Unroutable`` when no host has an address, and ``NotConnected`` when every address refused,
        was silent, or broke off before MAIL, or time was over. A refusal in the greeting or of EHLO, 5xx included,
        speaks about this host and the moment, not about a message: the next address is tried, and at last the mail
        waits. The next attempt begins with those that were not tried.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + self._config.attempt_timeout
        candidates, dialogue = await self._router.candidates(route)
        verdict = verdicts.no_connection(say("no_address"))
        candidate = candidates[-1]
        for candidate in candidates:
            if clock() >= until:
                dialogue.append(Remark(say("others_not_tried", why=TOO_SLOW["attempt"])))
                break
            in_clear = not route.tls and (self._in_clear or self._is_broken(candidate.address))
            try:
                try:
                    tls = None if in_clear else self._tls
                    session = await self._try(candidate, tls, dialogue, until, demanded=route.tls)
                except TlsBroken:
                    if route.tls:
                        raise
                    self._remember_broken(candidate.address)
                    dialogue.append(_AGAIN_IN_CLEAR)
                    session = await self._try(candidate, None, dialogue, until)
            except SessionLost as error:
                self._router.failed(candidate)
                verdict = verdicts.no_connection(
                    say("at_host", host=candidate.host, why=error.said), error.reply, error.stage
                )
                continue
            except OutsideLab as error:
                verdict = verdicts.no_connection(error.said)
                dialogue.append(Remark(error.said))
                continue
            session.preamble = "\n".join(dialogue + session.greeting)
            return session
        self._router.unreachable(candidates)
        raise NotConnected(verdict, dialogue, candidate)

    async def _try(
        self,
        candidate: Candidate,
        tls: ssl.SSLContext | None,
        dialogue: list[str],
        until: float,
        *,
        demanded: bool = False,
    ) -> Session:
        where = f"{candidate.host} ({host_port(candidate.address, candidate.port)})"
        source = self._families.source(candidate.address)
        if source is not None:
            where += f" from {source}"
        try:
            stream = await self._network.connect(
                candidate.address,
                candidate.port,
                local_address=source,
                timeout=max(0.0, min(self._config.connect_timeout, until - asyncio.get_running_loop().time())),
            )
        except OSError as error:
            why = trouble(error)
            dialogue.append(Remark(say("at_host", host=where, why=why)))
            raise SessionLost(why) from error
        machine = ClientConnection(self._hostname)
        session = Session(stream, machine, candidate, self._config, self._metrics, until)
        dialogue.append(Remark(say("connected", to=where)))
        try:
            await session.open(tls, demanded=demanded)
        except SessionLost as error:
            dialogue += machine.dialogue
            remark = Remark(error.said)
            if dialogue[-1] != remark:
                dialogue.append(remark)
            session.abort()
            raise
        except BaseException:
            session.abort()
            raise
        return session

    def _is_broken(self, address: str) -> bool:
        until = self._tls_broken.get(address)
        if until is None:
            return False
        if until > self._clock.monotonic():
            return True
        del self._tls_broken[address]
        return False

    def _remember_broken(self, address: str) -> None:
        if len(self._tls_broken) >= _BROKEN_MOST:
            self._tls_broken.clear()
        self._tls_broken[address] = self._clock.monotonic() + self._config.tls_broken_for
