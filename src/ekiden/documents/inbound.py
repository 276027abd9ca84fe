"""Mail that comes in: for which domains, what a report says, what came and what followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Self

from ekiden.documents.document import Document, Time, says

if TYPE_CHECKING:
    from ekiden.core.report import Reading, Report
    from ekiden.inbound import inbound_domains, received_queries, verdicts


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


class ReceivedMail(Document, frozen=True):
    """A mail that came in."""

    id: Annotated[str, says("its id")]
    account: Annotated[str, says("the account whom it concerns; empty: who runs Ekiden")]
    accepted_at: Annotated[Time, says("when it came in")]
    kind: Annotated[
        str | None,
        says("`bounce`, `delay`, `complaint`, `auto-reply`, `unsubscribe`, `other`; null: nobody has read it yet"),
    ]
    sender: Annotated[str, says("the envelope sender; empty: the null sender")]
    recipients: Annotated[list[str], says("the envelope recipients")]
    subject: Annotated[str, says("of its header, for people")]
    size: Annotated[int, says("octets")]
    routes: Annotated[list[str], says("names of the routes that took it")]
    messages: Annotated[list[str], says("queue ids of the messages that it tells of")]
    failed: Annotated[str, says("why it could not be read, in English; empty: it could")]

    @classmethod
    def of(cls, item: received_queries.Received, account: str) -> Self:
        return cls(**_members(item, account))


def _members(item: received_queries.Received, account: str) -> dict[str, Any]:
    from ekiden.core.display import iso
    from ekiden.core.ids import format_id
    from ekiden.mime.header import decode_words

    mail, told = item.mail, item.told
    taken = [name for each in told.get("recipients", ()) for name in each.get("routes", ())]
    about = [each["message"] for each in told.get("reports", ()) if each.get("message")]
    return {
        "id": format_id(mail.id),
        "account": account,
        "accepted_at": iso(mail.accepted_at),
        "kind": None if item.kind is None else item.kind.value,
        "sender": mail.sender,
        "recipients": list(mail.recipients),
        "subject": decode_words(mail.subject),
        "size": mail.size,
        "routes": list(dict.fromkeys(taken)),
        "messages": list(dict.fromkeys([*about, *([told["message"]] if told.get("message") else [])])),
        "failed": str(told.get("failed", "")),
    }


class NoticeRequest(Document, frozen=True):
    """A request that told of a mail."""

    at: Annotated[Time, says("when it was made")]
    millis: Annotated[int, says("milliseconds until it was answered")]
    status: Annotated[int, says("of the answer; 0: there was none")]
    answer: Annotated[str, says("its beginning, or why there was none, in English")]

    @classmethod
    def of(cls, item: received_queries.TracedRequest) -> Self:
        return cls.like(item, answer=item.words())


class RouteNotice(Document, frozen=True):
    """A recipient of a mail, as a route has it told."""

    number: Annotated[int, says("which recipient of the mail, from 1")]
    recipient: Annotated[str, says("its address")]
    route: Annotated[str, says("the route's name")]
    endpoint: Annotated[int, says("number of the endpoint, as `callback list` shows it")]
    url: Annotated[str, says("where it is told; empty: the endpoint is gone")]
    state: Annotated[str, says("`told`, `waiting`, `paused`, `dead` (given up), `gone` (the route is)")]
    attempts: Annotated[int, says("requests that failed for this mail's sake")]
    due_at: Annotated[Time | None, says("the next request; null: there is none")]
    requests: Annotated[list[NoticeRequest], says("the latest of them")]

    @classmethod
    def of(cls, item: received_queries.TracedNotice) -> Self:
        requests = [NoticeRequest.of(each) for each in item.requests]
        return cls.like(item, endpoint=item.endpoint_id, requests=requests)


class SenderEvidence(Document, frozen=True):
    """What was found out of who a mail is from."""

    spf: Annotated[str, says("what SPF says, such as `pass`")]
    spf_domain: Annotated[str, says("of whom")]
    dkim: Annotated[list[str], says("of each signature what it came to, and whose it is: `pass example.com`")]
    dmarc: Annotated[str, says("what DMARC says")]
    dmarc_domain: Annotated[str, says("of the author's domain")]
    arc: Annotated[str, says("what ARC says")]

    @classmethod
    def of(cls, found: verdicts.Authentication) -> Self:
        dkim = [f"{each.result} {each.domain}".strip() for each in found.dkim]
        return cls(
            found.spf.result, found.spf.domain, dkim, found.dmarc.result, found.dmarc.domain, found.arc.result
        )


class ReceivedMailDetails(ReceivedMail, frozen=True):
    """A mail that came in, with all that followed."""

    listener: Annotated[str, says("where it came in")]
    peer: Annotated[str, says("IP address of the server that brought it")]
    helo: Annotated[str, says("what that calls itself")]
    tls: Annotated[str, says("version and cipher; empty: in clear")]
    header_id: Annotated[str, says("the Message-ID field")]
    authentication: Annotated[SenderEvidence | None, says("who it is from; null: nobody has asked")]
    content_kept: Annotated[bool, says("whether its content is still there")]
    told: Annotated[dict[str, Any], says("what was understood of it")]
    notices: Annotated[list[RouteNotice], says("one for each recipient and route")]

    @classmethod
    def of_trace(cls, item: received_queries.ReceivedTrace, account: str) -> Self:
        from ekiden.inbound.verdicts import Authentication

        received = item.received
        mail, known = received.mail, received.mail.authentication
        return cls(
            **_members(received, account),
            listener=mail.listener,
            peer=mail.peer,
            helo=mail.helo,
            tls=mail.tls,
            header_id=mail.header_id,
            authentication=SenderEvidence.of(Authentication.decode(known)) if known else None,
            content_kept=item.has_content,
            told=dict(received.told),
            notices=[RouteNotice.of(each) for each in item.notices],
        )
