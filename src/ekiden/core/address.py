"""Mail addresses (RFC 5321 §4.1.2, RFC 6531 §3.3) and domain names (RFC 5890)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import idna

from ekiden.core.errors import BadAddress

MAX_LOCAL_PART = 64  # octets, RFC 5321 §4.5.3.1.1
MAX_DOMAIN = 255  # octets, RFC 5321 §4.5.3.1.2
MAX_PATH = 254  # octets between the angle brackets, RFC 5321 §4.5.3.1.3 less the brackets

# Non-ASCII is allowed here; whether the SMTPUTF8 parameter was given is the caller's rule.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+"
_LOCAL = re.compile(
    rf'(?:{_ATOM}(?:\.{_ATOM})*|"(?:[\x20\x21\x23-\x5b\x5d-\x7e\u0080-\U0010ffff]|\\[\x20-\x7e])*")\Z'
)
_PLAIN = re.compile(
    rf"{_ATOM}(?:\.{_ATOM})*@([a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?)+)\Z"
)
_LITERAL = re.compile(r"\[(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[Ii][Pp][Vv]6:[0-9A-Fa-f:.]+)\]\Z")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")


class Address(NamedTuple):
    """``text`` is the address as given; ``domain`` its domain in lower-case A-labels, the key of routing."""

    text: str
    domain: str

    @property
    def local(self) -> str:
        return self.text[: self.text.rindex("@")]


@lru_cache(maxsize=8192)
def to_ascii_domain(domain: str) -> str:
    """``domain`` as lower-case A-labels. Raises ``BadAddress`` when it is no domain name.

    An address literal (``[192.0.2.1]``, ``[IPv6:…]``) is returned in lower case as it is.
    """
    if domain.startswith("["):
        if not _LITERAL.match(domain):
            raise BadAddress(f"{domain} is not an address literal")
        return domain.lower()
    name = domain.rstrip(".").lower() if domain.isascii() else domain
    if not name.isascii():
        try:
            name = idna.encode(domain, uts46=True, transitional=False).decode("ascii").rstrip(".")
        except (idna.IDNAError, UnicodeError) as error:
            raise BadAddress(f"{domain} is not a domain name: {error}") from None
    if not name or len(name) > MAX_DOMAIN:
        raise BadAddress("a domain name has 1 to 255 characters")
    for label in name.split("."):
        if not _LABEL.match(label):
            raise BadAddress(f"{domain} is not a domain name: the part {label!r} is not allowed")
    return name


def parse_address(text: str) -> Address:
    """The address ``local@domain``, without angle brackets or display name. ``BadAddress`` says what is wrong."""
    match = _PLAIN.match(text)
    if match is not None and len(text) <= MAX_PATH and text.isascii():
        domain = match.group(1)
        if len(text) - len(domain) - 1 <= MAX_LOCAL_PART:
            return Address(text, domain)
    at = text.rfind("@")
    if at < 0:
        raise BadAddress(f"{text!r} has no @")
    local, domain = text[:at], text[at + 1 :]
    if not local or not domain:
        raise BadAddress(f"{text!r} lacks the part {'before' if not local else 'after'} the @")
    if len(local.encode()) > MAX_LOCAL_PART:
        raise BadAddress(f"the part before the @ is longer than {MAX_LOCAL_PART} octets")
    if len(text.encode()) > MAX_PATH:
        raise BadAddress(f"the address is longer than {MAX_PATH} octets")
    if not _LOCAL.match(local):
        raise BadAddress(f"{text!r} is not an address: {local!r} is not allowed before the @")
    return Address(text, to_ascii_domain(domain))
