"""Draining and reloading under load: nothing is lost, and nothing is sent twice."""

from __future__ import annotations

import os
import signal
import smtplib
from pathlib import Path
from typing import Any

import pytest
from road_load import Senders, arrivals

from support.demo_process import Demo


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["drain", "reload"])
def test_under_load(tmp_path: Path, store: str, number: signal.Signals, eventually: Any) -> None:
    demo = Demo("--workers", "2", "--store", store, directory=tmp_path)
    try:
        with Senders(demo) as senders:
            for _ in range(2):
                before = len(senders.acknowledged)
                eventually(lambda before=before: len(senders.acknowledged) > before + 100, "the load")
                supervisor, workers = demo.supervisor(), demo.workers()
                os.kill(supervisor, number)
                eventually(
                    lambda old=workers: len(now := demo.workers()) == 2 and not set(old) & set(now), "other workers"
                )
                assert (demo.supervisor() == supervisor) == (number is signal.SIGHUP)
        eventually(lambda: senders.acknowledged <= set(arrivals(demo)), "every acknowledged message")
        assert demo.trouble() == []
        twice = [recipient for recipient, count in arrivals(demo).items() if count > 1]
        assert [demo.trace_of(recipient) for recipient in twice] == []
    finally:
        assert demo.stop() == 0


def test_a_message_being_received_is_finished(tmp_path: Path, eventually: Any) -> None:
    """SIGTERM between the first half of the content and the second: it is still acknowledged, then comes 421."""
    demo = Demo("--workers", "1", directory=tmp_path)
    try:
        client = demo.login(demo.connect("tls"))
        idle = demo.login(demo.connect("tls"))
        client.mail("me@demo.lab.test")
        client.rcpt("drained@accept.lab.test")
        assert client.docmd("DATA")[0] == 354
        client.send(b"Subject: half\r\n\r\nfirst half\r\n")
        os.kill(demo.supervisor(), signal.SIGTERM)
        code, text = idle.getreply()
        assert code == 421, text
        client.send(b"second half\r\n.\r\n")
        code, text = client.getreply()
        assert code == 250, text
        assert client.getreply()[0] == 421
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.getreply()
        (mail,) = demo.mail("drained@accept.lab.test")
        assert mail["data"].endswith(b"first half\r\nsecond half\r\n")
        client.close()
        idle.close()
    finally:
        assert demo.stop() == 0
