"""Mail servers of others that take our mail and bounce it later: private, on loopback, stopped by us.

Postfix is installed. Exim and OpenSMTPD conflict with it as packages and have paths and users compiled in: they are
unpacked below ``.venv`` (``make test``, ``tools/unpacked-packages``) and run in a root directory of their own, with
the libraries of this system copied into it.

All of them relay what is for our reception's domains (``OURS``) to ``back``, mail for the lab's domains to ``hop``,
and know nobody else. They are asked not to try twice where they can be asked.
"""

from __future__ import annotations

import os
import re
import shutil
import smtplib
import socket
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import pytest

from support.private_postfix import PATIENCE, PrivatePostfix

OURS = ("rp.example.com", "mx.example.com")
LAB = "lab.test"
LOST = "lost.example.com"
"""Postfix and Exim hand what is for it to the postmaster of our reception: the address with its token is lost."""
UNPACKED = Path(__file__).parents[2] / ".venv/mail-servers"


def _need_root(package: str) -> None:
    if os.geteuid() != 0:
        pytest.skip(f"{package} is run by root only: run the suite as root")


class BouncingPostfix(PrivatePostfix):
    """``hop`` and ``back`` are ports of 127.0.0.1."""

    def __init__(self, hop: int, back: int) -> None:
        _need_root("postfix")
        if shutil.which("postfix", path="/usr/sbin:/usr/local/sbin") is None:
            pytest.skip("no postfix here: sudo apt-get install postfix")
        super().__init__()
        self._hop = hop
        self._back = back

    def _configure(self) -> tuple[str, str, str]:
        transports = "".join(f"{domain} smtp:[127.0.0.1]:{self._back}\n" for domain in OURS)
        main = "maximal_queue_lifetime = 0\nbounce_queue_lifetime = 0\nparent_domain_matches_subdomains =\n"
        main += f"virtual_alias_domains = {LOST}\nvirtual_alias_maps = inline:{{ @{LOST}=postmaster@{OURS[1]} }}\n"
        return main, "smtp unix - - n - - smtp\n", f"{transports}.{LAB} smtp:[127.0.0.1]:{self._hop}\n"


class _Caged:
    """A server in a root directory of its own."""

    package = ""
    programs: tuple[str, ...] = ()
    """Paths in the package."""
    users: tuple[str, ...] = ()
    folders: tuple[tuple[str, str], ...] = ()
    """Path and owner."""
    command: tuple[str, ...] = ()
    file = ""
    """Path of its configuration."""
    logs = "output"

    def __init__(self, hop: int, back: int) -> None:
        unpacked = UNPACKED / self.package
        _need_root(self.package)
        if not unpacked.is_dir():
            pytest.skip(f"no {self.package} here: sudo tools/unpacked-packages {unpacked} {self.package}")
        self._unpacked = unpacked
        self._root = Path(tempfile.mkdtemp(prefix=f"ekiden-{self.package}-"))
        self._root.chmod(0o755)
        self._hop = hop
        self._back = back
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    def _configuration(self) -> str:
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self._furnish()
            with (self._root / "output").open("wb") as output:
                self._process = subprocess.Popen(
                    ["chroot", str(self._root), *self.command],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={"PATH": "/usr/sbin:/usr/bin"},
                )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)
        shutil.rmtree(self._root, ignore_errors=True)

    def _furnish(self) -> None:
        root = self._root
        for name in ("dev", "etc", "tmp", "usr/sbin"):
            (root / name).mkdir(parents=True)
        (root / "tmp").chmod(0o1777)
        for name, minor in (("null", 3), ("urandom", 9)):
            try:
                os.mknod(root / "dev" / name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
            except PermissionError:
                pytest.skip(f"{self.package} needs a /dev/{name} of its own, which cannot be made here")
            (root / "dev" / name).chmod(0o666)
        users = [("root", 0), ("nobody", 65534), *zip(self.users, range(64001, 64100), strict=False)]
        (root / "etc/passwd").write_text("".join(f"{name}:x:{id}:{id}::/:/bin/false\n" for name, id in users))
        (root / "etc/group").write_text("".join(f"{name}:x:{id}:\n" for name, id in users))
        (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
        (root / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
        ids = dict(users)
        for path, owner in self.folders:
            (root / path).mkdir(parents=True, mode=0o755)
            os.chown(root / path, ids[owner], ids[owner])
        for program in self.programs:
            self._bring(self._unpacked / program, program)
            for library in self._libraries(self._unpacked / program):
                if not (root / library.lstrip("/")).exists():
                    self._bring(Path(library), library.lstrip("/"))
        configuration = root / self.file
        configuration.parent.mkdir(parents=True, exist_ok=True)
        configuration.write_text(self._configuration())

    def _bring(self, source: Path, path: str) -> None:
        target = self._root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if str(source).startswith(str(self._unpacked)) and "/lib/" in str(source):
            target = self._root / "usr/lib" / source.name
        shutil.copyfile(source, target)
        target.chmod(0o755)

    def _libraries(self, program: Path) -> list[str]:
        """Those of this system, and those that came with the package because this system lacks them."""
        folders = {str(each.parent) for each in self._unpacked.rglob("lib*.so*")}
        told = subprocess.run(
            ["ldd", str(program)],
            capture_output=True,
            check=True,
            env={**os.environ, "LD_LIBRARY_PATH": ":".join(sorted(folders))},
        ).stdout.decode()
        return re.findall(r"(?:=> |^\s+)(/\S+) \(", told, re.MULTILINE)

    def log(self) -> str:
        """What it wrote: why something did not go on."""
        found = [path for path in (self._root / "output", self._root / self.logs) if path.is_file()]
        return "".join(path.read_text(errors="replace") for path in dict.fromkeys(found))

    def send(self, sender: str, recipients: list[str], content: bytes) -> None:
        """Give it a message, as our delivery would."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE) as client:
                    client.sendmail(sender, recipients, content)
                return
            except (ConnectionRefusedError, smtplib.SMTPServerDisconnected):
                assert self._process is not None
                assert self._process.poll() is None, self.log()
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.05)


class Exim(_Caged):
    package = "exim4-daemon-light"
    programs = ("usr/sbin/exim4",)
    users = ("Debian-exim",)
    folders = (("spool", "Debian-exim"), ("log", "Debian-exim"))
    command = ("/usr/sbin/exim4", "-bdf", "-q1m")
    file = "etc/exim4/exim4.conf"
    logs = "log/mainlog"

    def _configuration(self) -> str:
        # Without a rule for retries the first failure is the last one.
        return f"""
primary_hostname = exim.example.test
spool_directory = /spool
log_file_path = /log/%slog
pid_file_path = /spool/pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {self.port}
deliver_drop_privilege = true
disable_ipv6 = true
host_lookup =
rfc1413_hosts =
tls_advertise_hosts =
keep_environment =
acl_smtp_rcpt = all
begin acl
all:
  accept
begin routers
lost:
  driver = redirect
  domains = {LOST}
  data = postmaster@{OURS[1]}
back:
  driver = manualroute
  domains = {" : ".join(OURS)}
  transport = back
  route_list = * 127.0.0.1
  self = send
hop:
  driver = manualroute
  domains = *.{LAB}
  transport = hop
  route_list = * 127.0.0.1
  self = send
begin transports
back:
  driver = smtp
  port = {self._back}
  allow_localhost
  hosts_avoid_tls = *
hop:
  driver = smtp
  port = {self._hop}
  allow_localhost
  hosts_avoid_tls = *
"""


class OpenSmtpd(_Caged):
    package = "opensmtpd"
    programs = ("usr/sbin/smtpd", "usr/sbin/smtpctl")
    users = ("opensmtpd", "opensmtpq")
    folders = (("var/lib/opensmtpd/empty", "root"), ("var/run", "root"), ("var/spool", "root"))
    command = ("/usr/sbin/smtpd", "-d")
    file = "etc/smtpd.conf"

    def _configuration(self) -> str:
        return f"""
listen on 127.0.0.1 port {self.port} hostname opensmtpd.example.test
action back relay host smtp+notls://127.0.0.1:{self._back}
action hop relay host smtp+notls://127.0.0.1:{self._hop}
match from any for domain {{ {", ".join(OURS)} }} action back
match from any for domain regex {{ "\\.{LAB}$" }} action hop
"""
