"""Who is told of a message: the event webhook of its account, whichever way the message came in."""

from __future__ import annotations

from dataclasses import replace
from email.utils import getaddresses
from typing import TYPE_CHECKING, Final

from ekiden.access.unavailable import StoreUnavailable
from ekiden.core.notices import News, Route
from ekiden.dialects.cmc.event_settings import EVENT
from ekiden.dialects.cmc.labels import AUTHOR
from ekiden.dialects.cmc.news.events import BLOCKS, BOUNCES, DELIVERIES
from ekiden.intake.errors import TemporarilyUnavailable

if TYPE_CHECKING:
    from ekiden.access.directory import AccountFacts
    from ekiden.core.submission import Submission
    from ekiden.mime.scan import Header
    from ekiden.notify.staged_settings import AppliedSettings

NEWS: Final = {DELIVERIES: News.FINAL | News.INTERMEDIATE | News.EACH, BOUNCES: News.FAILURE}
"""What each kind of events is made of. Blocks are no news of a message."""
_MAX_READ: Final = 1_000
"""Octets of a From field that are read."""


class EventRoutes:
    """``intake.door.Annotator``: routes to the endpoints of applied settings, and the author that is told."""

    def __init__(self, applied: AppliedSettings) -> None:
        self._applied = applied

    def concerns(self, account: AccountFacts, _: Header) -> bool:
        known = self._applied.get(account, EVENT)
        return known is None or bool(known)

    async def annotate(self, account: AccountFacts, submission: Submission, header: Header) -> Submission:
        try:
            applied = await self._applied.load(account, EVENT)
        except StoreUnavailable as error:
            raise TemporarilyUnavailable from error
        ids = {part: id for record in applied for part, id in record.endpoints.items() if part != BLOCKS}
        if not ids:
            return submission
        routes = tuple(Route(id, int(NEWS[part])) for part, id in ids.items())
        author = _author(header)
        told = "" if submission.sender is None else submission.sender.text
        labels = {**submission.labels, AUTHOR: author} if author and author != told else submission.labels
        return replace(submission, routes=(*submission.routes, *routes), labels=labels)


def _author(header: Header) -> str:
    """The first address of the From field; empty: it has none."""
    text = (header.get(b"from") or b"")[:_MAX_READ].decode("utf-8", "replace")
    return next((address for _, address in getaddresses([text]) if "@" in address), "").replace("\0", "\ufffd")
