"""Who a template is from: one line as a header has it, or an address and a name apart."""

from __future__ import annotations

from typing import Final, NamedTuple

from ekiden.content.errors import BadField
from ekiden.mime.errors import BadMailbox
from ekiden.mime.mailbox import Mailbox, format_mailbox, split_mailbox

_FOLD: Final = "\r\n "


class Sender(NamedTuple):
    """``name`` is as people read it; empty: none. Either may have placeholders."""

    address: str
    name: str = ""

    def line(self) -> str:
        """For ``TemplateText.sender``. Raises ``BadField``."""
        try:
            return format_mailbox(Mailbox(self.name, self.address)).replace(_FOLD, " ")
        except BadMailbox:
            raise BadField("sender", "{field} is one e-mail address, with a name or without") from None


def read_sender(line: str) -> Sender:
    """Of ``TemplateText.sender``; what is no mailbox is taken for an address."""
    try:
        name, address = split_mailbox(line)
    except BadMailbox:
        return Sender(line)
    return Sender(address, name)
