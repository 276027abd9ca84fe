"""One SMTP session: the octets of a socket driven through ``smtp.server``, its questions answered.

Most decisions are made at once. Passwords are verified and messages are stored while other sessions go on; what the
client pipelines meanwhile waits in the machine, or in the kernel once that is enough.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine, Hashable
from typing import Any, cast

import structlog

from ekiden.core.address import Address
from ekiden.core.submission import Origin
from ekiden.intake.errors import IntakeError
from ekiden.limits.connections import Place
from ekiden.listeners.smtp_admission import NOT_TRUSTED, TOO_MANY_CONNECTIONS
from ekiden.listeners.smtp_context import SessionContext
from ekiden.listeners.smtp_pace import ContentPace
from ekiden.listeners.smtp_visitor import REVOKED, Pending, Visitor
from ekiden.net.tls import describe_tls
from ekiden.smtp.events import (
    Authenticate,
    ConnectionClosing,
    Event,
    Hello,
    MailFrom,
    MessageReceived,
    RcptTo,
    StartTls,
)
from ekiden.smtp.replies import TIMEOUT
from ekiden.smtp.reply import Reply
from ekiden.smtp.server import ServerConnection

log = structlog.get_logger()

_PIPELINED = 65_536
"""Octets that may wait behind a decision before the socket is not read any more."""
_BREATH = 65_536
"""Octets read at once, after which others on the event loop get their turn."""
_AT_ONCE = 16
"""Commands of one client that are answered before it is asked whether the turn is over."""
_COUNTED_FROM = 4096
"""Fewer octets than this are not counted towards the memory budget: most messages come and go in between."""
_ANNOUNCED_FROM = 65_536
"""Octets that MAIL announces and that count from then on; smaller contents count as they come."""
_MAX_REPLIES = 262_144
"""Replies to what came in one read; more is somebody who wants to fill our memory with HELP."""
_MAX_UNREAD = 65_536
"""Octets of replies that may wait for a client to read them."""
_BOUNDS = {"too many commands": "commands", "too many errors": "errors"}
"""Of the protocol: as it names them when it closes, and as they are counted."""
_LINGER = 5.0
_DRAIN_GRACE = 5.0

OUT_OF_MEMORY = Reply.of(452, "4.3.1", "Too much mail is being received at this moment, try again later")
OVERLOADED = Reply.of(421, "4.3.1", "Too much mail is being received at this moment, try again later")
INTERNAL_ERROR = Reply.of(421, "4.3.0", "Internal error, the connection is closed")
TOO_MUCH_HELP = Reply.of(421, "4.7.0", "Error: too many commands at once")


class SmtpSession(asyncio.Protocol):
    """Made by the listener for each connection: from ``peer``, the client's address, in its ``place``."""

    def __init__(self, shared: SessionContext, peer: str, place: Place) -> None:
        self.peer = peer
        self._place = place
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._connection: ServerConnection
        self._visitor: Visitor
        self._trusted = False
        self._origins: dict[bool, Origin] = {}
        self._task: asyncio.Task[None] | None = None
        self._tls = False
        self._handshaking = False
        self._early = b""
        self._eof = False
        self._lost = False
        self._in_transaction = False
        self._reading_paused = False
        self._writing_paused_at = 0.0
        self._closing_since = 0.0
        self._opened = self._progress = self._last_message = self._last_data = 0.0
        self._octets = 0
        self._pace: ContentPace | None = None
        self._accounted = 0
        self._accounted_to: Hashable = ""
        self._account_at = _COUNTED_FROM
        self._storing = 0
        self._pushed_out = False
        self._deferred = False

    # --- what the loop calls --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        shared = self._shared
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(_MAX_UNREAD)
        self._opened = self._progress = self._last_message = self._last_data = self._loop.time()
        self._place.cut_with(self.push_out)
        self._trusted = trusted = self.peer in shared.trusted_networks
        self._visitor = shared.service.visit(shared.spec, self.peer)
        self._visitor.begin(trusted=trusted)
        tls = ""
        secured = transport.get_extra_info("ssl_object")
        if secured is not None:
            tls = describe_tls(secured)
            self._tls = True
        self._connection = ServerConnection(shared.trusted_protocol if trusted else shared.protocol, tls=tls)
        shared.sessions.add(self)
        shared.metrics.connection_opened()
        if self._pushed_out:
            self.push_out()
            return
        if shared.spec.mode == "plain" and not trusted:
            self._tell("connect", "not_trusted", NOT_TRUSTED)
            self._connection.refuse(NOT_TRUSTED)
        elif not trusted and (refusal := self._visitor.connect()) is not None:
            self._connection.refuse(refusal)
        self._work()
        if shared.draining:
            self.drain()

    def data_received(self, data: bytes) -> None:
        if self._handshaking:
            # TLS has begun, and start_tls() has not returned yet.
            self._early += data
            return
        if self._closing_since:
            return
        self._last_data = self._loop.time()
        self._octets += len(data)
        self._connection.receive_data(data)
        self._work()
        if self._octets >= self._account_at or self._accounted:
            self._account()
        if len(data) > _BREATH:
            # The loop would read on for as long as there is something, up to 32 times.
            self._pause_reading()
            self._loop.call_soon(self._breathe)

    def _breathe(self) -> None:
        if not self._deferred and self._connection.buffered <= _PIPELINED:
            self._resume_reading()

    def eof_received(self) -> bool:
        if self._handshaking or self._lost or self._closing_since:
            return False
        # Answers to what came before are still owed. A TLS connection cannot be half closed.
        self._eof = True
        self._connection.eof()
        self._work()
        return not self._tls and not self._transport.is_closing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lost:
            return
        self._lost = True
        self._shared.sessions.discard(self)
        self._shared.metrics.connection_closed()
        self._place.leave()
        self._account()

    def pause_writing(self) -> None:
        self._writing_paused_at = self._loop.time()
        self._pause_reading()

    def resume_writing(self) -> None:
        self._writing_paused_at = 0.0
        self._resume_reading()

    # --- what the listener calls ----------------------------------------------------------------------------

    @property
    def began(self) -> bool:
        """The loop has called ``connection_made`` and will call ``connection_lost``."""
        return self._opened > 0

    def push_out(self) -> None:
        """A newcomer gets its place: it goes at once, with a word if that is possible without waiting."""
        self._pushed_out = True
        if self._lost or not self.began:
            return
        if self._tls or self._handshaking or self._closing_since:
            self._transport.abort()
        else:
            self._tell("connect", "connections", TOO_MANY_CONNECTIONS)
            self._closing_since = self._loop.time()
            self._transport.write(TOO_MANY_CONNECTIONS.encode())
            self._transport.close()

    @property
    def closing(self) -> bool:
        """Everything has been said; it waits for the client to close."""
        return self._closing_since > 0

    def drain(self) -> None:
        """421 at once, or right after what is being stored; a transaction that has begun may still end."""
        if self._lost or self._closing_since:
            return
        if self._handshaking:
            self.abort()
        elif self._task is not None or (self._connection.receiving == "command" and not self._in_transaction):
            self.end()

    def end(self) -> None:
        """Time is up: 421, whatever the client is doing."""
        if self._handshaking:
            self.abort()
        elif not self._lost and not self._closing_since:
            self._connection.shutdown()
            self._work()

    def abort(self) -> None:
        """Cut."""
        if not self._lost:
            self._transport.abort()

    @property
    def credential_id(self) -> int:
        """What it was opened with; 0: nothing that could be revoked."""
        return 0 if self._lost or self._handshaking or self._closing_since else self._visitor.credential_id

    def check_credential(self) -> None:
        """The credential was looked at: 421 unless it would still open this session.

        A content that comes in is told the same at its end.
        """
        idle = self._task is None and not self._lost and not self._handshaking and not self._closing_since
        if idle and self._connection.receiving == "command" and self._visitor.ended():
            self._tell("session", "revoked", REVOKED)
            self._say_and_close(REVOKED)

    def check(self, now: float) -> None:
        """Once a second: is the client too slow?"""
        if self._handshaking or self._lost:
            return  # the handshake has a time-out of its own
        config = self._shared.config
        if self._closing_since:
            if now - self._closing_since > min(_LINGER, config.command_timeout):
                self._transport.abort()
            return
        if self._writing_paused_at:
            if now - self._writing_paused_at > config.command_timeout:
                self._shared.metrics.session_ended("not_read")
                self._transport.abort()
            return
        if self._task is not None:
            return
        late = ""
        if self._connection.receiving == "content":
            pace = self._pace
            # Pipelined behind one another two contents may look like one, unless a message came between.
            if pace is None or self._last_message > pace.began:
                pace = self._pace = ContentPace(now, self._octets)
            if now - self._last_data > config.command_timeout:
                late = "silence"
            elif pace.too_slow(now, self._octets, config):
                late = "content"
        else:
            self._pace = None
            if now - self._progress > config.command_timeout:
                late = "silence"
            elif self._visitor.unproven and now - self._opened > config.login_timeout:
                late = "login"
            elif now - self._last_message > config.session_timeout:
                late = "session"
            # Somebody who said RSET looks as if in a transaction, too.
            if self._shared.draining and now - self._progress > _DRAIN_GRACE:
                self.end()
                return
        if late:
            self._shared.metrics.session_ended(late)
            self._tell("session", late, TIMEOUT)
            self._connection.timeout()
            self._work()

    # --- the work -------------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Let the machine go on, answer what it asks, send what it says."""
        connection = self._connection
        done = 0
        try:
            while (event := connection.next_event()) is not None:
                if type(event) is RcptTo:
                    self._rcpt(event)
                else:
                    self._handle(event)
                done += 1
                if not done % _AT_ONCE and self._shared.turn.over():
                    self._defer()
                    break
            out = connection.data_to_send()
        except Exception:
            self._fail()
            return
        if out:
            for refused, times in connection.refusals().items():
                self._tell("command", "protocol", refused, times)
            self._progress = self._loop.time()
            if not self._lost:
                self._transport.write(out)
                if len(out) > _MAX_REPLIES:
                    self._shared.metrics.session_ended("replies")
                    self._tell("session", "replies", TOO_MUCH_HELP)
                    self._say_and_close(TOO_MUCH_HELP)
        if self._deferred or connection.buffered > _PIPELINED:
            self._pause_reading()
        elif self._reading_paused:
            self._resume_reading()

    def _defer(self) -> None:
        """The rest of what has come waits for the next turn of the loop: others go before."""
        if not self._deferred:
            self._deferred = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._deferred = False
        if not self._lost and not self._closing_since:
            self._work()

    def _handle(self, event: Event) -> None:
        match event:
            case MailFrom():
                self._mail(event)
            case MessageReceived():
                self._message(event)
            case Hello():
                self._in_transaction = False
                self._origins.clear()
            case ConnectionClosing():
                self._flush_and_close(event.reason)
            case Authenticate():
                self._start(self._authenticate(event))
            case StartTls():
                self._start_tls()
            case _:
                self._connection.accept()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = self._loop.create_task(work)

    def _done(self) -> None:
        """The end of every task: its decision was made, the session goes on."""
        self._task = None
        if self._lost:
            self._account()
            return
        if self._shared.draining and not self._in_transaction:
            self._connection.shutdown()
        self._work()
        if self._accounted:
            self._account()

    def _mail(self, event: MailFrom) -> None:
        if not self._shared.admission.has_room(self._visitor.payer, event.params.size or 0):
            self._tell("mail", "memory", OUT_OF_MEMORY)
            self._connection.reject(OUT_OF_MEMORY)
            return
        answer = self._visitor.known_mail(event)
        if isinstance(answer, Pending):
            self._start(self._ask_mail(event))
        else:
            self._answer_mail(answer)

    def _answer_mail(self, refusal: Reply | None) -> None:
        if refusal is None:
            self._in_transaction = True
            self._connection.accept()
            if self._connection.announced >= _ANNOUNCED_FROM:
                self._account()
        else:
            self._tell("mail", "session", refusal)
            self._connection.reject(refusal)

    async def _ask_mail(self, event: MailFrom) -> None:
        try:
            self._answer_mail(await self._visitor.mail(event))
        except Exception:
            self._fail()
        self._done()

    def _rcpt(self, event: RcptTo) -> None:
        refusal = self._visitor.rcpt(event)
        if refusal is None:
            self._connection.accept()
        else:
            self._tell("rcpt", "configuration", refusal)
            self._connection.reject(refusal)

    async def _authenticate(self, event: Authenticate) -> None:
        try:
            refusal = await self._visitor.authenticate(event)
            if refusal is None:
                self._origins.clear()
                self._place.settle(self._visitor.account_id or None)
                self._connection.limit_recipients(self._visitor.max_recipients)
                self._connection.accept_auth()
            else:
                self._connection.reject_auth(refusal)
        except Exception:
            self._fail()
        self._done()

    def _message(self, event: MessageReceived) -> None:
        refusal = self._visitor.content()
        if refusal is not None:
            self._tell("data", "revoked", refusal)
            self._connection.reject(refusal)
            self._in_transaction = False
            return
        self._storing = len(event.content)
        self._last_message = self._loop.time()
        self._start(self._take(event))

    async def _take(self, event: MessageReceived) -> None:
        shared = self._shared
        began = self._last_message
        try:
            queue_id = await self._visitor.take(event, self._origin(event.params.smtputf8))
        except IntakeError as error:
            shared.metrics.message_rejected(error.reply.code)
            self._tell("data", error.word, error.reply, sender=_text(event.sender))
            self._connection.reject(error.reply)
        except Exception:
            shared.metrics.message_rejected(INTERNAL_ERROR.code)
            self._fail()
        else:
            shared.metrics.message_accepted(len(event.recipients), len(event.content), self._loop.time() - began)
            self._connection.accept_message(queue_id)
        self._storing = 0
        self._in_transaction = False
        self._done()

    def _origin(self, smtputf8: bool) -> Origin:
        origin = self._origins.get(smtputf8)
        if origin is None:
            connection, spec = self._connection, self._shared.spec
            origin = self._origins[smtputf8] = Origin(
                via=connection.transmission_type(smtputf8),
                client=self.peer,
                helo=connection.hello,
                region=spec.region,
                endpoint=spec.endpoint,
                tls=connection.tls,
                listener=spec.name,
            )
        return origin

    # --- TLS ------------------------------------------------------------------------------------------------

    def _start_tls(self) -> None:
        self._handshaking = True
        # 220 goes out in clear, and nothing is read in clear any more.
        self._transport.write(self._connection.data_to_send())
        self._transport.pause_reading()
        self._reading_paused = False
        self._start(self._upgrade())

    async def _upgrade(self) -> None:
        shared = self._shared
        assert shared.spec.tls is not None, "STARTTLS is offered without a certificate"
        transport = self._transport
        try:
            upgraded = await self._loop.start_tls(
                transport,
                self,
                shared.spec.tls.context,
                server_side=True,
                ssl_handshake_timeout=shared.config.tls_timeout,
                ssl_shutdown_timeout=_LINGER,
            )
        except (OSError, ssl.SSLError) as error:
            log.debug("a TLS handshake failed", client=self.peer, why=str(error))
            upgraded = None
        except Exception:
            log.exception("a TLS handshake failed", client=self.peer)
            upgraded = None
        self._handshaking = False
        self._task = None
        if upgraded is None or upgraded.is_closing():
            # The loop tells a protocol of the end only once its handshake has succeeded.
            transport.abort()
            self.connection_lost(None)
            return
        self._transport = upgraded
        self._transport.set_write_buffer_limits(_MAX_UNREAD)
        self._tls = True
        self._progress = self._loop.time()
        self._connection.tls_established(describe_tls(upgraded.get_extra_info("ssl_object")))
        self._visitor.begin(trusted=self._trusted)
        self._connection.limit_recipients(None)
        self._place.unsettle()
        self._origins.clear()
        early, self._early = self._early, b""
        if early:
            self.data_received(early)
        if shared.draining:
            self.drain()

    # --- ends -----------------------------------------------------------------------------------------------

    def _flush_and_close(self, reason: str) -> None:
        out = self._connection.data_to_send()
        if self._lost:
            return
        if reason in _BOUNDS:
            self._shared.metrics.session_ended(_BOUNDS[reason])
        if out:
            self._transport.write(out)
        self._close(linger=reason not in ("quit", "refused"))

    def _say_and_close(self, reply: Reply) -> None:
        if not self._lost and not self._closing_since and not self._handshaking:
            self._transport.write(reply.encode())
            self._close(linger=True)

    def _close(self, *, linger: bool) -> None:
        self._closing_since = self._loop.time()
        if not linger or self._eof or self._tls or not self._transport.can_write_eof():
            self._transport.close()
            return
        # Closing while octets of the client are unread would reset the connection, and the client would never see
        # why. So: say that nothing more comes, and wait a little for the client to close.
        self._transport.write_eof()
        self._resume_reading()

    def _fail(self) -> None:
        """Something of ours went wrong: this session ends, the others do not notice."""
        log.exception("an SMTP session failed", client=self.peer)
        self._say_and_close(INTERNAL_ERROR)

    def _tell(self, stage: str, reason: str, reply: Reply, times: int = 1, **facts: str) -> None:
        """Log a refusal that is not kept."""
        shared, account = self._shared, self._visitor.account_id
        more = {"times": times} if times > 1 else {}
        shared.service.refusals.tell(
            stage, reason, reply, client=self.peer, account_id=account, listener=shared.spec.name, **more, **facts
        )

    # --- flow and memory ------------------------------------------------------------------------------------

    def _pause_reading(self) -> None:
        if not self._reading_paused and not self._handshaking and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and not self._writing_paused_at and not self._handshaking:
            self._reading_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def _account(self) -> None:
        """Bring the memory budget up to date."""
        held = self._storing
        if not self._lost:
            connection = self._connection
            announced = 0 if held else connection.announced
            held += max(connection.held, announced if announced >= _ANNOUNCED_FROM else 0)
        self._account_at = self._octets + _COUNTED_FROM
        before = self._accounted
        if held < before:
            self._shared.admission.give(self._accounted_to, before - held)
            self._accounted = held
        elif held > before:
            if not before:
                self._accounted_to = self._visitor.payer
            if self._shared.admission.take(self._accounted_to, held - before, before):
                self._accounted = held
            elif not self._storing:
                self._shared.metrics.session_ended("memory")
                self._tell("data", "memory", OVERLOADED)
                self._say_and_close(OVERLOADED)


def _text(sender: Address | None) -> str:
    return "" if sender is None else sender.text
