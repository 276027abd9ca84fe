"""What a User-Agent field says about the device of a reader (contract §5.3, ``recipientInfo``).

A table of what readers of mail and browsers are known to send, and not a library: the list that libraries carry is
a thousand expressions that have to be kept fresh, for three words in a report. What is not known stays empty.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

MAX_USER_AGENT = 512
"""Characters that are looked at and kept."""


class Device(NamedTuple):
    """``type``: ``Phone``, ``Tablet``, ``PC`` or empty; ``os`` with its version where that is said; ``name``: the
    model, where it is said."""

    type: str = ""
    os: str = ""
    name: str = ""


UNKNOWN = Device()

# Microsoft freezes the version at 10.0 for Windows 11, and says so:
# https://learn.microsoft.com/microsoft-edge/web-platform/how-to-detect-win11
_WINDOWS = {
    "5.1": "Windows XP",
    "5.2": "Windows XP",
    "6.0": "Windows Vista",
    "6.1": "Windows 7",
    "6.2": "Windows 8",
    "6.3": "Windows 8.1",
    "10.0": "Windows 10",
}
# Android: "(Linux; Android 14; Pixel 8 Build/UD1A.230803.041)"; browsers that hide the model say "K"
# (https://www.chromium.org/updates/ua-reduction/).
_ANDROID = re.compile(r"Android(?: (\d+(?:\.\d+)*))?(?:; (?:[a-z]{2}-[a-z]{2}; )?([^;)]+?)(?: Build/[^;)]*)?[;)])?")
_IOS = re.compile(r"\b(iPhone|iPad|iPod)\b(?:.*? OS (\d+(?:_\d+)*))?")
_MAC = re.compile(r"Mac OS X(?: (\d+(?:[._]\d+)*))?")
_NT = re.compile(r"Windows NT (\d+\.\d+)")
_HIDDEN = frozenset({"K", "Mobile", "Tablet", "wv", "U"})
_NO_MODEL = re.compile(r"rv:|[a-z]{2}-[a-z]{2}\Z|Mobile\b|Tablet\b")


@lru_cache(maxsize=2048)
def device_of(user_agent: str) -> Device:
    """The device, as far as the text tells. Texts of mail clients and browsers only: a proxy hides its reader."""
    text = user_agent[:MAX_USER_AGENT]
    if "Windows Phone" in text:  # it says that it is an Android, too
        return Device("Phone", "Windows Phone")
    if found := _ANDROID.search(text):
        version, model = found.groups()
        hidden = not model or model in _HIDDEN or _NO_MODEL.match(model)
        # Google: a phone says "Mobile", a tablet does not.
        kind = "Phone" if "Mobile" in text else "Tablet"
        return Device(kind, f"Android {version}" if version else "Android", "" if hidden else (model or "").strip())
    if found := _IOS.search(text):
        name, version = found.groups()
        system = "iPadOS" if name == "iPad" and version and int(version.partition("_")[0]) >= 13 else "iOS"
        if version:
            system = f"{system} {version.replace('_', '.')}"
        return Device("Tablet" if name == "iPad" else "Phone", system, name)
    if found := _NT.search(text):
        return Device("PC", _WINDOWS.get(found[1], "Windows"))
    if found := _MAC.search(text):
        version = (found[1] or "").replace("_", ".")
        return Device("PC", f"macOS {version}" if version else "macOS")
    if "Macintosh" in text:
        return Device("PC", "macOS")
    if "CrOS" in text:
        return Device("PC", "ChromeOS")
    if "Windows" in text:
        return Device("PC", "Windows")
    if "Linux" in text or "X11" in text:
        return Device("PC", "Linux")
    return UNKNOWN
