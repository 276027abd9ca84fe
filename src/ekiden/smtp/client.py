"""The client machine: a transaction in, commands out, the peer's replies in, one deciding reply per recipient out.

A driver does::

    stream.write(connection.data_to_send())   # again and again, at the pace of the peer, while it is ``sending``
    connection.receive_data(data)             # or eof(), or timeout()
    while (event := connection.next_event()) is not None:
        ...                                   # ehlo(), starttls(), send(transaction), quit()

Whatever the peer does, ``send`` ends in exactly one ``TransactionDone``, in which every recipient has a reply: the
peer's, or one of ours marked ``local``. RFC 5321, 1870, 2034, 2920, 3207, 3461, 6152, 6531, 9422.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import Enum

from ekiden.core.diagnosis import Stage
from ekiden.core.said import Remark, Said, say
from ekiden.smtp.content import PIECE, outgoing
from ekiden.smtp.envelope import is_safe, make_plan
from ekiden.smtp.errors import UsageError
from ekiden.smtp.extensions import Offer, parse_offer
from ekiden.smtp.reply import Reply, ReplyParser
from ekiden.smtp.transaction import (
    ClientEvent,
    Closed,
    Greeting,
    HelloDone,
    HelloRefused,
    ResetDone,
    TlsReady,
    TlsRefused,
    Transaction,
    TransactionDone,
    TransactionResult,
)

MAX_NOTED_LINES = 40
"""Lines of one reply that the dialogue keeps, the last one among them."""
MAX_NOTED_LINE = 512
"""Characters of each (RFC 5321 §4.5.3.1.5)."""
MAX_NOTED = 32_768
"""Characters of replies in a dialogue; then only a beginning of the last line of each further reply."""
_MAX_WAITS = 100  # replies to the content that are no verdict
_MAX_DECIDING = 1000  # characters of a reply that decides about a recipient


class _Step(Enum):
    """What a reply is awaited for. The value is its name in texts, time-outs and traces."""

    GREETING = "greeting"
    EHLO = "EHLO"
    HELO = "HELO"
    STARTTLS = "STARTTLS"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    CONTENT = "content"
    RSET = "RSET"
    CLEAN_UP = "RSET before MAIL"
    QUIT = "QUIT"


_TIMED_OUT = say("timed_out")


class ClientConnection:
    """One session with one peer. The greeting is awaited from the start."""

    def __init__(self, hostname: str) -> None:
        """``hostname`` is what EHLO says: a name of ours or an address literal."""
        self.hostname = hostname
        self.offer = Offer()
        """What the peer can do, as far as it has told."""
        self.transactions = 0
        """How many were begun on this connection."""
        self.dialogue: list[str] = []
        """``S: …``, ``C: …`` and ``# …``: how the session began, and the current or last transaction only. Never
        content. The driver copies it when a transaction is done."""
        self.closed = False
        self.replies = 0
        """Complete replies so far."""
        self._noted = 0
        self._prelude = 0
        self._parser = ReplyParser()
        self._out: list[bytes] = []
        self._content: Iterator[bytes] | None = None
        self._events: deque[ClientEvent] = deque()
        self._awaited: deque[_Step] = deque((_Step.GREETING,))
        self._quitting = False
        self._handshake = False
        self._ended = False
        self._dirty = False  # a transaction was begun and not ended: RSET before the next
        self._doubtful = False  # lines that are no replies came among several that are awaited
        self._together = False
        self._waits = 0
        self._transaction: Transaction | None = None
        self._decided: list[Reply | None] = []
        self._stages: list[Stage] = []  # what each of them answers
        self._accepted: list[int] = []
        self._commands: deque[tuple[_Step, str]] = deque()
        self._asked: deque[int] = deque()  # recipients whose RCPT is on its way, in order
        self._unasked: deque[int] = deque()

    # --- what the driver sees -------------------------------------------------------------------------------

    @property
    def awaiting(self) -> str:
        """What the next reply answers (``greeting``, ``MAIL``, …; ``content``: the final one), or nothing.

        RFC 5321 §4.5.3.2 gives each its own time-out.
        """
        return self._awaited[0].value if self._awaited else ""

    @property
    def busy(self) -> bool:
        """A transaction is running."""
        return self._transaction is not None

    @property
    def buffered(self) -> int:
        """Octets of replies that are not complete, lines that are none among them.

        Those do not count behind the content: the reply to it may take as long as it ever may.
        """
        parser = self._parser
        odd = 0 if self.awaiting == _Step.CONTENT.value else parser.odd_octets
        return parser.buffered + odd

    @property
    def sending(self) -> bool:
        """More of a large content is to come from ``data_to_send``, once the peer has taken what came before."""
        return self._content is not None

    def receive_data(self, data: bytes) -> None:
        """Octets of the peer."""
        if not self.closed and not self._handshake:
            self._parser.feed(data)

    def data_to_send(self) -> bytes:
        """The commands since the last call, or the next piece of a content."""
        out = self._out
        if not out:
            piece = b"" if self._content is None else next(self._content, b"")
            if not piece:
                self._content = None
            return piece
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    def next_event(self) -> ClientEvent | None:
        """What happened next, or ``None``: more octets are needed."""
        while not self._events and not self.closed:
            try:
                reply = self._read()
            except ValueError as error:
                self._lose(say("not_smtp", why=str(error)), 451, "4.5.0")
                break
            if reply is None:
                break
            self._note(reply)
            self._take(reply)
        return self._events.popleft() if self._events else None

    def eof(self) -> None:
        """The peer closed the connection."""
        self._ended = True
        while not self.closed and not self._handshake:
            # What it said before counts.
            try:
                reply = self._read()
            except ValueError:
                break
            if reply is None:
                break
            self._note(reply)
            self._take(reply)
        if self._quitting and not self.busy:
            self._close("quit")
        else:
            self._lose(say("connection_lost"), 421, "4.4.2")

    def timeout(self, why: Said = _TIMED_OUT) -> None:
        """The peer took too long; the driver closes the stream after the events."""
        self._lose(why, 421, "4.4.2")

    def fail(self, why: Said) -> None:
        """The connection broke for a reason of its own, such as a TLS error in the middle."""
        self._lose(why, 421, "4.4.2")

    # --- actions --------------------------------------------------------------------------------------------

    def ehlo(self) -> None:
        """Say EHLO; HELO follows by itself when that is refused with 5xx. Ends in HelloDone or HelloRefused."""
        if self._usable("ehlo()"):
            self._command(_Step.EHLO, f"EHLO {self.hostname}")

    def starttls(self) -> None:
        """Ends in TlsReady or TlsRefused."""
        if not self._usable("starttls()"):
            return
        if "STARTTLS" not in self.offer.extensions:
            raise UsageError("the peer does not offer STARTTLS")
        self._command(_Step.STARTTLS, "STARTTLS")

    def tls_established(self, said: Said) -> None:
        """The handshake is done: forget what was learned in clear text (RFC 3207 §4.2), and say ``ehlo()``.

        ``said`` tells of it in the dialogue.
        """
        if not self._handshake:
            raise UsageError("tls_established() without TlsReady")
        self._handshake = False
        self._parser.clear()
        self.offer = Offer()
        self.dialogue.append(Remark(said))

    def rset(self) -> None:
        """Ends in ResetDone."""
        if self._usable("rset()"):
            self._command(_Step.RSET, "RSET")

    def quit(self) -> None:
        """Ends in Closed."""
        if self._usable("quit()"):
            self._quitting = True
            self._command(_Step.QUIT, "QUIT")

    def send(self, transaction: Transaction) -> None:
        """Begin ``transaction``. Ends in TransactionDone; recipients that cannot be sent to get a reply of ours."""
        if not self._usable("send()"):
            lost = Reply.own(421, "4.4.2", say("lost_before_message"))
            count = len(transaction.recipients)
            result = TransactionResult([lost] * count, [Stage.MAIL] * count, False)
            self._events.appendleft(TransactionDone(result))
            return
        if self._awaited:
            raise UsageError(f"send() while the reply to {self.awaiting} is awaited")
        del self.dialogue[self._prelude :]
        self._noted = 0
        self._doubtful = self._together = False
        self._waits = 0
        self._transaction = transaction
        self.transactions += 1
        self._accepted = []
        self._asked.clear()
        self._unasked.clear()
        self._commands.clear()
        plan = make_plan(transaction, self.offer)
        self._decided = plan.decided
        self._stages = [Stage.RCPT] * len(plan.decided)
        self._unasked.extend(plan.asked)
        if not plan.asked:
            self._finish(reusable=True)
            return
        if self._dirty:
            self._commands.append((_Step.CLEAN_UP, "RSET"))
        self._commands.append((_Step.MAIL, plan.mail))
        self._commands.extend([(_Step.RCPT, command) for command in plan.rcpts])
        self._commands.append((_Step.DATA, "DATA"))
        self._push()

    def _usable(self, name: str) -> bool:
        """False once closed: that may happen any time, and the driver is about to hear of it."""
        if self.closed:
            return False
        if self.busy or self._handshake or self._quitting:
            raise UsageError(f"{name} in the middle of something else")
        return True

    # --- commands -------------------------------------------------------------------------------------------

    def _push(self) -> None:
        """Send all commands up to DATA at once (RFC 2920 §3.1), or only the next one."""
        commands = self._commands
        if "PIPELINING" in self.offer.extensions:
            lines = []
            for step, line in commands:
                self._begin(step)
                lines.append(line)
            self.dialogue.extend(["C: " + line for line in lines])
            lines.append("")
            self._out.append("\r\n".join(lines).encode())
            commands.clear()
        elif commands:
            step, line = commands.popleft()
            self._begin(step)
            self._write(line)

    def _begin(self, step: _Step) -> None:
        self._awaited.append(step)
        if step is _Step.MAIL:
            self._dirty = True
        elif step is _Step.RCPT:
            self._asked.append(self._unasked.popleft())

    def _command(self, step: _Step, line: str) -> None:
        self._awaited.append(step)
        self._write(line)

    def _write(self, line: str) -> None:
        if not is_safe(line):
            raise UsageError("a command with control characters")
        self.dialogue.append("C: " + line)
        self._out.append(line.encode() + b"\r\n")

    def _read(self) -> Reply | None:
        """The next reply. Lines that are none are passed over, but for the first words of a peer: whoever begins
        with something else speaks another protocol."""
        parser = self._parser
        try:
            return parser.next(strict=self.awaiting == _Step.GREETING.value)
        finally:
            if parser.odd:
                for line in parser.odd:
                    self._keep(Remark(say("no_reply_line", line=repr(line))) if self._noted < MAX_NOTED else "#")
                parser.odd.clear()
                # One of them may have been meant as a reply, and then the others belong to other commands. That the
                # 354 comes where it should tells that all is well.
                self._doubtful = self._doubtful or len(self._awaited) > 1

    def _note(self, reply: Reply) -> None:
        self.replies += 1
        status = f"{reply.enhanced} " if reply.enhanced else ""
        lines = reply.lines
        last = len(lines) - 1
        room = MAX_NOTED - self._noted
        width = MAX_NOTED_LINE if room > 0 else 80
        if last:
            # A reply of many lines is kept with its end: that is what decides, and what the next one is told by.
            shown = min(last, MAX_NOTED_LINES - 1, max(0, room) // MAX_NOTED_LINE)
            for line in lines[:shown]:
                self._keep(f"S: {reply.code}-{status}{line[:width]}")
            if shown < last:
                self._keep(Remark(say("more_lines", count=last - shown)))
        self._keep(f"S: {reply.code} {status}{lines[last][:width]}")

    def _keep(self, line: str) -> None:
        self._noted += len(line)
        self.dialogue.append(line)

    # --- replies --------------------------------------------------------------------------------------------

    def _take(self, reply: Reply) -> None:
        if not self._awaited:
            if reply.code == 421:
                self._hung_up(reply)
            else:
                self._lose(say("reply_unasked", reply=str(reply)), 451, "4.5.0")
            return
        step = self._awaited.popleft()
        if reply.code == 421 and step is not _Step.QUIT:
            # RFC 5321 §3.8: the service closes, whatever the command was.
            self._hung_up(reply, step)
            return
        sent = len(self._out)
        _HANDLERS[step](self, reply)
        if len(self._out) > sent and self._parser.buffered and not self.closed:
            self._out_of_step()

    def _out_of_step(self) -> None:
        """A reply was there before its command was: from here on no reply could be trusted to be the right one."""
        try:
            reply = self._read()
        except ValueError:
            reply = None
        else:
            if reply is None and not self._parser.buffered:
                return  # lines that are no replies, and stand for none
        self._out.clear()
        if reply is not None and reply.code == 421:
            self._note(reply)
            self._hung_up(reply)
        else:
            self._lose(say("reply_early"), 451, "4.5.0")

    def _on_greeting(self, reply: Reply) -> None:
        self._events.append(Greeting(reply))
        self._prelude = len(self.dialogue)

    def _on_ehlo(self, reply: Reply) -> None:
        if reply.permanent:
            self._command(_Step.HELO, f"HELO {self.hostname}")
        elif reply.code != 250:
            self._prelude = len(self.dialogue)
            self._events.append(HelloRefused(reply))
        else:
            self._greeted(parse_offer(reply))

    def _on_helo(self, reply: Reply) -> None:
        if reply.code != 250:
            self._prelude = len(self.dialogue)
            self._events.append(HelloRefused(reply))
            return
        self._greeted(Offer())

    def _greeted(self, offer: Offer) -> None:
        self.offer = offer
        self._dirty = False
        self._prelude = len(self.dialogue)
        self._events.append(HelloDone(offer.extensions))

    def _on_starttls(self, reply: Reply) -> None:
        if reply.code != 220:
            self._prelude = len(self.dialogue)
            self._events.append(TlsRefused(reply))
            return
        # Replies that came along in clear text are an injection, not answers of the TLS session.
        self._parser.clear()
        self._handshake = True
        self._events.append(TlsReady())

    def _on_rset(self, reply: Reply) -> None:
        self._dirty = self._dirty and not reply.positive
        self._events.append(ResetDone(reply))

    def _on_clean_up(self, reply: Reply) -> None:
        if not 200 <= reply.code < 300:
            # No verdict on the message; this session is of no use any more.
            refused = say("rset_refused", reply=str(reply))
            self._decide_all(Reply.own(451, "4.5.0", refused))
            self._lose(refused, 451, "4.5.0")
            return
        self._dirty = True  # set anew by the MAIL that follows, or already pipelined
        self._next()

    def _on_quit(self, reply: Reply) -> None:
        self._close("quit")

    def _on_mail(self, reply: Reply) -> None:
        if reply.code == 354 or reply.code // 100 == 3:
            return self._nonsense(_Step.MAIL, reply)
        if not reply.positive:
            self._decide_all(reply, Stage.MAIL)
            self._dirty = False
            self._commands.clear()
        return self._next()

    def _on_rcpt(self, reply: Reply) -> None:
        if reply.code // 100 == 3:
            return self._nonsense(_Step.RCPT, reply)
        number = self._asked.popleft()
        if self._decided[number] is None:
            if reply.positive:
                self._accepted.append(number)
            else:
                self._decided[number] = _brief(reply)
        if not self._accepted and not self._asked and not self._unasked:
            self._commands.clear()  # nobody left: DATA need not be sent
        return self._next()

    def _on_data(self, reply: Reply) -> None:
        if reply.code == 354:
            self._doubtful = False
            transaction = self._transaction
            assert transaction is not None
            self._awaited.append(_Step.CONTENT)
            if self._accepted:
                pieces = outgoing(transaction.content, normalised=transaction.normalised)
                self._out.append(next(pieces))
                if len(transaction.content) > PIECE:
                    self._content = pieces
                self.dialogue.append(Remark(say("content_sent", octets=len(transaction.content))))
            else:
                # Everyone was refused and DATA was on its way: an end without content (RFC 2920 §3.1).
                self._out.append(b".\r\n")
                self.dialogue.append("C: .")
            return None
        if reply.positive:
            return self._nonsense(_Step.DATA, reply)
        self._decide_accepted(reply, Stage.DATA)
        return self._finish(reusable=True)

    def _on_content(self, reply: Reply) -> None:
        if reply.positive and self.sending:
            return self._nonsense(_Step.CONTENT, reply)  # nobody can have taken what was not sent
        if reply.code // 100 == 3:
            self._waits += 1
            if self._waits > _MAX_WAITS:
                return self._nonsense(_Step.CONTENT, reply)
            self._awaited.append(_Step.CONTENT)  # no verdict: that is still to come
            return None
        self._decide_accepted(reply)
        self._dirty = False
        return self._finish(reusable=True)

    def _next(self) -> None:
        """Another command, or the end when none is left and no reply is awaited."""
        if self._awaited:
            return
        if self._commands:
            self._push()
        else:
            self._finish(reusable=True)

    def _nonsense(self, step: _Step, reply: Reply) -> None:
        self._lose(say("reply_odd", command=step.value, reply=str(reply)), 451, "4.5.0")

    # --- deciding and ending --------------------------------------------------------------------------------

    def _decide_all(self, reply: Reply, stage: Stage = Stage.MAIL) -> None:
        """For everyone who is not refused already, also those accepted before."""
        reply = _brief(reply)
        for number, decided in enumerate(self._decided):
            if decided is None:
                self._decided[number] = reply
                self._stages[number] = stage
        self._accepted = []
        self._unasked.clear()

    def _decide_accepted(self, reply: Reply, stage: Stage = Stage.END) -> None:
        reply = _brief(reply)
        self._together = len(self._accepted) > 1
        for number in self._accepted:
            self._decided[number] = reply
            self._stages[number] = stage
        self._accepted = []

    def _decide_taken(self) -> None:
        """A reply to the whole content that says yes and only lacks its end: sent again, it would be a copy."""
        if self.awaiting == _Step.CONTENT.value and not self.sending and not self._out:
            begun = self._parser.begun
            if begun is not None and 200 <= begun.code < 300:
                self._note(begun)
                self._decide_accepted(begun)

    def _finish(self, *, reusable: bool) -> None:
        if self._transaction is None:
            return
        self._transaction = None
        self._content = None
        recipients = [reply or _UNDECIDED for reply in self._decided]
        if self._doubtful:
            recipients = [_DOUBTFUL] * len(recipients)
        most = self.offer.max_transactions
        self._parser.skip_empty()
        # What has come already would be taken for the reply to the next command.
        if (
            self._ended
            or self._doubtful
            or self._parser.buffered
            or (most is not None and self.transactions >= most)
        ):
            reusable = False
        self._events.append(TransactionDone(TransactionResult(recipients, self._stages, reusable, self._together)))

    def _hung_up(self, reply: Reply, step: _Step | None = None) -> None:
        """The peer said 421."""
        if self._transaction is not None:
            self._decide_all(reply, _STAGES.get(step, Stage.MAIL))
            self._finish(reusable=False)
        elif step is _Step.GREETING:
            self._events.append(Greeting(reply))
        elif step in (_Step.EHLO, _Step.HELO):
            self._events.append(HelloRefused(reply))
        elif step is _Step.STARTTLS:
            self._events.append(TlsRefused(reply))
        elif step is _Step.RSET:
            self._events.append(ResetDone(reply))
        self._close(str(reply), reply)

    def _lose(self, why: Said, code: int, enhanced: str) -> None:
        """The session broke: decide for everyone, then close."""
        if self.closed:
            return
        if code == 421 and self.awaiting == _Step.GREETING.value:
            why = say("waiting_for_greeting", what=why)
        elif code == 421 and self._awaited:
            why = say("waiting_for_reply", what=why, command=self.awaiting)
        self.dialogue.append(Remark(why))
        if self._transaction is not None:
            self._decide_taken()
            self._decide_all(Reply.own(code, enhanced, why))
            self._finish(reusable=False)
        self._close(why.text(), said=why)

    def _close(self, reason: str, reply: Reply | None = None, said: Said | None = None) -> None:
        if not self.closed:
            self.closed = True
            self._awaited.clear()
            self._commands.clear()
            self._parser.clear()
            self._events.append(Closed(reason, reply, said))


def _brief(reply: Reply) -> Reply:
    """What is kept for each recipient: there may be a hundred, and as many long replies."""
    if len(reply.lines) == 1 and len(reply.lines[0]) <= _MAX_DECIDING:
        return reply
    text = reply.text
    return reply if len(text) <= _MAX_DECIDING else replace(reply, lines=(text[:_MAX_DECIDING],))


_UNDECIDED = Reply.own(451, "4.3.0", say("reply_missing"))
_DOUBTFUL = Reply.own(451, "4.5.0", say("replies_doubtful"))


_STAGES: dict[_Step | None, Stage] = {
    _Step.RCPT: Stage.RCPT,
    _Step.DATA: Stage.DATA,
    _Step.CONTENT: Stage.END,
}
"""What a 421 in a transaction answers; else it is MAIL, or none of its commands."""


_HANDLERS: dict[_Step, Callable[[ClientConnection, Reply], None]] = {
    _Step.GREETING: ClientConnection._on_greeting,
    _Step.EHLO: ClientConnection._on_ehlo,
    _Step.HELO: ClientConnection._on_helo,
    _Step.STARTTLS: ClientConnection._on_starttls,
    _Step.MAIL: ClientConnection._on_mail,
    _Step.RCPT: ClientConnection._on_rcpt,
    _Step.DATA: ClientConnection._on_data,
    _Step.CONTENT: ClientConnection._on_content,
    _Step.RSET: ClientConnection._on_rset,
    _Step.CLEAN_UP: ClientConnection._on_clean_up,
    _Step.QUIT: ClientConnection._on_quit,
}
