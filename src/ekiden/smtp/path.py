"""Reverse-path and forward-path of MAIL and RCPT (RFC 5321 §4.1.2), as tolerant as the clients need."""

from __future__ import annotations

import re

from ekiden.core.address import Address, BadAddress, parse_address
from ekiden.smtp.errors import CommandRefused
from ekiden.smtp.reply import Reply

# "@one.example,@[IPv6:::1]:" before the mailbox: obsolete, accepted and ignored (RFC 5321 §4.1.1.3, Appendix C).
_SOURCE_ROUTE = re.compile(r"@[^:\[\"]*(?:\[[^\]]*\][^:\[\"]*)*:")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


def split_path(argument: str, keyword: str) -> tuple[str, str]:
    """``FROM:<a@b> SIZE=1`` becomes ``("a@b", " SIZE=1")``; ``keyword`` is ``FROM:`` or ``TO:``.

    Blanks around the colon and a path without angle brackets are accepted. A source route is dropped. Raises
    ``CommandRefused`` 501.
    """
    n = len(keyword)
    if argument[:n].upper() == keyword:
        rest = argument[n:]
    else:
        word, colon, rest = argument.partition(":")
        if not colon or word.rstrip(" \t").upper() != keyword[:-1]:
            raise _syntax(keyword)
    rest = rest.lstrip(" \t")
    if rest.startswith("<"):
        end = rest.find(">") if '"' not in rest else _closing(rest, ">")
        if end < 0:
            raise _syntax(keyword)
        path, parameters = rest[1:end].strip(" \t"), rest[end + 1 :]
        if parameters and parameters[0] not in " \t":
            raise _syntax(keyword)
    else:
        if not rest:
            raise _syntax(keyword)
        end = rest.find(" ") if '"' not in rest and "\t" not in rest else _closing(rest, " \t")
        path, parameters = (rest, "") if end < 0 else (rest[:end], rest[end:])
    if path.startswith("@"):
        route = _SOURCE_ROUTE.match(path)
        if route is None:
            raise _syntax(keyword)
        path = path[route.end() :]
    return path, parameters


def _closing(text: str, stops: str) -> int:
    """Where the first of ``stops`` is outside quoted strings, or -1."""
    at = 0
    while at < len(text):
        if text[at] == '"':
            quoted = _QUOTED.match(text, at)
            if quoted is None:
                return -1
            at = quoted.end()
        elif text[at] in stops:
            return at
        else:
            at += 1
    return -1


def _syntax(keyword: str) -> CommandRefused:
    verb = "MAIL" if keyword == "FROM:" else "RCPT"
    return CommandRefused(Reply.of(501, "5.5.4", f"Syntax: {verb} {keyword}<address>"))


def mailbox(path: str, *, smtputf8: bool, status: str, carriers: bool = True) -> Address:
    """The address ``path`` names; ``carriers`` is ``parse_address``'s.

    ``status`` is the enhanced code of a bad one (5.1.7 sender, 5.1.3 recipient).
    """
    if not path.isascii() and not smtputf8:
        # RFC 6531 §3.4 and §3.5: without the parameter there is no internationalised address.
        raise CommandRefused(Reply.of(553, "5.6.7", "The address has non-ASCII characters: MAIL needs SMTPUTF8"))
    try:
        return parse_address(path, carriers=carriers)
    except BadAddress as error:
        raise CommandRefused(Reply.of(501, status, f"Bad address: {error}")) from None
