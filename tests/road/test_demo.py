"""``ekiden demo`` itself: its line, its end, its memory."""

from __future__ import annotations

import contextlib
import os
import signal
import smtplib
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import pytest

from ekiden.lab.demo import LAB_PORT, PORTS, is_free
from support.demo_process import ENVIRONMENT, PATIENCE, Demo, alive, descendants

DEFER = {"at": "rcpt", "reply": {"code": 450, "enhanced": "4.2.0", "text": "Not yet"}}
QUICK = {"EKIDEN_DELIVERY__RETRY": "1s"}
CONTENT = b"Subject: demo\r\n\r\nHello\r\n"


def test_the_line(demo: Any) -> None:
    facts = demo.facts
    assert set(facts["smtp"]) == {"plain", "starttls", "tls", "private", "reception"}
    for host, port in facts["smtp"].values():
        assert host == "127.0.0.1"
        assert 0 < port < 65_536
    assert facts["http"].startswith("http://127.0.0.1:")
    assert facts["lab"].startswith("http://127.0.0.1:")
    assert Path(facts["ca"]).read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert set(facts["account"]) >= {
        *("name", "username", "password", "api_key", "domain"),
        *("instance_id", "iam_apikey"),
    }
    assert facts["naver"] == f"{facts['http']}/api/v1"
    assert set(facts["account"]["naver"]) == {"access_key", "secret_key"}
    assert facts["cmc"] == facts["http"]
    assert set(facts["account"]["cmc"]) == {"api_user", "api_key", "server_composition"}
    assert "{id}" in facts["trace"]
    assert len(demo.workers()) == 2


def test_the_domain_is_real_in_the_lab(demo: Any) -> None:
    records = demo.get(f"{demo.facts['lab']}/dns")[demo.account["domain"]]
    assert records["TXT"] == ['"v=spf1 include:mail.demo.lab.test ~all"']
    assert records["MX"]


def test_the_trace_command(demo: Any) -> None:
    recipient = f"{uuid.uuid4().hex}@full.lab.test"
    with demo.login(demo.connect()) as client:
        queue_id = demo.send(client, [recipient], CONTENT)
    deadline = time.monotonic() + PATIENCE
    while True:
        (found,) = demo.trace(queue_id)["recipients"]
        if found["attempts"] or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    assert found["attempts"], found
    assert found["recipient"] == recipient


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_resumes_from_its_directory(tmp_path: Path, store: str) -> None:
    """Same credentials, same ports, and what waited in the queue is still there."""
    directory = tmp_path / "demo"
    first = Demo("--workers", "1", "--store", store, directory=directory, environment=QUICK)
    try:
        first.put("/behaviour/later.lab.test", {"rules": [DEFER]})
        recipient = f"{uuid.uuid4().hex}@later.lab.test"
        with first.login(first.connect()) as client:
            queue_id = first.send(client, [recipient], CONTENT)
    finally:
        assert first.stop() == 0
    second = Demo("--workers", "1", directory=directory, environment=QUICK)
    try:
        assert second.account == first.account
        assert second.facts["smtp"] == first.facts["smtp"]
        assert second.trace(queue_id)["recipients"][0]["recipient"] == recipient
        second.put("/behaviour/later.lab.test", "accept")
        (mail,) = second.mail(recipient)
        assert mail["data"].endswith(b"\r\n\r\nHello\r\n")
    finally:
        assert second.stop() == 0


def test_a_port_without_tls_and_login(demo: Any) -> None:
    """For this machine: what comes is the demo account's, signed, delivered and traced like everything else."""
    recipient = f"{uuid.uuid4().hex}@accept.lab.test"
    with smtplib.SMTP(*demo.facts["smtp"]["plain"], timeout=PATIENCE) as client:
        client.ehlo()
        assert not client.has_extn("starttls")
        assert not client.has_extn("auth")
        queue_id = demo.send(client, [recipient], CONTENT.replace(b"Subject", b"From: me@demo.lab.test\r\nSubject"))
        assert client.mail("me@elsewhere.test")[0] == 553
    (mail,) = demo.mail(recipient)
    assert mail["data"].startswith(b"DKIM-Signature: ")
    assert mail["data"].endswith(b"\r\n\r\nHello\r\n")
    found = demo.trace(queue_id)
    assert (found["account"], found["origin"]["listener"]) == ("demo", "plain")
    with urllib.request.urlopen(f"{demo.facts['lab']}/mail/last/text?to={recipient}", timeout=PATIENCE) as answer:
        assert answer.read().decode().endswith("\n\nHello\n")


def test_ports_are_the_same_each_time_when_they_are_free() -> None:
    """One is held here: that one alone is another, and the demo starts all the same."""
    with contextlib.ExitStack() as held:
        taken = {port for port in (*PORTS.values(), LAB_PORT) if not is_free(port)}
        if PORTS["tls"] not in taken:
            mine = held.enter_context(socket.socket())
            mine.bind(("127.0.0.1", PORTS["tls"]))
            taken.add(PORTS["tls"])
        demo = Demo("--workers", "1", usual_ports=True)
        try:
            found = {name: port for name, (_, port) in demo.facts["smtp"].items()}
            found["http"] = int(demo.facts["http"].rpartition(":")[2])
            for name, port in PORTS.items():
                assert (found[name] == port) is (port not in taken), name
            assert demo.facts["lab"].endswith(f":{LAB_PORT}") is (LAB_PORT not in taken)
        finally:
            assert demo.stop() == 0


def test_two_demos_do_not_share_a_directory(tmp_path: Path) -> None:
    first = Demo("--workers", "1", directory=tmp_path)
    try:
        with pytest.raises(AssertionError, match="another demo is running in"):
            Demo("--workers", "1", directory=tmp_path)
    finally:
        assert first.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_behind(number: signal.Signals) -> None:
    demo = Demo("--workers", "2")
    processes = descendants(demo.process.pid)
    folder = Path(demo.facts["config"]).parent
    assert len(processes) >= 4
    assert demo.stop(number) == 0
    assert not [pid for pid in processes if alive(pid)]
    assert not folder.exists()


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_no_process_outlives_a_killed_demo(store: str, eventually: Any) -> None:
    demo = Demo("--workers", "2", "--store", store)
    processes = descendants(demo.process.pid)
    demo.stop(signal.SIGKILL)
    eventually(lambda: not [pid for pid in processes if alive(pid)], "the end of every process")


def test_a_killed_platform_is_started_again(eventually: Any) -> None:
    demo = Demo("--workers", "1")
    try:
        ports = demo.facts["smtp"]
        before = demo.supervisor()
        os.kill(before, signal.SIGKILL)
        eventually(lambda: demo.supervisor() not in (0, before), "another platform")
        recipient = f"{uuid.uuid4().hex}@accept.lab.test"

        def sent() -> bool:
            try:
                with demo.login(demo.connect()) as client:
                    return bool(demo.send(client, [recipient], CONTENT))
            except OSError:
                return False

        eventually(sent, f"an answer on the same ports {ports}")
        assert len(demo.mail(recipient)) == 1
    finally:
        assert demo.stop() == 0


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_for_people(lang: str) -> None:
    """What ``make run`` shows: a delivered message, its trace, and what to try next."""
    with subprocess.Popen(
        [sys.executable, "-m", "ekiden.cli.main", "demo", "--workers", "1", "--watch-stdin"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=ENVIRONMENT | {"EKIDEN_LANG": lang, "PYTHONUTF8": "1"},
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        shown = b""
        while b"docs/lab.md" not in shown:
            line = process.stdout.readline()
            assert line, shown.decode()
            shown += line
        text = shown.decode()
        signed = [line for line in text.splitlines() if "/api/v1/mails" in line]
        answers = [
            subprocess.run(["sh", "-c", line], capture_output=True, env=ENVIRONMENT, check=True).stdout
            for line in (signed[0], *signed)
        ]
        process.stdin.close()
        assert process.wait(PATIENCE) == 0
        process.stdout.read()
    assert [b'"requestId"' in answer for answer in answers] == [True, False, True], answers
    assert "250 2.0.0 Ok: queued as " in text
    assert "hello@accept.lab.test" in text
    assert "S: 250 2.0.0 Ok" in text
    assert "swaks --server 127.0.0.1:" in text
    assert "curl smtp://127.0.0.1:" in text
    assert "/inbox\n" in text
    assert ("    Subject: The first runner / 第一走者" if lang == "en" else "    件名: The first runner") in text
    assert "たすきをつなぎます。" in text
    assert "smtplib.SMTP(" in text
    assert ("Delivered. This is its trace:" if lang == "en" else "配信されました") in text
