"""Delivery status notifications: values in, one message out (RFC 3464, RFC 6522, and RFC 6533 where needed).

The first part is for people, in English and in Japanese; the second for programs; the third is what was sent. The
result is 7-bit unless the returned message itself is 8-bit or the sender's address is international.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from ekiden.core.clock import Millis
from ekiden.core.submission import Ret
from ekiden.delivery import dsn_sentences as texts
from ekiden.mime.header import encode_words, format_date
from ekiden.smtp.content import normalise_line_ends
from ekiden.smtp.reply import printable

MAX_RETURNED = 65_536  # octets: without RET, larger messages come back as headers only
MAX_RETURNED_FULL = 1_048_576  # also with RET=FULL
_MAX_HEADERS = 1_048_576  # octets of headers that come back; the door takes a fraction of it
_MAX_FIELD = 800  # characters of one value: with its folds a line stays far below 998 octets
_FOLD = 76

_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}\Z")


class Action(Enum):
    """RFC 3464 §2.3.3."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


@dataclass(frozen=True, slots=True)
class ReportedRecipient:
    """One recipient of the report. Everything empty or ``None`` is left out."""

    address: str
    """As RCPT names it."""
    action: Action
    status: str = ""
    """Enhanced code (RFC 3463); empty: the general one of ``action``."""
    orcpt: str | None = None
    """As RCPT gave it, decoded: ``rfc822;a@b``."""
    remote_mta: str = ""
    """Name of the host that decided."""
    diagnostic: str = ""
    """Its reply (``550 5.1.1 No such user``), or our own words when ``local``."""
    local: bool = False
    """``diagnostic`` is ours: no peer said it."""
    own: tuple[str, str] = ("", "")
    """It in English and in Japanese then."""
    shown: str = ""
    """The address as its sender wrote it; empty: as ``address`` has it."""
    last_attempt: Millis | None = None
    will_retry_until: Millis | None = None
    meaning: tuple[str, str] = ("", "")
    """What it means, in English and in Japanese."""
    advice: tuple[str, str] = ("", "")
    """What the sender can do, in English and in Japanese."""


@dataclass(frozen=True, slots=True)
class Report:
    """``sender`` is the envelope sender of the original and the recipient of this; never the null sender."""

    hostname: str
    """The reporting MTA: ours."""
    sender: str
    message_id: str
    """Of the report itself, with angle brackets."""
    at: Millis
    recipients: Sequence[ReportedRecipient]
    content: bytes = field(repr=False)
    """The original, as it was accepted."""
    arrived_at: Millis | None = None
    envid: str | None = None
    ret: Ret | None = None
    original_message_id: str = ""


def build_report(report: Report) -> bytes:
    """The notification as RFC 5322 bytes with CRLF line ends. Send it with the null sender (RFC 3461 §6.1)."""
    parts = [_text_part(report), _status_part(report), _returned_part(report)]
    boundary = _boundary(report.message_id, parts)
    actions = {recipient.action for recipient in report.recipients}
    english, japanese = texts.SUBJECTS[_foremost(actions).value]
    header = [
        f"From: Mail Delivery System <mailer-daemon@{report.hostname}>",
        f"To: <{_value(report.sender, utf8=True)}>",
        f"Subject: {english} / {encode_words(japanese)}",
        f"Date: {format_date(report.at)}",
        f"Message-ID: {_value(report.message_id)}",
    ]
    if report.original_message_id:
        header.append(f"In-Reply-To: {_value(report.original_message_id)}")
        header.append(f"References: {_value(report.original_message_id)}")
    header += [
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="{boundary}"',
    ]
    if not all(part.isascii() for part in parts):
        header.append("Content-Transfer-Encoding: 8bit")
    head = "\r\n".join(header).encode() + b"\r\n\r\n"
    mark = b"--" + boundary.encode()
    return head + b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"


# --- the part for people ------------------------------------------------------------------------------------------


def _foremost(actions: set[Action]) -> Action:
    """The action that names the report when it has several."""
    return next((action for action in Action if action in actions), Action.FAILED)


def _text_part(report: Report) -> bytes:
    blocks = [_text(report, language) for language in (0, 1)]
    text = "\r\n".join([*blocks[0], "----", "", *blocks[1]]) + "\r\n"
    encoded = binascii.b2a_qp(text.encode(), quotetabs=False, istext=True)
    return (
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Language: en, ja\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\nContent-Description: Notification\r\n\r\n"
        + normalise_line_ends(encoded)
    )


def _text(report: Report, language: int) -> list[str]:
    lines = [texts.INTRODUCTION[language].format(host=report.hostname), ""]
    for action in Action:
        concerned = [recipient for recipient in report.recipients if recipient.action is action]
        if not concerned:
            continue
        lines += [texts.EXPLANATIONS[action.value][language], ""]
        for recipient in concerned:
            lines.append(f"  <{printable(recipient.shown or recipient.address)}>")
            if recipient.diagnostic:
                form = texts.WE_SAY if recipient.local or not recipient.remote_mta else texts.SAID
                said = recipient.own[language] or recipient.diagnostic
                mta, text = printable(recipient.remote_mta), printable(said)[:_MAX_FIELD]
                lines.append("    " + form[language].format(mta=mta, text=text))
            for form, both in ((texts.MEANS, recipient.meaning), (texts.ADVICE, recipient.advice)):
                if both[language]:
                    lines.append("    " + form[language].format(text=printable(both[language])))
            if action is Action.DELAYED and recipient.will_retry_until is not None:
                date = format_date(recipient.will_retry_until)
                lines.append("    " + texts.UNTIL[language].format(date=date))
        lines.append("")
    return lines


# --- the part for programs ----------------------------------------------------------------------------------------


def _status_part(report: Report) -> bytes:
    # RFC 6533 §4: the international form as soon as one address is; base64 keeps the report itself 7-bit.
    utf8 = not all(_ascii(recipient) for recipient in report.recipients)
    message = [("Original-Envelope-Id", report.envid)] if report.envid else []
    message.append(("Reporting-MTA", f"dns; {report.hostname}"))
    if report.arrived_at is not None:
        message.append(("Arrival-Date", format_date(report.arrived_at)))
    groups = [message] + [_recipient_fields(recipient) for recipient in report.recipients]
    body = "\r\n".join(
        "".join(_folded(name, _value(value, utf8=utf8)) for name, value in group if value.strip())
        for group in groups
    ).encode()
    if not utf8:
        return b"Content-Type: message/delivery-status\r\nContent-Description: Delivery report\r\n\r\n" + body
    return (
        b"Content-Type: message/global-delivery-status\r\nContent-Description: Delivery report\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + _base64(body)
    )


def _ascii(recipient: ReportedRecipient) -> bool:
    return recipient.address.isascii() and (recipient.orcpt or "").isascii()


_DEFAULT_STATUS = {Action.FAILED: "5.0.0", Action.DELAYED: "4.0.0"}


def _recipient_fields(recipient: ReportedRecipient) -> list[tuple[str, str]]:
    kind = "rfc822" if recipient.address.isascii() else "utf-8"
    fields = []
    original_kind, _, original = (recipient.orcpt or "").partition(";")
    if original_kind and original.strip():
        fields.append(("Original-Recipient", f"{original_kind}; {original}"))
    fields.append(("Final-Recipient", f"{kind}; {recipient.address}"))
    fields.append(("Action", recipient.action.value))
    status = recipient.status if _STATUS.match(recipient.status) else ""
    fields.append(("Status", status or _DEFAULT_STATUS.get(recipient.action, "2.0.0")))
    if recipient.remote_mta and not recipient.local:
        fields.append(("Remote-MTA", f"dns; {recipient.remote_mta}"))
    if recipient.diagnostic:
        # RFC 3464 §2.3.6: types other than smtp begin with X-.
        fields.append(("Diagnostic-Code", f"{'X-Ekiden' if recipient.local else 'smtp'}; {recipient.diagnostic}"))
    if recipient.last_attempt is not None:
        fields.append(("Last-Attempt-Date", format_date(recipient.last_attempt)))
    if recipient.action is Action.DELAYED and recipient.will_retry_until is not None:
        fields.append(("Will-Retry-Until", format_date(recipient.will_retry_until)))
    return fields


# --- the part that was sent ---------------------------------------------------------------------------------------


def _returned_part(report: Report) -> bytes:
    """The message or its headers. RET counts for failures only; other reports return headers (RFC 3461 §4.3)."""
    # Nothing is done with more of it than can come back.
    original = normalise_line_ends(report.content[:_MAX_HEADERS])
    end = original.find(b"\r\n\r\n")
    headers = original if end < 0 else original[: end + 2]
    failed = any(recipient.action is Action.FAILED for recipient in report.recipients)
    limit = MAX_RETURNED_FULL if report.ret is Ret.FULL else MAX_RETURNED
    full = failed and report.ret is not Ret.HDRS and max(len(report.content), len(original)) <= limit
    if not headers.isascii():
        kind, body = ("message/global", original) if full else ("message/global-headers", headers)
        encoding, body = b"Content-Transfer-Encoding: base64\r\n", _base64(body)
    elif full:
        kind, body = "message/rfc822", original
        encoding = b"" if original.isascii() else b"Content-Transfer-Encoding: 8bit\r\n"
    else:
        kind, body, encoding = "text/rfc822-headers", headers, b""
    description = b"Undelivered message" if failed else b"Message"
    if not full:
        description += b" headers"
    return (b"Content-Type: " + kind.encode() + b"\r\nContent-Description: " + description + b"\r\n" + encoding) + (
        b"\r\n" + body
    )


# --- small things -------------------------------------------------------------------------------------------------


def _value(text: str, *, utf8: bool = False) -> str:
    """``text`` as a field value: one line, no controls, ASCII unless ``utf8``."""
    text = printable(text)[:_MAX_FIELD].strip()
    return text if utf8 or text.isascii() else "".join(c if c.isascii() else "?" for c in text)


def _folded(name: str, value: str) -> str:
    """One field, folded at blanks so that lines stay readable (RFC 5322 §2.2.3)."""
    lines, line = [], f"{name}:"
    for word in value.split(" "):
        if len(line) + 1 + len(word) > _FOLD and not line.endswith(":") and line.strip():
            lines.append(line)
            line = ""
        line += f" {word}" if word else " "
    lines.append(line)
    return "\r\n".join(line.rstrip(" ") for line in lines if line.strip()) + "\r\n"


def _base64(data: bytes) -> bytes:
    encoded = base64.b64encode(data)
    return b"".join(encoded[i : i + 76] + b"\r\n" for i in range(0, len(encoded), 76))


def _boundary(seed: str, parts: Sequence[bytes]) -> str:
    """A line that occurs in no part. Made from the report's id, so the same report is the same bytes."""
    stem = re.sub(r"[^A-Za-z0-9.]", "", seed)[:40] or "report"
    number = 0
    while any(f"--{stem}.{number}".encode() in part for part in parts):
        number += 1
    return f"{stem}.{number}"
