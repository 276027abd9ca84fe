"""Addresses of ours that say which delivery is meant: the envelope sender of what is sent (VERP), so that a bounce
finds its delivery, and where one unsubscribes by mail.

A local part is ``b-TOKEN``, ``u-TOKEN`` or ``f-TOKEN``: 32 octets of the 64 that RFC 5321 §4.5.3.1.1 allows. The
token is 150 bits, written as 30 characters of Crockford's base 32 in lower case, since the world does not keep the
case of local parts: from the top 63 bits of message id, 14 of recipient number, 25 of account, 2 of key number and
46 of HMAC-SHA256 over the letter and the four. Account and id are the key of ``message``, so no table is needed to
read one; what is forged is known by its MAC alone (one guess in 2**46 is right), before anything is looked up.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

from ekiden.core.base32 import ALPHABET, read_base32
from ekiden.core.clock import DAY, Millis
from ekiden.core.ids import id_time
from ekiden.core.srs import VALID_FOR

PURPOSE: Final = "return path"
"""For which the key is derived from the instance key (``access.vault.Vault.derive``)."""
ACCEPTED_FOR: Final[Millis] = 60 * DAY
"""From the message id's own time: rows are kept for half of that. What was sent on is answered for as long as
``core.srs`` does."""
LENGTH: Final = 32
"""Octets of a local part."""
MOST_NUMBER: Final = (1 << 14) - 1
"""The largest recipient number that is written into a token."""

_ACCOUNT_BITS: Final = 25
_KEY_BITS: Final = 2
_MAC_BITS: Final = 46
_MAC_MASK: Final = (1 << _MAC_BITS) - 1
_HEAD_OCTETS: Final = 13  # 63 + 14 + 25 + 2 bits

_PAIRS: Final = [a + b for a in ALPHABET for b in ALPHABET]
_SHIFTS: Final = range(140, -1, -10)


class Purpose(Enum):
    """What an address is for; the value is its first letter, which the MAC covers."""

    BOUNCE = "b"
    UNSUBSCRIBE = "u"
    FORWARD = "f"
    """Of what was sent on for somebody, whose address is too long for ``core.srs``: bounces go there."""


class BouncesTo(NamedTuple):
    """Where bounces of mail with an envelope sender at some domain go: to us, at ``host`` (empty: that of the
    installation), or ``off``: to that sender."""

    off: bool
    host: str = ""


class ReturnPath(NamedTuple):
    """What a local part says. ``number`` is the recipient's; 0: it is of the message."""

    purpose: Purpose
    account_id: int
    message_id: int
    number: int


class ReturnPaths:
    """Writes and reads them, in about 4 µs each; every worker with the same instance key reads all.

    ``keys`` are up to four, by their number; the last one seals.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not 1 <= len(keys) <= 1 << _KEY_BITS:
            raise ValueError(f"there are 1 to {1 << _KEY_BITS} keys, not {len(keys)}")
        # Copied for each: keying it anew would take longer than all the rest.
        self._keys = [hmac.new(key, digestmod="sha256") for key in keys]

    def seal(
        self, account_id: int, message_id: int, number: int = 0, *, to: Purpose = Purpose.BOUNCE
    ) -> str | None:
        """A local part. A recipient beyond ``MOST_NUMBER`` is not named: it is of the message then.

        ``None``: the account's number has more than 25 bits, and its messages have no such address.
        """
        if account_id >> _ACCOUNT_BITS:
            return None
        key_number = len(self._keys) - 1
        head = (message_id << 14 | (number if number <= MOST_NUMBER else 0)) << _ACCOUNT_BITS | account_id
        head = head << _KEY_BITS | key_number
        token = head << _MAC_BITS | self._mac(key_number, to, head)
        pairs = _PAIRS
        return f"{to.value}-" + "".join([pairs[token >> shift & 1023] for shift in _SHIFTS])

    def unseal(self, local_part: str, now: Millis) -> ReturnPath | None:
        """What ``local_part`` says, in any letter case; ``None``: none of ours, or older than we answer for."""
        if len(local_part) != LENGTH or local_part[1] != "-":
            return None
        purpose = _PURPOSES.get(local_part[0])
        if purpose is None:
            return None
        try:
            token = read_base32(local_part[2:])
        except ValueError:
            return None
        head = token >> _MAC_BITS
        key_number = head & 3
        # All have the same time to be told that they are wrong.
        known = key_number < len(self._keys)
        mac = self._mac(key_number if known else 0, purpose, head)
        if not hmac.compare_digest(mac.to_bytes(6), (token & _MAC_MASK).to_bytes(6)) or not known:
            return None
        account_id = head >> _KEY_BITS & (1 << _ACCOUNT_BITS) - 1
        number = head >> _KEY_BITS + _ACCOUNT_BITS & MOST_NUMBER
        message_id = head >> _KEY_BITS + _ACCOUNT_BITS + 14
        if now - id_time(message_id) > (VALID_FOR if purpose is Purpose.FORWARD else ACCEPTED_FOR):
            return None
        return ReturnPath(purpose, account_id, message_id, number)

    def _mac(self, key_number: int, purpose: Purpose, head: int) -> int:
        mac = self._keys[key_number].copy()
        mac.update(purpose.value.encode() + head.to_bytes(_HEAD_OCTETS))
        return int.from_bytes(mac.digest()[:6]) >> 2


_PURPOSES: Final = {letter: purpose for purpose in Purpose for letter in (purpose.value, purpose.value.upper())}
