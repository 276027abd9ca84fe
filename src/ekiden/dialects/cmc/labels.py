"""What is kept of a message for whoever asks for it, or is told of it: labels (``core.submission.Submission``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ekiden.mime.header import decode_words

if TYPE_CHECKING:
    from ekiden.access.directory import AccountFacts
    from ekiden.core.submission import Submission
    from ekiden.mime.scan import Header

API_DATA: Final = "api_data"
"""The value of the field ``X-Api-Data``: ``apiData`` of lists and events."""
AUTHOR: Final = "author"
"""The address of the author, where it is kept: ``from`` of lists and events. Else that of the envelope is told."""
REQUEST: Final = "request"
"""The id of a request that became several messages, each of which has an id of its own."""
MAX_API_DATA: Final = 1_000
"""Characters of it that are kept."""
_FIELD: Final = b"x-api-data"


class ApiData:
    """``intake.door.Annotator``: keeps ``X-Api-Data`` of any message, by SMTP or HTTP. The field stays in it."""

    def concerns(self, _: AccountFacts, header: Header) -> bool:
        return header.begins(_FIELD)

    async def annotate(self, _: AccountFacts, submission: Submission, header: Header) -> Submission:
        value = decode_words(header.get(_FIELD) or b"").replace("\0", "\ufffd")[:MAX_API_DATA]
        return replace(submission, labels={**submission.labels, API_DATA: value}) if value else submission


def api_data(labels: Mapping[str, str]) -> str:
    """``apiData``; empty: none was given."""
    return labels.get(API_DATA, "")


def author(labels: Mapping[str, str], sender: str) -> str:
    """``from``; ``sender``: of the envelope."""
    return labels.get(AUTHOR, sender)


def told_id(labels: Mapping[str, str], header_id: str) -> str:
    """``messageId``: that of the request, where one request was many messages; with its brackets."""
    found = labels.get(REQUEST, header_id)
    return found if found.startswith("<") or not found else f"<{found}>"
