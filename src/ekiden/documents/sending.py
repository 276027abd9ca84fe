"""What came of submitting mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from ekiden.core.display import iso
from ekiden.documents.document import Document, Time, says

if TYPE_CHECKING:
    from ekiden.mailings.decisions import Waiting


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


class MailRequest(Document, frozen=True):
    """A request to mail many."""

    id: Annotated[str, says("as its client knows it")]
    account: Annotated[str, says("its account's name")]
    state: Annotated[str, says("`held`: it waits to be confirmed; `due`: confirmed; `cancelled`")]
    sender: Annotated[str, says("the sender's address")]
    subject: Annotated[str, says("the subject, with its placeholders")]
    mails: Annotated[int, says("how many it comes to")]
    send_at: Annotated[Time | None, says("the time that its sender asked for; null: at once")]
    created_at: Annotated[Time, says("when it came")]

    @classmethod
    def of(cls, found: Waiting, account: str) -> Self:
        state = found.state.name.lower()
        return cls(
            found.id,
            account,
            state,
            found.sender,
            found.subject,
            found.mails,
            iso(found.reserved_at),
            iso(found.created_at) or "",
        )
