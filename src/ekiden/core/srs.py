"""Envelope senders of mail that is sent on for somebody: the sender rewriting scheme (SRS, libsrs2).

Whoever sends a mail on is asked for it by SPF, and hears of its bounces. So the sender is written into an address
of ours, from which it can be read again::

    SRS0=TOKEN=DD=domain=local        of a sender whom nobody has rewritten
    SRS1=TOKENDD=host=REST            of one that has SRS0REST@host, or SRS1=…=host=REST anywhere: whoever
                                      comes after the first leaves the others out

TOKEN is 13 characters of base 32: 25 bits of account and 40 of HMAC-SHA256 over kind, account, day and what
follows; DD the day modulo 1,024. The MAC covers what it covers in lower case, since the world does not keep the
case of local parts. What is forged is known by its MAC alone (one guess in 2**40 is right), and nothing is good
for longer than ``VALID_FOR``.

What needs quotes, is not ASCII, or would have more than 64 octets (RFC 5321 §4.5.3.1.1) has no such address: a
token that names the message stands for it (``return_path.Purpose.FORWARD``).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ekiden.core.base32 import ALPHABET, read_base32
from ekiden.core.clock import DAY, Millis

if TYPE_CHECKING:
    from ekiden.core.address import Address

PURPOSE: Final = "sender rewriting"
"""For which the key is derived from the instance key (``access.vault.Vault.derive``)."""
VALID_FOR: Final[Millis] = 21 * DAY
LONGEST: Final = 64
"""Octets of a local part."""

_ACCOUNT_BITS: Final = 25
_MAC_BITS: Final = 40
_TOKEN: Final = 13
"""Characters."""
_DAYS: Final = 1_024
_ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+")
_SRS0: Final = re.compile(r"SRS0=([0-9a-z]{13})=([0-9a-z]{2})=([^=]+)=(.+)", re.IGNORECASE | re.ASCII)
_SRS1: Final = re.compile(r"SRS1=([0-9a-z]{13})([0-9a-z]{2})=([^=]+)=(.+)", re.IGNORECASE | re.ASCII)
# Those of others: what parts the kind from the rest is one of three, and the rest is theirs.
_THEIR_0: Final = re.compile(r"SRS0([=+-].+)", re.IGNORECASE | re.ASCII)
_THEIR_1: Final = re.compile(r"SRS1[=+-][^=]+=([^=]+)=([=+-].+)", re.IGNORECASE | re.ASCII)


class Rewritten(NamedTuple):
    """What an address says: for which account something was sent on, and whose it was."""

    account_id: int
    sender: str
    """An address, as ``core.address.parse_address`` takes it."""


class Srs:
    """Writes and reads them; every worker with the same instance key reads all. The last of ``keys`` writes."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("there is at least one key")
        self._keys = [hmac.new(key, digestmod="sha256") for key in keys]

    def seal(self, account_id: int, sender: Address, at: Millis) -> str | None:
        """A local part for what is sent on at that time, the same all day; ``None``: there is none."""
        local = sender.local
        if account_id >> _ACCOUNT_BITS or not _ATOMS.fullmatch(local) or sender.domain.startswith("["):
            return None
        day = at // DAY % _DAYS
        written = ALPHABET[day >> 5] + ALPHABET[day & 31]
        kind, host, rest = "0", sender.domain, local
        if (theirs := _THEIR_0.fullmatch(local)) is not None:
            kind, rest = "1", theirs[1]
        elif (theirs := _THEIR_1.fullmatch(local)) is not None:
            kind, host, rest = "1", theirs[1], theirs[2]
        token = self._token(self._keys[-1], kind, account_id, day, host, rest)
        made = f"SRS{kind}={token}{'=' if kind == '0' else ''}{written}={host}={rest}"
        return made if len(made) <= LONGEST else None

    def unseal(self, local_part: str, now: Millis) -> Rewritten | None:
        """What ``local_part`` says, in any letter case; ``None``: none of ours, or too old."""
        if local_part[:3].upper() != "SRS" or len(local_part) > LONGEST:
            return None
        for kind, form in (("0", _SRS0), ("1", _SRS1)):
            match = form.fullmatch(local_part)
            if match is not None:
                return self._read(kind, match, now)
        return None

    def _read(self, kind: str, match: re.Match[str], now: Millis) -> Rewritten | None:
        token, written, domain, rest = match.groups()
        try:
            day, account_id = read_base32(written), read_base32(token) >> _MAC_BITS
        except ValueError:
            return None
        # A worker whose clock is ahead may have written it tomorrow.
        age = (now // DAY + 1 - day) % _DAYS - 1
        right = False
        for key in self._keys:
            # Its own letters are compared: what was written is in lower case.
            mine = self._token(key, kind, account_id, day, domain, rest)
            right |= hmac.compare_digest(mine, token.lower())
        if not right or age * DAY > VALID_FOR:
            return None
        return Rewritten(account_id, f"{rest}@{domain}" if kind == "0" else f"SRS0{rest}@{domain}")

    def _token(self, key: hmac.HMAC, kind: str, account_id: int, day: int, domain: str, rest: str) -> str:
        mac = key.copy()
        mac.update(f"{kind} {account_id} {day} {domain.lower()} {rest.lower()}".encode())
        value = account_id << _MAC_BITS | int.from_bytes(mac.digest()[: _MAC_BITS // 8])
        return "".join(ALPHABET[value >> shift & 31] for shift in range(5 * (_TOKEN - 1), -1, -5))
