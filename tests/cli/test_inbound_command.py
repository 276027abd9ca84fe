"""``ekiden inbound``, without any installation."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from ekiden.cli import inbound
from ekiden.cli.main import run
from ekiden.documents.inbound import Classified

BOUNCE = b"""\
From: MAILER-DAEMON@relay.example
Subject: failure notice

Hi. This is the qmail-send program at relay.example.

<gone@x.example>:
192.0.2.1 does not like recipient.
Remote host said: 550 5.1.1 <gone@x.example>... User\x1b[2J Unknown
"""
PERSON = b"From: a@x.example\nSubject: Hello\n\nHello\n"


@pytest.fixture
def mails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EKIDEN_CONFIG", raising=False)
    (tmp_path / "bounce.eml").write_bytes(BOUNCE)
    (tmp_path / "person.eml").write_bytes(PERSON)
    return tmp_path


def classify(*args: str) -> int:
    with pytest.raises(SystemExit) as ended:
        run(["inbound", "classify", *args])
    return int(ended.value.code or 0)


@pytest.mark.usefixtures("mails")
def test_a_line_for_each_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert classify("bounce.eml", "person.eml", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {
            "file": "bounce.eml",
            "kind": "bounce",
            "recipients": [
                {
                    "recipient": "gone@x.example",
                    "diagnosis": "no-mailbox",
                    "cause": "recipient",
                    "hard": True,
                    "code": "5.1.1",
                }
            ],
        },
        {"file": "person.eml", "kind": "other", "recipients": []},
    ]
    for line in lines:
        msgspec.convert(line, Classified)


@pytest.mark.usefixtures("mails")
def test_in_words(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert classify("bounce.eml") == 0
    assert capsys.readouterr().out.splitlines() == [
        "bounce.eml: bounce",
        "  gone@x.example  no-mailbox (cause: recipient)  hard  5.1.1",
        "    <gone@x.example>... User\\x1b[2J Unknown",
    ]
    monkeypatch.setenv("EKIDEN_LANG", "ja")
    assert classify("bounce.eml") == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        "bounce.eml: 不達",
        "  gone@x.example  no-mailbox (原因: 宛先)  恒久的な不達  5.1.1",
    ]


def test_one_file_that_cannot_be_read_stops_no_other(
    mails: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbound, "MAX_FILE", 300)
    (mails / "large.eml").write_bytes(b"x" * 301)
    assert classify("large.eml", "none.eml", "person.eml", "--json") == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["file"] == "person.eml"
    assert captured.err.splitlines() == [
        "ekiden: large.eml is larger than 300 octets",
        "ekiden: none.eml cannot be read: No such file or directory",
    ]
