"""The check of ``ekiden doctor`` on the disk: room for data, files and this user."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from ekiden.core.display import octets
from ekiden.doctor.checks import Finding, Level, Patient, find

LITTLE_SPACE: Final = 1 << 30
"""Octets free below which the disk is worth a warning."""
NO_SPACE: Final = 200 << 20
"""Octets free below which mail will soon stop."""


async def check_disk(patient: Patient) -> list[Finding]:
    """Where the keys lie, and the database when it is SQLite: that may be another disk."""
    folders = [nearest(Path(patient.config.data_dir))]
    url = patient.config.store_url()
    if url.startswith("sqlite:///"):
        folders.append(nearest(Path(url.removeprefix("sqlite:///")).parent))
    return [finding for folder in dict.fromkeys(folders) for finding in _disk(folder)]


def _disk(folder: Path) -> list[Finding]:
    try:
        usage = shutil.disk_usage(folder)
        files = os.statvfs(folder)
    except OSError as error:
        what = "{path} cannot be looked at: {why}"
        fix = "create the folder, and let Ekiden's user read and write it"
        return [find("disk", "fail", "Disk", what, fix, path=folder, why=error.strerror)]
    level: Level = "fail" if usage.free < NO_SPACE else "warn" if usage.free < LITTLE_SPACE else "ok"
    fix = "make room: without it no message can be accepted" if level != "ok" else ""
    values = {"path": folder, "free": octets(usage.free), "percent": round(100 * usage.free / max(usage.total, 1))}
    found = [find("disk", level, "Disk", "{free} free ({percent} %) where {path} lies", fix, **values)]
    if files.f_files and files.f_favail < 1000:
        what = "only {count} more files can be created where {path} lies (inodes)"
        fix = "remove files"
        found.append(find("disk", "fail", "Disk", what, fix, count=files.f_favail, path=folder))
    if not os.access(folder, os.W_OK):
        what = "{path} cannot be written by this user"
        fix = "let Ekiden's user write it, or run the doctor as that user"
        found.append(find("disk", "fail", "Disk", what, fix, path=folder))
    return found


def nearest(path: Path) -> Path:
    """``path``, or the folder above it that there is."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
