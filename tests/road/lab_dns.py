"""Answers of the lab's DNS, for oracles that look records up by themselves."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import dns.resolver


class LabDns:
    """``txt`` is what dkimpy calls: the text of a record, or ``None``."""

    def __init__(self, demo: Any) -> None:
        settings = tomllib.loads(Path(demo.facts["config"]).read_text("utf-8"))["dns"]
        self._resolver = dns.resolver.Resolver(configure=False)
        self._resolver.nameservers = settings["nameservers"]
        self._resolver.port = settings["port"]

    def txt(self, name: bytes, timeout: float = 5) -> bytes | None:
        try:
            answer = self._resolver.resolve(name.decode(), "TXT")
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return None
        return b"".join(answer[0].strings)
