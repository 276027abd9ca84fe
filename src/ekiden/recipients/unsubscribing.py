"""Leaving and coming back, as a recipient asks for it with a link that only this recipient has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ekiden.access.audit import Actor
from ekiden.core.ids import format_id
from ekiden.core.said import say
from ekiden.recipients.suppressions import ANY_DOMAIN

if TYPE_CHECKING:
    from ekiden.recipients.suppressions import Suppressions
    from ekiden.recipients.tracking_recorder import Recorder, Visit
    from ekiden.recipients.tracking_tokens import UnsubscribeToken

How = Literal["page", "one-click"]


class Unsubscribing:
    """Its coroutines raise what the store raises; then nobody must be told that it is done."""

    def __init__(self, suppressions: Suppressions, recorder: Recorder) -> None:
        self._suppressions = suppressions
        self._recorder = recorder

    async def left(self, token: UnsubscribeToken) -> bool:
        """Whether the recipient has left already."""
        for domain in dict.fromkeys((_where(token), ANY_DOMAIN)):
            if await self._suppressions.find(token.account_id, domain, token.address, "unsubscribe") is not None:
                return True
        return False

    async def leave(self, token: UnsubscribeToken, how: How, visit: Visit) -> None:
        """No more mail from this domain, or the whole account; once it stands, the sender is told."""
        id = format_id(token.message_id)
        page = how == "page"
        said = say("unsubscribed_page", message=id) if page else say("unsubscribed_one_click", message=id)
        where = (token.account_id, _where(token), token.address)
        new = await self._suppressions.note(*where, "unsubscribe", said, by="recipient")
        await self._recorder.unsubscribed(token, visit, how, new=new)

    async def come_back(self, token: UnsubscribeToken, visit: Visit) -> None:
        """Mail again. Whatever else stops it (a bounce, a complaint) is not the recipient's to take back."""
        actor = Actor("recipient", visit.source)
        for domain in dict.fromkeys((token.domain, _where(token))):
            where = (token.account_id, domain, [token.address])
            await self._suppressions.remove(*where, "unsubscribe", actor=actor, by="recipient")


def _where(token: UnsubscribeToken) -> str:
    return ANY_DOMAIN if token.everywhere else token.domain
