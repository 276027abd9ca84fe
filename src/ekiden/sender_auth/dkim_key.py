"""DKIM keys: made, kept as DER, published as TXT records, read from them and compared (RFC 6376 §3.6, RFC 8463)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

from ekiden.core.language import Language
from ekiden.sender_auth.dkim_errors import BadKeyRecord, BadSigningKey, BadTagList, RecordFault
from ekiden.sender_auth.dkim_tags import decode_base64, parse_tags, words
from ekiden.sender_auth.dkim_translations import TEXTS

Algorithm = Literal["rsa-sha256", "ed25519-sha256"]
PrivateKey = RSAPrivateKey | Ed25519PrivateKey
PublicKey = RSAPublicKey | Ed25519PublicKey

RSA_BITS = 2048
MIN_RSA_BITS = 1024  # RFC 8301 §3.2
MAX_RSA_BITS = 8192
"""Longer keys are not used: one signature could keep a core busy."""
_ED25519_OCTETS = 32


def generate(algorithm: Algorithm = "rsa-sha256") -> PrivateKey:
    """A new private key. RSA has 2048 bits, as every verifier supports (RFC 8301 §3.2); it may take a second."""
    if algorithm == "ed25519-sha256":
        return Ed25519PrivateKey.generate()
    return generate_private_key(public_exponent=65537, key_size=RSA_BITS)


def algorithm_of(key: PrivateKey | PublicKey) -> Algorithm:
    """The signature algorithm that goes with a key."""
    return "ed25519-sha256" if isinstance(key, Ed25519PrivateKey | Ed25519PublicKey) else "rsa-sha256"


def key_bits(key: PublicKey) -> int:
    """The length that verifiers judge a key by: the modulus of RSA; 256 for Ed25519."""
    return 256 if isinstance(key, Ed25519PublicKey) else key.key_size


def dump_private(key: PrivateKey) -> bytes:
    """The key as PKCS #8 DER, **not encrypted**: whoever stores it encrypts it."""
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def load_private(der: bytes) -> PrivateKey:
    """A key from PKCS #8 or PKCS #1 DER. Raises ``BadSigningKey`` for anything else and for short RSA keys."""
    try:
        key = load_der_private_key(der, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's own error says nothing about DKIM, and must not show what was read.
        raise BadSigningKey("this is not a private key in DER") from None
    if isinstance(key, Ed25519PrivateKey):
        return key
    if not isinstance(key, RSAPrivateKey):
        raise BadSigningKey("DKIM uses RSA and Ed25519 keys only")
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise BadSigningKey("an RSA key of {bits} bits is not usable for DKIM", bits=key.key_size)
    return key


def public_record(key: PrivateKey | PublicKey) -> str:
    """The text of the TXT record at ``selector._domainkey.domain``; longer than one string of 255 for RSA."""
    public = key.public_key() if isinstance(key, RSAPrivateKey | Ed25519PrivateKey) else key
    if isinstance(public, Ed25519PublicKey):
        # RFC 8463 §4.2: the raw key, not the structure that RSA has.
        return f"v=DKIM1; k=ed25519; p={b64encode(public.public_bytes_raw()).decode()}"
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k=rsa; p={b64encode(der).decode()}"


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key record that was understood (RFC 6376 §3.6.1)."""

    key_type: Literal["rsa", "ed25519"]
    public: PublicKey | None
    """``None``: revoked (an empty ``p=``)."""
    hashes: frozenset[str] | None = None
    """``h=``: the hash algorithms that may be used; ``None``: all."""
    services: frozenset[str] = field(default=frozenset({"*"}))
    """``s=``: what the key is for."""
    flags: frozenset[str] = frozenset()
    """``t=``: ``y`` the domain is testing, ``s`` the identity (``i=``) must have the signing domain itself."""

    @property
    def testing(self) -> bool:
        return "y" in self.flags

    @property
    def strict(self) -> bool:
        return "s" in self.flags

    @property
    def for_mail(self) -> bool:
        return not self.services.isdisjoint({"*", "email"})

    @property
    def for_sha256(self) -> bool:
        return self.hashes is None or "sha256" in self.hashes


def parse_key_record(text: bytes) -> KeyRecord:
    """Read a TXT record, its strings joined. Raises ``BadKeyRecord``.

    RSA keys of any length are accepted here; what is too short is a matter of policy.
    """
    try:
        tags = parse_tags(text)
    except BadTagList as error:
        raise BadKeyRecord("syntax", error.template, **error.values) from None
    if "v" in tags and (tags["v"] != b"DKIM1" or next(iter(tags)) != "v"):
        raise BadKeyRecord("version", "the record does not begin with v=DKIM1")
    if "p" not in tags:
        raise BadKeyRecord("no_key", "the record has no p= with a key")
    kind = tags.get("k", b"rsa").lower()
    if kind == b"rsa":
        key_type: Literal["rsa", "ed25519"] = "rsa"
    elif kind == b"ed25519":
        key_type = "ed25519"
    else:
        raise BadKeyRecord("key_type", "the key type k={kind} is not known", kind=kind.decode("ascii", "replace"))
    return KeyRecord(
        key_type=key_type,
        public=_public_key(tags["p"], key_type),
        hashes=frozenset(words(tags["h"])) if "h" in tags else None,
        services=frozenset(words(tags.get("s", b"*"))),
        flags=frozenset(words(tags.get("t", b""))) - {""},
    )


def _public_key(value: bytes, key_type: Literal["rsa", "ed25519"]) -> PublicKey | None:
    try:
        octets = decode_base64(value)
    except BadTagList:
        raise BadKeyRecord("bad_key", "p= is not base64") from None
    if not octets:
        return None
    if key_type == "ed25519":
        if len(octets) != _ED25519_OCTETS:
            raise BadKeyRecord("bad_key", "p= is not an Ed25519 key of 32 octets")
        return Ed25519PublicKey.from_public_bytes(octets)
    try:
        # Reads SubjectPublicKeyInfo, which is what everybody publishes, and the RSAPublicKey of the RFC's text.
        key = load_der_public_key(octets)
    except (ValueError, UnsupportedAlgorithm):
        raise BadKeyRecord("bad_key", "p= is not an RSA key") from None
    if not isinstance(key, RSAPublicKey):
        raise BadKeyRecord("bad_key", "p= is not an RSA key")
    return key


Verdict = Literal[
    "match", "missing", "several", "revoked", "wrong_type", "differs", "not_for_mail", "wrong_hash", RecordFault
]


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """What the DNS publishes, held against our own key."""

    verdict: Verdict
    template: str
    values: Mapping[str, object] = field(default_factory=dict)
    testing: bool = False
    """The record says ``t=y``: some verifiers then treat signatures as if there were none."""

    @property
    def ok(self) -> bool:
        return self.verdict == "match"

    def text(self, lang: Language) -> str:
        """The verdict as a sentence for the operator of the domain."""
        return TEXTS(self.template, lang, **self.values)


def check_published(records: Sequence[bytes], own: PublicKey) -> KeyCheck:
    """Compare the TXT records at the selector's name with the key that we sign with. Never raises.

    ``several`` even when one of them is ours: verifiers may take any of them (RFC 6376 §3.6.2.2).
    """
    if not records:
        return KeyCheck("missing", "there is no TXT record with the key")
    if len(records) > 1:
        return KeyCheck("several", "there are {count} TXT records; only one is allowed", {"count": len(records)})
    try:
        record = parse_key_record(records[0])
    except BadKeyRecord as error:
        return KeyCheck(error.fault, error.template, error.values)
    wanted = "ed25519" if isinstance(own, Ed25519PublicKey) else "rsa"
    if record.public is None:
        return KeyCheck("revoked", "the record revokes the key: its p= is empty")
    if record.key_type != wanted:
        return KeyCheck(
            "wrong_type",
            "the record is for {found} keys (k=), our key is of type {wanted}",
            {"found": record.key_type, "wanted": wanted},
        )
    if record.public != own:
        return KeyCheck("differs", "the record has another key than the one we sign with")
    if not record.for_mail:
        return KeyCheck("not_for_mail", "the record does not allow the key for e-mail (s=)")
    if not record.for_sha256:
        return KeyCheck("wrong_hash", "the record does not allow the hash sha256 (h=)")
    return KeyCheck("match", "the record has our key", testing=record.testing)
