"""SPF records (RFC 7208 §4.5, §4.6, §12): text to terms, with errors that say what is wrong and where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Literal, cast

from ekiden.sender_auth.spf_errors import SpfSyntaxCode, SpfSyntaxError
from ekiden.sender_auth.spf_macro import MacroString, parse_domain_spec, parse_macro_string

Qualifier = Literal["+", "-", "~", "?"]
MechanismName = Literal["all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"]

MAX_RECORD = 8_192
"""Octets; honest ones fit in a UDP answer (RFC 7208 §3.4). 64 KiB of terms would take a tenth of a second."""
_VERSION = "v=spf1"
_TERM = re.compile(r"[^ ]+")
_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9._-]*)=")
_DIRECTIVE = re.compile(r"([+\-~?]?)([^:/]*)")
_PREFIXES = re.compile(r"(?:/([0-9]+))?(?://([0-9]+))?\Z")
_MECHANISMS = frozenset({"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"})
# What people write, and what they mean.
_MISTAKES = {
    "ip": "ip4",
    "ipv4": "ip4",
    "ipv6": "ip6",
    "prt": "ptr",
    "all.": "all",
}


@dataclass(frozen=True, slots=True)
class Mechanism:
    """A directive: a mechanism with its qualifier (§4.6.2).

    ``domain`` is the domain-spec if one is written. ``network`` belongs to ip4 and ip6; ``prefix4`` and ``prefix6``
    to a and mx. ``text`` is the directive as written, ``position`` the number of its first character, from 1.
    """

    name: MechanismName
    qualifier: Qualifier
    text: str
    position: int
    domain: MacroString | None = None
    network: IPv4Network | IPv6Network | None = None
    prefix4: int = 32
    prefix6: int = 128


@dataclass(frozen=True, slots=True)
class Modifier:
    """``name=value`` (§6); ``name`` is in lower case, ``position`` counts from 1."""

    name: str
    value: MacroString
    text: str
    position: int


@dataclass(frozen=True, slots=True)
class SpfRecord:
    """A valid record. ``modifiers`` holds those that RFC 7208 does not know; they have no effect (§6)."""

    text: str
    mechanisms: tuple[Mechanism, ...]
    redirect: Modifier | None
    explanation: Modifier | None
    modifiers: tuple[Modifier, ...]


def is_spf_record(record: bytes) -> bool:
    """Whether a TXT record claims to be SPF version 1 (§4.5): ``v=spf1``, then a blank or nothing."""
    return record[:6].lower() == b"v=spf1" and record[6:7] in (b"", b" ")


def parse_spf_record(record: bytes | str) -> SpfRecord:
    """The terms of a record. Raises ``SpfSyntaxError`` for the first fault, wherever in the record it is (§4.6)."""
    octets = record if isinstance(record, bytes) else record.encode("utf-8", "surrogatepass")
    if not is_spf_record(octets):
        raise SpfSyntaxError("not_spf", "an SPF record begins with v=spf1 and a blank")
    if len(octets) > MAX_RECORD:
        raise SpfSyntaxError("too_long", "an SPF record must not have more than {most} characters", most=MAX_RECORD)
    try:
        text = octets.decode("ascii")
    except UnicodeDecodeError as error:
        before = octets[: error.start].decode("ascii")
        start = before.rfind(" ") + 1
        term = octets[start:].split(b" ", 1)[0].decode("ascii", "backslashreplace")
        raise SpfSyntaxError(
            "not_ascii", "only ASCII is allowed; other names are written as A-labels", term=term, position=start + 1
        ) from None
    mechanisms: list[Mechanism] = []
    modifiers: list[Modifier] = []
    known: dict[str, Modifier] = {}
    for match in _TERM.finditer(text, len(_VERSION)):
        term, position = match.group(), match.start() + 1
        try:
            modifier = _MODIFIER.match(term)
            if modifier is None:
                mechanisms.append(_parse_directive(term, position))
                continue
            made = _parse_modifier(modifier.group(1).lower(), term[modifier.end() :], term, position)
            if made.name not in {"redirect", "exp"}:
                modifiers.append(made)
            elif made.name in known:
                raise SpfSyntaxError("repeated_modifier", "{name}= may stand only once in a record", name=made.name)
            else:
                known[made.name] = made
        except SpfSyntaxError as error:
            raise error.within(ascii(term)[1:-1], position) from None
    return SpfRecord(text, tuple(mechanisms), known.get("redirect"), known.get("exp"), tuple(modifiers))


def _parse_modifier(name: str, value: str, term: str, position: int) -> Modifier:
    if name in {"redirect", "exp"}:
        return Modifier(name, parse_domain_spec(value), term, position)
    return Modifier(name, parse_macro_string(value), term, position)


def _parse_directive(term: str, position: int) -> Mechanism:
    match = _DIRECTIVE.match(term)
    assert match is not None  # every part of the pattern may be empty
    qualifier = cast("Qualifier", match.group(1) or "+")
    name = match.group(2).lower()
    rest = term[match.end() :]
    if name not in _MECHANISMS:
        raise _unknown(name, term)
    mechanism = cast("MechanismName", name)
    if mechanism == "all":
        if rest:
            raise SpfSyntaxError("unexpected_argument", "nothing may follow all")
        return Mechanism(mechanism, qualifier, term, position)
    if mechanism in {"ip4", "ip6"}:
        return Mechanism(mechanism, qualifier, term, position, network=_parse_network(mechanism, rest))
    prefix4, prefix6 = 32, 128
    if mechanism in {"a", "mx"}:
        prefixes = _PREFIXES.search(rest)
        assert prefixes is not None  # it matches the empty end
        rest = rest[: prefixes.start()]
        prefix4 = _prefix(prefixes.group(1), 32)
        prefix6 = _prefix(prefixes.group(2), 128)
    domain = None
    if rest.startswith(":"):
        domain = parse_domain_spec(rest[1:])
    elif rest:
        template = "{rest} is not a prefix length that {name} can have"
        if mechanism in {"a", "mx"}:
            raise SpfSyntaxError("bad_prefix", template, rest=rest, name=name)
        raise SpfSyntaxError("unexpected_argument", template, rest=rest, name=name)
    elif mechanism in {"include", "exists"}:
        raise SpfSyntaxError("missing_domain", "{name} needs a domain name, as in {name}:example.com", name=name)
    return Mechanism(mechanism, qualifier, term, position, domain=domain, prefix4=prefix4, prefix6=prefix6)


def _parse_network(name: str, rest: str) -> IPv4Network | IPv6Network:
    """The network of ``:192.0.2.0/24`` (§5.6). Bits to the right of the prefix are ignored."""
    address, slash, prefix = rest.removeprefix(":").partition("/")
    if not rest.startswith(":") or not address:
        raise SpfSyntaxError(
            "bad_address", "{name} needs an address, as in {example}", name=name, example=_EXAMPLE[name]
        )
    longest = 32 if name == "ip4" else 128
    if slash and not prefix.isdecimal():
        raise SpfSyntaxError(
            "bad_prefix",
            "{prefix} is not a prefix length from 0 to {longest}",
            prefix="/" + prefix,
            longest=longest,
        )
    bits = _prefix(prefix or None, longest)
    try:
        if "%" in address:  # a zone index (RFC 4007), which Python would take
            raise ValueError
        if name == "ip4":
            return IPv4Network((address, bits), strict=False)
        return IPv6Network((address, bits), strict=False)
    except ValueError:
        kind = "IPv4" if name == "ip4" else "IPv6"
        raise SpfSyntaxError(
            "bad_address", "{address} is not an {kind} address", address=address, kind=kind
        ) from None


_EXAMPLE = {"ip4": "ip4:192.0.2.0/24", "ip6": "ip6:2001:db8::/32"}


def _prefix(digits: str | None, longest: int) -> int:
    """A prefix length without needless zeros (§12 ``ip4-cidr-length``, ``ip6-cidr-length``)."""
    if digits is None:
        return longest
    if len(digits) > 3 or (digits[0] == "0" and digits != "0") or int(digits) > longest:
        raise SpfSyntaxError(
            "bad_prefix",
            "{prefix} is not a prefix length from 0 to {longest}",
            prefix="/" + digits,
            longest=longest,
        )
    return int(digits)


def _unknown(name: str, term: str) -> SpfSyntaxError:
    code: SpfSyntaxCode = "unknown_mechanism"
    if "," in name:
        return SpfSyntaxError(code, "terms are separated by blanks, not by commas")
    if name.startswith(("redirect", "exp=")):
        return SpfSyntaxError(code, "redirect and exp are modifiers: no qualifier, and = before the domain")
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+){3}", name):
        return SpfSyntaxError(code, "an address is written ip4:{name}", name=name)
    meant = _MISTAKES.get(name)
    if meant is not None:
        return SpfSyntaxError(code, "there is no mechanism {name}; {meant} is meant", name=name, meant=meant)
    if name.lstrip("+-~?").split("=")[0] in _MECHANISMS and "=" in name:
        return SpfSyntaxError(code, "after a mechanism stands a colon, not an equals sign")
    return SpfSyntaxError(code, "there is no mechanism {name}", name=ascii(name)[1:-1] or ascii(term)[1:-1])
