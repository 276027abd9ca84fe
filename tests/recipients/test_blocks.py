"""Suppressions of a whole account, those that expire, and what is kept of their coming and going."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert, select

from ekiden.access.accounts import create_account, get_account, set_block_hours, set_reporting
from ekiden.access.audit import Actor
from ekiden.access.directory import Directory
from ekiden.access.errors import BadName
from ekiden.core.address import parse_address
from ekiden.core.clock import DAY, HOUR, MINUTE, SECOND
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.states import State
from ekiden.core.submission import BLOCKING
from ekiden.recipients.hard_bounces import HardBounces
from ekiden.recipients.send_blocks import BlockState, SendBlocks
from ekiden.recipients.suppressing import Suppressing
from ekiden.recipients.suppression_history import history_of
from ekiden.recipients.suppressions import ANY_DOMAIN, KINDS, Suppressions
from ekiden.recipients.tracking_recorder import Recorder, Visit
from ekiden.recipients.tracking_tokens import UnsubscribeToken
from ekiden.recipients.unsubscribing import Unsubscribing
from ekiden.store.api import Store
from ekiden.store.records import Outcome
from ekiden.store.tables import suppression as table
from support.manual_clock import ManualClock
from support.store_rows import Maker, outcome

ADMIN = Actor("test:admin")
DOMAIN, OTHER = "shop.example", "mail.example"
ADDRESS = "a@x.example"
NO_ADVERTISING = tuple(kind for kind in KINDS if kind != "unsubscribe")


@pytest.fixture
async def account(store: Store, clock: ManualClock) -> int:
    return (await create_account(store, "acme", clock.now())).id


@pytest.fixture
async def service(store: Store, clock: ManualClock) -> AsyncIterator[Suppressions]:
    made = Suppressions(store, clock)
    yield made
    await made.close()


async def checked(service: Suppressions, account: int, domain: str = DOMAIN, **options: Any) -> list[str]:
    """What stops mail to ``ADDRESS``, whether the worker knows the account yet or not."""
    found = await service.check(account, domain, [ADDRESS, "other@x.example"], **options)
    await asyncio.gather(*service.memory._loading)
    assert found.keys() <= {ADDRESS}
    again = await service.check(account, domain, [ADDRESS], **options)
    assert again == found
    return [item.kind for item in found.values()]


async def history(store: Store, account: int, *kinds: str) -> list[tuple[str, str, str, str]]:
    page = await history_of(store, account, ADDRESS, kinds or KINDS, oldest=True)
    assert page.total == len(page.items)
    return [(item.action, item.kind, item.domain, item.done_by) for item in page.items]


async def test_of_a_whole_account(store: Store, service: Suppressions, account: int, clock: ManualClock) -> None:
    other = (await create_account(store, "other", clock.now())).id
    assert await checked(service, account) == []
    assert await service.add(account, ANY_DOMAIN, ["A@x.example"], "bounce", actor=ADMIN) == 1
    for domain in (DOMAIN, OTHER):
        assert await checked(service, account, domain) == ["bounce"]
    assert await checked(service, other) == []
    # It is one, whatever the domains have besides.
    assert await service.add(account, DOMAIN, [ADDRESS], "bounce", actor=ADMIN, by="operator") == 1
    assert await service.remove(account, ANY_DOMAIN, [ADDRESS], actor=ADMIN) == 1
    assert (await checked(service, account, DOMAIN), await checked(service, account, OTHER)) == (["bounce"], [])
    assert list(await service.domains(account)) == [DOMAIN]
    assert [item.domain for item in await service.list(account)] == [DOMAIN]
    assert await history(store, account) == [
        ("registered", "bounce", ANY_DOMAIN, "account"),
        ("registered", "bounce", DOMAIN, "operator"),
        ("removed", "bounce", ANY_DOMAIN, "account"),
    ]


async def test_kinds_that_do_not_matter(service: Suppressions, account: int) -> None:
    await service.add(account, ANY_DOMAIN, [ADDRESS], "unsubscribe", actor=ADMIN)
    assert await checked(service, account) == ["unsubscribe"]
    assert await checked(service, account, kinds=NO_ADVERTISING) == []
    await service.add(account, DOMAIN, [ADDRESS], "bounce", actor=ADMIN)
    assert await checked(service, account) == ["unsubscribe"]
    assert await checked(service, account, kinds=NO_ADVERTISING) == ["bounce"]
    assert await checked(service, account, kinds=()) == []
    # What is there and does not matter is no reason to read the account anew.
    for _ in range(1_100):
        await service.check(account, OTHER, [ADDRESS], kinds=NO_ADVERTISING)
    assert service.memory.size(account) == 2


async def test_it_expires(store: Store, service: Suppressions, account: int, clock: ManualClock) -> None:
    blocks = SendBlocks(store, clock, service)
    begin = clock.now()
    assert await blocks.state(account, ADDRESS) == BlockState(False)
    assert await service.note_bounce(account, ANY_DOMAIN, ADDRESS, "550 no", lasts=DAY)
    assert not await service.note_bounce(account, ANY_DOMAIN, ADDRESS, "550 no", lasts=2 * DAY)
    assert await checked(service, account) == ["bounce"]
    assert await blocks.state(account, ADDRESS) == BlockState(True, begin + DAY)
    clock.advance(DAY - 1)
    assert await checked(service, account) == ["bounce"]
    assert await service.expire() == 0
    clock.advance(1)
    # Nobody has removed it yet, and it stops nothing.
    assert await checked(service, account) == []
    assert await service.list(account) == []
    assert await service.find(account, ANY_DOMAIN, ADDRESS, "bounce") is None
    assert await blocks.state(account, ADDRESS) == BlockState(False)
    assert await service.remove(account, ANY_DOMAIN, [ADDRESS], actor=ADMIN) == 0
    # It comes again, as another one.
    assert await service.note_bounce(account, ANY_DOMAIN, ADDRESS, "551 no", lasts=HOUR)
    clock.advance(2 * HOUR)
    assert await service.expire() == 1
    assert await service.expire() == 0
    async with store.read() as connection:
        assert (await connection.execute(select(table))).all() == []
    told = (await blocks.history(account, ADDRESS)).items
    assert [(item.action, item.done_by, item.told(), item.at - begin) for item in told] == [
        ("removed", "platform", "its time was over", DAY + HOUR),
        ("registered", "platform", "551 no", DAY),
        ("removed", "platform", "its time was over", DAY),
        ("registered", "platform", "550 no", 0),
    ]
    assert told[0].told("ja") == "期間が終了"


async def test_a_block_is_seen_among_a_hundred_other_rows(
    store: Store, service: Suppressions, account: int, clock: ManualClock
) -> None:
    blocks = SendBlocks(store, clock, service)
    for number in range(101):
        await service.add(account, f"d{number}.example", [ADDRESS], "unsubscribe", actor=ADMIN)
    assert await blocks.state(account, ADDRESS) == BlockState(False)
    await service.note_bounce(account, ANY_DOMAIN, ADDRESS, "550", lasts=HOUR)
    assert await blocks.state(account, ADDRESS) == BlockState(True, clock.now() + HOUR)


async def test_whoever_looks_at_a_history_sees_what_has_expired(
    store: Store, service: Suppressions, account: int, clock: ManualClock
) -> None:
    blocks = SendBlocks(store, clock, service)
    await service.note_bounce(account, ANY_DOMAIN, ADDRESS, "550", lasts=HOUR)
    clock.advance(HOUR)
    page = await blocks.history(account, "A@x.example", oldest=True, offset=1, limit=1)
    assert ([item.action for item in page.items], page.total) == (["removed"], 2)


async def test_what_was_to_expire_stays_when_somebody_says_so(
    store: Store, service: Suppressions, account: int, clock: ManualClock
) -> None:
    await service.note_bounce(account, DOMAIN, ADDRESS, "550 no", lasts=HOUR)
    assert await service.add(account, DOMAIN, [ADDRESS], "bounce", actor=ADMIN) == 1
    assert await service.add(account, DOMAIN, [ADDRESS], "bounce", actor=ADMIN) == 0
    assert not await service.note_bounce(account, DOMAIN, ADDRESS, "550", lasts=HOUR)
    clock.advance(DAY)
    assert await checked(service, account) == ["bounce"]
    [row] = await service.list(account)
    assert (row.reason, row.registered_by, row.expires_at) == ("test:admin", "account", None)
    assert await history(store, account) == [
        ("registered", "bounce", DOMAIN, "platform"),
        ("registered", "bounce", DOMAIN, "account"),
    ]


async def test_pages(store: Store, service: Suppressions, account: int, clock: ManualClock) -> None:
    begin = clock.now()
    for number in range(5):
        by = "recipient" if number % 2 else "account"
        await service.note(account, ANY_DOMAIN, f"a{number}@x.example", "unsubscribe", "", by=by)  # type: ignore[arg-type]
        clock.advance(MINUTE)
    await service.add(account, DOMAIN, ["one@x.example"], "unsubscribe", actor=ADMIN)
    await service.add(account, ANY_DOMAIN, ["one@x.example"], "bounce", actor=ADMIN)
    async with store.write() as connection:
        # As an older worker writes it.
        row = {"account_id": account, "domain": "", "kind": "unsubscribe", "created_at": clock.now()}
        await connection.execute(
            insert(table), row | {"address": "old@y.example", "reason": '["unsubscribed_page",{"message":"X"}]'}
        )

    async def found(**options: Any) -> str:
        page = await service.page(account, "unsubscribe", **options)
        assert page.total >= len(page.items)
        return f"{''.join(item.address[:2] for item in page.items)}/{page.total}"

    assert await found() == "ola4a3a2a1a0/6"
    assert await found(offset=1, limit=2) == "a4a3/6"
    assert await found(sort=[("created", False)]) == "a0a1a2a3a4ol/6"
    assert await found(sort=[("by_recipient", False), ("created", False)]) == "a0a2a4a1a3ol/6"
    assert await found(sort=[("by_recipient", True)]) == "ola3a1a4a2a0/6"
    assert await found(by_recipient=True) == "ola3a1/3"
    assert await found(by_recipient=False, since=begin + 1) == "a4a2/2"
    assert await found(since=begin + MINUTE, until=begin + 2 * MINUTE) == "a2a1/2"
    assert await found(address="A1@X.example") == "a1/1"
    assert await found(address="@Y.") == "ol/1"
    assert await found(address="%") == "/0"


async def test_a_link_may_be_the_way_out_of_a_whole_account(
    store: Store, service: Suppressions, account: int, clock: ManualClock
) -> None:
    class Nobody:
        """No message of these tests is kept, so nothing is noted of one."""

        async def routes(self, *_: Any) -> None:
            return None

        async def noted(self, *_: Any) -> bool:
            return False

    leaving = Unsubscribing(service, Recorder(Nobody(), clock))  # type: ignore[arg-type]
    visit = Visit("POST", {}, "192.0.2.1")
    everywhere = UnsubscribeToken(account, 5, 1, DOMAIN, ADDRESS, everywhere=True)
    of_one = UnsubscribeToken(account, 6, 1, DOMAIN, ADDRESS)
    await leaving.leave(everywhere, "page", visit)
    assert await leaving.left(everywhere)
    assert await leaving.left(of_one)
    assert await checked(service, account, OTHER) == ["unsubscribe"]
    [row] = (await service.page(account, "unsubscribe")).items
    assert (row.domain, row.registered_by) == (ANY_DOMAIN, "recipient")
    await leaving.come_back(everywhere, visit)
    assert not await leaving.left(everywhere)
    await leaving.leave(of_one, "one-click", visit)
    assert (await checked(service, account, OTHER), await checked(service, account)) == ([], ["unsubscribe"])
    assert not (await service.page(account, "unsubscribe")).items
    await leaving.come_back(everywhere, visit)
    assert await checked(service, account) == []
    assert await history(store, account) == [
        ("registered", "unsubscribe", ANY_DOMAIN, "recipient"),
        ("removed", "unsubscribe", ANY_DOMAIN, "recipient"),
        ("registered", "unsubscribe", DOMAIN, "recipient"),
        ("removed", "unsubscribe", DOMAIN, "recipient"),
    ]


def bounce(account: int, labels: str = "{}", diagnosis: Diagnosis = Diagnosis.NO_MAILBOX) -> Outcome:
    made = Maker(account=account).message(1)
    [delivery] = made.deliveries
    delivery.recipient = ADDRESS
    made.message.sender = f"me@{DOMAIN}"
    made.message.labels = labels
    words = {"code": 550, "enhanced": "5.1.1", "reason": "no such user"}
    return replace(outcome(delivery, State.BOUNCED), diagnosis=diagnosis, **words)


@pytest.mark.parametrize(
    ("suppress", "hours", "labels", "domain", "lasts"),
    [
        (False, None, "{}", None, None),
        (True, None, "{}", DOMAIN, None),
        (True, 200, "{}", DOMAIN, None),
        (False, 200, "{}", ANY_DOMAIN, 200 * HOUR),
        (False, None, f'{{"{BLOCKING}":"1"}}', ANY_DOMAIN, 168 * HOUR),
        (True, 200, f'{{"{BLOCKING}":"1"}}', ANY_DOMAIN, 200 * HOUR),
        (False, None, f'{{"x":"{BLOCKING}"}}', None, None),
        (False, None, f'no "{BLOCKING}"', None, None),
    ],
)
async def test_hard_bounces(
    store: Store,
    service: Suppressions,
    account: int,
    clock: ManualClock,
    suppress: bool,
    hours: int | None,
    labels: str,
    domain: str | None,
    lasts: int | None,
) -> None:
    now = clock.now()
    await set_reporting(store, "acme", now, reports_endpoint=None, suppress_bounces=suppress)
    if hours is not None:
        await set_block_hours(store, "acme", hours, now)
    directory = Directory(store, clock)
    bounces = HardBounces(Suppressing(directory, service))
    bounces(bounce(account, labels, Diagnosis.FULL))
    bounces(bounce(account, labels))
    await bounces.close()
    rows = await service.list(account)
    assert [(row.domain, row.kind) for row in rows] == ([] if domain is None else [(domain, "bounce")])
    if rows:
        assert rows[0].expires_at == (None if lasts is None else now + lasts)
        [entry] = (await history_of(store, account, ADDRESS, KINDS)).items
        assert (entry.reason, entry.diagnosis) == ("550 5.1.1 no such user", Diagnosis.NO_MAILBOX)
        assert parse_address(entry.address).key == ADDRESS
    await directory.close()


async def test_the_period_of_an_account(
    store: Store, service: Suppressions, account: int, clock: ManualClock
) -> None:
    blocks = SendBlocks(store, clock, service)
    directory = Directory(store, clock)
    assert await blocks.hours(account) == 168
    await blocks.set_hours("acme", 180, actor=ADMIN)
    assert await blocks.hours(account) == 180
    assert (await get_account(store, "acme")).block_hours == 180
    clock.advance(2 * SECOND)
    facts = await directory.account(account)
    assert facts is not None
    assert facts.block_hours == 180
    for hours in (0, -1, 167, 876_001):
        with pytest.raises(BadName):
            await blocks.set_hours("acme", hours)
    assert await blocks.hours(account + 1) == 168
    await directory.close()


async def test_a_row_of_the_domain_keeps_a_block_from_ending(
    store: Store, service: Suppressions, account: int, clock: ManualClock
) -> None:
    blocks = SendBlocks(store, clock, service)
    now = clock.now()
    await service.note_bounce(account, ANY_DOMAIN, ADDRESS, "550", lasts=HOUR)
    await service.note(account, ANY_DOMAIN, ADDRESS, "over_quota", "452", expires_at=now + DAY)
    await service.add(account, ANY_DOMAIN, [ADDRESS], "unsubscribe", actor=ADMIN)
    assert await blocks.state(account, ADDRESS) == BlockState(True, now + DAY)
    await service.add(account, DOMAIN, [ADDRESS], "complaint", actor=ADMIN)
    assert await blocks.state(account, ADDRESS) == BlockState(True)
