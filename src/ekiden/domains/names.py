"""Which names can be a sending domain."""

from __future__ import annotations

from typing import Final

from ekiden.core.address import BadAddress, to_ascii_domain
from ekiden.domains.errors import BadDomain

MAX_NAME: Final = 253 - len("._domainkey.") - 36
"""Characters: the name of a DKIM record has 253 (RFC 1035 §2.3.4), and a UUID in front of the domain."""


def return_path_host(name: str) -> str:
    """The host of return paths of the domain ``name``."""
    return f"rp.{name}"


def check_domain_name(text: str) -> str:
    """``text`` as lower-case A-labels. Raises ``BadDomain``.

    A name with a single label is a top-level domain or a host of a local network; either has no owner who could
    prove anything. Longer public suffixes are not known here: their DNS is not open to others.
    """
    if text.startswith("["):
        raise BadDomain("{name} is an address, not a domain", name=text)
    try:
        name = to_ascii_domain(text.strip())
    except BadAddress as error:
        raise BadDomain("{name} is not a domain name: {why}", name=text, why=error) from None
    labels = name.split(".")
    if labels[-1].isdecimal():
        raise BadDomain("{name} is an address, not a domain", name=text)
    if len(labels) < 2:
        raise BadDomain("{name} is not a domain that mail can come from: it needs at least two labels", name=text)
    if "_" in name:
        raise BadDomain("{name} is not a domain that mail can come from: it has an underscore", name=text)
    if len(name) > MAX_NAME:
        raise BadDomain(
            "{name} is too long: a domain with DKIM records has at most {longest} characters",
            name=text,
            longest=MAX_NAME,
        )
    return name
