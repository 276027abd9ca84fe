"""Requests to mail many: kept whole or not at all, and made into messages once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from mail_bureau import Bureau, people
from sqlalchemy import update

from ekiden.access.accounts import Quota, set_quota
from ekiden.access.audit import Actor
from ekiden.content.address_book import GroupAddresses
from ekiden.content.errors import NoSuchContent
from ekiden.core.clock import DAY, HOUR, MINUTE, SECOND
from ekiden.core.events import Event, EventType
from ekiden.core.states import State
from ekiden.intake.mailer import Mailer
from ekiden.limits.memory import Memory
from ekiden.mailings.advertising import TAG, grown, with_way_out
from ekiden.mailings.expansion import Expander
from ekiden.mailings.numbers import day_of
from ekiden.mailings.reading import MailFilter, RequestFilter, RequestOrder
from ekiden.mailings.requests import MAILS_OF_A_PIECE, Pieces, write_pieces
from ekiden.mailings.values import (
    MAX_FILES,
    Groups,
    MailingError,
    MailStatus,
    NoSuchRequest,
    NotAllowedNow,
    Person,
    RequestState,
)
from ekiden.store import tables as t
from ekiden.store.records import Noted
from ekiden.store.retention import RetentionConfig, prune

ANN = Actor("cli:ann")


async def test_each_person_gets_a_mail_with_their_own_words(bureau: Bureau) -> None:
    accepted = await bureau.ask(
        Person("a@x.example", "Ann", "R", {"name": "Ann", "grade": "GOLD"}),
        Person("b@x.example", "", "R", {"grade": "${name}"}),
        Person("a@x.example", "Ann again"),
        parameters={"name": "friend", "grade": "SILVER"},
        references="<thread@shop.example>",
    )
    assert (accepted.mails, bureau.woken) == (3, [True])
    assert accepted.id == f"{day_of(bureau.clock.now())}{1:012d}"
    await bureau.expand()
    ann, bob, again = await bureau.letters()
    assert (ann["To"], ann["Subject"], ann["References"]) == (
        "Ann <a@x.example>",
        "Hello Ann",
        "<thread@shop.example>",
    )
    assert "Dear Ann, your grade is GOLD." in ann.get_content()
    # What a value brings along is not looked at again.
    assert "Dear friend, your grade is ${name}." in bob.get_content()
    assert "Dear friend, your grade is SILVER." in again.get_content()
    rows = await bureau.rows(t.message)
    assert [row.reference[-3:] for row in rows] == ["002", "003", "004"]
    assert {row.bulk for row in rows} == {accepted.id}
    (request,) = await bureau.rows(t.mail_request)
    assert request.state == RequestState.EXPANDED


async def test_what_has_no_value_stays_as_it_is_written(bureau: Bureau) -> None:
    await bureau.ask(
        "a@x.example", html="<p>${ name } ${} $name {{name}} ${missing}</p>", parameters={"name": "Ann"}
    )
    await bureau.expand()
    (letter,) = await bureau.letters()
    assert "<p>Ann ${} $name {{name}} ${missing}</p>" in letter.get_content()
    assert letter["Subject"] == "Hello Ann"


async def test_a_large_request_comes_in_pieces_and_nobody_sees_it_before_its_end(bureau: Bureau) -> None:
    many = list(people(MAILS_OF_A_PIECE * 6 + 1))
    async with await bureau.requests.begin(bureau.new()) as draft:
        await draft.add(many[:-1])
        (staged,) = await bureau.rows(t.mail_request)
        assert staged.state == RequestState.STAGING
        assert len(await bureau.rows(t.mail_request_piece)) == 6
        other = await bureau.ask("someone@x.example")
        await bureau.expand()
        assert len(await bureau.rows(t.message)) == 1
        await draft.add(many[-1:])
        accepted = await draft.commit()
    assert accepted.mails == len(many)
    assert accepted.id < other.id
    await bureau.expand()
    rows = await bureau.rows(t.message)
    assert len(rows) == len(many) + 1
    assert len({row.reference for row in rows}) == len(rows)
    status = await bureau.reading.status(bureau.account_id, accepted.id)
    assert status.standing.counts == {MailStatus.READY: len(many)}


async def test_what_is_not_committed_leaves_nothing(bureau: Bureau) -> None:
    async with await bureau.requests.begin(bureau.new()) as draft:
        await draft.add(people(MAILS_OF_A_PIECE * 6))
        assert await bureau.rows(t.mail_request)
    assert not await bureau.rows(t.mail_request)
    assert not await bureau.rows(t.mail_request_piece)


async def test_what_was_killed_in_the_middle_is_pruned_after_a_day(bureau: Bureau) -> None:
    draft = await bureau.requests.begin(bureau.new())
    await draft.add(people(MAILS_OF_A_PIECE * 6))
    kept = await bureau.ask("a@x.example", reserved_at=bureau.clock.now() + 29 * DAY)
    bureau.clock.advance(DAY + SECOND)
    await prune(bureau.store, bureau.clock.now(), RetentionConfig(messages=3600.0))
    (row,) = await bureau.rows(t.mail_request)
    assert str(row.number) == str(int(kept.id[-12:]))
    assert len(await bureau.rows(t.mail_request_piece)) == 1


async def test_a_piece_of_a_worker_that_is_gone_is_sent_once_by_another(
    bureau: Bureau,
) -> None:
    await bureau.ask(*people(3))
    async with bureau.store.write() as connection:
        await connection.execute(update(t.mail_request_piece).values(owner=bureau.worker + 1000, tries=1))
    # That worker is unknown to the store, as if its row had ended.
    await bureau.expand()
    assert len(await bureau.rows(t.message)) == 3
    async with bureau.store.write() as connection:
        await connection.execute(update(t.mail_request).values(state=int(RequestState.DUE)))
    await bureau.expand()
    assert len(await bureau.rows(t.message)) == 3


async def test_whoever_lost_a_piece_writes_nothing_of_it(bureau: Bureau) -> None:
    await bureau.ask(*people(3))
    memory = Memory(1_000_000)
    mailer = Mailer(bureau.door, bureau.mailer.tracker, memory=memory, patience=60)
    expander = Expander(bureau.store, bureau.clock, mailer, bureau.books, lambda: bureau.worker)
    async with asyncio.timeout(60):
        async with memory.hold("somebody else", memory.total):
            late = asyncio.create_task(expander.work())
            while not any(holder.waiting for holder in memory.holders()):
                assert not late.done()
                await asyncio.sleep(0.001)
            async with bureau.store.write() as connection:
                await connection.execute(update(t.mail_request_piece).values(owner=None))
        assert await late
    assert not await bureau.rows(t.message)
    await bureau.expand()
    assert len(await bureau.rows(t.message)) == 3


async def test_a_mail_that_cannot_be_made_fails_alone(bureau: Bureau) -> None:
    good, bad = people(2)
    accepted = await bureau.ask(good, Person(bad.address, "", "R", {"name": "two\r\nlines"}))
    await bureau.expand()
    assert len(await bureau.rows(t.message)) == 1
    status = await bureau.reading.status(bureau.account_id, accepted.id)
    assert status.standing.counts == {MailStatus.READY: 1, MailStatus.FAILED: 1}
    page = await bureau.reading.mails(bureau.account_id, accepted.id, MailFilter())
    assert [mail.status for mail in page.mails] == [MailStatus.READY, MailStatus.FAILED]
    shown = await bureau.reading.mail(bureau.account_id, page.mails[1].id)
    (reader,) = shown.readers
    assert reader.diagnosis.label == "malformed"
    assert reader.reply


async def test_what_values_make_endless_is_shown_as_it_is_written(bureau: Bureau) -> None:
    person = Person("a@x.example", "", "R", {"a": "x" * 3_000_000, "b": "y"})
    accepted = await bureau.ask(person, subject="${a}${b}", html="${a}" * 20_000)
    await bureau.expand()
    page = await bureau.reading.mails(bureau.account_id, accepted.id, MailFilter())
    assert [(mail.title, mail.status) for mail in page.mails] == [("${a}${b}", MailStatus.FAILED)]
    assert (await bureau.reading.mail(bureau.account_id, page.mails[0].id)).html == "${a}" * 20_000


async def test_mails_are_found_by_their_own_titles_made_or_not(bureau: Bureau) -> None:
    values = ("Ärger", "Glück\nzu", "glücklich", "Pech")
    wanted = [Person(f"{n}@x.example", "", "R", {"name": name}) for n, name in enumerate(values)]
    accepted = await bureau.ask(*wanted, subject="Viel ${name}", hold=True)

    async def found(title: str) -> list[str]:
        page = await bureau.reading.mails(bureau.account_id, accepted.id, MailFilter(title=title))
        return [mail.people[0].address for mail in page.mails]

    for held in (True, False):
        assert await found("VIEL") == [f"{n}@x.example" for n in range(4)]
        assert await found("gLück") == ["1@x.example", "2@x.example"]
        assert await found("${name}") == []
        if held:
            await bureau.decisions.confirm(bureau.account_id, accepted.id, ANN)
        await bureau.expand()
    assert len(await bureau.letters()) == 3


async def test_requests_are_found_by_what_is_theirs(bureau: Bureau) -> None:
    first = await bureau.ask(
        Person("a@x.example", "", "R", {"by": "boss@x.example"}), subject="Spring SALE", hold=True
    )
    second = await bureau.ask("boss@x.example", subject="Autumn", hold=True)
    mail = (await bureau.reading.mails(bureau.account_id, second.id, MailFilter())).mails[0].id

    async def found(**wanted: str) -> list[str]:
        filter = RequestFilter(since=0, until=2**50, **wanted)
        return [request.id for request in (await bureau.reading.requests(bureau.account_id, filter)).requests]

    assert await found(recipient="boss@x.example") == [second.id]
    assert await found(title="spring sale") == [first.id]
    assert await found(mail=mail) == [second.id]
    assert await found(id=second.id, mail=mail) == [second.id]
    assert await found(id=first.id, mail=mail) == []
    assert await found(mail="19990101" + mail[8:]) == []
    assert await found(id=second.id, mail=second.id) == []


async def test_a_list_by_status_counts_the_newest_that_are_under_way(
    bureau: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ekiden.mailings.reading._UNDER_WAY", 2)

    async def found(*statuses: MailStatus, order: RequestOrder = "created") -> list[str]:
        wanted = RequestFilter(since=0, until=2**50, statuses=frozenset(statuses))
        page = await bureau.reading.requests(bureau.account_id, wanted, [(order, False)])
        assert page.total == len(page.requests)
        return [request.id for request in page.requests]

    begun = [(await bureau.ask("a@x.example")).id for _ in range(3)]
    await bureau.expand()
    assert await found(MailStatus.READY) == begun[1:]
    # Those that wait as a whole are all there, however many.
    waiting = [(await bureau.ask("a@x.example", hold=True)).id for _ in range(3)]
    waiting += [(await bureau.ask("a@x.example", reserved_at=bureau.clock.now() + HOUR)).id]
    assert await found(MailStatus.READY) == [*begun[1:], *waiting]
    await bureau.books.add(bureau.account_id, [GroupAddresses("nobody", [])])
    resolving = (await bureau.ask(groups=Groups(("nobody",), True), hold=True)).id
    assert await found(MailStatus.PREPARING) == [resolving]
    await bureau.decisions.reject(bureau.account_id, waiting[0], ANN)
    await bureau.reading.counting.settle()
    assert await found(MailStatus.CANCELLED) == [waiting[0]]
    # What is not counted stands before the others.
    ready = [*begun[1:], *waiting[1:]]
    assert await found(order="status") == [begun[0], waiting[0], resolving, *reversed(ready)]


async def test_a_quota_that_rejects_fails_what_is_beyond_it(bureau: Bureau) -> None:
    await set_quota(bureau.store, "acme", Quota(minute=2, action="reject"), bureau.clock.now())
    accepted = await bureau.ask(*people(3))
    await bureau.expand()
    status = await bureau.reading.status(bureau.account_id, accepted.id)
    assert status.standing.counts == {MailStatus.READY: 2, MailStatus.FAILED: 1}


async def test_group_mail_is_split_by_thirty_and_the_last_has_the_copies(bureau: Bureau) -> None:
    everybody = [
        *(Person(f"to{number}@x.example") for number in range(65)),
        Person("cc@x.example", "Copy", "C"),
        Person("bcc@x.example", "", "B"),
    ]
    accepted = await bureau.ask(*everybody, individual=False, parameters={"name": "all", "grade": "GOLD"})
    assert accepted.mails == 3
    await bureau.expand()
    letters = await bureau.letters()
    assert [len(letter["To"].addresses) for letter in letters] == [30, 30, 5]
    assert [letter["Cc"] for letter in letters] == [None, None, "Copy <cc@x.example>"]
    assert all("bcc@" not in str(letter) for letter in letters)
    deliveries = await bureau.rows(t.delivery)
    assert sorted(row.recipient for row in deliveries) == sorted(person.address for person in everybody)
    page = await bureau.reading.mails(bureau.account_id, accepted.id, MailFilter())
    assert [len(mail.people) for mail in page.mails] == [30, 30, 7]
    assert page.request.recipients == 67


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"sender": "news@elsewhere.example"}, "sender"),
        ({"sender": "nobody"}, "sender"),
        ({"files": ["unknown"]}, "files"),
        ({"advertising": True, "individual": False}, "advertising"),
        ({"html": "${a}" * 20_001}, "html"),
        ({"html": TAG * 10_001, "advertising": True}, "html"),
    ],
)
async def test_what_is_wrong_is_told_before_anything_is_kept(
    bureau: Bureau, wrong: dict[str, object], field: str
) -> None:
    with pytest.raises(MailingError) as caught:
        await bureau.ask("a@x.example", **wrong)
    assert caught.value.field == field
    assert not await bureau.rows(t.mail_request)


async def test_copies_alone_are_no_group(bureau: Bureau) -> None:
    with pytest.raises(MailingError):
        await bureau.ask(Person("cc@x.example", "", "C"), individual=False)
    with pytest.raises(MailingError):
        await bureau.ask(*(Person(f"c{n}@x.example", "", "C") for n in range(31)), individual=False)
    with pytest.raises(MailingError):
        await bureau.ask()


# --- time and confirmation


async def test_a_reservation_waits_for_its_time(bureau: Bureau) -> None:
    at = bureau.clock.now() + HOUR
    accepted = await bureau.ask("a@x.example", reserved_at=at)
    await bureau.expand()
    assert not await bureau.rows(t.message)
    status = await bureau.reading.status(bureau.account_id, accepted.id)
    assert (status.request.status, status.request.reserved_at) == (MailStatus.READY, at)
    bureau.clock.advance(HOUR)
    await bureau.expand()
    assert len(await bureau.rows(t.message)) == 1


async def test_a_time_that_is_over_or_far_is_refused(bureau: Bureau) -> None:
    for at in (bureau.clock.now(), bureau.clock.now() + 30 * DAY + MINUTE):
        with pytest.raises(MailingError) as caught:
            await bureau.ask("a@x.example", reserved_at=at)
        assert caught.value.field == "reserved_at"


async def test_what_is_held_is_sent_once_it_is_confirmed(bureau: Bureau) -> None:
    accepted = await bureau.ask("a@x.example", hold=True)
    await bureau.expand()
    status = await bureau.reading.status(bureau.account_id, accepted.id)
    assert (status.request.status, status.standing.prepared) == (MailStatus.READY, True)
    assert not await bureau.rows(t.message)
    assert [request.id for request in await bureau.decisions.held()] == [accepted.id]
    await bureau.decisions.confirm(bureau.account_id, accepted.id, ANN)
    await bureau.expand()
    assert len(await bureau.rows(t.message)) == 1
    with pytest.raises(NotAllowedNow):
        await bureau.decisions.confirm(bureau.account_id, accepted.id, ANN)
    with pytest.raises(NotAllowedNow):
        await bureau.decisions.reject(bureau.account_id, accepted.id, ANN)
    with pytest.raises(NoSuchRequest):
        await bureau.decisions.confirm(bureau.account_id + 1, accepted.id, ANN)


async def test_what_is_rejected_is_never_sent(bureau: Bureau) -> None:
    accepted = await bureau.ask(*people(3), hold=True)
    await bureau.decisions.reject(bureau.account_id, accepted.id, ANN)
    await bureau.expand()
    assert not await bureau.rows(t.message)
    status = await bureau.reading.status(bureau.account_id, accepted.id)
    assert (status.request.status, status.standing.counts) == (MailStatus.CANCELLED, {MailStatus.CANCELLED: 3})
    await bureau.reading.counting.settle()
    again = await bureau.reading.status(bureau.account_id, accepted.id)
    assert again == status
    assert (await bureau.rows(t.mail_request))[0].settled_at == bureau.clock.now()


async def test_a_suspended_account_s_requests_wait(bureau: Bureau) -> None:
    await bureau.ask("a@x.example")
    async with bureau.store.write() as connection:
        await connection.execute(update(t.account).values(suspended_at=1, revision=t.account.c.revision + 1))
    bureau.clock.advance(5 * SECOND)
    await bureau.expand()
    async with bureau.store.write() as connection:
        await connection.execute(update(t.account).values(suspended_at=None, revision=t.account.c.revision + 1))
    assert not await bureau.rows(t.message)
    bureau.clock.advance(MINUTE + SECOND)
    await bureau.expand()
    assert len(await bureau.rows(t.message)) == 1


async def test_what_is_cancelled_is_not_made_any_more(bureau: Bureau) -> None:
    accepted = await bureau.ask("a@x.example", reserved_at=bureau.clock.now() + HOUR)
    await bureau.decisions.cancel(bureau.account_id, accepted.id, ANN)
    bureau.clock.advance(HOUR)
    await bureau.expand()
    assert not await bureau.rows(t.message)
    with pytest.raises(NotAllowedNow):
        await bureau.decisions.cancel(bureau.account_id, accepted.id, ANN)
    assert [row.action for row in await bureau.rows(t.audit)][-1] == "mail_request.cancel"


# --- advertising


async def test_advertising_is_marked_and_has_a_way_out(bureau: Bureau) -> None:
    await bureau.ask("a@x.example", advertising=True, html="<html><body><p>Buy</p></body></html>")
    await bureau.ask(
        "a@x.example", advertising=True, html="<i>#{UNSUBSCRIBE_MESSAGE}</i>Buy", unsubscribe="Leave us."
    )
    await bureau.expand()
    first, second = await bureau.letters()
    assert first["Subject"] == "(광고) Hello ${name}"
    text = first.get_content()
    assert "수신거부</a>" in text
    assert text.index("unsubscribe</a>") < text.index("</body>")
    assert '<a href="https://links.example.com:8443/t/u/' in text
    assert first["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    own = second.get_content()
    assert own.index("Leave us.") < own.index("https://links.example.com:8443/t/u/") < own.index("Buy")


@pytest.mark.parametrize("own", ["", "Leave us.", "가 ${unsubscribeUrl}"])
@pytest.mark.parametrize("html", ["", "<body>가</body>", TAG, f"<p>{TAG} or {TAG}</p>"])
def test_how_long_advertising_becomes_is_known_before(html: str, own: str) -> None:
    made = with_way_out(html, own)
    assert grown(html, own) == (len(made.encode()), made.count("${"))


async def test_whoever_has_unsubscribed_gets_no_advertising_and_everything_else(bureau: Bureau) -> None:
    for address, kind in (("left@x.example", "unsubscribe"), ("gone@x.example", "bounce")):
        await bureau.parts.suppressions.note(bureau.account_id, "shop.example", address, kind, "so")
    both = ("left@x.example", "gone@x.example")
    advertising = await bureau.ask(*both, advertising=True)
    plain = await bureau.ask(*both)
    await bureau.expand()
    statuses = []
    for id in (advertising.id, plain.id):
        page = await bureau.reading.mails(bureau.account_id, id, MailFilter())
        statuses.append([mail.status for mail in page.mails])
    assert statuses == [[MailStatus.UNSUBSCRIBED, MailStatus.FAILED], [MailStatus.READY, MailStatus.FAILED]]
    shown = await bureau.reading.mail(bureau.account_id, page.mails[1].id)
    assert shown.readers[0].suppressed == "bounce"
    await bureau.reading.counting.settle()
    settled = await bureau.reading.status(bureau.account_id, advertising.id)
    assert settled.standing.counts == {MailStatus.UNSUBSCRIBED: 1, MailStatus.FAILED: 1}


async def test_a_mail_is_received_once_somebody_has_opened_it(bureau: Bureau) -> None:
    accepted = await bureau.ask("a@x.example")
    await bureau.expand()
    (message,) = await bureau.rows(t.message)
    at = bureau.clock.now()
    for later, machine in ((1, True), (2, False), (3, False)):
        opened = Event(bureau.account_id, message.id, 1, EventType.OPENED, at + later, {"machine": machine})
        await bureau.store.note(bureau.worker, [Noted(opened, ())])
    (mail,) = (await bureau.reading.mails(bureau.account_id, accepted.id, MailFilter())).mails
    (reader,) = (await bureau.reading.mail(bureau.account_id, mail.id)).readers
    assert reader.opened_at == at + 2


# --- files


async def _octets(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_files_are_kept_with_the_request_and_stored_once(bureau: Bureau) -> None:
    received = await bureau.uploads.receive(bureau.account_id, "plan.txt", "text/plain", _octets(b"the ", b"plan"))
    await bureau.uploads.keep_batch("batch-99", {"file-99": received}, DAY)
    accepted = await bureau.ask(*people(2), files=["file-99"], reserved_at=bureau.clock.now() + 5 * DAY)
    bureau.clock.advance(5 * DAY)
    await prune(bureau.store, bureau.clock.now(), RetentionConfig())
    await bureau.expand()
    for letter in await bureau.letters():
        (attached,) = letter.iter_attachments()
        assert (attached.get_filename(), attached.get_content()) == ("plan.txt", "the plan")
    assert len(await bureau.rows(t.shared_content)) == 1
    shown = await bureau.reading.mails(bureau.account_id, accepted.id, MailFilter())
    mail = await bureau.reading.mail(bureau.account_id, shown.mails[0].id)
    assert [(file.id, file.name, file.size) for file in mail.files] == [("file-99", "plan.txt", 8)]
    assert mail.html == "<p>Dear P0, your grade is GOLD.</p>"
    assert mail.client == "192.0.2.73"


async def test_files_are_too_much_together(bureau: Bureau) -> None:
    received = await bureau.uploads.receive(bureau.account_id, "a", "text/plain", _octets(b"x"))
    await bureau.uploads.keep_batch("batch-99", {"file-99": received}, DAY)
    async with bureau.store.write() as connection:
        await connection.execute(update(t.upload).values(size=MAX_FILES + 1))
    with pytest.raises(MailingError) as caught:
        await bureau.ask("a@x.example", files=["file-99"])
    assert caught.value.field == "files"


# --- two at a time


async def test_accounts_take_turns(bureau: Bureau) -> None:
    accepted = await asyncio.gather(*(bureau.ask(*people(2)) for _ in range(5)))
    assert len({item.id for item in accepted}) == 5
    await bureau.expand()
    assert len(await bureau.rows(t.message)) == 10
    states = {row.state for row in await bureau.rows(t.delivery)}
    assert states == {State.QUEUED}


# --- groups


async def _groups(bureau: Bureau) -> None:
    teens = GroupAddresses("teens", [f"t{n}@x.example" for n in range(65)])
    await bureau.books.add(bureau.account_id, [teens, GroupAddresses("men", ["T3@x.example", "m@x.example"])])
    assert await bureau.books.settle(bureau.account_id, 30)


async def test_people_of_groups_are_added_once(bureau: Bureau) -> None:
    await _groups(bureau)
    both = await bureau.ask(Person("M@x.example", "M"), groups=Groups(("teens", "men"), False))
    assert both.mails == 67
    status = await bureau.reading.status(bureau.account_id, both.id)
    assert (status.request.status, status.standing.prepared) == (MailStatus.PREPARING, False)
    await bureau.expand()
    recipients = sorted(row.recipient for row in await bureau.rows(t.delivery))
    assert recipients == sorted(["M@x.example", *(f"t{n}@x.example" for n in range(65))])
    status = await bureau.reading.status(bureau.account_id, both.id)
    assert (status.standing.mails, status.request.mails, status.request.recipients) == (66, 66, 66)


async def test_people_in_all_of_the_groups_and_a_copy(bureau: Bureau) -> None:
    await _groups(bureau)
    copy = Person("me@x.example", "", "B")
    accepted = await bureau.ask(copy, groups=Groups(("teens",), True), individual=False, hold=True)
    assert accepted.mails == 3
    await bureau.ask(copy, groups=Groups(("teens", "men"), True), individual=False)
    await bureau.expand()
    (letter,) = await bureau.letters()
    assert letter["To"] == "t3@x.example"
    assert [row.recipient for row in await bureau.rows(t.delivery)] == ["t3@x.example", "me@x.example"]
    status = await bureau.reading.status(bureau.account_id, accepted.id)
    assert (status.request.mails, status.request.recipients) == (3, 66)


async def test_who_is_named_shares_the_mails_of_the_group_and_the_last_one_has_the_copies(bureau: Bureau) -> None:
    await _groups(bureau)
    named = [f"n{n}@x.example" for n in range(31)]
    copies = [Person("cc@x.example", "", "C"), Person("bcc@x.example", "", "B")]
    accepted = await bureau.ask(*named, *copies, groups=Groups(("teens",), True), individual=False)
    assert accepted.mails == 4
    await bureau.expand()
    letters = await bureau.letters()
    assert [len(letter["To"].addresses) for letter in letters] == [30, 30, 30, 6]
    assert [letter["Cc"] for letter in letters] == [None, None, None, "cc@x.example"]
    status = await bureau.reading.status(bureau.account_id, accepted.id)
    assert (status.request.mails, status.request.recipients) == (4, 98)


async def test_hidden_copies_stay_hidden_when_a_group_is_empty(bureau: Bureau) -> None:
    await bureau.books.add(bureau.account_id, [GroupAddresses("nobody", [])])
    nobody = {"groups": Groups(("nobody",), True), "individual": False}
    hidden = [Person(f"b{n}@x.example", "", "B") for n in range(2)]
    copies = [Person("c0@x.example", "", "C"), Person("c1@x.example", "", "C"), *hidden]
    asked = [await bureau.ask("to@x.example", *copies, **nobody), await bureau.ask(*copies, **nobody)]
    assert [accepted.mails for accepted in asked] == [1, 3]
    await bureau.expand()
    shown = [(letter["To"], letter["Cc"]) for letter in await bureau.letters()]
    assert shown == [
        ("to@x.example", "c0@x.example, c1@x.example"),
        ("c0@x.example, c1@x.example", None),
        ("b0@x.example", None),
        ("b1@x.example", None),
    ]
    recipients = [row.recipient for row in await bureau.rows(t.delivery)]
    assert sorted(recipients) == sorted([*(person.address for person in copies * 2), "to@x.example"])


async def test_a_request_that_nobody_gets_is_as_one_that_is_cancelled(bureau: Bureau) -> None:
    await bureau.books.add(bureau.account_id, [GroupAddresses("nobody", [])])
    empty = await bureau.ask(groups=Groups(("nobody",), True))
    rejected = await bureau.ask(groups=Groups(("nobody",), True), hold=True)
    await bureau.decisions.reject(bureau.account_id, rejected.id, ANN)
    await bureau.expand()
    for _ in range(2):  # counted, then kept
        for accepted in (empty, rejected):
            status = await bureau.reading.status(bureau.account_id, accepted.id)
            assert (status.request.status, status.standing.prepared) == (MailStatus.CANCELLED, True)
        await bureau.reading.counting.settle()


async def test_who_is_killed_while_groups_are_read_leaves_it_to_the_next(bureau: Bureau) -> None:
    await _groups(bureau)
    await bureau.ask("a@x.example", groups=Groups(("teens",), True))
    (row,) = await bureau.rows(t.mail_request)
    left = Pieces(True, "", "", {}, row.pieces)
    left.add([Person("t1@x.example")])
    async with bureau.store.write() as connection:
        await write_pieces(connection, bureau.account_id, row.id, left.take(everything=True))
        await connection.execute(update(t.mail_request).values(owner=bureau.worker + 1000))
    await bureau.expand()
    assert len(await bureau.rows(t.delivery)) == 66


async def test_a_group_that_there_is_not(bureau: Bureau) -> None:
    with pytest.raises(NoSuchContent):
        await bureau.ask(groups=Groups(("nobody",), True))
    await _groups(bureau)
    accepted = await bureau.ask(groups=Groups(("men",), True))
    await bureau.books.remove_group(bureau.account_id, "men")
    await bureau.expand()
    status = await bureau.reading.status(bureau.account_id, accepted.id)
    assert (status.standing.counts, status.request.mails) == ({}, 0)


async def test_a_group_that_goes_before_it_is_read_has_nobody(bureau: Bureau) -> None:
    """Those of the others are mailed all the same, where one group is enough."""
    await _groups(bureau)
    both = ("teens", "men")
    any_of = await bureau.ask(groups=Groups(both, False))
    all_of = await bureau.ask("a@x.example", groups=Groups(both, True))
    await bureau.books.remove_group(bureau.account_id, "men")
    await bureau.expand()
    counts = []
    for accepted in (any_of, all_of):
        status = await bureau.reading.status(bureau.account_id, accepted.id)
        counts.append((status.standing.mails, status.request.mails))
    assert counts == [(65, 65), (1, 1)]
