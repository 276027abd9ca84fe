"""Signing a message (RFC 6376 §5, RFC 8463).

``prepare`` does everything that needs the content; ``Prepared.finish`` only computes signatures. An RSA signature
costs about as much as the rest of a message's way together, and the library computes it without the interpreter
lock: ``finish`` (or ``sign`` as a whole) belongs into a thread. Both are safe in any.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from ekiden.core.address import BadAddress, to_ascii_domain
from ekiden.core.clock import SECOND, Millis
from ekiden.mime.scan import scan
from ekiden.sender_auth.canonical import (
    SLICE,
    BodyHash,
    Canonicalization,
    canonical_body,
    canonical_field,
    canonical_lines,
    field_name,
    split_fields,
)
from ekiden.sender_auth.dkim_errors import BadSigningKey, DkimError, NoFromField
from ekiden.sender_auth.dkim_key import Algorithm, PrivateKey, algorithm_of

# Signed once more than they are there, so that nobody can add one (RFC 6376 §5.4, §8.15): what readers see, what
# decides how a body is read, and the unsubscribe fields (RFC 8058 §4).
OVERSIGNED = (
    b"from",
    b"sender",
    b"reply-to",
    b"to",
    b"cc",
    b"subject",
    b"date",
    b"message-id",
    b"in-reply-to",
    b"references",
    b"mime-version",
    b"content-type",
    b"content-transfer-encoding",
    b"list-id",
    b"list-unsubscribe",
    b"list-unsubscribe-post",
    b"feedback-id",
)
# Signed when they are there. Others on the road may add these (a list, a person who sends a message on), so their
# absence is not signed. RFC 6376 §5.4.1; RFC 9477 §3.1.2 wants the feedback addresses signed.
SIGNED = (
    b"content-disposition",
    b"content-id",
    b"content-description",
    b"content-language",
    b"content-location",
    b"auto-submitted",
    b"disposition-notification-to",
    b"list-help",
    b"list-subscribe",
    b"list-post",
    b"list-owner",
    b"list-archive",
    b"cfbl-address",
    b"cfbl-feedback-id",
    b"resent-date",
    b"resent-from",
    b"resent-sender",
    b"resent-to",
    b"resent-cc",
    b"resent-message-id",
)

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_SELECTOR = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z")
_MAX_LINE = 78  # RFC 5322 §2.1.1
_B64_LINE = 72
_CACHED_NAMES = 100
_PADDING = PKCS1v15()
_PREHASHED = Prehashed(SHA256())


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key with the name it is published under, ``selector._domainkey.domain``. Raises ``BadSigningKey``."""

    domain: str
    """In lower-case A-labels (``core.address.to_ascii_domain``)."""
    selector: str
    algorithm: Algorithm
    private: PrivateKey = field(repr=False)

    def __post_init__(self) -> None:
        if self.algorithm != algorithm_of(self.private):
            raise BadSigningKey("the key does not fit the algorithm {algorithm}", algorithm=self.algorithm)
        try:
            named = to_ascii_domain(self.domain)
        except BadAddress:
            named = ""
        if not named or named != self.domain or named.startswith("["):
            raise BadSigningKey("{domain!r} is not a domain in lower-case A-labels", domain=self.domain)
        if not _SELECTOR.match(self.selector) or len(self.selector) + len(self.domain) > 240:
            raise BadSigningKey("{selector!r} is not a selector", selector=self.selector)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A message whose signatures are yet to be computed."""

    parts: tuple[tuple[SigningKey, bytes, bytes], ...] = field(repr=False)
    """Per key: the field up to ``b=``, and the SHA-256 that is signed."""

    def finish(self) -> bytes:
        """The ``DKIM-Signature`` fields, each with its CRLF, to be put before the content."""
        return b"".join(text + signed_value(key.private, digest) for key, text, digest in self.parts)


def sign(content: bytes, keys: Sequence[SigningKey], at: Millis, **options: Any) -> bytes:
    """The ``DKIM-Signature`` fields for ``content``, one per key and in their order; empty without keys. See
    ``prepare``."""
    return prepare(content, keys, at, **options).finish()


def prepare(
    content: bytes,
    keys: Sequence[SigningKey],
    at: Millis,
    *,
    header_canonicalization: Canonicalization = "relaxed",
    body_canonicalization: Canonicalization = "relaxed",
    expires: Millis | None = None,
    identity: str | None = None,
    body_hash: bytes | None = None,
) -> Prepared:
    """All of ``sign`` but the signatures. The content is canonicalised and hashed once for all keys.

    ``at`` is the time of signing (``t=``), ``expires`` the time after which the signature is worth nothing
    (``x=``); both are cut to seconds. ``identity`` (``i=``) is ``local@domain`` or ``@domain``, in the domain of
    every key or below it. Raises ``NoFromField``, and ``DkimError`` for an identity or a time that does not fit.
    ``body_hash`` is the one of a body that is known already (``hash_body``); that of ``content`` is not looked at.
    """
    header = scan(content)
    names, signed = covered_fields(header.raw, SIGNED)
    canonical = [canonical_field(raw, header_canonicalization) for raw in signed]
    hashed = hashlib.sha256(b"\r\n".join(canonical) + b"\r\n")

    if body_hash is None:
        body_hash = hash_body(content[header.body :], (), body_canonicalization)
    listed = listed_names(names)
    how = f"{header_canonicalization}/{body_canonicalization}"
    dates = _dates(at, expires)

    parts = []
    for key in keys:
        tags = (*_key_tags(key, how), *dates)
        if identity is not None:
            tags = (*tags, f"i={_identity(identity, key.domain)};")
        text = b"%b%b\r\n bh=%b;\r\n b=" % (folded_tags("DKIM-Signature:", tags), listed, body_hash)
        own = hashed.copy()
        own.update(canonical_field(text, header_canonicalization))
        parts.append((key, text, own.digest()))
    return Prepared(tuple(parts))


def covered_fields(block: bytes, signed_if_there: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """What a signature of a header block covers: the names for ``h=``, and the fields in that order.

    Those of ``OVERSIGNED``, and those of ``signed_if_there``. Raises ``NoFromField``.
    """
    found: dict[bytes, list[bytes]] = {}
    for raw in split_fields(block):
        found.setdefault(field_name(raw), []).append(raw)
    if b"from" not in found:
        raise NoFromField("the message has no From field and cannot be signed")
    names: list[bytes] = []
    signed: list[bytes] = []
    for name in OVERSIGNED:
        names.append(name)
        if name in found:
            names += [name] * len(found[name])
            signed += reversed(found[name])  # from the bottom up: RFC 6376 §5.4.2
    for name in signed_if_there:
        if name in found:
            names += [name] * len(found[name])
            signed += reversed(found[name])
    return names, signed


def hash_body(begin: bytes, pieces: Iterable[bytes], how: Canonicalization = "relaxed") -> bytes:
    """The value of ``bh=`` for a body that begins with ``begin`` and goes on with ``pieces``.

    The pieces are canonical as they are, and begin where a line begins (``core.submission.SharedContent``).
    """
    rest = iter(pieces)
    first = next(rest, None)
    if first is None:
        if len(begin) <= SLICE:
            return b64encode(hashlib.sha256(canonical_body(begin, how)).digest())
        sliced = BodyHash(how)
        for at in range(0, len(begin), SLICE):
            sliced.update(begin[at : at + SLICE])
        return b64encode(sliced.digest())
    hashed = hashlib.sha256(canonical_lines(begin, how))
    hashed.update(first)
    for piece in rest:
        hashed.update(piece)
    return b64encode(hashed.digest())


def signed_value(private: PrivateKey, digest: bytes) -> bytes:
    """The value of ``b=``, the signature of a SHA-256, folded, with the CRLF that ends the field."""
    if isinstance(private, Ed25519PrivateKey):
        return _folded_base64(private.sign(digest))  # of the hash, not of the message: RFC 8463 §3
    return _folded_base64(private.sign(digest, _PADDING, _PREHASHED))


def _dates(at: Millis, expires: Millis | None) -> tuple[str, ...]:
    if expires is None:
        return (f"t={at // SECOND};",)
    if expires // SECOND <= at // SECOND:
        raise DkimError("a signature cannot expire before it is made")
    return (f"t={at // SECOND};", f"x={expires // SECOND};")


def _identity(identity: str, domain: str) -> str:
    local, _, host = identity.rpartition("@")
    try:
        below = to_ascii_domain(host)
    except BadAddress:
        below = ""
    if "@" not in identity or (below != domain and not below.endswith("." + domain)):
        raise DkimError("the identity {identity!r} does not belong to {domain}", identity=identity, domain=domain)
    # dkim-quoted-printable, RFC 6376 §2.11
    octets = "".join(
        chr(octet) if 0x21 <= octet <= 0x7E and octet not in b";=" else f"={octet:02X}" for octet in local.encode()
    )
    return f"{octets}@{below}"


def _key_tags(key: SigningKey, how: str) -> tuple[str, ...]:
    return (
        "v=1;",
        f"a={key.algorithm};",
        f"c={how};",
        f"d={key.domain};",
        f"s={key.selector};",
        "q=dns/txt;",
    )


@lru_cache(maxsize=256)
def folded_tags(start: str, tags: tuple[str, ...]) -> bytes:
    """The beginning of a field, its name with the colon, and ``tags``: as many on a line as fit."""
    lines = [start]
    for tag in tags:
        if len(lines[-1]) + 1 + len(tag) > _MAX_LINE and lines[-1] != start:
            lines.append("")
        lines[-1] += " " + tag
    return "\r\n".join(lines).encode("ascii")


def listed_names(names: list[bytes]) -> bytes:
    """The tag ``h=`` on lines of its own."""
    # Most messages of a sender have the same fields. A hostile one may have thousands, and is not kept.
    return _fold_names(tuple(names)) if len(names) <= _CACHED_NAMES else _fold_names.__wrapped__(tuple(names))


@lru_cache(maxsize=256)
def _fold_names(names: tuple[bytes, ...]) -> bytes:
    text = b"\r\n h="
    room = _MAX_LINE - 3
    last = len(names) - 1
    pieces = [text]
    for number, name in enumerate(names):
        piece = name + (b";" if number == last else b":")
        if len(piece) > room:
            pieces.append(b"\r\n ")
            room = _MAX_LINE - 1
        pieces.append(piece)
        room -= len(piece)
    return b"".join(pieces)


def _folded_base64(signature: bytes) -> bytes:
    text = b64encode(signature)
    lines = [text[start : start + _B64_LINE] for start in range(0, len(text), _B64_LINE)]
    return b"\r\n ".join(lines) + b"\r\n"
