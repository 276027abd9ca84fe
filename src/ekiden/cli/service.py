"""``ekiden service``: what the system needs to run Ekiden as a service."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ekiden.cli.common import CliError, CliUsageError, ConfigOption, JsonOption, error_console, load, print_json, tr

if TYPE_CHECKING:
    from ekiden.config.model import Config

app = typer.Typer(no_args_is_help=True)

_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
DESCRIPTORS: Final = 65_536
_UNIT: Final = """\
# Written by: ekiden service print. Put it into /etc/systemd/system/ekiden.service, then:
#   systemctl daemon-reload && systemctl enable --now ekiden
[Unit]
Description=Ekiden, e-mail platform
After=network-online.target nss-lookup.target time-sync.target{after}
Wants=network-online.target

[Service]
Type=exec
User={user}
Group={user}
ExecStart={command} serve --config {config}
# Certificates and configuration are read again; a configuration with a mistake changes nothing.
ExecReload=/bin/kill -HUP $MAINPID
# The supervisor drains: what is being received or sent may end.
KillMode=mixed
TimeoutStopSec={stop}
Restart=on-failure
RestartSec=2
# Wrong usage, or a configuration that cannot be used: starting it again changes nothing.
RestartPreventExitStatus=2
LimitNOFILE={descriptors}
LimitCORE=0
{ports}WorkingDirectory={data_dir}
ReadWritePaths={writable}
UMask=0077

# Nothing else of the machine.
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome={home}
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


def unit(config: Config, path: Path, command: str, user: str) -> str:
    """The unit of systemd for this configuration. ``command`` and ``path`` are absolute."""
    privileged = any(port < 1024 for port in _ports(config))
    ports = "AmbientCapabilities=CAP_NET_BIND_SERVICE\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n"
    writable = [config.data_dir]
    if config.store.url.startswith("sqlite:///"):
        writable.append(str(Path(config.store.url.removeprefix("sqlite:///")).parent))
    local = config.store.url.startswith("postgresql")
    used = [Path(command), path, *map(Path, writable)]
    inside_home = any(item.is_relative_to(home) for item in used for home in ("/home", "/root"))
    return _UNIT.format(
        after=" postgresql.service" if local else "",
        user=user,
        command=_quoted(command),
        config=_quoted(str(path)),
        stop=round(config.workers.drain_timeout) + 15,
        descriptors=DESCRIPTORS,
        ports=ports if privileged else "CapabilityBoundingSet=\n",
        data_dir=_path(config.data_dir),
        writable=" ".join(_quoted(item) for item in dict.fromkeys(writable)),
        home="read-only" if inside_home else "yes",
    )


def _ports(config: Config) -> list[int]:
    from ekiden.net.listen import parse_listen_address

    texts = [text for item in config.listeners for text in item.addresses]
    texts += [*config.http.addresses, *config.http.monitoring_addresses]
    return [port for text in texts if (port := parse_listen_address(text).port)]


def _path(text: str) -> str:
    """``%`` begins a specifier (systemd.unit(5))."""
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    """One word of a line (systemd.syntax(7), and ``$`` of systemd.service(5))."""
    text = _path(text).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{text}"' if re.search(r"""[\s"'\\;]""", text) else text


@app.callback()
def _group() -> None:
    """Run Ekiden as a service of the system."""


@app.command("print")
def print_(
    user: Annotated[str, typer.Option("--user", help="The user that the service runs as.")] = "ekiden",
    command: Annotated[
        Path | None,
        typer.Option("--command", help="The program. Default: the one that runs now.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a unit of systemd for this configuration: own user, few rights, reload with SIGHUP.

    Nothing is installed or changed. To check the unit: systemd-analyze verify ekiden.service
    """
    from ekiden.config.load import find_config
    from ekiden.documents.installation import ServiceUnit

    if not _USER.fullmatch(user):
        raise CliUsageError("--user: {value!r} is not the name of a user", value=user)
    loaded = load(config)
    path = find_config(config)
    if path is None:
        raise CliError("a service needs a configuration file: --config FILE")
    program = str(command.absolute()) if command is not None else _program()
    text = unit(loaded, path.absolute(), program, user)
    if as_json:
        print_json(ServiceUnit(text, user, program))
        return
    sys.stdout.write(text)
    try:
        pwd.getpwnam(user)
    except KeyError:
        remark = tr(
            "there is no user {user} yet: useradd --system --home-dir {directory} --shell /usr/sbin/nologin "
            "{user}; "
            "then: chown -R {user}: {directory}",
            user=user,
            directory=loaded.data_dir,
        )
        error_console().print(remark)


def _program() -> str:
    """The script that was started, where it lies for everybody; not by ``python -m``."""
    beside = Path(sys.executable).parent / "ekiden"
    found = sys.argv[0] if os.path.basename(sys.argv[0]) == "ekiden" else None
    if found is None and beside.exists():
        return str(beside)
    return os.path.abspath(shutil.which(found or "ekiden") or found or "/usr/local/bin/ekiden")
