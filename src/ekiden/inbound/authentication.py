"""Who a message that comes in is from, as far as SPF, DKIM, DMARC and ARC can tell. Nothing is decided here.

What one message may cost is bounded: look-ups and their time together (``lookups``), signatures, sets of a chain,
octets of what is parsed. Large messages are hashed in a thread, small ones at once: that takes no longer than to
wake a thread up. Look-ups are those of the peer's address: whoever leads us to slow name servers waits in its own
queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ekiden.access.failures import throttle_key
from ekiden.core.address import BadAddress, to_ascii_domain
from ekiden.dns.lookup_queue import on_behalf_of
from ekiden.inbound.lookups import BoundedLookup
from ekiden.inbound.verdicts import ArcFound, Authentication, DkimFound, DmarcFound, SpfFound
from ekiden.mime.author_domains import mailbox_domains
from ekiden.sender_auth.arc import ArcChain, ArcResult
from ekiden.sender_auth.authentication_results import (
    BadAuthenticationResults,
    field,
    read,
    without_claims,
)
from ekiden.sender_auth.dkim_verify import MAX_SIGNATURES, DkimResult, DkimSignatures
from ekiden.sender_auth.dmarc import DmarcResult, Identifier, evaluate
from ekiden.sender_auth.dns import RecordType, TemporaryDnsError
from ekiden.sender_auth.signatures import Compute, SignedMessage, here
from ekiden.sender_auth.spf import check_host

if TYPE_CHECKING:
    from ekiden.core.clock import Millis
    from ekiden.limits.workshop import Workshop
    from ekiden.sender_auth.dns import Lookup

PATIENCE: Final = 10.0
"""Seconds for all look-ups of one message together."""
MAX_SPF_LOOKUPS: Final = 60
"""RFC 7208 §4.6.4 allows ten terms; some of them ask more than once."""
MAX_KEY_LOOKUPS: Final = 60
"""The keys of eight signatures and of fifty-one of a chain."""
MAX_DMARC_LOOKUPS: Final = 60
"""A walk up the tree asks eight times: once for the author, once for each domain that may be aligned."""
MAX_AUTHORS: Final = 3
"""Domains of authors for which DMARC is asked."""
_LARGE: Final = 131_072
"""Octets of a message above which it is hashed in a thread."""
_LARGE_HEADER: Final = 16_384
_MANY_SETS: Final = 4
_MAX_AUTHORS_READ: Final = 8_192
"""Octets of all From fields."""
_MAX_TEXT: Final = 255

# What a message comes to that is by several authors: the worst for any of them.
_WORST: Final = ("reject", "quarantine", "none", "temperror", "permerror", "no record", "pass")


class Arrival(NamedTuple):
    """How a message came in. ``sender`` is empty for the null sender; ``at`` is when."""

    address: str
    helo: str
    sender: str
    at: Millis


class Authenticated(NamedTuple):
    """What was found, the Authentication-Results field that says so, and the content without those of others that
    claim to be ours (the same object when there was none). ``chain`` is for whoever seals (``arc.seal``)."""

    found: Authentication
    field: bytes
    content: bytes
    chain: ArcResult


class MailAuthentication:
    """One per worker."""

    def __init__(
        self,
        lookup: Lookup,
        workshop: Workshop,
        hostname: str,
        *,
        arc_trusted: Collection[str] = (),
        patience: float = PATIENCE,
    ) -> None:
        """``lookup`` goes by the cache that all share (``RememberedLookup``). ``hostname`` is the authserv-id, in
        lower case. ``arc_trusted`` are domains whose seals are believed, in lower-case A-labels."""
        self._lookup = lookup
        self._workshop = workshop
        self._hostname = hostname
        self._trusted = frozenset(arc_trusted)
        self._patience = patience

    async def authenticate(self, arrival: Arrival, content: bytes) -> Authenticated:
        """Within ``patience`` and what the thread takes. ``TimeoutError``: no thread had time for it.

        From now on the look-ups of the task that asks are those of the peer.
        """
        key = ("inbound", throttle_key(arrival.address))
        on_behalf_of(key)
        until = asyncio.get_running_loop().time() + self._patience
        # The sender's domain may be slow, and what the signatures need is asked meanwhile.
        spf_task = asyncio.create_task(self._spf(arrival, until), name="spf")
        try:
            large = len(content) > _LARGE or (
                len(content) > _LARGE_HEADER and content.find(b"\r\n\r\n", 0, _LARGE_HEADER) < 0
            )
            in_thread = partial(self._workshop.run, key)
            compute: Compute = in_thread if large else here
            message, signatures, chain, kept = await compute(partial(self._read, content, arrival.at))
            if chain.sets > _MANY_SETS:
                compute = in_thread
            keys = BoundedLookup(self._lookup, until, MAX_KEY_LOOKUPS)
            lookup = await _asked_at_once([*signatures.key_names(), *chain.key_names()], keys)
            dkim = (await signatures.results(lookup, compute))[:MAX_SIGNATURES]
            arc = await chain.result(lookup, compute)
            spf = await spf_task
        finally:
            spf_task.cancel()
        authors = _authors(message)
        dmarc = await self._dmarc(authors, spf, dkim, until)
        found = Authentication(
            spf=spf,
            dkim=tuple(map(_dkim_found, dkim)),
            dmarc=dmarc,
            arc=ArcFound(
                result=arc.result,
                reason=arc.reason,
                instance=arc.instance,
                part=arc.part,
                sealers=tuple(item.seal.domain for item in arc.sets),
                trusted=self._vouching(arc, authors),
            ),
        )
        results = found.results(arrival.address, arrival.sender)
        return Authenticated(found, field(self._hostname, results), kept, arc)

    def _read(self, content: bytes, at: Millis) -> tuple[SignedMessage, DkimSignatures, ArcChain, bytes]:
        message = SignedMessage(content)
        signatures = DkimSignatures(message, at)
        chain = ArcChain(message, at)
        message.hash_bodies()
        return message, signatures, chain, without_claims(content, (self._hostname,))

    async def _spf(self, arrival: Arrival, until: float) -> SpfFound:
        lookup = BoundedLookup(self._lookup, until, MAX_SPF_LOOKUPS)
        domain = _ascii(arrival.sender.rpartition("@")[2] if arrival.sender else arrival.helo)
        sender = arrival.sender or f"postmaster@{arrival.helo}"
        found = await check_host(
            arrival.address, domain, sender, arrival.helo, lookup, receiver=self._hostname, at=arrival.at // 1000
        )
        return SpfFound(
            result=found.word,
            reason=found.reason,
            identity="mailfrom" if arrival.sender else "helo",
            domain=domain[:_MAX_TEXT],
            mechanism=(found.mechanism or "")[:_MAX_TEXT],
        )

    async def _dmarc(
        self, authors: Sequence[str] | None, spf: SpfFound, dkim: Sequence[DkimResult], until: float
    ) -> DmarcFound:
        if authors is None:
            return DmarcFound(result="permerror", reason="no_author")
        if len(authors) > MAX_AUTHORS:
            return DmarcFound(result="permerror", reason="several_authors")
        identifiers = [Identifier("spf", spf.domain, spf.result)]
        identifiers += [
            Identifier("dkim", item.domain, item.result, item.selector or "") for item in dkim if item.domain
        ]
        lookup = BoundedLookup(self._lookup, until, MAX_DMARC_LOOKUPS)
        results = [await evaluate(author, identifiers, lookup) for author in authors]
        worst = min(results, key=_rank)
        return DmarcFound(
            result=worst.word,
            reason=worst.reason,
            domain=worst.domain,
            policy_domain=worst.policy_domain or "",
            policy=worst.policy or "none",
            disposition=worst.disposition,
            softened=worst.softened,
            aligned=tuple(dict.fromkeys(item.identifier.kind for item in worst.identifiers if item.aligned)),
        )

    def _vouching(self, arc: ArcResult, authors: Sequence[str] | None) -> str:
        """The trusted domain that saw DMARC pass for the author; empty when there is none.

        Whoever sealed after it could have changed everything: all of them are trusted as well.
        """
        if not self._trusted or arc.result != "pass" or arc.unsigned_octets or authors is None or len(authors) != 1:
            return ""
        for item in reversed(arc.sets):
            if item.seal.domain not in self._trusted:
                return ""
            try:
                seen = read(item.results).results
            except BadAuthenticationResults:
                continue
            if any(
                result.method == "dmarc"
                and result.result == "pass"
                and (result.value("header", "from") or "").rpartition("@")[2].lower() == authors[0]
                for result in seen
            ):
                return item.seal.domain
        return ""


def _ascii(domain: str) -> str:
    try:
        return to_ascii_domain(domain)
    except BadAddress:
        return domain


def _rank(result: DmarcResult) -> int:
    if result.word == "fail":
        return _WORST.index(result.disposition)
    return _WORST.index("no record" if result.word == "none" else result.word)


def _authors(message: SignedMessage) -> list[str] | None:
    """The domains of all From fields, each once; ``None``: there is none, or no reading that all readers share."""
    fields = message.fields.get(b"from", ())
    if not fields or sum(map(len, fields)) > _MAX_AUTHORS_READ:
        return None
    found: dict[str, None] = {}
    for raw in fields:
        domains = mailbox_domains(raw.partition(b":")[2].replace(b"\r\n", b"").strip(b" \t"))
        if domains is None:
            return None
        found |= dict.fromkeys(domains)
    return list(found)


async def _asked_at_once(names: Sequence[str], lookup: Lookup) -> Lookup:
    """A lookup that knows the keys at ``names``. One name is asked for when it is needed."""
    wanted = list(dict.fromkeys(names))
    if len(wanted) < 2:
        return lookup
    known: Mapping[str, Sequence[Any] | TemporaryDnsError] = dict(
        zip(wanted, await asyncio.gather(*(_answer(lookup, name) for name in wanted)), strict=True)
    )

    async def answered(name: str, rdtype: RecordType, /) -> Sequence[Any]:
        answer = known[name]
        if isinstance(answer, TemporaryDnsError):
            raise answer
        return answer

    return answered


async def _answer(lookup: Lookup, name: str) -> Sequence[Any] | TemporaryDnsError:
    try:
        return await lookup(name, "TXT")
    except TemporaryDnsError as error:
        return error


def _dkim_found(result: DkimResult) -> DkimFound:
    return DkimFound(
        result=result.result,
        reason=result.reason,
        domain=result.domain or "",
        selector=result.selector or "",
        algorithm=(result.algorithm or "")[:_MAX_TEXT],
        identity=(result.identity or "")[:_MAX_TEXT],
        beginning=result.beginning or "",
        key_bits=result.key_bits or 0,
        testing=result.testing,
        unsigned_octets=result.unsigned_octets,
    )
