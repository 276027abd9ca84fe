"""The place on the road where a message is signed: once per content, just before it is sent for the first time."""

from __future__ import annotations

from typing import Protocol

from ekiden.store.records import Message


class Signer(Protocol):
    """Adds what proves the sender (DKIM, RFC 6376). Called once per message and worker."""

    async def sign(self, message: Message, content: bytes) -> bytes:
        """The content to send: ``content``, perhaps with fields before it. Nothing else may change."""
        ...


class NoSigner:
    """Sends the content as it is."""

    async def sign(self, message: Message, content: bytes) -> bytes:
        return content
