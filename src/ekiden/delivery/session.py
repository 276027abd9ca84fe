"""One SMTP conversation with one mail host: from the connection over STARTTLS to as many transactions as it takes.

``smtp.client`` knows the protocol; this drives it over a ``net.Stream`` and keeps what a trace wants to show.

Time-outs are those of RFC 5321 §4.5.3.2 for the first octet of a reply, on an idle line: greetings may be delayed.
What has begun must get on: a reply has a deadline for its last octet, contents a least rate at which they are
taken, and the attempt as a whole a deadline, so that a peer that drips cannot hold a connection for ever.
"""

from __future__ import annotations

import asyncio
import ssl

from ekiden.core.diagnosis import Stage
from ekiden.core.errors import EkidenError
from ekiden.core.said import Remark, Said, say
from ekiden.delivery.config import DeliveryConfig
from ekiden.delivery.metrics import DeliveryMetrics, Overdue
from ekiden.delivery.routing import Candidate
from ekiden.net.network import Stream, host_port
from ekiden.net.trouble import error_text
from ekiden.smtp.client import ClientConnection
from ekiden.smtp.envelope import wire_address
from ekiden.smtp.reply import Reply
from ekiden.smtp.transaction import (
    ClientEvent,
    Greeting,
    HelloDone,
    HelloRefused,
    TlsReady,
    TlsRefused,
    Transaction,
    TransactionDone,
    TransactionResult,
)

_LONGEST_PAUSE = 180.0  # seconds that a peer may take none of the content: RFC 5321 §4.5.3.2.5


class SessionLost(EkidenError):
    """The conversation broke off, or went silent, or was refused before MAIL; ``reply`` is the refusal, if any, and
    ``stage`` what it answers."""

    def __init__(self, said: Said, reply: Reply | None = None, stage: Stage = Stage.CONNECT) -> None:
        super().__init__(said.text())
        self.said = said
        self.reply = reply
        self.stage = stage


class TlsBroken(SessionLost):
    """The handshake failed: the same host deserves a try in clear."""


class Session:
    """A connection that has said EHLO, and what every attempt that uses it has in common."""

    __slots__ = (
        "_config",
        "_cut",
        "_loop",
        "_machine",
        "_metrics",
        "_prelude",
        "_stream",
        "_until",
        "address",
        "extensions",
        "host",
        "max_recipients",
        "preamble",
        "sent",
        "source",
        "tls",
    )

    def __init__(
        self,
        stream: Stream,
        machine: ClientConnection,
        candidate: Candidate,
        config: DeliveryConfig,
        metrics: DeliveryMetrics,
        until: float,
    ) -> None:
        """``until``, of the loop's clock: when the attempt that opens it must have come to its end."""
        self._loop = asyncio.get_running_loop()
        self._metrics = metrics
        self._until = until
        self._cut: Said | None = None
        self._stream = stream
        self._machine = machine
        self._config = config
        self._prelude = 0
        self.host = candidate.host
        self.address = host_port(candidate.address, candidate.port)
        self.source = stream.local
        """Our own IP address."""
        self.extensions: dict[str, str] = {}
        self.max_recipients = config.max_recipients
        self.tls = ""
        self.preamble = ""
        """The dialogue until the first MAIL, with the addresses that were tried in vain."""
        self.sent = 0
        """Transactions so far."""

    @property
    def dead(self) -> bool:
        """The peer has closed while nobody was looking."""
        return self._stream.closed

    @property
    def greeting(self) -> list[str]:
        """The dialogue before the first transaction."""
        return self._machine.dialogue[: self._prelude]

    @property
    def lines(self) -> list[str]:
        """The dialogue of the last transaction."""
        return self._machine.dialogue[self._prelude :]

    async def transact(self, transaction: Transaction) -> TransactionResult:
        """Send one message to its recipients. Whatever the peer does, each gets a reply, if only one of ours."""
        machine = self._machine
        if self.sent:  # the first one belongs to the attempt that opened the session
            self._until = self._loop.time() + self._config.attempt_timeout
        self.sent += 1
        machine.send(transaction)
        event = await self._next(self._config.command_timeout)
        assert isinstance(event, TransactionDone), event
        return event.result

    def worn_out(self, result: TransactionResult) -> bool:
        """The last transaction was lost because the peer had had enough of this connection, not of the message.

        It closed an idle connection without a word, or with a 421, or says 421 to one message too many. The content
        was not sent (it follows the 354), so doing it again on a new connection duplicates nothing.
        """
        if self.sent == 1 or self._cut or any(reply.code != 421 for reply in result.recipients):
            return False
        lines = self.lines
        first = next((line for line in lines if line.startswith("S:")), "S: 421")
        return first.startswith("S: 421") and not any(map(_is_content, lines))

    async def quit(self) -> None:
        """Say goodbye without waiting for the answer, and close."""
        if not self._machine.closed and not self._machine.busy:
            self._machine.quit()
            self._stream.write(self._machine.data_to_send())
        await self._stream.close()

    def abort(self) -> None:
        self._stream.abort()

    @property
    def awaits_verdict(self) -> bool:
        """The content is with the peer: whoever breaks off now risks a duplicate."""
        return self._machine.awaiting == "content" and not self._machine.sending and not self._stream.sending

    def cut(self, why: Said) -> None:
        """Break off what is under way: it ends as deferred, and says ``why``."""
        self._cut = why
        self._stream.abort()

    async def _next(self, timeout: float) -> ClientEvent:
        """Drive the machine until it has something to say."""
        machine, stream, config, clock = self._machine, self._stream, self._config, self._loop.time
        replies = machine.replies
        since = clock()
        begun = 0.0  # when the first octet of a reply came that is not complete
        sent_until = 0.0
        while True:
            event = machine.next_event()
            data = machine.data_to_send()
            if data:
                stream.write(data)
                if machine.awaiting == "content":
                    # Now it is about the size: a least rate takes the place of the deadline of the attempt.
                    sent_until = sent_until or clock() + min(_LONGEST_PAUSE, config.data_timeout)
                    sent_until += len(data) / config.min_rate
                    self._until = sent_until + config.data_timeout
            if event is not None:
                return event
            now = clock()
            if machine.replies != replies:
                replies = machine.replies
                since, begun = now, 0.0
            begun = (begun or now) if machine.buffered else 0.0
            what: Overdue = "silence"
            try:
                if stream.sending:
                    what = "sending"
                    await stream.drain((sent_until or since + timeout) - now)
                    since = now = clock()
                if machine.sending and not stream.closed:
                    # The next piece, when others had their turn: a peer may be as fast as we are.
                    await asyncio.sleep(0)
                    continue
                until = since + (config.data_timeout if machine.awaiting == "content" else timeout)
                what = "silence"
                if begun:
                    until, what = begun + config.reply_timeout, "reply"
                if self._until < until:
                    until, what = self._until, "attempt"
                received = await stream.read(until - now)
            except TimeoutError:
                self._metrics.overdue(what)
                machine.timeout(TOO_SLOW[what])
            except OSError as error:
                machine.fail(self._cut or say("connection_broke", why=error_text(error)))
            else:
                if received:
                    machine.receive_data(received)
                elif self._cut:
                    machine.fail(self._cut)
                else:
                    machine.eof()

    # the beginning

    async def open(self, tls: ssl.SSLContext | None, *, demanded: bool = False) -> None:
        """Greeting, EHLO, and STARTTLS with a second EHLO when ``tls`` is given and the peer offers it.

        ``demanded``: nothing is said in clear to a peer that does not. Raises ``SessionLost``; ``TlsBroken`` when
        the handshake failed.
        """
        config = self._config
        event = await self._next(config.greeting_timeout)
        if not isinstance(event, Greeting):
            raise _lost(event)
        if not event.reply.positive:
            raise _lost(event)
        await self._hello()
        if tls is not None and "STARTTLS" in self.extensions:
            self._machine.starttls()
            event = await self._next(config.command_timeout)
            if isinstance(event, TlsReady):
                await self._handshake(tls)
                await self._hello()
            elif not isinstance(event, TlsRefused) or event.reply.code == 421:
                raise TlsBroken(_lost(event).said)
        if demanded and not self.tls:
            raise SessionLost(say("tls_demanded"))
        self._prelude = len(self._machine.dialogue)
        self.max_recipients = min(self.max_recipients, self._machine.offer.max_recipients or self.max_recipients)

    async def _hello(self) -> None:
        self._machine.ehlo()
        event = await self._next(self._config.command_timeout)
        if not isinstance(event, HelloDone):
            raise _lost(event)
        self.extensions = event.extensions

    async def _handshake(self, tls: ssl.SSLContext) -> None:
        name = None if self.host.startswith("[") else self.host
        try:
            left = max(0.001, min(self._config.tls_timeout, self._until - self._loop.time()))
            self.tls = await self._stream.start_tls(tls, name, left)
        except OSError as error:
            raise TlsBroken(say("tls_failed", why=error_text(error))) from error
        self._machine.tls_established(say("tls_begun", tls=self.tls))


TOO_SLOW: dict[Overdue, Said] = {
    "silence": say("timed_out"),
    "reply": say("timed_out_in_reply"),
    "attempt": say("timed_out_attempt"),
    "sending": say("timed_out_sending"),
}


def _lost(event: ClientEvent) -> SessionLost:
    """The event that came instead of the one that goes on."""
    reply = getattr(event, "reply", None)
    if isinstance(reply, Reply):
        stage = Stage.EHLO if isinstance(event, HelloRefused) else Stage.CONNECT
        return SessionLost(say("refuses_to_talk", reply=str(reply)), reply, stage)
    said = getattr(event, "said", None) or say("system", why=getattr(event, "reason", type(event).__name__))
    return SessionLost(said)


def _is_content(line: str) -> bool:
    """It stands for the content, of which a dialogue has no more than its size."""
    return isinstance(line, Remark) and line.said.code == "content_sent"


def lines_of(lines: list[str], address: str) -> list[str]:
    """Of a transaction with several recipients, what concerns ``address``: all but the others' RCPT and its reply.

    Replies answer commands in their order, whether they were pipelined or not.
    """
    kept: list[tuple[int, str]] = []
    others: set[int] = set()
    command = reply = 0
    mine = f"C: RCPT TO:<{wire_address(address)}>".lower()
    for line in lines:
        if line.startswith("S:"):
            kept.append((reply, line))
            if line[6:7] != "-":
                reply += 1
        elif line.startswith("C:") or _is_content(line):
            if line.startswith("C: RCPT") and not line.lower().startswith(mine):
                others.add(command)
            kept.append((command, line))
            command += 1
        else:
            kept.append((-1, line))
    return [line for number, line in kept if number not in others]
