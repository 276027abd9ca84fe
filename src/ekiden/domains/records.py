"""The records that the owner of a domain is to publish, with what was seen of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from ekiden.core.clock import SECOND
from ekiden.domains.config import DomainsConfig
from ekiden.domains.examine import dmarc_suggestion, spf_suggestion
from ekiden.domains.model import Check, Domain, Key, Kind, Record
from ekiden.domains.outgoing import own_spf
from ekiden.domains.return_paths import Incoming, rp_spf

_TTL: Final = 3_600  # seconds: a mistake is over soon, and recursive name servers are asked seldom enough
_STRING: Final = 255  # octets of one string of a TXT record, RFC 1035 §3.3
_ORDER: Final = {"pending": 0, "active": 1, "retired": 2}
_STATUS: Final[Mapping[str, Literal["pending", "successful", "failed"]]] = {
    "pass": "successful",
    "fail": "failed",
    "temporary": "pending",
    "advice": "failed",
}


def records_of(
    domain: Domain,
    keys: Iterable[Key],
    checks: Mapping[tuple[Kind, str], Check],
    config: DomainsConfig,
    include: str,
    incoming: Incoming | None = None,
) -> list[Record]:
    """SPF, DKIM (new keys before old ones), DMARC and the address, in this order; where bounces are received those
    of the return path."""
    records = [_spf(domain, checks.get(("spf", domain.name)), config, include)]
    for key in sorted(keys, key=lambda key: (_ORDER[key.status], key.id)):
        check = checks.get((key.kind, key.name))
        required = key.kind == "dkim"
        if key.status == "retired":
            until = (key.retired_at or 0) + round(config.overlap * SECOND)
            records.append(Record(key.kind, key.name, "TXT", key.record, required, "retired", check, until))
        else:
            records.append(Record(key.kind, key.name, "TXT", key.record, required, _status(check), check))
    dmarc = next((check for (kind, _), check in reversed(list(checks.items())) if kind == "dmarc"), None)
    name = f"_dmarc.{domain.name}"
    value = dmarc_suggestion(domain.name)
    if dmarc is not None:
        value = dmarc.answered[0] if _published(dmarc) else dmarc.values.get("suggestion", value)
    records.append(Record("dmarc", name, "TXT", value, False, _status(dmarc), dmarc))
    address = checks.get(("address", domain.name))
    records.append(Record("address", domain.name, "A", "", config.require_address, _status(address), address))
    if incoming is not None and domain.receive_bounces:
        records += _return_path(incoming.of(domain), checks, include, incoming)
    return records


def _return_path(
    host: str, checks: Mapping[tuple[Kind, str], Check], include: str, incoming: Incoming
) -> list[Record]:
    alias = "" if host == incoming.host else incoming.host
    mx, spf = checks.get(("rp_mx", host)), checks.get(("rp_spf", host))
    return [
        Record("rp_mx", host, "MX", incoming.record, False, _status(mx), mx, alias=alias),
        Record("rp_spf", host, "TXT", rp_spf(include), False, _status(spf), spf),
    ]


def _spf(domain: Domain, check: Check | None, config: DomainsConfig, include: str) -> Record:
    """Of a domain that has an SPF record already, that one with us in it: a second one would break both."""
    value = spf_suggestion("", include)
    if domain.name == include:  # the record that the others include
        value = own_spf(config.addresses)
        if check is not None and len(check.answered) == 1:
            value = check.answered[0]
        return Record("spf", domain.name, "TXT", value, True, _status(check), check)
    if check is not None and len(check.answered) == 1:
        (record,) = check.answered
        value = record if check.code in ("", "without_include") else check.values.get("suggestion", value)
    return Record("spf", domain.name, "TXT", value, True, _status(check), check)


def _published(dmarc: Check) -> bool:
    return dmarc.code in ("", "dmarc_advice") and len(dmarc.answered) == 1


def _status(check: Check | None) -> Literal["pending", "successful", "failed"]:
    return "pending" if check is None else _STATUS[check.result]


def zone_line(record: Record) -> str:
    """The record as a line of a zone file (RFC 1035 §5.1); empty for an address, which is the owner's affair."""
    if record.type == "MX":
        return f"{record.name}. {_TTL} IN MX {record.value}."
    if record.type != "TXT":
        return ""
    octets = record.value.encode()
    strings = [octets[start : start + _STRING] for start in range(0, len(octets), _STRING)]
    quoted = " ".join(f'"{"".join(_escaped(octet) for octet in string)}"' for string in strings)
    return f"{record.name}. {_TTL} IN TXT {quoted}"


def _escaped(octet: int) -> str:
    if octet in b'"\\':
        return f"\\{chr(octet)}"
    return chr(octet) if 32 <= octet < 127 else f"\\{octet:03d}"


def alias_line(record: Record) -> str:
    """The CNAME that does as well as all records of its name, as a line of a zone file; empty: there is none."""
    return f"{record.name}. {_TTL} IN CNAME {record.alias}." if record.alias else ""
