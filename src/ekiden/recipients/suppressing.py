"""What happened to a message suppresses its recipient: a bounce where its account wants that, a complaint and a
wish to leave always.

For the whole account and for its block period, where the message has the label ``BLOCKING`` or its account has such
a period; else for the sending domain until somebody takes it back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

from ekiden.core.address import BadAddress, parse_address
from ekiden.core.clock import HOUR
from ekiden.core.ids import format_id
from ekiden.core.said import say
from ekiden.core.submission import BLOCKING
from ekiden.recipients.send_blocks import DEFAULT_BLOCK_HOURS
from ekiden.recipients.suppressions import ANY_DOMAIN

if TYPE_CHECKING:
    from ekiden.access.directory import AccountFacts, Directory
    from ekiden.core.clock import Millis
    from ekiden.core.diagnosis import Diagnosis
    from ekiden.core.said import Said
    from ekiden.recipients.suppressions import Registrar, Suppressions


class Sent(NamedTuple):
    """The message that it happened to. ``labels``: JSON, as messages have them."""

    account_id: int
    message_id: int
    sender: str
    labels: str


class _Where(NamedTuple):
    domain: str
    """The sending domain, or ``ANY_DOMAIN``."""
    lasts: Millis | None
    """Of bounces: for how long; ``None``: until somebody removes it."""


class Suppressing:
    """One per worker. Its coroutines raise what the store raises."""

    def __init__(self, directory: Directory, suppressions: Suppressions) -> None:
        self._directory = directory
        self._suppressions = suppressions

    async def bounced(self, sent: Sent, recipient: str, diagnosis: Diagnosis, reason: str) -> bool:
        """For good, as far as one can know; whether its account wants that to suppress. ``reason``: the reply with
        its codes."""
        account = await self._directory.account(sent.account_id)
        if account is None:
            return False
        where = _where(account, sent)
        if where is None or (where.domain != ANY_DOMAIN and not account.suppress_bounces):
            return False
        await self._suppressions.note_bounce(
            account.id, where.domain, recipient, reason, diagnosis=diagnosis, lasts=where.lasts
        )
        return True

    async def complained(self, sent: Sent, recipient: str) -> bool:
        """The recipient's provider says that it is unwanted. False: nothing is known of the account any more."""
        said = say("complained", message=format_id(sent.message_id))
        return await self._note(sent, recipient, "complaint", said)

    async def left(self, sent: Sent, recipient: str) -> bool:
        """The recipient wrote to the address for that."""
        said = say("unsubscribed_mail", message=format_id(sent.message_id))
        return await self._note(sent, recipient, "unsubscribe", said)

    async def _note(
        self, sent: Sent, recipient: str, kind: Literal["complaint", "unsubscribe"], said: Said
    ) -> bool:
        account = await self._directory.account(sent.account_id)
        where = None if account is None else _where(account, sent)
        if account is None or where is None:
            return False
        await self._suppressions.note(account.id, where.domain, recipient, kind, said, by=_BY[kind])
        return True


_BY: Final[dict[str, Registrar]] = {"complaint": "platform", "unsubscribe": "recipient"}


def _where(account: AccountFacts, sent: Sent) -> _Where | None:
    # The two settings are of different interfaces, of which one account may use both.
    if _blocks(sent.labels) or (account.block_hours is not None and not account.suppress_bounces):
        return _Where(ANY_DOMAIN, (account.block_hours or DEFAULT_BLOCK_HOURS) * HOUR)
    try:
        return _Where(parse_address(sent.sender).domain, None)
    except BadAddress:
        return None


def _blocks(labels: str) -> bool:
    """What cannot be read says nothing."""
    try:
        return f'"{BLOCKING}"' in labels and BLOCKING in msgspec.json.decode(labels, type=dict[str, str])
    except msgspec.MsgspecError:
        return False
