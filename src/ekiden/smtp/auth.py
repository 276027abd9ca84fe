"""The server's side of AUTH PLAIN and LOGIN (RFC 4954, RFC 4616), as a value that is fed responses."""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

from ekiden.smtp import replies
from ekiden.smtp.errors import CommandRefused
from ekiden.smtp.reply import Reply

MAX_AUTH_LINE = 12_288  # octets, RFC 4954 §4
MECHANISMS = frozenset({"PLAIN", "LOGIN"})


class Credentials(NamedTuple):
    username: str
    password: str


class Exchange:
    """One AUTH command until it has credentials. ``CommandRefused`` from any method ends it."""

    __slots__ = ("_username", "mechanism")

    def __init__(self, mechanism: str) -> None:
        self.mechanism = mechanism
        self._username: str | None = None

    def begin(self, initial: str) -> Reply | Credentials:
        """``initial`` is the initial response as it stood behind the mechanism, or empty."""
        if initial == "=":  # an initial response without octets (RFC 4954 §4)
            return self._decoded("") if self.mechanism == "PLAIN" else replies.PROMPT_USERNAME
        if initial:
            return self._decoded(initial)
        return replies.PROMPT if self.mechanism == "PLAIN" else replies.PROMPT_USERNAME

    def respond(self, line: bytes) -> Reply | Credentials:
        """A line of the client. Blanks around it do not count: people put one in front to keep ``s_client`` from
        taking a leading ``Q`` for itself."""
        response = line.strip(b" \t")
        if response == b"*":
            raise CommandRefused(replies.AUTH_CANCELLED)
        if not response.isascii():
            raise CommandRefused(replies.AUTH_BAD_BASE64)
        return self._decoded(response.decode("ascii"))

    def _decoded(self, response: str) -> Reply | Credentials:
        try:
            text = base64.b64decode(response, validate=True).decode()
        except UnicodeDecodeError:
            raise CommandRefused(replies.AUTH_BAD_RESPONSE) from None
        except (binascii.Error, ValueError):
            raise CommandRefused(replies.AUTH_BAD_BASE64) from None
        if self.mechanism == "PLAIN":
            return _plain(text)
        if "\0" in text:
            raise CommandRefused(replies.AUTH_BAD_RESPONSE)
        if self._username is None:
            if not text:
                raise CommandRefused(replies.AUTH_BAD_RESPONSE)
            self._username = text
            return replies.PROMPT_PASSWORD
        return Credentials(self._username, text)


def _plain(text: str) -> Credentials:
    """``identity NUL username NUL password`` (RFC 4616 §2)."""
    parts = text.split("\0")
    if len(parts) != 3 or not parts[1]:
        raise CommandRefused(replies.AUTH_BAD_RESPONSE)
    identity, username, password = parts
    if identity not in ("", username):
        raise CommandRefused(replies.AUTH_FAILED)  # acting for someone else is not offered
    return Credentials(username, password)
