"""Where news goes: endpoints, requests to them, and what was given up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from msgspec import UNSET, UnsetType

from ekiden.core.display import iso
from ekiden.core.ids import format_id
from ekiden.documents.document import Document, Time, says

if TYPE_CHECKING:
    from ekiden.notify import administration


class Endpoint(Document, frozen=True):
    """Where news goes."""

    id: Annotated[int, says("its number, by which commands know it")]
    account: Annotated[str, says("the account's name")]
    format: Annotated[str, says("how news is written")]
    url: Annotated[str, says("where it is sent to; empty: it is kept to be fetched")]
    authenticated: Annotated[bool, says("whether requests carry a secret")]
    created_at: Annotated[Time, says("when it was first named")]
    failures: Annotated[int, says("failed requests in a row")]
    failing_since: Annotated[Time | None, says("the first of them")]
    retry_at: Annotated[Time | None, says("nothing is sent before")]
    waiting: Annotated[int, says("events that wait")]
    oldest: Annotated[Time | None, says("when the oldest of them happened")]
    dead: Annotated[int, says("events that were given up")]

    @classmethod
    def of(cls, item: administration.EndpointState, account: str) -> Self:
        return cls.like(
            item,
            account=account,
            failing_since=iso(item.failing_since),
            retry_at=iso(item.retry_at or None),
            oldest=iso(item.oldest),
        )


class Request(Document, frozen=True):
    """A request to an endpoint."""

    id: Annotated[str, says("its id")]
    account: Annotated[str, says("the account's name")]
    endpoint: Annotated[int, says("number of the endpoint")]
    at: Annotated[Time, says("when it was made")]
    millis: Annotated[int, says("milliseconds until it was answered")]
    status: Annotated[int, says("of the answer; 0: there was none")]
    answer: Annotated[str, says("its beginning, or why there was none, in English")]
    events: Annotated[list[str], says("ids of the events that it carried")]

    @classmethod
    def of(cls, item: administration.Request, account: str) -> Self:
        events = [format_id(event) for event in item.events]
        return cls.like(
            item,
            id=format_id(item.id),
            account=account,
            endpoint=item.endpoint_id,
            answer=item.told(),
            events=events,
        )


class DeadLetter(Document, frozen=True):
    """An event that could not be told in time."""

    event: Annotated[str, says("its id")]
    account: Annotated[str, says("the account's name")]
    endpoint: Annotated[int, says("number of the endpoint")]
    message: Annotated[str, says("the queue id")]
    number: Annotated[int, says("of the recipient")]
    type: Annotated[str | None, says("what happened; null: it is not kept any more")]
    at: Annotated[Time, says("when it happened")]
    attempts: Annotated[int, says("how often it was tried to tell it")]
    dead_at: Annotated[Time, says("when it was given up")]

    @classmethod
    def of(cls, item: administration.DeadLetter, account: str) -> Self:
        return cls.like(
            item,
            event=format_id(item.event_id),
            account=account,
            endpoint=item.endpoint_id,
            message=format_id(item.message_id),
        )


class Again(Document, frozen=True):
    """How many events are told again."""

    events: Annotated[int, says("how many")]
    dry_run: Annotated[bool | UnsetType, says("of `callback replay`: nothing was changed")] = UNSET
