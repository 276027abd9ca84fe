"""Bounces of Japanese mobile carriers.

au writes its own. docomo and SoftBank refuse in the session, so that senders see them through the system in front:
here sendmail, with the replies of ``mfsmax.docomo.ne.jp``, and InterMail.
"""

from __future__ import annotations

from ekiden.lab.behaviour import Answer
from ekiden.lab.report_parts import (
    JST,
    Case,
    base36,
    compact,
    crlf,
    envelope_id,
    kind_of,
    multipart,
    returned_by,
    words_of,
)


def docomo(s: Case) -> bytes:
    """sendmail in front of docomo. The same words mean two things: at RCPT there is no such user (5.1.1), after
    DATA the user's filter refuses (5.2.0)."""
    peer = "mfsmax.docomo.ne.jp"
    said = s.answer(Answer(550, "", "Unknown user {recipient}"))
    at_rcpt = s.report.stage == "rcpt"
    status = said.enhanced or ("5.1.1" if at_rcpt else "5.2.0")
    queue_id = f"{base36(s.at // 1000, 6)}{s.number % 1_000_000:06d}"
    boundary = f"{queue_id}.{s.at // 1000}/{s.host}"
    failed, transcript, groups = "", f"... while talking to {peer}.:\n", ""
    for recipient in s.recipients:
        words = words_of(said, recipient)
        failed += f"<{recipient}>\n    (reason: {words})\n"
        transcript += f">>> {f'RCPT To:<{recipient}>' if at_rcpt else 'DATA'}\n<<< {words}\n"
        transcript += f"550 5.1.1 <{recipient}>... User unknown\n" if at_rcpt else "554 5.0.0 Service unavailable\n"
        groups += (
            f"Final-Recipient: RFC822; {recipient}\nAction: failed\nStatus: {status}\nRemote-MTA: DNS; {peer}\n"
            f"Diagnostic-Code: SMTP; {words}\nLast-Attempt-Date: {s.date(JST)}\n\n"
        )
    head = (
        f"Received: from localhost (localhost)\n\tby {s.host} (8.18.1/8.18.1) id {queue_id};\n\t{s.date(JST)}\n"
        f"Date: {s.date(JST)}\n"
        f"From: Mail Delivery Subsystem <MAILER-DAEMON@{s.host}>\n"
        f"Message-Id: <{compact(s.at)}.{queue_id}@{s.host}>\n"
        f"To: <{s.to}>\n"
        "MIME-Version: 1.0\n"
        f'Content-Type: multipart/report; report-type=delivery-status;\n\tboundary="{boundary}"\n'
        "{encoding}"
        "Subject: Returned mail: see transcript for details\n"
        "Auto-Submitted: auto-generated (failure)\n\n"
        "This is a MIME-encapsulated message\n"
    )
    text = (
        f"\nThe original message was received at {s.arrival(JST)}\nfrom {s.mail.helo} [{s.client}]\n\n"
        f"   ----- The following addresses had permanent fatal errors -----\n{failed}\n"
        f"   ----- Transcript of session follows -----\n{transcript}"
    )
    delivery = (
        "Content-Type: message/delivery-status\n\n"
        f"Reporting-MTA: dns; {s.host}\n{envelope_id(s)}Received-From-MTA: DNS; {s.mail.helo}\n"
        f"Arrival-Date: {s.arrival(JST)}\n\n{groups.rstrip()}\n"
    )
    received = (
        f"Received: from {s.mail.helo} ({s.mail.helo} [{s.client}])\n"
        f"\tby {s.host} (8.18.1/8.18.1) with ESMTP id {queue_id}\n\tfor <{s.recipients[0]}>; {s.arrival(JST)}\n"
    )
    returned, whole = returned_by(s, f"Return-Path: <{s.sender}>\n{received}")
    part = f"Content-Type: {kind_of(whole)}\n"
    return multipart(head, boundary, [text, delivery], part, returned)


def au(s: Case) -> bytes:
    """au (EZweb): at RCPT a report of several parts; after DATA, where its filter refuses, a text with
    X-SPASIGN."""
    (recipient,) = s.recipients
    said = s.answer(Answer(550, "", "<{recipient}>: User unknown"))
    words, date, own = words_of(said, recipient), s.date(JST), "lsean.ezweb.ne.jp"
    queue_id = f"{s.number + 0xE000000:X}"
    received = (
        f"Received: from {s.mail.helo} ({s.mail.helo} [{s.client}])\n"
        f"\tby {own} (EZweb Mail) with ESMTP id {queue_id}\n\tfor <{recipient}>; {s.arrival(JST)}\n"
    )
    if s.report.stage == "end":
        head = (
            f"Received: from wfilter115 (wfilter115-a0 [{s.address}])\n"
            f"\tby wsmtpr24.ezweb.ne.jp (EZweb Mail) with ESMTP id {queue_id}\n\tfor <{s.to}>; {date}\n"
            "MIME-Version: 1.0\nContent-Type: text/plain; charset=iso-2022-jp\n"
            f"From: <Postmaster@ezweb.ne.jp>\nTo: <{s.to}>\nSubject: Mail System Error - Returned Mail\n"
            f"X-SPASIGN: NG\nMessage-Id: <{compact(s.at)}.{queue_id}@wsmtpr24.ezweb.ne.jp>\nDate: {date}\n\n"
            f"<{recipient}>\n\nEach of the following recipients was rejected by a remote mail server.\n"
            f"{'-' * 51}\n"
        )
        return crlf(head) + returned_by(s, received, headers_only=True)[0]
    if said.enhanced.endswith(".2.2"):
        reason = f"The user(s) account is temporarily over quota.\n\n<{recipient}>: {words}\n"
    elif said.enhanced.endswith(".2.1"):
        reason = f"The user(s) account is disabled.\n\n<{recipient}>: {words} (in reply to RCPT TO command)\n"
    else:
        reason = (
            "Each of the following recipients was rejected by a remote\nmail server.\n\n"
            f"    Recipient: <{recipient}>\n    >>> RCPT TO:<{recipient}>\n    <<< {words}\n"
        )
    boundary = f"{queue_id}.{s.at // 1000}/{own}"
    head = (
        f"Received: from {own} (wsmtp134-b0 [{s.address}])\n"
        f"\tby wsmtpr24.ezweb.ne.jp (EZweb Mail) with ESMTP id {queue_id}\n\tfor <{s.to}>; {date}\n"
        f"Received: by {own} (EZweb Mail)\n\tid {queue_id}; {date}\n"
        f"Date: {date}\nFrom: Mail Administrator <Postmaster@ezweb.ne.jp>\n"
        f"Subject: Mail System Error - Returned Mail\nTo: {s.to}\nMIME-Version: 1.0\n"
        f'Content-Type: multipart/report; report-type=delivery-status;\n\tboundary="{boundary}"\n'
        "{encoding}"
        f"Message-Id: <{compact(s.at)}.{queue_id}@{own}>\n\nThis is a MIME-encapsulated message.\n"
    )
    japanese = "このメールは次の宛先に届きませんでした。\nアドレスに誤りがないか、ご確認ください。"
    text = (
        "Content-Description: Notification\nContent-Type: text/plain; charset=iso-2022-jp\n"
        f"Content-Transfer-Encoding: 7bit\n\n{japanese.encode('iso-2022-jp').decode('ascii')}\n\n{reason}"
    )
    status = (
        "Content-Description: Delivery error report\nContent-Type: message/delivery-status\n\n"
        f"Reporting-MTA: dns; {own}\nArrival-Date: {s.arrival(JST)}\n\n"
        f"Final-Recipient: rfc822; {recipient}\nAction: failed\nStatus: {said.code // 100}.0.0\n"
    )
    returned, whole = returned_by(s, received)
    part = f"Content-Description: Undelivered Message\nContent-Type: {kind_of(whole)}\n"
    return multipart(head, boundary, [text, status], part, returned)


def softbank(s: Case) -> bytes:
    """InterMail in front of SoftBank, with its reply to an address that is not there."""
    (recipient,) = s.recipients
    said = s.answer(Answer(550, "", "Invalid recipient: <{recipient}>"))
    words, date, domain = words_of(said, recipient), s.date(JST), "i.softbank.jp"
    boundary = f"===========================_ _= {s.number}({s.mail.id}){s.at // 1000}"
    if said.enhanced.endswith(".2.2"):
        reason = f"The user(s) account is temporarily over quota.\n\n<{recipient}>\n"
    else:
        reason = (
            "Each of the following recipients was rejected by a remote mail server.\n"
            "The reasons given by the server are included to help you determine why\n"
            "each recipient was rejected.\n\n"
            f"    Recipient: <{recipient}>\n    Reason:    {words.partition(' ')[2]}\n"
        )
    head = (
        f"Received: from {s.host} by {s.host}\n\t(InterMail vM.8.04.03.24)\n"
        f"\tid <{compact(s.at)}.{s.number}.{s.host}>; {date}\n"
        f"To: {s.to}\nFrom: Mail Administrator <Postmaster@{domain}>\n"
        f"Reply-To: Mail Administrator <Postmaster@{domain}>\nSubject: Mail System Error - Returned Mail\n"
        f"Date: {date}\nMessage-ID: <{compact(s.at)}.{s.number}.{s.host}@{s.host}>\nMIME-Version: 1.0\n"
        f'Content-Type: multipart/report; report-type=delivery-status;\n\tBoundary="{boundary}"\n'
        "{encoding}"
    )
    text = (
        "Content-Type: text/plain\n\nThis Message was undeliverable due to the following reason:\n\n"
        f"{reason}\n\nPlease reply to Postmaster@{domain}\nif you feel this message to be in error.\n"
    )
    status = (
        "Content-Type: message/delivery-status\n\n"
        f"Reporting-MTA: dns; {s.host}\nArrival-Date: {s.arrival(JST)}\n"
        f"Received-From-MTA: dns; {s.mail.helo} ({s.client})\n\n"
        f"Final-Recipient: RFC822; <{recipient}>\nAction: failed\nStatus: {said.enhanced or '5.1.1'}\n"
        f"Remote-MTA: dns; {s.backend} ({s.address})\nDiagnostic-Code: smtp; {words}\n"
    )
    received = (
        f"Received: from {s.mail.helo} ({s.client}) by {s.host}\n"
        f"\t(InterMail vM.8.04.03.24) with ESMTP\n\tid <{compact(s.mail.at)}.{s.mail.id}.{s.host}@{s.mail.helo}>\n"
        f"\tfor <{recipient}>; {s.arrival(JST)}\n"
    )
    returned, whole = returned_by(s, f"Return-Path: <{s.sender}>\n{received}")
    part = f"Content-Type: {kind_of(whole)}\n"
    return multipart(head, boundary, [text, status], part, returned)
