"""What mails say of ours: forms of many mail systems, and what must not be taken for a report."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ekiden.core.report import Kind
from ekiden.inbound.reports.auto_reply import LANGUAGES
from ekiden.inbound.reports.read import read_report

MAILS: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "reports.toml").read_text("utf-8"))["mail"]
ROOT = Path(__file__).parents[2]


def octets(raw: str, line_end: str = "\r\n") -> bytes:
    return raw.lstrip("\n").replace("\n", line_end).encode()


@pytest.mark.parametrize("line_end", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize("mail", MAILS, ids=lambda mail: mail["name"][:40])
def test_each_mail_says(mail: dict[str, Any], line_end: str) -> None:
    reading = read_report(octets(mail["raw"], line_end))
    found = [
        [report.recipient, report.diagnosis.label, report.hard, report.shown_code]
        + ([report.stage.name if report.stage else None] if len(wanted) > 4 else [])
        for report, wanted in zip(reading.reports, mail["reports"], strict=True)
    ]
    assert (reading.kind.value, found) == (mail["kind"], mail["reports"])


def mail_named(begins: str) -> bytes:
    return octets(next(mail["raw"] for mail in MAILS if mail["name"].startswith(begins)))


def test_subjects_of_many_languages() -> None:
    subjects = {
        "en": "Out of Office: Hello",
        "ja": "自動応答: こんにちは",
        "de": "Abwesenheitsnotiz: Hallo",
        "fr": "Réponse automatique : Bonjour",
        "es": "Respuesta automática: Hola",
        "it": "Risposta automatica: Ciao",
        "pt": "Resposta automática: Olá",
        "nl": "Automatisch antwoord: Hallo",
        "sv": "Automatiskt svar: Hej",
        "pl": "Odpowiedź automatyczna: autoodpowiedź",
        "ru": "Автоматический ответ: Привет",
        "zh": "自动回复: 你好",
        "ko": "자동 회신: 안녕하세요",
    }
    assert set(subjects) == set(LANGUAGES)
    assert len(LANGUAGES) >= 12
    for subject in subjects.values():
        reading = read_report(f"From: a@x.example\r\nSubject: {subject}\r\n\r\nx\r\n".encode())
        assert reading.kind is Kind.AUTO_REPLY, subject


def test_what_is_quoted_of_the_mail() -> None:
    origin = read_report(mail_named("Postfix: two recipients")).origin
    assert origin.senders == ("b-0@rp.shop.example",)
    assert origin.message_ids == ("<order-1@shop.example>",)
    assert origin.ids == (("x-shop-id", "77"),)
    assert origin.recipients == ("gone@a.example", "full@a.example")

    origin = read_report(mail_named("ARF with the recipient")).origin
    assert origin.senders == ("b-0@rp.shop.example",)
    assert origin.ids == (("cfbl-feedback-id", "77:3"),)
    assert origin.recipients == ("a@x.example",)

    # In free form, and in one that only says it in words.
    origin = read_report(mail_named("Exim in words")).origin
    assert origin.senders == ("shop@shop.example",)
    assert origin.recipients[0] == "a@x.example"
    assert read_report(mail_named("qmail: in paragraphs")).origin.senders == ("shop@shop.example",)
    assert read_report(mail_named("who was asked")).reports[0].asked == "a@x.example"


def test_facts_of_a_report() -> None:
    report = read_report(mail_named("Postfix: two recipients")).reports[0]
    assert (report.remote_mta, report.how, report.expired) == ("mx.a.example", "delivery-status", False)
    assert report.text == "<gone@a.example>: Recipient address rejected: User unknown"
    assert read_report(mail_named("Exim: it gave up")).reports[0].expired
    complaint = read_report(mail_named("ARF with the recipient")).reports[0]
    assert (complaint.action, complaint.remote_mta) == ("abuse", "192.0.2.9")
    assert complaint.at == 1_780_275_600_000
    assert complaint.complains
    for begins in ("nobody complains", "nor does DMARC"):
        assert not read_report(mail_named(begins)).reports[0].complains
    assert read_report(mail_named("who asks whether")).reports[0].action == "challenge"
    assert read_report(mail_named("a receipt")).reports[0].action == "receipt"


# ---- bounds


def nested(depth: int) -> bytes:
    opening = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(depth)
    )
    return b"From: MAILER-DAEMON@x.example\r\n" + opening


BOMBS = {
    "10^5 nested parts": lambda: nested(100_000),
    "10^5 parts": lambda: b"Content-Type: multipart/report; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 100_000,
    "a header of 25 MB": lambda: b"Subject: " + b"x " * 12_500_000 + b"\r\n\r\nx",
    "25 MB of addresses": lambda: b"From: MAILER-DAEMON@x\r\n\r\nundeliverable\n" + b"a@x.example:\n" * 2_000_000,
    "groups without end": lambda: (
        b"From: MAILER-DAEMON@x\r\nContent-Type: message/delivery-status\r\n\r\n"
        + b"".join(b"Final-Recipient: rfc822;a%d@x\nStatus: 5.%d.1\n\n" % (i, i) for i in range(100_000))
    ),
    "a field without end": lambda: (
        b"From: MAILER-DAEMON@x\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n"
        b"Content-Type: message/delivery-status\r\n\r\nDiagnostic-Code: " + b"550 x\n " * 1_000_000
    ),
    "JSON that is deep": lambda: b"From: a@x\r\n\r\n" + b'{"ecipients":' + b"[" * 60_000,
    "an archive that would be large": lambda: (
        b"From: a@x\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\n"
        b'Content-Type: application/zip; name="x!y!1!2.zip"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        + b"UEsDBBQAAAAIAAAAIQ"
        * 100_000
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_is_made_to_cost_is_bounded(name: str) -> None:
    reading = read_report(BOMBS[name]())
    assert len(reading.reports) <= 100
    assert reading.kind in (Kind.OTHER, Kind.BOUNCE, Kind.DMARC_REPORT)


def test_of_many_statements_some_are_judged() -> None:
    groups = "".join(
        f"Final-Recipient: rfc822; a{number}@x.example\nAction: failed\nStatus: 5.1.1\n"
        f"Diagnostic-Code: smtp; 550 5.1.1 No such user {'x' * number}\n\n"
        for number in range(300)
    )
    raw = f"From: MAILER-DAEMON@x.example\nContent-Type: message/delivery-status\n\n{groups}"
    reading = read_report(raw.encode())
    labels = [report.diagnosis.label for report in reading.reports]
    assert reading.shortened
    assert len(labels) == 100
    assert set(labels[:20]) == {"no-mailbox"}
    assert set(labels[40:]) == {"unknown"}


# ---- the command, and the one that measures it


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three mails, and what somebody says of them: one thing is otherwise."""
    for name, begins in (("bounce", "Postfix: two"), ("complaint", "ARF with"), ("person", "a person writes")):
        (tmp_path / f"{name}.eml").write_bytes(mail_named(begins))
    rows = [
        {
            "file": "bounce.eml",
            "recipient": "gone@a.example",
            "reason": "userunknown",
            "hard": 1,
            "action": "failed",
        },
        {"file": "bounce.eml", "recipient": "full@a.example", "reason": "blocked", "hard": 0, "action": "failed"},
        {"file": "complaint.eml", "recipient": "a@x.example", "reason": "feedback", "hard": 0, "action": ""},
    ]
    (tmp_path / "expected.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_a_folder_is_measured(folder: Path) -> None:
    ran = subprocess.run(
        [sys.executable, ROOT / "tools/measure-reports", folder], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == [
        "bounce.eml: full (recipient) 5.2.2, expected blocked (reputation)",
        "",
        "kind: 2 of 2 (100.0 %)",
        "recipient: 3 of 3 (100.0 %)",
        "cause: 1 of 2 (50.0 %)",
        "hard: not false: 3 of 3 (100.0 %)",
        "hard: found: 1 of 1 (100.0 %)",
        "kind of what is no report: 1 of 1 (100.0 %)",
    ]
