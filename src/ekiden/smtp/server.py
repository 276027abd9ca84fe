"""The server machine: a client's octets in, events out, decisions in, replies out. No socket, no clock.

A driver does::

    connection.receive_data(data)
    while (event := connection.next_event()) is not None:
        ...                                   # decide, at once or later
    transport.write(connection.data_to_send())

While a decision is awaited ``next_event`` returns ``None`` and whatever was pipelined behind stays buffered; the
driver stops reading when ``buffered`` grows. RFC 5321, 1870, 2034, 2920, 3030, 3207, 3461, 4954, 6152, 6531, 9422.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from ekiden.core.address import Address
from ekiden.smtp import replies
from ekiden.smtp.auth import MAX_AUTH_LINE, MECHANISMS, Credentials, Exchange
from ekiden.smtp.commands import COMMANDS, NOT_OFFERED, OTHER_PROTOCOLS, Command, State, help_reply
from ekiden.smtp.errors import CommandRefused, UsageError
from ekiden.smtp.events import (
    Authenticate,
    DataStarting,
    Event,
    Hello,
    MailFrom,
    MessageReceived,
    RcptTo,
    StartTls,
)
from ekiden.smtp.params import MailParameters, parse_mail_parameters, parse_recipient
from ekiden.smtp.path import mailbox, split_path
from ekiden.smtp.reply import Reply
from ekiden.smtp.server_config import ServerConfig
from ekiden.smtp.server_lines import Ask, Mode
from ekiden.smtp.server_transaction import ServerTransaction

_SMALL_CHUNK = 1024
"""Octets. Smaller chunks count as commands: content does not come on with them."""


@lru_cache(maxsize=64)
def _ehlo_reply(config: ServerConfig, tls: bool, recipients: int) -> bytes:
    lines = [
        config.hostname,
        "PIPELINING",
        f"SIZE {config.max_size}",
        "8BITMIME",
        "SMTPUTF8",
        "CHUNKING",
        "ENHANCEDSTATUSCODES",
        *(["DSN"] if config.reports else []),
        f"LIMITS RCPTMAX={recipients}",
    ]
    if not tls and config.tls_available:
        lines.append("STARTTLS")
    if tls and config.auth_mechanisms:
        lines.append("AUTH " + " ".join(config.auth_mechanisms))
    lines.append("HELP")
    return Reply.of(250, "", *lines).encode()


class ServerConnection(ServerTransaction):
    """One session. The banner is queued from the start; see the module for the loop around it."""

    def __init__(self, config: ServerConfig, *, tls: str = "") -> None:
        """``tls`` describes a TLS session that began with the connection (port 465)."""
        super().__init__(config, tls)
        self._exchange: Exchange | None = None
        self._chunk_left = 0
        self._chunk_size = 0
        self._chunk_last = False
        self._chunk_refusal: Reply | None = None

    def next_event(self) -> Event | None:
        """The next thing the driver should know; ``None``: give more data, or the decision that is awaited."""
        if self._ask:
            return None
        self._starved = False
        while not self._starved:
            event = _STEPS[self._mode](self)
            if event is not None:
                return event
        return self._closing_event()

    def tls_established(self, tls: str) -> None:
        """The handshake is done. The session begins anew (RFC 3207 §4.2). ``tls`` describes it for Received."""
        if self._mode is not Mode.HANDSHAKE:
            raise UsageError("tls_established() without StartTls")
        self.tls = tls
        self.tls_active = True
        self.hello = ""
        self.esmtp = False
        self._end_transaction()
        self._state = State.CONNECTED
        self._mode = Mode.COMMAND

    # --- dispatch -------------------------------------------------------------------------------------------

    def _step_command(self) -> Event | None:
        line = self._take_line(self.config.max_line)
        if line is None:
            return None
        self._commands += 1
        if self._commands > self.config.max_commands:
            self._send(replies.TOO_MANY_COMMANDS)
            self._hang_up("too many commands")
            return None
        try:
            text = line.decode()
        except UnicodeDecodeError:
            return self._fail(replies.BAD_CHARACTERS)
        if not text.isprintable() and not _acceptable(text):
            return self._fail(replies.BAD_CHARACTERS)
        verb, _, argument = text.partition(" ")
        row = _ROWS.get(verb)
        if row is None:
            # Mixed case, blanks in front, tabs, or no command at all.
            verb, _, argument = text.replace("\t", " ").strip(" ").partition(" ")
            row = _ROWS.get(verb.upper())
            if row is None:
                return self._unknown(verb.upper())
        command, handler = row
        argument = argument.strip(" \t")
        if command.needs_tls and not self.tls_active and (self.config.require_tls or command.verb == "AUTH"):
            offered = self.config.tls_available or command.verb != "AUTH"
            return self._out_of_turn(
                command, argument, replies.MUST_STARTTLS if offered else replies.AUTH_NOT_OFFERED
            )
        if command.needs_auth and not self.authenticated and self.config.require_auth:
            return self._out_of_turn(command, argument, replies.MUST_AUTH)
        if self._state not in command.states:
            late = self._state is State.CHUNKS and command.out_of_order is COMMANDS["DATA"].out_of_order
            return self._out_of_turn(command, argument, replies.AFTER_BDAT if late else command.out_of_order)
        if command.argument is not None and command.argument is not bool(argument) and command.verb != "BDAT":
            return self._fail(Reply.of(501, "5.5.4", f"Syntax: {command.syntax}"))
        return handler(self, argument)

    def _out_of_turn(self, command: Command, argument: str, reply: Reply) -> Event | None:
        if command.verb == "BDAT":
            return self._skip_chunk(argument, reply)
        if command.verb == "MAIL":
            self._mail_failed = self._state in (State.CONNECTED, State.GREETED)
        elif self._mail_failed and command.verb in ("RCPT", "DATA"):
            # Pipelined behind a MAIL that was refused (RFC 2920): one mistake, not a thousand.
            return self._send(reply)
        return self._fail(reply)

    def _unknown(self, verb: str) -> Event | None:
        if verb in OTHER_PROTOCOLS:
            self._send(replies.NOT_SMTP)
            self._hang_up("the client speaks another protocol")
            return None
        return self._fail(replies.NOT_IMPLEMENTED if verb in NOT_OFFERED else replies.UNKNOWN_COMMAND)

    def _step_skip_line(self) -> Event | None:
        if self._skip_line():
            self._mode = Mode.COMMAND
            self._fail(replies.AUTH_LINE_TOO_LONG if self._exchange else replies.LINE_TOO_LONG)
            self._exchange = None
        return None

    def _step_wait(self) -> Event | None:
        self._starved = True
        return None

    # --- session commands -----------------------------------------------------------------------------------

    def do_helo(self, argument: str) -> Event | None:
        self._end_transaction()
        self._state = State.GREETED
        self.hello, self.esmtp = argument, False
        self._send(Reply.of(250, "", self.config.hostname))
        return Hello(argument, False)

    def do_ehlo(self, argument: str) -> Event | None:
        self._end_transaction()
        self._state = State.GREETED
        self.hello, self.esmtp = argument, True
        self._out.append(_ehlo_reply(self.config, self.tls_active, self._most_recipients))
        return Hello(argument, True)

    def do_help(self, argument: str) -> Event | None:
        reply = help_reply(argument, self.config.language if self.esmtp else "en")
        if reply is None:
            return self._fail(replies.NO_SUCH_TOPIC)
        self._out.append(reply.encode(utf8=True))
        return None

    def do_noop(self, argument: str) -> Event | None:
        self._send(replies.OK)
        return None

    def do_rset(self, argument: str) -> Event | None:
        self._end_transaction()
        self._send(replies.OK)
        return None

    def do_vrfy(self, argument: str) -> Event | None:
        self._send(replies.CANNOT_VRFY)
        return None

    def do_quit(self, argument: str) -> Event | None:
        self._send(replies.BYE)
        self._hang_up("quit")
        return None

    def do_starttls(self, argument: str) -> Event | None:
        if self.tls_active:
            return self._fail(replies.TLS_ALREADY)
        if not self.config.tls_available:
            return self._fail(replies.TLS_NOT_OFFERED)
        self._send(replies.READY_FOR_TLS)
        # Whatever was pipelined behind is an injection, not a command of the TLS session.
        self._buffer = bytearray()
        self._pos = self._scan = 0
        self._mode = Mode.HANDSHAKE
        return StartTls()

    # --- AUTH (RFC 4954) ------------------------------------------------------------------------------------

    def do_auth(self, argument: str) -> Event | None:
        if not self.config.auth_mechanisms:
            return self._fail(replies.AUTH_NOT_OFFERED)
        if self.authenticated:
            return self._fail(replies.AUTH_ALREADY)
        mechanism, _, initial = argument.partition(" ")
        mechanism = mechanism.upper()
        if mechanism not in self.config.auth_mechanisms or mechanism not in MECHANISMS:
            return self._fail(replies.AUTH_UNKNOWN)
        exchange = Exchange(mechanism)
        return self._continue_auth(exchange, lambda: exchange.begin(initial.strip(" ")))

    def _step_auth(self) -> Event | None:
        line = self._take_line(MAX_AUTH_LINE)
        exchange = self._exchange
        if line is None or exchange is None:
            return None
        return self._continue_auth(exchange, lambda: exchange.respond(line))

    def _continue_auth(self, exchange: Exchange, step: Callable[[], Reply | Credentials]) -> Event | None:
        self._mode = Mode.COMMAND
        self._exchange = None
        try:
            result = step()
        except CommandRefused as refusal:
            return self._fail(refusal.reply)
        if isinstance(result, Reply):
            self._exchange = exchange
            self._mode = Mode.AUTH
            self._send(result)
            return None
        self._username = result.username
        self._ask = Ask.AUTH
        return Authenticate(exchange.mechanism, result.username, result.password)

    # --- the transaction ------------------------------------------------------------------------------------

    def do_mail(self, argument: str) -> Event | None:
        self._mail_failed = True
        if self._state is State.CONNECTED and self.config.require_hello:
            return self._fail(replies.HELLO_FIRST)
        try:
            path, text = split_path(argument, "FROM:")
            params = parse_mail_parameters(text) if text else MailParameters()
            sender = self._mailbox(path, params, "5.1.7") if path else None
        except CommandRefused as refusal:
            return self._fail(refusal.reply)
        if params.size is not None and params.size > self.config.max_size:
            return self._send(replies.too_large(params.size, self.config.max_size))  # RFC 1870 §6.1
        self._mail_failed = False
        self._sender, self._params = sender, params
        self._ask = Ask.MAIL
        return MailFrom(sender, params)

    def _mailbox(self, path: str, params: MailParameters, status: str) -> Address:
        """Raises ``CommandRefused``."""
        return mailbox(path, smtputf8=params.smtputf8, status=status, carriers=self.config.carrier_addresses)

    def do_rcpt(self, argument: str) -> Event | None:
        # Bad addresses are not counted as errors: one list of a thousand may have many.
        try:
            path, text = split_path(argument, "TO:")
            if not path:
                raise CommandRefused(replies.NO_NULL_RECIPIENT)
            if "@" not in path and path.lower() == "postmaster":
                if not self.config.accept_bare_postmaster:
                    raise CommandRefused(replies.NO_POSTMASTER)
                path = f"{path}@{self.config.hostname}"
            address = self._mailbox(path, self._params, "5.1.3")
            recipient = parse_recipient(address, text)
        except CommandRefused as refusal:
            self._out.append(refusal.reply.encode(utf8=self._params.smtputf8))
            self._note_refusal(refusal.reply)
            return None
        if len(self._recipients) >= self._most_recipients:
            return self._send(replies.TOO_MANY_RECIPIENTS)  # RFC 5321 §4.5.3.1.10
        self._recipient = recipient
        self._ask = Ask.RCPT
        return RcptTo(recipient)

    def do_data(self, argument: str) -> Event | None:
        if not self._recipients:
            return self._fail(replies.NO_RECIPIENTS)
        if self.config.ask_before_data:
            self._ask = Ask.DATA
            return DataStarting(self._params.size)
        self._begin_content()
        return None

    def _step_content(self) -> Event | None:
        assert self._reader is not None
        content = self._reader.read(self._buffer)
        if content is None:
            self._starved = True
            return None
        self._oversize = self._reader.oversize
        size = self._reader.size
        self._reader = None
        return self._finish(content, size)

    def _finish(self, content: bytes, size: int) -> Event | None:
        """The content of ``size`` octets is complete; ``content`` has no added dots, and CRLF line ends."""
        self._mode = Mode.COMMAND
        if self._oversize or size > self.config.max_size:
            refusal = replies.too_large(size, self.config.max_size)  # RFC 1870 §6.3
        elif b"\0" in content:
            refusal = replies.NUL_IN_CONTENT
        else:
            self._ask = Ask.MESSAGE
            return MessageReceived(self._sender, self._recipients, content, self._params)
        self._end_transaction()
        return self._send(refusal)

    # --- BDAT (RFC 3030) ------------------------------------------------------------------------------------

    def do_bdat(self, argument: str) -> Event | None:
        if not self._recipients:
            return self._skip_chunk(argument, replies.NO_RECIPIENTS)
        size, last = _chunk(argument)
        if size < 0:
            return self._skip_chunk(argument, replies.BAD_BDAT)
        self._state = State.CHUNKS
        self._chunks += size
        if self._chunks > self.config.max_size:
            self._oversize = True
            self._body.clear()
        elif size >= _SMALL_CHUNK and not self._oversize:
            self._commands -= 1
        refusal = replies.too_large(self._chunks, self.config.max_size) if self._oversize else None
        self._begin_chunk(size, last, refusal)
        return None

    def _begin_chunk(self, size: int, last: bool, refusal: Reply | None) -> None:
        self._chunk_size = self._chunk_left = size
        self._chunk_last = last
        self._chunk_refusal = refusal
        self._mode = Mode.CHUNK

    def _skip_chunk(self, argument: str, reply: Reply) -> Event | None:
        """Refuse a chunk. Its octets are coming all the same, and must not be taken for commands."""
        size, last = _chunk(argument)
        if size < 0:
            self._send(replies.BAD_BDAT)
            self._hang_up("BDAT without a size")
        else:
            self._begin_chunk(size, last, reply)
        return None

    def _step_chunk(self) -> Event | None:
        buffer = self._buffer
        start = self._pos
        take = min(self._chunk_left, len(buffer) - start)
        refusal = self._chunk_refusal
        if refusal is None:
            with memoryview(buffer) as view:
                self._body.add(view[start : start + take])
            if self._body.held > self.config.max_size:  # once its line ends are mended
                self._oversize = True
                self._body.clear()
                refusal = self._chunk_refusal = replies.too_large(self._chunks, self.config.max_size)
        del buffer[: start + take]
        self._pos = self._scan = 0
        self._chunk_left -= take
        if self._chunk_left:
            self._starved = True
            return None
        self._mode = Mode.COMMAND
        if refusal is None and self._chunk_last:
            content = self._body.take()
            return self._finish(content, len(content))
        if refusal is None:
            self._send(Reply.of(250, "2.0.0", f"Ok: {self._chunk_size} octets received"))
        elif self._oversize:
            self._send(refusal)
            if self._chunk_last:
                self._end_transaction()
        elif self._mail_failed or self._state is State.MAIL:
            self._send(refusal)  # pipelined behind a MAIL or RCPTs that were refused
        else:
            self._fail(refusal)
        return None


def _chunk(argument: str) -> tuple[int, bool]:
    """Size and LAST of BDAT; size -1 when the syntax is wrong."""
    words = argument.split()
    if not 1 <= len(words) <= 2 or not (words[0].isascii() and words[0].isdigit() and len(words[0]) <= 20):
        return -1, False
    if len(words) == 1:
        return int(words[0]), False
    return (int(words[0]), True) if words[1].upper() == "LAST" else (-1, False)


def _acceptable(text: str) -> bool:
    """Non-printable characters that may stand in a command: tabs, and format characters some scripts need."""
    return not any((c < " " and c != "\t") or "\x7f" <= c <= "\x9f" or c in "\u2028\u2029" for c in text)


_Handler = Callable[[ServerConnection, str], Event | None]
_ROWS: dict[str, tuple[Command, _Handler]] = {
    verb: (command, getattr(ServerConnection, command.handler))
    for command in COMMANDS.values()
    for verb in (command.verb, command.verb.lower(), command.verb.capitalize())
}

# In the order of Mode.
_STEPS: tuple[Callable[[ServerConnection], Event | None], ...] = (
    ServerConnection._step_command,
    ServerConnection._step_skip_line,
    ServerConnection._step_auth,
    ServerConnection._step_content,
    ServerConnection._step_chunk,
    ServerConnection._step_wait,
    ServerConnection._step_wait,
)
