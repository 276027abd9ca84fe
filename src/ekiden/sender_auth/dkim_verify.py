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

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ekiden.core.clock import Millis
from ekiden.core.language import Language
from ekiden.sender_auth.dkim_errors import BadTagList
from ekiden.sender_auth.dkim_tags import FWS, parse_tags
from ekiden.sender_auth.dkim_translations import TEXTS
from ekiden.sender_auth.dns import Lookup
from ekiden.sender_auth.signatures import (
    Compute,
    Reason,
    Result,
    Signature,
    SignatureFault,
    SignedMessage,
    ask_for_keys,
    check_alone,
    check_keys,
    here,
    need,
    read_host,
    read_names,
    read_signature,
)

MAX_SIGNATURES = 8
"""Signatures looked at per message, from the top; each costs a DNS question and a computation."""
_REQUIRED = ("v", "a", "b", "bh", "d", "h", "s")  # RFC 6376 §3.5
_SIGNATURE = b"dkim-signature"
_BEGINNING = 8


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
    beginning: str | None = None
    """The first characters of ``b=``, which tell signatures of one domain apart (RFC 6008)."""
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
    message = SignedMessage(content)
    signatures = DkimSignatures(message, at)
    message.hash_bodies()
    return await signatures.results(lookup)


class DkimSignatures:
    """The signatures of ``message``, read; what their bodies are to be hashed for is wanted of it."""

    def __init__(self, message: SignedMessage, at: Millis) -> None:
        self._message = message
        self._count = len(message.fields.get(_SIGNATURE, ()))
        self._read: list[tuple[Signature | SignatureFault, dict[str, Any]]] = []
        for raw in message.fields.get(_SIGNATURE, ())[:MAX_SIGNATURES]:
            facts: dict[str, Any] = {}
            try:
                signature = _read(raw, facts)
                check_alone(signature, at)
            except SignatureFault as fault:
                self._read.append((fault, facts))
            else:
                message.want(signature)
                self._read.append((signature, facts))

    def key_names(self) -> list[str]:
        """What ``results`` asks the DNS for, so that all of it can be asked at once. The bodies are hashed."""
        return [
            read.key_name
            for read, _ in self._read
            if isinstance(read, Signature) and self._message.has_signed_body(read)
        ]

    async def results(self, lookup: Lookup, compute: Compute = here) -> list[DkimResult]:
        """One for each field. The bodies of the message are hashed (``SignedMessage.hash_bodies``)."""
        results = []
        for number, (read, facts) in enumerate(self._read):
            try:
                if isinstance(read, SignatureFault):
                    raise read
                await self._check(read, number, lookup, compute, facts)
            except SignatureFault as fault:
                results.append(DkimResult(fault.result, fault.reason, fault.template, fault.values, **facts))
            else:
                results.append(DkimResult("pass", "ok", "the signature is right", **facts))
        more = DkimResult("policy", "too_many", "only {count} signatures are looked at", {"count": MAX_SIGNATURES})
        return results + [more] * (self._count - len(results))

    async def _check(
        self, signature: Signature, number: int, lookup: Lookup, compute: Compute, facts: dict[str, Any]
    ) -> None:
        # Before the DNS is asked: a body that was changed is the usual failure, and no key can mend it.
        facts["unsigned_octets"] = self._message.check_body(signature)
        records = await ask_for_keys(signature, lookup)

        def check() -> None:
            check_keys(records, signature, self._message.digest(signature, _SIGNATURE, number), facts)

        await compute(check)
        self._message.check_authors(signature)


def _read(raw: bytes, facts: dict[str, Any]) -> Signature:
    """Read the field; what is known goes into ``facts`` at once, so that a result tells whose signature failed."""
    try:
        tags = parse_tags(raw.partition(b":")[2])
    except BadTagList as error:
        raise SignatureFault("neutral", "syntax", error.template, **error.values) from None
    read_names(facts, tags)
    domain = facts["domain"]
    facts["identity"] = f"@{domain}" if domain else None
    need(tags, _REQUIRED)
    facts["beginning"] = tags["b"].translate(None, FWS)[:_BEGINNING].decode("ascii", "replace")
    if tags["v"] != b"1":
        raise SignatureFault("neutral", "version", "the signature is of another version than 1")
    identity_domain = domain
    if "i" in tags:
        facts["identity"] = tags["i"].decode("utf-8", "replace")
        identity_domain = read_host(tags["i"].rpartition(b"@")[2], "i")
        if b"@" not in tags["i"] or not (identity_domain == domain or identity_domain.endswith("." + domain)):
            raise SignatureFault("permerror", "identity", "the identity (i=) does not belong to the domain (d=)")
    return read_signature(raw, tags, facts, identity_domain)
