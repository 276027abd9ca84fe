"""Tokens in the links of a message: which message, which recipient, and where the link leads.

A token is sealed with AES-SIV (RFC 5297) under keys derived from the instance key: nobody but an Ekiden of this
installation makes one or reads one, and a link redirects to nothing but what was sealed into it. SIV and not GCM:
it needs no nonce, so a token is twelve octets shorter, and there is no bound on how many one key may seal. The same
link of the same message is always the same token, which is all that two tokens tell.

A token holds everything that its link needs to work: links outlive the rows of their message.
"""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as BadBase64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ekiden.access.vault import Vault

MAX_URL: Final = 4_096
"""Octets of a URL that a link can lead to."""
MAX_TOKEN: Final = 12_000
"""Characters; nothing longer is looked at."""
OPEN_PATH: Final = "/t/o/"
CLICK_PATH: Final = "/t/c/"
UNSUBSCRIBE_PATH: Final = "/t/u/"

_DEFLATED: Final = b"\0"
_WORTH_DEFLATING = 96  # octets; of a shorter text the effort saves next to nothing
_MAX_PACKED = 16_384
_WINDOW = -12
# What URLs in mail are made of, the most usual last. Part of the format: with another one old tokens are lost.
_DICTIONARY: Final = (
    b"placeholders.co.jp/.org/.net/.html.aspx.php?index/products/category/campaign/newsletter/article/account/"
    b"?ref=&id=&token=&email=&utm_id=&utm_term=&utm_content=&utm_campaign=&utm_medium=email&utm_source=newsletter"
    b"?utm_source=http://https://www..com/https://"
)


class OpenToken(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Of the picture that counts opens. ``number`` is the recipient's."""

    account_id: int
    message_id: int
    number: int


class ClickToken(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Of a link to ``url``."""

    account_id: int
    message_id: int
    number: int
    url: str


class UnsubscribeToken(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Of the way out: ``address`` wants no more mail from ``domain``.

    ``page``: the account's own landing page; empty: ours. ``placeholders``: what is written into it.
    ``everywhere``: nor from any other domain of the account.
    """

    account_id: int
    message_id: int
    number: int
    domain: str
    address: str
    page: str = ""
    placeholders: dict[str, str] = {}
    everywhere: bool = False


AnyToken = OpenToken | ClickToken | UnsubscribeToken
_Token = TypeVar("_Token", OpenToken, ClickToken, UnsubscribeToken)

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(AnyToken).decode


def trackable(url: str) -> bool:
    """Whether a link may lead there by way of us: an absolute http or https URL of bounded length, on one line."""
    if len(url) > MAX_URL or not url.isprintable() or " " in url or url[:4].lower() != "http":
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and len(url.encode()) <= MAX_URL
    except ValueError:  # a broken IPv6 address, half of a surrogate pair
        return False


class TrackingTokens:
    """Makes and reads them, in about 5 µs each; every worker with the same instance key reads all."""

    def __init__(self, vault: Vault) -> None:
        # Two keys of 256 bits: one that authenticates, one that encrypts (RFC 5297 §2.2).
        self._cipher = AESSIV(vault.derive("tracking:mac") + vault.derive("tracking:ctr"))

    def seal(self, token: AnyToken) -> str:
        """The text of a token: letters, digits, ``-`` and ``_``. ``ValueError``: its link could not be followed."""
        if isinstance(token, ClickToken) and not trackable(token.url):
            raise ValueError("a link leads to an http or https URL only")
        packed = _pack(token)
        if len(packed) > _MAX_PACKED:
            raise ValueError(f"a token holds {_MAX_PACKED} octets")
        if len(packed) > _WORTH_DEFLATING:
            deflater = zlib.compressobj(6, zlib.DEFLATED, _WINDOW, 4, zlib.Z_DEFAULT_STRATEGY, _DICTIONARY)
            packed = min(packed, _DEFLATED + deflater.compress(packed) + deflater.flush(), key=len)
        return urlsafe_b64encode(self._cipher.encrypt(packed, None)).rstrip(b"=").decode("ascii")

    def read_open(self, text: str) -> OpenToken | None:
        """``None``, as for the others: this is no such token of ours."""
        return self._read(text, OpenToken)

    def read_click(self, text: str) -> ClickToken | None:
        return self._read(text, ClickToken)

    def read_unsubscribe(self, text: str) -> UnsubscribeToken | None:
        return self._read(text, UnsubscribeToken)

    def _read(self, text: str, kind: type[_Token]) -> _Token | None:
        if len(text) > MAX_TOKEN or not text.isascii() or len(text) % 4 == 1:
            return None
        try:
            # b64decode skips what does not belong there: two texts must not be one token.
            sealed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
            if urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii") != text:
                return None
            packed = self._cipher.decrypt(sealed, None)
        except (BadBase64, InvalidTag, ValueError):
            return None
        # From here on it is something that we have made, though perhaps a later version of us.
        try:
            if packed[:1] == _DEFLATED:
                packed = zlib.decompressobj(_WINDOW, _DICTIONARY).decompress(packed[1:], _MAX_PACKED)
            token = _unpack(packed)
        except (zlib.error, msgspec.DecodeError):
            return None
        return token if isinstance(token, kind) else None

    def urls(self, base: str) -> TrackingUrls:
        """For links below ``base``, such as ``https://links.example.com``."""
        return TrackingUrls(self, base.rstrip("/"))


@dataclass(frozen=True, slots=True)
class TrackingUrls:
    """The links of messages that are tracked by one host."""

    tokens: TrackingTokens
    base: str

    def open(self, account_id: int, message_id: int, number: int) -> str:
        """Of the picture."""
        return f"{self.base}{OPEN_PATH}{self.tokens.seal(OpenToken(account_id, message_id, number))}"

    def click(self, account_id: int, message_id: int, number: int, url: str) -> str:
        """By way of us to ``url``. ``ValueError`` unless it is ``trackable``."""
        return f"{self.base}{CLICK_PATH}{self.tokens.seal(ClickToken(account_id, message_id, number, url))}"

    def unsubscribe(
        self,
        account_id: int,
        message_id: int,
        number: int,
        domain: str,
        address: str,
        *,
        page: str = "",
        placeholders: Mapping[str, str] | None = None,
        everywhere: bool = False,
    ) -> str:
        """For List-Unsubscribe and for a link in the text."""
        values = dict(placeholders) if placeholders else {}
        token = UnsubscribeToken(account_id, message_id, number, domain, address, page, values, everywhere)
        return f"{self.base}{UNSUBSCRIBE_PATH}{self.tokens.seal(token)}"
