"""Password hashes that cost next to nothing: a right one of 50 ms for each login is what a test does not look at.

Who computes, how often and for how many at once is the same. Processes that a test starts have the real ones.
"""

from __future__ import annotations

from argon2 import PasswordHasher

from ekiden.access import passwords

SHIPPED = passwords.hasher
"""What the program has."""


def hash_cheaply() -> None:
    """In this process; before the modules that log people in are loaded."""
    passwords.hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
