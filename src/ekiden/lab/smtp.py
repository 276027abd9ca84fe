"""The lab's receiving side of SMTP, an independent witness of what a client does.

It shares no code with ``ekiden.smtp``: it reads commands strictly, does what the behaviour of the host and of
the recipients says, keeps content byte for byte, and notes every breach of the protocol that it sees (RFC
5321, 2920, 3207, 6152, 6531).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, NoReturn

import structlog

from ekiden.lab.behaviour import (
    RECIPIENT_STAGES,
    Answer,
    Behaviour,
    Report,
    Rule,
    Stage,
    draw,
    local_part_rules,
    recipient_report,
)
from ekiden.lab.breaches import (
    MAIL_PARAMETERS,
    RCPT_PARAMETERS,
    content_violations,
    parameter_violations,
    unstuffed,
)
from ekiden.lab.certificates import Certificates
from ekiden.lab.mailbox import Mail, Mailbox, SessionRecord
from ekiden.lab.tries import Tries, Try
from ekiden.lab.wire import Gone, Wire

_log = structlog.get_logger()

LAB_FAILED = "the lab itself failed"
MAX_DIALOGUE = 400  # lines kept of one session
MAX_COMMAND = 512  # octets, RFC 5321 §4.5.3.1.4; MAIL and RCPT parameters extend it
OVERSIZE = 1 << 20  # octets beyond the size limit that may be in memory
_PATH = re.compile(rb"(?i:from|to):<([^>]*)>((?: [^ ]+)*)")
_END: Final = b"\r\n.\r\n"
# RFC 2920 §3.1: these may be in the middle of a group of commands; the others only at its end.
_GROUPABLE = frozenset({"MAIL", "RCPT", "RSET"})


@dataclass(slots=True)
class Host:
    """One listening MX host of a domain, with the state its limits need."""

    domain: str
    name: str
    address: str
    behaviour: Behaviour
    open: int = 0
    second: int = 0
    messages_in_second: int = 0


class World(NamedTuple):
    """What sessions share: the behaviour of a recipient's domain (None: the host's own), the mailbox,
    certificates, who takes what shall be reported later."""

    behaviour_of: Callable[[str], Behaviour | None]
    mailbox: Mailbox
    certificates: Certificates
    tries: Tries
    report: Callable[[Mail, list[tuple[str, Report]]], None]


@dataclass(slots=True)
class Envelope:
    """The transaction in progress."""

    sender: str
    parameters: str
    body_8bit: bool
    recipients: list[str] = field(default_factory=list)
    rcpt_parameters: list[str] = field(default_factory=list)
    rules: list[tuple[Rule, Try]] = field(default_factory=list)
    reports: list[tuple[str, Report]] = field(default_factory=list)


class Session:
    """Serves one connection: ``await Session(host, wire, world).run()``."""

    def __init__(self, host: Host, wire: Wire, world: World) -> None:
        self._host = host
        self._wire = wire
        self._world = world
        self._behaviour = host.behaviour
        self._loop = asyncio.get_running_loop()
        self._record: SessionRecord = world.mailbox.open_session(_now(), host.name, host.address, wire.peer)
        self._connection = Try(1, 0.0)
        self._esmtp = False
        self._greeted = False
        self._tls: str | None = None
        self._envelope: Envelope | None = None
        self._messages = 0
        self._handlers = {
            "EHLO": self._on_hello,
            "HELO": self._on_hello,
            "STARTTLS": self._on_starttls,
            "MAIL": self._on_mail,
            "RCPT": self._on_rcpt,
            "DATA": self._on_data,
            "RSET": self._on_rset,
            "NOOP": self._on_noop,
            "QUIT": self._on_quit,
        }

    async def run(self) -> None:
        """Until the connection is over. Never raises because of what the peer does."""
        self._host.open += 1
        try:
            await self._greet()
            while True:
                await self._command()
        except Gone as gone:
            self._record.ended = self._record.ended or str(gone) or "the client disconnected"
        except asyncio.CancelledError:
            self._record.ended = self._record.ended or "the lab was closed"
            raise
        except Exception as error:
            _log.exception("a session of the lab failed")
            self._record.ended = f"{LAB_FAILED}: {error!r}"
        finally:
            self._note(f"# {self._record.ended}")
            self._host.open -= 1
            self._wire.close()

    # The dialogue.

    async def _greet(self) -> None:
        now = self._loop.time()
        self._connection = self._world.tries.again((self._host.domain, "", "connect"), now)
        limit = self._behaviour.throttle.connections
        if limit and self._host.open > limit:
            await self._send(Answer(421, "4.7.0", f"Too many connections (limit {limit}), try again later"))
        answer = await self._act("connect", Answer(220, "", f"{self._host.name} {self._behaviour.banner}"))
        if self._wire.buffer:
            self._violation("the client spoke before it had read the greeting")
        if answer.code >= 500:
            await self._refuse_all()

    async def _refuse_all(self) -> None:
        """After a 5xx greeting only QUIT means anything (RFC 5321 §3.1)."""
        while True:
            line = await self._wire.line()
            self._note("C: " + _show(line))
            if line.strip().upper() == b"QUIT":
                await self._on_quit("QUIT", b"QUIT")
            await self._send(Answer(503, "5.5.1", "Only QUIT is allowed"))

    async def _command(self) -> None:
        line = await self._wire.line()
        self._note("C: " + _show(line))
        if not line.endswith(b"\r\n"):
            self._violation(f"a command ended with a bare LF: {_show(line)}")
        command = line.rstrip(b"\r\n")
        verb = command.partition(b" ")[0].decode("ascii", "replace").upper()
        limit = MAX_COMMAND + 1024 if verb in ("MAIL", "RCPT") else MAX_COMMAND
        if len(line) > limit:
            self._violation(f"a command line of {len(line)} octets")
        if self._wire.buffer and not (verb in _GROUPABLE and self._offers("PIPELINING")):
            self._violation(f"the client sent more before it had the reply to {verb}")
        handler = self._handlers.get(verb)
        if handler is None:
            self._violation(f"an unknown command: {_show(line)}")
            await self._send(Answer(500, "5.5.1", "Command not recognized"))
            return
        await handler(verb, command)

    async def _on_hello(self, verb: str, command: bytes) -> None:
        name = _show(command[5:].strip())
        if not name:
            self._violation(f"{verb} without a name")
            await self._send(Answer(501, "5.5.4", f"{verb} needs a name"))
            return
        self._envelope = None
        if verb == "EHLO" and not self._behaviour.esmtp:
            await self._send(Answer(502, "5.5.1", "Command not implemented"))
            return
        self._record.helo = name
        self._esmtp = verb == "EHLO"
        lines = [f"{self._host.name} greets {name}"]
        if self._esmtp:
            lines += [
                f"SIZE {self._behaviour.size}" if extension == "SIZE" else extension
                for extension in self._behaviour.extensions
            ]
            if self._behaviour.tls != "none" and self._tls is None:
                lines.append("STARTTLS")
        answer = await self._act("ehlo", Answer(250, "", "\n".join(lines)))
        self._greeted = answer.code == 250

    async def _on_starttls(self, verb: str, command: bytes) -> None:
        how = self._behaviour.tls
        if how == "none" or self._tls is not None or not self._esmtp:
            self._violation("STARTTLS although it was not offered")
            await self._send(Answer(502, "5.5.1", "STARTTLS is not offered"))
            return
        if how == "refused":
            await self._send(Answer(454, "4.7.0", "TLS not available due to temporary reason"))
            return
        answer = await self._act("starttls", Answer(220, "2.0.0", "Ready to start TLS"))
        if answer.code != 220:
            return
        if self._wire.buffer:
            self._violation("the client sent more before it had the reply to STARTTLS")
            self._wire.buffer.clear()
        if how == "garbage":
            self._note("# garbage in place of a TLS handshake")
            self._wire.write(b"\x15\x03\x03\x00\xffthis is no TLS handshake\r\n" * 4)
            self._end("closed after a broken TLS handshake")
        if how == "disconnect":
            self._end("disconnected in place of a TLS handshake")
        if how == "hang":
            self._note("# silence in place of a TLS handshake")
            while True:
                self._wire.buffer.clear()
                await self._wire.more()
        kind: Literal["valid", "expired", "wrong-name"] = how if how in ("expired", "wrong-name") else "valid"
        self._tls = await self._wire.start_tls(self._world.certificates.context(kind, self._host.name))
        self._record.tls = self._tls
        self._note(f"# {self._tls}")
        # RFC 3207 §4.2: nothing from before the handshake counts.
        self._greeted = self._esmtp = False
        self._envelope = None

    async def _on_mail(self, verb: str, command: bytes) -> None:
        path = _PATH.fullmatch(command[5:])
        if path is None or not command.upper().startswith(b"MAIL FROM:"):
            self._violation(f"a malformed command: {_show(command)}")
            await self._send(Answer(501, "5.5.4", "MAIL FROM:<address> is expected"))
            return
        if not self._greeted or self._envelope is not None:
            self._violation("MAIL before EHLO, or inside a transaction")
            await self._send(Answer(503, "5.5.1", "Bad sequence of commands"))
            return
        sender, parameters = _decode(path[1]), _decode(path[2]).strip()
        if self._behaviour.tls == "required" and self._tls is None:
            await self._send(Answer(530, "5.7.0", "Must issue a STARTTLS command first"))
            return
        words = parameters.upper().split()
        for what in parameter_violations("MAIL", words, MAIL_PARAMETERS, self._offers):
            self._violation(what)
        if not sender.isascii() and "SMTPUTF8" not in words:
            self._violation("an address that is not ASCII without SMTPUTF8")
        size = next((word[5:] for word in words if word.startswith("SIZE=")), "0")
        if self._offers("SIZE") and size.isdecimal() and (len(size) > 20 or int(size) > self._behaviour.size):
            await self._send(Answer(552, "5.3.4", f"Message size exceeds the limit of {self._behaviour.size}"))
            return
        if (refusal := self._throttle()) is not None:
            await self._send(refusal)
            return
        answer = await self._act("mail", Answer(250, "2.1.0", "Ok"))
        if answer.code == 250:
            self._envelope = Envelope(sender, parameters, "BODY=8BITMIME" in words)

    def _throttle(self) -> Answer | None:
        limits = self._behaviour.throttle
        self._messages += 1
        if limits.messages_per_connection and self._messages > limits.messages_per_connection:
            return Answer(421, "4.7.0", "Too many messages on this connection, try again on another")
        if limits.messages_per_second:
            second = int(self._loop.time())
            if second != self._host.second:
                self._host.second, self._host.messages_in_second = second, 0
            self._host.messages_in_second += 1
            if self._host.messages_in_second > limits.messages_per_second:
                return Answer(450, "4.7.1", "Sending rate exceeded, try again in 1 second")
        return None

    async def _on_rcpt(self, verb: str, command: bytes) -> None:
        path = _PATH.fullmatch(command[5:])
        if path is None or not command.upper().startswith(b"RCPT TO:") or not path[1]:
            self._violation(f"a malformed command: {_show(command)}")
            await self._send(Answer(501, "5.5.4", "RCPT TO:<address> is expected"))
            return
        envelope = self._envelope
        if envelope is None:
            # With PIPELINING this is what follows a refused MAIL (RFC 2920 §3.1).
            if not self._offers("PIPELINING"):
                self._violation("RCPT outside a transaction")
            await self._send(Answer(503, "5.5.1", "Bad sequence of commands"))
            return
        recipient, parameters = _decode(path[1]), _decode(path[2]).strip()
        for what in parameter_violations("RCPT", parameters.upper().split(), RCPT_PARAMETERS, self._offers):
            self._violation(what)
        if not recipient.isascii() and "SMTPUTF8" not in envelope.parameters.upper().split():
            self._violation("an address that is not ASCII without SMTPUTF8")
        limit = self._behaviour.throttle.recipients_per_message
        if limit and len(envelope.recipients) >= limit:
            await self._send(Answer(452, "4.5.3", f"Too many recipients (limit {limit})"))
            return
        local, _, domain = recipient.rpartition("@")
        domain = domain.lower()
        behaviour = self._world.behaviour_of(domain) or self._behaviour
        attempt = self._world.tries.again((domain, envelope.sender.lower(), recipient.lower()), self._loop.time())
        own = local_part_rules(local)
        rules = behaviour.recipient_rules(recipient.lower(), attempt.number) if own is None else own
        applicable = [(rule, attempt) for rule in rules if rule.at in RECIPIENT_STAGES]
        answer = await self._act("rcpt", Answer(250, "2.1.5", "Ok"), applicable, recipient, behaviour.seed)
        if answer.code == 250:
            envelope.recipients.append(recipient)
            envelope.rcpt_parameters.append(parameters)
            envelope.rules += [pair for pair in applicable if pair[0].at != "rcpt"]
            if (report := recipient_report(local, behaviour.report)) is not None:
                envelope.reports.append((recipient, report))

    async def _on_data(self, verb: str, command: bytes) -> None:
        envelope = self._envelope
        if envelope is None or not envelope.recipients:
            if not self._offers("PIPELINING"):
                self._violation("DATA without recipients")
            code = (
                Answer(503, "5.5.1", "Bad sequence of commands")
                if envelope is None
                else Answer(554, "5.5.1", "No valid recipients")
            )
            await self._send(code)
            return
        key = envelope.recipients[0].lower()
        seed = self._behaviour.seed
        answer = await self._act(
            "data", Answer(354, "", "End data with <CR><LF>.<CR><LF>"), envelope.rules, key, seed
        )
        if answer.code != 354:
            self._envelope = None
            return
        raw = await self._content(envelope, key)
        self._envelope = None
        self._note(f"C: ({len(raw)} octets of content)")
        for what in content_violations(raw, eight_bit=envelope.body_8bit):
            self._violation(what)
        data = unstuffed(raw)
        if self._wire.buffer and not self._offers("PIPELINING"):
            # With PIPELINING the end of data may begin a group (RFC 2920 §3.1).
            self._violation("the client sent more before it had the reply to the end of data")
        if len(data) > self._behaviour.size:
            await self._send(Answer(552, "5.3.4", "Message too big"))
            return
        mail = Mail(
            id=self._world.mailbox.next_id(),
            sender=envelope.sender,
            to=tuple(envelope.recipients),
            data=data,
            tls=self._tls,
            at=_now(),
            helo=self._record.helo,
            peer=self._wire.peer,
            server=self._host.name,
            session=self._record.id,
            mail_parameters=envelope.parameters,
            rcpt_parameters=tuple(envelope.rcpt_parameters),
        )
        ok = Answer(250, "2.0.0", f"Ok: kept as {mail.id}")
        answer = await self._act("end", ok, envelope.rules, key, seed, mail)
        if answer.code == 250 and envelope.reports:
            self._world.report(mail, envelope.reports)

    async def _content(self, envelope: Envelope, key: str) -> bytes:
        """The content as sent, dots still stuffed, up to the CRLF before the final dot."""
        buffer = self._wire.buffer
        if not buffer:
            await self._wire.more()
        await self._act("body", None, envelope.rules, key, self._behaviour.seed)
        # The CRLF of DATA's own line is the one before a dot that comes first (RFC 5321 §4.1.1.4).
        content = bytearray(b"\r\n")
        scanned = 0
        while True:
            content += buffer
            buffer.clear()
            end = content.find(_END, scanned)
            if end >= 0:
                buffer += content[end + len(_END) :]
                return bytes(content[2 : end + 2])
            if len(content) > self._behaviour.size + OVERSIZE:
                # Too big already: what comes still has to be read, but not to be kept.
                del content[self._behaviour.size + 2 : -4]
            scanned = max(0, len(content) - 4)
            await self._wire.more()

    async def _on_rset(self, verb: str, command: bytes) -> None:
        self._envelope = None
        await self._act("rset", Answer(250, "2.0.0", "Ok"))

    async def _on_noop(self, verb: str, command: bytes) -> None:
        await self._send(Answer(250, "2.0.0", "Ok"))

    async def _on_quit(self, verb: str, command: bytes) -> None:
        await self._act("quit", Answer(221, "2.0.0", "Bye"))
        self._end("the client quit")

    # Rules and effects.

    async def _act(
        self,
        stage: Stage,
        default: Answer | None,
        own: Iterable[tuple[Rule, Try]] = (),
        key: str = "",
        seed: int | None = None,
        mail: Mail | None = None,
    ) -> Answer:
        """Let the first rule that fits act, or send ``default``. Returns the reply by which the state moves on."""
        rules = own if stage in RECIPIENT_STAGES else ((rule, self._connection) for rule in self._behaviour.rules)
        seed = self._behaviour.seed if seed is None else seed
        for rule, attempt in rules:
            if rule.at != stage or not self._fits(rule, attempt, key, seed):
                continue
            if rule.delay:
                self._note(f"# waits {rule.delay:g} s")
                await self._wire.wait(rule.delay)
            if rule.final:
                return await self._obey(rule, default, mail)
        if mail is not None:
            self._keep(mail)
        if default is not None:
            await self._send(default)
        return default or _NOTHING

    def _fits(self, rule: Rule, attempt: Try, key: str, seed: int) -> bool:
        if rule.first and attempt.number > rule.first:
            return False
        if rule.within and self._loop.time() - attempt.first_at >= rule.within:
            return False
        return rule.percent >= 100 or draw(seed, rule.at, key, attempt.number) < rule.percent

    async def _obey(self, rule: Rule, default: Answer | None, mail: Mail | None) -> Answer:
        silent = rule.reply is None and rule.raw is None and bool(rule.disconnect)
        answer = rule.reply or (None if silent else default) or _NOTHING
        if mail is not None and (rule.keep or (rule.raw is None and answer.code // 100 == 2)):
            self._keep(mail)
        if rule.raw is not None:
            answer = default or _NOTHING
            await self._send_raw(rule.raw.encode("latin-1", "replace"), rule)
        elif answer is not _NOTHING:
            await self._send(answer, trickle=rule.trickle)
        if rule.disconnect == "reset":
            self._wire.reset()
            self._end("the lab reset the connection")
        if rule.disconnect:
            self._end("the lab disconnected")
        return answer

    async def _send(self, answer: Answer, *, trickle: bool = False) -> None:
        data = answer.encode(enhanced=self._offers("ENHANCEDSTATUSCODES"))
        for line in data.decode("utf-8", "backslashreplace").splitlines():
            self._note(f"S: {line}")
        if trickle:
            await self._wire.trickle(data)
        else:
            self._wire.write(data)
        if answer.code == 421:
            self._end("closed after 421")

    async def _send_raw(self, data: bytes, rule: Rule) -> None:
        self._note(f"S: {_show(data)}{' … without end' if rule.endless else ''}")
        if rule.trickle:
            await self._wire.trickle(data)
        else:
            self._wire.write(data)
        while rule.endless:
            await self._wire.drain()
            self._wire.write(data)
            await asyncio.sleep(0)

    def _keep(self, mail: Mail) -> None:
        self._record.messages += 1
        self._world.mailbox.add(mail)

    def _offers(self, extension: str) -> bool:
        """Whether the client may use it: offered in the reply to its EHLO."""
        return self._esmtp and extension in self._behaviour.extensions

    def _end(self, why: str) -> NoReturn:
        self._record.ended = why
        raise Gone(why)

    def _note(self, line: str) -> None:
        if len(self._record.dialogue) < MAX_DIALOGUE:
            self._record.dialogue.append(line)

    def _violation(self, what: str) -> None:
        self._note(f"# violation: {what}")
        if len(self._record.violations) < MAX_DIALOGUE:
            self._record.violations.append(what)


_NOTHING = Answer(100)  # no reply was sent: no state is reached


def _now() -> int:
    return int(time.time() * 1000)


def _decode(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")


def _show(octets: bytes) -> str:
    text = octets[:500].rstrip(b"\r\n").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
