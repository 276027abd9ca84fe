"""Every ready-made behaviour of the lab leads to the right state, the right next time, and a trace that says why.

Everything is sent in one go to a platform with short time-outs; then the traces are read, as people read them.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest

from ekiden.cli.main import run
from ekiden.lab.catalogue import CATALOGUE
from support.demo_process import Demo, wait_for
from support.return_paths import is_ours

FIRST_WAIT, JITTER = timedelta(minutes=5), 0.1
ENVIRONMENT = {
    "EKIDEN_DELIVERY__RETRY": "5m,1h",  # longer than all this takes: second tries come when they are told to
    "EKIDEN_DELIVERY__JITTER": str(JITTER),
    "EKIDEN_DELIVERY__CONNECT_TIMEOUT": "1500ms",
    "EKIDEN_DELIVERY__GREETING_TIMEOUT": "3s",  # `slow` takes 2 of them, `slow-banner` 10
    "EKIDEN_DELIVERY__COMMAND_TIMEOUT": "3s",
    "EKIDEN_DELIVERY__DATA_TIMEOUT": "3s",
    "EKIDEN_DELIVERY__TLS_TIMEOUT": "1500ms",
}
SENDER = "me@demo.lab.test"
PLAIN = b"From: <me@demo.lab.test>\r\nSubject: first try\r\n\r\nHello\r\n"
EIGHT_BIT = b"From: <me@demo.lab.test>\r\nSubject: first try\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n"
LARGE = PLAIN + b"0123456789\r\n" * 1000
ROUNDING = timedelta(milliseconds=2)

State = Literal["delivered", "deferred", "bounced"]


@dataclass(frozen=True)
class Expected:
    """What the first attempt leads to; ``words`` are in its trace, ``then`` is the state after a second."""

    state: State
    cause: str = "none"
    code: str = "250 2.0.0"
    words: tuple[str, ...] = ()
    then: State | None = None
    hint: timedelta | None = None
    """The time that the peer named; without it the schedule counts."""
    content: bytes = PLAIN
    recipient: str = "you"
    mail_options: tuple[str, ...] = field(default=())


def delivered(*words: str, code: str = "250 2.0.0", **more: Any) -> Expected:
    return Expected("delivered", "none", code, words, **more)


def deferred(cause: str, code: str, *words: str, **more: Any) -> Expected:
    return Expected("deferred", cause, code, words, **more)


def bounced(cause: str, code: str, *words: str, **more: Any) -> Expected:
    return Expected("bounced", cause, code, words, **more)


IN_TLS = "certificate not checked"
IN_CLEAR = "], without encryption"
GREYLIST = "asks unknown senders to come back later (greylisting)"
NO_USER = "there is no such mailbox"
FULL = "The recipient's mailbox is full."
BUSY = "The recipient's server is not accepting mail at the moment."
UNREACHABLE = "None of the recipient's mail servers could be reached."
BROKE = "The connection to the recipient's server broke or stalled in the middle."
NO_DNS = "The recipient's domain could not be looked up in DNS just now."
NO_ROUTE = "There is no way to the recipient's domain"
PROTOCOL = "The two mail servers did not understand each other's commands."
POLICY = "A policy of the recipient's side forbids this message."

EXPECTED: dict[str, Expected] = {
    # Ordinary answers.
    "accept": delivered("reply: 250 2.0.0 Ok: kept as", "# content, ", IN_TLS),
    "greylist": deferred("policy", "451 4.7.1", GREYLIST, "S: 451 4.7.1 Greylisted", then="delivered"),
    "greylist-time": deferred("policy", "451 4.7.1", GREYLIST, "S: 451 4.7.1 Greylisted", then="delivered"),
    "retryhint": deferred(
        "policy", "451 4.7.1", GREYLIST, "again in 120 seconds", "next attempt", hint=timedelta(seconds=120)
    ),
    "tempfail": deferred("network", "451 4.3.0", BUSY, "reply: 451 4.3.0 Temporary failure, try later"),
    "reject": bounced(
        "recipient", "550 5.1.1", NO_USER, "S: 550 5.1.1 No such user", "a report to the sender was made"
    ),
    "mailboxfull": deferred("recipient", "452 4.2.2", FULL, "S: 452 4.2.2 Mailbox full"),
    "mailboxfull-552": bounced("recipient", "552 5.2.2", FULL, "S: 552 5.2.2 Mailbox full"),
    "spam": bounced("content", "554 5.7.1", "took the message for spam", "S: 554-5.7.1 Message refused as spam"),
    "service-unavailable": deferred("network", "421", BUSY, "S: 421 Service not available"),
    "blocked": deferred("reputation", "554", "is on a blocklist", "S: 554 Your address is on our block list"),
    # Slow ones.
    "slow": delivered(IN_TLS),
    "slow-banner": deferred("network", "451 4.4.1", UNREACHABLE, "timed out while waiting for the greeting"),
    "silent": deferred("network", "451 4.4.1", UNREACHABLE, "timed out while waiting for the greeting"),
    "silent-end": deferred("network", "421 4.4.2", BROKE, "Timed out while waiting for the reply to content"),
    # TLS.
    "badtls": delivered("# the TLS handshake failed: ", "# again without TLS", IN_CLEAR),
    "hangtls": delivered("# the TLS handshake failed: ", "# again without TLS", IN_CLEAR),
    "droptls": delivered("# the TLS handshake failed: ", "# again without TLS", IN_CLEAR),
    "refusetls": delivered("S: 454 4.7.0 TLS not available", IN_CLEAR),
    "notls": delivered(IN_CLEAR),
    "needtls": delivered(IN_TLS),
    "expiredcert": delivered(IN_TLS),
    "wrongcert": delivered(IN_TLS),
    # DNS and hosts.
    "nullmx": bounced("recipient", "556 5.1.10", "receives no mail at all (null MX, RFC 7505)"),
    "mxnowhere": bounced("recipient", "550 5.4.4", NO_ROUTE, "nowhere.mxnowhere.lab.test"),
    "nomx": delivered("nomx.lab.test [127."),
    "nomail": bounced("recipient", "550 5.4.4", NO_ROUTE, "neither MX nor address records"),
    "nxdomain": bounced("recipient", "550 5.1.2", "The recipient's domain does not exist", "NXDOMAIN"),
    "servfail": deferred("network", "451 4.4.3", NO_DNS, "SERVFAIL"),
    "dnsrefused": deferred("network", "451 4.4.3", NO_DNS, "REFUSED"),
    "dnstimeout": deferred("network", "451 4.4.3", NO_DNS, "no name server answered"),
    "dnsslow": delivered(IN_TLS),
    "truncated": delivered(IN_TLS),
    "deadfirst": delivered("# mx1.deadfirst.lab.test", "Connection refused", "mx2.deadfirst.lab.test [127."),
    "hangfirst": delivered("# mx1.hangfirst.lab.test", "within 1.5 s", "mx2.hangfirst.lab.test [127."),
    "dead": deferred("network", "451 4.4.1", UNREACHABLE, "# mx1.dead.", "# mx2.dead.", "Connection refused"),
    "hang": deferred("network", "451 4.4.1", UNREACHABLE, "no connection to", "within 1.5 s"),
    "twin": delivered(IN_TLS),
    "ipv6": delivered("mx.ipv6.lab.test [[::1]:"),
    "dual": delivered("mx.dual.lab.test ["),
    # What is offered.
    "nopipelining": delivered("C: DATA\n      S: 354"),
    "no8bitmime": delivered(IN_TLS),
    "nosmtputf8": delivered(IN_TLS),
    "nodsn": delivered(IN_TLS),
    "noenhanced": delivered(code="250"),
    "helo": delivered("S: 502", "C: HELO mail.demo.lab.test", IN_CLEAR, code="250"),
    "small": delivered("S: 250-SIZE 10000"),
    # Limits and mixes: one message meets none of them, except where a share is drawn.
    "throttle": delivered(IN_TLS),
    "oneconnection": delivered(IN_TLS),
    "onemessage": delivered(IN_TLS),
    "fewrecipients": delivered(IN_TLS),
    "mix": deferred("network", "421 4.7.0", BUSY, "S: 421 4.7.0 Too busy", then="delivered"),
    "mix-end": delivered(IN_TLS),
    "lostreply": deferred("network", "421 4.4.2", BROKE, "waits until", then="delivered"),
    # Reports that come later do not change what became of the delivery.
    "complain": delivered(IN_TLS),
    "auto-reply": delivered(IN_TLS),
    "late-bounce-postfix": delivered(IN_TLS),
    "late-bounce-exim": delivered(IN_TLS),
    "late-bounce-exchange": delivered(IN_TLS),
    "late-bounce-gmail": delivered(IN_TLS),
    "late-bounce-qmail": delivered(IN_TLS),
    "late-bounce-docomo": delivered(IN_TLS),
    "late-bounce-au": delivered(IN_TLS),
    "late-bounce-softbank": delivered(IN_TLS),
    # Peers that violate the protocol.
    "hostile-garbage": deferred("network", "451 4.4.1", "the peer does not speak SMTP: not a reply:"),
    "hostile-mail": deferred("network", "451 4.5.0", PROTOCOL, "not a reply: 'what?'"),
    "hostile-end": deferred("network", "421 4.4.2", BROKE, "# not a reply:"),
    "hostile-endless": deferred("network", "451 4.4.1", "a reply line is longer than 65536 octets"),
    "hostile-multiline": deferred("network", "451 4.4.1", "a reply does not end"),
    "hostile-barelf": delivered(IN_TLS),
    "hostile-code": deferred("network", "451 4.5.0", PROTOCOL, "not a reply: '999 2.1.5 Fine'"),
    "hostile-354": deferred("network", "451 4.5.0", PROTOCOL, "The peer answered RCPT with 354"),
    "hostile-250": deferred("network", "451 4.5.0", PROTOCOL, "The peer answered DATA with 250"),
    "hostile-codes": bounced("recipient", "550 5.1.1", NO_USER),
    "hostile-early": deferred("network", "451 4.5.0", PROTOCOL, "replied before it was asked"),
    "hostile-extra": deferred("network", "451 4.5.0", PROTOCOL),
    "hostile-bytes": delivered(IN_TLS),
    # Refusals and disconnects, stage by stage.
    "reject-mail": bounced(
        "ours", "554 5.1.8", "does not accept the sender address", "S: 554 5.1.8 Refused at mail"
    ),
    "tempfail-mail": deferred("ours", "451 4.1.8", "does not accept the sender address", "S: 451 4.1.8"),
    "reject-data": bounced("policy", "554 5.3.0", POLICY, "S: 554 5.3.0 Refused at data"),
    "tempfail-data": deferred("network", "451 4.3.0", BUSY, "S: 451 4.3.0 Try again later (data)"),
    "reject-end": bounced("policy", "554 5.7.1", POLICY, "S: 554 5.7.1 Refused at end"),
    "tempfail-end": deferred("network", "451 4.7.1", BUSY, "S: 451 4.7.1 Try again later (end)"),
    "reject-ehlo": deferred("policy", "554", "C: HELO mail.demo.lab.test", "S: 554 Refused at ehlo"),
    "tempfail-ehlo": deferred("network", "451 4.0.0", BUSY, "S: 451 4.0.0 Try again later (ehlo)"),
    "disconnect-connect": deferred("network", "451 4.4.1", UNREACHABLE, "lost while waiting for the greeting"),
    "disconnect-ehlo": deferred("network", "451 4.4.1", UNREACHABLE, "waiting for the reply to EHLO"),
    "disconnect-mail": deferred("network", "421 4.4.2", BROKE, "waiting for the reply to MAIL"),
    "disconnect-rcpt": deferred("network", "421 4.4.2", BROKE, "waiting for the reply to RCPT"),
    "disconnect-data": deferred("network", "421 4.4.2", BROKE, "waiting for the reply to DATA"),
    "disconnect-end": deferred("network", "421 4.4.2", BROKE, "waiting for the reply to content"),
    "disconnect-body": deferred("network", "421 4.4.2", BROKE, "waiting for the reply to content"),
    "reset-end": deferred("network", "421 4.4.2", BROKE, "waiting for the reply to content"),
}
OTHER_CONTENT: dict[str, Expected] = {
    "no8bitmime": delivered(IN_TLS, content=EIGHT_BIT),  # it is encoded before it is signed
    "nosmtputf8": bounced(
        "ours", "553 5.6.7", "need SMTPUTF8", recipient="だれか", mail_options=("SMTPUTF8",), content=PLAIN
    ),
    "accept": delivered("SMTPUTF8", recipient="だれか", mail_options=("SMTPUTF8",), content=EIGHT_BIT),
    "small": bounced("content", "552 5.3.4", "larger than the recipient's server takes", content=LARGE),
}
"""What the same peers do with other messages."""

COPIES = {
    "lostreply": 1,  # of a message whose reply was lost there is a copy for each attempt
    "hostile-codes": 1,  # empty: it took the recipient, said no, and asked for content (RFC 2920 §3.1)
}
"""What the lab has beyond what was delivered."""


@pytest.fixture(scope="module")
def platform() -> Iterator[Demo]:
    running = Demo("--workers", "2", environment=ENVIRONMENT)
    try:
        yield running
        trouble = [line for line in running.log() if line["level"] in ("error", "critical")]
    finally:
        assert running.stop() == 0
    assert trouble == []


def ekiden(demo: Demo, *arguments: str) -> str:
    """What the command prints, run in this process: starting Python anew for each would take longer than it all."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as ended:
        run([*arguments, "--config", demo.facts["config"]])
    assert not ended.value.code, arguments
    return out.getvalue()


def recipient_of(demo: Demo, queue_id: str) -> dict[str, Any]:
    (found,) = json.loads(ekiden(demo, "trace", queue_id, "--json"))["recipients"]
    return dict(found)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def check_next_time(expected: Expected, found: dict[str, Any]) -> None:
    """The first deferral's next time is the schedule's, more or less its jitter, or what the peer asked for."""
    first = found["history"][0]
    event = next(event for event in found["events"] if event["type"] == "deferred")
    finished = moment(first["finished_at"])
    next_at = datetime.fromtimestamp(event["data"]["next_at"] / 1000, finished.tzinfo)
    wait = next_at - finished
    if expected.hint is not None:
        # Two seconds more than asked, because clocks differ; never earlier.
        least, most = expected.hint, (expected.hint + timedelta(seconds=2)) * (1 + JITTER)
    else:
        least, most = FIRST_WAIT * (1 - JITTER), FIRST_WAIT * (1 + JITTER)
    assert least - ROUNDING <= wait <= most + ROUNDING, wait
    assert abs(moment(found["due_at"]) - next_at) <= ROUNDING


def check(demo: Demo, name: str, expected: Expected, queue_id: str, found: dict[str, Any]) -> None:
    first = found["history"][0]
    assert (first["state"], first["cause"]) == (expected.state, expected.cause), first
    assert f"{first['code']} {first['enhanced']}".strip() == expected.code, first
    assert found["domain"] == f"{name}.lab.test"
    assert (found["state"], found["attempts"]) == (expected.state, 1)
    if expected.state == "deferred":
        check_next_time(expected, found)
    else:
        assert found["due_at"] is None
    explanation = found["explanation"]
    assert explanation["headline"]
    assert explanation["reason"] or found["state"] == "delivered"
    told = ekiden(demo, "trace", queue_id)
    for words in expected.words:
        assert words in told, f"{words!r} is not in\n{told}"
    assert re.search(rf"^1\. {re.escape(found['recipient'])}  {found['state']}$", told, re.MULTILINE)


def test_all_behaviours_of_the_lab_are_expected_here() -> None:
    assert set(EXPECTED) == set(CATALOGUE)
    assert set(OTHER_CONTENT) <= set(CATALOGUE)


def submit(demo: Demo, cases: list[tuple[str, Expected]]) -> list[str]:
    """All of them over one connection; the queue ids."""
    ids = []
    with demo.login(demo.connect()) as client:
        for name, expected in cases:
            options = expected.mail_options
            client.command_encoding = "utf-8" if "SMTPUTF8" in options else "ascii"
            code, reply = client.mail(SENDER, options)
            assert code == 250, reply
            code, reply = client.rcpt(f"{expected.recipient}@{name}.lab.test")
            assert code == 250, reply
            code, reply = client.data(expected.content)
            assert code == 250, reply
            ids.append(reply.rsplit(maxsplit=1)[-1].decode())
    return ids


def tried(demo: Demo, queue_id: str, times: int = 1) -> dict[str, Any]:
    """The recipient in the trace, once so many attempts have been made."""
    found = recipient_of(demo, queue_id)
    return found if len(found["history"]) >= times else {}


def test_every_behaviour(platform: Demo, subtests: pytest.Subtests) -> None:
    cases = [*EXPECTED.items(), *OTHER_CONTENT.items()]
    ids = submit(platform, cases)
    for (name, expected), queue_id in zip(cases, ids, strict=True):
        with subtests.test(behaviour=name, recipient=expected.recipient, size=len(expected.content)):
            found = wait_for(lambda q=queue_id: tried(platform, q), f"an attempt at {name}")
            check(platform, name, expected, queue_id, found)
    again = [queue_id for (_, expected), queue_id in zip(cases, ids, strict=True) if expected.then]
    for queue_id in again:
        ekiden(platform, "queue", "retry", queue_id)
    for (name, expected), queue_id in zip(cases, ids, strict=True):
        if expected.then:
            with subtests.test(behaviour=name, attempt=2):
                found = wait_for(lambda q=queue_id: tried(platform, q, 2), f"the second attempt at {name}")
                assert (found["state"], found["attempts"], found["due_at"]) == (expected.then, 2, None)
                assert "attempt 2: delivered" in ekiden(platform, "trace", queue_id)
    with subtests.test("what was delivered is what the lab has"):
        for name, expected in EXPECTED.items():
            count = platform.get(f"{platform.facts['lab']}/mail/count?to=@{name}.lab.test")["count"]
            others = OTHER_CONTENT.get(name)
            wanted = [expected] + ([others] if others else [])
            arrived = sum(1 for item in wanted if "delivered" in (item.state, item.then))
            assert count == arrived + COPIES.get(name, 0), name


def test_a_deferred_message_comes_back_by_itself_at_its_time(platform: Demo) -> None:
    """The schedule is longer than this test: the peer asks for one second."""
    (queue_id,) = submit(platform, [("accept", delivered(recipient="hint-1+later"))])
    found = wait_for(lambda: tried(platform, queue_id, 2), "the second attempt")
    first, second = found["history"]
    (event,) = (event for event in found["events"] if event["type"] == "deferred")
    finished = moment(first["finished_at"])
    next_at = datetime.fromtimestamp(event["data"]["next_at"] / 1000, finished.tzinfo)
    assert timedelta(seconds=1) <= next_at - finished <= timedelta(seconds=3) * (1 + JITTER) + ROUNDING
    assert moment(second["started_at"]) >= next_at - ROUNDING
    assert (second["state"], found["state"]) == ("delivered", "delivered")


@pytest.mark.parametrize("name", ["throttle", "oneconnection", "onemessage"])
def test_limits_delay_and_lose_nothing(platform: Demo, name: str) -> None:
    """More messages at once than the peer takes: some wait, all arrive, none twice."""
    local = f"many-{name}"
    ids = submit(platform, [(name, delivered(recipient=f"{local}{number}")) for number in range(12)])

    def arrived(queue_id: str) -> bool:
        state = recipient_of(platform, queue_id)["state"]
        if state == "deferred":
            ekiden(platform, "queue", "retry", queue_id)
        return bool(state == "delivered")

    for queue_id in ids:
        wait_for(lambda q=queue_id: arrived(q), f"{name} to take {queue_id}")
    for number in range(12):
        assert len(platform.mail(f"{local}{number}@{name}.lab.test")) == 1


def test_recipients_above_the_limit_go_at_once_in_another_transaction(platform: Demo) -> None:
    recipients = [f"r{number}@fewrecipients.lab.test" for number in range(8)]
    with platform.login(platform.connect()) as client:
        queue_id = platform.send(client, recipients, PLAIN)
    for recipient in recipients:
        assert len(platform.mail(recipient)) == 1

    def states() -> list[tuple[str, int]]:
        found = json.loads(ekiden(platform, "trace", queue_id, "--json"))["recipients"]
        return [(item["state"], item["attempts"]) for item in found]

    wait_for(lambda: states() == [("delivered", 1)] * 8, "eight deliveries at the first attempt")
    transactions = platform.get(f"{platform.facts['lab']}/mail?to=@fewrecipients.lab.test")
    assert sum(len(mail["to"]) for mail in transactions if mail["to"][0] in recipients) == 8
    assert max(len(mail["to"]) for mail in transactions) == 3


@pytest.mark.parametrize("name", ["mix", "mix-end"])
def test_shares_of_a_mix(platform: Demo, name: str) -> None:
    """Each recipient gets the state of the share that was drawn for it; what counts as delivered has arrived."""
    recipients = [f"share{number}@{name}.lab.test" for number in range(30)]
    # One message each: a 421 at RCPT and any reply at the end of data decide for the whole transaction.
    with platform.login(platform.connect()) as client:
        ids = [platform.send(client, [recipient], PLAIN) for recipient in recipients]

    def attempted() -> list[dict[str, Any]]:
        traces = [json.loads(ekiden(platform, "trace", queue_id, "--json")) for queue_id in ids]
        found = [recipient for trace in traces for recipient in trace["recipients"]]
        return found if all(item["history"] for item in found) else []

    found = wait_for(attempted, "an attempt for everyone")
    first = {item["recipient"]: item["history"][0] for item in found}
    assert len(first) == 30
    codes = {(entry["state"], entry["code"]) for entry in first.values()}
    assert ("delivered", 250) in codes
    allowed = {"mix": {421, 550}, "mix-end": {451, 554, 421}}[name]
    assert {code for _, code in codes} <= allowed | {250}
    for state, code in codes:
        assert state == ("delivered" if code == 250 else "bounced" if code >= 500 else "deferred")
    for recipient, entry in first.items():
        if entry["state"] == "delivered":
            assert len(platform.mail(recipient)) == 1


def test_senders_hear_of_what_bounced_and_of_success_when_they_asked(platform: Demo) -> None:
    reader = "reports@demo.lab.test"
    with platform.login(platform.connect()) as client:
        for recipient, notify in (
            ("gone@reject.lab.test", "FAILURE"),
            ("quiet@reject.lab.test", "NEVER"),
            ("asked@nodsn.lab.test", "SUCCESS"),
            ("passed-on@accept.lab.test", "SUCCESS"),
        ):
            assert client.mail(reader, ["RET=HDRS", "ENVID=order+2B17"])[0] == 250
            assert client.rcpt(recipient, [f"NOTIFY={notify}"])[0] == 250
            code, reply = client.data(PLAIN)
            assert code == 250, reply
    reports = platform.mail(reader, count=3)
    assert len(reports) == 3
    assert {mail["from"] for mail in reports} == {""}
    told = {
        re.search(rb"\r\nFinal-Recipient: rfc822; ?(\S+)", mail["data"])[1].decode(): mail["data"]  # type: ignore[index]
        for mail in reports
    }
    assert set(told) == {"gone@reject.lab.test", "asked@nodsn.lab.test", "passed-on@accept.lab.test"}
    assert b"\r\nAction: failed\r\n" in told["gone@reject.lab.test"]
    assert b"\r\nStatus: 5.1.1\r\n" in told["gone@reject.lab.test"]
    for name in ("asked@nodsn.lab.test", "passed-on@accept.lab.test"):
        assert b"\r\nAction: relayed\r\n" in told[name]
    for report in told.values():
        assert b"\r\nOriginal-Envelope-Id: order+17\r\n" in report
        assert b"; d=mail.demo.lab.test;" in report.partition(b"\r\nFrom:")[0]
    (passed_on,) = platform.mail("passed-on@accept.lab.test")
    # Reports of the next server come to us: what we have told already is not asked for.
    assert is_ours(passed_on["from"])
    assert passed_on["rcpt_parameters"] == ["NOTIFY=FAILURE"]
    assert "ENVID=order+2B17" in passed_on["mail_parameters"]


def test_the_platform_kept_to_the_protocol(platform: Demo) -> None:
    """The lab's witness shares no code with the platform's client."""
    with platform.login(platform.connect()) as client:
        platform.send(client, ["last@accept.lab.test"], PLAIN)
    platform.mail("last@accept.lab.test")
    sessions = platform.get(f"{platform.facts['lab']}/sessions?" + urllib.parse.urlencode({"limit": 2000}))
    assert sessions
    seen = {session["server"]: session["violations"] for session in sessions if session["violations"]}
    # What hostile peers say early makes any answer look like one that came too early.
    assert {server: what for server, what in seen.items() if not server.startswith("mx.hostile-")} == {}
