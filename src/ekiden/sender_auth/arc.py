"""ARC (RFC 8617): what those who sent a message on saw before us, verified; and our own seal when we send it on.

A chain is none, right or wrong as a whole: a question that the DNS does not answer makes it wrong as anything else
does (§5.2). Whether older signatures of the message still hold (``oldest-pass``, §5.2 step 5) is not asked: nothing
here would be decided by it, and it would double what a message may cost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

from ekiden.core.clock import SECOND, Millis
from ekiden.mime.scan import scan
from ekiden.sender_auth.authentication_results import (
    BadAuthenticationResults,
    MethodResult,
    payload,
    read_instance,
)
from ekiden.sender_auth.canonical import canonical_field
from ekiden.sender_auth.dkim_errors import BadTagList
from ekiden.sender_auth.dkim_sign import (
    SIGNED,
    SigningKey,
    covered_fields,
    folded_tags,
    hash_body,
    listed_names,
    signed_value,
)
from ekiden.sender_auth.dkim_tags import parse_tags
from ekiden.sender_auth.dns import Lookup
from ekiden.sender_auth.signatures import (
    Compute,
    Reason,
    Signature,
    SignatureFault,
    SignedMessage,
    ask_for_keys,
    check_algorithm,
    check_alone,
    check_keys,
    here,
    need,
    read_base64,
    read_names,
    read_signature,
)

MAX_SETS: Final = 50
"""Of a chain (§4.2.1)."""
MAX_FIELD: Final = 16_384
"""Octets of one field of a chain."""

_RESULTS: Final = b"arc-authentication-results"
_MESSAGE: Final = b"arc-message-signature"
_SEAL: Final = b"arc-seal"
_FIELDS: Final = (_RESULTS, _MESSAGE, _SEAL)  # in the order in which a seal covers them (§5.1.1)

ArcWord = Literal["none", "pass", "fail"]
ArcReason = Literal[
    "no_chain",
    "too_many",  # sets
    "too_long",  # a field
    "instance",  # a field without one from 1 to 50
    "incomplete",  # not exactly one of each field for each instance from 1 on
    "chain_status",  # cv= is neither none in the first set and pass in the others
    "failed_before",  # the last who sealed says that it was wrong then
    "seal_covers",  # an ARC-Seal with h=
    "covers_arc",  # an ARC-Message-Signature of fields of the chain
    Reason,  # of the newest ARC-Message-Signature or an ARC-Seal
]


@dataclass(frozen=True, slots=True)
class ArcSet:
    """What one who sent the message on has added."""

    instance: int
    seal: Signature
    results: bytes
    """What it saw: ARC-Authentication-Results without name and instance, for ``authentication_results.read``."""
    canonical: tuple[bytes, ...] = field(repr=False)
    """Its three fields, as seals cover them."""


@dataclass(frozen=True, slots=True)
class ArcResult:
    """What became of a chain.

    - ``instance``: of the set that is wrong; 0: of none
    - ``part``: whose signature is wrong, when that is the reason: that of the message or the seal
    - ``sets``: from the first on; empty unless all of them could be read
    - ``highest``: the highest instance that was found
    - ``unsigned_octets``: of the body's end, that the newest signature does not cover (``l=``)
    """

    result: ArcWord
    reason: ArcReason
    instance: int = 0
    part: Literal["", "message", "seal"] = ""
    sets: tuple[ArcSet, ...] = ()
    highest: int = 0
    unsigned_octets: int = 0


async def verify_chain(content: bytes, lookup: Lookup, at: Millis) -> ArcResult:
    """The chain of a message. Never raises for anything in the message or the DNS.

    ``lookup`` is asked for TXT records only, ``at`` is the time that ``x=`` is compared with.
    """
    message = SignedMessage(content)
    chain = ArcChain(message, at)
    message.hash_bodies()
    return await chain.result(lookup)


class _Broken(Exception):
    def __init__(self, reason: ArcReason, instance: int = 0, part: Literal["", "message", "seal"] = "") -> None:
        super().__init__(reason)
        self.reason: ArcReason = reason
        self.instance = instance
        self.part: Literal["", "message", "seal"] = part


class ArcChain:
    """The chain of ``message``, read; what its body is to be hashed for is wanted of it."""

    def __init__(self, message: SignedMessage, at: Millis) -> None:
        self._message = message
        self._sets: list[ArcSet] = []
        self._newest: Signature | None = None
        self._number = 0
        self._broken: _Broken | None = None
        self._highest = 0
        try:
            self._read(at)
        except _Broken as broken:
            self._broken = broken
            self._sets = []

    @property
    def sets(self) -> int:
        """How many there are to be checked."""
        return len(self._sets)

    def key_names(self) -> list[str]:
        """What ``result`` asks the DNS for, so that all of it can be asked at once. The bodies are hashed."""
        if self._newest is None or not self._message.has_signed_body(self._newest):
            return []
        return [self._newest.key_name, *(item.seal.key_name for item in self._sets)]

    def known(self, result: ArcWord, reason: ArcReason) -> ArcResult:
        """What ``result`` said of it before, when the message came in. Nothing is checked again."""
        if result == "pass" and not self._sets:
            result = "fail"  # it was another message
        return ArcResult(result, reason, sets=tuple(self._sets), highest=self._highest)

    async def result(self, lookup: Lookup, compute: Compute = here) -> ArcResult:
        """§5.2. The bodies of the message are hashed (``SignedMessage.hash_bodies``)."""
        unsigned = 0
        broken = self._broken
        if broken is None and self._newest is None:
            return ArcResult("none", "no_chain")
        if broken is None and self._newest is not None:
            try:
                unsigned = await self._check_message(self._newest, lookup, compute)
                await self._check_seals(lookup, compute)
            except _Broken as error:
                broken = error
        if broken is not None:
            where = broken.instance, broken.part
            return ArcResult("fail", broken.reason, *where, tuple(self._sets), self._highest, unsigned)
        return ArcResult("pass", "ok", 0, "", tuple(self._sets), self._highest, unsigned)

    # reading

    def _read(self, at: Millis) -> None:
        """Raises ``_Broken``."""
        fields = [(name, self._message.fields.get(name, ())) for name in _FIELDS]
        count = sum(len(found) for _, found in fields)
        if not count:
            return
        self._highest = MAX_SETS  # nobody can seal after that
        if count > MAX_SETS * len(_FIELDS):
            raise _Broken("too_many")
        if max(len(raw) for _, found in fields for raw in found) > MAX_FIELD:
            raise _Broken("too_long")
        sets: dict[int, dict[bytes, bytes]] = {}
        tags: dict[bytes, dict[str, bytes]] = {}
        results: dict[int, bytes] = {}
        doubled = 0
        unplaced = False
        for name, found in fields:
            for raw in found:
                instance, rest, read = _instance(name, raw)
                if not instance:
                    unplaced = True
                    continue
                placed = sets.setdefault(instance, {})
                if name in placed:
                    doubled = instance
                placed[name] = raw
                tags[raw] = read
                if name == _RESULTS:
                    results[instance] = rest
        self._highest = max(sets, default=0)
        last = sets.get(self._highest, {}).get(_SEAL)
        if last is not None and tags[last].get("cv", b"").lower() == b"fail":
            raise _Broken("failed_before", self._highest)
        if unplaced:
            raise _Broken("instance")
        if doubled:
            raise _Broken("incomplete", doubled)
        for instance in range(1, self._highest + 1):
            if len(sets.get(instance, ())) != len(_FIELDS):
                raise _Broken("incomplete", instance)
        for instance in range(1, self._highest + 1):
            raws = sets[instance]
            seal = _read_seal(raws[_SEAL], tags[raws[_SEAL]], instance)
            canonical = tuple(canonical_field(raws[name], "relaxed") for name in _FIELDS)
            self._sets.append(ArcSet(instance, seal, results[instance], canonical))
        newest = sets[self._highest][_MESSAGE]
        self._number = self._message.fields[_MESSAGE].index(newest)
        self._newest = _read_message_signature(newest, tags[newest], self._highest, at)
        self._message.want(self._newest)

    # checking

    async def _check_message(self, newest: Signature, lookup: Lookup, compute: Compute) -> int:
        """The octets that the newest signature does not cover. Raises ``_Broken``."""
        try:
            unsigned = self._message.check_body(newest)
            records = await ask_for_keys(newest, lookup)

            def check() -> None:
                check_keys(records, newest, self._message.digest(newest, _MESSAGE, self._number), {})

            await compute(check)
            self._message.check_authors(newest)
        except SignatureFault as fault:
            raise _Broken(fault.reason, self._highest, "message") from None
        return unsigned

    async def _check_seals(self, lookup: Lookup, compute: Compute) -> None:
        """From the newest to the first. Raises ``_Broken``."""
        digests = _seal_digests(self._sets)
        for item, digest in zip(reversed(self._sets), reversed(digests), strict=True):
            try:
                records = await ask_for_keys(item.seal, lookup)
                await compute(partial(check_keys, records, item.seal, digest, {}))
            except SignatureFault as fault:
                raise _Broken(fault.reason, item.instance, "seal") from None


def _instance(name: bytes, raw: bytes) -> tuple[int, bytes, dict[str, bytes]]:
    """The instance of a field, 0 when it has none, and the rest of ARC-Authentication-Results or the tags."""
    value = raw.partition(b":")[2]
    tags: dict[str, bytes] = {}
    rest = b""
    try:
        if name == _RESULTS:
            instance, rest = read_instance(value)
        else:
            tags = parse_tags(value)
            position = tags.get("i", b"")
            instance = int(position) if position.isdigit() and len(position) <= 2 else 0
    except (BadAuthenticationResults, BadTagList):
        instance = 0
    return (instance if instance <= MAX_SETS else 0), rest, tags


def _read_seal(raw: bytes, tags: Mapping[str, bytes], instance: int) -> Signature:
    """§4.1.3. Raises ``_Broken``."""
    if "h" in tags:
        raise _Broken("seal_covers", instance)
    if tags.get("cv", b"").lower() != (b"none" if instance == 1 else b"pass"):
        raise _Broken("chain_status", instance)
    facts: dict[str, Any] = {}
    try:
        read_names(facts, tags)
        need(tags, ("a", "b", "d", "s"))
        check_algorithm(facts["algorithm"])
        signature = read_base64(tags, "b")
    except SignatureFault as fault:
        raise _Broken(fault.reason, instance, "seal") from None
    return Signature(raw, facts["domain"], facts["selector"], facts["algorithm"], signature, facts["domain"])


def _read_message_signature(raw: bytes, tags: Mapping[str, bytes], instance: int, at: Millis) -> Signature:
    """§4.1.2. Raises ``_Broken``."""
    facts: dict[str, Any] = {}
    try:
        read_names(facts, tags)
        need(tags, ("a", "b", "bh", "d", "h", "s"))
        signature = read_signature(raw, tags, facts)
        check_alone(signature, at)
    except SignatureFault as fault:
        raise _Broken(fault.reason, instance, "message") from None
    if any(name in signature.names for name in _FIELDS):
        raise _Broken("covers_arc", instance)
    return signature


def _seal_digests(sets: Sequence[ArcSet]) -> list[bytes]:
    """What each seal was computed over: all sets before it and its own (§5.1.1)."""
    digests = []
    before = hashlib.sha256()
    for item in sets:
        results, message, seal = item.canonical
        own = before.copy()
        own.update(b"\r\n".join((results, message, item.seal.own_field())))
        digests.append(own.digest())
        before.update(b"\r\n".join((results, message, seal, b"")))
    return digests


# sealing


def seal(
    content: bytes,
    key: SigningKey,
    at: Millis,
    *,
    authserv_id: str,
    results: Sequence[MethodResult],
    chain: ArcResult,
) -> bytes:
    """The fields of the next set, to be put before ``content``, which nobody changes after that (§5.1).

    ``results`` and ``chain`` are what was found when the message came in. Empty when the chain has ended: it was
    wrong for whoever sealed last, or is full. Raises ``NoFromField``. Takes as long as two signatures of DKIM do.
    """
    instance = chain.highest + 1
    if chain.reason == "failed_before" or instance > MAX_SETS:
        return b""
    header = scan(content)
    names, signed = covered_fields(header.raw, (*SIGNED, b"dkim-signature"))
    seen = b"ARC-Authentication-Results: i=%d; %b\r\n" % (instance, payload(authserv_id, results))
    tags = (f"a={key.algorithm};", f"d={key.domain};", f"s={key.selector};", f"t={at // SECOND};")

    start = folded_tags("ARC-Message-Signature:", (f"i={instance};", "c=relaxed/relaxed;", *tags))
    text = b"%b%b\r\n bh=%b;\r\n b=" % (start, listed_names(names), hash_body(content[header.body :], ()))
    covered = [canonical_field(raw, "relaxed") for raw in (*signed, text)]
    message = text + signed_value(key.private, hashlib.sha256(b"\r\n".join(covered)).digest())

    text = folded_tags("ARC-Seal:", (f"i={instance};", f"cv={chain.result};", *tags)) + b"\r\n b="
    # A chain that is wrong is not covered: the seal says so of itself alone (§5.1.2).
    before = [item for done in chain.sets for item in done.canonical] if chain.result == "pass" else []
    own = [canonical_field(raw.removesuffix(b"\r\n"), "relaxed") for raw in (seen, message, text)]
    seal_field = text + signed_value(key.private, hashlib.sha256(b"\r\n".join((*before, *own))).digest())
    return seal_field + message + seen
