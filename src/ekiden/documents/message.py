"""Messages with all that happened to them, and what was refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from ekiden.core.display import iso
from ekiden.core.ids import format_id
from ekiden.core.language import Language
from ekiden.core.notices import News
from ekiden.core.said import dialogue_told
from ekiden.core.states import After
from ekiden.documents.document import Document, Time, says
from ekiden.documents.queue import (
    CAUSE,
    CODE,
    DIAGNOSIS,
    ENHANCED,
    HOLDS,
    REASON,
    SAID,
    STATE,
    WAIT,
    Hold,
    QueuedDelivery,
    Said,
    waiting,
)

if TYPE_CHECKING:
    from ekiden.access.refusals import KeptRefusal
    from ekiden.delivery.trace_news_queries import TracedRoute
    from ekiden.delivery.trace_queries import MessageTrace, TracedAttempt, TracedDelivery


class UsedCredential(Document, frozen=True):
    """The credential that a message was submitted with."""

    kind: Annotated[str, says("`password`, `smtp_user`, `api_key`, `access_key`")]
    name: Annotated[str, says("the user name, or the label of a key")]


class Marks(Document, frozen=True):
    """What the sender calls a message; empty: nothing."""

    bulk: Annotated[str, says("id of the request")]
    reference: Annotated[str, says("the sender's own id of the message")]
    application: Annotated[str, says("the sender's application")]
    entity: Annotated[str, says("the sender's entity")]
    campaign: Annotated[str, says("the sender's campaign")]


class Recipient(Document, frozen=True):
    """Where a message stands with one recipient."""

    number: Annotated[int, says("counted from 1")]
    recipient: Annotated[str, says("of the envelope")]
    domain: Annotated[str, says("where it goes, in A-labels")]
    orcpt: Annotated[str | None, says("the original recipient (RFC 3461), if the client gave one")]
    state: Annotated[str, STATE]
    final: Annotated[bool, says("whether that is how it ended")]
    cause: Annotated[str, CAUSE]
    diagnosis: Annotated[str, DIAGNOSIS]
    wait: Annotated[str | None, WAIT]
    holds: Annotated[list[Hold], HOLDS]
    reason: Annotated[str, REASON]
    said: Annotated[Said | None, SAID]
    code: Annotated[int, CODE]
    enhanced: Annotated[str, ENHANCED]
    due_at: Annotated[Time | None, says("the next time, while it waits")]
    attempts: Annotated[int, says("how many have been begun")]
    updated_at: Annotated[Time, says("when it last changed")]

    @classmethod
    def of(cls, item: TracedDelivery, **members: Any) -> Self:
        return cls.like(
            item,
            final=item.state.final,
            due_at=iso(item.due_at) if item.state.waiting else None,
            attempts=item.attempt_count,
            **waiting(item),
            **members,
        )


class Message(Document, frozen=True):
    """A message, and where it stands with each recipient."""

    id: Annotated[str, says("the queue id")]
    account: Annotated[str, says("the account's name")]
    credential: Annotated[UsedCredential | None, says("what it was submitted with; null: no login")]
    sender: Annotated[str, says("of the envelope; empty: the null sender")]
    subject: Annotated[str, says("as people read it")]
    header_id: Annotated[str, says("the Message-ID")]
    size: Annotated[int, says("octets")]
    priority: Annotated[str, says("`high`, `standard`, `low`")]
    envid: Annotated[str | None, says("the envelope id (RFC 3461), if the client gave one")]
    accepted_at: Annotated[Time, says("when it was accepted")]
    expires_at: Annotated[Time, says("when what waits then is given up")]
    content_kept: Annotated[bool, says("whether somebody still needs its content")]
    origin: Annotated[
        dict[str, Any], says("`via`, `client`, `helo`, `region`, `endpoint`, `tls`, `listener`: what is known")
    ]
    labels: Annotated[dict[str, Any], says("what the sender attached to it")]
    marks: Annotated[Marks, says("what the sender calls it")]
    recipients: Annotated[list[Recipient], says("where it stands with each")]

    @classmethod
    def of(cls, trace: MessageTrace, **members: Any) -> Self:
        from ekiden.mime.header import decode_words

        members.setdefault("recipients", [Recipient.of(item) for item in trace.deliveries])
        return cls.like(
            trace,
            id=format_id(trace.id),
            credential=UsedCredential(trace.credential_kind, trace.credential) if trace.credential else None,
            subject=decode_words(trace.subject),
            content_kept=trace.has_content,
            marks=Marks.like(trace.marks),
            **members,
        )


# ---- what happened to it


class Explanation(Document, frozen=True):
    """Why a delivery stands where it stands, in the reader's language."""

    headline: Annotated[str, says("what became of it")]
    reason: Annotated[str, says("why, or empty")]
    advice: Annotated[str, says("what to do, or empty")]


class Attempt(Document, frozen=True):
    """One attempt to deliver."""

    number: Annotated[int, says("counted from 1")]
    worker: Annotated[int, says("number of the worker")]
    started_at: Annotated[Time, says("when it began")]
    finished_at: Annotated[Time, says("when it ended")]
    milliseconds: Annotated[int, says("between the two")]
    state: Annotated[str, says("what it led to")]
    cause: Annotated[str, CAUSE]
    diagnosis: Annotated[str, says("what is wrong: [delivery.md](delivery.md)")]
    host: Annotated[str, says("the server; empty: none was reached")]
    address: Annotated[str, says("its IP address, or empty")]
    tls: Annotated[str, says("version and cipher; empty: none")]
    code: Annotated[int, CODE]
    enhanced: Annotated[str, ENHANCED]
    reply: Annotated[str, says("the last reply; in English where Ekiden says it")]
    dialogue: Annotated[list[str], says("the lines of both sides")]

    @classmethod
    def of(cls, attempt: TracedAttempt) -> Self:
        length = attempt.finished_at - attempt.started_at
        dialogue = dialogue_told(attempt.dialogue, "en")
        return cls.like(attempt, milliseconds=length, diagnosis=attempt.diagnosis.label, dialogue=dialogue)


class Event(Document, frozen=True):
    """Something that happened."""

    type: Annotated[str, says("such as `accepted`, `deferred`, `held`, `opened`")]
    at: Annotated[Time, says("when")]
    data: Annotated[dict[str, Any], says("details, which depend on the type")]


class Route(Document, frozen=True):
    """Somebody who is told of a message."""

    endpoint: Annotated[int, says("number of the endpoint")]
    format: Annotated[str, says("how news is written")]
    url: Annotated[str, says("where it is sent to; empty: it is kept to be fetched")]
    news: Annotated[list[str], says("what is told: `final`, `intermediate`, `tracking`")]
    waiting: Annotated[int, says("events of this message that wait")]
    dead: Annotated[int, says("those that were given up")]
    failures: Annotated[int, says("failed requests to the endpoint in a row")]
    retry_at: Annotated[Time | None, says("with failures: nothing is sent before")]
    status: Annotated[int, says("of the answer to the last request, when that failed; 0: there was none")]
    answer: Annotated[str, says("its beginning, or why there was none, in English")]

    @classmethod
    def of(cls, route: TracedRoute) -> Self:
        news = [kind.name.lower() for kind in News if kind & route.news and kind.name]
        retry_at = iso(route.retry_at) if route.failures else None
        return cls.like(route, endpoint=route.endpoint_id, news=news, retry_at=retry_at, answer=route.told())


class TracedRecipient(Recipient, frozen=True):
    """A recipient, and what happened to its delivery."""

    explanation: Annotated[Explanation, says("why it stands where it stands, in the reader's language")]
    after: Annotated[
        list[str],
        says("what was heard of it once it had ended: `bounced`, `complained`, `auto-replied`, `unsubscribed`"),
    ]
    history: Annotated[list[Attempt], says("the attempts")]
    events: Annotated[list[Event], says("what happened to this delivery")]

    @classmethod
    def traced(cls, item: TracedDelivery, lang: Language) -> Self:
        from ekiden.delivery.explain import explain

        found = explain(
            item.state,
            item.diagnosis,
            lang,
            wait=item.wait,
            said=item.said,
            after=item.after,
            late=item.late,
        )
        heard = [bit.name.lower().replace("_", "-") for bit in After if bit & item.after and bit.name]
        return cls.of(
            item,
            after=heard,
            explanation=Explanation.like(found),
            history=[Attempt.of(attempt) for attempt in item.attempts],
            events=[Event.like(event) for event in item.events],
        )


class Trace(Message, frozen=True):
    """A message with all that happened to it."""

    recipients: Annotated[list[TracedRecipient], says("where it stands with each, and how it came there")]  # type: ignore[assignment]
    routes: Annotated[list[Route], says("who is told of it")]
    events: Annotated[list[Event], says("what happened to the message as a whole")]

    @classmethod
    def with_all(cls, trace: MessageTrace, routes: Sequence[TracedRoute], lang: Language) -> Self:
        return cls.of(
            trace,
            recipients=[TracedRecipient.traced(item, lang) for item in trace.deliveries],
            routes=[Route.of(route) for route in routes],
            events=[Event.like(event) for event in trace.events],
        )


# ---- what was refused, what was found


class Refusal(Document, frozen=True):
    """A submission that was refused."""

    refused: Annotated[str, says("its id")]
    at: Annotated[Time, says("when")]
    stage: Annotated[str, says("`connect`, `auth`, `mail`, `data`")]
    reason: Annotated[
        str,
        says(
            "`account_suspended`, `sender_not_owned`, `domain_not_verified`, `domain_suspended`, `network_rule`, "
            "`no_configuration`, `credential_revoked`, `attachment`, `quota`, `author_unknown`"
        ),
    ]
    why: Annotated[str, says("the same as a sentence in the reader's language")]
    advice: Annotated[str, says("what to do, in the reader's language, or empty")]
    reply: Annotated[str, says("what the client heard")]
    account: Annotated[str, says("the account's name; empty: nobody had logged in")]
    client: Annotated[str, says("its IP address")]
    sender: Annotated[str, says("of the envelope, or empty")]
    facts: Annotated[dict[str, Any], says("what else is known: texts by name")]

    @classmethod
    def of(cls, refusal: KeptRefusal, account: str, why: str, advice: str) -> Self:
        return cls.like(refusal, refused=format_id(refusal.id), why=why, advice=advice, account=account)


class Found(Document, frozen=True):
    """What was sent to somebody."""

    messages: Annotated[list[QueuedDelivery], says("deliveries, newest first")]
    refusals: Annotated[list[Refusal], says("what was refused, newest first")]
