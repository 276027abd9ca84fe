"""Reports about mail that was taken, as other systems write them: bounces, complaints, vacation replies.

Layout, field names, markers and codes are those of the systems (RFC 3464, RFC 5965, RFC 3834, and what they are
known to send); sentences for people are ours. docomo and SoftBank are seen through the system in front of them:
sendmail with the replies of ``mfsmax.docomo.ne.jp``, and InterMail. Pure: a ``Case`` in, the octets of a
message out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from ekiden.lab.behaviour import Answer, Format
from ekiden.lab.report_carriers import au, docomo, softbank
from ekiden.lab.report_parts import (
    Case,
    author_domain,
    base36,
    compact,
    crlf,
    date_of,
    envelope_id,
    header_of,
    kind_of,
    multipart,
    optional,
    quoted,
    redacted,
    returned_by,
    status_of,
    text_of,
    uuid_of,
    words_of,
    wrapped,
)

_PIXEL: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SINGLE: Final[frozenset[Format]] = frozenset({"gmail", "au", "softbank", "arf", "auto-reply"})
"""Formats that tell of one recipient each."""


def write(case: Case) -> bytes:
    """The report."""
    return _FORMATS[case.report.format](redacted(case))


# Bounces.

_UNKNOWN: Final = Answer(550, "5.1.1", "<{recipient}>: Recipient address rejected: User unknown")


def _postfix(s: Case) -> bytes:
    boundary = f"{s.queue_id}.{s.at // 1000}/{s.host}"
    said = s.answer(_UNKNOWN)
    in_reply = f"(in reply to {'RCPT TO' if s.report.stage == 'rcpt' else 'end of DATA'} command)"
    notes, groups = "", ""
    wide = not f"{s.sender}{''.join(s.recipients)}".isascii()
    kind, prefix = ("utf-8", "global") if wide else ("rfc822", "")
    for recipient in s.recipients:
        words = words_of(said, recipient)
        text = f"<{recipient}>: host {s.backend}[{s.address}] said: {words} {in_reply}"
        notes += wrapped(text, "    ") + "\n\n"
        groups += (
            f"Final-Recipient: {kind}; {recipient}\n"
            f"Original-Recipient: {kind};{recipient}\n"
            f"Action: {s.report.action}\n"
            f"Status: {status_of(said)}\n"
            f"Remote-MTA: dns; {s.backend}\n"
            f"{wrapped(f'Diagnostic-Code: smtp; {words}', '    ')}\n"
        )
        if s.delayed:
            groups += f"Will-Retry-Until: {date_of(s.at + 432_000_000)}\n"
        groups += "\n"
    subject = "Delayed Mail (still being retried)" if s.delayed else "Undelivered Mail Returned to Sender"
    told = (
        "Your message has not reached everybody yet. It is tried again, and nothing\nneeds to be done."
        if s.delayed
        else "Your message did not reach the recipients below. It follows\nthis report."
    )
    head = (
        f"Received: by {s.host} (Postfix)\n"
        f"\tid {s.number + 0x4B00000000:X}; {s.date()}\n"
        f"Date: {s.date()}\n"
        f"From: MAILER-DAEMON@{s.host} (Mail Delivery System)\n"
        f"Subject: {subject}\n"
        f"To: {s.to}\n"
        "Auto-Submitted: auto-replied\n"
        "MIME-Version: 1.0\n"
        f"Content-Type: multipart/report; report-type={prefix and 'global-'}delivery-status;\n"
        f'\tboundary="{boundary}"\n'
        "{encoding}"
        f"Message-Id: <{compact(s.at)}.{s.number + 0x4B00000000:X}@{s.host}>\n"
        "\n"
        "This is a MIME-encapsulated message.\n"
    )
    notification = (
        "Content-Description: Notification\n"
        f"Content-Type: text/plain; charset={'utf-8' if wide else 'us-ascii'}\n"
        f"\nThis is the mail system at host {s.host}.\n\n{told}\n\n"
        f"                   The mail system\n\n{notes.rstrip()}\n"
    )
    status = (
        "Content-Description: Delivery report\n"
        f"Content-Type: message/{prefix and 'global-'}delivery-status\n"
        f"\nReporting-MTA: dns; {s.host}\n"
        f"X-Postfix-Queue-ID: {s.queue_id}\n"
        f"X-Postfix-Sender: {kind}; {s.sender}\n"
        f"{envelope_id(s)}"
        f"Arrival-Date: {s.arrival()}\n\n{groups.rstrip()}\n"
    )
    received = (
        f"Received: from {s.mail.helo} ({s.mail.helo} [{s.client}])\n"
        f"\tby {s.host} (Postfix) with ESMTP id {s.queue_id}\n"
        f"\tfor <{s.recipients[0]}>; {s.arrival()}\n"
    )
    returned, whole = returned_by(s, f"Return-Path: <{s.sender}>\n{received}", headers_only=s.delayed)
    description = "Undelivered Message" if whole else "Undelivered Message Headers"
    content_type = (
        f"message/{prefix or 'rfc822'}" if whole else f"text/rfc822-headers{'; charset=utf-8' if wide else ''}"
    )
    part = f"Content-Description: {description}\nContent-Type: {content_type}\n"
    return multipart(head, boundary, [notification, status], part, returned)


def _exim(s: Case) -> bytes:
    boundary = f"{s.at // 1000}-eximdsn-{s.number % 1_000_000_000}"
    said = s.answer(Answer(550, "", "<{recipient}>: User unknown"))
    notes, groups = "", ""
    for recipient in s.recipients:
        words = words_of(said, recipient)
        stage = f"RCPT TO:<{recipient}>" if s.report.stage == "rcpt" else "end of data"
        notes += (
            f"  {recipient}\n    host {s.backend} [{s.address}]\n"
            f"    SMTP error from remote mail server after {stage}:\n    {words}\n"
        )
        groups += (
            f"Action: {s.report.action}\nFinal-Recipient: rfc822;{recipient}\nStatus: {said.code // 100}.0.0\n"
            f"Remote-MTA: dns; {s.backend}\nDiagnostic-Code: smtp; {words}\n\n"
        )
    message_id = f"1{base36(s.mail.at // 1000, 5)}-{base36(s.mail.id, 11)}-{base36(s.mail.at % 1000, 4)}"
    own_id = f"1{base36(s.at // 1000, 5)}-{base36(s.number, 11)}-{base36(s.at % 1000, 4)}"
    if s.delayed:
        subject = f"Warning: message {message_id} delayed 24 hours"
        told = (
            "This message was created automatically by mail delivery software.\n"
            "A message that you sent has not yet been delivered to one or more of its\n"
            f"recipients after more than 24 hours on the queue on {s.host}.\n\n"
            f"The message identifier is:     {message_id}\n"
            f"The subject of the message is: {s.field('Subject')}\n"
            f"The date of the message is:    {s.field('Date')}\n\n"
            "The address to which the message has not yet been delivered is:\n\n"
        )
    else:
        subject = "Mail delivery failed: returning message to sender"
        told = (
            "This message was created automatically by mail delivery software.\n\n"
            "A message that you sent could not be delivered to one or more of its\n"
            "recipients. This is a permanent error. The following address(es) failed:\n\n"
        )
    failed = "" if s.delayed else f"X-Failed-Recipients: {', '.join(s.recipients)}\n"
    head = (
        f"Received: from Debian-exim by {s.host} with local (Exim 4.98)\n"
        f"\tid {own_id}\n\tfor {s.to};\n\t{s.date()}\n"
        f"{failed}"
        "Auto-Submitted: auto-replied\n"
        f"From: Mail Delivery System <Mailer-Daemon@{s.host}>\n"
        f"To: {s.to}\n"
        f"{optional('References', s.field('Message-ID'))}"
        f"Content-Type: multipart/report; report-type=delivery-status; boundary={boundary}\n"
        "MIME-Version: 1.0\n"
        "{encoding}"
        f"Subject: {subject}\n"
        f"Message-Id: <E{own_id}@{s.host}>\n"
        f"Date: {s.date()}\n"
    )
    text = f"Content-type: text/plain; charset=us-ascii\n\n{told}{notes}"
    status = (
        "Content-type: message/delivery-status\n\n"
        f"Reporting-MTA: dns; {s.host}\n{envelope_id(s)}\n{groups.rstrip()}\n"
    )
    received = (
        f"Received: from {s.mail.helo} ([{s.client}])\n\tby {s.host} with esmtp (Exim 4.98)\n"
        f"\t(envelope-from <{s.sender}>)\n\tid {message_id}\n\tfor {s.recipients[0]};\n\t{s.arrival()}\n"
    )
    returned, whole = returned_by(s, f"Return-path: <{s.sender}>\n{received}", headers_only=s.delayed)
    part = f"Content-type: {kind_of(whole)}\n"
    return multipart(head, boundary, [text, status], part, returned)


def _exchange(s: Case) -> bytes:
    outer, inner = f"{uuid_of(s.number, 1)}", f"{uuid_of(s.number, 2)}"
    said = s.answer(
        Answer(550, "5.1.10", "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup")
    )
    received = (
        f"Received: from {s.mail.helo} ({s.client}) by\n {s.host} ({s.address}) with Microsoft SMTP Server\n"
        f" (version=TLS1_3, cipher=TLS_AES_256_GCM_SHA384) id\n 15.20.8600.{s.mail.id % 100};\n {s.arrival()}\n"
    )
    header = text_of(header_of(s.mail.data)).replace("\r\n", "\n")
    plain = "Delivery has failed to these recipients or groups:\n\n"
    html = "<html><head></head><body><p><b>Delivery has failed to these recipients or groups:</b></p>"
    groups = ""
    for recipient in s.recipients:
        plain += (
            f"{recipient}<mailto:{recipient}>\nNobody has this address here. Please look for a mistake in it.\n\n"
        )
        html += f'<p><a href="mailto:{recipient}">{recipient}</a><br>Nobody has this address here.</p>'
        groups += (
            f"Final-Recipient: rfc822;{recipient}\nAction: failed\nStatus: {status_of(said)}\n"
            f"Diagnostic-Code: smtp;{words_of(said, recipient)}\nX-Display-Name: {recipient}\n\n"
        )
    plain += f"\n\n\n\nDiagnostic information for administrators:\n\nGenerating server: {s.host}\n"
    html += f"<p>Diagnostic information for administrators:</p><p>Generating server: {s.host}</p>"
    for recipient in s.recipients:
        plain += f"\n{recipient}\nRemote Server returned '{words_of(said, recipient)}'\n"
        html += f"<p>{recipient}<br>Remote Server returned '{words_of(said, recipient)}'</p>"
    plain += f"\nOriginal message headers:\n\n{received}{header}"
    html += "</body></html>\n"
    head = (
        "MIME-Version: 1.0\n"
        f"From: <postmaster@{s.host.partition('.')[2]}>\n"
        f"To: <{s.to}>\n"
        f"Date: {s.date()}\n"
        f'Content-Type: multipart/report; report-type=delivery-status;\n\tboundary="{outer}"\n'
        "{encoding}"
        "X-MS-Exchange-Message-Is-Ndr:\n"
        "Content-Language: en-US\n"
        f"Message-ID: <{uuid_of(s.number, 3)}@{s.host}>\n"
        f"{optional('In-Reply-To', s.field('Message-ID'))}"
        f"{optional('References', s.field('Message-ID'))}"
        f"Subject: Undeliverable: {s.field('Subject')}\n"
        "Auto-Submitted: auto-replied\n"
    )
    alternative = (
        f'Content-Type: multipart/alternative; differences=Content-Type;\n\tboundary="{inner}"\n\n'
        f'--{inner}\nContent-Type: text/plain; charset="utf-8"\nContent-Transfer-Encoding: quoted-printable\n\n'
        f"{quoted(plain)}\n"
        f'--{inner}\nContent-Type: text/html; charset="utf-8"\nContent-Transfer-Encoding: quoted-printable\n\n'
        f"{quoted(html)}\n--{inner}--\n"
    )
    status = (
        "Content-Type: message/delivery-status\n\n"
        f"Reporting-MTA: dns;{s.host}\nReceived-From-MTA: dns;{s.mail.helo}\n{envelope_id(s)}"
        f"Arrival-Date: {s.arrival()}\n\n{groups.rstrip()}\n"
    )
    returned, whole = returned_by(s, received)
    part = f"Content-Type: {kind_of(whole)}\n"
    return multipart(head, outer, [alternative, status], part, returned)


def _gmail(s: Case) -> bytes:
    (recipient,) = s.recipients
    said = s.answer(
        Answer(
            550,
            "5.1.1",
            "The email account that you tried to reach does not exist.\n"
            " https://support.google.com/mail/?p=NoSuchUser - gsmtp",
        )
    )
    words, domain = words_of(said, recipient), recipient.rpartition("@")[2]
    outer, related, alternative = (f"{s.number * 8 + n:018x}{s.at // 1000:010x}" for n in range(3))
    if s.delayed:
        title, subject = "Delivery incomplete", "Delivery Status Notification (Delay)"
        told = (
            f"Your message for {recipient} waits: its server could not take it yet. It is tried for 47 more hours."
        )
    else:
        title = "Message blocked" if s.report.stage == "end" else "Address not found"
        subject = "Delivery Status Notification (Failure)"
        told = f"Your message wasn't delivered to {recipient}: its server refused it."
    head = (
        f'Content-Type: multipart/report; boundary="{outer}"; report-type=delivery-status\n'
        f"To: {s.to}\n"
        f"Received: by 2002:a05:620a:{s.number % 0xFFFF:x}:: with SMTP id qk{s.number}.{s.at};\n"
        f"        {s.date()}\n"
        "Return-Path: <>\n"
        "From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>\n"
        "Auto-Submitted: auto-replied\n"
        f"Subject: {subject}\n"
        f"{optional('References', s.field('Message-ID'))}"
        f"{optional('In-Reply-To', s.field('Message-ID'))}"
        f"X-Failed-Recipients: {recipient}\n"
        "MIME-Version: 1.0\n"
        "{encoding}"
        f"Message-ID: <{s.at // 1000:08x}.{s.number:08x}.GMR@mx.google.com>\n"
        f"Date: {s.date()}\n"
    )
    text = (
        f'Content-Type: multipart/related; boundary="{related}"\n\n--{related}\n'
        f'Content-Type: multipart/alternative; boundary="{alternative}"\n\n--{alternative}\n'
        'Content-Type: text/plain; charset="UTF-8"\n\n'
        f"\n** {title} **\n\n{told}\n\n\n\nThe response from the remote server was:\n{words}\n\n"
        f'--{alternative}\nContent-Type: text/html; charset="UTF-8"\n\n'
        f'<html><body><img src="cid:icon.png" alt="Error Icon"><h2>{title}</h2><p>{told}</p>'
        f"<p>The response from the remote server was:<br>{words}</p></body></html>\n"
        f"\n--{alternative}--\n--{related}\n"
        'Content-Type: image/png; name="icon.png"\nContent-Disposition: attachment; filename="icon.png"\n'
        f"Content-Transfer-Encoding: base64\nContent-ID: <icon.png>\n\n{_PIXEL}\n--{related}--\n"
    )
    status = (
        "Content-Type: message/delivery-status\n\n"
        f"Reporting-MTA: dns; googlemail.com\nReceived-From-MTA: dns; {s.sender}\nArrival-Date: {s.arrival()}\n"
        f"{optional('X-Original-Message-ID', s.field('Message-ID'))}\n"
        f"Final-Recipient: rfc822; {recipient}\nAction: {s.report.action}\nStatus: {status_of(said)}\n"
        f"Remote-MTA: dns; {s.backend}. ({s.address}, the server for the domain {domain}.)\n"
        f"Diagnostic-Code: smtp; {words}\nLast-Attempt-Date: {s.date()}\n"
    )
    if s.delayed:
        status += f"Will-Retry-Until: {date_of(s.at + 169_200_000)}\n"
    received = (
        f"Received: from {s.mail.helo} ({s.mail.helo}. [{s.client}])\n"
        f"        by mx.google.com with ESMTPS id d2e1a72fcca58-{s.mail.id}\n"
        f"        for <{recipient}>;\n        {s.arrival()}\n"
    )
    returned, whole = returned_by(s, f"Return-Path: <{s.sender}>\n{received}")
    part = f"Content-Type: {kind_of(whole)}\n"
    return multipart(head, outer, [text, status], part, returned)


def _qmail(s: Case) -> bytes:
    """QSBMF: no MIME; "Hi. This is the" begins it, an address in angle brackets each paragraph, "--- Below" ends
    it."""
    said = s.answer(Answer(550, "", "sorry, no mailbox here by that name (#5.1.1)"))
    notes = ""
    for recipient in s.recipients:
        first = "does not like recipient." if s.report.stage == "rcpt" else "failed after I sent the message."
        notes += (
            f"<{recipient}>:\n{s.address} {first}\n"
            f"Remote host said: {words_of(said, recipient)}\nGiving up on {s.address}.\n\n"
        )
    when = datetime.fromtimestamp(s.at // 1000, UTC).strftime("%-d %b %Y %H:%M:%S -0000")
    head = (
        f"Received: (qmail {s.number % 65536} invoked for bounce); {when}\n"
        f"Date: {when}\nFrom: MAILER-DAEMON@{s.host}\nTo: {s.to}\nSubject: failure notice\n\n"
        f"Hi. This is the qmail-send program at {s.host}.\n"
        "These addresses did not take your message, and it is not tried again.\n\n"
        f"{notes}--- Below this line is a copy of the message.\n\n"
    )
    then = datetime.fromtimestamp(s.mail.at // 1000, UTC).strftime("%-d %b %Y %H:%M:%S -0000")
    received = (
        f"Received: (qmail {s.mail.id % 65536} invoked from network); {then}\n"
        f"Received: from unknown (HELO {s.mail.helo}) ({s.client})\n  by {s.host} with SMTP; {then}\n"
    )
    return crlf(head) + returned_by(s, f"Return-Path: <{s.sender}>\n{received}")[0]


# Others.


def _arf(s: Case) -> bytes:
    """RFC 5965, as a feedback loop sends it."""
    (recipient,) = s.recipients
    boundary = f"feedback_{s.number}_{s.at // 1000}"
    domain = s.host.partition(".")[2]
    head = (
        f"Received: by {s.host} (Feedback-Loop) id {s.queue_id}; {s.date()}\n"
        f"From: Feedback Loop <feedback@{domain}>\nTo: {s.to}\nDate: {s.date()}\n"
        f"Subject: FW: {s.field('Subject')}\nMessage-ID: <fbl.{s.number}.{s.at}@{s.host}>\nMIME-Version: 1.0\n"
        f'Content-Type: multipart/report; report-type=feedback-report;\n\tboundary="{boundary}"\n'
        "{encoding}"
    )
    text = (
        'Content-Type: text/plain; charset="US-ASCII"\nContent-Transfer-Encoding: 7bit\n\n'
        f"Somebody at {domain} has marked a message as spam that came from\n{s.client} on {s.arrival()}.\n"
    )
    feedback = (
        "Content-Type: message/feedback-report\n\n"
        "Feedback-Type: abuse\nUser-Agent: Lab-Feedback/1.0\nVersion: 1\n"
        f"Original-Mail-From: <{s.sender}>\nOriginal-Rcpt-To: <{recipient}>\n"
        f"Arrival-Date: {s.arrival()}\nReporting-MTA: dns; {s.host}\nSource-IP: {s.client}\nIncidents: 1\n"
        f"{optional('Reported-Domain', author_domain(s))}"
    )
    received = (
        f"Received: from {s.mail.helo} ([{s.client}])\n\tby {s.host} with ESMTP id {s.queue_id}\n"
        f"\tfor <{recipient}>; {s.arrival()}\n"
    )
    returned, whole = returned_by(s, f"Return-Path: <{s.sender}>\n{received}")
    part = f"Content-Type: {kind_of(whole)}\nContent-Disposition: inline\n"
    return multipart(head, boundary, [text, feedback], part, returned)


def _auto_reply(s: Case) -> bytes:
    """RFC 3834."""
    (recipient,) = s.recipients
    head = (
        f"From: {recipient}\nTo: {s.to}\nDate: {s.date()}\n"
        f"Subject: Auto: {s.field('Subject')}\nMessage-ID: <vacation.{s.number}.{s.at}@{s.host}>\n"
        f"{optional('In-Reply-To', s.field('Message-ID'))}"
        f"{optional('References', s.field('Message-ID'))}"
        "Auto-Submitted: auto-replied\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
        "Content-Transfer-Encoding: 8bit\n\n"
        "I am out of the office and read your message when I am back.\n"
        "ただいま不在にしております。戻りましたら拝見します。\n"
    )
    return crlf(head)


_FORMATS: Final[Mapping[Format, Callable[[Case], bytes]]] = {
    "postfix": _postfix,
    "exim": _exim,
    "exchange": _exchange,
    "gmail": _gmail,
    "qmail": _qmail,
    "docomo": docomo,
    "au": au,
    "softbank": softbank,
    "arf": _arf,
    "auto-reply": _auto_reply,
}
