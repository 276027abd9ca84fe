"""The table of codes against the contract's, and every state with every cause."""

from __future__ import annotations

import itertools

import pytest
from infobip_probe import happening

from ekiden.core.diagnosis import Diagnosis, Verdict
from ekiden.core.events import EventType
from ekiden.core.said import say
from ekiden.core.states import Cause, State
from ekiden.delivery import verdict as verdicts
from ekiden.delivery.bulks import Bulk
from ekiden.delivery.explain import suppression_kind
from ekiden.dialects.infobip import codes
from ekiden.dialects.infobip.codes import Error, Status
from ekiden.dialects.infobip.status import (
    ERRORS as ERRORS_OF,
)
from ekiden.dialects.infobip.status import (
    GENERAL_STATUSES,
    REPORTED,
    bulk_status,
    error_json,
    states_of,
    status_json,
    verdict,
    verdict_of,
)
from ekiden.smtp.reply import ReplyParser

# Contract §6.2: group, then id, name, P(ermanent) or T.
ERRORS = {
    0: "0 NO_ERROR T",
    1: """255 EC_UNKNOWN_ERROR T · 4100 EC_MESSAGE_CANCELED P · 4101 EC_VALIDITY_EXPIRED P ·
       6002 EC_SPAM_DETECTED P · 6003 EC_UNSUBSCRIBED_EMAIL_ADDRESS P · 6029 EC_SENDER_ADDRESS_INVALID P ·
       6034 EC_SUPPRESSED_BOUNCE P ·
       6035 EC_SUPPRESSED_SPAM_COMPLAINT P · 6053 EC_ACCESS_DENIED_BY_MAILBOX_PROVIDER T ·
       6057 EC_SAFETY_RATE_LIMIT T · 6058 EC_MAILBOX_PROVIDER_RATE_LIMIT T""",
    2: """6006 EC_INVALID_EMAIL_ADDRESS P · 6007 EC_MAILBOX_TEMPORARY_UNAVAILABLE T ·
       6009 EC_MAILBOX_PERMANENTLY_UNAVAILABLE P · 6010 EC_RECIPIENT_INBOX_FULL T · 6011 EC_SOFT_BOUNCE T ·
       6012 EC_HARD_BOUNCE P · 6017 EC_SENDER_IP_BLACKLISTED T · 6037 EC_RECIPIENT_DOMAIN_MX_NOT_FOUND P ·
       6042 EC_SPAM_REVERTED P · 6043 EC_SUSPICIOUS_CONTENT P · 6045 EC_RECIPIENT_DOMAIN_POLICY_ERROR P ·
       6047 EC_DOMAIN_CONFIGURATION_ERROR P · 6048 EC_DMARC_POLICY_ISSUE P · 6049 EC_SENDER_DOMAIN_BLACKLISTED P""",
    3: "6013 EC_INTERNAL_SYSTEM_ERROR T",
}
# Contract §6.1.
STATUSES = {
    1: "3 PENDING_WAITING_DELIVERY · 7 PENDING_ENROUTE · 26 PENDING_ACCEPTED",
    2: "9 UNDELIVERABLE_NOT_DELIVERED · 31 UNDELIVERABLE_NOT_SENT",
    3: "5 DELIVERED_TO_HANDSET",
    4: "15 EXPIRED_EXPIRED",
    5: """6 REJECTED_NETWORK · 14 REJECTED_DESTINATION_BLOCKLISTED · 19 REJECTED_ROUTE_NOT_AVAILABLE ·
       20 REJECTED_FLOODING_FILTER · 87 SIGNALS_BLOCKED · 89 REJECTED_INTERNAL_ERROR""",
}
ALL = [value for value in vars(codes).values() if isinstance(value, Status | Error)]


def _entries(table: dict[int, str]) -> set[tuple[int, ...]]:
    return {
        (group, *entry.split())
        for group, entries in table.items()
        for entry in entries.replace("\n", " ").split("·")
    }


def test_errors_are_the_contracts() -> None:
    ours = {(e.group, str(e.id), e.name, "P" if e.permanent else "T") for e in ALL if isinstance(e, Error)}
    assert ours == _entries(ERRORS)


def test_statuses_are_the_contracts() -> None:
    assert {(s.group, str(s.id), s.name) for s in ALL if isinstance(s, Status)} == _entries(STATUSES)


def test_the_texts_of_the_contracts_examples() -> None:
    assert codes.NO_ERROR.description == "No Error"
    assert codes.DELIVERED_TO_HANDSET.description == "Message delivered to handset"
    assert codes.PENDING_ACCEPTED.description == "Message accepted, pending for delivery."
    assert codes.PENDING_ENROUTE.description == "Message sent to next instance"
    assert bytes(error_json(codes.NO_ERROR)) == (
        b'{"groupId":0,"groupName":"OK","id":0,"name":"NO_ERROR","description":"No Error","permanent":false}'
    )
    assert bytes(status_json(codes.DELIVERED_TO_HANDSET)) == (
        b'{"groupId":3,"groupName":"DELIVERED","id":5,"name":"DELIVERED_TO_HANDSET",'
        b'"description":"Message delivered to handset"}'
    )


@pytest.mark.parametrize("state", State)
def test_every_state_and_diagnosis_has_its_status_and_error(state: State) -> None:
    groups = {
        State.DELIVERED: "DELIVERED",
        State.BOUNCED: "UNDELIVERABLE",
        State.CANCELLED: "UNDELIVERABLE",
        State.EXPIRED: "EXPIRED",
        State.DROPPED: "REJECTED",
    }
    assert set(ERRORS_OF) == set(Diagnosis)
    for cause, diagnosis in itertools.product(Cause, Diagnosis):
        status, error = verdict(state, cause, diagnosis)
        assert status.group_name == groups.get(state, "PENDING")
        assert status.group_name in GENERAL_STATUSES
        assert error.group_name in ("OK", "HANDSET_ERRORS", "USER_ERRORS", "OPERATOR_ERRORS")  # contract §0.7
        if state in (State.BOUNCED, State.EXPIRED, State.DEFERRED, State.DROPPED, State.CANCELLED):
            assert error is not codes.NO_ERROR
        else:
            assert error is codes.NO_ERROR
        if not state.final:
            assert not error.permanent
        assert state in states_of(status.group_name)


def test_filters_know_all_states() -> None:
    found = [state for status in GENERAL_STATUSES for state in states_of(status)]
    assert sorted(found) == sorted(State)
    assert states_of("ACCEPTED") == frozenset()
    assert states_of("REJECTED") == {State.DROPPED}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("250 2.0.0 Ok: queued", codes.NO_ERROR),
        ("550 5.1.1 No such user", codes.INVALID_ADDRESS),
        ("550 no mailbox here by that name", codes.INVALID_ADDRESS),
        ("550 5.1.10 null MX", codes.INVALID_ADDRESS),
        ("452 4.2.2 over quota", codes.INBOX_FULL),
        ("552 5.2.2 Mailbox full", codes.INBOX_FULL),
        ("552 too much storage allocated", codes.INBOX_FULL),
        ("550 5.2.1 disabled", codes.MAILBOX_GONE),
        ("450 4.2.1 busy", codes.MAILBOX_UNAVAILABLE),
        ("450 mailbox in use", codes.MAILBOX_UNAVAILABLE),
        ("451 4.3.2 please try again later", codes.SOFT_BOUNCE),
        ("421 4.4.2 closing", codes.SOFT_BOUNCE),
        ("550 5.7.26 DMARC", codes.DMARC_POLICY),
        ("550 5.7.1 fails DMARC policy", codes.DMARC_POLICY),
        ("550 5.7.1 SPF check failed", codes.DOMAIN_CONFIGURATION),
        ("554 5.7.1 message identified as spam", codes.SPAM_REVERTED),
        ("550 5.7.1 contains a virus", codes.SUSPICIOUS_CONTENT),
        ("550 5.7.1 blocked using zen.spamhaus.org", codes.IP_BLACKLISTED),
        ("550 5.7.1 sender domain listed in SURBL", codes.DOMAIN_BLACKLISTED),
        ("554 5.7.1 Relay access denied", codes.DOMAIN_POLICY),
        ("451 4.7.1 Greylisted, come back", codes.MAILBOX_UNAVAILABLE),
        ("421 4.7.28 rate", codes.PROVIDER_RATE_LIMIT),
        ("450 4.7.1 too many messages", codes.PROVIDER_RATE_LIMIT),
        ("550 5.5.0 mailbox unavailable", codes.INVALID_ADDRESS),
        ("501 5.5.4 syntax", codes.HARD_BOUNCE),
        ("552 5.3.4 too big", codes.HARD_BOUNCE),
        ("553 5.1.8 bad sender", codes.SENDER_INVALID),
    ],
)
def test_well_known_replies(line: str, wanted: Error) -> None:
    parser = ReplyParser()
    parser.feed(f"{line}\r\n".encode())
    reply = parser.next()
    assert reply is not None
    found = verdicts.classify(reply.code, reply.enhanced, reply.text)
    assert verdict(found.state, found.cause, found.diagnosis)[1] == wanted


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (verdicts.no_such_domain(say("no_address")), codes.MX_NOT_FOUND),
        (verdicts.no_route(say("no_address")), codes.MX_NOT_FOUND),
        (verdicts.null_mx(say("no_address")), codes.INVALID_ADDRESS),
        (verdicts.no_connection(say("no_address")), codes.SOFT_BOUNCE),
        (verdicts.dns_trouble(say("no_address")), codes.SOFT_BOUNCE),
        (verdicts.our_fault(say("no_address")), codes.INTERNAL),
        (verdicts.content_lost(say("no_address")), codes.INTERNAL),
        (verdicts.mail_loop(say("no_address")), codes.DOMAIN_POLICY),
        (verdicts.expired(verdicts.no_connection(say("no_address")), "5d"), codes.VALIDITY_EXPIRED),
        (verdicts.expired(verdicts.classify(451, "4.3.2", "later"), "5d"), codes.VALIDITY_EXPIRED),
        (verdicts.expired(verdicts.classify(452, "4.2.2", "full"), "5d"), codes.INBOX_FULL),
    ],
)
def test_our_own_verdicts(found: Verdict, wanted: Error) -> None:
    assert verdict(found.state, found.cause, found.diagnosis)[1] == wanted


@pytest.mark.parametrize(
    ("kind", "wanted"), [("bounce", 6034), ("complaint", 6035), ("over_quota", 6010), ("unsubscribe", 6003)]
)
def test_suppressed(kind: str, wanted: int) -> None:
    event = happening(
        EventType.DROPPED, state=State.DROPPED, code=0, enhanced="", data={"why": "suppressed", "kind": kind}
    )
    status, error = verdict_of(event)
    assert (status.id, error.id) == (14, wanted)


@pytest.mark.parametrize(
    ("kind", "wanted"), [("bounce", 6034), ("complaint", 6035), ("over_quota", 6010), ("unsubscribe", 6003)]
)
def test_suppressed_as_logs_see_it(kind: str, wanted: int) -> None:
    said = say("suppressed", kind=kind, reason="550 5.1.1 (x) no such user")
    status, error = verdict(State.DROPPED, Cause.RECIPIENT, Diagnosis.NONE, suppression_kind(said))
    assert (status.id, error.id) == (14, wanted)
    # The sentence itself is for people alone.
    assert verdict(State.DROPPED, Cause.RECIPIENT, Diagnosis.NONE)[1] is codes.UNKNOWN


def test_an_event_is_told_as_it_was() -> None:
    later = {"state": State.DELIVERED, "diagnosis": Diagnosis.PEER, "reason": "later"}
    assert verdict_of(happening(EventType.DEFERRED, **later)) == (codes.PENDING_WAITING_DELIVERY, codes.SOFT_BOUNCE)
    assert verdict_of(happening(EventType.ACCEPTED, **later)) == (codes.PENDING_ACCEPTED, codes.NO_ERROR)
    assert verdict_of(happening(EventType.CANCELLED, **later)) == (codes.UNDELIVERABLE_NOT_SENT, codes.CANCELED)
    assert {EventType.OPENED, EventType.NOTIFIED, EventType.DOMAIN_FAILED}.isdisjoint(REPORTED)


@pytest.mark.parametrize(
    ("counts", "paused", "begun", "wanted"),
    [
        ({State.SCHEDULED: 3}, 0, 0, "PENDING"),
        ({State.SCHEDULED: 3, State.DROPPED: 1}, 0, 0, "PENDING"),
        ({State.HELD: 3}, 0, 0, "PENDING"),
        ({State.HELD: 3}, 3, 0, "PAUSED"),
        ({State.HELD: 3, State.DELIVERED: 4, State.SENDING: 1}, 3, 5, "PAUSED"),
        ({State.SCHEDULED: 3, State.DELIVERED: 1}, 0, 1, "PROCESSING"),
        ({State.QUEUED: 1}, 0, 1, "PROCESSING"),
        ({State.DEFERRED: 1, State.DELIVERED: 9}, 0, 10, "PROCESSING"),
        ({State.CANCELLED: 2, State.DELIVERED: 1}, 0, 1, "CANCELED"),
        ({State.CANCELLED: 2, State.DEFERRED: 0}, 0, 0, "CANCELED"),
        ({State.DELIVERED: 2, State.BOUNCED: 1, State.DROPPED: 1}, 0, 3, "FINISHED"),
        ({State.BOUNCED: 1}, 0, 1, "FINISHED"),
        ({State.DROPPED: 2, State.CANCELLED: 0}, 0, 0, "FAILED"),
    ],
)
def test_bulks(counts: dict[State, int], paused: int, begun: int, wanted: str) -> None:
    assert bulk_status(Bulk("b", 1, counts, paused=paused, movable=0, begun=begun, send_at=0)) == wanted
