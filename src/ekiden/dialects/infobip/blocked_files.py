"""Files that are not sent, by their names (contract §2.2)."""

from __future__ import annotations

from typing import Final

from ekiden.mime.file_names import extensions

_BLOCKED: Final = (
    "ade adp apk appx appxbundle bat cab chm cmd com cpl dll dmg ex ex_ exe hta ins isp iso jar js jse lib lnk mde "
    "msc msi msix msixbundle msp mst nsh pif ps1 scr sct shb sys vb vbe vbs vxd wsc wsf wsh"
)
BLOCKED: Final = frozenset(_BLOCKED.split())
"""Extensions of files that are not sent (contract §2.2)."""


def blocked_extension(filename: str) -> str:
    """The extension that keeps the file from being sent; empty: it may be sent.

    The name that counts is the one under which a receiver's system may save it (``mime.file_names``).
    """
    return min(extensions(filename) & BLOCKED, default="")
