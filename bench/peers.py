"""What is measured: how each server is set up, started and reached. Each run has a fresh directory and ports."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.load import Endpoint
from bench.process import Group
from bench.tools import BenchError, find_program, free_ports, output_of, tail, wait_until_greets

_START_TIMEOUT = 60.0


@dataclass(slots=True)
class Run:
    """One start of one server: its own directory, its processes, and where its mail goes."""

    directory: Path
    group: Group
    sink_port: int

    @property
    def log(self) -> Path:
        return self.directory / "server.log"


class Server(ABC):
    """A kind of server. ``durable``: a message survives a crash once its 250 was sent."""

    name: str
    title: str
    durable = True
    secure = False
    """Can take the scenarios with TLS."""
    signatures: tuple[str, ...] = ()
    """The algorithms (RFC 6376 §3.5, ``a=``) that each message is signed with; checked before the clock starts."""

    def missing(self) -> str | None:
        """Why this server cannot be measured here, or ``None``."""
        return None

    def version(self) -> str:
        """For the report."""
        return ""

    @abstractmethod
    def start(self, run: Run) -> Endpoint:
        """Start it inside ``run.group``; returns once it greets, or raises ``BenchError``."""

    def key_records(self, run: Run) -> Mapping[str, bytes]:
        """The TXT record of each key that signs in ``run``, by its name in the DNS."""
        return {}

    def stop(self, run: Run) -> None:
        """End it, and everything it started."""
        run.group.end()

    def _await(self, run: Run, endpoint: Endpoint) -> Endpoint:
        def ended() -> bool:
            return run.group.exited() is not None

        for port in (endpoint.port, endpoint.tls_port):
            if port is not None and not wait_until_greets(port, _START_TIMEOUT, ended):
                raise BenchError(f"{self.name} does not greet on port {port}:\n{tail(run.log)}")
        return endpoint


def write_certificate(directory: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost with an ECDSA P-256 key, the same kind for every server."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_path, key_path = directory / "bench.crt", directory / "bench.key"
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    key_path.chmod(0o600)
    return certificate_path, key_path


_MAIN_CF = """
compatibility_level = 3.6
queue_directory = {directory}/spool
data_directory = {directory}/data
daemon_directory = {daemons}
command_directory = {commands}
mail_owner = postfix
myhostname = mail.example.test
mydomain = example.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
relayhost = [127.0.0.1]:{sink}
smtp_dns_support_level = disabled
smtp_tls_security_level = none
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_message_rate_limit = 0
smtpd_client_recipient_rate_limit = 0
smtpd_client_event_limit_exceptions = 127.0.0.0/8
smtpd_tls_security_level = none
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
message_size_limit = 20971520
default_process_limit = 120
max_use = 10000
in_flow_delay = 0
hash_queue_depth = 1
qmgr_message_active_limit = 60000
qmgr_message_recipient_limit = 60000
default_destination_concurrency_limit = 8
initial_destination_concurrency = 8
smtp_connection_cache_on_demand = yes
smtp_connection_cache_destinations = [127.0.0.1]
smtp_connection_reuse_count_limit = 0
biff = no
fast_flush_domains =
{more}
"""

_MASTER_CF = """
127.0.0.1:{port} inet n - n - 120 smtpd
127.0.0.1:{tls_port} inet n - n - 120 smtpd
  -o smtpd_tls_security_level=encrypt
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - 8 smtp
relay unix - - n - 8 smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix(Server):
    """Postfix with a private configuration and queue, tuned for this load; see docs/benchmarks.md."""

    name = "postfix"
    title = "Postfix, tuned, no mail log"
    secure = True

    def __init__(self, log: bool = False) -> None:
        self._log = log
        if log:
            self.name = "postfixlog"
            self.title = "Postfix, tuned, with its mail log"

    def missing(self) -> str | None:
        if find_program("postfix") is None:
            return "the program postfix was not found"
        return None if os.geteuid() == 0 else "Postfix's master runs as root only"

    def version(self) -> str:
        return output_of(find_program("postconf") or "postconf", "-d", "-h", "mail_version")

    def settings(self, run: Run) -> str:
        """What ``main.cf`` has beside the lines of every run."""
        if not self._log:
            return ""
        return f"maillog_file = {run.directory}/mail.log\nmaillog_file_prefixes = {run.directory}\n"

    def start(self, run: Run) -> Endpoint:
        postconf = find_program("postconf") or "postconf"
        configuration = run.directory / "etc"
        # master refuses a queue that belongs to anybody but root, and its services run as the user postfix.
        for path in (configuration, run.directory / "spool", run.directory / "data"):
            path.mkdir(mode=0o755)
        shutil.chown(run.directory / "data", "postfix")
        port, tls_port = free_ports(2)
        certificate, key = write_certificate(run.directory)
        (configuration / "main.cf").write_text(
            _MAIN_CF.format(
                directory=run.directory,
                daemons=output_of(postconf, "-d", "-h", "daemon_directory"),
                commands=output_of(postconf, "-d", "-h", "command_directory"),
                sink=run.sink_port,
                certificate=certificate,
                key=key,
                more=self.settings(run),
            )
        )
        (configuration / "master.cf").write_text(_MASTER_CF.format(port=port, tls_port=tls_port))
        run.group.spawn([find_program("postfix") or "postfix", "-c", str(configuration), "start-fg"], run.log)
        return self._await(run, Endpoint(port, tls_port))

    def stop(self, run: Run) -> None:
        # start-fg keeps a shell above master; only the command asks master itself to end.
        subprocess.run(
            [find_program("postfix") or "postfix", "-c", str(run.directory / "etc"), "stop"],
            capture_output=True,
            timeout=60,
            check=False,
        )
        run.group.end()


class Aiosmtpd(Server):
    """aiosmtpd with a forwarder behind it: a receiver in Python that keeps its queue in memory only."""

    name = "aiosmtpd"
    title = "aiosmtpd + 20 forwarding connections, in memory"
    durable = False

    def missing(self) -> str | None:
        return None if output_of(sys.executable, "-c", "import aiosmtpd; print(1)") else "aiosmtpd is not installed"

    def version(self) -> str:
        from importlib.metadata import version

        return version("aiosmtpd")

    def start(self, run: Run) -> Endpoint:
        (port,) = free_ports(1)
        run.group.spawn(
            [sys.executable, "-m", "bench.aiosmtpd_relay", str(port), str(run.sink_port)],
            run.log,
            env={"PYTHONPATH": str(Path(__file__).parent.parent)},
        )
        return self._await(run, Endpoint(port))
