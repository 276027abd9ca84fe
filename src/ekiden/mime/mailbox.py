"""A mailbox as people write it, ``Name <local@domain>``, and as it stands in a header field (RFC 5322 §3.4).

Reading is lenient about names, since every API has clients that quote them badly, and strict about addresses. What
is written has one reading only (``mime.author_domains`` is the suspicious side): names that need a backslash, and
long ones, become encoded words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ekiden.core.address import BadAddress, parse_address
from ekiden.mime.errors import BadMailbox
from ekiden.mime.header import decode_words, encoded_words
from ekiden.mime.japanese import UTF_8, Charset

_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]+)*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_QUOTED_PAIR = re.compile(r"\\(.)")
_LONGEST_PLAIN = 50  # characters of a name on one line with its field's name and some address
_MAX_LINE = 76  # of a line with encoded words (RFC 2047 §2)
_MAX_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Mailbox:
    """``name`` is for display, decoded, may be empty. Raises ``BadMailbox``, which names what is no address.

    ``address`` is in the one form of ``core.address`` once the object is made: header fields have A-labels.
    """

    name: str
    address: str

    def __post_init__(self) -> None:
        try:
            address = parse_address(self.address)
        except BadAddress as error:
            raise BadMailbox(self.address[:_MAX_SHOWN], error) from None
        object.__setattr__(self, "address", address.text)
        if _CONTROL.search(self.name) is not None or _CONTROL.search(self.address) is not None:
            raise BadMailbox(f"{self.name} <{self.address}>"[:_MAX_SHOWN], "control characters")


def parse_mailbox(text: str) -> Mailbox:
    """``local@domain``, ``<local@domain>`` or ``Name <local@domain>``; the name may be quoted or encoded words.

    Raises ``BadMailbox``, for several mailboxes as well.
    """
    return Mailbox(*split_mailbox(text))


def split_mailbox(text: str) -> tuple[str, str]:
    """The name and the address of ``parse_mailbox``, the address as it is written and not yet looked at.

    Raises ``BadMailbox``.
    """
    text = text.strip(" \t")
    if not text.endswith(">"):
        return "", text
    name, bracket, address = text[:-1].rpartition("<")
    if not bracket:
        raise BadMailbox(text[:_MAX_SHOWN], "there is no < before the >")
    return _unquoted(name.strip(" \t")), address.strip(" \t")


def _unquoted(name: str) -> str:
    if len(name) >= 2 and name[0] == name[-1] == '"':
        name = _QUOTED_PAIR.sub(r"\1", name[1:-1])
    return decode_words(name)


def format_mailbox(mailbox: Mailbox, indent: int = 0, charset: Charset = UTF_8) -> str:
    """The mailbox for a header field, folded where it has to be. ``indent``: characters before it on its line."""
    name = mailbox.name
    if not name:
        return mailbox.address
    if len(name) > _LONGEST_PLAIN or not name.isascii() or any(mark in name for mark in ('"', "\\", "=?")):
        phrase = encoded_words(name, indent=indent, charset=charset)
    else:
        phrase = name if _ATOMS.fullmatch(name) is not None else f'"{name}"'
    last = len(phrase) - phrase.rfind("\n") - 1 if "\n" in phrase else indent + len(phrase)
    blank = " " if last + len(mailbox.address) + 4 <= _MAX_LINE else "\r\n "
    return f"{phrase}{blank}<{mailbox.address}>"


def mailbox_field(name: str, mailboxes: Iterable[Mailbox], charset: Charset = UTF_8) -> bytes:
    """``To: a@example.com,\\r\\n "B" <b@example.com>\\r\\n``: the whole field; one with no mailboxes is nothing.

    Addresses with letters beyond ASCII stay as they are, in UTF-8 (RFC 6532).
    """
    lines: list[str] = []
    line = f"{name}:"
    for mailbox in mailboxes:
        text = " " + format_mailbox(mailbox, len(line) + 1, charset)
        if line[-1] != ":" or lines:
            line += ","
            if "\n" in text or len(line) + len(text) >= _MAX_LINE:
                lines.append(line)
                line = ""
                text = " " + format_mailbox(mailbox, 1, charset)
        *folded, line = (line + text).split("\r\n")
        lines += folded
    if not lines and line[-1] == ":":
        return b""
    lines.append(line)
    return ("\r\n".join(lines) + "\r\n").encode("utf-8", "replace")
