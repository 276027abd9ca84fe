"""The SMTP client of ``ekiden send``: the standard library's, so that it is a stranger to our own server."""

from __future__ import annotations

import email
import email.policy
import email.utils
import re
import smtplib
import ssl
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ekiden.cli.common import CliError, CliUsageError
from ekiden.core.address import parse_address

if TYPE_CHECKING:
    from ekiden.config.model import Config

TIMEOUT = 60.0
_QUEUED = re.compile(r"queued as ([0-9A-Za-z]+)")
_MODES = ("starttls", "tls", "none")


@dataclass(frozen=True, slots=True)
class Server:
    """Where to submit. ``mode`` is ``starttls``, ``tls`` or ``none``; ``context`` verifies, unless told not to."""

    host: str
    port: int
    mode: str
    context: ssl.SSLContext | None


@dataclass(frozen=True, slots=True)
class Draft:
    """An envelope and its content with CRLF line ends."""

    sender: str
    recipients: list[str]
    content: bytes


@dataclass(slots=True)
class Result:
    """What the server said to one message. ``refused`` has ``(code, reply)`` by recipient."""

    recipients: list[str]
    queue_id: str = ""
    reply: str = ""
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)


# ---- where to


def _context(ca: str | Path | None, insecure: bool, *, check_name: bool = True) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca) if ca is not None else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if insecure or not check_name:
        context.check_hostname = False
    if insecure:
        context.verify_mode = ssl.CERT_NONE
    return context


def given_server(text: str, tls: str | None, ca: Path | None, insecure: bool) -> Server:
    """``HOST:PORT``. Without ``tls``: port 465 means TLS from the start, any other STARTTLS."""
    host, colon, port = text.rpartition(":")
    host = host.strip("[]")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise CliUsageError(
            "--server: {value!r} is not HOST:PORT, such as mail.example.com:587 or [::1]:587", value=text
        )
    mode = _mode(tls) or ("tls" if int(port) == 465 else "starttls")
    return Server(host, int(port), mode, _context(ca, insecure) if mode != "none" else None)


def _mode(tls: str | None) -> str | None:
    if tls is not None and tls not in _MODES:
        allowed = ", ".join(_MODES)
        raise CliUsageError("--tls: {value!r} is not allowed; allowed are {allowed}", value=tls, allowed=allowed)
    return tls


def configured_server(config: Config, tls: str | None) -> Server:
    """The first listener with STARTTLS (or with the wanted mode, or the first at all), at this machine.

    Its own certificate is what we trust: whoever can read the configuration may know it by heart.
    """
    from ekiden.net.listen import parse_listen_address

    wanted = {"none": "plain"}.get(tls or "", _mode(tls) or "starttls")
    listeners = [item for item in config.listeners if item.mode == wanted]
    if not listeners and tls is None:
        listeners = list(config.listeners)
    if not listeners:
        raise CliError("the configuration has no such listener; name a server with --server HOST:PORT")
    listener = listeners[0]
    address = parse_listen_address(listener.addresses[0]).from_here()
    if not address.port:
        raise CliError(
            "listener {name} has port 0, any free one; name a server with --server HOST:PORT", name=listener.name
        )
    if listener.mode == "plain":
        return Server(address.host, address.port, "none", None)
    context = _context(listener.certificates[0].certificate, False, check_name=False)
    # A leaf that its file holds is trusted as it is, whoever signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return Server(address.host, address.port, listener.mode, context)


# ---- what


def make_message(sender: str, recipients: Sequence[str], subject: str, text: str | None, html: str | None) -> Draft:
    """A message of a text, an HTML part, or both."""
    from email.message import EmailMessage

    message = EmailMessage(policy=email.policy.SMTP.clone(utf8=not "".join([sender, *recipients]).isascii()))
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = subject
    message["Date"] = email.utils.localtime()
    message["Message-ID"] = email.utils.make_msgid(domain=parse_address(sender).domain.strip("[]"))
    if text is not None or html is None:
        message.set_content(text if text is not None else "Sent by ekiden send.\n")
    if html is not None:
        if text is None:
            message.set_content(html, subtype="html")
        else:
            message.add_alternative(html, subtype="html")
    return Draft(sender, list(recipients), message.as_bytes())


def read_message(path: Path, *, sender: str | None, recipients: list[str]) -> Draft:
    """A stored message. What the envelope lacks is taken from its header (From; To, Cc and Bcc)."""
    try:
        raw = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise CliError("--file: {path} cannot be read: {error}", path=path, error=error.strerror) from None
    content = re.sub(rb"\r\n|\r|\n", b"\r\n", raw)
    if not content.endswith(b"\r\n"):
        content += b"\r\n"
    header = email.message_from_bytes(content, policy=email.policy.compat32)

    def addresses(*names: str) -> list[str]:
        values = [str(value) for name in names for value in header.get_all(name, [])]
        return [address for _, address in email.utils.getaddresses(values) if address]

    if sender is None:
        found = addresses("Sender") or addresses("From")
        if not found:
            raise CliUsageError("the message has no From; give --from")
        sender = found[0]
    recipients = recipients or list(dict.fromkeys(addresses("To", "Cc", "Bcc")))
    if not recipients:
        raise CliUsageError("the message has no To; give --to")
    return Draft(sender, recipients, content)


# ---- how


def _connect(server: Server, login: tuple[str, str] | None) -> smtplib.SMTP:
    smtp: smtplib.SMTP
    name = f"{server.host}:{server.port}"
    try:
        if server.mode == "tls":
            smtp = smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT, context=server.context)
        else:
            smtp = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT)
        smtp.ehlo()
        if server.mode == "starttls":
            smtp.starttls(context=server.context)
            smtp.ehlo()
        if login is not None:
            smtp.login(*login)
    except smtplib.SMTPResponseException as error:
        reply = _text(error.smtp_error)
        raise CliError("{server} said {code} {reply}", server=name, code=error.smtp_code, reply=reply) from None
    except (OSError, smtplib.SMTPException) as error:
        raise CliError("{server} cannot be used: {error}", server=name, error=error) from None
    return smtp


def _text(reply: bytes | str) -> str:
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    return " ".join(text.split())


def _transaction(smtp: smtplib.SMTP, draft: Draft) -> Result:
    """One message. Trouble of the connection raises; replies are in the result."""
    result = Result([])
    addresses = "".join([draft.sender, *draft.recipients])
    options = [f"size={len(draft.content)}"] if smtp.has_extn("size") else []
    if smtp.has_extn("8bitmime") and not draft.content.isascii():
        options.append("BODY=8BITMIME")
    if not addresses.isascii():
        if not smtp.has_extn("smtputf8"):
            raise CliError("the server does not take addresses with other than ASCII characters (SMTPUTF8)")
        options.append("SMTPUTF8")
        smtp.command_encoding = "utf-8"
    code, reply = smtp.mail(draft.sender, options)
    if code != 250:
        result.refused = dict.fromkeys(draft.recipients, (code, _text(reply)))
        smtp.rset()
        return result
    for recipient in draft.recipients:
        code, reply = smtp.rcpt(recipient)
        if code in (250, 251):
            result.recipients.append(recipient)
        else:
            result.refused[recipient] = (code, _text(reply))
    if not result.recipients:
        smtp.rset()
        return result
    code, reply = _data(smtp, draft.content)
    result.reply = f"{code} {_text(reply)}"
    if code == 250:
        found = _QUEUED.search(_text(reply))
        result.queue_id = found.group(1) if found else "?"
    else:
        result.refused.update(dict.fromkeys(result.recipients, (code, _text(reply))))
        result.recipients = []
    return result


def _data(smtp: smtplib.SMTP, content: bytes) -> tuple[int, bytes]:
    try:
        return smtp.data(content)
    except smtplib.SMTPDataError as error:
        smtp.rset()
        reply = error.smtp_error
        return error.smtp_code, reply if isinstance(reply, bytes) else reply.encode()


def send_all(
    server: Server,
    login: tuple[str, str] | None,
    drafts: Sequence[Draft],
    count: int,
    connections: int,
    advance: Callable[[], object],
) -> tuple[list[Result], list[CliError]]:
    """Everything ``count`` times, over so many connections. What was tried, and what went wrong with connections.

    Raises ``CliError`` when nothing could be tried at all.
    """
    from concurrent.futures import ThreadPoolExecutor

    total = len(drafts) * count
    results: list[Result | None] = [None] * total
    numbers = iter(range(total))
    lock = threading.Lock()

    def work() -> None:
        smtp = _connect(server, login)
        try:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    break
                results[number] = _transaction(smtp, drafts[number % len(drafts)])
                advance()
            smtp.quit()
        except (OSError, smtplib.SMTPException) as error:
            raise CliError("the connection broke: {error}", error=error) from None
        finally:
            smtp.close()

    errors: list[CliError] = []
    with ThreadPoolExecutor(connections) as pool:
        for future in [pool.submit(work) for _ in range(connections)]:
            error = future.exception()
            if isinstance(error, CliError):
                errors.append(error)
            elif error is not None:
                raise error
    tried = [result for result in results if result is not None]
    if errors and not tried:
        raise errors[0]
    return tried, list({str(error): error for error in errors}.values())
