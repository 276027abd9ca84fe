"""The lab's DNS data: record sets that can be edited at any time, faults of names, and the answer to a query."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from ekiden.lab.behaviour import LabError

Fault = Literal["nxdomain", "servfail", "refused", "timeout", "truncated", "delay"]
MAX_CNAMES = 8
_QUOTED = re.compile(r'\s*"')
_UNASKABLE = frozenset({dns.rdatatype.ANY, dns.rdatatype.AXFR, dns.rdatatype.IXFR, dns.rdatatype.OPT})


class Trouble(NamedTuple):
    """What goes wrong when a name is asked for; ``delay`` in seconds."""

    fault: Fault
    delay: float = 0.0


Labels = tuple[bytes, ...]
"""Of a name, in lower case, the root's empty one last. A ``dns.name.Name`` as a key is hashed octet by octet in
Python each time that it is looked for.
"""


@lru_cache(4096)
def parse_name(text: str) -> dns.name.Name:
    """An absolute, lower-case name; U-labels are encoded (IDNA 2008). ``LabError`` when it is no name."""
    try:
        name = dns.name.from_text(text, idna_codec=dns.name.IDNA_2008_Practical)
        return name.canonicalize()
    except (dns.exception.DNSException, UnicodeError) as error:
        raise LabError(f"{text!r} is not a domain name: {error}") from None


def parse_type(text: str) -> dns.rdatatype.RdataType:
    """A record type by its mnemonic or as TYPEnnn."""
    try:
        rdtype = dns.rdatatype.from_text(text)
    except (dns.exception.DNSException, ValueError):
        raise LabError(f"{text!r} is no DNS record type") from None
    if rdtype in _UNASKABLE:
        raise LabError(f"records of type {text} cannot be set")
    return rdtype


def parse_value(rdtype: dns.rdatatype.RdataType, text: str) -> dns.rdata.Rdata:
    """One record's data in presentation format. A TXT text need not be quoted or cut into pieces of 255 octets."""
    try:
        if rdtype == dns.rdatatype.TXT and not _QUOTED.match(text):
            octets = text.encode()
            pieces = [octets[i : i + 255] for i in range(0, len(octets), 255)] or [b""]
            text = " ".join('"' + "".join(_txt_octet(o) for o in piece) + '"' for piece in pieces)
        return dns.rdata.from_text(dns.rdataclass.IN, rdtype, text, origin=dns.name.root, relativize=False)
    except (dns.exception.DNSException, ValueError) as error:
        raise LabError(f"{text!r} is no {dns.rdatatype.to_text(rdtype)} record: {error}") from None


def _txt_octet(octet: int) -> str:
    if octet in b'"\\' or not 32 <= octet < 127:
        return f"\\{octet:03d}"
    return chr(octet)


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True)


class Records:
    """All record sets of the lab. Names outside every one of them do not exist.

    Wildcards work as RFC 4592 says. ``ttl`` (seconds) is that of every answer, negative ones included.
    """

    def __init__(self, zone: str, ttl: int) -> None:
        self.ttl = ttl
        self._zone = parse_name(zone)
        self._data: dict[Labels, dict[dns.rdatatype.RdataType, list[dns.rdata.Rdata]]] = {}
        self._below: dict[Labels, int] = {}  # how many names with records are at or below this one
        self._troubles: dict[Labels, Trouble] = {}

    def put(self, name: str, rdtype: str, values: Iterable[str]) -> None:
        """Replace the record set; no values removes it. Raises ``LabError`` and changes nothing when a value
        is wrong."""
        owner, kind = parse_name(name).labels, parse_type(rdtype)
        data = [parse_value(kind, value) for value in values]
        if not data:
            self.remove(name, rdtype)
            return
        others = self._data.get(owner, {}).keys() - {kind}
        if others and (kind == dns.rdatatype.CNAME or dns.rdatatype.CNAME in others):
            raise LabError(f"{name}: a CNAME record cannot stand beside others (RFC 1034 §3.6.2)")
        if owner not in self._data:
            self._data[owner] = {}
            self._count(owner, 1)
        self._data[owner][kind] = data

    def remove(self, name: str, rdtype: str | None = None) -> bool:
        """Remove one record set, or all of a name. Says whether there was one."""
        owner = parse_name(name).labels
        sets = self._data.get(owner)
        if sets is None:
            return False
        found = True
        if rdtype is None:
            sets.clear()
        else:
            found = sets.pop(parse_type(rdtype), None) is not None
        if not sets:
            del self._data[owner]
            self._count(owner, -1)
        return found

    def _count(self, owner: Labels, by: int) -> None:
        for start in range(len(owner)):
            node = owner[start:]
            count = self._below.get(node, 0) + by
            if count:
                self._below[node] = count
            else:
                del self._below[node]

    def set_trouble(self, name: str, trouble: Trouble | None) -> None:
        """Make every query for exactly this name fail so; None heals it."""
        owner = parse_name(name).labels
        if trouble is None:
            self._troubles.pop(owner, None)
        else:
            self._troubles[owner] = trouble

    def listing(self, name: str | None = None) -> dict[str, dict[str, list[str]]]:
        """``{name: {type: [values]}}`` of everything, or of one name."""
        chosen = sorted(
            ((dns.name.Name(labels), sets) for labels, sets in self._data.items()), key=lambda item: item[0]
        )
        if name is not None:
            owner = parse_name(name)
            chosen = [(owner, self._data[owner.labels])] if owner.labels in self._data else []
        return {
            _text(owner): {
                dns.rdatatype.to_text(kind): [v.to_text() for v in values] for kind, values in sets.items()
            }
            for owner, sets in chosen
        }

    def answer(self, query: dns.message.Message) -> tuple[dns.message.Message, Trouble | None]:
        """The response to ``query`` and the trouble that the server has to make with it."""
        response = dns.message.make_response(query, recursion_available=True)
        response.flags |= dns.flags.AA
        if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
            response.set_rcode(dns.rcode.NOTIMP)
            return response, None
        question = query.question[0]
        name, rdtype = question.name.canonicalize(), question.rdtype
        trouble = self._troubles.get(name.labels)
        if trouble is not None and trouble.fault in ("nxdomain", "servfail", "refused"):
            response.set_rcode(dns.rcode.from_text(trouble.fault))
            if trouble.fault == "nxdomain":
                self._negative(response, name)
            return response, trouble
        owner = question.name
        for _ in range(MAX_CNAMES):
            sets = self._lookup(name.labels)
            if sets is None:
                response.set_rcode(dns.rcode.NXDOMAIN)
                self._negative(response, name)
                break
            alias = sets.get(dns.rdatatype.CNAME)
            if alias and rdtype != dns.rdatatype.CNAME:
                response.answer.append(dns.rrset.from_rdata_list(owner, self.ttl, alias))
                owner = alias[0].target  # type: ignore[attr-defined]
                name = owner.canonicalize()
                continue
            kinds = list(sets) if rdtype == dns.rdatatype.ANY else [rdtype]
            found = [sets[kind] for kind in kinds if kind in sets]
            for values in found:
                response.answer.append(dns.rrset.from_rdata_list(owner, self.ttl, values))
            if not found:
                self._negative(response, name)
            break
        return response, trouble

    def _lookup(self, name: Labels) -> dict[dns.rdatatype.RdataType, list[dns.rdata.Rdata]] | None:
        """The record sets of a name: its own, none (it only has names below), a wildcard's; None: it does not
        exist."""
        sets = self._data.get(name)
        if sets is not None:
            return sets
        if name in self._below:
            return {}
        for start in range(1, len(name)):
            encloser = name[start:]
            if encloser in self._below:
                return self._data.get((b"*", *encloser))
        return None

    def _negative(self, response: dns.message.Message, name: dns.name.Name) -> None:
        """The SOA record that says how long the negative answer may be kept (RFC 2308 §3)."""
        zone = self._zone if name.is_subdomain(self._zone) else dns.name.root
        soa = f"ns.{_text(self._zone)}. hostmaster.{_text(self._zone)}. 1 3600 600 86400 {self.ttl}"
        response.authority.append(dns.rrset.from_text(zone, self.ttl, "IN", "SOA", soa))
