"""Deliveries in the queue, why they wait there, and what changes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from msgspec import UNSET, UnsetType

from ekiden.core.display import iso
from ekiden.core.ids import format_id
from ekiden.core.said import tell
from ekiden.documents.document import Document, Time, says

if TYPE_CHECKING:
    from ekiden.delivery import queue_queries, trace_queries
    from ekiden.delivery.queue_changes import Change, Selection


class Hold(Document, frozen=True):
    """Somebody holds a delivery."""

    by: Annotated[str, says("`operator`, `sender`, `ekiden`, `confirmation`, `suspension`")]
    who: Annotated[str | None, says("who laid it")]
    at: Annotated[Time | None, says("when")]
    reason: Annotated[str | None, says("what that person said")]


class Said(Document, frozen=True):
    """What Ekiden says, for machines."""

    code: Annotated[str, says("names the sentence")]
    facts: Annotated[dict[str, Any], says("what stands in it, by name; each may be something said, too")]


def waiting(delivery: queue_queries.QueueRow | trace_queries.TracedDelivery) -> dict[str, Any]:
    """The members of a document that say what a delivery waits for and why it stands as it does."""
    return {
        "diagnosis": delivery.diagnosis.label,
        "holds": [Hold(held.name, held.by or None, iso(held.at), held.reason or None) for held in delivery.holds],
        "reason": tell(delivery.said, delivery.reason, "en"),
        "said": None if delivery.said is None else Said(**delivery.said.document()),
    }


STATE = says(
    "`held`, `scheduled`, `queued`, `sending`, `deferred`; final: `delivered`, `bounced`, `expired`, `dropped`, "
    "`cancelled`"
)
CAUSE = says("`none`, `recipient`, `reputation`, `content`, `rate`, `policy`, `network`, `ours`")
DIAGNOSIS = says("what is wrong, of the last attempt; `none` without one: [delivery.md](delivery.md)")
WAIT = says("what it [waits for](#the-queue); null: a worker has it, or it has ended")
HOLDS = says("everybody who holds it")
REASON = says("why it stands as it does, in English")
SAID = says("the same, where Ekiden says it; null: others said it")
CODE = says("of the last reply; 0: none")
ENHANCED = says("the enhanced status code, or empty")


class QueuedDelivery(Document, frozen=True):
    """A message to one recipient."""

    id: Annotated[str, says("the queue id of the message")]
    number: Annotated[int, says("of the recipient, counted from 1")]
    account: Annotated[str, says("the account's name")]
    sender: Annotated[str, says("of the envelope; empty: the null sender")]
    recipient: Annotated[str, says("of the envelope")]
    domain: Annotated[str, says("where it goes, in A-labels")]
    state: Annotated[str, STATE]
    cause: Annotated[str, CAUSE]
    diagnosis: Annotated[str, DIAGNOSIS]
    wait: Annotated[str | None, WAIT]
    holds: Annotated[list[Hold], HOLDS]
    reason: Annotated[str, REASON]
    said: Annotated[Said | None, SAID]
    code: Annotated[int, CODE]
    enhanced: Annotated[str, ENHANCED]
    priority: Annotated[str, says("`high`, `standard`, `low`")]
    attempts: Annotated[int, says("how many have been begun")]
    accepted_at: Annotated[Time, says("when the message was accepted")]
    due_at: Annotated[Time, says("the next time; while it is sent: when that began")]
    updated_at: Annotated[Time, says("when it last changed")]
    subject: Annotated[str | UnsetType, says("of `find` only")] = UNSET

    @classmethod
    def of(cls, row: queue_queries.QueueRow, subject: str | UnsetType = UNSET) -> Self:
        id, number = format_id(row.key.message_id), row.key.number
        return cls.like(row, id=id, number=number, subject=subject, **waiting(row))


class ShapeTotal(Document, frozen=True):
    """Deliveries by their age."""

    total: Annotated[int, says("all of them")]
    ages: Annotated[
        dict[str, int], says('counts by minutes since acceptance: `"5"`, `"10"`, … `"1280"`, `"1280+"`')
    ]


class ShapeRow(Document, frozen=True):
    """Deliveries to one domain by their age."""

    domain: Annotated[str, says("the destination")]
    total: Annotated[int, says("deliveries to it")]
    ages: Annotated[dict[str, int], says("as below, of this domain")]


class Shape(Document, frozen=True):
    """How old the queue is."""

    domains: Annotated[int, says("how many destinations there are, listed or not")]
    rows: Annotated[list[ShapeRow], says("the largest")]
    total: Annotated[ShapeTotal, says("of all domains")]

    @classmethod
    def of(cls, shape: queue_queries.Shape, ages: Sequence[str]) -> Self:
        """``ages``: what the columns are called."""
        rows = [ShapeRow(row.domain, row.total, dict(zip(ages, row.ages, strict=True))) for row in shape.rows]
        return cls(
            shape.domains, rows, ShapeTotal.like(shape.total, ages=dict(zip(ages, shape.total.ages, strict=True)))
        )


class QueueChange(Document, frozen=True):
    """What an action on the queue came to."""

    action: Annotated[str, says("`retry`, `hold`, `release`, `cancel`")]
    dry_run: Annotated[bool, says("nothing was changed")]
    selected: Annotated[int, says("deliveries that the action suits")]
    changed: Annotated[int, says("those that it changed")]
    missed: Annotated[int, says("those that were taken by a worker or ended meanwhile")]
    still_held: Annotated[int, says("of those released: how many others hold")]
    sending: Annotated[int, says("skipped: a worker is sending them")]
    unsuited: Annotated[int, says("skipped: in a state that the action does not change")]
    seconds: Annotated[float, says("how long it took")]

    @classmethod
    def of(cls, selection: Selection, change: Change, *, dry_run: bool, seconds: float) -> Self:
        return cls(
            selection.action.value,
            dry_run,
            len(selection),
            change.changed,
            change.missed,
            change.still_held,
            selection.sending,
            selection.unsuited,
            round(seconds, 3),
        )
