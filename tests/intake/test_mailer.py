"""Mailings through the door: a message for each recipient, all of a request or none, signed, tracked."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import dkim
import pytest
from sqlalchemy import update

from ekiden.access.accounts import Quota, set_quota, set_reporting
from ekiden.access.audit import Actor, changed
from ekiden.core.address import parse_address
from ekiden.core.clock import MINUTE, SECOND
from ekiden.core.events import EventType
from ekiden.core.ids import format_id
from ekiden.core.notices import News, Route
from ekiden.core.states import Cause, State
from ekiden.core.submission import Marks, Origin
from ekiden.intake.errors import (
    Busy,
    IntakeError,
    MessageTooLarge,
    QuotaReached,
    RequestTooLarge,
    TooManyLinks,
    TooManyPlaceholders,
)
from ekiden.intake.mailer import Mailer
from ekiden.intake.mailing import Mailing, MailingGroup, MailingRecipient, TrackingWish
from ekiden.intake.tracking import base_for
from ekiden.limits.memory import Memory
from ekiden.mime.attachment_parts import SharedBuilder
from ekiden.mime.errors import MimeError
from ekiden.mime.mailbox import Mailbox
from ekiden.recipients.tracking_tokens import CLICK_PATH, OPEN_PATH, UNSUBSCRIBE_PATH
from ekiden.store import tables as t
from ekiden.store.api import Store
from ekiden.store.records import Delivery
from support.mail_office import MailOffice, open_office

AUTHOR = Mailbox("Shop", "news@shop.example")
HTML = '<body><p>Hi {{name}}</p><a href="https://shop.example/?c={{name}}">go</a></body>'


class Nobody:
    def capacity(self, account_id: int, count: int, size: int) -> bool:
        return count <= 3

    def offer(self, deliveries: list[Delivery]) -> None:
        offered.extend(deliveries)


offered: list[Delivery] = []


class Office(MailOffice):
    def mailing(self, *to: str, **rest: Any) -> Mailing:
        values: dict[str, Any] = {
            "account_id": self.account_id,
            "credential_id": 0,
            "origin": Origin("HTTP"),
            "author": AUTHOR,
            "subject": "Hello {{name}}",
            "groups": (group(*(to or ("a@x.example", "b@x.example"))),),
            "text": "Dear {{name}}",
            "tracking": TrackingWish(opens=False, clicks=False),
        }
        return Mailing(**(values | rest))

    async def content(self, message_id: int) -> bytes:
        kept = await self.store.content(self.account_id, message_id)
        assert kept is not None
        return kept

    def verifies(self, content: bytes) -> bool:
        return bool(dkim.DKIM(content).verify(dnsfunc=lambda name, timeout=5: self.dns.get(name)))


def person(address: str, **rest: Any) -> MailingRecipient:
    name = address.partition("@")[0]
    return MailingRecipient(parse_address(address), name.title(), {"name": name}, **rest)


def group(*to: str, **rest: Any) -> MailingGroup:
    return MailingGroup(tuple(person(address) for address in to), **rest)


def parsed(content: bytes) -> Any:
    return email.message_from_bytes(content, policy=email.policy.default)


@pytest.fixture
async def office(store: Store) -> AsyncIterator[Office]:
    offered.clear()
    async with open_office(store, Nobody()) as opened:
        yield Office(**vars(opened))


async def test_each_recipient_gets_a_message_of_its_own(office: Office) -> None:
    mailing = office.mailing(
        html=HTML,
        groups=(
            MailingGroup(
                (person("a@x.example"), person("b@x.example", reference="mine")),
                cc=(person("c@x.example"),),
                bcc=(person("d@x.example"),),
                reply_to=(Mailbox("", "help@shop.example"), Mailbox("", "desk@shop.example")),
            ),
        ),
        defaults={"name": "nobody"},
        headers=(("X-Campaign", "spring"),),
        marks=Marks("bulk-1", "", "app", "entity", "spring"),
        labels={"callback_data": "cb"},
        routes=(Route(5, News.FINAL),),
        expires_after=MINUTE,
    )
    [mailed] = await office.mailer.send_all([mailing])
    assert [(item.recipient, item.number) for item in mailed] == [(f"{who}@x.example", 1) for who in "abcd"]
    assert [item.external_id == format_id(item.message_id) for item in mailed] == [True, False, True, True]
    assert mailed[1].external_id == "mine"
    for item, who in zip(mailed, "abcd", strict=True):
        content = await office.content(item.message_id)
        assert office.verifies(content)
        message = parsed(content)
        assert message["To"] == f"{who.upper()} <{who}@x.example>"
        assert message["Cc"] is None
        assert message["Subject"] == f"Hello {who}"
        assert message["From"] == "Shop <news@shop.example>"
        assert message["Reply-To"] == "help@shop.example, desk@shop.example"
        assert message["X-Campaign"] == "spring"
        assert message["Date"]
        assert message["Message-ID"]
        assert message.get_body(("plain",)).get_content().strip() == f"Dear {who}"
        assert f"https://shop.example/?c={who}" in message.get_body(("html",)).get_content()
    rows = await office.rows(t.message)
    assert {(row.bulk, row.application, row.entity, row.campaign) for row in rows} == {
        ("bulk-1", "app", "entity", "spring")
    }
    assert [row.reference for row in rows] == ["", "mine", "", ""]
    assert {row.routes for row in rows} == {"[[5,1]]"}
    assert {row.labels for row in rows} == {'{"callback_data":"cb"}'}
    assert {row.expires_at - row.accepted_at for row in rows} == {MINUTE}
    # Those for which there is room go to this worker's delivery, the others wait.
    assert [row.state for row in await office.rows(t.delivery)] == [State.SENDING] * 3 + [State.QUEUED]
    assert len(offered) == 3


async def test_a_group_together_is_one_message(office: Office) -> None:
    people = MailingGroup(
        (person("a@x.example"), person("b@x.example")),
        cc=(person("c@x.example"), person("a@x.example")),
        bcc=(person("d@x.example"),),
        together=True,
    )
    [mailed] = await office.mailer.send_all([office.mailing(groups=(people,), defaults={"name": "all"})])
    queue_id = format_id(mailed[0].message_id)
    assert [(item.recipient[0], item.number, item.external_id) for item in mailed] == [
        ("a", 1, queue_id),
        ("b", 2, queue_id),
        ("c", 3, queue_id),
        ("d", 4, queue_id),
    ]
    [row] = await office.rows(t.message)
    assert row.reference == queue_id
    message = parsed(await office.content(row.id))
    assert message["To"] == "A <a@x.example>, B <b@x.example>"
    assert message["Cc"] == "C <c@x.example>, A <a@x.example>"
    assert b"d@x.example" not in await office.content(row.id)
    assert message["Subject"] == "Hello all"


async def test_each_group_says_who_is_answered(office: Office) -> None:
    groups = tuple(group(f"{name}@x.example", reply_to=(Mailbox("", f"{name}@shop.example"),)) for name in "ab")
    large = "Dear {{name}}" + " and friends" * 20_000
    for text in ("Dear {{name}}", large):
        [mailed] = await office.mailer.send_all([office.mailing(groups=(*groups, group("c@x.example")), text=text)])
        messages = [parsed(await office.content(item.message_id)) for item in mailed]
        assert [message["Reply-To"] for message in messages] == ["a@shop.example", "b@shop.example", None]
        assert [message.get_content().rstrip() for message in messages] == [
            text.replace("{{name}}", name) for name in "abc"
        ]


async def test_attachments_are_stored_once_and_signed_with_every_message(office: Office) -> None:
    builder = SharedBuilder(office.mailer.tracker.new_id())
    builder.add("report.pdf", "application/pdf", [b"%PDF" * 300_000])
    shared = builder.build()
    addresses = [f"r{number}@x.example" for number in range(20)]
    [mailed] = await office.mailer.send_all([office.mailing(*addresses, html=HTML, shared=shared)])
    assert len(await office.rows(t.shared_content)) == 2
    for item in mailed:
        content = await office.content(item.message_id)
        assert office.verifies(content)
        [attachment] = parsed(content).iter_attachments()
        assert attachment.get_content() == b"%PDF" * 300_000
        assert attachment.get_filename() == "report.pdf"
    [row, *_] = await office.rows(t.message)
    assert row.size == len(await office.content(row.id))


async def test_links_and_the_way_out(office: Office) -> None:
    [[item]] = await office.mailer.send_all(
        [
            office.mailing(
                "a@x.example",
                html=HTML + '<a href="{{unsubscribeUrl}}">out</a>',
                tracking=TrackingWish(landing_page="1_2", landing_placeholders={"brand": "S"}, pixel="BOTTOM"),
            )
        ]
    )
    message = parsed(await office.content(item.message_id))
    html = message.get_body(("html",)).get_content()
    base = "https://links.example.com:8443"
    links = [part.partition('"')[0] for part in html.split('="')[1:]]
    click = next(link for link in links if CLICK_PATH in link)
    pixel = next(link for link in links if OPEN_PATH in link)
    way_out = next(link for link in links if UNSUBSCRIBE_PATH in link)
    assert all(link.startswith(base) for link in (click, pixel, way_out))
    clicked = office.tokens.read_click(click.rpartition("/")[2])
    assert clicked is not None
    assert (clicked.message_id, clicked.number, clicked.url) == (item.message_id, 1, "https://shop.example/?c=a")
    opened = office.tokens.read_open(pixel.rpartition("/")[2])
    assert opened is not None
    assert opened.message_id == item.message_id
    left = office.tokens.read_unsubscribe(way_out.rpartition("/")[2])
    assert left is not None
    assert (left.domain, left.address, left.page, left.placeholders) == (
        "shop.example",
        "a@x.example",
        "1_2",
        {"brand": "S"},
    )
    assert message["List-Unsubscribe"] == f"<{way_out}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


async def test_a_header_of_the_senders_own_is_enough_of_a_way_out(office: Office) -> None:
    mailing = office.mailing(
        "a@x.example",
        headers=(("List-Unsubscribe", "<mailto:out@shop.example>"),),
        tracking=TrackingWish(unsubscribe=True),
    )
    [[item]] = await office.mailer.send_all([mailing])
    message = parsed(await office.content(item.message_id))
    assert message.get_all("List-Unsubscribe") == ["<mailto:out@shop.example>"]
    assert message["List-Unsubscribe-Post"] is None


async def test_no_field_stands_twice(office: Office) -> None:
    """What is made for each message takes the place of what its sender gave for all (RFC 8058 §3.1)."""
    mailing = office.mailing(
        groups=(group("a@x.example", reply_to=(Mailbox("", "r@shop.example"),)),),
        headers=(
            ("list-unsubscribe-POST", "List-Unsubscribe=One-Click"),
            ("REPLY-TO", "other@shop.example"),
            ("X-Mine", "1"),
        ),
        tracking=TrackingWish(unsubscribe=True),
    )
    [[item]] = await office.mailer.send_all([mailing])
    message = parsed(await office.content(item.message_id))
    assert message.get_all("List-Unsubscribe-Post") == ["List-Unsubscribe=One-Click"]
    assert len(message.get_all("List-Unsubscribe") or []) == 1
    assert message.get_all("Reply-To") == ["r@shop.example"]
    assert message["X-Mine"] == "1"


async def test_a_very_long_way_out_is_folded_where_readers_take_blanks_out(office: Office) -> None:
    wish = TrackingWish(landing_page="1_2", landing_placeholders={"brand": "S" * 3000})
    [[item]] = await office.mailer.send_all([office.mailing("a@x.example", tracking=wish)])
    content = await office.content(item.message_id)
    assert max(map(len, content.split(b"\r\n"))) <= 998
    way_out = parsed(content)["List-Unsubscribe"].strip("<>").replace(" ", "")
    left = office.tokens.read_unsubscribe(way_out.rpartition("/")[2])
    assert left is not None
    assert left.placeholders == {"brand": "S" * 3000}


async def test_the_domains_settings_count_where_nothing_is_asked(office: Office) -> None:
    plain = office.mailing("a@x.example", html=HTML, tracking=TrackingWish())
    [[item]] = await office.mailer.send_all([plain])
    first = await office.content(item.message_id)
    assert b"links.example.com" in first
    assert b"List-Unsubscribe:" not in first
    async with office.store.write() as connection:
        await connection.execute(
            update(t.domain).values(
                track_clicks=False,
                track_opens=False,
                track_unsubscribes=True,
                tracking_host="click.shop.example",
                return_path="bounce@shop.example",
            )
        )
        await changed(connection, office.account_id, office.clock.now(), Actor("test"), "domain.tracking", "x")
    office.clock.advance(2 * SECOND)
    [[item]] = await office.mailer.send_all([plain])
    message = parsed(await office.content(item.message_id))
    assert "/t/" not in message.get_body(("html",)).get_content()
    assert message["List-Unsubscribe"].startswith("<https://click.shop.example:8443/t/u/")
    assert (await office.rows(t.message))[-1].sender == "bounce@shop.example"


def test_another_host_keeps_scheme_and_port() -> None:
    assert base_for("https://a.example", "") == "https://a.example"
    assert base_for("http://127.0.0.1:8080", "b.example") == "http://b.example:8080"
    assert base_for("https://a.example", "b.example") == "https://b.example"


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"author": Mailbox("", "news@other.example")}, IntakeError),
        ({"subject": "a\r\nBcc: x@y.example"}, MimeError),
        ({"headers": (("Bad name", "x"),)}, MimeError),
        ({"text": "x" * 21_000_000}, MessageTooLarge),
        ({"html": "{{a}}" * 1_000_000, "defaults": {"a": "x" * 1_000_000}}, TooManyPlaceholders),
        ({"html": "{{a}}" * 20_000, "defaults": {"a": "x" * 1_000_000}}, MessageTooLarge),
        ({"subject": "{{a}}" * 100, "defaults": {"a": "x" * 10_000_000}}, MessageTooLarge),
        ({"html": '<a href="https://a.example">a</a>' * 151, "tracking": TrackingWish(clicks=True)}, TooManyLinks),
    ],
)
async def test_nothing_of_a_request_is_kept_when_anything_is_wrong(
    office: Office, changes: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        await office.mailer.send_all([office.mailing(), office.mailing(**changes)])
    assert await office.rows(t.message) == []
    assert await office.rows(t.content) == []


async def test_a_request_that_is_too_much_for_memory(office: Office) -> None:
    addresses = [f"r{number}@x.example" for number in range(14)]
    with pytest.raises(RequestTooLarge):
        await office.mailer.send_all([office.mailing(*addresses, text="{{name}} " + "x" * 20_000_000)])


async def test_a_request_that_is_refused_leaves_the_quota_to_others(office: Office) -> None:
    await set_quota(office.store, "acme", Quota(minute=100, action="reject"), office.clock.now())
    office.clock.advance(2 * SECOND)
    for count in (150, 101, 5000):
        with pytest.raises(QuotaReached):
            await office.mailer.send_all([office.mailing(*(f"r{number}@x.example" for number in range(count)))])
    assert await office.rows(t.message) == []
    [mailed] = await office.mailer.send_all([office.mailing(*(f"r{number}@x.example" for number in range(100)))])
    assert len(mailed) == 100
    with pytest.raises(QuotaReached):
        await office.mailer.send_all([office.mailing("one@x.example")])


async def test_suppressed_addresses_are_dropped_and_their_sender_is_told(office: Office) -> None:
    now = office.clock.now()
    await set_reporting(office.store, "acme", now, reports_endpoint=9, suppress_bounces=True)
    await office.parts.suppressions.add(
        office.account_id, "shop.example", ["b@x.example"], "bounce", actor=Actor("test"), reason="550 5.1.1 nobody"
    )
    office.clock.advance(2 * SECOND)
    together = MailingGroup((person("a@x.example"), person("B@X.example")), together=True)
    [alone, shared] = await office.mailer.send_all(
        [office.mailing("b@x.example"), office.mailing(groups=(together,))]
    )
    deliveries = {(row.message_id, row.number): row for row in await office.rows(t.delivery)}
    dropped = deliveries[alone[0].message_id, 1]
    assert (dropped.state, dropped.cause, dropped.attempts) == (State.DROPPED, Cause.RECIPIENT, 0)
    assert "550 5.1.1 nobody" in dropped.reason
    assert deliveries[shared[0].message_id, 1].state == State.SENDING
    assert deliveries[shared[0].message_id, 2].state == State.DROPPED
    # A content that nobody gets is not kept.
    assert await office.store.content(office.account_id, alone[0].message_id) is None
    events = [row for row in await office.rows(t.event) if row.type == EventType.DROPPED]
    assert [json.loads(row.data)["why"] for row in events] == ["suppressed", "suppressed"]
    assert [row.endpoint_id for row in await office.rows(t.notice)] == [9, 9]


async def test_a_thousand_recipients_are_one_transaction(office: Office) -> None:
    addresses = [f"r{number}@x.example" for number in range(1000)]
    before = office.store.counters.commits
    [mailed] = await office.mailer.send_all([office.mailing(*addresses, html=HTML)])
    assert len({item.message_id for item in mailed}) == 1000
    assert office.store.counters.commits == before + 1
    assert len(await office.rows(t.message)) == 1000


async def test_requests_at_the_same_time_are_bounded_together(office: Office) -> None:
    """Each would be allowed by itself; what was refused can be sent a moment later."""
    mailer = Mailer(office.door, office.mailer.tracker, memory=Memory(1_000_000), patience=0)
    large = office.mailing(text="{{name}} " + "x" * 300_000)  # twice
    answers = await asyncio.gather(*(mailer.send_all([large]) for _ in range(4)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {list, Busy}
    assert await mailer.send_all([large])


async def test_ten_thousand_large_messages_are_refused_before_one_is_made(office: Office) -> None:
    """A megabyte for each of ten thousand recipients would be ten gigabytes."""
    addresses = [f"r{number}@x.example" for number in range(10_000)]
    large = office.mailing(*addresses, text="{{name}} " + "x" * 1_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(RequestTooLarge):
            await office.mailer.send_all([large])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30_000_000
    assert await office.rows(t.message) == []
