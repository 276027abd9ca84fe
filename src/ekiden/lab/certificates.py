"""The certificates of the lab's servers: self-signed, for the host's own name, expired, or for another name."""

from __future__ import annotations

import ssl
import tempfile
import time
from pathlib import Path
from typing import Literal

from ekiden.core.clock import DAY
from ekiden.net.tls import ServerTls, make_self_signed

Kind = Literal["valid", "expired", "wrong-name"]


class Certificates:
    """Server contexts, each made when it is first needed and then kept."""

    def __init__(self) -> None:
        self._contexts: dict[tuple[Kind, str], ssl.SSLContext] = {}

    def context(self, kind: Kind, name: str) -> ssl.SSLContext:
        """For the host ``name``: TLS 1.2 or later, with a certificate of this kind."""
        found = self._contexts.get((kind, name))
        if found is None:
            found = self._contexts[kind, name] = _make(kind, name)
        return found


def _make(kind: Kind, name: str) -> ssl.SSLContext:
    names = ["wrong.example"] if kind == "wrong-name" else [name]
    ended = int(time.time() * 1000) - 30 * DAY if kind == "expired" else None
    pair = make_self_signed(names, not_after=ended)
    with tempfile.TemporaryDirectory() as folder:
        # The ssl module reads certificates from files only.
        files = pair.write(Path(folder, "certificate.pem"), Path(folder, "key.pem"))
        return ServerTls([files]).context
