"""Delivery status notifications: to whom, of what, and only once."""

from __future__ import annotations

import email
import email.message
import email.policy
from typing import Any

import pytest
from delivery_road import CONTENT, Road, road, until

from ekiden.core.clock import HOUR
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.events import EventType
from ekiden.core.ids import format_id
from ekiden.core.states import State
from ekiden.core.submission import Notify
from ekiden.delivery.explain_sentences import REASONS
from ekiden.delivery.logs import LogFilter, Logs
from ekiden.intake.signer import Signer
from ekiden.lab import Lab
from ekiden.lab.mailbox import Mail
from ekiden.net.clock import SystemClock
from ekiden.sender_auth.dkim_key import generate, public_record
from ekiden.sender_auth.dkim_sign import SigningKey
from ekiden.sender_auth.dkim_verify import verify
from ekiden.store import tables as t
from ekiden.store.api import Store

SENDER = "me@sender.lab.test"


async def dsns(r: Road) -> list[Any]:
    """Messages with the null sender that were queued."""
    return await r.rows(t.message, t.message.c.sender == "")


async def dsn(r: Road, lab: Lab, count: int = 1) -> list[Mail]:
    found = await lab.wait_for_mail(SENDER, count)
    assert len(found) == count
    return found


def parts(mail: Mail) -> tuple[email.message.Message, list[email.message.Message], str]:
    """The report, its groups of fields, and what of the message it returns."""
    parsed = email.message_from_bytes(mail.data, policy=email.policy.default)
    assert parsed.get_content_type() == "multipart/report"
    human, status, returned = parsed.get_payload()  # type: ignore[misc]
    assert human.get_content_type() == "text/plain"  # type: ignore[union-attr]
    return parsed, status.get_payload(), returned.as_string()  # type: ignore[union-attr,return-value]


async def test_a_bounce_is_reported_to_the_sender(store: Store, lab: Lab) -> None:
    """On both engines."""
    async with road(store, lab) as r:
        message_id = await r.send("joe@reject.lab.test", envid="abc", orcpt="rfc822;old@reject.lab.test")
        (mail,) = await dsn(r, lab)
        assert mail.sender == ""
        report, (message, recipient), returned = parts(mail)
        assert report["To"] == SENDER
        assert message["Original-Envelope-Id"] == "abc"
        assert recipient["Final-Recipient"] == "rfc822; joe@reject.lab.test"
        assert recipient["Original-Recipient"] == "rfc822; old@reject.lab.test"
        assert recipient["Action"] == "failed"
        assert recipient["Status"] == "5.1.1"
        assert recipient["Remote-MTA"] == "dns; mx.reject.lab.test"
        assert "No such user here" in recipient["Diagnostic-Code"]
        assert "Subject: Hello" in returned
        human = report.get_payload(0).get_content()  # type: ignore[union-attr]
        found = REASONS[Diagnosis.NO_MAILBOX]
        for line in (
            f"    What it means: {found.reason.en}",
            f"    What you can do: {found.advice.en}",
            f"    説明: {found.reason.ja}",
            f"    対処: {found.advice.ja}",
        ):
            assert line in human.splitlines()
        (queued,) = await dsns(r)
        assert queued["account_id"] == 1
        kinds = [kind for kind, _ in await r.events(message_id)]
        assert kinds == [EventType.ACCEPTED, EventType.BOUNCED, EventType.NOTIFIED]
        await r.drain()


async def test_a_report_is_no_message_of_the_accounts_log(store: Store, lab: Lab) -> None:
    """Nor is it one in any other question: by its id, its recipient, its sender."""
    async with road(store, lab) as r:
        await r.send("joe@reject.lab.test")
        await dsn(r, lab)
        (queued,) = await dsns(r)
        logs = Logs(store, SystemClock())
        asked: list[dict[str, Any]] = [
            {},
            {"ids": (format_id(queued["id"]),)},
            {"recipient": SENDER},
            {"sender": SENDER},
            {"limit": 1},
        ]
        found = [[entry.recipient for entry in (await logs.find(LogFilter(1, **one))).entries] for one in asked]
        own = ["joe@reject.lab.test"]
        assert found == [own, [], [], own, own]
        await r.drain()


async def test_one_report_for_all_recipients_that_failed_together(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab) as r:
        await r.send("a@reject.lab.test", "b@reject.lab.test")
        (mail,) = await dsn(r, lab)
        _, groups, _ = parts(mail)
        assert [group["Final-Recipient"] for group in groups[1:]] == [
            "rfc822; a@reject.lab.test",
            "rfc822; b@reject.lab.test",
        ]
        await r.drain()


@pytest.mark.parametrize(
    ("sender", "notify"),
    [("", Notify.NONE_GIVEN), ("", Notify.FAILURE), (SENDER, Notify.NEVER), (SENDER, Notify.SUCCESS)],
)
async def test_failures_that_nobody_hears_of(sqlite_store: Store, lab: Lab, sender: str, notify: Notify) -> None:
    async with road(sqlite_store, lab) as r:
        message_id = await r.send("joe@reject.lab.test", sender=sender, notify=notify)
        assert (await r.one(message_id))["state"] == State.BOUNCED
        await r.drain()
        assert len(await r.rows(t.message)) == 1
        assert EventType.NOTIFIED not in [kind for kind, _ in await r.events(message_id)]


async def test_a_report_that_bounces_is_not_reported(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab) as r:
        await r.send("joe@reject.lab.test", sender="gone@reject.lab.test")
        await until(lambda: bounced(r, 2))
        await r.drain()
        assert len(await r.rows(t.message)) == 2


async def bounced(r: Road, count: int) -> bool:
    return len(await r.rows(t.delivery, t.delivery.c.state == int(State.BOUNCED))) == count


async def test_a_bounce_without_dialling_is_reported_as_ours(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab) as r:
        await r.send("joe@nullmx.lab.test", hand_over=False)
        (mail,) = await dsn(r, lab)
        report, (_, recipient), returned = parts(mail)
        assert recipient["Status"] == "5.1.10"
        assert recipient["Remote-MTA"] is None
        assert "null MX" in recipient["Diagnostic-Code"]
        human = report.get_payload(0).get_content().splitlines()  # type: ignore[union-attr]
        assert "    nullmx.lab.test takes no mail: its MX record says so (null MX, RFC 7505)" in human
        assert "    理由: nullmx.lab.test はメールを受け取りません（null MX、RFC 7505）" in human
        assert "Subject: Hello" in returned, "the content was fetched for it"
        await r.drain()


async def test_only_headers_when_asked(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab) as r:
        await r.send("joe@reject.lab.test", ret="HDRS")
        (mail,) = await dsn(r, lab)
        _, _, returned = parts(mail)
        assert "text/rfc822-headers" in returned
        assert "Hi." not in returned
        await r.drain()


async def test_a_report_is_signed_by_the_host_that_writes_it(sqlite_store: Store, lab: Lab) -> None:
    key = SigningKey("mx.ekiden.test", "own", "ed25519-sha256", generate("ed25519-sha256"))
    signer = Signer()

    async def sign(report: bytes, at: int) -> bytes:
        return await signer.sign(report, [key], at)

    async def lookup(name: str, rdtype: str, /) -> list[bytes]:
        return [public_record(key.private).encode()] if name == "own._domainkey.mx.ekiden.test" else []

    async with road(sqlite_store, lab, sign=sign) as r:
        await r.send("joe@reject.lab.test")
        (mail,) = await dsn(r, lab)
        (result,) = await verify(mail.data, lookup, r.clock.now())
        assert (result.result, result.domain) == ("pass", "mx.ekiden.test")
        assert parts(mail)[0]["From"].endswith("@mx.ekiden.test>")
        (queued,) = await dsns(r)
        assert queued["size"] == len(mail.data)
    signer.close()


async def test_success_is_relayed_when_the_peer_has_no_dsn(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab) as r:
        await r.send("joe@nodsn.lab.test", notify=Notify.SUCCESS | Notify.FAILURE)
        (mail,) = await dsn(r, lab)
        _, (_, recipient), _ = parts(mail)
        assert recipient["Action"] == "relayed"
        await r.drain()


async def test_success_is_passed_on_when_the_peer_has_dsn(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab) as r:
        message_id = await r.send(
            "joe@accept.lab.test",
            notify=Notify.SUCCESS,
            envid="x+y",
            ret="HDRS",
            orcpt="rfc822;joe@old.test",
        )
        assert (await r.one(message_id))["state"] == State.DELIVERED
        (mail,) = lab.mail("joe@accept.lab.test")
        assert "NOTIFY=SUCCESS" in mail.rcpt_parameters[0]
        assert "ORCPT=rfc822;joe@old.test" in mail.rcpt_parameters[0]
        assert "RET=HDRS" in mail.mail_parameters
        assert "ENVID=x+2By" in mail.mail_parameters
        await r.drain()
        assert await dsns(r) == []


async def test_a_delay_is_reported_once_and_only_when_asked(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab) as r:
        asked = await r.send("a@tempfail.lab.test", notify=Notify.DELAY | Notify.FAILURE)
        silent = await r.send("b@tempfail.lab.test", notify=Notify.FAILURE)
        await r.settled(asked)
        await r.settled(silent)
        assert await dsns(r) == []
        for attempts in (2, 3):
            r.clock.ahead += 5 * HOUR
            r.dispatcher.wake()
            for message_id in (asked, silent):
                await until(lambda message_id=message_id, attempts=attempts: tried(r, message_id, attempts))  # type: ignore[misc]
        (mail,) = await dsn(r, lab)
        _, (_, recipient), _ = parts(mail)
        assert recipient["Action"] == "delayed"
        assert recipient["Final-Recipient"] == "rfc822; a@tempfail.lab.test"
        assert recipient["Will-Retry-Until"]
        assert recipient["Status"] == "4.3.0"
        await r.drain()
        assert len(await dsns(r)) == 1


async def tried(r: Road, message_id: int, attempts: int) -> bool:
    (row,) = await r.deliveries(message_id)
    return bool(row["attempts"] == attempts and row["state"] == State.DEFERRED)


async def test_expiry_is_reported_with_the_last_reply(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab) as r:
        message_id = await r.send("joe@mailboxfull.lab.test", lives=1)
        assert (await r.one(message_id))["state"] == State.EXPIRED
        (mail,) = await dsn(r, lab)
        _, (_, recipient), _ = parts(mail)
        assert recipient["Action"] == "failed"
        assert recipient["Status"] == "4.4.7"
        assert "Mailbox full" in recipient["Diagnostic-Code"]
        await r.drain()


async def test_an_international_sender(sqlite_store: Store, lab: Lab) -> None:
    content = "Subject: こんにちは\r\n\r\nHi.\r\n".encode()
    async with road(sqlite_store, lab) as r:
        message_id = await r.send(
            "joe@nosmtputf8.lab.test", sender="送@sender.lab.test", content=content, smtputf8=True
        )
        row = await r.one(message_id)
        assert (row["state"], row["enhanced"]) == (State.BOUNCED, "5.6.7")
        (mail,) = await lab.wait_for_mail("送@sender.lab.test")
        assert "SMTPUTF8" in mail.mail_parameters
        assert CONTENT not in mail.data
        await r.drain()
