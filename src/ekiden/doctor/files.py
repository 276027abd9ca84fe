"""The checks of ``ekiden doctor`` on files that hold secrets, and on how many of them may be open."""

from __future__ import annotations

import os
import resource
import stat
from pathlib import Path

from ekiden.config.model import Config
from ekiden.doctor.checks import Finding, Patient, find
from ekiden.process.instance_key import key_path
from ekiden.wiring.capacity import fit

_OTHERS = stat.S_IRWXO | stat.S_IWGRP  # a group may read: that is how keys are given to services
_OTHERS_WRITE = stat.S_IWOTH | stat.S_IWGRP


def _secrets(config: Config) -> list[Path]:
    """The instance key, keys of certificates, and the database with what SQLite keeps beside it."""
    secrets = [key_path(config)]
    secrets += [Path(item.key) for listener in config.listeners for item in listener.certificates]
    if config.store.url.startswith("sqlite:///"):
        database = config.store.url.removeprefix("sqlite:///")
        secrets += [Path(database + suffix) for suffix in ("", "-wal", "-shm")]
    return list(dict.fromkeys(secrets))


async def check_files(patient: Patient) -> list[Finding]:
    """Secrets must be readable by us and by nobody else; nobody else may put others in their place."""
    found = []
    looked = 0
    secrets = _secrets(patient.config)
    for path in secrets:
        try:
            mode = path.stat().st_mode
        except OSError:
            continue  # a missing key is a matter of certificates, a missing database of the database
        looked += 1
        if not os.access(path, os.R_OK):
            what = "{path} cannot be read by this user"
            fix = "make it belong to Ekiden's user, or run the doctor as that user"
            found.append(find("files", "fail", "Files", what, fix, path=path))
        if mode & _OTHERS:
            found.append(_open_to_others(path, mode, "chmod 600 {path}"))
    for folder in dict.fromkeys(path.parent for path in secrets):
        try:
            mode = folder.stat().st_mode
        except OSError:
            continue
        if mode & _OTHERS_WRITE:
            found.append(_open_to_others(folder, mode, "chmod go-w {path}"))
    return found or [
        find("files", "ok", "Files", "keys and database are closed to others ({count} files)", count=looked)
    ]


def _open_to_others(path: Path, mode: int, fix: str) -> Finding:
    what = "{path} is open to others (mode {mode})"
    return find("files", "warn", "Files", what, fix, path=path, mode=f"{stat.S_IMODE(mode):04o}")


async def check_limits(patient: Patient) -> list[Finding]:
    """Each connection is an open file. ``ekiden serve`` raises the soft limit to the hard one by itself."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        _, less = fit(patient.config, hard)
        if less:
            what = "{soft} files may be open at once, and {needed} connections are allowed"
            fix = "raise the limit (ulimit -n, LimitNOFILE=), or lower smtp.max_connections"
            return [
                find(
                    "limits",
                    "warn",
                    "Open files",
                    what,
                    fix,
                    soft=hard,
                    needed=sum(wanted for wanted, _ in less.values()),
                )
            ]
    return [find("limits", "ok", "Open files", "enough for all connections that are allowed")]
