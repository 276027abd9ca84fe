"""What all reports about mail are made of: what they are about, header fields, the returned message, parts of
MIME."""

from __future__ import annotations

import re
import textwrap
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from quopri import encodestring
from typing import Final, NamedTuple

import msgspec

from ekiden.lab.behaviour import Answer, Report
from ekiden.lab.mailbox import Mail

MAX_RETURNED: Final = 50_000
"""Octets of a message that are returned; of a larger one the header is (Postfix's ``bounce_size_limit``)."""
MAX_HEADER: Final = 1 << 16
"""Octets of a header that are looked at, and returned."""
_MAX_FIELD: Final = 500
JST: Final = timezone(timedelta(hours=9))


class Case(NamedTuple):
    """What a report is about. ``host`` and ``address`` are those of the server that took the mail; ``at`` is when
    the report is written (milliseconds since 1970 UTC), ``number`` makes its ids."""

    mail: Mail
    recipients: tuple[str, ...]
    host: str
    address: str
    report: Report
    at: int
    number: int

    @property
    def sender(self) -> str:
        return self.mail.sender

    @property
    def to(self) -> str:
        """Where the report goes."""
        return self.report.to or self.sender

    @property
    def delayed(self) -> bool:
        return self.report.action == "delayed"

    @property
    def backend(self) -> str:
        """The server behind, that refuses."""
        return f"store.{self.host.partition('.')[2]}"

    @property
    def client(self) -> str:
        """The address that the mail came from."""
        return self.mail.peer.rpartition(":")[0].strip("[]") or "127.0.0.1"

    @property
    def queue_id(self) -> str:
        return f"{self.mail.id + 0x4A00000000:X}"

    def date(self, zone: timezone = UTC) -> str:
        return date_of(self.at, zone)

    def arrival(self, zone: timezone = UTC) -> str:
        return date_of(self.mail.at, zone)

    def answer(self, default: Answer) -> Answer:
        """What the server behind answered; without an enhanced code where the format's usual reply has none."""
        return self.report.reply or default

    def field(self, name: str) -> str:
        """A header field of the mail, unfolded and not longer than it may be in a line; empty: it has none."""
        found = re.search(rb"(?im)^" + name.encode() + rb":[ \t]*((?:.|\n[ \t])*)", header_of(self.mail.data))
        return "" if found is None else re.sub(r"\r?\n", "", text_of(found[1])).strip()[:_MAX_FIELD]


def redacted(case: Case) -> Case:
    """As the report asks for: with another local part of the envelope sender, and without the recipients'."""
    mail, report, recipients = case.mail, case.report, case.recipients
    if report.local_part:
        mail = _renamed(mail, mail.sender, report.local_part)
    if report.redact:
        for recipient in recipients:
            mail = _renamed(mail, recipient, "redacted")
        recipients = tuple(f"redacted@{recipient.rpartition('@')[2]}" for recipient in recipients)
    return case._replace(mail=mail, recipients=recipients)


def _renamed(mail: Mail, address: str, local_part: str) -> Mail:
    """With another local part of ``address`` wherever it stands."""
    old, _, domain = address.rpartition("@")
    if not old:
        return mail
    pattern = re.compile(rb"(?i)(?<![\w.+-])" + re.escape(old.encode()) + rb"(?=@)")
    sender = f"{local_part}@{domain}" if mail.sender == address else mail.sender
    return msgspec.structs.replace(mail, sender=sender, data=pattern.sub(local_part.encode(), mail.data))


def multipart(head: str, boundary: str, parts: list[str], last_head: str, last: bytes) -> bytes:
    """``head`` has "{encoding}" where Content-Transfer-Encoding stands when ``last`` is not ASCII."""
    eight_bit = not last.isascii() or not "".join(parts).isascii()
    encoding = "Content-Transfer-Encoding: 8bit\n"
    out = head.replace("{encoding}", encoding if eight_bit else "")
    for part in parts:
        out += f"\n--{boundary}\n{part}"
    out += f"\n--{boundary}\n{last_head}{encoding if not last.isascii() else ''}\n"
    return crlf(out) + last + crlf(f"\n--{boundary}--\n")


def returned_by(s: Case, before: str, *, headers_only: bool = False) -> tuple[bytes, bool]:
    """The mail with what the server has put before it, and whether it is whole: RET=HDRS and large ones are not."""
    small = len(s.mail.data) <= MAX_RETURNED
    if headers_only or not small or "RET=HDRS" in s.mail.mail_parameters.upper().split():
        return crlf(before) + header_of(s.mail.data), False
    data = s.mail.data
    return crlf(before) + data + (b"" if data.endswith(b"\r\n") else b"\r\n"), True


def kind_of(whole: bool) -> str:
    """The type of the part with what is returned."""
    return "message/rfc822" if whole else "text/rfc822-headers"


def header_of(data: bytes) -> bytes:
    """With the last CRLF; what is too long is cut at a line."""
    head, end, _ = data.partition(b"\r\n\r\n")
    if not end:
        head = data.rstrip(b"\r\n")
    if len(head) > MAX_HEADER:
        head = head[:MAX_HEADER].rpartition(b"\r\n")[0]
    return head + b"\r\n"


def envelope_id(s: Case) -> str:
    """RFC 3464 §2.2.1, where the client gave one (RFC 3461 §4.4)."""
    found = re.search(r"(?i)(?:^| )ENVID=([^ ]+)", s.mail.mail_parameters)
    return "" if found is None else f"Original-Envelope-Id: {found[1]}\n"


def author_domain(s: Case) -> str:
    found = re.search(r"@([A-Za-z0-9.-]+)", s.field("From"))
    return "" if found is None else found[1]


def words_of(answer: Answer, recipient: str) -> str:
    """The reply in one line, each line of it with its codes."""
    lines = answer.encode().decode("utf-8", "replace").split("\r\n")
    return " ".join(line for line in lines if line).replace("{recipient}", recipient)


def status_of(answer: Answer) -> str:
    return answer.enhanced or f"{answer.code // 100}.0.0"


def optional(name: str, value: str) -> str:
    return f"{name}: {value}\n" if value else ""


def wrapped(text: str, indent: str) -> str:
    return "\n".join(
        textwrap.wrap(text, 78, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    )


def quoted(text: str) -> str:
    """Quoted-printable, of UTF-8."""
    return encodestring(text.encode("utf-8", "surrogateescape")).decode("ascii")


def crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode("utf-8", "surrogateescape")


def text_of(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def date_of(at: int, zone: timezone = UTC) -> str:
    return format_datetime(datetime.fromtimestamp(at // 1000, zone)) + (" (JST)" if zone is JST else "")


def compact(at: int) -> str:
    return datetime.fromtimestamp(at // 1000, UTC).strftime("%Y%m%d%H%M%S")


def base36(number: int, length: int) -> str:
    """In base 36, the last ``length`` digits."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    out = ""
    for _ in range(length):
        number, digit = divmod(number, 36)
        out = digits[digit] + out
    return out


def uuid_of(number: int, which: int) -> str:
    text = f"{number:016x}{which:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
