"""RSA keys that are made once: to make one costs as much as all else that a domain needs, and nearly every world of
the tests has a domain.
"""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from ekiden.sender_auth import dkim_key

RING = 16
"""Keys of a kind: so many that no test gets one twice."""


class MadeKeys:
    """In the place of cryptography's ``generate_private_key``: its keys, each for many tests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[tuple[int, int], list[RSAPrivateKey]] = defaultdict(list)
        self._turn = itertools.count()

    def __call__(self, public_exponent: int, key_size: int) -> RSAPrivateKey:
        with self._lock:
            made = self._made[public_exponent, key_size]
            if len(made) < RING:
                made.append(generate_private_key(public_exponent, key_size))
                return made[-1]
            return made[next(self._turn) % RING]


def make_keys_once() -> None:
    """From now on in this process. What has been made by then is nobody else's."""
    dkim_key.generate_private_key = MadeKeys()  # type: ignore[assignment]
