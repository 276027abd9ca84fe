"""Verifying the signatures of a message (RFC 6376 §6, RFC 8301, RFC 8463), in the words of RFC 8601 §2.7.1.

- ``pass``: the signature is right, and the body as far as it was signed
- ``fail``: body, signed header or signature are not what was signed
- ``neutral``: the signature's text has errors, or uses what is not defined (version, algorithm, canonical form)
- ``permerror``: the key cannot be had or does not allow this use, From is not signed, the signature has expired
- ``temperror``: the DNS gave no answer
- ``policy``: not accepted here whatever it says: rsa-sha1, short or huge RSA keys, a From that nobody signed, more
  signatures or signed fields than are looked at
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from ekiden.core.address import BadAddress, to_ascii_domain
from ekiden.core.clock import SECOND, Millis
from ekiden.core.language import Language
from ekiden.mime.scan import scan
from ekiden.sender_auth.canonical import Canonicalization, canonical_body, canonical_field, field_name, split_fields
from ekiden.sender_auth.dkim_errors import BadKeyRecord, BadTagList
from ekiden.sender_auth.dkim_key import MAX_RSA_BITS, MIN_RSA_BITS, KeyRecord, key_bits, parse_key_record
from ekiden.sender_auth.dkim_tags import FWS, decode_base64, parse_tags, without_value, words
from ekiden.sender_auth.dkim_translations import TEXTS
from ekiden.sender_auth.dns import Lookup, TemporaryDnsError

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

MAX_SIGNATURES = 10
"""Signatures looked at per message, from the top; each costs a DNS question and a computation."""
MAX_NAMES = 1000
"""Names in ``h=``; more are no signature of anybody who sends mail, but work for us."""
_MAX_KEYS = 3
_REQUIRED = ("v", "a", "b", "bh", "d", "h", "s")  # RFC 6376 §3.5
_NUMBER = re.compile(rb"[0-9]{1,76}\Z")
_NAME = re.compile(r"[!-9<-~]+\Z")
_FORMS: dict[bytes, Canonicalization] = {b"simple": "simple", b"relaxed": "relaxed"}
_SIGNATURE = b"dkim-signature"
_PADDING = PKCS1v15()
_PREHASHED = Prehashed(SHA256())


@dataclass(frozen=True, slots=True)
class DkimResult:
    """What became of one signature. What its text did not give is ``None``."""

    result: Result
    reason: Reason
    template: str
    values: Mapping[str, object] = field(default_factory=dict)
    domain: str | None = None
    """``d=`` in A-labels, which DMARC compares with From."""
    selector: str | None = None
    algorithm: str | None = None
    identity: str | None = None
    """``i=`` as it stands there, or ``@`` and the domain."""
    key_bits: int | None = None
    testing: bool = False
    """The key says ``t=y``: this domain asks to be treated as if it did not sign."""
    unsigned_octets: int = 0
    """How much of the body's end the signature does not cover (``l=``); anybody can have added that."""

    def text(self, lang: Language) -> str:
        """The result as a sentence for people."""
        return TEXTS(self.template, lang, **self.values)


async def verify(content: bytes, lookup: Lookup, at: Millis) -> list[DkimResult]:
    """The result of each ``DKIM-Signature`` field from the top; empty for a message that has none.

    ``lookup`` is asked for TXT records only, ``at`` is the time that ``x=`` is compared with. Never raises for
    anything in the message or the DNS.
    """
    message = _Message(content)
    results = []
    for number, raw in enumerate(message.fields.get(_SIGNATURE, [])):
        if number >= MAX_SIGNATURES:
            results.append(
                DkimResult("policy", "too_many", "only {count} signatures are looked at", {"count": MAX_SIGNATURES})
            )
            continue
        facts: dict[str, Any] = {}
        try:
            signature = _read(raw, facts)
            _check_alone(signature, at)
            await _check(signature, message, number, lookup, facts)
        except _Verdict as verdict:
            results.append(DkimResult(verdict.result, verdict.reason, verdict.template, verdict.values, **facts))
        else:
            results.append(DkimResult("pass", "ok", "the signature is right", **facts))
    return results


class _Verdict(Exception):
    """Ends the check of one signature with its result."""

    def __init__(self, result: Result, reason: Reason, template: str, **values: object) -> None:
        super().__init__(template)
        self.result: Result = result
        self.reason: Reason = reason
        self.template = template
        self.values = values


@dataclass(frozen=True, slots=True)
class _Signature:
    raw: bytes
    domain: str
    selector: str
    algorithm: str
    identity_domain: str
    header_form: Canonicalization
    body_form: Canonicalization
    body_hash: bytes
    signature: bytes
    names: list[bytes]
    length: int | None
    made: int | None
    expires: int | None


class _Message:
    """The message, canonicalised once per form however many signatures it has."""

    def __init__(self, content: bytes) -> None:
        header = scan(content)
        self.fields: dict[bytes, list[bytes]] = {}
        for raw in split_fields(header.raw):
            self.fields.setdefault(field_name(raw), []).append(raw)
        self._content = content
        self._body = header.body
        self._bodies: dict[Canonicalization, bytes] = {}

    def body(self, form: Canonicalization) -> bytes:
        if form not in self._bodies:
            self._bodies[form] = canonical_body(self._content[self._body :], form)
        return self._bodies[form]

    def signed(self, signature: _Signature, number: int) -> bytes:
        """What the signature was computed over (RFC 6376 §3.7); ``number`` is its own among the signatures."""
        left = {name: list(self.fields.get(name, ())) for name in set(signature.names)}
        if _SIGNATURE in left:
            del left[_SIGNATURE][number]  # a signature never covers itself as one of the fields
        parts = [canonical_field(left[name].pop(), signature.header_form) for name in signature.names if left[name]]
        name, colon, value = signature.raw.partition(b":")
        own = name + colon + without_value(value, b"b")
        parts.append(canonical_field(own, signature.header_form))
        return b"\r\n".join(parts)


def _read(raw: bytes, facts: dict[str, Any]) -> _Signature:
    """Read the field; what is known goes into ``facts`` at once, so that a result tells whose signature failed."""
    try:
        tags = parse_tags(raw.partition(b":")[2])
    except BadTagList as error:
        raise _Verdict("neutral", "syntax", error.template, **error.values) from None
    algorithm = tags.get("a", b"").lower().decode("utf-8", "replace")
    facts["algorithm"] = algorithm or None
    domain = _domain(tags, "d")
    selector = _domain(tags, "s")
    facts.update(domain=domain, selector=selector, identity=f"@{domain}" if domain else None)
    for name in _REQUIRED:
        if not tags.get(name):
            raise _Verdict("neutral", "missing_tag", "the signature has no {tag}=", tag=name)
    if tags["v"] != b"1":
        raise _Verdict("neutral", "version", "the signature is of another version than 1")
    assert domain is not None
    assert selector is not None

    identity_domain = domain
    if "i" in tags:
        facts["identity"] = tags["i"].decode("utf-8", "replace")
        identity_domain = _host(tags["i"].rpartition(b"@")[2], "i")
        if b"@" not in tags["i"] or not (identity_domain == domain or identity_domain.endswith("." + domain)):
            raise _Verdict("permerror", "identity", "the identity (i=) does not belong to the domain (d=)")
    header_form, _, body_form = tags.get("c", b"simple").lower().partition(b"/")
    if header_form not in _FORMS or (body_form or b"simple") not in _FORMS:
        raise _Verdict("neutral", "canonicalization", "the canonical form (c=) is not known")
    if "q" in tags and "dns/txt" not in words(tags["q"]):
        raise _Verdict("neutral", "query", "the key is to be asked for in a way (q=) that is not known")
    if tags["h"].count(b":") >= MAX_NAMES:
        raise _Verdict(
            "policy", "too_many", "signatures of more than {count} fields are not looked at", count=MAX_NAMES
        )
    names = words(tags["h"])
    if not all(_NAME.match(name) for name in names):
        raise _Verdict("neutral", "syntax", "the list of fields (h=) is not right")
    try:
        body_hash, signature = decode_base64(tags["bh"]), decode_base64(tags["b"])
    except BadTagList as error:
        raise _Verdict("neutral", "syntax", error.template, **error.values) from None
    return _Signature(
        raw=raw,
        domain=domain,
        selector=selector,
        algorithm=algorithm,
        identity_domain=identity_domain,
        header_form=_FORMS[header_form],
        body_form=_FORMS[body_form or b"simple"],
        body_hash=body_hash,
        signature=signature,
        names=[name.encode("ascii") for name in names],
        length=_number(tags, "l"),
        made=_number(tags, "t"),
        expires=_number(tags, "x"),
    )


def _domain(tags: dict[str, bytes], tag: str) -> str | None:
    return _host(tags[tag], tag) if tags.get(tag) else None


def _host(value: bytes, tag: str) -> str:
    """A domain or selector in A-labels; U-labels are allowed since RFC 8616."""
    try:
        name = to_ascii_domain(value.strip(FWS).decode("utf-8"))
    except (BadAddress, UnicodeDecodeError):
        name = "["
    if name.startswith("["):
        raise _Verdict("neutral", "syntax", "the value of {tag}= is not a domain name", tag=tag)
    return name


def _number(tags: dict[str, bytes], tag: str) -> int | None:
    if tag not in tags:
        return None
    if not _NUMBER.match(tags[tag]):
        raise _Verdict("neutral", "syntax", "the value of {tag}= is not a number", tag=tag)
    return int(tags[tag])


def _check_alone(signature: _Signature, at: Millis) -> None:
    """What can be said without the DNS and the rest of the message (RFC 6376 §6.1.1)."""
    if signature.algorithm == "rsa-sha1":
        raise _Verdict("policy", "algorithm", "rsa-sha1 is not accepted any more")  # RFC 8301 §3.1
    if signature.algorithm not in ("rsa-sha256", "ed25519-sha256"):
        raise _Verdict("neutral", "algorithm", "the algorithm (a=) is not known")
    if b"from" not in signature.names:
        raise _Verdict("permerror", "from_not_signed", "the signature does not cover From")
    if signature.expires is not None:
        if signature.made is not None and signature.expires <= signature.made:
            raise _Verdict("neutral", "syntax", "the signature expires (x=) before it was made (t=)")
        if at // SECOND > signature.expires:
            raise _Verdict("permerror", "expired", "the signature has expired")


async def _check(
    signature: _Signature, message: _Message, number: int, lookup: Lookup, facts: dict[str, Any]
) -> None:
    body = message.body(signature.body_form)
    if signature.length is not None:
        if signature.length > len(body):
            raise _Verdict("fail", "body_short", "the body is shorter than what was signed (l=)")
        facts["unsigned_octets"] = len(body) - signature.length
        body = body[: signature.length]
    # Before the DNS is asked: a body that was changed is the usual failure, and no key can mend it.
    if hashlib.sha256(body).digest() != signature.body_hash:
        raise _Verdict("fail", "body", "the body is not the one that was signed")

    name = f"{signature.selector}._domainkey.{signature.domain}"
    try:
        records: Sequence[bytes] = await lookup(name, "TXT")
    except TemporaryDnsError:
        raise _Verdict("temperror", "dns", "the DNS gave no answer for {name}", name=name) from None
    if not records:
        raise _Verdict("permerror", "no_key", "there is no key at {name}", name=name)

    digest = hashlib.sha256(message.signed(signature, number)).digest()
    failure: _Verdict | None = None
    # One record is allowed; where there are several, each may be tried (RFC 6376 §6.1.2).
    for text in records[:_MAX_KEYS]:
        key_facts: dict[str, Any] = {}
        try:
            _check_key(text, signature, digest, key_facts)
        except _Verdict as verdict:
            if failure is None:
                failure = verdict
                facts.update(key_facts)
            continue
        facts.update(key_facts)
        break
    else:
        assert failure is not None
        raise failure
    if signature.names.count(b"from") < len(message.fields.get(b"from", ())):
        raise _Verdict("policy", "unsigned_from", "the message has a From that the signature does not cover")


def _check_key(text: bytes, signature: _Signature, digest: bytes, facts: dict[str, Any]) -> None:
    try:
        record = parse_key_record(text)
    except BadKeyRecord as error:
        raise _Verdict("permerror", "bad_key", error.template, **error.values) from None
    facts["testing"] = record.testing
    key = _usable(record, signature)
    bits = facts["key_bits"] = key_bits(key)
    if isinstance(key, RSAPublicKey) and not MIN_RSA_BITS <= bits <= MAX_RSA_BITS:
        raise _Verdict("policy", "key_length", "an RSA key of {bits} bits is not accepted", bits=bits)
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature.signature, digest)
        else:
            key.verify(signature.signature, digest, _PADDING, _PREHASHED)
    except InvalidSignature:
        raise _Verdict("fail", "signature", "header or signature are not what was signed") from None


def _usable(record: KeyRecord, signature: _Signature) -> RSAPublicKey | Ed25519PublicKey:
    """The key, if the record allows this use (RFC 6376 §6.1.2)."""
    if record.public is None:
        raise _Verdict("permerror", "revoked", "the key was revoked")
    if record.key_type != signature.algorithm.partition("-")[0]:
        raise _Verdict("permerror", "key_type", "the key is not of the type that the signature says")
    if not record.for_sha256:
        raise _Verdict("permerror", "key_use", "the record does not allow the hash sha256 (h=)")
    if not record.for_mail:
        raise _Verdict("permerror", "key_use", "the record does not allow the key for e-mail (s=)")
    if record.strict and signature.identity_domain != signature.domain:
        raise _Verdict("permerror", "identity", "the key does not allow an identity below the domain (t=s)")
    return record.public
