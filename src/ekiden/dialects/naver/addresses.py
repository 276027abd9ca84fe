"""Lists of addresses in bodies (contract §6, §10)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ekiden.core.address import BadAddress, parse_address
from ekiden.dialects.naver.errors import BadRequest
from ekiden.limits.loop_slices import Turns
from ekiden.web.need import Need

MOST: Final = 100_000
"""Addresses of a request, as many as a mail has recipients; the contract has no number."""
OCTETS: Final = 10 * 1024 * 1024
LISTS: Final = Need(OCTETS, MOST + 10_000, 8)
_LONGEST: Final = 320


async def read_addresses(field: str, given: Sequence[str]) -> list[str]:
    """As they are mailed to, in their order. Raises the 400 of what is no address, or of too many."""
    if len(given) > MOST:
        raise BadRequest("{field} has more than {most} addresses", field=field, most=MOST)
    found = []
    turns = Turns()
    for number, text in enumerate(given):
        found.append(address(f"{field}[{number}]", text))
        await turns.next()
    return found


def address(field: str, text: str) -> str:
    """One, without what stands around it. Raises the 400."""
    if len(text) <= _LONGEST:
        try:
            return parse_address(text.strip()).shown
        except BadAddress:
            pass
    raise BadRequest("{field} must be an e-mail address, not {value}", field=field, value=_shown(text))


def _shown(text: str) -> str:
    """As far as it may stand in an answer."""
    return "".join(char if char.isprintable() else "?" for char in text[:100])
