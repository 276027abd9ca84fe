"""The character sets that texts of ours are written in: UTF-8, and ISO-2022-JP (RFC 1468) for who asks for it.

ISO-2022-JP has JIS X 0208. What programs commonly put in the place of its characters is brought back: half-width
katakana become full-width ones, and the signs that Windows has otherwise (such as the full-width tilde for the wave
dash) become JIS's. A text with anything else has no form in it, and is written in UTF-8 instead: its reader sees
what was meant.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, Literal

Charset = Literal["utf-8", "iso-2022-jp"]
UTF_8: Final[Charset] = "utf-8"
ISO_2022_JP: Final[Charset] = "iso-2022-jp"

_HALF_WIDTH: Final = re.compile("[\uff61-\uff9f]+")
_OF_WINDOWS: Final = str.maketrans(
    {
        "\uff5e": "\u301c",  # wave dash
        "\u2225": "\u2016",  # double vertical line
        "\uff0d": "\u2212",  # minus sign
        "\uffe0": "\u00a2",  # cent sign
        "\uffe1": "\u00a3",  # pound sign
        "\uffe2": "\u00ac",  # not sign
        "\u2014": "\u2015",  # horizontal bar
    }
)


def to_jis(text: str) -> bytes | None:
    """``text`` in ISO-2022-JP, which every line begins and ends in ASCII; ``None``: it has no form in it."""
    if not text.isascii():
        text = _HALF_WIDTH.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text).translate(_OF_WINDOWS)
    try:
        return text.encode("iso2022_jp")
    except UnicodeEncodeError:
        return None
