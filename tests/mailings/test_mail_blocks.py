"""What became of a mail stops the next ones of the account: bounces for a while, and recipients who left."""

from __future__ import annotations

import re
from dataclasses import replace

from mail_bureau import Bureau

from ekiden.access.directory import Directory
from ekiden.access.vault import Vault
from ekiden.core.clock import HOUR
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.states import State
from ekiden.mailings.reading import MailFilter
from ekiden.mailings.values import MailStatus
from ekiden.recipients.hard_bounces import HardBounces
from ekiden.recipients.recipient_events import RecipientEvents
from ekiden.recipients.suppressing import Suppressing
from ekiden.recipients.suppressions import ANY_DOMAIN
from ekiden.recipients.tracking_recorder import Recorder, Visit
from ekiden.recipients.tracking_tokens import TrackingTokens
from ekiden.recipients.unsubscribing import Unsubscribing
from ekiden.store import tables as t
from support.store_rows import Maker, outcome


async def statuses(bureau: Bureau, request: str) -> list[MailStatus]:
    page = await bureau.reading.mails(bureau.account_id, request, MailFilter())
    return [mail.status for mail in page.mails]


async def test_who_bounced_is_blocked_for_the_period(bureau: Bureau) -> None:
    first = await bureau.ask("a@x.example")
    await bureau.expand()
    [row] = await bureau.rows(t.message)
    [delivery] = Maker(account=bureau.account_id).message(1).deliveries
    delivery.message.labels, delivery.message.sender = row.labels, row.sender
    delivery.recipient = "a@x.example"
    words = {"code": 550, "enhanced": "5.1.1", "reason": "no"}
    bounces = HardBounces(Suppressing(Directory(bureau.store, bureau.clock), bureau.parts.suppressions))
    bounces(replace(outcome(delivery, State.BOUNCED), diagnosis=Diagnosis.NO_MAILBOX, **words))
    await bounces.close()
    [block] = await bureau.parts.suppressions.list(bureau.account_id)
    assert (block.domain, block.kind, block.expires_at) == (ANY_DOMAIN, "bounce", bureau.clock.now() + 168 * HOUR)
    second = await bureau.ask("a@x.example")
    await bureau.expand()
    bureau.clock.advance(168 * HOUR)
    third = await bureau.ask("a@x.example")
    await bureau.expand()
    found = [await statuses(bureau, request.id) for request in (first, second, third)]
    assert found == [[MailStatus.READY], [MailStatus.FAILED], [MailStatus.READY]]


async def test_who_leaves_by_the_link_leaves_the_account(bureau: Bureau) -> None:
    await bureau.ask("a@x.example", advertising=True)
    await bureau.expand()
    [letter] = await bureau.letters()
    link = re.search(r"/t/u/([\w-]+)>", letter["List-Unsubscribe"].replace("\r\n ", ""))
    assert link is not None
    token = TrackingTokens(Vault(bytes(range(32)))).read_unsubscribe(link[1])
    assert token is not None
    suppressions = bureau.parts.suppressions
    recorder = Recorder(RecipientEvents(bureau.store, bureau.worker), bureau.clock)
    await Unsubscribing(suppressions, recorder).leave(token, "page", Visit("POST", {}))
    page = await suppressions.page(bureau.account_id, "unsubscribe")
    assert [(row.address, row.registered_by) for row in page.items] == [("a@x.example", "recipient")]
    assert await suppressions.check(bureau.account_id, "another.example", ["a@x.example"])
    again = await bureau.ask("a@x.example", advertising=True)
    plain = await bureau.ask("a@x.example")
    await bureau.expand()
    assert await statuses(bureau, again.id) == [MailStatus.UNSUBSCRIBED]
    assert await statuses(bureau, plain.id) == [MailStatus.READY]
