"""Secrets that must be had back: encrypted at rest with the instance key (AES-256-GCM, NIST SP 800-38D).

The instance key is a file that ``ekiden init`` makes; every machine of an installation has the same one. Keys for
single purposes are derived from it (HKDF, RFC 5869), so that what is encrypted for one is useless for another.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ekiden.access.errors import AccessError

_KEY_OCTETS = 32
_MOST_OCTETS = 1024
_NONCE_OCTETS = 12
_FORMAT = b"\x01"


class VaultError(AccessError):
    """The instance key is missing, unreadable or not the one that something was encrypted with."""


class Vault:
    """Seals and opens small secrets. ``key`` has 32 octets."""

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_OCTETS:
            raise VaultError("an instance key has {octets} octets", octets=_KEY_OCTETS)
        self._key = key
        self._cipher = lru_cache(maxsize=16)(lambda purpose: AESGCM(self.derive(f"seal:{purpose}")))

    @classmethod
    def from_file(cls, path: Path) -> Vault:
        """Reads 64 hexadecimal digits. Raises ``VaultError``."""
        try:
            with path.open("rb") as file:  # a few octets of whatever it is
                key = bytes.fromhex(file.read(_MOST_OCTETS).decode("ascii").strip())
            if len(key) != _KEY_OCTETS:
                raise ValueError(len(key))
            return cls(key)
        except OSError as error:
            raise VaultError(
                "the instance key {path} cannot be read: {why}", path=path, why=error.strerror or error
            ) from None
        except ValueError:
            raise VaultError(
                "the instance key {path} is not {digits} hexadecimal digits", path=path, digits=2 * _KEY_OCTETS
            ) from None

    def derive(self, purpose: str) -> bytes:
        """32 octets for one purpose, always the same."""
        return HKDF(SHA256(), _KEY_OCTETS, salt=None, info=f"ekiden:{purpose}".encode()).derive(self._key)

    def text(self) -> bytes:
        """The key as ``from_file`` reads it."""
        return self._key.hex().encode()

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that are the same for the same key, and from which nobody learns it."""
        return self.derive("fingerprint")[:16].hex()

    def seal(self, secret: bytes, purpose: str) -> bytes:
        """What may be stored. ``purpose`` names the kind of secret and must be given again to open it."""
        nonce = os.urandom(_NONCE_OCTETS)
        return _FORMAT + nonce + self._cipher(purpose).encrypt(nonce, secret, None)

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """The secret again. Raises ``VaultError`` for another key or purpose, or altered octets."""
        if sealed[:1] != _FORMAT:
            raise VaultError("the secret was stored in a form that this version does not know")
        nonce = sealed[1 : 1 + _NONCE_OCTETS]
        try:
            return self._cipher(purpose).decrypt(nonce, sealed[1 + _NONCE_OCTETS :], None)
        except (InvalidTag, ValueError):
            raise VaultError("a secret cannot be decrypted; is this the instance key it was stored with?") from None

    def opens(self, sealed: bytes, purpose: str) -> bool:
        """Whether ``open`` would do."""
        try:
            self.open(sealed, purpose)
        except VaultError:
            return False
        return True
