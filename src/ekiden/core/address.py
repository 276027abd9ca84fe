"""Mail addresses (RFC 5321 §4.1.2, RFC 6531 §3.3) and domain names (RFC 5890).

However an address was written, the wire, the store and every key see it in one form (``Address.text``): the domain
in lower-case A-labels without a final dot (full stops of other scripts part labels, UTS 46), the local part without
quotes that it does not need (RFC 5321 §4.1.2). People are shown what was written.

Japanese carriers once gave away addresses such as ``a..b@docomo.ne.jp`` and ``a.@ezweb.ne.jp``, whose local part
has to stand in quotes. Nobody writes those, so they are added for the domains in ``carriers.toml``.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

import idna

from ekiden.core.texts import Texts, TranslatedError

MAX_DOMAIN = 255  # octets, RFC 5321 §4.5.3.1.2
MAX_PATH = 254  # octets between the angle brackets, RFC 5321 §4.5.3.1.3 less the brackets
"""The only bound of a local part, too: the 64 octets of §4.5.3.1.1 are what everybody must take, not what one may
refuse (§4.5.3.1), and VERP and SRS make longer ones."""
_MAX_WRITTEN = 1_020
"""Characters of an address as somebody writes it: what is in A-labels later may be longer or shorter now."""

# Non-ASCII is allowed here; whether the SMTPUTF8 parameter was given is the caller's rule.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+"
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*\Z")
_QUOTED = re.compile(r'"(?:[\x20\x21\x23-\x5b\x5d-\x7e\u0080-\U0010ffff]|\\[\x20-\x7e])*"\Z')
_DOTTED = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\-]+\Z")
"""What carriers allowed: dots anywhere."""
_QUOTED_PAIR = re.compile(r"\\(.)")
_NEEDS_PAIR = re.compile(r'["\\]')
_PLAIN = re.compile(
    rf"{_ATOM}(?:\.{_ATOM})*@([a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?)+)\Z"
)
_LITERAL = re.compile(r"\[(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[Ii][Pp][Vv]6:[0-9A-Fa-f:.]+)\]\Z")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")

CARRIERS: Final[tuple[str, ...]] = tuple(
    tomllib.loads(files("ekiden.core").joinpath("carriers.toml").read_text("utf-8"))["domains"]
)
"""Domains whose addresses may have dots anywhere; one that begins with a dot stands for all below."""

_TEXTS: Final = Texts("core/address")


class BadAddress(TranslatedError, ValueError):
    """Text that is no mail address, or one that cannot be mailed to."""

    def __init__(self, template: str, /, **values: object) -> None:
        super().__init__(_TEXTS, template, **values)


class Address(NamedTuple):
    """``text`` is the address in its one form (see the module), ``domain`` its domain, the key of routing.

    ``written`` is how it was given, for people; empty: as ``text`` has it.
    """

    text: str
    domain: str
    written: str = ""

    @property
    def local(self) -> str:
        return self.text[: self.text.rindex("@")]

    @property
    def shown(self) -> str:
        """As it was given."""
        return self.written or self.text

    @property
    def key(self) -> str:
        """Equal for addresses that are one mailbox to most: the local part in lower case, composed (NFC).

        RFC 5321 §2.4 lets a local part tell cases apart, but hardly any server does.
        """
        local = self.local
        if not local.isascii():
            local = unicodedata.normalize("NFC", local)
        return f"{local.lower()}@{self.domain}"


@lru_cache(maxsize=8192)
def to_ascii_domain(domain: str) -> str:
    """``domain`` as lower-case A-labels, without a final dot. Raises ``BadAddress`` when it is no domain name.

    An address literal (``[192.0.2.1]``, ``[IPv6:…]``) is returned in lower case as it is.
    """
    if domain.startswith("["):
        if not _LITERAL.match(domain):
            raise BadAddress("{domain} is not an address literal", domain=domain)
        return domain.lower()
    if len(domain) > MAX_DOMAIN + 1:
        raise BadAddress("a domain name has 1 to 255 characters")
    name = domain.lower()
    if not name.isascii():
        try:
            name = idna.encode(domain, uts46=True, transitional=False).decode("ascii").lower()
        except (idna.IDNAError, UnicodeError) as error:
            raise BadAddress("{domain} is not a domain name: {error}", domain=domain, error=error) from None
    name = name.removesuffix(".")  # of the DNS, not of mail (RFC 5321 §2.3.5)
    if not name or len(name) > MAX_DOMAIN:
        raise BadAddress("a domain name has 1 to 255 characters")
    for label in name.split("."):
        if not _LABEL.match(label):
            raise BadAddress(
                "{domain} is not a domain name: the part {label!r} is not allowed", domain=domain, label=label
            )
    return name


def parse_address(text: str, *, carriers: bool = True) -> Address:
    """The address ``local@domain``, without angle brackets or display name. ``BadAddress`` says what is wrong.

    ``carriers``: whether addresses of carriers may lack the quotes that they need.
    """
    match = _PLAIN.match(text)
    if match is not None and len(text) <= MAX_PATH and text.isascii():
        return Address(text, match.group(1))
    if len(text) > _MAX_WRITTEN:
        raise BadAddress("the address is longer than {most} octets", most=MAX_PATH)
    at = text.rfind("@")
    if at < 0:
        raise BadAddress("{text!r} has no @", text=text)
    local, domain = text[:at], text[at + 1 :]
    if not local or not domain:
        raise BadAddress(
            "{text!r} lacks the part after the @" if local else "{text!r} lacks the part before the @", text=text
        )
    plain = _DOT_ATOM.match(local) is not None
    dotted = not plain and _DOTTED.match(local) is not None
    if not plain and _QUOTED.match(local) is None and not (dotted and carriers):
        raise _bad_local(text, local)
    name = to_ascii_domain(domain)
    if dotted:
        if not is_carrier(name):
            raise _bad_local(text, local)
        local = f'"{local}"'
    elif not plain:
        local = _least_quoted(local)
    # Of a literal the tag keeps its usual case, for readers who look for it so.
    found = f"{local}@[IPv6:{name[6:]}" if name.startswith("[i") else f"{local}@{name}"
    try:
        octets = len(found.encode())
    except UnicodeEncodeError:  # surrogates, which JSON can bring along
        raise _bad_local(text, local) from None
    if octets > MAX_PATH:
        raise BadAddress("the address is longer than {most} octets", most=MAX_PATH)
    # What cannot be seen is not shown.
    return Address(found, name, text if text != found and text.isprintable() else "")


def _bad_local(text: str, local: str) -> BadAddress:
    return BadAddress("{text!r} is not an address: {local!r} is not allowed before the @", text=text, local=local)


def _least_quoted(local: str) -> str:
    """A quoted local part without the quotes, and without the backslashes, that it does not need."""
    text = _QUOTED_PAIR.sub(r"\1", local[1:-1])
    return text if _DOT_ATOM.match(text) is not None else '"' + _NEEDS_PAIR.sub(r"\\\g<0>", text) + '"'


def is_carrier(domain: str) -> bool:
    """Whether addresses of ``domain`` (lower-case A-labels) may have dots anywhere."""
    return any(domain.endswith(name) if name.startswith(".") else domain == name for name in CARRIERS)


def shown_address(text: str) -> str:
    """An address in its one form as people write it: those of carriers without their quotes."""
    if not text.startswith('"'):
        return text
    local, _, domain = text.rpartition("@")
    inner = local[1:-1]
    return f"{inner}@{domain}" if _DOTTED.match(inner) is not None and is_carrier(domain) else text


def spellings(text: str) -> tuple[str, ...]:
    """How an address may stand in the store: in its one form, and as given, as rows of earlier versions have it."""
    try:
        found = parse_address(text).text
    except BadAddress:
        return (text,)
    return (found,) if found == text else (found, text)
