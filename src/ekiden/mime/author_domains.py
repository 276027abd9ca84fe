"""The domains that a From or Sender field names (RFC 5322 §3.4, §4.4; RFC 6532; RFC 6854), read with suspicion.

The door lets a credential write in the name of its own domains only. That is worth something only if every later
reader of the field finds no author whom we have not found. So this is no lenient parser: what serious readers are
known to read in different ways is refused, although RFC 5322 would allow some of it:

- routes (``<@a.example:x@b.example>``) and blanks or comments between the labels of a domain;
- an ``@`` in a quoted local part, in a comment, or in the name of a group;
- an ``@`` in a quoted display name, once the value also has what simple readers stumble over: a backslash, a
  comment, octets that are not UTF-8, or encoded words beside quotes (some readers decode before they parse);
- encoded words and invisible or deceptive characters inside an address;
- control characters and Unicode's line separators anywhere.

A quoted display name or encoded words that hold an address are allowed: they are only a name.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from ekiden.core.address import MAX_DOMAIN, BadAddress, to_ascii_domain

_MAX_READ = 8_192  # octets of a value that are read: some 200 authors, in less than 20 ms
_MAX_REMEMBERED = 512  # octets of a value worth a place in the cache; bounds its memory to a few megabytes

# The common shapes: `a@b.c`, `Name <a@b.c>`, `"Name" <a@b.c>`, `=?utf-8?B?...?= <a@b.c>`, all ASCII. Possessive
# quantifiers: no value makes it go back.
_ATEXT = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]"
_ADDRESS = rb"(%b++(?:\.%b++)*+)@([A-Za-z0-9_\-]++(?:\.[A-Za-z0-9_\-]++)*+)" % (_ATEXT, _ATEXT)
_BARE = re.compile(_ADDRESS)
_NAMED = re.compile(
    rb'(?:[A-Za-z0-9!#$%&\'*+/=?^_`{|}~\-. \t]*+|"[\t\x20\x21\x23-\x5b\x5d-\x7e]*+"[ \t]*+)<' + _ADDRESS + rb">"
)

_FORBIDDEN = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_TOKEN = re.compile(
    r"""(?P<blank>[ \t]++)
    |(?P<atom>[^\x00-\x20\x7f()<>\[\]:;@\\,."]++)
    |(?P<quoted>"(?:[^"\\]|\\.)*+")
    |(?P<literal>\[[^\[\]\\@\s]*+\])
    |(?P<special>[<>@,;:.])""",
    re.VERBOSE,
)
_IN_COMMENT = re.compile(r"[()]|\\.")
_SPECIALS = re.compile(r'[\s()<>\[\]:;@\\,"]')
_JOINERS = str.maketrans("", "", "\u200c\u200d")  # invisible, yet letters of some scripts need them (RFC 5892 A.1)


class _Token(NamedTuple):
    kind: str
    """``atom``, ``quoted``, ``literal``, or the special character itself; ``end`` behind the last."""
    text: str
    gap: bool
    """Blanks or a comment stand before it."""


class _Unreadable(Exception):
    """The value has no reading that all readers share."""


_MAIL_SYSTEM = re.compile(rb"(?:\A|[<\s])(?:mailer-daemon|postmaster)@", re.IGNORECASE)


def is_mail_system(value: bytes) -> bool:
    """Whether the one author of a From field that ``mailbox_domains`` reads is a mail server, as in its bounces."""
    return len(value) <= _MAX_REMEMBERED and value.count(b"@") == 1 and _MAIL_SYSTEM.search(value) is not None


def mailbox_domains(value: bytes) -> tuple[str, ...] | None:
    """The domains of all mailboxes in ``value``, the unfolded value of a From or Sender field, in order.

    Lower-case A-labels; an address literal is given in lower case. ``None``: no mailbox, or no safe reading (see
    the module), or longer than 8 KiB. Domains are not made unique.
    """
    if len(value) > _MAX_READ:
        return None
    if len(value) > _MAX_REMEMBERED:
        return _read(value)
    return _remembered(value)


@lru_cache(maxsize=8192)
def _remembered(value: bytes) -> tuple[str, ...] | None:
    stripped = value.strip(b" \t")
    match = _BARE.fullmatch(stripped) or _NAMED.fullmatch(stripped)
    # An @ in a name needs a closer look when encoded words are about.
    if match is not None and b"=?" not in match[1] and (b"=?" not in stripped or stripped.count(b"@") == 1):
        try:
            return (to_ascii_domain(match[2].decode("ascii")),)
        except BadAddress:
            return None
    return _read(value)


def _read(value: bytes) -> tuple[str, ...] | None:
    try:
        text = value.decode()
        odd = False
    except UnicodeDecodeError:
        # Allowed in names and comments, as surrogates. Readers who take the octets for another charset may take a
        # quote or a backslash for the second half of a character.
        text = value.decode("utf-8", "surrogateescape")
        odd = True
    if _FORBIDDEN.search(text) is not None:
        return None
    odd = odd or "\\" in text or ("=?" in text and '"' in text)
    try:
        tokens, comments = _tokens(text)
        domains = _Parser(tokens).mailboxes()
    except (_Unreadable, BadAddress):
        return None
    if (odd or comments) and text.count("@") != len(domains):
        return None
    return tuple(domains) or None


def _tokens(text: str) -> tuple[list[_Token], bool]:
    """The tokens of ``text`` without blanks and comments, and whether there was a comment."""
    tokens = []
    at = 0
    gap = comments = False
    while at < len(text):
        if text[at] == "(":
            at = _comment_end(text, at)
            gap = comments = True
            continue
        match = _TOKEN.match(text, at)
        if match is None:
            raise _Unreadable
        at = match.end()
        kind = match.lastgroup or ""
        if kind == "blank":
            gap = True
            continue
        tokens.append(_Token(match[0] if kind == "special" else kind, match[0], gap))
        gap = False
    tokens.append(_Token("end", "", gap))
    return tokens, comments


def _comment_end(text: str, start: int) -> int:
    depth = 0
    for match in _IN_COMMENT.finditer(text, start):
        if match[0] == "(":
            depth += 1
        elif match[0] == ")":
            depth -= 1
            if depth == 0:
                return match.end()
    raise _Unreadable


class _Parser:
    """One pass over the tokens of an address-list (RFC 5322 §3.4, RFC 6854 §2.1)."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def mailboxes(self) -> list[str]:
        """The domains in order. Raises ``_Unreadable`` or ``BadAddress``."""
        domains: list[str] = []
        in_group = False
        while True:
            words = self._words()
            kind = self._next().kind
            if kind in ("<", "@"):
                domains.append(self._angle() if kind == "<" else self._address(words))
                kind = self._next().kind
            elif kind == ":":
                if in_group or not words or any("@" in word.text for word in words):
                    raise _Unreadable
                in_group = True
                continue
            elif words:  # a name without an address
                raise _Unreadable
            if kind == ";" and in_group:
                in_group = False
                kind = self._next().kind
            if kind == "end" and not in_group:
                return domains
            if kind != ",":
                raise _Unreadable

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _words(self) -> list[_Token]:
        """A phrase with the full stops that §4.1 allows, or a local part."""
        start = self._at
        while self._tokens[self._at].kind in ("atom", "quoted", "."):
            self._at += 1
        return self._tokens[start : self._at]

    def _angle(self) -> str:
        words = self._words()
        if self._next().kind != "@":
            raise _Unreadable
        domain = self._address(words)
        if self._next().kind != ">":
            raise _Unreadable
        return domain

    def _address(self, local: list[_Token]) -> str:
        """The domain of the address whose ``@`` was just read."""
        # word *("." word): blanks and comments between them are obsolete (§4.4), but change no domain.
        if len(local) % 2 == 0 or any((word.kind == ".") != (at % 2 == 1) for at, word in enumerate(local)):
            raise _Unreadable
        _check_local("".join(word.text for word in local))
        first = self._next()
        if first.kind == "literal":
            return to_ascii_domain(first.text)
        if first.kind != "atom":
            raise _Unreadable
        labels = [first.text]
        while self._tokens[self._at].kind == ".":
            dot, label = self._next(), self._next()
            if dot.gap or label.gap or label.kind != "atom":
                raise _Unreadable
            labels.append(label.text)
        domain = ".".join(labels)
        if len(domain) > MAX_DOMAIN or not domain.translate(_JOINERS).isprintable():
            raise _Unreadable
        name = to_ascii_domain(domain)
        # Full stops of other scripts part labels (UTS 46); whoever does not know them sees another domain.
        if name.count(".") != domain.count("."):
            raise _Unreadable
        return name


def _check_local(local: str) -> None:
    if "@" in local or "=?" in local:
        raise _Unreadable
    if local.isascii():
        return
    # Surrogates (octets that are not UTF-8), exotic blanks and invisible characters are not printable. Readers who
    # normalise must not get an @ or a > out of its fullwidth sister.
    if not local.isprintable() or len(_SPECIALS.findall(unicodedata.normalize("NFKC", local))) != len(
        _SPECIALS.findall(local)
    ):
        raise _Unreadable
