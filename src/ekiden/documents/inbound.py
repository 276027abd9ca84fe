"""Mail that comes in: for which domains, what a report says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from ekiden.documents.document import Document, Time, says

if TYPE_CHECKING:
    from ekiden.core.report import Reading, Report
    from ekiden.inbound import inbound_domains


class ReportedRecipient(Document, frozen=True):
    """What a report says of one recipient."""

    recipient: Annotated[str, says("the address, as it is written there; empty: it is not told")]
    diagnosis: Annotated[str, says("what is wrong, such as `no-mailbox`; `none`: nothing")]
    cause: Annotated[str, says("whose matter it is: a cause as of a delivery")]
    hard: Annotated[bool, says("whether the address is no good for ever")]
    code: Annotated[str, says("the enhanced code, else the basic one; empty: none is told")]

    @classmethod
    def of(cls, report: Report) -> Self:
        return cls(
            report.recipient,
            report.diagnosis.label,
            report.cause.name.lower(),
            report.hard,
            report.shown_code,
        )


class Classified(Document, frozen=True):
    """What a received mail is, and whom it is about."""

    file: Annotated[str, says("path, as it was given")]
    kind: Annotated[str, says("`bounce`, `delay`, `complaint`, `auto-reply`, `unsubscribe`, `other`")]
    recipients: Annotated[list[ReportedRecipient], says("one for each recipient that is reported")]

    @classmethod
    def of(cls, file: str, reading: Reading) -> Self:
        from ekiden.core.report import Kind

        named = reading.kind in (Kind.BOUNCE, Kind.DELAY, Kind.COMPLAINT, Kind.AUTO_REPLY, Kind.UNSUBSCRIBE)
        kind = reading.kind if named else Kind.OTHER
        return cls(file, kind.value, [ReportedRecipient.of(report) for report in reading.reports])


class InboundDomain(Document, frozen=True):
    """A domain that an account receives mail for."""

    name: Annotated[str, says("the domain, in A-labels")]
    account: Annotated[str, says("the account's name")]
    created_at: Annotated[Time, says("since when")]

    @classmethod
    def of(cls, item: inbound_domains.InboundDomain, account: str) -> Self:
        return cls.like(item, account=account)
