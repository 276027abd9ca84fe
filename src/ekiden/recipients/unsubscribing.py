"""Leaving and coming back, as a recipient asks for it with a link that only this recipient has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ekiden.access.audit import Actor
from ekiden.core.ids import format_id
from ekiden.core.said import say

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
        found = await self._suppressions.find(token.account_id, token.domain, token.address, "unsubscribe")
        return found is not None

    async def leave(self, token: UnsubscribeToken, how: How, visit: Visit) -> None:
        """No more mail from this domain; once it stands, the sender is told."""
        id = format_id(token.message_id)
        page = how == "page"
        said = say("unsubscribed_page", message=id) if page else say("unsubscribed_one_click", message=id)
        where = (token.account_id, token.domain, token.address)
        new = await self._suppressions.note(*where, "unsubscribe", said)
        await self._recorder.unsubscribed(token, visit, how, new=new)

    async def come_back(self, token: UnsubscribeToken, visit: Visit) -> None:
        """Mail again. Whatever else stops it (a bounce, a complaint) is not the recipient's to take back."""
        actor = Actor("recipient", visit.source)
        await self._suppressions.remove(token.account_id, token.domain, [token.address], "unsubscribe", actor=actor)
