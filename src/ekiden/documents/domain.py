"""Sending domains, the records that they publish and the checks of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Self

from ekiden.core.display import iso
from ekiden.core.language import Language
from ekiden.documents.document import Document, Time, says

if TYPE_CHECKING:
    from ekiden.domains import model
    from ekiden.domains.evidence import Evidence


class Tracking(Document, frozen=True):
    """What is counted of messages that are composed here, unless a request says otherwise."""

    opens: Annotated[bool, says("who opens a message")]
    clicks: Annotated[bool, says("who follows a link")]
    unsubscribes: Annotated[bool, says("whether they offer a page of ours to unsubscribe")]
    host: Annotated[str, says("the host of the links; empty: that of the installation")]


class Domain(Document, frozen=True):
    """A sending domain."""

    id: Annotated[int, says("its number in this installation")]
    account: Annotated[str, says("the account's name; empty: the installation itself")]
    name: Annotated[str, says("in A-labels")]
    status: Annotated[str, says("`pending`, `verified`, `failed`, `suspended`")]
    reason: Annotated[str, says("the code of what is wrong, or empty")]
    vouched: Annotated[bool, says("whether an operator vouches for it, whatever its records are")]
    spf: Annotated[str, says("what the last check said: `pending`, `successful`, `failed`")]
    dkim: Annotated[str, says("likewise")]
    approval: Annotated[
        str, says("whether an administrator has to agree: `none`, `pending`, `approved`, `refused`")
    ]
    approval_reason: Annotated[str, says("why it was refused, or empty")]
    approved_by: Annotated[str, says("who approved or refused it, or empty")]
    approved_at: Annotated[Time | None, says("when that was")]
    created_at: Annotated[Time, says("when it was added")]
    verified_at: Annotated[Time | None, says("when it last became usable")]
    checked_at: Annotated[Time | None, says("the last check")]
    check_at: Annotated[Time | None, says("the next periodic check")]
    failing_since: Annotated[Time | None, says("the first failed check in a row since it was usable")]
    tracking: Annotated[Tracking, says("what is counted of messages that are composed here")]
    return_path: Annotated[str, says("where their bounces go; empty: to the author")]
    receive_bounces: Annotated[bool, says("whether bounces of its mail come to Ekiden, where any are received")]
    rp: Annotated[
        str,
        says("what the last check of its own return path said: `pending`, `successful` (it is used), `failed`"),
    ]

    @classmethod
    def of(cls, domain: model.Domain, account: str, **members: Any) -> Self:
        return cls.like(
            domain,
            account=account,
            failing_since=iso(domain.failing_since),
            tracking=Tracking.like(domain.tracking),
            **members,
        )


class Attachment(Document, frozen=True):
    """A file that supports the answers to the questionnaire."""

    number: Annotated[int, says("counted from 1")]
    name: Annotated[str, says("of the file")]
    media_type: Annotated[str, says("such as `application/pdf`")]
    size: Annotated[int, says("octets")]
    added_at: Annotated[Time, says("when it was added")]


class DomainRecord(Document, frozen=True):
    """A record to publish."""

    kind: Annotated[str, says("`spf`, `dkim`, `ed25519`, `dmarc`, `address`; `rp_mx`, `rp_spf`: the return path")]
    name: Annotated[str, says("where it stands, without a final dot")]
    type: Annotated[str, says("`TXT`, `A`, `MX`")]
    value: Annotated[str, says("its text; empty for an address, which is the owner's affair")]
    zone_line: Annotated[str, says("the record as a line of a zone file, or empty")]
    alias_line: Annotated[str, says("a CNAME in the place of all records of its name, likewise, or empty")]
    required: Annotated[bool, says("whether the domain may not be sent from without it")]
    status: Annotated[str, says("`pending`, `successful`, `failed`; `retired`: wanted until `until`")]
    code: Annotated[str, says("what is wrong, or to be known; empty: nothing")]
    why: Annotated[str, says("the same as a sentence in the reader's language")]
    advice: Annotated[str, says("what to do, in the reader's language, or empty")]
    until: Annotated[Time | None, says("of a retired one: how long it has to stay")]

    @classmethod
    def of(cls, record: model.Record, lang: Language) -> Self:
        from ekiden.domains.reasons import short
        from ekiden.domains.records import alias_line, zone_line

        check = record.check
        return cls.like(
            record,
            zone_line=zone_line(record),
            alias_line=alias_line(record),
            code=record.why,
            why=check.text(lang) if check is not None else short("not_checked", lang),
            advice=check.advice(lang) if check is not None else "",
            until=iso(record.until),
        )


class Question(Document, frozen=True):
    """What was asked of the DNS."""

    name: Annotated[str, says("the name")]
    type: Annotated[str, says("the type")]


class DomainCheck(Document, frozen=True):
    """A look at one record."""

    at: Annotated[Time, says("when it was")]
    kind: Annotated[str, says("as of records")]
    result: Annotated[str, says("`pass`, `fail`, `temporary` (nothing is known), `advice` (decides nothing)")]
    code: Annotated[str, says("what is wrong, or empty")]
    asked: Annotated[Question, says("what was asked of the DNS")]
    expected: Annotated[str, says("the wanted answer")]
    answered: Annotated[tuple[str, ...], says("the answer")]
    why: Annotated[str, says("what was found, as a sentence in the reader's language")]
    advice: Annotated[str, says("what to do, in the reader's language, or empty")]

    @classmethod
    def of(cls, check: model.Check, lang: Language) -> Self:
        return cls.like(check, asked=Question(*check.asked), why=check.text(lang), advice=check.advice(lang))


class DomainDetails(Domain, frozen=True):
    """A domain with its records, and what is known of it."""

    questionnaire: Annotated[dict[str, Any], says("the answers, by question")]
    attachments: Annotated[list[Attachment], says("files that support them")]
    records: Annotated[list[DomainRecord], says("records to publish")]
    checks: Annotated[list[DomainCheck], says("the last checks, newest first; of `domain show` only")]

    @classmethod
    def with_all(
        cls,
        domain: model.Domain,
        account: str,
        records: Iterable[model.Record],
        checks: Iterable[model.Check],
        files: Iterable[Evidence],
        lang: Language,
    ) -> Self:
        return cls.of(
            domain,
            account,
            questionnaire=domain.questionnaire,
            attachments=[Attachment.like(file) for file in files],
            records=[DomainRecord.of(record, lang) for record in records],
            checks=[DomainCheck.of(check, lang) for check in checks],
        )
