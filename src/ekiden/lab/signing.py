"""DKIM signatures of mail that the lab sends: one key for every domain, published when it is first used."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from ekiden.core.address import BadAddress, to_ascii_domain
from ekiden.lab.behaviour import LabError
from ekiden.lab.records import Records
from ekiden.sender_auth.dkim_errors import DkimError
from ekiden.sender_auth.dkim_key import PrivateKey, generate, public_record
from ekiden.sender_auth.dkim_sign import SigningKey, sign

SELECTOR: Final = "lab"


class Signer:
    """The key is a new one in each lab."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._key: PrivateKey | None = None
        self._published: set[str] = set()

    async def sign(self, data: bytes, domain: str) -> bytes:
        """``data`` with a signature of ``domain``; its record is in the DNS, unless somebody has changed it since
        it was first published. ``LabError`` when it cannot be signed."""
        try:
            name = to_ascii_domain(domain)
            if self._key is None:
                self._key = await asyncio.to_thread(generate)
            key = SigningKey(name, SELECTOR, "rsa-sha256", self._key)
            fields = await asyncio.to_thread(sign, data, [key], int(time.time() * 1000))
        except (BadAddress, DkimError) as error:
            raise LabError(f"dkim: {error}") from None
        if name not in self._published:
            self._records.put(f"{SELECTOR}._domainkey.{name}", "TXT", [public_record(self._key)])
            self._published.add(name)
        return fields + data
