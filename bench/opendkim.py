"""Postfix with OpenDKIM as its milter: how most servers sign (Debian's package ``opendkim``)."""

from __future__ import annotations

import base64
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from bench.load import SENDER_DOMAIN, Endpoint
from bench.peers import Postfix, Run
from bench.tools import BenchError, find_program, output_of, tail

_START_TIMEOUT = 10.0
_SELECTOR = "bench"
_KEY_BITS = 2048
_LONGEST_SOCKET = 107
"""Octets of a path in ``sun_path`` (unix(7))."""

# Signing needs no DNS. RequireSafeKeys would refuse every key below /var/tmp, which others may write to.
_CONFIGURATION = """
Background no
AutoRestart no
Syslog no
LogWhy no
Mode s
Canonicalization relaxed/relaxed
SignatureAlgorithm rsa-sha256
OversignHeaders From
InternalHosts 127.0.0.0/8
KeyTable file:{directory}/keys.table
SigningTable file:{directory}/signing.table
RequireSafeKeys no
UMask 000
Socket local:{socket}
"""


class PostfixOpenDkim(Postfix):
    """Postfix as in the other rows; every message it receives by SMTP passes through one OpenDKIM process."""

    name = "postfix-opendkim"
    title = "Postfix, tuned, no mail log, OpenDKIM as its milter"
    signatures = ("rsa-sha256",)

    def missing(self) -> str | None:
        if find_program("opendkim") is None:
            return "the program opendkim was not found: apt-get install --no-install-recommends opendkim"
        return super().missing()

    def version(self) -> str:
        banner = output_of(find_program("opendkim") or "opendkim", "-V").split("\n", 1)[0]
        return f"{super().version()}, {banner.removeprefix('opendkim: ')}"

    def settings(self, run: Run) -> str:
        return (
            f"smtpd_milters = unix:{_socket(run)}\n"
            "non_smtpd_milters =\n"
            "milter_protocol = 6\n"
            "milter_default_action = tempfail\n"
        )

    def key_records(self, run: Run) -> Mapping[str, bytes]:
        from cryptography.hazmat.primitives import serialization

        key = serialization.load_pem_private_key(_key(run).read_bytes(), None).public_key()
        der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return {f"{_SELECTOR}._domainkey.{SENDER_DOMAIN}": b"v=DKIM1; k=rsa; p=" + base64.b64encode(der)}

    def start(self, run: Run) -> Endpoint:
        self._start_milter(run)
        return super().start(run)

    def _start_milter(self, run: Run) -> None:
        if len(os.fsencode(_socket(run))) > _LONGEST_SOCKET:
            raise BenchError(f"{_socket(run)} is too long for a socket; name a shorter directory with --dir")
        _write_key(_key(run))
        name = f"{_SELECTOR}._domainkey.{SENDER_DOMAIN}"
        (run.directory / "keys.table").write_text(f"{name} {SENDER_DOMAIN}:{_SELECTOR}:{_key(run)}\n")
        (run.directory / "signing.table").write_text(f"{SENDER_DOMAIN} {name}\n")
        path = run.directory / "opendkim.conf"
        path.write_text(_CONFIGURATION.format(directory=run.directory, socket=_socket(run)))
        run.group.spawn([find_program("opendkim") or "opendkim", "-f", "-x", str(path)], run.log)
        deadline = time.monotonic() + _START_TIMEOUT
        while not _listens(_socket(run)):
            if time.monotonic() > deadline or run.group.exited() is not None:
                raise BenchError(f"opendkim did not start:\n{tail(run.log)}")
            time.sleep(0.05)


def _socket(run: Run) -> Path:
    return run.directory / "milter"


def _key(run: Run) -> Path:
    return run.directory / "dkim.pem"


def _write_key(path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65_537, _KEY_BITS)
    path.touch(0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
        return True
