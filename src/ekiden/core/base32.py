"""Crockford's base 32, as our addresses have it: written in lower case, read in any."""

from __future__ import annotations

from typing import Final

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"


def _digits() -> bytes:
    """For ``bytes.translate``: to what ``int`` reads as base 32, in any case, with Crockford's rules for what
    people confuse; everything else to what it does not read."""
    table = bytearray(b"!" * 256)
    for value, char in [*enumerate(ALPHABET), (0, "o"), (1, "i"), (1, "l")]:
        table[ord(char)] = table[ord(char.upper())] = ord("0123456789abcdefghijklmnopqrstuv"[value])
    return bytes(table)


_DIGITS: Final = _digits()


def read_base32(text: str) -> int:
    """Raises ``ValueError``, also for what is not ASCII."""
    return int(text.encode("ascii").translate(_DIGITS), 32)
