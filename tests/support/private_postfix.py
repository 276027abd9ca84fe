"""Postfix as somebody's mail server: private, on loopback, stopped by us; also one that relays through Ekiden."""

from __future__ import annotations

import contextlib
import os
import shutil
import smtplib
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

PATIENCE = 60.0  # seconds; only reached when something is broken


@dataclass(frozen=True)
class Relay:
    """One way to hand mail on: everything for ``domain`` goes to ``host:port``."""

    domain: str
    host: str
    port: int
    wrapped: bool
    """TLS from the first octet (port 465) instead of STARTTLS."""
    mechanism: str
    username: str
    password: str


_MAIN = """
compatibility_level = 3.6
queue_directory = {directory}/spool
data_directory = {directory}/data
daemon_directory = {daemons}
command_directory = {commands}
mail_owner = postfix
maillog_file = {directory}/mail.log
maillog_file_prefixes = {directory}
myhostname = relay.example.test
mydestination =
alias_maps =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.1/32
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
transport_maps = texthash:{directory}/transport
smtp_dns_support_level = disabled
default_transport = error:every domain has a transport of its own
relay_transport = $default_transport
"""
_RELAYING = """
smtp_tls_CAfile = {ca}
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = localhost
smtp_sasl_auth_enable = yes
smtp_sasl_tls_security_options = noanonymous
"""
_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
_TRANSPORT = """
{name} unix - - n - - smtp
  -o smtp_sasl_password_maps=texthash:{directory}/{name}.password
  -o smtp_sasl_mechanism_filter={mechanism}
  -o smtp_tls_wrappermode={wrapped}
"""


class PrivatePostfix:
    """``with PrivatePostfix() as postfix: postfix.send(...)``. Whoever derives from it says where mail goes."""

    def __init__(self) -> None:
        # Its services run as another user and its socket names are long: not below pytest's folders.
        self._directory = Path(tempfile.mkdtemp(prefix="ekiden-postfix-"))
        self._directory.chmod(0o755)
        self._etc = self._directory / "etc"
        self.port = 0

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._command("stop")
        shutil.rmtree(self._directory, ignore_errors=True)

    def _configure(self) -> tuple[str, str, str]:
        """What is added to main.cf and to master.cf, and the table of transports."""
        raise NotImplementedError

    def _start(self) -> None:
        assert os.geteuid() == 0, "Postfix's master runs as root only: run the suite as root"
        directory = self._directory
        for name in ("etc", "spool", "data"):
            (directory / name).mkdir(mode=0o755)
        shutil.chown(directory / "data", "postfix")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        main = _MAIN.format(
            directory=directory, daemons=_setting("daemon_directory"), commands=_setting("command_directory")
        )
        more, services, transports = self._configure()
        (self._etc / "main.cf").write_text(main + more)
        (self._etc / "master.cf").write_text(_MASTER.format(port=self.port) + services)
        (directory / "transport").write_text(transports)
        done = self._command("start")
        assert done.returncode == 0, done.stderr.decode() + self.log()

    def _command(self, what: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["postfix", "-c", str(self._etc), what],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            env={**os.environ, "MAIL_CONFIG": str(self._etc)},
        )

    def log(self) -> str:
        """Its mail log: why something did not go on."""
        try:
            return (self._directory / "mail.log").read_text()
        except FileNotFoundError:
            return ""

    def send(self, sender: str, recipients: list[str], content: bytes) -> None:
        """Give it a message, as somebody in its network would."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE) as client:
                    client.sendmail(sender, recipients, content, ["BODY=8BITMIME"])
                return
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.05)


class Postfix(PrivatePostfix):
    """Everything goes to whoever ``relays`` say, with a login."""

    def __init__(self, relays: list[Relay], ca: str) -> None:
        super().__init__()
        self._relays = relays
        self._ca = ca

    def _configure(self) -> tuple[str, str, str]:
        directory = self._directory
        shutil.copyfile(self._ca, directory / "ca.pem")
        services, routes = "", []
        for number, relay in enumerate(self._relays):
            name = f"relay{number}"
            hop = f"[{relay.host}]:{relay.port}"
            secret = directory / f"{name}.password"
            secret.touch(0o600)
            secret.write_text(f"{hop} {relay.username}:{relay.password}\n")
            routes.append(f"{relay.domain} {name}:{hop}\n")
            services += _TRANSPORT.format(
                name=name,
                directory=directory,
                mechanism=relay.mechanism.lower(),
                wrapped="yes" if relay.wrapped else "no",
            )
        return _RELAYING.format(ca=directory / "ca.pem"), services, "".join(routes)


def _setting(name: str) -> str:
    return subprocess.run(["postconf", "-d", "-h", name], capture_output=True, check=True).stdout.decode().strip()
