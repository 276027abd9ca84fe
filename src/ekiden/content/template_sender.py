"""Who a template is from: one line as people write it, or an address and a name apart.

The line has no encoded words, whichever language it was written in: it is told as it is kept.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ekiden.content.errors import BadField
from ekiden.mime.errors import BadMailbox
from ekiden.mime.mailbox import Mailbox, format_mailbox, split_mailbox

_FOLD: Final = "\r\n "
_WORD: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\x80-\U0010FFFF]+"
_PLAIN: Final = re.compile(f"{_WORD}(?: {_WORD})*")
_QUOTED: Final = re.compile(r'(["\\])')
_ENCODED: Final = "=?"


class Sender(NamedTuple):
    """``name`` is as people read it; empty: none. Either may have placeholders."""

    address: str
    name: str = ""

    def line(self) -> str:
        """For ``TemplateText.sender``. Raises ``BadField``."""
        try:
            mailbox = Mailbox(self.name, self.address)
        except BadMailbox:
            raise BadField("sender", "{field} is one e-mail address, with a name or without") from None
        if not mailbox.name or _ENCODED in mailbox.name:  # what looks like encoded words is read as such
            return format_mailbox(mailbox).replace(_FOLD, " ")
        name = mailbox.name
        if _PLAIN.fullmatch(name) is None:
            name = '"{}"'.format(_QUOTED.sub(r"\\\1", name))
        return f"{name} <{mailbox.address}>"


def read_sender(line: str) -> Sender:
    """Of ``TemplateText.sender``; what is no mailbox is taken for an address."""
    try:
        name, address = split_mailbox(line)
    except BadMailbox:
        return Sender(line)
    return Sender(address, name)
