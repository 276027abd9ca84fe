"""The mail transaction of the server machine: what it holds, and what the driver's decisions do to it."""

from __future__ import annotations

from ekiden.core.address import Address
from ekiden.core.submission import Recipient
from ekiden.smtp import replies
from ekiden.smtp.commands import State
from ekiden.smtp.content import ChunkedContent, ContentReader
from ekiden.smtp.params import MailParameters
from ekiden.smtp.reply import Reply
from ekiden.smtp.server_config import ServerConfig
from ekiden.smtp.server_lines import Ask, Mode, ServerLines

_SENDER_OK = replies.SENDER_OK.encode()
_RECIPIENT_OK = replies.RECIPIENT_OK.encode()
_START_CONTENT = replies.START_CONTENT.encode()


class ServerTransaction(ServerLines):
    """A session that can accept and reject. ``ServerConnection`` adds the commands that ask."""

    def __init__(self, config: ServerConfig, tls: str) -> None:
        super().__init__(config)
        self.tls = tls
        self.tls_active = config.tls_active or bool(tls)
        self.authenticated = ""
        """The user name of the accepted AUTH."""
        self.hello = ""
        self.esmtp = False
        self._state = State.CONNECTED
        self._username = ""
        self._sender: Address | None = None
        self._params = MailParameters()
        self._recipients: list[Recipient] = []
        self._recipient: Recipient | None = None
        self._mail_failed = False
        self._reader: ContentReader | None = None
        self._body = ChunkedContent()
        self._oversize = False
        self._chunks = 0
        """Octets that BDAT has announced so far."""
        self._most_recipients = config.max_recipients

    @property
    def held(self) -> int:
        """All octets this connection keeps: commands and content received, and replies not yet fetched."""
        reader = self._reader
        content = self._body.held if reader is None else self._body.held + reader.held
        return len(self._buffer) + content + sum(map(len, self._out))

    @property
    def announced(self) -> int:
        """Octets of content that MAIL has announced (SIZE) and that may still come; 0: none, or not known."""
        return self._params.size or 0

    @property
    def receiving(self) -> str:
        """As in ``ServerLines``; between chunks it is still the content that is awaited."""
        if self._ask or self._mode >= Mode.HANDSHAKE:
            return ""
        in_content = self._state is State.CHUNKS or self._mode in (Mode.CONTENT, Mode.CHUNK)
        return "content" if in_content else "command"

    def transmission_type(self, smtputf8: bool = False) -> str:
        """The ``with`` of a Received field: ``ESMTPSA`` and its kin (RFC 3848, RFC 6531 §4.3)."""
        if not self.esmtp and not self.tls_active and not self.authenticated and not smtputf8:
            return "SMTP"
        kind = "UTF8SMTP" if smtputf8 else "ESMTP"
        return f"{kind}{'S' if self.tls_active else ''}{'A' if self.authenticated else ''}"

    def accept(self) -> None:
        """Yes to ``MailFrom``, ``RcptTo`` or ``DataStarting``."""
        ask = self._ask
        self._ask = Ask.NOTHING
        if ask is Ask.RCPT:
            assert self._recipient is not None
            self._recipients.append(self._recipient)
            self._commands -= 1  # there are only so many of them
            self._state = State.RCPT
            self._out.append(_RECIPIENT_OK)
        elif ask is Ask.MAIL:
            self._state = State.MAIL
            self._out.append(_SENDER_OK)
        elif ask is Ask.DATA:
            self._begin_content()
        else:
            self._ask = ask
            self._misused("accept()")
            return
        if self._last_words is not None:
            self._after_decision()

    def accept_message(self, queue_id: str) -> None:
        """Yes to ``MessageReceived``: it is on stable storage."""
        if self._ask is not Ask.MESSAGE:
            self._misused("accept_message()")
            return
        self._ask = Ask.NOTHING
        self._errors = self._commands = 0
        self._out.append(b"250 2.0.0 Ok: queued as %b\r\n" % queue_id.encode("ascii"))
        self._end_transaction()
        self._after_decision()

    def limit_recipients(self, most: int | None) -> None:
        """Who has logged in may have no more recipients in a message than that; ``None``: what the listener says.

        EHLO announces it from now on (RFC 9422).
        """
        listener = self.config.max_recipients
        self._most_recipients = listener if most is None else min(most, listener)

    def accept_auth(self) -> None:
        """Yes to ``Authenticate``."""
        if self._ask is not Ask.AUTH:
            self._misused("accept_auth()")
            return
        self._ask = Ask.NOTHING
        self.authenticated = self._username
        self._send(replies.AUTH_OK)
        self._after_decision()

    def reject_auth(self, reply: Reply = replies.AUTH_FAILED) -> None:
        """No to ``Authenticate``. A reply of code 421 closes."""
        if self._ask is not Ask.AUTH:
            self._misused("reject_auth()")
            return
        self._ask = Ask.NOTHING
        self._refuse(reply)
        if reply.code != 421:
            self._count_error()
        self._after_decision()

    def reject(self, reply: Reply) -> None:
        """No to what was asked, with a 4xx or 5xx reply. Code 421 closes the session."""
        ask = self._ask
        if ask is Ask.AUTH:
            self.reject_auth(reply)
            return
        if ask is Ask.NOTHING:
            self._misused("reject()")
            return
        self._ask = Ask.NOTHING
        smtputf8 = self._params.smtputf8
        if ask in (Ask.MAIL, Ask.MESSAGE):
            self._end_transaction()
            self._mail_failed = ask is Ask.MAIL
        self._refuse(reply, smtputf8)
        self._after_decision()

    def _refuse(self, reply: Reply, utf8: bool = False) -> None:
        self._out.append(reply.encode(utf8=utf8))
        if reply.code == 421:
            self._hang_up(reply.text)

    # --- what decisions come to -------------------------------------------------------------------------------

    def _end_transaction(self) -> None:
        self._sender = None
        self._params = MailParameters()
        self._recipients = []
        self._mail_failed = False
        self._oversize = False
        self._chunks = 0
        if self._body.received:
            self._body.clear()
        if self._state is not State.CONNECTED:
            self._state = State.GREETED

    def _begin_content(self) -> None:
        self._out.append(_START_CONTENT)
        self._mode = Mode.CONTENT
        self._reader = ContentReader(self.config.max_size)
        if self._pos:
            del self._buffer[: self._pos]
        self._pos = self._scan = 0
