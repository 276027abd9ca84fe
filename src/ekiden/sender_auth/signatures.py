"""What the signatures of DKIM and those of ARC have in common: tags, what they were computed over, keys.

A signature is checked in steps, because whoever calls has to share a processor: ``SignedMessage.hash_bodies`` is
the one that a large message makes long, and all signatures of a message share it; the DNS is asked for a key; the
rest (``check_keys``) takes as long as the header is large, and a computation for each signature.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Protocol, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from ekiden.core.address import BadAddress, to_ascii_domain
from ekiden.core.clock import SECOND, Millis
from ekiden.mime.scan import scan
from ekiden.sender_auth.canonical import (
    SLICE,
    BodyHash,
    Canonicalization,
    canonical_field,
    field_name,
    split_fields,
)
from ekiden.sender_auth.dkim_errors import BadKeyRecord, BadTagList
from ekiden.sender_auth.dkim_key import (
    MAX_RSA_BITS,
    MIN_RSA_BITS,
    KeyRecord,
    PublicKey,
    key_bits,
    parse_key_record,
)
from ekiden.sender_auth.dkim_tags import FWS, decode_base64, without_value, words
from ekiden.sender_auth.dns import Lookup, TemporaryDnsError

T = TypeVar("T")

Result = Literal["pass", "fail", "neutral", "temperror", "permerror", "policy"]
Reason = Literal[
    "ok",
    "syntax",
    "missing_tag",
    "version",
    "algorithm",
    "canonicalization",
    "query",
    "identity",
    "from_not_signed",
    "expired",
    "dns",
    "no_key",
    "bad_key",
    "revoked",
    "key_type",
    "key_use",
    "key_length",
    "body",
    "body_short",
    "signature",
    "unsigned_from",
    "too_many",
]

MAX_NAMES = 1000
"""Names in ``h=``; more are no signature of anybody who sends mail, but work for us."""
_MAX_KEYS = 3
_REMEMBERED = 1_024
"""Octets of a key record or of ``h=`` that are remembered when they were read; RSA with 4096 bits needs 760."""
_NUMBER = re.compile(rb"[0-9]{1,76}\Z")
_NAME = re.compile(r"[!-9<-~]+\Z")
_FORMS: Mapping[bytes, Canonicalization] = {b"simple": "simple", b"relaxed": "relaxed"}
_PADDING = PKCS1v15()
_PREHASHED = Prehashed(SHA256())


class SignatureFault(Exception):
    """Ends the check of one signature with its result. ``template`` and ``values`` are its sentence."""

    def __init__(self, result: Result, reason: Reason, template: str, **values: object) -> None:
        super().__init__(template)
        self.result: Result = result
        self.reason: Reason = reason
        self.template = template
        self.values = values


class Compute(Protocol):
    """Where work is done that may take long: at once (``here``), or in a thread that the caller has."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


async def here(work: Callable[[], T], /) -> T:
    """``Compute`` that does it at once: for messages that are not large."""
    return work()


@dataclass(frozen=True, slots=True)
class Signature:
    """A field whose tags were understood. What ARC-Seal does not have is as in a signature of nothing."""

    raw: bytes
    domain: str
    selector: str
    algorithm: str
    signature: bytes
    identity_domain: str
    header_form: Canonicalization = "relaxed"
    body_form: Canonicalization = "relaxed"
    body_hash: bytes = b""
    names: tuple[bytes, ...] = ()
    length: int | None = None
    made: int | None = None
    expires: int | None = None

    @property
    def key_name(self) -> str:
        """Where its key is published."""
        return f"{self.selector}._domainkey.{self.domain}"

    def own_field(self) -> bytes:
        """The field itself in canonical form, as it was signed: without the value of ``b=`` (RFC 6376 §3.7)."""
        name, colon, value = self.raw.partition(b":")
        return canonical_field(name + colon + without_value(value, b"b"), self.header_form)


class SignedMessage:
    """A message, hashed once per canonical form however many signatures it has."""

    def __init__(self, content: bytes) -> None:
        header = scan(content)
        self.header = header
        self.fields: dict[bytes, list[bytes]] = {}
        """The fields by name in lower case, as ``split_fields`` gives them."""
        for raw in split_fields(header.raw):
            self.fields.setdefault(field_name(raw), []).append(raw)
        self._content = content
        self._lengths: dict[Canonicalization, set[int]] = {}
        self._bodies: dict[Canonicalization, BodyHash] = {}
        self._hashes: dict[Canonicalization, bytes] = {}

    def want(self, signature: Signature) -> None:
        """The hash that ``signature`` is about is among those that ``hash_bodies`` computes."""
        lengths = self._lengths.setdefault(signature.body_form, set())
        if signature.length is not None:
            lengths.add(signature.length)

    def hash_bodies(self) -> None:
        """Compute what is wanted. Safe in a thread; the body is read in slices of a millisecond at the most."""
        for form, lengths in self._lengths.items():
            hashed = BodyHash(form, lengths)
            for at in range(self.header.body, len(self._content), SLICE):
                hashed.update(self._content[at : at + SLICE])
            self._hashes[form] = hashed.digest()
            self._bodies[form] = hashed
        self._lengths = {}

    def check_body(self, signature: Signature) -> int:
        """Whether the body is the one that was signed; the octets behind what was signed (``l=``).

        Raises ``SignatureFault``. It was wanted, and the bodies are hashed.
        """
        body = self._bodies[signature.body_form]
        length = body.octets if signature.length is None else signature.length
        if length > body.octets:
            raise SignatureFault("fail", "body_short", "the body is shorter than what was signed (l=)")
        found = self._hashes[signature.body_form] if signature.length is None else body.beginnings[length]
        if found != signature.body_hash:
            raise SignatureFault("fail", "body", "the body is not the one that was signed")
        return body.octets - length

    def has_signed_body(self, signature: Signature) -> bool:
        """Whether ``check_body`` would not raise."""
        try:
            self.check_body(signature)
        except SignatureFault:
            return False
        return True

    def digest(self, signature: Signature, own_name: bytes, number: int) -> bytes:
        """The SHA-256 of what ``signature`` was computed over (RFC 6376 §3.7).

        It stands in the field ``number`` of those that are named ``own_name``, and never covers itself as one of
        the fields.
        """
        left = {name: list(self.fields.get(name, ())) for name in set(signature.names)}
        if own_name in left:
            del left[own_name][number]
        parts = [canonical_field(left[name].pop(), signature.header_form) for name in signature.names if left[name]]
        parts.append(signature.own_field())
        return hashlib.sha256(b"\r\n".join(parts)).digest()

    def check_authors(self, signature: Signature) -> None:
        """Raise ``SignatureFault`` when there is a From that ``signature`` does not cover."""
        if signature.names.count(b"from") < len(self.fields.get(b"from", ())):
            raise SignatureFault(
                "policy", "unsigned_from", "the message has a From that the signature does not cover"
            )


# reading


def need(tags: Mapping[str, bytes], names: Sequence[str]) -> None:
    """Raise ``SignatureFault`` unless all of these tags are there and not empty."""
    for name in names:
        if not tags.get(name):
            raise SignatureFault("neutral", "missing_tag", "the signature has no {tag}=", tag=name)


def read_names(facts: dict[str, Any], tags: Mapping[str, bytes]) -> None:
    """What a result tells of a signature whatever comes of it: algorithm, domain, selector."""
    facts["algorithm"] = tags.get("a", b"").lower().decode("utf-8", "replace") or None
    facts["domain"] = read_host(tags["d"], "d") if tags.get("d") else None
    facts["selector"] = read_host(tags["s"], "s") if tags.get("s") else None


def read_signature(
    raw: bytes, tags: Mapping[str, bytes], facts: Mapping[str, Any], identity_domain: str | None = None
) -> Signature:
    """A signature of header and body: ``DKIM-Signature`` or ``ARC-Message-Signature``.

    The tags that are needed are there, and ``facts`` are those of ``read_names``. Raises ``SignatureFault``.
    """
    header_form, _, body_form = tags.get("c", b"simple").lower().partition(b"/")
    if header_form not in _FORMS or (body_form or b"simple") not in _FORMS:
        raise SignatureFault("neutral", "canonicalization", "the canonical form (c=) is not known")
    if "q" in tags and "dns/txt" not in words(tags["q"]):
        raise SignatureFault("neutral", "query", "the key is to be asked for in a way (q=) that is not known")
    if tags["h"].count(b":") >= MAX_NAMES:
        raise SignatureFault(
            "policy", "too_many", "signatures of more than {count} fields are not looked at", count=MAX_NAMES
        )
    listed = tags["h"]
    names = _remembered_names(listed) if len(listed) <= _REMEMBERED else _names(listed)
    if not names:
        raise SignatureFault("neutral", "syntax", "the list of fields (h=) is not right")
    body_hash, signature = read_base64(tags, "bh"), read_base64(tags, "b")
    return Signature(
        raw=raw,
        domain=facts["domain"],
        selector=facts["selector"],
        algorithm=facts["algorithm"],
        signature=signature,
        identity_domain=identity_domain or facts["domain"],
        header_form=_FORMS[header_form],
        body_form=_FORMS[body_form or b"simple"],
        body_hash=body_hash,
        names=names,
        length=_number(tags, "l"),
        made=_number(tags, "t"),
        expires=_number(tags, "x"),
    )


def _names(listed: bytes) -> tuple[bytes, ...]:
    """The names of ``h=`` in lower case; empty when one of them is no name."""
    names = words(listed)
    return tuple(name.encode("ascii") for name in names) if all(map(_NAME.match, names)) else ()


@lru_cache(maxsize=1024)
def _remembered_names(listed: bytes) -> tuple[bytes, ...]:
    """Most mail of a sender has the same fields."""
    return _names(listed)


def read_host(value: bytes, tag: str) -> str:
    """A domain or selector in A-labels; U-labels are allowed since RFC 8616. Raises ``SignatureFault``."""
    try:
        name = to_ascii_domain(value.strip(FWS).decode("utf-8"))
    except (BadAddress, UnicodeDecodeError):
        name = "["
    if name.startswith("["):
        raise SignatureFault("neutral", "syntax", "the value of {tag}= is not a domain name", tag=tag)
    return name


def read_base64(tags: Mapping[str, bytes], tag: str) -> bytes:
    try:
        return decode_base64(tags[tag])
    except BadTagList as error:
        raise SignatureFault("neutral", "syntax", error.template, **error.values) from None


def _number(tags: Mapping[str, bytes], tag: str) -> int | None:
    if tag not in tags:
        return None
    if not _NUMBER.match(tags[tag]):
        raise SignatureFault("neutral", "syntax", "the value of {tag}= is not a number", tag=tag)
    return int(tags[tag])


# checking


def check_algorithm(algorithm: str) -> None:
    """Raises ``SignatureFault``."""
    if algorithm == "rsa-sha1":
        raise SignatureFault("policy", "algorithm", "rsa-sha1 is not accepted any more")  # RFC 8301 §3.1
    if algorithm not in ("rsa-sha256", "ed25519-sha256"):
        raise SignatureFault("neutral", "algorithm", "the algorithm (a=) is not known")


def check_alone(signature: Signature, at: Millis) -> None:
    """What can be said without the DNS and the rest of the message (RFC 6376 §6.1.1). Raises ``SignatureFault``."""
    check_algorithm(signature.algorithm)
    if b"from" not in signature.names:
        raise SignatureFault("permerror", "from_not_signed", "the signature does not cover From")
    if signature.expires is not None:
        if signature.made is not None and signature.expires <= signature.made:
            raise SignatureFault("neutral", "syntax", "the signature expires (x=) before it was made (t=)")
        if at // SECOND > signature.expires:
            raise SignatureFault("permerror", "expired", "the signature has expired")


async def ask_for_keys(signature: Signature, lookup: Lookup) -> Sequence[bytes]:
    """The key records, at least one. Raises ``SignatureFault``."""
    name = signature.key_name
    try:
        records: Sequence[bytes] = await lookup(name, "TXT")
    except TemporaryDnsError:
        raise SignatureFault("temperror", "dns", "the DNS gave no answer for {name}", name=name) from None
    if not records:
        raise SignatureFault("permerror", "no_key", "there is no key at {name}", name=name)
    return records


def check_keys(records: Sequence[bytes], signature: Signature, digest: bytes, facts: dict[str, Any]) -> None:
    """Whether ``signature`` is one of ``digest`` by one of the keys. Raises ``SignatureFault``.

    One record is allowed; where there are several, each may be tried (RFC 6376 §6.1.2). ``facts`` gets what is
    known of the key: ``testing`` and ``key_bits``.
    """
    failure: SignatureFault | None = None
    for text in records[:_MAX_KEYS]:
        key_facts: dict[str, Any] = {}
        try:
            _check_key(text, signature, digest, key_facts)
        except SignatureFault as fault:
            if failure is None:
                failure = fault
                facts.update(key_facts)
            continue
        facts.update(key_facts)
        return
    assert failure is not None
    raise failure


def _check_key(text: bytes, signature: Signature, digest: bytes, facts: dict[str, Any]) -> None:
    try:
        record = _remembered_key(text) if len(text) <= _REMEMBERED else parse_key_record(text)
    except BadKeyRecord as error:
        raise SignatureFault("permerror", "bad_key", error.template, **error.values) from None
    facts["testing"] = record.testing
    key = _usable(record, signature)
    bits = facts["key_bits"] = key_bits(key)
    if isinstance(key, RSAPublicKey) and not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
        raise SignatureFault("policy", "key_length", "an RSA key of {bits} bits is not accepted", bits=bits)
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature.signature, digest)
        else:
            key.verify(signature.signature, digest, _PADDING, _PREHASHED)
    except InvalidSignature:
        raise SignatureFault("fail", "signature", "header or signature are not what was signed") from None


@lru_cache(maxsize=1024)
def _remembered_key(text: bytes) -> KeyRecord:
    """Most mail is signed with few keys, and reading one takes as long as using it."""
    return parse_key_record(text)


def _usable(record: KeyRecord, signature: Signature) -> PublicKey:
    """The key, if the record allows this use (RFC 6376 §6.1.2)."""
    if record.public is None:
        raise SignatureFault("permerror", "revoked", "the key was revoked")
    if record.key_type != signature.algorithm.partition("-")[0]:
        raise SignatureFault("permerror", "key_type", "the key is not of the type that the signature says")
    if not record.for_sha256:
        raise SignatureFault("permerror", "key_use", "the record does not allow the hash sha256 (h=)")
    if not record.for_mail:
        raise SignatureFault("permerror", "key_use", "the record does not allow the key for e-mail (s=)")
    if record.strict and signature.identity_domain != signature.domain:
        raise SignatureFault("permerror", "identity", "the key does not allow an identity below the domain (t=s)")
    return record.public
