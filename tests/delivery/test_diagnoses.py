"""One judgement of a reply, whoever asks: the trace, reports, suppressions, Infobip's clients, the connections."""

from __future__ import annotations

from typing import Any

import pytest
from delivery_road import road
from sqlalchemy import select

from ekiden.access.accounts import create_account, set_reporting
from ekiden.access.directory import Directory
from ekiden.core.diagnosis import CAUSES, HARD, SCOPES, Diagnosis, Stage
from ekiden.core.events import EventType
from ekiden.core.states import Cause, State
from ekiden.delivery.explain import explain, explain_to_sender
from ekiden.delivery.explain_sentences import REASONS
from ekiden.delivery.verdict import asks_to_slow_down, classify
from ekiden.dialects.infobip import codes
from ekiden.dialects.infobip.codes import Error
from ekiden.dialects.infobip.status import ERRORS, verdict
from ekiden.lab import Lab
from ekiden.net.clock import SystemClock
from ekiden.recipients.hard_bounces import HardBounces
from ekiden.recipients.suppressing import Suppressing
from ekiden.recipients.suppressions import Suppressions
from ekiden.store import tables as t
from ekiden.store.api import Store


@pytest.mark.parametrize("diagnosis", Diagnosis)
def test_all_consumers_know_all_diagnoses(diagnosis: Diagnosis) -> None:
    for table in (CAUSES, HARD, SCOPES, REASONS, ERRORS):
        assert set(table) == set(Diagnosis)
    for state in (State.BOUNCED, State.DEFERRED, State.EXPIRED):
        assert explain(state, diagnosis).reason
        status, error = verdict(state, diagnosis.cause, diagnosis)
        assert error is not codes.NO_ERROR
        assert state.final or not error.permanent
        assert status.group_name in ("UNDELIVERABLE", "PENDING", "EXPIRED")
    for lang in ("en", "ja"):
        assert all(explain_to_sender(diagnosis, lang))
    # Who is never tried again for it is told that the address is bad, and nobody else.
    assert not diagnosis.hard or ERRORS[diagnosis][0] in (codes.INVALID_ADDRESS, codes.MAILBOX_GONE)


@pytest.mark.parametrize(
    ("reply", "cause", "words", "error", "hard"),
    [
        (
            "550 5.4.1 Recipient address rejected: Access denied",
            Cause.RECIPIENT,
            "refuses this recipient",
            codes.INVALID_ADDRESS,
            False,
        ),
        (
            "550 5.5.0 Requested action not taken: mailbox unavailable",
            Cause.RECIPIENT,
            "refuses this recipient",
            codes.INVALID_ADDRESS,
            False,
        ),
        (
            "552  Message size exceeds maximum permitted",
            Cause.CONTENT,
            "larger than",
            codes.HARD_BOUNCE,
            False,
        ),
        (
            "550 5.1.1 blocked by policy because of spam content",
            Cause.CONTENT,
            "for spam",
            codes.SPAM_REVERTED,
            False,
        ),
        ("550 5.7.1 No such user!", Cause.RECIPIENT, "no such mailbox", codes.INVALID_ADDRESS, True),
        ("550 5.7.1 IP listed in zen.spamhaus.org", Cause.REPUTATION, "blocklist", codes.IP_BLACKLISTED, False),
        ("421 4.7.27 SPF did not pass", Cause.POLICY, "SPF", codes.SOFT_BOUNCE, False),
        ("550  <a@ezweb.ne.jp>: User unknown", Cause.RECIPIENT, "no such mailbox", codes.INVALID_ADDRESS, True),
        ("552  Too much mail data a@docomo.ne.jp", Cause.RECIPIENT, "is full", codes.INBOX_FULL, False),
        ("550  Sender frequency limited", Cause.RATE, "sender's domain", codes.PROVIDER_RATE_LIMIT, False),
        ("500  Line Too Long", Cause.CONTENT, "form of the message", codes.HARD_BOUNCE, False),
    ],
)
def test_one_reply_is_the_same_to_all(reply: str, cause: Cause, words: str, error: Error, hard: bool) -> None:
    code, enhanced, text = reply.split(" ", 2)
    found = classify(int(code), enhanced, text)
    assert found.cause is cause
    assert words in explain(found.state, found.diagnosis).reason
    assert verdict(found.state, found.cause, found.diagnosis)[1] is error
    assert found.diagnosis.hard is hard


def _rule(at: str, code: int, enhanced: str, text: str) -> dict[str, Any]:
    return {"rules": [{"at": at, "reply": {"code": code, "enhanced": enhanced, "text": text}}]}


@pytest.mark.parametrize(
    ("at", "code", "enhanced", "text", "diagnosis", "suppressed"),
    [
        ("rcpt", 550, "", "Unknown user", Diagnosis.NO_MAILBOX, True),
        ("end", 550, "", "Unknown user", Diagnosis.RECIPIENT_FILTER, False),
        ("data", 550, "5.1.1", "Unknown user", Diagnosis.RECIPIENT_FILTER, False),
        ("mail", 550, "5.1.1", "Unknown user", Diagnosis.SENDER_REFUSED, False),
        ("rcpt", 550, "5.1.1", "User unknown, blocked by policy", Diagnosis.POLICY, False),
        ("rcpt", 550, "5.7.1", "No such user!", Diagnosis.NO_MAILBOX, True),
    ],
)
async def test_only_a_missing_mailbox_is_suppressed(
    store: Store,
    lab: Lab,
    at: str,
    code: int,
    enhanced: str,
    text: str,
    diagnosis: Diagnosis,
    suppressed: bool,
) -> None:
    """From the server's words over a socket to the rows of the store."""
    clock = SystemClock()
    account = await create_account(store, "acme", clock.now())
    await set_reporting(store, "acme", clock.now(), reports_endpoint=None, suppress_bounces=True)
    suppressions = Suppressions(store, clock)
    bounces = HardBounces(Suppressing(Directory(store, clock), suppressions))
    await lab.set_behaviour("carrier.lab.test", _rule(at, code, enhanced, text))
    async with road(store, lab, bounced=bounces) as r:
        message_id = await r.send("ann@carrier.lab.test", sender="me@sender.lab.test", account=account.id)
        row = await r.one(message_id)
        await r.drain()
        assert (row["state"], row["diagnosis"], row["cause"]) == (State.BOUNCED, diagnosis, diagnosis.cause)
        (attempt,) = await r.attempts(message_id)
        assert attempt["diagnosis"] == diagnosis
        (event,) = await r.rows(t.event, t.event.c.type == EventType.BOUNCED)
        assert event["diagnosis"] == diagnosis
    await bounces.close()
    await suppressions.close()
    async with store.read() as connection:
        found = (await connection.execute(select(t.suppression.c.address, t.suppression.c.kind))).all()
    assert [tuple(one) for one in found] == ([("ann@carrier.lab.test", "bounce")] if suppressed else [])


@pytest.mark.parametrize(
    ("enhanced", "text", "narrower"),
    [
        ("4.7.27", "Your email has been rate limited because SPF authentication didn't pass", False),
        ("4.7.29", "rate limited because this message wasn't sent over a TLS connection", False),
        ("4.7.30", "Your email has been rate limited because DKIM authentication didn't pass", False),
        ("4.7.32", "rate limited because the From: header isn't aligned", False),
        ("4.7.40", "rate limited because the sending domain doesn't have a DMARC record", False),
        ("4.7.28", "an unusual rate of unsolicited email originating from your IP address", True),
        ("4.3.2", "Service not available", True),
    ],
)
async def test_what_is_about_one_senders_domain_leaves_the_window_alone(
    sqlite_store: Store, lab: Lab, enhanced: str, text: str, narrower: bool
) -> None:
    await lab.set_behaviour("big.lab.test", _rule("end", 421, enhanced, text))
    async with road(sqlite_store, lab, initial_concurrency=4) as r:
        row = await r.one(await r.send("a@big.lab.test", account=1))
        assert row["state"] == State.DEFERRED
        (site,) = r.dispatcher._sites.values()
        assert (site.window < 4) is narrower
        assert (site.caution > 1) is narrower
        # Others' mail goes over as many connections as before.
        await lab.set_behaviour("big.lab.test", "accept")
        assert (await r.one(await r.send("b@big.lab.test", account=2)))["state"] == State.DELIVERED
        await r.drain()


def test_one_account_is_not_braked_for_anothers_domain() -> None:
    for enhanced in ("4.7.27", "4.7.29", "4.7.30", "4.7.32", "4.7.40"):
        for stage in Stage:
            assert not asks_to_slow_down(classify(421, enhanced, "rate limited", stage))
    assert asks_to_slow_down(classify(421, "4.7.28", "rate limited"))
