"""Event webhooks from the door to the receiver, on both engines (contract §1, §3.1)."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cmc_webhooks import ME, Webhooks, body_of, event_type, make_webhooks, running, until

from ekiden.core.clock import DAY, HOUR, MINUTE, SECOND
from ekiden.core.diagnosis import Diagnosis, Stage
from ekiden.core.events import EventType
from ekiden.core.notices import News
from ekiden.lab.http import HttpRule
from ekiden.store.api import Store


@pytest.fixture
async def webhooks(store: Store) -> AsyncIterator[Webhooks]:
    async with make_webhooks(store) as made:
        yield made


async def test_the_life_of_a_message_is_told(webhooks: Webhooks) -> None:
    await webhooks.settle(timezone="UTC")
    [delivery] = await webhooks.send(header="X-Api-Data: 注文 12\r\n")
    accepted = webhooks.clock.now()
    webhooks.clock.advance(5 * SECOND)
    await webhooks.finish([delivery], "451 4.7.1 come back later", Stage.RCPT)
    async with running(webhooks.outbox()) as outbox:
        await webhooks.told(outbox)
    queued, deferred = webhooks.events()
    assert queued == {
        "reason": "",
        "sourceIp": "192.0.2.1",
        "returnPath": "info@return.pro.example",
        "created": "2026-01-01 00:00:02",
        "subject": "件名",
        "apiData": "注文 12",
        "messageId": "<1@client.example>",
        "from": "info@example.com",
        "to": "user@example.jp",
        "senderIp": "",
        "status": "queued",
    }
    assert accepted == 1_767_225_602_000
    assert deferred == queued | {
        "created": "2026-01-01 00:00:07",
        "reason": "451 4.7.1 come back later (in reply to RCPT TO)",
        "sourceIp": "",
        "senderIp": "198.51.100.7",
        "status": "deferred",
    }
    [request] = webhooks.receiver.find("/hook")
    assert list(body_of(request)) == ["event_type", "server_composition", "event"]
    assert (body_of(request)["server_composition"], event_type(request)) == ("pro", "deliveries")
    assert request.field("connection") == "Keep-Alive"
    assert request.field("host") == webhooks.url.removeprefix("http://")
    assert "Transfer-Encoding" not in request.headers


async def test_success_and_failure_of_several_recipients(webhooks: Webhooks) -> None:
    await webhooks.settle()
    good, bad = await webhooks.send("a@example.jp", "b@example.jp")
    webhooks.clock.advance(3 * SECOND)
    await webhooks.finish([good])
    await webhooks.finish([bad], "550 5.1.1 no such user", Stage.RCPT)
    async with running(webhooks.outbox()) as outbox:
        await webhooks.told(outbox)
    assert [(item["to"][0], item["status"], item["senderIp"]) for item in webhooks.events()] == [
        ("a", "queued", ""),
        ("b", "queued", ""),
        ("a", "succeeded", "198.51.100.7"),
        ("b", "failed", "198.51.100.7"),
    ]
    [bounce] = webhooks.events("bounces")
    assert (bounce["to"], bounce["status"]) == ("b@example.jp", "2")
    assert bounce["reason"] == webhooks.events()[3]["reason"] == "550 5.1.1 no such user (in reply to RCPT TO)"
    assert {event_type(request) for request in webhooks.receiver.find("/hook")} == {"deliveries", "bounces"}


async def test_a_suppressed_recipient_is_queued_and_failed_in_one_request(webhooks: Webhooks) -> None:
    await webhooks.settle()
    suppressions = webhooks.services.suppressions
    await suppressions.add(webhooks.account, "example.com", ["gone@example.jp"], "bounce", actor=ME)
    await webhooks.send("gone@example.jp")
    await webhooks.send("here@example.jp", "gone@example.jp", "there@example.jp")
    async with running(webhooks.outbox()) as outbox:
        await webhooks.told(outbox)
    [request] = [item for item in webhooks.receiver.find("/hook") if event_type(item) == "deliveries"]
    told = [(item["to"].partition("@")[0], item["status"]) for item in body_of(request)["event"]["deliveries"]]
    pair = [("gone", "queued"), ("gone", "failed")]
    assert told == [*pair, ("here", "queued"), *pair, ("there", "queued")]
    first, second = body_of(request)["event"]["deliveries"][:2]
    assert first["created"] == second["created"]
    assert (
        second["reason"] == "Recipient address <gone@example.jp> is suppressed to send mail. (in reply to RCPT TO)"
    )
    assert [item["status"] for item in webhooks.events("bounces")] == ["10", "10"]


async def test_what_is_heard_later_is_a_bounce_and_no_delivery(webhooks: Webhooks) -> None:
    await webhooks.settle()
    [delivery] = await webhooks.send()
    await webhooks.finish([delivery])
    webhooks.clock.advance(HOUR)
    await webhooks.note(
        delivery, EventType.LATE_BOUNCE, code=550, enhanced="5.2.2", text="mailbox full", stage="rcpt"
    )
    for type_ in (EventType.COMPLAINED, EventType.OPENED, EventType.UNSUBSCRIBED):
        await webhooks.note(delivery, type_)
    async with running(webhooks.outbox()) as outbox:
        await webhooks.told(outbox)
    assert [item["status"] for item in webhooks.events()] == ["queued", "succeeded"]
    [bounce] = webhooks.events("bounces")
    assert bounce["reason"] == "550 5.2.2 mailbox full (in reply to RCPT TO)"


async def test_blocks_and_releases_are_told(webhooks: Webhooks) -> None:
    """Whoever makes them: what happens, and people; complaints are told so, and in no other way."""
    await webhooks.settle(deliveries=False, blocks=True, timezone="UTC")
    suppressions, of = webhooks.services.suppressions, (webhooks.account, "example.com")
    await suppressions.note_bounce(*of, "Gone@example.jp", "550 no", diagnosis=Diagnosis.NO_MAILBOX, lasts=HOUR)
    webhooks.clock.advance(1)
    await suppressions.note(*of, "angry@example.jp", "complaint", "feedback report")
    await suppressions.note(*of, "left@example.jp", "unsubscribe", "by link")
    webhooks.clock.advance(30 * MINUTE)
    await suppressions.remove(*of, ["angry@example.jp"], actor=ME)
    webhooks.clock.advance(HOUR)
    await suppressions.expire()
    async with running(webhooks.outbox()) as outbox:
        await webhooks.told(outbox)
    told = webhooks.events("blocks")
    assert {tuple(item) for item in told} == {("created", "email", "id", "occurred", "removed", "status")}
    assert [(item["email"], item["removed"], item["status"], item["created"][11:16]) for item in told] == [
        ("gone@example.jp", "false", "2", "00:00"),
        ("angry@example.jp", "false", "4", "00:00"),
        ("angry@example.jp", "true", "4", "00:30"),
        ("gone@example.jp", "true", "2", "01:00"),
    ]
    assert told[0]["id"] == told[3]["id"] != told[1]["id"] == told[2]["id"]
    assert {item["occurred"] for item in told} == {"1"}
    assert {event_type(request) for request in webhooks.receiver.find("/hook")} == {"blocks"}
    # Unticked: none are kept.
    await webhooks.settle(deliveries=False)
    await suppressions.note_bounce(*of, "more@example.jp", "550 no", diagnosis=Diagnosis.NO_MAILBOX)
    assert await webhooks.waiting() == 0


async def test_only_what_is_ticked_is_told_and_costs_notices(webhooks: Webhooks) -> None:
    await webhooks.settle(deliveries=False)
    [delivery] = await webhooks.send()
    assert [route.news for route in delivery.message.routes] == [News.FAILURE]
    await webhooks.finish([delivery])
    assert await webhooks.waiting() == 0
    await webhooks.settle(deliveries=False, bounces=False)
    [delivery] = await webhooks.send()
    assert delivery.message.routes == ()


@pytest.mark.parametrize("form", ["form", "json"])
async def test_saving_without_applying_changes_nothing(webhooks: Webhooks, form: str) -> None:
    await webhooks.settle(path="/old", format=form, timezone="UTC")
    await webhooks.save(path="/new", version=1, format="form", timezone="Asia/Tokyo", api_key="K", deliveries=False)
    webhooks.clock.advance(10 * SECOND)
    assert {item.field for item in await webhooks.settings.differences(webhooks.account)} == {
        *("url", "version", "timezone", "deliveries", "api_key"),
        *(["format"] if form == "json" else []),
    }
    await webhooks.finish(await webhooks.send(), "550 5.1.1 no", Stage.RCPT)
    async with running(webhooks.outbox()) as outbox:
        await webhooks.told(outbox)
        assert webhooks.receiver.find("/new") == []
        assert {item["created"][:10] for item in webhooks.events(path="/old")} == {"2026-01-01"}
        assert all("api_key" not in body_of(request) for request in webhooks.receiver.find("/old"))
        # What is under way follows the new settings, and what was unticked is not told any more.
        [delivery] = await webhooks.send()
        before = len(webhooks.receiver.find("/old"))
        await webhooks.apply()
        await webhooks.finish([delivery], "550 5.1.1 no", Stage.RCPT)
        await webhooks.told(outbox)
    assert len(webhooks.receiver.find("/old")) == before
    [request] = webhooks.receiver.find("/new")
    assert (event_type(request), body_of(request)["api_key"]) == ("bounces", "K")
    assert list(body_of(request)["event"]["bounces"][0])[:2] == ["created", "envelopeFrom"]
    assert await webhooks.settings.differences(webhooks.account) == []


async def test_interval_and_count(webhooks: Webhooks) -> None:
    await webhooks.settle(interval=600, max=100, bounces=False)
    async with running(webhooks.outbox()) as outbox:
        for _ in range(105):
            await webhooks.send()
        await until(lambda: webhooks.receiver.find("/hook"), outbox)
        await until(lambda: not outbox._rounds, outbox)
        assert len(webhooks.events()) == 100
        webhooks.clock.advance(600 * SECOND)
        await until(lambda: len(webhooks.receiver.find("/hook")) == 2, outbox)
    assert len(webhooks.events()) == 105
    order = [item["messageId"] for item in webhooks.events()]
    assert order == [f"<{number}@client.example>" for number in range(1, 106)]


@pytest.mark.parametrize("form", ["form", "json"])
@pytest.mark.parametrize(
    ("secrets", "fields", "authorization", "in_body"),
    [
        ({}, {}, "", False),
        ({"password": "pä:ss"}, {"basic_user": "user"}, "Basic dXNlcjpww6Q6c3M=", False),
        ({"api_key": "k&1"}, {}, "", True),
        ({"api_key": "k&1", "password": "p"}, {"basic_user": "user"}, "Basic dXNlcjpw", True),
        ({"api_key": "k&1"}, {"bearer": True}, "Bearer k&1", False),
    ],
)
async def test_how_requests_prove_who_sends(
    webhooks: Webhooks,
    form: str,
    secrets: dict[str, str],
    fields: dict[str, object],
    authorization: str,
    in_body: bool,
) -> None:
    await webhooks.settle(format=form, bounces=False, **secrets, **fields)
    await webhooks.send()
    async with running(webhooks.outbox()) as outbox:
        await webhooks.told(outbox)
    [request] = webhooks.receiver.find("/hook")
    assert request.field("authorization") == authorization
    assert body_of(request).get("api_key", "") == ("k&1" if in_body else "")
    if in_body:
        assert request.body.startswith(b'{"api_key":"k&1",' if form == "json" else b"api_key=k%261&")


async def test_an_endpoint_that_is_too_slow_is_given_up_in_its_own_time(webhooks: Webhooks) -> None:
    await webhooks.settle(timeout=1, bounces=False)
    webhooks.receiver.put("/hook", [HttpRule(delay=60, times=1), HttpRule()])
    await webhooks.send()
    async with running(webhooks.outbox()) as outbox:
        webhooks.clock.advance(SECOND)
        await until(lambda: webhooks.receiver.find("/hook"), outbox)
        await until(lambda: not outbox._rounds, outbox)
        assert await webhooks.waiting() == 1
        await webhooks.told(outbox)
    assert len(webhooks.receiver.find("/hook")) == 2


async def test_mail_of_other_accounts_is_told_nobody(webhooks: Webhooks) -> None:
    await webhooks.settle()
    account, webhooks.account = webhooks.account, webhooks.account + 1
    from ekiden.access.accounts import create_account

    other = await create_account(webhooks.store, "other", webhooks.clock.now(), senders="any")
    assert other.id == webhooks.account
    [delivery] = await webhooks.send()
    assert delivery.message.routes == ()
    webhooks.account = account
    assert len((await webhooks.send())[0].message.routes) == 2


async def test_nothing_is_lost_while_an_endpoint_is_down_for_a_night_and_workers_are_killed(
    webhooks: Webhooks, store_url: str, tmp_path: Path
) -> None:
    """Nine hours by a clock that the test drives. Workers are killed while it is down, and while it catches up."""
    await webhooks.settle(interval=60, bounces=False)
    clock = tmp_path / "clock"

    def show_time() -> None:
        with clock.open("r+b" if clock.exists() else "wb") as file:
            file.write(webhooks.clock.now().to_bytes(8, "little"))

    async def start() -> tuple[asyncio.subprocess.Process, int]:
        mine = await webhooks.store.register_worker("here", os.getpid(), webhooks.clock.now(), 30 * DAY)
        here = Path(__file__).parent
        command = (sys.executable, here / "cmc_outbox_process.py", store_url, str(mine.id), str(mine.node), clock)
        environment = {**os.environ, "PYTHONPATH": str(here.parent)}
        return await asyncio.create_subprocess_exec(*command, env=environment), mine.id

    async def kill(process: asyncio.subprocess.Process, worker: int) -> None:
        process.kill()
        await process.wait()
        await webhooks.store.end_worker(worker, webhooks.clock.now())

    webhooks.receiver.put("/hook", [HttpRule(disconnect="close")])
    show_time()
    victim = await start()
    try:
        for _ in range(9):
            deliveries = [delivery for _ in range(2) for delivery in await webhooks.send()]
            webhooks.clock.advance(30 * MINUTE)
            await webhooks.finish(deliveries)
            webhooks.clock.advance(30 * MINUTE)
            show_time()
        await until(lambda: webhooks.receiver.received)
        await kill(*victim)
        assert webhooks.events() == []
        # It is up again, takes its time, and the next worker is killed in the midst of a request.
        webhooks.receiver.put("/hook", [HttpRule(delay=60)])
        webhooks.clock.advance(HOUR)
        show_time()
        tried = webhooks.receiver.received
        victim = await start()
        await until(lambda: webhooks.receiver.received > tried)
    finally:
        await kill(*victim)
    webhooks.receiver.put("/hook", [])
    webhooks.receiver.callbacks.clear()
    async with running(webhooks.outbox()) as outbox:
        await webhooks.told(outbox)
    told: dict[str, list[str]] = {}
    for item in webhooks.events():
        told.setdefault(item["messageId"], []).append(item["status"])
    assert told == {f"<{number}@client.example>": ["queued", "succeeded"] for number in range(1, 19)}
