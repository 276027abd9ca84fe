"""What came of submitting mail."""

from __future__ import annotations

from typing import Annotated

from ekiden.documents.document import Document, says


class RefusedRecipient(Document, frozen=True):
    """A recipient that the server refused."""

    recipient: Annotated[str, says("the address")]
    code: Annotated[int, says("of the reply")]
    reply: Annotated[str, says("its text")]


class SentMessage(Document, frozen=True):
    """What the server said to one message."""

    id: Annotated[str | None, says("the queue id; null: it was not accepted")]
    recipients: Annotated[list[str], says("those that were accepted")]
    reply: Annotated[str, says("of the server")]
    refused: Annotated[list[RefusedRecipient], says("those that were not")]


class Sent(Document, frozen=True):
    """What came of all of them."""

    accepted: Annotated[int, says("messages")]
    refused_recipients: Annotated[int, says("recipients")]
    not_tried: Annotated[int, says("messages")]
    errors: Annotated[list[str], says("of connections")]
    seconds: Annotated[float, says("how long it took")]
    messages: Annotated[list[SentMessage], says("each that was tried")]
