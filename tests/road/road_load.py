"""Clients that keep the platform busy, and what the lab has of it."""

from __future__ import annotations

import contextlib
import smtplib
import time
from collections import Counter
from functools import partial

from support.busy_threads import BusyThreads
from support.demo_process import Demo

SENDERS = 4
DOMAIN = "accept.lab.test"
_SENDER_ERRORS = (OSError, smtplib.SMTPException, AssertionError)


class Senders(BusyThreads):
    """Clients that never stop: each message has a recipient of its own, and is sent once whatever becomes of it."""

    def __init__(self, demo: Demo) -> None:
        self._demo = demo
        super().__init__(*(partial(self._run, number) for number in range(SENDERS)))
        self.acknowledged: set[str] = set()
        self.unsure = 0

    def _run(self, number: int) -> None:
        sent = 0
        door = ("starttls", "tls")[number % 2]
        while not self._stop.is_set():
            try:
                client = self._demo.login(self._demo.connect(door))
            except _SENDER_ERRORS:
                time.sleep(0.05)
                continue
            with contextlib.suppress(*_SENDER_ERRORS):
                while not self._stop.is_set():
                    sent += 1
                    recipient = f"{number}-{sent}@{DOMAIN}"
                    self.unsure += 1
                    self._demo.send(client, [recipient], b"Subject: load\r\n\r\n" + b"x" * 900 + b"\r\n")
                    self.acknowledged.add(recipient)
                    self.unsure -= 1
            client.close()


def arrivals(demo: Demo) -> Counter[str]:
    return Counter(to for mail in demo.get(f"{demo.facts['lab']}/mail?to=@{DOMAIN}") for to in mail["to"])
