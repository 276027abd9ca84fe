"""What went wrong with a connection, in the system's words or ours."""

from __future__ import annotations

import os
import ssl

from ekiden.core.said import Said, say


def error_text(error: BaseException) -> str:
    """A system's error for people: ``Connection refused``."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror and not isinstance(error, TimeoutError):
        # asyncio wraps the system's words: "Connect call failed ('127.0.0.1', 25)".
        return os.strerror(error.errno) if error.errno else error.strerror
    return str(error) or type(error).__name__


def trouble(error: BaseException) -> Said:
    """What the error says of itself (``said``), else the system's words."""
    said = getattr(error, "said", None)
    return said if isinstance(said, Said) else say("system", why=error_text(error))
