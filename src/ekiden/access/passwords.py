"""Passwords: how long they are, how they are made up, and how they are kept: as argon2id."""

from __future__ import annotations

import asyncio
import secrets
from functools import cache

from argon2 import PasswordHasher

from ekiden.access.errors import BadName

MIN_PASSWORD = 8
MAX_PASSWORD = 512  # characters; longer ones cannot pass an AUTH line anyway (RFC 4954 §4)

# OWASP's first choice for argon2id: 19 MiB, two passes, one lane; about 30 ms on one core.
hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


@cache
def no_hash() -> str:
    """To compare with it costs the work of a wrong password: for logins that nobody has. One for each process."""
    return hasher.hash(secrets.token_hex(16))


BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def generate_password() -> str:
    """A password nobody has to remember: 142 random bits, letters and digits.

    Its base64 never begins with Q or R, which ``openssl s_client`` takes for commands of its own: the first
    letter is none of A to G.
    """
    first = secrets.choice([char for char in BASE62 if char not in "ABCDEFG"])
    return first + "".join(secrets.choice(BASE62) for _ in range(23))


async def hash_password(password: str) -> str:
    """argon2id of a password, computed in a thread. Raises ``BadName`` when it is too short or too long."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD or "\0" in password:
        raise BadName(
            "a password has {shortest} to {longest} characters", shortest=MIN_PASSWORD, longest=MAX_PASSWORD
        )
    return await asyncio.to_thread(hasher.hash, password)
